"""
A shock tube with three laws
============================

A wall between two gases is taken away: a rarefaction runs to the left, a contact and a shock to the
right. Mass, momentum and energy are conserved, each with a total that follows from the states at
the start and the pressures at the ends. Three laws in one list hold for one prediction of three
fields, and speak to each other through the covariance of its errors: a front that is in the wrong
place is so in density, momentum and energy at once.
"""

# %%
# Fifty tubes
# -----------
#
# :func:`~skphys.datasets.make_sod` draws both states, where the wall was, and the time. The
# regressors are told the states and the time, and not where the wall was. The totals are columns
# that only the laws look at. Three regressors: neighbours, a forest and a small net.

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, ConservationLaw, InequalityConstraint
from skphys.datasets import make_sod
from skphys.metrics import crps

train = make_sod(50, as_frame=True, random_state=2)
test = make_sod(100, as_frame=True, random_state=3)
X, X_test = (tubes.data.drop(columns="x0") for tubes in (train, test))
grid, truth = train.grid, test.target.to_numpy()
x = grid["rho"]["x"]
net = MLPRegressor(hidden_layer_sizes=(128, 128), alpha=1e-3, max_iter=2000, random_state=0)
BACKBONES = {
    "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance")),
    "forest": RandomForestRegressor(100, random_state=0),
    "net": TransformedTargetRegressor(
        make_pipeline(StandardScaler(), net), transformer=StandardScaler()
    ),
}


def laws(noise=0.0):
    """Return the three laws; with much noise they say nothing."""
    return [
        (total, ConservationLaw(over="x", component=component, total=total, noise=noise))
        for component, total in train.totals.items()
    ]


TOTALS = test.data[list(train.totals.values())].to_numpy()


def fitted(backbone, constraints, error_model="auto"):
    """Return a fitted model."""
    return ConservationConstrainedRegressor(
        backbone, constraints, grid, error_model=error_model, drop_value_columns=True
    ).fit(X, train.target)


def pressures(fields):
    """Return densities and pressures of fields (n, n_points)."""
    rho, mom, energy = (grid.split(fields)[name] for name in grid)
    return rho, 0.4 * (energy - 0.5 * mom**2 / rho)


# %%
# Alone and with the laws
# -----------------------
#
# The three laws hold to rounding. The totals tell what the regressors are not told, where the wall
# was. The default error model knows displacements: components on one grid are displaced by one
# distance, so that what moves the density's front moves those of momentum and energy.

models = {}
print(f"{'':12}{'CRPS of density':>22}{'':10}{'squared error':>20}{'totals off by':>16}")
print(f"{'':12}{'alone':>11}{'laws':>11}{'ratio':>10}{'alone':>10}{'laws':>10}")
for name, backbone in BACKBONES.items():
    found = []
    for held in (False, True):
        model = fitted(backbone, laws()) if held else fitted(backbone, laws(1e6), "residual")
        models[name, held] = model
        mean, std = model.predict(X_test, return_std=True)
        rho = grid.slices["rho"]
        score = crps(truth[:, rho], mean[:, rho], std[:, rho])
        found.append((score, np.mean((mean[:, rho] - truth[:, rho]) ** 2)))
    (alone, alone_square), (law, law_square) = found
    off = np.abs(mean.reshape(100, 3, -1).mean(axis=2) - TOTALS).max()
    print(
        f"{name:12}{alone:11.4f}{law:11.4f}{alone / law:10.2f}{alone_square:10.4f}"
        f"{law_square:10.4f}{off:16.0e}"
    )

print(models["net", True].error_model_)

# %%
# Positive density and pressure
# -----------------------------
#
# A linear law can make a pressure negative. ``E - m^2 / (2 rho)`` is nonlinear, but it is the
# least, over all velocities v, of ``E - v m + v^2 rho / 2``: a floor of the pressure is a floor of
# all these, which are linear. Of velocities that are ``h`` apart, they let it fall below the floor
# by at most ``rho h^2 / 8``.


class InternalEnergy(InequalityConstraint):
    """The energy that is not motion, pressure / (gamma - 1), has a floor."""

    value_parameters = ("floor",)

    def __init__(self, floor, velocities):
        self.floor = floor
        self.velocities = velocities

    def rows(self, grid):
        """Return what is left of the energy at each velocity, cell by cell."""
        one = sparse.identity(grid["rho"].n_points)
        blocks = [[0.5 * v**2 * one, -v * one, one] for v in self.velocities]
        return sparse.csr_array(sparse.block_array(blocks))

    def bounds(self, resolved, grid):
        """Return the floor."""
        return resolved["floor"], np.inf


POSITIVE = [
    *laws(),
    ("density", Bounds(lower=0.05, component="rho")),
    ("pressure", InternalEnergy(0.02, np.linspace(-3.0, 3.0, 25))),
]
models["linear"] = fitted(BACKBONES["net"], laws(), "residual")
models["positive"] = fitted(BACKBONES["net"], POSITIVE, "residual")
for name, model in (("laws", models["linear"]), ("laws, positive", models["positive"])):
    mean = model.predict(X_test)
    density, pressure = pressures(mean)
    off = np.abs(mean.reshape(100, 3, -1).mean(axis=2) - TOTALS).max()
    print(
        f"{name:16} least density {density.min():6.3f}, least pressure {pressure.min():6.3f}, "
        f"totals off by {off:.0e}"
    )

# %%
# One tube
# --------
#
# One on which the laws help the net about as much as they do on average.

gain = np.subtract(
    *(np.mean((models["net", held].predict(X_test) - truth) ** 2, axis=1) for held in (False, True))
)
shown = int(np.argmin(np.abs(gain - gain.mean())))
one = X_test.iloc[[shown]]
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
plt.rcParams.update({"axes.titlesize": "medium", "legend.frameon": False})
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
STYLES = (
    (("net", False), "net alone", "#d55e00", "--"),
    (("net", True), "with the laws", "#0072b2", "-"),
)
for ax, part, label in zip(axes, grid, ("density", "momentum", "energy"), strict=True):
    where = grid.slices[part]
    for key, name, colour, line in STYLES:
        ax.plot(x, models[key].predict(one)[0, where], line, color=colour, label=name)
    lower, upper = (band[0, where] for band in models["net", True].predict_interval(one))
    ax.fill_between(x, lower, upper, color="#0072b2", alpha=0.15, linewidth=0)
    ax.plot(x, truth[shown, where], color="black", linewidth=1.2, label="exact")
    ax.set(xlim=(0, 1), xlabel="position $x$", title=label)
axes[0].legend()
figure.savefig("shock_tube.png", dpi=110)

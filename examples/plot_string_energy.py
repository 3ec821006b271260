"""
The energy of an oscillating string
===================================

A plucked string swings without friction. Its shape changes all the time, and its energy, kinetic
plus potential, stays what it was when it was let go. That is a law, but not a linear one: the
energy is an integral of squares. :class:`~skphys.constraints.EnergyLaw` states it, beside the two
linear conditions that the ends do not move.

The task: from the pluck and the time, predict the displacement and the velocity of the string.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import BoundaryConstraint, Dirichlet, EnergyLaw
from skphys.grids import Components, Grid
from skphys.metrics import crps

# %%
# Strings
# -------
#
# The equation is :math:`u_{tt} = c^2 u_{xx}` with :math:`c = 1` on a string of length 1. Four modes
# with random amplitudes, at rest at first, swing each at its own frequency, so the solution is
# exact. The energy is known from the amplitudes, once and for all times.

N_MODES = 4
x = np.linspace(0.0, 1.0, 81)
grid = Components(u=Grid(x=x), v=Grid(x=x))
k = np.pi * np.arange(1, N_MODES + 1)
SHAPES = np.sin(np.outer(k, x))
SHAPES[:, -1] = 0.0  # without rounding


def strings(amplitudes, t):
    """Return displacements and velocities, one after another, and energies."""
    phase = k * t[:, None]
    u, v = (amplitudes * np.cos(phase)) @ SHAPES, (-amplitudes * k * np.sin(phase)) @ SHAPES
    return np.concatenate([u, v], axis=1), 0.25 * (amplitudes * k) ** 2 @ np.ones(N_MODES)


def table(amplitudes, t):
    """Return X, with the energy as a column, and y."""
    y, energy = strings(amplitudes, t)
    X = pd.DataFrame(amplitudes, columns=[f"a{i}" for i in range(1, N_MODES + 1)])
    return X.assign(t=t, energy=energy), y


def pluck(n, rng):
    """Return random amplitudes, smaller for higher modes."""
    return rng.normal(size=(n, N_MODES)) / np.arange(1, N_MODES + 1) ** 2


rng = np.random.default_rng(0)
X_train, y_train = table(pluck(500, rng), rng.uniform(0.0, 1.0, 500))
X_test, y_test = table(pluck(200, rng), rng.uniform(0.0, 1.0, 200))

# %%
# With and without the law
# ------------------------
#
# The backbone is kernel ridge, with the covariance of its errors out of fold. It matters that these
# are as smooth as strings are: the potential energy is in the slope, so the most probable field
# would put missing energy into any roughness that the covariance allows. Independent errors of the
# points, or exponential correlations, allow it. `stiffness` states the potential energy of the
# displacement, `weight` the kinetic energy of the velocity.


class SmoothErrors(RegressorMixin, BaseEstimator):
    """Kernel ridge whose errors are correlated as they are out of fold."""

    def fit(self, X, y):
        """Fit it, and learn the covariance."""
        self.mean_ = make_pipeline(
            StandardScaler(), KernelRidge(alpha=1e-4, kernel="rbf", gamma=0.04)
        )
        left = y - cross_val_predict(self.mean_, X, y)
        self.mean_.fit(X, y)
        self.cov_ = left.T @ left / len(y)
        return self

    def predict(self, X, return_cov=False):
        """Predict fields, and their covariance if that is asked for."""
        mean = self.mean_.predict(X)
        return (mean, np.repeat(self.cov_[None], len(mean), axis=0)) if return_cov else mean


ENDS = [
    (f"{part}_{face}", BoundaryConstraint(Dirichlet(0.0), "x", face, component=part))
    for part in ("u", "v")
    for face in ("left", "right")
]
LAW = ("energy", EnergyLaw(total="energy", weight={"v": 1.0}, stiffness={"u": 1.0}))


def fitted(constraints):
    """Return a fitted model."""
    return ConservationConstrainedRegressor(
        SmoothErrors(), constraints, grid, error_model="stated", drop_value_columns=True
    ).fit(X_train, y_train)


def energy(fields):
    """Return the energies of fields (n_fields, n_points)."""
    return LAW[1].evaluate(fields, grid)[:, 0]


models = {"ends alone": fitted(ENDS), "ends and energy": fitted([*ENDS, LAW])}
print(f"{'':18}{'MSE':>10}{'CRPS':>10}{'energy off by':>16}")
for name, model in models.items():
    mean, std = model.predict(X_test, return_std=True)
    off = np.abs(energy(mean) / X_test["energy"] - 1.0)
    mse, score = np.mean((mean - y_test) ** 2), crps(y_test, mean, std)
    print(f"{name:18}{mse:10.4f}{score:10.4f}{off.max():16.1e}")

# %%
# The law takes a sixth out of the squared error, and an eighth out of the CRPS. Every draw has the
# right energy, and fixed ends, too.

draws = models["ends and energy"].sample_y(X_test[:20], 50, random_state=0)
flat = np.moveaxis(draws, -1, 1).reshape(-1, grid.n_points)
off = np.abs(energy(flat) / np.repeat(X_test["energy"].to_numpy()[:20], 50) - 1.0)
print(f"{len(flat)} draws: energy off by at most {off.max():.1e}, ends at {abs(flat[:, 0]).max()}")

# %%
# One string through time
# -----------------------
#
# A string whose energy is off by more than that of three in four without the law: its displacement
# and its velocity, with draws under the law, and its predicted energy as time goes on.

STYLE = {
    "ends alone": {"color": "#d55e00", "linestyle": "--", "linewidth": 1.8},
    "ends and energy": {"color": "#0072b2", "linewidth": 2.2},
}
off = np.abs(energy(models["ends alone"].predict(X_test)) / X_test["energy"] - 1.0)
shown = int(np.argsort(off)[3 * len(off) // 4])
times = np.linspace(0.0, 1.0, 101)
amplitudes = np.repeat(X_test.iloc[[shown], :N_MODES].to_numpy(), 101, axis=0)
X_string, y_string = table(amplitudes, times)
at = int(np.argmin(np.abs(times - X_test["t"].iloc[shown])))

plt.rcParams.update({"axes.titlesize": "medium", "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
some = models["ends and energy"].sample_y(X_string.iloc[[at]], 15, random_state=0)[0]
for ax, part, label in zip(axes, "uv", ("displacement $u$", "velocity $v$"), strict=False):
    where = grid.slices[part]
    ax.plot(x, some[where], color="#0072b2", alpha=0.25, linewidth=0.8)
    for name, model in models.items():
        ax.plot(x, model.predict(X_string.iloc[[at]])[0, where], label=name, **STYLE[name])
    ax.plot(x, y_string[at, where], color="black", linewidth=1.0, label="exact")
    ax.set(xlim=(0, 1), xlabel="position $x$", ylabel=label, title=f"$t$ = {times[at]:.2f}")
axes[0].legend()
for name, model in models.items():
    axes[2].plot(times, energy(model.predict(X_string)), **STYLE[name])
axes[2].plot(times, X_string["energy"], color="black", linewidth=1.0)
axes[2].set(xlim=(0, 1), ylim=(0, None), xlabel="time $t$", title="energy of the prediction")
figure.savefig("string_energy.png", dpi=110)

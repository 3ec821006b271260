"""
Every triangle balances
=======================

Dye is released in a stirred dish, and spreads. A simulation on a mesh of triangles knows how; an
emulator of it is fast, but it forgets what the simulation has built in: that dye which leaves one
triangle enters the next. :class:`~skphys.constraints.ControlVolumeBalance` gives that back, on any
:class:`~skphys.grids.Mesh`, in every triangle and over every time step.
"""

# %%
# The mesh
# --------
#
# Points on rings, triangulated. From the triangles :meth:`~skphys.grids.Mesh.from_simplices` finds
# volumes (here areas), faces (here edges) and normals.

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    AdvectiveFlux,
    Bounds,
    Column,
    ConservationLaw,
    ControlVolumeBalance,
    DiffusiveFlux,
    LinearEquality,
)
from skphys.grids import Mesh, control_volumes
from skphys.inspection import FieldDisplay
from skphys.metrics import conservation_error

N_RINGS = 6
angles = [2 * np.pi * np.arange(6 * r) / (6 * r) + 0.3 * r for r in range(1, N_RINGS + 1)]
rings = [r / N_RINGS * np.column_stack([np.cos(a), np.sin(a)]) for r, a in enumerate(angles, 1)]
vertices = np.concatenate([np.zeros((1, 2)), *rings])
triangles = Delaunay(vertices).simplices
mesh = Mesh.from_simplices(vertices, triangles, t=np.linspace(0, 1, 7))
print(mesh)

# %%
# What crosses a face
# -------------------
#
# The dish turns by half a circle in unit time, and the dye diffuses. Both fluxes are linear in the
# field: a sparse matrix from the values of the triangles to the fluxes through the faces, and they
# add up. Nothing leaves the dish, so at its wall there is no velocity.

cells = control_volumes(mesh, "t")
between = mesh.centres[mesh.faces].mean(axis=1)
velocity = np.pi * np.column_stack([-between[:, 1], between[:, 0]])
velocity[cells.boundary] = 0
flux = AdvectiveFlux(velocity).matrix(cells) + DiffusiveFlux(0.01).matrix(cells)

# %%
# The simulation
# --------------
#
# A finite-volume code: the net out-flux of each triangle, over its area, with implicit Euler steps.
# A row of X is one release: where, how wide, how much.

outflux = cells.incidence @ sparse.diags_array(cells.areas) @ flux
step = cells.times[1] - cells.times[0]
implicit = splu(sparse.csc_array(sparse.diags_array(cells.volumes) + step * outflux))
X_COLUMN, Y_COLUMN, WIDTH, AMOUNT = range(4)


def draw_releases(n_samples, seed):
    """Draw rows of X, with places evenly spread over the inner part of the dish."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, n_samples), 0.6 * np.sqrt(rng.uniform(size=n_samples))
    size, amount = rng.uniform(0.15, 0.3, n_samples), rng.uniform(0.5, 1.5, n_samples)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), size, amount])


def simulate(X):
    """Return the histories of the releases."""
    place, width = X[:, None, [X_COLUMN, Y_COLUMN]], X[:, [WIDTH]]
    u = np.exp(-((mesh.centres - place) ** 2).sum(axis=-1) / (2 * width**2))
    history = [u * (X[:, AMOUNT] / (u @ mesh.volumes))[:, None]]
    for _ in cells.times[1:]:
        history.append(implicit.solve((history[-1] * cells.volumes).T).T)
    return np.stack(history, axis=1).reshape(len(X), -1)


X_train, X_test = draw_releases(60, seed=0), draw_releases(10, seed=1)
y_train, y_test = simulate(X_train), simulate(X_test)

# %%
# What must hold
# --------------
#
# The local balance uses the same fluxes, and ``theta=1``, the implicit Euler step. The amount at
# the start is known; what holds later follows from both. ``dish`` states the global law, for
# comparison. The simulation obeys everything to rounding.

dish = ConservationLaw(over="cell", total=Column(AMOUNT))
start = LinearEquality(mesh.integral_rows("cell")[[0]], Column(AMOUNT))
triangle = ControlVolumeBalance(flux_operator=flux, theta=1.0)
for name, law in {"dish": dish, "triangle": triangle}.items():
    error = np.abs(conservation_error(y_test, law, mesh, X=X_test)).max()
    print(f"{name:9}{law.rows(mesh).shape[0]:6d} rows, the simulation misses {error:.0e}")

# %%
# The emulator
# ------------
#
# Kernel ridge regression of the square root of the dye, which keeps it positive. Without the root
# its fields would be linear combinations of training fields, which balance, so they would balance
# as well; the square undoes that. Its uncertainty is that of cross-validation.

backbone = TransformedTargetRegressor(
    make_pipeline(StandardScaler(), KernelRidge(1e-2, kernel="rbf", gamma=0.1)),
    func=np.sqrt,
    inverse_func=np.square,
)
alone = ConservationConstrainedRegressor(backbone, grid=mesh, error_model="residual")
alone.fit(X_train, y_train)

CONSTRAINTS = {
    "the dish": [dish],
    "every triangle": [start, triangle],
    "  and positive": [start, triangle, Bounds(lower=0.0)],
}
models = {"emulator alone": alone}
for name, constraints in CONSTRAINTS.items():
    model = ConservationConstrainedRegressor(FrozenEstimator(alone), constraints, mesh)
    models[name] = model.fit(X_train, y_train)

# %%
# Scores
# ------
#
# On ten releases that were not in training: the largest error of a triangle's balance, and of the
# amount in the dish; the lowest value; the mean squared error; and how long the ten take.

print("\n{:16}{:>9}{:>9}{:>9}{:>9}{:>8}".format("", "triangle", "amount", "lowest", "MSE", "time"))
means = {}
for name, model in models.items():
    begin = time.perf_counter()
    mean = means[name] = model.predict(X_test)
    seconds = time.perf_counter() - begin
    local = np.abs(conservation_error(mean, triangle, mesh)).max()
    amount = np.abs(conservation_error(mean, dish, mesh, X=X_test)).max()
    mse = np.mean((mean - y_test) ** 2)
    print(f"{name:16}{local:9.0e}{amount:9.0e}{mean.min():9.2f}{mse:9.4f}{seconds:6.1f} s")

# %%
# What the table says
# -------------------
#
# The global law corrects the amount and leaves the triangles unbalanced. With the local one they
# balance to rounding, the amount follows, and the error falls, though by little: the emulator was
# good, and that dye is not lost does not say where it was released. The correction knows nothing
# of signs, so where there was no dye it makes some triangles negative; the bounds undo that, and
# all balances stay. They take longest, since each field is then a quadratic problem of its own.

# %%
# One release
# -----------
#
# Half-way in time. Above, the simulation, and what emulator and constrained emulator get wrong.
# Below, the dye in the dish, for all ten releases, and what each triangle gains in one step that
# has not come in through its edges. In this release much dye was missing. The balance brings it
# back, but cannot know where it belongs: too much of it ends up in the middle of the dish.

ALONE, LOCAL = "emulator alone", "  and positive"
STYLE = {
    ALONE: {"color": "#d55e00", "linestyle": "--", "label": "emulator alone"},
    LOCAL: {"color": "#0072b2", "linewidth": 2.4, "label": "balanced, positive"},
}
release, level = 3, 3
still = Mesh.from_simplices(vertices, triangles)


def draw_triangles(ax, values, title, limit=None):
    """Colour the triangles; a limit makes the colours diverge from zero."""
    style = {"cmap": "cividis", "vmin": 0}
    if limit is not None:
        style = {"cmap": "PuOr", "vmin": -limit, "vmax": limit}
    FieldDisplay.from_predictions(None, values, grid=still, name=title, ax=ax, image_kwargs=style)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def error(name):
    """Return the error of the field at the level shown."""
    return mesh.reshape(means[name] - y_test)[release, level]


def unexplained(name):
    """Return what each triangle gains without a reason, per area, in the step up to that level."""
    rows = conservation_error(means[name][[release]], triangle, mesh)
    return rows.reshape(-1, mesh.n_cells)[level - 1] / mesh.volumes


plt.rcParams["axes.titlesize"] = "medium"
figure, axes = plt.subplots(2, 3, figsize=(10, 6.2), layout="constrained")
exact = mesh.reshape(y_test)[release, level]
draw_triangles(axes[0, 0], exact, f"Simulation, $t$ = {cells.times[level]:g}")
limit = np.abs(error(ALONE)).max()
draw_triangles(axes[0, 1], error(ALONE), "Error: emulator alone", limit)
draw_triangles(axes[0, 2], error(LOCAL), "Error: balanced, positive", limit)
limit = np.abs(unexplained(ALONE)).max()
draw_triangles(axes[1, 1], unexplained(ALONE), "Imbalance: emulator alone", limit)
draw_triangles(axes[1, 2], unexplained(LOCAL), "Imbalance: balanced, positive", limit)
largest = np.abs(unexplained(LOCAL)).max()
axes[1, 2].set_xlabel(f"at most {largest:.0e} in size")

for name, style in STYLE.items():
    share = mesh.reshape(means[name]) @ mesh.volumes / X_test[:, [AMOUNT]]
    lines = axes[1, 0].plot(cells.times, share.T, **style)
    for line in lines[1:]:
        line.set_label(None)
axes[1, 0].set(xlim=(0, 1), xlabel="time $t$", ylabel="share of what was released")
axes[1, 0].set_title("Dye in the dish, ten releases")
axes[1, 0].spines[["top", "right"]].set_visible(False)
axes[1, 0].legend(frameon=False, loc="lower right")
figure.savefig("mesh_balance.png", dpi=110)

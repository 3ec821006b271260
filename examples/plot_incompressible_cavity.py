"""
Walls and mass: a flow that obeys both
======================================

A fluid in a box whose lid moves knows two things for certain: at the walls it has their velocity,
and everywhere as much of it flows out of a volume as into it. The first is what BOON enforces, the
second what ProbConserv does, here for every volume by itself. Together they are one system of
equations, and one correction of what a network predicts, with its uncertainty.

Run as a script, this prints a table and saves the figure as ``incompressible_cavity.png``;
``--quick`` trains a smaller network on fewer flows.
"""

# %%
# The flows
# ---------
#
# :func:`~skphys.datasets.make_lid_driven_cavity` solves the Navier-Stokes equations for vorticity
# and stream function. With ``refinement=1`` its velocities are central differences of the stream
# function on the very nodes of the output, so they obey the rows of
# :class:`~skphys.constraints.DivergenceFree` to rounding: the net flux out of the volume around
# each inner node, through faces at which the velocity is the average of both sides.

import argparse
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, FNORegressor
from skphys.constraints import DivergenceFree
from skphys.datasets import make_lid_driven_cavity
from skphys.metrics import boundary_error, conservation_error, coverage
from skphys.preprocessing import GridFeatures

parser = argparse.ArgumentParser(description="Predict an incompressible flow.")
parser.add_argument("--quick", action="store_true", help="fewer flows, a smaller network")
parser.add_argument("--output", default="incompressible_cavity.png", help="where the figure goes")
args = parser.parse_args()
N, N_TRAIN, WIDTH, EPOCHS = (17, 60, 8, 10) if args.quick else (33, 200, 16, 40)
N_CALIBRATION, N_TEST = (15, 10) if args.quick else (40, 40)

flows = make_lid_driven_cavity(
    N_TRAIN + N_CALIBRATION + N_TEST, n_points=N, refinement=1, t=1.0, random_state=0
)
parts = np.split(np.arange(len(flows.data)), [N_TRAIN, N_TRAIN + N_CALIBRATION])
(X, y), (X_held, y_held), (X_test, y_test) = ((flows.data[p], flows.target[p]) for p in parts)
plane, n = flows.grid["u"], flows.grid["u"].n_points
mass = DivergenceFree()
rows = mass.rows(flows.grid)
print(f"{rows.shape[0]} volumes; the flows miss by {np.abs(y @ rows.T).max():.0e} at most")

# %%
# The models
# ----------
#
# A Fourier neural operator takes the velocity at time 0, and the speed of the lid, to the velocity
# at time 1. It is trained once. The others wrap it as it is: with walls, with mass, or with both,
# one estimator inside the other; what the inner one knows is handed up, and enforced once. How
# large its errors are is learned from flows that it has not seen.

start = perf_counter()
operator = make_pipeline(
    GridFeatures(plane, fields={"u": slice(0, n), "v": slice(n, 2 * n)}, scalars=[2 * n]),
    FNORegressor(
        n_modes=6, hidden_channels=WIDTH, grid=flows.grid, max_epochs=EPOCHS, random_state=0
    ),
).fit(X, y)
print(f"trained in {perf_counter() - start:.0f} s")
frozen = FrozenEstimator(operator)
walls = BoundaryEnforcedOperator(frozen, flows.boundary, flows.grid, method="project")


def constrained(estimator, constraints):
    """Return an estimator under constraints, fitted."""
    model = ConservationConstrainedRegressor(
        estimator, constraints, flows.grid, calibration=(X_held, y_held)
    )
    return model.fit(X, y)


models = {
    "FNO": constrained(frozen, None),
    "walls": constrained(walls, None),
    "mass": constrained(frozen, mass),
    "both": constrained(walls, mass),
}

# %%
# Errors
# ------
#
# On flows that were not in training: the error of the velocity, relative to its norm; the largest
# divergence, of the means and of draws; the largest slip along a wall; the share of velocities
# inside intervals of 90 %.

print(
    "\n{:8}{:>10}{:>12}{:>10}{:>10}{:>10}".format(*" error divergence draws slip inside".split(" "))
)
means, stds = {}, {}
for name, model in models.items():
    mean, std = means[name], stds[name] = model.predict(X_test, return_std=True)
    draws = model.sample_y(X_test[:3], n_samples=5, random_state=0)
    error = np.linalg.norm(mean - y_test, axis=1) / np.linalg.norm(y_test, axis=1)
    divergence = np.abs(conservation_error(mean, mass, flows.grid)).max()
    drawn = max(np.abs(each @ rows.T).max() for each in np.moveaxis(draws, -1, 0))
    slip = boundary_error(mean, flows.boundary, flows.grid, X_test, kind="absolute").max()
    inside = coverage(y_test, *model.predict_interval(X_test, 0.9))
    print(f"{name:8}{error.mean():10.4f}{divergence:12.1e}{drawn:10.1e}{slip:10.1e}{inside:10.2f}")

# %%
# A look at a flow
# ----------------
#
# The one of median error. Above, the flow, and how far the velocities are from it. Below, the
# divergence of the network with walls alone, of both, and the standard deviation that is left.

STYLE = {"shading": "nearest", "rasterized": True}
x, y_axis = plane["x"], plane["y"]
error = np.linalg.norm(means["FNO"] - y_test, axis=1) / np.linalg.norm(y_test, axis=1)
one = int(error.argsort()[len(error) // 2])


def speed(field):
    """Return the length of the velocity, (n_x, n_y)."""
    return np.hypot(*(plane.reshape(part) for part in flows.grid.split(field).values()))


def draw(ax, values, title, label, **style):
    """Colour a plane."""
    nodes = (x, y_axis) if values.shape == plane.shape else (x[1:-1], y_axis[1:-1])
    image = ax.pcolormesh(*nodes, values.T, **STYLE | style)
    ax.set(title=title, aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1))
    figure.colorbar(image, ax=ax, shrink=0.85, label=label)


figure, axes = plt.subplots(2, 3, figsize=(10.5, 6.4), layout="constrained")
u, v = (plane.reshape(part).T for part in flows.grid.split(y_test[one]).values())
draw(axes[0, 0], speed(y_test[one]), "Flow", "speed", cmap="cividis")
axes[0, 0].streamplot(x, y_axis, u, v, color="w", linewidth=0.6, density=0.7, arrowsize=0.6)
axes[0, 0].set(xlim=(0, 1), ylim=(0, 1))
misses = {name: speed(means[name][one] - y_test[one]) for name in ("FNO", "both")}
limit = max(miss.max() for miss in misses.values())
for ax, name, title in zip(axes[0, 1:], misses, ("FNO", "walls and mass"), strict=True):
    draw(ax, misses[name], f"Error: {title}", "speed", cmap="magma_r", vmin=0, vmax=limit)
inner = tuple(size - 2 for size in plane.shape)
divergences = {name: (rows @ means[name][one]).reshape(inner) for name in ("walls", "both")}
limit = 0.7 * np.abs(divergences["walls"]).max()
for ax, name, title in zip(axes[1], divergences, ("walls", "walls and mass"), strict=False):
    style = {"cmap": "PuOr", "vmin": -limit, "vmax": limit}
    draw(ax, divergences[name], f"Divergence: {title}", "per unit time", **style)
largest = np.abs(divergences["both"]).max()
axes[1, 1].set_xlabel(f"at most {largest:.0e} in size")
draw(axes[1, 2], speed(stds["both"][one]), "Standard deviation: both", "speed", cmap="magma_r")
figure.savefig(args.output, dpi=110)
print(f"\nThe figure is in {args.output}")

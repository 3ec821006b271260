"""
A budget for a million cells
============================

Maps of heat given off by the ground, a million cells each, are predicted from three numbers a
month. What each of 400 districts gives off in all is known from elsewhere. The law is a sparse
matrix of 400 rows, and memory stays linear in the cells.
"""

# %%
# Maps and districts
# ------------------
#
# What the regressor is told of a month, its level, trend to the north and share of the hills, makes
# most of the map; clouds, wide and of a strength of their own, do the rest.

import resource
import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import zoom
from sklearn.linear_model import Ridge

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, RegionTotals
from skphys.grids import Grid
from skphys.inspection import FieldDisplay

SIDE, N_DISTRICTS = 1000, 20
grid = Grid(north=np.arange(SIDE) + 0.5, east=np.arange(SIDE) + 0.5)
rng = np.random.default_rng(0)
hills = zoom(rng.normal(size=(9, 9)), SIDE / 9, order=1)


def month():
    """Return what is known of a month, and its map."""
    level, trend, share = rng.normal([3.0, 0.0, 1.0], 0.5)
    clouds = zoom(rng.normal(size=(12, 12)), SIDE / 12, order=1, grid_mode=True, mode="nearest")
    return [level, trend, share], level + trend * grid["north"][
        :, None
    ] / SIDE + share * hills - clouds


known, maps = zip(*(month() for _ in range(16)), strict=True)
y = np.reshape(maps, (16, -1))

place = np.arange(SIDE) * N_DISTRICTS // SIDE
district = np.add.outer(place * N_DISTRICTS, place)
columns = Column(list(range(3, 3 + N_DISTRICTS**2)))
law = RegionTotals(district, columns, mean=True)
means = law.rows(grid)
X = np.hstack([known, y @ means.T])
print(f"{y.shape[1]:,} cells, {means.shape[0]} districts, {means.nnz:,} entries")

# %%
# The model
# ---------
#
# The districts' means are columns of X, which the regressor does not see. Folds of the 12 training
# maps say how large errors are at each cell.

model = ConservationConstrainedRegressor(
    Ridge(),
    constraints=law,
    grid=grid,
    error_model="residual",
    drop_value_columns=True,
)


def timed(what, function, *arguments):
    """Return what a function returns, and say how long it took and how much memory there was."""
    began = time.perf_counter()
    result = function(*arguments)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:12s}{time.perf_counter() - began:6.1f} s, {most:4.1f} GiB at most so far")
    return result


timed("fit", model.fit, X[:12], y[:12])
mean, std = timed("predict", lambda: model.predict(X[12:13], return_std=True))
alone = model.estimator_.predict(X[12:13, :3])
for name, field in {"alone": alone, "with budgets": mean}.items():
    missed = np.abs(field @ means.T - X[12:13, 3:]).max()
    print(
        f"{name:13s}rmse {np.sqrt(np.mean((field - y[12]) ** 2)):.3f}, districts miss {missed:.1e}"
    )
print(f"{np.mean(np.abs(mean - y[12]) < 1.645 * std):.0%} of the cells are within 90 % intervals")

# %%
# Budgets put the large scale right; what is finer than a district stays as it was predicted.

figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.0), layout="constrained", sharey=True)
limit = np.abs(alone[0] - y[12]).max()
options = {"grid": grid, "transpose": True}
options["image_kwargs"] = {"error": {"vmin": -limit, "vmax": limit}}
FieldDisplay.from_predictions(y[12], alone[0], panels=["truth", "error"], ax=axes[:2], **options)
FieldDisplay.from_predictions(y[12], mean[0], panels=["error"], ax=axes[2], **options)
for ax, title in zip(axes, ("true map", "error alone", "error with budgets"), strict=True):
    ax.set(title=title, aspect="equal")
plt.show()

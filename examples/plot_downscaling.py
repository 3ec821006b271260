"""
Rain from coarse cells to fine ones
===================================

A climate model knows the rain of a day on cells of 24 km, which are the means of 6 by 6 fine ones.
A regressor that has seen radar paints in the mountains' windward sides. Its fine fields should
have the coarse means, for there is no other water, and rain is not negative.
"""

# %%
# The data
# --------
#
# Fronts of a correlated random field rain where they are above a threshold, more where the wind
# blows uphill. What is known of a day are the means of 16 coarse cells and the wind; one row a day.

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, RegionTotals
from skphys.estimators import ErrorModel
from skphys.grids import Axis, Grid

SIDE, BLOCK = 24, 6
N_COARSE = SIDE // BLOCK
N_TRAIN, N_TEST = 150, 50
rng = np.random.default_rng(0)
height = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3.0, mode="wrap")
height = np.maximum(height / height.std() + 0.5, 0.0)
slopes = np.array(np.gradient(height))


def day(rng):
    """Return the wind and the rain of a day in mm."""
    wind = rng.normal(0.0, 1.0, 2)
    fronts = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(2.0, 5.0), mode="wrap")
    fronts = fronts / fronts.std() + rng.normal(-0.3, 0.5)
    lift = np.exp(1.2 * np.clip(np.tensordot(wind, slopes, 1), -1.0, 1.0))
    return wind, 6.0 * np.maximum(fronts, 0.0) ** 1.5 * lift * rng.gamma(16.0, 1 / 16, (SIDE, SIDE))


winds, rains = map(np.array, zip(*(day(rng) for _ in range(N_TRAIN + N_TEST)), strict=True))
y = rains.reshape(len(rains), -1)
grid = Grid(south=Axis.cells(np.arange(SIDE + 1.0)), east=Axis.cells(np.arange(SIDE + 1.0)))
number = np.arange(N_COARSE**2).reshape(N_COARSE, N_COARSE)
blocks = np.kron(number, np.ones((BLOCK, BLOCK), dtype=int))
law = RegionTotals(blocks, Column(list(range(N_COARSE**2))), mean=True)
means = law.rows(grid)
X = np.hstack([y @ means.T, winds])
train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)

# %%
# The regressor
# -------------
#
# Trees learn the rain of a fine cell from what lies around it. How far they are off differs by
# orders of magnitude between a dry corner and a downpour. So it is learned, on days that the trees
# have not seen, as a function that rises with the rain they predict; the law asks for it by
# ``return_std``, and puts the water that is missing where it is likely to have fallen.


def bilinear(coarse):
    """Interpolate coarse cells, (n_days, n_coarse), to the fine ones."""
    cells = coarse.reshape(-1, N_COARSE, N_COARSE)
    fine = zoom(cells, (1, BLOCK, BLOCK), order=1, grid_mode=True, mode="nearest")
    return fine.reshape(len(coarse), -1)


class LocalTrees(RegressorMixin, BaseEstimator):
    """Learns fine cells from the coarse rain around them, the wind, and the ground."""

    def fit(self, X, y):
        """Learn the rain of three quarters of the days, and the errors on the others."""
        self.n_features_in_ = X.shape[1]
        n = len(X) * 3 // 4
        trees = HistGradientBoostingRegressor(loss="poisson", random_state=0)
        self.rain_ = trees.fit(self._cells(X[:n]), y[:n].ravel())
        mean = self.rain_.predict(self._cells(X[n:]))
        rising = IsotonicRegression(y_min=1e-4, out_of_bounds="clip")
        self.squared_error_ = rising.fit(mean, (mean - y[n:].ravel()) ** 2)
        return self

    def predict(self, X, return_std=False):
        """Return fine fields, and the standard deviations of their errors on demand."""
        mean = self.rain_.predict(self._cells(X))
        fields = mean.reshape(len(X), -1)
        if not return_std:
            return fields
        return fields, np.sqrt(self.squared_error_.predict(mean)).reshape(fields.shape)

    def _cells(self, X):
        coarse, wind = X[:, : N_COARSE**2], X[:, N_COARSE**2 :]
        uphill = np.tensordot(wind, slopes, 1).reshape(len(X), -1)
        own = coarse[:, blocks.ravel()]
        place = np.broadcast_to(height.ravel(), own.shape)
        return np.stack([own, bilinear(coarse), uphill, place], axis=-1).reshape(-1, 4)


# %%
# The law
# -------
#
# ``RegionTotals`` is told which coarse cell each fine one is in, and which columns hold the means;
# with ``Bounds(0)`` it is all there is to downscaling. Errors are alike over about a coarse cell.

model = ConservationConstrainedRegressor(
    LocalTrees(),
    [("means", law), ("positive", Bounds(lower=0.0))],
    grid,
    error_model=ErrorModel(
        covariance="stated",
        correlation_length={"south": BLOCK, "east": BLOCK},
        displacement=None,
        scale=1.0,
    ),
).fit(X[train], y[train])

# %%
# The rivals: bilinear interpolation, the trees alone, and both with each coarse cell multiplied by
# what gives it its mean, which is what is done most. Where a prediction is dry, no factor helps.


def rescaled(fields):
    """Multiply each coarse cell of the fields so that it has its mean."""
    now, wanted = fields @ means.T, X[test, : N_COARSE**2]
    factors = np.divide(wanted, now, out=np.zeros_like(now), where=now > 0.0)
    return fields * factors[:, blocks.ravel()]


trees = model.estimator_
ways = {
    "bilinear": lambda X: bilinear(X[:, : N_COARSE**2]),
    "bilinear, rescaled": lambda X: rescaled(bilinear(X[:, : N_COARSE**2])),
    "trees": trees.predict,
    "trees, rescaled": lambda X: rescaled(trees.predict(X)),
    "trees with the law": model.predict,
}
found = {}
for name, way in ways.items():
    began = time.perf_counter()
    found[name] = fields = way(X[test])
    seconds = time.perf_counter() - began
    miss = np.abs(fields @ means.T - X[test, : N_COARSE**2]).max()
    rmse, mae = np.sqrt(np.mean((fields - y[test]) ** 2)), np.mean(np.abs(fields - y[test]))
    print(
        f"{name:18} RMSE {rmse:.2f} mm, MAE {mae:.2f} mm, least {fields.min():.0e} mm, "
        f"means off by {miss:.0e} mm, {seconds:.2f} s"
    )

# %%
# A wet day
# ---------
#
# Grey lines are heights. With a factor for each, coarse cells end in edges; the law's corrections
# go on across them, since errors are alike there.

k = int(np.argmax(np.quantile(y[test], 0.9, axis=1)))
panels = {
    "coarse": X[test][k, blocks.ravel()],
    "bilinear, rescaled": found["bilinear, rescaled"][k],
    "trees, rescaled": found["trees, rescaled"][k],
    "trees with the law": found["trees with the law"][k],
    "true": y[test][k],
}
figure, axes = plt.subplots(1, 5, figsize=(13, 2.9), sharey=True, layout="constrained")
for ax, (title, field) in zip(axes, panels.items(), strict=True):
    image = ax.imshow(
        field.reshape(grid.shape), cmap="YlGnBu", vmin=0.0, vmax=np.quantile(y[test][k], 0.98)
    )
    ax.contour(height, levels=[0.5, 1.0, 1.5], colors="0.4", linewidths=0.5)
    ax.set(title=title, xticks=[], yticks=[])
figure.colorbar(image, ax=axes, label="rain / mm", extend="max")
figure.savefig("downscaling.png", dpi=110)

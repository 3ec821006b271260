"""
Rain from coarse cells to fine ones
===================================

A climate model knows the rain of a day on cells of 32 km, which are the means of 8 by 8 fine ones.
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

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, RegionTotals
from skphys.grids import Axis, Grid

SIDE, BLOCK = 32, 8
N_COARSE = SIDE // BLOCK
N_TRAIN, N_TEST = 120, 60
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
# orders of magnitude between a dry corner and a downpour, so a second set of trees learns the size
# of errors, on days that the first has not seen; ``return_std`` hands it to the law, which then puts the
# water that is missing where it is likely to have fallen.


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
        other = self._cells(X[n:])
        missed = (self.rain_.predict(other) - y[n:].ravel()) ** 2
        trees = HistGradientBoostingRegressor(loss="poisson", random_state=0)
        self.squared_error_ = trees.fit(other, missed)
        return self

    def predict(self, X, return_std=False):
        """Return fine fields, and the standard deviations of their errors on demand."""
        cells = self._cells(X)
        mean = self.rain_.predict(cells).reshape(len(X), -1)
        if not return_std:
            return mean
        return mean, np.sqrt(self.squared_error_.predict(cells)).reshape(len(X), -1)

    def _cells(self, X):
        coarse, wind = X[:, : N_COARSE**2], X[:, N_COARSE**2 :]
        uphill = np.tensordot(wind, slopes, 1).reshape(len(X), -1)
        own = coarse[:, blocks.ravel()]
        place = np.broadcast_to(height.ravel(), own.shape)
        return np.stack([own, bilinear(coarse), uphill, place], axis=-1).reshape(-1, 4)


model = ConservationConstrainedRegressor(
    LocalTrees(), [("means", law), ("positive", Bounds(lower=0.0))], grid, error_model="stated"
)

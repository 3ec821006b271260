"""Small operators with the hook for boundaries, and a problem for them."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from skphys.constraints import Column, Dirichlet, Neumann
from skphys.grids import Grid

GRID = Grid(x=np.concatenate([np.linspace(0.0, 0.4, 12), np.linspace(0.45, 1.0, 9)]))
BOUNDARY = {"x": (Dirichlet(Column(0)), Neumann(Column(1)))}


def fields(X, x):
    """u = p + q x^2 / 2 + r x (2 - x), which is p on the left and has the slope q on the right."""
    p, q, r = (np.asarray(X, float)[:, [i]] for i in range(3))
    return p + 0.5 * q * x**2 + r * x * (2.0 - x)


def problem(n_samples=30, grid=GRID, seed=0):
    X = np.random.default_rng(seed).uniform(1.0, 2.0, (n_samples, 3))
    return X, fields(X, grid["x"])


class Told(RegressorMixin, BaseEstimator):
    """Least squares on X and the boundary's values, in float32, at nodes of its own.

    It takes a boundary, but does not need one. Members differ by a smooth field of their own,
    which is zero where the boundary says so, to rounding.
    """

    def __init__(self, n_members=1, spread=0.1, grid=GRID):
        self.n_members = n_members
        self.spread = spread
        self.grid = grid

    def fit(self, X, y, *, boundary=None):
        self.boundary_ = boundary
        self.n_features_in_ = X.shape[1]
        self.coef_ = np.linalg.lstsq(self._design(X, boundary), np.asarray(y), rcond=None)[0]
        return self

    def predict_members(self, X, *, boundary=None):
        mean = self._design(X, boundary) @ self.coef_
        rng = np.random.default_rng(0)
        waves = np.sin(np.pi * np.outer(np.arange(1, 4), self.grid["x"]))
        waves = waves * (1.0 - self.grid["x"]) ** 2  # no slope on the right
        draws = rng.normal(size=(self.n_members, len(mean), 3))
        members = mean + self.spread * (draws - draws.mean(axis=0)) @ waves
        return members.astype(np.float32), None

    def predict(self, X, *, boundary=None):
        return self.predict_members(X, boundary=boundary)[0].mean(axis=0)

    def on_grid(self, grid):
        moved = clone(self).set_params(grid=grid)
        vars(moved).update({k: v for k, v in vars(self).items() if k.endswith("_")})
        moved.coef_ = np.stack([np.interp(grid["x"], self.grid["x"], c) for c in self.coef_])
        return moved

    def _design(self, X, boundary):
        X = np.asarray(X, np.float32)
        values = np.empty((len(X), 0)) if boundary is None else boundary.values
        return np.column_stack([np.ones(len(X)), X, values.astype(np.float32)])


class Single(Told):
    """States no uncertainty."""

    predict_members = None

    def predict(self, X, *, boundary=None):
        return Told.predict_members(self, X, boundary=boundary)[0].mean(axis=0)

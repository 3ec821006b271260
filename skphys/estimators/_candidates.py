"""Regressors of fields in closed form, or the user's, with their leave-one-out residuals.

Each has three things: ``fit(features, columns, y, runs)`` returns itself, `left_out` holds the
residuals of the fields y, each predicted from the others, and a call predicts the fields of other
features.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import product
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, helmert
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.utils.validation import check_array

from skphys.estimators._ridge import (
    Dual,
    Modes,
    Runs,
    Units,
    gaussian,
    matern,
    spectrum,
    squared_distances,
    without_noise,
)
from skphys.grids import Components, Grid

Array = NDArray[np.float64]

# Squared lengths of kernels, relative to the median squared distance of samples.
LENGTHS = tuple(4.0**exponent for exponent in range(-2, 5))
USUAL = 0.95  # part of the left-out samples of which as much is known as is usual
FOLDS = 20  # most of them; a regressor of the user's is refitted for each


class Candidate(Protocol):
    """What can learn fields from features."""

    left_out: Array

    def fit(
        self, features: Array, columns: Sequence[slice], y: Array, runs: Runs | None = None
    ) -> Self:
        """Learn fields (n, n_points) from features (n, n_features).

        Columns of one unit are such as the points of an input field; samples of the same run are
        left out together.
        """

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""


class Zero:
    """Nothing at all."""

    def fit(
        self, features: Array, columns: Sequence[slice], y: Array, runs: Runs | None = None
    ) -> Zero:
        """Keep the fields as what is left."""
        self.left_out, self.n_points = y, y.shape[1]
        return self

    def __call__(self, features: Array) -> Array:
        """Return zeros."""
        return np.zeros((len(features), self.n_points))


class Affine:
    """Ridge regression in the dual, with the ridges of least leave-one-out error.

    Parameters
    ----------
    grid : Grid, Components or None, default=None
        Where the fields live, so that noise can be told by its waves.
    """

    def __init__(self, grid: Grid | Components | None = None) -> None:
        self.grid = grid

    def fit(
        self, features: Array, columns: Sequence[slice], y: Array, runs: Runs | None = None
    ) -> Affine:
        """Learn the map, of features in units of their deviations."""
        self.units = Units().fit(features, [slice(k, k + 1) for k in range(features.shape[1])])
        Z = self.units(features)
        found = spectrum(Z)
        self.modes = Modes(without_noise(y, self.grid, *found, runs))
        self.dual = Dual(*found, self.modes.sizes, runs)
        self.left_out = self.modes.rest(self.dual.left_out, y)
        self.weights = Z.T @ self.dual.coefficients
        return self

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""
        return self.modes(self.units(features) @ self.weights)


class Kernel:
    """Kernel ridge regression whose kernel, length and ridges have the least leave-one-out error.

    Features are in units of the first principal component of their field or face, so that a field
    of many points counts as much as one parameter; distances are those of all components.

    Parameters
    ----------
    grid : Grid, Components or None, default=None
        Where the fields live, so that noise can be told by its waves.
    n_inputs : int or None, default=None
        Of the first so many features, those that are single ones are parameters: the kernel is
        theirs alone, times one that is linear in all other features. It makes a linear map whose
        coefficients vary with parameters (Hastie and Tibshirani 1993), as the solution of a linear
        equation does with those of the equation. None: the kernel is that of all features.
    """

    def __init__(self, grid: Grid | Components | None = None, n_inputs: int | None = None) -> None:
        self.grid, self.n_inputs = grid, n_inputs

    def fit(
        self, features: Array, columns: Sequence[slice], y: Array, runs: Runs | None = None
    ) -> Kernel:
        """Learn the fields."""
        self.units, modes = Units().fit(features, columns), Modes(y)
        self.curved = np.ones(features.shape[1], dtype=bool)
        if self.n_inputs is not None:
            self.curved[:] = False
            self.curved[parameters(columns, self.n_inputs)] = True
        self.nodes = self.units(features)
        products, squares = self._products(self.nodes), self._squares(self.nodes)
        np.fill_diagonal(squares, 0.0)
        apart = squares[squares > 0.0]
        median = float(np.median(apart)) if apart.size else 1.0
        basis = helmert(len(y))
        best: Any = None
        for kernel, length in product((gaussian, matern), LENGTHS):
            K = products * kernel(squares / (length * median))
            eigenvalues, vectors = eigh(basis @ K @ basis.T, driver="evd")
            dual = Dual(eigenvalues.clip(0.0), basis.T @ vectors, modes.sizes, runs)
            if best is None or dual.error < best[0].error:
                best = dual, kernel, length * median
        dual, self.kernel, self.square = best
        found = dual.eigenvalues, dual.vectors
        self.modes = Modes(without_noise(y, self.grid, *found, runs))
        self.dual = Dual(*found, self.modes.sizes, runs)
        self.left_out = self.modes.rest(self.dual.left_out, y)
        K = products * self.kernel(squares / self.square)
        self.coefficients = self.dual.coefficients
        self.offset = -np.mean(K @ self.coefficients, axis=0)
        self.means = K.mean(axis=0)
        return self

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""
        return self.modes(self.offset + self._gram(self.units(features)) @ self.coefficients)

    def growth(self, features: Array) -> Array:
        """Return by how much less is known of samples than of left-out ones, as a factor of errors.

        It is the ratio of standard deviations of a Gaussian process whose noise is the ridge of the
        first component; of the known ones that which 95 % of them are below.
        """
        ridge = self.dual.ridges[0] if len(self.dual.ridges) else np.inf
        if not np.isfinite(ridge):
            return np.ones(len(features))
        Z, left = self.units(features), 1.0 / (self.dual.eigenvalues + ridge)
        usual = np.quantile(self.dual.unknown(ridge), USUAL)
        own = 1.0 + np.sum(Z[:, ~self.curved] ** 2, axis=1)
        K = self._gram(Z)
        mean, centre = K.mean(axis=1), self.means.mean()
        told = (K - self.means - mean[:, None] + centre) @ self.dual.vectors
        unknown = own - 2.0 * mean + centre - told**2 @ left + ridge * (1.0 + 1.0 / len(self.nodes))
        return np.sqrt(np.maximum(unknown / usual, 1.0))

    def _gram(self, Z: Array) -> Array:
        return self._products(Z) * self.kernel(self._squares(Z) / self.square)

    def _squares(self, Z: Array) -> Array:
        return squared_distances(Z[:, self.curved], self.nodes[:, self.curved])

    def _products(self, Z: Array) -> Array:
        return 1.0 + Z[:, ~self.curved] @ self.nodes[:, ~self.curved].T


def parameters(columns: Sequence[slice], n_inputs: int) -> list[int]:
    """Return the columns of inputs that are no part of a field."""
    return [c.start for c in columns if c.stop <= n_inputs and c.stop - c.start == 1]


class Refitted:
    """A regressor of scikit-learn, refitted by folds for what it leaves of left-out samples.

    Parameters
    ----------
    estimator : estimator
        Cloned.
    names : sequence of str or None, default=None
        Of the features, which then are a DataFrame; of pandas, as X was.
    """

    def __init__(self, estimator: Any, names: Sequence[str] | None = None) -> None:
        self.estimator, self.names = estimator, names

    def fit(
        self, features: Array, columns: Sequence[slice], y: Array, runs: Runs | None = None
    ) -> Refitted:
        """Learn the fields."""
        self.left_out, self.n_points, n = y, y.shape[1], len(y)
        targets = y[:, 0] if y.shape[1] == 1 else y
        each = np.arange(n) if runs is None else runs
        n_folds = min(FOLDS, len(np.unique(each)))
        shown = self._shown(features)
        try:
            if n > 1:
                folds = GroupKFold(n_folds, shuffle=True, random_state=0).split(shown, None, each)
                told = cross_val_predict(self.estimator, shown, targets, cv=list(folds))
                self.left_out = y - self._fields(told, n)
            self.estimator = clone(self.estimator).fit(shown, targets)
        except Exception as error:  # whatever a regressor of the user's may raise
            raise ValueError(
                f"background={self.estimator!r} cannot learn these {n} field(s), or all but some: "
                f"{error} It must be a regressor that takes features of shape {features.shape} and "
                f"fields of shape {y.shape}, is refitted for {n_folds} fold(s), and predicts "
                f"fields. Wrap one of single numbers in sklearn.multioutput.MultiOutputRegressor."
            ) from error
        return self

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""
        return self._fields(self.estimator.predict(self._shown(features)), len(features))

    def _shown(self, features: Array) -> Any:
        if self.names is None:
            return features
        return import_module("pandas").DataFrame(features, columns=list(self.names))

    def _fields(self, told: Any, n: int) -> Array:
        fields = check_array(told, ensure_2d=False, dtype=np.float64, input_name="its prediction")
        if len(fields) != n or fields.size != n * self.n_points:
            raise ValueError(
                f"The background predicts an array of shape {fields.shape}, where fields have the "
                f"shape {(n, self.n_points)}."
            )
        return fields.reshape(n, self.n_points)

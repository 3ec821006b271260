"""Regressors of fields in closed form, or the user's, with their leave-one-out residuals.

Each has three things: ``fit(features, groups, y)`` returns itself, `left_out` holds the residuals
of the fields y, each predicted from the others, and a call predicts the fields of other features.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import product
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.linalg import eigh, helmert, qr
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.utils.validation import check_array

from skphys.grids import Components, Grid, grid_parts

Array = NDArray[np.float64]

# Ridges to choose from, relative to the largest eigenvalue. Below, rounding of the kernel decides,
# and left-out samples no longer tell what becomes of others.
RIDGES = tuple(10.0**exponent for exponent in range(-13, 1, 2))
# Squared lengths of kernels, relative to the median squared distance of samples.
LENGTHS = tuple(4.0**exponent for exponent in range(-2, 5))
TOLD = 0.05  # part of a wave's squares, of left-out fields, that features must tell of
FOLDS = 20  # most of them; a regressor of the user's is refitted for each
# Deviations below these parts of a feature's size, and of the largest deviation, are rounding.
TINY, ROUNDING = 1e-8, 1e-13
RANK = 1e-13  # singular values below this part of the largest are rounding, too


class Candidate(Protocol):
    """What can learn fields from features."""

    left_out: Array

    def fit(self, features: Array, groups: Sequence[slice], y: Array) -> Self:
        """Learn fields (n, n_points) from features (n, n_features).

        Groups are columns of one unit, such as the points of an input field.
        """

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""


class Zero:
    """Nothing at all."""

    def fit(self, features: Array, groups: Sequence[slice], y: Array) -> Zero:
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

    def fit(self, features: Array, groups: Sequence[slice], y: Array) -> Affine:
        """Learn the map, of features in units of their deviations."""
        self.units = Units().fit(features, [slice(k, k + 1) for k in range(features.shape[1])])
        Z = self.units(features)
        spectrum = _spectrum(Z)
        self.modes = Modes(without_noise(y, self.grid, *spectrum))
        self.dual = Dual(*spectrum, self.modes.sizes)
        self.left_out = self.modes.rest(self.dual.left_out, y)
        self.weights = Z.T @ self.dual.coefficients
        return self

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""
        return self.modes(self.units(features) @ self.weights)


class Kernel:
    """Kernel ridge regression whose kernel, length and ridges have the least leave-one-out error.

    Features are in units of the first principal component of their group, so that a field of many
    points counts as much as one parameter; distances are those of all principal components.

    Parameters
    ----------
    grid : Grid, Components or None, default=None
        Where the fields live, so that noise can be told by its waves.
    """

    def __init__(self, grid: Grid | Components | None = None) -> None:
        self.grid = grid

    def fit(self, features: Array, groups: Sequence[slice], y: Array) -> Kernel:
        """Learn the fields."""
        self.units, modes = Units().fit(features, groups), Modes(y)
        self.nodes = self.units(features)
        squares = _squares(self.nodes, self.nodes)
        np.fill_diagonal(squares, 0.0)
        apart = squares[squares > 0.0]
        median = float(np.median(apart)) if apart.size else 1.0
        basis = helmert(len(y))
        best: Any = None
        for kernel, length in product((gaussian, matern), LENGTHS):
            K = kernel(squares / (length * median))
            eigenvalues, vectors = eigh(basis @ K @ basis.T, driver="evd")
            dual = Dual(eigenvalues.clip(0.0), basis.T @ vectors, modes.sizes)
            if best is None or dual.error < best[0].error:
                best = dual, kernel, length * median
        dual, self.kernel, self.square = best
        spectrum = dual.eigenvalues, dual.vectors
        self.modes = Modes(without_noise(y, self.grid, *spectrum))
        self.dual = Dual(*spectrum, self.modes.sizes)
        self.left_out = self.modes.rest(self.dual.left_out, y)
        K = self.kernel(squares / self.square)
        self.coefficients = self.dual.coefficients
        self.offset = -np.mean(K @ self.coefficients, axis=0)
        return self

    def __call__(self, features: Array) -> Array:
        """Return the fields of other samples."""
        squares = _squares(self.units(features), self.nodes)
        sizes = self.kernel(squares / self.square) @ self.coefficients
        return self.modes(self.offset + sizes)


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

    def fit(self, features: Array, groups: Sequence[slice], y: Array) -> Refitted:
        """Learn the fields."""
        self.left_out, self.n_points, n = y, y.shape[1], len(y)
        targets = y[:, 0] if y.shape[1] == 1 else y
        folds = KFold(min(FOLDS, max(n, 2)), shuffle=True, random_state=0)
        shown = self._shown(features)
        try:
            if n > 1:
                told = cross_val_predict(self.estimator, shown, targets, cv=folds)
                self.left_out = y - self._fields(told, n)
            self.estimator = clone(self.estimator).fit(shown, targets)
        except Exception as error:  # whatever a regressor of the user's may raise
            raise ValueError(
                f"background={self.estimator!r} cannot learn these {n} field(s), or all but some: "
                f"{error} It must be a regressor that takes features of shape {features.shape} and "
                f"fields of shape {y.shape}, is refitted for {min(FOLDS, n)} fold(s), and predicts "
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


class Units:
    """Centres features, and measures each group of columns by its first principal component."""

    def fit(self, features: Array, groups: Sequence[slice]) -> Units:
        """Take means and units; a feature not known of all samples says nothing."""
        known = np.isfinite(features).all(axis=0)
        features = np.where(known, features, 0.0)
        self.mean, std = features.mean(axis=0), features.std(axis=0)
        varies = std > TINY * np.abs(features).max(axis=0)
        varies &= std > ROUNDING * std.max(initial=0.0)
        self.scale = np.zeros(len(std))
        for group in groups:
            some = np.arange(len(std))[group][varies[group]]
            if some.size:
                size = std[some[0]]
                if some.size > 1:
                    size = np.linalg.norm(features[:, some] - self.mean[some], 2)
                    size /= np.sqrt(len(features))
                self.scale[some] = 1.0 / size
        return self

    def __call__(self, features: Array) -> Array:
        """Return features in these units."""
        unknown = ~np.isfinite(features)
        if unknown.any():
            features = np.where(unknown, self.mean, features)
        return (features - self.mean) * self.scale


class Modes:
    """Fields as their mean and principal components, without those of the size of rounding.

    What features tell of is a few of them, and noise all: a map that predicts each by itself, or
    not at all, hands on that much less of the noise.

    Parameters
    ----------
    y : ndarray of shape (n, n_points)
        The fields.
    """

    def __init__(self, y: Array) -> None:
        self.mean = y.mean(axis=0)
        vectors, lengths, modes = np.linalg.svd(y - self.mean, full_matrices=False)
        kept = lengths > RANK * lengths.max(initial=0.0)
        self.modes = modes[kept]
        self.sizes = vectors[:, kept] * lengths[kept]

    def __call__(self, sizes: Array) -> Array:
        """Return fields of these sizes of the components."""
        return self.mean + sizes @ self.modes

    def rest(self, left_out: Array, y: Array) -> Array:
        """Return what is left of the fields y: of the components `left_out`, else rounding."""
        return left_out @ self.modes + (y - self(self.sizes))


class Dual:
    """Ridge regression by a kernel's spectrum, the means refitted without a ridge.

    Each target has the ridge of least leave-one-out error, which may be infinite.

    Parameters
    ----------
    eigenvalues : ndarray of shape (n - 1,)
        Of the kernel between the n samples, less its means.
    vectors : ndarray of shape (n, n - 1)
        Its eigenvectors, orthogonal to the constant.
    y : ndarray of shape (n, n_targets)
        The targets, whose means are zero.
    """

    def __init__(self, eigenvalues: Array, vectors: Array, y: Array) -> None:
        self.eigenvalues, self.vectors, self.rotated = eigenvalues, vectors, vectors.T @ y
        self.left_out, self.ridges = y, np.full(y.shape[1], np.inf)
        largest, least = eigenvalues.max(initial=0.0), np.full(y.shape[1], np.inf)
        for ridge in (*(r * largest for r in RIDGES if largest > 0.0), np.inf):
            left_out = self._left_out(ridge)
            squares = np.sum(left_out**2, axis=0)
            self.left_out = np.where(squares < least, left_out, self.left_out)
            self.ridges = np.where(squares < least, ridge, self.ridges)
            least = np.minimum(squares, least)
        self.error = mean_norm(self.left_out)

    @property
    def coefficients(self) -> Array:
        """The dual coefficients, (n, n_targets)."""
        kept = self.eigenvalues > 0.0
        sums = self.eigenvalues[kept, None] + self.ridges
        return np.asarray(self.vectors[:, kept] @ (self.rotated[kept] / sums))

    def _left_out(self, ridge: float) -> Array:
        """Sum without cancellation, or small ridges would look too good."""
        if len(self.vectors) < 2:
            return np.full((1, self.rotated.shape[1]), np.inf)
        left = 1.0 / (self.eigenvalues / ridge + 1.0)
        return (self.vectors * left) @ self.rotated / (self.vectors**2 @ left)[:, None]


def without_noise(
    y: Array, grid: Grid | Components | None, eigenvalues: Array, vectors: Array
) -> Array:
    """Return fields without the cosine waves that features tell nothing of.

    A smooth field has few waves, and noise all: a map of the others has that much less of it.

    Parameters
    ----------
    y : ndarray of shape (n, n_points)
        The fields.
    grid : Grid, Components or None
        Where they live; None leaves them as they are.
    eigenvalues, vectors : ndarray of shape (n - 1,) and (n, n - 1)
        Of the kernel of the features.
    """
    if grid is None or len(y) < 2:
        return y
    smooth, mean = np.empty_like(y), y.mean(axis=0)
    for part, columns in grid_parts(grid):
        axes = range(1, 1 + part.n_axes)
        fields = (y - mean)[:, columns].reshape(-1, *part.shape)
        waves = dctn(fields, axes=axes, norm="ortho")
        flat = waves.reshape(len(y), -1)
        left = np.sum(Dual(eigenvalues, vectors, flat).left_out ** 2, axis=0)
        told = left < (1.0 - TOLD) * np.sum(flat**2, axis=0)
        waves *= told.reshape(part.shape)
        smooth[:, columns] = idctn(waves, axes=axes, norm="ortho").reshape(len(y), -1)
    return mean + smooth


def gaussian(squares: Array) -> Array:
    """Return the Gaussian kernel of squared distances."""
    return np.exp(-0.5 * squares)


def matern(squares: Array) -> Array:
    """Return the Matern kernel of order 5/2, for fields that are less smooth in the features."""
    r = np.sqrt(5.0 * squares)
    return (1.0 + r + r**2 / 3.0) * np.exp(-r)


def mean_norm(fields: Array) -> float:
    """Return the mean norm of fields."""
    return float(np.linalg.norm(fields, axis=1).mean())


def _squares(one: Array, other: Array) -> Array:
    """Return the squared distances of rows."""
    sizes = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1)
    return np.maximum(sizes - 2.0 * one @ other.T, 0.0)


def _spectrum(features: Array) -> tuple[Array, Array]:
    """Return eigenvalues and vectors of centred features' inner products.

    Values of the size of rounding are zero. They come from singular values: in inner products they
    would drown in rounding where ridges tell them apart.
    """
    basis = helmert(len(features))
    centred = basis @ features
    if centred.shape[1] > centred.shape[0]:
        centred = qr(centred.T, mode="r", check_finite=False)[0][: len(centred)].T
    vectors, some, _ = np.linalg.svd(centred)
    lengths = np.zeros(len(basis))
    lengths[: len(some)] = np.where(some > RANK * some.max(initial=0.0), some, 0.0)
    return lengths**2, basis.T @ vectors

"""Ridge regression of fields by a kernel's spectrum, in closed form with what is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.linalg import helmert, qr

from skphys.grids import Components, Grid, grid_parts

Array = NDArray[np.float64]
Runs = NDArray[np.intp]

# Ridges to choose from, relative to the largest eigenvalue. Below, rounding of the kernel decides,
# and left-out samples no longer tell what becomes of others.
RIDGES = tuple(10.0**exponent for exponent in range(-13, 1, 2))
TOLD = 0.05  # part of a wave's squares, of left-out fields, that features must tell of
# Deviations below these parts of a feature's size, and of the largest deviation, are rounding.
TINY, ROUNDING = 1e-8, 1e-13
RANK = 1e-13  # singular values below this part of the largest are rounding, too


class Units:
    """Centres features, and measures the columns of each unit by its first principal component."""

    def fit(self, features: Array, columns: Sequence[slice]) -> Units:
        """Take means and units; a feature not known of all samples says nothing."""
        known = np.isfinite(features).all(axis=0)
        features = np.where(known, features, 0.0)
        self.mean, std = features.mean(axis=0), features.std(axis=0)
        varies = std > TINY * np.abs(features).max(axis=0)
        varies &= std > ROUNDING * std.max(initial=0.0)
        self.scale = np.zeros(len(std))
        for unit in columns:
            some = np.arange(len(std))[unit][varies[unit]]
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
    runs : ndarray of int of shape (n,) or None, default=None
        Samples of the same number are left out together.
    """

    def __init__(
        self, eigenvalues: Array, vectors: Array, y: Array, runs: Runs | None = None
    ) -> None:
        self.eigenvalues, self.vectors, self.rotated = eigenvalues, vectors, vectors.T @ y
        self.together = [] if runs is None else _places(runs)
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
        weighted = self.vectors * left
        residuals = weighted @ self.rotated
        if not self.together:
            return residuals / np.sum(weighted * self.vectors, axis=1)[:, None]
        for some in self.together:
            residuals[some] = np.linalg.solve(
                weighted[some] @ self.vectors[some].T, residuals[some]
            )
        return residuals

    def unknown(self, ridge: float) -> Array:
        """Return the variances of the samples, each without those that are left out with it.

        They are those of a Gaussian process with this kernel, with the ridge as its noise.
        """
        weighted = self.vectors / (self.eigenvalues + ridge)
        if not self.together:
            return 1.0 / np.sum(weighted * self.vectors, axis=1)
        variances = np.empty(len(self.vectors))
        for some in self.together:
            precision = weighted[some] @ self.vectors[some].T
            variances[some] = np.diag(np.linalg.solve(precision, np.eye(len(some))))
        return variances


def _places(runs: Runs) -> list[NDArray[np.intp]]:
    """Return the places of each number."""
    order = np.argsort(runs, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(runs[order])) + 1)


def without_noise(
    y: Array,
    grid: Grid | Components | None,
    eigenvalues: Array,
    vectors: Array,
    runs: Runs | None = None,
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
    runs : ndarray of int of shape (n,) or None, default=None
        Fields of the same number are left out together.
    """
    if grid is None or len(y) < 2:
        return y
    smooth, mean = np.empty_like(y), y.mean(axis=0)
    for part, columns in grid_parts(grid):
        axes = range(1, 1 + part.n_axes)
        fields = (y - mean)[:, columns].reshape(-1, *part.shape)
        waves = dctn(fields, axes=axes, norm="ortho")
        flat = waves.reshape(len(y), -1)
        left = np.sum(Dual(eigenvalues, vectors, flat, runs).left_out ** 2, axis=0)
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


def squared_distances(one: Array, other: Array) -> Array:
    """Return the squared distances of rows."""
    sizes = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1)
    return np.maximum(sizes - 2.0 * one @ other.T, 0.0)


def spectrum(features: Array) -> tuple[Array, Array]:
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

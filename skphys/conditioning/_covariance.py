"""Covariance structures: what each one can be asked, without ever writing it out.

Every structure stands for a symmetric positive semi-definite matrix ``S`` for each field of a
batch, ``(..., n_points, n_points)``. All of them answer the same five questions, so conditioning
does not care which one it is given, and a conditioned covariance is a covariance again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from array_api_compat import array_namespace, device
from scipy import sparse

from skphys.conditioning._arrays import Array, Normal, eps, matvec, transpose
from skphys.conditioning._roots import Root, Roots, dense_roots, diagonal_root, identity, own


class Covariance(ABC):
    """A covariance ``S`` along the points of a field, one for each field of a batch."""

    @abstractmethod
    def diagonal(self) -> Array:
        """Return the variances, of shape (..., n_points)."""

    @abstractmethod
    def matmul(self, matrix: Array) -> Array:
        """Return ``S @ matrix`` for a matrix of shape (n_points, k) or (..., n_points, k)."""

    @abstractmethod
    def to_dense(self) -> Array:
        """Return ``S`` written out, of shape (..., n_points, n_points)."""

    @abstractmethod
    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw zero-mean fields of shape (*shape, n_points).

        Parameters
        ----------
        normal : callable
            Draws standard normals: ``normal(shape)``.
        shape : tuple of int
            Leading shape of the draws; it ends with the batch's shape.
        """

    def diagonal_error(self) -> Array | float:
        """Return the standard error of `diagonal`: 0 where it is exact, as it mostly is."""
        return 0.0

    def rounding(self, rows: Array) -> Array | float:
        """Return what rounding may leave in the diagonal of ``G S G'``, of shape (..., n_rows).

        A variance along a row that is not above this is taken to be zero.
        """
        return 0.0

    def roots(self) -> Roots:
        """Return what gives ``T`` and ``P`` with ``S = T P^-1 T'`` of a field by its index.

        Both are sparse where the structure allows; NumPy float64 only.
        """
        return dense_roots(self.to_dense())


class Diagonal(Covariance):
    """Independent points.

    Parameters
    ----------
    variance : array of shape (..., n_points)
        The variances.
    """

    def __init__(self, variance: Array) -> None:
        self.variance = variance

    def diagonal(self) -> Array:
        """Return the variances."""
        return self.variance

    def matmul(self, matrix: Array) -> Array:
        """Return ``S @ matrix``."""
        return self.variance[..., None] * matrix

    def to_dense(self) -> Array:
        """Return the diagonal matrices."""
        xp = array_namespace(self.variance)
        n_points = self.variance.shape[-1]
        identity = xp.eye(n_points, dtype=self.variance.dtype, device=device(self.variance))
        return self.variance[..., None] * identity

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw independent normals with these variances."""
        xp = array_namespace(self.variance)
        return xp.sqrt(self.variance) * normal((*shape, self.variance.shape[-1]))

    def roots(self) -> Roots:
        """Return the standard deviations of points that move."""
        return lambda at: diagonal_root(own(self.variance, at, 1))


class LowRank(Covariance):
    """``F F'``: the covariance of members, of latent draws, or of interpolated values.

    Parameters
    ----------
    factor : array of shape (..., n_points, rank)
        The factor ``F``.
    """

    def __init__(self, factor: Array) -> None:
        self.factor = factor

    def diagonal(self) -> Array:
        """Return the squared lengths of the factor's rows."""
        return array_namespace(self.factor).sum(self.factor**2, axis=-1)

    def matmul(self, matrix: Array) -> Array:
        """Return ``F (F' @ matrix)``."""
        return self.factor @ (transpose(self.factor) @ matrix)

    def to_dense(self) -> Array:
        """Return ``F F'``."""
        return self.factor @ transpose(self.factor)

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw ``F z``."""
        return matvec(self.factor, normal((*shape, self.factor.shape[-1])))

    def roots(self) -> Roots:
        """Return the factor."""
        return lambda at: (own(self.factor, at, 2), identity(self.factor.shape[-1]))


class Dense(Covariance):
    """A covariance written out, as a Gaussian process gives it.

    Parameters
    ----------
    matrix : array of shape (..., n_points, n_points)
        Symmetric and positive semi-definite; it may be singular.
    """

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def diagonal(self) -> Array:
        """Return the variances; rounding below zero is cut off."""
        xp = array_namespace(self.matrix)
        return xp.clip(xp.linalg.diagonal(self.matrix), 0.0, None)

    def matmul(self, matrix: Array) -> Array:
        """Return ``S @ matrix``."""
        return self.matrix @ matrix

    def to_dense(self) -> Array:
        """Return the matrix."""
        return self.matrix

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw through the eigenvectors, which also serve a singular matrix."""
        xp = array_namespace(self.matrix)
        values, vectors = xp.linalg.eigh(self.matrix)
        root = vectors * xp.sqrt(xp.clip(values, 0.0, None))[..., None, :]
        return matvec(root, normal((*shape, self.matrix.shape[-1])))

    def rounding(self, rows: Array) -> Array:
        """Bound the rounding in ``G S G'`` by the marginal standard deviations."""
        xp = array_namespace(self.matrix)
        return 4.0 * eps(self.matrix) * (xp.sqrt(self.diagonal()) @ transpose(abs(rows))) ** 2


class Sum(Covariance):
    """A sum of covariances, such as diagonal plus low rank.

    Parameters
    ----------
    *terms : Covariance
        The summands.
    """

    def __init__(self, *terms: Covariance) -> None:
        self.terms = terms

    def diagonal(self) -> Array:
        """Return the summed variances."""
        return sum(term.diagonal() for term in self.terms)

    def matmul(self, matrix: Array) -> Array:
        """Return the summed products."""
        return sum(term.matmul(matrix) for term in self.terms)

    def to_dense(self) -> Array:
        """Return the summed matrices."""
        return sum(term.to_dense() for term in self.terms)

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Add independent draws of the terms."""
        return sum(term.sample(normal, shape) for term in self.terms)

    def rounding(self, rows: Array) -> Array | float:
        """Add the terms' rounding."""
        return sum(term.rounding(rows) for term in self.terms)

    def roots(self) -> Roots:
        """Return the terms' roots side by side."""
        terms = [term.roots() for term in self.terms]

        def root(at: tuple[int, ...]) -> Root:
            spreads, metrics = zip(*(term(at) for term in terms), strict=True)
            return sparse.hstack(spreads).tocsr(), sparse.block_diag(metrics).tocsr()

        return root


class Scaled(Covariance):
    """``D C D``: marginal scales ``D`` around one correlation ``C`` that all fields share.

    Parameters
    ----------
    scale : array of shape (..., n_points)
        The diagonal of ``D``.
    correlation : Covariance
        ``C``, usually with unit variances and without a batch.
    """

    def __init__(self, scale: Array, correlation: Covariance) -> None:
        self.scale = scale
        self.correlation = correlation

    def diagonal(self) -> Array:
        """Return the scaled variances."""
        return self.scale**2 * self.correlation.diagonal()

    def matmul(self, matrix: Array) -> Array:
        """Return ``D (C (D @ matrix))``."""
        scale = self.scale[..., None]
        return scale * self.correlation.matmul(scale * matrix)

    def to_dense(self) -> Array:
        """Return ``D C D``."""
        return self.scale[..., None] * self.correlation.to_dense() * self.scale[..., None, :]

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Scale the correlation's draws."""
        return self.scale * self.correlation.sample(normal, shape)

    def diagonal_error(self) -> Array | float:
        """Return the scaled standard error of the variances."""
        error = self.correlation.diagonal_error()
        return error if isinstance(error, float) else self.scale**2 * error

    def roots(self) -> Roots:
        """Return the correlation's root, scaled."""
        inner = self.correlation.roots()

        def root(at: tuple[int, ...]) -> Root:
            spread, metric = inner(at)
            return sparse.diags_array(np.asarray(own(self.scale, at, 1))) @ spread, metric

        return root

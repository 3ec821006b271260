"""Covariance structures: what each one can be asked, without ever writing it out.

Every structure stands for a symmetric positive semi-definite matrix ``S`` for each field of a
batch, ``(..., n_points, n_points)``. All of them answer the same questions, so nobody has to ask
which one it is, and a conditioned covariance is a covariance again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from math import prod

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array
from scipy import sparse

from skphys.conditioning._arrays import Array, Normal, eps, like, matvec, transpose
from skphys.conditioning._roots import Roots, dense_roots, diagonal_root, identity, own
from skphys.conditioning._sparse._products import times

AT_ONCE = 1 << 22  # values of rows that are written out at once
ROUNDING = 4.0  # units of rounding below which a correlation's eigenvalue is none
Parts = tuple[Array | None, Array | None]


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

    def row_variance(self, rows: Array) -> Array:
        """Return the diagonal of ``G S G'``, of shape (..., n_rows).

        Parameters
        ----------
        rows : array or scipy.sparse array of shape (n_rows, n_points), or array (..., n_rows, \
                n_points)
            ``G``. Sparse rows are written out a few at a time, where that is needed at all.
        """
        if not sparse.issparse(rows):
            return _quadratic(self.matmul(transpose(rows)), rows)
        rows = sparse.csr_array(rows)
        shown = [self._of_sparse(rows[:1])]
        step = max(1, AT_ONCE // max(1, rows.shape[1] * prod(shown[0].shape)))
        shown += [self._of_sparse(rows[i : i + step]) for i in range(1, rows.shape[0], step)]
        return array_namespace(shown[0]).concat(shown, axis=-1)

    def _of_sparse(self, rows: sparse.csr_array) -> Array:
        return self.row_variance(like(rows.toarray(), self.diagonal()))

    def parts(self) -> Parts | None:
        """Split ``S = D + F F'`` into the diagonal of ``D`` and ``F``, if it is nothing else.

        Returns
        -------
        tuple or None
            Variances of shape (..., n_points), and a factor of shape (..., n_points, rank), or
            None in place of one that is not there. None alone where ``S`` is not of that kind.
        """
        return None

    def independent_variance(self) -> Array | None:
        """Return the variances if the points are independent, else None."""
        parts = self.parts()
        return parts[0] if parts is not None and parts[1] is None else None

    def white(self, matrix: Array) -> Array:
        """Return ``F' @ matrix`` with ``S = F F'``, of shape (..., rank, k).

        Its columns tell apart what ``S @ matrix`` has squared beyond rounding.
        """
        return transpose(self._root) @ matrix

    def color(self, matrix: Array) -> Array:
        """Return ``F @ matrix`` for a matrix of shape (..., rank, k), with the ``F`` of `white`."""
        return self._root @ matrix

    def rank(self) -> int:
        """Return the number of columns of the ``F`` of `white`."""
        return int(self._root.shape[-1])

    @cached_property
    def _root(self) -> Array:
        return symmetric_root(self.to_dense())

    def roots(self) -> Roots:
        """Return what gives ``T`` and ``P`` with ``S = T P^-1 T'`` of a field by its index.

        Both are sparse where the structure allows; NumPy float64 only.
        """
        return dense_roots(self.to_dense())

    def diagonal_error(self) -> Array | float:
        """Return the standard error of `diagonal`: 0 where it is exact, as it mostly is."""
        return 0.0

    def rounding(self, rows: Array) -> Array | float:
        """Return what rounding may leave in the diagonal of ``G S G'``, of shape (..., n_rows).

        A variance along a row that is not above this is taken to be zero.
        """
        return 0.0


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

    def row_variance(self, rows: Array) -> Array:
        """Return the rows' squares times the variances."""
        if sparse.issparse(rows) and not is_numpy_array(self.variance):
            return super().row_variance(rows)
        squares = rows * rows
        return self.variance @ squares.T if rows.ndim == 2 else matvec(squares, self.variance)

    def white(self, matrix: Array) -> Array:
        """Return the matrix times the standard deviations."""
        return array_namespace(self.variance).sqrt(self.variance)[..., None] * matrix

    def color(self, matrix: Array) -> Array:
        """Return the matrix times the standard deviations."""
        return self.white(matrix)

    def rank(self) -> int:
        """Return the number of points."""
        return int(self.variance.shape[-1])

    def parts(self) -> Parts:
        """Return the variances and no factor."""
        return self.variance, None

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

    def row_variance(self, rows: Array) -> Array:
        """Return the squared lengths of ``F' G'``, one column of the factor at a time."""
        if not sparse.issparse(rows) or not is_numpy_array(self.factor):
            return super().row_variance(rows)
        columns = range(self.factor.shape[-1])
        return sum((times(rows, self.factor[..., k]) ** 2 for k in columns), np.zeros(()))

    def white(self, matrix: Array) -> Array:
        """Return ``F' @ matrix``."""
        return transpose(self.factor) @ matrix

    def color(self, matrix: Array) -> Array:
        """Return ``F @ matrix``."""
        return self.factor @ matrix

    def rank(self) -> int:
        """Return the number of columns of the factor."""
        return int(self.factor.shape[-1])

    def parts(self) -> Parts:
        """Return no variances of their own, and the factor."""
        return None, self.factor

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
        """Draw through the correlations' eigenvectors, which also serve a singular matrix."""
        return matvec(self._root, normal((*shape, self.matrix.shape[-1])))

    def rounding(self, rows: Array) -> Array:
        """Bound the rounding in ``G S G'`` by the marginal standard deviations."""
        xp = array_namespace(self.matrix)
        return 4.0 * eps(self.matrix) * (xp.sqrt(self.diagonal()) @ transpose(abs(rows))) ** 2


def symmetric_root(matrix: Array) -> Array:
    """Return ``F`` with ``S = F F'``, of the correlations: the points' units do not matter.

    Parameters
    ----------
    matrix : array of shape (..., n_points, n_points)
        ``S``. It may be singular; points without variance have rows of zeros.
    """
    xp = array_namespace(matrix)
    variance = xp.linalg.diagonal(matrix)
    positive = variance > 0
    std = xp.sqrt(xp.where(positive, variance, 1.0))
    inverse = xp.where(positive, 1.0 / std, 0.0)
    values, vectors = xp.linalg.eigh(matrix * inverse[..., None] * inverse[..., None, :])
    values = xp.clip(values, 0.0, None)
    real = values > ROUNDING * eps(matrix) * values[..., -1:]
    root = vectors * xp.where(real, xp.sqrt(xp.where(real, values, 1.0)), 0.0)[..., None, :]
    return xp.where(positive, std, 0.0)[..., None] * root


def _quadratic(moved: Array, rows: Array) -> Array:
    """Return the sums of ``S G'`` times ``G'`` over the points."""
    return array_namespace(moved).sum(moved * transpose(rows), axis=-2)


def broadcast_leading(array: Array, batch: tuple[int, ...], n_axes: int) -> Array:
    """Return an array whose last axes stay, and whose others are the batch's."""
    return array_namespace(array).broadcast_to(array, (*batch, *array.shape[-n_axes:]))

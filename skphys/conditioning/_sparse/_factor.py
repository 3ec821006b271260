"""Factor ``A = G D G' + R`` of sparse rows: a diagonal, a band, or a general sparse matrix.

Every matrix is scaled to a unit diagonal first, so that rows of very different size do not hide
each other, and shifted by one part in 10^13 if it may be singular; iterative refinement, which
the gain does, takes the shift out again.
"""

from __future__ import annotations

from math import prod
from typing import Protocol

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from skphys.conditioning._sparse._banded import SHIFT, WEAK, BandedFactor, Symmetric, narrow
from skphys.conditioning._sparse._bordered import BorderedFactor, bordered
from skphys.conditioning._sparse._products import Products, times
from skphys.conditioning._whitened import rounding

NARROW = 24  # a band this narrow beats a general factorization at any length
SMALL_WORK = 1e7  # and so does any band with this many multiplications
INVERSE_WORK = 2e10  # multiplications up to which the inverse's band is worth computing
INVERSE_VALUES = 1 << 25  # and values: 256 MiB


class Factor(Protocol):
    """Factored matrices, one for each field, with unit diagonals plus `shift`."""

    @property
    def shift(self) -> float | np.ndarray:
        """What was added to the diagonals, one number or an array of shape (n_fields, 1)."""

    def dependent(self) -> tuple[np.ndarray, np.ndarray]:
        """Say of which fields rows follow from others, and of which that is in doubt."""

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve for right sides of shape (n_fields, k, n_rows)."""


class DiagonalFactor:
    """Rows of which no two share a point."""

    def __init__(self, diagonal: np.ndarray, shift: float) -> None:
        self.shift = 0.0 if (diagonal > shift).all() else shift
        self._diagonal = np.maximum(diagonal, shift)

    def dependent(self) -> tuple[np.ndarray, np.ndarray]:
        """Say of none that rows follow from others, but where others must move them."""
        small = self._diagonal < WEAK
        return small.any(axis=1), (small & (self._diagonal > self.shift)).any(axis=1)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Divide."""
        return right / self._diagonal[:, None]


class LUFactor:
    """One SuperLU factorization a field, ordered by minimum degree, without pivoting."""

    def __init__(self, symmetric: Symmetric, shift: float) -> None:
        self.shift = shift
        row, column, diagonal, lower = symmetric
        n_rows = diagonal.shape[1]
        own = np.arange(n_rows)
        rows, columns = np.concatenate([own, row, column]), np.concatenate([own, column, row])
        self._factors = []
        for on, below in zip(diagonal, lower.T, strict=True):
            entries = np.concatenate([on + shift, below, below])
            matrix = sparse.csc_matrix((entries, (rows, columns)), (n_rows, n_rows))
            options = {"SymmetricMode": True}
            factor = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
            self._factors.append((matrix, factor))

    def dependent(self) -> tuple[np.ndarray, np.ndarray]:
        """Leave it in doubt where a pivot is small, and more than shifts make of nothing."""
        pivots = np.array([abs(f.U.diagonal()) for _, f in self._factors])
        small = pivots < WEAK
        return np.any(small, axis=1), np.any(small & (pivots > 1e3 * self.shift), axis=1)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve field by field, with one refinement for what pivots would have given."""
        solved = np.empty_like(right)
        for (matrix, factor), given, out in zip(self._factors, right, solved, strict=True):
            first = factor.solve(given.T)
            out[:] = (first + factor.solve(given.T - matrix @ first)).T
        return solved


class InnerMatrix:
    """``A = G D G' + R`` for the variances of one or several fields.

    Parameters
    ----------
    rows : csr_array of shape (n_rows, n_points)
        ``G``.
    variance : ndarray of shape (..., n_points)
        The diagonals of ``D``.
    noise_variance : ndarray of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    further : ndarray of shape (..., n_rows) or float
        Variance along the rows from elsewhere, which counts for their scale only; of the batch
        of `variance`.
    shift : float, default=SHIFT
        What to add to the scaled diagonal where ``A`` is, or may be, singular.

    Attributes
    ----------
    usable : ndarray of bool of shape (..., n_rows)
        Rows along which there is any variance.
    """

    def __init__(
        self,
        rows: sparse.csr_array,
        variance: np.ndarray,
        noise_variance: np.ndarray,
        further: np.ndarray | float = 0.0,
        shift: float = SHIFT,
    ) -> None:
        self.batch = variance.shape[:-1]
        self._products = Products(rows, variance.reshape(-1, rows.shape[1]))
        self._noise_variance = noise_variance
        diagonal = self._products.diagonal.reshape(*self.batch, -1) + noise_variance
        total = diagonal + further
        self._n_fields = prod(self.batch)
        self.usable = total > 0
        self._scale = 1.0 / np.sqrt(np.where(self.usable, total, np.inf))
        self._factor = self._make(diagonal.reshape(self._n_fields, -1), shift)

    def _make(self, diagonal: np.ndarray, shift: float) -> Factor:
        """Scale, and choose how to factor."""
        products, scale = self._products, self._scale.reshape(self._n_fields, -1)
        row, column = products.row, products.column
        unit = np.where(scale > 0, diagonal * scale**2, 1.0)
        both = (scale[:, row] * scale[:, column]).T
        lower = np.where(both > 0, products.lower * both, 0.0)
        matrix = self._matrix = Symmetric(row, column, unit, lower)
        if not len(row):
            return DiagonalFactor(unit, shift)
        hubs = bordered(matrix, NARROW)
        if hubs is not None:
            return hubs
        order, width = self._band = narrow(matrix)
        if width <= NARROW or unit.shape[1] * width**2 <= SMALL_WORK:
            return BandedFactor(matrix, order, width, shift)
        return LUFactor(matrix, shift)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return ``A^-1 @ right`` (of the shifted, scaled matrix) for right (..., n_rows)."""
        return self._scale * self._solve_scaled(self._scale * right)

    @property
    def shifted(self) -> bool:
        """Whether the matrix is, or may be, singular."""
        return bool(np.any(self._factor.shift > 0.0))

    @property
    def suspect(self) -> np.ndarray:
        """Say of which fields rows stand at angles that a factor of ``A`` cannot judge.

        Pivots are the squares of angles; what is left of them below the shift is seen whitened.
        """
        redundant, doubtful = self._factor.dependent()
        if (redundant & ~doubtful).any():
            doubtful = doubtful | (redundant & self._apart())
        return doubtful.reshape(self.batch)

    def _apart(self) -> np.ndarray:
        """Say of which fields rows that seem to depend on each other do not, of (n_fields,).

        Two steps of inverse iteration lead to a combination of rows that nearly is none. Its
        whitened length is nothing but rounding where one of them follows from the others.
        """
        products = self._products
        n_rows, n_points = products.rows.shape
        scale = self._scale.reshape(self._n_fields, n_rows)
        vector = np.broadcast_to(np.random.default_rng(0).standard_normal(n_rows), scale.shape)
        for _ in range(2):
            vector = self._factor.solve(np.ascontiguousarray(vector)[:, None])[:, 0]
            vector = vector / np.linalg.norm(vector, axis=1, keepdims=True)
        combined = times(products.rows.T.tocsr(), scale * vector)
        length = np.sum(products.variance * combined**2, axis=1)
        noise = np.broadcast_to(self._noise_variance, (*self.batch, n_rows)).reshape(scale.shape)
        length = np.sqrt(length + np.sum(noise * (scale * vector) ** 2, axis=1))
        return np.asarray(length > rounding(n_rows, n_points) * np.finfo(float).eps)

    def contradiction(self, residual: np.ndarray) -> np.ndarray:
        """Return the part of a residual that no field can remove, in units of the scaled rows."""
        if not self.shifted:
            return np.zeros(np.broadcast_shapes(residual.shape, self._scale.shape))
        shift = np.broadcast_to(self._factor.shift, (self._n_fields, 1)).reshape(*self.batch, 1)
        return shift * self._solve_scaled(self._scale * residual)

    def _solve_scaled(self, right: np.ndarray) -> np.ndarray:
        """Bring the axes of the fields to the front, and those of several right sides together."""
        n_rows = right.shape[-1]
        shape = right.shape[:-1]
        own = (1,) * (len(shape) - len(self.batch)) + self.batch
        fields = [axis for axis, size in enumerate(own) if size > 1]
        others = [axis for axis, size in enumerate(own) if size == 1]
        axes = [*fields, *others, len(shape)]
        moved = right.transpose(axes)
        solved = self._factor.solve(moved.reshape(self._n_fields, -1, n_rows))
        return solved.reshape(moved.shape).transpose(np.argsort(axes))

    def points(self) -> np.ndarray | None:
        """Return ``diag(G' A^-1 G)``, of shape (..., n_points); None if it costs too much."""
        entries = self._inverse_entries()
        if entries is None:
            return None
        diagonal, lower = entries
        scale = self._scale.reshape(self._n_fields, -1)
        products = self._products
        diagonal = diagonal * scale**2
        lower = lower * (scale[:, products.row] * scale[:, products.column]).T
        return products.quadratic(diagonal, lower).reshape(*self.batch, -1)

    def _inverse_entries(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return entries of the scaled inverse on the diagonal and at the pairs."""
        row, column, unit, below = self._matrix
        if isinstance(self._factor, DiagonalFactor):
            present = unit > SHIFT
            return np.where(present, 1.0 / np.where(present, unit, 1.0), 0.0), below
        if isinstance(self._factor, BandedFactor | BorderedFactor):
            return self._factor.inverse_entries()
        (order, width), n_rows = self._band, unit.shape[1]
        if n_rows * width**2 > INVERSE_WORK or n_rows * width > INVERSE_VALUES:
            return None
        diagonal, lower = np.empty_like(unit), np.empty_like(below)
        for f in range(self._n_fields):
            part = slice(f, f + 1)
            one = Symmetric(row, column, unit[part], below[:, part])
            banded = BandedFactor(one, order, width)
            diagonal[part], lower[:, part] = banded.inverse_entries()
        return diagonal, lower

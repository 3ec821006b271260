"""Covariances made of others: sums, and marginal scales around a correlation."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
from array_api_compat import array_namespace
from scipy import sparse

from skphys.conditioning._arrays import Array, Normal, transpose
from skphys.conditioning._covariance import (
    Covariance,
    Diagonal,
    LowRank,
    Parts,
    broadcast_leading,
)
from skphys.conditioning._roots import Root, Roots, own


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

    def row_variance(self, rows: Array) -> Array:
        """Return the summed variances along the rows."""
        return sum(term.row_variance(rows) for term in self.terms)

    def white(self, matrix: Array) -> Array:
        """Return the terms' products, one below the other."""
        return reduce(_stacked, (term.white(matrix) for term in self.terms))

    def color(self, matrix: Array) -> Array:
        """Return the summed products of the terms with what is theirs."""
        ends = np.cumsum([term.rank() for term in self.terms])
        parts = zip(self.terms, [0, *ends], ends, strict=False)
        return sum(term.color(matrix[..., first:last, :]) for term, first, last in parts)

    def rank(self) -> int:
        """Return the summed columns of the terms' roots."""
        return sum(term.rank() for term in self.terms)

    def parts(self) -> Parts | None:
        """Return the summed variances, and the factors side by side."""
        parts = [term.parts() for term in self.terms]
        if not parts or any(part is None for part in parts):
            return None
        diagonals, factors = zip(*(part for part in parts if part is not None), strict=True)
        return _joined(diagonals, lambda a, b: a + b), _joined(factors, _side_by_side)

    def roots(self) -> Roots:
        """Return the terms' roots side by side."""
        terms = [term.roots() for term in self.terms]

        def root(at: tuple[int, ...]) -> Root:
            spreads, metrics = zip(*(term(at) for term in terms), strict=True)
            return sparse.hstack(spreads).tocsr(), sparse.block_diag(metrics).tocsr()

        return root

    def rounding(self, rows: Array) -> Array | float:
        """Add the terms' rounding."""
        return sum(term.rounding(rows) for term in self.terms)


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

    def row_variance(self, rows: Array) -> Array:
        """Return the variances along the rows, by the parts if it has any."""
        parts = self.parts()
        if parts is None:
            return super().row_variance(rows)
        variance, factor = parts
        terms = [] if variance is None else [Diagonal(variance)]
        return Sum(*terms, *([] if factor is None else [LowRank(factor)])).row_variance(rows)

    def white(self, matrix: Array) -> Array:
        """Return the correlation's product with the scaled matrix."""
        return self.correlation.white(self.scale[..., None] * matrix)

    def color(self, matrix: Array) -> Array:
        """Return the correlation's product, scaled."""
        return self.scale[..., None] * self.correlation.color(matrix)

    def rank(self) -> int:
        """Return that of the correlation."""
        return self.correlation.rank()

    def parts(self) -> Parts | None:
        """Return the scaled parts."""
        parts = self.correlation.parts()
        if parts is None:
            return None
        variance, factor = parts
        return (
            None if variance is None else self.scale**2 * variance,
            None if factor is None else self.scale[..., None] * factor,
        )

    def roots(self) -> Roots:
        """Return the correlation's root, scaled."""
        inner = self.correlation.roots()

        def root(at: tuple[int, ...]) -> Root:
            spread, metric = inner(at)
            return sparse.diags_array(np.asarray(own(self.scale, at, 1))) @ spread, metric

        return root

    def diagonal_error(self) -> Array | float:
        """Return the scaled standard error of the variances."""
        error = self.correlation.diagonal_error()
        return error if isinstance(error, float) else self.scale**2 * error


def _joined(found: tuple[Array | None, ...], join: Callable[[Array, Array], Array]) -> Array | None:
    present = [array for array in found if array is not None]
    return reduce(join, present) if present else None


def _stacked(upper: Array, lower: Array) -> Array:
    return transpose(_side_by_side(transpose(upper), transpose(lower)))


def _side_by_side(left: Array, right: Array) -> Array:
    """Put factors side by side, for the fields of both batches."""
    xp = array_namespace(left)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    return xp.concat(
        [
            broadcast_leading(left, (*batch, left.shape[-2]), 1),
            broadcast_leading(right, (*batch, right.shape[-2]), 1),
        ],
        axis=-1,
    )

"""One quadrature row over independent points: the common case, in two passes over memory.

The kernels work block by block, so that temporaries stay in the processor's cache and nothing of
the size of the fields is allocated but the result.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skphys.conditioning._gain import Gain

BLOCK = 1 << 15  # values in a block: 256 KiB of float64
ROUNDING = 1e-15  # a share of the variance as small as this is none


class SingleRowGain(Gain):
    """A diagonal covariance under one row, NumPy float64.

    Parameters
    ----------
    variance : ndarray of shape (..., n_points)
        The variances.
    rows : ndarray of shape (1, n_points)
        ``G``.
    noise_variance : ndarray of shape (1,)
        ``R``.
    """

    def __init__(self, variance: np.ndarray, rows: np.ndarray, noise_variance: np.ndarray) -> None:
        self.rows = rows
        self.noise_variance = noise_variance
        self.variance = variance
        self.row = np.ascontiguousarray(rows[0])
        inner = variance @ self.row**2 + noise_variance[0]
        usable = inner > 0
        inverted = np.divide(1.0, inner, out=np.zeros_like(inner), where=usable)
        self.precision = inverted[..., None, None]

    def cross(self) -> np.ndarray:
        """Return ``S G'``."""
        return (self.variance * self.row)[..., None]

    def move(self, field: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        """Return ``field + S G' @ multipliers``."""
        shape = np.broadcast_shapes(field.shape, self.variance.shape)
        moved = np.empty(shape)
        field = np.broadcast_to(field, shape)
        variance = np.broadcast_to(self.variance, shape)
        multipliers = np.broadcast_to(multipliers, (*shape[:-1], 1))
        for at, columns in _blocks(shape):
            product = self.row[columns] * multipliers[at]
            product *= variance[at][..., columns]
            np.add(field[at][..., columns], product, out=moved[at][..., columns])
        return moved

    def reduced_variance(self) -> np.ndarray:
        """Return ``variance * (1 - variance * row**2 / A)``."""
        reduced = np.empty(self.variance.shape)
        squared = self.row**2
        for at, columns in _blocks(self.variance.shape):
            share = squared[columns] * -self.precision[at][..., 0]
            variance = self.variance[at][..., columns]
            share *= variance
            share += 1.0 - ROUNDING
            np.maximum(share, 0.0, out=share)
            np.multiply(share, variance, out=reduced[at][..., columns])
        return reduced


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[tuple[int | slice, ...], slice]]:
    """Cut the fields (..., n_fields, n_points) into blocks of about `BLOCK` values."""
    n_points = shape[-1]
    n_fields = shape[-2] if len(shape) > 1 else 1
    n_columns = min(max(n_points, 1), BLOCK)
    n_rows = max(1, BLOCK // n_columns)
    for leading in np.ndindex(*shape[:-2]):
        for row in range(0, n_fields, n_rows):
            at: tuple[int | slice, ...] = (*leading, slice(row, row + n_rows))
            for column in range(0, n_points, n_columns):
                yield (at if len(shape) > 1 else ()), slice(column, column + n_columns)

"""One quadrature row over independent points: the common case, in two passes over memory.

The kernels work block by block, so that what they touch stays in the processor's cache and
nothing of the size of the fields is allocated but the result. Large fields share the blocks
between threads, which NumPy's kernels let run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import prod

import joblib
import numpy as np

from skphys.conditioning._gain import CrossGain

BLOCK = 1 << 16  # values in a block: 512 KiB of float64
PARALLEL = 1 << 21  # values from which threads pay
MAX_THREADS = 4  # more do not make the memory faster
ROUNDING = 1e-15  # a share of the variance as small as this is none

Rows = tuple[int | slice, ...]
Kernel = Callable[[Rows, slice], None]


class SingleRowGain(CrossGain):
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

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """Return ``residual / A``."""
        return self.precision[..., 0] * residual

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

        def kernel(at: Rows, columns: slice) -> None:
            out = moved[at][..., columns]
            np.multiply(variance[at][..., columns], self.row[columns], out=out)
            out *= multipliers[at]
            out += field[at][..., columns]

        _each_block(shape, kernel)
        return moved

    def reduced_variance(self) -> np.ndarray:
        """Return ``variance * (1 - variance * row**2 / A)``."""
        reduced = np.empty(self.variance.shape)
        squared = self.row**2

        def kernel(at: Rows, columns: slice) -> None:
            variance, out = self.variance[at][..., columns], reduced[at][..., columns]
            np.multiply(variance, squared[columns], out=out)
            out *= -self.precision[at][..., 0]
            out += 1.0 - ROUNDING
            np.maximum(out, 0.0, out=out)
            out *= variance

        _each_block(self.variance.shape, kernel)
        return reduced


def _each_block(shape: tuple[int, ...], kernel: Kernel) -> None:
    """Call a kernel on each block of fields of a shape (..., n_fields, n_points)."""
    blocks = _blocks(shape)
    n_threads = min(MAX_THREADS, joblib.cpu_count()) if prod(shape) >= PARALLEL else 1

    def run(first: int) -> None:
        for at, columns in blocks[first::n_threads]:
            kernel(at, columns)

    if n_threads == 1:
        run(0)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(run, range(n_threads)))


def _blocks(shape: tuple[int, ...]) -> list[tuple[Rows, slice]]:
    """Cut fields into blocks of about `BLOCK` values."""
    n_points = shape[-1]
    n_columns = min(max(n_points, 1), BLOCK)
    columns = [slice(start, start + n_columns) for start in range(0, n_points, n_columns)]
    rows: list[Rows] = [()]
    if len(shape) > 1:
        step = max(1, BLOCK // n_columns)
        starts = range(0, shape[-2], step)
        rows = [
            (*leading, slice(start, start + step))
            for leading in np.ndindex(*shape[:-2])
            for start in starts
        ]
    return [(at, part) for at in rows for part in columns]

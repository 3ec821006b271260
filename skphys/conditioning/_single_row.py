"""One quadrature row over independent points: the common case, in few passes over memory.

The kernels work block by block, so that what they touch stays in the processor's cache and
nothing of the size of the fields is allocated but the result. A block that is moved is added up
before it leaves the cache. Large fields share the blocks between threads, which NumPy's kernels
let run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import joblib
import numpy as np

from skphys.conditioning._gain import FewRowsGain

BLOCK = 1 << 17  # values in a block: 1 MiB of float64
PARALLEL = 1 << 21  # values from which threads pay
MAX_THREADS = 4  # more do not make the memory faster
CACHED = 1 << 17  # values up to which S G' is kept; a larger one is made where it is used
ROUNDING = 1e-15  # a share of the variance as small as this is none

Rows = tuple[int | slice, ...]
Kernel = Callable[[Rows, slice], Any]


class SingleRowGain(FewRowsGain):
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
        self._cached = variance * self.row if variance.size <= CACHED else None
        if self._cached is None:
            inner = _sums(variance, self.row**2) + noise_variance[0]
        else:
            inner = self._cached @ self.row + noise_variance[0]
        usable = inner > 0
        inverted = np.divide(1.0, inner, out=np.zeros_like(inner), where=usable)
        self._precision = inverted[..., None]

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""
        return self.variance.shape[:-1]

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """Return ``residual / A``."""
        return self._precision * residual

    @property
    def inverse(self) -> np.ndarray:
        """Return ``A^-1/2``."""
        return np.sqrt(self._precision)[..., None]

    @property
    def half(self) -> np.ndarray:
        """Return ``S G' A^-1/2``."""
        return self._cross()[..., None] * self.inverse

    def _cross(self) -> np.ndarray:
        """Return ``S G'``."""
        return self.variance * self.row if self._cached is None else self._cached

    def along(self, field: np.ndarray) -> np.ndarray:
        """Return ``G field``."""
        return _sums(field, self.row)[..., None]

    def advance(
        self, field: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``moved = field + S G' @ multipliers``, ``residual / A`` and ``G moved``."""
        multipliers = self.solve(residual)
        shape = np.broadcast_shapes(field.shape, self.variance.shape)
        moved = np.empty(shape)
        field = np.broadcast_to(field, shape)
        applied = np.broadcast_to(multipliers, (*shape[:-1], 1))

        def total(at: Rows, columns: slice) -> np.ndarray:
            out = moved[at][..., columns]
            np.multiply(self._cross_of(at, columns, shape, out), applied[at], out=out)
            out += field[at][..., columns]
            return out @ self.row[columns]

        along = _sum_blocks(shape, total)
        return moved, multipliers, along[..., None]

    def reduced_variance(self) -> np.ndarray:
        """Return ``variance - (variance * row)**2 / A``."""
        shape = self.variance.shape
        reduced = np.empty(shape)
        shrink = -self._precision * (1.0 + ROUNDING)

        def kernel(at: Rows, columns: slice) -> None:
            out = reduced[at][..., columns]
            cross = self._cross_of(at, columns, shape, out)
            np.multiply(cross, cross, out=out)
            out *= shrink[at]
            out += self.variance[at][..., columns]
            if out.min() < 0.0:
                np.maximum(out, 0.0, out=out)

        _each_block(shape, kernel)
        return reduced

    def _cross_of(
        self, at: Rows, columns: slice, shape: tuple[int, ...], out: np.ndarray
    ) -> np.ndarray:
        """Return a block of ``S G'``, made in `out` if it is not kept."""
        if self._cached is not None:
            return np.broadcast_to(self._cached, shape)[at][..., columns]
        variance = np.broadcast_to(self.variance, shape)[at][..., columns]
        return np.multiply(variance, self.row[columns], out=out)


def _sums(fields: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return ``fields @ row``."""
    if fields.size <= BLOCK:
        return np.asarray(fields @ row)
    return _sum_blocks(fields.shape, lambda at, columns: fields[at][..., columns] @ row[columns])


def _sum_blocks(shape: tuple[int, ...], kernel: Kernel) -> np.ndarray:
    """Add up over all points what a kernel returns for the points of a block."""
    total = np.zeros(shape[:-1])
    for at, part in _each_block(shape, kernel):
        total[at] += part
    return total


def _each_block(shape: tuple[int, ...], kernel: Kernel) -> list[tuple[Rows, Any]]:
    """Call a kernel on each block of fields of a shape (..., n_fields, n_points)."""
    blocks = _blocks(shape)
    n_threads = min(MAX_THREADS, joblib.cpu_count()) if prod(shape) >= PARALLEL else 1

    def run(first: int) -> list[tuple[Rows, Any]]:
        return [(at, kernel(at, columns)) for at, columns in blocks[first::n_threads]]

    if n_threads == 1:
        return run(0)
    with ThreadPoolExecutor(n_threads) as pool:
        return [done for share in pool.map(run, range(n_threads)) for done in share]


def _blocks(shape: tuple[int, ...]) -> list[tuple[Rows, slice]]:
    """Cut fields into blocks of about `BLOCK` values, along the first axis that is longer."""
    n_points = shape[-1]
    n_columns = min(max(n_points, 1), BLOCK)
    columns = [slice(start, start + n_columns) for start in range(0, n_points, n_columns)]
    rows: list[Rows] = [()]
    if len(shape) > 1:
        sizes = [n_columns * prod(shape[axis + 1 : -1]) for axis in range(len(shape) - 1)]
        cut = next((k for k, size in enumerate(sizes) if size <= BLOCK), len(sizes) - 1)
        step = max(1, BLOCK // max(sizes[cut], 1))
        rows = [
            (*leading, slice(start, start + step))
            for leading in np.ndindex(*shape[:cut])
            for start in range(0, shape[cut], step)
        ]
    return [(at, part) for at in rows for part in columns]

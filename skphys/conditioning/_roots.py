"""Roots of covariances, from which projections start: ``S = T P^-1 T'``, sparse where possible."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import sparse

Root = tuple[Any, Any]  # T of shape (n_points, rank), and P of shape (rank, rank)
Roots = Callable[[tuple[int, ...]], Root]  # of the field at an index of the batch


def own(array: np.ndarray, at: tuple[int, ...], n_axes: int) -> np.ndarray:
    """Return what an array holds for one field; leading axes broadcast over the batch."""
    return array[_own_index(array, at, n_axes)]


def _own_index(array: np.ndarray, at: tuple[int, ...], n_axes: int) -> tuple[int, ...]:
    leading = array.shape[: array.ndim - n_axes]
    last = at[len(at) - len(leading) :]
    return tuple(int(i) % n for i, n in zip(last, leading, strict=True))


def diagonal_root(variance: np.ndarray, factor: np.ndarray | None = None) -> Root:
    """Return the root of independent points, with no column for those that do not move.

    A factor of shape (n_points, rank), whose errors are added, stands beside it.
    """
    moving = variance > 0
    n, rank = int(np.count_nonzero(moving)), 0 if factor is None else factor.shape[1]
    entries, columns = np.empty((2, len(variance), 1 + rank))
    entries[:, 0], columns[:, 0] = np.sqrt(variance), np.cumsum(moving) - 1
    entries[:, 1:], columns[:, 1:] = 0.0 if factor is None else factor, n + np.arange(rank)
    kept = entries != 0
    ends = np.append(0, np.cumsum(np.count_nonzero(kept, axis=1)))
    shape = (len(variance), n + rank)
    T = sparse.csr_array((entries[kept], columns[kept].astype(int), ends), shape)
    return T, identity(n + rank)


def identity(rank: int) -> sparse.csr_array:
    """Return a sparse identity."""
    return sparse.csr_array((np.ones(rank), np.arange(rank), np.arange(rank + 1)), (rank, rank))


def dense_roots(matrix: np.ndarray) -> Roots:
    """Return roots of matrices written out; one that fields share is factored once."""

    @cache
    def one(at: tuple[int, ...]) -> Root:
        std = np.sqrt(np.clip(np.diagonal(matrix[at]), 0.0, None))
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
        values, vectors = np.linalg.eigh(matrix[at] * scale[:, None] * scale)
        keep = values > max(64, len(values)) * np.finfo(np.float64).eps * values[-1]
        root = std[:, None] * vectors[:, keep] * np.sqrt(values[keep])
        return root, identity(root.shape[1])

    return lambda at: one(_own_index(matrix, at, 2))


def chain_root(order: np.ndarray, gaps: np.ndarray, scale: float) -> Root:
    """Return the root of a Markov chain along sorted points, a ring where the first gap is finite.

    Parameters
    ----------
    order : ndarray of int of shape (n_points,)
        The points along the chain.
    gaps : ndarray of shape (n_points,)
        Distance of each to the one before, in correlation lengths.
    scale : float
        Factor of all innovations.
    """
    apart = gaps > 0
    number = (np.cumsum(apart) - 1) % apart.sum()  # points that coincide are one
    spread = sparse.csr_array((np.ones(len(order)), (order, number)))
    gaps, here = gaps[apart], np.arange(apart.sum())
    links = sparse.csr_array((np.exp(-gaps), (here, here - 1 + len(here) * (here == 0))))
    steps = sparse.eye_array(len(here)) - links
    return spread, sparse.csr_array(
        steps.T @ sparse.diags_array(-1.0 / (scale * np.expm1(-2.0 * gaps))) @ steps
    )

"""Inequalities that order points along chains, and bound each point: how they are recognised.

A chain is a list of points along which the field must not decrease; a point that nothing orders
is a chain of its own. Bounds, monotone fields and both at once have this form, which isotonic
regression solves in linear time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skphys.conditioning._inequality._linear import point_bounds
from skphys.conditioning._inequality._problem import Problem


@dataclass(frozen=True)
class Chains:
    """Chains of points.

    Attributes
    ----------
    order : ndarray of int of shape (n_points,)
        The points, chain by chain, short chains first.
    lengths : ndarray of int of shape (n_chains,)
        Number of points of each chain.
    """

    order: np.ndarray
    lengths: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Say which entries of `order` begin a chain, of shape (n_points,)."""
        start = np.zeros(len(self.order), dtype=bool)
        start[np.cumsum(self.lengths) - self.lengths] = True
        return start

    @property
    def labels(self) -> np.ndarray:
        """Number of the chain of each entry of `order`."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def accumulate(self, ufunc: np.ufunc, fields: np.ndarray, reverse: bool = False) -> np.ndarray:
        """Accumulate fields, whose points are in `order`, along each chain."""
        if (self.lengths == 1).all():
            return fields
        out = np.empty_like(fields)
        for part, length in self._equal_lengths():
            shaped = fields[:, part].reshape(len(fields), -1, length)
            flipped = shaped[..., ::-1] if reverse else shaped
            result = ufunc.accumulate(flipped, axis=-1)
            result = result[..., ::-1] if reverse else result
            out[:, part] = result.reshape(len(fields), -1)
        return out

    def _equal_lengths(self) -> Iterator[tuple[slice, int]]:
        first = 0
        for length, count in zip(*np.unique(self.lengths, return_counts=True), strict=True):
            yield slice(first, first + length * count), int(length)
            first += length * count


def find_chains(problem: Problem) -> tuple[Chains, np.ndarray, np.ndarray] | None:
    """Read inequalities as chains and bounds of points, or return None if they are neither.

    Parameters
    ----------
    problem : Problem
        Several fields. There are no explicit zeros in its rows.

    Returns
    -------
    chains : Chains
        The order.
    point_lower, point_upper : ndarray of shape (n_fields, n_points)
        The bounds of each point, in the points' own order.
    """
    count = np.diff(problem.H.indptr)
    edges = _edges(problem, np.flatnonzero(count == 2)) if np.isin(count, (1, 2)).all() else None
    chains = None if edges is None else _paths(edges, problem.H.shape[1])
    if chains is None:
        return None
    return chains, *point_bounds(problem.H, problem.lower, problem.upper)


def _edges(problem: Problem, rows: np.ndarray) -> np.ndarray | None:
    """Return pairs (i, j) of points with ``u_i <= u_j``, one for each two-point row."""
    H, first = problem.H, problem.H.indptr[rows]
    a, b = H.data[first], H.data[first + 1]
    low, high = problem.lower[:, rows], problem.upper[:, rows]
    rising = ((low == 0) & np.isposinf(high)).all(axis=0)
    falling = ((high == 0) & np.isneginf(low)).all(axis=0)
    if (a != -b).any() or not (rising | falling).all():
        return None
    i, j = H.indices[first], H.indices[first + 1]
    ascending = (b > 0) == rising
    edges = np.column_stack([np.where(ascending, i, j), np.where(ascending, j, i)])
    return np.unique(edges, axis=0)


def _paths(edges: np.ndarray, n_points: int) -> Chains | None:
    """Join edges to paths, or return None where they branch or close a circle."""
    before, after = edges.T
    if len(np.unique(before)) < len(edges) or len(np.unique(after)) < len(edges):
        return None
    head = np.arange(n_points)
    head[after] = before
    position = (head != np.arange(n_points)).astype(int)
    for _ in range(max(1, int(np.ceil(np.log2(max(n_points, 2)))))):  # pointer doubling
        position = position + position[head]
        head = head[head]
    if np.isin(head, after).any():
        return None
    length = np.bincount(head, minlength=n_points)
    order = np.lexsort((position, head, length[head]))
    heads = order[position[order] == 0]
    return Chains(order, length[heads])


def carry(
    chains: Chains,
    lower: np.ndarray,
    upper: np.ndarray,
    fixed: np.ndarray,
    values: np.ndarray,
    tolerance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Carry bounds and fixed values along the chains.

    Parameters
    ----------
    chains : Chains
        The chains.
    lower, upper : ndarray of shape (n_fields, n_points)
        Bounds of each point, in the points' own order, as the others are.
    fixed : ndarray of bool of shape (n_fields, n_points)
        Points that must not move.
    values : ndarray of shape (n_fields, n_points)
        Where the fixed points are.
    tolerance : ndarray of shape (n_fields, 1)
        What is taken for rounding.

    Returns
    -------
    lower, upper : ndarray of shape (n_fields, n_points)
        Bounds in chain order, infinite where there is none; equal where a point must not move.
    start : ndarray of bool of shape (n_fields, n_points)
        Where a stretch begins on which both bounds are the same and the order matters.
    feasible : ndarray of bool of shape (n_fields,)
        False where bounds or fixed values contradict each other.
    solvable : ndarray of bool of shape (n_fields,)
        False where bounds change along a chain, so that isotonic regression does not solve it.
    """
    order = chains.order
    fixed, values = fixed[:, order], values[:, order]
    low = chains.accumulate(np.maximum, np.where(fixed, values, lower[:, order]))
    high = chains.accumulate(np.minimum, np.where(fixed, values, upper[:, order]), reverse=True)
    inside = (lower[:, order] <= values + tolerance) & (values <= upper[:, order] + tolerance)
    ordered = (low <= values + tolerance) & (values <= high + tolerance)
    feasible = ((low <= high + tolerance) & (~fixed | inside & ordered)).all(axis=1)
    low = np.where(fixed, values, low)
    high = np.where(fixed, values, np.maximum(high, low))
    start = np.broadcast_to(chains.starts, fixed.shape) | fixed
    start[:, 1:] |= fixed[:, :-1]
    changes = (low[:, 1:] != low[:, :-1]) | (high[:, 1:] != high[:, :-1])
    solvable = ~(changes & ~start[:, 1:]).any(axis=1)
    return low, high, start, feasible, solvable

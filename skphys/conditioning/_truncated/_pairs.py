"""Draws of independent points between bounds, under equalities that share no point.

A pair of points of one row moves so that the row keeps its value: a Gibbs step of two points, whose
distribution is a truncated normal. Pairs that are drawn anew at each sweep spread what a row holds
over all of its points within a few sweeps, also where most of them lie at a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._truncated._normal import truncated_normal
from skphys.conditioning._truncated._random import Random

FIRST, EACH = 24, 3  # sweeps before the first draw, and from one to the next
Array = np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Independent points, rows and bounds, points first.

    Attributes
    ----------
    mean, variance, low, high, start : ndarray of shape (n_points, n_fields)
        The points, and those that noise of rows adds; `start` obeys all.
    row : ndarray of int of shape (n_points,)
        The row that a point belongs to, -1 for none.
    weight : ndarray of shape (n_points,)
        Its coefficient there.
    """

    mean: Array
    variance: Array
    low: Array
    high: Array
    start: Array
    row: Array
    weight: Array

    def sample(self, n_each: int, n_chains: int, random: Random) -> Array:
        """Draw fields.

        Parameters
        ----------
        n_each, n_chains : int
            Draws of each chain, and chains of each field.
        random : Random
            Chooses the pairs, and where they move.

        Returns
        -------
        ndarray of shape (n_each, n_points, n_chains, n_fields)
            In turn.
        """
        u = np.repeat(self.start[:, None], n_chains, axis=1)
        alone = np.flatnonzero(self.row < 0)
        drawn = np.empty((n_each, *u.shape))
        for k in range(n_each):
            for _ in range(EACH if k else FIRST):
                self._sweep(u, random)
            u[alone] = self._alone(alone, random, u.shape[1:])
            drawn[k] = u
        return drawn

    def _alone(self, at: Array, random: Random, shape: tuple[int, ...]) -> Array:
        """Draw points that no row names."""
        mean, std, low, high = (
            a[at, None] for a in (self.mean, np.sqrt(self.variance), self.low, self.high)
        )
        return _between(mean, std, low, high, random.uniform((len(at), *shape)))

    def _sweep(self, u: Array, random: Random) -> None:
        """Move each point once, together with another one of its row."""
        i, j = self._partners(random.rng)
        if not len(i):
            return
        ratio = (self.weight[i] / self.weight[j])[:, None, None]
        s, t = self.variance[i, None], self.variance[j, None]
        here, there = u[i], u[j]
        total = t + ratio**2 * s
        total = np.where(total > 0, total, 1.0)
        shift = (ratio * (there - self.mean[j, None]) * s - (here - self.mean[i, None]) * t) / total
        ends = [(there - bound[j, None]) / ratio for bound in (self.low, self.high)]
        low = np.maximum(self.low[i, None] - here, np.minimum(*ends))
        high = np.minimum(self.high[i, None] - here, np.maximum(*ends))
        moved = _between(shift, np.sqrt(s * t / total), low, high, random.uniform(here.shape))
        u[i] = here + moved
        u[j] = there - ratio * moved

    def _partners(self, rng: Any) -> tuple[Array, Array]:
        """Return pairs of points, each of one row."""
        order = np.lexsort((rng.random(len(self.row)), self.row))
        order = order[self.row[order] >= 0]
        row = self.row[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        first = np.flatnonzero((rank[:-1] % 2 == 0) & (row[1:] == row[:-1]))
        return order[first], order[first + 1]


def _between(mean: Array, std: Array, low: Array, high: Array, uniform: Array) -> Array:
    """Draw truncated normals; without a standard deviation they are 0 from where they are."""
    moving = std > 0
    scale = np.where(moving, std, 1.0)
    low, high = np.minimum(low, high), np.maximum(low, high)  # which rounding may have swapped
    found = mean + scale * truncated_normal((low - mean) / scale, (high - mean) / scale, uniform)
    return np.where(moving, np.clip(found, low, high), mean)


def apart(rows: Any) -> tuple[Array, Array] | None:
    """Return the row of each point and its coefficient; None if a point is in more than one."""
    columns = sparse.csc_array(rows)
    columns.sum_duplicates()
    columns.eliminate_zeros()
    count = np.diff(columns.indptr)
    if (count > 1).any():
        return None
    row, weight = np.full(columns.shape[1], -1), np.ones(columns.shape[1])
    row[count == 1], weight[count == 1] = columns.indices, columns.data
    return row, weight

"""One field, its equalities and its inequalities; and the same in coordinates without units.

A field is ``u = mean + T v``, the distance ``v' P v`` with ``S = T P^-1 T'``. Noise of equalities
has coordinates of its own, the last ones. Every row is scaled to unit length in ``v``, so that what
is solved knows no units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._linear import singles

EQUAL, UNEQUAL = 1e-12, 1e-9  # what may be left of equalities and of inequalities, as promised
DENSE = 0.3  # share of entries in a root above which all is kept dense
SMALL = 64  # points of a field for which dense matrices take less time than sparse ones
STUCK = 1e-10  # a share of its points' standard deviations as small as this is none
CLOSE = 1e-14  # a violation, relative to its row, that is rounding


@dataclass(frozen=True)
class Problem:
    """A field, or several, with equalities and inequalities.

    Attributes
    ----------
    mean : ndarray of shape (n_points,) or (n_fields, n_points)
        The mean.
    root : tuple or None
        ``T`` and ``P`` of one field.
    rows : sparse or dense array of shape (n_rows, n_points)
        ``G``.
    values, noise : ndarray of shape (n_rows,) or (n_fields, n_rows)
        ``b`` and the standard deviations of ``b``.
    H : csr_array of shape (n_inequalities, n_points)
        The rows of the inequalities.
    lower, upper : ndarray of shape (n_inequalities,) or (n_fields, n_inequalities)
        Their bounds.
    """

    mean: np.ndarray
    root: Any
    rows: Any
    values: np.ndarray
    noise: np.ndarray
    H: sparse.csr_array
    lower: np.ndarray
    upper: np.ndarray

    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the row and the sign of each finite bound: ``sign * H[row] u >= sign * bound``."""
        low, high = np.isfinite(self.lower), np.isfinite(self.upper)
        rows = np.concatenate([np.flatnonzero(low), np.flatnonzero(high)])
        return rows, np.repeat([1.0, -1.0], [low.sum(), high.sum()])

    def take(self, part: Any, root: Any = None) -> Problem:
        """Return some of the fields, or one with its root."""
        own = {name: getattr(self, name)[part] for name in ("mean", "values", "noise")}
        return replace(self, root=root, lower=self.lower[part], upper=self.upper[part], **own)

    def obeyed(self, fields: np.ndarray) -> np.ndarray:
        """Say for each field (..., n_points) whether it meets all of it to the tolerances.

        Rows with noise need not be met.
        """
        product = (self.H @ fields.T).T
        terms = np.maximum(np.abs(fields), np.abs(self.mean))
        size = (abs(self.H) @ terms.T).T
        above = product >= self.lower - UNEQUAL * (size + _finite(self.lower))
        below = product <= self.upper + UNEQUAL * (size + _finite(self.upper))
        reach = (abs(self.rows) @ terms.T).T + np.abs(self.values)
        missed = np.abs((self.rows @ fields.T).T - self.values)
        met = (self.noise > 0) | (missed <= EQUAL * reach)
        return np.asarray(above.all(axis=-1) & below.all(axis=-1) & met.all(axis=-1))

    def sizes(self, H: sparse.csr_array, bound: np.ndarray) -> np.ndarray:
        """Return what rows of inequalities are measured by."""
        return np.asarray(abs(H) @ np.abs(self.mean) + np.abs(bound))


def _finite(bound: np.ndarray) -> np.ndarray:
    """Return the size of bounds, 0 where there is none."""
    return np.abs(np.where(np.isfinite(bound), bound, 0.0))


@dataclass(frozen=True)
class Point:
    """Coordinates, the multipliers of equalities and inequalities, and the latter's slacks."""

    v: np.ndarray
    y: np.ndarray
    z: np.ndarray
    s: np.ndarray


@dataclass(frozen=True)
class Found:
    """A field, its active inequalities, its distance, and whether no other is nearer."""

    field: np.ndarray
    active: np.ndarray
    distance: float
    settled: bool


@dataclass(frozen=True)
class Posed:
    """The least ``(v + away)' P (v + away)`` with ``E v = e`` and ``C v >= d``, rows of length 1.

    Attributes
    ----------
    problem : Problem
        Where it comes from.
    origin : ndarray of shape (n_points,)
        The field at ``v = 0``: the mean, or a bound, so that a field near it has no rounding.
    away : ndarray
        Coordinates of the origin as the mean sees it.
    T, P, E, C : sparse or dense array
        The matrices.
    G, b, noise : array
        The equalities in the units of the field; `noise` acts on ``v``.
    H, bound : array
        The inequalities in the units of the field, ``H u >= bound``.
    equal, unequal : ndarray
        What rows of both are multiplied by.
    side : ndarray of int
        Number of each inequality among the problem's sides.
    """

    problem: Problem
    origin: np.ndarray
    away: np.ndarray
    T: Any
    P: Any
    E: Any
    C: Any
    G: sparse.csr_array
    b: np.ndarray
    noise: sparse.csr_array
    H: sparse.csr_array
    bound: np.ndarray
    equal: np.ndarray
    unequal: np.ndarray
    side: np.ndarray

    def field(self, v: np.ndarray) -> np.ndarray:
        """Return the field at ``v``."""
        return np.asarray(self.origin + self.T @ v)

    def missing(self, v: np.ndarray) -> np.ndarray:
        """Return ``e - E v``, computed from the field."""
        return np.asarray(self.equal * (self.b - self.G @ self.field(v) - self.noise @ v))

    def slack(self, v: np.ndarray) -> np.ndarray:
        """Return ``C v - d``, computed from the field."""
        return np.asarray(self.unequal * (self.H @ self.field(v) - self.bound))

    def left(self, v: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return ``E' y + C' z - P (v + away)``, which is 0 at the solution."""
        return np.asarray(self.E.T @ y + self.C.T @ z - self.P @ (v + self.away))

    def violation(self, v: np.ndarray) -> float:
        """Return the largest violation of any row."""
        missing, slack = np.abs(self.missing(v)), self.slack(v)
        return max(missing.max(initial=0.0), -slack.min(initial=0.0), np.finfo(float).tiny)

    def rounding(self) -> np.ndarray:
        """Return what is rounding in a slack."""
        size = self.problem.sizes(self.H, self.bound)
        return np.asarray(CLOSE * size * self.unequal)

    def found(self, v: np.ndarray, active: np.ndarray, settled: bool) -> Found | None:
        """Return the field at ``v``, or None if it does not obey."""
        field = self._snapped(v, active)
        if not self.problem.obeyed(field):
            return None
        v = v + self.away
        return Found(field, active, float(v @ (self.P @ v)), settled)

    def _snapped(self, v: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Return the field with bounds of points, where active or passed by rounding, exact."""
        field = self.field(v)
        alone, points, factor = singles(self.H)
        bound = self.bound[alone]
        passed = factor * field[points] - bound
        size = np.abs(factor) * np.abs(self.problem.mean[points]) + np.abs(bound)
        at = active[alone] | ((passed < 0) & (passed >= -CLOSE * size))
        field[points[at]] = bound[at] / factor[at]
        return field


def pose(problem: Problem) -> Posed | None:
    """Scale a problem; None where an inequality on points that cannot move is violated."""
    T, P = problem.root
    row, sign = problem.sides()
    bound = sign * np.where(sign > 0, problem.lower[row], problem.upper[row])
    H = sparse.csr_array(sparse.diags_array(sign) @ problem.H[row])
    same = (problem.lower == problem.upper)[row]
    G, b, noise = _equalities(problem, H[same & (sign > 0)], bound[same & (sign > 0)])
    moving, known = _moving(problem, G, b, noise)
    free = ~same & (abs(H) @ moving.astype(float) > 0) & ~_stuck(H, T)
    short = bound - H @ known > UNEQUAL * problem.sizes(H, bound)
    if (short & ~same & ~free).any():
        return None
    noisy = np.flatnonzero(noise > 0)
    beside = sparse.csr_array(sparse.diags_array(noise))[:, noisy]
    E, equal = _unit(sparse.csr_array(sparse.hstack([sparse.csr_array(G @ T), beside])))
    H, bound, kept = H[free], bound[free], equal > 0
    C, unequal = _unit(_widened(sparse.csr_array(H @ T), len(noisy)))
    beside = sparse.hstack([sparse.csr_array((G.shape[0], T.shape[1])), beside]).tocsr()
    spread = _widened(sparse.csr_array(T), len(noisy))
    metric = sparse.block_diag([P, sparse.eye_array(len(noisy))]).tocsr()
    dense = spread.nnz > DENSE * np.prod(spread.shape) or max(spread.shape) <= SMALL
    T, P, E, C = (m.toarray() if dense else m for m in (spread, metric, E[kept], C))
    origin, away = _origin(problem.mean, sparse.csc_array(spread), H, bound)
    G, b, beside = G[kept], b[kept], beside[kept]
    side, equal = np.flatnonzero(free), equal[kept]
    return Posed(problem, origin, away, T, P, E, C, G, b, beside, H, bound, equal, unequal, side)


def _stuck(H: sparse.csr_array, T: Any) -> np.ndarray:
    """Say along which rows points move, but only together."""
    alone, together = (np.sqrt((m * m).sum(axis=1)) for m in (T, sparse.csr_array(H @ T)))
    return np.asarray(together <= STUCK * (abs(H) @ alone))


def _equalities(
    problem: Problem, H: sparse.csr_array, bound: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Put inequalities whose bounds are the same to the equalities."""
    G = sparse.vstack([sparse.csr_array(problem.rows), H]).tocsr()
    noise = np.concatenate([problem.noise, np.zeros(len(bound))])
    return G, np.concatenate([problem.values, bound]), noise


def _moving(
    problem: Problem, G: sparse.csr_array, b: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say which points are free to move, and where the others are.

    Points without variance are not, nor those that an exact row names alone.
    """
    T, known = problem.root[0], problem.mean.copy()
    moving = np.asarray(abs(T).sum(axis=1)).ravel() > 0
    pins, points, entries = singles(G, noise == 0)
    moving[points] = False
    known[points] = b[pins] / entries
    return moving, known


def _origin(
    mean: np.ndarray, T: sparse.csc_array, H: sparse.csr_array, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a bound of each point that has one and a coordinate of its own, else the mean."""
    own, points, entries = singles(T)
    single = np.bincount(T.indices, minlength=len(mean))[points] == 1
    own, points, entries = own[single], points[single], entries[single]
    alone, at, factor = (part[::-1] for part in singles(H))  # lower bounds come first and win
    target = mean.copy()
    target[at] = bound[alone] / factor
    origin, away = mean.copy(), np.zeros(T.shape[1])
    origin[points] = target[points]
    away[own] = (target - mean)[points] / entries
    return origin, away


def _widened(matrix: sparse.csr_array, n: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.hstack([matrix, sparse.csr_array((matrix.shape[0], n))]))


def _unit(matrix: sparse.csr_array) -> tuple[sparse.csr_array, np.ndarray]:
    """Scale rows to unit length; return their factors too, 0 for rows of none."""
    largest = np.maximum(abs(matrix).max(axis=1).toarray().ravel(), np.finfo(float).tiny)
    matrix = sparse.csr_array(sparse.diags_array(1.0 / largest) @ matrix)
    length = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix), scale / largest

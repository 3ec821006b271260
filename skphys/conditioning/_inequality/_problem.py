"""One field, its equalities and its inequalities; and the same in coordinates without units.

A field is ``u = mean + T v``, the distance ``v' P v`` with ``S = T P^-1 T'``. Noise of equalities
has coordinates of its own, the last ones. Every row is scaled to unit length in ``v``, so that what
is solved knows no units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._linear import singles
from skphys.conditioning._roots import identity

EQUAL, UNEQUAL = 1e-12, 1e-9  # what may be left of equalities and of inequalities, as promised
DENSE = 0.3  # share of entries in a root above which all is kept dense
SMALL = 256  # points of a field for which dense matrices take less time than sparse ones
STUCK = 1e-10  # a share of its points' standard deviations as small as this is none
FEW = 64  # points, and rows, of fields for which it takes less time to solve all together
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

    def small(self) -> bool:
        """Say whether there are so few points and rows that many fields are solved at once."""
        return max(self.H.shape[1], self.H.shape[0] + self.rows.shape[0]) <= FEW

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
    T, P, E, C : array
        The matrices, all sparse or all dense.
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
    noise: Any
    H: sparse.csr_array
    bound: np.ndarray
    equal: np.ndarray
    unequal: np.ndarray
    side: np.ndarray

    @cached_property
    def rows(self) -> Any:
        """Return ``E`` above ``C``."""
        both = [self.E, self.C]
        return sparse.vstack(both).tocsr() if sparse.issparse(self.C) else np.vstack(both)

    @cached_property
    def single(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which rows of ``C`` have one entry, its column and its value."""
        return singles(self.C)

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which rows of ``H`` are on one point, the point and its factor."""
        return singles(self.H)

    @cached_property
    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what is rounding in what is missing, and in slacks."""
        equal, unequal = self.problem.sizes(self.G, self.b), self.problem.sizes(self.H, self.bound)
        return CLOSE * equal * self.equal, CLOSE * unequal * self.unequal

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
        return np.asarray(y @ self.E + z @ self.C - self.P @ (v + self.away))

    def violation(self, v: np.ndarray) -> float:
        """Return the largest violation of any row."""
        missing, slack = np.abs(self.missing(v)), self.slack(v)
        return max(missing.max(initial=0.0), -slack.min(initial=0.0), np.finfo(float).tiny)

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
        alone, points, factor = self.bounds
        bound = self.bound[alone]
        passed = factor * field[points] - bound
        size = np.abs(factor) * np.abs(self.problem.mean[points]) + np.abs(bound)
        at = active[alone] | ((passed < 0) & (passed >= -CLOSE * size))
        field[points[at]] = bound[at] / factor[at]
        return field


def pose(problem: Problem) -> Posed | None:
    """Scale a problem; None where an inequality on points that cannot move is violated."""
    T, P = _written(*problem.root)
    row, sign = problem.sides()
    bound = sign * np.where(sign > 0, problem.lower[row], problem.upper[row])
    H = _scaled(sparse.csr_array(problem.H[row]), sign)
    same = (problem.lower == problem.upper)[row]
    G, b, noise = _equalities(problem, H, bound, same & (sign > 0))
    moving, known = _moving(problem, T, G, b, noise)
    size, C = abs(H), H @ T
    free = ~same & (size @ moving.astype(float) > 0) & ~_stuck(size, C, T)
    short = bound - H @ known > UNEQUAL * (size @ np.abs(problem.mean) + np.abs(bound))
    if (short & ~same & ~free).any():
        return None
    H, bound, C = H[free], bound[free], C[free]
    origin, away = _origin(problem.mean, T, H, bound)
    E, beside = G @ T, sparse.csr_array((len(b), len(away)))
    if noise.any():
        T, P, E, C, beside = _widened(T, P, E, C, noise)
        away = np.append(away, np.zeros(T.shape[1] - len(away)))
    (E, equal), (C, unequal) = _unit(E), _unit(C)
    kept, side = equal > 0, np.flatnonzero(free)
    G, b, beside = G[kept], b[kept], beside[kept]
    E, equal = E[kept], equal[kept]
    return Posed(problem, origin, away, T, P, E, C, G, b, beside, H, bound, equal, unequal, side)


def _written(T: Any, P: Any) -> tuple[Any, Any]:
    """Return a root's matrices dense where that takes less time, else sparse."""
    filled = T.nnz if sparse.issparse(T) else np.count_nonzero(T)
    if max(T.shape) > SMALL and filled <= DENSE * np.prod(T.shape):
        return sparse.csr_array(T), sparse.csr_array(P)
    T, P = (m.toarray() if sparse.issparse(m) else m for m in (T, P))
    return T, P


def _stuck(size: sparse.csr_array, C: Any, T: Any) -> np.ndarray:
    """Say along which rows points move, but only together."""
    return np.asarray(_lengths(C) <= STUCK * (size @ _lengths(T)))


def _equalities(
    problem: Problem, H: sparse.csr_array, bound: np.ndarray, same: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Put inequalities whose bounds are the same to the equalities."""
    G = sparse.csr_array(problem.rows)
    if not same.any():
        return G, problem.values, problem.noise
    noise = np.append(problem.noise, np.zeros(np.count_nonzero(same)))
    return sparse.vstack([G, H[same]]).tocsr(), np.append(problem.values, bound[same]), noise


def _moving(
    problem: Problem, T: Any, G: sparse.csr_array, b: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say which points are free to move, and where the others are.

    Points without variance are not, nor those that an exact row names alone.
    """
    moving, known = abs(T).sum(axis=1) > 0, problem.mean.copy()
    pins, points, entries = singles(G, noise == 0)
    moving[points] = False
    known[points] = b[pins] / entries
    return moving, known


def _origin(
    mean: np.ndarray, T: Any, H: sparse.csr_array, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a bound of each point that has one and a coordinate of its own, else the mean."""
    own, points, entries = singles(T.T if isinstance(T, np.ndarray) else sparse.csr_array(T.T))
    alone = np.isin(points, singles(T)[0])
    own, points, entries = own[alone], points[alone], entries[alone]
    rows, at, factor = (part[::-1] for part in singles(H))  # lower bounds come first and win
    target = mean.copy()
    target[at] = bound[rows] / factor
    origin, away = mean.copy(), np.zeros(T.shape[1])
    origin[points] = target[points]
    away[own] = (target - mean)[points] / entries
    return origin, away


def _widened(T: Any, P: Any, E: Any, C: Any, noise: np.ndarray) -> list[Any]:
    """Give noise coordinates of its own; return what it adds to rows, too."""
    own = sparse.csr_array(sparse.diags_array(noise))[:, np.flatnonzero(noise > 0)]
    none = [sparse.csr_array((m.shape[0], own.shape[1])) for m in (T, C)]
    wide = [[[T, none[0]]], [[P, None], [None, identity(own.shape[1])]], [[E, own]], [[C, none[1]]]]
    joined = [sparse.block_array(blocks).tocsr() for blocks in wide]
    beside = sparse.hstack([sparse.csr_array(E.shape), own]).tocsr()
    return [*(joined if sparse.issparse(T) else (m.toarray() for m in joined)), beside]


def _lengths(matrix: Any) -> np.ndarray:
    return np.sqrt((matrix * matrix).sum(axis=1))


def _scaled(matrix: Any, factor: np.ndarray) -> Any:
    """Multiply rows."""
    if not sparse.issparse(matrix):
        return factor[:, None] * matrix
    matrix = matrix.copy()
    matrix.data *= np.repeat(factor, np.diff(matrix.indptr))
    return matrix


def _unit(matrix: Any) -> tuple[Any, np.ndarray]:
    """Scale rows to unit length; return their factors too, 0 for rows of none."""
    largest = abs(matrix).max(axis=1)
    largest = largest.toarray().ravel() if sparse.issparse(largest) else largest
    largest = np.maximum(largest, np.finfo(float).tiny)
    matrix = _scaled(matrix, 1.0 / largest)
    length = _lengths(matrix)
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return _scaled(matrix, scale), scale / largest

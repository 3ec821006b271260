"""Projection under any covariance: a least-distance problem in whitened coordinates.

A field is ``u = mean + F z`` with ``S = F F'`` and the distance is ``|z|``. The equalities leave
``z = z0 + y`` with ``y`` orthogonal to ``z0``; what remains is the ``y`` of least length with
``C y >= d``, whose active rows are then met as equalities, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.optimize import nnls

from skphys.conditioning._inequality._obey import obeying

MAX_CHANGES = 50
STUCK = 1e-10  # a share of a row's standard deviation as small as this is none
TOLERANCE, ROUNDING = 1e-11, 1e-14  # relative to the violation, and to each row's own size


@dataclass(frozen=True)
class FieldProblem:
    """One field, its equalities and its inequalities.

    Attributes
    ----------
    mean : ndarray of shape (n_points,)
        The mean.
    root : ndarray or sparse array of shape (n_points, rank)
        ``F`` with ``S = F F'``.
    rows : ndarray of shape (n_rows, n_points)
        ``G``, dense or sparse.
    values, noise : ndarray of shape (n_rows,)
        ``b`` and the standard deviations of ``b``.
    H : csr_array of shape (n_inequalities, n_points)
        The rows of the inequalities.
    lower, upper : ndarray of shape (n_inequalities,)
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

    def obeys(self, field: np.ndarray) -> bool:
        """Say whether a field meets all of it to the tolerances."""
        bounds = self.lower[None], self.upper[None]
        equalities = self.rows, self.values[None], self.noise[None]
        return bool(obeying(field[None], self.mean[None], self.H, *bounds, *equalities)[0])


@dataclass(frozen=True)
class _Reduced:
    """``y`` of least length with ``C y >= d``, rows of unit length."""

    start: np.ndarray  # z0, with the noise's coordinates last
    span: np.ndarray  # orthonormal columns that the exact and noisy equalities determine
    C: np.ndarray
    d: np.ndarray
    rows: np.ndarray  # the inequality of each row of C
    bound: np.ndarray  # the value that it takes when active


def solve_field(problem: FieldProblem, solver: str = "auto") -> np.ndarray | None:
    """Project one field.

    Parameters
    ----------
    problem : FieldProblem
        The field.
    solver : {"auto", "clarabel", "scipy"}
        What finds the active rows where a plain active-set iteration does not.

    Returns
    -------
    ndarray of shape (n_points,) or None
        The projection; None where there is none.
    """
    reduced = _reduce(problem)
    if reduced is None:
        return None
    root, nearest = _dense(problem.root), None
    for y, active in _candidates(reduced, solver):
        z = (reduced.start + y)[: root.shape[1]]
        field = _polished(problem, root, problem.mean + root @ z, reduced, active)
        if problem.obeys(field):
            return field
        nearest = field if nearest is None else nearest
    return nearest


def _candidates(reduced: _Reduced, solver: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield solutions with their active rows, the cheapest and the most exact ones first."""
    y, active = _iterate(reduced, reduced.d > 0)
    if active is not None:
        yield y, active
    guesses = []
    for method in _methods(solver):
        guess = method(reduced)
        if guess is None:
            continue
        guesses.append(guess)
        y, active = guess
        refined, settled = _iterate(reduced, active)
        if settled is not None:
            yield refined, settled
        yield y, active
        yield y, _supporting(reduced, y, active)
    for y, active in guesses:
        yield y, np.zeros_like(active)  # obeys nearly; the polish meets the equalities


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def _reduce(problem: FieldProblem) -> _Reduced | None:
    """Take the equalities out, and the inequalities that no free direction can move."""
    root = _dense(problem.root)
    noisy = np.flatnonzero(problem.noise > 0)
    E = np.hstack([problem.rows @ root, np.diag(problem.noise)[:, noisy]])
    span, start = _equalities(E, problem.values - problem.rows @ problem.mean)
    rows, sign = problem.sides()
    bound = np.where(sign > 0, problem.lower[rows], problem.upper[rows])
    C = sign[:, None] * (problem.H[rows] @ root)
    C = np.hstack([C, np.zeros((len(rows), len(noisy)))])
    d = sign * (bound - problem.H[rows] @ problem.mean) - C @ start
    before = np.linalg.norm(C, axis=1)
    C = C - (C @ span) @ span.T
    C -= (C @ span) @ span.T
    length = np.linalg.norm(C, axis=1)
    size = abs(problem.H[rows]) @ np.abs(problem.mean) + np.abs(bound)
    size += before * np.linalg.norm(start)
    stuck = length <= STUCK * before
    if (stuck & (d > 1e-10 * size)).any():
        return None
    free = ~stuck
    unit = 1.0 / length[free]
    return _Reduced(start, span, C[free] * unit[:, None], d[free] * unit, rows[free], bound[free])


def _equalities(E: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the rows of E, and the shortest z with ``E z = e``."""
    length = np.linalg.norm(E, axis=1)
    keep = length > 0
    scaled, right = E[keep] / length[keep, None], e[keep] / length[keep]
    if not keep.any():
        return np.zeros((E.shape[1], 0)), np.zeros(E.shape[1])
    left, values, rightv = np.linalg.svd(scaled, full_matrices=False)
    rank = int((values > 1e-12 * values[0]).sum())
    left, values, rightv = left[:, :rank], values[:rank], rightv[:rank]
    return rightv.T, rightv.T @ ((left.T @ right) / values)


def _iterate(reduced: _Reduced, active: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Exchange rows between active and not until multipliers and slacks have the right signs.

    The primal-dual active set strategy (Hintermueller, Ito and Kunisch, 2003). It may run in
    circles; the active rows returned are None then.
    """
    C, d, seen = reduced.C, reduced.d, set()
    y = np.zeros(C.shape[1])
    tolerance = TOLERANCE * d.max(initial=0.0) + ROUNDING * np.abs(d)
    for _ in range(MAX_CHANGES):
        seen.add(active.tobytes())
        multipliers = np.zeros(len(d))
        multipliers[active] = _multipliers(C[active], d[active])
        y = C.T @ multipliers
        slack = C @ y - d
        changed = np.where(active, multipliers > -tolerance, slack < -tolerance)
        if (changed == active).all():
            met = (slack > -100.0 * tolerance).all()  # active rows may contradict each other
            return y, active if met else None
        if changed.tobytes() in seen:
            break
        active = changed
    return y, None


def _multipliers(C: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Solve ``C C' x = d``; the shortest x where rows depend on each other."""
    try:
        factor = linalg.cho_factor(C @ C.T)
        if np.abs(np.diag(factor[0])).min(initial=1.0) > 1e-6:
            return linalg.cho_solve(factor, d)
    except linalg.LinAlgError:
        pass
    return np.linalg.lstsq(C.T, np.linalg.lstsq(C, d, rcond=1e-11)[0], rcond=1e-11)[0]


def _supporting(reduced: _Reduced, y: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Leave out active rows that a solution does not rest on: independent rows remain."""
    try:
        weights, _ = nnls(reduced.C[active].T, y, maxiter=30 * int(active.sum()) + 100)
    except RuntimeError:  # too many iterations
        return active
    supporting = active.copy()
    supporting[active] = weights > 0
    return supporting


def has_clarabel(solver: str = "auto") -> bool:
    """Say whether clarabel is to be used."""
    return solver == "clarabel" or (solver == "auto" and find_spec("clarabel") is not None)


def _methods(
    solver: str,
) -> list[Callable[[_Reduced], tuple[np.ndarray, np.ndarray] | None]]:
    """Return what solves least-distance problems; the second one is for where the first fails."""
    if has_clarabel(solver):
        return [by_clarabel, by_nnls]
    return [by_nnls, by_clarabel] if has_clarabel() else [by_nnls]


def by_nnls(reduced: _Reduced) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve the least-distance problem by non-negative least squares.

    Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23.4. None if infeasible.
    """
    scale = max(reduced.d.max(initial=0.0), np.finfo(float).tiny)
    stacked = np.vstack([reduced.C.T, reduced.d / scale])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    try:
        weights, _ = nnls(stacked, target, maxiter=30 * len(reduced.d) + 100)
    except RuntimeError:  # too many iterations
        return None
    residual = stacked @ weights - target
    if np.linalg.norm(residual) <= 1e-9:
        return None
    return scale * residual[:-1] / -residual[-1], weights > 0


def by_clarabel(reduced: _Reduced) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve the least-distance problem by an interior-point method; None if infeasible."""
    clarabel = import_module("clarabel")  # optional, and without type information

    C = reduced.C
    scale = max(reduced.d.max(initial=0.0), np.finfo(float).tiny)
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(sparse.eye_array(C.shape[1])),
        np.zeros(C.shape[1]),
        sparse.csc_matrix(-C),
        -reduced.d / scale,
        [clarabel.NonnegativeConeT(len(C))],
        settings,
    ).solve()
    if "Infeasible" in str(solution.status):
        return None
    return scale * np.array(solution.x), np.array(solution.z) > np.array(solution.s)


def _polished(
    problem: FieldProblem,
    root: np.ndarray,
    field: np.ndarray,
    reduced: _Reduced,
    active: np.ndarray,
) -> np.ndarray:
    """Meet the exact equalities and the active inequalities to rounding."""
    exact, rows = np.flatnonzero(problem.noise == 0), reduced.rows[active]
    both = sparse.vstack([sparse.csr_array(problem.rows[exact]), problem.H[rows]]).tocsr()
    values = np.concatenate([problem.values[exact], reduced.bound[active]])
    E = both @ root
    length = np.linalg.norm(E, axis=1)
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    inverse = np.linalg.pinv(E * scale[:, None], rcond=1e-11) * scale
    for _ in range(3):
        field = field + root @ (inverse @ (values - both @ field))
    alone = np.flatnonzero(np.diff(both.indptr) == 1)  # bounds of points, without any rounding
    first = both.indptr[alone]
    field[both.indices[first]] = values[alone] / both.data[first]
    return field

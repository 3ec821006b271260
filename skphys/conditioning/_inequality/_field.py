"""One field: guess the active rows, else find them by an interior point, and meet them exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._exchange import exchange, reach
from skphys.conditioning._inequality._interior import by_clarabel, interior
from skphys.conditioning._inequality._problem import Found, Point, Posed, Problem, pose
from skphys.conditioning._roots import identity

REFINEMENTS = 4
HOPELESS = 1e-2  # a share of the violation that is left where there is a contradiction


def solve_field(
    problem: Problem, solver: str = "auto", guess: np.ndarray | None = None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Project one field.

    Parameters
    ----------
    problem : Problem
        The field.
    solver : {"auto", "clarabel", "scipy"}
        What finds the active rows; "auto" is "scipy".
    guess : ndarray of bool of shape (n_sides,), default=None
        Sides that were active for a field like this one.

    Returns
    -------
    field : ndarray of shape (n_points,) or None
        The projection; None where there is none.
    active : ndarray of bool of shape (n_sides,) or None
        The sides that are active.
    """
    posed = pose(problem)
    if posed is None:
        return None, None
    found = _by_guess(posed, guess)
    if len(posed.side) and (found is None or not found.settled):
        method = by_clarabel if solver == "clarabel" else interior
        found = _by_interior(posed, method) or _by_another_metric(posed, method)
    if found is None:
        return None, None
    active = np.zeros(len(problem.sides()[0]), dtype=bool)
    active[posed.side[found.active]] = True
    return found.field, active


def _by_guess(posed: Posed, guess: np.ndarray | None) -> Found | None:
    """Exchange from the rows that are violated at first, or from those of a like field."""
    k, m = len(posed.equal), len(posed.side)
    slack = posed.slack(-posed.away)
    nothing = Point(-posed.away, np.zeros(k), np.zeros(m), slack)
    active = slack < 0
    if guess is not None and guess.any() and posed.side.max(initial=-1) < len(guess):
        active = guess[posed.side]
    return exchange(posed, active, nothing)


def _by_interior(posed: Posed, method: Any, hopeless: float = HOPELESS) -> Found | None:
    """Find the nearest of what an interior point, refined, and its active rows lead to."""
    point = method(posed, -posed.away)
    active = point.z > point.s
    found = exchange(posed, active, point)
    stuck = posed.violation(point.v) > hopeless * posed.violation(-posed.away)
    if stuck or (found is not None and found.settled):
        return found
    founds = [found, _refined(posed, point.v, active, method)]
    if founds == [None, None]:
        founds.append(reach(posed, active, point))
    some = [one for one in founds if one is not None]
    return min(some, key=lambda one: one.distance, default=None)


def _by_another_metric(posed: Posed, method: Any) -> Found | None:
    """Find what obeys near an interior point if all points move alike, and go on from its bounds.

    Standard deviations over many orders of magnitude can hide it.
    """
    start, problem = -posed.away, posed.problem
    T = sparse.csr_array(problem.root[0])
    widest = abs(T).max(axis=0).toarray().ravel()
    unit = np.where(widest > 0.0, widest, 1.0)  # a column of nothing moves no point
    alike = T @ sparse.diags_array(1.0 / unit), identity(T.shape[1])
    near = posed.field(method(posed, start).v)
    other = pose(replace(problem, mean=near, root=alike))
    found = None if other is None else _by_interior(replace(other, problem=problem), method, np.inf)
    if found is None:
        return None
    nothing = Point(start, np.zeros(len(posed.equal)), np.zeros(len(posed.side)), -start[:0])
    return exchange(posed, found.active, nothing) or found


def _refined(posed: Posed, v: np.ndarray, active: np.ndarray, method: Any) -> Found | None:
    """Move an interior point to where all is met: each time to what was left, magnified.

    As Gleixner, Steffy and Wolter refine linear programmes (INFORMS Journal on Computing, 2016).
    """
    none, before = np.zeros_like(active), np.inf
    for _ in range(REFINEMENTS):
        found = posed.found(v, none, False)
        left = posed.violation(v)
        if found is not None or not left < 0.5 * before:
            return None if found is None else Found(found.field, active, found.distance, False)
        before = left
        v = method(posed, v).v
    return None

"""Interior points: Mehrotra's predictor and corrector on sparse, regularised systems."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._linear import bordered, gram
from skphys.conditioning._inequality._problem import Point, Posed

MAX_STEPS = 50
FEASIBLE, GAP = 1e-13, 1e-12
CONTRADICTION = 1e16  # multipliers grow without end where nothing can be met
ALONE, JOINED = 0.1, 10.0  # first multipliers, of bounds and of others, which add up along chains
SHORT = 0.99  # share of the way to the border that a step takes


def interior(posed: Posed, start: np.ndarray) -> Point:
    """Return the point nearest to a start that meets all, as far as rounding lets it.

    Mehrotra, "On the implementation of a primal-dual interior point method", SIAM Journal on
    Optimization 2, 1992.
    """
    P, E, C = posed.P, posed.E, posed.C
    size = posed.violation(start)
    aim = P @ (start / size)
    e, d = posed.missing(np.zeros_like(start)) / size, -posed.slack(np.zeros_like(start)) / size
    v, y = start / size, np.zeros(len(e))
    s = np.maximum(C @ v - d, 0.1)
    z = np.full(len(s), JOINED)
    z[posed.bounds[0]] = ALONE
    z /= np.maximum(s, 1.0)
    before = np.inf
    for _ in range(MAX_STEPS):
        left = C.T @ z + E.T @ y - P @ v + aim
        missing, short, gap = e - E @ v, d + s - C @ v, s @ z
        violation = max(np.abs(missing).max(initial=0.0), np.abs(short).max(initial=0.0))
        ends = violation <= FEASIBLE or violation > 0.5 * before  # no more than rounding is left
        if ends and gap <= GAP * max(1.0, (v - start / size) @ (P @ v - aim)):
            break
        before = violation
        solve = bordered(P + gram(C, z / s), E)

        def step(centre, z=z, s=s, left=left, missing=missing, short=short, solve=solve):
            dv, dy = solve(left + C.T @ ((centre + z * short) / s), missing)
            ds = C @ dv - short
            return dv, dy, (centre - z * ds) / s, ds

        _, _, dz, ds = step(-s * z)
        length = min(1.0, _border(s, ds), _border(z, dz))
        ahead = (s + length * ds) @ (z + length * dz) / gap
        dv, dy, dz, ds = step(ahead**3 * gap / len(s) - s * z - ds * dz)
        length = min(1.0, SHORT * _border(s, ds), SHORT * _border(z, dz))
        moved = v + length * dv, y + length * dy, z + length * dz, s + length * ds
        if not moved[2].max(initial=0.0) < CONTRADICTION:
            break
        v, y, z, s = moved
    return Point(size * v, size * y, size * z, size * s)


def _border(x: np.ndarray, step: np.ndarray) -> float:
    """Return the length of the step to where the first entry is zero."""
    falling = step < 0
    return float((-x[falling] / step[falling]).min(initial=np.inf))


def by_clarabel(posed: Posed, start: np.ndarray) -> Point:
    """Return the same by clarabel, a peer to compare with; the start where it finds none."""
    clarabel = import_module("clarabel")  # optional, and without type information
    n, size = len(start), posed.violation(start)
    e, d = posed.missing(start), -posed.slack(start)
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(posed.P),
        np.zeros(n),
        sparse.csc_matrix(sparse.vstack([sparse.csr_array(posed.E), -sparse.csr_array(posed.C)])),
        np.concatenate([e, -d]) / size,
        [clarabel.ZeroConeT(len(e)), clarabel.NonnegativeConeT(len(d))],
        settings,
    ).solve()
    v, z, s = (size * np.array(part) for part in (solution.x, solution.z, solution.s))
    if "Infeasible" in str(solution.status) or not np.isfinite(v).all():
        return Point(start, np.zeros(len(e)), np.zeros(len(d)), np.ones(len(d)))
    return Point(start + v, -z[: len(e)], z[len(e) :], s[len(e) :])

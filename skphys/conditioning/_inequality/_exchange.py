"""Active rows met exactly, and exchanged until multipliers and slacks have the right signs."""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.conditioning._inequality._linear import bordered
from skphys.conditioning._inequality._problem import Found, Point, Posed

ROUNDS, PATIENCE = 24, 4  # the latter without fewer changes
CORRECTIONS, ENOUGH = 5, 2  # the latter where no more than rounding is left
REACHES = 40
PULL = 1e-2  # a share of the largest pull that lets go of a bound
WRONG = 1e-10  # a share of the largest multiplier that may have the wrong sign
GONE = 1e-20  # squared length of what is left of a row whose points are all at bounds
BLAME, EXACT = 1e8, 1e-13  # the multiplier of what such a row misses, beyond rounding


def exchange(posed: Posed, active: np.ndarray, point: Point) -> Found | None:
    """Exchange active rows, starting from a point whose multipliers choose among many.

    The primal-dual active set strategy (Hintermueller, Ito and Kunisch, 2003). It may run in
    circles; the nearest field that obeys is returned then, None if there was none.
    """
    seen: set[bytes] = set()
    best: Found | None = None
    rounding, fewest, waited = posed.rounding[1], len(active) + 1, 0
    for _ in range(ROUNDS):
        if active.tobytes() in seen or waited > PATIENCE:
            break
        seen.add(active.tobytes())
        point = on_face(posed, active, point)
        violated = ~active & (posed.slack(point.v) < -rounding)
        wrong = active & (point.z < -WRONG * np.abs(point.z).max(initial=0.0))
        changed = (active & ~wrong) | violated
        found = posed.found(point.v, active, bool((changed == active).all()))
        if found is not None and found.settled:
            return found
        if found is not None:
            if best is not None and found.distance > (1.0 - 1e-9) * best.distance:
                break
            best = found
        count = int(np.count_nonzero(changed != active))
        fewest, waited = (count, 0) if count < fewest else (fewest, waited + 1)
        active = changed
    return best


def reach(posed: Posed, active: np.ndarray, point: Point) -> Found | None:
    """Find a face on which all can be met, from active rows that are nearly right.

    What is violated joins them until nothing is; then those go that keep the equalities from being
    met, by the gradient of what these miss.
    """
    rounding = posed.rounding[1]
    for _ in range(REACHES):
        at = on_face(posed, active, point)
        found = posed.found(at.v, active, False)
        if found is not None:
            return found
        violated = ~active & (posed.slack(at.v) < -rounding)
        if violated.any():
            active = active | violated
            continue
        pull = posed.C @ (posed.E.T @ posed.missing(at.v))
        blamed = active & (pull > PULL * pull[active].max(initial=0.0))
        if not blamed.any():
            break
        active = active & ~blamed
    return None


def on_face(posed: Posed, active: np.ndarray, point: Point) -> Point:
    """Return the nearest point that meets equalities and active inequalities.

    Its multipliers are the ones nearest to those of the given point. Rows whose points are all at
    their bounds, and which are not met, get a multiplier that lets go of those bounds.
    """
    face = _Face(posed, active)
    solve = bordered(face.metric, face.part)
    v, y, z = point.v.copy(), point.y.copy(), np.where(active, point.z, 0.0)
    v[face.columns] -= posed.slack(v)[face.fixing] / face.entries
    z[face.fixing] = 0.0
    for turn in range(CORRECTIONS):
        missing = np.concatenate([posed.missing(v), -posed.slack(v)[face.other]])
        if turn >= ENOUGH and (np.abs(missing) <= face.rounding).all():
            break
        dv, dw = solve(posed.left(v, y, z)[face.free], missing[face.kept])
        v[face.free] += dv
        w = np.where(np.abs(missing) > EXACT, BLAME * missing, 0.0)
        w[face.kept] = dw
        y += w[: len(y)]
        z[face.other] += w[len(y) :]
    z[face.fixing] = -posed.left(v, y, z)[face.columns] / face.entries
    return Point(v, y, z, point.s)


class _Face:
    """Coordinates that active bounds fix, and the rows that remain for the others."""

    def __init__(self, posed: Posed, active: np.ndarray) -> None:
        alone, columns, entries = (part[active[posed.single[0]]] for part in posed.single)
        self.columns, first = np.unique(columns, return_index=True)
        self.fixing, self.entries = alone[first], entries[first]
        others = active.copy()
        others[alone] = False
        self.other = np.flatnonzero(others)
        free = np.ones(len(posed.away), dtype=bool)
        free[self.columns] = False
        self.free = np.flatnonzero(free)
        equal, unequal = posed.rounding
        self.rounding = np.concatenate([equal, unequal[self.other]])
        rows = np.concatenate([np.arange(len(equal)), len(equal) + self.other])
        part = _block(posed.rows, rows, self.free)
        self.kept = np.flatnonzero((part * part).sum(axis=1) > GONE)
        self.part = part if len(self.kept) == len(rows) else part[self.kept]
        self.metric = _block(posed.P, self.free, self.free)


def _block(matrix: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Return some rows and columns of a matrix, and what has all of both as it is."""
    part = matrix if len(rows) == matrix.shape[0] else matrix[rows]
    return part if len(columns) == matrix.shape[1] else part[:, columns]

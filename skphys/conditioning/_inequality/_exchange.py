"""Active rows met exactly, and exchanged until multipliers and slacks have the right signs."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._linear import bordered, dense, singles
from skphys.conditioning._inequality._problem import Found, Point, Posed

ROUNDS, PATIENCE = 24, 4  # the latter without fewer changes
CORRECTIONS, STILL = 5, 1e-17
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
    rounding, fewest, waited = posed.rounding(), len(active) + 1, 0
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
    rounding = posed.rounding()
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
    solve = bordered(posed.P[face.free][:, face.free], face.part)
    v, y, z = point.v.copy(), point.y.copy(), np.where(active, point.z, 0.0)
    v[face.columns] -= posed.slack(v)[face.fixing] / face.entries
    for _ in range(CORRECTIONS):
        z[face.fixing] = 0.0
        missing = np.concatenate([posed.missing(v), -posed.slack(v)[face.other]])
        dv, dw = solve(posed.left(v, y, z)[face.free], missing[face.kept])
        v[face.free] += dv
        still = np.abs(dv).max(initial=0.0) <= STILL * np.abs(v).max(initial=0.0)
        w = np.where(np.abs(missing) > EXACT, BLAME * missing, 0.0)
        w[face.kept] = dw
        y += w[: len(y)]
        z[face.other] += w[len(y) :]
        if still:
            break
    z[face.fixing] = 0.0
    z[face.fixing] = -posed.left(v, y, z)[face.columns] / face.entries
    return Point(v, y, z, point.s)


class _Face:
    """Coordinates that active bounds fix, and the rows that remain for the others."""

    def __init__(self, posed: Posed, active: np.ndarray) -> None:
        C = sparse.csr_array(posed.C)
        fixing, columns, entries = singles(C, active)
        self.columns, first = np.unique(columns, return_index=True)
        self.fixing, self.entries = fixing[first], entries[first]
        self.other = np.setdiff1d(np.flatnonzero(active), fixing)
        self.free = np.setdiff1d(np.arange(C.shape[1]), self.columns)
        if sparse.issparse(posed.C) and sparse.issparse(posed.E):
            rows = sparse.vstack([posed.E, C[self.other]]).tocsr()
        else:
            rows = np.vstack([dense(posed.E), dense(posed.C)[self.other]])
        part = rows[:, self.free]
        self.kept = np.flatnonzero((part * part).sum(axis=1) > GONE)
        self.part = part[self.kept]

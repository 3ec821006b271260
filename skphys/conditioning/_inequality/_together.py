"""Many small fields at once: which inequalities are active, by batched linear algebra.

With ``S = T T'`` and the rows ``A`` of equalities and of active inequalities a field is
``mean + T v`` with the shortest ``v`` for which ``A T v = b - A mean``; multipliers are the ``w``
with ``v = (A T)' w``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from skphys.conditioning._inequality._linear import singles
from skphys.conditioning._inequality._problem import CLOSE, STUCK, Problem

ROUNDS, REFINEMENTS = 24, 2
WRONG = 1e-10  # a share of the largest multiplier that may have the wrong sign
DEPENDENT = 1e-13  # a share of the largest singular value below which rows depend on each other
MET = 100.0  # roundings that may be left of active rows
BLAME = 1e8  # the multiplier of what a row misses
CHUNK = 1 << 20  # entries of the matrices that are solved at once: 8 MiB


def project_together(
    problem: Problem, covariance: Callable[[slice], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Project fields of few points and rows.

    Parameters
    ----------
    problem : Problem
        Several fields.
    covariance : callable
        Returns those of some of the fields, of shape (n_some, n_points, n_points).

    Returns
    -------
    fields : ndarray of shape (n_fields, n_points)
        The projections.
    solved : ndarray of bool of shape (n_fields,)
        False where a field is left to other methods.
    """
    n_fields, n_points = problem.mean.shape
    A = sparse.vstack([sparse.csr_array(problem.rows), problem.H]).toarray()
    size = max(1, CHUNK // (n_points + len(A)) ** 2)
    out, solved = problem.mean.copy(), np.zeros(n_fields, dtype=bool)
    for at in (slice(first, first + size) for first in range(0, n_fields, size)):
        some = problem.take(at)
        out[at], settled = _settle(A, _pose(A, some, covariance(at)))
        solved[at] = settled & some.obeyed(out[at])
    return out, solved


@dataclass(frozen=True)
class _Posed:
    """Fields, and their rows in units of standard deviations.

    Attributes
    ----------
    mean : ndarray of shape (n_fields, n_points)
        The mean.
    low, high, rounding : ndarray of shape (n_fields, n_rows)
        Bounds of the rows, and what is rounding in a row.
    scale, noise : ndarray of shape (n_fields, n_rows)
        One over the standard deviations of rows, 0 of those that do not move; and those of what
        the rows have to be.
    root : ndarray of shape (n_fields, n_points, n_points)
        ``T``.
    rows : ndarray of shape (n_fields, n_rows, n_points + n_rows)
        ``A T``, beside what noise adds.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounding: np.ndarray
    scale: np.ndarray
    noise: np.ndarray
    root: np.ndarray
    rows: np.ndarray

    def take(self, some: np.ndarray) -> _Posed:
        """Return some of the fields."""
        return _Posed(*(getattr(self, each.name)[some] for each in fields(self)))

    def passed(self, product: np.ndarray, rounding: float = 1.0) -> np.ndarray:
        """Say of each row that moves whether it is below (1) or above (-1) its bounds."""
        below = product < self.low - rounding * self.rounding
        above = product > self.high + rounding * self.rounding
        return (below.astype(int) - above) * (self.scale > 0)

    def missing(
        self, A: np.ndarray, field: np.ndarray, v: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """Return what is missing of rows, computed from the fields."""
        missing = (target - field @ A.T) * self.scale
        return missing - self.noise * v[:, A.shape[1] :] if v.shape[1] > A.shape[1] else missing


def _pose(A: np.ndarray, problem: Problem, covariance: np.ndarray) -> _Posed:
    """Scale fields; the rows of equalities come first."""
    low = np.concatenate([problem.values, problem.lower], axis=1)
    high = np.concatenate([problem.values, problem.upper], axis=1)
    noise = np.concatenate([problem.noise, np.zeros_like(problem.lower)], axis=1)
    root = _roots(covariance)
    rows = A @ root
    if noise.any():
        rows = np.concatenate([rows, noise[:, :, None] * np.eye(len(A))], axis=2)
    std = np.sqrt((rows**2).sum(axis=2))
    moves = std > STUCK * (np.sqrt((root**2).sum(axis=2)) @ np.abs(A).T)
    scale = np.where(moves, 1.0 / np.where(moves, std, 1.0), 0.0)
    rows = rows * scale[:, :, None]
    bound = sum(np.abs(np.where(np.isfinite(end), end, 0.0)) for end in (low, high))
    rounding = CLOSE * (np.abs(problem.mean) @ np.abs(A).T + bound)
    return _Posed(problem.mean, low, high, rounding, scale, scale * noise, root, rows)


def _roots(covariance: np.ndarray) -> np.ndarray:
    """Return ``T``, without the directions in which points that move do not."""
    std = np.sqrt(np.clip(covariance.diagonal(axis1=1, axis2=2), 0.0, None))
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
    values, vectors = np.linalg.eigh(covariance * scale[:, :, None] * scale[:, None, :])
    kept = values > 64 * np.finfo(np.float64).eps * values[:, -1:]
    return std[:, :, None] * vectors * np.sqrt(np.where(kept, values, 0.0))[:, None, :]


def _settle(A: np.ndarray, posed: _Posed) -> tuple[np.ndarray, np.ndarray]:
    """Exchange active rows until multipliers and what is violated have the right signs.

    The strategy of `exchange`. Fields for which it runs in circles are not settled.
    """
    left, out = np.arange(len(posed.mean)), posed.mean.copy()
    settled = np.zeros(len(left), dtype=bool)
    side = np.where(posed.low == posed.high, 1, posed.passed(out @ A.T))
    for _ in range(ROUNDS):
        field, w, met = _nearest(A, posed, side)
        wrong = w * side < -WRONG * np.abs(w).max(axis=1, keepdims=True, initial=0.0)
        kept = np.where(wrong & (posed.low < posed.high), 0, side)
        changed = np.where(side == 0, posed.passed(field @ A.T), kept)
        done = (changed == side).all(axis=1)
        out[left[done]], settled[left[done]] = _snapped(A, posed, side, field)[done], met[done]
        left, posed, side = left[~done], posed.take(~done), changed[~done]
        if not len(left):
            break
    return out, settled


def _nearest(
    A: np.ndarray, posed: _Posed, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nearest fields with their active rows at the bounds, and the multipliers.

    Also whether these rows are met. More may be active than can be met together; what is missing
    of them then says which to let go.
    """
    on = (side != 0) & (posed.scale > 0)
    target = np.where(on, np.where(side > 0, posed.low, posed.high), 0.0)
    inverse = np.linalg.pinv(posed.rows * on[:, :, None], rcond=DEPENDENT)
    v = np.zeros(inverse.shape[:2])
    field, missing = posed.mean, posed.missing(A, posed.mean, v, target) * on
    for _ in range(1 + REFINEMENTS):
        v = v + _times(inverse, missing)
        field = posed.mean + _times(posed.root, v[:, : A.shape[1]])
        missing = posed.missing(A, field, v, target) * on
    met = np.abs(missing) <= MET * posed.rounding * posed.scale
    w = _times(inverse.transpose(0, 2, 1), v) + np.where(met, 0.0, BLAME * missing)
    return field, w, met.all(axis=1)


def _snapped(A: np.ndarray, posed: _Posed, side: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return fields with bounds of points, where active or passed by rounding, exact."""
    side = np.where(side == 0, posed.passed(field @ A.T, 0.0), side)
    side = np.where((posed.scale > 0) & (posed.noise == 0), side, 0)
    alone, points, factor = singles(A)
    at, row = np.nonzero(side[:, alone])
    target = np.where(side > 0, posed.low, posed.high)[:, alone] / factor
    field = field.copy()
    field[at, points[row]] = target[at, row]
    return field


def _times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", matrices, vectors)

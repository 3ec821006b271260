"""Projection on chains under several equalities that share points: Newton's method on the dual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from skphys.conditioning._inequality._search import ROUNDING, Chained, _blocks

MAX_STEPS = 100
MAX_DENSE = 400  # rows up to which the Newton matrix is dense
SHIFT = 1e-13  # keeps the Newton matrix regular where all points of a row are at their bounds
SMALL = 1e-14  # a share of the largest value as small as this is rounding
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class _Point:
    """One field for one set of multipliers."""

    u: np.ndarray
    excess: np.ndarray  # rows @ u + R t - b
    dual: float  # minus the dual function, which Newton's method minimises
    basis: sparse.csr_array  # (n_rows, n_free): Newton matrix is basis @ basis.T + R
    spread: sparse.csr_array  # (n_points, n_free): moves of the free blocks


def search_rows(
    problem: Chained, rows: sparse.csr_array, values: np.ndarray, noise_variance: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Project one field under several equalities.

    Parameters
    ----------
    problem : Chained
        A single field.
    rows : csr_array of shape (n_rows, n_points)
        ``G``.
    values : ndarray of shape (n_rows,)
        ``b``.
    noise_variance : ndarray of shape (n_rows,)
        The diagonal of ``R``.

    Returns
    -------
    u : ndarray of shape (n_points,)
        The projection.
    met : bool
        False where no multipliers were found that meet the equalities.

    Notes
    -----
    The dual function is concave, once differentiable and piecewise quadratic, so that Newton's
    method with a line search ends after finitely many steps (Qi and Sun, 1993).
    """
    t = np.zeros(len(values))
    at = _evaluate(problem, rows, values, noise_variance, t)
    whole = np.maximum((rows * rows) @ problem.variance[0] + noise_variance, _TINY)
    for _ in range(MAX_STEPS):
        miss = _miss(at, rows, values, noise_variance, t)
        if miss <= ROUNDING:
            return _refined(at, rows, values, noise_variance), True
        shift = min(1e-2, 0.1 * miss) + SHIFT
        step = -_solve(at.basis, noise_variance, whole, at.excess, shift)
        length, before = 1.0, at
        for _ in range(40):
            at = _evaluate(problem, rows, values, noise_variance, t + length * step)
            gained = before.dual - at.dual
            if gained >= -1e-4 * length * (before.excess @ step):
                break
            if np.abs(at.excess).max() < 0.5 * np.abs(before.excess).max():
                break  # close to the solution the dual cannot be told from its rounding
            length *= 0.5
        t = t + length * step
    return _refined(at, rows, values, noise_variance), False


def _evaluate(
    problem: Chained,
    rows: sparse.csr_array,
    values: np.ndarray,
    noise_variance: np.ndarray,
    t: np.ndarray,
) -> _Point:
    mean, variance = problem.mean[0], problem.variance[0]
    low, high, start = problem.lower[0], problem.upper[0], problem.start[0]
    target = mean + variance * (rows.T @ t)
    weight = variance.max() / variance
    first = np.arange(len(mean)) if start.all() else _blocks(target, weight, start)
    counts = np.diff(np.append(first, len(mean)))
    mass = np.add.reduceat(weight, first)
    level = np.add.reduceat(weight * target, first) / mass
    low, high = low[first], high[first]
    close = SMALL * np.abs(mean).max()
    at_low, at_high = level <= low + close, level >= high - close
    u = np.repeat(np.where(at_low, low, np.where(at_high, high, level)), counts)
    free = np.flatnonzero(~(at_low | at_high))
    block = np.repeat(np.arange(len(first)), counts)
    member = sparse.csr_array((np.ones(len(mean)), (np.arange(len(mean)), block)))[:, free]
    spread = sparse.csr_array(member * np.sqrt(variance.max() / mass[free]))
    excess = rows @ u + noise_variance * t - values
    # a fixed point has a placeholder for its variance, whose share of the dual is linear in t
    dual = t @ (rows @ u - values) + 0.5 * noise_variance @ t**2
    dual -= 0.5 * np.sum((u - mean) ** 2 / variance)
    return _Point(u, excess, float(dual), sparse.csr_array(rows @ spread), spread)


def _miss(
    at: _Point,
    rows: sparse.csr_array,
    values: np.ndarray,
    noise_variance: np.ndarray,
    t: np.ndarray,
) -> float:
    """Return the largest residual, in units of the largest terms of any row."""
    size = abs(rows) @ np.abs(at.u) + np.abs(values) + noise_variance * np.abs(t)
    return float(np.abs(at.excess).max(initial=0.0) / max(size.max(initial=0.0), _TINY))


def _solve(
    basis: sparse.csr_array,
    noise_variance: np.ndarray,
    whole: np.ndarray,
    right: np.ndarray,
    shift: float = SHIFT,
) -> np.ndarray:
    """Solve with the Newton matrix, scaled to the size of its diagonal with no point at bounds."""
    scale = 1.0 / np.sqrt(whole)
    scaled = sparse.diags_array(scale) @ basis
    diagonal = noise_variance * scale**2 + shift
    if len(right) <= MAX_DENSE:
        dense = scaled.toarray()
        matrix = dense @ dense.T + np.diag(diagonal)
        return scale * linalg.solve(matrix, scale * right, assume_a="pos")
    matrix = sparse.csc_array(scaled @ scaled.T + sparse.diags_array(diagonal))
    return scale * splu(matrix).solve(scale * right)


def _refined(
    at: _Point, rows: sparse.csr_array, values: np.ndarray, noise_variance: np.ndarray
) -> np.ndarray:
    """Remove what rounding has left of the exact rows' residuals, by moves of free blocks."""
    exact = noise_variance == 0
    u, basis = at.u, sparse.csr_array(at.basis[exact])
    if not basis.nnz:
        return u
    whole = np.maximum((basis * basis).sum(axis=1), _TINY)
    for _ in range(2):
        residual = (values - rows @ u)[exact]
        step = basis.T @ _solve(basis, np.zeros(len(whole)), whole, residual)
        u = u + at.spread @ step
    return u

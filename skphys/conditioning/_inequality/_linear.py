"""Linear systems of projections: ``[D, R'; R, 0]``, scaled, a little regular, and refined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dgetrf, dgetrs, dpotrf, dpotrs, dtrtrs
from scipy.sparse.linalg import splu

SHIFT = 1e-14  # keeps rows that depend on each other apart
MORE = (0.0, 1e-13, 1e-11, 1e-9)  # what is added where a pivot is zero
REFINEMENTS, ROUNDING = 3, 1e-15
_TINY = np.finfo(np.float64).tiny

Solve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def singles(matrix: Any, among: Any = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows (of csc: columns) have one entry, where it is, and the entry."""
    if sparse.issparse(matrix):
        which = np.flatnonzero((np.diff(matrix.indptr) == 1) & among)
        first = matrix.indptr[which]
        return which, matrix.indices[first], matrix.data[first]
    entries = matrix != 0
    which = np.flatnonzero((np.count_nonzero(entries, axis=1) == 1) & among)
    columns = entries[which].argmax(axis=1)
    return which, columns, matrix[which, columns]


def point_bounds(H: Any, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what rows with a single entry say of its point, infinite where nothing.

    Parameters
    ----------
    H : csr_array or ndarray of shape (n_inequalities, n_points)
        Rows of ``lower <= H u <= upper``.
    lower, upper : ndarray of shape (n_fields, n_inequalities)
        Their bounds.

    Returns
    -------
    low, high : ndarray of shape (n_fields, n_points)
        Bounds of the points.
    """
    low = np.full((len(lower), H.shape[1]), -np.inf)
    high = -low
    alone, points, factor = singles(H)
    first, second = lower[:, alone] / factor, upper[:, alone] / factor
    np.maximum.at(low.T, points, np.minimum(first, second).T)
    np.minimum.at(high.T, points, np.maximum(first, second).T)
    return low, high


def gram(C: Any, weight: np.ndarray) -> Any:
    """Return ``C' diag(weight) C``, sparse or dense as C is."""
    if sparse.issparse(C):
        return C.T @ (sparse.diags_array(weight) @ C)
    return (C.T * weight) @ C


def bordered(D: Any, R: Any) -> Solve:
    """Return what solves ``D x - R' y = f``, ``R x = g``.

    Rows and columns are scaled to a unit diagonal of ``D`` and of ``R diag(D)^-1 R'``, and the
    factors are those of a quasi-definite matrix, which need no pivots (Vanderbei, 1995).

    Parameters
    ----------
    D : sparse or dense array of shape (n, n)
        Symmetric and positive definite.
    R : sparse or dense array of shape (k, n)
        Rows that may depend on each other.
    """
    n = D.shape[0]
    diagonal = D.diagonal()
    whole = (R * R) @ (1.0 / diagonal)
    scale = 1.0 / np.sqrt(np.concatenate([diagonal, np.maximum(whole, _TINY)]))
    if sparse.issparse(D) and sparse.issparse(R):
        around = sparse.diags_array(scale)
        K = sparse.csc_array(around @ sparse.block_array([[D, R.T], [R, None]]) @ around)
        solve = _sparse(K, n)
    else:
        plain = np.count_nonzero(D) == n
        D = None if plain else D * scale[:n, None] * scale[:n]
        R = R * scale[n:, None] * scale[:n]
        K = _Dense(D, R)
        solve = _by_complement(D, R) or _by_pivots(D, R)

    def refined(f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = scale * np.concatenate([f, g])
        x = solve(right)
        if not len(x):
            return x, x
        for _ in range(REFINEMENTS):
            left = right - K @ x
            if np.abs(left).max() <= ROUNDING * max(np.abs(right).max(), np.abs(x).max()):
                break
            x = x + solve(left)
        x = scale * x
        return x[:n], -x[n:]

    return refined


def _sparse(K: sparse.csc_array, n: int) -> Callable[[np.ndarray], np.ndarray]:
    """Factor without pivots, in an order that keeps the factor sparse."""
    signs = np.where(np.arange(K.shape[0]) < n, 1.0, -1.0)
    shifts = SHIFT * np.minimum(1.0, 1.0 - signs)
    for more in MORE:
        try:
            factor = splu(
                sparse.csc_array(K + sparse.diags_array(more * signs - shifts)),
                permc_spec="COLAMD",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError:  # a pivot that is zero
            continue
        return factor.solve
    return np.zeros_like  # no step at all


@dataclass(frozen=True)
class _Dense:
    """``[D, R'; R, 0]``, not written out; D is None for the identity."""

    D: np.ndarray | None
    R: np.ndarray

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        n = self.R.shape[1]
        upper = x[:n] if self.D is None else self.D @ x[:n]
        return np.concatenate([upper + x[n:] @ self.R, self.R @ x[:n]])


def _by_complement(
    D: np.ndarray | None, R: np.ndarray
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Factor ``D`` and ``R D^-1 R'``; None where either is singular to rounding."""
    n = R.shape[1]
    root, wrong = (None, 0) if D is None else dpotrf(D, lower=1)
    if wrong:
        return None
    half = R.T if root is None else dtrtrs(root, R.T, lower=1)[0]
    inner = half.T @ half
    inner.flat[:: len(R) + 1] += SHIFT
    inner, wrong = dpotrf(inner, lower=1)
    if wrong:
        return None

    def forward(f: np.ndarray, trans: int = 0) -> np.ndarray:
        return f if root is None else dtrtrs(root, f, lower=1, trans=trans)[0]

    def solve(right: np.ndarray) -> np.ndarray:
        f = forward(right[:n])
        y = dpotrs(inner, half.T @ f - right[n:], lower=1)[0] if len(R) else right[n:]
        return np.concatenate([forward(f - half @ y, 1), y])

    return solve


def _by_pivots(D: np.ndarray | None, R: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    K = np.block([[np.eye(R.shape[1]) if D is None else D, R.T], [R, -SHIFT * np.eye(len(R))]])
    *factors, _ = dgetrf(K)  # where K is singular, solutions are not finite, which ends the search
    return lambda right: dgetrs(*factors, right)[0]

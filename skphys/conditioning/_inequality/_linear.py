"""Linear systems of projections: ``[D, R'; R, 0]``, scaled, a little regular, and refined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

SHIFT = 1e-14  # keeps rows that depend on each other apart
MORE = (0.0, 1e-13, 1e-11, 1e-9)  # what is added where a pivot is zero
REFINEMENTS = 3
_TINY = np.finfo(np.float64).tiny

Solve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def singles(matrix: Any, among: Any = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows (of csr) or columns (of csc) hold one entry, where it is, and the entry."""
    which = np.flatnonzero((np.diff(matrix.indptr) == 1) & among)
    first = matrix.indptr[which]
    return which, matrix.indices[first], matrix.data[first]


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
        D = dense(D) * scale[:n, None] * scale[:n]
        R = dense(R) * scale[n:, None] * scale[:n]
        K = np.block([[D, R.T], [R, np.zeros((len(R), len(R)))]])
        solve = _by_complement(D, R) or _by_pivots(K, n)

    def refined(f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = scale * np.concatenate([f, g])
        x = solve(right)
        for _ in range(REFINEMENTS):
            x = x + solve(right - K @ x)
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


def _by_complement(D: np.ndarray, R: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
    """Factor ``D`` and ``R D^-1 R'``; None where either is singular to rounding."""
    n, plain = len(D), np.count_nonzero(D) == len(D)
    try:
        root = None if plain else linalg.cholesky(D, lower=True, check_finite=False)
        half = R.T if plain else linalg.solve_triangular(root, R.T, lower=True, check_finite=False)
        inner = half.T @ half + SHIFT * np.eye(len(R))
        factors = linalg.cho_factor(inner, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None

    def forward(f: np.ndarray, trans: int = 0) -> np.ndarray:
        if root is None:
            return f
        return np.asarray(linalg.solve_triangular(root, f, trans=trans, lower=True))

    def solve(right: np.ndarray) -> np.ndarray:
        f = forward(right[:n])
        y = linalg.cho_solve(factors, half.T @ f - right[n:], check_finite=False)
        return np.concatenate([forward(f - half @ y, 1), y])

    return solve


def _by_pivots(K: np.ndarray, n: int) -> Callable[[np.ndarray], np.ndarray]:
    shifts = np.where(np.arange(len(K)) < n, 0.0, SHIFT)
    factors = linalg.lu_factor(K - np.diag(shifts), check_finite=False)
    return lambda right: linalg.lu_solve(factors, right, check_finite=False)


def dense(matrix: Any) -> np.ndarray:
    """Return a matrix written out."""
    return matrix.toarray() if sparse.issparse(matrix) else matrix

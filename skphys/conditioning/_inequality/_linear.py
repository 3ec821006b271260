"""Linear systems of projections: ``[D, R'; R, 0]``, scaled, a little regular, and refined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

SHIFT = 1e-14  # keeps rows that depend on each other apart
REFINEMENTS = 3
_TINY = np.finfo(np.float64).tiny

Solve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


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
    n, k = D.shape[0], R.shape[0]
    diagonal = D.diagonal()
    whole = (R * R) @ (1.0 / diagonal)
    scale = 1.0 / np.sqrt(np.concatenate([diagonal, np.maximum(whole, _TINY)]))
    shift = np.repeat([0.0, SHIFT], [n, k])
    if sparse.issparse(D) and sparse.issparse(R):
        around = sparse.diags_array(scale)
        K = sparse.csc_array(around @ sparse.block_array([[D, R.T], [R, None]]) @ around)
        options = {"SymmetricMode": True}
        factor = splu(
            sparse.csc_array(K - sparse.diags_array(shift)),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options=options,
        )
        solve = factor.solve
    else:
        K = np.zeros((n + k, n + k))
        K[:n, :n], K[n:, :n] = _dense(D), _dense(R)
        K[:n, n:] = K[n:, :n].T
        K *= scale[:, None] * scale
        factors = linalg.lu_factor(K - np.diag(shift), check_finite=False)
        solve = lambda right: linalg.lu_solve(factors, right, check_finite=False)  # noqa: E731

    def refined(f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = scale * np.concatenate([f, g])
        x = solve(right)
        for _ in range(REFINEMENTS):
            x = x + solve(right - K @ x)
        x = scale * x
        return x[:n], -x[n:]

    return refined


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else matrix

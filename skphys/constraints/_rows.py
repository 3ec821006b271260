"""Rows of constraints, kept sparse where that pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

Rows = Any  # ndarray or csr_array of shape (n_rows, n_points)

WORTH = 1 << 13  # values from which sparse rows pay
SPARSE_SHARE = 0.25  # if no more than this share of them is not zero


def compact(rows: Any) -> Rows:
    """Return rows as a float64 ndarray, or as csr_array if they came sparse and that pays.

    Parameters
    ----------
    rows : array or scipy.sparse array of shape (n_rows, n_points)
        As a constraint states them.
    """
    if not sparse.issparse(rows):
        return np.asarray(rows, dtype=np.float64)
    rows = sparse.csr_array(rows, dtype=np.float64)
    n_values = rows.shape[0] * rows.shape[1]
    pays = rows.shape[0] > 1 and n_values >= WORTH and rows.nnz <= SPARSE_SHARE * n_values
    return rows if pays else rows.toarray()


def entries(rows: Rows) -> np.ndarray:
    """Return the entries that are stored."""
    return rows.data if sparse.issparse(rows) else rows


def stack(parts: Sequence[Rows], n_points: int) -> Rows:
    """Stack rows; they are sparse if any of them are."""
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack([sparse.csr_array(part) for part in parts], format="csr")
    return np.concatenate([np.empty((0, n_points)), *parts])


def widen(rows: Rows, n_more: int) -> Rows:
    """Append columns of zeros."""
    if sparse.issparse(rows):
        shape = (rows.shape[0], rows.shape[1] + n_more)
        return sparse.csr_array((rows.data, rows.indices, rows.indptr), shape=shape)
    return np.hstack([rows, np.zeros((rows.shape[0], n_more))])

"""Whether fields obey equalities and inequalities, to the tolerances that `project` promises."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

EQUAL, UNEQUAL = 1e-12, 1e-9  # what may be left of equalities and of inequalities


def obeying(
    fields: np.ndarray,
    mean: np.ndarray,
    H: sparse.csr_array,
    lower: np.ndarray,
    upper: np.ndarray,
    rows: Any,
    values: np.ndarray,
    noise: np.ndarray,
) -> np.ndarray:
    """Say which fields obey, of shape (n_fields,).

    Parameters
    ----------
    fields, mean : ndarray of shape (n_fields, n_points)
        The fields, and the means that they started from.
    H : csr_array of shape (n_inequalities, n_points)
        Rows of the inequalities.
    lower, upper : ndarray of shape (n_fields, n_inequalities)
        Their bounds.
    rows : sparse or dense array of shape (n_rows, n_points)
        ``G``.
    values, noise : ndarray of shape (n_fields, n_rows)
        ``b`` and its standard deviations; rows with noise need not be met.
    """
    product = (H @ fields.T).T
    terms = np.maximum(np.abs(fields), np.abs(mean))
    size = (abs(H) @ terms.T).T
    above = product >= lower - UNEQUAL * (size + _finite(lower))
    below = product <= upper + UNEQUAL * (size + _finite(upper))
    reach = (abs(rows) @ terms.T).T + np.abs(values)
    met = (noise > 0) | (np.abs((rows @ fields.T).T - values) <= EQUAL * reach)
    return above.all(axis=1) & below.all(axis=1) & met.all(axis=1)


def _finite(bound: np.ndarray) -> np.ndarray:
    """Return the size of bounds, 0 where there is none."""
    return np.abs(np.where(np.isfinite(bound), bound, 0.0))

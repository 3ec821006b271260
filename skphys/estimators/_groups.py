"""Fields that belong together, such as several times of one run: they are left out together."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skphys.estimators._layout import Layout
from skphys.estimators._warn import warn_user

MISSING = ("nan", "None", "NaT", "<NA>")


def checked_groups(groups: Any, X: Any, layout: Layout) -> np.ndarray | None:
    """Number the groups; raise if they do not say what belongs together.

    Parameters
    ----------
    groups : array-like of shape (n_samples,) or None
        One entry a row of X, alike for rows that belong together.
    X : array or DataFrame of shape (n_samples, n_features)
        The rows.
    layout : Layout
        How rows are fields.
    """
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (X.shape[0],):
        raise ValueError(
            f"groups must have one entry for each row of X, shape {(X.shape[0],)}; got shape "
            f"{groups.shape}."
        )
    names = groups.astype(str)
    if np.isin(names, MISSING).any():
        raise ValueError("groups has missing entries; leave those rows out, or number them.")
    groups = names if groups.dtype == object else groups
    numbers = np.unique(groups, return_inverse=True)[1]
    if numbers.max() == 0:
        raise ValueError(
            f"groups must tell apart at least two groups, of which each is left out in turn; got "
            f"{groups[0]} throughout."
        )
    if layout.rows == "points":
        pairs = np.unique(np.stack([layout.labels(X), numbers]), axis=1)[0]
        if len(np.unique(pairs)) < len(pairs):
            raise ValueError("groups must keep the rows of a field together; one is in several.")
    return numbers


def warn_if_runs(X: Any) -> None:
    """Warn if rows of X come in runs: all of their columns but one are those of others, too."""
    if sparse.issparse(X) or len(X.shape) != 2:
        return
    column = _column_of_runs(np.asarray(X))
    if column is None:
        return
    name = repr(X.columns[column]) if hasattr(X, "columns") else column
    warn_user(
        f"Rows of X come in runs, whose rows differ in column {name} alone, as several times of "
        f"one simulation do. What errors are expected was learned by leaving out rows, not runs, "
        f"and may be far too small for new runs. Pass groups=, a number for each row that tells "
        f"its run, to fit; groups=range(len(X)) if only these runs are to be predicted."
    )


def _column_of_runs(X: np.ndarray) -> int | None:
    """Return the column in which the rows of a run differ; None if no column does it, or several.

    Leaving it out, at most half of the rows differ, but not all are alike; and they hold more than
    codes of categories.
    """
    n_rows, n_columns = X.shape
    random = np.random.default_rng(0).integers(0, 2**63, (n_columns,), np.uint64)
    numbers: dict[bytes, list[int]] = {}  # columns that tell the same rows apart
    signs, total, fine = {}, np.zeros(n_rows, dtype=np.uint64), []
    for k in range(n_columns):
        number = _numbered(X[:, k])
        if number.max() == 0:
            continue
        numbers.setdefault(number.tobytes(), []).append(k)
        signs[k] = number.astype(np.uint64) * random[k]
        total += signs[k]
        fine += [k] if number.max() >= n_rows // 2 else []
        if len(fine) > 1:  # without one of them, the other tells too many rows apart
            return None
    alone = fine or [some[0] for some in numbers.values() if len(some) == 1]
    found = [k for k in alone if 1 < len(np.unique(total - signs[k])) <= n_rows // 2]
    if len(found) != 1 or all(_is_code(X[:, k]) for k in signs if k not in found):
        return None
    return found[0]


def _is_code(values: np.ndarray) -> bool:
    """Say whether values are names or whole numbers, which ordinary designs repeat."""
    try:
        return bool(np.all(values.astype(np.float64) % 1.0 == 0.0))
    except (TypeError, ValueError):
        return True


def _numbered(values: np.ndarray) -> np.ndarray:
    """Number values by their first places."""
    values = values.astype(str) if values.dtype == object else values
    _, first, number = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number]

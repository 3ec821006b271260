"""What the column grid asks of a table, for arrays and for data frames of any library.

A frame is told by its methods; no data-frame library is imported. A column is a name or a
position, and is always found as a position first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from skphys.grids._checks import Vector, as_numbers

Key = str | int


@dataclass(frozen=True)
class Layout:
    """Which columns of a table are the coordinates, and which tell the fields apart."""

    space: tuple[Key, ...]
    by: tuple[Key, ...]
    names: tuple[str, ...] | None = None  # of the columns, where the table is an array

    def positions(self, X: Any, keys: Sequence[Key]) -> list[int]:
        """Find columns of a table."""
        return [position(X, key, self.names) for key in keys]


def as_table(X: Any) -> Any:
    """Return a data frame as it is, and anything else as a 2-D array with rows."""
    if not is_frame(X):
        if hasattr(X, "tocsr"):
            raise TypeError("X must be a dense array or a data frame, got a sparse one.")
        X = np.asarray(X)
    if len(X.shape) != 2 or X.shape[0] == 0:
        raise ValueError(
            f"X must be a 2-D table with one row a point, got shape {tuple(X.shape)}; "
            "use X.reshape(-1, 1) for a single column."
        )
    return X


def is_frame(X: Any) -> bool:
    """Tell a data frame from an array."""
    return hasattr(X, "columns") and hasattr(X, "shape")


def locate(key: Any, n_columns: int, names: Sequence[str] | None) -> int | str:
    """Return the position of a column, or why there is no telling it.

    Parameters
    ----------
    key : str or int
        Name or position; a negative one counts from the end.
    n_columns : int
        How many columns there are.
    names : sequence of str or None
        Their names, if they have any.

    Returns
    -------
    int or {"outside", "unnamed", "unknown", "ambiguous"}
        The second where there is no such position, there are no names, or none or several of them
        are `key`.
    """
    if not isinstance(key, str):
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            raise TypeError(f"A column is given by its name or its position; got {key!r}.")
        return int(key) % n_columns if -n_columns <= key < n_columns else "outside"
    if names is None:
        return "unnamed"
    known = list(names)
    if known.count(key) != 1:
        return "ambiguous" if key in known else "unknown"
    return known.index(key)


def position(X: Any, key: Key, names: Sequence[str] | None = None) -> int:
    """Return the position of a column, given by name or by position."""
    names = list(X.columns) if is_frame(X) else names
    found = locate(key, X.shape[1], names)
    if isinstance(found, int):
        return found
    if found == "outside":
        raise ValueError(f"column {key} does not exist: X has {X.shape[1]} columns.")
    if names is None:
        raise ValueError(
            f"column {key!r} is a name, but X is an array without column names; give the "
            "column by position, or X as a data frame."
        )
    raise ValueError(f"column {key!r} is {found}; the columns of X are {list(names)}.")


def column(X: Any, j: int) -> NDArray[Any]:
    """Return the values of a column."""
    return np.asarray(_series(X, j)) if is_frame(X) else X[:, j]


def numbers(X: Any, j: int, key: Key) -> Vector:
    """Return a column of finite numbers, with -0.0 as 0.0."""
    return as_numbers(column(X, j), f"column {key!r}") + 0.0


def codes(X: Any, j: int, key: Key) -> NDArray[np.intp]:
    """Give each distinct value of a column a number, in sorted order where there is one."""
    series = _series(X, j) if is_frame(X) else None
    if hasattr(series, "factorize"):
        found = _frame_codes(series)
        missing = found < 0
    else:
        values = column(X, j)
        missing = missing_values(values)
        found = np.zeros(len(values), dtype=np.intp) if missing.any() else _array_codes(values)
    if missing.any():
        raise ValueError(
            f"column {key!r} tells the fields apart and must not have missing values (NaN); it has "
            f"{missing.sum()}, the first in row {np.flatnonzero(missing)[0]}: fill or drop them."
        )
    return found


def missing_values(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark NaN, NaT, None and pandas.NA."""
    if values.dtype.kind == "O":
        return np.fromiter((_is_missing(v) for v in values), dtype=bool, count=len(values))
    return values != values if values.dtype.kind in "fcmM" else np.zeros(len(values), dtype=bool)


def take(X: Any, rows: NDArray[np.intp]) -> Any:
    """Return rows of a table, in its type."""
    return _safe_indexing(X, rows, axis=0) if is_frame(X) else X[rows]


def stack_tables(tables: Sequence[Any]) -> Any:
    """Put tables of one type below each other."""
    if len(tables) == 1:
        return tables[0]
    if hasattr(tables[0], "iloc"):
        return import_module("pandas").concat(tables, ignore_index=True)
    if not is_frame(tables[0]):
        return np.concatenate(tables)
    # A column of integers that is interpolated in one of them holds floats there.
    return import_module("polars").concat(tables, how="vertical_relaxed")


def select(X: Any, positions: Sequence[int]) -> Any:
    """Return columns of a table, in its type."""
    return _safe_indexing(X, list(positions), axis=1) if is_frame(X) else X[:, list(positions)]


def assign(X: Any, j: int, values: Vector) -> Any:
    """Return a table with a column replaced by floats; float32 stays, integers give way."""
    if is_frame(X):
        dtype = column(X, j).dtype
        return _assign_series(X, j, values.astype(dtype if dtype.kind == "f" else np.float64))
    if X.dtype.kind in "iub":
        X = X.astype(np.float64)
    X[:, j] = values
    return X


def replace_column(X: Any, j: int, other: Any) -> Any:
    """Return a table with a column replaced by that of a table of one column, in its type."""
    if is_frame(X):
        series = _series(other, 0)
        return _assign_series(X, j, getattr(series, "array", series))
    X[:, j] = other[:, 0]
    return X


def has_categories(X: Any, j: int) -> bool:
    """Tell whether the values of a column are categories, whatever they are written as."""
    return is_frame(X) and hasattr(_series(X, j).dtype, "categories")


def describe_field(keys: tuple[Key, ...], by: Any, f: int) -> str:
    """Name row `f` of a table of `by` columns."""
    values = (f"{key}={column(by, j)[f]}" for j, key in enumerate(keys))
    return f"the field {', '.join(values)}" if keys else "the field"


def _series(X: Any, j: int) -> Any:
    return X.iloc[:, j] if hasattr(X, "iloc") else X[X.columns[j]]


def _assign_series(X: Any, j: int, values: Any) -> Any:
    if hasattr(X, "iloc"):
        X = X.reset_index(drop=True)
        X.isetitem(j, values)
        return X
    series = _series(X, j)
    return X.with_columns(type(series)(X.columns[j], values))


def _frame_codes(series: Any) -> NDArray[np.intp]:
    try:
        return np.asarray(series.factorize(sort=True)[0], dtype=np.intp)
    except TypeError:  # values that cannot be compared
        return np.asarray(series.factorize()[0], dtype=np.intp)


def _array_codes(values: NDArray[Any]) -> NDArray[np.intp]:
    try:
        return np.unique(values, return_inverse=True)[1].reshape(-1)
    except TypeError:  # values that cannot be compared
        seen: dict[Any, int] = {}
        return np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.intp)


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither true nor false
        return True

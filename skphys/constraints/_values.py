"""Values of constraints: a number, an array, a column of X, or a callable of X."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from skphys.grids import locate, missing_values

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Column:
    """A column of X, where a bare string would not do, or several.

    Parameters
    ----------
    key : str, int or sequence of them
        Name of the column, or its position (for arrays). Of several each is the value of one row of
        the constraint, such as a total at each time.

    Examples
    --------
    >>> from skphys.constraints import Column, ConservationLaw
    >>> ConservationLaw(over="x", total=Column(1))
    ConservationLaw(over='x', total=Column(key=1))
    """

    key: str | int | Sequence[str | int]

    def __post_init__(self) -> None:
        if isinstance(self.key, (list, tuple, np.ndarray)):
            if len(self.key) == 0:
                raise TypeError("Column takes the name of a column, its position, or several.")
            object.__setattr__(self, "key", tuple(self.key))


class FieldTable:
    """X seen as a table with one row a field: where constraints look up their values.

    Parameters
    ----------
    X : array or DataFrame of shape (n_samples, n_features)
        What callables get.
    column : callable or None, default=None
        Looks up a column by its key and returns (n_samples,); by default it is taken from `X`.
    feature_names : array of str or None, default=None
        Names of the columns of X, if X itself has none.
    """

    def __init__(
        self,
        X: Any,
        column: Callable[[str | int], np.ndarray] | None = None,
        feature_names: Any = None,
    ) -> None:
        self.X = X
        self.n_fields = X.shape[0] if hasattr(X, "shape") else len(X)
        self._column = column
        self._feature_names = feature_names

    def column(self, key: str | int) -> np.ndarray:
        """Return a column's values, one a field."""
        if self._column is not None:
            return self._column(key)
        position = find_column(self.X, key, self._feature_names)
        values = _safe_indexing(self.X, position, axis=1)
        return np.asarray(values.toarray().ravel() if sparse.issparse(values) else values)

    def numbers(self, key: str | int, name: str = "") -> np.ndarray:
        """Return a column as float64, NaN where a value is missing."""
        return numeric(self.column(key), name or f"column {key!r}")


def find_column(X: Any, key: str | int, feature_names: Any = None) -> int:
    """Return the position of a column, or raise an error that tells what there is."""
    names = getattr(X, "columns", feature_names)
    found = locate(key, X.shape[1], names)
    if isinstance(found, int):
        return found
    if found == "outside":
        raise ValueError(f"Column({key}) does not exist: X has {X.shape[1]} columns.")
    if found == "ambiguous":
        raise ValueError(f"There are several columns {key!r} in X; name one by its position.")
    known = "X has no column names" if names is None else f"its columns are {list(names)}"
    raise ValueError(
        f"There is no column {key!r}: {known}. Pass X as a DataFrame with that column, or "
        f"name it by position, Column(0). A transformer in front of the constraint drops "
        f"names and columns: the constraint must be the outermost estimator."
    )


def columns_of(spec: Any, rules: Sequence[str] = ()) -> list[str | int]:
    """Return the keys of the columns that a value refers to; `rules` are strings that do not."""
    if isinstance(spec, str):
        return [] if spec in rules else [spec]
    if not isinstance(spec, Column):
        return []
    return list(spec.key) if isinstance(spec.key, tuple) else [spec.key]  # type: ignore[list-item]


def resolve_value(
    spec: Any,
    table: FieldTable,
    name: str,
    n_rows: int,
    shapes: Shapes | None = None,
    infinite: bool = False,
    unknown: bool = False,
) -> np.ndarray:
    """Turn the value of a constraint into an array (n_samples or 1, n_rows or 1).

    Parameters
    ----------
    spec : float, array, str, Column or callable
        The value as declared.
    table : FieldTable
        Where columns are looked up, and what callables get.
    name : str
        What to call the value in errors.
    n_rows : int
        Number of rows of the constraint.
    shapes : tuple of tuple of int, optional
        What an array may hold for one field, where that is not one value a row. The result then
        has shape (n_samples or 1, *shape), with axes of length 1 put in front of a shape that is
        shorter than another.
    infinite : bool, default=False
        Whether the value may be infinite, as a bound that does not bound.
    unknown : bool, default=False
        Whether a value that comes with X may be NaN: not known for that field.
    """
    shapes = ((n_rows,),) if shapes is None else shapes
    keys = columns_of(spec)
    if keys:
        name = f"{name}={spec!r}"
        columns = np.stack([table.numbers(key, name) for key in keys], axis=1)
        values = one_a_field(columns, table.n_fields, shapes, name)
    elif callable(spec):
        values = one_a_field(spec(table.X), table.n_fields, shapes, name)
    elif isinstance(spec, Real):
        values = np.full((1, 1), float(spec))
    else:
        values = _for_all_fields(spec, shapes, name)
    fine = np.isfinite(values) | (infinite & np.isinf(values))
    if unknown and (keys or callable(spec)):
        fine |= np.isnan(values)
    if not fine.all():
        raise ValueError(f"{name} is not finite for every field; give a number for each of them.")
    return values.reshape(len(values), *(1,) * (1 + _ndim(shapes) - values.ndim), *values.shape[1:])


def _ndim(shapes: Shapes) -> int:
    return max(len(shape) for shape in shapes)


def numeric(values: Any, name: str) -> np.ndarray:
    """Return a float array, NaN where values are missing, or say whose values are no numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and array.ndim:
            missing = missing_values(array.ravel()).reshape(array.shape)
            array = np.where(missing, np.nan, array)
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numeric; got {type(values).__name__}.") from error


def _shaped(array: np.ndarray, shapes: Shapes) -> np.ndarray | None:
    """Give what comes after the first axis one of the shapes, if it has it or is it flattened."""
    for shape in ((1,), *shapes):
        if array.shape[1:] in (shape, (prod(shape),)):
            return array.reshape(len(array), *shape)
    return None


def one_a_field(values: Any, n_fields: int, shapes: Shapes, name: str) -> np.ndarray:
    """Return values that come with X as (n_samples or 1, *shape), or say what was expected."""
    array = numeric(values, name)
    if array.ndim == 0:
        return array.reshape(1, 1)
    if array.ndim == 1 and array.shape[0] == n_fields:
        return array[:, None]
    if array.ndim > 1 and array.shape[0] in (1, n_fields):
        shaped = _shaped(array, shapes)
        if shaped is not None:
            return shaped
    expected = [f"({', '.join(map(str, (n_fields, *s)))})" for s in shapes if prod(s) > 1]
    raise ValueError(
        f"{name} gives values of shape {array.shape}; expected ({n_fields},), one for each field"
        + (f", or {' or '.join(expected)}." if expected else ".")
    )


def _for_all_fields(spec: Any, shapes: Shapes, name: str) -> np.ndarray:
    array = numeric(spec, name)
    shaped = _shaped(array[None], shapes) if array.ndim else array.reshape(1, 1)
    if shaped is not None:
        return shaped
    if _ndim(shapes) == 1:
        meant = (
            f"the constraint has {prod(shapes[0])} row(s): an array holds one value for each "
            f"remaining index of the grid"
        )
    else:
        meant = f"an array must have shape {' or '.join(map(str, shapes))} here"
    raise ValueError(
        f"{name} has shape {array.shape}, but {meant}. For one value a sample use a column of X, "
        f"a callable of X, or predict(X, constraint_values=...)."
    )


def noise_error(found: np.ndarray, name: str, declared: Any) -> ValueError:
    """Say that these are no standard deviations of values that are known."""
    return ValueError(
        f"noise of constraint {name!r} is a standard deviation: it must be finite and not negative "
        f"where the value is known; got {declared!r}, which is {found[0]} there."
    )

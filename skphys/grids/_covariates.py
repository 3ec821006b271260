"""Columns of a long table besides the coordinates, known at all points of fields with nodes.

Rows are told by the number of their field. A missing value is that of the field's other rows, and a
column that varies along the field is linear between them.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.grids._checks import Vector
from skphys.grids._tables import (
    Layout,
    assign,
    column,
    describe_field,
    has_categories,
    is_frame,
    missing_values,
    replace_column,
    select,
    take,
)

Labels = NDArray[np.intp]
Mask = NDArray[np.bool_]


def completed(X: Any, labels: Labels, layout: Layout) -> tuple[Any, dict[int, Mask]]:
    """Fill missing values from other rows of their fields.

    Returns the table, a copy if anything was filled, and of each column that varies within fields
    in which ones it does. Raises if such a column cannot be interpolated. What no row of a field
    knows stays missing.
    """
    table, varying = X, {}
    own = layout.positions(X, layout.space + layout.by)
    for j in (j for j in range(X.shape[1]) if j not in own):
        missing, first, varies = _compared(column(X, j), labels)
        if varies.any():
            _check_interpolates(X, j, missing, first[int(np.argmax(varies))], layout)
            varying[j] = varies
        if missing.any():
            table = table.copy() if table is X and not is_frame(X) else table
            source = np.where(missing, first[labels], np.arange(len(labels)))
            table = replace_column(table, j, take(select(X, [j]), source))
            if (missing & varies[labels]).any():
                table = assign(table, j, _between_rows(table, j, labels, missing, varies, layout))
    return table, varying


def at_points(points: Vector, values: Vector, at: Vector) -> Vector:
    """Interpolate known values linearly; outside the points the nearest counts.

    Of a point that occurs more than once the mean counts.
    """
    nodes, node = np.unique(points, return_inverse=True)
    return np.interp(at, nodes, np.bincount(node, values) / np.bincount(node))


def _compared(values: NDArray[Any], labels: Labels) -> tuple[Mask, Labels, Mask]:
    """Return what is missing, and of each field its first row that is not, and whether it varies.

    If all rows of a field are missing, the first of them counts.
    """
    missing = missing_values(values)
    first = np.zeros(labels.max() + 1, dtype=np.intp)
    backwards = np.arange(len(values))[::-1]
    for rows in (backwards, backwards[~missing[::-1]]):
        first[labels[rows]] = rows  # of several rows the last one stays, which is the first
    if missing.any():
        values = values.astype(object)
        values[missing] = None
    varies = np.zeros(len(first), dtype=bool)
    varies[labels[~missing & (values != values[first[labels]])]] = True
    return missing, first, varies


def _between_rows(
    X: Any, j: int, labels: Labels, missing: Mask, varies: Mask, layout: Layout
) -> Vector:
    """Return a numeric column, interpolated where it was missing in fields in which it varies."""
    (space,) = layout.positions(X, layout.space)
    points = column(X, space).astype(np.float64)
    values = as_floats(column(X, j))
    for field in np.unique(labels[missing & varies[labels]]):
        rows = np.flatnonzero(labels == field)
        known, empty = rows[~missing[rows]], rows[missing[rows]]
        values[empty] = at_points(points[known], values[known], points[empty])
    return values


def as_floats(values: NDArray[Any]) -> Vector:
    """Return a float64 copy, NaN where a value is missing."""
    missing = missing_values(values)
    floats = np.full(len(values), np.nan)
    floats[~missing] = values[~missing]
    return floats


def _check_interpolates(X: Any, j: int, missing: Mask, row: int, layout: Layout) -> None:
    """Raise if a column that varies within the field of a row cannot be interpolated to nodes."""
    known = column(X, j)[~missing]
    if known.dtype.kind == "O":
        numeric = all(isinstance(v, Real) and not isinstance(v, bool) for v in known)
    else:
        numeric = known.dtype.kind in "iuf" and not has_categories(X, j)
    if numeric and len(layout.space) == 1:
        return
    by = select(take(X, np.array([row])), layout.positions(X, layout.by))
    field = describe_field(layout.by, by, 0)
    name = X.columns[j] if is_frame(X) else j
    reason = "it is interpolated along a single axis only" if numeric else "it holds no numbers"
    raise ValueError(
        f"column {name!r} varies within {field}, and {reason}, so its value "
        "at the nodes is not known; drop it, add it to `by`, or leave out `nodes` and query points "
        "that cover the domain."
    )

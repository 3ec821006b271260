"""Fields on other points of the same axes, by cubic splines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_interp_spline

from skphys.grids._axis import Axis
from skphys.grids._grid import Grid


def resample(fields: Any, grid: Grid, other: Grid) -> NDArray[np.float64]:
    """Interpolate fields from the points of a grid to those of another.

    Parameters
    ----------
    fields : array-like of shape (n, grid.n_points)
        Fields in C order.
    grid, other : Grid
        From where to where, with the same axes; outside the nodes of `grid` the nearest counts.

    Returns
    -------
    ndarray of shape (n, other.n_points)
        Of fourth order in the spacing, where the fields are smooth.
    """
    fields = np.asarray(fields, dtype=np.float64)
    values = fields.reshape(len(fields), *grid.shape)
    for number, (axis, new) in enumerate(
        zip(grid.axes.values(), other.axes.values(), strict=True), start=1
    ):
        if not np.array_equal(axis.points, new.points):
            values = _along(values, axis, new.points, number)
    return values.reshape(len(fields), -1)


def renamed(names: Sequence[str] | None, old: int, new: int, more: int) -> NDArray[Any] | None:
    """Return the names of columns when fields of `old` values have `new` ones, and all `more`.

    Fields are found by their names, a prefix and a running number; None where that does not
    explain how many columns there are more.
    """
    found: list[str] = []
    rest = list(() if names is None else names)
    while rest:
        prefix, digits = re.fullmatch(r"(.*?)(\d*)", str(rest[0]), re.DOTALL).groups()  # type: ignore[union-attr]
        own = [f"{prefix}{int(digits or 0) + k:0{len(digits)}d}" for k in range(max(old, new))]
        is_field = bool(digits) and rest[:old] == own[:old]
        found += own[:new] if is_field else rest[:1]
        rest = rest[old if is_field else 1 :]
    known = names is not None and len(found) == len(names) + more
    return np.asarray(found, dtype=object) if known else None


def _along(values: NDArray[Any], axis: Axis, points: Any, number: int) -> NDArray[Any]:
    if axis.size == 1:
        return np.repeat(values, len(points), axis=number)
    if axis.period is not None:
        nodes = np.append(axis.points, axis.points[0] + axis.period)
        closed = np.concatenate([values, values.take([0], axis=number)], axis=number)
        return CubicSpline(nodes, closed, axis=number, bc_type="periodic")(points)
    spline = make_interp_spline(axis.points, values, k=min(3, axis.size - 1), axis=number)
    ends = axis.points if axis.edges is None else axis.edges
    return spline(np.clip(points, ends[0], ends[-1]))

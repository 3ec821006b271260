"""Channels on a grid, and how the parameters of `GridFeatures` declare them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.grids import Components, Grid, shared_grid
from skphys.preprocessing._columns import Table, stem


@dataclass(frozen=True)
class Channel:
    """One channel: the columns of X that it is made of, and the axes that they run along.

    A scalar runs along no axis. A coordinate has no columns.
    """

    name: str
    columns: tuple[int, ...]
    along: tuple[str, ...]

    def fill(self, out: NDArray[Any], values: NDArray[Any] | None, grid: Grid) -> None:
        """Write the channel to `out` (n_samples, *grid.shape), repeated along the other axes."""
        if values is None:
            values = grid[self.along[0]][None]
        sizes = (grid.axes[name].size if name in self.along else 1 for name in grid.names)
        out[:] = values.reshape(len(values), *sizes)


def common_grid(grid: Grid | Components) -> Grid:
    """Return the grid that the channels live on; components must share theirs."""
    shared = shared_grid(grid)
    if shared is None:
        raise ValueError(
            f"Channels live on one Grid, so the components must share it; got {grid!r}. Give "
            f"GridFeatures the Grid of the channels, and the regressor behind it its own grid."
        )
    return shared


def declared_fields(
    fields: Any, along: Mapping[str, Any] | None, grid: Grid | None, table: Table
) -> list[Channel]:
    """Find the columns of each named field; without a grid, the fields are on unit cells."""
    if isinstance(fields, str):
        fields = [fields]
    if not isinstance(fields, Mapping):
        fields = {name: name for name in fields}
    axes = _axes_of(along or {}, fields, grid)
    return [
        Channel(name, table.field(name, selection), axes.get(name, grid.names if grid else ("x",)))
        for name, selection in fields.items()
    ]


def whole_table(grid: Any, table: Table, passthrough: Sequence[int]) -> list[Channel]:
    """Take all columns for one field, or for the components of the grid one after another."""
    columns = tuple(j for j in range(table.n_columns) if j not in set(passthrough))
    if not columns:
        raise ValueError("X has no columns besides those in passthrough, so there is no channel.")
    if not isinstance(grid, Components):
        name = stem(table.select(columns)) or "u"
        return [Channel(name, columns, ("x",) if grid is None else grid.names)]
    if len(columns) != grid.n_points:
        raise ValueError(_too_many(f"{grid!r}, with {grid.n_points} values in all", table, columns))
    names = common_grid(grid).names
    return [Channel(name, columns[where], names) for name, where in grid.slices.items()]


def check_sizes(channels: Sequence[Channel], grid: Grid, table: Table, named: bool) -> None:
    """Refuse fields that do not have one column for each point."""
    for channel in channels:
        size = math.prod(grid.axes[name].size for name in channel.along)
        if len(channel.columns) == size:
            continue
        if not named:
            raise ValueError(_too_many(repr(grid), table, channel.columns))
        over = f"along {', '.join(channel.along)}" if channel.along != grid.names else f"of {grid}"
        raise ValueError(
            f"field {channel.name!r} has {len(channel.columns)} columns, but there are {size} "
            f"points {over}; select one column for each point, in C order, name the axes that "
            f"the field runs along in `along`, or list single columns in `scalars`."
        )


def check_names(channels: Sequence[Channel]) -> None:
    """Refuse no channels at all, and two of the same name."""
    names = [channel.name for channel in channels]
    if not names:
        raise ValueError("There is no channel: name fields or scalars, or set coordinates=True.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two channels are named {twice[0]!r}; give the field another name in `fields`, or "
            f"list the coordinates to use in `coordinates` (an axis gives its channel its name)."
        )


def coordinate_channels(coordinates: Any, grid: Grid) -> list[Channel]:
    """Return one channel for each axis that is asked for."""
    if isinstance(coordinates, bool | np.bool_):
        wanted: Sequence[str] = grid.names if coordinates else ()
    else:
        wanted = [coordinates] if isinstance(coordinates, str) else coordinates
    return [Channel(_known(name, grid, "coordinates"), (), (name,)) for name in wanted]


def move(channel: Channel, columns: Mapping[int, tuple[int, ...]]) -> Channel:
    """Return the channel with other columns: those that the map gives its first column."""
    return replace(channel, columns=columns[channel.columns[0]] if channel.columns else ())


def _axes_of(
    along: Mapping[str, Any], fields: Mapping[str, Any], grid: Grid | None
) -> dict[str, tuple[str, ...]]:
    if along and grid is None:
        raise ValueError("along names axes of a grid: give GridFeatures a grid.")
    found = {}
    for name, axes in along.items():
        if name not in fields:
            raise ValueError(f"along has {name!r}, which is no field; they are {list(fields)}.")
        assert grid is not None
        wanted = {axes} if isinstance(axes, str) else set(axes)
        for axis in wanted:
            _known(axis, grid, f"along[{name!r}]")
        found[name] = tuple(axis for axis in grid.names if axis in wanted)
    return found


def _known(axis: str, grid: Grid, parameter: str) -> str:
    if axis not in grid:
        raise ValueError(f"{parameter} has the unknown axis {axis!r}; they are {list(grid)}.")
    return axis


def _too_many(grid: str, table: Table, columns: Sequence[int]) -> str:
    return (
        f"X has {len(columns)} columns besides those in passthrough ({table.describe(columns)}), "
        f"which are not one field on {grid}; say which columns are what with `fields` and "
        f"`scalars`."
    )

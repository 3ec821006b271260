"""The same table with its fields on another grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from skphys.grids import Grid
from skphys.preprocessing._channels import Channel
from skphys.preprocessing._columns import Table, field_names, stem


def refine(channels: Sequence[Channel], singles: Sequence[int], grid: Grid, table: Table) -> tuple:
    """Give each field as many columns as it has on the grid, in the place of its old ones.

    Parameters
    ----------
    channels : sequence of Channel
        Fields, scalars and coordinates.
    singles : sequence of int
        Columns that are carried as they are.
    grid : Grid
        The new grid.
    table : Table
        The old table.

    Returns
    -------
    moves : dict of int to tuple of int
        For the first column of each field and for any other single column: the new ones.
    table : Table
        The new table.
    """
    blocks = _blocks([channel for channel in channels if channel.columns and channel.along])
    inside = {j for block in blocks.values() for j in block.columns}
    kept = {j for channel in channels if not channel.along for j in channel.columns} | set(singles)
    if inside & kept:
        raise ValueError(
            f"column {table.select(sorted(inside & kept)) or sorted(inside & kept)} belongs to a "
            f"field and is used on its own too, so another grid leaves it undefined."
        )
    moves: dict[int, tuple[int, ...]] = {}
    names: list[str] = []
    start = 0
    for j in range(table.n_columns):
        if j in inside and j not in blocks:
            continue
        block = blocks.get(j)
        size = 1 if block is None else math.prod(grid.axes[name].size for name in block.along)
        moves[j] = tuple(range(start, start + size))
        names += table.select([j]) if block is None else _new_names(block, table, size)
        start += size
    return moves, Table(start, None if table.names is None else tuple(names))


def _blocks(fields: Sequence[Channel]) -> dict[int, Channel]:
    """Return the fields by their first column; each must have consecutive columns of its own."""
    blocks: dict[int, Channel] = {}
    for field in fields:
        if (np.diff(field.columns) != 1).any():
            raise ValueError(
                f"the columns of field {field.name!r} are not next to each other in X, so there "
                f"is no telling where they are on another grid; put them side by side."
            )
        blocks.setdefault(field.columns[0], field)
    used = [j for block in blocks.values() for j in block.columns]
    agree = all(
        (f.columns, f.along) == (blocks[f.columns[0]].columns, blocks[f.columns[0]].along)
        for f in fields
    )
    if not agree or len(set(used)) < len(used):
        raise ValueError("fields share columns in part, so another grid leaves them undefined.")
    return blocks


def _new_names(field: Channel, table: Table, size: int) -> list[str]:
    if table.names is None:
        return []
    prefix = stem(table.select(field.columns))
    if prefix is None:
        raise ValueError(
            f"the columns of field {field.name!r} are not named <prefix>_0, <prefix>_1, ..., so "
            f"their names on another grid are not known; rename them, or pass arrays."
        )
    return field_names(prefix, size)

"""Reading of `ColumnGrid`'s parameters: columns, domains and nodes, in each accepted form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector, as_numbers, naming
from skphys.grids._geometry import Domain, rounding
from skphys.grids._tables import Key


def column_keys(value: Any, name: str) -> tuple[Key, ...]:
    """Return columns given as one name or position, or as a list of them."""
    values = [value] if isinstance(value, str | Integral) else value
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name} must be a column name or position, or a list, got {value!r}.")
    keys = tuple(int(v) if isinstance(v, Integral) else v for v in values)
    for given, key in zip(values, keys, strict=True):
        if isinstance(given, bool) or not isinstance(key, str | int):
            raise TypeError(f"{name} holds {given!r}, which is neither a column name nor position.")
        if isinstance(key, int) and key < 0:
            raise ValueError(f"{name} holds {key}; positions count from 0.")
    return keys


def check_columns(space: tuple[Key, ...], by: tuple[Key, ...]) -> None:
    """Raise unless there are coordinates, and all columns differ."""
    if not space:
        raise ValueError("space must name at least one column, got none.")
    both = space + by
    twice = [key for key in both if both.count(key) > 1]
    if twice:
        raise ValueError(f"space and by must name different columns, got {twice[0]!r} twice.")


def read_domain(value: Any, space: tuple[Key, ...], *, degenerate: bool = False) -> Domain:
    """Return ``{column: (low, high)}`` in the order of `space`."""
    if not isinstance(value, Mapping) and len(space) == 1:
        value = [value] if as_numbers(value, "domain").ndim == 1 else value
    pairs = _by_column(value, space, "domain", "(low, high)")
    domain = {}
    for key, pair in pairs.items():
        ends = as_numbers(pair, f"domain of {key!r}")
        if ends.shape != (2,) or ends[0] > ends[1] or (ends[0] == ends[1] and not degenerate):
            raise ValueError(
                f"domain of {key!r} must be (low, high) with low < high, got {pair!r}."
            )
        domain[key] = (float(ends[0]), float(ends[1]))
    return domain


def read_nodes(value: Any, space: tuple[Key, ...]) -> list[Vector]:
    """Return the nodes of each axis in the order of `space`."""
    if not isinstance(value, Mapping) and len(space) == 1:
        nested = isinstance(value, list | tuple) and len(value) == 1 and np.ndim(value[0])
        value = value if nested else [value]
    nodes = []
    for key, values in _by_column(value, space, "nodes", "an array").items():
        with naming(f"nodes of {key!r}"):
            axis = Axis(values)
            if axis.size < 2:
                raise ValueError(f"at least 2 nodes are needed, got {axis.size}.")
        nodes.append(axis.points)
    return nodes


def check_nodes(nodes: Sequence[Vector], domain: Domain) -> None:
    """Raise unless the nodes span the domain, no more and no less."""
    for axis, (key, (low, high)) in zip(nodes, domain.items(), strict=True):
        if max(abs(axis[0] - low), abs(axis[-1] - high)) > rounding(low, high):
            raise ValueError(
                f"nodes of {key!r} must span the domain [{low:g}, {high:g}], since the law "
                f"acts on them, but they span [{axis[0]:g}, {axis[-1]:g}]; put nodes on its ends."
            )


def _by_column(value: Any, space: tuple[Key, ...], name: str, what: str) -> dict[Key, Any]:
    if isinstance(value, Mapping):
        if set(value) != set(space):
            raise ValueError(
                f"{name} must give {what} for each column of space={list(space)}, got "
                f"{sorted(value, key=str)}."
            )
        return {key: value[key] for key in space}
    if not hasattr(value, "__len__") or len(value) != len(space):
        raise ValueError(
            f"{name} must be a list (or a dict) with {what} for each column of "
            f"space={list(space)}, got {value!r}."
        )
    return dict(zip(space, value, strict=True))

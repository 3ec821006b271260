"""Columns of a table by name or by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from skphys.grids import locate

SHOWN = 6  # columns that an error lists


@dataclass(frozen=True)
class Table:
    """How many columns a table has, and their names if it has any."""

    n_columns: int
    names: tuple[str, ...] | None

    def position(self, key: Any, parameter: str) -> int:
        """Return the position of a column."""
        if isinstance(key, bool) or not isinstance(key, (str, int, np.integer)):
            raise TypeError(
                f"{parameter} must hold names or positions of columns; got {key!r} of type "
                f"{type(key).__name__}."
            )
        found = locate(key, self.n_columns, self.names)
        if isinstance(found, int):
            return found
        if found == "outside":
            raise ValueError(
                f"{parameter} has the position {key}, but X has {self.n_columns} columns."
            )
        self._require_names(key, parameter)
        if found == "ambiguous":
            raise ValueError(f"{parameter} has {key!r}, which several columns of X are named.")
        close = get_close_matches(str(key), self.names or (), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "check its spelling."
        raise ValueError(
            f"{parameter} has {key!r}, which is no column of X; "
            f"X has {self.describe(range(self.n_columns))}: {hint}"
        )

    def positions(self, keys: Any, parameter: str) -> tuple[int, ...]:
        """Return the positions of columns: a single one, a list or a slice of positions."""
        if keys is None:
            return ()
        if isinstance(keys, slice):
            return tuple(range(self.n_columns)[keys])
        single = isinstance(keys, str | int | np.integer)
        found = tuple(self.position(key, parameter) for key in ([keys] if single else keys))
        if len(set(found)) < len(found):
            raise ValueError(f"{parameter} has a column twice: {keys!r}.")
        return found

    def field(self, name: str, selection: Any) -> tuple[int, ...]:
        """Return the columns of a field; a string is the prefix of their names."""
        parameter = f"fields[{name!r}]"
        if not isinstance(selection, str):
            return self.positions(selection, parameter)
        self._require_names(selection, parameter)
        pattern = re.compile(re.escape(selection) + r"_(\d+)")
        found = {
            int(match[1]): j
            for j, column in enumerate(self.names or ())
            if (match := pattern.fullmatch(column))
        }
        missing = next((i for i in range(len(found)) if i not in found), None)
        if not found or missing is not None:
            raise ValueError(
                f"{parameter} wants the columns {selection}_0, {selection}_1, ..., but "
                f"'{selection}_{missing or 0}' is unknown; "
                f"X has {self.describe(range(self.n_columns))}."
            )
        return tuple(found[i] for i in range(len(found)))

    def select(self, columns: Sequence[int]) -> list[str]:
        """Return the names of columns, none if there are none."""
        return [] if self.names is None else [self.names[j] for j in columns]

    def describe(self, columns: Sequence[int]) -> str:
        """Say what columns there are, in few words."""
        names = [repr(name) for name in self.select(columns)]
        if not names:
            return f"{len(columns)} columns without names"
        if len(names) > SHOWN:
            names = [*names[: SHOWN - 2], "...", names[-1]]
        return f"the columns {', '.join(names)}"

    def _require_names(self, key: Any, parameter: str) -> None:
        if self.names is None:
            raise ValueError(
                f"{parameter} has the name {key!r}, but X has no column names; give positions, "
                f"e.g. fields={{'u0': slice(0, 64)}}, scalars=[64], or X as a data frame."
            )


def stem(names: Sequence[str]) -> str | None:
    """Return what comes before "_0", "_1", ... in the names of a field's columns, or None."""
    first = names[0].removesuffix("_0") if names else ""
    return first if first and list(names) == field_names(first, len(names)) else None


def field_names(prefix: str, n: int) -> list[str]:
    """Return the names of a field's columns."""
    return [f"{prefix}_{i}" for i in range(n)]

"""Series of which some are sums of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints.base import Constraint
from skphys.grids import Grid


class Hierarchy(Constraint):
    """Aggregates are the sums of their parts.

    A field holds one value for each series: first the aggregates, level by level, then the bottom
    series. Hierarchies and groups that cross are both sums of bottom series.

    Parameters
    ----------
    groups : DataFrame or dict of str to array-like
        One row a bottom series, one column for each property, such as a state and a purpose.
    levels : sequence of sequence of str
        The columns that name the aggregates of each level; ``[]`` is the total of all.
    noise : float or array of shape (n_aggregates,), default=0.0
        Standard deviation of what an aggregate may differ by from its sum; 0 makes them equal.

    See Also
    --------
    LinearEquality : Any linear statement, with a matrix of one's own.

    Examples
    --------
    >>> from skphys.constraints import Hierarchy
    >>> shops = {"city": ["Rome", "Rome", "Oslo"], "kind": ["books", "tea", "tea"]}
    >>> law = Hierarchy(shops, levels=[[], ["city"], ["kind"]])
    >>> law.names
    ['total', 'Oslo', 'Rome', 'books', 'tea', 'Rome/books', 'Rome/tea', 'Oslo/tea']
    >>> law.summing_matrix().toarray().astype(int)
    array([[1, 1, 1],
           [0, 0, 1],
           [1, 1, 0],
           [1, 0, 0],
           [0, 1, 1],
           [1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """

    def __init__(self, groups: Any, levels: Sequence[Sequence[str]], noise: Any = 0.0) -> None:
        self.groups = groups
        self.levels = levels
        self.noise = noise

    @property
    def names(self) -> list[str]:
        """Names of all series, in the order of a field: properties joined by "/".

        A ValueError says which name two series would have.
        """
        self._n_bottoms()
        names = [name for level in self.levels for name in self._level(level)[0]]
        names += map("/".join, self._bottoms(list(self.groups)))
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            at = [k for k, name in enumerate(names) if name == twice[0]]
            raise ValueError(
                f"Series {at} would all be called {twice[0]!r}. Let each level and each line of "
                f"groups occur once, by another column where lines are alike, and let no value be "
                f"in two columns, nor hold a '/' that makes it read like two."
            )
        return names

    def summing_matrix(self) -> sparse.csr_array:
        """Return which bottom series each series sums.

        Returns
        -------
        csr_array of shape (n_series, n_bottoms)
            All series are it times the bottom ones.

        Raises
        ------
        ValueError
            If a level names a column that `groups` lacks.
        """
        parts = []
        n_bottoms = self._n_bottoms()
        for level in self.levels:
            names, number = self._level(level)
            entries = np.ones(n_bottoms), (number, np.arange(n_bottoms))
            parts.append(sparse.csr_array(entries, shape=(len(names), n_bottoms)))
        return sparse.vstack([*parts, sparse.eye_array(n_bottoms)], format="csr")

    def rows(self, grid: Grid) -> sparse.csr_array:
        """Return one row for each aggregate: it less its parts.

        Parameters
        ----------
        grid : Grid
            With as many points as there are series.

        Returns
        -------
        csr_array of shape (n_aggregates, n_series)
            Of 1 and -1.

        Raises
        ------
        ValueError
            If the grid has another number of points.
        """
        sums = self.summing_matrix()
        n_series, n_bottoms = sums.shape
        if grid.n_points != n_series:
            raise ValueError(
                f"The hierarchy has {n_series} series, {n_series - n_bottoms} aggregates and "
                f"{n_bottoms} bottom ones, but a field has {grid.n_points} values; make y of the "
                f"bottom series: y = bottoms @ law.summing_matrix().T."
            )
        n_aggregates = n_series - n_bottoms
        above = sums[:n_aggregates]
        return sparse.hstack([sparse.eye_array(n_aggregates), -above], format="csr")

    def _bottoms(self, columns: list[str]) -> list[tuple[str, ...]]:
        """Return some properties of each bottom series."""
        lacking = [name for name in columns if name not in self.groups]
        if lacking:
            raise ValueError(
                f"levels name the column {lacking[0]!r}, but groups has {list(self.groups)}."
            )
        chosen = [np.asarray(self.groups[name]).astype(str) for name in columns]
        if not chosen:
            return [()] * len(self.groups[next(iter(self.groups))])
        return list(zip(*chosen, strict=True))

    def _n_bottoms(self) -> int:
        """Return the number of bottom series, after a check of the table."""
        if not hasattr(self.groups, "keys"):
            raise TypeError(
                f"groups must be a DataFrame, or a dict of columns, with a line for each bottom "
                f"series; got {type(self.groups).__name__}."
            )
        if not isinstance(self.levels, Iterable) or isinstance(self.levels, str):
            raise TypeError(
                f"levels must be a list of lists of columns, such as [[], ['state']]; got "
                f"{self.levels!r}."
            )
        columns = {name: np.asarray(self.groups[name]) for name in self.groups}
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) != 1 or not min(sizes.values()):
            raise ValueError(
                f"groups must be a table with a line for each bottom series, with columns of the "
                f"same length; got the lengths {sizes}."
            )
        for name, column in columns.items():
            lacking = [k for k, value in enumerate(column) if value is None or value != value]
            if lacking:
                raise ValueError(
                    f"The column {name!r} of groups says nothing of bottom series {lacking[0]}; "
                    f"give it a group of its own."
                )
        return next(iter(sizes.values()))

    def _level(self, level: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Return the names of a level's aggregates, and to which each bottom series belongs."""
        if isinstance(level, str) or not isinstance(level, Iterable):
            raise ValueError(f"Each of levels is a list of columns: [{level!r}]; got {level!r}.")
        keys = self._bottoms(list(level))
        names = sorted(set(keys))
        number = {key: k for k, key in enumerate(names)}
        return ["/".join(k) or "total" for k in names], np.array([number[key] for key in keys])

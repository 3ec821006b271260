"""Fields in a long table: one row a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._checks import IncompleteFieldError, Vector, naming
from skphys.grids._column_options import (
    check_columns,
    check_nodes,
    column_keys,
    read_domain,
    read_nodes,
)
from skphys.grids._covariates import completed
from skphys.grids._field_group import FieldGroup
from skphys.grids._geometry import (
    Domain,
    check_covers,
    check_inside,
    fields_by_geometry,
    join_codes,
    tensor_axes,
)
from skphys.grids._grid import Grid
from skphys.grids._interpolation import interpolation_matrix
from skphys.grids._tables import (
    Key,
    Layout,
    as_table,
    codes,
    describe_field,
    is_frame,
    numbers,
    select,
    take,
)


class ColumnGrid:
    """The fields of a long table, whose rows are points.

    Rows that share the `by` columns are the points of one field, in any order. Without
    `nodes`, the points of a field are its grid, so they must cover the domain. With `nodes`,
    the grid is the nodes, the same for every field, and the rows may lie anywhere in the domain.
    Other columns are covariates. With `nodes` they must be known there: see `complete` for missing
    values, and `FieldGroup.rows` for those that vary along a field.

    Parameters
    ----------
    space : str, int or list of these
        The coordinates: columns by name or by position. The points of a field over several
        columns form a tensor product, in any order of rows.
    by : str, int or list of these, default=None
        The columns that tell the fields apart; None takes all columns but those of `space`.
    domain : (low, high), dict or list of pairs, default=None
        What a field extends over, for each column of `space`. None takes the range of the
        table that the model is fitted on, or of the nodes.
    nodes : array-like, dict or list of arrays, default=None
        Quadrature nodes for each column of `space`, on which the law acts. They span the domain.

    See Also
    --------
    Grid : For tables with one row a field.

    Notes
    -----
    The axes of the grids carry the names of the columns; a column given by position ``i`` makes
    the axis ``"x<i>"``.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import ColumnGrid
    >>> table = np.array([[0.1, 0.0], [0.2, 1.0], [0.1, 0.5], [0.2, 0.0], [0.1, 1.0]])
    >>> grid = ColumnGrid(space=1, by=0, domain=(0, 1))
    >>> for group in grid.split(table):
    ...     print(group.grid, group.by.tolist(), group.index.tolist())
    Grid(x1=3 nodes in [0, 1]) [[0.1]] [[0, 2, 4]]
    Grid(x1=2 nodes in [0, 1]) [[0.2]] [[3, 1]]
    """

    def __init__(self, space: Any, by: Any = None, domain: Any = None, nodes: Any = None) -> None:
        self.space = space
        self.by = by
        self.domain = domain
        self.nodes = nodes
        self._space = column_keys(space, "space")
        self._by = () if by is None else column_keys(by, "by")
        check_columns(self._space, self._by)
        self._domain = None if domain is None else read_domain(domain, self._space)
        self._nodes = None if nodes is None else self._grid(read_nodes(nodes, self._space))
        if self._nodes is not None and self._domain is not None:
            check_nodes(_axis_points(self._nodes), self._domain)

    def learn_domain(
        self, X: Any, *, feature_names: Sequence[str] | None = None
    ) -> dict[Key, tuple[float, float]]:
        """Return what the fields extend over.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            The table that the model is fitted on.
        feature_names : sequence of str, default=None
            Names of the columns of an array.

        Returns
        -------
        dict of column to (low, high)
            The domain where it was given, else the range of the nodes, else that of the table.

        Examples
        --------
        >>> from skphys.grids import ColumnGrid
        >>> ColumnGrid(space=0).learn_domain([[0.5], [0.0], [2.0]])
        {0: (0.0, 2.0)}
        """
        if self._domain is not None:
            return dict(self._domain)
        if self._nodes is not None:
            axes = _axis_points(self._nodes)
        else:
            axes = list(self._coordinates(as_table(X), self._layout(feature_names)).T)
        return {
            key: (float(axis.min()), float(axis.max()))
            for key, axis in zip(self._space, axes, strict=True)
        }

    def labels(self, X: Any, *, feature_names: Sequence[str] | None = None) -> NDArray[np.intp]:
        """Number the fields of a table.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            One row a point, in any order.
        feature_names : sequence of str, default=None
            Names of the columns of an array.

        Returns
        -------
        ndarray of int of shape (n_rows,)
            The field that each row belongs to; groups for cross-validation.

        Examples
        --------
        >>> from skphys.grids import ColumnGrid
        >>> ColumnGrid(space=1, by=0).labels([[7.0, 0.1], [3.0, 0.2], [7.0, 0.3]])
        array([1, 0, 1])
        """
        X = as_table(X)
        return self._labels(X, self._layout(feature_names, X))

    def complete(self, X: Any, *, feature_names: Sequence[str] | None = None) -> Any:
        """Fill missing covariates of fields with nodes from other rows of the same field.

        Where the field's other values agree that is their value. Where they vary it is linear
        between the nearest rows that are known, and outside them the nearest counts; of rows at
        one point their mean counts. What no row of a field knows stays missing.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            One row a point, in any order.
        feature_names : sequence of str, default=None
            Names of the columns of an array.

        Returns
        -------
        array or data frame
            The table as it is without `nodes`, or if nothing is missing; else a copy.

        Raises
        ------
        ValueError
            If a covariate varies within a field, and is not numeric or there are several columns
            in `space`. Between scattered points of a plane there is no interpolation that does not
            depend on the units of the axes, and none for the few rows that a query may have.

        Examples
        --------
        >>> import numpy as np
        >>> from skphys.grids import ColumnGrid
        >>> table = [[0.0, 3.0, 1.0], [0.5, np.nan, np.nan], [1.0, 3.0, 2.0]]
        >>> ColumnGrid(space=0, by=[], nodes=[0, 1]).complete(table)
        array([[0. , 3. , 1. ],
               [0.5, 3. , 1.5],
               [1. , 3. , 2. ]])
        """
        if self._nodes is None:
            return X
        X = as_table(X)
        layout = self._layout(feature_names, X)
        return completed(X, self._labels(X, layout), layout)[0]

    def split(
        self,
        X: Any,
        *,
        domain: Mapping[Key, tuple[float, float]] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> list[FieldGroup]:
        """Find the fields of a table; those with equal points make one group.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            One row a point, in any order.
        domain : dict of column to (low, high), default=None
            What each field must cover where the constructor gave neither domain nor nodes; see
            `learn_domain`. None does not check.
        feature_names : sequence of str, default=None
            Names of the columns of an array.

        Returns
        -------
        list of FieldGroup
            Every row of the table is in exactly one of them, once.

        Raises
        ------
        ValueError
            If a column is unknown or not finite, or a field has a repeated point or a single
            one, is not a tensor product, or does not fit the domain.

        Examples
        --------
        >>> import numpy as np
        >>> from skphys.grids import ColumnGrid
        >>> grid = ColumnGrid(space=0, nodes=np.linspace(0, 1, 5))
        >>> (group,) = grid.split([[0.3], [0.1]])
        >>> group.grid, group.index
        (Grid(x0=5 nodes in [0, 1]), array([[1, 0]]))
        """
        X = as_table(X)
        layout = self._layout(feature_names, X)
        space = self._coordinates(X, layout)
        by = layout.positions(X, layout.by)
        learned = None if domain is None else read_domain(domain, self._space, degenerate=True)
        groups = []
        for index in fields_by_geometry(space, self._labels(X, layout)):
            table = select(take(X, index[:, 0]), by)
            with naming(describe_field(layout.by, table, 0)):
                grid, interpolation = self._geometry(space[index[0]], learned)
            groups.append(FieldGroup(grid, index, table, interpolation, layout))
        return groups

    def _geometry(self, points: Vector, learned: Domain | None) -> tuple[Grid, csr_array | None]:
        """Return the grid of a field with sorted points, and its interpolation to them."""
        if self._nodes is not None:
            check_inside(points, self.learn_domain(None), "that of the nodes")
            return self._nodes, interpolation_matrix(_axis_points(self._nodes), points)
        if self._domain is not None:
            check_inside(points, self._domain, "as given to ColumnGrid")
        axes = tensor_axes(points, self._space)
        if self._domain is not None:
            check_covers(axes, self._domain, "as given to ColumnGrid")
        elif learned is not None:
            check_covers(axes, learned, "the range of the table it was fitted on")
        return self._grid(axes), None

    def _grid(self, axes: Sequence[Vector]) -> Grid:
        return Grid(**dict(zip(self.names, axes, strict=True)))

    def _coordinates(self, X: Any, layout: Layout) -> Vector:
        positions = layout.positions(X, self._space)
        columns = [numbers(X, j, key) for j, key in zip(positions, self._space, strict=True)]
        return np.column_stack(columns)

    @staticmethod
    def _labels(X: Any, layout: Layout) -> NDArray[np.intp]:
        positions = layout.positions(X, layout.by)
        keys = [codes(X, j, key) for j, key in zip(positions, layout.by, strict=True)]
        return join_codes(keys, X.shape[0])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes of the fields' grids."""
        return tuple(key if isinstance(key, str) else f"x{key}" for key in self._space)

    def outside(self, X: Any, *, feature_names: Sequence[str] | None = None) -> str | None:
        """Say which row lies outside the domain that was given, or None.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            One row a point.
        feature_names : sequence of str, default=None
            Names of the columns of an array.
        """
        if self._domain is None and self._nodes is None:
            return None
        points = self._coordinates(as_table(X), self._layout(feature_names))
        source = "as given to ColumnGrid" if self._domain is not None else "that of its nodes"
        try:
            check_inside(points, self.learn_domain(None), source)
        except IncompleteFieldError as error:
            return str(error)
        return None

    @property
    def structure(self) -> tuple[Key, ...]:
        """The columns that `space` and `by` name."""
        return self._space + self._by

    def _layout(self, feature_names: Sequence[str] | None, X: Any = None) -> Layout:
        names = None if feature_names is None else tuple(feature_names)
        layout = Layout(self._space, self._by, names)
        if self.by is not None or X is None:
            return layout
        space = layout.positions(X, self._space)
        others = (j for j in range(X.shape[1]) if j not in space)
        return replace(layout, by=tuple(X.columns[j] if is_frame(X) else j for j in others))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnGrid):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self._space, self._by))

    def _values(self) -> tuple[Any, ...]:
        return self._space, self._by, self._domain, self._nodes

    def __repr__(self) -> str:
        parts = [f"space={self.space!r}"]
        parts += [f"by={self.by!r}"] if self._by else []
        parts += [f"domain={self.domain!r}"] if self._domain is not None else []
        if self._nodes is not None:
            parts.append(f"nodes=<{' x '.join(map(str, self._nodes.shape))}>")
        return f"ColumnGrid({', '.join(parts)})"


def _axis_points(grid: Grid) -> list[Vector]:
    return [axis.points for axis in grid.axes.values()]

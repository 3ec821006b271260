"""Fields of a long table that share their geometry, so that they are handled as a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._grid import Grid
from skphys.grids._tables import (
    Key,
    Layout,
    as_table,
    assign,
    column,
    is_frame,
    missing_values,
    position,
    select,
    take,
)


@dataclass(frozen=True, eq=False)
class FieldGroup:
    """Fields of a long table with equal geometry; `ColumnGrid.split` makes them.

    Attributes
    ----------
    grid : Grid
        The grid that a law acts on.
    index : ndarray of int of shape (n_fields, n_outputs)
        Row numbers of the caller's table: ``X[index[f]]`` are the output points of field
        ``f``, so that ``out[index] = values`` puts values back in the caller's order. Without
        nodes the points are in C order over `grid`.
    by : table of n_fields rows
        The columns that tell the fields apart, in the type of the table.
    interpolation : csr_array of shape (n_outputs, n_nodes) or None
        Piecewise multilinear weights from the nodes to the output points; None without nodes.

    See Also
    --------
    ColumnGrid : Splits a table into groups of fields.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import ColumnGrid
    >>> X = np.array([[0.0, 1.0], [5.0, 0.0], [0.0, 0.0], [5.0, 1.0]])
    >>> (group,) = ColumnGrid(space=1, by=0).split(X)
    >>> group.index
    array([[2, 0],
           [1, 3]])
    >>> group.by
    array([[0.],
           [5.]])
    """

    grid: Grid
    index: NDArray[np.intp]
    by: Any = field(repr=False)
    interpolation: csr_array | None = field(default=None, repr=False)
    _layout: Layout = field(default=Layout((), ()), repr=False)

    @property
    def n_fields(self) -> int:
        """Number of fields."""
        return self.index.shape[0]

    @property
    def n_outputs(self) -> int:
        """Number of the caller's rows in each field."""
        return self.index.shape[1]

    @property
    def n_nodes(self) -> int:
        """Number of quadrature nodes; 0 where the output points are the grid."""
        return 0 if self.interpolation is None else self.interpolation.shape[1]

    def rows(self, X: Any) -> Any:
        """Return the rows at which the backbone is evaluated.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            The table that was split.

        Returns
        -------
        table of n_fields * (n_nodes + n_outputs) rows
            Field by field, the nodes first and then the output points, in the type of `X`. At
            the nodes, the other columns are those of the field.

        Raises
        ------
        ValueError
            If there are nodes, and a column besides the coordinates varies within a field.

        Examples
        --------
        >>> from skphys.grids import ColumnGrid
        >>> X = [[0.0, 0.25], [7.0, 0.25]]
        >>> (group,) = ColumnGrid(space=1, by=0, nodes=[0, 1]).split(X)
        >>> group.rows(X)
        array([[0.  , 0.  ],
               [0.  , 1.  ],
               [0.  , 0.25],
               [7.  , 0.  ],
               [7.  , 1.  ],
               [7.  , 0.25]])
        """
        X = as_table(X)
        if not self.n_nodes:
            return take(X, self.index.ravel())
        rows = np.concatenate([np.repeat(self.index[:, :1], self.n_nodes, axis=1), self.index], 1)
        table = take(X, rows.ravel())
        self._check_constant(table)
        coordinates = self._layout.positions(X, self._layout.space)
        for j, nodes in zip(coordinates, self.grid.points.T, strict=True):
            values = column(table, j).reshape(rows.shape).astype(np.float64)
            values[:, : self.n_nodes] = nodes
            table = assign(table, j, values.ravel())
        return table

    def column(self, X: Any, key: Key) -> NDArray[Any]:
        """Return the value that a column has in each field.

        Parameters
        ----------
        X : array-like or data frame of shape (n_rows, n_columns)
            The table that was split.
        key : str or int
            Name or position of the column.

        Returns
        -------
        ndarray of shape (n_fields,)
            One value a field.

        Raises
        ------
        ValueError
            If the column varies within a field.

        Examples
        --------
        >>> from skphys.grids import ColumnGrid
        >>> X = [[0, 0.0, 3.5], [0, 1.0, 3.5]]
        >>> (group,) = ColumnGrid(space=1, by=0).split(X)
        >>> group.column(X, 2)
        array([3.5])
        """
        X = as_table(X)
        picked = take(select(X, [position(X, key, self._layout.names)]), self.index.ravel())
        values = column(picked, 0).reshape(self.index.shape)
        varies = _varies(values)
        if varies.any():
            f = int(np.argmax(varies))
            raise ValueError(
                f"column {key!r} must have one value for each field, but it varies within "
                f"{self.describe(f)}: {list(dict.fromkeys(values[f].tolist()))[:3]}, ..."
            )
        return values[:, 0]

    def describe(self, f: int) -> str:
        """Name a field by the columns that tell it apart.

        Parameters
        ----------
        f : int
            Number of the field in the group.

        Returns
        -------
        str
            For error messages.
        """
        return describe_field(self._layout.by, self.by, f)

    def _check_constant(self, table: Any) -> None:
        """Raise if a column of the fields' rows varies, which is no coordinate."""
        own = self._layout.positions(table, self._layout.space + self._layout.by)
        for j in sorted(set(range(table.shape[1])).difference(own)):
            varies = _varies(column(table, j).reshape(self.n_fields, -1))
            if varies.any():
                name = table.columns[j] if is_frame(table) else j
                raise ValueError(
                    f"column {name!r} varies within {self.describe(int(np.argmax(varies)))}, so "
                    "its value at the nodes is not known; drop it, add it to `by`, or leave out "
                    "`nodes` and query points that cover the domain."
                )


def describe_field(keys: tuple[Key, ...], by: Any, f: int) -> str:
    """Name row `f` of a table of `by` columns."""
    values = (f"{key}={column(by, j)[f]}" for j, key in enumerate(keys))
    return f"the field {', '.join(values)}" if keys else "the field"


def _varies(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows hold more than one value; a missing value equals a missing value."""
    missing = missing_values(values.ravel()).reshape(values.shape)
    if missing.any():
        values = values.astype(object)
        values[missing] = None
    return (values != values[:, :1]).any(axis=1)

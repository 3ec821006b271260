"""Fields of a long table that share their geometry, so that they are handled as a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._covariates import as_floats, at_points, completed
from skphys.grids._grid import Grid
from skphys.grids._tables import (
    Key,
    Layout,
    as_table,
    assign,
    column,
    describe_field,
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
            Field by field, the nodes first and then the output points, in the type of `X`. With
            nodes the other columns are completed, as by `ColumnGrid.complete`. At the nodes they
            are those of the field; numbers that vary along its single axis are interpolated
            linearly between its rows, and outside them the nearest row counts.

        Raises
        ------
        ValueError
            If there are nodes, and a column besides the coordinates varies within a field but
            cannot be interpolated.

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

        A covariate that varies along the field:

        >>> X = [[0.25, 2.0], [0.75, 4.0]]
        >>> (group,) = ColumnGrid(space=0, by=[], nodes=[0, 0.5, 1]).split(X)
        >>> group.rows(X)
        array([[0.  , 2.  ],
               [0.5 , 3.  ],
               [1.  , 4.  ],
               [0.25, 2.  ],
               [0.75, 4.  ]])
        """
        X = as_table(X)
        if not self.n_nodes:
            return take(X, self.index.ravel())
        own = np.arange(self.index.size).reshape(self.index.shape)
        labels = np.repeat(np.arange(self.n_fields), self.n_outputs)
        table, varying = completed(take(X, self.index.ravel()), labels, self._layout)
        rows = np.concatenate([np.repeat(own[:, :1], self.n_nodes, axis=1), own], axis=1)
        table = take(table, rows.ravel())
        coordinates = self._layout.positions(X, self._layout.space)
        points = column(table, coordinates[0])[self.n_nodes : rows.shape[1]].astype(np.float64)
        for j, varies in varying.items():
            values = as_floats(column(table, j)).reshape(rows.shape)
            for f in np.flatnonzero(varies):
                known = values[f, self.n_nodes :]
                values[f, : self.n_nodes] = at_points(points, known, self.grid.points[:, 0])
            table = assign(table, j, values.ravel())
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


def _varies(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which rows hold more than one value; a missing value equals a missing value."""
    missing = missing_values(values.ravel()).reshape(values.shape)
    if missing.any():
        values = values.astype(object)
        values[missing] = None
    return (values != values[:, :1]).any(axis=1)

"""Tensor-product grids with named axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector, naming
from skphys.grids._integrals import (
    as_axis,
    axis_weights,
    given_weights,
    monotone_error_bound,
    rules_by_axis,
)

Over = str | Sequence[str] | None


class Grid:
    """The tensor product of named axes; a field holds one value a point, in C order.

    A grid is immutable, compares by value and pickles.

    Parameters
    ----------
    **axes : array-like of shape (n,) or Axis
        One keyword an axis, in the order of the field's dimensions. An array holds nodes; an
        `Axis` says more (cell averages, periodicity).

    Attributes
    ----------
    axes : dict of str to Axis
        The axes, in order.

    See Also
    --------
    ColumnGrid : Finds the fields in a table with one row a point.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import Axis, Grid
    >>> grid = Grid(t=[0.0, 0.1], x=Axis.cells([0.0, 0.5, 1.0]))
    >>> grid
    Grid(t=2 nodes in [0, 0.1], x=2 cells in [0, 1])
    >>> grid.integral_rows("x").toarray()
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """

    def __init__(self, /, **axes: Any) -> None:
        if not axes:
            raise ValueError("Grid needs at least one axis, e.g. Grid(x=np.linspace(0, 1, 64)).")
        self._axes = {name: as_axis(name, values) for name, values in axes.items()}
        self._names = tuple(self._axes)
        self._shape = tuple(axis.size for axis in self._axes.values())
        self._n_points = math.prod(self._shape)

    @classmethod
    def unit(cls, n: int) -> Grid:
        """Build `n` unit cells along one axis "x": the grid meant where none is given.

        Parameters
        ----------
        n : int
            Number of cells.

        Returns
        -------
        Grid
            The integral of a field over it is the sum of its values.

        Examples
        --------
        >>> from skphys.grids import Grid
        >>> Grid.unit(3).weights()
        array([1., 1., 1.])
        """
        return cls(x=Axis.cells(np.arange(n + 1)))

    @classmethod
    def from_xarray(cls, array: Any, dims: Any = None) -> Any:
        """Build the grid of the coordinates of a labelled array.

        Parameters
        ----------
        array : DataArray or Dataset
            Of xarray. Coordinates may decrease, or be dates; axes increase, and count seconds.
        dims : sequence of str, default=None
            The dimensions that a field has, in order; None takes all.

        Returns
        -------
        Grid, Mesh or Components
            As `XarrayFields` has it, which also turns values into rows, and back.
        """
        from skphys.grids._xarray import XarrayFields

        return XarrayFields(list(array.dims) if dims is None else dims).fit(array).grid_

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes by name, in order."""
        return dict(self._axes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return self._names

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return self._shape

    @property
    def n_points(self) -> int:
        """Number of points of a field."""
        return self._n_points

    @property
    def n_axes(self) -> int:
        """Number of axes."""
        return len(self._names)

    @property
    def points(self) -> Vector:
        """Coordinates of all points in C order, shape (n_points, n_axes); built on each call."""
        mesh = np.meshgrid(*(axis.points for axis in self._axes.values()), indexing="ij")
        return np.stack([coordinate.ravel() for coordinate in mesh], axis=-1)

    def remaining(self, over: Over = None) -> tuple[str, ...]:
        """Name the axes that an integral leaves.

        Parameters
        ----------
        over : str or sequence of str, default=None
            Axes to integrate over; None is all of them.

        Returns
        -------
        tuple of str
            The axes not integrated over, in grid order.

        Examples
        --------
        >>> from skphys.grids import Grid
        >>> Grid(t=[0, 1], x=[0, 1], y=[0, 1]).remaining("x")
        ('t', 'y')
        """
        integrated = self._integrated(over)
        return tuple(name for name in self._axes if name not in integrated)

    def weights(self, over: Over = None, quadrature: Any = None) -> Vector:
        """Return the quadrature weights over some axes.

        Parameters
        ----------
        over : str or sequence of str, default=None
            Axes to integrate over; None is all of them.
        quadrature : str, dict or array-like, default=None
            None takes each axis's default rule. A name ("trapezoid", "midpoint", "simpson")
            holds for all axes in `over`. A dict gives a rule or an array of weights for an
            axis, the others keep their default. An array holds the weights themselves, one
            for each point of the axes in `over`, shaped or flattened in grid order.

        Returns
        -------
        ndarray of shape (n_integrated,)
            One weight for each point of the integrated axes, in C order, axes in grid order.

        Raises
        ------
        ValueError
            If an axis or a rule is unknown, does not fit, or weights have the wrong length.

        Examples
        --------
        >>> from skphys.grids import Grid
        >>> Grid(t=[0, 1, 2], x=[0, 2]).weights(quadrature={"t": [1, 0, 0]})
        array([1., 1., 0., 0., 0., 0.])
        """
        names = self._integrated(over)
        if quadrature is not None and not isinstance(quadrature, str | Mapping):
            return given_weights(quadrature, names, [self._axes[name].size for name in names])
        vectors = [
            self._axis_weights(name, rule) for name, rule in rules_by_axis(quadrature, names)
        ]
        return reduce(lambda left, right: np.multiply.outer(left, right).ravel(), vectors)

    def integral_rows(self, over: Over = None, quadrature: Any = None) -> csr_array:
        """State the integral over some axes as sparse rows acting on a field.

        Parameters
        ----------
        over : str or sequence of str, default=None
            Axes to integrate over; None is all of them.
        quadrature : str, dict or array-like, default=None
            As in `weights`.

        Returns
        -------
        csr_array of shape (n_remaining, n_points)
            One row for each index of the remaining axes, in C order.

        Examples
        --------
        >>> from skphys.grids import Grid
        >>> Grid(x=[0, 1, 3]).integral_rows().toarray()
        array([[0.5, 1.5, 1. ]])
        """
        weights = self.weights(over, quadrature)
        columns = self._columns(self._integrated(over))
        n_rows, width = columns.shape
        indptr = np.arange(n_rows + 1) * width
        entries = (np.tile(weights, n_rows), columns.ravel(), indptr)
        return csr_array(entries, shape=(n_rows, self.n_points))

    def reshape(self, fields: Any) -> NDArray[Any]:
        """Give flat fields the shape of the grid.

        Parameters
        ----------
        fields : array-like of shape (..., n_points)
            Flat fields.

        Returns
        -------
        ndarray of shape (..., *shape)
            A view where possible.

        Examples
        --------
        >>> import numpy as np
        >>> from skphys.grids import Grid
        >>> Grid(t=[0, 1, 2], x=[0, 1]).reshape(np.zeros((5, 6))).shape
        (5, 3, 2)
        """
        fields = np.asarray(fields)
        if fields.ndim == 0 or fields.shape[-1] != self.n_points:
            raise ValueError(
                f"fields must have {self.n_points} values on the last axis, one for each point "
                f"of {self!r}; got shape {fields.shape}."
            )
        return fields.reshape(*fields.shape[:-1], *self.shape)

    def quadrature_error_bound(
        self, fields: Any, over: Over = None, quadrature: Any = None
    ) -> Vector:
        """Bound the error of the integral of sampled fields that are monotone between nodes.

        Between neighbouring nodes at distance ``h`` a monotone function stays between its two
        values, so the trapezoid misses its integral by at most ``h |du| / 2``. Cell averages
        are integrated without error. Bounds along several axes add up.

        Parameters
        ----------
        fields : array-like of shape (n_samples, n_points)
            Values of the fields.
        over : str or sequence of str, default=None
            Axes of the integral; None is all of them.
        quadrature : str, dict or array-like, default=None
            As in `weights`; it weighs the axes across the one that is bounded.

        Returns
        -------
        ndarray of shape (n_samples, n_remaining)
            Non-negative bounds, remaining indices in C order.

        Examples
        --------
        >>> from skphys.grids import Grid
        >>> Grid(x=[0.0, 0.5, 1.0]).quadrature_error_bound([[0.0, 1.0, 1.0]])
        array([[0.25]])
        """
        values = self.reshape(np.asarray(fields, dtype=np.float64)).reshape(-1, *self.shape)
        over = self._integrated(over)
        weights = np.abs(self.weights(over, quadrature))
        weights = weights.reshape([self._axes[name].size for name in over])
        positions = [self.names.index(name) for name in over]
        return monotone_error_bound(values, list(self._axes.values()), positions, weights)

    def _integrated(self, over: Over) -> tuple[str, ...]:
        """Names of the axes to integrate over, in grid order."""
        if over is None:
            return self.names
        several = isinstance(over, Iterable) and not isinstance(over, str)
        wanted = list(over) if several else [over]
        if not wanted or len(set(wanted)) < len(wanted):
            raise ValueError(
                f"over must name one or more different axes of {list(self.names)}, got {over!r}; "
                "None integrates over all of them."
            )
        for name in wanted:
            if name not in self._axes:
                raise ValueError(
                    f"over={over!r} names the unknown axis {name!r}; the axes are "
                    f"{list(self._axes)}."
                )
        return tuple(name for name in self._axes if name in wanted)

    def _known(self, name: Any) -> str:
        if name not in self._axes:
            raise ValueError(f"unknown axis {name!r}; the axes are {list(self._axes)}.")
        return name

    def _columns(self, over: Sequence[str]) -> NDArray[np.intp]:
        """Flat positions of the points, one row for each remaining index."""
        flat = np.arange(self.n_points).reshape(self.shape)
        sources = [self.names.index(name) for name in over]
        last = np.moveaxis(flat, sources, range(self.n_axes - len(sources), self.n_axes))
        return last.reshape(-1, math.prod(self._axes[name].size for name in over))

    def _axis_weights(self, name: str, rule: Any) -> Vector:
        with naming(f"axis {name!r}"):
            return axis_weights(self._axes[name], rule)

    def __getitem__(self, name: str) -> Vector:
        return self._axes[self._known(name)].points

    def __contains__(self, name: object) -> bool:
        return name in self._axes

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.names == other.names and self._axes == other._axes

    def __hash__(self) -> int:
        return hash(tuple(self._axes.items()))

    def __repr__(self) -> str:
        axes = ", ".join(f"{name}={axis.summary()}" for name, axis in self._axes.items())
        return f"Grid({axes})"

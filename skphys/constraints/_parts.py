"""Rows on a part of a field: one component, or a region of the domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids import Components, Grid, Mesh

Space = Grid | Mesh | Components  # where a field lives
Resolved = dict[str, np.ndarray]  # values of a constraint's parameters, for each field
Shapes = dict[str, tuple[tuple[int, ...], ...]]  # that these values may have for one field


def part_of(grid: Any, component: str | None, name: str = "component") -> tuple[Any, slice]:
    """Return a component's own grid and where its values are in the field.

    Parameters
    ----------
    grid : Grid, Mesh or Components
        Where the whole field lives.
    component : str or None
        Name of a component; None for a field that has no components.
    name : str, default="component"
        The parameter to blame.
    """
    if isinstance(grid, Components):
        if component is None:
            raise ValueError(
                f"{name} is None, but the grid has the components {list(grid)}; name one of them."
            )
        return grid[component], grid.slices[component]
    if component is not None:
        raise ValueError(
            f"{name}={component!r} needs a grid of Components(...); got {type(grid).__name__}."
        )
    if not isinstance(grid, Grid | Mesh):
        raise TypeError(f"grid must be a Grid, a Mesh or Components; got {type(grid).__name__}.")
    return grid, slice(0, grid.n_points)


def placed(rows: csr_array, columns: NDArray[np.intp], n_points: int) -> csr_array:
    """Return rows whose column ``j`` has moved to ``columns[j]`` of a field of `n_points`."""
    indices = columns[rows.indices]
    return csr_array((rows.data, indices, rows.indptr), shape=(rows.shape[0], n_points))


def in_order(values: Any, grid: Grid | Mesh, name: str) -> np.ndarray:
    """Return values of points as an array; those of a labelled one in the order of the grid's axes.

    Parameters
    ----------
    values : array-like or DataArray
        On some axes or all of them. Of a labelled array with one dimension the names do not count:
        it may be flattened.
    grid : Grid or Mesh
        Where the points are.
    name : str
        The parameter to blame.
    """
    dims = getattr(values, "dims", ())
    if isinstance(grid, Mesh) or not dims:
        return np.asarray(values)
    if len(dims) > 1:
        if not set(dims) <= set(grid.names):
            raise ValueError(
                f"{name} has the dimensions {list(dims)}, but the axes of the grid are "
                f"{list(grid.names)}: rename those of {name}, or pass its values as an array in "
                f"the order of the grid."
            )
        values = values.transpose(*(axis for axis in grid.names if axis in dims))
    for axis in set(dims) & set(grid.names) & set(values.coords):
        along = np.asarray(values[axis])
        if along.size > 1 and not (along[1:] > along[:-1]).all():
            raise ValueError(
                f"{name} has a coordinate {axis!r} that does not increase, as that of the grid "
                f"does: its values would be those of other points. Give "
                f"{name}.sortby({axis!r})."
            )
    return np.asarray(values)


def region(mask: Any, grid: Grid | Mesh, over: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the share of each point of the grid that a mask takes in, shape (n_points,).

    Parameters
    ----------
    mask : array-like of bool or of shares from 0 to 1
        Over the axes in `over`, or over all axes; shaped or flattened in C order.
    grid : Grid or Mesh
        Where the field lives.
    over : tuple of str
        Axes, in grid order.
    """
    shares = in_order(mask, grid, "mask")
    if shares.dtype.kind not in "biuf" or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("mask must be boolean, or hold shares between 0 and 1.")
    broad = tuple(n if name in over else 1 for name, n in zip(grid.names, grid.shape, strict=True))
    inner = tuple(n for name, n in zip(grid.names, grid.shape, strict=True) if name in over)
    size = int(np.prod(inner))
    if shares.shape in {inner, (size,)}:
        shares = np.broadcast_to(shares.reshape(broad), grid.shape)
    elif shares.shape not in {grid.shape, (grid.n_points,)}:
        raise ValueError(
            f"mask has shape {shares.shape}; it must have shape {inner} over the axes "
            f"{list(over)}, or {grid.shape} over all axes, or be one of these flattened."
        )
    if not shares.any():
        raise ValueError("mask is empty: it takes in no point of the grid.")
    return np.asarray(shares, dtype=np.float64).ravel()

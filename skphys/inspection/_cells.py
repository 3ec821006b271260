"""The cells of a grid or a mesh, coloured by their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.grids import Grid, Mesh
from skphys.inspection._plotting import cell_edges

TINY = 1e-9  # of sines of angles, and of lengths by the size of a cell


def profile_of(grid: Grid | Mesh) -> tuple[str, np.ndarray, Any] | None:
    """Return the name of the only coordinate, its values, and the order of these; or None."""
    if isinstance(grid, Mesh):
        x = grid.centres
        order = np.argsort(x[:, 0])
        (name, *others) = grid.coordinates or ["position"] * x.shape[1]
        return None if others else (name, x[order, 0], order)
    return (grid.names[0], grid[grid.names[0]], slice(None)) if grid.n_axes == 1 else None


def draw_cells(
    ax: Any, grid: Grid | Mesh, values: np.ndarray, transpose: bool, options: dict[str, Any]
) -> Any:
    """Colour the cells of a plane; those of a mesh that knows no places of faces are dots."""
    turn = -1 if transpose else 1
    names = grid.names if isinstance(grid, Grid) else grid.coordinates
    if names is None:
        ax.set_aspect("equal")  # points of a plane, and not of, say, time and space
    else:
        xlabel, ylabel = names[::turn]
        ax.set(xlabel=xlabel, ylabel=ylabel)
    if isinstance(grid, Grid):
        x, y = [cell_edges(axis) for axis in grid.axes.values()][::turn]
        shaped = grid.reshape(values)
        return ax.pcolormesh(x, y, shaped if transpose else shaped.T, rasterized=True, **options)
    polygons = cell_polygons(grid)
    if polygons is None:
        return ax.scatter(*grid.centres.T[::turn], c=values, **options)
    from matplotlib.collections import PolyCollection

    limits = options.pop("vmin", None), options.pop("vmax", None)
    # Without smooth edges, between which the background would show.
    style = {"antialiased": False, "linewidth": 0, "rasterized": True, **options}
    image = PolyCollection([p[:, ::turn] for p in polygons], array=values, **style)
    image.set_clim(*limits)
    ax.add_collection(image)
    ax.autoscale_view()
    return image


def cell_polygons(mesh: Mesh) -> list[np.ndarray] | None:
    """Return the corners of each cell in a plane, in order, or None if they are not known.

    A cell is what the lines through its faces leave of the plane: it is taken to be convex.
    """
    if mesh.normals is None or mesh.face_points is None:
        return None
    face, side = np.nonzero(mesh.faces >= 0)
    cell = mesh.faces[face, side]
    normal = mesh.normals[face] * np.where(side == 0, 1.0, -1.0)[:, None]
    offset = np.sum((mesh.face_points[face] - mesh.centres[cell]) * normal, axis=1)
    # A face across a period has its middle at the other end of the domain.
    half, size = 0.5 * mesh.volumes[cell] / mesh.areas[face], np.sqrt(mesh.volumes[cell])
    offset = np.where(offset < -TINY * size, half, offset)
    order = np.lexsort((np.arctan2(normal[:, 1], normal[:, 0]), cell))
    normal, offset, cell = normal[order], offset[order], cell[order]
    ends = np.cumsum(np.bincount(cell, minlength=mesh.n_cells))
    following = np.arange(1, cell.size + 1)
    following[ends - 1] = np.append(0, ends[:-1])
    (a, b), (c, d), other = normal.T, normal[following].T, offset[following]
    sine, flat = a * d - b * c, a * c + b * d > 0.0
    along = (np.abs(sine) <= TINY) & flat  # two faces on one side
    if (np.diff(ends, prepend=0) < 3).any() or not ((sine > TINY) | along).all():
        return None  # not closed
    crossing = np.column_stack([offset * d - other * b, a * other - c * offset])
    corners = np.where(
        along[:, None], offset[:, None] * normal, crossing / np.where(along, 1.0, sine)[:, None]
    )
    return np.split(mesh.centres[cell] + corners, ends[:-1])

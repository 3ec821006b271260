"""The part of a grid that a mask leaves: its volumes as a mesh."""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.grids._checks import Vector
from skphys.grids._faces import control_volumes, face_points
from skphys.grids._grid import Grid
from skphys.grids._mesh import Mesh
from skphys.grids._mesh_checks import OUTSIDE


def masked(grid: Grid, inside: Any, time: str | None = None, volumes: Any = None) -> Mesh:
    """Return the mesh of the volumes of a grid that are inside a mask.

    Parameters
    ----------
    grid : Grid
        With all volumes; of an axis of nodes they are those of `control_volumes`.
    inside : array-like of bool
        Which volumes count, in the shape of the grid's axes of space: True in the sea, False on
        islands.
    time : str, default=None
        The axis of the grid that is time, all of whose levels have the same mask.
    volumes : array-like of float, default=None
        Sizes in place of the grid's, in the shape of `inside`: areas of cells between degrees of
        longitude and latitude, say. Fluxes through faces still are those of the plane grid.

    Returns
    -------
    Mesh
        Its fields are those of the grid at the volumes inside, in the same order. Two parts of its
        boundary have names, for conditions there: "edge", where the grid ends, and "mask", where a
        volume outside the mask begins. Fluxes through both count positive outwards.

    Raises
    ------
    ValueError
        If the mask is not of truth values, has another shape, or leaves nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import Axis, Grid, masked
    >>> grid = Grid(y=Axis.cells(np.arange(4.0)), x=Axis.cells(np.arange(4.0)))
    >>> sea = np.ones((3, 3), dtype=bool)
    >>> sea[1, 1] = False  # an island
    >>> mesh = masked(grid, sea)
    >>> mesh, mesh.volumes.sum()
    (Mesh(8 cells, 24 faces), np.float64(8.0))
    >>> {name: len(faces) for name, faces in mesh.boundary.items()}
    {'edge': 12, 'mask': 4}
    """
    space = {name: axis for name, axis in grid.axes.items() if name != time}
    shape = tuple(axis.size for axis in space.values())
    all_of_it = control_volumes(grid, time)
    inside = np.asarray(inside)
    if inside.dtype != bool or inside.shape != shape:
        raise ValueError(
            f"inside must hold truth values of shape {shape}, one for each volume; got dtype "
            f"{inside.dtype} and shape {inside.shape}. From data that are NaN outside: "
            f"~np.isnan(field)."
        )
    kept = np.flatnonzero(inside)
    if not kept.size:
        raise ValueError("inside must hold at least one True; got none, so there is no domain.")
    number = np.full(inside.size + 1, OUTSIDE)  # the last is what -1 finds
    number[kept] = np.arange(kept.size)
    faces = number[all_of_it.faces]
    some = (faces != OUTSIDE).any(axis=1)
    at_end = (all_of_it.faces == OUTSIDE).any(axis=1)[some]
    faces, normals = faces[some], np.array(all_of_it.normals)[some]
    inwards = faces[:, 0] == OUTSIDE
    faces[inwards] = faces[inwards, ::-1]
    normals[inwards] *= -1.0
    open_ended = (faces == OUTSIDE).any(axis=1)
    parts = {"edge": open_ended & at_end, "mask": open_ended & ~at_end}
    return Mesh(
        Grid(**space).points[kept],
        _sizes(all_of_it.volumes if volumes is None else volumes, inside),
        faces,
        all_of_it.areas[some],
        normals,
        all_of_it.times,
        face_points(list(space.values()))[some],
        {name: part for name, part in parts.items() if part.any()} or None,
        tuple(space),
    )


def _sizes(volumes: Any, inside: np.ndarray) -> Vector:
    """Return the volumes inside."""
    sizes = np.asarray(volumes, dtype=np.float64)
    if sizes.size != inside.size:
        raise ValueError(
            f"volumes must have the shape of inside, {inside.shape}; got {sizes.shape}."
        )
    return sizes.reshape(inside.shape)[inside]

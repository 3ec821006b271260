"""Control volumes: which faces bound which cells, and where their values are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._checks import Vector
from skphys.grids._grid import Grid
from skphys.grids._mesh import Mesh
from skphys.grids._mesh_checks import OUTSIDE

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ControlVolumes:
    """The finite-volume view of a grid or a mesh.

    Attributes
    ----------
    volumes : ndarray of shape (n_cells,)
        Sizes of the volumes.
    faces : ndarray of int of shape (n_faces, 2)
        Owner and neighbour of each face, -1 for the outside; a flux counts positive from the
        owner to the neighbour.
    areas : ndarray of shape (n_faces,)
        Sizes of the faces.
    distances : ndarray of shape (n_faces,)
        Distances between the points of owner and neighbour; infinite on the boundary.
    normals : ndarray of shape (n_faces, n_dims) or None
        Unit vectors from owner to neighbour.
    times : ndarray of shape (n_times,) or None
        Time levels.
    levels : ndarray of int of shape (n_times, n_cells)
        Where in a flat field the value of each volume at each time level is; one row without time.
    """

    volumes: Vector
    faces: Indices
    areas: Vector
    distances: Vector
    normals: Vector | None
    times: Vector | None
    levels: Indices

    @property
    def n_cells(self) -> int:
        """Number of volumes."""
        return self.volumes.size

    @property
    def n_faces(self) -> int:
        """Number of faces."""
        return len(self.faces)

    @property
    def boundary(self) -> Indices:
        """The faces that have the outside on one side."""
        return np.flatnonzero((self.faces == OUTSIDE).any(axis=1))

    @property
    def incidence(self) -> csr_array:
        """Signs of the out-fluxes, shape (n_cells, n_faces)."""
        return incidence(self.faces, self.n_cells)


def incidence(faces: Indices, n_cells: int) -> csr_array:
    """Return which faces bound which cells: +1 for the owner of a face, -1 for its neighbour.

    Parameters
    ----------
    faces : ndarray of int of shape (n_faces, 2)
        Owner and neighbour of each face, -1 for the outside.
    n_cells : int
        Number of cells.

    Returns
    -------
    csr_array of shape (n_cells, n_faces)
        Times the fluxes through the faces it gives the net out-flux of each cell. A column sums
        to zero unless its face is on the boundary, so fluxes between cells cancel in the sum.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import incidence
    >>> incidence(np.array([[-1, 0], [0, 1], [1, -1]]), 2).toarray()
    array([[-1.,  1.,  0.],
           [ 0., -1.,  1.]])
    """
    face, side = np.nonzero(faces != OUTSIDE)
    signs = np.where(side == 0, 1.0, -1.0)
    return csr_array((signs, (faces[face, side], face)), shape=(n_cells, len(faces)))


def time_levels(grid: Grid | Mesh, time: str | None) -> tuple[Vector | None, Indices]:
    """Return the times, and where the values of each time level are, (n_times, n_remaining).

    Parameters
    ----------
    grid : Grid or Mesh
        Where the field lives.
    time : str or None
        Name of the time axis; None takes the whole field as one level.
    """
    flat = np.arange(grid.n_points).reshape(grid.shape)
    if time is None:
        return None, flat.reshape(1, -1)
    if time not in grid:
        raise ValueError(
            f"time={time!r} is not an axis of {grid!r}; the axes are {list(grid.names)}."
        )
    axis = grid.axes[time]
    if axis.location != "nodes" or axis.period is not None:
        raise ValueError(
            f"time={time!r} must be an axis of nodes, the time levels; it is {axis.summary()}."
        )
    levels = np.moveaxis(flat, grid.names.index(time), 0)
    return axis.points, levels.reshape(axis.size, -1)

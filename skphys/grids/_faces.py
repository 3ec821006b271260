"""The control volumes of grids and meshes, and the faces between them."""

from __future__ import annotations

from functools import reduce

import numpy as np

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector, naming
from skphys.grids._grid import Grid
from skphys.grids._incidence import ControlVolumes, Indices, time_levels
from skphys.grids._mesh import Mesh
from skphys.grids._mesh_checks import OUTSIDE


def control_volumes(grid: Grid | Mesh, time: str | None = None) -> ControlVolumes:
    """Return the control volumes of a grid or a mesh, and the faces between them.

    Parameters
    ----------
    grid : Grid or Mesh
        Where the field lives. Along an axis of cells the volumes are the cells. Along an axis of
        nodes they reach to the midpoints between the nodes, and the first and the last end at
        their nodes, so that volumes times values is the trapezoid rule.
    time : str or None, default=None
        The axis of a grid that is time, not space.

    Returns
    -------
    ControlVolumes
        Cells in C order over the space axes. The faces of a grid come axis by axis, those across
        one axis in C order; along it there is one face more than cells (on a periodic axis as
        many, the first between the last cell and the first). Their positive direction is that of
        the axis, on both ends too::

            face 0   cell 0   face 1   cell 1   face 2
              |-->      o       |-->      o       |-->     x

        so a positive flux enters at the low end and leaves at the high end.

    Raises
    ------
    ValueError
        If `time` is not an axis of nodes, or no axis of space is left.

    Examples
    --------
    >>> from skphys.grids import Axis, Grid, control_volumes
    >>> grid = Grid(t=[0.0, 0.1], x=Axis.cells([0.0, 1.0, 3.0]))
    >>> volumes = control_volumes(grid, "t")
    >>> volumes.volumes
    array([1., 2.])
    >>> volumes.faces
    array([[-1,  0],
           [ 0,  1],
           [ 1, -1]])
    >>> volumes.incidence.toarray()
    array([[-1.,  1.,  0.],
           [ 0., -1.,  1.]])
    """
    times, levels = time_levels(grid, time)
    if isinstance(grid, Mesh):
        ends = grid.centres[grid.faces]
        distances = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        distances[(grid.faces == OUTSIDE).any(axis=1)] = np.inf
        return ControlVolumes(
            grid.volumes, grid.faces, grid.areas, distances, grid.normals, times, levels
        )
    return _of_grid([(n, a) for n, a in grid.axes.items() if n != time], times, levels)


def face_grids(grid: Grid | Mesh, time: str | None = None) -> dict[str, Grid]:
    """Return grids for the fluxes through the faces, to predict them beside the field.

    Parameters
    ----------
    grid : Grid or Mesh
        The grid of the field.
    time : str or None, default=None
        Its time axis, which the fluxes share.

    Returns
    -------
    dict of str to Grid
        For a grid ``flux_<axis>`` for each axis of space, whose points are the faces across it;
        for a mesh ``flux``, whose axis "face" counts the faces.

    Examples
    --------
    >>> from skphys.grids import Axis, Components, Grid, face_grids
    >>> grid = Grid(t=[0.0, 0.1], x=Axis.cells([0.0, 1.0, 3.0]))
    >>> face_grids(grid, "t")
    {'flux_x': Grid(t=2 nodes in [0, 0.1], x=3 nodes in [0, 3])}
    >>> Components(u=grid, **face_grids(grid, "t"))
    Components(u=4 points, flux_x=6 points)
    """
    time_levels(grid, time)  # checks the name
    axes = grid.axes
    if isinstance(grid, Mesh):
        kept = {name: axes[name] for name in axes if name != "cell"}
        return {"flux": Grid(**kept, face=Axis.cells(np.arange(grid.n_faces + 1.0)))}
    return {
        f"flux_{name}": Grid(**{**axes, name: Axis(_face_points(axis), period=axis.period)})
        for name, axis in axes.items()
        if name != time
    }


def _of_grid(axes: list[tuple[str, Axis]], times: Vector | None, levels: Indices) -> ControlVolumes:
    if not axes:
        raise ValueError(
            "control volumes need an axis of space beside that of time; add it to the grid, "
            "e.g. Grid(t=times, x=Axis.cells(edges))."
        )
    widths = [_widths(name, axis) for name, axis in axes]
    shape = tuple(width.size for width in widths)
    cells = np.arange(levels.shape[1]).reshape(shape)
    faces, areas, distances, normals = [], [], [], []
    for k, (_, axis) in enumerate(axes):
        across = _face_points(axis).size
        faces.append(_faces_across(cells, k, axis.period is not None))
        ones = np.ones(across)
        areas.append(_outer([ones if i == k else width for i, width in enumerate(widths)]))
        gaps = [_distances(axis) if i == k else np.ones(size) for i, size in enumerate(shape)]
        distances.append(_outer(gaps))
        normals.append(np.tile(np.eye(len(axes))[k], (len(faces[-1]), 1)))
    return ControlVolumes(
        _outer(widths),
        np.concatenate(faces),
        np.concatenate(areas),
        np.concatenate(distances),
        np.concatenate(normals),
        times,
        levels,
    )


def _widths(name: str, axis: Axis) -> Vector:
    with naming(f"axis {name!r}"):
        return axis.weights()


def _outer(vectors: list[Vector]) -> Vector:
    """Return the products of one entry of each vector, flat in C order."""
    return reduce(lambda left, right: np.multiply.outer(left, right).ravel(), vectors)


def face_points(axes: list[Axis]) -> Vector:
    """Return the middles of the faces of a grid, (n_faces, n_dims), in the order of its faces."""
    middles = []
    for axis in axes:
        along = [_face_points(other) if other is axis else other.points for other in axes]
        middles.append(np.stack([each.ravel() for each in np.meshgrid(*along, indexing="ij")], -1))
    return np.concatenate(middles)


def _faces_across(cells: Indices, k: int, periodic: bool) -> Indices:
    """Return owner and neighbour of the faces across one dimension, in C order."""
    if periodic:
        owner, neighbour = np.roll(cells, 1, axis=k), cells
    else:
        outside = np.full_like(cells.take([0], axis=k), OUTSIDE)
        owner = np.concatenate([outside, cells], axis=k)
        neighbour = np.concatenate([cells, outside], axis=k)
    return np.stack([owner.ravel(), neighbour.ravel()], axis=-1)


def _face_points(axis: Axis) -> Vector:
    """Return where the faces across an axis are."""
    if axis.edges is not None:
        return axis.edges if axis.period is None else axis.edges[:-1]
    points = axis.points
    if axis.period is not None:
        return points - 0.5 * np.roll(axis.spacing, 1)
    return np.concatenate([points[:1], points[:-1] + 0.5 * axis.spacing, points[-1:]])


def _distances(axis: Axis) -> Vector:
    """Return the distances between the points on either side of the faces."""
    between = np.diff(axis.points)
    if axis.period is None:
        return np.concatenate([[np.inf], between, [np.inf]])
    return np.append(axis.points[0] + axis.period - axis.points[-1], between)

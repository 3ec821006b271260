"""The constraints of a whole boundary, whose faces share edges and corners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skphys.constraints._boundary_spec import declared_faces
from skphys.constraints._constraint_set import ConstraintSet
from skphys.constraints._faces import BOTH
from skphys.constraints.boundary import BoundaryConstraint
from skphys.grids import SIDES, Components, Grid, Mesh

NamedFaces = list[tuple[str, BoundaryConstraint]]
# Which of two faces states the points that they share.
PRIORITY = {"dirichlet": 0, "periodic": 1, "neumann": 2, "robin": 2}


def boundary_constraints(boundary: Any, grid: Grid | Mesh | Components) -> NamedFaces:
    """State the conditions of a whole boundary as constraints, one a face.

    Parameters
    ----------
    boundary : dict
        By axis: one condition for both faces, or a pair (left, right) for the faces at the low and
        the high coordinate, where None leaves a face free; or ``Periodic()``. On a grid of
        `Components` a dict of such dicts, by component; components and axes that are not named
        are free. On a `Mesh` one condition for each named part of its boundary.
    grid : Grid, Mesh or Components
        Where the fields live.

    Returns
    -------
    list of (str, BoundaryConstraint)
        Named ``<axis>_left``, ``<axis>_right``, and with components ``<component>_<axis>_left``;
        in the order of components and axes in the grid. A half-open periodic axis has none, one
        that holds both ends has a single one, named after the axis. Those of a mesh have the names
        of the parts, in the order of `boundary`.

    Raises
    ------
    TypeError
        If something is not a condition.
    ValueError
        If an axis or a component is unknown, `Periodic` meets another condition on its axis, or an
        axis is too short for its conditions.

    Notes
    -----
    Points on an edge or a corner are on several faces. Each is stated by one of them, so that the
    rows of all faces are linearly independent: by a `Dirichlet` face, else by a `Periodic` axis
    (at its right end), else by the face across the axis that comes first in the grid. Were they
    stated twice, the rows would depend on each other: the slope of u along the wall follows from
    its values there, and the mixed second derivative at a corner from either face. Where
    derivatives meet, the values at the corner are those of the first face. Values of two
    `Dirichlet` faces are compared where they meet, when they are known, in fit and in predict; a
    difference beyond rounding is an error. On cell averages they are not: no value is at the
    corner itself.

    A field on a mesh holds the averages of its cells. The value in the middle of a face is that of
    the cell inside, plus the gradient there times the way to the face; the outward derivative is
    the gradient times the normal. The gradient is the least squares one over the cell's neighbours
    and theirs, weighed with the inverse squares of their distances. So both are exact for fields
    that are linear there; values are of second order, derivatives of first.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import Dirichlet, Neumann, boundary_constraints
    >>> from skphys.grids import Grid
    >>> grid = Grid(t=np.arange(3.0), x=np.linspace(0.0, 1.0, 4))
    >>> faces = boundary_constraints({"t": (Dirichlet("start"), None), "x": Neumann(0.0)}, grid)
    >>> [(name, face.rows(grid).shape) for name, face in faces]
    [('t_left', (4, 12)), ('x_left', (2, 12)), ('x_right', (2, 12))]
    """
    declared = declared_faces(boundary)
    parts: dict[str | None, Any] = {None: grid}
    if isinstance(grid, Components):
        parts = {name: grid[name] for name in grid}
    _check_components(declared, parts)
    named: NamedFaces = []
    for component, part in parts.items():
        faces = _of_part([face for face in declared if face.component == component], part)
        _check_sizes(faces, grid)
        named += [(face.label, face) for face in faces]
    repeated = [name for name, count in Counter(n for n, _ in named).items() if count > 1]
    if repeated:
        raise ValueError(f"Two faces of the boundary are called {repeated[0]!r}; rename an axis.")
    for _, constraint in named:
        constraint.rows(grid)
        constraint.declared_values(grid)
    return named


def boundary_values(
    constraints: NamedFaces,
    grid: Grid | Mesh | Components,
    X: Any,
    feature_names: Any = None,
    *,
    unknown: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Return the values that conditions prescribe, over their whole faces.

    Parameters
    ----------
    constraints : list of (str, BoundaryConstraint)
        From `boundary_constraints`.
    grid : Grid, Mesh or Components
        Where the fields live.
    X : {array, DataFrame} of shape (n_samples, ...)
        Where columns, callables and `FromInput` look; one row a field.
    feature_names : array of str, default=None
        Names of the columns of X, if X itself has none.
    unknown : bool, default=False
        Whether values that come with X may be NaN: not known for that field.

    Returns
    -------
    dict of str to ndarray of shape (n_samples or 1, *face_shape)
        By name of the constraint; the first axis has length 1 where all fields share the values.

    Raises
    ------
    ValueError
        If values are missing, of a wrong shape, not finite, or contradict each other at a corner.
    """
    stated = ConstraintSet(constraints, grid, feature_names)
    values = stated.resolved(stated.table(X), unknown)
    return {name: constraint.face_values(values[name], grid) for name, constraint in constraints}


def _check_components(declared: Sequence[BoundaryConstraint], parts: dict[str | None, Any]) -> None:
    for face in declared:
        if face.component in parts:
            continue
        if None in parts:
            raise ValueError(
                f"boundary holds a dict for {face.component!r}, as for a component, which needs a "
                f"grid of Components(...); on a Grid its keys are axes."
            )
        given = face.axis if face.component is None else face.component
        raise ValueError(
            f"boundary has the key {given!r}, but this grid has the components {list(parts)}: "
            f"pass a dict of conditions by axis for each of them that has any."
        )


def _of_part(declared: Sequence[BoundaryConstraint], grid: Any) -> list[BoundaryConstraint]:
    """Return the constraints on one component, which share out the corners."""
    if not declared:
        return []
    if isinstance(grid, Mesh):
        return list(declared)
    if not isinstance(grid, Grid):
        raise TypeError(f"A boundary condition needs a Grid or a Mesh; got {type(grid).__name__}.")
    for face in declared:
        face.check_axes(grid.names)
    faces = [single for face in declared for single in _singles(face, grid)]
    faces.sort(key=lambda face: (grid.names.index(face.axis), face.face))
    for face in faces:
        face.corners = tuple(_stated_before(face, faces, grid))
    return faces


def _singles(face: BoundaryConstraint, grid: Grid) -> list[BoundaryConstraint]:
    """Return one constraint a face, or a single one for both if they are the same place."""
    if face.kind == "periodic":
        return [] if grid.axes[face.axis].period is not None else [face]
    sides = SIDES if face.face == BOTH else (face.face,)
    return [clone(face).set_params(face=side) for side in sides]


def _stated_before(
    face: BoundaryConstraint, faces: Sequence[BoundaryConstraint], grid: Grid
) -> Iterator[tuple[str, str]]:
    """Name the faces that state the points which they share with this one."""

    def rank(one: BoundaryConstraint) -> tuple[int, int]:
        return PRIORITY[one.kind], grid.names.index(one.axis)

    for other in faces:
        if other.axis != face.axis and rank(other) < rank(face):
            yield other.axis, "right" if other.face == BOTH else other.face


def _check_sizes(faces: Sequence[BoundaryConstraint], grid: Grid | Mesh | Components) -> None:
    """Raise if the conditions on both faces of an axis could depend on each other."""
    for left, right in pairwise(faces):
        if left.axis != right.axis:
            continue
        ends = left.on(grid), right.on(grid)
        wide = [end.support for end in ends]
        needed = max(wide) + ((wide[0] == 1) == (wide[1] == 1))
        if ends[0].along.size < needed:
            raise ValueError(
                f"axis {left.axis!r} has {ends[0].along.size} point(s), but the conditions on its "
                f"two faces take {needed}; lower their order, or use a finer grid."
            )

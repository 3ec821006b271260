"""Boundary conditions as constraints: linear rows on the points at the faces of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.constraints._conditions import BoundaryCondition, FromInput
from skphys.constraints._corners import check_corner
from skphys.constraints._faces import BOTH, Face
from skphys.constraints._mesh_faces import MeshFace
from skphys.constraints._parts import Resolved, Shapes, Space, part_of
from skphys.constraints._values import Column
from skphys.constraints.base import Constraint
from skphys.grids import Mesh


class BoundaryConstraint(Constraint):
    """A boundary condition at one face of a grid, or on a part of a mesh's boundary.

    One row for each point of the face, in C order over the other axes. Time is an axis like any
    other: the face "x_left" of ``Grid(t=..., x=..., y=...)`` has the shape (n_t, n_y), and a
    condition at the left of "t" is an initial condition. On a `Mesh` there is one row for each face
    of the part, and each time level, of shape (n_t, n_faces): see `boundary_constraints`.

    Parameters
    ----------
    condition : Dirichlet, Neumann, Robin or Periodic
        What holds.
    axis : str
        The axis across the face; the name of the part, on a mesh.
    face : {"left", "right", "both"}
        Where the coordinate is lowest or highest. Both, for a periodic axis and for a part of a
        mesh's boundary, and only there.
    component : str or None, default=None
        The component that it speaks of, on a grid of `Components`.
    corners : sequence of (str, str), default=()
        Other faces, as (axis, face), that state the points which they share with this one: they
        have no rows here. `boundary_constraints` fills this in.
    noise : float, array of shape (n_rows,), str, Column or callable, default=0.0
        Standard deviation of the values; 0 makes the condition exact.

    Attributes
    ----------
    kind : {"dirichlet", "neumann", "robin", "periodic"}
        What the condition is.

    See Also
    --------
    boundary_constraints : The constraints of a whole boundary.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import BoundaryConstraint, Neumann
    >>> from skphys.grids import Grid
    >>> grid = Grid(t=[0.0, 1.0], x=[0.0, 1.0, 2.0])
    >>> insulated = BoundaryConstraint(Neumann(0.0), "x", "left")
    >>> insulated.rows(grid).toarray()
    array([[ 1.5, -2. ,  0.5,  0. ,  0. ,  0. ],
           [ 0. ,  0. ,  0. ,  1.5, -2. ,  0.5]])
    >>> insulated.stencil(grid)
    array([ 1.5, -2. ,  0.5])
    """

    value_parameters = ("value",)

    def __init__(
        self,
        condition: BoundaryCondition,
        axis: str,
        face: str,
        component: str | None = None,
        *,
        corners: Sequence[Sequence[str]] = (),
        noise: Any = 0.0,
    ) -> None:
        self.condition = condition
        self.axis = axis
        self.face = face
        self.component = component
        self.corners = corners
        self.noise = noise

    @property
    def kind(self) -> str:
        """What the condition is."""
        return self._checked().kind

    @property
    def value(self) -> Any:
        """The condition's value, as declared."""
        return self._checked().value

    @property
    def label(self) -> str:
        """The name of the face, as `boundary_constraints` gives it."""
        parts = (self.component, self.axis, None if self.face == BOTH else self.face)
        return "_".join(part for part in parts if part)

    def rows(self, grid: Space) -> csr_array:
        """Return the condition's left-hand side at the points of the face.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            One row for each point that `corners` leaves.

        Raises
        ------
        ValueError
            If there is no such face, or the axis is too short for the stencil.
        """
        return self.on(grid).rows.copy()

    def stencil(self, grid: Space) -> NDArray[np.float64]:
        """Return the condition's left-hand side along the axis, the same for the whole face.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        ndarray of shape (n_axis,)
            Its product with the values along the axis is what the condition's value is.

        Raises
        ------
        ValueError
            If the coefficients of a `Robin` condition vary along the face.
        """
        weights = self.on(grid).weights
        if weights.ndim > 1 and (weights != weights[:1]).any():
            raise ValueError(
                f"a and b of the Robin condition at {self.label!r} vary along the face, so there "
                f"is not one stencil; give numbers, or use method='project'."
            )
        return weights.reshape(-1, weights.shape[-1])[0]

    def declared_values(self, grid: Space) -> dict[str, Any]:
        """Return the value in the shape of the face, or where in X to read it.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        dict of str to object
            Arrays broadcast, and a callable of X for `FromInput`.
        """
        face, value = self.on(grid), self.value
        if isinstance(value, FromInput):
            value = partial(face.from_input, channel=value.channel)
        elif not (isinstance(value, Real | str | Column) or callable(value)) and face.shape:
            value = face.over(value, f"value of {self.label!r}")
        return {"value": value}

    def value_shapes(self, grid: Space) -> Shapes:
        """Return the shape of the whole face.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        dict of str to tuple of tuple of int
            The other axes; (1,) for the end of a single axis.
        """
        return {"value": (self.on(grid).shape or (1,),)}

    def face_values(self, resolved: Resolved, grid: Space) -> NDArray[np.float64]:
        """Return the values over the whole face, also at points that have no row here.

        Parameters
        ----------
        resolved : dict of str to ndarray
            As `values` gets it.
        grid : Grid, Mesh or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_samples or 1, *face_shape)
            One number a field on a grid with a single axis.
        """
        shape = self.on(grid).shape
        values = resolved["value"]
        return np.broadcast_to(values, (len(values), *shape)) if shape else values.reshape(-1)

    def values(self, resolved: Resolved, grid: Space) -> np.ndarray:
        """Return the values at the points that have rows.

        Parameters
        ----------
        resolved : dict of str to ndarray
            The value, of shape (n_samples or 1, *face_shape).
        grid : Grid, Mesh or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_samples or 1, n_rows)
            The right-hand side.
        """
        values = self.face_values(resolved, grid)
        return values.reshape(len(values), -1)[:, self.on(grid).kept]

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise if there is no such axis.

        Parameters
        ----------
        names : sequence of str
            The axes of the fields.

        Raises
        ------
        ValueError
            Naming the axes that there are.
        """
        if self.axis not in names:
            raise ValueError(
                f"boundary names the unknown axis {self.axis!r}; the axes are {list(names)}."
            )

    def check_beside(
        self, resolved: Resolved, other: Constraint, other_resolved: Resolved, grid: Any
    ) -> None:
        """Raise if two faces prescribe different values at the points that they share.

        Parameters
        ----------
        resolved : dict of str to ndarray
            The value here.
        other : Constraint
            Another constraint on the same fields.
        other_resolved : dict of str to ndarray
            The value there.
        grid : Grid, Mesh or Components
            Where the fields live.

        Raises
        ------
        ValueError
            Naming both faces, the field and the difference; for `Dirichlet` conditions on nodes,
            and for one that is not the same at both ends of a `Periodic` axis.
        """
        if not isinstance(other, BoundaryConstraint) or self.component != other.component:
            return
        if self.axis != other.axis:
            check_corner(
                (self.on(grid), other.on(grid)),
                (self.label, other.label),
                (self.face_values(resolved, grid), other.face_values(other_resolved, grid)),
            )

    def discretization_error(self, fields: np.ndarray, grid: Space) -> NDArray[np.float64]:
        """Estimate the stencil's error by how much it changes from order to order.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            Zero for values on nodes.
        """
        return self.on(grid).stencil_error(np.asarray(fields, dtype=np.float64))

    def _checked(self) -> BoundaryCondition:
        if not isinstance(self.condition, BoundaryCondition):
            raise TypeError(
                f"condition must be an instance of Dirichlet, Neumann, Robin or Periodic; got "
                f"{self.condition!r}."
            )
        return self.condition

    def on(self, grid: Space) -> Face:
        """Return the condition at its face of a grid, made once for the same grid and parameters.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        Face
            With all that the other methods need of the grid.

        Raises
        ------
        ValueError
            If there is no such face.
        """
        condition = self._checked()
        parameters = type(condition), self.axis, self.face, self.component, condition.order
        try:
            corners = tuple((axis, side) for axis, side in self.corners)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"corners must be pairs (axis, face), such as [('y', 'left')]; got "
                f"{self.corners!r}."
            ) from error
        stated = *parameters, corners, *map(_compared, condition.coefficients())
        made = self._made
        if made is None or made[0] is not grid or made[1] != stated:
            part, where = part_of(grid, self.component)
            kind = MeshFace if isinstance(part, Mesh) else Face
            if kind is Face:
                self.check_axes(part.names)
            face = kind(condition, part, self.axis, self.face, corners, where, grid.n_points)
            made = self._made = grid, stated, face
        return made[2]

    _made: tuple[Any, tuple[Any, ...], Face] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        return {name: value for name, value in vars(self).items() if name != "_made"}


def _compared(coefficient: Any) -> Any:
    """Return what tells whether a coefficient has changed, in place as well."""
    if isinstance(coefficient, Real):
        return coefficient
    try:
        array = np.array(coefficient, dtype=np.float64)
    except (TypeError, ValueError):
        return coefficient  # which is an error as soon as it is used
    return array.shape, array.tobytes()

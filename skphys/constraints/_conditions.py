"""What may hold at the faces of a domain: the declarations, without a grid."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class FromInput:
    """The value of a boundary condition, read off a field in X.

    The condition's own left-hand side is applied to that field: its value for `Dirichlet`, its
    outward derivative for `Neumann`. So what holds for the input is kept for the output.

    Parameters
    ----------
    channel : int, default=0
        Which field: X holds flat fields side by side, of shape (n_samples, n_channels * n_points),
        other columns after them, or has the shape (n_samples, n_channels, *grid.shape). Fields are
        on the grid of the output.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import Dirichlet, FromInput, boundary_constraints, boundary_values
    >>> from skphys.grids import Grid
    >>> grid = Grid(x=np.linspace(0.0, 1.0, 4))
    >>> faces = boundary_constraints({"x": (Dirichlet(FromInput()), None)}, grid)
    >>> boundary_values(faces, grid, np.array([[7.0, 1.0, 2.0, 3.0]]))
    {'x_left': array([7.])}
    """

    channel: int = 0


class BoundaryCondition(BaseEstimator):
    """Base class: ``a u + b du/dn = value`` at a face, with the outward normal n."""

    kind: ClassVar[str]
    value: Any = 0.0
    order: Any = 2

    def coefficients(self) -> tuple[Any, Any]:
        """Return a and b, numbers or arrays along the face."""
        raise NotImplementedError

    def checked_order(self) -> int:
        """Return the order of accuracy."""
        order = self.order
        if not isinstance(order, Integral) or order not in ORDERS:
            raise ValueError(
                f"order of {type(self).__name__} must be one of {list(ORDERS)}; got {order!r}."
            )
        return int(order)


class Dirichlet(BoundaryCondition):
    """The field's value at a face is known.

    Parameters
    ----------
    value : float, array, str, Column, callable or FromInput, default=0.0
        The value ``u``: a number; an array over the face, that is of the shape of the grid's other
        axes, or one that broadcasts to it; a column of X, one number a field; a callable of X,
        which returns (n_samples,) or (n_samples, *face_shape); or `FromInput`.
    order : {1, 2, 3}, default=2
        Order of accuracy on an axis of cell averages, where the value at the face follows from the
        averages next to it. On nodes the value is that of the last node, and the order is unused.

    See Also
    --------
    Neumann : The derivative is known.
    boundary_constraints : States the conditions of all faces on a grid.

    Examples
    --------
    >>> from skphys.constraints import BoundaryConstraint, Dirichlet
    >>> from skphys.grids import Axis, Grid
    >>> BoundaryConstraint(Dirichlet(1.0), "x", "left").rows(Grid(x=[0.0, 0.5, 1.0])).toarray()
    array([[1., 0., 0.]])
    >>> cells = Grid(x=Axis.cells([0.0, 1.0, 2.0]))
    >>> BoundaryConstraint(Dirichlet(1.0), "x", "left").rows(cells).toarray()
    array([[ 1.5, -0.5]])
    """

    kind = "dirichlet"

    def __init__(self, value: Any = 0.0, *, order: int = 2) -> None:
        self.value = value
        self.order = order

    def coefficients(self) -> tuple[Any, Any]:
        """Return 1 and 0."""
        return 1.0, 0.0


class Neumann(BoundaryCondition):
    """The field's derivative along the outward normal of a face is known.

    Parameters
    ----------
    value : float, array, str, Column, callable or FromInput, default=0.0
        ``du/dn``, in units of the field by those of the axis; as in `Dirichlet`. On the left face
        the outward normal points down the axis: there it is minus the derivative along the axis.
    order : {1, 2, 3}, default=2
        Order of accuracy of the one-sided difference, which takes ``order + 1`` points; their
        spacing may be uneven.

    See Also
    --------
    Robin : A combination of value and derivative is known.

    Examples
    --------
    >>> from skphys.constraints import BoundaryConstraint, Neumann
    >>> from skphys.grids import Grid
    >>> BoundaryConstraint(Neumann(), "x", "right").rows(Grid(x=[0.0, 1.0, 2.0])).toarray()
    array([[ 0.5, -2. ,  1.5]])
    """

    kind = "neumann"

    def __init__(self, value: Any = 0.0, *, order: int = 2) -> None:
        self.value = value
        self.order = order

    def coefficients(self) -> tuple[Any, Any]:
        """Return 0 and 1."""
        return 0.0, 1.0


class Robin(BoundaryCondition):
    """A combination of value and outward derivative at a face is known: ``a u + b du/dn = value``.

    Parameters
    ----------
    a, b : float or array
        Coefficients: numbers, or arrays over the face as in `value`; not both zero.
    value : float, array, str, Column, callable or FromInput, default=0.0
        The right-hand side; as in `Dirichlet`.
    order : {1, 2, 3}, default=2
        Order of accuracy; as in `Neumann`.

    See Also
    --------
    Dirichlet : ``b = 0``.
    Neumann : ``a = 0``.

    Examples
    --------
    Cooling, ``-k du/dn = h (u - 20)`` with ``k = 2`` and ``h = 5``:

    >>> from skphys.constraints import Robin
    >>> Robin(5.0, 2.0, value=100.0)
    Robin(a=5.0, b=2.0, value=100.0)
    """

    kind = "robin"

    def __init__(self, a: Any, b: Any, value: Any = 0.0, *, order: int = 2) -> None:
        self.a = a
        self.b = b
        self.value = value
        self.order = order

    def coefficients(self) -> tuple[Any, Any]:
        """Return a and b."""
        return self.a, self.b


class Periodic(BoundaryCondition):
    """The two faces of an axis are the same place.

    On a half-open periodic `Axis`, which does not repeat its end, there is nothing to state. On
    nodes that hold both ends their values are equal; that their slopes are equal as well is not
    stated.

    See Also
    --------
    skphys.grids.Axis.periodic : An axis that does not repeat its end.

    Examples
    --------
    >>> from skphys.constraints import BoundaryConstraint, Periodic
    >>> from skphys.grids import Grid
    >>> BoundaryConstraint(Periodic(), "x", "both").rows(Grid(x=[0.0, 1.0, 2.0])).toarray()
    array([[ 1.,  0., -1.]])
    """

    kind = "periodic"

    def coefficients(self) -> tuple[Any, Any]:
        """Return 1 and 0: values are compared."""
        return 1.0, 0.0

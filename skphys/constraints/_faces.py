"""The points of a face, and what a boundary condition says about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.constraints._conditions import BoundaryCondition, Periodic
from skphys.grids import Axis, Grid
from skphys.grids._checks import naming
from skphys.grids._stencils import SIDES, end_weights, support

BOTH = "both"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Face:
    """One face of a grid: the points where an axis ends, in C order over the other axes.

    Attributes
    ----------
    grid : Grid
        Where the field lives.
    axis : str
        The axis across the face.
    side : {"left", "right", "both"}
        The end at the low or the high coordinate; both for a periodic axis.
    """

    grid: Grid
    axis: str
    side: str

    @property
    def along(self) -> Axis:
        """The axis across the face."""
        return self.grid.axes[self.axis]

    @property
    def position(self) -> int:
        """Which axis that is."""
        return self.grid.names.index(self.axis)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along the axes of the face."""
        return tuple(a.size for name, a in self.grid.axes.items() if name != self.axis)

    def lines(self) -> NDArray[np.intp]:
        """Return, for each point of the face, the points of the line across it."""
        points = np.arange(self.grid.n_points).reshape(self.grid.shape)
        return np.moveaxis(points, self.position, -1).reshape(-1, self.along.size)

    def kept(self, corners: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
        """Return, for each point of the face, whether it is on none of some other faces."""
        kept = np.ones(self.shape, dtype=bool)
        for axis, side in corners:
            np.moveaxis(kept, self.place(axis), 0)[0 if side == "left" else -1] = False
        return kept.ravel()

    def edge(self, values: Floats, axis: str, side: str) -> Floats:
        """Return the part of values (n_samples, *shape) that is also on another face."""
        return np.moveaxis(values, 1 + self.place(axis), 0)[0 if side == "left" else -1]

    def place(self, axis: str) -> int:
        """Return which of the face's axes one is."""
        return [name for name in self.grid.names if name != self.axis].index(axis)

    def weights(self, condition: BoundaryCondition, order: int) -> Floats:
        """Return the condition's left-hand side along the axis.

        Returns
        -------
        ndarray of shape (n_axis,) or (n_face_points, n_axis)
            The second where the coefficients vary along the face.
        """
        if isinstance(condition, Periodic):
            return _ends_differ(self.along.size)
        a, b = self._coefficients(condition)
        with naming(f"axis {self.axis!r}"):
            weights = [
                np.multiply.outer(c, end_weights(self.along, self.side, derivative, order))
                for derivative, c in enumerate((a, b))
                if c.any()
            ]
        return weights[0] if len(weights) == 1 else weights[0] + weights[1]

    def support(self, condition: BoundaryCondition) -> int:
        """Return how many points along the axis the condition takes."""
        b = self._coefficients(condition)[1]
        return support(self.along, int(b.any()), condition.checked_order())

    def rows(self, weights: Floats) -> csr_array:
        """Return weights along the axis as rows that act on the field, one a point of the face."""
        near = np.flatnonzero(weights.reshape(-1, self.along.size).any(axis=0))
        columns = self.lines()[:, near]
        data = np.broadcast_to(weights[..., near], columns.shape).ravel()
        indptr = np.arange(len(columns) + 1) * near.size
        return csr_array((data, columns.ravel(), indptr), (len(columns), self.grid.n_points))

    def _coefficients(self, condition: BoundaryCondition) -> tuple[Floats, Floats]:
        """Return a and b of the condition, both of shape () or (n_face_points,)."""
        label = type(condition).__name__
        given = [
            _numbers(c, f"{name} of {label}", self)
            for name, c in zip("ab", condition.coefficients(), strict=True)
        ]
        a, b = np.broadcast_arrays(*given)
        if ((a == 0) & (b == 0)).any():
            raise ValueError(f"a and b of {label} are both zero; it would say nothing.")
        return a, b


def _ends_differ(n: int) -> Floats:
    weights = np.zeros(n)
    weights[0], weights[-1] = 1.0, -1.0
    return weights


def _numbers(values: Any, name: str, face: Face) -> Floats:
    """Return coefficients as a number, or flat over the face."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be a number, or an array over the face; got {values!r}."
        ) from error
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {values!r}.")
    return array if array.ndim == 0 else over_face(array, name, face).ravel()


def over_face(array: Any, name: str, face: Face) -> Floats:
    """Return an array in the shape of a face, from what has it, broadcasts to it or is flat."""
    array = np.asarray(array)
    shape = face.shape
    if array.ndim == 1 and array.size == np.prod(shape) and len(shape) != 1:
        return array.reshape(shape)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        axes = {n: a.size for n, a in face.grid.axes.items() if n != face.axis}
        raise ValueError(
            f"{name} has shape {array.shape}, but the face {face.axis}_{face.side} has shape "
            f"{shape}, over the axes {axes}; give a number, or an array that broadcasts to it."
        ) from None


def checked_side(face: Any, condition: BoundaryCondition) -> str:
    """Return the name of a face, if there is such a one for the condition."""
    allowed = (BOTH,) if isinstance(condition, Periodic) else SIDES
    if face not in allowed:
        raise ValueError(
            f"face of a {type(condition).__name__} condition must be one of {list(allowed)}; got "
            f"{face!r}."
        )
    return str(face)

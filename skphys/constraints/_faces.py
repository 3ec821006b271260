"""A condition at a face of a grid: the points there, and what it says about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csr_array
from sklearn.utils import _safe_indexing

from skphys.constraints._conditions import BoundaryCondition, Periodic
from skphys.constraints._parts import placed
from skphys.grids import SIDES, Axis, Grid, Mesh, end_weights, naming, support

BOTH = "both"
FURTHER_ORDERS = 3  # a single difference between orders vanishes, by chance, in some fields
SAFETY = 3.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Face:
    """What holds where an axis of a grid ends, at the points in C order over the other axes.

    Attributes
    ----------
    condition : BoundaryCondition
        What holds.
    grid : Grid
        The component's own grid.
    axis : str
        The axis across the face.
    side : {"left", "right", "both"}
        The end at the low or the high coordinate; both for a periodic axis.
    corners : tuple of (str, str)
        Other faces, as (axis, side), that state the points which they share with this one.
    where : slice
        Where the component is in the field.
    n_points : int
        Number of points of the field.
    """

    condition: BoundaryCondition
    grid: Grid
    axis: str
    side: str
    corners: tuple[tuple[str, str], ...]
    where: slice
    n_points: int

    def __post_init__(self) -> None:
        """Raise if there is no such face."""
        periodic = isinstance(self.condition, Periodic)
        allowed = (BOTH,) if periodic else SIDES
        if self.side not in allowed:
            raise ValueError(
                f"face of a {type(self.condition).__name__} condition must be one of "
                f"{list(allowed)}; got {self.side!r}."
            )
        for axis, _ in self.corners:
            self.grid[axis]
        if self.along.period is not None:
            raise ValueError(
                f"axis {self.axis!r} is periodic: it has no face for {self.condition!r}; leave the "
                f"condition out, or give the axis no period."
            )
        if periodic and self.along.edges is not None:
            raise ValueError(
                f"axis {self.axis!r} holds cell averages, none of which is at an end; say that it "
                f"is periodic by Axis(points, edges=edges, period=period)."
            )
        if periodic and self.along.size < 2:
            raise ValueError(f"axis {self.axis!r} has one point; Periodic needs both ends.")

    @cached_property
    def along(self) -> Axis:
        """The axis across the face."""
        return self.grid.axes[self.axis]

    @cached_property
    def position(self) -> int:
        """Which axis that is."""
        return self.grid.names.index(self.axis)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of points along the axes of the face."""
        sizes = dict(zip(self.grid.names, self.grid.shape, strict=True))
        del sizes[self.axis]
        return sizes

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of points along the axes of the face."""
        return tuple(self.sizes.values())

    @cached_property
    def kept(self) -> NDArray[np.intp]:
        """The points of the face that `corners` leave it to state."""
        kept = np.ones(self.shape, dtype=bool)
        for axis, side in self.corners:
            np.moveaxis(kept, self._place(axis), 0)[_end(side)] = False
        return np.flatnonzero(kept)

    def edge(self, values: Floats, axis: str, side: str) -> Floats:
        """Return the part of values (n_samples, *shape) that is also on another face."""
        return np.moveaxis(values, 1 + self._place(axis), 0)[_end(side)]

    def _place(self, axis: str) -> int:
        """Return which of the face's axes one is."""
        return list(self.sizes).index(axis)

    @cached_property
    def weights(self) -> Floats:
        """The left-hand side along the axis, (n_axis,).

        Of shape (n_face_points, n_axis) where the coefficients vary along the face.
        """
        return self._weights(self.condition.checked_order())

    @cached_property
    def rows(self) -> csr_array:
        """The left-hand side at the points kept, of the field of all components."""
        columns = np.arange(self.where.start, self.where.stop)
        return placed(self._rows(self.weights)[self.kept], columns, self.n_points)

    @cached_property
    def support(self) -> int:
        """How many points along the axis the condition takes."""
        b = self._coefficients[1]
        return support(self.along, int(b.any()), self.condition.checked_order())

    def from_input(self, X: Any, channel: int) -> Floats:
        """Return the left-hand side of a field in X over the face, (n_samples, *shape)."""
        fields = channel_of(X, channel, self.grid)
        return (fields @ self._rows(self.weights).T).reshape(len(fields), *self.shape)

    def stencil_error(self, fields: Floats) -> Floats:
        """Estimate the stencil's error from how much it changes from order to order.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields, of all components.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            The differences between the stencils of the condition's order and of three further ones
            are added up, and multiplied by 3; on a grid too small for these, lower orders serve.
            Zero for values on nodes.
        """
        if self.along.edges is None and self.support == 1:
            return np.zeros((len(fields), len(self.kept)))
        room = self.along.size - self.support
        highest = self.condition.checked_order() + min(room, FURTHER_ORDERS)
        orders = range(max(1, highest - FURTHER_ORDERS), highest + 1)
        stencils = [self._weights(order) for order in orders]
        changes = [b - a for a, b in pairwise(stencils)] or stencils
        fields = fields[:, self.where]
        return SAFETY * sum(np.abs(fields @ self._rows(w)[self.kept].T) for w in changes)

    def _weights(self, order: int) -> Floats:
        if isinstance(self.condition, Periodic):
            return (
                np.eye(1, self.along.size)[0] - np.eye(1, self.along.size, self.along.size - 1)[0]
            )
        with naming(f"axis {self.axis!r}"):
            weights = [
                np.multiply.outer(c, end_weights(self.along, self.side, derivative, order))
                for derivative, c in enumerate(self._coefficients)
                if c.any()
            ]
        return weights[0] if len(weights) == 1 else weights[0] + weights[1]

    def _rows(self, weights: Floats) -> csr_array:
        """Return weights along the axis as rows that act on the component, one a point."""
        points = np.arange(self.grid.n_points).reshape(self.grid.shape)
        lines = np.moveaxis(points, self.position, -1).reshape(-1, self.along.size)
        near = np.flatnonzero(weights.reshape(-1, self.along.size).any(axis=0))
        columns = lines[:, near]
        data = np.broadcast_to(weights[..., near], columns.shape).ravel()
        indptr = np.arange(len(columns) + 1) * near.size
        return csr_array((data, columns.ravel(), indptr), (len(columns), self.grid.n_points))

    @cached_property
    def _coefficients(self) -> list[Floats]:
        """Coefficients a and b of the condition, both of shape () or (n_face_points,)."""
        label = type(self.condition).__name__
        given = zip("ab", self.condition.coefficients(), strict=True)
        a, b = np.broadcast_arrays(*(self._numbers(c, f"{name} of {label}") for name, c in given))
        if ((a == 0) & (b == 0)).any():
            raise ValueError(f"a and b of {label} are both zero; it would say nothing.")
        return [a, b]

    def _numbers(self, values: Any, name: str) -> Floats:
        """Return coefficients as a number, or flat over the face."""
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must be a number, or an array over the face; got {values!r}."
            ) from error
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite; got {values!r}.")
        return array if array.ndim == 0 else self.over(array, name).ravel()

    def over(self, array: Any, name: str) -> Floats:
        """Return an array in the shape of the face, from what has it, broadcasts or is flat."""
        array, shape = np.asarray(array), self.shape
        if array.ndim == 1 and array.size == np.prod(shape) and len(shape) != 1:
            return array.reshape(shape)
        try:
            return np.broadcast_to(array, shape)
        except ValueError:
            raise ValueError(
                f"{name} has shape {array.shape}, but the face {self.axis}_{self.side} has shape "
                f"{shape}, over the axes {self.sizes}; give a number, or an array that broadcasts "
                f"to it."
            ) from None


def _end(side: str) -> int:
    return 0 if side == SIDES[0] else -1


def channel_of(X: Any, channel: int, grid: Grid | Mesh) -> Floats:
    """Return the fields of one channel of X, (n_samples, n_points)."""
    flat = len(X.shape) == 2
    n_channels = X.shape[1] // grid.n_points if flat else X.shape[1]
    if not flat and tuple(X.shape[2:]) != grid.shape:
        raise ValueError(
            f"FromInput reads fields on the grid of the output, {grid!r}; X has shape "
            f"{tuple(X.shape)}, and should be (n_samples, n_channels, *{grid.shape})."
        )
    if not 0 <= channel < n_channels:
        raise ValueError(
            f"FromInput(channel={channel!r}) does not exist: X has shape "
            f"{tuple(X.shape)}, which is {n_channels} field(s) of {grid.n_points} points."
        )
    if not flat:
        return np.asarray(X[:, channel], dtype=np.float64).reshape(len(X), -1)
    part = _safe_indexing(X, slice(channel * grid.n_points, (channel + 1) * grid.n_points), axis=1)
    return np.asarray(part.toarray() if sparse.issparse(part) else part, dtype=np.float64)

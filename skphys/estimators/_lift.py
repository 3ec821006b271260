"""Smooth fields that satisfy boundary conditions, from the values of the conditions alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from skphys.grids import Components, Grid
from skphys.neural._boundary_batch import BoundaryEmbedding, EmbeddedFace

Array = NDArray[np.float64]

MAX_DEGREE = 3
WELL_POSED = 1e6  # condition number up to which a degree counts as sufficient
ROUNDING = 1e-12  # part of a sum's terms; the slope of a constant is not exactly zero


class SmoothLift:
    """Continue what fields miss at their faces smoothly into the interior.

    Along each axis in turn the mismatch at its faces is continued by polynomials of the lowest
    degree that can: a line between two values, a parabola between two slopes. A later axis leaves
    the faces of earlier ones as they are where the conditions agree at shared edges.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    grid : Grid or Components
        Where the fields live.
    """

    def __init__(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> None:
        self.parts: list[tuple[slice, tuple[int, ...], list[_AxisLift]]] = []
        for component, (part, columns) in enumerate(grid_parts(grid)):
            faces = [face for face in embedding.faces if face.component == component]
            axes = [
                _AxisLift(number, points, [face for face in faces if face.axis == number])
                for number, points in enumerate(axis.points for axis in part.axes.values())
            ]
            self.parts.append((columns, part.shape, [axis for axis in axes if axis.faces]))

    def correct(self, fields: Array, values: Array) -> Array:
        """Return fields (n, n_points) changed so that they satisfy the conditions.

        Parameters
        ----------
        fields : ndarray of shape (n, n_points)
            Any fields.
        values : ndarray of shape (n, n_values)
            The values of the conditions, face by face.
        """
        fields = fields.copy()
        for columns, shape, axes in self.parts:
            part = fields[:, columns].reshape(len(fields), *shape)
            for axis in axes:
                part = axis.correct(part, values)
            fields[:, columns] = part.reshape(len(fields), -1)
        return fields


class _AxisLift:
    """The lift along one axis."""

    def __init__(self, number: int, points: Array, faces: Sequence[EmbeddedFace]) -> None:
        self.number, self.faces = number, faces
        if faces:
            self.stencils = np.stack([face.stencil for face in faces])
            self.functions = _functions(points, self.stencils)

    def correct(self, fields: Array, values: Array) -> Array:
        moved = np.moveaxis(fields, 1 + self.number, -1)
        missing = -(moved @ self.stencils.T)
        for number, face in enumerate(self.faces):
            if face.values.stop > face.values.start:
                missing[..., number] += values[:, face.values].reshape(len(values), *face.shape)
        return np.moveaxis(moved + missing @ self.functions.T, -1, 1 + self.number)


def _functions(points: Array, stencils: Array) -> Array:
    """Return polynomials (n, m) on which the stencils (m, n) are the identity."""
    points = np.asarray(points, dtype=np.float64)
    length = points[-1] - points[0] if len(points) > 1 else 1.0
    scaled = 2.0 * (points - points[0]) / length - 1.0
    for degree in range(len(stencils) - 1, min(MAX_DEGREE, len(points) - 1) + 1):
        basis = legvander(scaled, degree)
        measured = stencils @ basis
        measured[np.abs(measured) < ROUNDING * (np.abs(stencils) @ np.abs(basis))] = 0.0
        scale = np.linalg.norm(measured, axis=1, keepdims=True)
        if (scale > 0.0).all() and np.linalg.cond(measured / scale) < WELL_POSED:
            return np.asarray(basis @ np.linalg.pinv(measured), dtype=np.float64)
    return np.asarray(np.linalg.pinv(stencils), dtype=np.float64)


def grid_parts(grid: Any) -> list[tuple[Grid, slice]]:
    """Return the grid of each component, and its columns in y."""
    if isinstance(grid, Components):
        return [(cast(Grid, grid.grids[name]), grid.slices[name]) for name in grid]
    return [(grid, slice(0, grid.n_points))]

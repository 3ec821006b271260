"""Fields changed smoothly so that they satisfy boundary conditions.

NumPy alone, like `BoundaryBatch`; `Vanish` does the same in torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from skphys.grids import Components, Grid, grid_parts
from skphys.neural._boundary_batch import BoundaryEmbedding, EmbeddedFace

Array = NDArray[np.float64]

MAX_DEGREE = 3
WELL_POSED = 1e6  # condition number up to which a degree counts as sufficient
ROUNDING = 1e-12  # part of a sum's terms; the slope of a constant is not exactly zero


@dataclass(frozen=True, eq=False)
class AxisLift:
    """The lift along one axis.

    Attributes
    ----------
    number : int
        Which axis.
    faces : list of EmbeddedFace
        Its faces, one or two.
    stencils : ndarray of shape (n_faces, n_axis)
        What the faces read of a field.
    functions : ndarray of shape (n_axis, n_faces)
        What continues each reading: a stencil is one on its own function, and zero on the other.
    """

    number: int
    faces: list[EmbeddedFace]
    stencils: Array
    functions: Array

    def correct(self, fields: Array, values: Array) -> Array:
        """Return fields (n, *shape) that satisfy the conditions at the faces."""
        moved = np.moveaxis(fields, 1 + self.number, -1)
        missing = -(moved @ self.stencils.T)
        for number, face in enumerate(self.faces):
            if face.values.stop > face.values.start:
                missing[..., number] += values[:, face.values].reshape(len(values), *face.shape)
        return np.moveaxis(moved + missing @ self.functions.T, -1, 1 + self.number)


def axis_lifts(
    faces: Sequence[EmbeddedFace], points: Sequence[Any], decay: float = np.inf
) -> list[AxisLift]:
    """Return the lifts of one component along each axis that has faces, in order.

    Parameters
    ----------
    faces : sequence of EmbeddedFace
        The faces.
    points : sequence of array-like
        The coordinates along each axis.
    decay : float, default=inf
        How far from a face it is felt, as a part of the axis' length.
    """
    lifts = []
    for number in sorted({face.axis for face in faces}):
        across = [face for face in faces if face.axis == number]
        stencils = np.stack([face.stencil for face in across])
        scaled = _scaled(points[number])
        if np.isfinite(decay):
            functions = _decaying(scaled, stencils, [face.side for face in across], decay)
        else:
            functions = _functions(scaled, stencils)
        lifts.append(AxisLift(number, across, stencils, functions))
    return lifts


class SmoothLift:
    """Continue what fields miss at their faces smoothly into the interior.

    Along each axis in turn the mismatch at its faces is continued by polynomials of the lowest
    degree that can: a line between two values, a parabola between two slopes. With a finite decay
    of the embedding it is continued by ``exp(-distance / decay)``. A later axis leaves
    the faces of earlier ones as they are where the conditions agree at shared edges.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    grid : Grid or Components
        Where the fields live.
    """

    def __init__(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> None:
        self.parts: list[tuple[slice, tuple[int, ...], list[AxisLift]]] = []
        for component, (part, columns) in enumerate(grid_parts(grid)):
            faces = [face for face in embedding.faces if face.component == component]
            points = [axis.points for axis in part.axes.values()]
            lifts = axis_lifts(faces, points, embedding.decay)
            self.parts.append((columns, part.shape, lifts))

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
        for columns, shape, lifts in self.parts:
            part = fields[:, columns].reshape(len(fields), *shape)
            for lift in lifts:
                part = lift.correct(part, values)
            fields[:, columns] = part.reshape(len(fields), -1)
        return fields


def _scaled(points: Any) -> Array:
    """Map points to [-1, 1]."""
    points = np.asarray(points, dtype=np.float64)
    length = points[-1] - points[0] if len(points) > 1 else 1.0
    return np.asarray(2.0 * (points - points[0]) / length - 1.0)


def _decaying(scaled: Array, stencils: Array, sides: Sequence[str], decay: float) -> Array:
    """Return functions (n, m) that decay from their faces, the stencils' identity."""
    near = {"left": np.exp(-(1.0 + scaled) / (2.0 * decay))}
    near["right"] = np.exp(-(1.0 - scaled) / (2.0 * decay))
    near["both"] = near["left"] - near["right"]
    basis = np.stack([near[side] for side in sides], axis=1)
    return np.asarray(basis @ np.linalg.pinv(stencils @ basis), dtype=np.float64)


def _functions(scaled: Array, stencils: Array) -> Array:
    """Return polynomials (n, m) on which the stencils (m, n) are the identity."""
    for degree in range(len(stencils) - 1, min(MAX_DEGREE, len(scaled) - 1) + 1):
        basis = legvander(scaled, degree)
        measured = stencils @ basis
        measured[np.abs(measured) < ROUNDING * (np.abs(stencils) @ np.abs(basis))] = 0.0
        scale = np.linalg.norm(measured, axis=1, keepdims=True)
        if (scale > 0.0).all() and np.linalg.cond(measured / scale) < WELL_POSED:
            return np.asarray(basis @ np.linalg.pinv(measured), dtype=np.float64)
    return np.asarray(np.linalg.pinv(stencils), dtype=np.float64)

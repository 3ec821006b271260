"""Validation of meshes, with errors that name what came and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.grids._checks import Vector, as_numbers, as_vector

OUTSIDE = -1


def as_positive(values: Any, name: str) -> Vector:
    """Return a vector of positive numbers."""
    vector = as_vector(values, name)
    bad = np.flatnonzero(vector <= 0)
    if bad.size:
        raise ValueError(
            f"{name} must be positive, got {vector[bad[0]]:g} at position {bad[0]}; leave out "
            f"what has no size."
        )
    return vector


def as_areas(values: Any, n_faces: int) -> Vector:
    """Return one positive size for each face."""
    areas = as_positive(values, "areas")
    if areas.size != n_faces:
        raise ValueError(f"areas must hold one size for each of {n_faces} faces, got {areas.size}.")
    return areas


def as_centres(values: Any, n_cells: int) -> Vector:
    """Return one point for each cell, (n_cells, n_dims)."""
    points = as_numbers(values, "points")
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or len(points) != n_cells or not points.shape[1]:
        raise ValueError(
            f"points must have shape ({n_cells}, n_dims), one point for each of {n_cells} "
            f"volumes; got {points.shape}."
        )
    return points


def as_faces(values: Any, n_cells: int) -> NDArray[np.intp]:
    """Return the owner and the neighbour of each face, (n_faces, 2)."""
    faces = np.asarray(values)
    if faces.dtype.kind not in "iu" or faces.ndim != 2 or faces.shape[1] != 2:
        raise ValueError(
            f"faces must be integers of shape (n_faces, 2), the owner and the neighbour of each "
            f"face; got dtype {faces.dtype} and shape {faces.shape}."
        )
    faces = faces.astype(np.intp)
    bad = ((faces < OUTSIDE) | (faces >= n_cells)).any(axis=1) | (faces[:, 0] == faces[:, 1])
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"faces must join two of the cells 0 to {n_cells - 1}, or one and the outside, -1; "
            f"face {first} is {faces[first].tolist()}."
        )
    return faces


def as_normals(values: Any, shape: tuple[int, int]) -> Vector:
    """Return unit vectors."""
    normals = as_numbers(values, "normals")
    if normals.shape != shape:
        raise ValueError(f"normals must have shape {shape}, got {normals.shape}.")
    if not np.allclose(np.linalg.norm(normals, axis=1), 1.0, rtol=1e-6):
        raise ValueError("normals must be unit vectors; divide them by their lengths.")
    return normals

"""Validation of meshes, with errors that name what came and what to do."""

from __future__ import annotations

from collections.abc import Mapping
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


def as_coordinates(names: Any, n_dims: int) -> tuple[str, ...] | None:
    """Return the name of each column of points, or None."""
    if names is None:
        return None
    listed = () if isinstance(names, str) else tuple(names)
    if len(listed) != n_dims or not all(isinstance(name, str) for name in listed):
        raise ValueError(
            f"coordinates must hold one name for each of the {n_dims} columns of points, such as "
            f"{('x', 'y', 'z')[:n_dims]}; got {names!r}."
        )
    return listed


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


def as_face_points(values: Any, shape: tuple[int, int]) -> Vector:
    """Return the middle of each face."""
    points = as_numbers(values, "face_points")
    points = points[:, None] if points.ndim == 1 else points
    if points.shape != shape:
        raise ValueError(f"face_points must have shape {shape}, got {points.shape}.")
    return points


def as_boundary(
    boundary: Any, faces: NDArray[np.intp], face_points: Vector | None
) -> dict[str, NDArray[np.intp]]:
    """Return the numbers of the faces of each named part of the boundary."""
    if boundary is None:
        return {}
    if not isinstance(boundary, Mapping):
        raise TypeError(
            f"boundary must be a dict from names to faces, such as {{'wall': [0, 3]}}; got "
            f"{type(boundary).__name__}."
        )
    ends = (faces == OUTSIDE).any(axis=1)
    parts = {name: _as_part(name, part, ends, face_points) for name, part in boundary.items()}
    taken = np.bincount(np.concatenate([*parts.values(), []]).astype(np.intp))
    if (taken > 1).any():
        raise ValueError(
            f"boundary names face {int(taken.argmax())} more than once; each has one condition."
        )
    return parts


def _as_part(
    name: str, part: Any, ends: NDArray[np.bool_], face_points: Vector | None
) -> NDArray[np.intp]:
    if callable(part):
        if face_points is None:
            raise ValueError(f"boundary[{name!r}] is a callable of face_points, which are missing.")
        chosen, said = np.zeros(len(ends), dtype=bool), np.asarray(part(face_points[ends]))
        if said.dtype != bool or said.shape != (ends.sum(),):
            raise ValueError(
                f"boundary[{name!r}] is called with the middles of the {ends.sum()} faces that "
                f"have an outside, and must say True or False of each; got dtype {said.dtype} and "
                f"shape {said.shape}. Compare, such as points[:, 0] == 0."
            )
        chosen[ends] = said
    else:
        chosen = np.asarray(part)
    if chosen.dtype == bool and chosen.shape == ends.shape:
        chosen = np.flatnonzero(chosen)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not chosen.size:
        raise ValueError(
            f"boundary[{name!r}] must hold numbers of faces, at least one, or be a boolean mask of "
            f"shape ({len(ends)},), or a callable that makes one of the faces' points; got dtype "
            f"{chosen.dtype} and shape {chosen.shape}."
        )
    inside = (chosen < 0) | (chosen >= len(ends)) | ~ends[np.clip(chosen, 0, len(ends) - 1)]
    if inside.any():
        raise ValueError(
            f"boundary[{name!r}] holds face {int(chosen[inside][0])}, which has no outside; a "
            f"condition holds where the mesh ends."
        )
    return np.unique(chosen).astype(np.intp)

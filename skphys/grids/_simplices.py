"""Segments, triangles and tetrahedra as control volumes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.grids._checks import Vector, as_numbers


def simplex_cells(vertices: Any, simplices: Any) -> dict[str, Any]:
    """Return the arguments of a Mesh of simplices, but for what the user says.

    The area vector of the facet opposite a corner is ``-n_dims * volume * grad(lambda)``, with
    ``lambda`` the corner's barycentric coordinate; it points outwards, in any dimension.
    """
    vertices, simplices = _checked(vertices, simplices)
    volumes, vectors = _measured(vertices, simplices)
    cell, neighbour, corner, facets = _facets(simplices)
    vectors, centres = vectors[cell, corner], vertices[simplices].mean(axis=1)
    _require_sides(centres, cell, neighbour, vectors)
    return {
        "points": centres,
        "volumes": volumes,
        "faces": np.column_stack([cell, neighbour]),
        **_split(vectors),
        "face_points": vertices[facets].mean(axis=1),
    }


def simplex_vertices(vertices: Any, simplices: Any) -> dict[str, Any]:
    """Return the arguments of a Mesh whose volumes lie around the vertices: the median dual.

    Each simplex gives an equal part of its volume to each corner. The area vector between the parts
    of two corners is the difference of those of the facets opposite them, over ``n_dims * (n_dims +
    1)``; with an equal part of each facet on the boundary they close each volume.
    """
    vertices, simplices = _checked(vertices, simplices)
    volumes, vectors = _measured(vertices, simplices)
    cell, neighbour, corner, facets = _facets(simplices)
    _require_sides(vertices[simplices].mean(axis=1), cell, neighbour, vectors[cell, corner])
    n_dims, ends = vertices.shape[1], np.triu_indices(vertices.shape[1] + 1, 1)
    pairs = np.stack([simplices[:, end].ravel() for end in ends], axis=1)
    across = (vectors[:, ends[0]] - vectors[:, ends[1]]).reshape(-1, n_dims)
    across *= np.where(pairs[:, :1] < pairs[:, 1:], 1.0, -1.0) / (n_dims * (n_dims + 1))
    edges, number = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    inner = np.zeros((len(edges), n_dims))
    np.add.at(inner, number.ravel(), across)
    outer, walls = neighbour < 0, facets[neighbour < 0].ravel()
    outward = np.repeat(vectors[cell, corner][outer] / n_dims, n_dims, axis=0)
    parts = np.bincount(simplices.ravel(), np.repeat(volumes / (n_dims + 1), n_dims + 1))
    if len(parts) < len(vertices) or not parts.all():
        raise ValueError(
            "vertices that no simplex has carry no part of a volume; leave them, and their values, "
            "out."
        )
    return {
        "points": vertices,
        "volumes": parts,
        "faces": np.concatenate([edges, np.column_stack([walls, np.full(len(walls), -1)])]),
        **_split(np.concatenate([inner, outward])),
    }


def _measured(vertices: Vector, simplices: NDArray[np.intp]) -> tuple[Vector, Vector]:
    """Return the volumes, and the area vectors of the facets opposite each corner."""
    corners = vertices[simplices]
    edges = corners[:, 1:] - corners[:, :1]
    volumes = np.abs(np.linalg.det(edges)) / math.factorial(vertices.shape[1])
    _require_volume(volumes, edges)
    return volumes, _area_vectors(edges, volumes)


def _split(vectors: Vector) -> dict[str, Vector]:
    """Split area vectors."""
    areas = np.linalg.norm(vectors, axis=-1)
    return {"areas": areas, "normals": vectors / areas[:, None]}


def _area_vectors(edges: Vector, volumes: Vector) -> Vector:
    """Outward area vectors of the facets opposite each corner, (n_cells, n_corners, n_dims)."""
    gradients = np.linalg.inv(edges).transpose(0, 2, 1)
    gradients = np.concatenate([-gradients.sum(axis=1, keepdims=True), gradients], axis=1)
    return -edges.shape[-1] * volumes[:, None, None] * gradients


def _facets(simplices: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
    """Return, for each facet, its owner, its neighbour or -1, the owner's other corner, its own."""
    n_corners = simplices.shape[1]
    others = [[j for j in range(n_corners) if j != corner] for corner in range(n_corners)]
    facets = np.sort(simplices[:, others], axis=-1).reshape(-1, n_corners - 1)
    order = np.lexsort(facets.T[::-1])
    facets = facets[order]
    starts = np.append(True, (facets[1:] != facets[:-1]).any(axis=1))
    first = np.flatnonzero(starts)
    counts = np.diff(np.append(first, len(facets)))
    if counts.max() > 2:
        worst = facets[first[counts.argmax()]].tolist()
        raise ValueError(f"simplices overlap: the facet {worst} belongs to {counts.max()} of them.")
    second = np.where(counts == 2, order[np.minimum(first + 1, len(order) - 1)] // n_corners, -1)
    return order[first] // n_corners, second, order[first] % n_corners, facets[first]


def _require_sides(
    centres: Vector, cell: NDArray[np.intp], neighbour: NDArray[np.intp], outward: Vector
) -> None:
    """Raise unless the cells at a facet lie on either side of it."""
    inner = np.flatnonzero(neighbour >= 0)
    across = centres[neighbour[inner]] - centres[cell[inner]]
    bad = inner[np.sum(across * outward[inner], axis=1) <= 0]
    if bad.size:
        raise ValueError(
            f"simplices overlap: numbers {cell[bad[0]]} and {neighbour[bad[0]]} lie on the same "
            f"side of the facet that they share."
        )


def _checked(vertices: Any, simplices: Any) -> tuple[Vector, NDArray[np.intp]]:
    vertices = as_numbers(vertices, "vertices")
    if vertices.ndim != 2:
        raise ValueError(f"vertices must have shape (n_vertices, n_dims), got {vertices.shape}.")
    simplices = np.asarray(simplices)
    shape = (len(simplices), vertices.shape[1] + 1)
    if simplices.dtype.kind not in "iu" or simplices.shape != shape or not len(simplices):
        raise ValueError(
            f"simplices must be integers of shape (n_cells, {shape[1]}), the corners of each cell "
            f"in {vertices.shape[1]} dimension(s); got dtype {simplices.dtype} and shape "
            f"{simplices.shape}."
        )
    if simplices.min() < 0 or simplices.max() >= len(vertices):
        raise ValueError(f"simplices must name the vertices 0 to {len(vertices) - 1}.")
    return vertices, simplices.astype(np.intp)


def _require_volume(volumes: Vector, edges: Vector) -> None:
    size = np.prod(np.linalg.norm(edges, axis=-1), axis=-1)
    flat = np.flatnonzero(volumes <= 1e-12 * size)
    if flat.size:
        raise ValueError(
            f"simplices must have a volume, but number {flat[0]} is flat; drop it (a triangulation "
            f"may leave slivers along its hull)."
        )

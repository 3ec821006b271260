"""Boundary constraints and their values, as operators take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from skphys.constraints import BoundaryConstraint, boundary_values
from skphys.grids import Components, Grid
from skphys.neural import BoundaryBatch, BoundaryEmbedding, EmbeddedFace

NamedFaces = Sequence[tuple[str, BoundaryConstraint]]


def embed_boundary(
    constraints: NamedFaces, grid: Grid | Components, method: str, pivot: str = "scalar"
) -> BoundaryEmbedding:
    """Describe a boundary for an operator.

    Parameters
    ----------
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What the operator is asked to do.
    pivot : {"scalar", "block"}, default="scalar"
        Of "kernel".

    Raises
    ------
    ValueError
        If a condition has no single stencil along its face.
    """
    faces: list[EmbeddedFace] = []
    start = 0
    for name, constraint in constraints:
        face = _embedded(name, constraint, grid, start)
        faces.append(face)
        start = face.values.stop
    return BoundaryEmbedding(method, tuple(faces), pivot)


def _embedded(
    name: str, constraint: BoundaryConstraint, grid: Grid | Components, start: int
) -> EmbeddedFace:
    face = constraint.on(grid)
    components = list(grid) if isinstance(grid, Components) else []
    size = 0 if constraint.kind == "periodic" else prod(face.shape)
    return EmbeddedFace(
        name=name,
        kind=constraint.kind,
        component=0 if constraint.component is None else components.index(constraint.component),
        axis=face.position,
        side=face.side,
        stencil=constraint.stencil(grid),
        shape=face.shape,
        values=slice(start, start + size),
    )


def boundary_batch(
    constraints: NamedFaces,
    grid: Grid | Components,
    method: str,
    X: Any,
    given: Mapping[str, Any] | None = None,
    *,
    pivot: str = "scalar",
    feature_names: Any = None,
) -> BoundaryBatch:
    """Describe a boundary, with its values for the rows of X.

    Parameters
    ----------
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What the operator is asked to do.
    X : array or DataFrame of shape (n_samples, n_features)
        Where declared values are looked up.
    given : dict of str to array, optional
        Values by name, in place of declared ones.
    pivot : {"scalar", "block"}, default="scalar"
        Of "kernel".
    feature_names : array of str, default=None
        Names of the columns of X, if X itself has none.
    """
    embedding = embed_boundary(constraints, grid, method, pivot)
    values = _packed(constraints, grid, X, given or {}, feature_names)
    return BoundaryBatch(embedding, values)


def _packed(
    constraints: NamedFaces,
    grid: Grid | Components,
    X: Any,
    given: Mapping[str, Any],
    feature_names: Any,
) -> np.ndarray:
    """Return the values of all faces side by side, (n_samples, n_values)."""
    n_samples = X.shape[0]
    declared = [(name, c) for name, c in constraints if name not in given]
    values = boundary_values(declared, grid, X, feature_names, unknown=True)
    packed = [np.empty((n_samples, 0))]
    for name, constraint in constraints:
        if constraint.kind == "periodic":
            continue
        if name in given:
            packed.append(_over_face(given[name], constraint, grid, n_samples))
        else:
            face = values[name].reshape(len(values[name]), -1)
            packed.append(np.broadcast_to(face, (n_samples, face.shape[1])))
        unknown = np.isnan(packed[-1]).any(axis=1).sum()
        if unknown:
            raise ValueError(
                f"The value of {name!r} is not known (NaN) for {unknown} of {n_samples} field(s), "
                f"but a backbone that is told of the boundary needs all of them. Fill them in, or "
                f"take method='project', which leaves such a face of a field as predicted."
            )
    return np.concatenate(packed, axis=1)


def _over_face(
    given: Any, constraint: BoundaryConstraint, grid: Grid | Components, n_samples: int
) -> np.ndarray:
    """Return given values over all points of a face, (n_samples, n_face_points).

    Values may be given for its rows alone; points that are stated by another face then take the
    value of a point nearby.
    """
    values = np.asarray(given, dtype=np.float64)
    values = values.reshape(len(values) if values.ndim else 1, -1)
    face = constraint.on(grid)
    if values.shape[1] == len(face.kept):
        points = np.arange(prod(face.shape))[:, None]
        values = values[:, np.abs(points - face.kept).argmin(axis=1)]
    return np.broadcast_to(values, (n_samples, prod(face.shape)))

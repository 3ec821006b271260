"""Boundary conditions by the names of their faces: ``boundary__<face>__<parameter>``.

Faces are named as by `boundary_constraints`: ``boundary__x_left__value``, with components
``boundary__u_x_left__value``. Where one condition is given for both faces of an axis, it is also
reached as ``boundary__x__value``; setting one face then leaves the other as it was.
"""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from skphys.constraints import BOTH, BoundaryConstraint, declared_faces, with_condition
from skphys.grids import SIDES, Mesh


def named_faces(boundary: Any) -> dict[str, BoundaryConstraint]:
    """Return the conditions by name; none of a boundary that is not valid, as fit will say."""
    try:
        declared = declared_faces(boundary)
    except (TypeError, ValueError):
        return {}
    named = {}
    for face in declared:
        named[face.label] = face
        for side in SIDES if face.face == BOTH and face.kind != "periodic" else ():
            single = BoundaryConstraint(face.condition, face.axis, side, face.component)
            named[single.label] = single
    return named


def with_face(boundary: Any, name: str, key: str, value: Any) -> Any:
    """Return a boundary with another condition at a face or, with a key, another parameter of it.

    The given boundary and its conditions stay as they are.
    """
    face = named_faces(boundary)[name]
    if value is (getattr(face.condition, key, face) if key else face.condition):
        return boundary  # so that set_params(**get_params()) changes nothing
    condition = clone(face.condition).set_params(**{key: value}) if key else value
    return with_condition(boundary, face, condition)


def only_projects(grid: Any, method: str) -> bool:
    """Say whether fields can only be projected onto their boundary, because they are on a mesh."""
    if not any(isinstance(part, Mesh) for part in getattr(grid, "grids", {"": grid}).values()):
        return False
    if method not in ("auto", "project"):
        raise ValueError(
            f"method={method!r} needs a Grid, whose faces have an axis across them; on a Mesh use "
            f"method='project'."
        )
    return True

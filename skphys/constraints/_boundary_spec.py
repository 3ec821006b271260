"""A boundary as users write it: conditions by axis and face, and by component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skphys.constraints._conditions import BoundaryCondition, Periodic
from skphys.constraints._faces import BOTH
from skphys.constraints.boundary import BoundaryConstraint
from skphys.grids import SIDES


def declared_faces(boundary: Any) -> list[BoundaryConstraint]:
    """Take a boundary apart, one constraint a condition as it is written, in any order of the axes.

    Where one condition is given for an axis, its face is "both", which only `Periodic` can state.

    Raises
    ------
    TypeError
        If something is not a condition.
    ValueError
        If an axis has not one or two conditions, or `Periodic` at one face only.
    """
    if not isinstance(boundary, Mapping):
        raise TypeError(
            f"boundary must be a dict from axes to conditions, such as {{'x': (Dirichlet(0.0), "
            f"Neumann(0.0))}}; got {type(boundary).__name__}."
        )
    nested = {key: value for key, value in boundary.items() if isinstance(value, Mapping)}
    if not nested:
        return _of_axes(boundary, None)
    if len(nested) < sum(value is not None for value in boundary.values()):
        raise TypeError(
            f"boundary must hold a dict for each component, or conditions for each axis; got both "
            f"for {list(boundary)}."
        )
    return [face for component, axes in nested.items() for face in _of_axes(axes, component)]


def _of_axes(boundary: Mapping[str, Any], component: str | None) -> list[BoundaryConstraint]:
    faces = []
    for axis, given in boundary.items():
        place = f"boundary[{axis!r}]" if component is None else f"boundary[{component!r}][{axis!r}]"
        pairs = _by_face(given, place)
        faces += [BoundaryConstraint(c, axis, f, component) for f, c in pairs if c is not None]
    return faces


def _by_face(given: Any, place: str) -> list[tuple[str, Any]]:
    """Return conditions with the faces that they are for."""
    if given is None or isinstance(given, BoundaryCondition):
        return [(BOTH, given)]
    if not isinstance(given, tuple | list):
        raise TypeError(
            f"{place} must be a condition for both faces, or a pair of them, (left, right); got "
            f"{given!r}."
        )
    if len(given) != 2:
        raise ValueError(
            f"{place} must hold two conditions, (left, right), None where a face is free; got "
            f"{len(given)}."
        )
    for condition in given:
        if not isinstance(condition, BoundaryCondition | None):
            raise TypeError(
                f"{place} holds {condition!r}, which is not a condition (an instance of Dirichlet, "
                f"Neumann, Robin or Periodic, not a class), and not None."
            )
        if isinstance(condition, Periodic):
            raise ValueError(
                f"{place}: Periodic joins both faces and leaves no room for another condition; "
                f"pass it alone, {place} = Periodic()."
            )
    return list(zip(SIDES, given, strict=True))


def with_condition(boundary: Any, face: BoundaryConstraint, condition: Any) -> dict[str, Any]:
    """Return a boundary with another condition at a face; the one given stays as it is."""
    axes = boundary if face.component is None else boundary[face.component]
    given = axes[face.axis]
    if face.face != BOTH:
        pair = (given, given) if isinstance(given, BoundaryCondition) else given
        at = SIDES.index(face.face)
        condition = tuple(condition if i == at else other for i, other in enumerate(pair))
    changed = {**axes, face.axis: condition}
    return changed if face.component is None else {**boundary, face.component: changed}

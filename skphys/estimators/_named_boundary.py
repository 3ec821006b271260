"""Parameters of boundary conditions, reached as ``boundary__<face>__<parameter>``."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import clone

from skphys.constraints import BOTH, BoundaryConstraint, declared_faces, with_condition
from skphys.grids import SIDES

PREFIX = "boundary__"


class NamedBoundaryMixin:
    """get_params and set_params down to the conditions of a boundary.

    Faces are named as by `boundary_constraints`: ``boundary__x_left__value``, with components
    ``boundary__u_x_left__value``. Where one condition is given for both faces of an axis, it is
    also reached as ``boundary__x__value``; setting one face then leaves the other as it was.
    """

    boundary: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Also those of the backbone and of the boundary conditions.

        Returns
        -------
        dict of str to object
            Values by name.
        """
        params = super().get_params(deep=deep)  # type: ignore[misc]
        for name, face in self._named_faces().items() if deep else []:
            params[PREFIX + name] = face.condition
            for key, value in face.condition.get_params(deep=True).items():
                params[f"{PREFIX}{name}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of boundary conditions by ``boundary__<face>__<parameter>``.

        Parameters
        ----------
        **params : dict
            Values by name. Conditions are replaced, never changed in place: those that the caller
            still holds stay as they are.

        Returns
        -------
        self : estimator
            The estimator.
        """
        if "boundary" in params:
            self.boundary = params.pop("boundary")
        own = {key: params.pop(key) for key in list(params) if key.startswith(PREFIX)}
        super().set_params(**params)  # type: ignore[misc]
        own = {key.removeprefix(PREFIX): value for key, value in own.items()}
        for key in sorted(own, key=self._comes_late):
            self._set_face(key, own[key])
        return self

    def _comes_late(self, key: str) -> tuple[bool, bool]:
        """Sort conditions before their parameters, and both faces before one of them."""
        name, _, parameter = key.partition("__")
        face = self._named_faces().get(name)
        return bool(parameter), face is not None and face.face != BOTH

    def _named_faces(self) -> dict[str, BoundaryConstraint]:
        """Return the conditions by name; fit says what is wrong with a boundary that is invalid."""
        try:
            declared = declared_faces(self.boundary)
        except (TypeError, ValueError):
            return {}
        named = {}
        for face in declared:
            named[face.label] = face
            for side in SIDES if face.face == BOTH and face.kind != "periodic" else ():
                single = BoundaryConstraint(face.condition, face.axis, side, face.component)
                named[single.label] = single
        return named

    def _set_face(self, key: str, value: Any) -> None:
        named = self._named_faces()
        name, _, parameter = key.partition("__")
        if name not in named:
            raise ValueError(
                f"Invalid parameter {PREFIX + key!r} for {type(self).__name__}: the faces of the "
                f"boundary are {list(named)}."
            )
        face = named[name]
        if value is (getattr(face.condition, parameter, self) if parameter else face.condition):
            return  # so that set_params(**get_params()) changes nothing
        condition = clone(face.condition).set_params(**{parameter: value}) if parameter else value
        self.boundary = with_condition(self.boundary, face, condition)

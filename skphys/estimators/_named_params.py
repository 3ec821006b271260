"""Parameters of listed constraints, reached as ``constraints__<name>__<parameter>``."""

from __future__ import annotations

from typing import Any, Self

from skphys.constraints import Constraint, name_constraints

PREFIX = "constraints__"


class NamedConstraintsMixin:
    """get_params and set_params down to the constraints of a list."""

    constraints: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Also those of the backbone and of the constraints.

        Returns
        -------
        dict of str to object
            Values by name.
        """
        params = super().get_params(deep=deep)  # type: ignore[misc]
        for name, constraint in self._listed() if deep else []:
            params[PREFIX + name] = constraint
            for key, value in constraint.get_params(deep=True).items():
                params[f"{PREFIX}{name}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of listed constraints by ``constraints__<name>__<parameter>``.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator
            The estimator.
        """
        if "constraints" in params:
            self.constraints = params.pop("constraints")
        if not isinstance(self.constraints, (list, tuple)):
            return super().set_params(**params)  # type: ignore[misc]
        own = {key: params.pop(key) for key in list(params) if key.startswith(PREFIX)}
        super().set_params(**params)  # type: ignore[misc]
        for key, value in own.items():
            self._set_listed(key.removeprefix(PREFIX), value)
        return self

    def _listed(self) -> list[tuple[str, Constraint]]:
        """Return the constraints of a list; fit says what is wrong with one that is not valid."""
        if not isinstance(self.constraints, (list, tuple)):
            return []
        try:
            return name_constraints(self.constraints)
        except (TypeError, ValueError):
            return []

    def _set_listed(self, key: str, value: Any) -> None:
        named = self._listed()
        name, _, parameter = key.partition("__")
        names = [known for known, _ in named]
        if name not in names:
            raise ValueError(
                f"Invalid parameter {PREFIX + key!r} for {type(self).__name__}: the constraints "
                f"are {names}."
            )
        position = names.index(name)
        if parameter:
            named[position][1].set_params(**{parameter: value})
            return
        listed = list(self.constraints)
        is_pair = isinstance(listed[position], tuple)
        listed[position] = (name, value) if is_pair else value
        self.constraints = listed

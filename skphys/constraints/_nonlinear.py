"""Nonlinear equalities: how a constraint states its own, and the system of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.constraints._equalities import stacked_noise
from skphys.constraints._values import FieldTable, noise_error, one_a_field, resolve_value
from skphys.constraints.nonlinear import NonlinearConstraint


@dataclass(frozen=True)
class NonlinearStatement:
    """One nonlinear constraint on one grid.

    Attributes
    ----------
    name : str
        Of the constraint.
    constraint : NonlinearConstraint
        What is stated.
    grid : Grid, Mesh or Components
        Where.
    n_rows : int
        Of a field.
    """

    name: str
    constraint: NonlinearConstraint
    grid: Any
    n_rows: int

    @classmethod
    def of(cls, name: str, constraint: NonlinearConstraint, grid: Any) -> NonlinearStatement:
        """State a constraint; what it says of a field of ones tells how many rows it has."""
        stated = constraint.stated(grid)
        with np.errstate(all="ignore"):
            found = np.asarray(stated.evaluate(np.ones((1, grid.n_points)), grid))
        if found.ndim != 2 or len(found) != 1:
            raise ValueError(
                f"evaluate of constraint {name!r} must return shape (n_fields, n_rows), here (1, "
                f"n_rows); got {found.shape}."
            )
        return cls(name, stated, grid, found.shape[1])

    def values(self, table: FieldTable, given: Any = None) -> np.ndarray:
        """Return ``v`` of shape (n_samples, n_rows), as declared or as given in its place."""
        if given is not None:
            name = f"constraint_values[{self.name!r}]"
            values = one_a_field(given, table.n_fields, ((self.n_rows,),), name)
            if np.isinf(values).any() or (np.ndim(given) == 0 and np.isnan(values).any()):
                raise ValueError(f"{name} is not finite for every field.")
        else:
            parameter = self.constraint.value_parameters[0]
            values = self._resolved(getattr(self.constraint, parameter), table, parameter)
        return np.broadcast_to(values, (table.n_fields, self.n_rows))

    def noise(self, table: FieldTable, values: np.ndarray) -> np.ndarray:
        """Return the noise's standard deviation, of shape (n_samples, n_rows)."""
        noise = self._resolved(self.constraint.noise, table, "noise")
        wrong = ~((np.isfinite(noise) & (noise >= 0)) | np.isnan(values))
        if wrong.any():
            found = np.broadcast_to(noise, wrong.shape)[wrong]
            raise noise_error(found, self.name, self.constraint.noise)
        return np.broadcast_to(np.nan_to_num(noise), (table.n_fields, self.n_rows))

    def _resolved(self, spec: Any, table: FieldTable, parameter: str) -> np.ndarray:
        name = f"{parameter} of constraint {self.name!r}"
        return resolve_value(spec, table, name, self.n_rows, unknown=True)


@dataclass(frozen=True)
class NonlinearSystem:
    """Nonlinear equalities ``f(u) = values`` for a batch of fields.

    Attributes
    ----------
    statements : tuple of NonlinearStatement
        Each with its rows, one after another.
    values : ndarray of shape (n_samples, n_rows)
        ``v``; NaN where it is not known.
    noise : ndarray of shape (n_samples, n_rows)
        Standard deviation of each row's value.
    """

    statements: tuple[NonlinearStatement, ...]
    values: np.ndarray
    noise: np.ndarray

    @staticmethod
    def stated(
        statements: Sequence[NonlinearStatement], table: FieldTable, given: Any = None
    ) -> NonlinearSystem:
        """State constraints for the fields of a table."""
        given = given or {}
        values = [s.values(table, given.get(s.name)) for s in statements]
        noise = [s.noise(table, v) for s, v in zip(statements, values, strict=True)]
        return NonlinearSystem(
            tuple(statements),
            np.concatenate(values, axis=1),
            np.concatenate(noise, axis=1),
        )

    @staticmethod
    def stacked(some: Sequence[NonlinearSystem | None]) -> NonlinearSystem | None:
        """Join systems that speak of the same fields; None is one without rows."""
        systems = [system for system in some if system is not None]
        if not systems:
            return None
        return NonlinearSystem(
            tuple(s for system in systems for s in system.statements),
            np.concatenate([system.values for system in systems], axis=1),
            stacked_noise([system.noise for system in systems], len(systems[0].values)),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The constraint that each row belongs to."""
        return tuple(s.name for s in self.statements for _ in range(s.n_rows))

    def size(self, n_points: int) -> int:
        """Return the number of derivatives of a field."""
        return self.values.shape[-1] * n_points

    def take(self, part: Any) -> NonlinearSystem:
        """Return the system of some of the fields."""
        return replace(self, values=self.values[part], noise=self.noise[part])

    def evaluate(self, fields: np.ndarray) -> np.ndarray:
        """Return ``f``, of shape (n_fields, n_rows); points after those of the grid are queries."""
        parts = self._each(fields, lambda s, u: s.constraint.evaluate(u, s.grid))
        return np.concatenate(parts, axis=1)

    def jacobian(self, fields: np.ndarray) -> np.ndarray:
        """Return the derivatives of ``f``, of shape (n_fields, n_rows, n_points)."""
        parts = self._each(fields, lambda s, u: s.constraint.jacobian(u, s.grid))
        rows = np.zeros((len(fields), self.values.shape[-1], fields.shape[1]))
        first = 0
        for part in parts:
            rows[:, first : first + part.shape[1], : part.shape[2]] = part
            first += part.shape[1]
        return rows

    def curvature(
        self, fields: np.ndarray, multipliers: np.ndarray, directions: np.ndarray
    ) -> np.ndarray:
        """Return second derivatives of ``sum(multipliers * f)`` times directions."""
        bent, first = np.zeros_like(fields), 0
        for s in self.statements:
            own, n = slice(first, first + s.n_rows), s.grid.n_points
            bent[:, :n] += s.constraint.curvature(
                fields[:, :n], multipliers[:, own], directions[:, :n], s.grid
            )
            first += s.n_rows
        return bent

    def residual(self, fields: np.ndarray) -> np.ndarray:
        """Return ``f(u) - v``, of shape (n_fields, n_rows); NaN where ``v`` is not known."""
        return self.evaluate(fields) - self.values

    def terms(self, fields: np.ndarray) -> np.ndarray:
        """Return what residuals are measured by, ``|J| |u| + |v|``."""
        rows = np.abs(self.jacobian(fields))
        return np.einsum("srp,sp->sr", rows, np.abs(fields)) + np.abs(self.values)

    def _each(
        self, fields: np.ndarray, ask: Callable[[NonlinearStatement, np.ndarray], np.ndarray]
    ) -> list[np.ndarray]:
        return [ask(s, fields[:, : s.grid.n_points]) for s in self.statements]

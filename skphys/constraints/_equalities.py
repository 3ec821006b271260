"""Linear equalities: how each constraint states its own, and the system of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._parts import Resolved
from skphys.constraints._rows import Rows, compact, entries, stack
from skphys.constraints._values import (
    FieldTable,
    columns_of,
    noise_error,
    numeric,
    one_a_field,
    resolve_value,
)
from skphys.constraints.base import Constraint


@dataclass(frozen=True)
class EqualitySystem:
    """Linear equalities ``rows @ u = values`` for a batch of fields.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (n_rows, n_points)
        ``G``; sparse where a constraint states sparse rows and that pays.
    values : ndarray of shape (n_samples, n_rows)
        ``b``; NaN where it is not known, see `by_known`.
    noise : ndarray of shape (n_rows,) or (n_samples, n_rows)
        Standard deviation of each row's value; the second where it differs between fields.
    names : tuple of str
        The constraint that each row belongs to.
    noise_rows : tuple of csr_array of shape (n_rows, n_points)
        What the predicted standard deviations add to the noise, see `under`.
    """

    rows: Rows
    values: np.ndarray
    noise: np.ndarray
    names: tuple[str, ...]
    noise_rows: tuple[sparse.csr_array, ...] = ()

    @staticmethod
    def stacked(systems: Sequence[EqualitySystem], n_points: int, n_samples: int) -> EqualitySystem:
        """Stack systems that speak of the same fields."""
        if len(systems) == 1:
            return systems[0]
        return EqualitySystem(
            rows=stack([s.rows for s in systems], n_points),
            values=np.concatenate([np.empty((n_samples, 0)), *(s.values for s in systems)], axis=1),
            noise=stacked_noise([s.noise for s in systems], n_samples),
            names=tuple(name for s in systems for name in s.names),
            noise_rows=_stacked_rows(systems, n_points),
        )

    def take(self, part: Any) -> EqualitySystem:
        """Return the system of some of the fields."""
        noise = self.noise if self.noise.ndim == 1 else self.noise[part]
        return replace(self, values=self.values[part], noise=noise)

    def by_known(self) -> Iterator[tuple[np.ndarray, EqualitySystem]]:
        """Yield the fields for which the same values are known, and the system of these rows."""
        patterns, which = np.unique(~np.isnan(self.values), axis=0, return_inverse=True)
        for k, known in enumerate(patterns):
            fields, rows = np.flatnonzero(which.reshape(-1) == k), np.flatnonzero(known)
            part = self.take(fields)
            yield (
                fields,
                EqualitySystem(
                    part.rows[rows],
                    part.values[:, rows],
                    part.noise[..., rows],
                    tuple(part.names[row] for row in rows),
                    tuple(each[rows] for each in part.noise_rows),
                ),
            )

    def under(self, prior: Any) -> EqualitySystem:
        """Return the system with the noise that it has for fields of some uncertainty.

        Parameters
        ----------
        prior : Gaussian or Mixture
            The fields before any constraint; their ``std()`` counts.

        Returns
        -------
        EqualitySystem
            Without `noise_rows`. Where their noise is zero, all points of the row are known, and
            any noise leaves them as they are; it is then 1.
        """
        if not self.noise_rows:
            return self
        std = np.atleast_2d(prior.std())
        added = sum((part @ std.T).T ** 2 for part in self.noise_rows)
        soft = sum(np.diff(part.indptr) for part in self.noise_rows) > 0
        variance = self.noise**2 + added
        noise = np.sqrt(np.where(soft & (variance == 0), 1.0, variance))
        noise = np.broadcast_to(noise, self.values.shape)
        return replace(self, noise=noise, noise_rows=())


@dataclass(frozen=True)
class Statement:
    """One constraint on one grid: its rows, and how its values and its noise are found.

    Attributes
    ----------
    name : str
        Of the constraint.
    constraint : Constraint
        What is stated.
    grid : Grid, Mesh or Components
        Where.
    rows : ndarray or csr_array of shape (n_rows, n_points)
        ``G``.
    """

    name: str
    constraint: Constraint
    grid: Any
    rows: Rows

    @classmethod
    def of(cls, name: str, constraint: Constraint, grid: Any) -> Statement:
        """State a constraint, after a check of what it says."""
        rows = compact(constraint.rows(grid))
        if rows.ndim != 2 or rows.shape[1] != grid.n_points or not np.isfinite(entries(rows)).all():
            raise ValueError(
                f"The rows of constraint {name!r} must be finite and of shape (n_rows, "
                f"{grid.n_points}) on this grid; got {rows.shape}."
            )
        return cls(name, constraint, grid, rows)

    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.rows.shape[0])

    @cached_property
    def shapes(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """The shapes of value parameters that are not one entry a row."""
        return self.constraint.value_shapes(self.grid)

    @cached_property
    def declared(self) -> dict[str, Any]:
        """What holds each value, by parameter; those that may be left out and are, are not here."""
        specs = self.constraint.declared_values(self.grid)
        return {p: spec for p, spec in specs.items() if spec is not None or p not in self.shapes}

    @property
    def empty(self) -> EqualitySystem:
        """The system of no fields."""
        return EqualitySystem(
            self.rows,
            np.empty((0, self.n_rows)),
            np.zeros(self.n_rows),
            (self.name,) * self.n_rows,
            tuple(sparse.csr_array(part) for part in self.constraint.noise_rows(self.grid)),
        )

    def values(self, table: FieldTable, given: Any = None) -> tuple[np.ndarray, Resolved | None]:
        """Return ``b`` of shape (n_samples, n_rows); and as declared, if that is what holds."""
        resolved = self.resolved(table, True) if given is None else self._replaced(given, table)
        if resolved is None:
            values = self._right_hand_side(given, table)
        else:
            values = np.asarray(self.constraint.values(resolved, self.grid), dtype=np.float64)
        return np.broadcast_to(values, (table.n_fields, self.n_rows)), resolved

    def resolved(self, table: FieldTable, unknown: bool = False) -> Resolved:
        """Return the declared values as arrays, by parameter; `unknown` lets them be NaN."""
        return {
            parameter: resolve_value(
                spec,
                table,
                f"{parameter} of constraint {self.name!r}",
                self.n_rows,
                self.shapes.get(parameter),
                unknown=unknown,
            )
            for parameter, spec in self.declared.items()
        }

    def _replaced(self, given: Any, table: FieldTable) -> Resolved | None:
        """Return given values of a constraint that has one value parameter, of a shape of its own.

        None where what is given is the right-hand side, one value a row.
        """
        if len(self.constraint.value_parameters) != 1:
            return None
        parameter = self.constraint.value_parameters[0]
        shapes = self.shapes.get(parameter)
        if shapes is None or np.shape(given)[1:] == (self.n_rows,):
            return None
        values = resolve_value(
            lambda _: given, table, self._given, self.n_rows, shapes, unknown=np.ndim(given) > 0
        )
        return {parameter: values}

    def _right_hand_side(self, given: Any, table: FieldTable) -> np.ndarray:
        values = one_a_field(given, table.n_fields, ((self.n_rows,),), self._given)
        if not (np.isfinite(values) | (np.isnan(values) & (np.ndim(given) > 0))).all():
            raise ValueError(f"{self._given} is not finite for every field.")
        return values

    @property
    def _given(self) -> str:
        return f"constraint_values[{self.name!r}]"

    def noise(self, fields: np.ndarray | None, table: FieldTable, values: np.ndarray) -> np.ndarray:
        """Return the noise's standard deviation, of shape (n_rows,) or (n_samples, n_rows)."""
        noise = self._noise_of(fields, table)
        if noise.shape not in {(), (1,), (self.n_rows,), (table.n_fields, self.n_rows)}:
            raise ValueError(
                f"noise of constraint {self.name!r} has shape {noise.shape}; pass a number, or one "
                f"for each of its {self.n_rows} rows."
            )
        wrong = ~((np.isfinite(noise) & (noise >= 0)) | np.isnan(values))
        if wrong.any():
            found = np.broadcast_to(noise, wrong.shape)[wrong]
            raise noise_error(found, self.name, self.constraint.noise)
        return noise if noise.ndim > 1 else np.broadcast_to(noise, (self.n_rows,))

    def _noise_of(self, fields: np.ndarray | None, table: FieldTable) -> np.ndarray:
        """Return the constraint's noise; of members, the root of the mean square over them."""
        spec = self.constraint.noise
        if callable(spec) or columns_of(spec, self.constraint.noise_rules):
            return self._noise_in(table)
        members = [fields] if fields is None or fields.ndim == 2 else fields
        name = f"noise of constraint {self.name!r}"
        noise = numeric(self.constraint.noise_std(members[0], self.grid), name)
        if noise.ndim == 2 and len(members) > 1:
            square = sum(np.square(self.constraint.noise_std(m, self.grid)) for m in members)
            noise = np.sqrt(square / len(members))
        return noise[0] if noise.ndim == 2 and len(noise) == 1 else noise

    def _noise_in(self, table: FieldTable) -> np.ndarray:
        """Return noise that comes with X; once, if all fields have the same."""
        name = f"noise of constraint {self.name!r}"
        spec, n_rows = self.constraint.noise, self.n_rows
        noise = resolve_value(spec, table, name, n_rows, unknown=True)
        noise = np.broadcast_to(noise, (len(noise), n_rows))
        return noise[0] if len(noise) and (noise == noise[0]).all() else noise


def stacked_noise(noise: Sequence[np.ndarray], n_samples: int) -> np.ndarray:
    """Join noise along the rows; by field if any of it is."""
    if len(noise) == 1:
        return noise[0]
    if any(part.ndim > 1 for part in noise):
        noise = [np.broadcast_to(part, (n_samples, part.shape[-1])) for part in noise]
    return np.concatenate(noise, axis=-1) if noise else np.empty(0)


def _stacked_rows(systems: Sequence[EqualitySystem], n_points: int) -> tuple[sparse.csr_array, ...]:
    """Stack what standard deviations add to the noise, with zeros where they add nothing."""
    parts = [s.noise_rows for s in systems]
    empty = [sparse.csr_array((s.rows.shape[0], n_points)) for s in systems]
    return tuple(
        sparse.vstack([e if p is None else p for p, e in zip(level, empty, strict=True)], "csr")
        for level in zip_longest(*parts)
    )

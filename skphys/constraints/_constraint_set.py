"""Named constraints on one grid: their rows are made once, their values for any fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing

from skphys.constraints._equalities import EqualitySystem, Statement, stacked_noise
from skphys.constraints._inequalities import InequalitySystem, inequality, merge_inequalities
from skphys.constraints._names import NamedConstraints, name_constraints
from skphys.constraints._nonlinear import NonlinearStatement, NonlinearSystem
from skphys.constraints._parts import Resolved
from skphys.constraints._values import FieldTable, columns_of, find_column
from skphys.constraints.base import Constraint
from skphys.constraints.inequality import InequalityConstraint
from skphys.constraints.nonlinear import NonlinearConstraint

if TYPE_CHECKING:
    from skphys.grids import ColumnGrid, Components, Grid, Mesh


class ConstraintSet:
    """What must hold for fields on a grid.

    Parameters
    ----------
    constraints : Constraint, list of Constraint, list of (str, Constraint), or None
        Equalities, linear or not, and inequalities, which are not changed.
    grid : Grid, Mesh, Components or ColumnGrid
        Where the fields live. On the last of these nothing can be stated: `on_grid` takes the set
        to the grid of some of its fields.
    feature_names : array of str, default=None
        Names of the columns of X, for X that has none itself.
    interpolation : csr_array of shape (n_queries, n_nodes), default=None
        In a long table with nodes: weights from the nodes, which are `grid`, to the queries.

    Attributes
    ----------
    named : list of (str, Constraint)
        The constraints with their names.
    """

    def __init__(
        self,
        constraints: Any,
        grid: Grid | Mesh | Components | ColumnGrid | Any,
        feature_names: Any = None,
        interpolation: sparse.csr_array | None = None,
    ) -> None:
        self.named: NamedConstraints = name_constraints(constraints)
        self.grid: Any = grid
        self.feature_names = feature_names
        self.interpolation = interpolation

    def on_grid(self, grid: Any, interpolation: sparse.csr_array | None = None) -> ConstraintSet:
        """Return the same constraints on another grid."""
        return ConstraintSet(self.named, grid, self.feature_names, interpolation)

    @cached_property
    def statements(self) -> list[Statement]:
        """The equalities, as stated on this grid."""
        equalities = [(name, c) for name, c in self.named if isinstance(c, Constraint)]
        return [Statement.of(name, constraint, self.grid) for name, constraint in equalities]

    @cached_property
    def nonlinear_statements(self) -> list[NonlinearStatement]:
        """The nonlinear equalities, as stated on this grid."""
        laws = [(name, c) for name, c in self.named if isinstance(c, NonlinearConstraint)]
        return [NonlinearStatement.of(name, law, self.grid) for name, law in laws]

    @cached_property
    def _stated(self) -> EqualitySystem:
        """The equalities of no fields at all: rows, names and noise rows."""
        return EqualitySystem.stacked([s.empty for s in self.statements], self.grid.n_points, 0)

    def table(self, X: Any) -> FieldTable:
        """Return the rows of X, one a field, as a table in which values are looked up."""
        return FieldTable(X, feature_names=self.feature_names)

    def equalities(
        self,
        table: FieldTable,
        values: Mapping[str, Any] | None = None,
        fields: np.ndarray | None = None,
    ) -> EqualitySystem:
        """State the equalities for the fields of a table.

        Parameters
        ----------
        table : FieldTable
            X with one row a field, for columns and callables.
        values : dict of str to array, optional
            Values by name of constraint, one for each field, in place of the declared ones.
        fields : ndarray of shape ([n_members,] n_samples, n_points), optional
            What is predicted, from which some constraints judge their noise.

        Returns
        -------
        EqualitySystem
            All rows, in the order of the constraints. Its values are NaN where they are not known.
        """
        given = values or {}
        if given:
            self._check_given(given)
        stated = [s.values(table, given.get(s.name)) for s in self.statements]
        if len(stated) > 1:
            self.check_together([resolved for _, resolved in stated])
        noise = [
            s.noise(fields, table, v) for s, (v, _) in zip(self.statements, stated, strict=True)
        ]
        n_fields = table.n_fields
        return EqualitySystem(
            self._stated.rows,
            np.concatenate([np.empty((n_fields, 0)), *(v for v, _ in stated)], axis=1),
            stacked_noise(noise, n_fields),
            self._stated.names,
            self._stated.noise_rows,
        )

    def inequalities(self, table: FieldTable) -> InequalitySystem:
        """State the inequalities for the fields of a table, also at queries between nodes."""
        parts = [
            inequality(name, constraint, self.grid, table, self.interpolation)
            for name, constraint in self.named
            if isinstance(constraint, InequalityConstraint)
        ]
        n_queries = 0 if self.interpolation is None else self.interpolation.shape[0]
        return merge_inequalities(parts, self.grid.n_points + n_queries, table.n_fields)

    def nonlinear(
        self, table: FieldTable, values: Mapping[str, Any] | None = None
    ) -> NonlinearSystem | None:
        """State the nonlinear equalities for the fields of a table, or None if there are none.

        `values` are as in `equalities`.
        """
        laws = self.nonlinear_statements
        return NonlinearSystem.stated(laws, table, values) if laws else None

    def resolved(self, table: FieldTable, unknown: bool = False) -> dict[str, Resolved]:
        """Return the declared values of the equalities, by name, after a check that they agree."""
        found = [s.resolved(table, unknown) for s in self.statements]
        self.check_together(found)
        return {s.name: values for s, values in zip(self.statements, found, strict=True)}

    def check_together(self, resolved: Sequence[Resolved | None]) -> None:
        """Ask each pair of constraints whether their declared values fit."""
        declared = [
            (s.constraint, values)
            for s, values in zip(self.statements, resolved, strict=True)
            if values is not None
        ]
        for (first, values), (second, others) in combinations(declared, 2):
            first.check_beside(values, second, others, self.grid)

    @property
    def columns(self) -> list[str | int]:
        """The columns of X that values are taken from; of callables those in their `columns`."""
        specs = [getattr(c, p) for _, c in self.named for p in c.value_parameters]
        told = [getattr(spec, "columns", ()) for spec in specs if callable(spec)]
        noise = [(c.noise, c.noise_rules) for _, c in self.named if isinstance(c, Constraint)]
        laws = [c for _, c in self.named if isinstance(c, NonlinearConstraint)]
        noise += [(law.noise, ()) for law in laws]
        keys = [key for spec in specs for key in columns_of(spec)]
        keys += [key for columns in told for key in columns]
        return keys + [key for spec, rules in noise for key in columns_of(spec, rules)]

    def check_columns(self, X: Any) -> None:
        """Raise if there is no such column in X."""
        for key in self.columns:
            find_column(X, key, self.feature_names)

    def hide(self, X: Any) -> Any:
        """Return X without the columns that only constraints look at; coordinates stay."""
        names = getattr(X, "columns", self.feature_names)
        dropped = {find_column(X, key, names) for key in self.columns}
        dropped -= {find_column(X, key, names) for key in getattr(self.grid, "structure", ())}
        if not dropped:
            return X
        return _safe_indexing(X, [c for c in range(X.shape[1]) if c not in dropped], axis=1)

    def _check_given(self, given: Mapping[str, Any]) -> None:
        names = [s.name for s in self.statements] + [s.name for s in self.nonlinear_statements]
        unknown = sorted(set(given) - set(names))
        if set(unknown) & {name for name, _ in self.named}:
            raise ValueError(
                f"constraint_values cannot replace the bounds of the inequality {unknown[0]!r}; "
                f"declare them as a column of X, or a callable."
            )
        if unknown:
            raise ValueError(
                f"constraint_values has unknown name(s) {unknown}; the constraints are {names}."
            )
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise ValueError(
                f"constraint_values[{missing[0]!r}] is None; leave it out for the declared values, "
                f"or give NaN for each field whose value is not known."
            )


def resolve_system(
    constraints: Any,
    grid: Grid | Mesh | Components,
    table: FieldTable,
    constraint_values: Mapping[str, Any] | None = None,
    fields: np.ndarray | None = None,
) -> EqualitySystem:
    """State constraints on a grid, for the fields of a table.

    Parameters
    ----------
    constraints : Constraint, list of Constraint, or list of (str, Constraint)
        What must hold; inequalities are left out.
    grid : Grid, Mesh or Components
        Where the fields live.
    table : FieldTable
        X with one row a field, for columns and callables.
    constraint_values : dict of str to array, optional
        Values by name of constraint, one for each field, in place of the declared ones.
    fields : ndarray of shape (n_samples, n_points) or (n_members, n_samples, n_points), optional
        What is predicted, from which some constraints judge their noise.

    Returns
    -------
    EqualitySystem
        All rows, in the order of the constraints: its `rows`, `values`, `noise` and `names`.
    """
    return ConstraintSet(constraints, grid).equalities(table, constraint_values, fields)

"""From named constraints to one system of rows, values and noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from skphys.constraints._equalities import EqualitySystem, merge_systems
from skphys.constraints._rows import compact, entries
from skphys.constraints._values import FieldTable, _one_a_field, columns_of, resolve_value
from skphys.constraints.base import Constraint
from skphys.constraints.inequality import InequalityConstraint

if TYPE_CHECKING:
    from skphys.grids import Components, Grid, Mesh

NamedConstraints = list[tuple[str, Any]]
Resolved = dict[str, np.ndarray]
KINDS = (Constraint, InequalityConstraint)


def name_constraints(constraints: Any) -> NamedConstraints:
    """Return (name, constraint) pairs.

    Parameters
    ----------
    constraints : Constraint, list of Constraint, list of (str, Constraint), or None
        As a user gives them. A constraint without a name takes that of its class in lower case,
        numbered from 1 where a class occurs more than once.
    """
    if constraints is None:
        return []
    if isinstance(constraints, KINDS):
        constraints = [constraints]
    if isinstance(constraints, (str, bytes)) or not isinstance(constraints, Sequence):
        raise TypeError(
            f"constraints must be a Constraint, a list of them, or a list of (name, constraint) "
            f"pairs; got {type(constraints).__name__}."
        )
    default = [type(c).__name__.lower() for c in constraints if not isinstance(c, tuple)]
    repeated = {name for name, count in Counter(default).items() if count > 1}
    seen: Counter[str] = Counter()
    named = []
    for item in constraints:
        if isinstance(item, tuple) and len(item) == 2:
            name, constraint = item
        else:
            name, constraint = type(item).__name__.lower(), item
            seen[name] += 1
            name = f"{name}-{seen[name]}" if name in repeated else name
        named.append((name, constraint))
    _check_names(named)
    return named


def _check_names(named: NamedConstraints) -> None:
    for name, constraint in named:
        if not isinstance(constraint, KINDS):
            raise TypeError(
                f"constraints holds {constraint!r}, which is not a Constraint (an instance, not a "
                f"class)."
            )
        if not isinstance(name, str) or "__" in name or not name:
            raise ValueError(f"A constraint's name must be a string without '__'; got {name!r}.")
    repeated = [name for name, count in Counter(n for n, _ in named).items() if count > 1]
    if repeated:
        raise ValueError(f"The names of constraints must be unique; {repeated} occur twice.")


def value_columns(named: NamedConstraints) -> list[str | int]:
    """Return the columns of X that the constraints take values from."""
    specs = (getattr(c, parameter) for _, c in named for parameter in c.value_parameters)
    return [key for spec in specs for key in columns_of(spec)]


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
        What must hold; inequalities are left out, see `resolve_inequalities`.
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
        All rows, in the order of the constraints.
    """
    named = [(n, c) for n, c in name_constraints(constraints) if isinstance(c, Constraint)]
    overrides = dict(constraint_values or {})
    unknown = sorted(set(overrides) - {name for name, _ in named})
    if set(unknown) & {name for name, _ in name_constraints(constraints)}:
        raise ValueError(
            f"constraint_values cannot replace the bounds of the inequality {unknown[0]!r}; "
            f"declare them as a column of X, or a callable."
        )
    if unknown:
        raise ValueError(
            f"constraint_values has unknown name(s) {unknown}; the constraints are "
            f"{[name for name, _ in named]}."
        )
    parts, resolved = [], []
    for name, constraint in named:
        override = overrides.get(name)
        part, values = _state(name, constraint, grid, table, override, fields)
        parts.append(part)
        resolved += [] if values is None else [(constraint, values)]
    check_together(resolved, grid)
    return merge_systems(parts, grid.n_points, table.n_fields)


def check_together(resolved: Sequence[tuple[Constraint, Resolved]], grid: Any) -> None:
    """Ask each pair of constraints whether their declared values fit."""
    for (first, values), (second, others) in combinations(resolved, 2):
        first.check_beside(values, second, others, grid)


def _state(
    name: str,
    constraint: Constraint,
    grid: Any,
    table: FieldTable,
    override: Any,
    fields: np.ndarray | None,
) -> tuple[EqualitySystem, Resolved | None]:
    """State one constraint; also return its values as declared, if they are what holds."""
    rows = compact(constraint.rows(grid))
    if rows.ndim != 2 or rows.shape[1] != grid.n_points or not np.isfinite(entries(rows)).all():
        raise ValueError(
            f"The rows of constraint {name!r} must be finite and of shape (n_rows, "
            f"{grid.n_points}) on this grid; got {rows.shape}."
        )
    n_rows = rows.shape[0]
    resolved = _replaced(override, name, constraint, grid, table, n_rows)
    if override is None:
        resolved = resolve_values(name, constraint, grid, table, n_rows)
    if resolved is not None:
        values = np.asarray(constraint.values(resolved, grid), dtype=np.float64)
    else:
        values = _override(override, table, n_rows, f"constraint_values[{name!r}]")
    system = EqualitySystem(
        rows=rows,
        values=np.broadcast_to(values, (table.n_fields, n_rows)),
        noise=_noise(name, constraint, n_rows, fields, grid),
        names=(name,) * n_rows,
        noise_rows=tuple(sparse.csr_array(part) for part in constraint.noise_rows(grid)),
    )
    return system, resolved


def _replaced(
    override: Any, name: str, constraint: Constraint, grid: Any, table: FieldTable, n_rows: int
) -> Resolved | None:
    """Return given values of a constraint that has one value parameter, of a shape of its own.

    None where what is given is the right-hand side, one value a row.
    """
    if override is None or len(constraint.value_parameters) != 1:
        return None
    parameter = constraint.value_parameters[0]
    shapes = constraint.value_shapes(grid).get(parameter)
    if shapes is None or np.shape(override)[1:] == (n_rows,):
        return None
    label = f"constraint_values[{name!r}]"
    return {parameter: resolve_value(lambda _: override, table, label, n_rows, shapes)}


def _override(override: Any, table: FieldTable, n_rows: int, label: str) -> np.ndarray:
    values = _one_a_field(override, table.n_fields, ((n_rows,),), label)
    if not np.isfinite(values).all():
        raise ValueError(f"{label} is not finite for every field.")
    return values


def resolve_values(
    name: str, constraint: Constraint, grid: Any, table: FieldTable, n_rows: int = 1
) -> Resolved:
    """Return the values that a constraint declares, as arrays, by parameter."""
    shapes = constraint.value_shapes(grid)
    return {
        p: resolve_value(spec, table, f"{p} of constraint {name!r}", n_rows, shapes.get(p))
        for p, spec in constraint.declared_values(grid).items()
        if spec is not None or p not in shapes
    }


def _noise(
    name: str, constraint: Constraint, n_rows: int, fields: np.ndarray | None, grid: Any
) -> np.ndarray:
    noise = _noise_std(constraint, fields, grid)
    n_fields = 1 if fields is None else fields.shape[-2]
    if noise.shape not in {(), (1,), (n_rows,), (n_fields, n_rows)}:
        raise ValueError(
            f"noise of constraint {name!r} has shape {noise.shape}; pass a number, or one for each "
            f"of its {n_rows} rows."
        )
    if not np.isfinite(noise).all() or (noise < 0).any():
        raise ValueError(
            f"noise of constraint {name!r} is a standard deviation: it must be finite and not "
            f"negative; got {constraint.noise!r}."
        )
    return noise if noise.ndim > 1 else np.broadcast_to(noise, (n_rows,))


def _noise_std(constraint: Constraint, fields: np.ndarray | None, grid: Any) -> np.ndarray:
    """Return the constraint's noise; of members, the root of the mean square over them."""
    members = [fields] if fields is None or fields.ndim == 2 else fields
    noise = np.asarray(constraint.noise_std(members[0], grid), dtype=np.float64)
    if noise.ndim == 2 and len(members) > 1:
        square = sum(np.square(constraint.noise_std(member, grid)) for member in members)
        noise = np.sqrt(square / len(members))
    return noise[0] if noise.ndim == 2 and len(noise) == 1 else noise

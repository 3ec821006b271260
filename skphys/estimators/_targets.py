"""Whether the training targets obey the declared constraints, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from skphys.constraints import (
    BoundaryConstraint,
    Bounds,
    ConstraintSet,
    EqualitySystem,
    FieldTable,
    NonlinearSystem,
    columns_of,
)
from skphys.estimators._layout import FieldRows, Layout, PointRows
from skphys.estimators._target_bounds import warn_if_out_of_bounds
from skphys.estimators._warn import warn_user
from skphys.grids import ColumnGrid, Grid, IncompleteFieldError

ROUNDING = 1e-6  # targets are often stored in float32
SHARE = 0.02  # of values at bounds that is more than chance
_SCALED = (
    "The targets have mean 0 and standard deviation 1: they seem to come from a "
    "TransformedTargetRegressor around the constraint."
)

Part = tuple[ConstraintSet, FieldTable, np.ndarray]


def warn_if_violated(layout: Layout, X: Any, y: np.ndarray) -> None:
    """Warn, once for all constraints, if true fields could not violate them as the targets do.

    Raises the errors of constraints that cannot be stated for the training data.
    """
    parts = _training_fields(layout, X, y)
    if isinstance(layout, FieldRows):
        layout.constraints.nonlinear(parts[0][1])
    else:
        _state_where_it_acts(layout, X, equalities=not parts)
    cause = _SCALED if _standardised(y.reshape(len(y), -1)) else ""
    warn_if_out_of_bounds(parts or _points(layout, X, y), cause)
    found: dict[str, tuple[float, float]] = {}
    systems = [stated.equalities(table, fields=fields) for stated, table, fields in parts]
    _check_known(systems)
    for (stated, table, fields), system in zip(parts, systems, strict=True):
        laws = stated.nonlinear(table)
        missed = [*_violations(stated, system, fields), *_nonlinear_violations(laws, fields)]
        for name, excess, size in missed:
            before = found.get(name, (0.0, 0.0))
            found[name] = max(excess, before[0]), max(size, before[1])
    named = dict(layout.constraints.named)
    sizes = {name: size for name, (excess, size) in found.items() if excess > 0.0}
    if sizes:
        _warn(sizes, {name: _cause(named[name], layout, X, y) for name in sizes})


def touches_bounds(layout: Layout, X: Any, y: np.ndarray) -> bool:
    """Say whether training fields lie at their bounds in parts, or it is not known.

    Such fields have empty or full parts, which a truncated Gaussian has not.
    """
    parts = _training_fields(layout, X, y)
    at, number = 0, 0
    for stated, table, fields in parts:
        system = stated.inequalities(table)
        product, size = (system.rows @ fields.T).T, np.abs(fields).max(axis=1, keepdims=True)
        for slack in (product - system.lower, system.upper - product):
            at += int((slack <= ROUNDING * size).sum())
            number += int(np.isfinite(slack).sum())
    return at > SHARE * number or not parts


def _violations(
    stated: ConstraintSet, system: EqualitySystem, fields: np.ndarray
) -> Iterator[tuple[str, float, float]]:
    """Yield by how much fields miss each equality beyond what is allowed, and at all."""
    residual = np.abs(fields @ system.rows.T - system.values)
    size_of_field = np.abs(fields).max(axis=1, keepdims=True)
    scale = size_of_field * abs(system.rows).sum(axis=1) + np.abs(system.values)
    noise = np.broadcast_to(system.noise, residual.shape)
    start = 0
    for statement in stated.statements:
        own = slice(start, start + statement.n_rows)
        start = own.stop
        error = statement.constraint.discretization_error(fields, stated.grid)
        beyond = residual[:, own] - error - 3.0 * noise[:, own] - ROUNDING * scale[:, own]
        most = [np.nan_to_num(each).max(initial=0.0) for each in (beyond, residual[:, own])]
        yield statement.name, most[0], most[1]


def _nonlinear_violations(
    laws: NonlinearSystem | None, fields: np.ndarray
) -> Iterator[tuple[str, float, float]]:
    """Yield the same of nonlinear equalities."""
    if laws is None:
        return
    residual, scale = np.abs(laws.residual(fields)), laws.terms(fields)
    start = 0
    for s in laws.statements:
        own = slice(start, start + s.n_rows)
        start = own.stop
        error = s.constraint.discretization_error(fields, s.grid)
        beyond = residual[:, own] - error - 3.0 * laws.noise[:, own] - ROUNDING * scale[:, own]
        most = [np.nan_to_num(each).max(initial=0.0) for each in (beyond, residual[:, own])]
        yield s.name, most[0], most[1]


def _training_fields(layout: Layout, X: Any, y: np.ndarray) -> list[Part]:
    """Return the training fields; of a long table only if its rows are complete fields.

    If they are not, their integrals are not known. Nor are they if what must hold can be stated at
    the nodes alone, as arrays with an entry for each of them can.
    """
    if isinstance(layout, FieldRows):
        stated = layout.constraints
        return [(stated, stated.table(X), y.reshape(X.shape[0], -1))]
    grid = ColumnGrid(layout.grid.space, layout.grid.by, layout.grid.domain)
    plain = PointRows(layout.constraints.on_grid(grid), layout.domain)
    y = y.ravel()
    try:
        groups = plain.groups(X)
    except IncompleteFieldError:
        return []
    parts = [(*plain.stated(X, group), y[group.index]) for group in groups]
    if layout.grid.nodes is not None:
        try:
            for stated, table, fields in parts:
                stated.equalities(table, fields=fields)
                stated.inequalities(table)
        except ValueError:
            return []
    return parts


def _points(layout: Layout, X: Any, y: np.ndarray) -> list[Part]:
    """Return scattered points of a long table, under bounds that do not say where they hold."""
    stated = layout.constraints
    bounds = [(name, c) for name, c in stated.named if isinstance(c, Bounds)]
    each = [
        (name, bound)
        for name, bound in bounds
        if not any(callable(end) or np.ndim(end) for end in (bound.lower, bound.upper))
    ]
    if not each:
        return []
    return [(ConstraintSet(each, Grid.unit(1), stated.feature_names), stated.table(X), y[:, None])]


def _state_where_it_acts(layout: PointRows, X: Any, equalities: bool) -> None:
    """Raise the errors of constraints that cannot be stated where the law will act."""
    layout.labels(X)
    try:
        groups = layout.groups(X)
    except IncompleteFieldError:
        return  # scattered points, whose fields are not known
    systems = []
    for group in groups:
        stated, table = layout.stated(X, group)
        stated.inequalities(table)
        stated.nonlinear(table)
        if equalities:
            systems.append(stated.equalities(table, fields=np.zeros((1, group.grid.n_points))))
    _check_known(systems)


def _check_known(systems: Sequence[EqualitySystem]) -> None:
    """Raise if the values of a constraint are known for no field."""
    known: dict[str, bool] = {}
    for system in systems:
        some = ~np.isnan(system.values).all(axis=0)
        for name, row in zip(system.names, some, strict=True):
            known[name] = known.get(name, False) or bool(row)
    unknown = [name for name, some in known.items() if not some]
    if unknown:
        raise ValueError(
            f"The values of constraint {unknown[0]!r} are not finite for any field of the training "
            f"data; NaN is for single fields whose value is not known."
        )


def warn_if_outside(layout: Layout, X: Any) -> None:
    """Warn if points of a long training table lie outside the domain of the law."""
    if not isinstance(layout, PointRows):
        return
    table = layout.constraints.table(X)
    fault = layout.grid.outside(X, feature_names=layout.constraints.feature_names)
    if fault is None:
        return
    columns = [table.column(key) for key in layout.grid.structure]
    numeric = [np.asarray(c, float) for c in columns if np.asarray(c).dtype.kind in "fiu"]
    scaled = bool(numeric) and _standardised(np.column_stack(numeric))
    hint = (
        "The coordinates have mean 0 and standard deviation 1: they seem to come from a scaler in "
        "front of the constraint. Make the constrained estimator the outermost one."
        if scaled
        else "Fields cannot be predicted there. Check the domain, and that the coordinates are in "
        "its units."
    )
    warn_user(f"The training table: {fault} {hint}")


def _warn(sizes: Mapping[str, float], causes: Mapping[str, tuple[str, str]]) -> None:
    missed = ", ".join(f"{name!r} by up to {size:.3g}" for name, size in sizes.items())
    whose = "its" if len(sizes) == 1 else "their"
    warn_user(
        f"The training targets violate constraint {missed}, more than {whose} discretization "
        f"explains. {_advice(causes)} Make the constrained estimator the outermost one.",
    )


def _advice(causes: Mapping[str, tuple[str, str]]) -> str:
    """Say what is seen, and of each constraint what to check, each once."""
    said = list(dict.fromkeys(seen for seen, _ in causes.values() if seen))
    checks: dict[str, list[str]] = {}
    for name, (_, check) in causes.items():
        if check:
            checks.setdefault(check, []).append(repr(name))
    if checks:
        each = [f"of {', '.join(names)} {check}" for check, names in checks.items()]
        listed = "; ".join(each if len(each) > 1 else checks)
        said.append(f"Check {listed}; and that no transformer or target transform sits outside.")
    return " ".join(said)


def _cause(constraint: Any, layout: Layout, X: Any, y: np.ndarray) -> tuple[str, str]:
    """Guess what is wrong: what is seen, or else what to check."""
    for parameter in constraint.value_parameters:
        for key in columns_of(getattr(constraint, parameter)):
            values = layout.constraints.table(X).numbers(key)
            if _standardised(values.reshape(-1, 1)):
                return (
                    f"Column {key!r} has mean 0 and standard deviation 1: it seems to come from a "
                    f"scaler in front of the constraint."
                ), ""
    if _standardised(y.reshape(len(y), -1)):
        return _SCALED, ""
    if isinstance(constraint, BoundaryConstraint):
        return "", (
            "the values, derivatives being along the outward normal, the grid's coordinates and "
            "the order of the stencil"
        )
    rule = ", the grid's coordinates and the quadrature" if _is_integral(constraint) else ""
    return "", f"the values{rule or ' and the rows'}{_remedy(constraint)}"


def _is_integral(constraint: Any) -> bool:
    return hasattr(getattr(constraint, "law", constraint), "quadrature")


def _remedy(constraint: Any) -> str:
    """Say what noise would help: one, where none is stated, or a larger one."""
    if not {"noise", "law__noise"} & set(constraint.get_params()):
        return ""
    noise = constraint.noise
    none = not isinstance(noise, str) and not callable(noise) and not np.any(noise)
    if none:
        return ", or give it a noise"
    return ", or give it a larger noise: three times its own does not explain this"


def _standardised(columns: np.ndarray) -> bool:
    """Say whether columns have mean 0 and standard deviation 1, as StandardScaler leaves them."""
    if len(columns) < 3:
        return False
    spread = columns.std(axis=0)
    centred = np.abs(columns.mean(axis=0)) < 1e-6
    return bool(
        np.all(centred & ((np.abs(spread - 1.0) < 1e-6) | (spread < 1e-6))) and spread.any()
    )

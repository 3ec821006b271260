"""Whether the training targets obey the declared constraints, and if not, why."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from skphys.constraints import BoundaryConstraint, EqualitySystem, InequalityConstraint
from skphys.constraints._values import FieldTable, columns_of
from skphys.estimators._field_rows import FieldRows
from skphys.estimators._point_rows import PointRows
from skphys.grids import IncompleteFieldError

ROUNDING = 1e-6  # targets are often stored in float32


def warn_if_violated(
    layout: FieldRows | PointRows, X: Any, y: np.ndarray, constraints: list[tuple[str, Any]]
) -> None:
    """Warn, once for each constraint, if true fields could not violate it as the targets do.

    Raises the errors of constraints that cannot be stated for the training data.
    """
    if isinstance(layout, FieldRows) and len(constraints) > 1:
        layout.system(X, constraints, fields=y.reshape(X.shape[0], -1))  # their values must agree
    for name, constraint in constraints:
        if isinstance(constraint, InequalityConstraint):
            _state(layout, X, (name, constraint))
            continue  # noise takes true positive data below zero
        if isinstance(layout, FieldRows):
            fields = y.reshape(X.shape[0], -1)
            system = layout.system(X, [(name, constraint)], fields=fields)
            parts = [(layout.grid, fields, system)]
        else:
            parts = _complete_fields(layout, X, y, (name, constraint))
        excess, size = 0.0, 0.0
        for grid, fields, system in parts:
            allowed = constraint.discretization_error(fields, grid) + 3.0 * system.noise
            residual = np.abs(fields @ system.rows.T - system.values)
            size_of_field = np.abs(fields).max(axis=1, keepdims=True)
            scale = size_of_field * abs(system.rows).sum(axis=1) + np.abs(system.values)
            beyond = residual - allowed - ROUNDING * scale
            excess, size = max(excess, beyond.max(initial=0.0)), max(size, residual.max(initial=0))
        if excess > 0.0:
            _warn(name, size, _cause(constraint, layout, X, y))


def _state(layout: FieldRows | PointRows, X: Any, named: tuple[str, Any]) -> None:
    """Raise the errors of an inequality that cannot be stated."""
    if isinstance(layout, FieldRows):
        layout.inequalities(X, [named])
        return
    try:
        groups = layout.groups(X)
    except IncompleteFieldError:
        return  # scattered points, whose fields are not known
    for group in groups:
        layout.inequalities(X, group, [named])


def _complete_fields(
    layout: PointRows, X: Any, y: np.ndarray, named: tuple[str, Any]
) -> list[tuple[Any, np.ndarray, EqualitySystem]]:
    """Return the fields of a long training table, if its rows are complete fields.

    If they are not, their integrals are not known; the constraint is stated all the same, so that
    what cannot be stated is found at fit.
    """
    names = layout.feature_names
    grid = type(layout.grid)(layout.grid.space, layout.grid.by, layout.grid.domain)
    try:
        groups = grid.split(X, domain=layout.domain, feature_names=names)
    except IncompleteFieldError:
        _state_at_nodes(layout, X, named)
        return []
    plain = PointRows(grid, layout.domain, names)
    y = y.ravel()
    fields = [y[g.index] for g in groups]
    systems = [plain.system(X, g, [named], fields=u) for g, u in zip(groups, fields, strict=True)]
    return [(g.grid, u, s) for g, u, s in zip(groups, fields, systems, strict=True)]


def _state_at_nodes(layout: PointRows, X: Any, named: tuple[str, Any]) -> None:
    """Raise the errors of an equality that cannot be stated where the law will act."""
    layout.grid.labels(X, feature_names=layout.feature_names)
    if layout.grid.nodes is None:
        return
    try:
        groups = layout.groups(X)
    except IncompleteFieldError:
        return
    for group in groups:
        layout.system(X, group, [named], fields=np.zeros((1, group.grid.n_points)))


def warn_if_outside(layout: PointRows, X: Any) -> None:
    """Warn if training points lie outside the domain of the law."""
    fault = layout.grid.outside(X, feature_names=layout.feature_names)
    if fault is None:
        return
    columns = [
        FieldTable(X, feature_names=layout.feature_names).column(key)
        for key in layout.grid.structure
    ]
    numeric = [np.asarray(c, float) for c in columns if np.asarray(c).dtype.kind in "fiu"]
    scaled = bool(numeric) and _standardised(np.column_stack(numeric))
    hint = (
        "The coordinates have mean 0 and standard deviation 1: they seem to come from a scaler in "
        "front of the constraint. Make the constrained estimator the outermost one."
        if scaled
        else "Fields cannot be predicted there. Check the domain, and that the coordinates are in "
        "its units."
    )
    warnings.warn(f"The training table: {fault} {hint}", UserWarning, stacklevel=6)


def _warn(name: str, size: float, cause: str) -> None:
    warnings.warn(
        f"The training targets violate constraint {name!r} by up to {size:.3g}, more than its "
        f"discretization explains. {cause}",
        UserWarning,
        stacklevel=6,
    )


def _cause(constraint: Any, layout: FieldRows | PointRows, X: Any, y: np.ndarray) -> str:
    """Guess what is wrong, where it can be seen."""
    outermost = "Make the constrained estimator the outermost one."
    for parameter in constraint.value_parameters:
        for key in columns_of(getattr(constraint, parameter)):
            values = FieldTable(X, feature_names=layout.feature_names).column(key)
            if _standardised(values.reshape(-1, 1)):
                return (
                    f"Column {key!r} has mean 0 and standard deviation 1: it seems to come from a "
                    f"scaler in front of the constraint. {outermost}"
                )
    if _standardised(y.reshape(len(y), -1)):
        return (
            f"The targets have mean 0 and standard deviation 1: they seem to come from a "
            f"TransformedTargetRegressor around the constraint. {outermost}"
        )
    if isinstance(constraint, BoundaryConstraint):
        check = (
            "Check the values, derivatives being along the outward normal, the grid's coordinates "
            "and the order of the stencil"
        )
    else:
        check = "Check the values, the grid's coordinates and the quadrature, or give it a noise"
    return f"{check}; and that no transformer or target transform sits outside. {outermost}"


def _standardised(columns: np.ndarray) -> bool:
    """Say whether columns have mean 0 and standard deviation 1, as StandardScaler leaves them."""
    if len(columns) < 3:
        return False
    spread = columns.std(axis=0)
    centred = np.abs(columns.mean(axis=0)) < 1e-6
    return bool(
        np.all(centred & ((np.abs(spread - 1.0) < 1e-6) | (spread < 1e-6))) and spread.any()
    )

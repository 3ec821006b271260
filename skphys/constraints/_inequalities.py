"""Linear inequalities: how a constraint states its own, and the system of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._values import FieldTable, resolve_value
from skphys.constraints.inequality import InequalityConstraint


@dataclass(frozen=True)
class InequalitySystem:
    """Linear inequalities ``lower <= rows @ u <= upper`` for a batch of fields.

    Attributes
    ----------
    rows : csr_array of shape (n_rows, n_points)
        ``H``.
    lower, upper : ndarray of shape (n_samples, n_rows)
        Bounds, infinite where there is none.
    names : tuple of str
        The constraint that each row belongs to.
    """

    rows: sparse.csr_array
    lower: np.ndarray
    upper: np.ndarray
    names: tuple[str, ...]

    def take(self, part: Any) -> InequalitySystem:
        """Return the system of some of the fields."""
        return InequalitySystem(self.rows, self.lower[part], self.upper[part], self.names)


def merge_inequalities(
    systems: Sequence[InequalitySystem], n_points: int, n_samples: int
) -> InequalitySystem:
    """Stack systems that speak of the same fields."""
    if len(systems) == 1:
        return systems[0]
    rows = sparse.vstack([sparse.csr_array((0, n_points)), *(s.rows for s in systems)])
    empty = np.empty((n_samples, 0))
    return InequalitySystem(
        sparse.csr_array(rows),
        np.concatenate([empty, *(s.lower for s in systems)], axis=1),
        np.concatenate([empty, *(s.upper for s in systems)], axis=1),
        tuple(name for s in systems for name in s.names),
    )


def inequality(
    name: str,
    constraint: InequalityConstraint,
    grid: Any,
    table: FieldTable,
    interpolation: sparse.csr_array | None = None,
) -> InequalitySystem:
    """State an inequality on a grid, for the fields of a table.

    With `interpolation`, weights of shape (n_queries, n_nodes), the points are the nodes, which are
    the grid's, followed by the queries.
    """
    rows = sparse.csr_array(constraint.rows(grid))
    if rows.shape[1] != grid.n_points or not np.isfinite(rows.data).all():
        raise ValueError(
            f"The rows of constraint {name!r} must be finite and of shape (n_rows, "
            f"{grid.n_points}) on this grid; got {rows.shape}."
        )
    resolved = {
        parameter: resolve_value(
            getattr(constraint, parameter),
            table,
            f"{parameter} of {name!r}",
            rows.shape[0],
            infinite=True,
        )
        for parameter in constraint.value_parameters
        if getattr(constraint, parameter) is not None
    }
    shape = (table.n_fields, rows.shape[0])
    lower, upper = (np.broadcast_to(b, shape) for b in constraint.bounds(resolved, grid))
    _check_order(name, lower, upper)
    if interpolation is not None:
        rows, spread = constraint.at_queries(grid, interpolation)
        lower, upper = _spread(lower, spread), _spread(upper, spread)
    return InequalitySystem(rows, lower, upper, (name,) * rows.shape[0])


def _check_order(name: str, lower: np.ndarray, upper: np.ndarray) -> None:
    for side, none in (("lower", lower == np.inf), ("upper", upper == -np.inf)):
        if none.any():
            raise ValueError(
                f"{side} of constraint {name!r} leaves no value, {'-' * (side == 'upper')}inf at "
                f"point {np.argwhere(none)[0][1]}; give a number, or None for no bound."
            )
    crossed = np.argwhere(lower > upper)
    if len(crossed):
        field, row = crossed[0]
        raise ValueError(
            f"lower of constraint {name!r} is above its upper: {lower[field, row]:.6g} against "
            f"{upper[field, row]:.6g} at point {row} of field {field}."
        )


def _spread(bound: np.ndarray, spread: sparse.csr_array) -> np.ndarray:
    """Interpolate bounds; one that takes part in an infinite one is infinite."""
    infinite = ~np.isfinite(bound)
    finite = (spread @ np.where(infinite, 0.0, bound).T).T
    signs = (spread @ np.where(infinite, np.sign(bound), 0.0).T).T
    return np.where(signs == 0, finite, np.inf * np.where(signs == 0, 1.0, signs))

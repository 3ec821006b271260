"""From named inequalities to one system of rows and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._system import name_constraints
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

    def take(self, part: slice) -> InequalitySystem:
        """Return the system of some of the samples.

        Parameters
        ----------
        part : slice
            Which samples.

        Returns
        -------
        InequalitySystem
            With the same rows.
        """
        return InequalitySystem(self.rows, self.lower[part], self.upper[part], self.names)


def resolve_inequalities(
    constraints: Any, grid: Any, table: FieldTable, interpolation: sparse.csr_array | None = None
) -> InequalitySystem:
    """State the inequalities among constraints on a grid, for the fields of a table.

    Parameters
    ----------
    constraints : constraint, list of constraints, or list of (str, constraint)
        What must hold; equalities are left out.
    grid : Grid, Mesh or Components
        Where the fields live.
    table : FieldTable
        X with one row a field, for columns and callables.
    interpolation : csr_array of shape (n_queries, n_nodes), default=None
        In a long table with nodes: weights from the nodes, which are `grid`, to the queries. The
        points are then the nodes followed by the queries.

    Returns
    -------
    InequalitySystem
        All rows, in the order of the constraints.
    """
    n_points = grid.n_points + (0 if interpolation is None else interpolation.shape[0])
    parts = [
        _state(name, constraint, grid, table, interpolation)
        for name, constraint in name_constraints(constraints)
        if isinstance(constraint, InequalityConstraint)
    ]
    return merge_inequalities(parts, n_points, table.n_fields)


def merge_inequalities(
    systems: Sequence[InequalitySystem], n_points: int, n_samples: int
) -> InequalitySystem:
    """Stack systems that speak of the same fields.

    Parameters
    ----------
    systems : sequence of InequalitySystem
        The systems.
    n_points : int
        Number of points of a field.
    n_samples : int
        Number of fields.

    Returns
    -------
    InequalitySystem
        All rows.
    """
    rows = sparse.vstack([sparse.csr_array((0, n_points)), *(s.rows for s in systems)])
    empty = np.empty((n_samples, 0))
    return InequalitySystem(
        sparse.csr_array(rows),
        np.concatenate([empty, *(s.lower for s in systems)], axis=1),
        np.concatenate([empty, *(s.upper for s in systems)], axis=1),
        tuple(name for s in systems for name in s.names),
    )


def _state(
    name: str,
    constraint: InequalityConstraint,
    grid: Any,
    table: FieldTable,
    interpolation: sparse.csr_array | None,
) -> InequalitySystem:
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

"""The layout in which each row of X is a point of a field in a long table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from skphys.conditioning import Diagonal
from skphys.constraints import (
    EqualitySystem,
    FieldTable,
    InequalitySystem,
    resolve_inequalities,
    resolve_system,
)
from skphys.constraints._rows import widen
from skphys.estimators._layouts import ALL, Batch, Layout, Predict, likely_fields
from skphys.estimators._priors import (
    NO_QUERIES,
    Independent,
    correlated,
    correlation_lengths,
    interpolated,
)
from skphys.grids import ColumnGrid, FieldGroup
from skphys.grids._tables import stack


class PointRows(Layout):
    """Each row of X is a point; rows that share the `by` columns make a field.

    Parameters
    ----------
    grid : ColumnGrid
        Which columns are what.
    domain : dict or None
        What a field must cover, learned at fit.
    feature_names : array of str or None
        Names of the columns of X.
    correlation_length : float, dict or None
        How errors that come without a correlation are correlated along the space columns.
    """

    rows = "points"

    def __init__(
        self,
        grid: ColumnGrid,
        domain: Any = None,
        feature_names: Any = None,
        correlation_length: Any = None,
    ) -> None:
        self.grid = grid
        self.domain = domain
        self.feature_names = feature_names
        self.correlation_length = correlation_length

    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_rows,)."""
        return (X.shape[0],)

    def covariance_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_rows, n_rows)."""
        return (X.shape[0], X.shape[0])

    def groups(self, X: Any) -> list[FieldGroup]:
        """Split X into groups of fields with the same points."""
        return self.grid.split(X, domain=self.domain, feature_names=self.feature_names)

    def system(
        self,
        X: Any,
        group: FieldGroup,
        constraints: Any,
        constraint_values: Mapping[str, Any] | None = None,
        fields: np.ndarray | None = None,
    ) -> EqualitySystem:
        """State the constraints for the fields of a group, on the group's grid."""
        table = FieldTable(group.by, lambda key: group.column(X, key), self.feature_names)
        own = {
            name: _value_by_field(values, group, X.shape[0], name)
            for name, values in (constraint_values or {}).items()
        }
        return resolve_system(constraints, group.grid, table, own, fields)

    def inequalities(self, X: Any, group: FieldGroup, constraints: Any) -> InequalitySystem:
        """State the inequalities for the fields of a group, at its nodes and queries."""
        table = FieldTable(group.by, lambda key: group.column(X, key), self.feature_names)
        return resolve_inequalities(constraints, group.grid, table, group.interpolation)

    def batches(
        self, X: Any, predict: Predict, constraints: Any, constraint_values: Mapping[str, Any]
    ) -> Iterator[Batch]:
        """Yield a batch for each group of fields that share their points."""
        groups = self.groups(X)
        predictions = predict(stack([g.rows(X) for g in groups]), [_size(g) for g in groups])
        for group, prediction in zip(groups, predictions, strict=True):
            if prediction.constraints:
                raise ValueError(
                    "In a long table constrained estimators cannot be nested; give all "
                    "constraints to the outer one: constraints=[law, other_law]."
                )
            at_law = likely_fields(prediction)[..., : group.grid.n_points]
            system = self.system(X, group, constraints, constraint_values, at_law)
            n_queries = prediction.mean.shape[1] - group.n_nodes if group.n_nodes else 0
            yield Batch(
                prediction,
                _widened(system, n_queries),
                group.index,
                _shown(group),
                self.independent(group),
                _uncorrelated(group),
                self.inequalities(X, group, constraints),
            )

    def independent(self, group: FieldGroup) -> Independent:
        """Return what makes a covariance of variances that come without a correlation."""
        if self.correlation_length is None:
            return _uncorrelated(group)
        weights = group.interpolation
        lengths = correlation_lengths(self.correlation_length, group.grid.names)
        queries = NO_QUERIES if weights is None else weights @ group.grid.points
        return correlated(group.grid, lengths, queries)

    def labels(self, X: Any) -> np.ndarray:
        """Number the fields."""
        return self.grid.labels(X, feature_names=self.feature_names)

    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write one block a field; between fields the covariance is zero."""
        n_outputs = batch.index.shape[1]
        blocks = np.broadcast_to(dense, (len(batch.index), n_outputs, n_outputs))
        for index, block in zip(batch.index, blocks, strict=True):
            out[np.ix_(index, index)] = block


def _uncorrelated(group: FieldGroup) -> Independent:
    """Return what makes a covariance of variances at independent nodes, and between them."""
    if group.interpolation is None:
        return Diagonal
    return interpolated(np.vstack([np.eye(group.n_nodes), group.interpolation.toarray()]))


def _widened(system: EqualitySystem, n_queries: int) -> EqualitySystem:
    """Let a system at the nodes leave the queries alone."""
    noise_rows = tuple(widen(part, n_queries) for part in system.noise_rows)
    return replace(system, rows=widen(system.rows, n_queries), noise_rows=noise_rows)


def _shown(group: FieldGroup) -> Any:
    """Return the points to show: a query at a node is that node, even if the backbone is noisy."""
    if group.interpolation is None:
        return ALL
    weights = group.interpolation.toarray()
    own = group.n_nodes + np.arange(len(weights))
    return np.where(weights.max(axis=1) == 1.0, weights.argmax(axis=1), own)


def _size(group: FieldGroup) -> tuple[int, int]:
    """Return the number of fields, and of points at which the backbone is asked in each."""
    return group.n_fields, group.n_nodes + group.n_outputs


def _value_by_field(values: Any, group: FieldGroup, n_rows: int, name: str) -> Any:
    """Pick each field's value from values given for each row of a long table."""
    array = np.asarray(values)
    if array.ndim == 0:
        return array
    if array.shape[0] != n_rows:
        raise ValueError(
            f"constraint_values[{name!r}] has shape {array.shape}; in a long table give one value "
            f"for each of the {n_rows} rows of X."
        )
    by_field = array[group.index]
    if (by_field != by_field[:, :1]).any():
        raise ValueError(f"constraint_values[{name!r}] varies within a field.")
    return by_field[:, 0]

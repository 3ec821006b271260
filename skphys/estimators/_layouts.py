"""Two layouts of X: a row is a field, or a row is a point of a field in a long table.

A layout turns X into batches of fields that share a grid, and says where their values belong in
the output. Everything behind it sees fields only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning import Diagonal
from skphys.constraints import (
    EqualitySystem,
    FieldTable,
    InequalitySystem,
    merge_inequalities,
    merge_systems,
    resolve_inequalities,
    resolve_system,
)
from skphys.constraints._rows import widen
from skphys.estimators._backbone import take
from skphys.estimators._priors import (
    Independent,
    correlated,
    correlation_lengths,
    interpolated,
)
from skphys.grids import ColumnGrid, Components, FieldGroup, Grid, Mesh
from skphys.predictive import Prediction

MAX_VALUES = 1 << 25  # float64 values held at once while conditioning: 256 MiB

ALL: Any = slice(None)
NO_QUERIES = np.empty((0, 1))

# predict(X) for rows that are fields, predict(X, n_fields) for rows that are points of fields.
Predict = Callable[..., Prediction]


@dataclass(frozen=True)
class Batch:
    """Fields that are conditioned together.

    Attributes
    ----------
    prediction : Prediction
        What the backbone says, at ``n_points`` points.
    system : EqualitySystem
        What must hold there.
    index : slice or ndarray of int of shape (n_fields, n_outputs)
        Where the outputs belong: ``out[index] = values``.
    shown : slice or ndarray of int of shape (n_outputs,)
        The points that are returned; in a long table with nodes not all of them.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    inequalities : InequalitySystem or None
        What the mean must obey besides.
    """

    prediction: Prediction
    system: EqualitySystem
    index: Any
    shown: Any = field(default_factory=lambda: ALL)
    independent: Independent = Diagonal
    inequalities: InequalitySystem | None = None


class Layout(ABC):
    """How the rows of X make fields."""

    @abstractmethod
    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return the shape of a prediction for X."""

    @abstractmethod
    def batches(
        self, X: Any, predict: Predict, constraints: Any, constraint_values: Mapping[str, Any]
    ) -> Iterator[Batch]:
        """Yield the fields of X, each with its system.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
            The caller's rows.
        predict : callable
            Asks the backbone: ``predict(X)`` for fields, ``predict(X, n_fields)`` for points.
        constraints : list of (str, Constraint)
            What must hold.
        constraint_values : dict
            Values by name, one for each row of X.
        """

    @abstractmethod
    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write a batch's covariances where they belong."""

    @abstractmethod
    def covariance_shape(self, X: Any) -> tuple[int, ...]:
        """Return the shape of the covariance for X."""


class FieldRows(Layout):
    """Each row of X is a field on one grid.

    Parameters
    ----------
    grid : Grid, Mesh or Components
        Where the fields live.
    feature_names : array of str or None
        Names of the columns of X.
    correlation_length : float, dict or None
        How errors that come without a correlation are correlated along the axes.
    """

    def __init__(
        self,
        grid: Grid | Mesh | Components,
        feature_names: Any = None,
        correlation_length: Any = None,
    ) -> None:
        self.grid = grid
        self.feature_names = feature_names
        self.correlation_length = correlation_length

    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_samples, n_points)."""
        return (X.shape[0], self.grid.n_points)

    def covariance_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_samples, n_points, n_points)."""
        return (X.shape[0], self.grid.n_points, self.grid.n_points)

    def system(
        self,
        X: Any,
        constraints: Any,
        constraint_values: Mapping[str, Any] | None = None,
        fields: np.ndarray | None = None,
    ) -> EqualitySystem:
        """State the constraints for the rows of X, whose fields are, or are predicted, as given."""
        table = FieldTable(X, feature_names=self.feature_names)
        return resolve_system(constraints, self.grid, table, constraint_values, fields)

    def inequalities(self, X: Any, constraints: Any) -> InequalitySystem:
        """State the inequalities for the rows of X."""
        table = FieldTable(X, feature_names=self.feature_names)
        return resolve_inequalities(constraints, self.grid, table)

    def batches(
        self, X: Any, predict: Predict, constraints: Any, constraint_values: Mapping[str, Any]
    ) -> Iterator[Batch]:
        """Yield consecutive samples, as many as memory allows at once."""
        prediction = predict(X)
        own = self.system(X, constraints, constraint_values, likely_fields(prediction))
        handed = prediction.constraints
        inner = [s for s in handed if isinstance(s, EqualitySystem)]
        system = merge_systems([own, *inner], self.grid.n_points, X.shape[0])
        also = [s for s in handed if isinstance(s, InequalitySystem)]
        also = [self.inequalities(X, constraints), *also]
        inequalities = merge_inequalities(also, self.grid.n_points, X.shape[0])
        independent = self.independent()
        size = max(1, MAX_VALUES // _values_per_field(prediction, system, independent))
        for start in range(0, X.shape[0], size):
            part = slice(start, start + size)
            yield Batch(
                take(prediction, part),
                system.take(part),
                part,
                independent=independent,
                inequalities=inequalities.take(part),
            )

    def independent(self) -> Independent:
        """Return what makes a covariance of variances that come without a correlation."""
        if self.correlation_length is None:
            return Diagonal
        if not isinstance(self.grid, Grid):
            raise ValueError(
                f"correlation_length needs a Grid, whose axes say what is near; got "
                f"{type(self.grid).__name__}. Leave it None."
            )
        lengths = correlation_lengths(self.correlation_length, self.grid.names)
        return correlated(self.grid, lengths, NO_QUERIES)

    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write one matrix a sample."""
        out[batch.index] = dense


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
            name: _one_a_field(values, group, X.shape[0], name)
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
        """Yield a batch for each group, or for each field if the backbone gives a covariance."""
        for group in self.groups(X):
            prediction = predict(group.rows(X), len(group.index))
            if prediction.constraints:
                raise ValueError(
                    "In a long table constrained estimators cannot be nested; give all "
                    "constraints to the outer one: constraints=[law, other_law]."
                )
            at_law = likely_fields(prediction)[..., : group.grid.n_points]
            system = self.system(X, group, constraints, constraint_values, at_law)
            n_queries = prediction.mean.shape[1] - group.n_nodes
            yield Batch(
                prediction,
                replace(system, rows=widen(system.rows, n_queries if group.n_nodes else 0)),
                group.index,
                _shown(group),
                self.independent(group),
                self.inequalities(X, group, constraints),
            )

    def independent(self, group: FieldGroup) -> Independent:
        """Return what makes a covariance of variances that come without a correlation."""
        weights = group.interpolation
        if self.correlation_length is not None:
            lengths = correlation_lengths(self.correlation_length, group.grid.names)
            queries = NO_QUERIES if weights is None else weights @ group.grid.points
            return correlated(group.grid, lengths, queries)
        if weights is None:
            return Diagonal
        return interpolated(np.vstack([np.eye(group.n_nodes), weights.toarray()]))

    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write one block a field; between fields the covariance is zero."""
        n_outputs = batch.index.shape[1]
        blocks = np.broadcast_to(dense, (len(batch.index), n_outputs, n_outputs))
        for index, block in zip(batch.index, blocks, strict=True):
            out[np.ix_(index, index)] = block


def likely_fields(prediction: Prediction) -> np.ndarray:
    """Return the members, which are fields that may be, or the mean, which is smoother than they.

    Shape (n_members, n_samples, n_points), or (n_samples, n_points).
    """
    members = prediction.member_means
    return prediction.mean if members is None else members


def _shown(group: FieldGroup) -> Any:
    """Return the points to show: a query at a node is that node, even if the backbone is noisy."""
    if group.interpolation is None:
        return ALL
    weights = group.interpolation.toarray()
    own = group.n_nodes + np.arange(len(weights))
    return np.where(weights.max(axis=1) == 1.0, weights.argmax(axis=1), own)


def _one_a_field(values: Any, group: FieldGroup, n_rows: int, name: str) -> Any:
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


def _values_per_field(
    prediction: Prediction, system: EqualitySystem, independent: Independent
) -> int:
    """Estimate how many float64 values conditioning one field holds."""
    n_rows, n_points = system.rows.shape
    members = prediction.member_means
    rank = 0 if members is None else len(members)
    if (
        sparse.issparse(system.rows)
        and (prediction.cov is None and independent is Diagonal)
        and rank < n_rows
    ):
        n_rows = 4 + 4 * system.rows.nnz // n_points  # the share of the rows and their factor
    wide = 4 + 3 * n_rows * (n_rows > 1) + 3 * rank
    if prediction.cov is not None:
        wide += 3 * n_points
    return int(wide * n_points)

"""The layout in which each row of X is a field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from skphys.estimators._backbone import take
from skphys.estimators._layouts import Batch, Layout, Predict, likely_fields
from skphys.estimators._priors import NO_QUERIES, Independent, correlated, correlation_lengths
from skphys.grids import Components, Grid, Mesh
from skphys.predictive import Prediction

MAX_VALUES = 1 << 25  # float64 values held at once while conditioning: 256 MiB


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

    rows = "fields"

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
        if prediction.mean.shape[1] != self.grid.n_points:
            raise ValueError(
                f"The backbone predicts {prediction.mean.shape[1]} point(s) a field, but the grid "
                f"has {self.grid.n_points}; fit it on fields of this grid."
            )
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

    def labels(self, X: Any) -> np.ndarray:
        """Number the rows: each is a field."""
        return np.arange(X.shape[0])

    def put_covariance(self, out: np.ndarray, batch: Batch, dense: np.ndarray) -> None:
        """Write one matrix a sample."""
        out[batch.index] = dense


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

"""What a long table changes in fitting and asking a backbone: each row is a point of a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d

from skphys.constraints._system import NamedConstraints
from skphys.estimators._backbone import predict_points
from skphys.estimators._field_fit import FieldConstrainedRegressor
from skphys.estimators._layouts import Layout
from skphys.estimators._point_rows import PointRows
from skphys.estimators._priors import correlation_lengths
from skphys.estimators._targets import warn_if_outside
from skphys.grids import ColumnGrid
from skphys.predictive import Prediction


class TableConstrainedRegressor(FieldConstrainedRegressor):
    """Base class: fields one a row, or with a `ColumnGrid` the points of fields one a row."""

    def _is_table(self) -> bool:
        return isinstance(self.grid, ColumnGrid)

    def _check_training_data(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        X, y = super()._check_training_data(X, y)
        return X, column_or_1d(y, warn=True) if self._is_table() else y

    def _check_X(self, X: Any, reset: bool = False) -> Any:
        X = super()._check_X(X, reset)
        if self._is_table() and not hasattr(X, "columns"):
            X = check_array(X, input_name="X", estimator=self)
        return X

    def _row(self) -> str:
        return "point" if self._is_table() else super()._row()

    def _training_layout(self, X: Any, y: np.ndarray) -> Any:
        self._domain = None
        if not isinstance(self.grid, ColumnGrid):
            return super()._training_layout(X, y)
        names = getattr(X, "columns", None)
        self._domain = self.grid.learn_domain(X, feature_names=names)
        length = self._declared_errors().correlation_length
        correlation_lengths(length, self.grid.names)
        return PointRows(self.grid, self._domain, names, length)

    def _check_declared(self, layout: Any, X: Any, constraints: NamedConstraints) -> None:
        super()._check_declared(layout, X, constraints)
        if isinstance(layout, PointRows):
            for _, constraint in constraints:
                constraint.check_axes(layout.grid.names)
            warn_if_outside(layout, X)

    def _layout(self) -> Layout:
        if not isinstance(self.grid_, ColumnGrid):
            return super()._layout()
        names = getattr(self, "feature_names_in_", None)
        return PointRows(self.grid_, self._domain, names, self.error_model_.correlation_length)

    def _predict_backbone(
        self, X: Any, sizes: Any = None, *, constraint_values: Mapping[str, Any] | None = None
    ) -> Any:
        if sizes is None:
            return super()._predict_backbone(X, constraint_values=constraint_values)
        return map(self._spread, self._ask_backbone(X, sizes))

    def _ask_backbone(self, X: Any, sizes: Any = None) -> Any:
        if sizes is None:
            return super()._ask_backbone(X)
        seen = self._seen_by_backbone(X, self.estimator_, self.constraints_, self.grid_)
        return predict_points(self.estimator_, seen, sizes)

    def _predict_unconditioned(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        rows = "points" if isinstance(self.grid_, ColumnGrid) else rows
        return super()._predict_unconditioned(X, rows=rows, want_cov=want_cov)

    def __sklearn_tags__(self) -> Any:
        """Inherit the backbone's tags."""
        tags = super().__sklearn_tags__()
        if self._is_table():
            tags.target_tags.multi_output = False
            tags.input_tags.sparse = False
        return tags

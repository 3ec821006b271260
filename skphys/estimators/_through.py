"""Training a backbone through the constraints: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``constraint``. It gets a `ConstraintBatch`
there, and is asked as always afterwards: what it predicts is conditioned all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

from skphys.constraints import Constraint
from skphys.constraints._system import NamedConstraints
from skphys.estimators._backbone import without_value_columns
from skphys.estimators._embedding import operator_of, with_hook
from skphys.estimators._field_rows import FieldRows
from skphys.grids import ColumnGrid
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.predictive import Prediction, fit_backbone, predict_distribution
from skphys.predictive._backbone import is_frozen

HOOK = "constraint"
MAX_CORRELATED = 1 << 12  # points whose correlations are written out: 128 MiB


def check_trainable(
    backbone: Any, constraints: NamedConstraints, grid: Any, uncertainty: str
) -> None:
    """Raise if a backbone cannot be trained through constraints.

    Parameters
    ----------
    backbone : estimator
        Unfitted.
    constraints : list of (str, Constraint)
        What must hold.
    grid : Grid, Mesh, Components or ColumnGrid
        Where the fields live.
    uncertainty : str
        Of the constrained estimator.

    Raises
    ------
    ValueError
        Saying why, and what to do instead.
    """
    reason = _refusal(backbone, constraints, grid, uncertainty)
    if reason is not None:
        raise ValueError(
            f"constrain_training=True trains the backbone on the loss of the conditioned field, "
            f"but {reason}. Use a regressor of whole fields whose fit has a parameter {HOOK!r}, "
            f"such as AttentiveNeuralProcessRegressor() or FNORegressor(heteroscedastic=True), "
            f"alone or at the end of a pipeline, or leave constrain_training=False."
        )


def _refusal(
    backbone: Any, constraints: NamedConstraints, grid: Any, uncertainty: str
) -> str | None:
    operator = operator_of(backbone)
    name = type(operator).__name__
    if isinstance(grid, ColumnGrid):
        return "in a long table the backbone learns points, not fields"
    if is_frozen(backbone):
        return f"{name} is trained already"
    if not has_fit_parameter(operator, HOOK):
        return f"fit of {name} has no parameter {HOOK!r}"
    if uncertainty == "residual":
        return "uncertainty='residual' replaces the standard deviation that would be trained"
    if not any(isinstance(constraint, Constraint) for _, constraint in constraints):
        return "there are no equalities among the constraints to train it through"
    return None


class TrainedThrough(BaseEstimator):
    """A backbone, or a pipeline that ends in one, which is trained through constraints.

    Parameters
    ----------
    estimator : estimator
        The backbone, cloned in fit.
    constraints : list of (str, Constraint)
        What must hold; inequalities play no part in training.
    grid : Grid, Mesh or Components
        Where the fields live.
    metric : {"covariance", "identity"}
        In which fields move.
    correlation_length : float, dict or None
        How the errors of points are correlated along the axes.
    drop_value_columns : bool
        Whether the backbone does not get the columns that values are taken from.

    Attributes
    ----------
    estimator_ : estimator
        The fitted backbone.
    """

    def __init__(
        self,
        estimator: Any,
        constraints: Any,
        grid: Any,
        metric: str = "covariance",
        correlation_length: Any = None,
        drop_value_columns: bool = False,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.metric = metric
        self.correlation_length = correlation_length
        self.drop_value_columns = drop_value_columns

    def fit(self, X: Any, y: Any, **fit_params: Any) -> TrainedThrough:
        """Fit the backbone, with the constraints' values for the rows of X."""
        self.feature_names_ = getattr(X, "columns", None)
        fields = np.reshape(y, (len(y), -1))
        layout = FieldRows(self.grid, self.feature_names_, self.correlation_length)
        system = layout.system(X, self.constraints, fields=fields)
        stated = system.rows, system.values, system.noise, system.noise_rows
        batch = ConstraintBatch(*stated, self.metric, _correlation(layout))
        backbone, hook = with_hook(clone(self.estimator), HOOK)
        self.estimator_ = fit_backbone(backbone, self._seen(X), y, **{**fit_params, hook: batch})
        return self

    def _predict_distribution(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        return predict_distribution(self.estimator_, self._seen(X), rows=rows, want_cov=want_cov)

    def _seen(self, X: Any) -> Any:
        if not self.drop_value_columns:
            return X
        return without_value_columns(X, self.constraints, self.grid, self.feature_names_)


def _correlation(layout: FieldRows) -> np.ndarray | None:
    """Return the correlations between points; None if they are independent."""
    n_points = layout.grid.n_points
    if layout.correlation_length is None:
        return None
    if n_points > MAX_CORRELATED:
        raise ValueError(
            f"constrain_training=True with a correlation_length takes fields of at most "
            f"{MAX_CORRELATED} points; these have {n_points}. Leave one of them out in training."
        )
    return layout.independent()(np.ones(n_points)).to_dense()

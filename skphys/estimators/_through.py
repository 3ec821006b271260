"""Training a backbone through the constraints: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``constraint``. It gets a `ConstraintBatch`
there; what it predicts is conditioned all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import has_fit_parameter

from skphys.constraints import Constraint, ConstraintSet, EqualitySystem, NonlinearConstraint
from skphys.estimators._backbone import Backbone, with_hook
from skphys.estimators._covariances import Where
from skphys.grids import ColumnGrid
from skphys.neural import ConstraintBatch
from skphys.predictive import is_frozen, last_step

HOOK = "constraint"
FAR = 1e9  # of what a row of the largest field adds up: noise of a value that is not known
MAX_CORRELATED = 1 << 12  # points whose correlations are written out: 128 MiB


def check_trainable(backbone: Any, constraints: ConstraintSet, covariance: Any) -> None:
    """Raise if a backbone cannot be trained through constraints.

    Parameters
    ----------
    backbone : estimator
        Unfitted.
    constraints : ConstraintSet
        What must hold.
    covariance : str or None
        Of the error model.

    Raises
    ------
    ValueError
        Saying why, and what to do instead.
    """
    reason = _refusal(backbone, constraints, covariance)
    if reason is not None:
        raise ValueError(
            f"constrain_training=True trains the backbone on the loss of the conditioned field, "
            f"but {reason}. Use a regressor of whole fields whose fit has a parameter {HOOK!r}, "
            f"such as AttentiveNeuralProcessRegressor() or FNORegressor(heteroscedastic=True), "
            f"alone or at the end of a pipeline, or leave constrain_training=False."
        )


def _refusal(backbone: Any, constraints: ConstraintSet, covariance: Any) -> str | None:
    operator = last_step(backbone)
    name = type(operator).__name__
    if isinstance(constraints.grid, ColumnGrid):
        return "in a long table the backbone learns points, not fields"
    if is_frozen(backbone):
        return f"{name} is trained already"
    if not has_fit_parameter(operator, HOOK):
        return f"fit of {name} has no parameter {HOOK!r}"
    if covariance == "residual":
        return "covariance='residual' replaces the standard deviation that would be trained"
    laws = [n for n, law in constraints.named if isinstance(law, NonlinearConstraint)]
    if laws:
        return f"{laws[0]!r} is nonlinear, and it trains through linear equalities only"
    if not any(isinstance(constraint, Constraint) for _, constraint in constraints.named):
        return "there are no equalities among the constraints to train it through"
    return None


class TrainedThrough(Backbone):
    """A backbone that is trained through constraints, and asked as always.

    Parameters
    ----------
    regressor : estimator
        Alone, or at the end of a pipeline.
    constraints : ConstraintSet
        What must hold; inequalities play no part in training.
    drop_value_columns : bool
        Whether it does not get the columns that values are taken from.
    metric : {"covariance", "identity"}
        In which fields move.
    correlation_length : float, dict or None
        How the errors of points are correlated along the axes.
    """

    def __init__(
        self,
        regressor: Any,
        constraints: ConstraintSet,
        drop_value_columns: bool,
        metric: str,
        correlation_length: Any,
    ) -> None:
        super().__init__(regressor, constraints, drop_value_columns)
        self.metric = metric
        self.correlation_length = correlation_length

    def fit(
        self, X: Any, y: np.ndarray, groups: np.ndarray | None = None, **fit_params: Any
    ) -> TrainedThrough:
        """Fit the regressor, with the constraints' values for the rows of X."""
        stated = self.constraints
        system = stated.equalities(stated.table(X), fields=np.reshape(y, (len(y), -1)))
        values, noise = _where_known(system, y)
        told = system.rows, values, noise, system.noise_rows
        correlation = _correlation(stated.grid, self.correlation_length)
        batch = ConstraintBatch(*told, self.metric, correlation)
        self.regressor, hook = with_hook(self.regressor, HOOK)
        return super().fit(X, y, groups, **{**fit_params, hook: batch})


def _where_known(system: EqualitySystem, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and noise; what is not known is 0, with a noise beside which nothing counts."""
    unknown = np.isnan(system.values)
    if not unknown.any():
        return system.values, system.noise
    far = FAR * (np.abs(y).max() or 1.0) * np.asarray(abs(system.rows).sum(axis=1))
    return np.where(unknown, 0.0, system.values), np.where(unknown, far, system.noise)


def _correlation(grid: Any, correlation_length: Any) -> np.ndarray | None:
    """Return the correlations between points; None if they are independent."""
    if correlation_length is None:
        return None
    if grid.n_points > MAX_CORRELATED:
        raise ValueError(
            f"constrain_training=True with a correlation_length takes fields of at most "
            f"{MAX_CORRELATED} points; these have {grid.n_points}. Leave one of them out in "
            f"training."
        )
    return Where(grid).independent(correlation_length)(np.ones(grid.n_points)).to_dense()

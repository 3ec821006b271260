"""Operators that are told about the boundary while they train: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``boundary``. It gets a `BoundaryBatch` in
fit, and in each method that predicts and has that parameter. What it makes of it is its own
affair: the boundary is enforced after it all the same.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import _routing_enabled
from sklearn.utils.validation import has_fit_parameter

from skphys.estimators._backbone import without_value_columns
from skphys.estimators._packed import boundary_batch, embed_boundary
from skphys.neural._boundary_batch import BoundaryBatch, BoundaryEmbedding
from skphys.predictive import Prediction, fit_backbone, predict_distribution
from skphys.predictive._backbone import is_frozen
from skphys.predictive._registry import METHODS

HOOK = "boundary"


def operator_of(estimator: Any) -> Any:
    """Return the last step of pipelines."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def check_embedding(estimator: Any, constraints: Any, grid: Any, method: str) -> None:
    """Raise if a backbone cannot be told about a boundary.

    Parameters
    ----------
    estimator : estimator
        The backbone.
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What it would be asked to do.

    Raises
    ------
    ValueError
        Saying why, and what to do instead.
    """
    reason = _refusal(estimator)
    if reason is not None:
        raise ValueError(
            f"method={method!r} builds the boundary into an operator while it trains, but "
            f"{reason}. Use method='project', which works with any backbone, or 'auto', or an "
            f"operator such as FNORegressor."
        )
    embed_boundary(constraints, grid, method)


def _refusal(estimator: Any) -> str | None:
    """Say why a backbone cannot be told about a boundary; None if it can."""
    operator = operator_of(estimator)
    name = type(operator).__name__
    if has_fit_parameter(operator, HOOK):
        return None
    if is_frozen(estimator):
        return f"{name} is trained already, without the boundary"
    return f"fit of {name} has no parameter {HOOK!r}"


def _embed(operator: Any, embedding: BoundaryEmbedding) -> Any:
    """Return an unfitted operator that has the hook, for one that `check_embedding` takes."""
    return operator


def _with_hook(estimator: Any, embedding: BoundaryEmbedding) -> tuple[Any, str]:
    """Give the last step of an unfitted backbone the hook; return it, and the hook's name in fit.

    Pipelines, which must be clones, are changed.
    """
    if not isinstance(estimator, Pipeline):
        operator = _embed(estimator, embedding)
        if _routing_enabled() and hasattr(operator, "set_fit_request"):
            operator.set_fit_request(**{HOOK: True})
        return operator, HOOK
    name, last = estimator.steps[-1]
    last, hook = _with_hook(last, embedding)
    estimator.steps[-1] = (name, last)
    return estimator, hook if _routing_enabled() else f"{name}__{hook}"


class EmbeddedOperator(BaseEstimator):
    """An operator, or a pipeline that ends in one, which is told about the boundary.

    Parameters
    ----------
    estimator : estimator
        The backbone, cloned in fit.
    constraints : list of (str, BoundaryConstraint)
        The boundary.
    grid : Grid or Components
        Where the fields live.
    method : {"kernel", "lift"}
        What the operator is asked to do.
    drop_value_columns : bool
        Whether the operator does not get the columns that values are taken from.

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
        method: str,
        drop_value_columns: bool = False,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.method = method
        self.drop_value_columns = drop_value_columns

    def fit(self, X: Any, y: Any, **fit_params: Any) -> EmbeddedOperator:
        """Fit the operator with the boundary's values in X."""
        self.feature_names_ = getattr(X, "columns", None)
        batch = self._batch(X)
        backbone, hook = _with_hook(clone(self.estimator), batch.embedding)
        params = {**fit_params, hook: batch}
        self.estimator_ = fit_backbone(backbone, self._seen(X), y, **params)
        return self

    def _predict_distribution(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        return ask(self.estimator_, self._seen(X), self._batch(X), want_cov=want_cov)

    def _seen(self, X: Any) -> Any:
        if not self.drop_value_columns:
            return X
        return without_value_columns(X, self.constraints, self.grid, self.feature_names_)

    def _batch(self, X: Any) -> BoundaryBatch:
        names = self.feature_names_
        return boundary_batch(self.constraints, self.grid, self.method, X, feature_names=names)


def ask(backbone: Any, X: Any, batch: BoundaryBatch, *, want_cov: bool = True) -> Prediction:
    """Ask a backbone that was told about the boundary in fit.

    Parameters
    ----------
    backbone : estimator
        Fitted; an operator with the hook, or a pipeline that ends in one.
    X : array or DataFrame of shape (n_samples, n_features)
        What it takes.
    batch : BoundaryBatch
        The boundary's values for these samples.
    want_cov : bool, default=True
        Whether to ask for a covariance where one is offered.
    """
    while isinstance(backbone, Pipeline):
        for _, step in backbone.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        backbone = backbone.steps[-1][1]
    prediction = predict_distribution(Asked(backbone, batch), X, want_cov=want_cov)
    members = prediction.member_means
    if members is not None and len(members) == 1 and prediction.member_stds is None:
        return Prediction(prediction.mean)  # one point states no uncertainty
    return prediction


class Asked:
    """A fitted operator whose methods know the boundary's values.

    Parameters
    ----------
    operator : estimator
        With the hook.
    batch : BoundaryBatch
        The values for the samples that it will be asked about.
    """

    def __init__(self, operator: Any, batch: BoundaryBatch) -> None:
        self.operator = operator
        self.batch = batch

    def __getattr__(self, name: str) -> Any:
        """Return the operator's attribute; a method with the hook gets the boundary."""
        if name == "operator":
            raise AttributeError(name)
        attribute = getattr(self.operator, name)
        if not inspect.ismethod(attribute):
            return attribute
        if HOOK in inspect.signature(attribute).parameters:
            return partial(attribute, **{HOOK: self.batch})
        if name in METHODS:
            raise AttributeError(name)
        return attribute

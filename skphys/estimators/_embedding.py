"""Operators that are told about the boundary while they train: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``boundary``. It gets a `BoundaryBatch` in
fit, and in each method that predicts and has that parameter. What it makes of it is its own
affair: the boundary is enforced after it all the same.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import _routing_enabled
from sklearn.utils.validation import has_fit_parameter

from skphys.estimators._backbone import tell_net, without_value_columns
from skphys.estimators._background import Background
from skphys.estimators._packed import boundary_batch, embed_boundary
from skphys.grids import Components, Grid, grid_parts
from skphys.neural._boundary_batch import BoundaryBatch, BoundaryEmbedding
from skphys.predictive import Prediction, fit_backbone, predict_distribution
from skphys.predictive._backbone import final_estimator, is_frozen
from skphys.predictive._nets import is_net, is_process
from skphys.predictive._registry import METHODS

HOOK = "boundary"
KERNEL, LIFT = "kernel", "lift"


def operator_of(estimator: Any) -> Any:
    """Return the last step of pipelines."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def check_embedding(
    estimator: Any, constraints: Any, grid: Any, method: str, *, hook_only: bool = False
) -> None:
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
    hook_only : bool, default=False
        Whether to refuse regressors without the hook, other than skorch nets, even if the method
        does without it.

    Raises
    ------
    ValueError
        Saying why, and what to do instead.
    """
    reason = _refusal(estimator, needs_hook=hook_only or method == KERNEL)
    if reason is not None:
        raise ValueError(
            f"method={method!r} builds the boundary into an operator while it trains, but "
            f"{reason}. Use method='project', which works with any backbone, or 'auto', or an "
            f"operator such as FNORegressor, or for 'kernel' a skorch net with spectral layers."
        )
    embedding = embed_boundary(constraints, grid, method)
    if method == KERNEL:
        _check_kernel(embedding, grid)


def _check_kernel(embedding: BoundaryEmbedding, grid: Grid | Components) -> None:
    """Raise if layers cannot be corrected for this boundary."""
    parts = grid_parts(grid)
    if len(parts) > 1 or parts[0][0].n_axes > 1:
        raise ValueError(
            f"method='kernel' corrects layers along one axis, for one component; the grid has "
            f"{len(parts)} component(s) with the axes {list(parts[0][0].names)}. Use "
            f"method='lift' or 'project'."
        )


def _refusal(estimator: Any, needs_hook: bool) -> str | None:
    """Say why a backbone cannot be told about a boundary; None if it can."""
    operator = operator_of(estimator)
    name = type(operator).__name__
    if is_frozen(estimator):
        return f"{name} is trained already, without the boundary"
    net = final_estimator(estimator)
    is_module = is_net(net) and not is_process(net)  # its layers can be corrected
    if has_fit_parameter(operator, HOOK) or is_module or not needs_hook:
        return None
    return f"fit of {name} has no parameter {HOOK!r}"


def with_hook(estimator: Any, hook: str) -> tuple[Any, str]:
    """Ask the last step of an unfitted backbone for a parameter of fit; return both.

    Pipelines, which must be clones, are changed.
    """
    if not isinstance(estimator, Pipeline):
        if _routing_enabled() and hasattr(estimator, "set_fit_request"):
            estimator.set_fit_request(**{hook: True})
        return estimator, hook
    name, last = estimator.steps[-1]
    last, hook = with_hook(last, hook)
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
    background_ : Background or None
        With "lift", the part of the fields that the backbone does not learn.
    """

    def __init__(
        self,
        estimator: Any,
        constraints: Any,
        grid: Any,
        method: str,
        pivot: str = "scalar",
        drop_value_columns: bool = False,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.method = method
        self.pivot = pivot
        self.drop_value_columns = drop_value_columns

    background_: Background | None

    def fit(self, X: Any, y: Any, **fit_params: Any) -> EmbeddedOperator:
        """Fit the operator with the boundary's values in X."""
        self.feature_names_ = getattr(X, "columns", None)
        batch = self._batch(X)
        self.background_ = None
        backbone = clone(self.estimator)
        hooked = has_fit_parameter(operator_of(backbone), HOOK)
        if self.method == LIFT:
            rescale = is_net(final_estimator(backbone))  # its recipe is for fields of some size
            batch, y = self._subtract_background(X, y, batch, rescale)
        if hooked:
            backbone, hook = with_hook(backbone, HOOK)
            fit_params = {**fit_params, hook: batch}
        elif self.method == KERNEL:
            backbone = tell_net(backbone, self.grid, batch.embedding)
        self.estimator_ = fit_backbone(backbone, self._seen(X), y, **fit_params)
        return self

    def _subtract_background(
        self, X: Any, y: Any, batch: BoundaryBatch, rescale: bool
    ) -> tuple[Any, Any]:
        """Return what is left of the fields, and the boundary with the norms of the whole."""
        inputs, fields = self._inputs(X), y.reshape(len(y), -1)
        background = Background(batch.embedding, self.grid).fit(inputs, batch.values, fields)
        norms = [np.linalg.norm(fields[:, part], axis=1) for _, part in grid_parts(self.grid)]
        rest = fields - background(inputs, batch.values)
        if rescale:
            rest = rest / background.set_units(rest, fields)
        self.background_ = background
        return replace(batch, norms=np.stack(norms, axis=1)), rest.reshape(y.shape)

    def _inputs(self, X: Any) -> np.ndarray:
        return numeric_inputs(X, self.constraints, self.grid, self.feature_names_)

    def _predict_distribution(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        batch = self._batch(X)
        prediction = ask(self.estimator_, self._seen(X), batch, want_cov=want_cov)
        if self.background_ is None:
            return prediction
        background = self.background_(self._inputs(X), batch.values)
        return shifted(prediction, background, self.background_.units)

    def _seen(self, X: Any) -> Any:
        if not self.drop_value_columns:
            return X
        return without_value_columns(X, self.constraints, self.grid, self.feature_names_)

    def _batch(self, X: Any) -> BoundaryBatch:
        names = self.feature_names_
        return boundary_batch(
            self.constraints, self.grid, self.method, X, pivot=self.pivot, feature_names=names
        )


def ask(backbone: Any, X: Any, batch: BoundaryBatch, *, want_cov: bool = True) -> Prediction:
    """Ask a backbone that was told about the boundary in fit, if it could be told.

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
    if not has_fit_parameter(operator_of(backbone), HOOK):
        return predict_distribution(backbone, X, want_cov=want_cov)
    while isinstance(backbone, Pipeline):
        for _, step in backbone.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        backbone = backbone.steps[-1][1]
    prediction = predict_distribution(Asked(backbone, batch), X, want_cov=want_cov)
    members = prediction.member_means
    if members is not None and len(members) == 1 and prediction.member_stds is None:
        return Prediction(prediction.mean)  # one point states no uncertainty
    return prediction


def numeric_inputs(X: Any, constraints: Any, grid: Any, feature_names: Any = None) -> np.ndarray:
    """Return the numeric columns of X that are not boundary values, (n_samples, n_inputs).

    Columns that are whole fields stay together, even if a value is taken from one of them.
    """
    if np.prod(X.shape[1:]) % grid_parts(grid)[0][0].n_points:
        X = without_value_columns(X, constraints, grid, feature_names)
    if hasattr(X, "select_dtypes"):
        X = X.select_dtypes("number")
    if sparse.issparse(X):
        return np.empty((X.shape[0], 0))
    try:
        return np.asarray(X, dtype=np.float64).reshape(len(X), -1)
    except (TypeError, ValueError):
        return np.empty((len(X), 0))


def shifted(prediction: Prediction, by: np.ndarray, units: np.ndarray) -> Prediction:
    """Return a prediction in units of its own, (n_points,), with fields added to all its means."""

    def scaled(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else array * units

    members, cov = scaled(prediction.member_means), scaled(prediction.cov)
    return replace(
        prediction,
        mean=prediction.mean * units + by,
        std=scaled(prediction.std),
        cov=None if cov is None else cov * units[:, None],
        member_means=None if members is None else members + by,
        member_stds=scaled(prediction.member_stds),
    )


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

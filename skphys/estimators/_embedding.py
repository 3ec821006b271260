"""Operators that are told about the boundary while they train: the hook, and who has it.

Any regressor takes part whose ``fit`` has a parameter ``boundary``. It gets a `BoundaryBatch` in
fit, and in each method that predicts and has that parameter. What it makes of it is its own
affair: the boundary is enforced after it all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skphys.constraints import ConstraintSet, EqualitySystem
from skphys.estimators._backbone import Backbone, tell_net, with_hook
from skphys.estimators._background import Background
from skphys.estimators._on_grid import interpolated
from skphys.estimators._packed import boundary_batch, embed_boundary
from skphys.estimators._regridded import RegriddedBackground
from skphys.estimators._stencil_error import stencil_std
from skphys.estimators._told_errors import settled, with_error
from skphys.estimators._zero_field import ZeroField
from skphys.grids import grid_parts
from skphys.neural import BoundaryBatch
from skphys.predictive import (
    METHODS,
    Prediction,
    final_estimator,
    is_frozen,
    is_net,
    is_process,
    last_step,
    predict_distribution,
    transformed,
)

HOOK = "boundary"
LIFT, PROJECT = "lift", "project"
KERNELS = ("kernel", "kernel_block")


def check_embedding(regressor: Any, constraints: ConstraintSet, method: str) -> None:
    """Raise a ValueError, with what to do instead, if a backbone cannot be told about a boundary.

    Parameters
    ----------
    regressor : estimator
        The backbone.
    constraints : ConstraintSet
        The boundary.
    method : {"kernel", "kernel_block", "lift"}
        What it would be asked to do.
    """
    reason = _refusal(regressor, needs_hook=method in KERNELS)
    if reason is not None:
        raise ValueError(
            f"method={method!r} builds the boundary into an operator while it trains, but "
            f"{reason}. Use method='project', which works with any backbone, or 'auto', or an "
            f"operator such as FNORegressor, or for 'kernel' a skorch net with spectral layers."
        )
    embed_boundary(constraints.named, constraints.grid, method)


def can_be_told(regressor: Any, constraints: ConstraintSet, method: str) -> bool:
    """Say whether a backbone has the hook, or is a skorch net, and this boundary can be told."""
    if _refusal(regressor, needs_hook=True) is not None:
        return False
    try:
        embed_boundary(constraints.named, constraints.grid, method)
    except ValueError:
        return False
    return True


def _refusal(estimator: Any, needs_hook: bool) -> str | None:
    """Say why a backbone cannot be told about a boundary; None if it can."""
    operator = last_step(estimator)
    name = type(operator).__name__
    if is_frozen(estimator):
        return f"{name} is trained already, without the boundary"
    net = final_estimator(estimator)
    is_module = is_net(net) and not is_process(net)  # its layers can be corrected
    if has_fit_parameter(operator, HOOK) or is_module or not needs_hook:
        return None
    return f"fit of {name} has no parameter {HOOK!r}"


class BoundaryBackbone(Backbone):
    """A backbone that may be told about the boundary, in fit and wherever it is asked.

    Parameters
    ----------
    regressor : estimator
        The backbone, or a pipeline that ends in one.
    constraints : ConstraintSet
        The boundary.
    drop_value_columns : bool
        Whether it does not get the columns that values are taken from.
    method : {"kernel", "kernel_block", "lift", "project"}
        What it is asked to do; with "project" nothing.
    settle : bool
        Whether members are moved onto the boundary each by itself before anything else.
    wanted : str or estimator, default="auto"
        Which background, with "lift".

    Attributes
    ----------
    background : Background, RegriddedBackground or None
        With "lift", the part of the fields that the regressor does not learn. If that is all of
        them it is not trained, and a `ZeroField` takes its place.
    """

    background: Background | RegriddedBackground | None = None

    def __init__(
        self,
        regressor: Any,
        constraints: ConstraintSet,
        drop_value_columns: bool,
        method: str,
        settle: bool,
        wanted: Any = "auto",
    ) -> None:
        super().__init__(regressor, constraints, drop_value_columns)
        self.declared = regressor
        self.method = method
        self.settle = settle
        self.wanted = wanted

    def __sklearn_clone__(self) -> BoundaryBackbone:
        other = copy(self)
        other.declared = other.regressor = clone(self.declared)
        other.spread = None
        return other

    def fit(
        self, X: Any, y: np.ndarray, groups: np.ndarray | None = None, **fit_params: Any
    ) -> BoundaryBackbone:
        """Fit the regressor to what the background leaves, with the boundary's values in X."""
        fields = y.reshape(len(y), -1)
        self.stencil_std = stencil_std(self._system(X, None), fields)
        self.learned = self.stencil_std, self.constraints.grid
        if self.method == PROJECT:
            return super().fit(X, y, groups, **fit_params)
        batch = self._batch(X)
        if self.method == LIFT:
            rescale = is_net(final_estimator(self.regressor))  # its recipe is for fields of a size
            batch, y = self._subtract_background(X, y, groups, batch, rescale)
            if self.background is not None and self.background.explained_:
                self.regressor = ZeroField(self.constraints.grid).fit(self._shown(X), y)
                return self
        if has_fit_parameter(last_step(self.regressor), HOOK):
            self.regressor, hook = with_hook(self.regressor, HOOK)
            fit_params = {**fit_params, hook: batch}
        elif self.method in KERNELS:
            self.regressor = tell_net(self.regressor, self.constraints.grid, batch.embedding)
        return super().fit(X, y, groups, **fit_params)

    def ask(
        self, X: Any, values: Mapping[str, Any] | None = None, *, want_cov: bool = True
    ) -> Prediction:
        """Return what background and regressor say together; members settled, if asked for."""
        if values:
            self._system(X, values)  # raises if they are not as they should be
        if self.method == PROJECT:
            prediction = super().ask(X, values, want_cov=want_cov)
        else:
            prediction = self._ask_told(X, values, want_cov)
        if prediction.member_means is None or not self._settles(prediction):
            return prediction
        return settled(prediction, self._system(X, values))

    def _ask_told(self, X: Any, values: Mapping[str, Any] | None, want_cov: bool) -> Prediction:
        batch = self._batch(X, values)
        if self.background is not None:
            batch = replace(batch, embedding=self.background.told(batch.embedding))
        prediction = _ask(self.regressor, self._shown(X), batch, want_cov)
        if self.background is not None:
            seen = numeric_inputs(X, self.constraints), batch.values
            prediction = prediction.affine(self.background.units, self.background(*seen))
            prediction = with_error(prediction, self.background.std(*seen), self.background.grid)
        prediction = self._apart(prediction)
        if not prediction.states_uncertainty:
            return prediction
        return with_error(prediction, self.stencil_std, self.constraints.grid)

    @property
    def has_left_out(self) -> bool:
        """Whether its uncertainty rests on fields that it left out in fit."""
        return super().has_left_out or (self.background is not None and self.background.learned)

    @property
    def untold(self) -> bool:
        """Whether the regressor learned whole fields, and nothing of the boundary."""
        alone = self.background is not None and self.background.kind_ == "none"
        return alone and not has_fit_parameter(last_step(self.regressor), HOOK)

    def _settles(self, prediction: Prediction) -> bool:
        """Say whether to settle; told of nothing, members with deviations of their own are not."""
        return self.settle and (self.method != PROJECT or prediction.member_stds is None)

    def _system(self, X: Any, values: Mapping[str, Any] | None) -> EqualitySystem:
        return self.constraints.equalities(self.constraints.table(X), values)

    def on_grid(self, constraints: ConstraintSet) -> BoundaryBackbone:
        """Return the backbone on the grid of other constraints, with the same weights."""
        moved = super().on_grid(constraints)
        moved.stencil_std = interpolated(*self.learned, constraints.grid)
        if self.background is not None:
            embedding = embed_boundary(constraints.named, constraints.grid, self.method)
            moved.background = self.background.on_grid(embedding, constraints.grid)
        return moved

    def _subtract_background(
        self,
        X: Any,
        y: np.ndarray,
        groups: np.ndarray | None,
        batch: BoundaryBatch,
        rescale: bool,
    ) -> tuple[BoundaryBatch, np.ndarray]:
        """Return what is left of the fields, and the boundary with the norms of the whole."""
        grid, fields = self.constraints.grid, y.reshape(len(y), -1)
        inputs = numeric_inputs(X, self.constraints)
        background = Background(batch.embedding, grid, self.wanted)
        background.fit(inputs, batch.values, fields, input_names(X, self.constraints), groups)
        norms = [np.linalg.norm(fields[:, part], axis=1) for _, part in grid_parts(grid)]
        rest = background.take_rest()
        if not background.explained_ and rescale:
            rest = rest / background.set_units(rest, fields)
        self.background = background
        told = background.told(batch.embedding)
        return replace(batch, embedding=told, norms=np.stack(norms, axis=1)), rest.reshape(y.shape)

    def _batch(self, X: Any, values: Mapping[str, Any] | None = None) -> BoundaryBatch:
        stated = self.constraints
        return boundary_batch(
            stated.named,
            stated.grid,
            self.method.partition("_")[0],
            X,
            values,
            pivot="block" if self.method == KERNELS[1] else "scalar",
            feature_names=stated.feature_names,
        )


def _ask(regressor: Any, X: Any, batch: BoundaryBatch, want_cov: bool) -> Prediction:
    """Ask a regressor that was told about the boundary in fit, if it could be told."""
    if not has_fit_parameter(last_step(regressor), HOOK):
        return predict_distribution(regressor, X, want_cov=want_cov)
    operator, X = transformed(regressor, X)
    prediction = predict_distribution(_Asked(operator, batch), X, want_cov=want_cov)
    members = prediction.member_means
    if members is not None and len(members) == 1 and prediction.member_stds is None:
        return Prediction(prediction.mean)  # one point states no uncertainty
    return prediction


def numeric_inputs(X: Any, constraints: ConstraintSet) -> np.ndarray:
    """Return the numeric columns of X that are not boundary values, (n_samples, n_inputs).

    Columns that are whole fields stay together, even if a value is taken from one of them.
    """
    X = _inputs(X, constraints)
    if sparse.issparse(X):
        return np.empty((X.shape[0], 0))
    try:
        return np.asarray(X, dtype=np.float64).reshape(len(X), -1)
    except (TypeError, ValueError):
        return np.empty((len(X), 0))


def input_names(X: Any, constraints: ConstraintSet) -> list[str] | None:
    """Return the names of these columns, if X is a DataFrame of pandas that names them."""
    if not hasattr(X, "select_dtypes"):
        return None
    names = list(_inputs(X, constraints).columns)
    return names if all(isinstance(name, str) for name in names) else None


def _inputs(X: Any, constraints: ConstraintSet) -> Any:
    if np.prod(X.shape[1:]) % grid_parts(constraints.grid)[0][0].n_points:
        X = constraints.hide(X)
    return X.select_dtypes("number") if hasattr(X, "select_dtypes") else X


class _Asked:
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

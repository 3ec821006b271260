"""Fitting a backbone, and finding what it is underneath its wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import HasMethods

from skphys.predictive._nets import cast, check_module_class, is_net, is_process
from skphys.predictive._registry import METHODS, predict_distribution


def chain(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, then what it wraps, down to the regressor that makes predictions."""
    while estimator is not None and not isinstance(estimator, str):
        yield estimator
        if is_net(estimator):
            return
        estimator = _wrapped(estimator)


def _wrapped(estimator: Any) -> Any:
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    regressor = getattr(estimator, "regressor", None)
    return getattr(estimator, "estimator", None) if regressor is None else regressor


def last_step(estimator: Any) -> Any:
    """Return what predicts at the end of pipelines; anything else as it is."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def transformed(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of fitted pipelines, and what it gets of X."""
    while isinstance(estimator, Pipeline):
        estimator, X = through_steps(estimator, X)
    return estimator, X


def through_steps(pipeline: Pipeline, X: Any) -> tuple[Any, Any]:
    """Return the last step of one pipeline, which may be another one, and what it gets of X."""
    for _, step in pipeline.steps[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X)
    return pipeline.steps[-1][1], X


def final_estimator(estimator: Any) -> Any:
    """Return the regressor inside pipelines, searches, target transforms and the like."""
    return list(chain(estimator))[-1]


def is_frozen(estimator: Any) -> bool:
    """Say whether the regressor inside is frozen, so that fitting a clone changes nothing."""
    return any(isinstance(part, FrozenEstimator) for part in chain(estimator))


def fit_backbone(estimator: Any, X: Any, y: Any, **fit_params: Any) -> Any:
    """Fit a backbone in the dtypes and shapes that it takes.

    A skorch net, also inside pipelines, searches and target transforms, gets float32 data and
    two-dimensional targets (a GPyTorch process: one-dimensional ones). Any other regressor gets X
    and y untouched, and so do this package's own meta-estimators, which call this function for
    what they hold.

    Parameters
    ----------
    estimator : estimator
        Fitted itself, not a clone.
    X : {array-like, DataFrame} of shape (n_samples, n_features)
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_points)
        Targets.
    **fit_params : dict
        Passed to its fit.

    Returns
    -------
    estimator
        The fitted estimator.

    Raises
    ------
    ValueError
        If a net's module is an instance: every fit would go on from its weights.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skphys.predictive import fit_backbone
    >>> fit_backbone(Ridge(), [[0.0], [1.0]], [0.0, 1.0])
    Ridge()
    """
    net = final_estimator(estimator)
    if is_net(net) and not _fits_itself(estimator):
        if not is_frozen(estimator):
            check_module_class(net)
        has_steps = any(isinstance(part, Pipeline) for part in chain(estimator))
        if hasattr(X, "columns") and not has_steps:  # steps may want names; nets want arrays
            X = X.to_numpy()
        X, y = cast(X, np.float32), _column(y)
        y = y.ravel() if is_process(net) else y
    return estimator.fit(X, y, **fit_params)


def _fits_itself(estimator: Any) -> bool:
    """Say whether a meta-estimator of this package is on the way to the regressor."""
    return any(hasattr(type(part), name) for part in chain(estimator) for name in METHODS)


def predict_mean(estimator: Any, X: Any) -> Any:
    """Return the fitted backbone's own prediction, constrained if it is, nets included."""
    if is_net(final_estimator(estimator)):
        prediction = predict_distribution(estimator, X, want_cov=False)
        if not prediction.constraints:
            return prediction.mean
    return estimator.predict(X)


def _column(y: Any) -> Any:
    """Return targets as float32, with an axis of points."""
    y = cast(y.to_numpy() if hasattr(y, "to_numpy") else y, np.float32)
    return y.reshape(-1, 1) if getattr(y, "ndim", 2) == 1 else y


class _Regressor(HasMethods):
    """What the parameter of a backbone must be, for scikit-learn's validation."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Say whether it has the methods, and is no class of what has them."""
        return super().is_satisfied_by(val) and not isinstance(val, type)

    def __str__(self) -> str:
        return "an instance, not a class, that has 'fit' and 'predict'"


REGRESSOR = _Regressor(["fit", "predict"])

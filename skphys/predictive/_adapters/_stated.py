"""Regressors whose methods state a covariance or a standard deviation; last, a mean alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.utils.validation import _num_samples

from skphys.predictive._checks import as_float, as_std, stated
from skphys.predictive._nets import refuse_module
from skphys.predictive._prediction import Array, Prediction, with_variance
from skphys.predictive._registry import Adapter

# What libraries call the moments of a distribution, as attributes or as methods.
STDS = ("std", "stddev", "standard_deviation")
VARIANCES = ("var", "variance")


def _names(method: Any) -> set[str]:
    """Return the parameters that a method names; ``**kwargs`` is no name."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return set()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _has(*flags: str) -> Callable[[Any], bool]:
    return lambda estimator: not _names(getattr(estimator, "predict", None)).isdisjoint(flags)


def _may_give_covariance(estimator: Any, rows: str) -> bool:
    """Say whether to ask for a covariance: a Gaussian process's is one between rows."""
    between_samples = rows == "fields" and isinstance(estimator, GaussianProcessRegressor)
    return _has("return_cov")(estimator) and not between_samples


def predict_by_flags(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    """Call ``predict`` with ``return_cov`` or ``return_std``, whichever it names and is of use."""
    has_std = _has("return_std")(estimator)
    if (want_cov or not has_std) and _may_give_covariance(estimator, rows):
        mean, cov = _pair(estimator, X, "return_cov")
        prediction = stated(estimator, X, rows, mean)
        cov = _along_field(estimator, cov, prediction.mean.shape)
        if cov is not None:
            std = np.sqrt(np.clip(np.diagonal(cov, axis1=1, axis2=2), 0.0, None))
            return Prediction(prediction.mean, std, cov if want_cov else None)
        if not has_std:
            return prediction
    if not has_std:
        return stated(estimator, X, rows, estimator.predict(X))
    return stated(estimator, X, rows, *_pair(estimator, X, "return_std"))


def _pair(estimator: Any, X: Any, flag: str) -> tuple[Any, Any]:
    returned = estimator.predict(X, **{flag: True})
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        raise ValueError(
            f"predict(X, {flag}=True) of the backbone {type(estimator).__name__} must return two "
            f"arrays; got {type(returned).__name__}."
        )
    return returned[0], returned[1]


def _along_field(estimator: Any, values: Any, shape: tuple[int, ...]) -> Array | None:
    """Return covariances along the fields, or None if the array is another covariance.

    With as many samples as points, (B, B, n), between samples, looks like (B, n, n), along the
    field; only the latter is symmetric in its last two axes.
    """
    cov = as_float(values, estimator, "covariance")
    n_fields, n_points = shape
    if n_fields == 1 and cov.shape in ((n_points, n_points), (n_points, n_points, 1)):
        cov = cov.reshape(1, n_points, n_points)
    if cov.shape != (n_fields, n_points, n_points):
        return None
    if n_fields == n_points and not np.allclose(cov, cov.swapaxes(1, 2), rtol=1e-6, atol=0.0):
        return None
    if isinstance(estimator, GaussianProcessRegressor):  # clipped in its return_std, not here
        return with_variance(cov, np.clip(np.diagonal(cov, axis1=1, axis2=2), 0.0, None))
    return cov


def _predict_with_std_method(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    return stated(estimator, X, rows, estimator.predict(X), estimator.predict_std(X))


def _predict_with_variance_method(
    estimator: Any, X: Any, *, rows: str, want_cov: bool
) -> Prediction:
    std = as_std(estimator.predict_var(X), estimator)
    return stated(estimator, X, rows, estimator.predict(X), std)


def _predict_from_distribution(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    distribution = estimator.pred_dist(X)
    mean, std = _value(distribution, "mean"), _value(distribution, *STDS)
    if std is None and (variance := _value(distribution, *VARIANCES)) is not None:
        std = as_std(variance, estimator)
    location, scale = _value(distribution, "loc"), _value(distribution, "scale")
    # A location that is not the mean belongs to a distribution of the logarithm, say.
    if std is None and location is not None and (mean is None or np.allclose(mean, location)):
        mean, std = location, scale
    if mean is not None and std is not None:
        return stated(estimator, X, rows, mean, std)
    raise ValueError(
        f"pred_dist of the backbone {type(estimator).__name__} returned a "
        f"{type(distribution).__name__} that has neither mean and std nor loc and scale; see "
        f"skphys.predictive.register_adapter."
    )


def _value(distribution: Any, *names: str) -> Any:
    """Return the first attribute that there is, or what it returns if it is a method."""
    for name in names:
        try:
            value = getattr(distribution, name)
            value = value() if callable(value) else value
        except (AttributeError, NotImplementedError):
            continue
        if value is not None:
            return value.detach().cpu() if hasattr(value, "detach") else value
    return None


def _predict_mean(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    refuse_module(estimator)
    if not hasattr(estimator, "predict"):
        raise ValueError(
            f"The backbone {type(estimator).__name__} has no predict method; give a regressor."
        )
    if _num_samples(X) == 0:
        raise ValueError("X has no rows.")
    return stated(estimator, X, rows, estimator.predict(X))


def _with(name: str) -> Callable[[Any], bool]:
    return lambda estimator: callable(getattr(estimator, name, None))


ADAPTERS = (
    Adapter(DummyRegressor, _predict_mean),  # the standard deviation that it names is zero
    Adapter(_has("return_cov", "return_std"), predict_by_flags, _may_give_covariance),
    Adapter(_with("predict_std"), _predict_with_std_method),
    Adapter(_with("predict_var"), _predict_with_variance_method),
    Adapter(_with("pred_dist"), _predict_from_distribution),
    Adapter(object, _predict_mean),
)

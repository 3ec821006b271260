"""The checks that every prediction passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples

from skphys.predictive._prediction import Array, Prediction, with_variance

ROWS = ("fields", "points")

# Variances this far below zero, as a fraction of the largest one, are rounding errors.
ROUNDING = 1e-8


@contextmanager
def known_targets() -> Iterator[None]:
    """Say in the error of scikit-learn's check of y what to do about NaN."""
    try:
        yield
    except ValueError as error:
        if not re.match("Input y.* contains NaN", str(error)):
            raise
        raise ValueError(
            f"{error} Leave out rows of which it is not known. Where a row of y is a field: points "
            f"that no field has are outside the domain, see skphys.grids.masked; and fields with "
            f"holes, or of unequal length, are a long table, one row a known point, with a "
            f"skphys.grids.ColumnGrid."
        ) from error


def as_coverage(coverage: Any) -> float:
    """Return the probability of an interval, or raise."""
    number = coverage.item() if getattr(coverage, "shape", None) == () else coverage
    if not isinstance(number, Real) or not 0.0 < float(number) < 1.0:
        raise ValueError(
            f"coverage must be strictly between 0 and 1; got {coverage!r}. Give one number."
        )
    return float(number)


def as_levels(levels: Any) -> Array:
    """Return the probabilities of quantiles, or raise."""
    try:
        array = np.asarray(levels, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or array.size == 0 or not ((array > 0.0) & (array < 1.0)).all():
        raise ValueError(
            f"quantiles must be a 1-D array of numbers strictly between 0 and 1; got {levels!r}."
        )
    return array


def as_float(values: Any, estimator: Any, what: str) -> Array:
    """Return values as finite float64, or say which backbone gave what."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The {what} of {_name(estimator)} cannot be read as numbers: {error}. Make it "
            f"return one numeric array."
        ) from error
    if not np.isfinite(array).all():
        raise ValueError(
            f"The {what} of {_name(estimator)} has {np.sum(~np.isfinite(array))} NaN or infinite "
            f"value(s) out of {array.size}; check its training data and its convergence."
        )
    return array


def by_rows(values: Any, estimator: Any, n_samples: int, rows: str, what: str) -> Array:
    """Arrange a backbone's output for `n_samples` rows of X as (fields, points).

    Leading axes are kept if there are members. With ``rows="points"`` there is one field.
    """
    array = as_float(values, estimator, what)
    leading = 1 if what.startswith("member") else 0
    if array.ndim == leading + 1:
        array = array[..., None]
    wanted = "(n_rows,)" if rows == "points" else "(n_rows, n_points)"
    fits = array.ndim == leading + 2 and array.shape[leading] == n_samples
    if not fits or (rows == "points" and array.shape[-1] != 1):
        raise ValueError(
            f"The {what} of {_name(estimator)} has shape {np.shape(values)} for {n_samples} rows "
            f"of X, but should have {'(n_members, ...) of ' * leading}{wanted} with rows={rows!r}; "
            f"fit it on targets of that shape."
        )
    return array.swapaxes(-1, -2) if rows == "points" else array


def stated(
    estimator: Any, X: Any, rows: str, mean: Any, std: Any = None, cov: Any = None
) -> Prediction:
    """Build a prediction from what a backbone's predict returned."""
    n_samples = _num_samples(X)
    return Prediction(
        by_rows(mean, estimator, n_samples, rows, "mean"),
        None if std is None else by_rows(std, estimator, n_samples, rows, "standard deviation"),
        cov,
    )


def check_prediction(prediction: Any, estimator: Any, n_samples: int, rows: str) -> Prediction:
    """Check shapes, finiteness and signs; derive the standard deviation where it follows.

    Parameters
    ----------
    prediction : Prediction
        Of `estimator`, by any adapter.
    estimator : estimator
        Named in errors.
    n_samples : int
        Number of rows of X.
    rows : {"fields", "points"}
        What the rows of X are.
    """
    if not isinstance(prediction, Prediction):
        raise ValueError(
            f"The adapter of {_name(estimator)} returned {type(prediction).__name__}; it must "
            f"return a skphys.predictive.Prediction."
        )
    mean = as_float(prediction.mean, estimator, "mean")
    shape = (1, n_samples) if rows == "points" else (n_samples, mean.shape[-1])
    _check_shape(mean, shape, estimator, "mean")
    members, member_stds = prediction.member_means, None
    cov, std = prediction.cov, prediction.std
    if members is not None:
        members, member_stds = _checked_members(prediction, estimator, shape)
    if cov is not None:
        cov = _checked_cov(cov, estimator, (*shape, shape[-1]))
    if std is not None:
        std = _checked_std(std, estimator, shape, "standard deviation")
    checked = replace(
        prediction, mean=mean, std=std, cov=cov, member_means=members, member_stds=member_stds
    )
    follows = std is None and (members is not None or cov is not None)
    return replace(checked, std=checked.standard_deviation()) if follows else checked


def _checked_members(
    prediction: Prediction, estimator: Any, shape: tuple[int, ...]
) -> tuple[Array, Array | None]:
    means = as_float(prediction.member_means, estimator, "members' mean")
    shape = (max(len(means), 1), *shape)
    _check_shape(means, shape, estimator, "members' mean")
    if prediction.member_stds is None:
        return means, None
    stds = _checked_std(prediction.member_stds, estimator, shape, "members' standard deviation")
    return means, stds


def as_std(variance: Any, estimator: Any) -> Array:
    """Return the roots of variances; one that is negative by rounding counts as zero."""
    variance = as_float(variance, estimator, "variance")
    lowest = variance.min(initial=0.0)
    if lowest < -ROUNDING * np.abs(variance).max(initial=0.0):
        raise ValueError(
            f"The variance of {_name(estimator)} has {np.sum(variance < 0)} negative value(s), the "
            f"smallest {lowest:.3g}; return variances (not log-variances), at least 0."
        )
    return np.sqrt(np.maximum(variance, 0.0))


def _checked_std(values: Any, estimator: Any, shape: tuple[int, ...], what: str) -> Array:
    std = as_float(values, estimator, what)
    _check_shape(std, shape, estimator, what)
    if (std < 0).any():
        raise ValueError(
            f"The {what} of {_name(estimator)} has {np.sum(std < 0)} negative value(s), the "
            f"smallest {std.min():.3g}; return standard deviations (not log-variances), at least 0."
        )
    return std


def _checked_cov(values: Any, estimator: Any, shape: tuple[int, ...]) -> Array:
    """Check covariances; a diagonal that is negative by rounding becomes zero."""
    cov = as_float(values, estimator, "covariance")
    _check_shape(cov, shape, estimator, "covariance")
    variance = np.diagonal(cov, axis1=1, axis2=2)
    if not (variance < 0).any():
        return cov
    if variance.min() < -ROUNDING * np.abs(variance).max():
        raise ValueError(
            f"The covariance of {_name(estimator)} has a negative variance, {variance.min():.3g}; "
            f"covariances must be positive semi-definite."
        )
    return with_variance(cov, np.clip(variance, 0.0, None))


def _check_shape(array: Array, shape: tuple[int, ...], estimator: Any, what: str) -> None:
    if array.shape != shape:
        raise ValueError(
            f"The {what} of {_name(estimator)} has shape {array.shape}, but {shape} goes with X "
            f"and its mean; make the backbone return one value for each point."
        )


def _name(estimator: Any) -> str:
    return f"the backbone {type(estimator).__name__}"

"""What a backbone predicts, and the checks that every prediction passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

Array = NDArray[np.float64]

ROWS = ("fields", "points")

# Variances this far below zero, as a fraction of the largest one, are rounding errors.
ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class Prediction:
    """A batch of predicted fields, with whatever uncertainty the backbone states.

    Parameters
    ----------
    mean : ndarray of shape (n_samples, n_points)
        Means, float64.
    std : ndarray of shape (n_samples, n_points), default=None
        Standard deviations; None if the backbone states no uncertainty. Need not be given
        with `cov` or `member_means`, from which it follows.
    cov : ndarray of shape (n_samples, n_points, n_points), default=None
        Covariances along each field, never between samples.
    member_means : ndarray of shape (n_members, n_samples, n_points), default=None
        Means of the members, which have equal weights; `mean` is their average.
    member_stds : ndarray of shape (n_members, n_samples, n_points), default=None
        Their standard deviations; None if the members are points, as the trees of a forest are.
    constraints : tuple, default=()
        What must hold for the fields and was not imposed: a nested constrained estimator hands
        its Gaussian up unconditioned, together with its constraints.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.predictive import Prediction
    >>> two = Prediction(np.zeros((1, 2)), member_means=np.array([[[-1.0, -1.0]], [[1.0, 1.0]]]))
    >>> two.states_uncertainty
    True
    >>> two.covariance()
    array([[[1., 1.],
            [1., 1.]]])
    """

    mean: Array
    std: Array | None = None
    cov: Array | None = None
    member_means: Array | None = None
    member_stds: Array | None = None
    constraints: tuple[Any, ...] = ()

    @property
    def states_uncertainty(self) -> bool:
        """Whether there is more than a mean."""
        return any(a is not None for a in (self.std, self.cov, self.member_means))

    def covariance(self) -> Array | None:
        """Return the covariances along the fields, by whatever they can be known.

        Returns
        -------
        ndarray of shape (n_samples, n_points, n_points) or None
            `cov`; else the second moments of the members; else a diagonal of the variances;
            None without uncertainty.
        """
        if self.cov is not None:
            return self.cov
        if self.member_means is not None:
            return member_covariance(self.member_means, self.member_stds)
        return None if self.std is None else diagonal(self.std**2)


def diagonal(variance: Array) -> Array:
    """Return (..., n, n) matrices with variances (..., n) on their diagonals."""
    return variance[..., :, None] * np.eye(variance.shape[-1])


def member_std(means: Array, stds: Array | None) -> Array:
    """Return the standard deviations of equally weighted members (law of total variance)."""
    variance = np.var(means, axis=0)
    return np.sqrt(variance if stds is None else variance + np.mean(stds**2, axis=0))


def member_covariance(means: Array, stds: Array | None) -> Array:
    """Return the covariances of equally weighted members with independent points."""
    deviations = (means - means.mean(axis=0)).swapaxes(0, 1)
    cov = deviations.swapaxes(1, 2) @ deviations / len(means)
    return cov if stds is None else cov + diagonal(np.mean(stds**2, axis=0))


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
    fields, points = (1, n_samples) if rows == "points" else (n_samples, mean.shape[-1])
    _check_shape(mean, (fields, points), estimator, "mean")
    members, member_stds = _checked_members(prediction, estimator, (fields, points))
    cov, std = _checked_cov(prediction.cov, estimator, (fields, points, points)), prediction.std
    if std is not None:
        std = _checked_std(std, estimator, (fields, points), "standard deviation")
    elif members is not None:
        std = member_std(members, member_stds)
    elif cov is not None:
        std = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return replace(
        prediction, mean=mean, std=std, cov=cov, member_means=members, member_stds=member_stds
    )


def _checked_members(
    prediction: Prediction, estimator: Any, shape: tuple[int, ...]
) -> tuple[Array | None, Array | None]:
    if prediction.member_means is None:
        return None, None
    means = as_float(prediction.member_means, estimator, "members' mean")
    shape = (max(len(means), 1), *shape)
    _check_shape(means, shape, estimator, "members' mean")
    if prediction.member_stds is None:
        return means, None
    stds = _checked_std(prediction.member_stds, estimator, shape, "members' standard deviation")
    return means, stds


def _checked_std(values: Any, estimator: Any, shape: tuple[int, ...], what: str) -> Array:
    std = as_float(values, estimator, what)
    _check_shape(std, shape, estimator, what)
    if (std < 0).any():
        raise ValueError(
            f"The {what} of {_name(estimator)} has {np.sum(std < 0)} negative value(s), the "
            f"smallest {std.min():.3g}; return standard deviations (not log-variances), at least 0."
        )
    return std


def _checked_cov(values: Any, estimator: Any, shape: tuple[int, ...]) -> Array | None:
    """Check covariances; a diagonal that is negative by rounding becomes zero."""
    if values is None:
        return None
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


def with_variance(cov: Array, variance: Array) -> Array:
    """Return a copy of matrices (..., n, n) with another diagonal (..., n)."""
    points = np.arange(cov.shape[-1])
    cov = cov.copy()
    cov[..., points, points] = variance
    return cov


def _check_shape(array: Array, shape: tuple[int, ...], estimator: Any, what: str) -> None:
    if array.shape != shape:
        raise ValueError(
            f"The {what} of {_name(estimator)} has shape {array.shape}, but {shape} goes with X "
            f"and its mean; make the backbone return one value for each point."
        )


def _name(estimator: Any) -> str:
    return f"the backbone {type(estimator).__name__}"

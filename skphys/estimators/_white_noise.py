"""What of a stated variance is noise of the measurement, and none of the field's uncertainty.

A kernel's white noise belongs to a row, not to a place: of two rows at one place a Gaussian process
says that they differ by it. So a backbone is asked of some places twice, whoever it is, and however
it was wrapped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from skphys.conditioning import Dense, Diagonal, Gaussian, Sum, condition
from skphys.constraints import EqualitySystem
from skphys.predictive import Prediction, predict_distribution, with_variance

PROBES = 3  # points of a field that are asked twice; all are where the noise is not the same
SLIGHT = 1e-6  # part of a variance that is no noise, and by which noise is not the same
MOST = 1.0 - 1e-6  # where all is noise, there is no field to tell from it: it is a std


def ask_with_noise(regressor: Any, X: Any) -> tuple[Prediction, np.ndarray]:
    """Return what a regressor with a covariance says of the points of a field, and its noise.

    Parameters
    ----------
    regressor : estimator
        Fitted, with points as rows.
    X : array or DataFrame of shape (n_points, n_features)
        One field.

    Returns
    -------
    prediction : Prediction
        Of one field.
    noise : ndarray of shape (n_points,)
        Parts of the variances, from 0 to 1.
    """
    n_points = X.shape[0]
    few = np.unique(np.linspace(0, n_points - 1, PROBES).astype(int))
    prediction, variance, noise = _asked_twice(regressor, X, few)
    if np.ptp(noise) > SLIGHT * variance.max():
        prediction, variance, noise = _asked_twice(regressor, X, np.arange(n_points))
    elif len(few) < n_points:
        noise = np.full(n_points, noise.mean())
    share = np.where(variance > 0.0, noise / np.where(variance > 0.0, variance, 1.0), 0.0)
    share = np.where(share > SLIGHT, np.minimum(share, 1.0), 0.0)
    if share.min() < MOST:
        return prediction, share
    std = prediction.standard_deviation()
    return Prediction(prediction.mean, std, constraints=prediction.constraints), 0.0 * share


def _asked_twice(
    regressor: Any, X: Any, some: np.ndarray
) -> tuple[Prediction, np.ndarray, np.ndarray]:
    """Return the prediction, the variances, and the noise of those points that are asked twice."""
    n_points = X.shape[0]
    rows = np.append(np.arange(n_points), some)
    found = predict_distribution(regressor, _safe_indexing(X, rows), rows="points")
    prediction = found.fold(np.arange(n_points), 1)
    if found.cov is None:
        return prediction, np.ones(n_points), np.zeros(len(some))
    both = found.cov[0, some, n_points + np.arange(len(some))]
    variance = np.diagonal(found.cov[0])[:n_points]
    return prediction, variance, variance[some] - both


def has_noise(gaussian: Gaussian, noise: np.ndarray | None) -> bool:
    """Say whether some of a covariance that the backbone wrote out is noise."""
    return noise is not None and bool(noise.any()) and isinstance(gaussian.covariance, Dense)


def condition_apart(gaussian: Gaussian, noise: Any, system: EqualitySystem) -> Gaussian:
    """Condition a field without its noise, and the noise on what leaves the field where it is.

    Parameters
    ----------
    gaussian : Gaussian
        As stated.
    noise : ndarray of shape (n_samples, n_points)
        Parts of the variances.
    system : EqualitySystem
        What must hold.
    """
    rows, values = system.rows, system.values
    white = Diagonal(gaussian.covariance.diagonal() * noise)
    parts = [
        condition(Gaussian(gaussian.mean, _without(gaussian, noise)), rows, values, system.noise),
        condition(Gaussian(0.0 * gaussian.mean, white), rows, 0.0 * values, system.noise),
    ]
    return Gaussian(parts[0].mean, Sum(*(part.covariance for part in parts)))


def condition_field(gaussian: Gaussian, noise: Any, system: EqualitySystem) -> Gaussian:
    """Condition a field without its noise, in whose metric a nonlinear law then moves it."""
    field = Gaussian(gaussian.mean, _without(gaussian, noise))
    if not system.rows.shape[0]:
        return field
    return condition(field, system.rows, system.values, system.noise)


def noise_between(gaussian: Gaussian, noise: Any, independent: Any) -> Dense:
    """Return the stated covariance, but that points between nodes follow the nodes' noise."""
    part = independent(gaussian.covariance.diagonal() * noise).to_dense()
    return Dense(_without(gaussian, noise).to_dense() + part)


def _without(gaussian: Gaussian, noise: Any) -> Dense:
    """Return the covariance of the field alone."""
    kept = gaussian.covariance.diagonal() * (1.0 - noise)
    return Dense(with_variance(gaussian.covariance.to_dense(), kept))

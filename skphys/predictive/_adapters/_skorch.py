"""skorch nets: a mean, in float64, from inputs in the dtype of the module's parameters.

GPyTorch's Gaussian processes, which skorch wraps as nets, state a standard deviation too, and
between points a covariance. Both hold the noise of the likelihood, which is independent between
points.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from skphys.predictive._checks import stated
from skphys.predictive._nets import cast, is_net, is_process, parameter_dtype, seeded
from skphys.predictive._prediction import Array, Prediction, with_variance
from skphys.predictive._registry import Adapter


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    if not hasattr(estimator, "module_"):
        estimator.predict(X)  # raises skorch's own error for a net that is not initialized
    inputs = cast(X.to_numpy() if hasattr(X, "columns") else X, parameter_dtype(estimator))
    if is_process(estimator):
        return _predict_process(estimator, inputs, rows, want_cov)
    with seeded(estimator, 0):  # loading data draws from torch's global generator
        mean = np.asarray(estimator.predict(inputs))
    if mean.ndim > 2:  # channels or several axes: a field is flat, in C order
        mean = mean.reshape(len(mean), -1)
    return stated(estimator, X, rows, mean)


def _predict_process(estimator: Any, inputs: Any, rows: str, want_cov: bool) -> Prediction:
    mean, std = estimator.predict(inputs, return_std=True)
    cov = None
    if want_cov and rows == "points":
        cov = with_variance(_joint_covariance(estimator, inputs), np.square(std, dtype=np.float64))
    return stated(estimator, inputs, rows, mean, std, cov)


def _joint_covariance(estimator: Any, inputs: Any) -> Array:
    """Return the covariance of all points without noise, of shape (1, n_points, n_points).

    They go through the module in one batch, which `predict` has just set to evaluate.
    """
    with sys.modules["torch"].no_grad():
        cov = estimator.infer(inputs).covariance_matrix
    cov = np.asarray(cov.cpu(), dtype=np.float64)[None]
    return 0.5 * (cov + cov.swapaxes(1, 2))


def _between_points(estimator: Any, rows: str) -> bool:
    return rows == "points" and is_process(estimator)


ADAPTERS = (Adapter(is_net, _predict, _between_points),)

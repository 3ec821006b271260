"""What a regressor states that was told about the boundary, and its members on the boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.constraints import EqualitySystem
from skphys.estimators._regridded import at_points
from skphys.grids import grid_parts
from skphys.predictive import Prediction, with_variance

UNSTATED = 0.1  # error of a net that states none, as a part of what a background left it
FLOOR = 1e-6  # smallest variance of a point that moves, as a part of the field's mean variance


def with_error(prediction: Prediction, std: np.ndarray, grid: Any) -> Prediction:
    """Add an error that is independent from point to point to what a regressor states.

    One that states nothing errs alike at all points, also where the background is sure.
    """
    if not std.any():
        return prediction
    stated = prediction.standard_deviation()
    if stated is None:
        usual = [np.sqrt(np.mean(std[..., part] ** 2)) for _, part in grid_parts(grid)]
        std = np.hypot(std, UNSTATED * at_points(usual, grid))
        return replace(prediction, std=np.broadcast_to(std, prediction.mean.shape))
    cov, means, stds = prediction.cov, prediction.member_means, prediction.member_stds
    if means is not None:
        stds = np.broadcast_to(np.hypot(0.0 if stds is None else stds, std), means.shape)
        return Prediction.of_members(means, stds, prediction.constraints)
    total = np.hypot(stated, std)
    cov = None if cov is None else with_variance(cov, total**2)
    return replace(prediction, std=total, cov=cov)


def settled(prediction: Prediction, system: EqualitySystem) -> Prediction:
    """Move each member by itself onto exact rows, with independent points.

    The members then differ only where the rows leave them free. Where they nearly obey the rows
    already, what they differ by along the rows is rounding, and says nothing of the interior, so
    it must not get into their covariance.

    Parameters
    ----------
    prediction : Prediction
        With members.
    system : EqualitySystem
        What holds, without noise.

    Returns
    -------
    Prediction
        With other members, their average, and standard deviations as stated by each member.
    """
    assert prediction.member_means is not None
    if system.rows.shape[0] == 0:
        return prediction
    means, metric = prediction.member_means.copy(), _metric(prediction)
    for fields, known in system.by_known():
        prior = Gaussian(means[:, fields], Diagonal(metric[fields]))
        means[:, fields] = condition(prior, known.rows, known.values).mean
    return replace(prediction, mean=means.mean(axis=0), member_means=means, std=None)


def _metric(prediction: Prediction) -> np.ndarray:
    """Return the marginal variances, of shape (n_samples, n_points), all above zero."""
    assert prediction.member_means is not None
    variance = prediction.member_means.var(axis=0)
    if prediction.member_stds is not None:
        variance = variance + np.mean(prediction.member_stds**2, axis=0)
    scale = variance.mean(axis=1, keepdims=True)
    return np.where(scale > 0.0, np.maximum(variance, FLOOR * scale), 1.0)

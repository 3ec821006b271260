"""Members that obey equalities each by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.constraints import EqualitySystem
from skphys.predictive import Prediction

FLOOR = 1e-6  # smallest variance of a point, as a part of the field's mean variance


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
    prior = Gaussian(prediction.member_means, Diagonal(_metric(prediction)))
    means = condition(prior, system.rows, system.values).mean
    return replace(prediction, mean=means.mean(axis=0), member_means=means, std=None)


def _metric(prediction: Prediction) -> np.ndarray:
    """Return the marginal variances, of shape (n_samples, n_points), all above zero."""
    assert prediction.member_means is not None
    variance = prediction.member_means.var(axis=0)
    if prediction.member_stds is not None:
        variance = variance + np.mean(prediction.member_stds**2, axis=0)
    scale = variance.mean(axis=1, keepdims=True)
    return np.where(scale > 0.0, np.maximum(variance, FLOOR * scale), 1.0)

"""From what a backbone says to the Gaussian that is conditioned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skphys.conditioning import (
    Covariance,
    Dense,
    Diagonal,
    Gaussian,
    LowRank,
    Mixture,
    Scaled,
    Sum,
    condition,
    match_moments,
)
from skphys.constraints import EqualitySystem
from skphys.predictive import Prediction

Independent = Callable[[np.ndarray], Covariance]


def priors(prediction: Prediction, members: str, independent: Independent) -> list[Gaussian]:
    """Return the Gaussians to condition: one, or one for each member.

    Parameters
    ----------
    prediction : Prediction
        Of a batch of fields.
    members : {"moments", "each"}
        What to do with members, if there are any.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    """
    means, stds = prediction.member_means, prediction.member_stds
    if means is not None and members == "moments":
        return [match_moments(means, stds, independent)]
    if means is not None:
        if stds is None:
            raise ValueError(
                "members='each' conditions each member on its own, which needs the members' "
                "standard deviations, and this backbone's members have none; use "
                "members='moments'."
            )
        return [Gaussian(m, independent(s**2)) for m, s in zip(means, stds, strict=True)]
    if prediction.cov is not None:
        return [Gaussian(prediction.mean, Dense(prediction.cov))]
    if prediction.std is not None:
        return [Gaussian(prediction.mean, independent(prediction.std**2))]
    return [Gaussian(prediction.mean, independent(np.ones(prediction.mean.shape[-1])))]


def interpolated(weights: np.ndarray) -> Independent:
    """Return how independent variances at nodes extend to points between the nodes.

    A point between nodes follows its neighbours: in units of its own standard deviation its
    error is the interpolation of theirs, plus an independent remainder that keeps its variance.

    Parameters
    ----------
    weights : ndarray of shape (n_points, n_nodes)
        Interpolation weights; rows of nodes are unit rows.
    """
    remainder = np.clip(1.0 - np.sum(weights**2, axis=1), 0.0, None)
    correlation = Sum(Diagonal(remainder), LowRank(weights))
    return lambda variance: Scaled(np.sqrt(variance), correlation)


def posterior(prior: list[Gaussian], system: EqualitySystem) -> Gaussian | Mixture:
    """Condition each Gaussian on the system; several become a mixture."""
    if system.rows.shape[0] == 0:
        conditioned = prior
    else:
        conditioned = [condition(g, system.rows, system.values, system.noise) for g in prior]
    return conditioned[0] if len(conditioned) == 1 else Mixture(conditioned)

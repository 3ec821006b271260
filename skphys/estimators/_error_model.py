"""What data say of a backbone's errors, and how that changes the Gaussian it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.conditioning import Conditioned, Gaussian, Scaled
from skphys.constraints import EqualitySystem
from skphys.predictive import Prediction


@dataclass(frozen=True)
class ErrorModel:
    """How the uncertainty that a backbone states is taken.

    Attributes
    ----------
    members : {"moments", "marginal", "each"}
        What is done with members.
    correlation_length : float, dict of str to float or None
        Along which axes, and over which distance, errors of neighbours are alike.
    scale : float
        Factor of the stated standard deviations, or of 1 where none are stated.
    law_exponent : float
        How strongly the variance follows the law's own test of a field. With ``z2`` the squared
        distance of the prediction from the law, in units of its variance and per row, the variance
        is multiplied by ``((1 + z2 / law_level) / 2) ** law_exponent``.
    law_level : float
        The mean of ``z2`` on the calibration data.
    """

    members: str = "moments"
    correlation_length: float | Mapping[str, float] | None = None
    scale: float = 1.0
    law_exponent: float = 0.0
    law_level: float = 1.0

    def scaled(self, prediction: Prediction) -> Prediction:
        """Return a prediction with its uncertainty, or a unit one, multiplied by `scale`."""
        if self.scale == 1.0:
            return prediction
        if not prediction.states_uncertainty:
            return replace(prediction, std=np.full(prediction.mean.shape, self.scale))
        return replace(
            prediction,
            std=_times(prediction.std, self.scale),
            cov=_times(prediction.cov, self.scale**2),
            member_means=_spread(prediction.member_means, self.scale),
            member_stds=_times(prediction.member_stds, self.scale),
        )

    def widened(self, prior: Gaussian, conditioned: Gaussian, system: EqualitySystem) -> Gaussian:
        """Return a conditioned field with the spread that the law's test of the prior asks for."""
        z2 = law_misfit(prior, conditioned, system) if self.law_exponent else None
        if z2 is None:
            return conditioned
        root = widening(z2 / self.law_level, self.law_exponent) ** 0.5
        return Gaussian(conditioned.mean, Scaled(root[:, None], conditioned.covariance))


def widening(z2: np.ndarray, exponent: Any) -> np.ndarray:
    """Return the factor of the variance where the law is missed by `z2` times the usual."""
    return (0.5 * (1.0 + z2)) ** exponent


def law_misfit(prior: Gaussian, conditioned: Gaussian, system: EqualitySystem) -> np.ndarray | None:
    """Return how far predictions are from the law, squared, in units of their variance along it.

    Shape (n_samples,), the mean over rows of ``r' (G S G' + R)^-1 r`` with ``r = b - G mu``; None
    if the correction was not made in the metric of the covariance.
    """
    if not isinstance(conditioned.covariance, Conditioned):
        return None
    gain = conditioned.covariance.gain
    residual = system.values - gain.along(prior.mean)
    return np.clip(np.mean(residual * gain.solve(residual), axis=-1), 0.0, None)


def _times(array: np.ndarray | None, factor: float) -> np.ndarray | None:
    return None if array is None else factor * array


def _spread(members: np.ndarray | None, factor: float) -> np.ndarray | None:
    if members is None:
        return None
    mean = members.mean(axis=0)
    return mean + factor * (members - mean)

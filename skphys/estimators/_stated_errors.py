"""The error model that takes, scales and correlates what the backbone states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.conditioning import Conditioned, Dense, Gaussian, Scaled, match_moments
from skphys.constraints import EqualitySystem
from skphys.estimators._covariances import Independent
from skphys.estimators._error_model import ErrorModel, impose
from skphys.estimators._layout import PredictedFields
from skphys.predictive import Prediction

ROUNDING = 1e-13  # part of a law's terms by which predictions that obey it may miss it


@dataclass(frozen=True, eq=False)
class StatedErrors(ErrorModel):
    """Errors are as large as the backbone states, times a factor.

    Attributes
    ----------
    members : {"moments", "marginal", "each"}
        What is done with members.
    metric : {"covariance", "identity"}
        In which metric fields move.
    correlation_length : float, dict of str to float or None
        Along which axes, and over which distance, errors of neighbours are alike.
    residual_std : ndarray of shape (n_points,) or () or None
        Standard deviations that are taken in place of those that are stated.
    scale : float
        Factor of the standard deviations, or of 1 where none are stated.
    law_exponent : float
        How strongly the variance follows the law's own test of a field. With ``z2`` the squared
        distance of the prediction from the law, in units of its variance and per row, the variance
        is multiplied by ``((1 + z2 / law_level) / 2) ** law_exponent``.
    law_level : float
        The mean of ``z2`` on the calibration data.
    """

    members: str = "moments"
    metric: str = "covariance"
    correlation_length: float | Mapping[str, float] | None = None
    residual_std: np.ndarray | None = None
    scale: float = 1.0
    law_exponent: float = 0.0
    law_level: float = 1.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StatedErrors):
            return NotImplemented
        return all(np.array_equal(value, vars(other)[name]) for name, value in vars(self).items())

    def __hash__(self) -> int:
        return hash((self.members, self.metric, self.scale, self.law_exponent, self.law_level))

    @property
    def correlated(self) -> bool:  # type: ignore[override]
        """Whether errors are correlated along an axis."""
        return self.correlation_length is not None

    def taken(self, prediction: Prediction) -> Prediction:
        """Return a prediction with the uncertainty that is believed of it."""
        if self.residual_std is not None:
            std = np.broadcast_to(self.residual_std, prediction.mean.shape)
            return Prediction(prediction.mean, std, constraints=prediction.constraints)
        if self.scale == 1.0:
            return prediction
        if not prediction.states_uncertainty:
            return replace(prediction, std=np.full(prediction.mean.shape, self.scale))
        return prediction.spread(self.scale)

    def has_scale(self, prediction: Prediction) -> bool:
        """Say whether there is an uncertainty; without one unit variance is taken."""
        return self.taken(prediction).states_uncertainty

    def prior(self, fields: PredictedFields) -> list[Gaussian]:
        """Return the Gaussians to condition: one, or one for each member."""
        prediction = self.taken(fields.prediction)
        return gaussians(
            prediction, self.members, fields.where.independent(self.correlation_length)
        )

    def posterior(self, fields: PredictedFields, project_samples: bool = False) -> Any:
        """Return the fields after all constraints, with the spread that the law asks for."""
        prior = self.prior(fields)
        return impose(
            prior,
            fields,
            metric=fields.where.independent() if self.metric == "identity" else None,
            widened=self.widened if self.law_exponent and len(prior) == 1 else None,
            project_samples=project_samples,
        )

    def widened(self, prior: Gaussian, conditioned: Gaussian, system: EqualitySystem) -> Gaussian:
        """Return a conditioned field with the spread that the law's test of the prior asks for."""
        z2 = law_misfit(prior, conditioned, system)
        if z2 is None:
            return conditioned
        root = widening(z2 / self.law_level, self.law_exponent) ** 0.5
        return Gaussian(conditioned.mean, Scaled(root[:, None], conditioned.covariance))


def gaussians(prediction: Prediction, members: str, independent: Independent) -> list[Gaussian]:
    """Return what a prediction says as Gaussians: one, or one for each member.

    Parameters
    ----------
    prediction : Prediction
        Of a batch of fields.
    members : {"moments", "marginal", "each"}
        What to do with members, if there are any.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    """
    means, stds = prediction.member_means, prediction.member_stds
    if means is not None and members == "marginal":
        variance = match_moments(means, stds).variance()
        return [Gaussian(prediction.mean, independent(variance))]
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
        return [Gaussian(prediction.mean, independent(_once(prediction.std) ** 2))]
    return [Gaussian(prediction.mean, independent(np.ones(prediction.mean.shape[-1])))]


def _once(std: np.ndarray) -> np.ndarray:
    """Return one field's standard deviations if all fields share them, so all share one factor."""
    return std[0] if std.strides[0] == 0 and len(std) > 0 else std


def widening(z2: np.ndarray, exponent: Any) -> np.ndarray:
    """Return the factor of the variance where the law is missed by `z2` times the usual.

    It is 1 where there is no test, NaN.
    """
    return (0.5 * (1.0 + np.nan_to_num(z2, nan=1.0))) ** exponent


def law_misfit(prior: Gaussian, conditioned: Gaussian, system: EqualitySystem) -> np.ndarray | None:
    """Return how far predictions are from the law, squared, in units of their variance along it.

    Shape (n_samples,), the mean over rows of ``r' (G S G' + R)^-1 r`` with ``r = b - G mu``; None
    if the correction was not made in the metric of the covariance. Rounding is no misfit.
    """
    if not isinstance(conditioned.covariance, Conditioned):
        return None
    gain = conditioned.covariance.gain
    residual = system.values - gain.along(prior.mean)
    terms = np.abs(system.values) + gain.reach(np.abs(prior.mean))
    residual = np.where(np.abs(residual) > ROUNDING * terms, residual, 0.0)
    return np.clip(np.mean(residual * gain.solve(residual), axis=-1), 0.0, None)

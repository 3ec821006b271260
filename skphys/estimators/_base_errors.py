"""How a backbone errs: the contract of an error model, and what all of them do with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from skphys.conditioning import Covariance, Drawn, Gaussian, Mixture, condition
from skphys.constraints import EqualitySystem
from skphys.estimators._layout import PredictedFields
from skphys.estimators._naming import naming
from skphys.estimators._projected import Projected, on_law, within
from skphys.estimators._white_noise import (
    condition_apart,
    condition_field,
    has_noise,
    noise_between,
)
from skphys.predictive import Prediction

NEGLIGIBLE = 1e-9  # probability of a member that is not taken to a nonlinear law


@dataclass(frozen=True)
class HeldOut:
    """Fields that the backbone was not fitted on, with what it predicts of them.

    Attributes
    ----------
    fields : PredictedFields
        What is predicted, and what must hold.
    truth : ndarray of shape (n_fields, n_outputs)
        The true values, at the points ``fields.shown``.
    """

    fields: PredictedFields
    truth: np.ndarray

    def take(self, part: np.ndarray) -> HeldOut:
        """Return some of the fields, by a mask or by their numbers."""
        return HeldOut(self.fields.take(part), self.truth[part])

    def linear(self) -> HeldOut:
        """Return the fields without nonlinear equalities, from which no error model learns."""
        return HeldOut(replace(self.fields, nonlinear=None), self.truth)


class BaseErrorModel(BaseEstimator, ABC):
    """Says how a backbone errs: from what it predicts, and what must hold, to a posterior.

    To add one of your own, write a subclass with `prior`:

    - `prior` makes a Gaussian of a batch of predicted fields, or a list of several that weigh
      alike. ``fields.prediction`` is what the backbone says: a `Prediction`, with `mean`, and
      `std`, `cov` or `member_means` and `member_stds` where it states them;
      ``fields.where.independent()(variance)`` is the covariance of independent points.
    - `fit` may learn from held-out data; it returns the fitted error model. It is called before the
      first prediction where there are such data: those of `calibration`, or without them, if
      `needs_held_out` is set, predictions of the training fields by backbones that were fitted on
      the other folds.
    - `posterior` conditions each of the Gaussians on the system, and truncates it to where the
      inequalities hold, or moves its mean there, as `inequalities` says. Override it for a
      posterior of another form: it must return an object with `mean`, `std()`, `dense()` and
      ``sample(n_samples, random_state)``, such as a :class:`~skphys.conditioning.Gaussian` or a
      :class:`~skphys.conditioning.Mixture`, and every draw of it must obey the equalities. `impose`
      does that for Gaussians.

    An error model works on data alone. It never sees the backbone, nor the estimator around it. It
    has parameters as any estimator has: with an ``__init__`` that only assigns them, a search
    reaches ``error_model__rank``.
    """

    correlated: ClassVar[bool] = True  # whether errors of points may be, which takes more memory

    needs_held_out: ClassVar[bool] = False

    # Whether members of an ensemble are taken to be as far apart as they are wrong.
    widens_members: bool = False

    def takes_held_out(self, said: Prediction) -> bool:
        """Say whether training fields are held out if that is cheap; by default they are not.

        It is with at least ten fields, one a row, and a backbone that is neither frozen nor trained
        in epochs.

        Parameters
        ----------
        said : Prediction
            What the backbone says of a field.
        """
        return False

    def fit(self, held_out: Sequence[HeldOut]) -> BaseErrorModel:
        """Return an error model that has learned from held-out data; by default this one.

        Parameters
        ----------
        held_out : sequence of HeldOut
            Batches of fields with their true values.
        """
        return self

    def taken(self, prediction: Prediction) -> Prediction:
        """Return the prediction that a nested estimator hands up; by default as it is."""
        return prediction

    def has_scale(self, prediction: Prediction) -> bool:
        """Say whether standard deviations mean anything; by default they do."""
        return True

    def check(self) -> None:
        """Raise a ValueError if a parameter is not valid."""

    def on_grid(self, old: Any, new: Any) -> BaseErrorModel:
        """Return the error model for fields on another grid; by default as it is."""
        return self

    @abstractmethod
    def prior(self, fields: PredictedFields) -> Gaussian | list[Gaussian]:
        """Return the Gaussians to condition, each of all the fields of the batch.

        Parameters
        ----------
        fields : PredictedFields
            What is predicted, and what must hold.
        """

    def posterior(self, fields: PredictedFields, inequalities: str = "projected") -> Any:
        """Return the fields after all constraints.

        Parameters
        ----------
        fields : PredictedFields
            What is predicted, and what must hold.
        inequalities : {"auto", "truncated", "projected"}, default="projected"
            What becomes of the distribution under inequalities, as `inequality_posterior` says.
        """
        return impose(self.prior(fields), fields, inequalities=inequalities)


def impose(
    prior: Gaussian | Sequence[Gaussian],
    fields: PredictedFields,
    *,
    metric: Any = None,
    weights: np.ndarray | None = None,
    inequalities: str = "projected",
) -> Gaussian | Mixture | Projected | Drawn:
    """Condition each Gaussian on the equalities, and truncate it to the inequalities.

    Linear equalities come first, in one step; what they leave is conditioned on nonlinear ones.

    Parameters
    ----------
    prior : Gaussian or sequence of Gaussian
        One, or several that become a mixture.
    fields : PredictedFields
        What must hold.
    metric : callable, optional
        Makes a covariance of equal variances, in whose metric fields move then. Without it they
        move by their own covariance, less what of it is noise of the measurement.
    weights : ndarray of shape (n_gaussians, n_fields), optional
        How likely each is; without them all weigh alike. The mean of the mixture is projected then,
        not that of each Gaussian.
    inequalities : {"auto", "truncated", "projected"}, default="projected"
        Whether Gaussians are truncated, or their means and draws projected.
    """
    prior = gaussians_of(prior)
    if fields.nonlinear is not None and weights is not None:
        counts = np.max(weights, axis=1) > NEGLIGIBLE
        prior, weights = [g for g, c in zip(prior, counts, strict=True) if c], weights[counts]
    systems = [fields.system.under(g) for g in prior]
    noisy = [metric is None and has_noise(g, fields.noise) for g in prior]
    metrics = [None if metric is None else _even(g, fields.system, metric) for g in prior]
    parts = list(zip(prior, systems, metrics, strict=True))
    conditioned = list(prior)
    with naming(fields):
        if fields.system.rows.shape[0]:
            conditioned = [
                condition_apart(g, fields.noise, s)
                if apart
                else condition(g, s.rows, s.values, s.noise, metric=m)
                for (g, s, m), apart in zip(parts, noisy, strict=True)
            ]
        middle = None
        if fields.nonlinear is not None:
            movers = [
                condition_field(g, fields.noise, s) if apart else _mover(g, s, m, c)
                for (g, s, m), apart, c in zip(parts, noisy, conditioned, strict=True)
            ]
            conditioned, middle = on_law(conditioned, movers, fields.nonlinear, weights)
        if fields.inequalities.names:
            moving = [g if m is None else Gaussian(g.mean, m) for g, _, m in parts]
            for k in np.flatnonzero(noisy):  # where a smooth field cannot obey, its noise yields
                yielding = noise_between(prior[k], fields.noise, fields.where.independent())
                moving[k] = Gaussian(conditioned[k].mean, yielding)
            if inequalities == "auto" and metric is not None:
                inequalities = "projected"  # a metric says what is near, not what is likely
            also = fields.inequalities, inequalities, weights, fields.nonlinear, middle
            return within(moving, conditioned, systems, *also)
    if middle is not None:
        return middle
    return conditioned[0] if len(conditioned) == 1 else Mixture(conditioned, weights)


def gaussians_of(prior: Any) -> list[Gaussian]:
    """Return what `prior` of an error model gave as a list, after a check of it."""
    listed = [prior] if isinstance(prior, Gaussian) else prior
    if not isinstance(listed, list | tuple) or not all(isinstance(g, Gaussian) for g in listed):
        raise TypeError(
            f"prior of an error model must return a skphys.conditioning.Gaussian, or a list of "
            f"them; got {prior!r}."
        )
    return list(listed)


def _mover(
    gaussian: Gaussian, system: EqualitySystem, metric: Covariance | None, conditioned: Gaussian
) -> Gaussian:
    """Return the Gaussian in whose metric a nonlinear law moves fields that obey linear rows."""
    if metric is None:
        return conditioned
    even = Gaussian(gaussian.mean, metric)
    if not system.rows.shape[0]:
        return even
    return condition(even, system.rows, system.values, system.noise)


def _even(gaussian: Gaussian, system: EqualitySystem, unit: Any) -> Covariance:
    """Return a metric in which all points weigh the same.

    Its scale counts beside noise only, and is there the mean variance of each field.
    """
    n_points = gaussian.mean.shape[-1]
    if not system.noise_rows and not system.noise.any():
        return unit(np.ones(n_points))
    scale = gaussian.variance().mean(axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return unit(np.broadcast_to(scale, (*scale.shape[:-1], n_points)))

"""Rollouts of a fitted one-step operator: that of the mean, and those of draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples

from skphys.estimators._steps import Rollouts, Steps, check_departure
from skphys.metrics import crps
from skphys.predictive import (
    FieldRegressorMixin,
    constraints_imposed,
    predict_distribution,
    predict_mean,
)

MAX_SEED = np.iinfo(np.int32).max


class NothingStatedError(ValueError):
    """The one-step operator states no uncertainty."""


@dataclass(frozen=True)
class Stepper:
    """Steps fields forward.

    Attributes
    ----------
    operator : estimator
        Fitted; from the table of a step to the fields after it.
    steps : Steps
        Makes these tables.
    n_steps : int
        How many steps are taken.
    training : tuple of ndarray of shape (n_points,), default=None
        The range of the training fields.
    most : float, default=None
        How far a field may leave it, in widths; None is any distance.
    """

    operator: Any
    steps: Steps
    n_steps: int
    training: Any = None
    most: float | None = None

    def mean(self, X: Any) -> np.ndarray:
        """Return the rollout of the means, (n_samples, n_steps * n_points)."""
        return self._roll(X, lambda table: next_mean(self.operator, table))

    def draws(self, X: Any, n_draws: int, random_state: Any, persistent: bool) -> np.ndarray:
        """Return rollouts of draws, (n_draws, n_samples, n_steps * n_points)."""
        seeds = check_random_state(random_state).randint(MAX_SEED, size=n_draws)
        return np.stack([self._drawn(X, int(seed), persistent) for seed in seeds])

    def _drawn(self, X: Any, seed: int, persistent: bool) -> np.ndarray:
        rng = check_random_state(seed)

        def step(table: Any) -> np.ndarray:
            return next_draw(self.operator, table, seed if persistent else rng.randint(MAX_SEED))

        return self._roll(X, step)

    def _roll(self, X: Any, step: Callable[[Any], np.ndarray]) -> np.ndarray:
        field, found = self.steps.start(X), []
        for k in range(self.n_steps):
            field = step(self.steps.table(X, k, field))
            if self.most is not None:
                check_departure(field, self.training, self.most, k + 1)
            found.append(field)
        return np.concatenate(found, axis=1)


def do_persist(operator: Any, left: Rollouts, n_draws: int) -> bool:
    """Say whether draws that repeat their errors score better on rollouts that were left out."""
    truth = left.fields[:, 1:].reshape(len(left.fields), -1)
    stepper = Stepper(operator, left.steps, left.fields.shape[1] - 1)
    mean, scores = stepper.mean(left.X), []
    for persistent in (True, False):
        away = stepper.draws(left.X, n_draws, 0, persistent) - mean
        scores.append(crps(truth, mean, np.sqrt(np.mean(away**2, axis=0))))
    return bool(scores[0] <= scores[1])


def next_mean(operator: Any, table: Any) -> np.ndarray:
    """Return the mean after one step, one field a row."""
    mean = np.asarray(predict_mean(operator, table), dtype=np.float64)
    return mean.reshape(_num_samples(table), -1)


def next_draw(operator: Any, table: Any, seed: int) -> np.ndarray:
    """Return one draw of each field after one step; of an ensemble, all of the same member."""
    if isinstance(operator, FieldRegressorMixin):
        return np.asarray(operator.sample_y(table, 1, seed)).reshape(_num_samples(table), -1)
    with constraints_imposed():
        stated = predict_distribution(operator, table, rows="fields", want_cov=True)
    if not stated.states_uncertainty:
        raise NothingStatedError(
            f"{type(operator).__name__}, the one-step operator in RolloutRegressor, states no "
            f"uncertainty; use a probabilistic regressor, an EnsembleRegressor of it, or "
            f"constraints, whose error model learns one."
        )
    return np.asarray(stated.distribution().sample(1, seed))[0]

"""What truncated Gaussians say of a field, by draws: moments, quantiles and more draws."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from skphys.conditioning._gaussian import Gaussian
from skphys.conditioning._members import Mixture
from skphys.conditioning._truncated._gaussian import CHAINS, Truncated
from skphys.conditioning._truncated._random import Random

DRAWS = 256  # of each field, that moments and quantiles rest on
SLOW = 1.2  # the ratio of Gelman and Rubin above which a user is told
Array = np.ndarray


class Drawn:
    """Fields under inequalities: draws of a truncated Gaussian, or of a mixture of several.

    Fields that are far from all bounds keep the moments and quantiles that they have without.

    Parameters
    ----------
    field : Gaussian or Mixture
        Before the inequalities.
    members : sequence of Truncated
        One, or those of a mixture.
    weights : ndarray of shape (n_members, n_fields), optional
        How likely each is before it is truncated.
    """

    def __init__(
        self, field: Gaussian | Mixture, members: Sequence[Truncated], weights: Array | None = None
    ) -> None:
        self.field = field
        self.members = list(members)
        if weights is None:
            weights = np.full((len(members), 1), 1.0 / len(members))
        self.weights = weights / weights.sum(axis=0)

    @cached_property
    def draws(self) -> Array:
        """The draws that all is taken from, (DRAWS, n_fields, n_points); always the same."""
        drawn = self._drawn(DRAWS, 0, shared=True)
        if len(self.members) == 1 and (slow := int((mixing(drawn) > SLOW).sum())):
            warnings.warn(
                f"The draws under inequalities of {slow} field(s) depend on one another, so that "
                f"means and intervals are less exact than {DRAWS} draws would make them; "
                f"inequality_posterior='projected' does without.",
                UserWarning,
                stacklevel=2,
            )
        return drawn

    @cached_property
    def mean(self) -> Array:
        """The mean of the draws, (n_fields, n_points), with exact rows met to rounding."""
        if not self._near.any():
            return np.asarray(self.field.mean)
        first = self.members[0]
        mean = first.snapped(first.conditioned.kept(self.draws.mean(axis=0)))
        return np.where(self._near, mean, self.field.mean)

    def variance(self) -> Array:
        """Return the variances of the draws."""
        return self.std() ** 2

    def std(self) -> Array:
        """Return the standard deviations of the draws."""
        before = np.broadcast_to(self.field.std(), self.field.mean.shape)
        if not self._near.any():
            return before
        return np.where(self._near, self.draws.std(axis=0, ddof=1), before)

    def dense(self) -> Array:
        """Return the covariances of the draws, (n_fields, n_points, n_points)."""
        n_points = self.mean.shape[-1]
        before = np.broadcast_to(self.field.dense(), (*self.mean.shape, n_points))
        if not self._near.any():
            return before
        away = np.moveaxis(self.draws - self.draws.mean(axis=0), 0, -1)
        return np.where(self._near[..., None], away @ away.swapaxes(-1, -2) / (DRAWS - 1), before)

    def quantile(self, levels: Any) -> Array:
        """Return quantiles of each point, of shape (n_levels, n_fields, n_points).

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Probabilities between 0 and 1.
        """
        levels = np.asarray(levels, dtype=np.float64)
        if isinstance(self.field, Mixture):
            before = self.field.quantile(levels)
        else:
            std = np.broadcast_to(self.field.std(), self.field.mean.shape)
            before = self.field.mean + ndtri(levels)[:, None, None] * std
        if not self._near.any():
            return before
        found = np.quantile(self.draws, levels, axis=0, method="weibull")
        return np.where(self._near, found, before)

    @property
    def ends(self) -> tuple[Array, Array]:
        """The bounds of the points, (n_fields, n_points) each, which no interval leaves."""
        return self.members[0].ends

    def sample(self, n_samples: int, random_state: Any = None) -> Array:
        """Draw fields, of shape (n_samples, n_fields, n_points).

        Parameters
        ----------
        n_samples : int
            Number of draws of each field.
        random_state : int, Generator or None
            Source of the draws.
        """
        seed = int(np.random.default_rng(random_state).integers(2**31))
        return self._drawn(n_samples, seed, shared=False)

    @cached_property
    def _near(self) -> Array:
        """Say which fields are changed by the inequalities, (n_fields, 1)."""
        return np.asarray(np.any([member.near for member in self.members], axis=0))[:, None]

    def _drawn(self, n_samples: int, seed: int, shared: bool) -> Array:
        """Draw the member of each draw of each field, and take the next of its draws."""
        if len(self.members) == 1:
            return self.members[0].sample(n_samples, Random(seed, shared))
        shape = (n_samples, len(self.field.mean))
        level = np.random.default_rng(seed).random(shape)
        if shared:  # as evenly as can be
            level = np.broadcast_to((np.arange(n_samples)[:, None] + 0.5) / n_samples, shape)
        chosen = (level >= np.cumsum(self.weights, axis=0)[:-1, None]).sum(axis=0)
        drawn = np.empty((n_samples, *self.field.mean.shape))
        for k, member in enumerate(self.members):
            taken = np.nonzero(chosen == k)
            if taken[0].size:
                turn = np.cumsum(chosen == k, axis=0)[taken] - 1
                own = member.sample(int(turn.max()) + 1, Random(seed + k, shared))
                drawn[taken] = own[turn, taken[1]]
        return drawn


def mixing(draws: Array) -> Array:
    """Return the split ratio of Gelman and Rubin of each field's chains, of all points together.

    About 1 if draws of a chain tell as much as independent ones.

    Parameters
    ----------
    draws : ndarray of shape (n_draws, n_fields, n_points)
        Those of a chain stand `CHAINS` apart.
    """
    chains = draws.reshape(-1, CHAINS, *draws.shape[1:])
    half = len(chains) // 2
    halves = np.concatenate([chains[:half], chains[half : 2 * half]], axis=1)
    within = halves.var(axis=0, ddof=1).mean(axis=0).sum(axis=-1)
    between = halves.mean(axis=0).var(axis=0, ddof=1).sum(axis=-1)
    ratio = np.divide(between, within, out=np.zeros_like(within), where=within > 0)
    return np.asarray(np.sqrt((half - 1) / half + ratio))

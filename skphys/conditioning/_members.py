"""Members: the separate predictions of an ensemble, of latent draws, of Monte-Carlo passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from skphys.conditioning._arrays import Array, eps, transpose
from skphys.conditioning._composed import Sum
from skphys.conditioning._covariance import Covariance, Diagonal, LowRank
from skphys.conditioning._gaussian import Gaussian

ROUNDING = 8.0  # units of rounding by which the mean of members that agree may differ from them


def match_moments(
    means: Array, stds: Array | None = None, independent: Callable[[Array], Covariance] = Diagonal
) -> Gaussian:
    """Turn members into one Gaussian: diagonal plus low rank.

    Parameters
    ----------
    means : array of shape (n_members, ..., n_points)
        Mean of each member.
    stds : array of shape (n_members, ..., n_points), optional
        Standard deviation of each member. Without it members are points, and the covariance
        between ``K`` of them has rank ``K - 1``; one part in ``K`` is then moved to the diagonal,
        which leaves the marginal variances as they are.
    independent : callable, default=Diagonal
        Makes the covariance of what is independent, of its variances.

    Returns
    -------
    Gaussian
        With the mean of the members, and as covariance the mean of their variances plus the
        covariance of their means (law of total variance, divided by ``n_members``).
    """
    xp = array_namespace(means)
    n_members = means.shape[0]
    mean = xp.mean(means, axis=0)
    deviations = means - mean
    # Members that agree differ by the rounding of their mean, which is no variance.
    rounding = ROUNDING * eps(means) * xp.max(abs(means), axis=0)
    deviations = xp.where(abs(deviations) > rounding, deviations, 0.0)
    factor = transpose(xp.moveaxis(deviations, 0, -2)) / n_members**0.5
    if stds is not None:
        within = xp.mean(stds**2, axis=0)
    else:
        within = xp.sum(factor**2, axis=-1) / n_members
        factor = factor * (1.0 - 1.0 / n_members) ** 0.5
    return Gaussian(mean, Sum(independent(within), LowRank(factor)))


class Mixture:
    """An equal mixture of Gaussian fields, reported by its first two moments.

    This is how ProbConserv treats latent draws: each is conditioned, then moments are matched.

    Parameters
    ----------
    members : sequence of Gaussian
        All with the same shape.

    Attributes
    ----------
    mean : array of shape (..., n_points)
        Mean of the members' means.
    """

    def __init__(self, members: Sequence[Gaussian]) -> None:
        self.members = list(members)
        self.mean = sum(member.mean for member in self.members) / len(self.members)

    def variance(self) -> Array:
        """Return the mean of the variances plus the variance of the means."""
        return self._average(m.variance() + self._deviation(m) ** 2 for m in self.members)

    def std(self) -> Array:
        """Return the marginal standard deviations."""
        return self.variance() ** 0.5

    def dense(self) -> Array:
        """Return the mean of the covariances plus the covariance of the means."""
        return self._average(m.dense() + self._outer(self._deviation(m)) for m in self.members)

    def sample(self, n_samples: int, random_state: Any = None) -> Array:
        """Draw a member, then a field of that member; shape (n_samples, ..., n_points)."""
        rng = np.random.default_rng(random_state)
        chosen = np.sort(rng.integers(len(self.members), size=n_samples))
        seeds = rng.integers(2**31, size=len(self.members))
        counts = np.bincount(chosen, minlength=len(self.members))
        xp = array_namespace(self.mean)
        drawn = [
            member.sample(int(count), int(seed))
            for member, count, seed in zip(self.members, counts, seeds, strict=True)
            if count
        ]
        return xp.concat(drawn, axis=0)[rng.permutation(n_samples)]

    def _deviation(self, member: Gaussian) -> Array:
        """Return how far a member is from the mean; rounding, where members agree, is nothing."""
        xp = array_namespace(self.mean)
        deviation = member.mean - self.mean
        rounding = ROUNDING * eps(self.mean) * (abs(member.mean) + abs(self.mean))
        return xp.where(abs(deviation) > rounding, deviation, 0.0)

    def _average(self, terms: Any) -> Array:
        return sum(terms) / len(self.members)

    @staticmethod
    def _outer(vector: Array) -> Array:
        return vector[..., :, None] * vector[..., None, :]

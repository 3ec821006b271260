"""Members: the separate predictions of an ensemble, of latent draws, of Monte-Carlo passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import Array, eps, to_numpy, transpose
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
    """A mixture of Gaussian fields, reported by its first two moments.

    With equal weights this is how ProbConserv treats latent draws: each is conditioned, then
    moments are matched.

    Parameters
    ----------
    members : sequence of Gaussian
        All with the same shape.
    weights : array of shape (n_members,) or (n_members, ...), default=None
        Not negative; they are divided by their sum over the members. The second shape, with the
        leading shape of the fields, weighs the members of each field by themselves. None weighs
        all alike.

    Attributes
    ----------
    mean : array of shape (..., n_points)
        Mean of the members' means.
    weights : array of shape (n_members,) or (n_members, ...) or None
        Of sum one.
    """

    def __init__(self, members: Sequence[Gaussian], weights: Array | None = None) -> None:
        self.members = list(members)
        if weights is not None:
            if len(weights) != len(self.members) or not (weights >= 0).all():
                raise ValueError(
                    f"weights must be at least 0, one for each of the {len(self.members)} members; "
                    f"got shape {tuple(weights.shape)}."
                )
            weights = weights / array_namespace(weights).sum(weights, axis=0)
        self.weights = weights
        self.mean = self.average([member.mean for member in self.members])

    def average(self, terms: Sequence[Array], n_axes: int = 1) -> Array:
        """Return the weighted mean of arrays, one a member.

        Parameters
        ----------
        terms : sequence of array of shape (..., n_1, ..., n_axes)
            The leading shape is that of the fields.
        n_axes : int, default=1
            Number of axes behind it.
        """
        if self.weights is None:
            return sum(terms) / len(self.members)
        each = (w[(..., *(None,) * n_axes)] for w in self.weights)
        return sum(w * term for w, term in zip(each, terms, strict=True))

    def variance(self) -> Array:
        """Return the mean of the variances plus the variance of the means."""
        return self.average([m.variance() + self._deviation(m) ** 2 for m in self.members])

    def std(self) -> Array:
        """Return the marginal standard deviations."""
        return self.variance() ** 0.5

    def dense(self) -> Array:
        """Return the mean of the covariances plus the covariance of the means."""
        terms = [m.dense() + self._outer(self._deviation(m)) for m in self.members]
        return self.average(terms, n_axes=2)

    def sample(self, n_samples: int, random_state: Any = None) -> Array:
        """Draw a member, then a field of that member; shape (n_samples, ..., n_points)."""
        rng = np.random.default_rng(random_state)
        if self.weights is not None and self.weights.ndim > 1:
            return self._sample_by_field(n_samples, rng)
        weights = None if self.weights is None else to_numpy(self.weights)
        if weights is None:
            chosen = np.sort(rng.integers(len(self.members), size=n_samples))
        else:
            chosen = rng.choice(len(self.members), size=n_samples, p=weights)
        seeds = rng.integers(2**31, size=len(self.members))
        counts = np.bincount(chosen, minlength=len(self.members))
        xp = array_namespace(self.mean)
        drawn = [
            member.sample(int(count), int(seed))
            for member, count, seed in zip(self.members, counts, seeds, strict=True)
            if count
        ]
        return xp.concat(drawn, axis=0)[rng.permutation(n_samples)]

    def _sample_by_field(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw a member for each draw of each field, and take that member's draw."""
        xp = array_namespace(self.mean)
        cumulative = np.cumsum(to_numpy(self.weights), axis=0)
        shape = (n_samples, *self.mean.shape[:-1])
        chosen = (rng.random(shape) >= np.expand_dims(cumulative[:-1], 1)).sum(axis=0)
        chosen = xp.asarray(chosen, device=device(self.mean))[..., None]
        drawn = xp.zeros((n_samples, *self.mean.shape), dtype=self.mean.dtype)
        for k, member in enumerate(self.members):
            drawn = xp.where(chosen == k, member.sample(n_samples, int(rng.integers(2**31))), drawn)
        return drawn

    def _deviation(self, member: Gaussian) -> Array:
        """Return how far a member is from the mean; rounding, where members agree, is nothing."""
        xp = array_namespace(self.mean)
        deviation = member.mean - self.mean
        rounding = ROUNDING * eps(self.mean) * (abs(member.mean) + abs(self.mean))
        return xp.where(abs(deviation) > rounding, deviation, 0.0)

    @staticmethod
    def _outer(vector: Array) -> Array:
        return vector[..., :, None] * vector[..., None, :]

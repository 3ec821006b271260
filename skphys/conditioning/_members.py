"""Members: the separate predictions of an ensemble, of latent draws, of Monte-Carlo passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log, pi, sqrt
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from scipy.special import ndtr, ndtri

from skphys.conditioning._arrays import Array, eps, to_numpy, transpose
from skphys.conditioning._composed import Sum
from skphys.conditioning._covariance import Covariance, Diagonal, LowRank
from skphys.conditioning._gaussian import Gaussian

BISECTIONS = 60  # of a quantile: beyond rounding of the widest bracket
LARGE = 40.0  # standard deviations beyond which a Gaussian has no density
NEGLIGIBLE = 1e-12  # probability of two members together that no score sees
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


def _log_normal(xp: Any, values: Array, mean: Array, std: Array) -> Array:
    sure = std == 0.0
    safe = xp.where(sure, 1.0, std)
    density = -0.5 * ((values - mean) / safe) ** 2 - xp.log(safe) - 0.5 * log(2.0 * pi)
    return xp.where(sure, xp.where(values == mean, inf, -inf), density)


def _mean_size(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return ``E|Z|`` of Gaussians."""
    size = np.abs(mean)
    z = np.divide(size, std, out=np.full_like(size, LARGE), where=std * LARGE > size)
    density = np.exp(-0.5 * z**2) * sqrt(2.0 / pi)
    return size * (2.0 * ndtr(z) - 1.0) + std * density


class Mixture:
    """A mixture of Gaussian fields, reported by moments, densities, quantiles and draws.

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

    def log_density(self, values: Array) -> Array:
        """Return the log of each point's marginal density, of shape (..., n_points).

        Parameters
        ----------
        values : array of shape (..., n_points)
            One value a point. Where all members are sure, it is inf or -inf.
        """
        xp = array_namespace(self.mean)
        logs = xp.stack([_log_normal(xp, values, m.mean, m.std()) for m in self.members])
        weights = self._weights()[..., None]
        counts = weights > 0.0  # of a sure member without weight the density is none
        logs = xp.where(counts, logs + xp.log(xp.where(counts, weights, 1.0)), -inf)
        top = xp.max(logs, axis=0)
        finite = xp.where(xp.isfinite(top), top, 0.0)
        total = xp.sum(xp.exp(logs - finite), axis=0)
        return xp.where(xp.isfinite(top), finite + xp.log(xp.where(total > 0, total, 1.0)), top)

    def cdf(self, values: Array) -> np.ndarray:
        """Return each point's marginal probability of less, of shape (..., n_points).

        Parameters
        ----------
        values : array of shape (..., n_points)
            One value a point.
        """
        return self._cdf(to_numpy(values), *self._marginals())

    def crps(self, values: Array) -> np.ndarray:
        """Return each point's continuous ranked probability score, of shape (..., n_points).

        It is ``E|U - u| - E|U - U'| / 2`` in closed form (Grimit, Gneiting, Berrocal and Johnson,
        "The continuous ranked probability score for circular variables and its application to
        mesoscale forecast ensemble verification", QJRMS 132, 2006, equation 5).

        Parameters
        ----------
        values : array of shape (..., n_points)
            One value a point.
        """
        means, stds, weights = self._marginals()
        shape, n_members = means.shape, len(means)
        flat = (n_members, -1, shape[-1])
        means, stds, weights = (
            means.reshape(flat),
            stds.reshape(flat),
            weights.reshape(n_members, -1),
        )
        values = np.broadcast_to(to_numpy(values), shape[1:]).reshape(flat[1:])
        found = np.zeros_like(values)
        for j, weight in enumerate(weights):
            found += weight[:, None] * _mean_size(values - means[j], stds[j])
            for k in range(j + 1):
                both = weight * weights[k] * (0.5 if j == k else 1.0)
                some = both > NEGLIGIBLE
                spread = np.hypot(stds[j, some], stds[k, some])
                apart = _mean_size(means[j, some] - means[k, some], spread)
                found[some] -= both[some, None] * apart
        return found.reshape(shape[1:])

    def quantile(self, levels: Any) -> np.ndarray:
        """Return quantiles of each point's marginal, of shape (n_levels, ..., n_points).

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Probabilities between 0 and 1.
        """
        marginals = self._marginals()
        means, stds, _ = marginals
        found = []
        for level in np.asarray(levels, dtype=float):
            # No quantile lies outside of those of the members.
            each = means + np.multiply(ndtri(level), stds, out=np.zeros_like(stds), where=stds > 0)
            low, high = each.min(axis=0), each.max(axis=0)
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                below = self._cdf(middle, *marginals) < level
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            found.append(0.5 * (low + high))
        return np.stack(found)

    def _weights(self) -> Array:
        """Return the weights with the axes of the fields, (n_members, ...)."""
        xp = array_namespace(self.mean)
        shape = (len(self.members), *self.mean.shape[:-1])
        if self.weights is None:
            return xp.full(shape, 1.0 / len(self.members), dtype=self.mean.dtype)
        missing = len(shape) - self.weights.ndim
        return xp.broadcast_to(self.weights.reshape(*self.weights.shape, *(1,) * missing), shape)

    def _marginals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return means, standard deviations and weights, stacked."""
        shape = self.mean.shape
        means = np.stack([np.broadcast_to(to_numpy(m.mean), shape) for m in self.members])
        stds = np.stack([np.broadcast_to(to_numpy(m.std()), shape) for m in self.members])
        return means, stds, to_numpy(self._weights())[..., None]

    @staticmethod
    def _cdf(values: Any, means: Any, stds: Any, weights: Any) -> np.ndarray:
        sure = stds == 0.0
        z = (values - means) / np.where(sure, 1.0, stds)
        return np.sum(weights * np.where(sure, values >= means, ndtr(z)), axis=0)

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
        """Draw a member for each draw of each field, and take the next of that member's draws."""
        xp = array_namespace(self.mean)
        cumulative = np.cumsum(to_numpy(self.weights), axis=0)
        shape = (n_samples, *self.mean.shape[:-1])
        chosen = (rng.random(shape) >= np.expand_dims(cumulative[:-1], 1)).sum(axis=0)
        drawn = xp.zeros((n_samples, *self.mean.shape), dtype=self.mean.dtype)
        for k, member in enumerate(self.members):
            seed, taken = int(rng.integers(2**31)), np.nonzero(chosen == k)
            if taken[0].size:
                # Each field takes as many as it needs, in turn.
                turn = np.cumsum(chosen == k, axis=0)[taken] - 1
                draws = member.sample(int(turn.max()) + 1, seed)
                to, of = (
                    tuple(xp.asarray(i, device=device(self.mean)) for i in index)
                    for index in (taken, (turn, *taken[1:]))
                )
                drawn[to] = draws[of]
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

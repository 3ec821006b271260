"""One Gaussian that is truncated by linear inequalities, after its equalities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._conditioned import Conditioned
from skphys.conditioning._gaussian import Gaussian, condition
from skphys.conditioning._inequality._linear import point_bounds
from skphys.conditioning._truncated._bounces import Bounces
from skphys.conditioning._truncated._pairs import Pairs, apart
from skphys.conditioning._truncated._random import Random

CHAINS = 16  # of each field
REACH = 7.0  # standard deviations beyond which an inequality changes nothing
STUCK = 1e-10  # a share of its points' standard deviations as small as this is none
MAX_STATE = 1 << 17  # values of chains that are moved at once: 1 MiB, which caches hold
Array = np.ndarray


@dataclass(frozen=True)
class Truncated:
    """Gaussian fields on linear equalities, truncated by ``lower <= H u <= upper``.

    Attributes
    ----------
    prior, conditioned : Gaussian
        Before and after the equalities, of mean (n_fields, n_points).
    rows : sparse or dense array of shape (n_rows, n_points)
        The equalities.
    values, noise : ndarray broadcasting to (n_fields, n_rows)
        What they should be, and its standard deviation.
    H : csr_array of shape (n_inequalities, n_points)
        The rows of the inequalities.
    lower, upper : ndarray of shape (n_fields, n_inequalities)
        Their bounds.
    start : ndarray of shape (n_fields, n_points)
        Fields that obey all of it.
    """

    prior: Gaussian
    conditioned: Gaussian
    rows: Any
    values: Array
    noise: Array
    H: sparse.csr_array
    lower: Array
    upper: Array
    start: Array

    @cached_property
    def near(self) -> Array:
        """Say of which fields (n_fields,) the inequalities change the distribution."""
        std = np.sqrt(np.maximum(self.conditioned.covariance.row_variance(self.H), 0.0))
        product = (self.H @ self.conditioned.mean.T).T
        least = np.minimum(product - self.lower, self.upper - product)
        return np.asarray((least < REACH * std).any(axis=1) | (least < 0).any(axis=1))

    @property
    def of_points(self) -> bool:
        """Say whether all inequalities are bounds of single points."""
        return bool((np.diff(self.H.indptr) == 1).all())

    @cached_property
    def independent(self) -> bool:
        """Say whether points are independent, with bounds each, and in one equality at most."""
        own = self.conditioned.covariance
        bayes = own is self.prior.covariance or (
            type(own) is Conditioned and own.prior is self.prior.covariance
        )
        simple = (
            bayes and self.of_points and self.prior.covariance.independent_variance() is not None
        )
        return simple and apart(self.rows) is not None

    def sample(self, n_samples: int, random: Random) -> Array:
        """Draw fields, of shape (n_samples, n_fields, n_points).

        Parameters
        ----------
        n_samples : int
            Of each field; those of a chain stand `CHAINS` apart.
        random : Random
            Source of the draws.
        """
        chains = min(CHAINS, n_samples)
        n_each = -(-n_samples // chains)
        draw = self._by_pairs if self.independent else self._by_bounces
        drawn = draw(n_each, chains, random)
        drawn = drawn.reshape(-1, *self.start.shape)[:n_samples]
        return self.snapped(self.conditioned.kept(drawn))

    def snapped(self, drawn: Array) -> Array:
        """Return fields (..., n_fields, n_points) without rounding beyond bounds of points."""
        low, high = self.ends
        rounding = 1e-13 * (np.abs(drawn) + np.abs(self.start))
        out = np.where((drawn < low) & (drawn >= low - rounding), low, drawn)
        return np.where((out > high) & (out <= high + rounding), high, out)

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """The bounds of each point, as `point_bounds` finds them."""
        low, high = point_bounds(self.H, self.lower, self.upper)
        return np.broadcast_to(low, self.start.shape), np.broadcast_to(high, self.start.shape)

    def _by_pairs(self, n_each: int, n_chains: int, random: Random) -> Array:
        """Draw independent points."""
        found = apart(self.rows)
        assert found is not None
        n_fields, n_points = self.start.shape
        noise = np.broadcast_to(self.noise, (n_fields, self.rows.shape[0]))
        soft = np.flatnonzero((noise > 0).any(axis=0))
        lacking = self.values - (self.rows @ self.start.T).T
        zeros = np.zeros((n_fields, len(soft)))
        parts = [
            (self.prior.mean, zeros),
            (self.prior.covariance.independent_variance(), noise[:, soft] ** 2),
            (self.ends[0], zeros - np.inf),
            (self.ends[1], zeros + np.inf),
            (self.start, lacking[:, soft]),
        ]
        wide = [np.hstack([np.broadcast_to(a, self.start.shape), b]).T for a, b in parts]
        row = np.append(found[0], soft)
        weight = np.append(found[1], np.ones(len(soft)))
        out = np.empty((n_each, n_chains, n_fields, n_points))
        step = max(1, MAX_STATE // (n_chains * len(row)))
        for i in range(0, n_fields, step):
            some = [np.ascontiguousarray(a[:, i : i + step]) for a in wide]
            mean, variance, low, high, start = some
            pairs = Pairs(mean, variance, low, high, start, row, weight)
            draws = pairs.sample(n_each, n_chains, random.again())
            out[:, :, i : i + step] = np.moveaxis(draws[:, :n_points], 1, -1)
        return out

    def _by_bounces(self, n_each: int, n_chains: int, random: Random) -> Array:
        """Draw points whose errors belong together, or that other rows tie to each other."""
        gaussian = self._within()
        covariance, mean = gaussian.covariance, gaussian.mean
        C, slack = self._sides(gaussian)
        pushes = np.asarray(covariance.matmul(C.T.toarray()))
        pushes = np.moveaxis(pushes if pushes.ndim == 3 else pushes[None], 1, 2)
        among = _products(C, pushes)
        shape, random = (n_chains, *mean.shape[:1]), random.again()
        bounces = Bounces(slack, lambda x: _products(C, x), pushes, among)
        draws = bounces.sample(
            self.start - mean, n_each, n_chains, lambda: covariance.sample(random.normal, shape)
        )
        return draws + mean

    def _within(self) -> Gaussian:
        """Return the Gaussian where inequalities whose bounds are the same hold, too."""
        same = self.lower == self.upper
        tied = np.flatnonzero(same.any(axis=0))
        if not len(tied):
            return self.conditioned
        H = self.H[tied]
        std = np.sqrt(np.maximum(self.conditioned.covariance.row_variance(H), 0.0))
        loose = np.where(std > 0, std, 1.0) / np.finfo(np.float64).eps
        noise = np.where(same[:, tied], 0.0, loose)  # nothing is known of the others
        values = np.where(same[:, tied], self.lower[:, tied], (H @ self.start.T).T)
        return condition(self.conditioned, H.toarray(), values, noise)

    def _sides(self, gaussian: Gaussian) -> tuple[sparse.csr_array, Array]:
        """Return the sides that some field may meet, ``C u >= bound``, and the means' slacks."""
        variance = np.maximum(np.atleast_2d(gaussian.covariance.row_variance(self.H)), 0.0)
        std = np.sqrt(variance)
        free = std > STUCK * (abs(self.H) @ np.sqrt(np.atleast_2d(gaussian.variance())).T).T
        product = (self.H @ gaussian.mean.T).T
        open_ = free & (self.lower < self.upper)
        slacks = [product - self.lower, self.upper - product]
        away = np.abs((self.H @ (self.start - gaussian.mean).T).T) + 3.0 * REACH * std
        kept = [np.flatnonzero((open_ & (s < away)).any(axis=0)) for s in slacks]
        C = sparse.vstack([self.H[kept[0]], -self.H[kept[1]]]).tocsr()
        slack = [np.where(open_, s, np.inf)[:, k] for s, k in zip(slacks, kept, strict=True)]
        return C, np.concatenate(slack, axis=1)


def _products(C: sparse.csr_array, fields: Array) -> Array:
    """Return ``C u`` of fields (..., n_points)."""
    flat = fields.reshape(-1, fields.shape[-1])
    return np.ascontiguousarray((C @ flat.T).T).reshape(*fields.shape[:-1], C.shape[0])

"""Draws of a truncated Gaussian by exact Hamiltonian Monte Carlo.

Without bounds a field and its velocity turn into each other, ``x cos t + v sin t``, and after a
quarter of a turn the field is a new draw. At a bound the velocity is reflected, in the metric of
the covariance, so that each step is accepted and equalities stay as they are (Pakman and Paninski,
"Exact Hamiltonian Monte Carlo for truncated multivariate Gaussians", JCGS 23, 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FIRST, TURN = 4, 0.5 * np.pi  # turns before the first draw, and how far each goes
MANY = 32  # bounces for each inequality after which a turn is given up
SHORTER = 8.0  # times, that turns of a field are then, so narrow is what is left of it
TINY = np.finfo(np.float64).tiny
Array = np.ndarray


@dataclass(frozen=True)
class Bounces:
    """Fields, and the sides of inequalities that they stay on, ``slack + C x >= 0``.

    Attributes
    ----------
    slack : ndarray of shape (n_fields, n_sides)
        Of the means.
    toward : callable
        Returns ``C x`` of fields (..., n_points) less their means.
    pushes : ndarray of shape (n_fields or 1, n_sides, n_points)
        ``S C'``, by which sides push the fields back.
    among : ndarray of shape (n_fields or 1, n_sides, n_sides)
        ``C S C'``.
    """

    slack: Array
    toward: Callable[[Array], Array]
    pushes: Array
    among: Array

    def sample(
        self, start: Array, n_each: int, n_chains: int, velocity: Callable[[], Array]
    ) -> Array:
        """Draw deviations from the means, of shape (n_each, n_chains, n_fields, n_points).

        Parameters
        ----------
        start : ndarray of shape (n_fields, n_points)
            A deviation that obeys.
        n_each, n_chains : int
            Draws of each chain, and chains of each field.
        velocity : callable
            Draws fields (n_chains, n_fields, n_points) of mean 0.
        """
        x = np.broadcast_to(start, (n_chains, *start.shape))
        drawn, angle = np.empty((n_each, *x.shape)), np.full(len(start), TURN)
        for k in range(-FIRST, n_each):
            x, ended = self._turn(x, velocity(), angle)
            if k < 0:
                angle = np.where(ended.all(axis=0), angle, angle / SHORTER)
            else:
                drawn[k] = x
        return drawn

    def _turn(self, x: Array, v: Array, angle: Array) -> tuple[Array, Array]:
        """Return where fields are after a turn; what bounces too often stays. And which do not."""
        n_sides = self.slack.shape[1]
        p, q = (self.toward(a).reshape(-1, n_sides) for a in (x, v))
        at, field = np.arange(len(p)), np.tile(np.arange(x.shape[1]), len(x))
        pushed, ends = np.zeros(p.shape), np.zeros(len(p), dtype=bool)
        slack, left = self.slack[field], angle[field]
        for _ in range(MANY * max(1, n_sides)):
            time, side = _first(slack, p, q, left)
            on = time < left
            if not on.all():
                ends[at[~on]] = True
                moving = (at, field, slack, p, q, left, time, side)
                at, field, slack, p, q, left, time, side = (a[on] for a in moving)
            if not len(at):
                break
            p, q = _rotated(p, q, time)
            left = left - time
            pushed[at, side] += np.sin(left) * self._reflect(q, field, side)
        moved = (pushed.reshape(*x.shape[:2], 1, n_sides) @ self.pushes)[..., 0, :]
        turned = np.cos(angle)[:, None] * x + np.sin(angle)[:, None] * v + moved
        ended = ends.reshape(x.shape[:2])
        return np.where(ended[..., None], turned, x), ended

    def _reflect(self, q: Array, field: Array, side: Array) -> Array:
        """Turn velocities back from the sides they have met; return by how much of `pushes`."""
        own = field if len(self.among) > 1 else 0 * field
        across = -2.0 * q[np.arange(len(q)), side] / self.among[own, side, side]
        q += across[:, None] * self.among[own, side]
        return across


def _first(slack: Array, p: Array, q: Array, left: Array) -> tuple[Array, Array]:
    """Return when each field meets a side in the time that is left, or inf, and which it is.

    It does where it ends outside, or where it turns back on the way, out of bounds.
    """
    end, rate = _rotated(p, q, left)
    meets = (q < 0) & (rate > 0) & (np.hypot(p, q) > np.abs(slack)) | (end <= -slack)
    field, which = np.nonzero(meets)
    s, p, q = slack[field, which], p[field, which], q[field, which]
    ratio = np.clip(-s / np.maximum(np.hypot(p, q), TINY), -1.0, 1.0)
    ahead = np.mod(np.arccos(ratio) + np.arctan2(q, p), 2.0 * np.pi)
    ahead[(s + p <= 0) & (q < 0)] = 0.0  # outside by rounding
    order = np.lexsort((ahead, field))
    own, first = np.unique(field[order], return_index=True)
    time, side = np.full(len(slack), np.inf), np.zeros(len(slack), dtype=int)
    time[own], side[own] = ahead[order][first], which[order][first]
    return time, side


def _rotated(x: Array, v: Array, angle: Array) -> tuple[Array, Array]:
    """Return positions and velocities later."""
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return c * x + s * v, c * v - s * x

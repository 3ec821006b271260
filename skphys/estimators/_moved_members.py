"""Members that are moved onto a law one by one: each is as sharp as a field, their mean is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning import Covariance
from skphys.estimators._covariances import Where
from skphys.estimators._displacement import Displacement
from skphys.predictive import Prediction

# How far each member may be moved, in units of the width; a law is linear between two of them.
PLACES = 8.0 * np.sinh(np.linspace(-4.0, 4.0, 33)) / np.sinh(4.0)
CELLS = np.gradient(PLACES)
KEPT = 12  # likeliest members of each field
MAX_ROWS = 64  # of a system, in whose values members are looked for
MAX_MEMBERS = 32  # of a backbone that are looked at
ROUNDING, TINY = 1e-30, 1e-100  # parts of squares, and less than any square that counts


@dataclass(frozen=True)
class Moved:
    """Members moved to where they obey the law best, and what they still differ by.

    Attributes
    ----------
    means : ndarray of shape (n_kept, n_fields, n_points)
        The likeliest of each field.
    logs : ndarray of shape (n_scales, n_kept, n_fields)
        Log densities of the law's values, over all distances, times the member's share.
    covariance : Covariance
        Of what is left of errors.
    """

    means: np.ndarray
    logs: np.ndarray
    covariance: Covariance


def has_points(prediction: Prediction) -> bool:
    """Say whether there are members that are points, such as trees, which can be moved."""
    members = prediction.member_means
    return members is not None and prediction.member_stds is None and len(members) > 1


def some_members(prediction: Prediction, most: int = MAX_MEMBERS) -> np.ndarray:
    """Return members evenly over all, of shape (n_members, n_fields, n_points)."""
    members: Any = prediction.member_means
    return members[np.unique(np.linspace(0, len(members) - 1, most).astype(int))]


def shares(logs: np.ndarray) -> np.ndarray:
    """Return the weights of members, of log densities (n_members, ...)."""
    return np.exp(logs - np.logaddexp.reduce(logs, axis=0))


def moved_spread(members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the standard deviations (n_fields, n_points) of members with weights."""
    weights = weights[..., None]
    mean = np.sum(weights * members, axis=0)
    return np.sqrt(np.sum(weights * (members - mean) ** 2, axis=0))


def move_members(
    members: np.ndarray,
    move: Displacement,
    covariance: Callable[[np.ndarray], Covariance],
    law: Any,
    where: Where,
    scales: tuple[float, ...],
) -> Moved:
    """Find how far each member has to be moved, by what the law reads of it on the way.

    Parameters
    ----------
    members : ndarray of shape (n_members, n_fields, n_points)
        Equally likely.
    move : Displacement
        Along which axis, how, and how far.
    covariance : callable
        Makes the covariance of what is left of errors, of the standard deviations by which members
        differ after they were moved.
    law : EqualitySystem
        With at most `MAX_ROWS` rows.
    where : Where
        Where the points are.
    scales : tuple of float
        Factors by which errors, and distances, may be larger.
    """
    rows = law.rows.toarray() if sparse.issparse(law.rows) else law.rows
    pulled = move.pulled(rows, where, PLACES * move.width)
    reads = members @ pulled.reshape(-1, rows.shape[1]).T
    reads = reads.reshape(*members.shape[:2], len(PLACES), len(rows))
    miss = law.values[:, None, :] - reads  # (n_members, n_fields, n_places, n_rows)
    slope = np.gradient(reads, axis=2)
    # What is read differs by rounding at least, in its own units.
    rounding = ROUNDING * (law.values**2 + np.square(reads).max(axis=(0, 2)))
    noise = np.square(law.noise) + rounding + TINY

    def likely(variance: np.ndarray, scale: float) -> np.ndarray:
        # Between two places the law's reading changes evenly.
        within = (variance + noise)[:, None, :] + slope**2 / 12.0
        each = -0.5 * (miss**2 / within + np.log(2.0 * np.pi * within)).sum(axis=-1)
        near = -0.5 * (PLACES / scale) ** 2 + np.log(CELLS)
        return each + near - np.logaddexp.reduce(near)  # (n_members, n_fields, n_places)

    first = likely(np.zeros_like(noise), 1.0)
    distance = _nearest(first, miss, slope, noise) * move.width
    moved = move.moved(members, where, distance)
    left = covariance(moved_spread(moved, shares(np.logaddexp.reduce(first, axis=-1))))
    variance = np.broadcast_to(left.row_variance(law.rows), law.values.shape)
    logs = np.stack([np.logaddexp.reduce(likely(c**2 * variance, c), axis=-1) for c in scales])
    return keep_likeliest(moved, logs - np.log(len(members)), left)


def keep_likeliest(moved: np.ndarray, logs: np.ndarray, left: Covariance) -> Moved:
    """Return the likeliest members, which stand for all of them."""
    overall = np.logaddexp.reduce(logs, axis=0)
    kept = np.argsort(-overall, axis=0)[:KEPT]
    chosen = np.take_along_axis(logs, kept[None], axis=1)
    lost = np.logaddexp.reduce(overall, axis=0) - np.logaddexp.reduce(chosen, axis=(0, 1))
    return Moved(np.take_along_axis(moved, kept[..., None], axis=0), chosen + lost, left)


def _nearest(
    logs: np.ndarray, miss: np.ndarray, slope: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Return the likeliest distances (n_members, n_fields), in units of the width.

    From the likeliest place it is on to where the misses are least, at most half way to the next.
    """
    best = (logs - np.log(CELLS)).argmax(axis=-1)
    at = best[..., None, None]
    missing, rising = (np.take_along_axis(a, at, axis=2)[:, :, 0] for a in (miss, slope))
    inverse = 1.0 / variance
    along, steep = (missing * rising * inverse).sum(-1), (rising**2 * inverse).sum(-1)
    place, cell = PLACES[best], CELLS[best]
    part = (along - place * cell) / (steep + cell**2)
    return place + np.clip(part, -0.5, 0.5) * cell

"""What the marginals of a field say: quantiles, densities, and bands that hold it as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from skphys.conditioning import Dense, Diagonal, Drawn, Gaussian, Mixture
from skphys.predictive._prediction import Array

DRAWS = 1000  # of each field, for bands that hold it as a whole
MAX_VALUES = 1 << 22  # float64 values of draws that are held at once: 32 MiB
SURE = 1e-10  # part of a field's largest standard deviation below which a point is known
ROUNDING = 1e-12  # relative error of a known point that is right


def whole(array: Array, shape: tuple[int, ...]) -> Array:
    """Return what all fields share for each of them."""
    return array if array.shape == shape else np.broadcast_to(array, shape)


def shown_std(field: Any, shown: Any) -> Array:
    """Return the standard deviations at the points that are shown, (n_fields, n_outputs)."""
    return whole(field.std(), field.mean.shape)[:, shown]


def mixture_at(field: Any, shown: Any) -> Mixture | None:
    """Return a mixture's marginals at the points that are shown; None of any other field.

    Where inequalities have moved the mean, the members move with it.
    """
    inner = getattr(field, "field", field)
    if not isinstance(inner, Mixture) or isinstance(field, Drawn):
        return None
    shape = field.mean.shape
    moved = (field.mean - inner.mean)[:, shown]
    members = [
        Gaussian(
            whole(member.mean, shape)[:, shown] + moved,
            Diagonal(whole(member.variance(), shape)[:, shown]),
        )
        for member in inner.members
    ]
    return Mixture(members, inner.weights)


def quantiles(field: Any, shown: Any, levels: Array) -> Array:
    """Return quantiles of the marginals, of shape (n_fields, n_outputs, n_levels)."""
    mixture = mixture_at(field, shown)
    if isinstance(field, Drawn):
        found = field.quantile(levels)[..., shown]
    elif mixture is not None:
        found = mixture.quantile(levels)
    else:
        found = field.mean[:, shown] + ndtri(levels)[:, None, None] * shown_std(field, shown)
    return np.moveaxis(within(field, shown, found), 0, -1)


def within(field: Any, shown: Any, values: Array) -> Array:
    """Cut values (..., n_fields, n_outputs) off at the bounds of their points."""
    ends = getattr(field, "ends", None)
    return values if ends is None else np.clip(values, *(end[:, shown] for end in ends))


def log_density(field: Any, shown: Any, truth: Array) -> Array:
    """Return the log of each point's marginal density at the truth; inf at known points.

    A point without variance is known, and right if it equals the mean to rounding; else its
    density is 0.
    """
    mean, std = field.mean[:, shown], shown_std(field, shown)
    mixture = mixture_at(field, shown) or Mixture([Gaussian(mean, Diagonal(std**2))])
    right = np.abs(truth - mean) <= ROUNDING * np.maximum(np.abs(truth), np.abs(mean))
    logs = mixture.log_density(truth)
    return np.where(std == 0.0, np.where(right, np.inf, -np.inf), logs)


def mean_over_points(logs: Array) -> Array:
    """Return the mean of log densities over each row's points that are not known, or inf."""
    counts = logs < np.inf
    total = np.sum(logs, axis=1, where=counts)
    number = counts.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.inf)


def widest_deviations(field: Any, shown: Any, as_gaussian: bool) -> Array:
    """Return the largest deviation of draws of each field, in its standard deviations.

    Parameters
    ----------
    field : object
        With `mean`, ``std()`` and ``sample(n_samples, seed)``.
    shown : slice or ndarray of int
        The points that count.
    as_gaussian : bool
        Whether to draw from the Gaussian with a mixture's moments in place of the mixture.

    Returns
    -------
    ndarray of shape (DRAWS, n_fields)
        Zero of fields that are known.
    """
    mean, std = field.mean[:, shown], shown_std(field, shown)
    counts = std > SURE * std.max(axis=1, keepdims=True, initial=0.0)
    unit = np.where(counts, std, np.inf)
    drawn = field if isinstance(field, Drawn) else getattr(field, "field", field)
    if as_gaussian and isinstance(getattr(field, "field", field), Mixture):
        drawn = Gaussian(field.mean, Dense(field.dense()))
    n_draws = max(1, min(DRAWS, MAX_VALUES // max(1, field.mean.size)))
    rng = np.random.default_rng(0)
    widest = []
    for start in range(0, DRAWS, n_draws):
        draws = drawn.sample(min(n_draws, DRAWS - start), int(rng.integers(2**31)))
        widest.append(np.max(np.abs(draws[..., shown] - mean) / unit, axis=-1, initial=0.0))
    return np.concatenate(widest)


def band(
    field: Any, shown: Any, coverage: float, mixture: bool, simultaneous: bool, factor: Any = None
) -> tuple[Array, Array]:
    """Return the ends of intervals, (n_fields, n_outputs) each.

    Parameters
    ----------
    field : object
        With `mean`, ``std()``, ``dense()`` and ``sample(n_samples, seed)``.
    shown : slice or ndarray of int
        The points that are returned.
    coverage : float
        Probability of each interval, or with `simultaneous` of all of a field's together.
    mixture : bool
        Whether a mixture is taken as it is, and not by its moments.
    simultaneous : bool
        Whether the intervals have to hold the field as a whole.
    factor : ndarray of shape () or (n_outputs,), optional
        How many standard deviations they reach, if that is known; inf also where there is none.
    """
    mean = field.mean[:, shown]
    if factor is not None:
        pass
    elif simultaneous:
        widest = widest_deviations(field, shown, not mixture)
        factor = np.quantile(widest, coverage, axis=0)[:, None]
    elif mixture and (isinstance(field, Drawn) or mixture_at(field, shown) is not None):
        ends = quantiles(field, shown, 0.5 + np.array([-0.5, 0.5]) * coverage)
        return ends[..., 0], ends[..., 1]
    else:
        factor = ndtri(0.5 + 0.5 * coverage)
    with np.errstate(invalid="ignore"):
        half = np.where(np.isinf(factor), np.inf, factor * shown_std(field, shown))
    return within(field, shown, mean - half), within(field, shown, mean + half)

"""From what a backbone says to the Gaussian that is conditioned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from skphys.conditioning import (
    Covariance,
    Dense,
    Diagonal,
    Gaussian,
    Kronecker,
    LowRank,
    Mixture,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    condition,
    match_moments,
)
from skphys.constraints import EqualitySystem, InequalitySystem
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._projected import Projected, projected
from skphys.grids import Axis, Grid
from skphys.predictive import Prediction

Independent = Callable[[np.ndarray], Covariance]

NO_QUERIES = np.empty((0, 1))
MAX_SCATTERED = 1 << 12  # points off a tensor grid whose correlations are written out: 128 MiB


def priors(prediction: Prediction, members: str, independent: Independent) -> list[Gaussian]:
    """Return the Gaussians to condition: one, or one for each member.

    Parameters
    ----------
    prediction : Prediction
        Of a batch of fields.
    members : {"moments", "marginal", "each"}
        What to do with members, if there are any.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    """
    means, stds = prediction.member_means, prediction.member_stds
    if means is not None and members == "marginal":
        variance = match_moments(means, stds).variance()
        return [Gaussian(prediction.mean, independent(variance))]
    if means is not None and members == "moments":
        return [match_moments(means, stds, independent)]
    if means is not None:
        if stds is None:
            raise ValueError(
                "members='each' conditions each member on its own, which needs the members' "
                "standard deviations, and this backbone's members have none; use "
                "members='moments'."
            )
        return [Gaussian(m, independent(s**2)) for m, s in zip(means, stds, strict=True)]
    if prediction.cov is not None:
        return [Gaussian(prediction.mean, Dense(prediction.cov))]
    if prediction.std is not None:
        return [Gaussian(prediction.mean, independent(_once(prediction.std) ** 2))]
    return [Gaussian(prediction.mean, independent(np.ones(prediction.mean.shape[-1])))]


def _once(std: np.ndarray) -> np.ndarray:
    """Return one field's standard deviations if all fields share them, so all share one factor."""
    return std[0] if std.strides[0] == 0 and len(std) > 0 else std


def interpolated(weights: np.ndarray) -> Independent:
    """Return how independent variances at nodes extend to points between the nodes.

    A point between nodes follows its neighbours: in units of its own standard deviation its
    error is the interpolation of theirs, plus an independent remainder that keeps its variance.

    Parameters
    ----------
    weights : ndarray of shape (n_points, n_nodes)
        Interpolation weights; rows of nodes are unit rows.
    """
    remainder = np.clip(1.0 - np.sum(weights**2, axis=1), 0.0, None)
    correlation = Sum(Diagonal(remainder), LowRank(weights))
    return lambda variance: Scaled(np.sqrt(variance), correlation)


def correlated(grid: Grid, lengths: Mapping[str, float], queries: np.ndarray) -> Independent:
    """Return how variances at points become a covariance with exponential correlations.

    Parameters
    ----------
    grid : Grid
        Where the first points are, in C order.
    lengths : dict of str to float
        Correlation length by axis, from `correlation_lengths`.
    queries : ndarray of shape (n_queries, n_axes)
        Further points, anywhere; along a single axis they join the chain of the nodes.
    """
    axes = list(grid.axes.items())
    if not len(queries):
        factors = [_along(axis, axis.points, lengths.get(name)) for name, axis in axes]
        correlation = factors[0] if len(factors) == 1 else Kronecker(*factors)
    elif len(axes) == 1 and axes[0][0] in lengths:
        (name, axis), *_ = axes
        correlation = _along(axis, np.append(axis.points, queries[:, 0]), lengths[name])
    else:
        correlation = _scattered(grid, lengths, queries)
    return lambda variance: Scaled(np.sqrt(variance), correlation)


def correlation_lengths(correlation_length: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Return a checked `correlation_length`, by axis."""
    if correlation_length is None:
        return {}
    if not isinstance(correlation_length, Mapping):
        if len(names) != 1:
            raise ValueError(
                f"correlation_length={correlation_length!r} does not say along which axis of "
                f"{list(names)}; pass a dict, {{{names[0]!r}: {correlation_length!r}}}. Points "
                f"are independent along the axes that it leaves out."
            )
        correlation_length = {names[0]: correlation_length}
    for name, length in correlation_length.items():
        if name not in names:
            raise ValueError(
                f"correlation_length names the axis {name!r}; the axes are {list(names)}."
            )
        if not isinstance(length, Real) or not 0.0 < float(length) < np.inf:
            raise ValueError(
                f"correlation_length along {name!r} must be a positive number, in units of the "
                f"axis; got {length!r}."
            )
    return {name: float(length) for name, length in correlation_length.items()}


def _along(axis: Axis, points: np.ndarray, length: float | None) -> Covariance:
    if length is None:
        return Diagonal(np.ones(len(points)))
    return OrnsteinUhlenbeck(points, length, axis.period)


def _scattered(grid: Grid, lengths: Mapping[str, float], queries: np.ndarray) -> Dense:
    """Write out the product of the axes' correlations, where points are no tensor product."""
    points = np.vstack([grid.points, queries])
    if len(points) > MAX_SCATTERED:
        raise ValueError(
            f"correlation_length in a table with nodes along several axes takes at most "
            f"{MAX_SCATTERED} nodes and queries a field; got {len(points)}. Take fewer nodes, or "
            f"leave nodes out and query tensor grids."
        )
    correlation = np.ones((len(points), len(points)))
    for (name, axis), along in zip(grid.axes.items(), points.T, strict=True):
        if name in lengths:
            correlation *= _along(axis, along, lengths[name]).to_dense()
        else:
            correlation *= along[:, None] == along
    return Dense(correlation)


def posterior(
    prior: list[Gaussian],
    system: EqualitySystem,
    inequalities: InequalitySystem | None = None,
    project_samples: bool = False,
    error_model: ErrorModel | None = None,
    unit: Independent | None = None,
) -> Gaussian | Mixture | Projected:
    """Condition each Gaussian on the system, and project its mean; several become a mixture.

    With `unit`, which makes a covariance of equal variances, fields move in that metric.
    """
    systems = [system.under(g) for g in prior]
    metrics = [None if unit is None else _even(g, system, unit) for g in prior]
    parts = list(zip(prior, systems, metrics, strict=True))
    if system.rows.shape[0] == 0:
        conditioned = prior
    else:
        conditioned = [condition(g, s.rows, s.values, s.noise, metric=m) for g, s, m in parts]
    if error_model is not None and len(prior) == 1:
        conditioned = [error_model.widened(prior[0], conditioned[0], system)]
    if inequalities is not None and inequalities.names:
        moving = [g if m is None else Gaussian(g.mean, m) for g, _, m in parts]
        return projected(moving, conditioned, systems, inequalities, project_samples)
    return conditioned[0] if len(conditioned) == 1 else Mixture(conditioned)


def _even(gaussian: Gaussian, system: EqualitySystem, unit: Independent) -> Covariance:
    """Return a metric in which all points weigh the same.

    Its scale counts beside noise only, and is there the mean variance of each field.
    """
    n_points = gaussian.mean.shape[-1]
    if not system.noise_rows and not system.noise.any():
        return unit(np.ones(n_points))
    scale = gaussian.variance().mean(axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return unit(np.broadcast_to(scale, (*scale.shape[:-1], n_points)))

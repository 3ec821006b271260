"""How standard deviations at points become a covariance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning import (
    Covariance,
    Dense,
    Diagonal,
    Kronecker,
    LowRank,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
)
from skphys.grids import Axis, Grid

Independent = Callable[[np.ndarray], Covariance]
MAX_SCATTERED = 1 << 12  # points off a tensor grid whose correlations are written out: 128 MiB


@dataclass(frozen=True)
class Where:
    """The points of a batch of fields, which say what is near to what.

    Attributes
    ----------
    grid : Grid, Mesh or Components
        Where the first points are.
    interpolation : csr_array of shape (n_queries, n_nodes) or None
        In a long table with nodes: weights from these, which are `grid`, to further points.
    """

    grid: Any
    interpolation: sparse.csr_array | None = None

    def independent(self, correlation_length: Any = None) -> Independent:
        """Return what makes a covariance of variances that come without a correlation.

        Parameters
        ----------
        correlation_length : float, dict of str to float or None
            Along which axes, and over which distance, errors are alike; None takes points as
            independent, but for those between nodes, which follow the nodes.
        """
        if correlation_length is None:
            return Diagonal if self.interpolation is None else _interpolated(self.interpolation)
        if not isinstance(self.grid, Grid):
            raise ValueError(
                f"correlation_length needs a Grid, whose axes say what is near; got "
                f"{type(self.grid).__name__}. Leave it None."
            )
        lengths = correlation_lengths(correlation_length, self.grid.names)
        return self._correlated(lengths)

    def extents(self) -> dict[str, float]:
        """Return the length of each axis; none where correlations are dense or mean nothing."""
        queried = self.interpolation is not None
        if not isinstance(self.grid, Grid) or (queried and self.grid.n_axes > 1):
            return {}
        axes = ((name, axis) for name, axis in self.grid.axes.items() if axis.size > 1)
        spans = {name: float(axis.period or np.ptp(axis.points)) for name, axis in axes}
        return {name: span for name, span in spans.items() if span > 0}

    def _correlated(self, lengths: Mapping[str, float]) -> Independent:
        """Return how variances become a covariance with exponential correlations.

        Along a single axis queries join the chain of the nodes.
        """
        axes = list(self.grid.axes.items())
        if self.interpolation is None:
            factors = [_along(axis, axis.points, lengths.get(name)) for name, axis in axes]
            correlation = factors[0] if len(factors) == 1 else Kronecker(*factors)
        else:
            queries = self.interpolation @ self.grid.points
            name, axis = axes[0]
            if len(axes) == 1 and name in lengths:
                points = np.append(axis.points, queries[:, 0])
                correlation = _along(axis, points, lengths[name])
            else:
                correlation = _scattered(self.grid, lengths, queries)
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


def _interpolated(interpolation: sparse.csr_array) -> Independent:
    """Return how independent variances at nodes extend to points between the nodes.

    A point between nodes follows its neighbours: in units of its own standard deviation its
    error is the interpolation of theirs, plus an independent remainder that keeps its variance.
    """
    weights = np.vstack([np.eye(interpolation.shape[1]), interpolation.toarray()])
    remainder = np.clip(1.0 - np.sum(weights**2, axis=1), 0.0, None)
    correlation = Sum(Diagonal(remainder), LowRank(weights))
    return lambda variance: Scaled(np.sqrt(variance), correlation)

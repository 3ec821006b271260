"""One-sided finite differences at the ends of an axis, for uneven spacing, on nodes and on cells.

Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Mathematics of
Computation 51, 1988, pages 699 to 706.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector

SIDES = ("left", "right")


def derivative_weights(points: Any, at: float, derivative: int) -> Vector:
    """Return the weights of the values at some points in a derivative of their interpolant.

    Parameters
    ----------
    points : array-like of shape (n,)
        Where the values are: all different, in any order; more than `derivative` of them.
    at : float
        Where to differentiate.
    derivative : int
        How often; 0 interpolates.

    Returns
    -------
    ndarray of shape (n,)
        Exact for polynomials of a degree below n. With all n points within h of `at` the error is
        ``O(h^(n - derivative))``.
    """
    x = np.asarray(points, dtype=np.float64)
    times = np.arange(derivative + 1)[:, None]
    table = np.zeros((derivative + 1, x.size))  # of all derivatives up to the one asked for
    table[0, 0] = 1.0
    for new in range(1, x.size):
        gaps = x[new] - x[:new]
        ratio = np.prod((x[new - 1] - x[: new - 1]) / gaps[:-1]) / gaps[-1]
        old = table[:, :new]
        lower = times * np.vstack([np.zeros(new), old[:-1]])
        table[:, new] = ratio * (lower[:, -1] - (x[new - 1] - at) * old[:, -1])
        table[:, :new] = ((x[new] - at) * old - lower) / gaps
    return table[derivative]


def support(axis: Axis, derivative: int, order: int) -> int:
    """Return how many points next to an end the value or the derivative there takes.

    Parameters
    ----------
    axis : Axis
        Nodes, of which the last is the end; or cells, whose edge is the end.
    derivative : {0, 1}
        The value, or the derivative.
    order : int
        Order of accuracy.
    """
    if derivative == 0:
        return 1 if axis.edges is None else order
    return order + 1


def end_weights(axis: Axis, side: str, derivative: int, order: int) -> Vector:
    """Return the weights of an axis's values in the field's value or slope at one of its ends.

    Parameters
    ----------
    axis : Axis
        On nodes the value at the end is that of the last node. On cells it is that of the
        polynomial which has the averages of the last cells; at the edge, not at the centre.
    side : {"left", "right"}
        The end at the low or at the high coordinate.
    derivative : {0, 1}
        The value, or the derivative along the outward normal.
    order : int
        Order of accuracy; values on nodes are exact.

    Returns
    -------
    ndarray of shape (n,)
        Zero but for the points next to the end.

    Raises
    ------
    ValueError
        If the axis has not enough points.
    """
    count = support(axis, derivative, order)
    if axis.size < count:
        raise ValueError(
            f"has {axis.size} point(s), but a stencil of order {order} takes {count}; lower the "
            f"order, or use a finer grid."
        )
    near = slice(0, count) if side == "left" else slice(axis.size - count, axis.size)
    weights = np.zeros(axis.size)
    if axis.edges is None:
        points = axis.points[near]
        weights[near] = derivative_weights(points, _end(points, side), derivative)
    else:
        edges = axis.edges[near.start : near.stop + 1]
        weights[near] = _of_averages(edges, _end(edges, side), derivative)
    return -weights if derivative == 1 and side == "left" else weights


def _end(points: Vector, side: str) -> float:
    return float(points[0] if side == "left" else points[-1])


def _of_averages(edges: Vector, at: float, derivative: int) -> Vector:
    """Differentiate the interpolant of the integral up to each edge once more."""
    of_integrals = derivative_weights(edges, at, derivative + 1)
    beyond = np.cumsum(of_integrals[:0:-1])[::-1]  # a cell is in the integrals up to later edges
    return np.diff(edges) * beyond

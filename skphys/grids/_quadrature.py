"""Quadrature weights along one axis, each rule in O(n) time and memory."""

from __future__ import annotations

import numpy as np

from skphys.grids._checks import Vector


def trapezoid_weights(points: Vector) -> Vector:
    """Return the weights of the trapezoid rule on uneven points, shape (n,)."""
    _require_two(points, "trapezoid")
    half = 0.5 * np.diff(points)
    return np.append(half, 0.0) + np.append(0.0, half)


def periodic_trapezoid_weights(points: Vector, period: float) -> Vector:
    """Return the trapezoid weights of a half-open periodic axis: the last interval wraps."""
    half = 0.5 * periodic_spacing(points, period)
    return half + np.roll(half, 1)


def periodic_spacing(points: Vector, period: float) -> Vector:
    """Return the n interval lengths of a periodic axis; the last one wraps around."""
    return np.diff(points, append=points[0] + period)


def simpson_weights(points: Vector) -> Vector:
    """Return the weights of the composite Simpson rule on uneven points, shape (n,).

    An even number of points leaves one interval over at the end; it is integrated under the
    parabola through the last three points (Cartwright 2017, equation 8).
    """
    _require_two(points, "simpson")
    if points.size == 2:
        return trapezoid_weights(points)
    h = np.diff(points)
    weights = np.zeros_like(points)
    n_pairs = h.size // 2
    left, right = h[0 : 2 * n_pairs : 2], h[1 : 2 * n_pairs : 2]
    both = (left + right) / 6.0
    weights[0 : 2 * n_pairs : 2] += both * (2.0 - right / left)
    weights[1 : 2 * n_pairs : 2] += both * (left + right) ** 2 / (left * right)
    weights[2 : 2 * n_pairs + 1 : 2] += both * (2.0 - left / right)
    if h.size % 2:
        weights[-3:] += _last_interval(h[-2], h[-1])
    return weights


def _last_interval(before: float, last: float) -> Vector:
    """Weights of three points for the integral of their parabola over the last interval."""
    total = before + last
    return np.array(
        [
            -(last**3) / (6.0 * before * total),
            (last**2 + 3.0 * before * last) / (6.0 * before),
            (2.0 * last**2 + 3.0 * before * last) / (6.0 * total),
        ]
    )


def _require_two(points: Vector, rule: str) -> None:
    if points.size < 2:
        raise ValueError(
            f"the {rule} rule needs at least 2 points, got 1; leave this axis out of `over`, "
            "give its weights, or give its cell with Axis.cells([left, right])."
        )

"""How far a quadrature rule may be from the integral, judged by the rule on every second node.

Between the rule and its coarser self lies, window by window, a difference ``d``. Two kinds of
error leave different traces in it, and both are counted:

- of a smooth field the differences add up, and the rule's error is a known fraction of their sum
  (Richardson: a third for the trapezoid rule, a fifteenth for Simpson's);
- at a jump between two nodes the error depends on where between them the jump is, which nobody
  knows: its mean square over all places is a fixed fraction of ``d**2`` (a third, a fifth), and
  several jumps are independent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skphys.grids import Axis, Grid, axis_weights, rules_by_axis

Array = np.ndarray


def rule_std(fields: Array, grid: Grid, over: Any, quadrature: Any) -> Array:
    """Return the standard deviation of a rule's error, of shape (n_samples, n_remaining).

    Parameters
    ----------
    fields : ndarray of shape (n_samples, n_points)
        The fields that are integrated.
    grid : Grid
        Where they live.
    over : str, list of str or None
        The axes of the integral.
    quadrature : str, dict or None
        The rule; given weights are no rule, and cannot be compared.
    """
    values = grid.reshape(np.asarray(fields, dtype=np.float64))
    remaining = grid.remaining(over)
    names = tuple(name for name in grid.names if name not in remaining)
    if quadrature is not None and not isinstance(quadrature, str | dict):
        raise _no_rule()
    rules = dict(rules_by_axis(quadrature, names))
    n_remaining = int(np.prod([grid.axes[name].size for name in remaining]))
    variance = np.zeros((len(values), n_remaining))
    for name in names:
        if grid.axes[name].location == "nodes":
            profile = _profile(values, grid, {n: r for n, r in rules.items() if n != name}, name)
            variance += _variance(profile, grid.axes[name], rules[name]).reshape(variance.shape)
    return np.sqrt(variance)


def _no_rule() -> ValueError:
    return ValueError(
        "noise='auto' compares quadrature rules, but the quadrature is given by its weights; "
        "pass the standard deviation of the rule's error, or name a rule."
    )


def _profile(values: Array, grid: Grid, others: dict[str, Any], name: str) -> Array:
    """Integrate over the other axes; the axis in question comes last."""
    values = np.moveaxis(values, 1 + grid.names.index(name), -1)
    left = [n for n in grid.names if n != name]
    for other, rule in others.items():
        weights = axis_weights(grid.axes[other], rule)
        values = np.tensordot(values, weights, axes=(1 + left.index(other), 0))
        left.remove(other)
        # tensordot keeps the order of the axes that stay
    return values


def _variance(profile: Array, axis: Axis, rule: Any) -> Array:
    """Return the mean square error of the rule along the last axis."""
    if rule is not None and not isinstance(rule, str):
        raise _no_rule()
    if axis.size < 2:
        return np.zeros(profile.shape[:-1])
    if rule == "simpson" and axis.size >= 5:
        return _judged(_simpson(profile, axis.points), axis.size % 2 == 0, 1 / 15, 1 / 5)
    if axis.size == 2 and axis.period is None:
        return (np.ptp(axis.points) * (profile[..., 1] - profile[..., 0])) ** 2 / 12.0
    return _judged(_trapezoid(profile, axis), axis.period is not None, 1 / 3, 1 / 3)


def _judged(differences: Array, uniform: bool, smooth: float, jump: float) -> Array:
    """Add up both kinds of error; windows overlap by half, at the ends by less."""
    weights = np.full(differences.shape[-1], 0.5)
    if not uniform:
        weights[0] += 0.25
        weights[-1] += 0.25
    return (smooth * differences @ weights) ** 2 + jump * differences**2 @ weights


def _trapezoid(profile: Array, axis: Axis) -> Array:
    """Return the trapezoid rule minus its coarser self, on the two intervals around each node."""
    gaps = axis.spacing
    if axis.period is not None:
        before, after = np.roll(gaps, 1), gaps
        left, right = np.roll(profile, 1, axis=-1), np.roll(profile, -1, axis=-1)
        middle = profile
    else:
        before, after = gaps[:-1], gaps[1:]
        left, middle, right = profile[..., :-2], profile[..., 1:-1], profile[..., 2:]
    return 0.5 * ((before + after) * middle - after * left - before * right)


def _simpson(profile: Array, points: Array) -> Array:
    """Return Simpson's rule minus its coarser self, on windows of four intervals."""
    start = np.arange(0, points.size - 4, 2)
    if points.size % 2 == 0:  # an interval is left over at the end
        start = np.append(start, points.size - 5)
    x, u = ([a[..., start + k] for k in range(5)] for a in (points, profile))
    fine = _parabola(x[:3], u[:3]) + _parabola(x[2:], u[2:])
    return fine - _parabola(x[::2], u[::2])


def _parabola(x: list[Array], u: list[Array]) -> Array:
    """Integrate the parabola through three points."""
    left, right = x[1] - x[0], x[2] - x[1]
    both = left + right
    outer = (2.0 - right / left) * u[0] + (2.0 - left / right) * u[2]
    return both / 6.0 * (outer + both**2 / (left * right) * u[1])

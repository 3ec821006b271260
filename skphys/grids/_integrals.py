"""Arrays behind `Grid`: given weights, and the error bound of an integral of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector, as_numbers, as_vector, naming


def axis_weights(axis: Axis, rule: Any) -> Vector:
    """Return the weights along one axis, by its default, a named rule, or as given."""
    if rule is None or isinstance(rule, str):
        return axis.weights(rule)
    weights = as_vector(rule, "weights")
    if weights.size != axis.size:
        raise ValueError(f"weights must have length {axis.size}, got {weights.size}.")
    return weights


def rules_by_axis(quadrature: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Pair each integrated axis with its rule."""
    if not isinstance(quadrature, Mapping):
        yield from ((name, quadrature) for name in names)
        return
    stray = [key for key in quadrature if key not in names]
    if stray:
        raise ValueError(
            f"quadrature names {stray[0]!r}, which is not integrated over; its keys must be "
            f"among {list(names)}."
        )
    yield from ((name, quadrature.get(name)) for name in names)


def given_weights(quadrature: Any, names: Sequence[str], sizes: Sequence[int]) -> Vector:
    """Return weights given jointly for some axes, flattened in C order."""
    weights = as_numbers(quadrature, "quadrature")
    if weights.shape not in {tuple(sizes), (math.prod(sizes),)}:
        raise ValueError(
            f"quadrature has shape {weights.shape}, but the axes {list(names)} (in grid order) "
            f"need weights of shape {tuple(sizes)} or ({math.prod(sizes)},)."
        )
    return weights.ravel()


def monotone_error_bound(
    values: Vector, axes: Sequence[Axis], over: Sequence[int], weights: Vector
) -> Vector:
    """Add up ``h |du| / 2`` along each integrated axis of nodes, integrated across the others.

    `values` has shape (n_samples, *shape), `over` holds positions of axes and `weights` the
    absolute weights over them, shaped; the result has shape (n_samples, n_remaining).
    """
    n_remaining = math.prod(a.size for i, a in enumerate(axes) if i not in over)
    bound = np.zeros((len(values), n_remaining))
    for k, position in enumerate(over):
        axis = axes[position]
        if axis.location == "cells" or axis.spacing.size == 0:
            continue
        variation = _half_variation(values, axis, position + 1)
        across = weights.sum(axis=k) / axis.spacing.sum()
        others = [p + (p < position) for p in over if p != position]
        total = np.tensordot(variation, across, axes=(others, range(len(others))))
        bound += total.reshape(bound.shape)
    return bound


def _half_variation(values: Vector, axis: Axis, dimension: int) -> Vector:
    """Sum of ``h |du| / 2`` along one dimension, which goes away."""
    if axis.period is not None:
        values = np.concatenate([values, values.take([0], axis=dimension)], axis=dimension)
    steps = np.abs(np.diff(values, axis=dimension))
    return np.tensordot(steps, 0.5 * axis.spacing, axes=(dimension, 0))


def as_axis(name: str, values: Any) -> Axis:
    """Return an Axis, or make one of nodes, with errors that name the axis."""
    if isinstance(values, Axis):
        return values
    with naming(f"axis {name!r}"):
        return Axis(values)

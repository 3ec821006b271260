"""Validation of coordinates, with errors that name what came and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def as_numbers(values: Any, name: str) -> Vector:
    """Return a float64 copy of real, finite numbers of any shape."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers, got a ragged sequence.") from error
    if array.dtype.kind not in "iufO":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; "
            "convert it first (a date, say, to seconds since a start)."
        )
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold real numbers: {error}.") from error
    _require_finite(numbers, name)
    return numbers


def as_vector(values: Any, name: str) -> Vector:
    """Return a non-empty 1-D float64 copy of finite numbers."""
    numbers = as_numbers(values, name)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(
            f"{name} must be a non-empty 1-D array, got shape {numbers.shape}; "
            "give one axis at a time."
        )
    return numbers


def as_coordinates(values: Any, name: str) -> Vector:
    """Return a 1-D, finite, strictly increasing, read-only float64 copy."""
    vector = as_vector(values, name)
    _require_increasing(vector, name)
    return freeze(vector)


def as_edges(values: Any, points: Vector) -> Vector:
    """Return the edges of cells that hold the points."""
    edges = as_coordinates(values, "edges")
    if edges.size != points.size + 1:
        raise ValueError(
            f"edges must hold one value more than points: {points.size} points need "
            f"{points.size + 1} edges, got {edges.size}."
        )
    outside = np.flatnonzero((points < edges[:-1]) | (points > edges[1:]))
    if outside.size:
        i = outside[0]
        raise ValueError(
            f"edges must bracket the points: point {i} is {points[i]:g}, its cell is "
            f"[{edges[i]:g}, {edges[i + 1]:g}]; Axis.cells(edges) takes the centres."
        )
    return edges


def as_period(value: Any, points: Vector, edges: Vector | None) -> float:
    """Return the length of a periodic axis that the half-open points fit in."""
    number = as_numbers(value, "period")
    if number.ndim or number <= 0:
        raise ValueError(f"period must be a positive number, got {value!r}.")
    period = float(number)
    if edges is not None and not np.isclose(edges[-1] - edges[0], period, rtol=1e-9, atol=0.0):
        raise ValueError(
            f"period={period:g} must equal the length of the cells, {edges[-1] - edges[0]:g}."
        )
    span = points[-1] - points[0]
    if span >= period * (1.0 - 1e-9):
        raise ValueError(
            f"period={period:g} is too short: the points span {span:g}, and must span less than "
            "one period; leave out the repeated end, or use Axis.periodic(start, stop, n)."
        )
    return period


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only and return it."""
    array.setflags(write=False)
    return array


@contextmanager
def naming(label: str) -> Iterator[None]:
    """Put `label` in front of the message of any ValueError or TypeError raised inside."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{label}: {error}") from error


class IncompleteFieldError(ValueError):
    """The points of a field in a long table are not a grid that a law could act on."""


def _require_finite(numbers: Vector, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ValueError(
            f"{name} must be finite, got {numbers.flat[bad[0]]} at position {bad[0]}; "
            "drop or fill missing values (NaN)."
        )


def _require_increasing(vector: Vector, name: str) -> None:
    steps = np.diff(vector)
    if (steps > 0).all():
        return
    first = int(np.flatnonzero(~(steps > 0))[0])
    here, after = float(vector[first]), float(vector[first + 1])
    if here == after:
        fault = f"{here!r} is duplicated (positions {first} and {first + 1}); remove the repeat"
    else:
        fault = f"{after!r} follows {here!r} at position {first + 1}; sort it in increasing order"
        if (np.diff(vector) < 0.0).all():
            fault = (
                "it decreases; reverse it (np.flip), and, of a Grid for arrays, their values along "
                "it, which XarrayFields does by itself"
            )
    raise ValueError(f"{name} must be strictly increasing, but {fault}.")

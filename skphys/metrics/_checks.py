from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def as_finite(name: str, values: Any) -> Floats:
    """Return a float array, or say which argument is not one, or is not finite."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numeric; got {type(values).__name__}.") from error
    if array.size == 0:
        raise ValueError(f"{name} is empty: got an array of shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values; leave those rows or points out.")
    return array


def as_alike(**arguments: Any) -> list[Floats]:
    """Return float arrays of one shape, that of the first argument."""
    arrays = {name: as_finite(name, values) for name, values in arguments.items()}
    first, reference = next(iter(arrays.items()))
    for name, array in arrays.items():
        if array.shape != reference.shape:
            raise ValueError(
                f"{name} has shape {array.shape}, but {first} has shape {reference.shape}: "
                f"they must be the same."
            )
    return list(arrays.values())


def as_gaussian(y_true: Any, mean: Any, std: Any) -> tuple[Floats, Floats, Floats]:
    """Return truth, mean and standard deviation as arrays of one shape."""
    scalar = np.ndim(std) == 0
    spread = np.broadcast_to(as_finite("std", std), np.shape(y_true)) if scalar else std
    truth, centre, spread = as_alike(y_true=y_true, mean=mean, std=spread)
    if (spread < 0.0).any():
        raise ValueError("std is a standard deviation: it must not be negative.")
    return truth, centre, spread


def known_points(truth: Floats, mean: Floats, std: Floats) -> tuple[Flags, Flags]:
    """Say which points are known, ``std`` and error being rounding, and which falsely claim to be.

    Where a law determines a point, rounding decides whether its ``std`` is 0 or next to it.
    """
    slack = rounding(np.maximum(np.abs(truth), np.abs(mean)))
    known = (std <= slack) & (np.abs(truth - mean) <= slack)
    return known, (std == 0.0) & ~known


def rounding(size: Floats) -> Floats:
    """Return what is rounding in values of this size: in part of each, in part of its field."""
    points = tuple(range(size.ndim))[1 if size.ndim > 1 else 0 :]
    largest = size.max(axis=points, keepdims=True)
    return np.asarray(1e-12 * size + 1e-14 * largest)

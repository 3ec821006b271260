"""From the caller's numbers to the single precision in which nets compute."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

# Rounding that comes to more than this part of what a column varies by is told.
COARSE = 0.01

# Channels whose mean is this many standard deviations are centred before they are rounded.
FAR = 1e3

# Unless that is what rounding to float64 leaves of a constant.
ROUNDING = 1e-14

# Below this, float32 loses digits of numbers and all of their squares.
SMALLEST = float(np.finfo(np.float32).tiny)

# What varies by no more than this part of its size is a constant with rounding errors.
NOTHING = 1e-12


def as_float32(rows: NDArray[np.floating], what: str) -> NDArray[np.float32]:
    """Return rows (n, m) in the precision of the net."""
    with np.errstate(over="ignore"):
        single = np.require(rows, np.float32, ["C", "W"])  # torch warns of arrays not writeable
    largest = np.abs(single).max(initial=0.0)
    if not np.isfinite(single).all() or (largest < SMALLEST and np.any(rows)):
        raise ValueError(
            f"{what} has values beyond the range of float32, in which the net computes; scale them."
        )
    return single


def offsets_of(rows: NDArray[np.floating], n_channels: int) -> NDArray[np.float64]:
    """Return what to subtract from each channel of rows (n, C * n_points), mostly 0.

    It is the mean of a channel that is so far from 0 that its variation would suffer in float32.
    """
    channels = rows.reshape(len(rows), n_channels, -1).swapaxes(0, 1).reshape(n_channels, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = channels.mean(1, dtype=np.float64), channels.std(1, dtype=np.float64)
        far = np.abs(mean) > FAR * spread
    return np.where(far & (spread > ROUNDING * np.abs(mean)), mean, 0.0)


def warn_if_coarse(rows: NDArray[np.floating], what: str) -> None:
    """Warn if float32 does not resolve what the columns of rows (n, m) vary by."""
    for number, column in enumerate(rows.T if len(rows) else ()):
        spread = column.std(dtype=np.float64)
        rounding = np.abs(column.astype(np.float32) - column).max()
        if rounding <= COARSE * spread or spread <= NOTHING * np.abs(column).max():
            continue
        low, high = float(column.min()), float(column.max())
        warnings.warn(
            f"column {number} of {what}, between {low!r} and {high!r}, is rounded to float32, in "
            f"which the net computes. That loses more than {COARSE:.0%} of what it varies by; "
            f"subtract an offset, from X, y and grid alike.",
            UserWarning,
            stacklevel=2,
        )

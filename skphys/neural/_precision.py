"""From the caller's numbers to the single precision in which nets compute."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

# Rounding that comes to more than this part of what a column varies by is told.
COARSE = 0.01

# What varies by no more than this part of its size is a constant with rounding errors.
NOTHING = 1e-12


def as_float32(rows: NDArray[np.floating], what: str) -> NDArray[np.float32]:
    """Return rows (n, m) in the precision of the net."""
    with np.errstate(over="ignore"):
        rows = np.require(rows, np.float32, ["C", "W"])  # torch warns of arrays not writeable
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{what} has values beyond the range of float32, in which the net computes; scale them."
        )
    return rows


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

"""Warnings that point at the user's line, however deep in the package they are found."""

from __future__ import annotations

import sys
import warnings

INSIDE = ("skphys", "sklearn")


def warn_user(message: str) -> None:
    """Warn at the line that called the package; scikit-learn's wrappers do not count."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)

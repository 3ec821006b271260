"""What the displays share."""

from __future__ import annotations

from importlib import import_module
from numbers import Real
from typing import Any

import numpy as np

from skphys.grids import Axis

ALIASES = {
    "c": "color",
    "ls": "linestyle",
    "lw": "linewidth",
    "ms": "markersize",
    "fc": "facecolor",
}
TRUTH = {"color": "black", "linewidth": 1.0, "linestyle": "--", "label": "truth"}


def import_pyplot(caller: str) -> Any:
    """Return matplotlib.pyplot, or say who needs it."""
    try:
        return import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib: install it, e.g. as the extra skphys[plot]."
        ) from error


def style(defaults: dict[str, Any], given: dict[str, Any] | None) -> dict[str, Any]:
    """Return the default style with what the user gave in its place."""
    given = given or {}
    return {**defaults, **{ALIASES.get(key, key): value for key, value in given.items()}}


def of_model(given: Any, name: str, models: Any) -> dict[str, Any]:
    """Return the style of one model: what was given by its name, or for all of them."""
    given = given or {}
    return dict(given.get(name, {}) if set(given) <= set(models) else given)


def cell_edges(axis: Axis) -> np.ndarray:
    """Return the edges of cells around the points of an axis, to paint them."""
    if axis.edges is not None:
        return axis.edges
    if axis.size == 1:
        return axis.points[0] + np.array([-0.5, 0.5])
    middle = axis.points[:-1] + 0.5 * np.diff(axis.points)
    first, last = axis.points[0], axis.points[-1]
    return np.concatenate([[2.0 * first - middle[0]], middle, [2.0 * last - middle[-1]]])


def check_coverage(coverage: Any) -> None:
    """Raise unless this is the probability of an interval."""
    if not isinstance(coverage, Real) or not 0.0 < float(coverage) < 1.0:
        raise ValueError(
            f"coverage must be strictly between 0 and 1; got {coverage!r}. Give one number."
        )

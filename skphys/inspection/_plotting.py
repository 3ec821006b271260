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


def checked_axes(ax: Any, n_panels: int, panels: str) -> np.ndarray:
    """Return the axes to draw on, of which there must be one for each panel."""
    axes = np.ravel(np.asarray(ax, dtype=object))
    other = [type(one).__name__ for one in axes if not hasattr(one, "get_xlim")]
    if other:
        raise TypeError(
            f"ax must be matplotlib Axes, as plt.subplots() makes them; got {other[0]}."
        )
    if axes.size != n_panels:
        raise ValueError(
            f"ax must hold one Axes for {panels}; got {axes.size}. Give as many, or choose fewer "
            f"with panels=, where there is that."
        )
    return axes


def one_axes(plt: Any, ax: Any, **figure: Any) -> Any:
    """Return the axes of a figure of one panel: those that are given, or new ones."""
    if ax is None:
        return plt.subplots(layout="constrained", **figure)[1]
    return checked_axes(ax, 1, "a figure of one panel")[0]


def dot(n_points: int, marker: str = "o") -> dict[str, Any]:
    """Return the style of a line of one point, which nothing would show, and of no other."""
    return {"marker": marker} if n_points == 1 else {}


def draw_band(ax: Any, line: Any, half: Any, given: Any, **defaults: Any) -> Any:
    """Shade what is within `half` of a line, in its colour; of one point, a bar."""
    x, y = (np.asarray(part) for part in line.get_data())
    half = np.asarray(half)
    one = x.size == 1
    own = {"color": line.get_color(), "alpha": 0.25, "linewidth": 6 if one else 0, **defaults}
    return (ax.vlines if one else ax.fill_between)(x, y - half, y + half, **style(own, given))


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


def check_std(name: str, std: Any) -> None:
    """Raise if a standard deviation is negative."""
    if std is not None and np.min(std, initial=0.0) < 0.0:
        raise ValueError(f"{name} must not be negative; got {np.min(std):.6g}.")


def check_coverage(coverage: Any) -> None:
    """Raise unless this is the probability of an interval."""
    if not isinstance(coverage, Real) or not 0.0 < float(coverage) < 1.0:
        raise ValueError(
            f"coverage must be strictly between 0 and 1; got {coverage!r}. Give one number."
        )

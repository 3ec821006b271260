"""Rows of X and y, and the channels on a grid that they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.grids import Axis, Components, Grid, shared_grid
from skphys.neural._precision import as_float32


def resolve_grid(grid: Grid | Components | None, n_columns: int) -> tuple[Grid, int]:
    """Return the grid of the fields and the number of components in `n_columns` of y."""
    if grid is None:
        return Grid(x=np.linspace(0.0, 1.0, n_columns)), 1
    inner, n_components = common_grid(grid)
    if n_columns != n_components * inner.n_points:
        raise ValueError(
            f"y has {n_columns} column(s), but grid has {n_components} component(s) of "
            f"{inner.n_points} points, shape {inner.shape}. Give y one column for each point, in C "
            f"order; several components one after another, with grid=Components(...)."
        )
    return inner, n_components


def common_grid(grid: Grid | Components) -> tuple[Grid, int]:
    """Return the grid that all components share, and their number."""
    shared = shared_grid(grid)
    if shared is None:
        raise ValueError(
            f"the components of grid must share one Grid, as channels of a net do; got {grid!r}. "
            f"Interpolate the fields onto common points."
        )
    return shared, 1 if isinstance(grid, Grid) else len(grid.grids)


def resolve_modes(n_modes: int | Sequence[int], grid: Grid) -> tuple[int, ...]:
    """Return the number of modes along each axis; an axis of one point has the mean alone."""
    modes = (n_modes,) * grid.n_axes if isinstance(n_modes, int | np.integer) else tuple(n_modes)
    if len(modes) != grid.n_axes or not all(isinstance(m, int | np.integer) for m in modes):
        raise ValueError(
            f"n_modes must be an int, or one for each of the axes {list(grid.names)}; got "
            f"{n_modes!r}."
        )
    for (name, axis), number in zip(grid.axes.items(), modes, strict=True):
        if axis.size > 1 and not 1 <= number <= axis.size // 2:
            raise ValueError(
                f"n_modes={number} does not fit axis {name!r}, which has {axis.size} points: it "
                f"must be between 1 and {axis.size // 2}, half of them. Lower n_modes, or refine "
                f"the grid."
            )
    return tuple(int(m) if size > 1 else 1 for m, size in zip(modes, grid.shape, strict=True))


def check_extent(grid: Grid, fitted: Grid) -> None:
    """Raise unless a grid has the axes and the ends of another one."""
    if grid.names != fitted.names:
        raise ValueError(f"grid has the axes {list(grid.names)}, in fit {list(fitted.names)}.")
    for name, axis in fitted.axes.items():
        (start, stop), given = _ends(axis), _ends(grid.axes[name])
        same = np.allclose(given, (start, stop), rtol=0.0, atol=1e-9 * (stop - start))
        if not same or (axis.period is None) != (grid.axes[name].period is None):
            raise ValueError(
                f"axis {name!r} of grid is {grid.axes[name].summary()}, in fit it was "
                f"{axis.summary()}; both must cover the same interval."
            )


def _ends(axis: Axis) -> tuple[float, float]:
    if axis.edges is not None:
        return axis.edges[0], axis.edges[-1]
    start = axis.points[0]
    return start, axis.points[-1] if axis.period is None else start + axis.period


def flat_rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Return X with one axis of features, and the shape of a sample if it had several."""
    if getattr(X, "ndim", 2) <= 2 or not hasattr(X, "shape"):
        return X, None
    X = np.asarray(X)
    return X.reshape(len(X), -1), X.shape[1:]


def count_channels(n_features: int, sample_shape: tuple[int, ...] | None, grid: Grid) -> int:
    """Return the number of channels in X, whose samples had `sample_shape` or were flat."""
    if sample_shape is not None and sample_shape[1:] != grid.shape:
        raise ValueError(
            f"X has samples of shape {sample_shape}, but they must be flat or of shape "
            f"(n_channels, *grid.shape), with grid.shape = {grid.shape}."
        )
    if n_features % grid.n_points:
        raise ValueError(
            f"X has {n_features} column(s), not a multiple of the {grid.n_points} points of a "
            f"field in y. Give whole channels, (n_samples, n_channels * n_points); "
            f"skphys.preprocessing.GridFeatures makes channels of parameters and coordinates, and "
            f"drop_value_columns=True of a constrained estimator keeps columns with the values of "
            f"a boundary away."
        )
    return n_features // grid.n_points


def to_channels(rows: NDArray[Any], shape: tuple[int, ...], what: str) -> NDArray[np.float32]:
    """Return rows (n, C * n_points) as float32 of shape (n, C, *shape)."""
    rows = as_float32(rows, what)
    n_channels = rows.shape[1] // math.prod(shape)
    return rows.reshape(len(rows), n_channels, *shape)

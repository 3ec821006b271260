"""One field, or a slice of it, out of what an estimator predicts."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from skphys.grids import ColumnGrid, Components, Grid
from skphys.inspection._models import best, grid_of, steps_of
from skphys.metrics import as_finite

MAX_AXES = 2


class Selection:
    """Which sample, component and slice of predicted fields to show.

    Parameters
    ----------
    grid : Grid or Components
        Where the fields live.
    sample : int
        The row.
    component : str or None
        The component, if the grid has several.
    at : dict of str to float or None
        Coordinates at which to cut through axes.
    """

    def __init__(self, grid: Any, sample: int, component: str | None, at: Any) -> None:
        self.whole = grid
        self.sample = sample
        self.part, where = _component(grid, component)
        self._where = where
        at = _checked_at(at, self.part)
        self._index = tuple(
            int(np.abs(axis.points - at[name]).argmin()) if name in at else slice(None)
            for name, axis in self.part.axes.items()
        )
        left = {name: axis for name, axis in self.part.axes.items() if name not in at}
        if not 0 < len(left) <= MAX_AXES:
            raise ValueError(
                f"a figure shows 1 or 2 axes, but {len(left)} of {list(self.part)} are left; cut "
                f"through the others, e.g. at={{{self.part.names[0]!r}: "
                f"{self.part[self.part.names[0]][0]:g}}}."
            )
        self.grid = Grid(**left)

    def __call__(self, name: str, values: Any) -> NDArray[np.float64] | None:
        """Return flat values on the grid of the figure."""
        if values is None:
            return None
        fields, n_points = as_finite(name, values), self.whole.n_points
        if fields.ndim not in (1, 2) or fields.shape[-1] != n_points:
            raise ValueError(
                f"{name} must have shape (n_samples, {n_points}) or ({n_points},) on this grid; "
                f"got {fields.shape}."
            )
        if fields.ndim == 2:
            if not -len(fields) <= self.sample < len(fields):
                raise ValueError(f"sample={self.sample}, but {name} has {len(fields)} rows.")
            fields = fields[self.sample]
        return self.part.reshape(fields[self._where])[self._index].ravel()


def predict_sample(
    estimator: Any, X: Any, y: Any, sample: int, grid: Any, with_std: bool
) -> tuple[Any, Any, Any, Any]:
    """Predict one field: mean, standard deviation or None, truth or None, and its grid."""
    estimator = best(estimator)
    grid = grid_of(estimator) if grid is None else grid
    X = X if hasattr(X, "shape") else np.asarray(X)
    if isinstance(grid, ColumnGrid):
        rows, grid = _rows_of_field(X, sample, grid, getattr(estimator, "feature_names_in_", None))
    elif -X.shape[0] <= sample < X.shape[0]:
        rows = np.array([sample % X.shape[0]])
    else:
        raise ValueError(f"sample={sample}, but X has {X.shape[0]} rows.")
    table = _safe_indexing(X, rows)
    if with_std and states_std(estimator):
        mean, std = (np.ravel(part) for part in estimator.predict(table, return_std=True))
    else:
        mean, std = np.ravel(estimator.predict(table)), None
    truth = None if y is None else np.ravel(np.asarray(y)[rows])
    return mean, std, truth, Grid.unit(mean.size) if grid is None else grid


def states_std(estimator: Any) -> bool:
    """Say whether predict has return_std, also behind a pipeline."""
    return "return_std" in signature(steps_of(estimator)[-1].predict).parameters


def _rows_of_field(
    X: Any, sample: int, grid: ColumnGrid, names: Any
) -> tuple[NDArray[np.intp], Grid]:
    labels = grid.labels(X, feature_names=names)
    if not 0 <= sample <= labels.max():
        raise ValueError(f"sample={sample}, but X has {labels.max() + 1} fields.")
    rows = np.flatnonzero(labels == sample)
    (group,) = grid.split(_safe_indexing(X, rows), feature_names=names)
    if group.n_nodes:
        raise ValueError(
            "The ColumnGrid has nodes, so the rows of X need be no grid; predict where you want "
            "to look, and use from_predictions."
        )
    return rows[group.index[0]], group.grid


def _component(grid: Any, component: str | None) -> tuple[Grid, slice]:
    if isinstance(grid, Grid):
        if component is not None:
            raise ValueError(f"component={component!r} needs Components; grid is {grid!r}.")
        return grid, slice(None)
    if not isinstance(grid, Components):
        raise TypeError(f"grid must be a Grid or Components; got {type(grid).__name__}.")
    if component is None:
        raise ValueError(f"name the component to show; there are {list(grid)}.")
    part = grid[component]
    if not isinstance(part, Grid):
        raise TypeError(f"component {component!r} must live on a Grid; it has {part!r}.")
    return part, grid.slices[component]


def _checked_at(at: Any, grid: Grid) -> Mapping[str, float]:
    for name, value in (at or {}).items():
        points = grid[name]
        if not points[0] <= value <= points[-1]:
            raise ValueError(
                f"at has {name}={value:g}, outside the points of the axis, which are between "
                f"{points[0]:g} and {points[-1]:g}."
            )
    return at or {}

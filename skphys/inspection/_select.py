"""One field, or a slice of it, out of what an estimator predicts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from skphys.constraints import FieldTable
from skphys.grids import ColumnGrid, Components, Grid, Mesh
from skphys.inspection._models import best, grid_of, steps_of
from skphys.metrics import as_finite

MAX_AXES = 2


class Selection:
    """Which sample, component and slice of predicted fields to show.

    Parameters
    ----------
    grid : Grid, Mesh or Components
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
        self.grid = _shown(self.part, left)

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
            fields = fields[place_of(self.sample, len(fields), name)]
        return self.part.reshape(fields[self._where])[self._index].ravel()


def selections(
    grid: Any, sample: int, component: str | None, at: Any
) -> dict[str | None, Selection]:
    """Return what to show, by component: the one that is named, or all of them.

    Of several components, a cut takes those that have the axis.
    """
    if component is not None or not isinstance(grid, Components):
        return {component: Selection(grid, sample, component, at)}
    at = _as_dict(at)
    unknown = [name for name in at if not any(name in grid[part].axes for part in grid)]
    if unknown:
        raise ValueError(f"at names {unknown}, which is an axis of no component of {grid!r}.")
    own = {part: {n: v for n, v in at.items() if n in grid[part].axes} for part in grid}
    return {part: Selection(grid, sample, part, own[part]) for part in grid}


def predict_sample(
    estimator: Any, X: Any, y: Any, sample: int, grid: Any, with_std: bool
) -> tuple[Any, Any, Any, Any]:
    """Predict one field: mean, standard deviation or None, truth or None, and its grid."""
    estimator = best(estimator)
    rows, table, grid, _ = rows_of_sample(estimator, X, sample, grid)
    if with_std and states_std(estimator):
        mean, std = (np.ravel(part) for part in estimator.predict(table, return_std=True))
    else:
        mean, std = np.ravel(estimator.predict(table)), None
    truth = truth_of(y, X, rows)
    return mean, std, truth, Grid.unit(mean.size) if grid is None else grid


def rows_of_sample(
    estimator: Any, X: Any, sample: int, grid: Any
) -> tuple[NDArray[np.intp], Any, Any, FieldTable]:
    """Return the rows of X that are one field, these of X, its grid, and where values are.

    Of a ColumnGrid with nodes, the field is at these: rows are -1 where X has none.
    """
    grid = grid_of(estimator) if grid is None else grid
    X = X if hasattr(X, "shape") else np.asarray(X)
    names = getattr(estimator, "feature_names_in_", None)
    if isinstance(grid, ColumnGrid):
        return _rows_of_field(X, sample, grid, names)
    rows = np.array([place_of(sample, X.shape[0], "X")])
    table = _safe_indexing(X, rows)
    return rows, table, grid, FieldTable(table, feature_names=names)


def truth_of(y: Any, X: Any, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return the true values of one field, flat; None without y."""
    if y is None:
        return None
    n_rows, n_true = _num_samples(X), _num_samples(y)
    if n_true != n_rows:
        raise ValueError(f"y must have one row for each of the {n_rows} of X; got {n_true}.")
    if (rows < 0).any():
        raise ValueError(
            "y is known at the rows of X, which must hold each of the ColumnGrid's nodes to show "
            "it; leave y out, or use from_predictions."
        )
    return np.ravel(np.asarray(y)[rows])


def place_of(sample: Any, n: int, name: str, what: str = "rows") -> int:
    """Return which of n fields is meant; negative numbers count from the end."""
    if not isinstance(sample, int | np.integer):
        raise TypeError(f"sample must be a whole number; got {sample!r}.")
    if not -n <= sample < n:
        raise ValueError(f"sample={sample}, but {name} has {n} {what}.")
    return int(sample) % n


def states_std(estimator: Any) -> bool:
    """Say whether predict has return_std, also behind a pipeline."""
    return "return_std" in signature(steps_of(estimator)[-1].predict).parameters


def _rows_of_field(
    X: Any, sample: int, grid: ColumnGrid, names: Any
) -> tuple[NDArray[np.intp], Any, Grid, FieldTable]:
    labels = grid.labels(X, feature_names=names)
    sample = place_of(sample, int(labels.max()) + 1, "X", "fields")
    rows = np.flatnonzero(labels == sample)
    table = _safe_indexing(X, rows)
    (group,) = grid.split(table, feature_names=names)
    values = FieldTable(group.by, partial(group.column, table))
    rows = rows[group.index[0]]
    if group.interpolation is None:
        return rows, _safe_indexing(X, rows), group.grid, values
    output, node = np.nonzero(group.interpolation.toarray() == 1.0)
    at_nodes = np.full(group.n_nodes, -1)
    at_nodes[node] = rows[output]
    return at_nodes, _safe_indexing(group.rows(table), np.arange(group.n_nodes)), group.grid, values


def _component(grid: Any, component: str | None) -> tuple[Grid | Mesh, slice]:
    if isinstance(grid, Grid | Mesh):
        if component is not None:
            raise ValueError(f"component={component!r} needs Components; grid is {grid!r}.")
        return grid, slice(None)
    if not isinstance(grid, Components):
        raise TypeError(f"grid must be a Grid, a Mesh or Components; got {type(grid).__name__}.")
    if component is None:
        raise ValueError(f"name the component to show; there are {list(grid)}.")
    return grid[component], grid.slices[component]


def _shown(grid: Grid | Mesh, left: dict[str, Any]) -> Grid | Mesh:
    """Return what is left of a grid by a cut, if a figure can show it."""
    first = grid.names[0]
    advice = f"cut through the others, e.g. at={{{first!r}: {grid[first][0]:g}}}."
    if isinstance(grid, Mesh) and "cell" in left:
        if "t" in left:
            raise ValueError(f"a figure shows a mesh at one time, but all are left; {advice}")
        if grid.centres.shape[1] > MAX_AXES:
            raise ValueError(f"a figure shows cells on a line or in a plane; these are {grid!r}.")
        sides = grid.faces, grid.areas, grid.normals
        more = {"face_points": grid.face_points, "coordinates": grid.coordinates}
        return Mesh(grid.centres, grid.volumes, *sides, **more)
    if not 0 < len(left) <= MAX_AXES:
        raise ValueError(
            f"a figure shows 1 or 2 axes, but {len(left)} of {list(grid.names)} are left; {advice}"
        )
    return Grid(**left)


def _checked_at(at: Any, grid: Grid | Mesh) -> Mapping[str, float]:
    at = _as_dict(at)
    for name, value in at.items():
        if name not in grid:
            raise ValueError(
                f"at names the unknown axis {name!r}; the axes are {list(grid.names)}."
            )
        points = grid[name]
        if not isinstance(value, Real):
            raise TypeError(f"at must hold numbers, coordinates; got {value!r} for {name!r}.")
        if not points[0] <= value <= points[-1]:
            raise ValueError(
                f"at has {name}={value:g}, outside the points of the axis, which are between "
                f"{points[0]:g} and {points[-1]:g}."
            )
    return at


def _as_dict(at: Any) -> Mapping[str, Any]:
    if not isinstance(at, Mapping | None):
        raise TypeError(f"at must be a dict, axis to coordinate, e.g. {{'t': 0.5}}; got {at!r}.")
    return at or {}

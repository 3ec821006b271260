"""Fitted estimators on another grid than the one they were trained on."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skphys.constraints import Constraint
from skphys.constraints._system import value_columns
from skphys.grids import Components, Grid


def on_grid(estimator: Any, grid: Any) -> Any:
    """Return a fitted estimator that predicts on another grid.

    Parameters
    ----------
    estimator : estimator
        With a method `on_grid`; or frozen, or a pipeline. Steps without the method stay.
    grid : Grid or Components
        Where to predict.

    Raises
    ------
    ValueError
        If the estimator that predicts has no such method.
    """
    if isinstance(estimator, FrozenEstimator):
        return FrozenEstimator(on_grid(estimator.estimator, grid))
    if isinstance(estimator, Pipeline):
        *steps, (name, last) = estimator.steps
        moved = copy(estimator)
        moved.steps = [(n, _moved(step, grid)) for n, step in steps] + [(name, on_grid(last, grid))]
        return moved
    if not hasattr(estimator, "on_grid"):
        raise ValueError(
            f"{type(estimator).__name__} predicts at the points that it was trained on; another "
            f"grid needs an operator with a method on_grid, such as FNORegressor."
        )
    return estimator.on_grid(grid)


def _moved(step: Any, grid: Any) -> Any:
    return on_grid(step, grid) if hasattr(step, "on_grid") else step


class RegriddedMixin:
    """A constrained estimator on another grid."""

    def on_grid(self, grid: Grid | Components) -> Self:
        """Return a fitted copy that predicts on another grid, usually a finer one.

        What must hold is stated anew there, and holds exactly.

        Parameters
        ----------
        grid : Grid or Components
            With the axes of the one in fit, other points.

        Returns
        -------
        estimator
            A copy, with the same weights where the backbone is an operator. Standard deviations
            from residuals are interpolated.

        Raises
        ------
        ValueError
            If the backbone is no operator, the constraints cannot be stated on `grid`, or their
            values are in columns of X that would be others.

        Notes
        -----
        Where X holds fields, it needs them on the new grid. Callables of X have to look for their
        values where they are then, and arrays along a face must fit both grids.
        """
        check_is_fitted(self, "estimator_")
        moved: Any = copy(self)
        for name, constraint in moved.constraints_:
            _check_restated(name, constraint, grid)
        moved.estimator_ = on_grid(moved.estimator_, grid)
        moved.grid = moved.grid_ = grid
        _expect_features(moved, self)
        if hasattr(moved, "residual_std_"):
            moved.residual_std_ = interpolated(moved.residual_std_, self.grid_, grid)  # type: ignore[attr-defined]
        return moved


def _check_restated(name: str, constraint: Any, grid: Any) -> None:
    """Raise if a constraint cannot be stated on the new grid."""
    if not isinstance(constraint, Constraint):
        return
    try:
        constraint.rows(grid)
        constraint.declared_values(grid)
    except ValueError as error:
        raise ValueError(f"Constraint {name!r} does not fit the new grid: {error}") from error


def _expect_features(moved: Any, fitted: Any) -> None:
    """Let the copy take as many features more as its backbone does."""
    before = getattr(fitted.estimator_, "n_features_in_", None)
    after = getattr(moved.estimator_, "n_features_in_", None)
    if before is None or after is None or before == after or before > fitted.n_features_in_:
        return
    _check_columns(moved.constraints_)
    moved.n_features_in_ = fitted.n_features_in_ + after - before
    if hasattr(moved, "feature_names_in_"):
        del moved.feature_names_in_


def _check_columns(constraints: Any) -> None:
    """Raise if values are in columns of X whose positions move with the number of points."""
    for key in value_columns(constraints):
        if isinstance(key, int) and key >= 0:
            raise ValueError(
                f"X holds other columns on the new grid, so Column({key}) is not what it was. "
                f"Count value columns from the end, Column(-1), or name them in a DataFrame."
            )


def interpolated(values: np.ndarray, grid: Any, other: Any) -> np.ndarray:
    """Interpolate values at the points of a grid linearly to those of another.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        At the points of `grid`.
    grid, other : Grid or Components
        From where to where. Outside the points of `grid` the nearest of them counts.
    """
    if isinstance(grid, Components):
        parts = [interpolated(values[grid.slices[name]], grid[name], other[name]) for name in grid]
        return np.concatenate(parts)
    axes = [grid[name] for name in grid.names if len(grid[name]) > 1]
    points = [other[name] for name in grid.names if len(grid[name]) > 1]
    shape = [len(axis) for axis in axes]
    inside = [np.clip(new, old[0], old[-1]) for new, old in zip(points, axes, strict=True)]
    mesh = np.stack(np.meshgrid(*inside, indexing="ij"), axis=-1)
    found = RegularGridInterpolator(axes, np.reshape(values, shape))(mesh)
    return np.broadcast_to(found.reshape([len(p) for p in points]), other.shape).ravel()

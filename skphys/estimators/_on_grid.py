"""Fitted estimators on another grid than the one they were trained on."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skphys.constraints import Constraint, ConstraintSet, NonlinearConstraint
from skphys.estimators._warn import warn_user
from skphys.grids import Components, grid_parts, renamed


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


def check_restated(constraints: ConstraintSet) -> None:
    """Raise if equalities cannot be stated on their grid."""
    for name, constraint in constraints.named:
        if isinstance(constraint, Constraint | NonlinearConstraint):
            try:
                if isinstance(constraint, NonlinearConstraint):
                    constraint.evaluate(np.ones((1, constraints.grid.n_points)), constraints.grid)
                    continue
                constraint.rows(constraints.grid)
                constraint.declared_values(constraints.grid)
            except ValueError as error:
                raise ValueError(
                    f"Constraint {name!r} does not fit the new grid: {error}"
                ) from error


def more_features(regressor: Any, moved: Any, constraints: ConstraintSet, n_features: int) -> int:
    """Return how many features more a regressor takes on another grid, of `n_features` in all.

    Raises if values are in columns of X whose positions move with the number of points.
    """
    before, after = (getattr(r, "n_features_in_", None) for r in (regressor, moved))
    if before is None or after is None or before == after or before > n_features:
        return 0
    for key in constraints.columns:
        if isinstance(key, int) and key >= 0:
            raise ValueError(
                f"X holds fields of other sizes on the new grid, so Column({key}) is not what it "
                f"was. Fit with value columns behind the fields, and count them from the end: "
                f"Column({key - n_features}) instead of Column({key}). Or fit on a DataFrame, and "
                f"name them."
            )
    return int(after - before)


def rename(moved: Any, constraints: ConstraintSet, grid: Any, more: int) -> None:
    """Give a copy, and its constraints, the names of its columns, which are `more` than on `grid`.

    Names that do not tell fields by running numbers are not known there.
    """
    old, new = (grid_parts(g)[0][0].n_points for g in (grid, constraints.grid))
    names = moved.__dict__.pop("feature_names_in_", None)
    constraints.feature_names = renamed(names, old, new, more)
    if constraints.feature_names is not None:
        moved.feature_names_in_ = constraints.feature_names
    elif names is not None:
        warn_user(
            f"The columns of fields are not named <prefix>0, <prefix>1, ..., so their names on "
            f"another grid are not known: {type(moved).__name__} takes columns by their position "
            f"there."
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

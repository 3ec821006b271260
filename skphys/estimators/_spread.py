"""How much further members of an ensemble are from the truth than from each other.

Members agree more than they are right, above all on fields that they have learned by heart. Two
more of them, fitted without a fifth of the fields, tell by how much: there they differ as members
do on new fields, and their errors are known. To have all members leave fields out would tell it,
too, but predict worse: by 8 to 16 % where each left out a tenth of 50 fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from skphys.estimators._backbone import Backbone
from skphys.estimators._held_out import folds_of_fields
from skphys.estimators._layout import Layout
from skphys.estimators._on_grid import interpolated
from skphys.estimators._regridded import at_points
from skphys.estimators._stencil_error import student
from skphys.estimators._told_errors import with_error
from skphys.grids import grid_parts
from skphys.predictive import Prediction, is_frozen, last_step, out_of_fold

Array = NDArray[np.float64]

AT_ONCE = 2**20  # values of fields that are asked for at once
FEWEST = 5  # fields of which a fifth is left out
FREEDOM = 4.0  # of Student's t that ratios follow, so that a few fields do not decide for all
N_ITER = 100


@dataclass(frozen=True)
class Spread:
    """By how much members are moved apart, and what else they err by.

    The variance between few members is mostly chance. It is taken together with that of the whole
    field, shared out to its points as it is in other fields, which counts as one more member.

    Attributes
    ----------
    factor : ndarray of shape (n_points,)
        Of the distances of members from their mean.
    profile : ndarray of shape (n_points,)
        The variance between members, as a multiple of its mean over the points of a component.
    std : ndarray of shape (n_points,)
        Of what all members leave of the fields that they were fitted to, such as noise.
    grid : Grid, Mesh or Components
        Where the fields live.
    n_left_out : int
        Number of fields that factor and profile rest on; without any, members stay as they are.
    """

    factor: Array
    profile: Array
    std: Array
    grid: Any
    n_left_out: int

    def __call__(self, prediction: Prediction) -> Prediction:
        """Return the prediction of such members."""
        means, std = prediction.member_means, self.std
        if means is None or not self.n_left_out:
            return with_error(prediction, std, self.grid)
        apart = self.factor * (means - prediction.mean)
        variance, share = np.mean(apart**2, axis=0), 1.0 / len(means)
        levels = np.empty_like(variance)
        for _, part in grid_parts(self.grid):
            levels[:, part] = variance[:, part].mean(axis=1, keepdims=True)
        means = prediction.mean + np.sqrt(1.0 - share) * apart
        moved = Prediction.of_members(means, prediction.member_stds, prediction.constraints)
        return with_error(moved, np.sqrt(std**2 + share * levels * self.profile), self.grid)

    def on_grid(self, grid: Any) -> Spread:
        """Return it at the points of another grid."""

        def there(values: Array) -> Array:
            return interpolated(values, self.grid, grid)

        parts = there(self.factor), there(self.profile), there(self.std)
        return Spread(*parts, grid, self.n_left_out)

    def __str__(self) -> str:
        """Say how large it is."""
        low, high = self.factor.min(), self.factor.max()
        size = f"{low:.2g}" if high <= 1.01 * low else f"{low:.2g} to {high:.2g}"
        return (
            f"members taken {size} times as far apart as they are, by what two that were fitted "
            f"without them leave of {self.n_left_out} fields"
        )


def spread_of(
    backbone: Backbone, layout: Layout, X: Any, y: Array, fit_params: Mapping[str, Any]
) -> Spread | None:
    """Return how members of a fitted backbone err, if it is an ensemble that can be refitted.

    Parameters
    ----------
    backbone : Backbone
        Fitted to X and y.
    layout : Layout
        How rows are fields.
    X, y, fit_params : object, ndarray, dict
        What it was fitted with.
    """
    grid, n_members = backbone.constraints.grid, _n_members(backbone.regressor)
    if layout.rows != "fields" or is_frozen(backbone) or n_members < 2:
        return None
    y = y.reshape(len(y), -1)
    ones = np.ones(y.shape[1])
    as_it_is = Spread(ones, ones, 0.0 * ones, grid, 0)
    two, full = clone(backbone), copy(backbone)
    full.spread = as_it_is
    std = left_by_members(full, X, y)
    if std is None:
        return None
    if len(y) < FEWEST:
        return Spread(ones, ones, std, grid, 0)
    last_step(two.regressor).set_params(n_members=2)
    fold = folds_of_fields(layout, X, fit_params.get("groups"))[0]
    fitted, some = next(out_of_fold(two, X, y, [fold], fit_params))
    fitted.spread = as_it_is
    said = fitted.ask(_safe_indexing(X, some), want_cov=False)
    if said.member_means is None:
        return Spread(ones, ones, std, grid, 0)
    between = said.member_means.var(axis=0, ddof=1)
    squares = (y[some] - said.mean) ** 2 - std**2 - _stated(said)
    factors, profiles = [], []
    for _, part in grid_parts(grid):
        # Two err by what they share and half of what they do not, all by a part of it; and the
        # variance of K of them is too small by (K - 1) / K.
        pair = _usual(squares[:, part].mean(axis=1), between[:, part].mean(axis=1))
        whole = (pair - 0.5 + 1.0 / n_members) * n_members / (n_members - 1)
        factors.append(max(whole, 1.0) ** 0.5)
        usual = between[:, part].mean(axis=0)
        profiles.append(usual / (usual.mean() or 1.0))
    return Spread(at_points(factors, grid), np.concatenate(profiles), std, grid, len(some))


def left_by_members(backbone: Backbone, X: Any, y: Array) -> Array | None:
    """Return the root mean square of what members leave of fields that they were fitted to.

    It is what they do not state themselves; None if there are no members.
    """
    squares, step = np.zeros(y.shape[1]), max(1, AT_ONCE // y.shape[1])
    for start in range(0, len(y), step):
        some = np.arange(start, min(start + step, len(y)))
        told = backbone.ask(_safe_indexing(X, some), want_cov=False)
        if told.member_means is None:
            return None
        squares += np.sum((y[some] - told.mean) ** 2 - _stated(told), axis=0)
    return student(len(y)) * np.sqrt(np.maximum(squares, 0.0) / len(y))


def _stated(prediction: Prediction) -> Any:
    """Return the mean variance that each member states."""
    stds = prediction.member_stds
    return 0.0 if stds is None else np.mean(stds**2, axis=0)


def _n_members(regressor: Any) -> int:
    step = last_step(regressor)
    return step.get_params(deep=False).get("n_members", 1) if hasattr(step, "get_params") else 1


def _usual(squares: Array, variances: Array) -> float:
    """Return the ratio of squared errors to variances, by Student's likelihood; 0 of none."""
    some = variances > 0.0
    ratios = np.maximum(squares[some], 0.0) / variances[some]
    scale = float(ratios.mean()) if len(ratios) else 0.0
    for _ in range(N_ITER if scale > 0.0 else 0):
        scale = float(np.mean((FREEDOM + 1.0) * ratios / (FREEDOM + ratios / scale)))
        if scale == 0.0:
            break
    return scale

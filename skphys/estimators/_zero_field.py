"""What stands in place of a backbone that has nothing to learn."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from skphys.grids import Components, Grid, grid_parts


class ZeroField(RegressorMixin, BaseEstimator):
    """Predict zero at all points of a grid.

    Parameters
    ----------
    grid : Grid or Components
        Where the fields live.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in fit.
    """

    def __init__(self, grid: Grid | Components) -> None:
        self.grid = grid

    def fit(self, X: Any, y: Any) -> ZeroField:
        """Learn how many features there are.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            Anything.
        y : array of shape (n_samples, n_points)
            Nothing but rounding.
        """
        self.n_features_in_ = int(X.shape[1])
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return zeros, which are sure.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            Anything.
        return_std : bool, default=False
            Also return the standard deviations, zeros.
        """
        zeros = np.zeros((X.shape[0], self.grid.n_points))
        return (zeros, zeros.copy()) if return_std else zeros

    def on_grid(self, grid: Grid | Components) -> ZeroField:
        """Return a copy for another grid, where X holds the fields that it begins with.

        Parameters
        ----------
        grid : Grid or Components
            With the axes of the one in fit.
        """
        old, new = (grid_parts(g)[0][0].n_points for g in (self.grid, grid))
        moved = copy(self)
        moved.grid = grid
        moved.n_features_in_ = self.n_features_in_ + self.n_features_in_ // old * (new - old)
        return moved

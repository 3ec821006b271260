"""Any linear statement about a field."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._values import numeric
from skphys.constraints.base import Constraint
from skphys.grids import Grid


class LinearEquality(Constraint):
    """Linear equalities ``G u = b`` given by their matrix.

    Parameters
    ----------
    G : array or sparse array of shape (n_rows, n_points) or (n_points,)
        The rows.
    b : float, array of shape (n_rows,), str, Column or callable, default=0.0
        The right-hand side: a number, one entry a row, a column of X, or a callable of X that
        returns (n_samples,) or (n_samples, n_rows). NaN in the last two is not known: such a row
        does not act on that field.
    noise : float, array of shape (n_rows,), str, Column or callable, default=0.0
        Standard deviation of `b`, in its units; 0 makes the rows exact.

    See Also
    --------
    ConservationLaw : The rows of an integral, made from the grid.

    Examples
    --------
    >>> from skphys.constraints import LinearEquality
    >>> from skphys.grids import Grid
    >>> LinearEquality([1, -1, 0]).rows(Grid.unit(3))
    array([[ 1., -1.,  0.]])
    """

    value_parameters = ("b",)

    def __init__(self, G: Any, b: Any = 0.0, noise: Any = 0.0) -> None:
        self.G = G
        self.b = b
        self.noise = noise

    def rows(self, grid: Grid) -> Any:
        """Return `G`, checked against the grid.

        Parameters
        ----------
        grid : Grid
            Where the field lives.

        Returns
        -------
        array of shape (n_rows, n_points)
            Sparse if `G` is.

        Raises
        ------
        ValueError
            If the width of `G` is not the grid's number of points.
        """
        G = self.G if sparse.issparse(self.G) else np.atleast_2d(numeric(self.G, "G"))
        if G.ndim != 2 or G.shape[1] != grid.n_points:
            raise ValueError(
                f"G has shape {G.shape}, but the grid has {grid.n_points} points; pass one column "
                f"of G for each point."
            )
        return G

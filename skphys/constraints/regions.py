"""Totals of the regions of a domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from skphys.constraints._parts import Space, in_order, part_of, placed
from skphys.constraints.base import Constraint
from skphys.grids import Grid, Mesh


class RegionTotals(Constraint):
    """The integral, or the mean, of the field over each of several regions is known.

    Budgets of districts or catchments, or in downscaling the coarse cell that holds each fine one.

    Parameters
    ----------
    regions : array-like of int
        The region of each point, from 0; -1 is in none. Of the shape of the grid, or flattened; a
        DataArray is put in the order of the axes by its dimensions.
    total : float, array of shape (n_regions,), str, Column or callable, default=0.0
        The integrals, in units of the field times those of the axes; with `mean` the means, in
        units of the field. ``Column([3, 4, 5])`` reads one column a region. NaN in a column, or
        from a callable, is not known: that region is left as predicted.
    mean : bool, default=False
        Whether `total` holds means.
    noise : float, array of shape (n_regions,), str, Column or callable, default=0.0
        Standard deviation of `total`, in its units; 0 makes it exact.
    quadrature : str, dict, array or None, default=None
        As in `ConservationLaw`, over all axes.
    component : str or None, default=None
        The component that is meant, on a grid of `Components`.

    See Also
    --------
    ConservationLaw : One integral, or one for each remaining index.
    LinearEquality : Any other linear statement about the field.

    Examples
    --------
    A coarse cell of two fine ones, and one of one:

    >>> from skphys.constraints import RegionTotals
    >>> from skphys.grids import Axis, Grid
    >>> grid = Grid(x=Axis.cells([0.0, 1.0, 2.0, 4.0]))
    >>> RegionTotals([0, 0, 1], mean=True).rows(grid).toarray()
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 1. ]])
    """

    value_parameters = ("total",)

    def __init__(
        self,
        regions: Any,
        total: Any = 0.0,
        *,
        mean: bool = False,
        noise: Any = 0.0,
        quadrature: Any = None,
        component: str | None = None,
    ) -> None:
        self.regions = regions
        self.total = total
        self.mean = mean
        self.noise = noise
        self.quadrature = quadrature
        self.component = component

    def rows(self, grid: Space) -> csr_array:
        """Return one row for each region.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_regions, n_points)
            Quadrature weights at the region's points, divided by their sum for means.

        Raises
        ------
        ValueError
            If `regions` does not fit the grid, or a region has no point.
        """
        part, where = part_of(grid, self.component)
        labels = self._labels(part)
        inside = np.flatnonzero(labels >= 0)
        weights = np.zeros(part.n_points)
        row = part.integral_rows(None, self.quadrature).tocoo()
        weights[row.coords[1]] = row.data
        shape = (int(labels.max()) + 1, part.n_points)
        rows = csr_array((weights[inside], (labels[inside], inside)), shape=shape)
        if self.mean:
            size = rows.sum(axis=1)
            rows.data /= np.repeat(size, np.diff(rows.indptr))
        return placed(rows, np.arange(where.start, where.stop), grid.n_points)

    def _labels(self, part: Grid | Mesh) -> np.ndarray:
        """Return the region of each point, (n_points,)."""
        labels = in_order(self.regions, part, "regions")
        if labels.dtype.kind not in "iu" or labels.shape not in {part.shape, (part.n_points,)}:
            raise ValueError(
                f"regions must be integers of shape {part.shape}, or flattened, one for each "
                f"point; got dtype {labels.dtype} and shape {labels.shape}. Number names by "
                f"np.unique(names, return_inverse=True)[1].{_layout_of(self.regions)}"
            )
        labels = labels.ravel().astype(np.intp)
        if labels.min() < -1 or labels.max() < 0:
            raise ValueError(
                f"regions must count from 0, with -1 for points in none; got numbers from "
                f"{labels.min()} to {labels.max()}."
            )
        numbers = np.unique(labels[labels >= 0])
        if numbers[-1] >= numbers.size:
            first = int(np.flatnonzero(numbers != np.arange(numbers.size))[0])
            raise ValueError(
                f"regions must be numbered without gaps; no point is in region {first}. Leave its "
                f"total out, and number the others: found = np.unique(regions[regions >= 0]); "
                f"np.where(regions < 0, -1, np.searchsorted(found, regions)). Of the totals, keep "
                f"those at found."
            )
        return labels


def _layout_of(regions: Any) -> str:
    """Say what makes rows of a labelled array."""
    if not hasattr(regions, "dims"):
        return ""
    return (
        " Of a DataArray: layout.transform(regions)[0].astype(int), with the fitted XarrayFields."
    )

"""How far true fields miss the stencils of a boundary, as standard deviations at points.

A derivative is stated by a stencil, which true fields obey but for its truncation error, and noisy
ones but for their noise. Predictions obey it to rounding, so they are wrong by that error, shared
by the points that the row moves. Two points of a row get a standard deviation for it, each half of
the row's variance: then each of the two is moved by half of the error, and has, given the row, the
standard deviation of just that. With more points, or other shares, not all of them could have it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm, t

from skphys.constraints import EqualitySystem

Array = NDArray[np.float64]

SHARING = 2  # points of a row that share its error


def stencil_std(system: EqualitySystem, y: Array) -> Array:
    """Return the standard deviations that fields need at points that stencils determine.

    Parameters
    ----------
    system : EqualitySystem
        What holds, with the values of the fields.
    y : ndarray of shape (n, n_points)
        True fields.

    Returns
    -------
    ndarray of shape (n_points,)
        0 at other points, and where values are known.
    """
    rows = sparse.csr_array(system.rows)
    residuals = y @ rows.T - system.values
    known = np.isfinite(residuals)
    noise = np.broadcast_to(system.noise, residuals.shape)
    squares = np.sum(np.where(known, residuals**2 - noise**2, 0.0), axis=0)
    counts = known.sum(axis=0)
    variance = student(counts) ** 2 * np.maximum(squares, 0.0) / np.maximum(counts, 1)
    at, points, weights = _sharing(rows)
    shares = variance[at] / (SHARING * weights**2)
    return np.sqrt(np.bincount(points, shares, minlength=rows.shape[1]))


def student(n: int | NDArray[np.intp]) -> Array:
    """Return by how much a root mean square of n errors is too small.

    It is the factor of Student's t, whose 90 % intervals then hold what they say.
    """
    return t.ppf(0.95, np.maximum(n - 1, 1)) / norm.ppf(0.95)


def _sharing(rows: sparse.csr_array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Return the rows of several points, with those of the largest weights that are not known."""
    sizes = np.diff(rows.indptr)
    at = np.repeat(np.arange(len(sizes)), sizes)
    stated = np.zeros(rows.shape[1], dtype=bool)
    stated[rows.indices[sizes[at] == 1]] = True
    free = (sizes[at] > 1) & ~stated[rows.indices]
    order = np.lexsort((-np.abs(rows.data), ~free, at))
    first = (np.arange(len(at)) - rows.indptr[at] < SHARING) & free[order]
    chosen = order[first]
    return at[chosen], rows.indices[chosen], rows.data[chosen]

"""Porous medium equation, with an exact solution.

u_t = (u^m u_x)_x on [0, 1], u(0, x) = 0, u(t, 0) = (m t)^(1/m).
u = (m max(t - x, 0))^(1/m): a front of speed 1, the steeper the larger m.
Its mass is m^(1 + 1/m) / (m + 1) t^(1 + 1/m) until the front reaches x = 1 at t = 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skphys.datasets._layouts import Options, make_dataset
from skphys.datasets._problem import Floats, Problem


def porous_medium(t: Floats, x: Floats, m: Floats) -> Floats:
    """Return the travelling front."""
    return (m * np.maximum(t - x, 0.0)) ** (1.0 / m)


def porous_medium_cumulative(t: Floats, x: Floats, m: Floats) -> Floats:
    """Return the integral of the field from 0 to x."""
    power = 1.0 + 1.0 / m
    behind, ahead = m * t, m * np.maximum(t - x, 0.0)
    return (behind**power - ahead**power) / (m + 1.0)


POROUS_MEDIUM = Problem(
    name="porous medium",
    parameter="m",
    default=3.0,
    training=(1.0, 6.0),
    admissible=(0.0, np.inf),
    domain=(0.0, 1.0),
    times=(0.0, 1.0),
    field=porous_medium,
    cumulative=porous_medium_cumulative,
    front=None,
    description=__doc__,
)


def make_porous_medium(
    n_samples: int = 100,
    *,
    m: float | tuple[float, float] | None = None,
    t: float | tuple[float, float] | None = None,
    layout: str = "table",
    n_points: int = 201,
    location: str = "nodes",
    noise: float = 0.0,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make data of the porous medium equation, the medium case: a steep front [1]_.

    ``u_t = (u^m u_x)_x`` on [0, 1] from 0: ``u = (m max(t - x, 0))^(1/m)``, whose mass is
    ``m^(1 + 1/m) / (m + 1) t^(1 + 1/m)`` until the front reaches x = 1 at t = 1. The trapezoidal
    rule misses that mass where m is large: by 1e-3 at m = 6, t = 0.5 and 201 points.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows: points in the table layout, fields in the fields layout.
    m : float or (low, high), default=None
        Exponent of the conductivity, above 0. A pair draws a value for each field, uniformly.
        None is 3 in the table layout, and the paper's training range
        (1, 6) in the fields layout.
    t : float or (low, high), default=None
        The time, or the interval that times are drawn from. None is (0, 1).
    layout : {"table", "fields"}, default="table"
        "table": one row a point, with the columns (t, x), scattered uniformly.
        "fields": one row a field, with the columns (m, t); the target holds its values
        along the grid.
    n_points : int, default=201
        Number of points of the grid.
    location : {"nodes", "cells"}, default="nodes"
        Whether a field holds values at evenly spaced nodes, which include both ends, or exact
        averages over cells of equal width.
    noise : float, default=0.0
        Standard deviation of Gaussian noise added to the target.
    as_frame : bool, default=False
        Whether data and target are pandas objects.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` alone.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data in every call.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, 2)
            The columns (t, x), or (m, t).
        target : ndarray of shape (n_samples,) or (n_samples, n_points)
            The values of u.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid : Grid
            The points of a field, along "x".
        solution : callable
            ``solution(t, x)`` is the exact u. Where m was drawn, give it as a third argument.
        mass : callable
            The exact integral of u over x, of times or of rows (t) or (m, t): the `total`
            of a conservation law, in either layout.
        domain, times : (low, high)
            The ranges of x and t.
        params : dict
            The value of m, or the interval that it was drawn from.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above, or m is not admissible.

    See Also
    --------
    make_context_target : The same problems, as training data of neural processes.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical
       models that can respect conservation laws", ICML 2023, arXiv:2302.11002, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_porous_medium
    >>> fields = make_porous_medium(20, layout="fields", m=(1, 3), random_state=0)
    >>> fields.data.shape, fields.target.shape
    ((20, 2), (20, 201))
    >>> fields.mass(fields.data).shape
    (20,)
    """
    options = Options(
        n_samples, t, layout, n_points, location, noise, as_frame, return_X_y, random_state
    )
    return make_dataset(POROUS_MEDIUM, m, options)

"""Burgers' equation without viscosity, with an exact solution.

u_t + (u^2 / 2)_x = 0 on [-1, 1], u(t, -1) = a, and u(0, x) = -a x for x < 0 and else 0.
Until t = 1 / a: u = -a x / (1 - a t), cut at a on the left and at 0 on the right. From then on
a shock at (a t - 1) / 2 with a behind it and 0 ahead.
Its mass is a / 2 (1 + a t) until the shock leaves at t = 3 / a, and then 2 a.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skphys.datasets._layouts import Options, make_dataset
from skphys.datasets._problem import Floats, Problem


def _ramp(t: Floats, a: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Width of the ramp that is left, and whether it has become a shock (width then 1)."""
    width = 1.0 - a * t
    shocked = width <= 0.0
    return np.where(shocked, 1.0, width), shocked


def _shock(t: Floats, a: Floats) -> Floats:
    return 0.5 * (a * t - 1.0)


def burgers(t: Floats, x: Floats, a: Floats) -> Floats:
    """Return the ramp until it breaks at t = 1 / a, then the shock."""
    width, shocked = _ramp(t, a)
    return a * np.where(shocked, x <= _shock(t, a), np.clip(-x / width, 0.0, 1.0))


def burgers_cumulative(t: Floats, x: Floats, a: Floats) -> Floats:
    """Return the integral of the field from -1 to x."""
    width, shocked = _ramp(t, a)
    inside = np.clip(x, -width, 0.0)
    ramp = np.minimum(x, -width) + 1.0 + 0.5 * (width - inside**2 / width)
    return a * np.where(shocked, np.minimum(x, _shock(t, a)) + 1.0, ramp)


def burgers_front(t: Floats, a: Floats) -> Floats:
    """Return the position of the shock, nan before it has formed."""
    return np.where(_ramp(t, a)[1], _shock(t, a), np.nan)


BURGERS = Problem(
    name="Burgers",
    parameter="a",
    default=3.0,
    training=(1.0, 4.0),
    admissible=(0.0, np.inf),
    domain=(-1.0, 1.0),
    times=(0.0, 1.0),
    field=burgers,
    cumulative=burgers_cumulative,
    front=burgers_front,
    description=__doc__,
)


def make_burgers(
    n_samples: int = 100,
    *,
    a: float | tuple[float, float] | None = None,
    t: float | tuple[float, float] | None = None,
    layout: str = "table",
    n_points: int = 201,
    location: str = "nodes",
    noise: float = 0.0,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make data of Burgers' equation without viscosity: a ramp that breaks into a shock [1]_.

    ``u_t + (u^2 / 2)_x = 0`` on [-1, 1] with the inflow a, from the ramp ``-a x`` on [-1, 0]. The
    ramp steepens to a shock at t = 1 / a, which then moves at the speed a / 2 and leaves the
    domain at t = 3 / a. The mass is ``a / 2 (1 + a t)`` until then, and ``2 a`` after.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows: points in the table layout, fields in the fields layout.
    a : float or (low, high), default=None
        Height of the initial ramp, above 0. A pair draws a value for each field, uniformly.
        None is 3 in the table layout, and the paper's training range
        (1, 4) in the fields layout.
    t : float or (low, high), default=None
        The time, or the interval that times are drawn from. None is (0, 1).
    layout : {"table", "fields"}, default="table"
        "table": one row a point, with the columns (t, x), scattered uniformly.
        "fields": one row a field, with the columns (a, t); the target holds its values
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
            The columns (t, x), or (a, t).
        target : ndarray of shape (n_samples,) or (n_samples, n_points)
            The values of u.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid : Grid
            The points of a field, along "x".
        solution : callable
            ``solution(t, x)`` is the exact u. Where a was drawn, give it as a third argument.
        mass : callable
            The exact integral of u over x, of times or of rows (t) or (a, t): the `total`
            of a conservation law, in either layout.
        shock_position : callable
            The position (a t - 1) / 2 of the shock, nan before t = 1 / a and after t = 3 / a.
            Takes what `mass` takes.
        domain, times : (low, high)
            The ranges of x and t.
        params : dict
            The value of a, or the interval that it was drawn from.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above, or a is not admissible.

    See Also
    --------
    make_context_target : The same problems, as training data of neural processes.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical
       models that can respect conservation laws", ICML 2023, arXiv:2302.11002, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_burgers
    >>> burgers = make_burgers(100, a=3.0, random_state=0)
    >>> burgers.shock_position([0.2, 0.5, 0.9]).round(2)
    array([ nan, 0.25, 0.85])
    >>> burgers.mass([0.2, 0.5, 2.0]).round(2)
    array([2.4 , 3.75, 6.  ])
    """
    options = Options(
        n_samples, t, layout, n_points, location, noise, as_frame, return_X_y, random_state
    )
    return make_dataset(BURGERS, a, options)

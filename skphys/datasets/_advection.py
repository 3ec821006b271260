"""Linear advection of a step, with an exact solution.

u_t + beta u_x = 0 on [0, 1], u(0, x) = 1 for x <= 0.5 and else 0, u(t, 0) = 1.
u = 1 for x <= 0.5 + beta t and else 0, of mass 0.5 + min(beta t, 0.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skphys.datasets._layouts import Options, make_dataset
from skphys.datasets._problem import Floats, Problem


def advection(t: Floats, x: Floats, beta: Floats) -> Floats:
    """Return the step behind the front."""
    return np.where(x <= advection_front(t, beta), 1.0, 0.0)


def advection_cumulative(t: Floats, x: Floats, beta: Floats) -> Floats:
    """Return the integral of the field from 0 to x."""
    return np.minimum(x, advection_front(t, beta))


def advection_front(t: Floats, beta: Floats) -> Floats:
    """Return the position of the jump."""
    return 0.5 + beta * t


ADVECTION = Problem(
    name="advection",
    parameter="beta",
    default=1.0,
    training=(1.0, 5.0),
    admissible=(0.0, np.inf),
    domain=(0.0, 1.0),
    times=(0.0, 1.0),
    field=advection,
    cumulative=advection_cumulative,
    front=advection_front,
    description=__doc__,
)


def make_advection(
    n_samples: int = 100,
    *,
    beta: float | tuple[float, float] | None = None,
    t: float | tuple[float, float] | None = None,
    layout: str = "table",
    n_points: int = 201,
    location: str = "nodes",
    noise: float = 0.0,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make data of linear advection: a jump from 1 to 0 that moves at constant speed [1]_.

    ``u_t + beta u_x = 0`` on [0, 1]: ``u = 1`` for ``x <= 0.5 + beta t`` and else 0, whose mass is
    ``0.5 + min(beta t, 0.5)``.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows: points in the table layout, fields in the fields layout.
    beta : float or (low, high), default=None
        Speed, above 0. A pair draws a value for each field, uniformly.
        None is 1 in the table layout, and the paper's training range
        (1, 5) in the fields layout.
    t : float or (low, high), default=None
        The time, or the interval that times are drawn from. None is (0, 1).
    layout : {"table", "fields"}, default="table"
        "table": one row a point, with the columns (t, x), scattered uniformly.
        "fields": one row a field, with the columns (beta, t); the target holds its values
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
            The columns (t, x), or (beta, t).
        target : ndarray of shape (n_samples,) or (n_samples, n_points)
            The values of u.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid : Grid
            The points of a field, along "x".
        solution : callable
            ``solution(t, x)`` is the exact u. Where beta was drawn, give it as a third argument.
        mass : callable
            The exact integral of u over x, of times or of rows (t) or (beta, t): the `total`
            of a conservation law, in either layout.
        shock_position : callable
            The position 0.5 + beta t of the jump, nan after it has left.
            Takes what `mass` takes.
        domain, times : (low, high)
            The ranges of x and t.
        params : dict
            The value of beta, or the interval that it was drawn from.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above, or beta is not admissible.

    See Also
    --------
    make_context_target : The same problems, as training data of neural processes.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical
       models that can respect conservation laws", ICML 2023, arXiv:2302.11002, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_advection
    >>> advection = make_advection(100, beta=2.0, t=(0.0, 0.2), random_state=0)
    >>> print(f"{advection.shock_position(0.1):.2f} {advection.mass(0.1):.2f}")
    0.70 0.70
    """
    options = Options(
        n_samples, t, layout, n_points, location, noise, as_frame, return_X_y, random_state
    )
    return make_dataset(ADVECTION, beta, options)

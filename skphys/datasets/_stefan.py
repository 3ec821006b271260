"""Stefan problem, with an exact solution.

u_t = (k(u) u_x)_x on [0, 1], k = 1 where u >= u_star and else 0, u(0, x) = 0, u(t, 0) = 1.
u = 1 - (1 - u_star) erf(x / (2 sqrt(t))) / erf(z) left of the front 2 z sqrt(t), and 0 right
of it, where u_star erf(z) z exp(z^2) = (1 - u_star) / sqrt(pi): a jump from u_star to 0.
Its mass is 2 sqrt(t / pi) (1 - u_star) / erf(z) until the front reaches x = 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf
from sklearn.utils import Bunch

from skphys.datasets._layouts import Options, make_dataset
from skphys.datasets._problem import Floats, Problem


def _residual(z: float, u_star: float) -> float:
    """Logarithm of the front condition's left side over its right side: increases in z."""
    left = np.log(u_star) + np.log(erf(z)) + np.log(z) + z * z
    return left - np.log1p(-u_star) + 0.5 * np.log(np.pi)


def _solve_rate(u_star: float) -> float:
    # erf(z) exp(z^2) >= 2 z / sqrt(pi) bounds the root from above; exp(z^2) does too.
    bound = min(1.1 * np.sqrt((1.0 - u_star) / u_star / 2.0), 30.0)
    ends = 0.05 * min(bound, 1.0), bound
    tiny, epsilon = np.finfo(float).tiny, np.finfo(float).eps
    return brentq(_residual, *ends, args=(u_star,), xtol=tiny, rtol=4.0 * epsilon)


def front_rate(u_star: Floats) -> Floats:
    """Return z in the front's position 2 z sqrt(t), to rounding.

    Solves ``u_star erf(z) z exp(z^2) = (1 - u_star) / sqrt(pi)`` once for each distinct value.
    """
    values, inverse = np.unique(u_star, return_inverse=True)
    return np.array([_solve_rate(value) for value in values])[inverse].reshape(np.shape(u_star))


def stefan(t: Floats, x: Floats, u_star: Floats) -> Floats:
    """Return the profile that jumps from u_star to 0 at the front."""
    rate, width = front_rate(u_star), 2.0 * np.sqrt(t)
    left = 1.0 - (1.0 - u_star) * erf(_over(x, width)) / erf(rate)
    return np.where(x <= rate * width, left, 0.0)


def stefan_cumulative(t: Floats, x: Floats, u_star: Floats) -> Floats:
    """Return the integral of the field from 0 to x."""
    rate, width = front_rate(u_star), 2.0 * np.sqrt(t)
    end = np.minimum(x, rate * width)
    scaled = _over(end, width)
    erf_integral = end * erf(scaled) + width / np.sqrt(np.pi) * np.expm1(-(scaled**2))
    return end - (1.0 - u_star) / erf(rate) * erf_integral


def stefan_front(t: Floats, u_star: Floats) -> Floats:
    """Return the position of the front."""
    return 2.0 * front_rate(u_star) * np.sqrt(t)


def _over(x: Floats, width: Floats) -> Floats:
    """Quotient, 0 where the width is (at t = 0, where only x = 0 is behind the front)."""
    x, width = np.broadcast_arrays(x, width)
    return np.divide(x, width, out=np.zeros(x.shape), where=width > 0.0)


STEFAN = Problem(
    name="Stefan",
    parameter="u_star",
    default=0.6,
    training=(0.55, 0.7),
    admissible=(0.0, 1.0),
    domain=(0.0, 1.0),
    times=(0.0, 0.1),
    field=stefan,
    cumulative=stefan_cumulative,
    front=stefan_front,
    description=__doc__,
)


def make_stefan(
    n_samples: int = 100,
    *,
    u_star: float | tuple[float, float] | None = None,
    t: float | tuple[float, float] | None = None,
    layout: str = "table",
    n_points: int = 201,
    location: str = "nodes",
    noise: float = 0.0,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make data of the Stefan problem, the hard case: a jump that moves [1]_.

    ``u_t = (k(u) u_x)_x`` on [0, 1] from 0, with ``k = 1`` where ``u >= u_star`` and else 0, and
    ``u = 1`` on the left: an error function that jumps from u_star to 0 at ``2 z sqrt(t)``, with
    ``u_star erf(z) z exp(z^2) = (1 - u_star) / sqrt(pi)``.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows: points in the table layout, fields in the fields layout.
    u_star : float or (low, high), default=None
        Value at the front, between 0 and 1. A pair draws a value for each field, uniformly.
        None is 0.6 in the table layout, and the paper's training range
        (0.55, 0.7) in the fields layout.
    t : float or (low, high), default=None
        The time, or the interval that times are drawn from. None is (0, 0.1).
    layout : {"table", "fields"}, default="table"
        "table": one row a point, with the columns (t, x), scattered uniformly.
        "fields": one row a field, with the columns (u_star, t); the target holds its values
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
            The columns (t, x), or (u_star, t).
        target : ndarray of shape (n_samples,) or (n_samples, n_points)
            The values of u.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid : Grid
            The points of a field, along "x".
        solution : callable
            ``solution(t, x)`` is the exact u. Where u_star was drawn, give it as a third argument.
        mass : callable
            The exact integral of u over x, of times or of rows (t) or (u_star, t): the `total`
            of a conservation law, in either layout.
        shock_position : callable
            The position 2 z sqrt(t) of the front, nan after it has left.
            Takes what `mass` takes.
        domain, times : (low, high)
            The ranges of x and t.
        params : dict
            The value of u_star, or the interval that it was drawn from.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above, or u_star is not admissible.

    See Also
    --------
    make_context_target : The same problems, as training data of neural processes.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical
       models that can respect conservation laws", ICML 2023, arXiv:2302.11002, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_stefan
    >>> stefan = make_stefan(100, u_star=0.6, random_state=0)
    >>> stefan.feature_names, stefan.data.shape
    (['t', 'x'], (100, 2))
    >>> print(f"{stefan.shock_position(0.05):.4f} {stefan.mass(0.05):.4f}")
    0.2351 0.1859
    """
    options = Options(
        n_samples, t, layout, n_points, location, noise, as_frame, return_X_y, random_state
    )
    return make_dataset(STEFAN, u_star, options)

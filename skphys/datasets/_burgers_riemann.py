"""Burgers' equation with viscosity, from two states, with an exact solution.

u_t + (u^2 / 2)_x = nu u_xx on [0, 1], between the states u_left and u_right.
start="wave": u = (u_left + u_right) / 2 - d / 2 tanh(d (x - x0 - s t) / (4 nu)), with
d = u_left - u_right and s = (u_left + u_right) / 2: a front that moves without changing.
start="step": from the jump at x0, u = u_right + d / (1 + exp(d (x - x0 - s t) / (2 nu)) r), with
r = erfc(-(x - x0 - u_right t) / sqrt(4 nu t)) / erfc((x - x0 - u_left t) / sqrt(4 nu t)).
The input is u at time 0, the output u at the time t. Both ends are given (Dirichlet).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_ndtr
from sklearn.utils import Bunch, check_random_state

from skphys.datasets._layouts import check_count
from skphys.datasets._operator_layout import (
    Samples,
    Times,
    draw,
    drawn,
    operator_dataset,
    with_end_values,
)
from skphys.datasets._problem import Floats


def travelling_wave(
    t: Floats, x: Floats, nu: Floats, left: Floats, right: Floats, x0: Floats
) -> Floats:
    """Return the front between two states, left above right; the arguments broadcast."""
    jump, speed = left - right, 0.5 * (left + right)
    return speed - 0.5 * jump * np.tanh(jump * (x - x0 - speed * t) / (4.0 * nu))


def viscous_step(
    t: Floats, x: Floats, nu: Floats, left: Floats, right: Floats, x0: Floats
) -> Floats:
    """Return what becomes of a jump between any two states; the arguments broadcast."""
    jump, speed, y = left - right, 0.5 * (left + right), x - x0
    width = np.sqrt(2.0 * nu * t)
    moving = np.where(t > 0.0, width, 1.0)
    ratio = log_ndtr((y - right * t) / moving) - log_ndtr(-(y - left * t) / moving)
    later = right + jump * expit(-(jump * (y - speed * t) / (2.0 * nu) + ratio))
    return np.where(t > 0.0, later, np.where(y <= 0.0, left, right))


SOLUTIONS = {"wave": travelling_wave, "step": viscous_step}


def make_burgers_riemann(
    n_samples: int = 100,
    *,
    nu: float | tuple[float, float] = 0.01,
    left: float | tuple[float, float] = (0.5, 1.0),
    right: float | tuple[float, float] = (-1.0, -0.5),
    x0: float | tuple[float, float] = 0.5,
    start: str = "wave",
    t: ArrayLike = 1.0,
    n_points: int = 128,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of Burgers' equation: a viscous front between two random states [1]_.

    ``u_t + (u^2 / 2)_x = nu u_xx`` on [0, 1]. The front between the states u_left and u_right
    starts at x0 and moves at the speed ``(u_left + u_right) / 2``: the values at the ends tell
    where it is. The operator takes the field at time 0 and the values at both ends at time t to
    the field at time t. All quantities are dimensionless.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    nu : float or (low, high), default=0.01
        Viscosity, above 0; the front is about ``8 nu / (u_left - u_right)`` wide. A pair draws a
        value for each sample, uniformly; so it does below.
    left, right : float or (low, high), default=(0.5, 1) and (-1, -0.5)
        The states. With the defaults, the front stays in [0.25, 0.75] until t = 1.
    x0 : float or (low, high), default=0.5
        Where the front starts.
    start : {"wave", "step"}, default="wave"
        "wave": the field at time 0 is the travelling wave, which keeps its shape; left must be
        above right. "step": it is the jump, ``u_left`` for ``x <= x0`` and else ``u_right``; a
        grid tells where the jump is only to its spacing, so a drawn x0 leaves an error that no
        operator can avoid.
    t : float or array-like of shape (n_t,), default=1.0
        The output time, or increasing output times: the output is then a field over (t, x).
    n_points : int, default=128
        Number of evenly spaced nodes, which include both ends. The draws do not depend on it.
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

        data : ndarray or DataFrame of shape (n_samples, n_points + 2)
            The input field, then the columns "left" and "right": the solution's values at the
            two ends, which are the states, but for the front's tails. With several times, one
            column a time: "left_0", "left_1", ..., "right_0", ...
            Where nu was drawn, it is a last column.
        target : ndarray or DataFrame of shape (n_samples, n_points) or (n_samples, n_t * n_points)
            The output field, in C order over `grid`.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid, input_grid : Grid
            Where the output and the input fields have their values.
        inputs : ndarray of shape (n_samples, n_points)
            The input field alone.
        boundary : dict
            Both ends Dirichlet, with their values in the columns of `data`: the `boundary` of a
            boundary-enforced operator.
        boundary_values : dict of str to ndarray of shape (n_samples,) or (n_samples, n_t)
            The values "left" and "right".
        params : dict of str to ndarray of shape (n_samples,)
            The parameters nu, left, right and x0 of each sample.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above, or a wave is asked for whose left state is not above
        its right one.

    See Also
    --------
    make_burgers : The equation without viscosity.
    make_burgers_periodic : The equation on a ring.

    References
    ----------
    .. [1] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_burgers_riemann
    >>> front = make_burgers_riemann(3, random_state=0)
    >>> front.data.shape, front.target.shape
    ((3, 130), (3, 128))
    >>> front.boundary_values["left"].round(2)
    array([0.77, 0.71, 0.82])
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    times = Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("nu",), nu=nu, left=left, right=right, x0=x0)
    _check_start(start, params)
    samples = _samples(params, times, np.linspace(0.0, 1.0, n_points), start)
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(nu=nu))


def _check_start(start: str, params: dict[str, Floats]) -> None:
    if start not in SOLUTIONS:
        raise ValueError(f"start must be one of {list(SOLUTIONS)}, got {start!r}.")
    if start == "wave" and not np.all(params["left"] > params["right"]):
        raise ValueError(
            "left must be above right for a travelling wave, in every sample; choose intervals "
            'that do not overlap, or start="step", which spreads where left is below right.'
        )


def _samples(params: dict[str, Floats], times: Times, x: Floats, start: str) -> Samples:
    by_sample = {name: value[:, None, None] for name, value in params.items()}
    fields = SOLUTIONS[start](np.append(0.0, times.values)[:, None], x, **by_sample)
    return with_end_values(fields, times, x, params)

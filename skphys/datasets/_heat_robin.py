"""Heat that leaks through both ends, with an exact solution.

u_t = k u_xx on [0, 1], a u + b du/dn = value at both ends, n the outward normal, and
u(0, x) = the sum over m of c_m cos(m pi x), c_m normal.
u is the straight line between the surroundings, and a series of the even modes cos(mu s),
(mu / 2) tan(mu / 2) = a / (2 b), and the odd modes sin(mu s), -(mu / 2) cot(mu / 2) = a / (2 b),
s = x - 1/2, that decay as exp(-k mu^2 t).
The input is u at time 0, the output u at the time t. Both ends are Robin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from sklearn.utils import Bunch, check_random_state

from skphys.constraints import Robin
from skphys.datasets._heat_rod import undecayed
from skphys.datasets._layouts import check_count
from skphys.datasets._operator_layout import (
    Samples,
    Times,
    ValueColumns,
    draw,
    drawn,
    operator_dataset,
)
from skphys.datasets._problem import Floats

MAX_MODES = 5_000
Indices = NDArray[np.intp]


def robin_roots(ratio: float, n: int) -> Floats:
    """Return the first n wave numbers mu, of even and odd modes in turn; ratio is a / (2 b)."""

    def residual(z: float, even: bool) -> float:
        if even:
            return z * np.sin(z) - ratio * np.cos(z)
        return z * np.cos(z) + ratio * np.sin(z)

    lowest = np.arange(n) * np.pi / 2.0
    ends = zip(lowest, lowest + np.pi / 2.0, np.arange(n) % 2 == 0, strict=True)
    options = {"xtol": 1e-15, "rtol": 4.0 * np.finfo(float).eps}
    return 2.0 * np.array([brentq(residual, *pair, (even,), **options) for *pair, even in ends])


def _modes(mu: Floats, x: Floats) -> Floats:
    """Even and odd modes in turn, (n_modes, n_points)."""
    angles = np.outer(mu, x - 0.5)
    angles[1::2] -= np.pi / 2.0  # the sine
    return np.cos(angles)


def _norms(mu: Floats) -> Floats:
    """Integrals of the squared modes."""
    return 0.5 * (1.0 + (-1.0) ** np.arange(mu.size) * np.sinc(mu / np.pi))


def _cosine_products(mu: Floats, m: Indices) -> Floats:
    """Integrals of the modes times cos(m pi x), (n_modes, n_cosines)."""
    even = np.arange(mu.size) % 2 == 0
    phase = np.where(even[:, None], np.cos(m * np.pi / 2.0), -np.sin(m * np.pi / 2.0))
    sign = np.where(even, 1.0, -1.0)[:, None]
    turns = mu[:, None] / np.pi
    return phase * 0.5 * (np.sinc((turns - m) / 2.0) + sign * np.sinc((turns + m) / 2.0))


def _line_products(mu: Floats, middle: Floats, slope: Floats) -> Floats:
    """Integrals of the modes times the line middle + slope (x - 1/2), (B, n_modes)."""
    half = mu / 2.0
    even = np.arange(mu.size) % 2 == 0
    odd_part = 2.0 * (np.sin(half) / mu - half * np.cos(half) / mu) / mu
    return np.where(even, middle[:, None] * 2.0 * np.sin(half) / mu, slope[:, None] * odd_part)


def heat_robin(
    t: Floats, x: Floats, k: Floats, ends: tuple[Floats, Floats], cosines: Floats, ab: Any
) -> Floats:
    """Return the temperature at times above 0, (B, n_t, n_points); cosines are (B, n_cosines)."""
    a, b = ab
    middle, slope = (ends[0] + ends[1]) / (2.0 * a), (ends[1] - ends[0]) / (a + 2.0 * b)
    mu = robin_roots(a / (2.0 * b), undecayed(float(k.min() * t.min()), MAX_MODES))
    products = cosines @ _cosine_products(mu, np.arange(cosines.shape[1])).T
    start = (products - _line_products(mu, middle, slope)) / _norms(mu)
    decay = np.exp(-(k[:, None] * mu**2)[:, None, :] * t[:, None])
    line = middle[:, None] + slope[:, None] * (x - 0.5)
    return line[:, None] + (decay * start[:, None]) @ _modes(mu, x)


def make_heat_robin(
    n_samples: int = 100,
    *,
    k: float | tuple[float, float] = 0.02,
    left: float | tuple[float, float] = (-1.0, 1.0),
    right: float | tuple[float, float] = (-1.0, 1.0),
    a: float = 1.0,
    b: float = 0.5,
    n_modes: int = 4,
    t: ArrayLike = 0.5,
    n_points: int = 128,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of heat that leaks through both ends of a rod: Robin conditions.

    ``u_t = k u_xx`` on [0, 1], where each end exchanges heat with its surroundings:
    ``a u + b du/dn = value`` with the outward normal derivative. The start is a random sum of
    cosines, ``cos(m pi x)`` with a normal coefficient of standard deviation ``1 / (1 + m)``, for
    m up to `n_modes`. The operator takes the field at time 0 and the values at both ends to the
    field at time t. All quantities are dimensionless.

    The solution is a series in the eigenfunctions, exact to rounding (for ``k t`` above 1e-7).

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    k : float or (low, high), default=0.02
        Diffusivity, above 0. A pair draws a value for each sample, uniformly; so it does below.
    left, right : float or (low, high), default=(-1, 1)
        The values of the conditions at the two ends, the same at all times.
    a, b : float, default=1.0 and 0.5
        Coefficients of the conditions at both ends, above 0.
    n_modes : int, default=4
        Highest wave number of the start.
    t : float or array-like of shape (n_t,), default=0.5
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
            The input field, then the columns "left" and "right": the values of the conditions.
            Where k was drawn, it is a last column.
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
            Robin conditions on both ends, with their values in the columns of `data`: the
            `boundary` of a boundary-enforced operator.
        boundary_values : dict of str to ndarray of shape (n_samples,)
            The values "left" and "right".
        params : dict of str to ndarray of shape (n_samples,)
            The parameters k, left and right of each sample.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above.

    See Also
    --------
    make_heat_rod : A rod with given fluxes.

    Examples
    --------
    >>> from skphys.datasets import make_heat_robin
    >>> rod = make_heat_robin(3, random_state=0)
    >>> rod.data.shape, rod.target.shape
    ((3, 130), (3, 128))
    >>> rod.boundary_values["left"].round(2)
    array([ 0.09, -0.15,  0.29])
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    check_count("n_modes", n_modes, 0)
    for name, value in (("a", a), ("b", b)):
        if not 0.0 < value < np.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    times = Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("k",), k=k, left=left, right=right)
    cosines = rng.standard_normal((n_samples, n_modes + 1)) / (1.0 + np.arange(n_modes + 1))
    samples = _samples(params, cosines, times, np.linspace(0.0, 1.0, n_points), (a, b))
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(k=k))


def _samples(
    params: dict[str, Floats], cosines: Floats, times: Times, x: Floats, ab: tuple[float, float]
) -> Samples:
    ends = params["left"], params["right"]
    start = cosines @ np.cos(np.pi * np.outer(np.arange(cosines.shape[1]), x))
    output = times.after_start(start, lambda t: heat_robin(t, x, params["k"], ends, cosines, ab))
    return Samples(
        start,
        output,
        times,
        {"x": x},
        params,
        boundary=lambda value: _boundary(value, *ab),
        boundary_values={"left": ends[0], "right": ends[1]},
    )


def _boundary(value: ValueColumns, a: float, b: float) -> dict[str, Any]:
    return {"x": (Robin(a, b, value("left")), Robin(a, b, value("right")))}

"""Burgers' equation with viscosity on a ring, solved to rounding.

u_t + (u^2 / 2)_x = nu u_xx on [0, 1), periodic, from a random Fourier series.
By the Cole-Hopf transform u(t, x) is the mean of u(0, y) with the weights
exp(-((x - y)^2 / (2 t) + integral of u(0) from 0 to y) / (2 nu)) over all y, here by quadrature.
The input is u at time 0, the output u at the time t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

from skphys.constraints import Periodic
from skphys.datasets._layouts import check_count
from skphys.datasets._operator_layout import (
    Samples,
    Times,
    draw,
    drawn,
    operator_dataset,
)
from skphys.datasets._problem import Floats
from skphys.grids import Axis

TAIL = 12.5  # beyond TAIL sqrt(nu t) the weights are below exp(-TAIL^2 / 4) = 1e-17
STEPS = 3.0  # quadrature points within one standard deviation of the narrowest weights
CHUNK = 2**21  # weights that are held at once


@dataclass(frozen=True)
class FourierSeries:
    """Random periodic fields mean + sum of cosine and sine modes; B fields."""

    mean: Floats  # (B,)
    cosine: Floats  # (B, n_modes)
    sine: Floats

    @property
    def wave_numbers(self) -> Floats:
        """Wave numbers 2 pi m, (n_modes,)."""
        return 2.0 * np.pi * np.arange(1, self.cosine.shape[1] + 1)

    def fluctuation(self, x: Floats) -> Floats:
        """Return the fields without their mean at the points x, (n,) or (B, n)."""
        return self._sum(x, self.cosine, self.sine)

    def potential(self, x: Floats) -> Floats:
        """Return the periodic integral of the fluctuation, but for a constant."""
        k = self.wave_numbers
        return self._sum(x, -self.sine / k, self.cosine / k)

    def bounds(self) -> tuple[float, float]:
        """Bound the fluctuation and its slope over all fields."""
        size = np.hypot(self.cosine, self.sine)
        return float(size.sum(1).max()), float((size @ self.wave_numbers).max())

    def __getitem__(self, part: slice) -> FourierSeries:
        return FourierSeries(self.mean[part], self.cosine[part], self.sine[part])

    def _sum(self, x: Floats, cosine: Floats, sine: Floats) -> Floats:
        phase = x[..., None, :] * self.wave_numbers[:, None]
        return (cosine[:, None] @ np.cos(phase) + sine[:, None] @ np.sin(phase))[:, 0]


def cole_hopf(start: FourierSeries, nu: Floats, t: float, n_points: int) -> Floats:
    """Return the fields (B, n_points) at the time t above 0, on even nodes of the ring."""
    speed, slope = start.bounds()
    narrowest = np.sqrt(2.0 * nu.min() / (1.0 / t + slope))
    refine = int(np.ceil(STEPS / (narrowest * n_points)))
    reach = int(np.ceil((t * speed + TAIL * np.sqrt(nu.max() * t)) * refine * n_points))
    size = max(1, CHUNK // (n_points * (2 * reach + 1)))
    parts = [slice(i, i + size) for i in range(0, len(nu), size)]
    return np.concatenate(
        [_weighted_mean(start[p], nu[p], t, n_points, refine, reach) for p in parts]
    )


def _weighted_mean(
    start: FourierSeries, nu: Floats, t: float, n_points: int, refine: int, reach: int
) -> Floats:
    """Average the start over `reach` quadrature points on either side of each node.

    A mean only carries the field along: the nodes are those of a frame that moves with it.
    """
    n = refine * n_points
    steps = np.arange(-reach, (n_points - 1) * refine + reach + 1)
    ring = np.arange(n) / n - (start.mean * t)[:, None]
    potential, values = (
        sliding_window_view(table[:, steps % n], 2 * reach + 1, axis=1)[:, ::refine]
        for table in (start.potential(ring), start.fluctuation(ring))
    )
    distance = np.arange(-reach, reach + 1) / n
    exponent = (potential + distance**2 / (2.0 * t)) / (-2.0 * nu[:, None, None])
    exponent -= exponent.max(axis=-1, keepdims=True)
    weights = np.exp(exponent, out=exponent)
    return start.mean[:, None] + (weights * values).sum(-1) / weights.sum(-1)


def make_burgers_periodic(
    n_samples: int = 100,
    *,
    nu: float | tuple[float, float] = 0.01,
    amplitude: float | tuple[float, float] = 1.0,
    mean: float | tuple[float, float] = 0.0,
    n_modes: int = 16,
    t: ArrayLike = 1.0,
    n_points: int = 128,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of Burgers' equation on a ring: waves that steepen and merge [1]_.

    ``u_t + (u^2 / 2)_x = nu u_xx`` on [0, 1), periodic. The start is a random Fourier series:
    the coefficients of ``cos(2 pi m x)`` and ``sin(2 pi m x)`` are normal with the standard
    deviation ``amplitude sqrt(2) 25 / (4 pi^2 m^2 + 25)``, the random field of [2]_. The
    operator takes the field at time 0 to the field at time t. All quantities are dimensionless.

    The solution comes from the Cole-Hopf transform by a quadrature that converges faster than
    any power of its step, thus to rounding and for any viscosity, without time steps. Its cost
    grows as t and as ``nu**-0.5``.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    nu : float or (low, high), default=0.01
        Viscosity, above 0. A pair draws a value for each sample, uniformly; so it does below.
    amplitude : float or (low, high), default=1.0
        Size of the start.
    mean : float or (low, high), default=0.0
        Mean of the field over the ring, which does not change in time.
    n_modes : int, default=16
        Number of wave numbers in the start.
    t : float or array-like of shape (n_t,), default=1.0
        The output time, or increasing output times: the output is then a field over (t, x).
    n_points : int, default=128
        Number of evenly spaced nodes; the end, which is the start again, is not repeated. The
        draws do not depend on it.
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

        data : ndarray or DataFrame of shape (n_samples, n_points)
            The input field. Where nu was drawn, it is a last column.
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
            Periodic: the `boundary` of a boundary-enforced operator.
        boundary_values : dict
            Empty: a ring has no ends.
        params : dict of str to ndarray of shape (n_samples,)
            The parameters nu, amplitude and mean of each sample.
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
    make_burgers_riemann : The equation between two states.

    References
    ----------
    .. [1] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix.
    .. [2] Z. Li, N. Kovachki, K. Azizzadenesheli, B. Liu, K. Bhattacharya, A. Stuart,
       A. Anandkumar, "Fourier neural operator for parametric partial differential equations",
       ICLR 2021, arXiv:2010.08895, section 5.1.

    Examples
    --------
    >>> from skphys.datasets import make_burgers_periodic
    >>> ring = make_burgers_periodic(3, mean=(-1.0, 1.0), random_state=0)
    >>> ring.grid
    Grid(x=128 periodic nodes in [0, 1))
    >>> ring.inputs.mean(axis=1).round(2), ring.target.mean(axis=1).round(2)
    (array([-0.12,  0.78,  0.93]), array([-0.12,  0.78,  0.93]))
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    check_count("n_modes", n_modes, 1)
    times = Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("nu",), nu=nu, amplitude=amplitude, mean=mean)
    start = _random_series(rng, n_modes, params["amplitude"], params["mean"])
    samples = _samples(params, start, times, n_points)
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(nu=nu))


def _random_series(
    rng: np.random.RandomState, n_modes: int, amplitude: Floats, mean: Floats
) -> FourierSeries:
    m = np.arange(1, n_modes + 1)
    size = amplitude[:, None] * np.sqrt(2.0) * 25.0 / (4.0 * np.pi**2 * m**2 + 25.0)
    cosine, sine = size * rng.standard_normal((2, len(amplitude), n_modes))
    return FourierSeries(mean, cosine, sine)


def _samples(
    params: dict[str, Floats], start: FourierSeries, times: Times, n_points: int
) -> Samples:
    axis = Axis.periodic(0.0, 1.0, n_points)
    inputs = start.mean[:, None] + start.fluctuation(axis.points)

    def later(t: Floats) -> Floats:
        return np.stack([cole_hopf(start, params["nu"], float(one), n_points) for one in t], 1)

    output = times.after_start(inputs, later)
    return Samples(inputs, output, times, {"x": axis}, params, lambda value: {"x": Periodic()})

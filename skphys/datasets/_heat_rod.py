"""Heat in a rod: insulated on the left, heated on the right, exactly solved.

u_t = k u_xx on [0, 1], u(0, x) = cos(omega pi x), u_x(t, 0) = 0, u_x(t, 1) = U sin(pi t).
u is the steady oscillation Im(U cosh(q x) / (q sinh(q)) exp(i pi t)), k q^2 = i pi, and a
cosine series whose modes decay as exp(-k n^2 pi^2 t).
The input is u at time 0, the output u at the time t. Both ends have given fluxes (Neumann).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch, check_random_state

from skphys.constraints import Neumann
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

SMALLEST = 1e-16  # modes that have decayed below this are left out
MAX_MODES = 20_000


def oscillation(x: Floats, k: Floats) -> NDArray[np.complex128]:
    """Return the complex amplitude that a unit flux sin(pi t) on the right sustains."""
    q = np.sqrt(1j * np.pi / k)
    return (np.exp(q * (x - 1.0)) + np.exp(-q * (x + 1.0))) / (q * -np.expm1(-2.0 * q))


def heat_rod(t: Floats, x: Floats, k: Floats, omega: Floats, amplitude: Floats) -> Floats:
    """Return the temperature at times above 0; parameters (B, 1), result (B, n_t, n_points)."""
    wave = amplitude[:, :, None] * oscillation(x, k[:, :, None])
    steady = np.imag(wave * np.exp(1j * np.pi * t)[:, None])
    n = np.arange(undecayed(float(k.min() * t.min())))
    start = _start_coefficients(n, omega) - amplitude * _oscillation_coefficients(n, k)
    decay = np.exp(-(k * (n * np.pi) ** 2)[:, None, :] * t[:, None])
    return steady + (decay * start[:, None, :]) @ np.cos(np.pi * np.outer(n, x))


def undecayed(kt: float, most: int = MAX_MODES) -> int:
    """Return how many modes have not yet decayed."""
    wanted = np.sqrt(-np.log(SMALLEST) / max(kt, np.finfo(float).tiny)) / np.pi
    return int(min(wanted, most)) + 2


def _start_coefficients(n: NDArray[np.intp], omega: Floats) -> Floats:
    """Cosine coefficients of cos(omega pi x)."""
    return (np.sinc(omega - n) + np.sinc(omega + n)) * np.where(n == 0, 0.5, 1.0)


def _oscillation_coefficients(n: NDArray[np.intp], k: Floats) -> Floats:
    """Cosine coefficients of the oscillation at time 0."""
    signs = np.where(n == 0, 1.0, 2.0 * (-1.0) ** n)
    return np.imag(signs / (1j * np.pi / k + (n * np.pi) ** 2))


def make_heat_rod(
    n_samples: int = 100,
    *,
    k: float | tuple[float, float] = 0.01,
    omega: float | tuple[float, float] = (2.01, 3.99),
    amplitude: float | tuple[float, float] = 5.0,
    t: ArrayLike = 0.5,
    n_points: int = 128,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of heat in a rod: insulated on the left, heated on the right [1]_.

    ``u_t = k u_xx`` on [0, 1] from ``u = cos(omega pi x)``, with the fluxes ``u_x = 0`` at x = 0
    and ``u_x = U sin(pi t)`` at x = 1. The operator takes the field at time 0 and the flux at
    time t to the field at time t. All quantities are dimensionless.

    The solution is exact to rounding (for ``k t`` above 1e-8): the oscillation that the flux
    sustains, in closed form, and a cosine series for what is left of the start. There is no
    source inside the rod, so its heat content is ``sin(omega pi) / (omega pi)`` and what flows
    in, ``k U (1 - cos(pi t)) / pi``.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    k : float or (low, high), default=0.01
        Diffusivity, above 0. A pair draws a value for each sample, uniformly; so it does below.
    omega : float or (low, high), default=(2.01, 3.99)
        Wave number of the initial temperature, above 0.
    amplitude : float or (low, high), default=5.0
        Largest flux U of the heater.
    t : float or array-like of shape (n_t,), default=0.5
        The output time, or increasing output times: the output is then a field over (t, x).
        At 0.5 the heater is at its strongest, at whole numbers it is off.
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

        data : ndarray or DataFrame of shape (n_samples, n_points + 1)
            The input field, then the column "heater": the flux ``U sin(pi t)``. With several
            times, one column a time: "heater_0", "heater_1", ...
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
            Neumann on both ends, 0 on the left and the column "heater" on the right: the
            `boundary` of a boundary-enforced operator.
        boundary_values : dict of str to ndarray of shape (n_samples,) or (n_samples, n_t)
            The flux "heater".
        params : dict of str to ndarray of shape (n_samples,)
            The parameters k, omega and amplitude of each sample.
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
    make_heat_robin : Heat that leaks through both ends.

    References
    ----------
    .. [1] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_heat_rod
    >>> rod = make_heat_rod(3, amplitude=(4.0, 6.0), random_state=0)
    >>> rod.data.shape, rod.target.shape
    ((3, 129), (3, 128))
    >>> rod.boundary_values["heater"].round(2)
    array([4.88, 5.78, 5.93])
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    times = Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("k", "omega"), k=k, omega=omega, amplitude=amplitude)
    samples = _samples(params, times, np.linspace(0.0, 1.0, n_points))
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(k=k))


def _samples(params: dict[str, Floats], times: Times, x: Floats) -> Samples:
    k, omega, amplitude = (value[:, None] for value in params.values())
    start = np.cos(omega * np.pi * x)
    output = times.after_start(start, lambda t: heat_rod(t, x, k, omega, amplitude))
    flux = {"heater": times.value(amplitude * np.sin(np.pi * times.values))}
    return Samples(start, output, times, {"x": x}, params, _boundary, flux)


def _boundary(value: ValueColumns) -> dict[str, Any]:
    return {"x": (Neumann(0.0), Neumann(value("heater")))}

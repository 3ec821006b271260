"""Waves between rigid walls, with an exact solution.

u_tt = c^2 (u_xx + u_yy) on the unit square, normal derivative 0 on the walls, u_t(0) = 0.
u = sum of a_mn cos(m pi x) cos(n pi y) cos(c sqrt(m^2 + n^2) pi t), a_mn normal.
The input is u at time 0, the output u at the time t. All walls are Neumann.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
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
    plane_shape,
)
from skphys.datasets._problem import Floats


def wave(t: Floats, x: Floats, y: Floats, c: Floats, amplitudes: Floats) -> Floats:
    """Return the fields (B, n_t, n_x, n_y) for amplitudes (B, M, M)."""
    m = np.arange(amplitudes.shape[1])
    frequency = np.pi * np.hypot(m[:, None], m)
    phase = c[:, None, None, None] * t[:, None, None] * frequency
    modes = amplitudes[:, None] * np.cos(phase)
    return np.cos(np.pi * np.outer(x, m)) @ modes @ np.cos(np.pi * np.outer(m, y))


def make_wave(
    n_samples: int = 100,
    *,
    c: float | tuple[float, float] = 1.0,
    amplitude: float | tuple[float, float] = 1.0,
    n_modes: int = 4,
    t: ArrayLike = 0.7,
    n_points: int | tuple[int, int] = 33,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of waves in two dimensions, between walls that reflect them [1]_.

    ``u_tt = c^2 (u_xx + u_yy)`` on the unit square, where the normal derivative is 0 on all
    walls. The start, at rest, is a random mixture of the modes ``cos(m pi x) cos(n pi y)`` with
    m and n up to `n_modes`, not both 0: their coefficients are normal with the standard deviation
    ``amplitude / sqrt(m^2 + n^2)``. Each mode oscillates at its own frequency, so the mixture
    changes its shape. The operator takes the field at time 0 to the field at time t. All
    quantities are dimensionless.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    c : float or (low, high), default=1.0
        Speed of the waves, above 0. A pair draws a value for each sample, uniformly; so it does
        below.
    amplitude : float or (low, high), default=1.0
        Size of the start.
    n_modes : int, default=4
        Highest wave number along each axis.
    t : float or array-like of shape (n_t,), default=0.7
        The output time, or increasing output times: the output is then a field over (t, x, y).
    n_points : int or (int, int), default=33
        Number of evenly spaced nodes along x and y, which include the walls. The draws do not
        depend on it.
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

        data : ndarray or DataFrame of shape (n_samples, n_x * n_y)
            The input field. Where c was drawn, it is a last column.
        target : ndarray or DataFrame of shape (n_samples, n_outputs)
            The output field, in C order over `grid`: n_outputs is n_x * n_y, or
            n_t * n_x * n_y.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid, input_grid : Grid
            Where the output and the input fields have their values.
        inputs : ndarray of shape (n_samples, n_x * n_y)
            The input field alone.
        boundary : dict
            Neumann with 0 on all walls: the `boundary` of a boundary-enforced operator.
        boundary_values : dict
            Empty: they are 0.
        params : dict of str to ndarray of shape (n_samples,)
            The parameters c and amplitude of each sample.
        DESCR : str
            The equation and its solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If an option is not one of the above.

    References
    ----------
    .. [1] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix. (There
       it is one mode; its shape does not change.)

    Examples
    --------
    >>> from skphys.datasets import make_wave
    >>> waves = make_wave(3, n_points=(9, 17), random_state=0)
    >>> waves.grid
    Grid(x=9 nodes in [0, 1], y=17 nodes in [0, 1])
    >>> waves.data.shape, waves.target.shape
    ((3, 153), (3, 153))
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_modes", n_modes, 1)
    shape, times = plane_shape(n_points, 2), Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("c",), c=c, amplitude=amplitude)
    amplitudes = _random_amplitudes(rng, n_modes, params["amplitude"])
    samples = _samples(params, amplitudes, times, shape)
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(c=c))


def _random_amplitudes(rng: np.random.RandomState, n_modes: int, amplitude: Floats) -> Floats:
    m = np.arange(n_modes + 1)
    size = np.hypot(m[:, None], m)
    size[0, 0] = np.inf
    draws = rng.standard_normal((len(amplitude), n_modes + 1, n_modes + 1))
    return amplitude[:, None, None] * draws / size


def _samples(
    params: dict[str, Floats], amplitudes: Floats, times: Times, shape: tuple[int, int]
) -> Samples:
    x, y = (np.linspace(0.0, 1.0, n) for n in shape)
    fields = wave(np.append(0.0, times.values), x, y, params["c"], amplitudes)
    return Samples(fields[:, 0], fields[:, 1:], times, {"x": x, "y": y}, params, _boundary)


def _boundary(value: ValueColumns) -> dict[str, Any]:
    return dict.fromkeys("xy", (Neumann(0.0), Neumann(0.0)))

"""Stokes' second problem, with an exact solution.

u_t = nu u_xx on [0, 1], above a plate that oscillates at x = 0: u(t, 0) = U cos(omega t).
u = U exp(-k x) cos(k x - omega t), k = sqrt(omega / (2 nu)).
The input is u at time 0, the output u at the time t. Both ends are given (Dirichlet).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
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


def stokes(t: Floats, x: Floats, nu: Floats, amplitude: Floats, omega: Floats) -> Floats:
    """Return the decaying oscillation; the arguments broadcast."""
    kx = np.sqrt(omega / (2.0 * nu)) * x
    return amplitude * np.exp(-kx) * np.cos(kx - omega * t)


def make_stokes(
    n_samples: int = 100,
    *,
    nu: float | tuple[float, float] = 0.1,
    omega: float | tuple[float, float] = (3.0, 4.0),
    amplitude: float | tuple[float, float] = 2.0,
    t: ArrayLike = 2.0,
    n_points: int = 128,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of Stokes' second problem: a fluid above an oscillating plate [1]_.

    ``u_t = nu u_xx`` on [0, 1], where the plate at x = 0 moves with the speed
    ``U cos(omega t)``. The solution is ``u = U exp(-k x) cos(k x - omega t)`` with
    ``k = sqrt(omega / (2 nu))``: the smaller nu, the thinner the layer that moves. The operator
    takes the field at time 0 and the values at both ends at time t to the field at time t. All
    quantities are dimensionless.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    nu : float or (low, high), default=0.1
        Viscosity, above 0. A pair draws a value for each sample, uniformly; so it does below.
        The paper takes 0.1, 0.02, 0.005, 0.002 and 0.001.
    omega : float or (low, high), default=(3, 4)
        Frequency of the plate, above 0.
    amplitude : float or (low, high), default=2.0
        Largest speed U of the plate.
    t : float or array-like of shape (n_t,), default=2.0
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
            The input field, then the columns "left" and "right": the values at the two ends.
            With several times, one column a time: "left_0", "left_1", ..., "right_0", ...
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
            The parameters nu, omega and amplitude of each sample.
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
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix.

    Examples
    --------
    >>> from skphys.datasets import make_stokes
    >>> stokes = make_stokes(3, random_state=0)
    >>> stokes.data.shape, stokes.target.shape
    ((3, 130), (3, 128))
    >>> stokes.boundary_values["left"].round(2)
    array([1.38, 1.69, 1.07])
    >>> stokes.feature_names[-3:]
    ['u0_127', 'left', 'right']
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    times = Times.of(t)
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, ("nu", "omega"), nu=nu, omega=omega, amplitude=amplitude)
    samples = _samples(params, times, np.linspace(0.0, 1.0, n_points))
    return operator_dataset(samples, __doc__, as_frame, return_X_y, columns=drawn(nu=nu))


def _samples(params: dict[str, Floats], times: Times, x: Floats) -> Samples:
    by_sample = {name: value[:, None, None] for name, value in params.items()}
    fields = stokes(np.append(0.0, times.values)[:, None], x, **by_sample)
    return with_end_values(fields, times, x, params)

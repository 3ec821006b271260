"""Flow in a cavity whose lid moves, solved by finite differences.

Navier-Stokes equations for an incompressible fluid in the unit square, at the Reynolds number
U / nu, from rest or from random vortices. The walls hold the fluid: u = v = 0, and u is U times the
profile of the lid on y = 1. Solver: vorticity and stream function, second order in space.
The input is (u, v) at time 0, the output (u, v) at the times t. All walls are Dirichlet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.validation import check_memory

from skphys.constraints import Dirichlet
from skphys.datasets._cavity_solver import solve_cavity
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
from skphys.datasets._vortices import Vortices, random_vortices

PROFILES = ("regularized", "uniform")


def lid_profile(x: Floats, profile: str) -> Floats:
    """Return the speed along a lid of speed 1, 0 at both corners."""
    if profile == "regularized":
        return 16.0 * (x * (1.0 - x)) ** 2
    return np.where((x > 0.0) & (x < 1.0), 1.0, 0.0)


def make_lid_driven_cavity(
    n_samples: int = 100,
    *,
    lid_speed: float | tuple[float, float] = (0.5, 1.5),
    reynolds: float | tuple[float, float] = 100.0,
    strength: float | tuple[float, float] = 0.3,
    n_modes: int = 3,
    profile: str = "regularized",
    t: ArrayLike | None = None,
    n_points: int | tuple[int, int] = 33,
    refinement: int = 2,
    memory: Any = None,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make operator data of the flow in a cavity whose lid moves: Navier-Stokes in 2-D [1]_.

    An incompressible fluid fills the unit square. It starts from random vortices; at time 0 the
    lid, the wall y = 1, jumps to its speed U. The Reynolds number is ``U / nu``. The operator
    takes the velocity (u, v) at time 0 and the speed of the lid to the velocity at the times t. On
    the walls the velocity is known: the lid's, and 0 elsewhere. All quantities are dimensionless.

    The reference is a finite-difference solution for vorticity and stream function, of second
    order in space, with Thom's vorticity on the walls as in [2]_. With the defaults its relative
    error is about 0.5 % (2 % with ``refinement=1``), and 1 % (4 %) for the uniform lid.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    lid_speed : float or (low, high), default=(0.5, 1.5)
        Speed U of the lid, above 0. A pair draws a value for each sample, uniformly; so it does
        below.
    reynolds : float or (low, high), default=100.0
        Reynolds number, above 0.
    strength : float or (low, high), default=0.3
        Root mean square of the speed at time 0, at least 0: with 0 the fluid starts from rest.
    n_modes : int, default=3
        Number of modes along each axis in the stream function at time 0.
    profile : {"regularized", "uniform"}, default="regularized"
        How the speed of the lid depends on x. "regularized": ``16 U x^2 (1 - x)^2``, smooth and 0
        at the corners. "uniform": U, but 0 at the two corner nodes, which belong to the side
        walls.
    t : float or array-like of shape (n_t,), default=None
        The output time, or increasing output times: the output is then a field over (t, x, y).
        None is 25 even steps to t = 2.
    n_points : int or (int, int), default=33
        Number of evenly spaced nodes along x and y, which include the walls. The draws do not
        depend on it.
    refinement : int, default=2
        Intervals of the solver in one of the output. The cost grows as its fourth power.
    memory : str, joblib.Memory or None, default=None
        Where to keep solutions on disk, so that the same call need not solve again.
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

        data : ndarray or DataFrame of shape (n_samples, 2 * n_x * n_y + 1)
            The input fields u and v, then the column "lid": the speed U. Where reynolds was
            drawn, it is a last column.
        target : ndarray or DataFrame of shape (n_samples, n_outputs)
            The output fields u and v, one after another, each in C order over (t, x, y).
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid, input_grid : Components
            Where the output and the input fields u and v have their values.
        inputs : ndarray of shape (n_samples, 2 * n_x * n_y)
            The input fields alone.
        boundary : dict
            For each component Dirichlet on all walls: the `boundary` of a boundary-enforced
            operator.
        boundary_values : dict of str to ndarray of shape (n_samples,)
            The speed "lid".
        params : dict of str to ndarray of shape (n_samples,)
            The parameters lid_speed, reynolds and strength of each sample.
        lid_profile : ndarray of shape (n_x,)
            Speed along a lid of speed 1.
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
    vorticity : Derive the vorticity from the velocity, for figures.

    References
    ----------
    .. [1] N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning
       through physics-based boundary constraints", ICLR 2023, arXiv:2212.07477, appendix.
    .. [2] W. E, J.-G. Liu, "Vorticity boundary condition and related issues for finite difference
       schemes", Journal of Computational Physics 124 (1996) 368-382.

    Examples
    --------
    >>> from skphys.datasets import make_lid_driven_cavity
    >>> cavity = make_lid_driven_cavity(2, t=0.5, n_points=17, refinement=1, random_state=0)
    >>> cavity.grid
    Components(u=289 points, v=289 points)
    >>> cavity.data.shape, cavity.target.shape
    ((2, 579), (2, 578))
    >>> cavity.boundary_values["lid"].round(2)
    array([1.05, 1.22])
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_modes", n_modes, 1)
    check_count("refinement", refinement, 1)
    shape = plane_shape(n_points, 3)
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {list(PROFILES)}, got {profile!r}.")
    times = Times.of(np.arange(1, 26) * 0.08 if t is None else t)
    rng = check_random_state(random_state)
    params = draw(
        rng,
        n_samples,
        ("lid_speed", "reynolds"),
        lid_speed=lid_speed,
        reynolds=reynolds,
        strength=strength,
    )
    start = random_vortices(rng, n_modes, params["strength"])
    solve = check_memory(memory).cache(solve_cavity)
    samples = _samples(params, start, times, shape, profile, refinement, solve)
    return operator_dataset(
        samples, __doc__, as_frame, return_X_y, columns=drawn(reynolds=reynolds)
    )


def _samples(
    params: dict[str, Floats],
    start: Vortices,
    times: Times,
    shape: tuple[int, int],
    profile: str,
    refinement: int,
    solve: Any,
) -> Samples:
    x, y = (np.linspace(0.0, 1.0, n) for n in shape)
    lid = lid_profile(x, profile)
    inputs = start.velocity(x, y)
    inputs[:, 0, :, -1] = np.outer(params["lid_speed"], lid)

    def later(t: Floats) -> Floats:
        fields = _solve(params, start, t, shape, profile, refinement, solve)
        return fields.swapaxes(1, 2)

    along = lid if times.single else np.tile(lid, (times.values.size, 1))
    return Samples(
        inputs,
        times.after_start(inputs, later).swapaxes(1, 2),
        times,
        {"x": x, "y": y},
        params,
        boundary=lambda value: _boundary(value, along),
        boundary_values={"lid": params["lid_speed"]},
        components=("u", "v"),
        extras={"lid_profile": lid},
    )


def _solve(
    params: dict[str, Floats],
    start: Vortices,
    t: Floats,
    shape: tuple[int, int],
    profile: str,
    refinement: int,
    solve: Any,
) -> Floats:
    """Return the velocity (B, 2, n_t, n_x, n_y) at times above 0."""
    x, y = (np.linspace(0.0, 1.0, refinement * (n - 1) + 1) for n in shape)
    speed = params["lid_speed"]
    fastest = speed.max() + np.sqrt(np.sum(start.velocity(x, y) ** 2, axis=1).max())
    return solve(
        start.stream_function(x, y),
        speed / params["reynolds"],
        np.outer(speed, lid_profile(x, profile)),
        t,
        float(fastest),
        refinement,
    )


def _boundary(value: ValueColumns, lid: Floats) -> dict[str, Any]:
    still = Dirichlet(0.0), Dirichlet(0.0)
    moving = Dirichlet(0.0), Dirichlet(value("lid", lid))
    return {"u": {"x": still, "y": moving}, "v": {"x": still, "y": still}}

"""Sod's problem: a wall between two states of a gas is taken away, with an exact solution.

rho_t + m_x = 0, m_t + (m v + p)_x = 0, E_t + ((E + p) v)_x = 0 on [0, 1], with the momentum
m = rho v and the energy E = p / (gamma - 1) + rho v^2 / 2, from gas at rest with (rho, p) on the
left of x0 and a lower pressure on its right.
The solution depends on (x - x0) / t alone: a rarefaction to the left, a contact and a shock.
Until a wave is at an end, mass and energy stay, and the momentum is t (p_left - p_right).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skphys.datasets._layouts import as_frames, check_count
from skphys.datasets._operator_layout import draw, field_names
from skphys.datasets._problem import Floats
from skphys.grids import Axis, Components, Grid

TOTALS = {"rho": "mass", "mom": "momentum", "E": "energy"}
HALVINGS = 80  # of the interval that the pressure between the waves lies in


@dataclass(frozen=True)
class Riemann:
    """Gas at rest on both sides, the higher pressure on the left; arrays that broadcast."""

    rho_left: Floats
    p_left: Floats
    rho_right: Floats
    p_right: Floats
    gamma: float

    def behind_shock(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """Return density and velocity behind a shock into the right state, and its speed."""
        gamma, ratio = self.gamma, p / self.p_right
        g = (gamma - 1.0) / (gamma + 1.0)
        rho = self.rho_right * (ratio + g) / (g * ratio + 1.0)
        sound = np.sqrt(gamma * self.p_right / self.rho_right)
        speed = sound * np.sqrt((ratio + g) / (1.0 + g))
        return rho, speed * (1.0 - self.rho_right / rho), speed

    def behind_rarefaction(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """Return density, velocity and speed of sound where the left state has expanded to p."""
        sound = np.sqrt(self.gamma * self.p_left / self.rho_left)
        shrunk = (p / self.p_left) ** (0.5 * (self.gamma - 1.0) / self.gamma)
        rho = self.rho_left * (p / self.p_left) ** (1.0 / self.gamma)
        return rho, 2.0 / (self.gamma - 1.0) * sound * (1.0 - shrunk), sound * shrunk

    def middle(self) -> Floats:
        """Return the pressure between the waves: both sides then move at one velocity."""
        low, high = self.p_right, self.p_left
        for _ in range(HALVINGS):
            p = 0.5 * (low + high)
            too_low = self.behind_rarefaction(p)[1] > self.behind_shock(p)[1]
            low, high = np.where(too_low, p, low), np.where(too_low, high, p)
        return 0.5 * (low + high)

    def primitive(self, xi: Floats) -> tuple[Floats, Floats, Floats]:
        """Return density, velocity and pressure at ``xi = (x - x0) / t``."""
        p = self.middle()
        rho_left, v, sound = self.behind_rarefaction(p)
        rho_right, _, shock = self.behind_shock(p)
        at_rest = np.sqrt(self.gamma * self.p_left / self.rho_left)
        xi = np.clip(xi, -2.0 * at_rest, 2.0 * shock)  # beyond the waves all is as it was
        v_fan = 2.0 / (self.gamma + 1.0) * (at_rest + xi)
        fan = np.maximum(1.0 - 0.5 * (self.gamma - 1.0) * v_fan / at_rest, 0.0)
        power = 2.0 / (self.gamma - 1.0)
        where = [xi < -at_rest, xi < v - sound, xi < v, xi < shock]
        rho_fan, p_fan = self.rho_left * fan**power, self.p_left * fan ** (self.gamma * power)
        return (
            np.select(where, [self.rho_left, rho_fan, rho_left, rho_right], self.rho_right),
            np.select(where, [0.0 * xi, v_fan, v, v], 0.0),
            np.select(where, [self.p_left, p_fan, p, p], self.p_right),
        )

    def conserved(self, xi: Floats) -> tuple[Floats, Floats]:
        """Return density, momentum and energy, and their fluxes, (B, 3, n) each."""
        rho, v, p = self.primitive(xi)
        energy = p / (self.gamma - 1.0) + 0.5 * rho * v**2
        flux = np.stack([rho * v, rho * v**2 + p, (energy + p) * v], axis=1)
        return np.stack([rho, rho * v, energy], axis=1), flux

    def averages(self, t: Floats, from_wall: Floats) -> Floats:
        """Return exact averages over cells between the edges, (B, 3, n_edges - 1).

        The conserved q obey ``(f - xi q)' = -q`` in xi, also across the shock, so that
        ``xi q - f`` is an integral of q.
        """
        q, flux = self.conserved(from_wall / t)
        integral = from_wall[:, None] * q - t[:, None] * flux
        return np.diff(integral) / np.diff(from_wall)[:, None]

    def passed(self, t: Floats, from_wall: Floats) -> Floats:
        """Return what has passed some places until t, (B, 3, n), by the same identity."""
        (q, flux), (start, _) = self.conserved(from_wall / t), self.conserved(np.inf * from_wall)
        return t[:, None] * flux - from_wall[:, None] * (q - start)


def make_sod(
    n_samples: int = 100,
    *,
    rho_left: float | tuple[float, float] = (0.75, 1.25),
    p_left: float | tuple[float, float] = (0.75, 1.25),
    rho_right: float | tuple[float, float] = (0.1, 0.2),
    p_right: float | tuple[float, float] = (0.08, 0.15),
    x0: float | tuple[float, float] = (0.4, 0.6),
    t: float | tuple[float, float] = (0.1, 0.2),
    gamma: float = 1.4,
    n_points: int = 101,
    as_frame: bool = False,
    return_X_y: bool = False,
    random_state: Any = None,
) -> Bunch | tuple[Any, Any]:
    """Make data of Sod's shock tube: three conserved quantities, and three waves [1]_.

    The Euler equations of gas dynamics on [0, 1], from gas at rest on both sides of a wall at x0,
    with the higher pressure on the left. A rarefaction runs to the left, a contact and a shock to
    the right. Fields are exact averages over cells of equal width, of density, momentum and energy,
    so that the sum times the width is the integral. All quantities are dimensionless.

    Parameters
    ----------
    n_samples : int, default=100
        Number of tubes.
    rho_left, p_left, rho_right, p_right : float or (low, high)
        Density and pressure of the two states, above 0, the pressure on the left above that on the
        right. A pair draws a value for each tube, uniformly; so it does below. Sod's own are 1, 1,
        0.125 and 0.1.
    x0 : float or (low, high), default=(0.4, 0.6)
        Where the wall was.
    t : float or (low, high), default=(0.1, 0.2)
        The time, above 0.
    gamma : float, default=1.4
        Ratio of the specific heats, above 1.
    n_points : int, default=101
        Number of cells. The draws do not depend on it.
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

        data : ndarray or DataFrame of shape (n_samples, 9)
            The columns rho_left, p_left, rho_right, p_right, x0 and t, then the integrals at time
            t: "mass", "momentum" and "energy".
        target : ndarray or DataFrame of shape (n_samples, 3 * n_points)
            Density, momentum and energy, one after another.
        frame : DataFrame or None
            Data and target together, where ``as_frame=True``.
        feature_names, target_names : list of str
            Names of the columns.
        grid : Components
            With the components "rho", "mom" and "E", along "x".
        totals : dict of str to str
            The column of each component's integral.
        fluxes : dict of str to ndarray of shape (n_samples, 2)
            What has come in at the left and gone out at the right end until t, of each component.
        params : dict of str to ndarray of shape (n_samples,)
            The first six columns.
        DESCR : str
            The equations and their solution.
    (data, target) : tuple
        The two alone, where ``return_X_y=True``.

    Raises
    ------
    ValueError
        If a density, a pressure, the time or gamma is not admissible, or a pressure on the left is
        not above that on the right.

    See Also
    --------
    make_burgers : A shock in one equation.

    References
    ----------
    .. [1] G. A. Sod, "A survey of several finite difference methods for systems of nonlinear
       hyperbolic conservation laws", Journal of Computational Physics 27, 1978; E. F. Toro,
       "Riemann solvers and numerical methods for fluid dynamics", Springer, 2009, chapter 4.

    Examples
    --------
    >>> from skphys.datasets import make_sod
    >>> sod = make_sod(3, random_state=0)
    >>> sod.data.shape, sod.target.shape
    ((3, 9), (3, 303))
    >>> sod.grid
    Components(rho=101 points, mom=101 points, E=101 points)
    """
    check_count("n_samples", n_samples, 1)
    check_count("n_points", n_points, 2)
    if not gamma > 1.0:
        raise ValueError(f"gamma must be above 1, got {gamma!r}.")
    states = {"rho_left": rho_left, "p_left": p_left, "rho_right": rho_right, "p_right": p_right}
    rng = check_random_state(random_state)
    params = draw(rng, n_samples, (*states, "t"), **states, x0=x0, t=t)
    if not np.all(params["p_left"] > params["p_right"]):
        raise ValueError("p_left must be above p_right in every tube; give intervals apart.")
    edges = np.linspace(0.0, 1.0, n_points + 1)
    fields, fluxes = _tubes({name: value[:, None] for name, value in params.items()}, edges, gamma)
    grid = Components(**dict.fromkeys(TOTALS, Grid(x=Axis.cells(edges))))
    columns = params | dict(zip(TOTALS.values(), fields.mean(axis=2).T, strict=True))
    arrays: dict[str, Any] = {
        "data": np.column_stack(list(columns.values())),
        "target": fields.reshape(n_samples, -1),
        "frame": None,
        "feature_names": list(columns),
        "target_names": field_names(grid),
    }
    if as_frame:
        arrays = as_frames(**arrays)
    if return_X_y:
        return arrays["data"], arrays["target"]
    extras = {"fluxes": dict(zip(TOTALS, fluxes, strict=True)), "totals": TOTALS}
    return Bunch(**arrays, grid=grid, params=params, DESCR=__doc__, **extras)


def _tubes(params: dict[str, Floats], edges: Floats, gamma: float) -> tuple[Floats, Floats]:
    """Return fields (B, 3, n_points), and what came in and went out at the ends, (3, B, 2)."""
    x0, t = params["x0"], params["t"]
    states = {name: params[name] for name in ("rho_left", "p_left", "rho_right", "p_right")}
    tubes = Riemann(**states, gamma=gamma)
    at_ends = tubes.passed(t, edges[[0, -1]] - x0)
    return tubes.averages(t, edges - x0), at_ends.transpose(1, 0, 2)

"""Every closed form against something that does not use it: quadrature, differences, a solver."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from skphys.datasets import (
    make_advection,
    make_burgers,
    make_diffusion,
    make_porous_medium,
    make_stefan,
)

CASES = [
    (make_diffusion, "k", 1.0),
    (make_diffusion, "k", 5.0),
    (make_porous_medium, "m", 1.0),
    (make_porous_medium, "m", 2.5),
    (make_porous_medium, "m", 6.0),
    (make_stefan, "u_star", 0.5),
    (make_stefan, "u_star", 0.6),
    (make_stefan, "u_star", 0.95),
    (make_advection, "beta", 1.0),
    (make_advection, "beta", 3.0),
    (make_burgers, "a", 1.0),
    (make_burgers, "a", 3.0),
    (make_burgers, "a", 4.0),
]
IDS = [f"{make.__name__}-{value:g}" for make, _, value in CASES]


def dataset(make, name, value):
    return make(1, **{name: value}, n_points=21)


def kinks(data, name, value, t):
    """Where the profile is not smooth, from the text of the problem."""
    if "shock_position" in data:
        jump = float(data.shock_position(t))
        if np.isfinite(jump):
            return [jump]
    if name == "a" and value * t < 1.0:
        return [value * t - 1.0, 0.0]
    return [t] if name == "m" else []


@pytest.mark.parametrize(("make", "name", "value"), CASES, ids=IDS)
@pytest.mark.parametrize("fraction", [0.0, 0.013, 0.25, 0.5, 0.99, 1.0])
def test_mass_is_the_integral_of_the_solution(make, name, value, fraction):
    data = dataset(make, name, value)
    t = fraction * data.times[1]
    low, high = data.domain
    inner = sorted(point for point in kinks(data, name, value, t) if low < point < high)
    ends = [low, *inner, high]
    pieces = [
        quad(lambda x: data.solution(t, x), a, b, epsabs=1e-13, limit=400)[0]
        for a, b in pairwise(ends)
    ]
    assert sum(pieces) == pytest.approx(float(data.mass(t)), abs=2e-11)


@pytest.mark.parametrize(
    ("make", "name", "value", "formula"),
    [
        (make_diffusion, "k", 2.0, lambda t: 0.0 * t),
        (make_porous_medium, "m", 3.0, lambda t: 3.0 ** (4 / 3) / 4.0 * t ** (4 / 3)),
        (make_advection, "beta", 3.0, lambda t: 0.5 + np.minimum(3.0 * t, 0.5)),
        (make_burgers, "a", 4.0, lambda t: np.minimum(2.0 * (1.0 + 4.0 * t), 8.0)),
    ],
)
def test_mass_is_the_papers_formula(make, name, value, formula):
    t = np.linspace(0.0, 1.0, 50)
    assert dataset(make, name, value).mass(t) == pytest.approx(formula(t), abs=1e-14)


@pytest.mark.parametrize("u_star", [1e-6, 0.05, 0.5, 0.55, 0.6, 0.7, 0.999, 1.0 - 1e-12])
def test_stefan_front_condition_to_rounding(u_star):
    z = make_stefan(1, u_star=u_star).solution.problem.front(np.float64(1.0), u_star) / 2.0
    left = u_star * erf(z) * z * np.exp(z**2)
    assert left * np.sqrt(np.pi) / (1.0 - u_star) == pytest.approx(1.0, rel=2e-14)


@pytest.mark.parametrize("u_star", [0.3, 0.6, 0.7])
def test_stefan_profile_meets_its_end_values_and_the_jump_condition(u_star):
    data, t = make_stefan(1, u_star=u_star), 0.04
    front = data.shock_position(t)
    assert data.solution(t, 0.0) == 1.0
    assert data.solution(t, front) == pytest.approx(u_star, abs=1e-14)
    assert data.solution(t, np.nextafter(front, 1.0)) == 0.0
    speed = (data.shock_position(t + 1e-6) - data.shock_position(t - 1e-6)) / 2e-6
    slope = (data.solution(t, front) - data.solution(t, front - 1e-6)) / 1e-6
    assert speed * u_star == pytest.approx(-slope, rel=1e-5)
    mass = 2.0 * np.sqrt(t / np.pi) * (1.0 - u_star) / erf(front / (2.0 * np.sqrt(t)))
    assert data.mass(t) == pytest.approx(mass, rel=1e-14)


def test_the_designs_shock_position():
    assert make_stefan(1, u_star=0.6).shock_position(0.05) == pytest.approx(0.2351, abs=5e-5)


def residual(u, flux, t, x, h=1e-5):
    """u_t + flux_x by central differences."""
    u_t = (u(t + h, x) - u(t - h, x)) / (2.0 * h)
    return u_t + (flux(t, x + h) - flux(t, x - h)) / (2.0 * h)


def gradient(u, t, x, h=1e-5):
    return (u(t, x + h) - u(t, x - h)) / (2.0 * h)


@pytest.mark.parametrize(
    ("make", "parameter", "flux", "t", "x"),
    [
        (make_diffusion, {"k": 2.0}, lambda u, g: -2.0 * g, 0.3, np.linspace(0.5, 6.0, 9)),
        (make_porous_medium, {"m": 1.0}, lambda u, g: -u * g, 0.8, np.linspace(0.1, 0.7, 9)),
        (make_porous_medium, {"m": 3.0}, lambda u, g: -(u**3) * g, 0.8, np.linspace(0.1, 0.7, 9)),
        (make_stefan, {"u_star": 0.6}, lambda u, g: -g, 0.08, np.linspace(0.02, 0.25, 9)),
        (make_burgers, {"a": 1.5}, lambda u, g: u**2 / 2.0, 0.4, np.linspace(-0.35, -0.05, 9)),
        (make_advection, {"beta": 2.0}, lambda u, g: 2.0 * u, 0.1, np.array([0.1, 0.6, 0.8])),
    ],
)
def test_equation_holds_away_from_shocks(make, parameter, flux, t, x):
    u = make(1, **parameter).solution
    computed = residual(u, lambda t, x: flux(u(t, x), gradient(u, t, x)), t, x)
    assert np.abs(computed).max() < 2e-5


def test_porous_medium_of_exponent_one_is_a_triangle():
    x = np.linspace(0.0, 1.0, 11)
    data = make_porous_medium(1, m=1.0)
    assert data.solution(0.5, x) == pytest.approx(np.maximum(0.5 - x, 0.0))
    assert data.mass(0.5) == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("make", "parameter", "inflow", "times"),
    [
        (make_porous_medium, {"m": 3.0}, lambda t: (3.0 * t) ** (1 / 3), [0.2, 0.6]),  # u^m = m t
        (make_advection, {"beta": 2.0}, lambda t: 2.0, [0.1, 0.2]),
        (make_burgers, {"a": 3.0}, lambda t: 4.5, [0.1, 0.5, 0.9]),
    ],
)
def test_mass_grows_by_the_inflow(make, parameter, inflow, times):
    mass = make(1, **parameter).mass
    for t in times:
        growth = (mass(t + 1e-6) - mass(t - 1e-6)) / 2e-6
        assert growth == pytest.approx(inflow(t), rel=1e-6)


def test_stefan_mass_grows_by_the_flux_at_the_wall():
    data, t = make_stefan(1, u_star=0.6), 0.05
    growth = (data.mass(t + 1e-6) - data.mass(t - 1e-6)) / 2e-6
    assert growth == pytest.approx((1.0 - data.solution(t, 1e-6)) / 1e-6, rel=1e-5)


def test_mass_stops_growing_once_the_jump_has_left():
    burgers, advection = make_burgers(1, a=4.0), make_advection(1, beta=5.0)
    assert burgers.mass([0.75, 0.8, 1.0, 9.0]) == pytest.approx([8.0] * 4)
    assert advection.mass([0.1, 0.5]) == pytest.approx([1.0, 1.0])
    assert np.isnan(burgers.shock_position([0.1, 0.8])).all()
    assert burgers.solution(0.8, np.array([-1.0, 1.0])) == pytest.approx([4.0, 4.0])


def godunov(a, t_end, n_cells):
    """First-order conservative solution of Burgers' equation for u >= 0: upwind."""
    edges = np.linspace(-1.0, 1.0, n_cells + 1)
    primitive = np.where(edges <= 0.0, -a * edges**2 / 2.0, 0.0)
    h = edges[1] - edges[0]
    u, t = np.diff(primitive) / h, 0.0
    while t < t_end:
        step = min(0.9 * h / a, t_end - t)
        flux = np.concatenate([[a], u]) ** 2 / 2.0
        u, t = u - step / h * np.diff(flux), t + step
    return u, edges


@pytest.mark.parametrize(("a", "t"), [(1.0, 0.5), (3.0, 0.2), (3.0, 0.5), (4.0, 1.0)])
def test_burgers_against_a_conservative_solver(a, t):
    u, edges = godunov(a, t, 1000)
    data = make_burgers(1, a=a)
    exact = data.solution.problem.averages(np.float64(t), edges, np.float64(a))
    assert np.abs(u - exact).mean() < 0.004 * a
    assert u.sum() * 0.002 == pytest.approx(float(data.mass(t)), rel=2e-3)


def test_burgers_shock_speed_is_half_the_jump():
    position = make_burgers(1, a=3.0).shock_position
    assert position(0.9) - position(0.4) == pytest.approx(0.5 * 1.5)


@pytest.mark.filterwarnings("error")
def test_burgers_breaks_without_nan():
    data, x = make_burgers(1, a=1.0), np.linspace(-1.0, 1.0, 201)
    assert data.solution(1.0, x) == pytest.approx((x <= 0.0) * 1.0)
    assert data.mass(1.0) == 1.0
    assert data.shock_position(1.0) == 0.0
    before = np.nextafter(1.0, 0.0)
    assert np.isfinite(data.solution(before, x)).all()
    assert data.mass(before) == pytest.approx(1.0)


@pytest.mark.parametrize(("make", "name", "value"), CASES, ids=IDS)
def test_cell_averages_sum_to_the_mass(make, name, value):
    data = make(6, **{name: value}, layout="fields", location="cells", n_points=40, random_state=1)
    weights = data.grid.weights()
    assert data.target @ weights == pytest.approx(data.mass(data.data), abs=1e-13)
    edges, t = data.grid.axes["x"].edges, data.data[2, 1]
    breaks = kinks(data, name, value, t) or None
    inner = [p for p in breaks if edges[7] < p < edges[8]] if breaks else None
    cell = quad(lambda x: data.solution(t, x), edges[7], edges[8], points=inner, epsabs=1e-12)[0]
    assert data.target[2, 7] * weights[7] == pytest.approx(cell, abs=1e-10)

"""Closed forms of the one-dimensional operator data against the method of lines."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from skphys.datasets import make_burgers_riemann, make_heat_robin, make_heat_rod, make_stokes


def line(data):
    """Return nodes, first sample's input, and the target as (n_t, n_points)."""
    x = data.input_grid["x"]
    return x, data.inputs[0], data.target[0].reshape(-1, x.size)


def integrate(rhs, start, times):
    found = solve_ivp(rhs, (0.0, times[-1]), start, "LSODA", times, rtol=1e-9, atol=1e-11)
    assert found.success
    return found.y.T


def with_ends(rhs, left, right):
    """Hold both ends at given functions of time."""

    def held(t, u):
        u = u.copy()
        u[0], u[-1] = left(t), right(t)
        change = np.zeros_like(u)
        change[1:-1] = rhs(u)
        return change

    return held


def richardson(solve, n):
    """Extrapolate a second-order solution on n and 2 n intervals to the nodes of the coarse one."""
    coarse, fine = solve(n), solve(2 * n)[:, ::2]
    return fine + (fine - coarse) / 3.0, np.abs(fine - coarse).max()


TIMES = np.array([0.15, 0.5, 1.1])


def compare(make, solve, n, atol):
    data = make(n + 1)
    reference, step = richardson(lambda m: solve(*line(make(m + 1))[:2]), n)
    _, _, fields = line(data)
    assert step > atol  # the reference could not tell otherwise
    np.testing.assert_allclose(fields[:, 1:-1], reference[:, 1:-1], rtol=0, atol=atol)


@pytest.mark.parametrize(("nu", "atol"), [(0.1, 1e-6), (0.02, 1e-5)])
def test_stokes_solves_the_heat_equation_above_a_plate(nu, atol):
    def make(n_points):
        return make_stokes(1, nu=nu, omega=3.5, amplitude=1.5, t=TIMES, n_points=n_points)

    def solve(x, start):
        k = np.sqrt(3.5 / (2.0 * nu))
        rhs = with_ends(
            lambda u: nu * np.diff(u, 2) / x[1] ** 2,
            lambda t: 1.5 * np.cos(3.5 * t),
            lambda t: 1.5 * np.exp(-k) * np.cos(k - 3.5 * t),
        )
        return integrate(rhs, start, TIMES)

    compare(make, solve, 50, atol)


@pytest.mark.parametrize("k", [0.01, 0.2])
def test_heat_rod_solves_the_heat_equation_with_fluxes(k):
    def make(n_points):
        return make_heat_rod(1, k=k, omega=2.7, amplitude=5.0, t=TIMES, n_points=n_points)

    def solve(x, start):
        h = x[1]

        def rhs(t, u):
            flux = np.concatenate([[0.0], np.diff(u) / h, [5.0 * np.sin(np.pi * t)]])
            width = np.full(x.size, h)
            width[[0, -1]] = h / 2.0
            return k * np.diff(flux) / width

        return integrate(rhs, start, TIMES)

    compare(make, solve, 160, 2e-5)


def test_heat_rod_keeps_the_heat_that_flows_in():
    rod = make_heat_rod(5, k=(0.005, 0.05), t=TIMES, n_points=2001, random_state=0)
    k, omega, amplitude = (rod.params[name][:, None] for name in ("k", "omega", "amplitude"))
    heat = rod.target @ rod.grid.integral_rows("x", "simpson").T.toarray()
    expected = np.sin(omega * np.pi) / (omega * np.pi)
    expected = expected + k * amplitude * (1.0 - np.cos(np.pi * TIMES)) / np.pi
    np.testing.assert_allclose(heat, expected, rtol=0, atol=1e-9)


def test_heat_rod_starts_from_its_input():
    rod = make_heat_rod(3, t=[0.0, 1e-7], random_state=1)
    first, second = rod.target.reshape(3, 2, -1).swapaxes(0, 1)
    np.testing.assert_array_equal(first, rod.inputs)
    np.testing.assert_allclose(second, rod.inputs, rtol=0, atol=3e-4)


@pytest.mark.parametrize(
    ("start", "left", "right", "atol"),
    [("wave", 0.9, -0.6, 1e-4), ("wave", 1.4, 0.3, 1e-4), ("step", 0.8, -0.5, 1e-4)],
)
def test_burgers_riemann_solves_burgers_equation(start, left, right, atol):
    times, nu, jump, speed = TIMES / 4.0, 0.02, left - right, (left + right) / 2.0

    def make(n_points):
        return make_burgers_riemann(
            1, nu=nu, left=left, right=right, start=start, t=times, n_points=n_points
        )

    def solve(x, first):
        h = x[1]
        if start == "step":
            first = np.where(np.isclose(x, 0.5), 0.5 * (left + right), first)

        def rhs(u):
            return nu * np.diff(u, 2) / h**2 - (u[2:] ** 2 - u[:-2] ** 2) / (4.0 * h)

        def end(distance):
            tails = jump / (4.0 * nu)
            return lambda t: speed - jump / 2.0 * np.tanh(tails * (distance - speed * t))

        return integrate(with_ends(rhs, end(-0.5), end(0.5)), first, times)

    compare(make, solve, 200, atol)


def test_viscous_step_becomes_the_travelling_wave():
    options = dict(nu=0.005, x0=0.2, left=1.0, right=0.2, t=1.0)
    wave, step = (make_burgers_riemann(1, start=start, **options) for start in ("wave", "step"))
    np.testing.assert_allclose(step.target, wave.target, rtol=0, atol=1e-3)
    assert np.abs(step.inputs - wave.inputs).max() > 0.1


def test_viscous_step_spreads_without_viscosity_into_a_fan():
    data = make_burgers_riemann(
        1, nu=1e-6, left=0.0, right=0.5, x0=0.25, start="step", t=0.5, n_points=201
    )
    fan = np.clip((data.grid["x"] - 0.25) / 0.5, 0.0, 0.5)
    np.testing.assert_allclose(data.target[0], fan, rtol=0, atol=2e-3)


def test_burgers_riemann_needs_left_above_right_for_a_wave():
    with pytest.raises(ValueError, match="left must be above right"):
        make_burgers_riemann(5, left=(0.0, 0.5), right=(0.3, 0.6), random_state=0)
    with pytest.raises(ValueError, match="start must be one of"):
        make_burgers_riemann(5, start="jump")


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.5), (3.0, 0.1), (0.2, 2.0)])
def test_heat_robin_solves_the_heat_equation_with_leaking_ends(a, b):
    k, ends = 0.05, np.array([1.2, -0.7])

    def make(n_points):
        return make_heat_robin(
            1, k=k, left=1.2, right=-0.7, a=a, b=b, t=TIMES, n_points=n_points, random_state=3
        )

    def solve(x, start):
        h = x[1]
        width = np.full(x.size, h)
        width[[0, -1]] = h / 2.0

        def rhs(t, u):
            outward = (ends - a * u[[0, -1]]) / b
            flux = np.concatenate([[-outward[0]], np.diff(u) / h, [outward[1]]])
            return k * np.diff(flux) / width

        return integrate(rhs, start, TIMES)

    compare(make, solve, 160, 2e-5)


def test_heat_robin_meets_its_conditions_to_rounding():
    a, b = 1.0, 0.5
    rod = make_heat_robin(20, a=a, b=b, n_points=4001, random_state=0)
    for name, ends in (("left", [0, 1, 2, 3, 4]), ("right", [-1, -2, -3, -4, -5])):
        end = rod.target[:, ends]
        slope = end @ [25.0, -48.0, 36.0, -16.0, 3.0] / 12.0 * 4000.0  # outward
        np.testing.assert_allclose(
            a * end[:, 0] + b * slope, rod.boundary_values[name], rtol=0, atol=1e-9
        )


def test_heat_robin_series_starts_from_its_input():
    rod = make_heat_robin(3, t=[0.0, 1e-5], random_state=1)
    first, second = rod.target.reshape(3, 2, -1).swapaxes(0, 1)
    np.testing.assert_array_equal(first, rod.inputs)
    np.testing.assert_allclose(second, rod.inputs, rtol=0, atol=1e-2)


def test_heat_robin_needs_positive_coefficients():
    with pytest.raises(ValueError, match="b must be a finite number above 0, got 0"):
        make_heat_robin(5, b=0.0)

"""Burgers' equation on a ring against a pseudo-spectral method of lines and known facts."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from skphys.datasets import make_burgers_periodic


def spectral_solution(start, nu, times):
    """Integrate the field on its own nodes; products are dealiased by the 2/3 rule."""
    n = start.size
    k = 2.0 * np.pi * np.fft.rfftfreq(n, 1.0 / n)
    kept = np.arange(k.size) < n // 3

    def rhs(t, u):
        spectrum = np.fft.rfft(u * u / 2.0) * kept
        return np.fft.irfft(-1j * k * spectrum - nu * k**2 * np.fft.rfft(u), n)

    found = solve_ivp(rhs, (0.0, times[-1]), start, "RK45", times, rtol=1e-9, atol=1e-11)
    assert found.success
    return found.y.T


@pytest.mark.parametrize(
    ("nu", "mean", "n_points"), [(0.1, 0.0, 64), (0.02, 0.6, 192), (0.01, -0.4, 256)]
)
def test_field_is_that_of_a_spectral_solver(nu, mean, n_points):
    times = [0.2, 0.7]
    data = make_burgers_periodic(
        1, nu=nu, mean=mean, n_modes=6, t=times, n_points=n_points, random_state=2
    )
    expected = spectral_solution(data.inputs[0], nu, times)
    assert np.abs(expected[-1] - data.inputs[0]).max() > 0.1
    np.testing.assert_allclose(data.target.reshape(2, -1), expected, rtol=0, atol=2e-8)


def test_field_is_the_cole_hopf_quotient():
    nu, t = 0.05, 0.5
    data = make_burgers_periodic(1, nu=nu, n_modes=1, t=t, n_points=8, random_state=5)
    a, b = (
        np.mean(data.inputs[0] * f(2.0 * np.pi * data.grid["x"])) * 2.0 for f in (np.cos, np.sin)
    )

    def weight(y, x):
        primitive = (a * np.sin(2.0 * np.pi * y) - b * np.cos(2.0 * np.pi * y)) / (2.0 * np.pi)
        return np.exp(-((x - y) ** 2 / (2.0 * t) + primitive) / (2.0 * nu))

    for x, u in zip(data.grid["x"], data.target[0], strict=True):
        ends, options = (x - 4.0, x + 4.0), dict(args=(x,), epsabs=0, epsrel=1e-12, limit=300)
        top = quad(lambda y, x: (x - y) / t * weight(y, x), *ends, **options)[0]
        assert u == pytest.approx(top / quad(weight, *ends, **options)[0], abs=1e-11)


def test_solution_does_not_depend_on_the_grid():
    options = dict(nu=(0.001, 0.02), mean=(-1.0, 1.0), t=[0.01, 1.0], random_state=0)
    coarse = make_burgers_periodic(6, n_points=20, **options)
    fine = make_burgers_periodic(6, n_points=160, **options)
    target = fine.target.reshape(6, 2, 160)[..., ::8].reshape(6, -1)
    np.testing.assert_allclose(coarse.target, target, rtol=0, atol=1e-12)


def test_mean_stays_and_energy_decays():
    data = make_burgers_periodic(
        5, mean=(-1.0, 1.0), t=[0.0, 0.3, 1.0, 2.0], n_points=256, random_state=0
    )
    fields = data.target.reshape(5, 4, -1)
    means = np.broadcast_to(data.params["mean"][:, None], (5, 4))
    np.testing.assert_array_equal(fields[:, 0], data.inputs)
    np.testing.assert_allclose(fields.mean(-1), means, rtol=0, atol=1e-12)
    assert np.all(np.diff(np.sum(fields**2, -1)) < 0.0)


def test_nearly_inviscid_fronts_stay_between_the_extremes():
    data = make_burgers_periodic(5, nu=1e-4, n_points=64, random_state=0)
    assert np.all(np.isfinite(data.target))
    assert np.all(np.abs(data.target).max(1) <= np.abs(data.inputs).max(1) + 1e-2)


def test_coefficients_have_the_variance_stated():
    data = make_burgers_periodic(4000, amplitude=0.5, n_points=32, n_modes=3, t=0.0, random_state=0)
    spectrum = np.fft.rfft(data.target)[:, 1:4] / 16.0
    expected = 0.5 * np.sqrt(2.0) * 25.0 / (4.0 * np.pi**2 * np.arange(1, 4) ** 2 + 25.0)
    for part in (spectrum.real, spectrum.imag):
        np.testing.assert_allclose(part.std(0), expected, rtol=0.05)

"""Truncated transforms against NumPy's and SciPy's, and against integrals."""

import numpy as np
import pytest
from scipy import fft, integrate

from skphys.neural._transforms import axis_modes

RNG = np.random.default_rng(0)


def through(points, n_modes, u, *, real=True, **options):
    """Return the coefficients of u, and what comes back from them."""
    modes = axis_modes(points, n_modes, real=real, **options)
    coefficients = modes.analysis(points) @ u
    return coefficients, modes.synthesis(points, real=real) @ coefficients


@pytest.mark.parametrize("n", [9, 12])
@pytest.mark.parametrize("points", ["nodes", "periodic"])
def test_even_points_without_padding_are_the_discrete_transform(n, points):
    """All modes, and with an even number of points the Nyquist mode, which counts once."""
    x = 3.0 + 0.2 * np.arange(n)
    period = 0.2 * n if points == "periodic" else None
    u = RNG.normal(size=n)
    coefficients, back = through(x, n // 2 + 1, u, period=period)
    np.testing.assert_allclose(coefficients, np.fft.rfft(u) / n, atol=1e-14)
    np.testing.assert_allclose(back.real, u, atol=1e-13)


def test_few_modes_are_the_low_pass():
    x, u = np.linspace(0.0, 1.0, 20), RNG.normal(size=20)
    kept = np.fft.rfft(u)
    kept[6:] = 0.0
    _, back = through(x, 6, u)
    np.testing.assert_allclose(back.real, np.fft.irfft(kept, 20), atol=1e-13)


def test_complex_fields_have_both_signs():
    x, u = np.arange(10.0), RNG.normal(size=10) + 1j * RNG.normal(size=10)
    coefficients, back = through(x, 4, u, real=False, period=10.0)
    kept = np.r_[0:4, -3:0]
    np.testing.assert_allclose(coefficients, (np.fft.fft(u) / 10)[kept], atol=1e-14)
    spectrum = np.zeros(10, complex)
    spectrum[kept] = np.fft.fft(u)[kept]
    np.testing.assert_allclose(back, np.fft.ifft(spectrum), atol=1e-13)


@pytest.mark.parametrize(("n", "padding"), [(16, 0.25), (15, 0.2), (16, 1.0)])
def test_padding_is_padding_by_zeros(n, padding):
    u, longer = RNG.normal(size=n), n + round(padding * n)
    coefficients, back = through(np.linspace(0, 1, n), 6, u, padding=padding)
    spectrum = np.fft.rfft(u, longer)
    np.testing.assert_allclose(coefficients, spectrum[:6] / longer, atol=1e-14)
    spectrum[6:] = 0.0
    np.testing.assert_allclose(back.real, np.fft.irfft(spectrum, longer)[:n], atol=1e-13)


@pytest.mark.parametrize("n", [9, 12])
def test_reflection_is_the_transform_of_the_mirrored_signal(n):
    u = RNG.normal(size=n)
    mirrored = np.concatenate([u, u[-2:0:-1]])
    x = np.linspace(-1.0, 1.0, n)
    coefficients, back = through(x, n, u, padding="reflect")
    np.testing.assert_allclose(coefficients, np.fft.rfft(mirrored) / len(mirrored), atol=1e-14)
    np.testing.assert_allclose(coefficients, fft.dct(u, type=1) / (2 * n - 2), atol=1e-14)
    np.testing.assert_allclose(back.real, u, atol=1e-13)
    kept = fft.dct(u, type=1)
    kept[5:] = 0.0
    _, low = through(x, 5, u, padding="reflect")
    np.testing.assert_allclose(low.real, fft.idct(kept, type=1), atol=1e-13)


def test_cells_are_reflected_at_their_edges():
    """The mirrored signal repeats the averages of the first and of the last cell."""
    u, edges = RNG.normal(size=10), np.linspace(0.0, 2.0, 11)
    x = 0.5 * (edges[1:] + edges[:-1])
    coefficients, back = through(x, 10, u, padding="reflect", span=(0.0, 2.0))
    np.testing.assert_allclose(coefficients, fft.dct(u, type=2) / 20, atol=1e-14)
    np.testing.assert_allclose(back.real, u, atol=1e-13)


@pytest.mark.parametrize("options", [{"period": 2.0}, {"padding": "reflect"}, {"padding": 0.5}])
def test_uneven_points_are_quadrature(options):
    """Coefficients tend to the integrals over the ring, at the trapezoid rule's rate."""

    def u(x):
        return np.exp(np.sin(np.pi * x)) * (1.0 if "period" in options else np.sin(np.pi * x / 2))

    def points(n):
        s = np.arange(n) / n if "period" in options else np.linspace(0.0, 1.0, n)
        return 2.0 * (s + 0.1 * np.sin(2 * np.pi * s))

    def error(n):
        modes = axis_modes(points(n), 4, real=True, **options)
        found = modes.analysis(points(n)) @ u(points(n))
        exact = []
        for k in range(4):
            angle = 2 * np.pi * k / modes.period
            parts = [
                integrate.quad(lambda x, f=f, w=angle: u(x) * f(w * x), 0.0, 2.0)[0] / modes.period
                for f in (np.cos, np.sin)
            ]
            exact.append(2 * parts[0] if modes.mirrored else parts[0] - 1j * parts[1])
        return np.abs(found - exact).max()

    assert error(400) < 1e-3
    assert error(400) < 0.3 * error(200)


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize("padding", [0.0, 0.3, "reflect"])
def test_a_constant_is_a_constant_on_every_grid(padding, cells):
    """The mean that a finer grid reads is the one of training."""

    def points(n):
        edges = np.linspace(0.0, 1.0, n + 1)
        return 0.5 * (edges[1:] + edges[:-1]) if cells else np.linspace(0.0, 1.0, n)

    modes = axis_modes(
        points(16), 4, real=True, padding=padding, span=(0.0, 1.0) if cells else None
    )
    mean = [modes.analysis(points(n))[0].sum() for n in (16, 31, 100)]
    np.testing.assert_allclose(mean, mean[0], rtol=1e-13)
    np.testing.assert_allclose(mean[0], 1.0 / (1.3 if padding == 0.3 else 1.0), rtol=1e-13)


def test_one_point_has_its_mean():
    coefficients, back = through([0.7], 1, np.array([5.0]))
    assert coefficients == 5.0 and back == 5.0

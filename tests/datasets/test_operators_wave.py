"""Two-dimensional waves against the method of lines."""

import numpy as np
from scipy.integrate import solve_ivp

from skphys.datasets import make_wave

TIMES = np.array([0.3, 0.7])


def laplacian(u, h):
    """Five points; values beyond a wall are those in front of it."""
    padded = np.pad(u, 1, mode="reflect")
    inner = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    return (inner - 4.0 * u) / h**2


def solve(n, c):
    data = make_wave(1, c=c, n_modes=2, t=TIMES, n_points=n + 1, random_state=4)
    start = data.input_grid.reshape(data.inputs)[0]

    def rhs(t, state):
        u, speed = state.reshape(2, *start.shape)
        return np.concatenate([speed.ravel(), c**2 * laplacian(u, 1.0 / n).ravel()])

    state = np.concatenate([start.ravel(), np.zeros(start.size)])
    found = solve_ivp(rhs, (0.0, TIMES[-1]), state, "DOP853", TIMES, rtol=1e-9, atol=1e-10)
    fields = found.y[: start.size].T.reshape(2, *start.shape)
    return data.grid.reshape(data.target)[0], fields


def test_wave_solves_the_wave_equation_between_walls():
    exact, coarse = solve(16, 1.3)
    fine = solve(32, 1.3)[1][:, ::2, ::2]
    error = np.abs(coarse - exact).max()
    assert np.abs(fine - exact).max() < 0.3 * error
    np.testing.assert_allclose(fine + (fine - coarse) / 3.0, exact, rtol=0, atol=0.02 * error)


def test_wave_reflects_and_keeps_its_mean():
    waves = make_wave(4, t=[0.0, 0.4], n_points=(65, 33), random_state=0)
    fields = waves.grid.reshape(waves.target)
    np.testing.assert_array_equal(fields[:, 0].reshape(4, -1), waves.inputs)
    for axis in (2, 3):
        u = np.moveaxis(fields, axis, 0)
        slope = (-3.0 * u[0] + 4.0 * u[1] - u[2]) / 2.0 * (len(u) - 1)
        other = (3.0 * u[-1] - 4.0 * u[-2] + u[-3]) / 2.0 * (len(u) - 1)
        inner = np.abs(np.gradient(u, 1.0 / (len(u) - 1), axis=0)).max()
        assert max(np.abs(slope).max(), np.abs(other).max()) < 0.05 * inner
    means = waves.target @ waves.grid.integral_rows(["x", "y"]).T.toarray()
    np.testing.assert_allclose(means, 0.0, rtol=0, atol=1e-13)


def test_wave_mixture_changes_its_shape():
    waves = make_wave(3, random_state=0)
    for start, later in zip(waves.inputs, waves.target, strict=True):
        similarity = start @ later / np.sqrt((start @ start) * (later @ later))
        assert abs(similarity) < 0.95


def test_wave_has_no_constant_mode():
    assert np.abs(make_wave(5, n_modes=1, n_points=3, random_state=0).inputs).max() > 0.1

"""The shock tube against a published solution, budgets, and averages of a finer grid."""

import numpy as np
import pytest

from skphys.datasets import make_sod
from skphys.datasets._sod import Riemann


def test_sod_own_states_as_published():
    one = np.ones((1, 1))
    tube = Riemann(one, one, 0.125 * one, 0.1 * one, 1.4)
    p = tube.middle()
    rho_left, v, _ = tube.behind_rarefaction(p)
    rho_right, same, shock = tube.behind_shock(p)
    found = np.ravel([p, v, same, rho_left, rho_right, shock])
    # Toro's book, section 4.3.3, table 4.2, test 1; the speed follows from the jump.
    expected = [0.30313, 0.92745, 0.92745, 0.42632, 0.26557, 1.75216]
    np.testing.assert_allclose(found, expected, atol=6e-6)


def test_what_came_in_is_what_there_is():
    sod = make_sod(50, x0=(0.2, 0.8), t=(0.1, 0.8), random_state=0)  # waves leave at both ends
    p = sod.params
    start = {
        "rho": p["rho_left"] * p["x0"] + p["rho_right"] * (1 - p["x0"]),
        "mom": np.zeros(50),
        "E": 2.5 * (p["p_left"] * p["x0"] + p["p_right"] * (1 - p["x0"])),
    }
    assert (np.abs(sod.fluxes["rho"]) > 0.01).any(axis=0).all()
    for k, (name, fields) in enumerate(sod.grid.split(sod.target).items()):
        np.testing.assert_array_equal(fields.mean(axis=1), sod.data[:, 6 + k])
        gained = sod.fluxes[name] @ [1.0, -1.0]
        np.testing.assert_allclose(sod.data[:, 6 + k], start[name] + gained, rtol=0, atol=1e-13)


def test_until_a_wave_leaves_only_momentum_comes_in():
    sod = make_sod(50, random_state=0)
    p = sod.params
    assert np.abs(sod.fluxes["rho"]).max() == 0.0 == np.abs(sod.fluxes["E"]).max()
    np.testing.assert_allclose(sod.data[:, 7], p["t"] * (p["p_left"] - p["p_right"]), rtol=1e-13)


def test_averages_are_those_of_finer_cells():
    coarse = make_sod(20, n_points=21, random_state=1).target.reshape(20, 3, 21)
    fine = make_sod(20, n_points=21 * 7, random_state=1).target.reshape(20, 3, 21, 7)
    np.testing.assert_allclose(fine.mean(axis=3), coarse, rtol=0, atol=1e-13)


def test_it_solves_the_equations_between_times():
    """What a cell gains is what its ends let through, by a fine rule in time."""
    keep = {
        "rho_left": 1.0,
        "p_left": 1.0,
        "rho_right": 0.125,
        "p_right": 0.1,
        "x0": 0.5,
        "n_points": 200,
    }
    times = np.linspace(0.1, 0.12, 2001)
    cells = [make_sod(1, t=t, **keep).target.reshape(3, 200)[:, 20:100] for t in (0.1, 0.12)]
    gained = (cells[1] - cells[0]).sum(axis=1) / 200

    edges = np.array([0.1, 0.5])
    one = np.ones((1, 1))
    tube = Riemann(one, one, 0.125 * one, 0.1 * one, 1.4)
    rho, v, p = tube.primitive((edges - 0.5) / times[:, None])
    energy = 2.5 * p + 0.5 * rho * v**2
    flux = np.stack([rho * v, rho * v**2 + p, (energy + p) * v])
    passed = np.trapezoid(flux[..., 0] - flux[..., 1], times)
    np.testing.assert_allclose(gained, passed, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.0}, "gamma must be above 1"),
        ({"p_left": 0.1, "p_right": 0.2}, "p_left must be above p_right"),
        ({"rho_right": 0.0}, "rho_right must be above 0"),
        ({"t": 0.0}, "t must be above 0"),
        ({"n_points": 1}, "n_points"),
    ],
)
def test_what_is_not_admissible(options, message):
    with pytest.raises(ValueError, match=message):
        make_sod(2, **options)


def test_as_frame_has_names_for_laws():
    sod = make_sod(2, n_points=4, as_frame=True, random_state=0)
    assert list(sod.data.columns[6:]) == ["mass", "momentum", "energy"]
    assert list(sod.target.columns[:5]) == ["rho_0", "rho_1", "rho_2", "rho_3", "mom_0"]
    X, y = make_sod(2, n_points=4, return_X_y=True, random_state=0)
    np.testing.assert_array_equal(X, sod.data)
    np.testing.assert_array_equal(y, sod.target)

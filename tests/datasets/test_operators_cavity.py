"""The cavity's solver: published values, refinement, exact walls, conservation; and its layout."""

import numpy as np
import pytest
from joblib import Memory
from scipy.interpolate import CubicSpline

from skphys.datasets import make_lid_driven_cavity, vorticity
from skphys.datasets._cavity_solver import Cavity
from skphys.grids import Components, Grid

# U. Ghia, K. N. Ghia, C. T. Shin, Journal of Computational Physics 48 (1982), tables I and II,
# Re = 100: u along the vertical centre line, v along the horizontal one.
GHIA_U = np.array(
    [
        (0.9766, 0.84123),
        (0.9531, 0.68717),
        (0.8516, 0.23151),
        (0.7344, 0.00332),
        (0.6172, -0.13641),
        (0.5000, -0.20581),
        (0.4531, -0.21090),
        (0.2813, -0.15662),
        (0.1719, -0.10150),
        (0.1016, -0.06434),
        (0.0547, -0.03717),
    ]
)
GHIA_V = np.array(
    [
        (0.9609, -0.07391),
        (0.9453, -0.10313),
        (0.9063, -0.16914),
        (0.8047, -0.24533),
        (0.5000, 0.05454),
        (0.2344, 0.17527),
        (0.1563, 0.16077),
        (0.0938, 0.12317),
        (0.0625, 0.09233),
    ]
)


def shaped(data, fields=None):
    """Return fields as (n_samples, 2, ...)."""
    fields = data.target if fields is None else fields
    return fields.reshape(len(fields), 2, *data.grid["u"].shape)


def test_steady_flow_is_that_of_ghia_ghia_and_shin():
    options = dict(lid_speed=1.0, strength=0.0, profile="uniform", refinement=1)
    data = make_lid_driven_cavity(1, t=[14.0, 16.0], n_points=49, **options)
    before, after = shaped(data)[0].swapaxes(0, 1)
    assert np.abs(after - before).max() < 2e-3  # steady
    along = np.linspace(0.0, 1.0, 49)
    for table, line in ((GHIA_U, after[0, 24]), (GHIA_V, after[1, :, 24])):
        found = CubicSpline(along, line)(table[:, 0])
        np.testing.assert_allclose(found, table[:, 1], rtol=0, atol=5e-3)


def test_solution_converges_with_the_second_order():
    options = dict(t=[0.2, 0.6], n_points=13, random_state=1)
    fields = [make_lid_driven_cavity(3, refinement=r, **options).target for r in (1, 2, 4)]
    coarse, fine = np.abs(fields[0] - fields[1]).max(), np.abs(fields[1] - fields[2]).max()
    assert 3.0 < coarse / fine < 6.0


def test_solver_needs_no_square_grid():
    options = dict(t=0.5, refinement=1, random_state=1)
    square = shaped(make_lid_driven_cavity(2, n_points=49, **options))
    oblong = shaped(make_lid_driven_cavity(2, n_points=(25, 49), **options))
    np.testing.assert_allclose(oblong, square[:, :, ::2], rtol=0, atol=0.02)


def test_similar_flows_are_scaled_copies():
    # u = U f(x, U t; Re): twice the speed in half the time is the same flow.
    options = dict(n_points=17, random_state=0)
    slow = make_lid_driven_cavity(1, lid_speed=0.6, strength=0.2, t=1.0, **options)
    fast = make_lid_driven_cavity(1, lid_speed=1.2, strength=0.4, t=0.5, **options)
    np.testing.assert_allclose(fast.target, 2.0 * slow.target, rtol=0, atol=1e-6)


@pytest.mark.parametrize("profile", ["regularized", "uniform"])
def test_walls_hold_the_fluid_exactly(profile):
    data = make_lid_driven_cavity(
        3, t=[0.0, 0.1], n_points=(9, 13), profile=profile, refinement=1, random_state=0
    )
    fields = shaped(data)
    lid = data.boundary_values["lid"][:, None] * data.lid_profile
    assert data.lid_profile[[0, -1]].tolist() == [0.0, 0.0]
    for k in (0, 1):
        np.testing.assert_array_equal(fields[:, 0, k, :, -1], lid)
        np.testing.assert_array_equal(fields[:, 0, k, :, 0], 0.0)
        np.testing.assert_array_equal(fields[:, 1, k][..., [0, -1]], 0.0)
        np.testing.assert_array_equal(fields[:, :, k, [0, -1]], 0.0)
    np.testing.assert_array_equal(fields[:, :, 0].reshape(3, -1), data.inputs)


def test_flow_is_incompressible():
    data = make_lid_driven_cavity(2, t=[0.0, 0.3], n_points=33, refinement=1, random_state=0)
    u, v = shaped(data).swapaxes(0, 1)
    divergence = np.gradient(u, axis=2) + np.gradient(v, axis=3)
    inner = (slice(None), 1, slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(divergence[inner], 0.0, rtol=0, atol=1e-14)
    start = divergence[:, 0, 2:-2, 2:-2]  # sampled exactly: zero to the differences' error
    assert np.abs(start).max() < 0.05 * np.abs(np.gradient(u, axis=2)).max()


def test_start_has_the_strength_stated():
    data = make_lid_driven_cavity(4, strength=(0.1, 2.0), t=0.0, n_points=65, random_state=0)
    fields = shaped(data)
    fields[:, 0, :, -1] = 0.0  # without the lid
    weights = data.grid["u"].weights()
    square = (fields.reshape(4, 2, -1) ** 2).sum(1) @ weights
    np.testing.assert_allclose(np.sqrt(square), data.params["strength"], rtol=1e-10)


def test_rest_stays_at_rest_until_the_lid_moves():
    data = make_lid_driven_cavity(2, strength=0.0, t=0.0, n_points=9, random_state=0)
    inner = shaped(data)[:, :, 1:-1, 1:-1]
    np.testing.assert_array_equal(inner, 0.0)


def test_poisson_solver_inverts_the_laplacian():
    cavity = Cavity((12, 9))
    source = np.random.RandomState(0).standard_normal((2, 10, 7))
    np.testing.assert_allclose(
        -cavity.laplacian(cavity.stream_function(source)), source, atol=1e-11
    )


def test_samples_do_not_depend_on_the_chunks(monkeypatch):
    options = dict(t=0.3, n_points=9, refinement=1, random_state=0)
    together = make_lid_driven_cavity(5, **options).target
    monkeypatch.setattr("skphys.datasets._cavity_solver.CHUNK", 1)
    alone = make_lid_driven_cavity(5, **options).target
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-13)


def test_default_times_are_25_steps():
    data = make_lid_driven_cavity(1, n_points=5, refinement=1, random_state=0)
    np.testing.assert_allclose(data.grid["u"]["t"], np.linspace(0.08, 2.0, 25))
    assert data.target.shape == (1, 2 * 25 * 25)


@pytest.mark.parametrize("given", ["path", "memory"])
def test_solutions_are_kept_on_disk(tmp_path, monkeypatch, given):
    memory = str(tmp_path) if given == "path" else Memory(tmp_path, verbose=0)
    options = dict(t=0.2, n_points=9, refinement=1, memory=memory, random_state=0)
    first = make_lid_driven_cavity(2, **options).target
    monkeypatch.setattr(Cavity, "step", lambda *_: pytest.fail("solved again"))
    np.testing.assert_array_equal(make_lid_driven_cavity(2, **options).target, first)


def test_vorticity_of_an_exact_flow():
    plane = Grid(t=[0.0, 1.0], x=np.linspace(0.0, 1.0, 81), y=np.linspace(0.0, 2.0, 161))
    t, x, y = plane.points.T
    u, v = (1.0 + t) * np.sin(x) * np.cos(y), -(1.0 + t) * np.cos(x) * np.sin(y)
    found = vorticity(np.concatenate([u, v])[None], Components(u=plane, v=plane))
    expected = plane.reshape(2.0 * (1.0 + t) * np.sin(x) * np.sin(y))
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-3)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="profile must be one of"):
        make_lid_driven_cavity(1, profile="flat")
    with pytest.raises(ValueError, match="strength must be at least 0"):
        make_lid_driven_cavity(1, strength=-0.1)
    with pytest.raises(ValueError, match="reynolds must be above 0"):
        make_lid_driven_cavity(1, reynolds=(0.0, 100.0))
    with pytest.raises(ValueError, match="refinement must be an integer"):
        make_lid_driven_cavity(1, refinement=1.5)

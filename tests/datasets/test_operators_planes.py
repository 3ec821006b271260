"""Darcy flow, and heat that a flow carries: solvers, walls and layout."""

import pickle

import numpy as np
import pytest

from skphys.constraints import boundary_constraints, boundary_values
from skphys.datasets import make_advection_diffusion, make_darcy
from skphys.datasets._advection_diffusion import rate
from skphys.datasets._darcy import permeability, solve_darcy
from skphys.metrics import boundary_error


def manufactured(n_x, n_y):
    """Return the largest error for u = sin(2 x) exp(y) and a = exp(x y)."""
    x, y = np.linspace(0, 1, n_x), np.linspace(0, 1, n_y)
    middle_x, middle_y = 0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1])
    exact = np.multiply.outer(np.sin(2 * x), np.exp(y))
    X, Y = np.meshgrid(x, y, indexing="ij")
    slope_x, slope_y = 2 * np.cos(2 * X) * np.exp(Y), exact
    source = -np.exp(X * Y) * (Y * slope_x - 4 * exact + X * slope_y + exact)
    walls = np.where((X % 1 == 0) | (Y % 1 == 0), exact, np.nan)
    a_x, a_y = np.exp(np.multiply.outer(middle_x, y)), np.exp(np.multiply.outer(x, middle_y))
    return np.abs(solve_darcy(a_x, a_y, source, np.nan_to_num(walls)) - exact).max()


def test_darcy_converges_to_a_manufactured_solution():
    coarse, fine = manufactured(9, 13), manufactured(17, 25)
    assert fine < 1e-3
    assert 3.5 < coarse / fine < 4.5


def test_pressure_in_an_even_medium_is_linear_between_the_walls():
    data = make_darcy(3, contrast=0.0, source=0.0, n_points=(6, 9), random_state=0)
    np.testing.assert_array_equal(data.inputs, 1.0)
    (x, y), p = data.grid.points.T, {k: v[:, None] for k, v in data.boundary_values.items()}
    expected = (p["p00"] * (1 - y) + p["p01"] * y) * (1 - x)
    expected = expected + (p["p10"] * (1 - y) + p["p11"] * y) * x
    np.testing.assert_allclose(data.target, expected, rtol=0, atol=1e-12)


def test_what_is_injected_leaves_through_the_walls():
    n = 17
    rng = np.random.default_rng(0)
    a_x, a_y = rng.uniform(0.5, 2.0, (n - 1, n)), rng.uniform(0.5, 2.0, (n, n - 1))
    u = solve_darcy(a_x, a_y, 3.0, np.zeros((n, n)))
    through_x, through_y = a_x * np.diff(u, axis=0), a_y * np.diff(u, axis=1)
    out = through_x[0].sum() - through_x[-1].sum() + through_y[:, 0].sum() - through_y[:, -1].sum()
    np.testing.assert_allclose(out, 3.0 * (n - 2) ** 2 / (n - 1) ** 2, rtol=1e-12)


def test_permeability_is_log_normal_of_the_contrast_stated():
    modes = np.random.default_rng(0).standard_normal((4000, 6, 6))
    nodes = np.linspace(0, 1, 41)
    log = np.log(permeability(modes, np.full(4000, 0.7), nodes, nodes))
    weights = np.full(41, 1 / 40)
    weights[[0, -1]] /= 2
    np.testing.assert_allclose(np.sqrt((log**2).mean(0) @ weights @ weights), 0.7, rtol=0.03)
    np.testing.assert_allclose(log.mean(), 0.0, atol=0.03)


def test_differences_converge_to_the_equation():
    errors = []
    for n in (17, 33):
        x = np.linspace(0.0, 1.0, n)
        X, Y = np.meshgrid(x[1:-1], x, indexing="ij")
        u = np.sin(np.pi * X) * np.cos(2 * np.pi * Y)
        u_x = np.pi * np.cos(np.pi * X) * np.cos(2 * np.pi * Y)
        u_y = -2 * np.pi * np.sin(np.pi * X) * np.sin(2 * np.pi * Y)
        w_x = np.sin(np.pi * X) * np.cos(np.pi * Y)
        w_y = -np.cos(np.pi * X) * np.sin(np.pi * Y)
        diffusion, advection, along_x = rate(x, x)
        np.testing.assert_allclose(along_x, w_x.ravel(), atol=1e-15)
        found = np.stack([diffusion @ u.ravel(), advection @ u.ravel()])
        exact = np.stack([-5 * np.pi**2 * u, -(w_x * u_x + w_y * u_y)]).reshape(2, -1)
        errors.append(np.abs(found - exact).max(axis=1) / np.abs(exact).max(axis=1))
    ratio = errors[0] / errors[1]
    assert (ratio > 3.5).all() and (ratio < 4.5).all() and (errors[1] < 0.01).all()


def test_without_a_flow_modes_decay():
    data = make_advection_diffusion(3, speed=0.0, k=0.1, n_modes=1, t=[0.2, 0.7], random_state=0)
    start, after = data.inputs, data.target.reshape(3, 2, -1)
    x = data.input_grid.points[:, 0]
    left, right = (data.boundary_values[name][:, None] for name in ("left", "right"))
    linear = left * (1 - x) + right * x
    for k, t in enumerate((0.2, 0.7)):
        expected = linear + (start - linear) * np.exp(-0.1 * np.pi**2 * t)
        np.testing.assert_allclose(after[:, k], expected, rtol=0, atol=1e-3)


def test_heat_converges_with_the_second_order():
    options = dict(k=0.05, t=0.4, n_points=9, random_state=1)
    fields = [make_advection_diffusion(3, refinement=r, **options).target for r in (2, 4, 8)]
    coarse, fine = np.abs(fields[0] - fields[1]).max(), np.abs(fields[1] - fields[2]).max()
    assert 3.0 < coarse / fine < 5.5


def test_the_flow_carries_heat_and_stays_between_the_walls():
    hot = dict(left=1.0, right=0.0, amplitude=0.0, k=0.02, t=4.0, n_points=17, random_state=0)
    still = make_advection_diffusion(1, speed=0.0, **hot).target.reshape(17, 17)
    turned = make_advection_diffusion(1, speed=1.0, **hot).target.reshape(17, 17)
    back = make_advection_diffusion(1, speed=-1.0, **hot).target.reshape(17, 17)
    assert np.abs(turned - still).max() > 0.1
    np.testing.assert_allclose(back, turned[:, ::-1], rtol=0, atol=1e-10)
    assert turned.min() > -1e-3 and turned.max() < 1.001
    through = (turned[0] - turned[1]).mean() / (still[0] - still[1]).mean()
    assert through > 1.5  # than by conduction alone


@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.parametrize("make", [make_darcy, make_advection_diffusion])
def test_walls_hold_what_is_prescribed(make, as_frame):
    data = make(3, n_points=(9, 12), refinement=1, as_frame=as_frame, random_state=0)
    boundary = pickle.loads(pickle.dumps(data.boundary))
    faces = [f for f in boundary_constraints(boundary, data.grid) if f[1].kind == "dirichlet"]
    assert len(faces) == (4 if make is make_darcy else 2)
    values = boundary_values(faces, data.grid, data.data)
    fields = np.asarray(data.target).reshape(3, 9, 12)
    np.testing.assert_allclose(values["x_right"], fields[:, -1], rtol=0, atol=1e-15)
    if make is make_darcy:
        np.testing.assert_allclose(values["y_left"], fields[:, :, 0], rtol=0, atol=1e-15)
    miss = boundary_error(data.target, faces, data.grid, data.data, kind="absolute")
    assert miss.max() < 1e-15


@pytest.mark.parametrize("make", [make_darcy, make_advection_diffusion])
def test_solutions_are_kept_on_disk(tmp_path, monkeypatch, make):
    options = dict(n_points=5, refinement=1, memory=str(tmp_path), random_state=0)
    first = make(2, **options).target
    for name in ("_darcy.solve_darcy", "_advection_diffusion.expm_multiply"):
        monkeypatch.setattr(f"skphys.datasets.{name}", lambda *_: pytest.fail("solved again"))
    np.testing.assert_array_equal(make(2, **options).target, first)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="contrast must be at least 0"):
        make_darcy(1, contrast=-0.1)
    for make in (make_darcy, make_advection_diffusion):
        for name in ("n_modes", "refinement"):
            with pytest.raises(ValueError, match=f"{name} must be an integer"):
                make(1, **{name: 1.5})

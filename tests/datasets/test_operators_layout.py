"""What all operator data have in common."""

import numpy as np
import pandas as pd
import pytest

from skphys.datasets import (
    make_advection_diffusion,
    make_burgers_periodic,
    make_burgers_riemann,
    make_darcy,
    make_heat_robin,
    make_heat_rod,
    make_lid_driven_cavity,
    make_stokes,
    make_wave,
)
from skphys.grids import Components


def make_cavity(n_samples, **options):
    return make_lid_driven_cavity(n_samples, **{"refinement": 1, "t": 0.1} | options)


def make_heat(n_samples, **options):
    return make_advection_diffusion(n_samples, **{"refinement": 1} | options)


LINES = [make_stokes, make_heat_rod, make_heat_robin, make_burgers_riemann, make_burgers_periodic]
PLANES = [make_wave, make_cavity, make_heat]
SOLVED = [make_cavity, make_heat, make_darcy]  # by differences on the nodes
every = pytest.mark.parametrize("make", [*LINES, *PLANES, make_darcy])
moving = pytest.mark.parametrize("make", LINES + PLANES)
TIMES = [0.1, 0.2, 0.4]


def n_components(grid):
    return len(grid.grids) if isinstance(grid, Components) else 1


def one(grid):
    return grid["u"] if isinstance(grid, Components) else grid


@every
def test_rows_are_fields_then_values(make):
    data = make(4, n_points=9, random_state=0)
    n_values = len(data.boundary_values)
    assert data.data.shape == (4, data.input_grid.n_points + n_values)
    assert data.target.shape == (4, data.grid.n_points)
    assert data.data.dtype == data.target.dtype == np.float64
    assert data.data.shape[1] == len(data.feature_names) == len(set(data.feature_names))
    assert data.target.shape[1] == len(data.target_names) == len(set(data.target_names))
    assert data.feature_names[0] == ("a_0" if make is make_darcy else "u0_0")
    assert data.target_names[-1].startswith("v_" if make is make_cavity else "u_")
    assert data.feature_names[data.inputs.shape[1] :] == list(data.boundary_values)
    np.testing.assert_array_equal(data.data[:, : data.inputs.shape[1]], data.inputs)
    for name, values in data.boundary_values.items():
        np.testing.assert_array_equal(data.data[:, data.feature_names.index(name)], values)
    assert all(values.shape == (4,) for values in data.params.values())
    assert np.isfinite(data.data).all() and np.isfinite(data.target).all()


@every
def test_frames_hold_the_same_numbers(make):
    arrays = make(3, n_points=8, random_state=0)
    frames = make(3, n_points=8, random_state=0, as_frame=True)
    assert isinstance(frames.data, pd.DataFrame) and isinstance(frames.target, pd.DataFrame)
    assert list(frames.data) == arrays.feature_names
    assert list(frames.frame) == arrays.feature_names + arrays.target_names
    np.testing.assert_array_equal(frames.data, arrays.data)
    np.testing.assert_array_equal(frames.target, arrays.target)
    X, y = make(3, n_points=8, random_state=0, return_X_y=True)
    np.testing.assert_array_equal(X, arrays.data)
    np.testing.assert_array_equal(y, arrays.target)


@every
def test_random_state_alone_decides(make):
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (make(3, n_points=8, random_state=s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first.data, again.data)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.inputs, other.inputs)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@every
def test_finer_grids_hold_the_same_fields(make):
    n, fine = (8, 16) if make is make_burgers_periodic else (9, 17)
    options = {"refinement": 2} if make in SOLVED else {}
    coarse = make(3, n_points=n, random_state=2, **options)
    finer = make(3, n_points=fine, random_state=2, **options | {"refinement": 1} if options else {})
    for grid, field in (("input_grid", "inputs"), ("grid", "target")):
        shape = one(finer[grid]).shape
        values = finer[field].reshape(3, -1, *shape)
        values = values[:, :, ::2, ::2] if len(shape) == 2 else values[..., ::2]
        np.testing.assert_allclose(
            coarse[field], values.reshape(3, -1), rtol=0, atol=1e-3 if options else 1e-12
        )


@moving
def test_several_times_are_an_axis(make):
    several = make(3, n_points=8, t=TIMES, random_state=1)
    assert one(several.grid).names[0] == "t"
    fields = several.target.reshape(3, n_components(several.grid), 3, -1)
    for i, t in enumerate(TIMES):
        single = make(3, n_points=8, t=t, random_state=1)
        atol = 1e-3 if make is make_cavity else 1e-12  # other time steps
        np.testing.assert_allclose(fields[:, :, i].reshape(3, -1), single.target, rtol=0, atol=atol)
        for name, values in several.boundary_values.items():
            at_time = values if values.ndim == 1 else values[:, i]
            np.testing.assert_allclose(at_time, single.boundary_values[name], rtol=0, atol=1e-12)
    names = several.feature_names[several.inputs.shape[1] :]
    assert several.data.shape[1] == several.inputs.shape[1] + len(names)
    for name, values in several.boundary_values.items():
        columns = [name] if values.ndim == 1 else [f"{name}_{i}" for i in range(3)]
        where = [several.feature_names.index(column) for column in columns]
        np.testing.assert_array_equal(several.data[:, where], values.reshape(3, -1))


@moving
def test_time_zero_is_the_input(make):
    data = make(3, n_points=8, t=0.0, random_state=1)
    np.testing.assert_allclose(data.target, data.inputs, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "name", "interval"),
    [
        (make_stokes, "amplitude", (3.0, 4.0)),
        (make_stokes, "omega", (5.0, 6.0)),
        (make_heat_rod, "amplitude", (-9.0, -7.0)),
        (make_heat_rod, "omega", (4.2, 4.8)),
        (make_heat_robin, "left", (2.0, 3.0)),
        (make_heat_robin, "right", (-3.0, -2.0)),
        (make_burgers_riemann, "left", (1.2, 1.5)),
        (make_burgers_riemann, "right", (-2.0, -1.5)),
        (make_burgers_riemann, "x0", (0.4, 0.6)),
        (make_burgers_periodic, "mean", (0.5, 1.0)),
        (make_burgers_periodic, "amplitude", (2.0, 3.0)),
        (make_wave, "amplitude", (2.0, 3.0)),
        (make_cavity, "lid_speed", (2.0, 3.0)),
        (make_cavity, "strength", (0.0, 0.1)),
        (make_heat, "speed", (-2.0, -1.0)),
        (make_heat, "amplitude", (0.0, 0.1)),
        (make_darcy, "contrast", (0.1, 0.2)),
        (make_darcy, "source", (-2.0, -1.0)),
    ],
)
def test_parameters_are_drawn_from_their_interval(make, name, interval):
    data = make(20, n_points=8, **{name: interval}, random_state=0)
    values = data.params[name]
    assert interval[0] <= values.min() < values.max() <= interval[1]
    assert np.isfinite(data.target).all()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_stokes, "nu"),
        (make_heat_rod, "k"),
        (make_heat_robin, "k"),
        (make_burgers_riemann, "nu"),
        (make_burgers_periodic, "nu"),
        (make_wave, "c"),
        (make_cavity, "reynolds"),
        (make_heat, "k"),
    ],
)
def test_coefficients_that_were_drawn_are_a_column(make, name):
    interval = (50.0, 150.0) if name == "reynolds" else (0.02, 0.05)
    data = make(3, n_points=8, **{name: interval}, random_state=0)
    assert data.feature_names[-1] == name
    np.testing.assert_array_equal(data.data[:, -1], data.params[name])
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        make(3, n_points=8, **{name: 0.0})


@every
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, got 0"),
        ({"n_points": 1}, "n_points must be an integer of at least"),
        ({"n_points": 8.0}, "n_points must be an integer"),
    ],
)
def test_bad_options_are_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**{"n_samples": 2} | options)


@moving
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t": -1.0}, "t must be a finite time of at least 0"),
        ({"t": [[0.1, 0.2]]}, "t must be a finite time"),
        ({"t": []}, "t must be a finite time"),
        ({"t": [0.2, 0.1]}, "t must be strictly increasing"),
        ({"t": np.inf}, "t must be a finite time"),
    ],
)
def test_bad_times_are_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**{"n_samples": 2} | options)


@pytest.mark.parametrize("make", [*PLANES, make_darcy])
def test_planes_take_one_count_or_two(make):
    assert one(make(1, n_points=(5, 7), random_state=0).grid).shape == (5, 7)
    with pytest.raises(ValueError, match="n_points must be an integer or a pair"):
        make(1, n_points=(5, 7, 9))

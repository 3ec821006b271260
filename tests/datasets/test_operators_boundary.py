"""The boundary that operator data state: it resolves from their X, and their targets meet it."""

import pickle

import numpy as np
import pytest

from skphys.constraints import (
    Dirichlet,
    FieldTable,
    Neumann,
    Periodic,
    boundary_constraints,
    boundary_values,
    resolve_system,
)
from skphys.datasets import (
    make_burgers_periodic,
    make_burgers_riemann,
    make_heat_robin,
    make_heat_rod,
    make_lid_driven_cavity,
    make_stokes,
    make_wave,
)


def make_cavity(**options):
    return make_lid_driven_cavity(**{"refinement": 1, "t": 0.1} | options)


HELD = [make_stokes, make_burgers_riemann, make_cavity]
SLOPES = [make_heat_rod, make_heat_robin, make_wave]


def mismatch(data):
    """Return by how much the targets miss the values of each face."""
    faces = boundary_constraints(data.boundary, data.grid)
    system = resolve_system(faces, data.grid, FieldTable(data.data))
    missed = np.abs(np.asarray(data.target) @ system.rows.T - system.values).max(0)
    names = np.array(system.names)
    return {name: missed[names == name].max() for name, _ in faces}


times = pytest.mark.parametrize("t", [0.3, [0.3], [0.1, 0.3]], ids=["one", "axis of one", "two"])
frames = pytest.mark.parametrize("as_frame", [False, True])


@times
@frames
@pytest.mark.parametrize("make", HELD)
def test_targets_hold_their_dirichlet_values_exactly(make, t, as_frame):
    data = make(n_samples=3, n_points=9, t=t, as_frame=as_frame, random_state=0)
    missed = mismatch(data)
    assert len(missed) == (8 if make is make_cavity else 2)
    assert max(missed.values()) == 0.0


@times
@frames
@pytest.mark.parametrize("make", SLOPES)
def test_targets_meet_their_slopes_to_the_order_of_the_stencil(make, t, as_frame):
    n = 64 if make is make_wave else 512
    options = dict(n_samples=3, t=t, as_frame=as_frame, random_state=0)
    coarse, fine = (mismatch(make(n_points=n + 1, **options)) for n in (n, 2 * n))
    assert len(coarse) == (4 if make is make_wave else 2)
    for name, missed in coarse.items():
        assert 0.0 < fine[name] < 0.35 * missed < 0.2


def test_values_differ_between_samples_and_times():
    rod = make_heat_rod(4, amplitude=(1.0, 5.0), t=[0.2, 0.4], n_points=9, random_state=0)
    faces = boundary_constraints(rod.boundary, rod.grid)
    values = boundary_values(faces, rod.grid, rod.data[[2, 0]])["x_right"]
    np.testing.assert_array_equal(values, rod.boundary_values["heater"][[2, 0]])


@pytest.mark.parametrize("as_frame", [False, True])
def test_values_along_the_lid_scale_its_profile(as_frame):
    cavity = make_cavity(n_samples=3, n_points=7, as_frame=as_frame, random_state=0)
    lid = cavity.boundary["u"]["y"][1]
    expected = np.outer(cavity.boundary_values["lid"], cavity.lid_profile)
    np.testing.assert_array_equal(lid.value(cavity.data), expected)
    np.testing.assert_array_equal(lid.value(cavity.data[1:]), expected[1:])


def test_kinds_are_those_of_the_problem():
    rod = make_heat_rod(1, as_frame=True).boundary["x"]
    assert [type(face) for face in rod] == [Neumann, Neumann]
    assert (rod[0].value, rod[1].value) == (0.0, "heater")
    robin = make_heat_robin(1, a=2.0, b=0.25).boundary["x"][1]
    assert (robin.a, robin.b) == (2.0, 0.25)
    assert isinstance(make_stokes(1).boundary["x"][0], Dirichlet)
    assert isinstance(make_burgers_periodic(1).boundary["x"], Periodic)
    ring = make_burgers_periodic(1, n_points=16)
    assert boundary_constraints(ring.boundary, ring.grid) == []


@pytest.mark.parametrize("make", [*HELD, *SLOPES, make_burgers_periodic])
def test_data_pickle(make):
    data = make(n_samples=2, n_points=8, t=[0.1, 0.2], random_state=0)
    copy = pickle.loads(pickle.dumps(data))
    assert copy.grid == data.grid
    assert make is make_burgers_periodic or mismatch(copy) == mismatch(data)

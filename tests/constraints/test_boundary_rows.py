"""Rows of boundaries: against plain formulas, independent of each other, and met exactly."""

import itertools
import pickle

import numpy as np
import pytest
from boundary_cases import PAIRS, along_axis, dense_rows, grid_of, uneven
from conditioning_cases import STRUCTURES, make_covariance, relative_miss
from scipy import sparse
from sklearn.base import clone

from skphys.conditioning import Gaussian, condition
from skphys.constraints import (
    BoundaryConstraint,
    Dirichlet,
    FieldTable,
    Neumann,
    Periodic,
    Robin,
    boundary_constraints,
    resolve_system,
)
from skphys.grids import Axis, Components, Grid


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_rows_of_a_box_in_time(rng):
    """Every type across every axis, by the formulas for even spacing."""
    grid = Grid(t=np.arange(4.0), x=np.arange(5.0) / 2, y=np.arange(6.0) / 4)
    u = rng.normal(size=grid.shape)
    slope_x = (3 * u[:, -1] - 4 * u[:, -2] + u[:, -3]) / (2 * 0.5)
    slope_y = -(11 / 6 * -u[..., 0] + 3 * u[..., 1] - 1.5 * u[..., 2] + u[..., 3] / 3) / 0.25
    expected = [
        (Dirichlet(), "t", "left", u[0]),
        (Dirichlet(), "x", "right", u[:, -1]),
        (Neumann(), "x", "right", slope_x),
        (Neumann(order=3), "y", "left", slope_y),
        (Robin(2.0, 3.0, order=1), "y", "right", 2 * u[..., -1] + 12 * (u[..., -1] - u[..., -2])),
        (Robin(2.0, 0.0), "y", "right", 2 * u[..., -1]),
        (Periodic(), "x", "both", u[:, 0] - u[:, -1]),
    ]
    for given, axis, face, values in expected:
        constraint = BoundaryConstraint(given, axis, face)
        rows = constraint.rows(grid)
        assert sparse.issparse(rows) and rows.format == "csr"
        np.testing.assert_allclose(rows @ u.ravel(), values.ravel(), rtol=1e-12, atol=1e-12)
        along = np.tensordot(u, constraint.stencil(grid), axes=(grid.names.index(axis), 0))
        np.testing.assert_allclose(along, values, rtol=1e-12, atol=1e-12)


def test_coefficients_that_vary_along_the_face(rng):
    grid = grid_of(x=5, y=4)
    a, b = np.arange(1.0, 5.0), np.arange(4.0)[::-1]
    constraint = BoundaryConstraint(Robin(a, b), "x", "left")
    parts = [BoundaryConstraint(c, "x", "left").rows(grid) for c in (Dirichlet(), Neumann())]
    u = rng.normal(size=grid.n_points)
    np.testing.assert_allclose(
        constraint.rows(grid) @ u, a * (parts[0] @ u) + b * (parts[1] @ u), rtol=1e-13
    )
    with pytest.raises(ValueError, match="'x_left' vary along the face"):
        constraint.stencil(grid)


def test_rows_of_one_component(rng):
    grid = Components(p=grid_of(x=3), u=grid_of(x=4, y=5))
    constraint = BoundaryConstraint(Neumann(), "y", "right", "u")
    alone = BoundaryConstraint(Neumann(), "y", "right").rows(grid["u"])
    np.testing.assert_array_equal(
        constraint.rows(grid).toarray(), np.pad(alone.toarray(), ((0, 0), (3, 0)))
    )
    assert constraint.label == "u_y_right"


def independent(boundary, grid):
    rows = dense_rows(boundary_constraints(boundary, grid), grid)
    return np.linalg.matrix_rank(rows) == len(rows)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("pair", [p for p in PAIRS if p != ("free", "free")])
def test_rows_are_independent_in_one_dimension(pair, order):
    for n in (order + 2, 12):
        assert independent({"x": along_axis(pair, order)}, grid_of(x=n))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_rows_are_independent_in_two_dimensions(order):
    grid = grid_of(x=6, y=5)
    for pairs in itertools.product(PAIRS, repeat=2):
        if pairs != (("free", "free"),) * 2:
            boundary = dict(zip("xy", (along_axis(p, order) for p in pairs), strict=True))
            assert independent(boundary, grid), pairs


@pytest.mark.parametrize("location", ["nodes", "cells"])
def test_rows_are_independent_in_three_dimensions(location):
    some = ["periodic", ("dirichlet", "neumann"), ("robin", "free"), ("neumann", "robin")]
    some[0] = "periodic" if location == "nodes" else ("dirichlet", "dirichlet")
    grid = grid_of(location, x=4, y=5, z=4)
    for pairs in itertools.product(some, repeat=3):
        boundary = dict(zip("xyz", (along_axis(p) for p in pairs), strict=True))
        assert independent(boundary, grid), pairs


@pytest.mark.parametrize("pair", [("dirichlet",) * 2, ("neumann",) * 2, "periodic"])
def test_no_point_that_a_whole_face_holds_is_lost(pair):
    """The rows leave as much freedom as the interior has, no less and no more."""
    boundary = {axis: along_axis(pair) for axis in "xyz"}
    grid = grid_of(x=5, y=4, z=6)
    taken = 1 if pair == "periodic" else 2
    n_rows = len(dense_rows(boundary_constraints(boundary, grid), grid))
    assert grid.n_points - n_rows == (5 - taken) * (4 - taken) * (6 - taken)


def test_values_win_over_slopes_and_earlier_axes_over_later():
    grid = grid_of(x=4, y=5)
    faces = dict(boundary_constraints({"x": Neumann(), "y": (Dirichlet(), Robin(1, 1))}, grid))
    assert list(faces) == ["x_left", "x_right", "y_left", "y_right"]
    assert {name: len(face.corners) for name, face in faces.items()} == {
        "x_left": 1,
        "x_right": 1,
        "y_left": 0,
        "y_right": 2,
    }
    assert [face.rows(grid).shape[0] for face in faces.values()] == [4, 4, 4, 2]


def test_half_open_axes_state_nothing():
    grid = Grid(x=Axis.periodic(0, 1, 8), y=uneven(4))
    faces = boundary_constraints({"x": Periodic(), "y": (None, Dirichlet())}, grid)
    assert [name for name, _ in faces] == ["y_right"]
    assert boundary_constraints({}, grid) == boundary_constraints({"x": None}, grid) == []


CASES = {
    "1-D": ({"x": along_axis(("robin", "neumann"), 3)}, grid_of(x=30)),
    "space and time": (
        {"t": (Dirichlet(), None), "x": along_axis(("dirichlet", "robin"))},
        grid_of(t=9, x=14),
    ),
    "mixed": (
        {"x": along_axis(("neumann", "dirichlet")), "y": along_axis(("robin", "neumann"))},
        grid_of(x=8, y=9),
    ),
    "cells": (
        {"x": along_axis(("dirichlet", "neumann")), "y": along_axis(("dirichlet", "robin"))},
        grid_of("cells", x=8, y=9),
    ),
    "3-D": (
        {"x": Periodic(), "y": along_axis(("neumann", "robin")), "z": Dirichlet()},
        grid_of(x=6, y=5, z=7),
    ),
}


@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("case", CASES)
def test_conditioning_is_exact(case, kind, rng):
    boundary, grid = CASES[case]
    constraints = boundary_constraints(boundary, grid)
    rows = sparse.vstack([c.rows(grid) for _, c in constraints], format="csr")
    values = rng.normal(size=(3, rows.shape[0]))
    prior = Gaussian(
        rng.normal(size=(3, grid.n_points)), make_covariance(kind, rng, 3, grid.n_points)
    )
    for given in (rows, rows.toarray()):
        field = condition(prior, given, values)
        assert relative_miss(field.mean, rows.toarray(), values).max() < 1e-12
        for draw in field.sample(2, 0):
            assert relative_miss(draw, rows.toarray(), values).max() < 1e-12
        dirichlet = np.flatnonzero(np.diff(rows.indptr) == 1)
        std = np.broadcast_to(field.std(), field.mean.shape)
        assert (std[:, rows.indices[rows.indptr[dirichlet]]] == 0).all()


def test_conditioning_many_sparse_rows(rng):
    """A cube with mixed walls, whose 2,168 rows stay sparse."""
    grid = grid_of(x=20, y=20, z=20)
    boundary = {
        "x": (Dirichlet(1.0), Neumann(0.5)),
        "y": (Robin(1.0, 2.0, 0.3), Neumann(0.0)),
        "z": Neumann(0.0, order=3),
    }
    named = boundary_constraints(boundary, grid)
    system = resolve_system(named, grid, FieldTable(np.empty((2, 0))))
    assert sparse.issparse(system.rows)
    assert system.rows.shape[0] == 20**3 - 18**3
    prior = Gaussian(rng.normal(size=(2, grid.n_points)), make_covariance("shared", rng, 2, 8000))
    mean = condition(prior, system.rows, system.values).mean
    miss = np.abs(mean @ system.rows.T - system.values)
    assert (miss <= 1e-12 * (np.abs(mean) @ abs(system.rows).T + np.abs(system.values))).all()


def test_a_face_is_made_once_and_anew_if_anything_changes():
    grid, a = grid_of(x=5, y=4), np.ones(4)
    constraint = BoundaryConstraint(Robin(a, 1.0), "x", "left", corners=[("y", "left")])
    face = constraint.on(grid)
    assert constraint.on(grid) is face
    constraint.rows(grid).data[:] = 0.0  # a copy, so that this changes nothing
    assert constraint.rows(grid).nnz == np.count_nonzero(constraint.rows(grid).data) > 0
    assert pickle.dumps(clone(constraint)) == pickle.dumps(constraint)
    changes = [
        lambda: a.__setitem__(0, 3.0),  # in place
        lambda: constraint.set_params(condition__a=np.full((4, 1), 2.0)[:, 0]),
        lambda: constraint.set_params(condition__order=1),
        lambda: constraint.set_params(condition=Neumann(order=1)),
        lambda: constraint.set_params(face="right"),
        lambda: constraint.set_params(corners=()),
        lambda: constraint.set_params(axis="y"),
    ]
    for change in changes:
        change()
        new = clone(constraint)
        assert constraint.on(grid) is not face
        np.testing.assert_array_equal(constraint.rows(grid).toarray(), new.rows(grid).toarray())
        face = constraint.on(grid)
    assert constraint.on(grid_of(x=5, y=4)) is not face

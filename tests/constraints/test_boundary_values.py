"""Values of boundary conditions: where they come from, and whether faces agree."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from boundary_cases import grid_of
from sklearn.base import clone

from skphys.constraints import (
    BoundaryConstraint,
    Column,
    Dirichlet,
    FieldTable,
    FromInput,
    Neumann,
    Periodic,
    Robin,
    boundary_constraints,
    boundary_values,
    resolve_system,
)
from skphys.grids import Axis, Components, Grid, Mesh

GRID = Grid(t=np.arange(3.0), x=np.linspace(0, 1, 5), y=np.linspace(0, 2, 4))
X = pd.DataFrame({"heater": [1.0, 2.0], "other": [5.0, 6.0]})
FACE = np.arange(12.0).reshape(3, 4)  # x_left has the shape (n_t, n_y)


def per_sample(X):
    return np.asarray(X)[:, 0]


def per_point(X):
    return np.asarray(X)[:, 0, None, None] * FACE


def flat(X):
    return per_point(X).reshape(2, -1)


VALUES = {
    "number": (3.0, np.full((1, 3, 4), 3.0)),
    "array": (FACE, FACE[None]),
    "flat": (FACE.ravel(), FACE[None]),
    "list": (FACE.tolist(), FACE[None]),
    "along y": (FACE[0], np.tile(FACE[0], (1, 3, 1))),
    "over time": (FACE[:, :1], np.tile(FACE[None, :, :1], (1, 1, 4))),
    "column": ("heater", np.ones((1, 3, 4)) * [[[1.0]], [[2.0]]]),
    "position": (Column(1), np.ones((1, 3, 4)) * [[[5.0]], [[6.0]]]),
    "per sample": (per_sample, np.ones((1, 3, 4)) * [[[1.0]], [[2.0]]]),
    "per point": (per_point, FACE * [[[1.0]], [[2.0]]]),
    "flat callable": (flat, FACE * [[[1.0]], [[2.0]]]),
}


@pytest.mark.parametrize("given", [Dirichlet, Neumann, lambda value: Robin(1.0, 2.0, value)])
@pytest.mark.parametrize("name", VALUES)
def test_values(name, given):
    value, expected = VALUES[name]
    named = boundary_constraints({"x": (given(value), None)}, GRID)
    values = boundary_values(named, GRID, X)["x_left"]
    np.testing.assert_array_equal(values, expected)
    system = resolve_system(named, GRID, FieldTable(X))
    full = np.broadcast_to(expected, (2, 3, 4)).reshape(2, 12)
    np.testing.assert_array_equal(system.values, full)
    assert set(system.names) == {"x_left"}


def test_values_on_a_single_axis():
    grid = grid_of(x=4)
    for value, expected in [(2.0, [2]), ("heater", [1, 2]), (per_sample, [1, 2]), ([2.0], [2])]:
        named = boundary_constraints({"x": (None, Neumann(value))}, grid)
        np.testing.assert_array_equal(boundary_values(named, grid, X)["x_right"], expected)
        system = resolve_system(named, grid, FieldTable(X))
        np.testing.assert_array_equal(system.values[:, 0], np.broadcast_to(expected, 2))


def test_values_at_points_without_rows():
    """The whole face for networks; the rows for conditioning."""
    boundary = {"x": Dirichlet(2.0), "y": (Neumann(np.arange(15.0).reshape(3, 5)), None)}
    named = boundary_constraints(boundary, GRID)
    values = boundary_values(named, GRID, X)["y_left"]
    np.testing.assert_array_equal(values, np.arange(15.0).reshape(1, 3, 5))
    system = resolve_system([named[-1]], GRID, FieldTable(X))
    assert system.values[0].tolist() == [1, 2, 3, 6, 7, 8, 11, 12, 13]


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("layout", ["flat", "frame", "stacked", "sparse"])
def test_from_input(layout, channel):
    """The input's own value, slope and combination."""
    from scipy import sparse

    fields = np.random.default_rng(0).normal(size=(4, 2, *GRID.shape))
    table = np.hstack([fields.reshape(4, -1), np.ones((4, 1))])  # a value column after them
    given = {
        "flat": table,
        "frame": pd.DataFrame(table, columns=[f"c{i}" for i in range(table.shape[1])]),
        "stacked": fields,
        "sparse": sparse.csr_array(table),
    }[layout]
    u = fields[:, channel]
    slope = -(-3 * u[:, :, 0] + 4 * u[:, :, 1] - u[:, :, 2]) / (2 * 0.25)
    source = FromInput(channel)
    for condition, expected in [
        (Dirichlet(source), u[:, :, 0]),
        (Neumann(source), slope),
        (Robin(2.0, 3.0, source), 2 * u[:, :, 0] + 3 * slope),
        (Robin(2.0, np.arange(4.0), source), 2 * u[:, :, 0] + np.arange(4.0) * slope),
    ]:
        named = boundary_constraints({"x": (condition, None)}, GRID)
        values = boundary_values(named, GRID, given)["x_left"]
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


def test_from_input_of_components():
    grid = Components(u=grid_of(x=3), v=grid_of(x=3))
    inputs = np.arange(12.0).reshape(2, 6)
    boundary = {"v": {"x": (None, Dirichlet(FromInput(1)))}}
    values = boundary_values(boundary_constraints(boundary, grid), grid, inputs)
    np.testing.assert_array_equal(values["v_x_right"], [5, 11])


# Corners


def resolve(boundary, grid=GRID, X=X):
    return resolve_system(boundary_constraints(boundary, grid), grid, FieldTable(X))


def test_a_lid_that_contradicts_the_walls():
    with pytest.raises(ValueError, match=r"'x_left' and 'y_right'.*0 and 1.*difference of 1\."):
        resolve({"x": Dirichlet(0.0), "y": (Dirichlet(0.0), Dirichlet(1.0))})
    lid = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    resolve({"x": Dirichlet(0.0), "y": (Dirichlet(0.0), Dirichlet(lid))})


def test_the_sample_is_named():
    columns = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.5]})
    boundary = {"x": (Dirichlet("a"), None), "y": (None, Dirichlet("b"))}
    with pytest.raises(ValueError, match=r"'x_left' and 'y_right'.*3 and 3\.5 in sample 2"):
        resolve(boundary, X=columns)
    resolve(boundary, X=columns[:2])
    named = boundary_constraints(boundary, GRID)
    with pytest.raises(ValueError, match="contradict each other"):
        boundary_values(named, GRID, columns)


def test_the_initial_condition_meets_the_walls():
    grid = Grid(t=np.linspace(0, 1, 4), x=np.linspace(0, np.pi, 6))
    start, wall = np.sin(grid["x"]), np.cos(grid["t"])  # sin(pi) is 1e-16, not 0
    resolve({"t": (Dirichlet(start), None), "x": Dirichlet(0.0)}, grid)
    resolve({"t": (Dirichlet(start.astype(np.float32)), None), "x": Dirichlet(0.0)}, grid)
    with pytest.raises(ValueError, match=r"'t_left' and 'x_left'.*: 0 and 1, a difference"):
        resolve({"t": (Dirichlet(start), None), "x": (Dirichlet(wall), None)}, grid)


def test_a_periodic_axis_needs_the_same_value_at_both_ends():
    values = np.arange(15.0).reshape(3, 5)  # over t and x
    for boundary in (
        {"x": Periodic(), "y": (Dirichlet(values), None)},
        {"y": Periodic(), "x": (None, Dirichlet(FACE))},
    ):
        with pytest.raises(ValueError, match="contradict each other"):
            resolve(boundary)
    resolve({"x": Periodic(), "y": (Dirichlet(np.cos(2 * np.pi * GRID["x"])), None)})


def test_what_is_not_compared():
    """Slopes, components, and cell averages have no common value at a corner."""
    resolve({"x": Dirichlet(0.0), "y": Neumann(1.0)})
    cells = grid_of("cells", x=5, y=5)
    resolve({"x": Dirichlet(0.0), "y": Dirichlet(1.0)}, cells)
    both = Components(u=GRID, v=GRID)
    resolve({"u": {"x": Dirichlet(0.0)}, "v": {"y": Dirichlet(1.0)}}, both)


REPLACED = np.arange(30.0).reshape(2, 3, 5)  # y_left has the shape (n_t, n_x)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 15)])
def test_replaced_values_over_the_face(shape):
    named = boundary_constraints({"x": Neumann(), "y": (Dirichlet(1.0), Neumann("other"))}, GRID)
    values = {"y_left": REPLACED.reshape(shape), "y_right": REPLACED[..., 1:-1].reshape(2, 9)}
    system = resolve_system(named, GRID, FieldTable(X), values)
    of = np.array(system.names)
    np.testing.assert_array_equal(system.values[:, of == "y_left"], REPLACED.reshape(2, -1))
    np.testing.assert_array_equal(
        system.values[:, of == "y_right"], REPLACED[..., 1:-1].reshape(2, -1)
    )


def test_replaced_values_are_compared_too():
    named = boundary_constraints({"x": Dirichlet(0.0), "y": (Dirichlet(1.0), None)}, GRID)
    system = resolve_system(named, GRID, FieldTable(X), {"y_left": [0.0, 0.0]})
    assert not system.values.any()
    with pytest.raises(ValueError, match="'x_left' and 'y_left' contradict"):
        resolve_system(named, GRID, FieldTable(X), {"y_left": REPLACED})
    with pytest.raises(ValueError, match=r"constraint_values\['y_left'\].*\(2, 7\).*\(2, 3, 5\)"):
        resolve_system(named, GRID, FieldTable(X), {"y_left": np.ones((2, 7))})


# Errors


def nan_values(X):
    return np.full(len(X), np.nan)


MESH = Mesh([0.5, 1.5], [1.0, 1.0], [[0, 1]])


@pytest.mark.parametrize(
    ("boundary", "grid", "error", "message"),
    [
        ([Dirichlet()], GRID, TypeError, "boundary must be a dict"),
        ({"z": Dirichlet()}, GRID, ValueError, r"unknown axis 'z'; the axes are \['t', 'x', 'y'\]"),
        ({"x": Dirichlet}, GRID, TypeError, r"boundary\['x'\] must be a condition for both faces"),
        ({"x": 0.0}, GRID, TypeError, r"boundary\['x'\] must be a condition"),
        ({"x": (Dirichlet(), 0.0)}, GRID, TypeError, "holds 0.0, which is not a condition"),
        ({"x": (Dirichlet(),)}, GRID, ValueError, r"two conditions, \(left, right\).* got 1"),
        ({"x": (Periodic(), Dirichlet())}, GRID, ValueError, "Periodic joins both faces"),
        ({"x": (Periodic(), None)}, GRID, ValueError, r"boundary\['x'\] = Periodic\(\)"),
        ({"x": Neumann(order=4)}, GRID, ValueError, r"order of Neumann must be one of \[1, 2, 3\]"),
        ({"x": Neumann(order=1.5)}, GRID, ValueError, r"order of Neumann .* got 1\.5"),
        ({"t": Neumann(order=3)}, GRID, ValueError, "axis 't' has 3.* take 5"),
        ({"t": (Neumann(order=3), None)}, GRID, ValueError, r"'t': has 3 point\(s\).*takes 4"),
        ({"t": Neumann()}, GRID, ValueError, "axis 't' has 3 .*two faces take 4"),
        ({"x": Dirichlet()}, Grid(x=[0.0]), ValueError, r"has 1 point\(s\).*take 2"),
        ({"x": Periodic()}, Grid(x=[0.0]), ValueError, "one point; Periodic needs both ends"),
        ({"x": Periodic()}, grid_of("cells", x=4), ValueError, "period=period"),
        ({"x": Dirichlet()}, Grid(x=Axis.periodic(0, 1, 5)), ValueError, "'x' is periodic"),
        ({"x": Dirichlet(np.ones(3))}, GRID, ValueError, r"'x_left' has shape \(3,\).*\(3, 4\)"),
        ({"x": Dirichlet(np.ones((5, 4)))}, GRID, ValueError, r"\(5, 4\).*'t': 3, 'y': 4"),
        ({"x": Robin(0.0, 0.0)}, GRID, ValueError, "a and b of Robin are both zero"),
        ({"x": Robin(np.nan, 0.0)}, GRID, ValueError, "a of Robin must be finite"),
        ({"x": Robin(1.0, "k")}, GRID, TypeError, "b of Robin must be a number"),
        ({"x": Robin(1.0, np.ones(7))}, GRID, ValueError, r"b of Robin has shape \(7,\)"),
        ({"u": {"x": Dirichlet()}}, GRID, ValueError, "needs a grid of Components"),
        ({"x": Dirichlet()}, Components(u=GRID), ValueError, r"'x'.*components \['u'\]"),
        ({"v": {"x": Dirichlet()}}, Components(u=GRID), ValueError, "'v'.*components"),
        ({"u": {"x": 1.0}}, Components(u=GRID), TypeError, r"boundary\['u'\]\['x'\]"),
        ({"u": {"x": Dirichlet()}, "x": Dirichlet()}, GRID, TypeError, "got both"),
        ({"u": {"z": Dirichlet()}}, Components(u=GRID), ValueError, "unknown axis 'z'"),
        ({"u": {"x": Dirichlet()}}, Components(u=MESH), ValueError, "parts of this mesh's bou"),
        ({"x": Dirichlet()}, MESH, ValueError, "boundary names 'x', but the parts of this mesh's"),
        (
            {"u": {"x_y": Dirichlet()}, "u_x": {"y": Dirichlet()}},
            Components(u=grid_of(x_y=3), u_x=grid_of(y=3)),
            ValueError,
            "Two faces of the boundary are called 'u_x_y_left'",
        ),
    ],
)
def test_bad_boundaries(boundary, grid, error, message):
    with pytest.raises(error, match=message):
        boundary_constraints(boundary, grid)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("mass", "no column 'mass'"),
        (np.nan, "value of constraint 'x_left' is not finite"),
        (nan_values, "not finite"),
        (lambda X: np.ones((2, 5)), r"shape \(2, 5\); expected \(2,\).*\(2, 3, 4\)"),
        (FromInput(), r"FromInput\(channel=0\) does not exist.*0 field\(s\) of 60 points"),
        (FromInput(-1), "does not exist"),
    ],
)
def test_bad_values(value, message):
    named = boundary_constraints({"x": (Dirichlet(value), None)}, GRID)
    with pytest.raises(ValueError, match=message):
        boundary_values(named, GRID, X)


def test_inputs_on_another_grid():
    named = boundary_constraints({"x": (Dirichlet(FromInput()), None)}, GRID)
    with pytest.raises(ValueError, match="on the grid of the output"):
        boundary_values(named, GRID, np.ones((2, 1, 3, 3, 3)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Dirichlet(), "x", "top"), ValueError, r"one of \['left', 'right'\]; got 'top'"),
        ((Periodic(), "x", "left"), ValueError, r"Periodic condition must be one of \['both'\]"),
        ((Dirichlet, "x", "left"), TypeError, "instance of Dirichlet"),
        ((Dirichlet(), "z", "left"), ValueError, "unknown axis 'z'"),
        ((Dirichlet(), "x", "left", "u"), ValueError, "component='u' needs a grid of Components"),
    ],
)
def test_bad_constraints(arguments, error, message):
    with pytest.raises(error, match=message):
        BoundaryConstraint(*arguments).rows(GRID)


def test_constraints_are_estimators():
    boundary = {"x": (Dirichlet("heater"), Robin(1.0, FACE[0], order=3)), "y": Neumann()}
    for _, constraint in boundary_constraints(boundary, GRID):
        copies = [clone(constraint), pickle.loads(pickle.dumps(constraint))]
        for copy in copies:
            assert joblib.hash(copy.rows(GRID)) == joblib.hash(constraint.rows(GRID))
            assert copy.corners == constraint.corners and repr(copy) == repr(constraint)
        assert isinstance(hash(constraint), int)
        constraint.set_params(condition__order=1)
        assert constraint.get_params()["condition__order"] == 1
        assert copies[0].get_params()["condition__order"] != 1
    assert hash(FromInput(1)) == hash(FromInput(1)) != hash(FromInput())

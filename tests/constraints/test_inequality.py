"""Bounds and monotone fields as declarations: rows, values, names and errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

from skphys.constraints import (
    Bounds,
    Column,
    ConservationLaw,
    ConstraintSet,
    FieldTable,
    InequalityConstraint,
    Monotone,
    name_constraints,
    resolve_system,
)
from skphys.grids import Axis, Components, Grid, Mesh
from skphys.grids._interpolation import interpolation_matrix

GRIDS = {
    1: Grid(x=np.array([0.0, 0.1, 0.5, 1.0])),
    2: Grid(t=[0.0, 1.0, 3.0], x=Axis.cells(np.linspace(0, 1, 5))),
    3: Grid(t=[0.0, 1.0], x=[0.0, 0.5, 1.0], y=[0.0, 1.0, 2.0, 4.0]),
}
TABLE = FieldTable(np.arange(6.0).reshape(3, 2))


def resolve(*constraints, grid=GRIDS[1], table=TABLE, interpolation=None):
    stated = ConstraintSet(list(constraints), grid, interpolation=interpolation)
    return stated.inequalities(table)


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize(
    ("dimension", "axis"), [(1, "x"), (2, "t"), (2, "x"), (3, "t"), (3, "x"), (3, "y")]
)
def test_monotone_rows_are_differences_along_the_axis(dimension, axis, increasing):
    grid = GRIDS[dimension]
    field = np.random.default_rng(0).normal(size=grid.shape)
    differences = np.diff(field, axis=grid.names.index(axis))
    rows = Monotone(axis, increasing).rows(grid)
    assert sparse.issparse(rows)
    found = np.sort(rows @ field.ravel())
    np.testing.assert_allclose(found, np.sort((1 if increasing else -1) * differences.ravel()))


def test_monotone_needs_an_axis_where_there_are_several():
    assert Monotone().rows(GRIDS[1]).shape == (3, 4)
    with pytest.raises(ValueError, match=r"axis=None of Monotone.*\['t', 'x'\]"):
        Monotone().rows(GRIDS[2])
    with pytest.raises(ValueError, match="axis='y' of Monotone"):
        Monotone("y").rows(GRIDS[2])


@pytest.mark.parametrize("axis", [None, "cell"])
def test_cells_of_a_mesh_have_no_order(axis):
    with pytest.raises(ValueError, match="points have an order: of a Mesh that is 't' alone"):
        Monotone(axis).rows(Mesh([[0.5], [1.5]], [1.0, 1.0], [[0, 1]]))


def test_components():
    grid = Components(h=Grid(x=[0.0, 1.0, 2.0]), flux=Grid(x=[0.0, 0.5]))
    np.testing.assert_array_equal(Bounds(0.0).rows(grid).toarray(), np.eye(5))
    np.testing.assert_array_equal(Bounds(0.0, component="flux").rows(grid).toarray(), np.eye(5)[3:])
    rows = Monotone("x", component="h").rows(grid).toarray()
    np.testing.assert_array_equal(rows, np.diff(np.eye(5), axis=0)[:2])
    with pytest.raises(ValueError, match="component is None"):
        Monotone("x").rows(grid)


def test_values_are_numbers_arrays_columns_and_callables():
    frame = FieldTable(pd.DataFrame({"low": [0.0, 1.0, 2.0], "high": [3.0, 4.0, 5.0]}))
    for lower, upper in (("low", "high"), (Column(0), Column(1)), (first, second)):
        system = resolve(Bounds(lower, upper), table=frame)
        np.testing.assert_array_equal(system.lower, np.repeat([[0], [1], [2]], 4, axis=1))
        np.testing.assert_array_equal(system.upper, np.repeat([[3], [4], [5]], 4, axis=1))
    system = resolve(Bounds(np.arange(4.0), 9))
    np.testing.assert_array_equal(system.lower, np.tile(np.arange(4.0), (3, 1)))
    np.testing.assert_array_equal(system.upper, np.full((3, 4), 9.0))
    assert np.isposinf(resolve(Bounds(0.0)).upper).all()
    assert np.isneginf(resolve(Bounds(upper=0.0)).lower).all()


def first(X):
    return np.asarray(X)[:, 0]


def second(X):
    return np.asarray(X)[:, 1]


def test_lists_mix_equalities_and_inequalities():
    listed = [ConservationLaw(total=1.0), Bounds(0.0), ("up", Monotone("x")), Bounds(upper=2.0)]
    names = [name for name, _ in name_constraints(listed)]
    assert names == ["conservationlaw", "bounds-1", "up", "bounds-2"]
    system = resolve(*listed)
    assert system.names == ("bounds-1",) * 4 + ("up",) * 3 + ("bounds-2",) * 4
    assert system.rows.shape == (11, 4)
    assert resolve_system(listed, GRIDS[1], TABLE).names == ("conservationlaw",)
    assert name_constraints(Bounds(0.0))[0][0] == "bounds"
    assert resolve(ConservationLaw()).rows.shape == (0, 4)


def test_they_are_estimators():
    bounds = clone(Bounds(lower="low", component="h"))
    assert bounds.get_params() == {"lower": "low", "upper": None, "component": "h"}
    assert repr(Monotone("x", False)) == "Monotone(axis='x', increasing=False)"


@pytest.mark.parametrize(
    ("constraint", "match"),
    [
        (Bounds(1.0, 0.0), "lower of constraint 'bounds' is above its upper: 1 against 0"),
        (Bounds(np.zeros(3)), r"lower of 'bounds' has shape \(3,\)"),
        (Bounds(np.nan), "lower of 'bounds' is not finite"),
        (Bounds(np.inf), "lower of constraint 'bounds' leaves no value, inf at point 0"),
        (Bounds(upper=-np.inf), "upper of constraint 'bounds' leaves no value, -inf"),
        (Bounds("low"), "There is no column 'low'"),
    ],
)
def test_errors_name_the_parameter(constraint, match):
    with pytest.raises(ValueError, match=match):
        resolve(constraint)


def test_values_of_inequalities_come_from_the_constructor():
    with pytest.raises(ValueError, match="cannot replace the bounds of the inequality 'bounds'"):
        resolve_system([ConservationLaw(), Bounds(0.0)], GRIDS[1], TABLE, {"bounds": [1.0]})


def test_queries_between_nodes():
    grid, queries = GRIDS[1], np.array([[0.05], [0.1], [0.75], [0.75]])
    weights = interpolation_matrix([grid["x"]], queries)
    field = np.concatenate([grid["x"], queries[:, 0]]) ** 2
    system = resolve(Monotone("x"), interpolation=weights)
    # the query at the node 0.1 is that node
    np.testing.assert_allclose(
        system.rows @ field, np.diff(np.array([0.0, 0.05, 0.1, 0.5, 0.75, 0.75, 1.0]) ** 2)
    )
    assert (system.lower == 0).all() and np.isposinf(system.upper).all()
    bounded = resolve(Bounds(np.array([0.0, 1.0, 2.0, 4.0])), interpolation=weights)
    np.testing.assert_array_equal(bounded.rows.toarray(), np.eye(8)[[0, 1, 2, 3, 4, 6, 7]])
    np.testing.assert_allclose(bounded.lower[0], [0, 1, 2, 4, 0.5, 3, 3])
    assert np.isposinf(bounded.upper).all()


def test_one_of_your_own():
    class MeanBelow(InequalityConstraint):
        value_parameters = ("upper",)

        def __init__(self, upper):
            self.upper = upper

        def rows(self, grid):
            return np.full((1, grid.n_points), 1.0 / grid.n_points)

    system = resolve(MeanBelow(2.0), interpolation=sparse.csr_array(np.full((2, 4), 0.25)))
    np.testing.assert_array_equal(system.rows.toarray(), [[0.25] * 4 + [0.0] * 2])
    assert (system.upper == 2.0).all() and np.isneginf(system.lower).all()

"""Grids: rows of integrals against dense formulas, the error bound, validation."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson, trapezoid
from scipy.sparse import csr_array

from skphys.grids import Axis, Grid

T = np.array([0.0, 0.1, 0.4])
X = np.array([-1.0, 0.0, 0.5, 2.0])
EDGES = np.array([0.0, 1.0, 3.0])


def make_grid():
    return Grid(t=T, x=X, y=Axis.cells(EDGES))


def test_layout_is_c_order():
    grid = make_grid()
    assert (grid.names, grid.shape, grid.n_points, grid.n_axes) == (
        ("t", "x", "y"),
        (3, 4, 2),
        24,
        3,
    )
    np.testing.assert_array_equal(grid.points, list(product(T, X, [0.5, 2.0])))
    np.testing.assert_array_equal(grid["x"], X)
    assert list(grid.axes) == list(grid) == ["t", "x", "y"] and "x" in grid and "z" not in grid
    assert grid.reshape(np.zeros((7, 5, 24))).shape == (7, 5, 3, 4, 2)


def test_first_coordinate_varies_slowest_after_reshape():
    grid = make_grid()
    np.testing.assert_array_equal(grid.reshape(grid.points[:, 1])[2, :, 1], X)


@pytest.mark.parametrize("over", [None, "t", "x", "y", ["x"], ["t", "y"], ("y", "x"), ["x", "t"]])
def test_integral_rows_equal_the_nested_one_dimensional_rules(over):
    grid = make_grid()
    rows = grid.integral_rows(over)
    fields = np.random.default_rng(0).normal(size=(5, grid.n_points))
    result = grid.reshape(fields)
    names = set("txy") if over is None else set(over)
    if "y" in names:
        result = result @ np.diff(EDGES)
    else:
        result = np.moveaxis(result, -1, 1)  # keep y, in front of t and x
    if "x" in names:
        result = trapezoid(result, x=X, axis=-1)
        result = trapezoid(result, x=T, axis=-1) if "t" in names else result
    elif "t" in names:
        result = trapezoid(result, x=T, axis=-2)
    if "y" not in names:
        result = np.moveaxis(result, 1, -1)
    assert isinstance(rows, csr_array)
    np.testing.assert_allclose(fields @ rows.T, result.reshape(5, -1), rtol=1e-12, atol=1e-12)
    assert grid.remaining(over) == tuple(n for n in "txy" if n not in names)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(2, 5), min_size=1, max_size=3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["trapezoid", "simpson"]),
)
def test_rows_of_a_separable_function_are_products_of_axis_integrals(sizes, seed, rule):
    rng = np.random.default_rng(seed)
    axes = {f"a{i}": np.cumsum(rng.uniform(0.1, 1.0, n)) for i, n in enumerate(sizes)}
    grid = Grid(**axes)
    factors = [rng.normal(size=n) for n in sizes]
    field = np.prod(np.meshgrid(*factors, indexing="ij"), axis=0).ravel()
    reference = {"trapezoid": trapezoid, "simpson": simpson}[rule]
    parts = [reference(f, x=x) for f, x in zip(factors, axes.values(), strict=True)]
    np.testing.assert_allclose(
        grid.integral_rows(quadrature=rule) @ field, [np.prod(parts)], rtol=1e-9, atol=1e-12
    )
    over = list(axes)[-1]
    rest = np.prod(np.meshgrid(*factors[:-1], 1.0, indexing="ij"), axis=0).ravel()
    np.testing.assert_allclose(
        grid.integral_rows(over, rule) @ field, rest * parts[-1], rtol=1e-9, atol=1e-12
    )
    length = np.prod([x[-1] - x[0] for x in axes.values()])
    assert grid.weights(quadrature=rule).sum() == pytest.approx(length, rel=1e-9)


def test_rules_may_differ_by_axis_and_be_given():
    grid = make_grid()
    given_weights = np.array([1.0, 0.0, 2.0, 0.0])
    weights = grid.weights(quadrature={"t": "simpson", "x": given_weights})
    expected = np.einsum(
        "i,j,k->ijk", simpson(np.eye(3), x=T, axis=0), given_weights, np.diff(EDGES)
    )
    np.testing.assert_allclose(weights, expected.ravel())


def test_given_weights_may_be_shaped_or_flat_and_need_not_be_separable():
    grid = make_grid()
    joint = np.random.default_rng(1).normal(size=(3, 2))
    fields = np.random.default_rng(2).normal(size=(2, grid.n_points))
    expected = np.einsum("bijk,ik->bj", grid.reshape(fields), joint)
    for weights in (joint, joint.ravel(), joint.tolist()):
        rows = grid.integral_rows(["t", "y"], weights)
        np.testing.assert_allclose(fields @ rows.T, expected)


def test_axis_of_one_point_is_fine_unless_integrated_over():
    grid = Grid(t=[0.5], x=X)
    np.testing.assert_allclose(grid.integral_rows("x").toarray(), [Axis(X).weights()])
    with pytest.raises(ValueError, match="axis 't': the trapezoid rule needs at least 2 points"):
        grid.integral_rows()
    assert grid.integral_rows("t", quadrature=[2.0]).sum() == 8.0


def test_unit_grid_sums():
    grid = Grid.unit(5)
    assert grid == Grid(x=Axis.cells(np.arange(6)))
    np.testing.assert_array_equal(grid.integral_rows().toarray(), np.ones((1, 5)))
    np.testing.assert_array_equal(grid.quadrature_error_bound(np.eye(5)), np.zeros((5, 1)))


def test_rows_are_linear_in_memory():
    n = 300_000
    rows = Grid(t=np.arange(3.0), x=np.arange(float(n))).integral_rows("x")
    assert rows.shape == (3, 3 * n) and rows.nnz == 3 * n and rows.has_sorted_indices


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_error_bound_holds_for_functions_monotone_between_nodes(n, seed):
    rng = np.random.default_rng(seed)
    fine = np.sort(rng.uniform(size=20 * (n - 1) + 1))
    values = np.cumsum(rng.exponential(size=fine.size) ** 3)  # monotone, and exact when linear
    grid = Grid(x=fine[::20])
    bound = grid.quadrature_error_bound(values[None, ::20])
    error = grid.weights() @ values[::20] - trapezoid(values, x=fine)
    assert bound.shape == (1, 1) and abs(error) <= bound[0, 0] * (1 + 1e-12)


def test_error_bound_along_one_axis_is_half_of_h_du():
    h, fields = np.diff(X), np.random.default_rng(0).normal(size=(6, 4))
    expected = 0.5 * (np.abs(np.diff(fields)) @ h)
    np.testing.assert_allclose(Grid(x=X).quadrature_error_bound(fields)[:, 0], expected)


def test_error_bound_wraps_around_a_periodic_axis():
    grid = Grid(x=Axis([0.0, 0.25], period=1.0))
    np.testing.assert_allclose(grid.quadrature_error_bound([[0.0, 1.0]]), [[0.5]])


@pytest.mark.parametrize(
    ("over", "subscripts"),
    [
        ("x", {"x": "btxy,x->bty"}),
        ("y", {}),
        (["x", "y"], {"x": "btxy,x,y->bt"}),
        (["t", "x"], {"t": "btxy,t,x->by", "x": "btxy,t,x->by"}),
        (None, {"t": "btxy,t,x,y->b", "x": "btxy,t,x,y->b"}),
    ],
)
def test_error_bound_adds_the_axes_of_nodes(over, subscripts):
    grid = make_grid()
    fields = np.random.default_rng(3).normal(size=(4, grid.n_points))
    weights = {"t": Axis(T).weights(), "x": Axis(X).weights(), "y": np.diff(EDGES)}
    bound = grid.quadrature_error_bound(fields, over)
    expected = np.zeros(bound.shape)
    for name, formula in subscripts.items():
        du = np.abs(np.diff(grid.reshape(fields), axis=1 + "txy".index(name)))
        along = {**weights, name: 0.5 * np.diff(grid[name])}
        factors = [along[letter] for letter in formula.split("->")[0].split(",")[1:]]
        expected += np.einsum(formula, du, *factors).reshape(expected.shape)
    np.testing.assert_allclose(bound, expected, rtol=1e-12)


def test_error_bound_of_a_single_node_with_a_given_weight_is_zero():
    grid = Grid(t=[0.0], x=X)
    bound = grid.quadrature_error_bound(np.ones((2, 4)), "t", quadrature=[1.0])
    np.testing.assert_array_equal(bound, np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: g.weights("z"), ValueError, r"over='z' names the unknown axis 'z'; the axes"),
        (lambda g: g["z"], ValueError, "unknown axis 'z'"),
        (lambda g: g.integral_rows(["x", "x"]), ValueError, "different axes"),
        (lambda g: g.integral_rows([]), ValueError, "None integrates over all"),
        (
            lambda g: g.weights("x", "gauss"),
            ValueError,
            "axis 'x': unknown quadrature rule 'gauss'",
        ),
        (
            lambda g: g.weights("y", "simpson"),
            ValueError,
            "axis 'y': the simpson rule does not fit",
        ),
        (lambda g: g.weights("x", {"t": None}), ValueError, "quadrature names 't', which is not"),
        (
            lambda g: g.weights("x", {"x": [1, 2]}),
            ValueError,
            "axis 'x': weights must have length 4",
        ),
        (lambda g: g.weights("x", [1.0, 2.0]), ValueError, r"quadrature has shape \(2,\).*\(4,\)"),
        (lambda g: g.weights("x", [1, 2, np.inf, 1]), ValueError, "quadrature must be finite"),
        (lambda g: g.weights("x", ["a"] * 4), TypeError, "quadrature must hold real numbers"),
        (lambda g: g.reshape(np.zeros((2, 23))), ValueError, r"24 values.*got shape \(2, 23\)"),
        (lambda g: g.reshape(0.0), ValueError, "24 values"),
        (lambda g: Grid(), ValueError, "at least one axis"),
        (lambda g: Grid(x=[0, 1, 1]), ValueError, r"axis 'x': points .* 1\.0 is duplicated"),
        (
            lambda g: Grid(x=np.zeros((2, 2))),
            ValueError,
            "axis 'x': points must be a non-empty 1-D",
        ),
        (lambda g: Grid(x=["a"]), TypeError, "axis 'x': points must hold real numbers"),
    ],
)
def test_errors_name_the_axis_and_the_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call(make_grid())


def test_grids_compare_by_value_and_pickle():
    grid = make_grid()
    for twin in (pickle.loads(pickle.dumps(grid)), copy.deepcopy(grid), make_grid()):
        assert twin == grid and hash(twin) == hash(grid)
        assert not twin["x"].flags.writeable
    assert grid != Grid(x=X, t=T, y=Axis.cells(EDGES))  # the order of the axes is the layout
    assert grid != Grid(t=T, x=X, y=[0.5, 2.0]) and grid != "grid"


def test_grids_cannot_be_changed_through_their_axes():
    grid = make_grid()
    grid.axes.clear()
    assert grid.names == ("t", "x", "y")
    with pytest.raises(ValueError, match="read-only"):
        grid["x"][0] = 0.0


def test_grid_is_one_object_to_numpy():
    assert np.array([make_grid(), make_grid()]).shape == (2,)  # as in a search over grids


def test_repr_is_short():
    assert (
        repr(make_grid())
        == "Grid(t=3 nodes in [0, 0.4], x=4 nodes in [-1, 2], y=2 cells in [0, 3])"
    )


def test_axis_may_be_called_self():
    assert Grid(self=[0, 1]).names == ("self",)

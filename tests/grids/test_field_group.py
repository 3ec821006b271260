"""Nodes: interpolation to the queries, and the rows handed to the backbone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator, interp1d
from scipy.sparse import csr_array

from skphys.grids import ColumnGrid, Grid, stack_tables

NODES = np.array([0.0, 0.2, 0.5, 1.0])


def table(**columns):
    return pd.DataFrame({"t": [1.0, 0.0, 1.0, 0.0], "x": [0.9, 0.1, 0.3, 0.2], **columns})


def test_nodes_are_the_grid_and_queries_are_sorted():
    X = table()
    groups = ColumnGrid("x", by="t", nodes=NODES).split(X)
    assert [g.index.tolist() for g in groups] == [[[1, 3]], [[2, 0]]]
    for group in groups:
        assert group.grid == Grid(x=NODES) and (group.n_nodes, group.n_outputs) == (4, 2)
        assert isinstance(group.interpolation, csr_array) and group.interpolation.shape == (2, 4)


def test_query_on_a_node_has_a_unit_row():
    (group,) = ColumnGrid(0, nodes=NODES).split(NODES[::-1, None])
    np.testing.assert_array_equal(group.interpolation.toarray(), np.eye(4))
    assert group.interpolation.nnz == 4


def test_queries_may_repeat():
    X = np.array([[0.1], [0.4], [0.1]])
    (group,) = ColumnGrid(0, nodes=NODES).split(X)
    np.testing.assert_array_equal(group.index, [[0, 2, 1]])
    np.testing.assert_allclose(group.interpolation @ NODES, [0.1, 0.1, 0.4])


def test_a_single_query_is_enough_with_nodes():
    (group,) = ColumnGrid(0, nodes=NODES).split([[0.35]])
    np.testing.assert_allclose(group.interpolation.toarray(), [[0.0, 0.5, 0.5, 0.0]])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_interpolation_reproduces_linear_functions(seed, n_axes):
    rng = np.random.default_rng(seed)
    nodes = [np.cumsum(rng.uniform(0.1, 1.0, rng.integers(2, 6))) for _ in range(n_axes)]
    queries = np.column_stack([rng.uniform(axis[0], axis[-1], 7) for axis in nodes])
    (group,) = ColumnGrid(list(range(n_axes)), nodes=nodes).split(queries)
    weights, slope = group.interpolation, rng.normal(size=n_axes)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-14)
    assert weights.min() >= 0.0
    expected = queries[group.index[0]] @ slope + 3.0
    np.testing.assert_allclose(weights @ (group.grid.points @ slope + 3.0), expected, rtol=1e-9)


def test_interpolation_in_two_dimensions_is_multilinear():
    rng = np.random.default_rng(0)
    x, y = np.array([0.0, 0.3, 1.0]), np.array([-1.0, 0.0, 0.5, 2.0])
    values, queries = rng.normal(size=(3, 4)), rng.uniform([0, -1], [1, 2], size=(20, 2))
    (group,) = ColumnGrid([0, 1], nodes=[x, y]).split(queries)
    expected = RegularGridInterpolator((x, y), values)(queries[group.index[0]])
    np.testing.assert_allclose(group.interpolation @ values.ravel(), expected, rtol=1e-12)


def test_rows_are_nodes_then_queries_field_by_field_in_the_tables_type():
    X = table(site=pd.Categorical(["b", "a", "b", "a"]), k=pd.array([1, 2, 1, 2], dtype="int8"))
    X = X.set_axis([7, 7, 7, 7])  # labels of rows say nothing
    (group, other) = ColumnGrid("x", by="t", nodes=NODES).split(X)
    rows = group.rows(X)
    assert rows.dtypes.equals(X.dtypes) and list(rows.columns) == list(X.columns)
    assert rows["x"].tolist() == [*NODES, 0.1, 0.2]
    assert rows["t"].tolist() == [0.0] * 6 and rows["site"].tolist() == ["a"] * 6
    assert other.rows(X)["k"].tolist() == [1] * 6
    assert X["x"].tolist() == [0.9, 0.1, 0.3, 0.2]  # the caller's table is as it was


def test_several_fields_in_a_group_come_one_after_the_other():
    X = np.array([[1.0, 0.1], [0.0, 0.1], [1.0, 0.7], [0.0, 0.7]])
    (group,) = ColumnGrid(1, by=0, nodes=[0.0, 1.0]).split(X)
    fields = group.rows(X).reshape(2, 4, 2)
    np.testing.assert_array_equal(fields[..., 0], [[0.0] * 4, [1.0] * 4])
    np.testing.assert_array_equal(fields[..., 1], [[0.0, 1.0, 0.1, 0.7]] * 2)


def test_rows_of_two_coordinates_are_in_c_order():
    X = np.array([[0.5, 0.25, 9.0]])
    (group,) = ColumnGrid([1, 0], by=2, nodes=[[0, 1, 2], [0, 3]]).split(X)
    rows = group.rows(X)
    np.testing.assert_array_equal(rows[:-1, [1, 0]], Grid(a=[0, 1, 2], b=[0, 3]).points)
    np.testing.assert_array_equal(rows[-1], X[0])


@pytest.mark.parametrize(
    ("dtype", "expected"), [("int64", "float64"), ("float32", "float32"), ("object", "object")]
)
def test_integer_coordinates_are_not_truncated(dtype, expected):
    X = np.array([[0, 0], [0, 1]], dtype=dtype)
    nodes = [0.0, 0.25, 1.0]
    for table_, by in ((X, 0), (pd.DataFrame(X, columns=["t", "x"]), "t")):
        (group,) = ColumnGrid(1, by=by, nodes=nodes).split(table_)
        rows = group.rows(table_)
        np.testing.assert_array_equal(np.asarray(rows)[:, 1].astype(float), [0, 0.25, 1, 0, 1])
        if isinstance(table_, np.ndarray):
            assert rows.dtype == expected
        else:
            assert rows["t"].dtype == dtype
            assert rows["x"].dtype == ("float64" if dtype == "object" else expected)


def test_nullable_integers_are_not_truncated():
    X = pd.DataFrame({"x": pd.array([0, 1], dtype="Int64")})
    (group,) = ColumnGrid("x", nodes=[0, 0.25, 1]).split(X)
    assert group.rows(X)["x"].tolist() == [0, 0.25, 1, 0, 1]


LINE = ColumnGrid("x", by="t", nodes=NODES)


def at_nodes(X, key, grid=LINE):
    """The column at the nodes and at the rows, of each field in the order of `t`."""
    found = {}
    for group in grid.split(X):
        rows = group.rows(X)
        for t, field in rows.groupby("t"):
            assert len(field) == group.n_nodes + group.n_outputs
            found[t] = field[key].to_numpy()
    return [found[t] for t in sorted(found)]


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "int16", "Int64", "object", "Sparse[float]"]
)
def test_numbers_that_vary_are_linear_between_the_rows(dtype):
    """Against scipy's interpolant; outside the rows the nearest counts, and rows keep their own."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"t": np.repeat([0, 1, 2], 5), "x": rng.uniform(0.1, 0.9, 15)})
    k = rng.integers(-9, 9, 15)
    k[10:] = 7  # constant in one of the fields
    X = X.assign(k=pd.Series(k).astype(dtype)).sample(frac=1.0, random_state=0)
    for t, found in enumerate(at_nodes(X, "k")):
        field = X[X["t"] == t].sort_values("x")
        x, own = field["x"].to_numpy(), np.asarray(field["k"], dtype=float)
        expected = interp1d(x, own, bounds_error=False, fill_value=(own[0], own[-1]))(NODES)
        np.testing.assert_allclose(found[:4].astype(float), expected, rtol=1e-6)
        np.testing.assert_array_equal(found[4:].astype(float), own)
    assert X["k"].dtype == dtype  # the caller's table is as it was


def test_arrays_of_integers_and_of_objects_are_interpolated():
    for dtype, by in (("int64", 0), ("object", 0)):
        X = np.array([[5, 0, 2], [5, 1, 4]], dtype=dtype)
        (group,) = ColumnGrid(1, by=by, nodes=[0.0, 0.25, 1.0]).split(X)
        assert group.rows(X)[:, 2].tolist() == [2.0, 2.5, 4.0, 2, 4]
        assert X.tolist() == [[5, 0, 2], [5, 1, 4]]


def test_of_rows_at_one_point_the_mean_counts():
    X = pd.DataFrame({"t": 0, "x": [0.5, 0.5, 0.1], "k": [1.0, 3.0, 0.0]})
    (found,) = at_nodes(X, "k")
    np.testing.assert_allclose(found, [0.0, 0.5, 2.0, 2.0, 0.0, 1.0, 3.0], rtol=1e-15)
    (alone,) = at_nodes(X[:2], "k")
    np.testing.assert_allclose(alone, [2.0, 2.0, 2.0, 2.0, 1.0, 3.0], rtol=1e-15)


def test_missing_values_are_those_of_the_fields_other_rows():
    X = pd.DataFrame({"t": np.repeat([0, 1, 2, 3], 3), "x": [0.1, 0.3, 0.7] * 4})
    nan = np.nan
    X["k"] = [0.1, nan, 0.1, 1.0, nan, 4.0, nan, nan, 2.0, nan, nan, nan]
    X["s"] = pd.array(["a", pd.NA, "a", *"bbb", *"ccc", pd.NA, pd.NA, pd.NA], dtype="string")
    X["c"] = pd.Categorical(["a", None, "a", *"bbb", *"bbb", *"ccc"])
    X = X.sample(frac=1.0, random_state=1)
    constant, varying, single, unknown = at_nodes(X, "k")
    np.testing.assert_array_equal(constant, [0.1] * 7)  # exactly
    np.testing.assert_allclose(varying, [1.0, 1.5, 3.0, 4.0, 1.0, 2.0, 4.0], rtol=1e-14)
    np.testing.assert_array_equal(single, [2.0] * 7)
    assert np.isnan(unknown).all()
    assert at_nodes(X, "s")[0].tolist() == at_nodes(X, "c")[0].tolist() == ["a"] * 7
    assert pd.isna(at_nodes(X, "s")[3]).all()
    group = LINE.split(X)[0]
    assert group.rows(X)[["s", "c"]].dtypes.equals(X[["s", "c"]].dtypes)
    assert X["k"].isna().sum() == 7


def test_a_table_is_completed_in_the_callers_order():
    X = np.array([[1.0, 0.3, np.nan], [0.0, 0.9, 5.0], [1.0, 0.1, 2.0], [1.0, 0.7, 8.0]])
    before = X.copy()
    grid = ColumnGrid(1, by=0, nodes=NODES)
    np.testing.assert_allclose(grid.complete(X)[:, 2], [4.0, 5.0, 2.0, 8.0], rtol=1e-15)
    np.testing.assert_array_equal(X, before)
    known = X[1:]
    assert grid.complete(known) is known
    assert np.isnan(ColumnGrid(1, by=0).complete(X)[0, 2])  # without nodes rows are not touched


@pytest.mark.parametrize(
    "k",
    [
        ["a", "a", "b", "a"],
        pd.Categorical([1, 1, 2, 1]),
        [True, True, False, True],
        pd.to_datetime(["2020", "2020", "2021", "2020"]),
        np.array([1, 1, False, 1], dtype=object),
        np.array([1.0, 1.0, "b", 1.0], dtype=object),
    ],
    ids=["text", "categories", "bool", "dates", "bools", "mixed"],
)
def test_what_is_no_number_and_varies_is_refused(k):
    X = table(k=k)
    constant, varying = LINE.split(X)
    assert len(constant.rows(X)) == 6
    message = r"column 'k' varies within the field t=1\.0, and it holds no numbers.*drop it"
    with pytest.raises(ValueError, match=message):
        varying.rows(X)
    with pytest.raises(ValueError, match=message):
        LINE.complete(X)


def test_what_varies_over_several_coordinates_is_refused():
    X = np.array([[0.5, 0.25, 9.0], [0.1, 0.1, np.nan], [0.7, 0.3, 9.0]])
    plane = ColumnGrid([0, 1], by=[], nodes=[[0, 1], [0, 1]])
    assert plane.split(X)[0].rows(X)[:, 2].tolist() == [9.0] * 7
    X[1, 2] = 8.0
    with pytest.raises(ValueError, match=r"column 2 varies within the field, and .*single axis"):
        plane.complete(X)


def test_polars_columns_are_interpolated_and_filled():
    polars = pytest.importorskip("polars")
    X = polars.DataFrame(
        {"t": [0, 0, 0, 1, 1], "x": [0.0, 0.5, 1.0, 0.0, 1.0], "k": [0, None, 4, 3, 3]}
    ).with_columns(s=polars.Series(["a", None, "a", "b", "b"], dtype=polars.Categorical))
    tables = [group.rows(X) for group in LINE.split(X)]
    assert tables[0]["s"].dtype == X["s"].dtype and tables[0]["s"].to_list() == ["a"] * 7
    np.testing.assert_allclose(tables[0]["k"], [0.0, 0.8, 2.0, 4.0, 0.0, 2.0, 4.0])
    both = stack_tables(tables)
    assert len(both) == 13 and both["k"].to_list()[7:] == [3.0] * 6


def test_rows_may_drop_columns_that_the_split_did_not_name():
    X = table(total=[5.0, 6.0, 5.0, 6.0])[["total", "t", "x"]]
    groups = ColumnGrid("x", by="t", nodes=NODES).split(X)
    assert list(groups[0].rows(X[["t", "x"]]).columns) == ["t", "x"]


def test_column_gives_one_value_a_field():
    X = table(total=[5.0, 6.0, 5.0, 6.0], name=["b", "a", "b", "a"])
    groups = ColumnGrid("x", by="t", nodes=NODES).split(X)
    assert [g.column(X, "total").tolist() for g in groups] == [[6.0], [5.0]]
    assert [g.column(X, 3).tolist() for g in groups] == [["a"], ["b"]]
    with pytest.raises(
        ValueError, match=r"column 'x' must have one value .* the field t=0\.0: \[0\.1, 0\.2\]"
    ):
        groups[0].column(X, "x")
    with pytest.raises(ValueError, match="column 'mass' is unknown"):
        groups[0].column(X, "mass")


def test_groups_are_frozen():
    (group,) = ColumnGrid(0).split([[0.0], [1.0]])
    with pytest.raises(AttributeError):
        group.index = None


def test_by_none_takes_all_other_columns():
    X = np.array([[0.0, 1.0, 7.0], [1.0, 1.0, 7.0], [0.0, 2.0, 7.0], [1.0, 2.0, 7.0]])
    (group,) = ColumnGrid(0).split(X)
    assert group.index.tolist() == [[0, 1], [2, 3]]
    np.testing.assert_array_equal(group.by, [[1.0, 7.0], [2.0, 7.0]])
    (whole,) = ColumnGrid(0).split(X[:2, :1])
    assert whole.index.tolist() == [[0, 1]]

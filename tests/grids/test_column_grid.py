"""Column grids: fields found in tables, in any order and of any type."""

import copy
import datetime as dt
import pickle
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skphys.grids import ColumnGrid, Grid


def long_table(times, x, seed=0):
    """Columns t, x, and the row's own number, shuffled."""
    t, x = np.meshgrid(times, x, indexing="ij")
    table = np.column_stack([t.ravel(), x.ravel(), np.arange(t.size)])
    return np.random.default_rng(seed).permutation(table)


def covered_rows(groups):
    return np.sort(np.concatenate([group.index.ravel() for group in groups]))


def test_rows_that_share_by_form_a_field_in_order_of_the_coordinate():
    x = np.array([0.0, 0.3, 1.0])
    table = long_table([0.1, 0.5], x)
    (group,) = ColumnGrid(space=1, by=0, domain=(0, 1)).split(table)
    assert group.grid == Grid(x1=x) and group.n_nodes == 0 and group.interpolation is None
    np.testing.assert_array_equal(table[group.index][..., 1], [x, x])
    np.testing.assert_array_equal(table[group.index][..., 0], [[0.1] * 3, [0.5] * 3])
    np.testing.assert_array_equal(group.by, [[0.1], [0.5]])
    np.testing.assert_array_equal(group.rows(table), table[group.index].reshape(6, 3))


def test_values_return_in_the_callers_order():
    table = long_table([0.1, 0.5, 2.0], np.linspace(0, 1, 5))
    out = np.full(len(table), np.nan)
    for group in ColumnGrid(space=1, by=0).split(table):
        out[group.index] = table[:, 2][group.index]
    np.testing.assert_array_equal(out, table[:, 2])


def test_fields_of_equal_geometry_share_a_group():
    a, b = np.linspace(0, 1, 4), np.array([0.0, 0.5, 1.0])
    table = np.vstack([long_table([0, 2], a), long_table([1, 3], b)])
    groups = ColumnGrid(space=1, by=0).split(table)
    assert [(g.n_fields, g.n_outputs) for g in groups] == [(2, 4), (2, 3)]
    assert [g.by.ravel().tolist() for g in groups] == [[0, 2], [1, 3]]
    np.testing.assert_array_equal(covered_rows(groups), np.arange(len(table)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_splitting_does_not_depend_on_the_order_of_rows(seed, with_nodes):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, size=4)
    fields = [
        np.column_stack([np.full(n, i % 3), np.full(n, i // 3), np.arange(n)])
        for i, n in enumerate(sizes)
    ]
    table = np.vstack(fields).astype(float)
    shuffled = rng.permutation(table)
    grid = ColumnGrid(space=2, by=[0, 1], nodes=np.arange(6.0) if with_nodes else None)
    groups, others = grid.split(table), grid.split(shuffled)
    np.testing.assert_array_equal(covered_rows(others), np.arange(len(table)))
    assert len(groups) == len(others) == len(set(sizes))
    for group, other in zip(groups, others, strict=True):
        assert group.grid == other.grid
        np.testing.assert_array_equal(table[group.index], shuffled[other.index])
        np.testing.assert_array_equal(group.by, other.by)


def test_without_by_the_table_is_one_field():
    for X in (np.array([[1.0], [0.0]]), pd.DataFrame({"x": [1.0, 0.0]})):
        (group,) = ColumnGrid(space=0).split(X)
        np.testing.assert_array_equal(group.index, [[1, 0]])
        assert group.by.shape == (1, 0) and type(group.by) is type(X)


@pytest.mark.parametrize("rows", [slice(None), slice(None, None, -1)])
def test_several_coordinates_form_a_tensor_product_in_any_order(rows):
    x, y = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 1.0])
    points = Grid(x=x, y=y).points
    table = pd.DataFrame(points, columns=["x", "y"]).assign(t=0)
    table = pd.concat([table, table.assign(t=1)]).sample(frac=1, random_state=0).iloc[rows]
    (group,) = ColumnGrid(["x", "y"], by="t", domain={"x": (0, 3), "y": (-1, 1)}).split(table)
    assert group.grid == Grid(x=x, y=y)
    np.testing.assert_array_equal(table[["x", "y"]].to_numpy()[group.index], [points, points])


BY = {
    "strings": ["b", "a"],
    "objects": np.array([("b", 1), ("a", 1), None], dtype=object)[:2],
    "mixed": np.array(["b", 3], dtype=object),
    "incomparable": np.array([1j, "a"], dtype=object),
    "dates": np.array(["2020-01-02", "2020-01-01"], "datetime64[s]"),
    "python dates": np.array([dt.date(2020, 1, 2), dt.date(2020, 1, 1)], dtype=object),
    "booleans": [True, False],
    "integers": [2**53 + 1, 2**53],
}


@pytest.mark.parametrize("values", BY.values(), ids=BY.keys())
def test_by_may_hold_any_values_in_data_frames(values):
    table = pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0], "by": pd.Series(list(values) * 2)})
    (group,) = ColumnGrid("x", by="by").split(table)
    assert isinstance(group.by, pd.DataFrame) and group.by.dtypes.equals(table[["by"]].dtypes)
    assert sorted(map(tuple, group.index.tolist())) == [(0, 2), (1, 3)]
    first = group.index[:, 0].tolist()
    assert group.by["by"].tolist() == table["by"].iloc[first].tolist()


def test_by_may_be_categorical_or_time_zoned():
    cat = pd.Categorical(["hi", "lo", "hi", "lo"], categories=["lo", "hi"], ordered=True)
    when = pd.to_datetime(["2020-01-02", "2020-01-01"] * 2).tz_localize("UTC")
    for by in (cat, when):
        table = pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0], "by": by})
        (group,) = ColumnGrid("x", by="by").split(table)
        assert group.by.dtypes["by"] == table.dtypes["by"]
        np.testing.assert_array_equal(group.index, [[1, 3], [0, 2]])  # in the values' own order


@pytest.mark.parametrize("values", [["b", "a"], [("b", 1), ("a", 1)], ["b", 3]])
def test_by_may_hold_objects_in_arrays(values):
    table = np.empty((4, 2), dtype=object)
    table[:, 0] = [0.0, 0.0, 1.0, 1.0]
    for row, value in enumerate(values * 2):
        table[row, 1] = value
    (group,) = ColumnGrid(0, by=1).split(table)
    assert sorted(map(tuple, group.index.tolist())) == [(0, 2), (1, 3)]


@pytest.mark.parametrize(
    "values", [[1.0, np.nan], ["a", None], pd.array([1, pd.NA]), [pd.NaT, pd.Timestamp(0)]]
)
def test_missing_values_in_by_are_refused(values):
    table = pd.DataFrame({"x": [0.0, 1.0], "t": values})
    with pytest.raises(ValueError, match=r"column 't' tells the fields apart .* missing"):
        ColumnGrid("x", by="t").split(table)
    with pytest.raises(ValueError, match="column 1 tells the fields apart"):
        ColumnGrid(0, by=1).split(table.to_numpy())


def test_arrays_may_come_with_column_names():
    table = long_table([0.0, 1.0], [0.0, 1.0])
    grid = ColumnGrid("x", by="t")
    (group,) = grid.split(table, feature_names=["t", "x", "row"])
    assert group.grid.names == ("x",)
    np.testing.assert_array_equal(group.column(table, "t"), [0.0, 1.0])
    assert grid.learn_domain(table, feature_names=["t", "x", "row"]) == {"x": (0.0, 1.0)}


def test_columns_of_frames_may_be_given_by_position():
    table = pd.DataFrame(long_table([0.0, 1.0], [0.0, 1.0]), columns=["t", "x", "row"])
    (group,) = ColumnGrid(1, by=[0]).split(table)
    assert group.grid.names == ("x1",) and list(group.by.columns) == ["t"]


def test_negative_zero_is_zero():
    table = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, -0.0], [1.0, 1.0]])
    assert len(ColumnGrid(1, by=0).split(table)) == 1


def test_domain_is_learned_from_the_table_and_then_demanded():
    grid = ColumnGrid("x", by="t")
    train = pd.DataFrame({"t": [0, 0, 1], "x": [0.2, 1.0, 0.0]})
    domain = grid.learn_domain(train)
    assert domain == {"x": (0.0, 1.0)}
    grid.split(pd.DataFrame({"t": 7, "x": [0.0, 0.5, 1.0 - 1e-10]}), domain=domain)
    with pytest.raises(
        ValueError, match=r"the field t=7: it covers only 0\.0 <= x <= 0\.5.*fitted"
    ):
        grid.split(pd.DataFrame({"t": 7, "x": [0.0, 0.5]}), domain=domain)


def test_domain_given_or_of_the_nodes_comes_before_the_learned_one():
    X = np.array([[0.4], [0.6]])
    assert ColumnGrid(0, domain=(0, 1)).learn_domain(X) == {0: (0.0, 1.0)}
    assert ColumnGrid(0, nodes=[0, 2]).learn_domain(X) == {0: (0.0, 2.0)}
    full = np.array([[0.0], [1.0]])
    ColumnGrid(0, domain=(0, 1)).split(full, domain={0: (0.0, 5.0)})


def test_points_a_rounding_error_off_the_domain_cover_it():
    X = 1e6 * np.array([[0.1 + 0.2], [0.0]])
    ColumnGrid(0, domain=(0, 0.3e6)).split(X)
    ColumnGrid(0, domain=(0, 0.3e6), nodes=[0, 0.3e6]).split(X)


FRAME = pd.DataFrame({"t": [0.5, 0.5, 0.5], "x": [0.0, 0.5, 1.0], "y": [0.0, 1.0, 0.0]})


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"domain": (0, 2)}, {}, r"t=0\.5: it covers only 0\.0 <= x <= 1\.0 .* pass nodes="),
        ({"domain": (-1, 1)}, {}, r"domain -1\.0 <= x <= 1\.0 \(as given"),
        ({"domain": (0, 0.9)}, {}, r"t=0\.5: it has a point at x=1\.0, outside the domain"),
        ({"nodes": [0, 0.9]}, {}, r"t=0\.5: it has a point at x=1\.0, outside the domain"),
        ({}, {"x": [0.0, 1.0, 1.0]}, r"t=0\.5: it holds the point \(x=1\.0\) more than once"),
        ({}, {"t": [0, 0, 1]}, r"the field t=1\.?0?: it has a single point, \(x=1\.0\)"),
        (
            {"space": ["x", "y"]},
            {},
            r"3 values of 'x' x 2 values of 'y': \(x=0\.0, y=1\.0\) is miss",
        ),
        ({}, {"x": [0.0, np.nan, 1.0]}, "column 'x' must be finite, got nan at position 1"),
        ({"space": "z"}, {}, r"column 'z' is unknown; the columns of X are \['t', 'x', 'y'\]"),
        ({"by": ["t", 3]}, {}, "column 3 does not exist: X has 3 columns"),
    ],
)
def test_fields_that_do_not_fit_are_named(options, change, message):
    grid = ColumnGrid(**{"space": "x", "by": "t", **options})
    with pytest.raises(ValueError, match=message):
        grid.split(FRAME.assign(**change))


def test_names_of_an_array_are_asked_for():
    with pytest.raises(ValueError, match="'x' is a name, but X is an array without column names"):
        ColumnGrid("x").split(np.eye(2))


def test_ambiguous_names_are_refused():
    table = pd.DataFrame(np.eye(2), columns=["x", "x"])
    with pytest.raises(ValueError, match="column 'x' is ambiguous"):
        ColumnGrid("x").split(table)


@pytest.mark.parametrize("X", [np.zeros(3), np.zeros((0, 2)), np.zeros((2, 2, 2))])
def test_tables_have_two_dimensions_and_rows(X):
    with pytest.raises(ValueError, match="X must be a 2-D table with one row a point, got shape"):
        ColumnGrid(0).split(X)


def test_coordinates_must_be_numbers():
    with pytest.raises(TypeError, match="column 'x' must hold real numbers"):
        ColumnGrid("x").split(pd.DataFrame({"x": ["low", "high"]}))
    with pytest.raises(TypeError, match="column 'x' must hold real numbers, got dtype datetime"):
        ColumnGrid("x").split(pd.DataFrame({"x": pd.to_datetime(["2020-01-01", "2020-01-02"])}))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": []}, ValueError, "space must name at least one column"),
        ({"space": None}, TypeError, "space must be a column name or position"),
        ({"space": 1.5}, TypeError, "space must be a column name"),
        ({"space": [True]}, TypeError, "space holds True"),
        ({"space": -1}, ValueError, "space holds -1; positions count from 0"),
        ({"by": "x"}, ValueError, "different columns, got 'x' twice"),
        ({"domain": (1, 0)}, ValueError, r"domain of 'x' must be \(low, high\) with low < high"),
        ({"domain": (0, 0)}, ValueError, "low < high"),
        ({"domain": (0, 1, 2)}, ValueError, "domain of 'x'"),
        ({"domain": (0, np.inf)}, ValueError, "domain must be finite"),
        ({"domain": {"y": (0, 1)}}, ValueError, r"each column of space=\['x'\], got \['y'\]"),
        ({"space": ["x", "y"], "domain": (0, 1, 2)}, ValueError, "domain must be a list"),
        ({"space": ["x", "y"], "domain": (0, 1)}, ValueError, "domain of 'x'"),
        ({"nodes": [0.5]}, ValueError, "nodes of 'x': at least 2 nodes are needed"),
        ({"nodes": [0, 1, 1]}, ValueError, r"nodes of 'x': points .* 1\.0 is duplicated"),
        ({"nodes": 7}, ValueError, "nodes of 'x': points must be a non-empty 1-D array"),
        ({"space": ["x", "y"], "nodes": 7}, ValueError, "nodes must be a list"),
        ({"domain": (0, 2), "nodes": [0, 1]}, ValueError, r"span the domain \[0, 2\].*\[0, 1\]"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        ColumnGrid(**{"space": "x", **options})


def test_options_take_each_form():
    lists = ColumnGrid(["x", "y"], domain=[(0, 1), (0, 2)], nodes=[[0, 1], [0, 1, 2]])
    dicts = ColumnGrid(
        ("x", "y"), domain={"y": (0, 2), "x": (0, 1)}, nodes={"y": [0, 1, 2], "x": [0, 1]}
    )
    assert lists == dicts and hash(lists) == hash(dicts)
    flat = ColumnGrid("x", domain=(0, 1), nodes=np.array([0, 1]))
    assert flat == ColumnGrid(["x"], domain=[(0, 1)], nodes=[[0, 1]])
    assert flat == ColumnGrid("x", domain={"x": (0, 1)}, nodes={"x": [0, 1]})
    assert flat != ColumnGrid("x", domain=(0, 1)) and flat != "grid"


def test_options_are_kept_as_given_and_shown():
    nodes = np.linspace(0, 1, 5)
    grid = ColumnGrid("x", "t", (0, 1), nodes)
    assert (grid.space, grid.by, grid.domain) == ("x", "t", (0, 1)) and grid.nodes is nodes
    assert repr(grid) == "ColumnGrid(space='x', by='t', domain=(0, 1), nodes=<5>)"
    for twin in (pickle.loads(pickle.dumps(grid)), copy.deepcopy(grid)):
        assert twin == grid and repr(twin) == repr(grid)


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("nodes", [None, np.linspace(0, 1, 101)])
def test_a_thousand_fields_are_split_in_well_under_a_second(frame, nodes):
    X = long_table(np.arange(1000.0), np.linspace(0, 1, 200))
    X = pd.DataFrame(X, columns=["t", "x", "row"]).drop(columns="row") if frame else X[:, :2]
    start = time.perf_counter()
    (group,) = ColumnGrid(1, by=0, nodes=nodes).split(X)
    group.rows(X)
    assert group.index.shape == (1000, 200)
    assert time.perf_counter() - start < 2.0  # 0.15 s on an idle core


def test_polars_frames_are_split_too():
    polars = pytest.importorskip("polars")
    table = long_table([0.0, 1.0], [0.0, 0.5, 1.0])
    X = polars.DataFrame(table, schema=["t", "x", "row"]).drop("row")
    X = X.with_columns(site=polars.Series(["a" if t else "b" for t in table[:, 0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (group,) = ColumnGrid("x", by="site", nodes=[0.0, 1.0]).split(X)
        rows = group.rows(X)
    assert isinstance(group.by, polars.DataFrame) and group.by["site"].to_list() == ["a", "b"]
    assert rows["x"].to_list() == [0.0, 1.0, 0.0, 0.5, 1.0] * 2
    assert rows["t"].to_list() == [1.0] * 5 + [0.0] * 5
    missing = X.with_columns(site=polars.Series(["a", None] * 3))
    with pytest.raises(ValueError, match="column 'site' tells the fields apart"):
        ColumnGrid("x", by="site").split(missing)


def test_the_advice_on_domains_works():
    """What the error says to pass makes the query work, along one axis and along two."""
    one = np.array([[0.2], [0.5], [0.7]])
    two = np.array([[x, t] for x in (0.2, 0.7) for t in (1.0, 2.0)])
    for table, domain in ((one, {0: (0.0, 1.0)}), (two, {0: (0.0, 1.0), 1: (1.0, 3.0)})):
        grid = ColumnGrid(list(domain), domain=domain)
        with pytest.raises(ValueError, match="pass nodes=") as caught:
            grid.split(table)
        advice = re.search(r"nodes=(.*), say", str(caught.value)).group(1)
        nodes = eval(advice, {"np": np})
        (group,) = ColumnGrid(list(domain), domain=domain, nodes=nodes).split(table)
        assert group.n_outputs == len(table)


@pytest.mark.parametrize("ends", [(0.1, 0.7), (-1000.1, -999.7), (1e-7, 3e-7)])
def test_tables_in_float32_fit_domains_in_float64(ends):
    """Rounded ends are the ends, on both sides; a gap that is none is still found."""
    x = np.linspace(*ends, 7).astype(np.float32)[:, None]
    for domain in (ends, tuple(float(np.float32(e)) for e in ends)):
        (group,) = ColumnGrid(0, domain=domain).split(x)
        (also,) = ColumnGrid(0, domain=domain).split(np.linspace(*ends, 7)[:, None])
        (between,) = ColumnGrid(0, nodes=np.linspace(*domain, 9)).split(x)
        assert group.n_outputs == also.n_outputs == between.n_outputs == 7
        np.testing.assert_allclose(between.interpolation.sum(axis=1), 1.0, rtol=1e-6)
    width = ends[1] - ends[0]
    with pytest.raises(ValueError, match="covers only"):
        ColumnGrid(0, domain=(ends[0], ends[1] + 1e-3 * width)).split(x)

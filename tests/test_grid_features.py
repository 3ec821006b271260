"""GridFeatures: what is where in its output, and what it refuses."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor, make_constrained_pipeline
from skphys.constraints import Column, ConservationLaw
from skphys.grids import Axis, Components, Grid, Mesh
from skphys.preprocessing import GridFeatures

LINE = Grid(x=np.linspace(0.0, 2.0, 5))
PLANE = Grid(y=np.array([0.0, 1.0, 4.0]), x=Axis.periodic(0.0, 1.0, 4))
RNG = np.random.default_rng(0)
N = 6


def columns(name, n):
    return [f"{name}_{i}" for i in range(n)]


def table(**widths):
    """Random columns; a width of None is a single column without a number."""
    names = [
        c
        for name, width in widths.items()
        for c in ([name] if width is None else columns(name, width))
    ]
    return pd.DataFrame(RNG.normal(size=(N, len(names))), columns=names)


def frames(data):
    return [data, pl.from_pandas(data)]


@parametrize_with_checks(
    [
        GridFeatures(),
        GridFeatures(coordinates=False),
        GridFeatures(LINE, scalars=[0]),
        GridFeatures(PLANE, fields=[], scalars=0, passthrough=[0], coordinates=["x"]),
        GridFeatures(fields={"u": slice(None)}, passthrough=-1),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_channels_of_a_plane_are_those_of_meshgrid():
    data = table(nu=None, v=12, unused=None, u=12, rate=None)
    features = GridFeatures(PLANE, fields=["u", "v"], scalars=["rate", "nu"])
    out = features.fit_transform(data)
    assert isinstance(out, np.ndarray)
    assert features.channel_names_ == ["u", "v", "rate", "nu", "y", "x"]
    assert features.n_channels_ == 6
    assert features.grid_ == PLANE
    out = out.reshape(N, 6, 3, 4)
    y, x = np.meshgrid(PLANE["y"], PLANE["x"], indexing="ij")
    np.testing.assert_array_equal(out[:, 0].reshape(N, -1), data[columns("u", 12)])
    np.testing.assert_array_equal(out[:, 1].reshape(N, -1), data[columns("v", 12)])
    for c, name in ((2, "rate"), (3, "nu")):
        for i in range(N):
            np.testing.assert_array_equal(out[i, c], np.full((3, 4), data.loc[i, name]))
    for i in range(N):
        np.testing.assert_array_equal(out[i, 4:], [y, x])


def test_names_number_the_points_of_each_channel():
    data = table(nu=None, u0=5)
    features = GridFeatures(LINE, {"start": "u0"}, scalars="nu", passthrough=["nu"]).fit(data)
    expected = [*columns("start", 5), *columns("nu", 5), *columns("x", 5), "nu"]
    assert list(features.get_feature_names_out()) == expected
    assert list(features.get_feature_names_out(data.columns)) == expected
    with pytest.raises(ValueError, match="input_features"):
        features.get_feature_names_out(["other"] * 6)


@pytest.mark.parametrize(
    "selection",
    [
        slice(1, 6),
        slice(-5, None),
        [1, 2, 3, 4, 5],
        np.arange(1, 6),
        columns("u", 5),
        range(1, 6),
    ],
)
def test_a_field_is_selected_in_any_way(selection):
    data = table(nu=None, u=5)
    out = GridFeatures(LINE, {"u": selection}, coordinates=False).fit_transform(data)
    np.testing.assert_array_equal(out, data[columns("u", 5)])


def test_the_order_of_the_selection_is_the_order_of_the_points():
    data = table(u=5).iloc[:, ::-1]
    by_prefix = GridFeatures(LINE, ["u"], coordinates=False).fit_transform(data)
    np.testing.assert_array_equal(by_prefix, data[columns("u", 5)])
    reverse = GridFeatures(LINE, {"u": [4, 3, 2, 1, 0]}, coordinates=False)
    np.testing.assert_array_equal(reverse.fit_transform(by_prefix), by_prefix[:, ::-1])


def test_prefixes_of_prefixes():
    data = table(u=5, u_0=5)  # the columns u_0 and u_0_0 both exist
    out = GridFeatures(LINE, ["u_0", "u"], coordinates=False).fit_transform(data)
    np.testing.assert_array_equal(out, data[columns("u_0", 5) + columns("u", 5)])


def test_all_of_x_is_one_field_by_default():
    data = table(u0=5, mass=None)
    features = GridFeatures(LINE, passthrough=["mass"]).fit(data)
    assert features.channel_names_ == ["u0", "x"]
    plain = GridFeatures(LINE, passthrough=[5]).fit(data.to_numpy())
    assert plain.channel_names_ == ["u", "x"]
    np.testing.assert_array_equal(plain.transform(data.to_numpy()), features.transform(data))


def test_columns_may_serve_twice():
    data = table(u=5)
    features = GridFeatures(LINE, {"a": "u", "b": "u"}, ["u_2"], coordinates=False)
    out = features.fit_transform(data).reshape(N, 3, 5)
    np.testing.assert_array_equal(out[:, 0], data)
    np.testing.assert_array_equal(out[:, 1], data)
    np.testing.assert_array_equal(out[:, 2], np.tile(data[["u_2"]], 5))
    assert features.channel_names_ == ["a", "b", "u_2"]


def test_without_a_grid():
    data = table(u=5, v=5, nu=None)
    features = GridFeatures(fields=["u", "v"], scalars=["nu"]).fit(data)
    assert features.grid_ == Grid.unit(5)
    scalars = GridFeatures(scalars=["nu"]).fit(data)
    assert scalars.grid_.n_points == 1
    with pytest.raises(ValueError, match="field 'v' has 4 columns, but there are 5 points"):
        GridFeatures(fields=["u", "v"]).fit(data.drop(columns="v_4"))


def test_coordinates_alone():
    out = GridFeatures(LINE, fields=[], coordinates="x").fit_transform(np.zeros((N, 3)))
    np.testing.assert_array_equal(out, np.tile(LINE["x"], (N, 1)))


def test_components_share_their_grid():
    both = Components(u=PLANE, v=PLANE)
    data = RNG.normal(size=(N, 24))
    features = GridFeatures(both).fit(data)
    assert features.channel_names_ == ["u", "v", "y", "x"]
    assert features.grid_ == PLANE
    np.testing.assert_array_equal(features.transform(data)[:, :24], data)
    with pytest.raises(ValueError, match="not one field on Components"):
        GridFeatures(both).fit(data[:, :12])
    with pytest.raises(ValueError, match="components must share it"):
        GridFeatures(Components(u=PLANE, v=LINE)).fit(data)
    mesh = Mesh([0.5, 1.5], volumes=[1.0, 1.0], faces=[[-1, 0], [0, 1], [1, -1]])
    with pytest.raises(ValueError, match="components must share it"):
        GridFeatures(Components(u=mesh)).fit(data)


def test_fields_along_some_axes_are_repeated_along_the_others():
    grid = Grid(t=[0.0, 0.5, 1.0], x=np.linspace(0.0, 1.0, 4))
    data = table(u0=4, flux=3)
    features = GridFeatures(grid, ["u0", "flux"], along={"u0": "x", "flux": ["t"]})
    out = features.fit_transform(data).reshape(N, 4, 3, 4)
    for i in range(3):
        np.testing.assert_array_equal(out[:, 0, i], data[columns("u0", 4)])
    for j in range(4):
        np.testing.assert_array_equal(out[:, 1, :, j], data[columns("flux", 3)])
    both = GridFeatures(PLANE, {"u": slice(12)}, along={"u": ["x", "y"]}, coordinates=False)
    plane = RNG.normal(size=(N, 12))
    np.testing.assert_array_equal(both.fit_transform(plane), plane)  # axes in the grid's order


@pytest.mark.parametrize("data", frames(table(u0=5, heater=None)), ids=["pandas", "polars"])
def test_passthrough_keeps_the_container(data):
    features = GridFeatures(LINE, ["u0"], passthrough=["heater"])
    for out in (features.fit_transform(data), features.fit(data).transform(data)):
        assert type(out) is type(data)
        assert list(out.columns) == list(features.get_feature_names_out())
        np.testing.assert_array_equal(out["heater"], data["heater"])
        np.testing.assert_array_equal(np.asarray(out)[:, :5], np.asarray(data)[:, :5])
    assert isinstance(GridFeatures(LINE, ["u0"]).fit_transform(data), np.ndarray)
    array = features.fit(data).set_output(transform="default")
    assert type(array.transform(data)) is type(data)


def test_passthrough_columns_are_unchanged():
    data = table(u0=5, heater=None).set_index(np.arange(N)[::-1])
    data["label"] = pd.Series(list("abcabc"), index=data.index, dtype="category")
    data["gap"] = np.nan
    out = GridFeatures(LINE, ["u0"], passthrough=["gap", "label"]).fit_transform(data)
    pd.testing.assert_frame_equal(out[["gap", "label"]], data[["gap", "label"]])


@pytest.mark.parametrize("data", frames(table(u0=5, heater=None)), ids=["pandas", "polars"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("passthrough", [None, ["heater"]])
def test_set_output(data, library, passthrough):
    features = GridFeatures(LINE, ["u0"], passthrough=passthrough)
    out = features.set_output(transform=library).fit_transform(data)
    assert type(out) is {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library]
    assert list(out.columns) == list(features.get_feature_names_out())
    values = np.asarray(data)
    expected = [values[:, :5], np.tile(LINE["x"], (N, 1))]
    expected += [] if passthrough is None else [values[:, 5:]]
    np.testing.assert_array_equal(np.asarray(out), np.hstack(expected))


def test_precision_is_kept():
    data = np.ones((N, 6), dtype=np.float32)
    features = GridFeatures(LINE, {"u": slice(5)}, passthrough=[5]).fit(data)
    assert features.transform(data).dtype == np.float32
    assert features.transform(data.astype(int)).dtype == np.float64


@pytest.mark.parametrize(
    "data, key",
    [(frame, "heater") for frame in frames(table(u0=5, heater=None))]
    + [(table(u0=5, heater=None).to_numpy(), Column(-1))],
    ids=["pandas", "polars", "array"],
)
def test_an_estimator_behind_it_finds_its_values(data, key):
    y = RNG.normal(size=(N, 5))
    fields = ["u0"] if isinstance(key, str) else {"u0": slice(5)}
    model = make_pipeline(
        GridFeatures(LINE, fields, passthrough=["heater"] if fields == ["u0"] else [5]),
        ConservationConstrainedRegressor(
            Ridge(), ConservationLaw(total=key, noise=0.0), LINE, drop_value_columns=True
        ),
    )
    with pytest.warns(UserWarning, match="violate"):
        model.fit(data, y)
    heater = np.asarray(data)[:, 5]
    np.testing.assert_allclose(model.predict(data) @ LINE.weights(), heater, rtol=1e-12)
    assert model[-1].estimator_.n_features_in_ == 10


def test_grid_reaches_a_constrained_pipeline():
    model = make_constrained_pipeline(GridFeatures(LINE), Ridge(), ConservationLaw(total=1.0))
    assert model.grid is LINE
    data = RNG.normal(size=(12, 5))
    y = data / (data @ LINE.weights())[:, None]
    search = GridSearchCV(model, {"estimator__gridfeatures__coordinates": [True, False]}, cv=2)
    mean = search.fit(data, y).predict(data)
    np.testing.assert_allclose(mean @ LINE.weights(), 1.0, rtol=1e-12)


def test_clone_and_pickle():
    features = GridFeatures(PLANE, ["u"], ["nu"], ["nu"], along={"u": "x"})
    assert clone(features).get_params()["along"] == {"u": "x"}
    data = table(u=4, nu=None)
    expected = features.fit_transform(data)
    other = pickle.loads(pickle.dumps(features))
    pd.testing.assert_frame_equal(other.transform(data), expected)
    with pytest.raises(NotFittedError):
        clone(features).transform(data)


class TestOnGrid:
    FINE = Grid(x=np.linspace(0.0, 2.0, 9))

    def test_named(self):
        names = {"nu": None, "u": 5, "v": 5, "heater": None}
        features = GridFeatures(LINE, ["v", "u"], ["nu"], ["heater"]).fit(table(**names))
        before = pickle.dumps(features)
        fine = features.on_grid(self.FINE)
        data = table(**{**names, "u": 9, "v": 9})
        fresh = GridFeatures(self.FINE, ["v", "u"], ["nu"], ["heater"]).fit(data)
        pd.testing.assert_frame_equal(fine.transform(data), fresh.transform(data))
        assert fine.n_features_in_ == 20
        assert list(fine.feature_names_in_) == list(data.columns)
        assert fine.grid == fine.grid_ == self.FINE
        assert pickle.dumps(features) == before
        with pytest.raises(ValueError, match="feature names"):
            fine.transform(table(**names))

    def test_positions_and_axes(self):
        grid = Grid(t=[0.0, 1.0], x=[0.0, 1.0, 2.0])
        fine = Grid(t=[0.0, 0.5, 1.0], x=np.linspace(0, 2, 5))
        options = {"scalars": [-1], "along": {"u0": "x"}}
        features = GridFeatures(grid, {"u0": slice(3), "f": slice(3, 9)}, **options)
        data = RNG.normal(size=(N, 21))
        out = features.fit(np.zeros((N, 10))).on_grid(fine).transform(data)
        fresh = GridFeatures(fine, {"u0": slice(5), "f": slice(5, 20)}, **options)
        np.testing.assert_array_equal(out, fresh.fit_transform(data))

    def test_components(self):
        data = RNG.normal(size=(N, 18))
        features = GridFeatures(Components(u=LINE, v=LINE)).fit(np.zeros((2, 10)))
        fine = features.on_grid(Components(u=self.FINE, v=self.FINE))
        np.testing.assert_array_equal(fine.transform(data)[:, :18], data)

    @pytest.mark.parametrize(
        "params, grid, message",
        [
            ({"fields": ["u"]}, Grid(z=[0.0, 1.0]), r"must have the axes \['x'\]"),
            ({"fields": {"u": [0, 2, 1, 3, 4]}}, FINE, "not next to each other"),
            ({"fields": {"u": slice(0, 5), "v": slice(1, 6)}}, FINE, "share columns in part"),
            ({"fields": ["u"], "scalars": ["u_2"]}, FINE, r"\['u_2'\] belongs to a field"),
            ({"fields": {"u": slice(1, 6)}}, FINE, "their names on another grid are not known"),
        ],
    )
    def test_undefined(self, params, grid, message):
        features = GridFeatures(LINE, **params).fit(table(u=5, nu=None))
        with pytest.raises(ValueError, match=message):
            features.on_grid(grid)


@pytest.mark.parametrize(
    "params, message",
    [
        ({}, r"X has 8 columns .*'u_0', 'u_1', 'u_2', 'u_3', \.\.\., 'heater'.* one field on Grid"),
        ({"fields": ["w"]}, r"wants the columns w_0, w_1, ..., but 'w_0' is unknown"),
        ({"fields": ["g"]}, "'g_1' is unknown"),
        ({"fields": {"u": slice(4)}}, "field 'u' has 4 columns, but there are 5 points of Grid"),
        ({"fields": {"u": ["u_0", "u_9"]}}, r"fields\['u'\] has 'u_9', .* did you mean 'u_\d'"),
        ({"fields": {"u": [0, 0, 1, 2, 3]}}, r"fields\['u'\] has a column twice"),
        ({"scalars": ["heatre"]}, "did you mean 'heater'"),
        ({"scalars": [8]}, "scalars has the position 8, but X has 8 columns"),
        ({"passthrough": [-9]}, "passthrough has the position -9"),
        ({"scalars": ["heater"], "coordinates": ["y"]}, "coordinates has the unknown axis 'y'"),
        ({"fields": ["u"], "along": {"u": "t"}}, r"along\['u'\] has the unknown axis 't'"),
        ({"fields": ["u"], "along": {"v": "x"}}, "along has 'v', which is no field"),
        ({"along": {"u": "x"}}, "along has 'u', which is no field"),
        ({"fields": ["u"], "along": {"u": "x"}, "grid": None}, "give GridFeatures a grid"),
        ({"fields": {"x": "u"}}, "two channels are named 'x'"),
        ({"fields": [], "coordinates": False}, "There is no channel"),
        ({"fields": ["u"], "passthrough": ["u_1"]}, "passthrough has the column 'u_1', and a"),
        ({"passthrough": slice(None)}, "passthrough"),
        ({"passthrough": list(range(8))}, "no columns besides those in passthrough"),
        ({"grid": 3}, "grid"),
    ],
)
def test_bad_parameters(params, message):
    data = table(u=5, g_0=None, g_2=None, heater=None)
    with pytest.raises(ValueError, match=message):
        GridFeatures(**{"grid": LINE, **params}).fit(data)


def test_positions_are_no_other_numbers():
    with pytest.raises(TypeError, match=r"names or positions of columns; got True"):
        GridFeatures(LINE, scalars=[True]).fit(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=r"names or positions of columns; got 1\.0"):
        GridFeatures(LINE, scalars=[1.0]).fit(np.zeros((2, 3)))


@pytest.mark.parametrize("params", [{"fields": ["u"]}, {"scalars": ["u"]}])
def test_names_need_named_columns(params):
    with pytest.raises(ValueError, match="has the name 'u', but X has no column names"):
        GridFeatures(LINE, **params).fit(np.zeros((2, 5)))


def test_columns_of_the_same_name():
    data = pd.DataFrame(np.zeros((2, 3)), columns=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"several columns|unique column names"):
        GridFeatures(scalars=["a"]).fit(data)


@pytest.mark.parametrize("data", frames(table(u=5, nu=None)), ids=["pandas", "polars"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_matter_where_they_are_used(data, bad):
    features = GridFeatures(LINE, ["u"]).fit(data)
    values = np.array(data)
    values[2, 3] = bad
    wrong = type(data)(dict(zip(data.columns, values.T, strict=True)))
    for call in (features.transform, features.fit, GridFeatures(LINE, {"u": slice(5)}).fit):
        with pytest.raises(ValueError, match="NaN" if np.isnan(bad) else "infinity"):
            call(wrong)
    GridFeatures(LINE, {"u": slice(5)}).fit(np.where(np.arange(6) == 5, bad, 1.0)[None])
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        GridFeatures(LINE, {"u": slice(5)}).fit(values)


def test_wrong_shapes():
    features = GridFeatures(LINE).fit(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="X has 4 features"):
        features.transform(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="Expected 2D array"):
        features.transform(np.zeros(5))
    with pytest.raises(ValueError, match="dim 3"):
        features.transform(np.zeros((2, 1, 5)))
    with pytest.raises(ValueError, match="could not convert"):
        GridFeatures(scalars=["a"]).fit(pd.DataFrame({"a": ["warm", "cold"]}))

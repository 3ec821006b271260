"""What FieldDisplay draws, read back from the artists."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, PointwiseRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import Axis, ColumnGrid, Components, Grid, Mesh
from skphys.inspection import FieldDisplay

LINE = Grid(x=np.array([0.0, 0.1, 0.5, 1.0, 2.0]))
PLANE = Grid(t=[0.0, 1.0, 4.0], x=Axis.cells([0.0, 1.0, 3.0, 4.0, 7.0]))
Z90 = 1.6448536269514722  # the 95 % quantile of the standard normal, from tables
RNG = np.random.default_rng(0)
FIELDS = RNG.normal(size=(4, 5))
PLANES = RNG.normal(size=(4, 12))


def band_of(display):
    """Lower and upper end of the band at the points."""
    n = display.grid.n_points
    path = display.band_.get_paths()[0].vertices
    x = display.grid[display.grid.names[0]]
    ends = [path[np.isclose(path[:, 0], point), 1] for point in x]
    assert len(ends) == n
    return np.array([end.min() for end in ends]), np.array([end.max() for end in ends])


def test_profile_with_band_and_truth():
    std = np.full((4, 5), 0.5) + np.arange(5)
    display = FieldDisplay.from_predictions(FIELDS + 1, (FIELDS, std), grid=LINE, sample=2)
    np.testing.assert_array_equal(display.line_.get_xdata(), LINE["x"])
    np.testing.assert_array_equal(display.line_.get_ydata(), FIELDS[2])
    np.testing.assert_array_equal(display.truth_.get_ydata(), FIELDS[2] + 1)
    lower, upper = band_of(display)
    np.testing.assert_allclose(lower, FIELDS[2] - Z90 * std[2], rtol=1e-12)
    np.testing.assert_allclose(upper, FIELDS[2] + Z90 * std[2], rtol=1e-12)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["prediction", "90% band", "truth"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x", "field")
    assert display.figure_ is display.ax_.figure


def test_profiles_share_axes(plt):
    _, ax = plt.subplots()
    first = FieldDisplay.from_predictions(FIELDS, FIELDS, grid=LINE, ax=ax, label="FNO")
    std = np.ones(5)
    second = FieldDisplay.from_predictions(None, (FIELDS[1], std), grid=LINE, ax=ax, label="ours")
    assert first.ax_ is second.ax_ is ax
    assert first.band_ is None and second.truth_ is None
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["FNO", "truth", "ours"]


def test_styles():
    display = FieldDisplay.from_predictions(
        FIELDS,
        (FIELDS, np.ones((4, 5))),
        grid=LINE,
        line_kwargs={"c": "tab:red", "lw": 3},
        band_kwargs={"alpha": 0.5},
        truth_kwargs={"color": "tab:green"},
    )
    assert display.line_.get_color() == "tab:red" and display.line_.get_linewidth() == 3
    np.testing.assert_allclose(display.band_.get_facecolor()[0], to_rgba("tab:red", 0.5))
    assert display.truth_.get_color() == "tab:green"


def test_plotting_again_is_the_same():
    display = FieldDisplay.from_predictions(None, (FIELDS, np.ones((4, 5))), grid=LINE)
    first = display.figure_
    again = display.plot(coverage=None)
    assert again is display and display.figure_ is not first
    assert display.band_ is None


def test_images():
    std = np.abs(PLANES)
    truth = PLANES + np.linspace(-0.2, 0.1, 12)
    display = FieldDisplay.from_predictions(truth, (PLANES, std), grid=PLANE, sample=1, name="u")
    assert list(display.images_) == ["truth", "mean", "error", "std"]
    expected = {"truth": truth[1], "mean": PLANES[1], "error": PLANES[1] - truth[1], "std": std[1]}
    for panel, values in expected.items():
        shown = np.asarray(display.images_[panel].get_array()).reshape(4, 3)  # x upwards, t right
        np.testing.assert_array_equal(shown, values.reshape(3, 4).T)
    corners = display.images_["mean"].get_coordinates()
    np.testing.assert_array_equal(corners[0, :, 0], [-0.5, 0.5, 2.5, 5.5])
    np.testing.assert_array_equal(corners[:, 0, 1], [0.0, 1.0, 3.0, 4.0, 7.0])
    limits = (min(truth[1].min(), PLANES[1].min()), max(truth[1].max(), PLANES[1].max()))
    assert display.images_["truth"].get_clim() == display.images_["mean"].get_clim() == limits
    low, high = display.images_["error"].get_clim()
    assert low == -high and np.isclose(high, 0.2)
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["u: truth", "u: mean", "u: error", "u: std"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("t", "x")


def test_panels(plt):
    display = FieldDisplay.from_predictions(None, PLANES, grid=PLANE)
    assert list(display.images_) == ["mean"]
    _, axes = plt.subplots(2)
    chosen = FieldDisplay.from_predictions(
        PLANES, PLANES, grid=PLANE, panels=["mean", "error"], ax=axes
    )
    assert list(chosen.axes_) == list(axes)
    assert chosen.images_["error"].get_clim() == (-1.0, 1.0)  # no error at all
    with pytest.raises(ValueError, match=r"one Axes for each of the panels \['mean'\]; got 2"):
        display.plot(axes)
    with pytest.raises(ValueError, match=r"panels must be of \['mean'\] here"):
        display.plot(panels="std")


def test_each_image_has_its_style():
    pair, truth = (PLANES, np.abs(PLANES)), PLANES + 0.1
    styles = {"error": {"vmin": -3.0, "vmax": 3.0}, "std": {"cmap": "cividis"}}
    display = FieldDisplay.from_predictions(truth, pair, grid=PLANE, image_kwargs=styles)
    assert display.images_["error"].get_clim() == (-3.0, 3.0)
    assert display.images_["std"].get_cmap().name == "cividis"
    assert display.images_["mean"].get_cmap().name == "viridis"
    again = display.plot(image_kwargs={"cmap": "gray"})  # of what is in units of the field
    names = {panel: image.get_cmap().name for panel, image in again.images_.items()}
    assert names == {"truth": "gray", "mean": "gray", "error": "RdBu_r", "std": "magma"}


def test_a_map_has_its_second_axis_to_the_right():
    display = FieldDisplay.from_predictions(None, PLANES, grid=PLANE, transpose=True)
    image = display.images_["mean"]
    np.testing.assert_array_equal(np.reshape(image.get_array(), (3, 4)), PLANES[0].reshape(3, 4))
    np.testing.assert_array_equal(image.get_coordinates()[0, :, 0], [0.0, 1.0, 3.0, 4.0, 7.0])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x", "t")


def test_a_cut_takes_the_nearest_point():
    display = FieldDisplay.from_predictions(2 * PLANES, PLANES, grid=PLANE, at={"t": 2.6})
    np.testing.assert_array_equal(display.line_.get_ydata(), PLANES[0].reshape(3, 4)[2])
    np.testing.assert_array_equal(display.truth_.get_ydata(), 2 * PLANES[0].reshape(3, 4)[2])
    assert display.grid == Grid(x=PLANE.axes["x"])
    cube = Grid(t=[0.0, 1.0], x=[0.0, 1.0, 2.0], y=[0.0, 1.0])
    values = RNG.normal(size=(1, 12))
    cut = FieldDisplay.from_predictions(None, values, grid=cube, at={"x": 1.0})
    np.testing.assert_array_equal(cut.mean, values.reshape(2, 3, 2)[:, 1].ravel())


def test_without_a_grid_the_points_are_cells():
    display = FieldDisplay.from_predictions(None, FIELDS)
    assert display.grid == Grid.unit(5)


def test_components():
    both = Components(u=LINE, v=LINE)
    display = FieldDisplay.from_predictions(None, RNG.normal(size=10), grid=both, component="v")
    np.testing.assert_array_equal(display.line_.get_ydata(), display.mean)
    assert display.ax_.get_ylabel() == "v"


@pytest.mark.parametrize(
    "grid, params, error, message",
    [
        (LINE, {"y_pred": FIELDS[:, :4]}, ValueError, r"mean must have shape \(n_samples, 5\)"),
        (LINE, {"y_pred": (FIELDS, np.ones((4, 4)))}, ValueError, r"std must have shape"),
        (LINE, {"y_true": FIELDS * np.nan}, ValueError, "y_true holds NaN"),
        (LINE, {"sample": 4}, ValueError, "sample=4, but mean has 4 rows"),
        (LINE, {"component": "u"}, ValueError, "component='u' needs Components"),
        (LINE, {"at": {"t": 0.0}}, ValueError, "at names the unknown axis 't'"),
        (LINE, {"at": {"x": 3.0}}, ValueError, "at has x=3, outside"),
        (LINE, {"at": {"x": 1.0}}, ValueError, "0 of .* are left"),
        (Grid(t=[0, 1], x=[0, 1], y=[0, 1]), {}, ValueError, "3 of .* are left"),
        (Components(u=LINE), {"at": {"t": 0.0}}, ValueError, r"at names \['t'\], which is an axis"),
        (Components(u=LINE), {"component": "w"}, ValueError, "unknown component 'w'"),
        (
            Mesh(np.zeros((1, 2)), [1.0], [[0, -1]], t=np.arange(5.0)),
            {},
            ValueError,
            r"a mesh at one time, but all are left; .* at=\{'t': 0\}",
        ),
        (Mesh(np.zeros((5, 3)), np.ones(5), [[0, 1]]), {}, ValueError, "on a line or in a plane"),
        ("grid", {}, TypeError, "grid must be a Grid, a Mesh or Components; got str"),
        (
            LINE,
            {"y_pred": (FIELDS, np.ones((4, 5))), "coverage": 90},
            ValueError,
            "coverage must be strictly between",
        ),
    ],
)
def test_bad_input(grid, params, error, message):
    with pytest.raises(error, match=message):
        FieldDisplay.from_predictions(**{"y_true": None, "y_pred": FIELDS, "grid": grid, **params})


class TestFromEstimator:
    X = np.linspace(0.0, 1.0, 6)[:, None]
    y = np.sin(X + LINE["x"])

    def test_with_and_without_a_std(self):
        process = GaussianProcessRegressor(alpha=1e-6, optimizer=None).fit(self.X, self.y)
        query = self.X + 0.1
        display = FieldDisplay.from_estimator(process, query, self.y, sample=3, grid=LINE)
        mean, std = process.predict(query, return_std=True)
        np.testing.assert_allclose(display.mean, mean[3], rtol=1e-10)
        np.testing.assert_allclose(display.std, std[3], rtol=1e-6)
        np.testing.assert_array_equal(display.y_true, self.y[3])
        plain = FieldDisplay.from_estimator(process, query, grid=LINE, coverage=None)
        assert plain.std is None
        last = FieldDisplay.from_estimator(process, query, grid=LINE, sample=-1)
        np.testing.assert_allclose(last.mean, mean[5], rtol=1e-10)
        ridge = Ridge().fit(self.X, self.y)
        display = FieldDisplay.from_estimator(ridge, self.X.tolist())
        assert display.std is None and display.grid == Grid.unit(5)
        with pytest.raises(ValueError, match="sample=6, but X has 6 rows"):
            FieldDisplay.from_estimator(ridge, self.X, sample=6)

    def test_the_grid_and_the_std_are_found_in_pipelines_and_searches(self):
        process = GaussianProcessRegressor(alpha=1e-6, optimizer=None)
        model = ConservationConstrainedRegressor(PointwiseRegressor(process, LINE), grid=LINE)
        model = make_pipeline(StandardScaler(), model)
        search = GridSearchCV(model, {"standardscaler__with_mean": [True]}, cv=2)
        for fitted in (model.fit(self.X, self.y), search.fit(self.X, self.y)):
            for outer in (fitted, FrozenEstimator(fitted)):
                display = FieldDisplay.from_estimator(outer, self.X, sample=1)
                assert display.grid == LINE
                best = getattr(fitted, "best_estimator_", fitted)
                mean, std = best.predict(self.X[1:2], return_std=True)
                np.testing.assert_array_equal(display.mean, mean[0])
                np.testing.assert_array_equal(display.std, std[0])

    def test_a_long_table(self):
        t, x = (a.ravel() for a in np.meshgrid([0.1, 0.2], LINE["x"], indexing="ij"))
        table = pd.DataFrame({"t": t, "x": x}).sample(frac=1.0, random_state=0)
        u = np.cos(table["x"] + table["t"])
        model = ConservationConstrainedRegressor(
            GaussianProcessRegressor(alpha=1e-6, optimizer=None),
            ConservationLaw(over="x", total=1.0, noise=1.0),
            ColumnGrid(space="x", by="t"),
        )
        model.fit(table, u)
        display = FieldDisplay.from_estimator(model, table, u, sample=1)
        np.testing.assert_array_equal(display.grid["x"], LINE["x"])
        np.testing.assert_allclose(display.y_true, np.cos(LINE["x"] + 0.2))
        whole = pd.Series(model.predict(table), index=table.index).sort_index().to_numpy()
        np.testing.assert_allclose(display.mean, whole[5:], atol=1e-12)
        with pytest.raises(ValueError, match="sample=2, but X has 2 fields"):
            FieldDisplay.from_estimator(model, table, sample=2)

    def test_a_long_table_with_nodes(self):
        """The field is shown at the nodes; the truth, where X has a row at each."""
        rng, nodes = np.random.default_rng(0), LINE["x"]
        t, x = np.repeat([0.2, 0.1], 7), [*rng.permutation(nodes), 0.3, 0.4] * 2
        table = pd.DataFrame({"x": x, "t": t, "rate": t * 10})
        u = np.cos(table["x"] + table["t"])
        model = ConservationConstrainedRegressor(
            GaussianProcessRegressor(alpha=1e-6, optimizer=None),
            ConservationLaw(over="x", total="rate"),
            ColumnGrid(space="x", by="t", nodes=nodes),
            error_model="stated",
        )
        with pytest.warns(UserWarning, match="targets violate"):  # so that the law moves fields
            model.fit(table, u)
        at_nodes = pd.DataFrame({"x": nodes, "t": 0.2, "rate": 2.0})
        display = FieldDisplay.from_estimator(model, table, u, sample=1)
        assert display.grid == LINE
        mean, std = model.predict(at_nodes, return_std=True)
        np.testing.assert_allclose(display.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(display.std, std, rtol=1e-9)
        np.testing.assert_allclose(display.y_true, np.cos(nodes + 0.2), rtol=1e-12)
        assert LINE.weights() @ display.mean == pytest.approx(2.0, rel=1e-12)
        between = FieldDisplay.from_estimator(model, table[5:7])  # between nodes only
        np.testing.assert_allclose(between.mean, mean, rtol=1e-12)
        with pytest.raises(ValueError, match=r"y is known at the rows of X.*each of the .* nodes"):
            FieldDisplay.from_estimator(model, table[5:7], u[5:7])


def test_one_point_is_seen():
    grid = Components(T=Grid.unit(1), u=Grid.unit(4))
    shown = FieldDisplay.from_predictions(2 * np.ones(5), (np.ones(5), np.full(5, 0.1)), grid=grid)
    lines = [part.line_ for part in shown.parts_.values()]
    assert [line.get_marker() for line in lines] == ["o", "None"]
    assert [part.truth_.get_marker() for part in shown.parts_.values()] == ["x", "None"]
    ((low, high),) = shown.parts_["T"].band_.get_segments()
    np.testing.assert_allclose([low[1], high[1]], 1.0 + np.array([-1, 1]) * 0.1644854, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample": "ST-121"}, TypeError, "sample must be a whole number; got 'ST-121'"),
        ({"sample": 1.0}, TypeError, "sample must be a whole number"),
        ({"y": np.ones((2, 4))}, ValueError, r"y must have one row for each of the 3 of X; got 2"),
        ({"at": {"x": "1"}}, TypeError, "at must hold numbers, coordinates; got '1' for 'x'"),
        ({"at": ["x"]}, TypeError, r"at must be a dict, axis to coordinate, .*; got \['x'\]"),
    ],
)
def test_what_is_no_sample_or_place(options, error, message):
    X = np.arange(3.0)[:, None]
    model = ConservationConstrainedRegressor(
        Ridge(), ConservationLaw(total=1.0), Grid(x=np.arange(4.0)), error_model="residual"
    ).fit(X, np.full((3, 4), 1 / 3))
    assert FieldDisplay.from_estimator(model, X, sample=-1).mean.shape == (4,)
    with pytest.raises(error, match=message):
        FieldDisplay.from_estimator(model, X, **options)


def test_a_negative_std():
    by_hand = FieldDisplay(mean=np.ones(4), std=-np.ones(4), grid=Grid.unit(4))
    for draw in (by_hand.plot, lambda: FieldDisplay.from_predictions(None, (FIELDS, -FIELDS))):
        with pytest.raises(ValueError, match="std must not be negative; got -"):
            draw()


def test_axes_are_named(plt):
    both = Components(u=LINE, v=LINE)
    for grid, field in ((LINE, FIELDS[0]), (PLANE, PLANES[0]), (both, np.ones(10))):
        display = FieldDisplay(mean=field, grid=grid)
        with pytest.raises(ValueError, match=r"ax must hold one Axes for .*; got 3"):
            display.plot(plt.subplots(3)[1])
        with pytest.raises(TypeError, match=r"ax must be matplotlib Axes.*got str"):
            display.plot("axes")
    (ax,) = plt.subplots(1, squeeze=False)[1]
    assert FieldDisplay(mean=FIELDS[0], grid=LINE).plot(ax).ax_ is ax[0]

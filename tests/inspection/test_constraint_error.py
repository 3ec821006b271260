"""What ConstraintErrorDisplay computes and draws."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, Dirichlet, LinearEquality
from skphys.grids import ColumnGrid, Grid
from skphys.inspection import ConstraintErrorDisplay, FieldDisplay
from skphys.metrics import conservation_error

GRID = Grid(x=np.linspace(0.0, 1.0, 6))
RNG = np.random.default_rng(0)
FIELDS = RNG.uniform(1.0, 2.0, size=(7, 6))
MASS = FIELDS @ GRID.weights()
LAWS = [("mass", ConservationLaw(total=1.0)), ("ends", LinearEquality(np.eye(6)[[0, 5]], 1.0))]


def test_errors_of_each_constraint():
    display = ConstraintErrorDisplay.from_predictions(None, FIELDS, constraints=LAWS, grid=GRID)
    errors = display.errors["prediction"]
    assert list(errors) == ["mass", "ends"]
    np.testing.assert_allclose(errors["mass"], np.abs(MASS - 1) / (MASS + 1), rtol=1e-12)
    ends = FIELDS[:, [0, 5]]
    np.testing.assert_allclose(errors["ends"], ((ends - 1) / (ends + 1)).max(axis=1), rtol=1e-12)
    absolute = ConstraintErrorDisplay.from_predictions(
        None, FIELDS, constraints=LAWS, grid=GRID, relative=False
    ).errors["prediction"]
    np.testing.assert_allclose(absolute["mass"], MASS - 1.0, rtol=1e-12)
    np.testing.assert_allclose(absolute["ends"], (ends - 1.0).max(axis=1), rtol=1e-12)


def test_several_axes_are_one_too_many(plt):
    display = ConstraintErrorDisplay(errors={"a": {"mass": [1e-3]}})
    with pytest.raises(ValueError, match="ax must hold one Axes for a figure of one panel; got 2"):
        display.plot(plt.subplots(2)[1])


def test_strips():
    exact = FIELDS.copy()
    exact[:, [0, 5]] = 1.0
    display = ConstraintErrorDisplay.from_predictions(
        None, {"free": FIELDS, "overwritten": exact}, constraints=LAWS, grid=GRID
    )
    ax = display.ax_
    assert ax.get_xscale() == "log" and display.figure_ is ax.figure
    assert [text.get_text() for text in ax.get_yticklabels()] == ["free", "overwritten"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mass", "ends"]
    x, y = display.dots_["ends"].get_data()
    np.testing.assert_allclose(x[:7], display.errors["free"]["ends"])
    assert (x[7:] == 1e-17).all()  # zeros are drawn at the floor
    np.testing.assert_array_equal(np.round(y), np.repeat([0.0, 1.0], 7))
    assert (display.dots_["mass"].get_ydata() < y).all()
    medians = display.medians_["mass"].get_xdata()
    assert np.isclose(medians[0], np.median(np.abs(MASS - 1) / (MASS + 1)))
    again = display.plot(floor=1e-6, dot_kwargs={"ms": 9}, median_kwargs={"marker": "s"})
    assert again.dots_["ends"].get_xdata().min() == 1e-6
    assert again.dots_["ends"].get_markersize() == 9
    assert again.medians_["ends"].get_marker() == "s"


def test_models_may_have_different_constraints(plt):
    _, ax = plt.subplots()
    display = ConstraintErrorDisplay(
        errors={"a": {"mass": [0.1, 0.2]}, "b": {"ends": [0.3]}}, relative=False
    ).plot(ax)
    assert display.ax_ is ax and ax.get_xlabel() == "error of the constraint"
    assert display.dots_["ends"].get_xdata().tolist() == [0.3]


def test_from_estimators():
    X = np.column_stack([RNG.uniform(size=20), RNG.uniform(1.0, 2.0, size=20)])
    y = X[:, 1:] + 0.1 * RNG.normal(size=(20, 6))
    law = ConservationLaw(total=Column(1))
    backbone = make_pipeline(StandardScaler(), Ridge()).fit(X, y)
    model = ConservationConstrainedRegressor(backbone, law, GRID)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, y)
    display = ConstraintErrorDisplay.from_estimator(
        {"ridge": backbone, "lawful": model}, X, constraints=law
    )
    assert np.max(display.errors["lawful"]["conservationlaw"]) < 1e-15
    miss = backbone.predict(X) @ GRID.weights() - X[:, 1]
    absolute = ConstraintErrorDisplay.from_estimator(
        backbone, X, constraints=law, grid=GRID, relative=False
    )
    np.testing.assert_allclose(
        absolute.errors["Ridge"]["conservationlaw"], np.abs(miss), rtol=1e-9, atol=1e-14
    )


def flat(n=20):
    """Inputs, whose second column is the mass of the flat fields."""
    X = np.column_stack([RNG.uniform(size=n), RNG.uniform(1.0, 2.0, size=n)])
    return X, X[:, 1:] + np.zeros(6)


def of_percent(X):
    return 0.01 * X


def test_the_truth_has_a_strip_and_pairs_are_means():
    pair = (FIELDS, np.ones((7, 6)))
    display = ConstraintErrorDisplay.from_predictions(
        FIELDS + 1.0, {"ours": pair}, constraints=LAWS, grid=GRID
    )
    assert list(display.errors) == ["truth", "ours"]
    np.testing.assert_allclose(display.errors["truth"]["mass"], MASS / (MASS + 2.0), rtol=1e-12)
    alone = ConstraintErrorDisplay.from_predictions(None, FIELDS, constraints=LAWS, grid=GRID)
    np.testing.assert_array_equal(
        display.errors["ours"]["mass"], alone.errors["prediction"]["mass"]
    )


@pytest.mark.parametrize("wrap", [lambda m: m, FrozenEstimator])
def test_constraints_and_grid_are_those_of_the_fitted_model(wrap):
    """Behind a pipeline, the values of a column are those that the model sees."""
    X, y = flat()
    law = [("mass", ConservationLaw(total=Column(1))), ("low", Bounds(lower=-1e9))]
    model = ConservationConstrainedRegressor(Ridge(), law, GRID)
    pipeline = make_pipeline(FunctionTransformer(of_percent), model)
    search = GridSearchCV(pipeline, {"functiontransformer__validate": [True]}, cv=2)
    for fitted in (pipeline.fit(100.0 * X, y), search.fit(100.0 * X, y)):
        models = {"alone": Ridge().fit(X, y), "ours": wrap(fitted)}
        display = ConstraintErrorDisplay.from_estimator(models, 100.0 * X, y + 1.0)
        assert list(display.errors) == ["truth", "alone", "ours"]
        assert list(display.errors["ours"]) == ["mass"]
        assert np.max(display.errors["ours"]["mass"]) < 1e-15
        expected = 1.0 / (2.0 * X[:, 1] + 1.0)
        np.testing.assert_allclose(display.errors["truth"]["mass"], expected, rtol=1e-12)
    explicit = ConstraintErrorDisplay.from_estimator(pipeline, 100.0 * X, constraints=LAWS[1][1])
    (errors,) = explicit.errors.values()
    assert list(errors) == ["linearequality"]


def test_boundaries_come_from_the_fitted_operator():
    X, y = flat(12)
    model = BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(Column(1)), None)}, GRID)
    display = ConstraintErrorDisplay.from_estimator(model.fit(X, y), X)
    errors = display.errors["BoundaryEnforcedOperator"]
    assert list(errors) == ["x_left"] and np.max(errors["x_left"]) < 1e-15
    with pytest.raises(ValueError, match="Say what should hold"):
        ConstraintErrorDisplay.from_estimator(Ridge().fit(X, y), X, y)


def test_a_long_table():
    t, x = (a.ravel() for a in np.meshgrid([0.1, 0.2, 0.3], GRID["x"], indexing="ij"))
    table = pd.DataFrame({"t": t, "x": x}).sample(frac=1.0, random_state=0)
    u = 1.0 + 0.3 * np.cos(table["x"] + table["t"])
    law = ConservationLaw(over="x", total="t")
    grid = ColumnGrid(space="x", by="t")
    model = ConservationConstrainedRegressor(
        GaussianProcessRegressor(alpha=1e-6, optimizer=None), law, grid
    )
    with pytest.warns(UserWarning, match="violate"):
        model.fit(table, u)
    display = ConstraintErrorDisplay.from_estimator(model, table, u)
    assert np.max(display.errors["ConservationConstrainedRegressor"]["conservationlaw"]) < 1e-15
    absolute = ConstraintErrorDisplay.from_predictions(
        u, model.predict(table), constraints=law, grid=grid, X=table, relative=False
    )
    expected = np.abs(conservation_error(u, law, grid, X=table))[:, 0]
    np.testing.assert_allclose(absolute.errors["truth"]["conservationlaw"], expected, rtol=1e-12)


def test_boundaries_are_constraints():
    condition = Dirichlet(1.0)
    display = ConstraintErrorDisplay.from_predictions(
        None, FIELDS, constraints=LAWS[:1], boundary={"x": (condition, None)}, grid=GRID
    )
    errors = display.errors["prediction"]
    assert list(errors) == ["mass", "x_left"]
    left = FIELDS[:, 0]
    np.testing.assert_allclose(errors["x_left"], np.abs(left - 1) / (left + 1), rtol=1e-12)


def test_bad_input():
    draw = ConstraintErrorDisplay.from_predictions
    with pytest.raises(ValueError, match="Say what should hold"):
        draw(None, FIELDS, grid=GRID)
    with pytest.raises(ValueError, match=r"shape \(n_samples, 6\) on this grid; got \(7, 5\)"):
        draw(None, FIELDS[:, :5], constraints=LAWS, grid=GRID)
    with pytest.raises(ValueError, match="ours holds NaN"):
        draw(None, {"ours": FIELDS * np.nan}, constraints=LAWS, grid=GRID)
    with pytest.raises(ValueError, match="floor must be a positive number"):
        draw(None, FIELDS, constraints=LAWS, grid=GRID, floor=0.0)


@pytest.mark.parametrize("display", [ConstraintErrorDisplay, FieldDisplay])
def test_without_matplotlib(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.*skphys\[plot\]"):
        display.from_predictions(None, FIELDS, grid=GRID)


def test_rounding_where_there_is_nothing_is_no_error():
    law = LinearEquality([[1, 1, 0, 0], [0, 0, 1, 1]], [0.0, 11.0])
    shown = ConstraintErrorDisplay.from_predictions(None, [[1e-17, 0, 5, 6]], constraints=law)
    assert shown.errors["prediction"]["linearequality"].max() < 1e-14
    shown = ConstraintErrorDisplay.from_predictions(None, [[1e-1, 0, 5, 6]], constraints=law)
    assert shown.errors["prediction"]["linearequality"].max() == 1.0


def test_what_is_not_known_is_not_kept():
    law, X = ConservationLaw(total=Column(1)), np.array([[1.0, np.nan], [2.0, 5.0]])
    shown = ConstraintErrorDisplay.from_predictions(None, np.ones((2, 6)), constraints=law, X=X)
    found = shown.errors["prediction"]["conservationlaw"]
    assert np.isnan(found[0]) and found[1] == pytest.approx(1 / 11)
    assert shown.medians_["conservationlaw"].get_xdata()[0] == pytest.approx(1 / 11)

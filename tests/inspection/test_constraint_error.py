"""What ConstraintErrorDisplay computes and draws."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skphys.constraints
from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.grids import Grid
from skphys.inspection import ConstraintErrorDisplay, FieldDisplay

GRID = Grid(x=np.linspace(0.0, 1.0, 6))
RNG = np.random.default_rng(0)
FIELDS = RNG.uniform(1.0, 2.0, size=(7, 6))
MASS = FIELDS @ GRID.weights()
LAWS = [("mass", ConservationLaw(total=1.0)), ("ends", LinearEquality(np.eye(6)[[0, 5]], 1.0))]


def test_errors_of_each_constraint():
    display = ConstraintErrorDisplay.from_predictions(FIELDS, constraints=LAWS, grid=GRID)
    errors = display.errors["prediction"]
    assert list(errors) == ["mass", "ends"]
    np.testing.assert_allclose(errors["mass"], np.abs(MASS - 1) / (MASS + 1), rtol=1e-12)
    ends = FIELDS[:, [0, 5]]
    np.testing.assert_allclose(errors["ends"], ((ends - 1) / (ends + 1)).max(axis=1), rtol=1e-12)
    absolute = ConstraintErrorDisplay.from_predictions(
        FIELDS, constraints=LAWS, grid=GRID, relative=False
    ).errors["prediction"]
    np.testing.assert_allclose(absolute["mass"], MASS - 1.0, rtol=1e-12)
    np.testing.assert_allclose(absolute["ends"], (ends - 1.0).max(axis=1), rtol=1e-12)


def test_strips():
    exact = FIELDS.copy()
    exact[:, [0, 5]] = 1.0
    display = ConstraintErrorDisplay.from_predictions(
        {"free": FIELDS, "overwritten": exact}, constraints=LAWS, grid=GRID
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


@pytest.mark.skipif(
    not hasattr(skphys.constraints, "boundary_constraints"), reason="no boundary conditions"
)
def test_boundaries_are_constraints():
    condition = skphys.constraints.Dirichlet(1.0)
    display = ConstraintErrorDisplay.from_predictions(
        FIELDS, constraints=LAWS[:1], boundary={"x": (condition, None)}, grid=GRID
    )
    errors = display.errors["prediction"]
    assert list(errors) == ["mass", "x_left"]
    left = FIELDS[:, 0]
    np.testing.assert_allclose(errors["x_left"], np.abs(left - 1) / (left + 1), rtol=1e-12)


def test_bad_input():
    draw = ConstraintErrorDisplay.from_predictions
    with pytest.raises(ValueError, match="Say what should hold"):
        draw(FIELDS, grid=GRID)
    with pytest.raises(ValueError, match=r"shape \(n_samples, 6\) on this grid; got \(7, 5\)"):
        draw(FIELDS[:, :5], constraints=LAWS, grid=GRID)
    with pytest.raises(ValueError, match="ours holds NaN"):
        draw({"ours": FIELDS * np.nan}, constraints=LAWS, grid=GRID)
    with pytest.raises(ValueError, match="floor must be a positive number"):
        draw(FIELDS, constraints=LAWS, grid=GRID, floor=0.0)


@pytest.mark.parametrize("display", [ConstraintErrorDisplay, FieldDisplay])
def test_without_matplotlib(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.*skphys\[plot\]"):
        display.from_predictions(FIELDS, grid=GRID)

"""What CoverageDisplay computes and draws."""

import sys

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.inspection import CoverageDisplay
from skphys.metrics import calibration_error, coverage, sharpness

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(40, 12))
STD = RNG.uniform(0.5, 1.5, size=(40, 12))
TRUTH = MEAN + STD * (RNG.normal(size=(40, 1)) + RNG.normal(size=(40, 12)))
MODELS = {"stated": (MEAN, STD), "wider": (MEAN, 3.0 * STD)}


def test_coverages_are_those_of_the_metric():
    display = CoverageDisplay.from_predictions(TRUTH, MODELS)
    assert len(display.levels) == 99
    for level in (0.01, 0.5, 0.9, 0.99):
        at = int(np.argmin(np.abs(display.levels - level)))
        for name, (mean, std) in MODELS.items():
            interval = norm.interval(display.levels[at], mean, std)
            assert display.coverages[name][at] == pytest.approx(coverage(TRUTH, *interval))
    assert display.widths["wider"] == pytest.approx(sharpness(*norm.interval(0.9, MEAN, 3 * STD)))


def test_area_to_the_diagonal_is_the_calibration_error():
    levels = (np.arange(2000) + 0.5) / 2000
    display = CoverageDisplay.from_predictions(TRUTH, MODELS, levels=levels)
    for name, pair in MODELS.items():
        area = np.mean(np.abs(display.coverages[name] - levels))
        assert area == pytest.approx(calibration_error(TRUTH, *pair), abs=1e-3)


def test_bands_are_the_spread_of_fields_not_of_points():
    display = CoverageDisplay.from_predictions(TRUTH, MODELS, levels=[0.5, 0.9])
    inside = np.abs(TRUTH - MEAN) <= norm.ppf(0.95) * STD
    by_field = inside.mean(axis=1)
    expected = by_field.std(ddof=1) / np.sqrt(40)
    assert display.standard_errors["stated"][1] == pytest.approx(expected)
    assert expected > 1.5 * np.sqrt(inside.mean() * (1 - inside.mean()) / 480)
    band = display.bands_["stated"].get_paths()[0].vertices
    half = 0.5 * np.ptp(band[np.isclose(band[:, 0], 0.9), 1])
    assert half == pytest.approx(2.0 * expected)


def test_one_level_is_seen():
    display = CoverageDisplay.from_predictions(TRUTH, MODELS, levels=[0.9])
    assert {line.get_marker() for line in display.lines_.values()} == {"o"}
    ((low, high),) = display.bands_["stated"].get_segments()
    assert high[1] - low[1] == pytest.approx(4.0 * display.standard_errors["stated"][0])


def test_one_field_has_no_band():
    display = CoverageDisplay.from_predictions(TRUTH[0], (MEAN[0], STD[0]))
    assert list(display.lines_) == ["prediction"] and not display.bands_


def test_rows_with_known_points_weigh_less():
    std = STD.copy()
    std[:20, :6] = 0.0
    truth = np.where(std == 0.0, MEAN, TRUTH)
    display = CoverageDisplay.from_predictions(truth, (MEAN, std), levels=[0.8])
    free = std > 0.0
    inside = (np.abs(truth - MEAN) <= norm.ppf(0.9) * std)[free]
    assert display.coverages["prediction"] == pytest.approx([inside.mean()])
    with pytest.raises(ValueError, match="Every point is known"):
        CoverageDisplay.from_predictions([1.0, 2.0], ([1.0, 2.0], 0.0))


def test_what_is_drawn(plt):
    figure, ax = plt.subplots()
    display = CoverageDisplay.from_predictions(TRUTH, MODELS, coverage=0.5, ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    np.testing.assert_array_equal(display.ideal_.get_xdata(), display.ideal_.get_ydata())
    x, y = display.lines_["wider"].get_data()
    np.testing.assert_array_equal(x, display.levels)
    np.testing.assert_array_equal(y, display.coverages["wider"])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == f"stated: 50% width {display.widths['stated']:#.3g}"
    assert {text.get_text() for text in ax.texts} == {"too wide", "too narrow"}


def test_styles_for_all_and_for_each():
    display = CoverageDisplay.from_predictions(TRUTH, MODELS, line_kwargs={"lw": 3.0})
    assert [line.get_linewidth() for line in display.lines_.values()] == [3.0, 3.0]
    again = display.plot(
        line_kwargs={"wider": {"c": "red"}}, band_kwargs={"alpha": 0.5}, ideal_kwargs={"c": "b"}
    )
    assert again.lines_["wider"].get_color() == "red" != again.lines_["stated"].get_color()
    assert again.bands_["wider"].get_alpha() == 0.5 and again.ideal_.get_color() == "b"


def test_from_estimators_before_and_after_a_law():
    X = RNG.uniform(size=(60, 2))
    y = X @ RNG.normal(size=(2, 5)) + 0.1 * RNG.normal(size=(60, 5))
    y += (1.0 - y.sum(axis=1, keepdims=True)) / 5
    free = ConservationConstrainedRegressor(LinearRegression(), error_model="residual")
    free.fit(X[:40], y[:40])
    lawful = ConservationConstrainedRegressor(
        FrozenEstimator(free.estimator_),
        ConservationLaw(total=1.0),
        error_model="residual",
        calibration=(X[:40], y[:40]),
    ).fit(X[:40], y[:40])
    display = CoverageDisplay.from_estimator({"free": free, "law": lawful}, X[40:], y[40:])
    assert display.widths["law"] < display.widths["free"]
    for name, model in (("free", free), ("law", lawful)):
        inside = coverage(y[40:], *model.predict_interval(X[40:], coverage=0.5))
        assert display.coverages[name][49] == pytest.approx(inside)


@pytest.mark.parametrize("column", [False, True])
def test_from_pipelines_and_searches_of_scalars(column):
    X, y = RNG.uniform(size=(30, 1)), RNG.normal(size=30)
    process = GaussianProcessRegressor(alpha=1.0, optimizer=None)
    pipeline = make_pipeline(StandardScaler(), process).fit(X, y)
    truth = y[:, None] if column else y
    display = CoverageDisplay.from_estimator(pipeline, X, truth, levels=[0.5])
    mean, std = pipeline.predict(X, return_std=True)
    expected = coverage(y, *norm.interval(0.5, mean, std))
    assert display.coverages["GaussianProcessRegressor"] == pytest.approx([expected])
    search = GridSearchCV(pipeline, {"gaussianprocessregressor__alpha": [1.0]}, cv=2).fit(X, y)
    found = CoverageDisplay.from_estimator({"search": search}, X, truth, levels=[0.5])
    assert found.coverages["search"] == pytest.approx([expected])


def test_transposed_truth_is_refused():
    X, y = np.arange(4.0)[:, None], np.random.default_rng(0).normal(size=(4, 6))
    model = ConservationConstrainedRegressor(LinearRegression(), error_model="residual").fit(X, y)
    with pytest.raises(ValueError, match=r"\(4, 6\).*\(6, 4\)"):
        CoverageDisplay.from_estimator(model, X, y.T)


def test_bad_input(plt):
    draw = CoverageDisplay.from_predictions
    with pytest.raises(ValueError, match=r"y_pred is empty; give predictions \(mean, std\)"):
        draw(TRUTH, {})
    with pytest.raises(ValueError, match="ax must hold one Axes for a figure of one panel; got 2"):
        draw(TRUTH, MODELS, ax=plt.subplots(2)[1])
    with pytest.raises(ValueError, match="levels must be a 1-D array of numbers between 0 and 1"):
        draw(TRUTH, MODELS, levels=[0.5, 1.0])
    with pytest.raises(ValueError, match=r"coverage must be strictly between 0 and 1; got 90"):
        draw(TRUTH, MODELS, coverage=90)
    with pytest.raises(ValueError, match=r"ours must be a pair \(mean, std\)"):
        draw(TRUTH, {"ours": MEAN})
    with pytest.raises(ValueError, match="mean has shape"):
        draw(TRUTH, (MEAN[:, :3], STD[:, :3]))
    with pytest.raises(TypeError, match="needs predict"):
        CoverageDisplay.from_estimator(Ridge().fit(MEAN, TRUTH), MEAN, TRUTH)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"CoverageDisplay.*skphys\[plot\]"):
        CoverageDisplay.from_predictions(TRUTH, MODELS)

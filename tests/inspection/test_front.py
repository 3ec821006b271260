"""What FrontDisplay draws, of fronts whose places are set by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import Components, Grid, Mesh
from skphys.inspection import FrontDisplay

X = np.arange(11.0)
GRID = Grid(x=X)
RNG = np.random.default_rng(0)
PLACES = RNG.uniform(1.0, 9.0, size=(3, 40))


def step(place):
    return np.where(X <= np.asarray(place)[..., None], 1.0, 0.0)


def drawn(sample):
    """Draws of steps, and where the profile, straight between points, is at 1/2."""
    return np.moveaxis(step(PLACES), -1, 1), np.floor(PLACES[sample]) + 0.5


def test_positions_and_truth():
    draws, expected = drawn(1)
    truth = step(np.array([2.2, 4.4, 6.6]))
    display = FrontDisplay.from_predictions(truth, draws, grid=GRID, sample=1)
    np.testing.assert_allclose(display.positions["prediction"], expected, rtol=1e-12)
    assert display.true_position == 4.5
    np.testing.assert_allclose(display.truth_.get_xdata(), 4.5)
    edges = np.arange(0.0, 11.0)
    again = display.plot(bins=edges)
    counts = [np.sum((edges[i] <= expected) & (expected < edges[i + 1])) for i in range(10)]
    np.testing.assert_allclose(
        again.histograms_["prediction"].get_data().values, np.array(counts) / 40
    )
    assert display.ax_.get_xlabel() == "position of the front, x"


def test_draws_without_a_front_are_missing_from_the_area(plt):
    _, ax = plt.subplots()
    draws = drawn(0)[0][0]
    draws[:, :10] = 0.25
    options = {"grid": GRID, "threshold": 0.5, "ax": ax, "bar_kwargs": {"b": {"fc": "tab:red"}}}
    display = FrontDisplay.from_predictions(None, {"a": draws, "b": draws[:, 10:]}, **options)
    areas = {
        name: np.sum(bars.get_data().values * np.diff(bars.get_data().edges))
        for name, bars in display.histograms_.items()
    }
    assert np.isclose(areas["a"], 0.75) and np.isclose(areas["b"], 1.0)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["a, 25% without", "b"] and display.truth_ is None
    assert display.histograms_["b"].get_facecolor()[:3] == plt.matplotlib.colors.to_rgb("tab:red")


def test_a_cut_a_component_and_a_crossing():
    both = Components(p=GRID, u=Grid(t=[0.0, 1.0], x=X))
    bump = step(6.5) * (1.0 - step(3.5))
    fields = np.concatenate([np.zeros(11), step(1.5), bump])[:, None]
    options = {"grid": both, "component": "u", "at": {"t": 1.0}}
    display = FrontDisplay.from_predictions(fields[:, 0], fields, **options)
    assert (display.positions["prediction"].tolist(), display.true_position) == ([6.5], 6.5)
    first = FrontDisplay.from_predictions(fields[:, 0], fields, **options, crossing="first")
    assert (first.positions["prediction"].tolist(), first.true_position) == ([3.5], 3.5)
    early = FrontDisplay.from_predictions(None, fields, **(options | {"at": {"t": 0.0}}))
    assert early.positions["prediction"].tolist() == [1.5]


def test_from_estimators():
    place = RNG.uniform(2.0, 8.0, size=(30, 1))
    y = step(place[:, 0]).reshape(30, 11)
    law = ConservationLaw(over="x", total=lambda table: np.floor(table[:, 0]) + 0.5)
    model = ConservationConstrainedRegressor(
        KNeighborsRegressor(2), law, GRID, error_model="residual"
    ).fit(place, y)
    display = FrontDisplay.from_estimator(model, place, y, sample=3, n_draws=60, random_state=1)
    draws = model.sample_y(place[3:4], 60, random_state=1)[0].T
    halves = 0.5 * (draws.min(axis=1) + draws.max(axis=1))
    by_hand = []
    for u, level in zip(draws, halves, strict=True):
        k = np.flatnonzero((u[:-1] >= level) != (u[1:] >= level))[-1]
        by_hand.append(X[k] + (u[k] - level) / (u[k] - u[k + 1]))
    name = "ConservationConstrainedRegressor"
    np.testing.assert_allclose(display.positions[name], by_hand, rtol=1e-12)
    assert display.true_position == np.floor(place[3, 0]) + 0.5
    with pytest.raises(TypeError, match="ridge has no sample_y"):
        FrontDisplay.from_estimator({"ridge": Ridge().fit(place, y)}, place, grid=GRID)


def test_a_mesh_is_no_axis(plt):
    mesh = Mesh(X[:, None], np.ones(11), np.column_stack([np.arange(10), np.arange(1, 11)]))
    with pytest.raises(ValueError, match=r"a front is a place on one axis.* interpolate a mesh"):
        FrontDisplay.from_predictions(None, drawn(0)[0], grid=mesh)


def test_bad_input(plt):
    with pytest.raises(ValueError, match="ax must hold one Axes for a figure of one panel; got 2"):
        FrontDisplay.from_predictions(None, drawn(0)[0], grid=GRID, ax=plt.subplots(2)[1])
    with pytest.raises(TypeError, match=r"at must be a dict, axis to coordinate, .*\['t'\]"):
        FrontDisplay.from_predictions(None, drawn(0)[0], grid=GRID, at=["t"])
    plane = Grid(t=[0.0, 1.0], x=X)
    with pytest.raises(ValueError, match=r"a front is a place on one axis, .* by at="):
        FrontDisplay.from_predictions(None, np.zeros((22, 3)), grid=plane)
    with pytest.raises(ValueError, match="name the component to show"):
        FrontDisplay.from_predictions(None, np.zeros((11, 3)), grid=Components(u=GRID))

"""Fields that a background explains to rounding: no backbone is trained, the rest is as ever."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, Dirichlet, Neumann
from skphys.grids import Components, Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 33))
FINE = Grid(x=np.linspace(0.0, 1.0, 50))
ENDS = {"x": (Dirichlet(Column(0)), Dirichlet(Column(1)))}
SLOPE = {"x": (Dirichlet(Column(0)), Neumann(Column(1)))}


class Net(RegressorMixin, BaseEstimator):
    """Predicts the mean; whoever trains it finds out by an error, unless it may be."""

    def __init__(self, may=False, grid=GRID):
        self.may = may
        self.grid = grid

    def fit(self, X, y, *, boundary=None):
        assert self.may, "trained"
        self.mean_ = y.mean(axis=0)
        return self

    def predict(self, X, *, boundary=None):
        return np.tile(self.mean_, (len(X), 1))


def conduction(n=30, x=GRID["x"], seed=0):
    """A rod without sources between two temperatures: linear in x."""
    X = np.random.default_rng(seed).normal(size=(n, 2)) + 5.0
    return X, X[:, :1] + (X[:, 1:] - X[:, :1]) * x


def sources(n=30, x=GRID["x"], seed=0):
    """Three sources besides: affine in all inputs, and no lift."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([conduction(n, x, seed)[0], rng.normal(size=(n, 3))])
    return X, conduction(n, x, seed)[1] + X[:, 2:] @ np.sin(np.pi * np.outer([1, 2, 3], x))


def fluxes(n=30, x=GRID["x"], seed=0):
    X, _ = conduction(n, x, seed)
    return X, X[:, :1] + X[:, 1:] * x


CASES = {
    "lift": (conduction, ENDS, {"values", "smooth"}),
    "slope": (fluxes, SLOPE, {"smooth"}),
    "affine": (sources, ENDS, {"linear"}),
}


def enforced(boundary=ENDS, may=False, **params):
    return BoundaryEnforcedOperator(Net(may), boundary, GRID, **params)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_trained_and_fields_are_exact(case, scale):
    make, boundary, kinds = CASES[case]
    X, y = (scale * each for each in make())
    model = enforced(boundary).fit(X, y)
    assert model.method_ == "lift" and model.background_.kind_ in kinds
    assert model.background_.explained_
    np.testing.assert_array_equal(model.estimator_.predict(X), 0.0 * y)
    Z, truth = (scale * each for each in make(seed=1))
    mean, std = model.predict(Z, return_std=True)
    size = np.abs(truth).max()
    np.testing.assert_allclose(mean, truth, rtol=0, atol=1e-10 * size)
    np.testing.assert_array_equal(mean[:, 0], Z[:, 0])
    assert not std[:, 0].any()  # the end is known
    inside = std[:, 1:-3]
    assert (inside > 0.0).all() and (inside < 1e-9 * size).all()
    np.testing.assert_allclose(inside, model.background_.std_[None, 1:-3] + 0.0 * inside)
    cov = model.predict(Z, return_cov=True)[1]
    np.testing.assert_allclose(cov.diagonal(axis1=1, axis2=2), std**2, rtol=1e-10)
    draws = model.sample_y(Z, 3)
    np.testing.assert_array_equal(draws[:, 0], np.repeat(Z[:, :1], 3, axis=1))
    assert np.abs(draws - mean[..., None]).max() < 1e-8 * size


def test_std_of_an_affine_map_is_that_of_its_leave_one_out_errors():
    X, y = sources()
    std = enforced().fit(X, y).predict_std(X)[0, 1:-1]
    left = []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        left.append(enforced().fit(X[rest], y[rest]).predict(X[[i]])[0] - y[i])
    found = np.sqrt(np.mean(np.square(left), axis=0))[1:-1]
    np.testing.assert_allclose(np.sqrt(np.mean(std**2)), np.sqrt(np.mean(found**2)), rtol=0.5)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("part", [1e-6, 0.1])
def test_what_is_left_of_other_fields_is_learned(case, scale, part):
    """A millionth that no background explains is learned, also of fields far from zero."""
    make, boundary, _ = CASES[case]
    x = GRID["x"]
    for offset in (0.0, 1e3):
        X, y = make(200)
        wave = x**2 * (1.0 - x) ** 4 * 16.0
        y = y + part * np.sin((X[:, :1] - 5.0) * (X[:, 1:2] - 5.0)) * wave
        X[:, 0] += offset
        X[:, 1] += offset * (case != "slope")
        X, y = scale * X, scale * (y + offset)
        model = enforced(boundary, may=True).fit(X, y)
        assert not model.background_.explained_ and isinstance(model.estimator_, Net)
        with pytest.raises(AssertionError, match="trained"):
            enforced(boundary).fit(X, y)


def test_noise_is_not_learned_by_heart_and_is_part_of_the_std():
    X, y = sources(200)
    noise = 0.1 * np.random.default_rng(0).normal(size=(len(y), 31))
    y[:, 1:-1] += noise
    model = enforced().fit(X, y)
    assert model.background_.explained_ and model.background_.kind_ == "linear"
    Z, truth = sources(seed=1)
    mean, std = model.predict(Z, return_std=True)
    np.testing.assert_allclose(std[:, 1:-1].mean(), 0.1, rtol=0.05)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.03


def test_what_no_feature_tells_of_is_not_learned_unless_asked_for():
    """One smooth mode whose size is chance: a net could but learn it by heart."""
    X, y = sources(200)
    wave = 1e-4 * GRID["x"] * (1.0 - GRID["x"])
    y = y + np.random.default_rng(0).normal(size=(len(y), 1)) * wave
    model = enforced().fit(X, y)
    assert model.background_.explained_ and model.background_.kind_ == "linear"
    np.testing.assert_allclose(model.predict_std(X)[0], wave, rtol=0.2, atol=1e-6)
    for wanted in ("linear", "kernel", Ridge(1e-3)):
        model = enforced(may=True, background=wanted).fit(X, y)
        assert not model.background_.explained_ and isinstance(model.estimator_, Net)


def test_each_component_must_be_explained():
    X, y = conduction()
    both = Components(u=GRID, v=GRID)
    model = BoundaryEnforcedOperator(Net(), {"u": ENDS, "v": ENDS}, both)
    assert model.fit(X, np.hstack([y, y])).background_.explained_
    small = 1e-12 * np.random.default_rng(0).normal(size=y.shape) * (1.0 - GRID["x"])
    small[:, 0] = 0.0
    zero = {"x": Dirichlet(0.0)}
    small[:, -1] = 0.0
    model = BoundaryEnforcedOperator(Net(may=True), {"u": ENDS, "v": zero}, both)
    assert not model.fit(X, np.hstack([y, small])).background_.explained_


@pytest.mark.parametrize("fill", [0.0, 300.0])
def test_constant_fields(fill):
    X = np.random.default_rng(0).normal(size=(8, 1))
    model = enforced({"x": (Dirichlet(fill), Neumann(0.0))}).fit(X, np.full((8, 33), fill))
    assert model.background_.explained_
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, fill, rtol=1e-14, atol=0)
    assert np.isfinite(std).all()


def test_any_backbone_that_is_lifted():
    X, y = conduction()
    forest = RandomForestRegressor(2)
    model = BoundaryEnforcedOperator(forest, ENDS, GRID, method="lift").fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-13)
    assert model.background_.explained_
    assert model.estimator_.predict(X).shape == y.shape
    free = BoundaryEnforcedOperator(forest, ENDS, GRID).fit(X, y)  # not told of the boundary
    assert free.background_ is None and isinstance(free.estimator_, RandomForestRegressor)


@pytest.mark.parametrize("case", CASES)
def test_the_rest_of_the_life_of_an_estimator(case):
    make, boundary, _ = CASES[case]
    X, y = make()
    model = enforced(boundary).fit(X, y, sample_weight=np.ones(len(X)))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    fine = again.on_grid(FINE)
    if case != "affine":  # a spline is not exact
        np.testing.assert_allclose(fine.predict(X), make(x=FINE["x"])[1], rtol=1e-12)
    assert (fine.predict_std(X)[:, 1:-3] > 0.0).all()
    search = GridSearchCV(clone(model), {"members": ["moments", "each"]}, cv=3).fit(X, y)
    assert search.best_score_ == pytest.approx(1.0)
    spread = clone(model).set_params(uncertainty="residual").fit(X, y)
    assert spread.residual_std_.max() < 1e-9 * np.abs(y).max()
    law = ConservationLaw("x", total=lambda X: make(len(X))[1] @ GRID.weights())
    outer = ConservationConstrainedRegressor(clone(model), law, GRID).fit(X, y)
    np.testing.assert_allclose(outer.predict(X), y, rtol=0, atol=1e-9 * np.abs(y).max())


def test_on_another_grid_fields_in_X_have_other_points():
    x = GRID["x"]
    a = np.random.default_rng(0).normal(size=(20, 2))
    ends = {"x": (Dirichlet(Column(-2)), Dirichlet(Column(-1)))}
    tables = [
        np.column_stack([a[:, :1] + a[:, 1:] * points, a[:, 0], a.sum(axis=1)])
        for points in (x, FINE["x"])
    ]
    model = BoundaryEnforcedOperator(Net(), ends, GRID).fit(tables[0], tables[0][:, :33])
    assert model.background_.explained_
    np.testing.assert_allclose(model.on_grid(FINE).predict(tables[1]), tables[1][:, :50], atol=1e-9)


def test_folds_that_are_not_explained_are_learned():
    """A clone learns anew whether there is anything to learn."""
    X, y = sources(8)  # enough for two ends and three sources; six of them are not
    assert enforced().fit(X, y).background_.explained_
    with pytest.raises(AssertionError, match="trained"):
        enforced(uncertainty="residual").fit(X, y)
    model = enforced(may=True, uncertainty="residual").fit(X, y)
    assert model.background_.explained_ and model.residual_std_.max() > 1e-3

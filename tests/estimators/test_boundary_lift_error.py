"""The error of a background that was learned is part of what the operator states."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, FNORegressor
from skphys.constraints import ConservationLaw, Dirichlet, Neumann
from skphys.datasets import make_heat_rod
from skphys.grids import Grid

ROD = make_heat_rod(80, n_points=64, as_frame=True, random_state=0)
TRUTH = ROD.target.to_numpy()
WALLS = {"x": (Neumann(0.0), Neumann("heater"))}
FNO = FNORegressor(8, 8, 2, max_epochs=5, n_members=4, random_state=0)
pytestmark = pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")


class Unstated(RegressorMixin, BaseEstimator):
    """Learns nothing."""

    def fit(self, X, y):
        self.n_points_ = y.shape[1]
        return self

    def predict(self, X):
        return np.zeros((len(X), self.n_points_))


FOREST = RandomForestRegressor(5, random_state=0)


def noisy(level, seed=0):
    return TRUTH + level * np.random.default_rng(seed).standard_normal(TRUTH.shape)


def fitted(backbone, y, n=40, **params):
    model = BoundaryEnforcedOperator(
        backbone, WALLS, ROD.grid, method="lift", drop_value_columns=True, **params
    )
    return model.fit(ROD.data[:n], y[:n])


def held(model, y):
    lower, upper = model.predict_interval(ROD.data[40:], coverage=0.9)
    return np.mean((lower <= y[40:]) & (y[40:] <= upper))


@pytest.mark.parametrize("level", [0.0, 0.005, 0.05, 0.2])
@pytest.mark.parametrize("backbone", [FNO, FOREST], ids=["fno", "forest"])
def test_intervals_are_honest(backbone, level):
    """Of measurements if there is noise, of the fields if there is none."""
    y = noisy(level)
    model = fitted(backbone, y)
    assert model.background_.kind_ == "linear"
    assert 0.8 < held(model, y) < 0.97
    assert held(model, TRUTH) > 0.8


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_whatever_the_units(factor):
    one, other = fitted(FOREST, noisy(0.05)), fitted(FOREST, factor * noisy(0.05))
    np.testing.assert_allclose(other.background_.std_ / factor, one.background_.std_, rtol=1e-6)


def test_a_lift_was_not_learned_and_has_no_error():
    model = fitted(Unstated(), np.sin(3.0 * TRUTH), background="values")
    assert not model.background_.std_.any()


@pytest.mark.parametrize("level", [0.0, 0.05])
@pytest.mark.parametrize("background", ["values", "none"])
def test_two_members_behind_a_lift_are_not_surer_than_on_training_fields(background, level):
    """They agree on more than they know: their own intervals held a third of the fields."""
    y, two = noisy(level), clone(FNO).set_params(n_members=2, max_epochs=30)
    model = fitted(two, y, background=background)
    assert not model.background_.explained_
    assert 0.8 < held(model, y) < 0.99
    missed = np.sqrt(np.mean((model.predict(ROD.data[:40]) - y[:40]) ** 2, axis=0))
    assert (model.predict_std(ROD.data[40:]).mean(axis=0) > 0.9 * missed)[3:-3].all()


def test_it_reaches_every_way_of_stating():
    """Members, one process for all points, and the law outside; on another grid as well."""
    y = noisy(0.05)
    gp = GaussianProcessRegressor(optimizer=None, alpha=1e-3)
    for backbone in (FNO, FOREST, gp):
        model = fitted(backbone, y)
        error, std = model.background_.std_, model.predict_std(ROD.data[40:])
        assert (std[:, 3:-6] > 0.9 * error[3:-6]).all()
    inner = BoundaryEnforcedOperator(FNO, WALLS, ROD.grid, drop_value_columns=True)
    law = ConservationLaw("x", lambda X: np.zeros(len(X)), noise=100.0)
    outer = ConservationConstrainedRegressor(inner, law, ROD.grid).fit(ROD.data[:40], y[:40])
    std = fitted(FNO, y).predict_std(ROD.data[40:])
    np.testing.assert_allclose(outer.predict_std(ROD.data[40:]), std, rtol=1e-2)
    fine = make_heat_rod(80, n_points=96, as_frame=True, random_state=0)
    moved = fitted(FNO, y).on_grid(fine.grid)
    expected = np.interp(fine.grid["x"], ROD.grid["x"], fitted(FNO, y).background_.std_)
    np.testing.assert_allclose(moved.background_.std_, expected)
    assert moved.predict_std(fine.data).mean() == pytest.approx(std.mean(), rel=0.05)


def test_the_boundary_is_known():
    x = np.linspace(0, 1, 12)
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = X[:, :1] * (1 - x) + X[:, 1:] * x + 0.1 * np.random.default_rng(1).normal(size=(60, 12))
    y[:, 0] = 0.0
    model = BoundaryEnforcedOperator(
        FOREST, {"x": (Dirichlet(0.0), None)}, Grid(x=x), method="lift"
    ).fit(X, y)
    std = model.predict_std(X)
    assert not std[:, 0].any()
    np.testing.assert_allclose(std[:, 1:].mean(), 0.1, rtol=0.2)


def curved(X, x, rng):
    waves = np.sin(np.pi * np.outer([1, 2], x))
    return np.exp(X[:, :1]) * waves[0] + np.sin(3.0 * X[:, 1:]) * waves[1]


def measured(X, x, rng):
    return X[:, :1] * np.sin(np.pi * x) + 0.1 * rng.normal(size=(len(X), len(x))) * (x * (1 - x))


@pytest.mark.parametrize("background", ["linear", "kernel"])
@pytest.mark.parametrize("make", [curved, measured])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_few_fields_make_wide_intervals(n, make, background):
    x, rates = np.linspace(0.0, 1.0, 16), []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.uniform(-1.0, 1.0, (n + 30, 2))
        y, walls = make(X, x, rng), {"x": Dirichlet(0.0)}
        model = BoundaryEnforcedOperator(
            Unstated(), walls, Grid(x=x), method="lift", background=background
        ).fit(X[:n], y[:n])
        error = np.abs(model.predict(X[n:]) - y[n:])[:, 1:-1]
        rates.append(np.mean(error < 1.645 * model.background_.std_[1:-1]))
    assert 0.8 < np.mean(rates) < 0.98


@pytest.mark.parametrize("background", ["auto", "linear", "kernel", "smooth"])
def test_one_field_makes_nothing_certain(background):
    """Also if it is there several times, and even if a lift has just that field."""
    X, x = np.ones((3, 2)), np.linspace(0.0, 1.0, 9)
    model = BoundaryEnforcedOperator(
        Unstated(), {"x": (Dirichlet(1.0), Neumann(0.0))}, Grid(x=x), method="lift"
    ).set_params(background=background)
    model.fit(X, np.ones((3, 9)))
    np.testing.assert_allclose(model.predict(X), 1.0, rtol=1e-12)
    if model.background_.explained_:
        assert (model.predict_std(X)[:, 1:] > 0.1).all()
    else:
        with pytest.warns(UserWarning, match="no uncertainty"):
            model.predict_std(X)

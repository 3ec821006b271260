"""An error model of one's own: fitted on data, asked for a prior or for a posterior of any form."""

import pickle
from copy import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from skphys import ConservationConstrainedRegressor
from skphys.conditioning import Diagonal, Gaussian, Mixture, condition
from skphys.constraints import Bounds, Column, ConservationLaw
from skphys.estimators import BaseErrorModel
from skphys.grids import ColumnGrid, Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 9))
RNG = np.random.default_rng(0)
X = RNG.uniform(1.0, 2.0, size=(30, 2))
Y = X[:, :1] * np.sin(GRID["x"]) + X[:, 1:] * GRID["x"] ** 2
X[:, 1] = Y @ GRID.weights()
LAW = ConservationLaw(over="x", total=Column(1))


class Sloped(BaseErrorModel):
    """Errors grow along x; a scale is learned where there are held-out data."""

    scale = 1.0

    def fit(self, held_out):
        fitted = copy(self)
        fitted.seen = sum(len(part.truth) for part in held_out)
        errors = [part.truth - part.fields.prediction.mean for part in held_out]
        fitted.scale = float(np.concatenate(errors).std())
        return fitted

    def prior(self, fields):
        n_points = fields.prediction.mean.shape[1]
        variance = (self.scale * np.linspace(1.0, 3.0, n_points)) ** 2
        return [Gaussian(fields.prediction.mean, Diagonal(variance))]


class Learns(Sloped):
    needs_held_out = True


class TwoScales(BaseErrorModel):
    """A weighted mixture: what misses its law by far is conditioned in another metric."""

    def prior(self, fields):
        mean, n_points = fields.prediction.mean, fields.prediction.mean.shape[1]
        variances = np.ones(n_points), np.linspace(1.0, 3.0, n_points) ** 2
        return [Gaussian(mean, Diagonal(variance)) for variance in variances]

    def posterior(self, fields, inequalities="projected"):
        system = fields.system
        parts = [condition(g, system.rows, system.values) for g in self.prior(fields)]
        miss = np.abs(fields.prediction.mean @ system.rows.T - system.values).max(axis=1)
        return Mixture(parts, np.stack([np.exp(-miss), np.ones_like(miss)]))


def model(error_model, constraints=LAW, grid=GRID, **params):
    return ConservationConstrainedRegressor(
        Ridge(10.0), constraints, grid, error_model=error_model, **params
    )


@pytest.mark.parametrize("error_model", [Sloped(), Learns(), TwoScales()])
def test_the_law_holds_on_every_path(error_model):
    fitted = pickle.loads(pickle.dumps(model(error_model).fit(X, Y)))
    mean, std = fitted.predict(X, return_std=True)
    weights = GRID.weights()
    np.testing.assert_allclose(mean @ weights, X[:, 1], rtol=1e-13)
    draws = fitted.sample_y(X, 50)
    np.testing.assert_allclose(np.einsum("fpd,p->fd", draws, weights) / X[:, 1:], 1.0, rtol=1e-12)
    cov = fitted.predict(X, return_cov=True)[1]
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, atol=1e-12)
    if not isinstance(error_model, TwoScales):
        np.testing.assert_allclose(cov @ weights, 0.0, atol=1e-12)
    assert "misses before" in repr(fitted.constraint_report(X, Y))


def test_the_prior_is_what_is_conditioned():
    fitted = model(Sloped()).fit(X, Y)
    variance = np.linspace(1.0, 3.0, 9) ** 2
    raw, w = fitted.estimator_.predict(X), GRID.weights()
    gain = variance * w / (w @ (variance * w))
    expected = raw + (X[:, 1] - raw @ w)[:, None] * gain
    mean, cov = fitted.predict(X, return_cov=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-12)
    S = np.diag(variance) - np.outer(gain, variance * w)
    np.testing.assert_allclose(cov, np.broadcast_to(S, cov.shape), atol=1e-12)


def test_a_mixture_is_weighed_field_by_field():
    fitted = model(TwoScales()).fit(X, Y)
    raw, w = fitted.estimator_.predict(X), GRID.weights()
    miss = X[:, 1] - raw @ w
    moved = [v * w / (w @ (v * w)) for v in (np.ones(9), np.linspace(1.0, 3.0, 9) ** 2)]
    first = (np.exp(-np.abs(miss)) / (1.0 + np.exp(-np.abs(miss))))[:, None]
    expected = raw + miss[:, None] * (first * moved[0] + (1.0 - first) * moved[1])
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-12)


def test_it_is_fitted_on_what_the_backbone_has_not_seen():
    given = Learns()
    fitted = model(given).fit(X, Y)
    folds = fitted.error_model_
    assert folds.seen == 30 and not hasattr(given, "seen") and given.scale == 1.0
    residuals = Y - fitted.estimator_.predict(X)
    assert residuals.std() < folds.scale < 3.0 * residuals.std()
    held = model(Sloped(), calibration=(X[:7], Y[:7] + 1.0)).fit(X, Y)
    expected = (Y[:7] + 1.0 - held.estimator_.predict(X[:7])).std()
    assert held.error_model_.seen == 7
    assert held.error_model_.scale == pytest.approx(expected)
    assert model(Sloped()).fit(X, Y).error_model_.scale == 1.0


def test_a_frozen_backbone_needs_calibration_data():
    frozen = FrozenEstimator(Ridge().fit(X, Y))
    estimator = ConservationConstrainedRegressor(frozen, LAW, GRID, error_model=Learns())
    with pytest.raises(ValueError, match=r"frozen.*calibration=\(X, y\)"):
        estimator.fit(X, Y)
    estimator.set_params(calibration=(X, Y)).fit(X, Y)


def test_bounds_and_tables():
    fields = model(Sloped(), [("mass", LAW), ("positive", Bounds(0.05))]).fit(X, Y)
    mean = fields.predict(X)
    assert mean.min() >= 0.05 - 1e-9
    np.testing.assert_allclose(mean @ GRID.weights(), X[:, 1], rtol=1e-12)
    table = np.column_stack([np.repeat(np.arange(30.0), 9), np.tile(GRID["x"], 30)])
    law = ConservationLaw(over="x1", total=1.0)
    rows = model(Sloped(), law, ColumnGrid(space=1, by=0))
    with pytest.warns(UserWarning, match="violate"):
        rows.fit(table, Y.ravel())
    mean = rows.predict(table).reshape(30, 9)
    np.testing.assert_allclose(mean @ GRID.weights(), 1.0, rtol=1e-12)


def test_it_is_a_parameter():
    estimator = model(Sloped())
    assert isinstance(clone(estimator).error_model, Sloped)
    search = GridSearchCV(estimator, {"error_model": ["auto", Sloped(), TwoScales()]}, cv=2)
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("wrong", ["sloped", None, Sloped])
def test_it_is_an_error_model_or_the_name_of_one(wrong):
    with pytest.raises(ValueError, match="'error_model' parameter"):
        model(wrong).fit(X, Y)


def test_nested_it_is_the_outer_one_that_counts():
    inner = ConservationConstrainedRegressor(Ridge(10.0), LAW, GRID)
    outer = ConservationConstrainedRegressor(inner, Bounds(0.0), GRID, error_model=Sloped())
    expected = model(Sloped()).fit(X, Y).predict_std(X)
    np.testing.assert_allclose(outer.fit(X, Y).predict_std(X), expected, rtol=1e-10)


class Floored(Sloped):
    def __init__(self, floor=0.1):
        self.floor = floor

    def prior(self, fields):
        variance = np.full(fields.prediction.mean.shape[1], self.floor**2)
        return Gaussian(fields.prediction.mean, Diagonal(variance))  # one needs no list


def test_its_parameters_are_searched():
    estimator = model(Floored()).set_params(error_model__floor=0.5)
    assert repr(estimator.error_model) == "Floored(floor=0.5)"
    search = GridSearchCV(estimator, {"error_model__floor": [0.1, 0.2]}, cv=2).fit(X, Y)
    assert search.best_estimator_.error_model_.floor in (0.1, 0.2)
    assert estimator.fit(X, Y).predict_std(X).max() < 0.5


class Wrong(Sloped):
    def __init__(self, returned=None):
        self.returned = returned

    def fit(self, held_out):
        return self.returned

    def prior(self, fields):
        return self.returned


def test_what_it_must_return():
    with pytest.raises(TypeError, match=r"fit of the error model Wrong must return.*got NoneType"):
        model(Wrong(), calibration=(X, Y)).fit(X, Y)
    for returned in (None, [(np.zeros(9), np.ones(9))], "gaussian"):
        with pytest.raises(TypeError, match=r"prior of an error model must return a .*Gaussian"):
            model(Wrong(returned)).fit(X, Y).predict(X)

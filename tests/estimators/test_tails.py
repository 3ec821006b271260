"""Species and series: many errors are small and some large, and intervals hold what they say."""

from copy import copy

import numpy as np
import pytest
from backbones import Plain
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import Components, Grid
from skphys.metrics import coverage

SIZES = np.array([1.0, 1e-3, 1e-6])
RARE, WIDE = 0.15, 4.0
NONE = ((1.0, 1.0),)


def species(n_fields, rng, rare=RARE):
    """Return features, and species some of whose errors are larger; the last is a feature."""
    X = rng.uniform(size=(n_fields, 3))
    factor = np.where(rng.uniform(size=(n_fields, 3)) < rare, WIDE, 1.0)
    error = factor * rng.normal(size=(n_fields, 3))
    return X, np.column_stack([SIZES * (X[:, :1] + X[:, 1:2] * [1.0, -1.0, 2.0] + error), X[:, 2]])


def fitted(X, y, error_model="auto", grid=None):
    """Fit with a law that tells the last component, and nothing of the others."""
    law = LinearEquality(np.array([[0.0, 0.0, 0.0, 1.0]]), Column(2))
    model = ConservationConstrainedRegressor(Plain(), law, grid, error_model=error_model)
    return model.fit(X, y)


@pytest.fixture(scope="module")
def model():
    return fitted(*species(1000, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def unseen():
    return species(2000, np.random.default_rng(1))


@pytest.mark.parametrize("level", [0.75, 0.9, 0.95, 0.975])
def test_quantiles_are_those_of_the_errors(model, unseen, level):
    """Errors are a mixture of two Gaussians, whose quantiles solve an equation."""

    def miss(z):
        return (1.0 - RARE) * norm.cdf(z) + RARE * norm.cdf(z / WIDE) - level

    found = model.predict_quantiles(unseen[0], [level])[..., 0] - model.predict(unseen[0])
    exact = brentq(miss, 0.0, 9.0)
    np.testing.assert_allclose(np.median(found[:, :3], axis=0) / SIZES, exact, rtol=0.15)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_intervals_of_each_species_hold_their_level(model, unseen, level):
    X, y = unseen
    lower, upper = model.predict_interval(X, level)
    held = [coverage(y[:, [k]], lower[:, [k]], upper[:, [k]]) for k in range(3)]
    np.testing.assert_allclose(held, level, atol=0.035)


def test_a_law_that_tells_nothing_new_is_expected_to_change_nothing(model, unseen):
    """Before the law fields are as uncertain as after it, tails and all."""
    report = model.constraint_report(unseen[0][:20])
    np.testing.assert_allclose(report.expected_ll_change, 0.0, atol=1e-9)


def test_gaussian_errors_get_no_tails():
    X, y = species(1000, np.random.default_rng(0), rare=0.0)
    tails = dict(fitted(X, y).error_model_.tails_)
    assert tails.pop(1.0) > 0.85 and 4.0 not in tails


def test_components_of_one_grid_have_tails():
    rng = np.random.default_rng(0)
    grid = Grid(x=np.linspace(0.0, 1.0, 9))
    X, y = species(200, rng)
    fields = np.concatenate([y[:, [k]] + 0.0 * grid["x"] for k in range(2)], axis=1)
    law = ConservationLaw(over="x", total=Column(2), component="b")
    X[:, 2] = fields[:, 9:] @ grid.weights()
    fit = ConservationConstrainedRegressor(Plain(), law, Components(a=grid, b=grid)).fit(X, fields)
    assert len(fit.error_model_.tails_) > 1
    lower, upper = fit.predict_interval(X)
    assert coverage(fields[:, :9], lower[:, :9], upper[:, :9]) == pytest.approx(0.9, abs=0.04)


def test_what_is_declared_and_places_of_one_quantity_have_none():
    X, y = species(100, np.random.default_rng(0))
    for errors in ("stated", "identity", ErrorModel(scale=0.5)):
        assert fitted(X, y, errors).error_model_.tails_ == NONE
    line = Grid(x=np.linspace(0.0, 1.0, 4))
    assert fitted(X, y / [*SIZES, 1.0], grid=line).error_model_.tails_ == NONE
    assert fitted(X[:9], y[:9]).error_model_.tails_ == NONE  # of so few only the size is learned


def test_draws_obey_the_law_and_have_the_moments_and_quantiles_that_are_stated():
    X, y = species(300, np.random.default_rng(0))
    row = np.array([[1.0, 1e3, 0.0, 2.0]])
    X[:, 2] = (y @ row.T)[:, 0]
    law = LinearEquality(row, Column(2))
    model = ConservationConstrainedRegressor(Plain(), law).fit(X, y)
    assert len(model.error_model_.tails_) > 1
    draws = model.sample_y(X[:5], 4000)
    missed = np.einsum("rp,fps->frs", row, draws) - X[:5, 2:, None]
    assert abs(missed).max() < 1e-10
    _, cov = model.predict(X[:5], return_cov=True)
    std = model.predict_std(X[:5])
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, rtol=1e-9)
    np.testing.assert_allclose((draws.std(axis=-1) / std)[:, :3], 1.0, atol=0.1)
    lower, upper = model.predict_interval(X[:5])
    inside = (draws >= lower[..., None]) & (draws <= upper[..., None])
    np.testing.assert_allclose(inside[:, :3].mean(axis=-1), 0.9, atol=0.03)
    assert "times as large" in str(model.error_model_)


def test_tails_of_a_forest_hold_more_where_mixtures_ignite():
    """One Gaussian held 91 % in intervals of 95 %; the CRPS does not pay for it."""
    rng = np.random.default_rng(0)

    def ignitions(n_fields):
        Z = rng.uniform(-1.0, 1.0, size=(n_fields, 4))
        fresh = 1.0 + 0.3 * Z[:, 3]
        burnt = 1.0 / (1.0 + np.exp(-(Z[:, 0] + 0.5 * Z[:, 1] - 0.2 * Z[:, 2] ** 2) / 0.05))
        radical = 1e-4 * burnt * (1.0 - burnt) * np.exp(1.5 * Z[:, 2])
        slow = 1e-3 * np.exp(2.0 * Z[:, 0] * Z[:, 1])
        y = np.column_stack([fresh * burnt, fresh * (1.0 - burnt), radical, slow])
        return np.column_stack([Z, y.sum(axis=1)]), y

    (X, y), (new, truth) = ignitions(40), ignitions(1000)
    law = LinearEquality(np.ones((1, 4)), Column(4))
    forest = RandomForestRegressor(60, random_state=0)
    model = ConservationConstrainedRegressor(forest, law, drop_value_columns=True).fit(X, y)
    without = copy(model)
    found = model.error_model_
    without.error_model_ = found.with_parts(found.parts_, tails_=NONE)
    held, score = {}, {}
    for name, each in {"with": model, "without": without}.items():
        held[name] = coverage(truth, *each.predict_interval(new, 0.95))
        levels = np.linspace(0.02, 0.98, 49)
        off = truth[..., None] - each.predict_quantiles(new, levels)
        pinball = np.maximum(levels * off, (levels - 1.0) * off).mean(axis=(0, 2))
        score[name] = np.mean(pinball / truth.std(axis=0))
    assert held["without"] < 0.92 and held["with"] == pytest.approx(0.95, abs=0.025)
    assert score["with"] < 1.005 * score["without"]

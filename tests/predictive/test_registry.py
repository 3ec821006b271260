"""The open registry."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skphys.predictive import (
    Prediction,
    offers_covariance,
    offers_members,
    predict_distribution,
    register_adapter,
    unregister_adapter,
)

X = np.zeros((3, 1))


def with_std(value):
    def predict(estimator, X, *, rows, want_cov):
        mean = np.zeros((1, len(X)) if rows == "points" else (len(X), 1))
        return Prediction(mean, std=np.full(mean.shape, value))

    return predict


@pytest.fixture
def register():
    """Register adapters that are gone after the test."""
    used = []

    def add(matches, *args, **kwargs):
        register_adapter(matches, *args, **kwargs)
        used.append(matches)

    yield add
    for matches in set(used):
        unregister_adapter(matches)


def is_ridge(estimator):
    return isinstance(estimator, Ridge)


@pytest.mark.parametrize("matches", [Ridge, "sklearn.linear_model:Ridge", is_ridge])
def test_matching(matches, register):
    register(matches, with_std(2.0))
    model = make_pipeline(FrozenEstimator(Ridge().fit(X, X[:, 0])))
    assert (predict_distribution(model, X).std == 2.0).all()
    assert predict_distribution(model, X, rows="points").std.shape == (1, 3)
    assert predict_distribution(DummyRegressor().fit(X, X[:, 0]), X).std is None


def test_later_registrations_win(register):
    register(Ridge, with_std(1.0))
    register(is_ridge, with_std(2.0))
    model = Ridge().fit(X, X[:, 0])
    assert predict_distribution(model, X).std[0, 0] == 2.0
    unregister_adapter(is_ridge)
    assert predict_distribution(model, X).std[0, 0] == 1.0
    register_adapter(is_ridge, with_std(3.0))
    assert predict_distribution(model, X).std[0, 0] == 3.0


def test_what_an_adapter_offers(register):
    assert not offers_covariance(Ridge()) and not offers_members(Ridge())
    register(Ridge, with_std(1.0), offers_covariance=True, offers_members=True)
    assert offers_covariance(make_pipeline(Ridge())) and offers_members(make_pipeline(Ridge()))


def test_names_of_modules_that_are_not_loaded(register):
    register("no_such_module.anywhere:Thing", with_std(1.0))
    register("sklearn.linear_model:NoSuchThing.inner", with_std(1.0))
    assert predict_distribution(Ridge().fit(X, X[:, 0]), X).std is None


def test_an_adapter_is_checked(register):
    register(Ridge, lambda estimator, X, *, rows, want_cov: Prediction(np.zeros(3)))
    with pytest.raises(ValueError, match="backbone Ridge has shape"):
        predict_distribution(Ridge().fit(X, X[:, 0]), X)


@pytest.mark.parametrize("matches", ["Ridge", "sklearn.linear_model:", 3, None])
def test_bad_matches(matches):
    with pytest.raises(ValueError, match="matches must"):
        register_adapter(matches, with_std(1.0))


def test_bad_registrations():
    with pytest.raises(ValueError, match="predict must be a function"):
        register_adapter(Ridge, "predict")
    with pytest.raises(ValueError, match="No adapter is registered for"):
        unregister_adapter(Ridge)

import pickle

import numpy as np
import pytest
import scoringrules
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys.metrics import crps_scorer, log_likelihood_scorer, make_probabilistic_scorer

X = np.linspace(0.0, 6.0, 60)[:, None]
y = np.sin(X[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=60)
routing = pytest.mark.parametrize("enabled", [False, True], ids=["", "routing"])


def gp():
    return GaussianProcessRegressor(RBF(1.0) + WhiteKernel(0.01), optimizer=None)


def mean_width(y_true, mean, std, factor=1.0):
    return factor * float(np.mean(std))


def test_scores_are_those_of_scoringrules_and_scipy():
    model = gp().fit(X[::2], y[::2])
    mean, std = model.predict(X[1::2], return_std=True)
    expected = scoringrules.crps_normal(y[1::2], mean, std).mean()
    assert crps_scorer(model, X[1::2], y[1::2]) == pytest.approx(-expected)
    expected = norm.logpdf(y[1::2], mean, std).mean()
    assert log_likelihood_scorer(model, X[1::2], y[1::2]) == pytest.approx(expected)


@routing
@pytest.mark.parametrize("requested", [False, True], ids=["", "requested"])
def test_reaches_through_pipelines(enabled, requested):
    model = make_pipeline(StandardScaler(), gp()).fit(X, y)
    expected = crps_scorer(model, X, y)
    with config_context(enable_metadata_routing=enabled):
        if enabled and requested:
            model[-1].set_predict_request(return_std=True)
        assert crps_scorer(model, X, y) == expected


@routing
@pytest.mark.parametrize("scorer", [crps_scorer, log_likelihood_scorer])
def test_selects_in_a_grid_search(enabled, scorer):
    with config_context(enable_metadata_routing=enabled):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), gp()),
            {"gaussianprocessregressor__kernel__k2__noise_level": [1e-6, 1e-2, 10.0]},
            scoring=scorer,
            cv=3,
            error_score="raise",
        ).fit(X, y)
        assert search.best_params_.popitem()[1] == 1e-2
        assert search.score(X, y) == scorer(search.best_estimator_, X, y)


@routing
def test_several_at_once_and_in_parallel(enabled):
    scoring = {"crps": crps_scorer, "ll": log_likelihood_scorer, "r2": "r2"}
    with config_context(enable_metadata_routing=enabled):
        scores = cross_validate(BayesianRidge(), X, y, scoring=scoring, cv=3, n_jobs=2)
    assert np.isfinite(scores["test_crps"]).all()
    assert (scores["test_crps"] < 0.0).all()


def test_nested_search():
    search = GridSearchCV(gp(), {"alpha": [1e-10, 1e-2]}, scoring=crps_scorer, cv=2)
    scores = cross_val_score(search, X, y, scoring=crps_scorer, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_fields_and_columns():
    class Fields(RegressorMixin, BaseEstimator):
        def predict(self, X, return_std=False):
            return np.zeros((len(X), 2)), np.ones((len(X), 2))

    truth = np.ones((5, 2))
    expected = -scoringrules.crps_normal(1.0, 0.0, 1.0)
    assert crps_scorer(Fields(), X[:5], truth) == pytest.approx(expected)
    model = gp().fit(X, y)
    assert crps_scorer(model, X, y[:, None]) == crps_scorer(model, X, y)


def test_pickles_and_shows_itself():
    for scorer in (crps_scorer, log_likelihood_scorer):
        copy = pickle.loads(pickle.dumps(scorer))
        model = gp().fit(X, y)
        assert copy(model, X, y) == scorer(model, X, y)
    assert repr(crps_scorer) == "make_probabilistic_scorer(crps, greater_is_better=False)"


def test_sign_and_options():
    model = gp().fit(X, y)
    wide = make_probabilistic_scorer(mean_width, factor=2.0)
    narrow = make_probabilistic_scorer(mean_width, greater_is_better=False)
    assert wide(model, X, y) == pytest.approx(-2.0 * narrow(model, X, y))


@routing
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
def test_says_what_is_missing(enabled, wrap):
    with config_context(enable_metadata_routing=enabled):
        model = wrap(LinearRegression()).fit(X, y)
        with pytest.raises(TypeError, match=r"needs predict\(X, return_std=True\)"):
            crps_scorer(model, X, y)


def test_other_type_errors_pass_through():
    class Broken(BaseEstimator):
        def predict(self, X, return_std=False):
            raise TypeError("something else")

    with pytest.raises(TypeError, match="something else"):
        crps_scorer(Broken(), X, y)


def test_a_flag_that_is_ignored_is_noticed():
    class Ignores(BaseEstimator):
        def predict(self, X, **options):
            return np.zeros(len(X))

    with pytest.raises(TypeError, match="Ignores does not offer"):
        crps_scorer(Ignores(), X, y)

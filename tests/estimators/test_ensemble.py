"""EnsembleRegressor: moments, seeds, routing and what nests in it."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor, EnsembleRegressor, PointwiseRegressor
from skphys.constraints import ConservationLaw
from skphys.predictive import offers_covariance, predict_distribution


@parametrize_with_checks(
    [
        EnsembleRegressor(Ridge(), 2),
        EnsembleRegressor(Ridge(), 2, bootstrap=True, random_state=0),
        EnsembleRegressor(DecisionTreeRegressor(), 2, random_state=0),
        EnsembleRegressor(GaussianProcessRegressor(), 2),
    ]
)
def test_check_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture
def fields():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    return X, np.sin(X[:, :1] + np.linspace(0, 3, 4)) + 0.1 * X[:, 1:]


def bagged(estimator, **kwargs):
    return EnsembleRegressor(estimator, 4, bootstrap=True, random_state=0, **kwargs)


def test_moments_of_points(fields):
    X, y = fields
    model = bagged(DecisionTreeRegressor()).fit(X, y)
    outputs = np.stack([member.predict(X) for member in model.estimators_])
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, outputs.mean(0))
    np.testing.assert_allclose(std, outputs.std(0), atol=1e-14)
    np.testing.assert_array_equal(model.predict(X), mean)
    np.testing.assert_array_equal(model.predict_std(X), std)
    cov = model.predict(X, return_cov=True)[1]
    for sample in range(3):
        expected = np.cov(outputs[:, sample].T, ddof=0)
        np.testing.assert_allclose(cov[sample], expected, atol=1e-14)
    means, stds = model.predict_members(X)
    np.testing.assert_array_equal(means, outputs)
    assert stds is None
    assert predict_distribution(model, X).member_stds is None


def test_law_of_total_variance(fields):
    X, y = fields
    model = bagged(BayesianRidge()).fit(X, y[:, 0])
    outputs = [member.predict(X, return_std=True) for member in model.estimators_]
    means, stds = (np.stack(part) for part in zip(*outputs, strict=True))
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (30,)
    np.testing.assert_allclose(std**2, means.var(0) + (stds**2).mean(0))
    np.testing.assert_allclose(model.predict(X, return_cov=True)[1][:, 0, 0], std**2)
    for ours, theirs in zip(model.predict_members(X), (means, stds), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    prediction = predict_distribution(model, X)
    np.testing.assert_array_equal(prediction.member_means[:, :, 0], means)


def test_law_of_total_covariance(fields):
    X, y = fields
    gp = GaussianProcessRegressor(RBF(1.0), alpha=1e-2, optimizer=None)
    model = bagged(PointwiseRegressor(gp, max_rows=40)).fit(X, y)
    outputs = [member.predict(X[:3], return_cov=True) for member in model.estimators_]
    means, covs = (np.stack(part) for part in zip(*outputs, strict=True))
    cov = model.predict(X[:3], return_cov=True)[1]
    for sample in range(3):
        expected = np.cov(means[:, sample].T, ddof=0) + covs[:, sample].mean(0)
        np.testing.assert_allclose(cov[sample], expected, atol=1e-10)
    assert offers_covariance(model)
    np.testing.assert_allclose(predict_distribution(model, X[:3]).cov, cov)
    assert predict_distribution(model, X[:3], want_cov=False).member_means.shape == (4, 3, 4)


def test_points_of_one_field(fields):
    X, y = fields
    gp = GaussianProcessRegressor(RBF(1.0), alpha=1e-2, optimizer=None)
    model = bagged(gp).fit(X, y[:, 0])
    prediction = predict_distribution(model, X, rows="points")
    outputs = [member.predict(X, return_cov=True) for member in model.estimators_]
    means, covs = (np.stack(part) for part in zip(*outputs, strict=True))
    expected = np.cov(means.T, ddof=0) + covs.mean(0)
    np.testing.assert_allclose(prediction.cov[0], expected, atol=1e-12)
    trees = bagged(DecisionTreeRegressor()).fit(X, y[:, 0])
    assert predict_distribution(trees, X, rows="points").member_means.shape == (4, 1, 30)


def test_at_most_one_flag(fields):
    model = bagged(Ridge()).fit(*fields)
    with pytest.raises(ValueError, match="At most one"):
        model.predict(fields[0], return_std=True, return_cov=True)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_seeds_reach_nested_parameters(fields, n_jobs):
    mlp = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, solver="sgd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = EnsembleRegressor(
            make_pipeline(StandardScaler(), mlp), 3, n_jobs=n_jobs, random_state=3
        )
        first, second = clone(model).fit(*fields), clone(model).set_params(n_members=4).fit(*fields)
    seeds = [member[-1].random_state for member in first.estimators_]
    assert len(set(seeds)) == 3
    assert [member[-1].random_state for member in second.estimators_][:3] == seeds
    means, _ = first.predict_members(fields[0])
    assert means.std(0).min() > 0
    np.testing.assert_array_equal(second.predict_members(fields[0])[0][:3], means)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_skorch_nets_differ_and_repeat(fields, n_jobs):
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    net = skorch.NeuralNetRegressor(
        torch.nn.Linear, module__in_features=2, module__out_features=4, max_epochs=1, verbose=0
    )
    model = EnsembleRegressor(net, 3, n_jobs=n_jobs, random_state=0)
    state = torch.random.get_rng_state()
    model = clone(model).fit(*fields)
    assert torch.equal(torch.random.get_rng_state(), state)
    means, _ = model.predict_members(fields[0])
    assert means.dtype == np.float64 and means.shape == (3, 30, 4)
    assert means.std(0).min() > 0
    fitted = clone(model).fit(*fields)
    np.testing.assert_allclose(fitted.predict_members(fields[0])[0], means, rtol=1e-6)
    np.testing.assert_array_equal(
        fitted.predict(fields[0]), fitted.predict_members(fields[0])[0].mean(0)
    )


@pytest.mark.parametrize("routing", [False, True])
def test_pipeline_and_search(fields, routing):
    X, y = fields
    with sklearn.config_context(enable_metadata_routing=routing):
        model = make_pipeline(StandardScaler(), bagged(DecisionTreeRegressor())).fit(X, y)
        std = model.predict(X, return_std=True)[1]
        prediction = predict_distribution(model, X)
        np.testing.assert_array_equal(prediction.std, std)
        assert prediction.member_means.shape == (4, 30, 4)
        search = GridSearchCV(model, {"ensembleregressor__n_members": [2, 3]}, cv=2).fit(X, y)
        assert predict_distribution(search, X).member_means.shape[0] in (2, 3)


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers its sample weights."""

    def fit(self, X, y, sample_weight=None):
        self.weight_, self.X_ = sample_weight, X
        return self

    def predict(self, X):
        return np.zeros(len(X))


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_sample_weights(fields, routing, bootstrap):
    X, y = fields[0], fields[1][:, 0]
    with sklearn.config_context(enable_metadata_routing=routing):
        inner = Recorder().set_fit_request(sample_weight=True) if routing else Recorder()
        model = EnsembleRegressor(inner, 2, bootstrap=bootstrap, random_state=0)
        model.fit(X, y, sample_weight=X[:, 0])
    for member in model.estimators_:
        np.testing.assert_array_equal(member.weight_, member.X_[:, 0])
        assert (len(np.unique(member.X_[:, 0])) < 30) == bootstrap


def test_dimensions_and_names(fields):
    pd = pytest.importorskip("pandas")
    X, y = fields
    table = pd.DataFrame(X, columns=["a", "b"])
    model = bagged(LinearRegression())
    assert model.fit(table, y).predict(table).shape == (30, 4)
    assert list(model.feature_names_in_) == ["a", "b"] and model.n_features_in_ == 2
    assert model.fit(table, y[:, :1]).predict(table).shape == (30, 1)
    assert model.fit(table, y[:, 0]).predict(table).shape == (30,)
    assert clone(model).set_params(estimator=DecisionTreeRegressor()).fit(X, y[:, :1]).predict(
        X
    ).shape == (30, 1)


def test_members_that_obey_a_law(fields):
    X, y = fields
    law = ConservationConstrainedRegressor(BayesianRidgeFields(), ConservationLaw(total=1.0))
    y = y - y.mean(1, keepdims=True) + 0.25
    for inner in (law, make_pipeline(StandardScaler(), law), GridSearchCV(law, {}, cv=2)):
        model = bagged(inner).fit(X, y)
        mean, cov = model.predict(X, return_cov=True)
        np.testing.assert_allclose(mean.sum(1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(model.predict(X), mean, rtol=1e-12)
        np.testing.assert_allclose(cov.sum((1, 2)), 0.0, atol=1e-12)
        np.testing.assert_allclose(model.predict_members(X)[0].sum(2), 1.0, rtol=1e-12)
        handed_up = predict_distribution(model, X)
        assert len(handed_up.constraints) == 1
        assert np.ptp(handed_up.mean.sum(1)) > 1e-3
        np.testing.assert_allclose(
            EnsembleRegressor(model, 2).fit(X, y).predict(X, return_std=True)[0].sum(1), 1.0
        )


class BayesianRidgeFields(RegressorMixin, BaseEstimator):
    """A Gaussian field with the same standard deviation everywhere, from a linear mean."""

    def fit(self, X, y):
        self.mean_ = LinearRegression().fit(X, y + 0.1 * np.asarray(X)[:, :1])
        return self

    def predict(self, X, return_std=False):
        mean = self.mean_.predict(X)
        return (mean, np.full(mean.shape, 0.3)) if return_std else mean


def test_pickles(fields):
    model = bagged(DecisionTreeRegressor()).fit(*fields)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_std(fields[0]), model.predict_std(fields[0]))


@pytest.mark.parametrize("params", [{"n_members": 0}, {"bootstrap": "yes"}, {"estimator": None}])
def test_parameters_are_validated(fields, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        EnsembleRegressor(Ridge()).set_params(**params).fit(*fields)

"""Regressors whose own methods state an uncertainty."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import AdaBoostRegressor, GradientBoostingRegressor, StackingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.multioutput import RegressorChain
from sklearn.tree import DecisionTreeRegressor

from skphys.predictive import offers_covariance, offers_members, predict_distribution


def process(cls=GaussianProcessRegressor):
    return cls(RBF(1.0), alpha=1e-3, optimizer=None)


class Process(GaussianProcessRegressor):
    """A subclass is a Gaussian process, too."""


class Stub(RegressorMixin, BaseEstimator):
    """Has whatever its subclass defines."""

    def fit(self, X, y):
        return self


@pytest.mark.parametrize("cls", [GaussianProcessRegressor, Process])
@pytest.mark.parametrize("n_points", [1, 5, 8])
def test_gp_covariance_between_samples_is_not_along_the_field(cls, n_points, rng):
    X = rng.normal(size=(8, 2))
    gp = process(cls).fit(X, rng.normal(size=(8, n_points)))
    new = X[:n_points] + 0.3  # as many samples as points
    prediction = predict_distribution(gp, new)
    mean, std = gp.predict(new, return_std=True)
    np.testing.assert_array_equal(prediction.mean, mean.reshape(n_points, n_points))
    np.testing.assert_array_equal(prediction.std, std.reshape(n_points, n_points))
    assert prediction.cov is None
    assert not offers_covariance(gp, "fields")


def test_gp_covariance_between_points_is_along_the_field(scalars):
    X, y = scalars
    gp = process().fit(X, y)
    prediction = predict_distribution(gp, X + 0.1, rows="points")
    mean, cov = gp.predict(X + 0.1, return_cov=True)
    np.testing.assert_array_equal(prediction.mean, mean[None])
    np.testing.assert_allclose(prediction.cov, cov[None], rtol=1e-14)
    np.testing.assert_allclose(prediction.std[0], np.sqrt(np.diag(cov)))
    assert offers_covariance(gp, "points")
    without = predict_distribution(gp, X + 0.1, rows="points", want_cov=False)
    assert without.cov is None
    np.testing.assert_allclose(without.std, prediction.std, rtol=1e-6)


class Cancelled(GaussianProcessRegressor):
    """Its variances are all rounding errors, as of a noise-free process at its training points."""

    def predict(self, X, return_std=False, return_cov=False):
        return np.zeros(len(X)), np.diag(np.resize([1e-16, -1e-16], len(X)))


def test_gp_variance_negative_by_rounding():
    prediction = predict_distribution(Cancelled(), np.zeros((4, 1)), rows="points")
    np.testing.assert_array_equal(prediction.std, [[1e-8, 0.0, 1e-8, 0.0]])
    np.testing.assert_array_equal(prediction.cov[0], np.diag([1e-16, 0.0, 1e-16, 0.0]))


def test_field_targets_are_no_points(fields):
    gp = process().fit(*fields)
    with pytest.raises(ValueError, match=r"\(8, 5\) for 8 rows.*rows='points'"):
        predict_distribution(gp, fields[0], rows="points")
    with pytest.raises(ValueError, match="rows must be one of"):
        predict_distribution(gp, fields[0], rows="samples")


def test_return_std_of_one_dimensional_targets(scalars):
    model = BayesianRidge().fit(*scalars)
    mean, std = model.predict(scalars[0], return_std=True)
    fields = predict_distribution(model, scalars[0])
    np.testing.assert_array_equal(fields.mean[:, 0], mean)
    np.testing.assert_array_equal(fields.std[:, 0], std)
    points = predict_distribution(model, scalars[0], rows="points")
    np.testing.assert_array_equal(points.std[0], std)


class AlongField(Stub):
    def predict(self, X, return_std=False, return_cov=False):
        mean = np.zeros((len(X), 3))
        cov = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
        if return_cov:
            return mean, np.broadcast_to(cov, (len(X), 3, 3))
        return (mean, np.full(mean.shape, 2.0**0.5)) if return_std else mean


class BetweenSamples(AlongField):
    def predict(self, X, return_std=False, return_cov=False):
        if return_cov:
            factor = np.arange(1.0, 4.0)
            between = np.eye(len(X)) + 1.0
            return np.zeros((len(X), 3)), between[:, :, None] * factor
        return super().predict(X, return_std=return_std)


@pytest.mark.parametrize("n_samples", [1, 3, 4])
def test_a_third_party_covariance_must_be_along_the_field(n_samples):
    X = np.zeros((n_samples, 1))
    assert predict_distribution(AlongField(), X).cov[0, 0, 1] == 1.0
    between = predict_distribution(BetweenSamples(), X)
    assert between.cov is None
    np.testing.assert_allclose(between.std, 2.0**0.5)


class OnlyCovariance(Stub):
    def predict(self, X, return_cov=False):
        return AlongField().predict(X, return_cov=return_cov)


def test_a_covariance_alone_gives_the_std():
    prediction = predict_distribution(OnlyCovariance(), np.zeros((2, 1)), want_cov=False)
    np.testing.assert_allclose(prediction.std, 2.0**0.5)
    assert prediction.cov is None


class Kwargs(Stub):
    def predict(self, X, **kwargs):
        assert not kwargs
        return np.zeros(len(X))


def test_kwargs_are_no_capability():
    assert not predict_distribution(Kwargs(), np.zeros((2, 1))).states_uncertainty
    assert not offers_covariance(Kwargs(), "points")


class StdMethod(Stub):
    def predict(self, X):
        return np.zeros((len(X), 2), np.float32)

    def predict_std(self, X):
        return np.full((len(X), 2), 3.0, np.float32)


def test_predict_std():
    prediction = predict_distribution(StdMethod(), np.zeros((4, 1)))
    assert prediction.std.dtype == prediction.mean.dtype == np.float64
    np.testing.assert_array_equal(prediction.std, 3.0)


class Distribution:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Boosted(Stub):
    def __init__(self, distribution=None):
        self.distribution = distribution

    def predict(self, X):
        return np.zeros(len(X))

    def pred_dist(self, X):
        return self.distribution


two = np.full(2, 2.0)


@pytest.mark.parametrize(
    "distribution",
    [
        Distribution(mean=lambda: two, std=lambda: two),
        Distribution(mean=two, std=two),
        Distribution(loc=two, scale=two),
        Distribution(loc=two, scale=two, mean=lambda: two),
    ],
)
def test_pred_dist(distribution):
    prediction = predict_distribution(Boosted(distribution), np.zeros((2, 1)))
    np.testing.assert_array_equal(prediction.mean, [[2.0], [2.0]])
    np.testing.assert_array_equal(prediction.std, [[2.0], [2.0]])


def test_pred_dist_of_something_else():
    with pytest.raises(ValueError, match="Boosted returned a Distribution that has neither"):
        predict_distribution(Boosted(Distribution(rate=two)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        DummyRegressor(),  # its return_std is a placeholder
        DecisionTreeRegressor(),
        GradientBoostingRegressor(n_estimators=3),
        AdaBoostRegressor(n_estimators=3),
        StackingRegressor([("a", Ridge()), ("b", Ridge(2.0))], cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_states_a_mean_alone(model, scalars):
    model.fit(*scalars)
    prediction = predict_distribution(model, scalars[0])
    np.testing.assert_array_equal(prediction.mean[:, 0], model.predict(scalars[0]))
    assert not prediction.states_uncertainty
    assert not offers_members(model)
    assert not offers_covariance(model, "points")


def test_chains_state_a_mean_alone(fields):
    chain = RegressorChain(BayesianRidge()).fit(*fields)
    prediction = predict_distribution(chain, fields[0])
    np.testing.assert_array_equal(prediction.mean, chain.predict(fields[0]))
    assert not prediction.states_uncertainty


class Returns(Stub):
    def __init__(self, returned=None):
        self.returned = returned

    def predict(self, X, return_std=False):
        return self.returned


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((two, -two), "standard deviation of the backbone Returns has 2 negative"),
        ((two * np.nan, two), "mean of the backbone Returns has 2 NaN"),
        ((two, np.ones(3)), r"standard deviation .* has shape \(3,\) for 2 rows"),
        (two, "must return two arrays; got ndarray"),
    ],
)
def test_bad_returns_are_named(returned, message):
    with pytest.raises(ValueError, match=message):
        predict_distribution(Returns(returned), np.zeros((2, 1)))


def test_a_backbone_without_predict_is_named():
    with pytest.raises(ValueError, match="BaseEstimator has no predict"):
        predict_distribution(BaseEstimator(), np.zeros((2, 1)))


SHAPE = np.ones((2, 3))


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("Normal", (2.0, 3.0)),
        ("LogNormal", (1.0, 0.5)),
        ("Gamma", (3.0, 2.0)),
        ("Laplace", (1.0, 2.0)),
    ],
)
def test_pred_dist_of_torch(kind, parameters):
    """Moments are attributes, may need gradients, and are not location and scale."""
    torch = pytest.importorskip("torch")
    leaves = [torch.full((2, 3), p, dtype=torch.float64, requires_grad=True) for p in parameters]
    distribution = getattr(torch.distributions, kind)(*leaves)
    said = predict_distribution(Boosted(distribution), np.zeros((2, 1)))
    np.testing.assert_allclose(said.mean, distribution.mean.detach())
    np.testing.assert_allclose(said.std, distribution.stddev.detach())


@pytest.mark.parametrize(
    "distribution",
    [stats.norm(SHAPE, 2.0), stats.lognorm(0.5, scale=SHAPE), stats.gamma(3.0, scale=SHAPE)],
)
def test_pred_dist_of_scipy(distribution):
    said = predict_distribution(Boosted(distribution), np.zeros((2, 1)))
    np.testing.assert_allclose(said.mean, distribution.mean())
    np.testing.assert_allclose(said.std, distribution.std())


def not_implemented(*_):
    raise NotImplementedError


@pytest.mark.parametrize(
    "distribution",
    [
        Distribution(mean=SHAPE, variance=4.0 * SHAPE, scale=SHAPE, loc=SHAPE),
        Distribution(mean=lambda: SHAPE, var=lambda: 4.0 * SHAPE, std=not_implemented),
        Distribution(mean=SHAPE, standard_deviation=lambda: 2.0 * SHAPE),
    ],
)
def test_pred_dist_by_any_name(distribution):
    said = predict_distribution(Boosted(distribution), np.zeros((2, 1)))
    np.testing.assert_array_equal(said.mean, SHAPE)
    np.testing.assert_array_equal(said.std, 2.0 * SHAPE)


def test_pred_dist_with_a_scale_of_something_else():
    unlike = Distribution(mean=SHAPE, loc=0.0 * SHAPE, scale=SHAPE)
    with pytest.raises(ValueError, match="neither mean and std"):
        predict_distribution(Boosted(unlike), np.zeros((2, 1)))
    negative = Distribution(mean=SHAPE, variance=-SHAPE)
    with pytest.raises(ValueError, match="variance of the backbone Boosted has 6 negative"):
        predict_distribution(Boosted(negative), np.zeros((2, 1)))


class Varied(Stub):
    def __init__(self, lowest=0.0):
        self.lowest = lowest

    def predict(self, X):
        return np.zeros((len(X), 3))

    def predict_var(self, X):
        return np.tile([self.lowest, 1.0, 1.0], (len(X), 1))


@pytest.mark.parametrize("lowest", [-1e-18, -1e-12, 0.0])
def test_a_variance_that_is_negative_by_rounding_is_zero(lowest):
    assert (predict_distribution(Varied(lowest), np.zeros((2, 1))).std == [0.0, 1.0, 1.0]).all()


@pytest.mark.parametrize("lowest", [-1.0, -1e-3])
def test_a_negative_variance_is_named(lowest):
    with pytest.raises(ValueError, match=f"2 negative value.*smallest {lowest:.3g}"):
        predict_distribution(Varied(lowest), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="variance of the backbone Varied has 2 NaN"):
        predict_distribution(Varied(np.nan), np.zeros((2, 1)))

"""The mixin: one meaning of each question, whatever the prediction, and fields in batches."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.metadata_routing import get_routing_for_object

from skphys import EnsembleRegressor
from skphys.conditioning import Dense, Diagonal, Gaussian
from skphys.predictive import FieldRegressorMixin, Prediction

P = 3
X = np.arange(8.0).reshape(4, 2)


class Known(FieldRegressorMixin, BaseEstimator):
    """States what it is told to, shifted by an option of its own."""

    def __init__(self, stated=None):
        self.stated = stated

    def fit(self, X, y):
        self._check_targets(y)
        self.fitted_ = True
        return self

    def predict(self, X, return_std=False, return_cov=False, *, by=0.0):
        return self._answer(X, return_std, return_cov, by=by)

    def _predict_distribution(self, X, *, rows, want_cov, by=0.0):
        self.asked_ = (rows, want_cov)
        return self.stated.affine(1.0, by)

    def _no_uncertainty(self):
        return "nothing is known"


def known(rng, kind, p=P):
    mean, std = rng.normal(size=(4, p)), rng.uniform(0.1, 1.0, size=(4, p))
    root = rng.normal(size=(4, p, p))
    means, stds = rng.normal(size=(5, 4, p)), rng.uniform(0.1, 1.0, size=(5, 4, p))
    stated = {
        "mean": Prediction(mean),
        "std": Prediction(mean, std),
        "cov": Prediction(mean, cov=root @ root.swapaxes(1, 2)),
        "points": Prediction.of_members(means),
        "members": Prediction.of_members(means, stds),
    }[kind]
    return Known(stated).fit(X, mean[:, 0] if p == 1 else mean)


@pytest.mark.parametrize("kind", ["std", "cov", "points", "members"])
def test_moments_and_intervals(kind, rng):
    model = known(rng, kind)
    mean, std = model.predict(X, return_std=True)
    assert model.asked_ == ("fields", False)
    assert_array_equal(mean, model.stated.mean)
    assert_allclose(std, model.stated.standard_deviation(), rtol=1e-14)
    assert_array_equal(model.predict(X), mean)
    assert_array_equal(model.predict_std(X), std)
    cov = model.predict(X, return_cov=True)[1]
    assert model.asked_ == ("fields", True)
    assert_allclose(cov, model.stated.covariance(), rtol=1e-14)
    lower, upper = model.predict_interval(X, 0.8)
    assert_allclose(norm.cdf(lower, mean, std), 0.1)
    assert_allclose(norm.cdf(upper, mean, std), 0.9)
    assert_array_equal(model.predict(X, by=2.0), model.stated.affine(1.0, 2.0).mean)
    for array in (mean, std, cov):
        assert array.flags.writeable


NOT_ONE = [[0.9, 0.95], np.array([0.9, 0.95]), np.array([0.9]), None, "0.9", np.nan]


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90, *NOT_ONE])
def test_coverage_is_a_probability(coverage, rng):
    with pytest.raises(ValueError, match=r"coverage must be strictly between 0 and 1; got"):
        known(rng, "std").predict_interval(X, coverage)


def test_a_number_may_be_an_array_without_axes(rng):
    for coverage in (np.array(0.9), np.float32(0.9)):
        known(rng, "std").predict_interval(X, coverage)


def test_members_that_are_points_have_no_std(rng):
    points, members = known(rng, "points"), known(rng, "members")
    assert points.predict_members(X)[1] is None
    for ours, theirs in zip(
        members.predict_members(X),
        (members.stated.member_means, members.stated.member_stds),
        strict=True,
    ):
        assert_array_equal(ours, theirs)
    alone = known(rng, "std")
    means, stds = alone.predict_members(X)
    assert_array_equal(means, alone.stated.mean[None])
    assert_array_equal(stds, alone.stated.std[None])
    assert known(rng, "mean").predict_members(X)[1] is None


@pytest.mark.parametrize("ask", ["predict_std", "predict_interval", "sample_y"])
def test_without_uncertainty_there_is_a_mean_alone(ask, rng):
    model = known(rng, "mean")
    assert_array_equal(model.predict(X), model.stated.mean)
    with pytest.raises(ValueError, match="nothing is known"):
        getattr(model, ask)(X)


@pytest.mark.parametrize("kind", ["std", "cov", "points", "members"])
def test_draws(kind, rng):
    model = known(rng, kind)
    drawn = model.sample_y(X, 5000)
    assert drawn.shape == (4, P, 5000)
    mean, cov = model.predict(X, return_cov=True)
    std = model.predict_std(X)
    assert (np.abs(drawn.mean(-1) - mean) < 5 * std / np.sqrt(5000)).all()
    for i in range(4):
        scale = np.outer(std[i], std[i])
        assert (np.abs(np.cov(drawn[i]) - cov[i]) < 0.12 * scale).all()
    assert_array_equal(drawn, model.sample_y(X, 5000, 0))
    source = np.random.RandomState(0)
    assert_array_equal(model.sample_y(X, 5000, source), drawn)
    assert (model.sample_y(X, 5, source) != drawn[..., :5]).any()
    with pytest.raises(ValueError, match="n_samples"):
        model.sample_y(X, 0)


def test_a_draw_is_one_member_in_all_rows(rng):
    model = known(rng, "points")
    drawn = model.sample_y(X, 30)
    for draw in np.moveaxis(drawn, -1, 0):
        assert any((draw == member).all() for member in model.stated.member_means)


def test_one_point(rng):
    model = known(rng, "members", p=1)
    assert model.predict(X).shape == model.predict_std(X).shape == (4,)
    assert model.predict(X, return_cov=True)[1].shape == (4, 1, 1)
    assert [a.shape for a in model.predict_members(X)] == [(5, 4)] * 2
    assert [a.shape for a in model.predict_interval(X)] == [(4,)] * 2
    assert model.sample_y(X, 7).shape == (4, 7)


class Batches(Known):
    """Conditions fields in two batches, all with the same covariance; points are shown reversed."""

    shown = np.array([2, 1, 0])

    def _fields(self, X, want, **options):
        shared = {"std": Diagonal(np.arange(1.0, 4.0) ** 2)}.get(want, Dense(np.eye(3) + 1.0))
        for index in (slice(0, 1), slice(1, 4)):
            yield index, self.shown, Gaussian(self.stated.mean[index], shared)


class LongTable(Batches):
    """Two fields of three points and one of two, whose rows are mixed up in X."""

    rows = (np.array([[5, 0, 3], [1, 2, 7]]), np.array([[4, 6]]))

    def _fields(self, X, want, **options):
        for index in self.rows:
            n_fields, n_points = index.shape
            cov = Dense(np.diag(np.arange(1.0, n_points + 2)) + 1.0)
            mean = np.column_stack([index, np.full(n_fields, np.nan)])  # a node that is not shown
            yield index, np.arange(n_points), Gaussian(mean, cov)


def test_fields_in_batches(rng):
    model = Batches(known(rng, "std").stated).fit(X, np.zeros((4, 3)))
    mean, std = model.predict(X, return_std=True)
    assert_array_equal(mean, model.stated.mean[:, ::-1])
    assert_array_equal(std, [[3.0, 2.0, 1.0]] * 4)
    assert_array_equal(model.predict(X, return_cov=True)[1], [np.eye(3) + 1.0] * 4)
    drawn = model.sample_y(X, 4000)
    assert np.abs(drawn.mean(-1) - mean).max() < 5 * np.sqrt(2 / 4000)


def test_points_of_a_long_table():
    X = np.zeros((8, 1))
    model = LongTable().fit(X, np.zeros(8))
    model._target_ndim = 2  # there is no axis of points to drop
    mean, cov = model.predict(X, return_cov=True)
    assert_array_equal(mean, np.arange(8.0))
    expected = np.zeros((8, 8))
    for index in LongTable.rows:
        block = np.diag(np.arange(1.0, index.shape[1] + 1)) + 1.0
        for field in index:
            expected[np.ix_(field, field)] = block
    assert_array_equal(cov, expected)
    assert_allclose(model.predict_std(X), np.sqrt(np.diag(expected)))
    assert model.sample_y(X, 6).shape == (8, 6)


def test_routing_is_that_of_the_estimator_inside():
    with sklearn.config_context(enable_metadata_routing=True):
        inner = Ridge().set_fit_request(sample_weight=True)
        router = get_routing_for_object(EnsembleRegressor(inner))
        assert router.consumes("fit", ["sample_weight"]) == {"sample_weight"}
        assert router.consumes("predict", ["return_std"]) == {"return_std"}
        alone = get_routing_for_object(Known())
        assert alone.consumes("predict", ["return_cov", "by"]) == {"return_cov"}


@pytest.mark.parametrize("estimator", [DecisionTreeRegressor(max_depth=2), BayesianRidge()])
def test_an_ensemble_answers_everything(estimator, rng):
    X = rng.normal(size=(30, 2))
    y = X[:, 0]
    model = EnsembleRegressor(estimator, 4, bootstrap=True, random_state=0).fit(X, y)
    lower, upper = model.predict_interval(X)
    assert (lower <= model.predict(X)).all() and (model.predict(X) <= upper).all()
    assert model.sample_y(X, 3).shape == (30, 3)
    alone = clone(model).set_params(n_members=1).fit(X, y)
    assert alone.predict_members(X)[0].shape == (1, 30)
    if isinstance(estimator, DecisionTreeRegressor):
        with pytest.raises(ValueError, match=r"one member of Decision.* states no uncertainty"):
            alone.predict_std(X)
    else:
        assert_array_equal(alone.predict_std(X), alone.estimators_[0].predict(X, True)[1])

"""Members: by method, and of scikit-learn's averaging ensembles."""

import numpy as np
import pytest
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from skphys.predictive import offers_covariance, offers_members, predict_distribution


class Stored:
    """Somebody's network, by what it predicted."""

    def __init__(self, means, stds=None):
        self.returned = (means, stds)

    def predict_members(self, X):
        return self.returned


def test_predict_members(rng):
    means, stds = rng.normal(size=(4, 3, 5)), rng.uniform(size=(4, 3, 5))
    prediction = predict_distribution(Stored(means, stds), np.zeros((3, 1)))
    np.testing.assert_array_equal(prediction.member_means, means)
    np.testing.assert_array_equal(prediction.member_stds, stds)
    np.testing.assert_array_equal(prediction.mean, means.mean(0))
    np.testing.assert_allclose(prediction.std**2, means.var(0) + (stds**2).mean(0))
    assert offers_members(Stored(means))


def test_predict_members_of_points(rng):
    stds = None
    means = rng.normal(size=(4, 3))
    points = predict_distribution(Stored(means, stds), np.zeros((3, 1)), rows="points")
    np.testing.assert_array_equal(points.member_means, means[:, None, :])
    assert points.member_stds is None
    fields = predict_distribution(Stored(means, stds), np.zeros((3, 1)))
    np.testing.assert_array_equal(fields.member_means, means[:, :, None])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((np.zeros((4, 2, 5)), None), r"members' mean .* \(4, 2, 5\) for 3 rows"),
        ((np.zeros((4, 3, 5)), -np.ones((4, 3, 5))), "negative"),
        ((np.zeros((4, 3, 5)), np.ones((4, 3, 2))), "members' standard deviation"),
        ((np.zeros((0, 3, 5)), None), "no member means"),
    ],
)
def test_bad_members_are_named(returned, message):
    with pytest.raises(ValueError, match=message):
        predict_distribution(Stored(*returned), np.zeros((3, 1)))


def test_members_without_stds_in_the_tuple():
    model = Stored(None)
    model.returned = np.zeros((4, 3, 5))
    with pytest.raises(ValueError, match=r"must return the tuple \(means, stds\)"):
        predict_distribution(model, np.zeros((3, 1)))


@pytest.mark.parametrize("cls", [RandomForestRegressor, ExtraTreesRegressor])
@pytest.mark.parametrize("as_frame", [False, True])
def test_forests(cls, fields, as_frame):
    pd = pytest.importorskip("pandas")
    X, y = fields
    table = pd.DataFrame(X, columns=["a", "b"]) if as_frame else X
    forest = cls(n_estimators=6, random_state=0).fit(table, y)
    prediction = predict_distribution(forest, table)
    trees = np.stack([tree.predict(X) for tree in forest.estimators_])
    np.testing.assert_array_equal(prediction.member_means, trees)
    np.testing.assert_allclose(prediction.mean, forest.predict(table), rtol=1e-12)
    np.testing.assert_allclose(prediction.std, trees.std(0), rtol=1e-12)
    assert prediction.cov is None and prediction.member_stds is None


def test_forest_as_points(scalars):
    X, y = scalars
    forest = RandomForestRegressor(n_estimators=4, random_state=0).fit(X, y)
    assert predict_distribution(forest, X, rows="points").member_means.shape == (4, 1, 8)


def test_forest_with_missing_values(scalars):
    X, y = scalars
    X = X.copy()
    X[0, 0] = np.nan
    forest = RandomForestRegressor(n_estimators=4, random_state=0).fit(X, y)
    np.testing.assert_allclose(predict_distribution(forest, X).mean[:, 0], forest.predict(X))


@pytest.mark.parametrize("max_features", [1.0, 0.5])
def test_bagging_with_its_features(fields, max_features):
    X, y = fields
    bagging = BaggingRegressor(Ridge(), 5, max_features=max_features, random_state=0).fit(X, y)
    prediction = predict_distribution(bagging, X)
    assert prediction.member_means.shape == (5, 8, 5)
    np.testing.assert_allclose(prediction.mean, bagging.predict(X), rtol=1e-12)
    if max_features == 0.5:
        first = bagging.estimators_[0].predict(X[:, bagging.estimators_features_[0]])
        np.testing.assert_array_equal(prediction.member_means[0], first)


VOTERS = [("a", Ridge()), ("b", LinearRegression()), ("c", DecisionTreeRegressor(max_depth=2))]


@pytest.mark.parametrize("weights", [None, [2, 2, 2]])
def test_voting(scalars, weights):
    X, y = scalars
    voting = VotingRegressor(VOTERS, weights=weights).fit(X, y)
    prediction = predict_distribution(voting, X)
    assert prediction.member_means.shape == (3, 8, 1)
    np.testing.assert_allclose(prediction.mean[:, 0], voting.predict(X))
    assert offers_members(voting) and not offers_covariance(voting)


@pytest.mark.parametrize("rows", ["fields", "points"])
def test_voting_with_weights_states_weighted_moments(scalars, rows):
    X, y = scalars
    weights = np.array([1, 2, 5])
    voting = VotingRegressor([*VOTERS, ("d", "drop")], weights=[*weights, 9]).fit(X, y)
    prediction = predict_distribution(voting, X, rows=rows)
    outputs = np.stack([voter.predict(X) for voter in voting.estimators_])
    expected = np.cov(outputs.T, ddof=0, fweights=weights)
    np.testing.assert_allclose(prediction.mean.ravel(), voting.predict(X))
    np.testing.assert_allclose(prediction.std.ravel(), np.sqrt(np.diag(expected)))
    wanted = expected[None] if rows == "points" else np.diag(expected)[:, None, None]
    np.testing.assert_allclose(prediction.cov, wanted, atol=1e-14)
    assert prediction.member_means is None
    assert not offers_members(voting) and offers_covariance(voting)

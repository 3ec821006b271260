"""The dataclass: derived quantities and the checks that every prediction passes."""

import numpy as np
import pytest

from skphys.predictive import Prediction
from skphys.predictive._checks import check_prediction


class Backbone:
    pass


def check(prediction, rows="fields", n_samples=2):
    return check_prediction(prediction, Backbone(), n_samples, rows)


def test_covariance_of_members_is_the_law_of_total_variance(rng):
    means, stds = rng.normal(size=(4, 2, 3)), rng.uniform(size=(4, 2, 3))
    prediction = check(Prediction(means.mean(0), member_means=means, member_stds=stds))
    for sample in range(2):
        expected = np.cov(means[:, sample].T, ddof=0) + np.diag((stds[:, sample] ** 2).mean(0))
        np.testing.assert_allclose(prediction.covariance()[sample], expected, atol=1e-14)
        np.testing.assert_allclose(prediction.std[sample], np.sqrt(np.diag(expected)))


def test_covariance_without_members():
    mean, std = np.zeros((2, 3)), np.full((2, 3), 2.0)
    assert Prediction(mean).covariance() is None
    assert not Prediction(mean).states_uncertainty
    np.testing.assert_array_equal(Prediction(mean, std).covariance()[1], 4 * np.eye(3))
    cov = np.ones((2, 3, 3))
    assert Prediction(mean, std, cov).covariance() is cov


def test_std_follows_from_cov():
    cov = np.array([[[4.0, 1.0], [1.0, 9.0]]] * 2)
    np.testing.assert_array_equal(check(Prediction(np.zeros((2, 2)), cov=cov)).std, [[2, 3]] * 2)


def test_zero_stds_of_members_are_taken_as_given():
    means = np.ones((3, 2, 4))
    given = check(Prediction(means[0], member_means=means, member_stds=0 * means))
    np.testing.assert_array_equal(given.member_stds, 0 * means)


def test_everything_becomes_float64():
    prediction = check(
        Prediction(
            np.zeros((2, 3), np.float32),
            member_means=np.zeros((2, 2, 3), np.float32),
            member_stds=np.ones((2, 2, 3), np.float32),
        )
    )
    for name in ("mean", "std", "member_means", "member_stds"):
        assert getattr(prediction, name).dtype == np.float64


def test_variance_negative_by_rounding_becomes_zero():
    cov = np.array([[[1.0, 0.0], [0.0, -1e-12]]] * 2)
    prediction = check(Prediction(np.zeros((2, 2)), cov=cov))
    assert prediction.std[0, 1] == 0.0 == prediction.cov[0, 1, 1]


ok = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (Prediction(np.array([[np.nan, 0.0]] * 2)), "mean of the backbone Backbone has 2 NaN"),
        (Prediction(np.zeros((3, 3))), r"mean .* has shape \(3, 3\), but \(2, 3\)"),
        (Prediction(np.zeros(2)), "mean .* has shape"),
        (Prediction(np.array([["a"]] * 2)), "cannot be read as numbers"),
        (Prediction(ok, std=ok - 1), "6 negative value.*the smallest -1"),
        (Prediction(ok, std=np.zeros((2, 1))), r"standard deviation .* \(2, 1\)"),
        (Prediction(ok, std=ok + np.inf), "infinite"),
        (Prediction(ok, cov=np.zeros((2, 2, 2))), "covariance .* has shape"),
        (Prediction(ok, cov=np.array([-np.eye(3)] * 2)), "negative variance, -1"),
        (Prediction(ok, member_means=np.zeros((4, 2, 2))), "members' mean"),
        (Prediction(ok, member_means=np.zeros((4, 2, 3)), member_stds=-np.ones((4, 2, 3))), "neg"),
        ((ok, ok), "returned tuple; it must return a skphys.predictive.Prediction"),
    ],
)
def test_bad_predictions_are_named(prediction, message):
    with pytest.raises(ValueError, match=message):
        check(prediction)


def test_points_make_one_field():
    assert check(Prediction(np.zeros((1, 2))), rows="points").mean.shape == (1, 2)
    with pytest.raises(ValueError, match="shape"):
        check(Prediction(np.zeros((2, 1))), rows="points")

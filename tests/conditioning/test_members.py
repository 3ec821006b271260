"""Members: matched moments against closed forms."""

import numpy as np
import pytest
from conditioning_cases import relative_miss

from skphys.conditioning import Diagonal, Gaussian, Mixture, condition, match_moments

K, B, N = 6, 2, 8


@pytest.fixture
def members():
    rng = np.random.default_rng(0)
    return rng.normal(size=(K, B, N)), rng.uniform(0.2, 1.0, (K, B, N))


def covariance_of(means, stds):
    """Return the covariance of an equal mixture, by the law of total variance."""
    between = np.stack([np.cov(means[:, b].T, ddof=0) for b in range(B)])
    return between + np.stack([np.diag((stds[:, b] ** 2).mean(0)) for b in range(B)])


def test_moments(members):
    field = match_moments(*members)
    np.testing.assert_allclose(field.mean, members[0].mean(0))
    np.testing.assert_allclose(field.dense(), covariance_of(*members), atol=1e-14)


def test_points_keep_their_variance(members):
    field = match_moments(members[0])
    np.testing.assert_allclose(field.variance(), members[0].var(0), rtol=1e-12)
    assert np.linalg.matrix_rank(field.dense()[0]) == N


def test_mixture_is_exact_and_has_its_draws_moments(members):
    rows, values = np.full((1, N), 1.0 / N), np.array([[0.3], [-0.4]])
    each = [Gaussian(m, Diagonal(s**2)) for m, s in zip(*members, strict=True)]
    mixture = Mixture([condition(g, rows, values) for g in each])
    draws = mixture.sample(60_000, 0)
    assert relative_miss(draws, rows, values).max() < 1e-12
    np.testing.assert_allclose(draws.mean(0), mixture.mean, atol=0.02)
    np.testing.assert_allclose(draws.var(0), mixture.variance(), atol=0.04)
    for b in range(B):
        np.testing.assert_allclose(np.cov(draws[:, b].T), mixture.dense()[b], atol=0.04)
    np.testing.assert_allclose(mixture.std() ** 2, np.diagonal(mixture.dense(), 0, 1, 2))


def test_members_that_agree_have_no_variance():
    """The mean of seven equal numbers is not that number; the rounding is no spread."""
    one = np.random.default_rng(0).normal(size=(1, B, N))
    field = match_moments(np.repeat(one, 7, axis=0))
    assert (field.variance() == 0).all()


def weighted(weights):
    rng = np.random.default_rng(3)
    means, variances = rng.normal(size=(3, 4, 5)), rng.uniform(size=(3, 4, 5))
    members = [Gaussian(m, Diagonal(v)) for m, v in zip(means, variances, strict=True)]
    return Mixture(members, weights), means, variances


@pytest.mark.parametrize("by_field", [False, True])
def test_weights(by_field):
    weights = np.random.default_rng(4).uniform(size=(3, 4) if by_field else 3)
    mixture, means, variances = weighted(weights)
    w = weights / weights.sum(axis=0)
    w = w[..., None] if by_field else w[:, None, None]
    mean = np.sum(w * means, axis=0)
    second = np.sum(w * (variances + means**2), axis=0)
    np.testing.assert_allclose(mixture.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(mixture.variance(), second - mean**2, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(mixture.dense(), axis1=-2, axis2=-1), mixture.variance())
    draws = mixture.sample(20_000, 0)
    assert draws.shape == (20_000, 4, 5)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(draws.var(axis=0), mixture.variance(), rtol=0.06)


def test_equal_weights_are_none():
    equal, plain = weighted(np.full(3, 2.0))[0], weighted(None)[0]
    np.testing.assert_allclose(equal.dense(), plain.dense(), rtol=1e-13, atol=1e-15)


def test_all_weight_on_one_member_leaves_that_member():
    weights = np.zeros((3, 4))
    weights[[2, 0, 1, 2], range(4)] = 1.0
    mixture, means, variances = weighted(weights)
    np.testing.assert_array_equal(mixture.mean, means[[2, 0, 1, 2], range(4)])
    np.testing.assert_allclose(mixture.variance(), variances[[2, 0, 1, 2], range(4)], rtol=1e-14)
    drawn = mixture.sample(5000, 1)
    np.testing.assert_allclose(drawn.mean(axis=0), mixture.mean, atol=0.06)


@pytest.mark.parametrize("weights", [np.ones(2), np.array([1.0, -1.0, 1.0])])
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match="weights must be at least 0, one for each of the 3"):
        weighted(weights)

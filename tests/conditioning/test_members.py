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

"""Draws of truncated Gaussians against rejection, closed forms and a Gibbs sampler."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import ndtr, ndtri
from scipy.stats import ks_2samp, truncnorm

from skphys.conditioning import (
    Dense,
    Diagonal,
    Drawn,
    Gaussian,
    Mixture,
    Truncated,
    condition,
    project,
)
from skphys.conditioning._truncated._drawn import mixing
from skphys.conditioning._truncated._normal import truncated_normal
from skphys.conditioning._truncated._random import Random

ROW = np.array([[1.0, 2.0, 1.0, 0.5, 1.0]])
N = 5


def truncated(gaussian, H, lower, upper, rows=None, values=None, noise=0.0):
    """Truncate Gaussian fields (n_fields, n_points) after equalities."""
    n_fields, n_points = gaussian.mean.shape
    rows = np.zeros((0, n_points)) if rows is None else rows
    values = np.zeros((n_fields, 0)) if values is None else values
    conditioned = condition(gaussian, rows, values, noise) if len(rows) else gaussian
    lower, upper = (np.broadcast_to(b, (n_fields, len(H))) for b in (lower, upper))
    start = project(gaussian, H, lower, upper, rows, values, noise)
    H = sparse.csr_array(H)
    return Truncated(gaussian, conditioned, rows, values, noise, H, lower, upper, start)


def smooth(n_points, length=0.3, std=1.0):
    x = np.linspace(0.0, 1.0, n_points)
    return std**2 * np.exp(-0.5 * ((x[:, None] - x) / length) ** 2) + 1e-3 * np.eye(n_points)


def kept(drawn, H, lower, upper):
    """Reject what does not obey."""
    product = drawn @ np.asarray(H).T
    return drawn[((product >= lower) & (product <= upper)).all(axis=-1)]


def check_marginals(found, expected, distance=0.02):
    for k in range(found.shape[-1]):
        assert ks_2samp(found[:, k], expected[:, k]).statistic < distance, k


RISING = np.diff(np.eye(N), axis=0)
CASES = {
    "diagonal, bounds": (Diagonal(np.array([1.0, 0.5, 2.0, 1.0, 0.7])), np.eye(N), 0.0, 2.0),
    "dense, bounds": (Dense(smooth(N)), np.eye(N), 0.0, 2.0),
    "dense, rising": (Dense(smooth(N)), RISING, -0.1, np.inf),
    "diagonal, rising": (Diagonal(np.full(N, 0.5)), RISING, -0.2, np.inf),
}


@pytest.mark.parametrize(("noise", "shared"), [(0.0, True), (0.0, False), (0.3, False)])
@pytest.mark.parametrize("name", CASES)
def test_marginals_are_those_of_rejection(name, shared, noise):
    covariance, H, lower, upper = CASES[name]
    mean = np.array([[0.2, 0.4, 0.8, 1.0, 1.5]])
    gaussian, values = Gaussian(mean, covariance), np.array([[4.0]])
    found = truncated(gaussian, H, lower, upper, ROW, values, noise)
    assert found.independent == (name == "diagonal, bounds")
    draws = found.sample(20_000, Random(1, shared))[:, 0]
    same = Gaussian(mean, Dense(covariance.to_dense()))  # draws of these are quicker
    free = condition(same, ROW, values, noise).sample(1_000_000, 2)[:, 0]
    expected = kept(free, H, lower, upper)
    assert len(expected) > 10_000
    check_marginals(draws, expected)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(expected.T), atol=0.02)
    if not noise:
        assert abs(draws @ ROW[0] - 4.0).max() < 4e-12
    product = draws @ H.T
    assert product.min() >= lower - 1e-9 and product.max() <= upper + 1e-9


def gibbs(mean, precision, n_sweeps, rng):
    """Draw positive points one by one, each given the others."""
    u, draws = np.maximum(mean, 0.1), []
    for _ in range(n_sweeps):
        for k in range(len(mean)):
            away = precision[k] @ (u - mean) - precision[k, k] * (u[k] - mean[k])
            center, std = mean[k] - away / precision[k, k], precision[k, k] ** -0.5
            u[k] = center - std * ndtri(rng.uniform() * ndtr(center / std))
        draws.append(u.copy())
    return np.array(draws)[100:]


def test_marginals_where_hardly_any_draw_obeys():
    """Seven correlated points whose means are below their bounds, against a Gibbs sampler."""
    covariance = smooth(7, 0.1) + 0.3 * np.eye(7)
    mean = np.array([-2.0, -1.0, 0.0, 1.0, -1.0, -3.0, -2.0])
    expected = gibbs(mean, np.linalg.inv(covariance), 6000, np.random.default_rng(0))
    found = truncated(Gaussian(mean[None], Dense(covariance)), np.eye(7), 0.0, np.inf)
    check_marginals(found.sample(30_000, Random(0, False))[:, 0], expected, 0.035)


@pytest.mark.parametrize("dense", [False, True])
def test_a_sum_of_exponentials(dense):
    """Far out, positive points of a known sum spread as those of a simplex do."""
    n = 4
    variance = np.full(n, 1e4)
    covariance = Dense(np.diag(variance)) if dense else Diagonal(variance)
    gaussian = Gaussian(np.full((1, n), 1.0 / n), covariance)
    found = truncated(gaussian, np.eye(n), 0.0, np.inf, np.ones((1, n)), np.ones((1, 1)))
    draws = found.sample(30_000, Random(0, False))[:, 0]
    uniform = np.random.default_rng(0).dirichlet(np.ones(n), 100_000)
    check_marginals(draws, uniform)
    assert abs(draws.sum(axis=1) - 1.0).max() < 1e-14


@pytest.mark.parametrize("low", [-50.0, -3.0, 0.0, 5.0, 30.0, 40.0, 1e3])
@pytest.mark.parametrize("width", [1e-9, 0.5, np.inf])
def test_normals_between_bounds(low, width):
    u = np.linspace(0.001, 0.999, 11)
    found = truncated_normal(np.full(11, low), np.full(11, low + width), u)
    assert (found >= low).all() and (found <= low + width).all()
    mirrored = truncated_normal(np.full(11, -low - width), np.full(11, -low), 1.0 - u)
    np.testing.assert_allclose(mirrored, -found, rtol=1e-9, atol=1e-9)
    if abs(low) < 35:
        expected = truncnorm.ppf(u, low, low + width)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-9)
    elif low > 0 and width == np.inf:  # an exponential, but for a part in low squared
        np.testing.assert_allclose((found - low) * low, -np.log1p(-u), rtol=0.02)


def test_bounds_that_meet_hold_exactly():
    """Points whose two bounds are the same are known, of some fields only."""
    mean, covariance = np.zeros((2, N)) + 0.5, Dense(smooth(N))
    lower = np.array([[0.0, 0.3, 0.0, 0.0, 0.0], [0.0] * N])
    upper = np.array([[np.inf, 0.3, np.inf, np.inf, np.inf], [np.inf] * N])
    values = np.full((2, 1), 2.0)
    found = truncated(Gaussian(mean, covariance), np.eye(N), lower, upper, ROW, values)
    draws = found.sample(20_000, Random(0, False))
    assert abs(draws[:, 0, 1] - 0.3).max() < 1e-12
    assert abs(draws @ ROW[0] - 2.0).max() < 4e-12 and draws.min() >= 0.0
    both = condition(
        Gaussian(mean[:1], covariance), np.vstack([ROW, np.eye(N)[1]]), np.array([[2.0, 0.3]])
    )
    expected = kept(both.sample(300_000, 1)[:, 0], np.eye(N), -1e-12, np.inf)
    check_marginals(draws[:, 0, [0, 2, 3, 4]], expected[:, [0, 2, 3, 4]])
    alone = truncated(
        Gaussian(mean[1:], covariance), np.eye(N), 0.0, np.inf, ROW, values[1:]
    ).sample(20_000, Random(3, False))[:, 0]
    check_marginals(draws[:, 1], alone)


def test_a_field_does_not_depend_on_those_beside_it():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(6, N))
    variance = rng.uniform(0.5, 1.0, (6, N))
    values = np.full((6, 1), 3.0)
    for make in (Diagonal, lambda v: Dense(v[..., None] * np.eye(N))):
        some = [
            Drawn(g, [truncated(g, np.eye(N), 0.0, np.inf, ROW, values[part])])
            for part in (slice(0, 6), slice(2, 4))
            for g in [Gaussian(mean[part], make(variance[part]))]
        ]
        np.testing.assert_allclose(some[0].mean[2:4], some[1].mean, rtol=1e-12)
        np.testing.assert_allclose(some[0].std()[2:4], some[1].std(), rtol=1e-9)


def test_fields_far_from_bounds_keep_their_gaussian():
    mean, covariance = np.array([[10.0] * N, [0.0] * N]), Dense(smooth(N))
    gaussian = Gaussian(mean, covariance)
    field = Drawn(gaussian, [truncated(gaussian, np.eye(N), 0.0, np.inf)])
    np.testing.assert_array_equal(field.mean[0], mean[0])
    np.testing.assert_array_equal(field.std()[0], gaussian.std())
    np.testing.assert_array_equal(field.dense()[0], gaussian.dense())
    np.testing.assert_allclose(field.quantile([0.5])[0, 0], mean[0])
    assert field.mean[1].min() > 0.1 and (field.std()[1] < gaussian.std()).all()
    np.testing.assert_allclose(np.diagonal(field.dense()[1]), field.variance()[1], rtol=1e-12)


def test_moments_of_half_normals():
    """Of independent points in closed form; the draws are 256."""
    gaussian = Gaussian(np.zeros((1, 40)), Diagonal(np.ones(40)))
    field = Drawn(gaussian, [truncated(gaussian, np.eye(40), 0.0, np.inf)])
    assert abs(field.mean.mean() - np.sqrt(2.0 / np.pi)) < 0.01
    assert abs(field.std().mean() - np.sqrt(1.0 - 2.0 / np.pi)) < 0.02
    low, high = field.quantile([0.05, 0.95])[:, 0]
    inside = truncnorm.cdf(high, 0, np.inf) - truncnorm.cdf(low, 0, np.inf)
    assert abs(inside.mean() - 0.9) < 0.01
    log = field.sample(2, 0)
    assert log.shape == (2, 1, 40) and not np.array_equal(log[0], log[1])


def test_a_mixture_takes_its_members_as_they_weigh():
    means = [np.full((2, 3), 0.5), np.full((2, 3), 4.0)]
    gaussians = [Gaussian(m, Diagonal(np.full(3, 0.04))) for m in means]
    members = [truncated(g, np.eye(3), 0.0, np.inf) for g in gaussians]
    weights = np.array([[0.25, 1.0], [0.75, 0.0]])
    field = Drawn(Mixture(gaussians, weights), members, weights)
    high = (field.draws > 2.0).mean(axis=0)
    np.testing.assert_allclose(high, [[0.75] * 3, [0.0] * 3], atol=0.005)
    high = (field.sample(4000, 0) > 2.0).mean(axis=0)
    np.testing.assert_allclose(high, [[0.75] * 3, [0.0] * 3], atol=0.03)


def test_slow_chains_are_told():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(256, 2, 3))
    draws[:, 1] += np.tile(3.0 * rng.normal(size=(16, 3)), (16, 1))  # chains that differ
    ratio = mixing(draws)
    assert ratio[0] < 1.05 < 2.0 < ratio[1]

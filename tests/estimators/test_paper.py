"""A frozen network's stored members against ProbConserv's formulas, written out.

Hansen et al., ICML 2023 (arXiv 2302.11002), equations 7a and 7b for each latent draw, then the
law of total mean and variance over the draws.
"""

import numpy as np
import pytest
from backbones import Stored
from sklearn.frozen import FrozenEstimator

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import Grid

K, B, N = 20, 3, 51
X = np.arange(float(B))[:, None]


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    grid = Grid(x=np.linspace(0.0, 1.0, N))
    means = 1.0 - grid["x"] + 0.1 * rng.normal(size=(K, B, 1)) + 0.02 * rng.normal(size=(K, B, N))
    stds = rng.uniform(0.01, 0.1, (K, B, N))
    return grid, means, stds, np.array([0.4, 0.5, 0.6])


def totals(X):
    return np.array([0.4, 0.5, 0.6])[np.asarray(X)[:, 0].astype(int)]


def fit(network, members):
    grid, means, stds, _ = network
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Stored(means, stds)),
        ConservationLaw(over="x", total=totals),
        grid,
        error_model=ErrorModel(members=members),
    )
    return model.fit(X, means[0] * 0 + totals(X)[:, None])


def conditioned(mu, sigma, g, b):
    """Return equations 7a and 7b for exact conservation."""
    gain = sigma @ g.T @ np.linalg.inv(g @ sigma @ g.T)
    return mu - gain @ (g @ mu - b), sigma - gain @ g @ sigma


def rows():
    """Return the trapezoid rule on 51 even points."""
    g = np.full((1, N), 1.0 / (N - 1))
    g[0, [0, -1]] /= 2
    return g


def test_each_draw_conditioned_then_moments_matched(network):
    _, means, stds, b = network
    model = fit(network, "each")
    mean, cov = model.predict(X, return_cov=True)
    _, std = model.predict(X, return_std=True)
    for i in range(B):
        draws = [
            conditioned(means[k, i], np.diag(stds[k, i] ** 2), rows(), b[i : i + 1])
            for k in range(K)
        ]
        mu = np.mean([m for m, _ in draws], axis=0)
        between = np.mean([np.outer(m - mu, m - mu) for m, _ in draws], axis=0)
        total = np.mean([s for _, s in draws], axis=0) + between
        np.testing.assert_allclose(mean[i], mu, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(cov[i], total, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(std[i], np.sqrt(np.diag(total)), rtol=1e-12)


def test_the_moments_of_the_draws_conditioned(network):
    _, means, stds, b = network
    model = fit(network, "moments")
    mean, cov = model.predict(X, return_cov=True)
    for i in range(B):
        within = np.diag(np.mean(stds[:, i] ** 2, axis=0))
        prior = within + np.cov(means[:, i].T, ddof=0)
        mu, total = conditioned(means[:, i].mean(0), prior, rows(), b[i : i + 1])
        np.testing.assert_allclose(mean[i], mu, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(cov[i], total, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("members", ["each", "moments"])
def test_draws_have_these_moments(network, members):
    model = fit(network, members)
    mean, std = model.predict(X, return_std=True)
    draws = model.sample_y(X, 20_000, random_state=0)
    np.testing.assert_allclose(draws.mean(-1), mean, atol=0.004)
    np.testing.assert_allclose(draws.std(-1), std, rtol=0.05)


def test_members_without_std_cannot_be_conditioned_each(network):
    grid, means, _, _ = network
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Stored(means, None)),
        ConservationLaw(over="x", total=0.5),
        grid,
        error_model=ErrorModel(members="each"),
    ).fit(X, np.full((B, N), 0.5))
    with pytest.raises(ValueError, match="members='moments'"):
        model.predict(X)

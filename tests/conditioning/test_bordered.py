"""Local rows with a few laws across all of them, against the textbook's formulas."""

import numpy as np
import pytest
from conditioning_cases import relative_miss, textbook
from scipy import sparse

from skphys.conditioning import Diagonal, Gaussian, InconsistentConstraintsError, condition
from skphys.conditioning._sparse._bordered import BorderedFactor

B, N = 3, 120


def posed(n_laws, noise, seed=0):
    """Return second differences with laws in front, between and behind them."""
    rng = np.random.default_rng(seed)
    local = np.diff(np.eye(N), 2, axis=0)
    laws = rng.uniform(0.5, 1.5, (n_laws, N))
    at = np.linspace(0, len(local), n_laws).astype(int)
    rows = np.insert(local, at, laws, axis=0)
    std = np.where(np.abs(rows).sum(axis=1) > 10.0, 0.0, noise)
    std = std * rng.uniform(0.5, 1.0, (B, len(rows)))
    prior = Gaussian(rng.normal(size=(B, N)), Diagonal(rng.uniform(0.1, 2.0, (B, N))))
    return prior, rows, rng.normal(size=(B, len(rows))), std


@pytest.mark.parametrize("noise", [0.0, 0.3, 10.0])
@pytest.mark.parametrize("n_laws", [1, 2])
def test_mean_and_covariance(n_laws, noise):
    prior, rows, values, std = posed(n_laws, noise)
    posterior = condition(prior, sparse.csr_array(rows), values, std)
    gain = posterior.covariance.gain
    assert isinstance(gain._inner._factor, BorderedFactor)
    tolerance = 1e-8 if noise == 0 else 1e-11  # exact, the rows leave one or two degrees of freedom
    for i in range(B):
        S = np.diag(prior.covariance.variance[i])
        mean, cov = textbook(prior.mean[i], S, rows, values[i], std[i])
        np.testing.assert_allclose(posterior.mean[i], mean, atol=tolerance)
        np.testing.assert_allclose(posterior.variance()[i], np.diag(cov), atol=tolerance)
        np.testing.assert_allclose(posterior.dense()[i], cov, atol=tolerance)
    exact = std[0] == 0
    assert relative_miss(posterior.mean, rows[exact], values[:, exact]).max() < 1e-12
    np.testing.assert_array_equal(posterior.covariance.diagonal_error(), 0.0)


def test_a_law_that_follows_from_the_local_rows():
    """Balances of all volumes sum up to the global one: another factor takes over."""
    rng = np.random.default_rng(0)
    local = np.eye(N)[:-1] + np.eye(N)[1:]
    rows = np.vstack([local.sum(axis=0), local])
    prior = Gaussian(rng.normal(size=N), Diagonal(rng.uniform(0.5, 1.0, N)))
    b = rng.normal(size=N - 1)
    values = np.append(b.sum(), b)
    posterior = condition(prior, sparse.csr_array(rows), values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    expected = condition(prior, local, b)
    np.testing.assert_allclose(posterior.mean, expected.mean, atol=1e-9)
    np.testing.assert_allclose(posterior.variance(), expected.variance(), atol=1e-9)
    with pytest.raises(InconsistentConstraintsError):
        condition(prior, sparse.csr_array(rows), values + np.eye(N)[0])

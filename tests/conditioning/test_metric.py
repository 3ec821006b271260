"""Fields moved in another metric than their covariance, against the dense formulas."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance, relative_miss
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from skphys.conditioning import Corrected, Diagonal, Gaussian, condition

B, N = 3, 9
KINDS = (*STRUCTURES, "unit")


def metric_of(kind, rng):
    return Diagonal(np.ones(N)) if kind == "unit" else make_covariance(kind, rng, B, N)


def written_out(field):
    covariance = getattr(field, "covariance", field)
    return np.broadcast_to(covariance.to_dense(), (B, N, N))


def textbook(mean, covariance, metric, rows, values, noise):
    """Return mean and covariance of a field moved by ``K = M G' (G M G' + R)^-1``."""
    R = np.diag(np.broadcast_to(noise, len(rows)) ** 2)
    K = metric @ rows.T @ np.linalg.inv(rows @ metric @ rows.T + R)
    P = np.eye(len(mean)) - K @ rows
    return mean + K @ (values - rows @ mean), P @ covariance @ P.T + K @ R @ K.T


def posed(kind, metric, n_rows, noise, seed=0):
    rng = np.random.default_rng(seed)
    prior = Gaussian(rng.normal(size=(B, N)), make_covariance(kind, rng, B, N))
    rows, values = rng.normal(size=(n_rows, N)), rng.normal(size=(B, n_rows))
    noise = {"none": 0.0, "rows": rng.uniform(0.1, 1.0, n_rows)}.get(noise, None)
    noise = rng.uniform(0.1, 1.0, (B, n_rows)) if noise is None else noise
    return prior, metric_of(metric, rng), rows, values, noise


@pytest.mark.parametrize("noise", ["none", "rows", "fields"])
@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("kind", STRUCTURES)
def test_mean_and_covariance(kind, metric, n_rows, noise):
    prior, M, rows, values, noise = posed(kind, metric, n_rows, noise)
    posterior = condition(prior, rows, values, noise, metric=M)
    S, each = written_out(prior.covariance), np.broadcast_to(noise, (B, n_rows))
    found, variance = written_out(posterior), np.broadcast_to(posterior.variance(), (B, N))
    for i in range(B):
        mean, cov = textbook(prior.mean[i], S[i], written_out(M)[i], rows, values[i], each[i])
        np.testing.assert_allclose(posterior.mean[i], mean, atol=1e-12)
        np.testing.assert_allclose(found[i], cov, atol=1e-11)
        np.testing.assert_allclose(variance[i], np.diag(cov), atol=1e-11)


@pytest.mark.parametrize("noise", ["none", "rows", "fields"])
@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("metric", ["unit", "diagonal", "low_rank"])
def test_sparse_rows(kind, metric, noise):
    """Second differences stay sparse; the same rows, dense, are the reference."""
    prior, M, _, values, noise = posed(kind, metric, N - 2, noise)
    rows = np.diff(np.eye(N), 2, axis=0)
    one = condition(prior, sparse.csr_array(rows), values, noise, metric=M)
    other = condition(prior, rows, values, noise, metric=M)
    assert isinstance(one.covariance, Corrected)
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-11)
    np.testing.assert_allclose(one.variance(), other.variance(), atol=1e-11)
    np.testing.assert_allclose(one.dense(), other.dense(), atol=1e-11)


@pytest.mark.parametrize("kind", STRUCTURES)
def test_its_own_metric_is_bayes_rule(kind):
    prior, _, rows, values, noise = posed(kind, "unit", 2, "rows")
    one = condition(prior, rows, values, noise)
    other = condition(prior, rows, values, noise, metric=prior.covariance)
    np.testing.assert_allclose(other.mean, one.mean, atol=1e-13)
    np.testing.assert_allclose(other.dense(), one.dense(), atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), n_rows=st.integers(1, 4))
@pytest.mark.parametrize("kind", STRUCTURES)
def test_everything_obeys_exact_rows(kind, seed, n_rows):
    prior, M, rows, values, _ = posed(kind, "unit", n_rows, "none", seed)
    posterior = condition(prior, rows, values, metric=M)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    assert relative_miss(posterior.sample(5, 0), rows, values).max() < 1e-12
    size = np.abs(rows).sum(axis=1).max() ** 2 * np.abs(written_out(prior.covariance)).max()
    along = rows @ posterior.dense() @ rows.T
    assert np.abs(along).max() < 1e-12 * size * N


def test_the_euclidean_projection_is_the_nearest_field():
    """Against least squares: `u = mean + G' t`, whatever the covariance says."""
    prior, M, rows, values, _ = posed("dense", "unit", 2, "none")
    moved = condition(prior, rows, values, metric=M).mean
    for before, after, value in zip(prior.mean, moved, values, strict=True):
        shift = np.linalg.lstsq(rows, value - rows @ before, rcond=None)[0]
        np.testing.assert_allclose(after, before + shift, atol=1e-13)


def test_draws_have_the_moments():
    prior, M, rows, values, noise = posed("low_rank", "unit", 2, "rows")
    posterior = condition(prior, rows, values, noise, metric=M)
    draws = posterior.sample(200_000, 0)
    scale = np.sqrt(posterior.variance())
    np.testing.assert_allclose((draws.mean(0) - posterior.mean) / scale, 0.0, atol=0.012)
    cov = np.cov(draws[:, 0].T) / np.outer(scale[0], scale[0])
    expected = posterior.dense()[0] / np.outer(scale[0], scale[0])
    np.testing.assert_allclose(cov, expected, atol=0.015)


def test_a_variance_may_grow_and_a_determined_point_has_none():
    prior = Gaussian(np.zeros(3), Diagonal(np.array([0.0, 1.0, 4.0])))
    unit = Diagonal(np.ones(3))
    moved = condition(prior, np.ones((1, 3)), np.array([3.0]), metric=unit)
    np.testing.assert_allclose(moved.variance(), [5 / 9, 8 / 9, 17 / 9], rtol=1e-14)
    known = condition(prior, np.array([[0.0, 0.0, 2.0]]), np.array([3.0]), metric=unit)
    assert known.mean[2] == 1.5
    assert known.variance()[2] == 0.0


def test_it_can_be_conditioned_again():
    prior, M, rows, values, _ = posed("diagonal", "unit", 3, "none")
    first = condition(prior, rows[:2], values[:, :2], metric=M)
    both = condition(first, rows[2:], values[:, 2:])
    assert relative_miss(both.mean, rows, values).max() < 1e-10


@pytest.mark.parametrize("n_rows", [1, 3])
def test_torch_agrees_and_has_gradients(n_rows):
    torch = pytest.importorskip("torch")
    prior, _, rows, values, noise = posed("diagonal", "unit", n_rows, "rows")
    expected = condition(prior, rows, values, noise, metric=Diagonal(np.ones(N)))
    mean, variance = (torch.tensor(a) for a in (prior.mean, prior.covariance.variance))
    rows, values, noise = (torch.tensor(a) for a in (rows, values, noise))
    unit = Diagonal(torch.ones(N, dtype=torch.float64))

    def moments(mean, variance):
        field = condition(Gaussian(mean, Diagonal(variance)), rows, values, noise, metric=unit)
        return field.mean, field.variance(), field.dense()

    found = moments(mean, variance)
    for tensor, array in zip(
        found, (expected.mean, expected.variance(), expected.dense()), strict=True
    ):
        np.testing.assert_allclose(tensor.numpy(), array, atol=1e-12)
    inputs = (mean.requires_grad_(), variance.requires_grad_())
    assert torch.autograd.gradcheck(moments, inputs)

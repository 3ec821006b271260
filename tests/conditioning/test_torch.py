"""Tensors go through the same code: equal to NumPy, differentiable, and on an accelerator."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    LowRank,
    Mixture,
    Scaled,
    Sum,
    condition,
    match_moments,
)

torch = pytest.importorskip("torch")
B, N = 2, 7


def to_torch(covariance, device="cpu"):
    """Copy a covariance structure to torch."""

    def tensor(array):
        return torch.as_tensor(np.asarray(array), device=device)

    if isinstance(covariance, Diagonal):
        return Diagonal(tensor(covariance.variance))
    if isinstance(covariance, LowRank):
        return LowRank(tensor(covariance.factor))
    if isinstance(covariance, Dense):
        return Dense(tensor(covariance.matrix))
    if isinstance(covariance, Scaled):
        return Scaled(tensor(covariance.scale), to_torch(covariance.correlation, device))
    return Sum(*(to_torch(term, device) for term in covariance.terms))


def check_equal(kind, n_rows, noise, device):
    rng = np.random.default_rng(5)
    prior = Gaussian(rng.normal(size=(B, N)), make_covariance(kind, rng, B, N))
    rows, values = rng.normal(size=(n_rows, N)), rng.normal(size=(B, n_rows))
    expected = condition(prior, rows, values, noise)
    tensors = Gaussian(
        torch.as_tensor(prior.mean, device=device), to_torch(prior.covariance, device)
    )
    got = condition(tensors, rows, values, noise)
    assert got.mean.device.type == device
    for one, other in (
        (got.mean, expected.mean),
        (got.std(), expected.std()),
        (got.dense(), expected.dense()),
    ):
        np.testing.assert_allclose(one.cpu().numpy(), other, atol=1e-11)
    draws = got.sample(3, 0)
    if noise == 0:
        np.testing.assert_allclose((draws.cpu().numpy() @ rows.T), [values] * 3, atol=1e-11)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_equals_numpy(kind, n_rows, noise):
    check_equal(kind, n_rows, noise, "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", STRUCTURES)
def test_equals_numpy_on_cuda(kind):
    check_equal(kind, 3, 0.0, "cuda")


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_gradients_of_diagonal_plus_low_rank(n_rows, noise):
    rng = np.random.default_rng(0)
    rows = torch.as_tensor(rng.normal(size=(n_rows, N)))

    def moments(mean, variance, factor, values):
        prior = Gaussian(mean, Sum(Diagonal(variance), LowRank(factor)))
        posterior = condition(prior, rows, values, noise)
        return posterior.mean, posterior.variance(), posterior.dense()

    inputs = (
        rng.normal(size=(B, N)),
        rng.uniform(0.5, 1.0, (B, N)),
        rng.normal(size=(B, N, 2)),
        rng.normal(size=(B, n_rows)),
    )
    tensors = [torch.as_tensor(a).requires_grad_() for a in inputs]
    assert torch.autograd.gradcheck(moments, tensors)


@pytest.mark.parametrize("duplicated", [False, True])
def test_gradients_of_equal_and_of_redundant_rows(duplicated):
    """Equal pivots, as disjoint rows have, are where an eigenvector's gradient is NaN."""
    rows = torch.kron(torch.eye(3, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))
    if duplicated:
        rows = torch.cat([rows, rows[:1]])

    def moments(mean, variance):
        values = torch.cat(
            [torch.ones(3, dtype=torch.float64)] + [torch.ones(1).double()] * duplicated
        )
        posterior = condition(Gaussian(mean, Diagonal(variance)), rows, values)
        return posterior.mean, posterior.variance()

    mean = torch.linspace(-1, 1, 6, dtype=torch.float64).requires_grad_()
    variance = torch.ones(6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(moments, (mean, variance))


def test_members_and_float32():
    means = torch.randn(4, B, N, generator=torch.Generator().manual_seed(0))
    rows = torch.ones(1, N)
    matched = condition(match_moments(means, torch.ones(4, B, N)), rows, 1.0)
    each = [Gaussian(m, Diagonal(torch.ones(B, N))) for m in means]
    mixed = Mixture([condition(g, rows, 1.0) for g in each])
    for field in (matched, mixed):
        assert field.mean.dtype == torch.float32
        torch.testing.assert_close(field.mean.sum(-1), torch.ones(B))
        torch.testing.assert_close(field.sample(3, 0).sum(-1), torch.ones(3, B), atol=1e-4, rtol=0)


def test_gradients_with_a_pinned_point_and_a_zero_std():
    rows = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    mean = torch.randn(3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    variance = torch.ones(3, dtype=torch.float64).requires_grad_()
    posterior = condition(Gaussian(mean, Diagonal(variance)), rows, [0.5, 2.0])
    (posterior.mean.square().sum() + posterior.std().sum()).backward()
    assert torch.isfinite(mean.grad).all() and torch.isfinite(variance.grad).all()
    assert mean.grad[0] == 0

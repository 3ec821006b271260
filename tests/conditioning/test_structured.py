"""Correlations along axes against their definition, written out."""

import pickle

import numpy as np
import pytest
from conditioning_cases import relative_miss, textbook
from hypothesis import given
from hypothesis import strategies as st

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    Kronecker,
    LowRank,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    condition,
)

RNG = np.random.default_rng(0)
UNEVEN = np.sort(RNG.uniform(size=23))
POINTS = {
    "even": np.linspace(0.0, 1.0, 16),
    "uneven": UNEVEN,
    "any order": RNG.permutation(UNEVEN),
    "far": np.array([0.0, 1e3, 1e3 + 1e-9, 1e6]),
    "one": np.array([0.3]),
}


def exponential(points, length):
    return np.exp(-np.abs(np.subtract.outer(points, points)) / length)


def ring(points, length, period):
    """Sum the correlation over many turns around the ring."""
    distance = np.subtract.outer(points, points)
    turns = period * np.arange(-1000, 1001)
    summed = np.exp(-np.abs(distance[..., None] + turns) / length).sum(-1)
    return summed / summed[0, 0]


@pytest.mark.parametrize("length", [1e-3, 0.1, 1.0, 1e4])
@pytest.mark.parametrize("name", POINTS)
def test_equals_its_definition(name, length):
    points = POINTS[name]
    correlation, dense = OrnsteinUhlenbeck(points, length), exponential(points, length)
    matrix = RNG.normal(size=(3, len(points), 4))
    np.testing.assert_allclose(correlation.to_dense(), dense, rtol=1e-14)
    np.testing.assert_array_equal(correlation.diagonal(), np.ones(len(points)))
    np.testing.assert_allclose(correlation.matmul(matrix), dense @ matrix, atol=1e-12)
    np.testing.assert_allclose(correlation.matmul(matrix[0]), dense @ matrix[0], atol=1e-12)
    solved = correlation.solve(dense @ matrix)
    condition_number = np.linalg.cond(dense)
    np.testing.assert_allclose(solved, matrix, atol=1e-14 * max(condition_number, 10.0))


@pytest.mark.parametrize("length", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("name", ["even", "uneven", "any order"])
def test_a_ring_equals_the_sum_over_its_turns(name, length):
    points = POINTS[name]
    correlation, dense = OrnsteinUhlenbeck(points, length, 1.25), ring(points, length, 1.25)
    matrix = RNG.normal(size=(2, len(points), 3))
    np.testing.assert_allclose(correlation.to_dense(), dense, rtol=1e-10)
    np.testing.assert_allclose(correlation.matmul(matrix), dense @ matrix, atol=1e-10)
    np.testing.assert_allclose(correlation.solve(dense @ matrix), matrix, atol=1e-6)


def test_the_ring_of_a_periodic_axis_has_equal_neighbours():
    points = np.arange(8) / 8
    dense = OrnsteinUhlenbeck(points, 0.3, 1.0).to_dense()
    np.testing.assert_allclose(dense[0, 7], dense[0, 1])


def test_equal_points_are_one_point():
    points = np.array([0.0, 0.5, 0.5, 1.0])
    correlation = OrnsteinUhlenbeck(points, 0.2)
    matrix = RNG.normal(size=(4, 2))
    np.testing.assert_allclose(correlation.matmul(matrix), exponential(points, 0.2) @ matrix)
    draws = Gaussian(np.zeros(4), correlation).sample(5, 0)
    np.testing.assert_array_equal(draws[:, 1], draws[:, 2])
    with pytest.raises(ValueError, match="coincide"):
        correlation.solve(matrix)


def test_errors():
    with pytest.raises(ValueError, match="length must be positive"):
        OrnsteinUhlenbeck(np.arange(3.0), 0.0)
    with pytest.raises(ValueError, match="period=1"):
        OrnsteinUhlenbeck(np.arange(3.0), 1.0, period=1.0)
    with pytest.raises(ValueError, match="at least one"):
        Kronecker()


FACTORS = {
    "OU x OU": lambda: Kronecker(OrnsteinUhlenbeck(UNEVEN[:3], 0.2), OrnsteinUhlenbeck(UNEVEN, 1)),
    "identity x OU": lambda: Kronecker(Diagonal(np.ones(2)), OrnsteinUhlenbeck(UNEVEN[:5], 0.1)),
    "OU x dense x low rank": lambda: Kronecker(
        OrnsteinUhlenbeck(UNEVEN[:3], 0.3),
        Dense(exponential(UNEVEN[:2], 0.5)),
        Sum(Diagonal(np.full(4, 0.5)), LowRank(np.full((4, 1), 0.5**0.5))),
    ),
}


@pytest.mark.parametrize("name", FACTORS)
def test_kronecker_equals_numpys(name):
    product = FACTORS[name]()
    dense = np.ones((1, 1))
    for factor in product.factors:
        dense = np.kron(dense, factor.to_dense())
    matrix = RNG.normal(size=(2, len(dense), 3))
    np.testing.assert_allclose(product.to_dense(), dense)
    np.testing.assert_allclose(product.diagonal(), np.diag(dense))
    np.testing.assert_allclose(product.matmul(matrix), dense @ matrix, atol=1e-12)
    np.testing.assert_allclose(product.solve(dense @ matrix), matrix, atol=1e-9)


@pytest.mark.parametrize("name", [*FACTORS, "line", "ring"])
def test_draws_have_the_covariance(name):
    points = UNEVEN[:6]
    covariance = {
        "line": OrnsteinUhlenbeck(points[::-1].copy(), 0.3),
        "ring": OrnsteinUhlenbeck(points, 0.3, 0.5),
    }.get(name) or FACTORS[name]()
    dense = covariance.to_dense()
    draws = Gaussian(np.zeros(len(dense)), covariance).sample(40_000, 0)
    np.testing.assert_allclose(np.cov(draws.T), dense, atol=0.035)  # five standard errors
    np.testing.assert_allclose(draws.mean(0), 0.0, atol=0.025)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("name", FACTORS)
def test_conditioning_equals_the_textbook(name, noise):
    product = FACTORS[name]()
    n_points, rng = len(product.diagonal()), np.random.default_rng(1)
    std, factor = rng.uniform(0.1, 2.0, (3, n_points)), rng.normal(size=(3, n_points, 2))
    prior = Gaussian(rng.normal(size=(3, n_points)), Sum(Scaled(std, product), LowRank(factor)))
    rows, values = rng.normal(size=(2, n_points)), rng.normal(size=(3, 2))
    posterior = condition(prior, rows, values, noise)
    for b in range(3):
        full = std[b][:, None] * product.to_dense() * std[b] + factor[b] @ factor[b].T
        mean, covariance = textbook(prior.mean[b], full, rows, values[b], noise)
        np.testing.assert_allclose(posterior.mean[b], mean, atol=1e-11)
        np.testing.assert_allclose(posterior.dense()[b], covariance, atol=1e-11)
        np.testing.assert_allclose(posterior.variance()[b], np.diag(covariance), atol=1e-11)
    if noise == 0:
        assert relative_miss(posterior.mean, rows, values).max() < 1e-12
        assert relative_miss(posterior.sample(4, 0), rows, values).max() < 1e-12


@given(seed=st.integers(0, 2**32 - 1), length=st.floats(1e-3, 1e3))
def test_products_and_solves_undo_each_other(seed, length):
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.uniform(0.1, 1.0, 30))
    correlation = OrnsteinUhlenbeck(points, length)
    matrix = rng.normal(size=(30, 2))
    again = correlation.matmul(correlation.solve(matrix))
    np.testing.assert_allclose(again, matrix, atol=1e-9)


@pytest.mark.parametrize("period", [None, 2.0])
def test_torch_gives_the_same_and_its_gradients(period):
    torch = pytest.importorskip("torch")
    matrix = RNG.normal(size=(2, 23, 3))
    expected = OrnsteinUhlenbeck(POINTS["any order"], 0.2, period)
    points, length = torch.as_tensor(POINTS["any order"]), torch.tensor(0.2, dtype=torch.float64)
    tensors = OrnsteinUhlenbeck(points, length, period)
    for method in ("matmul", "solve"):
        got = getattr(tensors, method)(torch.as_tensor(matrix))
        np.testing.assert_allclose(got, getattr(expected, method)(matrix), atol=1e-10)

    def moments(length, std):
        prior = Gaussian(torch.zeros(23).double(), Scaled(std, OrnsteinUhlenbeck(points, length)))
        posterior = condition(prior, torch.ones(1, 23), torch.ones(1))
        return posterior.mean, posterior.variance()

    std = torch.linspace(0.5, 1.0, 23, dtype=torch.float64)
    assert torch.autograd.gradcheck(moments, (length.requires_grad_(), std.requires_grad_()))


def test_time_and_memory_are_linear():
    """A million points; a dense matrix would take 8 terabytes."""
    n_points = 1_000_000
    correlation = OrnsteinUhlenbeck(np.linspace(0.0, 1.0, n_points), 0.1)
    prior = Gaussian(np.zeros(n_points), Scaled(np.ones(n_points), correlation))
    posterior = condition(prior, np.full((1, n_points), 1.0 / n_points), np.ones(1))
    np.testing.assert_allclose(posterior.mean.mean(), 1.0, rtol=1e-12)
    # The variance of an Ornstein-Uhlenbeck process's mean over [0, 1], in closed form.
    of_mean = 2 * 0.1 - 2 * 0.1**2 * (1 - np.exp(-10.0))
    middle = 0.1 * (2 - 2 * np.exp(-5.0))  # its covariance with the value at 1/2
    np.testing.assert_allclose(
        posterior.variance()[n_points // 2], 1.0 - middle**2 / of_mean, rtol=1e-5
    )


def test_pickles():
    product = FACTORS["OU x OU"]()
    again = pickle.loads(pickle.dumps(product))
    np.testing.assert_array_equal(again.to_dense(), product.to_dense())

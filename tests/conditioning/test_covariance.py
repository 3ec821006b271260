"""What every covariance structure can be asked, against its dense form."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance
from scipy import sparse

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

B, N = 3, 8
KINDS = (*STRUCTURES, "alone", "kronecker", "conditioned", "corrected")
RNG = np.random.default_rng(0)


def covariance_of(kind):
    rng = np.random.default_rng(3)
    if kind == "alone":
        return LowRank(rng.normal(size=(B, N, 2)))
    if kind == "kronecker":
        chain = OrnsteinUhlenbeck(np.arange(4.0), 2.0)
        return Scaled(rng.uniform(size=(B, N)), Kronecker(Diagonal(np.ones(2)), chain))
    if kind in ("conditioned", "corrected"):
        prior = Gaussian(np.zeros((B, N)), make_covariance("low_rank", rng, B, N))
        metric = Diagonal(np.ones(N)) if kind == "corrected" else None
        return condition(prior, rng.normal(size=(2, N)), np.zeros(2), metric=metric).covariance
    return make_covariance(kind, rng, B, N)


def dense_of(covariance):
    return np.broadcast_to(covariance.to_dense(), (B, N, N))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", ["dense", "sparse", "of each field"])
def test_variance_along_rows(kind, rows, monkeypatch):
    monkeypatch.setattr("skphys.conditioning._covariance.AT_ONCE", 2 * B * N)
    covariance = covariance_of(kind)
    G = RNG.normal(size=(B, 5, N) if rows == "of each field" else (5, N))
    expected = np.einsum("...rn,bnm,...rm->b...r", G, dense_of(covariance), G)
    if rows == "of each field":
        expected = np.einsum("bbr->br", expected)
    found = covariance.row_variance(sparse.csr_array(G) if rows == "sparse" else G)
    np.testing.assert_allclose(np.broadcast_to(found, (B, 5)), expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_and_independence(kind):
    covariance = covariance_of(kind)
    parts = covariance.parts()
    assert (parts is None) is (kind in ("dense", "kronecker", "conditioned", "corrected"))
    independent = covariance.independent_variance()
    assert (independent is not None) is (kind in ("diagonal", "shared"))
    if parts is not None:
        variance, factor = parts
        dense = np.zeros((N, N)) if variance is None else Diagonal(variance).to_dense()
        dense = dense if factor is None else dense + factor @ np.swapaxes(factor, -1, -2)
        np.testing.assert_allclose(np.broadcast_to(dense, (B, N, N)), dense_of(covariance))


@pytest.mark.parametrize("kind", KINDS)
def test_roots(kind):
    covariance = covariance_of(kind)
    roots, dense = covariance.roots(), dense_of(covariance)
    for at in np.ndindex(2, B):
        T, P = (np.asarray(sparse.csr_array(part).toarray()) for part in roots(at))
        np.testing.assert_allclose(T @ np.linalg.solve(P, T.T), dense[at[1]], atol=1e-13)
        assert T.any(axis=0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_white_and_color_are_a_root(kind):
    covariance = covariance_of(kind)
    matrix = RNG.normal(size=(N, 3))
    white = covariance.white(matrix)
    assert white.shape[-2] == covariance.rank()
    expected = np.einsum("np,bnm,mq->bpq", matrix, dense_of(covariance), matrix)
    found = np.swapaxes(white, -1, -2) @ white
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, atol=1e-12)
    again = np.broadcast_to(covariance.color(white), (B, N, 3))
    np.testing.assert_allclose(again, dense_of(covariance) @ matrix, atol=1e-12)


def test_scaled_independent_points_are_independent():
    scale, variance = RNG.uniform(size=(B, N)), RNG.uniform(size=N)
    covariance = Sum(Scaled(scale, Diagonal(variance)), Diagonal(np.ones(N)))
    np.testing.assert_allclose(covariance.independent_variance(), scale**2 * variance + 1.0)


@pytest.mark.parametrize("exponent", [0, 4, 15])
def test_draws_of_a_dense_covariance_do_not_know_units(exponent):
    """Components of very different size, one of them without variance."""
    L = RNG.normal(size=(6, 6))
    dense = L @ L.T
    dense[2] = dense[:, 2] = 0.0
    units = 10.0 ** np.array([-exponent, 0, exponent, 0, exponent, -exponent])
    one = Gaussian(np.zeros(6), Dense(dense)).sample(4, 0)
    other = Gaussian(np.zeros(6), Dense(dense * np.outer(units, units))).sample(4, 0)
    np.testing.assert_allclose(other / units, one, atol=1e-9)
    assert (one[:, 2] == 0).all()


def test_torch_gives_the_same():
    torch = pytest.importorskip("torch")
    std, factor, rows = RNG.uniform(size=(B, N)), RNG.normal(size=(N, 2)), RNG.normal(size=(4, N))

    def posed(convert):
        correlation = Sum(Diagonal(convert(std[0])), LowRank(convert(factor)))
        return Scaled(convert(std), correlation)

    one, other = posed(np.asarray), posed(torch.as_tensor)
    found = other.row_variance(torch.as_tensor(rows))
    np.testing.assert_allclose(found.numpy(), one.row_variance(rows))
    np.testing.assert_allclose(other.row_variance(sparse.csr_array(rows)), one.row_variance(rows))
    for part, expected in zip(other.parts(), one.parts(), strict=True):
        np.testing.assert_allclose(part.numpy(), expected)

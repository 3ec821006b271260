"""Laws that conditioning must obey, whatever the numbers."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance, relative_miss
from hypothesis import given
from hypothesis import strategies as st

from skphys.conditioning import Dense, Diagonal, Gaussian, condition

N = 9
seeds = st.integers(0, 2**32 - 1)
row_counts = st.integers(1, 4)


def problem(kind, seed, n_rows):
    rng = np.random.default_rng(seed)
    prior = Gaussian(rng.normal(size=(2, N)), make_covariance(kind, rng, 2, N))
    return rng, prior, rng.normal(size=(n_rows, N)), rng.normal(size=(2, n_rows))


@pytest.mark.parametrize("kind", STRUCTURES)
@given(seed=seeds, n_rows=row_counts)
def test_exact_and_idempotent(kind, seed, n_rows):
    _, prior, rows, values = problem(kind, seed, n_rows)
    once = condition(prior, rows, values)
    assert relative_miss(once.mean, rows, values).max() < 1e-12
    twice = condition(once, rows, values)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(twice.dense(), once.dense(), atol=1e-9)


@pytest.mark.parametrize("kind", STRUCTURES)
@given(seed=seeds, n_rows=st.integers(2, 4))
def test_order_of_rows_is_irrelevant(kind, seed, n_rows):
    rng, prior, rows, values = problem(kind, seed, n_rows)
    order = rng.permutation(n_rows)
    one, other = condition(prior, rows, values), condition(prior, rows[order], values[:, order])
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-8)
    np.testing.assert_allclose(one.dense(), other.dense(), atol=1e-8)


@pytest.mark.parametrize("kind", STRUCTURES)
@given(seed=seeds, n_rows=row_counts, noise=st.sampled_from([0.0, 1e-3, 1.0, 1e6]))
def test_no_variance_grows(kind, seed, n_rows, noise):
    _, prior, rows, values = problem(kind, seed, n_rows)
    posterior = condition(prior, rows, values, noise)
    assert (posterior.variance() <= prior.variance()).all()
    assert (posterior.variance() >= 0).all()


@pytest.mark.parametrize("kind", ["diagonal", "dense"])
@given(seed=seeds, scale=st.sampled_from([1e-6, 0.1, 3.0, 1e6]), shift=st.floats(-10, 10))
def test_equivariant_under_affine_scaling(kind, seed, scale, shift):
    _, prior, rows, values = problem(kind, seed, 2)
    dense = prior.dense()
    moved = Gaussian(scale * prior.mean + shift, Dense(scale**2 * dense))
    posterior = condition(prior, rows, values)
    other = condition(moved, rows, scale * values + shift * rows.sum(1))
    np.testing.assert_allclose(other.mean, scale * posterior.mean + shift, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(other.std(), scale * posterior.std(), rtol=1e-6, atol=1e-7 * scale)


@given(seed=seeds)
def test_equivariant_under_permutation_of_points(seed):
    rng, prior, rows, values = problem("diagonal", seed, 2)
    order = rng.permutation(N)
    shuffled = Gaussian(prior.mean[:, order], Diagonal(prior.variance()[:, order]))
    one = condition(prior, rows, values)
    other = condition(shuffled, rows[:, order], values)
    np.testing.assert_allclose(other.mean, one.mean[:, order], atol=1e-9)
    np.testing.assert_allclose(other.std(), one.std()[:, order], atol=1e-7)


@pytest.mark.parametrize("kind", STRUCTURES)
@given(seed=seeds, n_rows=row_counts)
def test_a_large_noise_is_inert(kind, seed, n_rows):
    _, prior, rows, values = problem(kind, seed, n_rows)
    posterior = condition(prior, rows, values, 1e9)
    np.testing.assert_allclose(posterior.mean, prior.mean, atol=1e-12)
    np.testing.assert_allclose(posterior.variance(), prior.variance(), rtol=1e-12)


@given(seed=seeds)
def test_the_kernels_for_one_row_equal_the_general_ones(seed):
    _, prior, rows, values = problem("diagonal", seed, 1)
    general = Gaussian(prior.mean, Dense(prior.dense()))
    one, other = condition(prior, rows, values), condition(general, rows, values)
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-10)
    np.testing.assert_allclose(one.variance(), other.variance(), atol=1e-10)

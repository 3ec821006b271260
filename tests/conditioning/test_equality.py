"""Conditioning against the textbook, for every covariance structure."""

import pickle

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance, relative_miss, textbook

from skphys.conditioning import (
    Conditioned,
    Dense,
    Diagonal,
    Gaussian,
    InconsistentConstraintsError,
    LowRank,
    condition,
    project,
)

B, N = 3, 12


def problem(kind, n_rows, seed=0):
    rng = np.random.default_rng(seed)
    prior = Gaussian(rng.normal(size=(B, N)), make_covariance(kind, rng, B, N))
    return prior, rng.normal(size=(n_rows, N)), rng.normal(size=(B, n_rows))


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("n_rows", [1, 2, 5])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_equals_the_textbook(kind, n_rows, noise):
    prior, rows, values = problem(kind, n_rows)
    posterior = condition(prior, rows, values, noise)
    dense_prior = np.broadcast_to(prior.dense(), (B, N, N))
    dense = np.broadcast_to(posterior.dense(), (B, N, N))
    variance = np.broadcast_to(posterior.variance(), (B, N))
    for b in range(B):
        mean, covariance = textbook(prior.mean[b], dense_prior[b], rows, values[b], noise)
        np.testing.assert_allclose(posterior.mean[b], mean, atol=1e-12)
        np.testing.assert_allclose(dense[b], covariance, atol=1e-12)
        np.testing.assert_allclose(variance[b], np.diag(covariance), atol=1e-12)


@pytest.mark.parametrize("kind", STRUCTURES)
def test_structures_agree_with_their_dense_form(kind):
    covariance = make_covariance(kind, np.random.default_rng(1), B, N)
    dense = covariance.to_dense()
    matrix = np.random.default_rng(2).normal(size=(N, 4))
    np.testing.assert_allclose(covariance.diagonal(), np.diagonal(dense, axis1=-2, axis2=-1))
    np.testing.assert_allclose(covariance.matmul(matrix), dense @ matrix, atol=1e-12)


@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_samples_have_the_conditioned_moments(kind, noise):
    prior, rows, values = problem(kind, 2)
    posterior = condition(prior, rows, values, noise)
    draws = posterior.sample(40_000, 0)
    assert draws.shape == (40_000, B, N)
    dense = np.broadcast_to(posterior.dense(), (B, N, N))
    for b in range(B):
        scale = np.sqrt(dense[b].diagonal().max())
        np.testing.assert_allclose(draws[:, b].mean(0), posterior.mean[b], atol=0.03 * scale)
        np.testing.assert_allclose(np.cov(draws[:, b].T), dense[b], atol=0.04 * scale**2)


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("n_rows", [1, 2, 50])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_exact_at_every_size(kind, n_rows, size):
    rng = np.random.default_rng(3)
    n_points = 120
    prior = Gaussian(size * rng.normal(size=(B, n_points)), make_covariance(kind, rng, B, n_points))
    rows, values = rng.normal(size=(n_rows, n_points)), size * rng.normal(size=(B, n_rows))
    posterior = condition(prior, rows, values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    draws = posterior.sample(5, 0)
    assert relative_miss(draws, rows, values).max() < 1e-12
    dense = np.broadcast_to(posterior.dense(), (B, n_points, n_points))
    left = np.abs(rows @ dense @ rows.T)
    scale = np.abs(rows) @ np.abs(np.broadcast_to(prior.dense(), dense.shape)) @ np.abs(rows).T
    assert (left / scale).max() < 1e-12


def test_a_small_total_of_a_large_field():
    """Cancellation: the correction is 1e24 times the value that must come out."""
    prior = Gaussian(np.full((1, 50), 1e12), Diagonal(np.ones(50)))
    rows, values = np.full((1, 50), 0.02), np.array([[1e-12]])
    posterior = condition(prior, rows, values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_redundant_rows_change_nothing(scale):
    prior, rows, values = problem("low_rank", 3)
    once = condition(prior, rows, values)
    again = np.vstack([rows, scale * rows[1:2], rows[0:1] + rows[1:2]])
    more = np.hstack([values, scale * values[:, 1:2], values[:, 0:1] + values[:, 1:2]])
    twice = condition(prior, again, more)
    np.testing.assert_allclose(twice.mean, once.mean, atol=1e-9)
    np.testing.assert_allclose(twice.dense(), once.dense(), atol=1e-9)
    assert relative_miss(twice.mean, again, more).max() < 1e-12


@pytest.mark.parametrize("kind", STRUCTURES)
def test_contradicting_rows_raise(kind):
    prior, rows, values = problem(kind, 2)
    rows, values = np.vstack([rows, rows[:1]]), np.hstack([values, values[:, :1] + 0.1])
    with pytest.raises(InconsistentConstraintsError) as caught:
        condition(prior, rows, values)
    assert set(caught.value.rows) == {0, 2}
    assert pickle.loads(pickle.dumps(caught.value)).rows == caught.value.rows


@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("with_mass", [True, False])
def test_pinned_ends_are_exact(kind, with_mass):
    """A point pinned to 0 leaves nothing but rounding to measure rounding by."""
    rng = np.random.default_rng(0)
    rows = np.eye(N)[[0, -1]] * [[2.0], [-3.0]]
    if with_mass:
        rows = np.vstack([np.full(N, 0.1), rows])
    for seed in range(20):
        prior = Gaussian(rng.normal(size=(B, N)), make_covariance(kind, rng, B, N))
        values = np.array([0.0, 0.6]) if not with_mass else np.array([0.3, 0.0, 0.6])
        posterior = condition(prior, rows, values)
        for fields in (posterior.mean, posterior.sample(3, seed)):
            assert (
                relative_miss(fields, rows, np.broadcast_to(values, (B, len(rows)))).max() < 1e-12
            )
            assert (fields[..., 0] == 0).all()
        assert (posterior.std()[..., [0, -1]] == 0).all()


@pytest.mark.parametrize("value", [0.0, 1e-3])
def test_ends_that_are_equal_and_already_agree(value):
    """What is left is rounding of nothing: no contradiction."""
    rng = np.random.default_rng(0)
    rows = np.zeros((3, 21))
    rows[0] = 0.05
    rows[1, [0, -1]] = 1.0, -1.0
    rows[2, 0] = 1.0
    mean = rng.uniform(0.5, 2, (30, 1)) * np.sin(np.pi * np.linspace(0, 1, 21))
    for covariance in (Diagonal(np.ones(21)), make_covariance("dense", rng, 30, 21)):
        values = np.array([0.3, 0.0, value])
        posterior = condition(Gaussian(mean, covariance), rows, values)
        np.testing.assert_allclose(posterior.mean @ rows.T, [values] * 30, rtol=0, atol=1e-15)
        assert np.abs(posterior.sample(4, 0) @ rows.T - values).max() < 1e-14


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-4])
def test_rows_that_nearly_depend_on_each_other(gap):
    rng = np.random.default_rng(0)
    base = rng.normal(size=40)
    rows = np.stack([base, base + gap * rng.normal(size=40)])
    prior = Gaussian(rng.normal(size=(2, 40)), make_covariance("low_rank", rng, 2, 40))
    posterior = condition(prior, rows, np.array([0.3, 0.1]))
    left = np.abs(rows @ posterior.dense() @ rows.T)
    assert (left / (np.abs(rows) @ np.abs(prior.dense()) @ np.abs(rows).T)).max() < 1e-12
    assert relative_miss(posterior.mean, rows, np.array([[0.3, 0.1]] * 2)).max() < 1e-12


def test_a_smooth_prior_under_more_rows_than_it_has_freedom():
    """Fifty nearby averages of a field with a handful of degrees of freedom."""
    x = np.linspace(0, 1, 100)
    smooth = np.exp(-0.5 * (x[:, None] - x) ** 2 / 0.3**2) + 1e-10 * np.eye(100)
    rows = np.kron(np.eye(50), np.full((1, 2), 0.5))
    truth = np.sin(3 * x)
    prior = Gaussian(0.9 * truth[None] + 0.05, Dense(smooth[None]))
    posterior = condition(prior, rows, rows @ truth)
    assert relative_miss(posterior.mean, rows, (rows @ truth)[None]).max() < 1e-12
    assert np.abs(posterior.mean - truth).max() < 0.05


def test_integers_are_promoted_and_shapes_checked():
    prior = Gaussian(np.array([1, 2, 3]), Diagonal(np.ones(3)))
    posterior = condition(prior, [[0.5, 1.0, 0.5]], [6.9])
    assert posterior.mean @ [0.5, 1.0, 0.5] == pytest.approx(6.9, rel=1e-14)
    with pytest.raises(ValueError, match=r"rows must have shape \(n_rows, 3\)"):
        condition(prior, [0.5, 1.0, 0.5], [6.9])
    with pytest.raises(ValueError, match=r"values must have shape \(1,\)"):
        condition(prior, [[0.5, 1.0, 0.5]], [6.9, 1.0])


def test_points_without_variance_stay():
    variance = np.ones((2, 6))
    variance[:, :2] = 0.0
    prior = Gaussian(np.zeros((2, 6)), Diagonal(variance))
    posterior = condition(prior, np.ones((1, 6)), np.array([[4.0], [8.0]]))
    np.testing.assert_allclose(posterior.mean[0], [0, 0, 1, 1, 1, 1])
    assert (posterior.std()[:, :2] == 0).all()


def test_a_field_without_variance_must_already_obey():
    fixed = Gaussian(np.ones((2, 4)), Diagonal(np.zeros((2, 4))))
    kept = condition(fixed, np.ones((1, 4)), np.array([4.0]))
    np.testing.assert_array_equal(kept.mean, fixed.mean)
    with pytest.raises(InconsistentConstraintsError, match=r"row\(s\) \[0\]"):
        condition(fixed, np.ones((1, 4)), np.array([5.0]))


def test_a_nan_is_never_taken_for_exact():
    prior = Gaussian(np.full((1, 4), np.nan), Diagonal(np.ones(4)))
    with pytest.raises(InconsistentConstraintsError):
        condition(prior, np.ones((1, 4)), np.array([5.0]))


def test_a_singular_dense_prior():
    """A smooth Gaussian process has far fewer degrees of freedom than points."""
    x = np.linspace(0, 1, 200)
    smooth = np.exp(-0.5 * (x[:, None] - x) ** 2 / 0.3**2)
    prior = Gaussian(np.sin(x)[None], Dense(smooth[None]))
    rows, values = np.full((1, 200), 0.005), np.array([[0.7]])
    posterior = condition(prior, rows, values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    assert relative_miss(posterior.sample(20, 0), rows, values).max() < 1e-12


def test_conditioning_in_two_steps_equals_one():
    prior, rows, values = problem("dense", 4)
    first = condition(prior, rows[:2], values[:, :2])
    second = condition(first, rows[2:], values[:, 2:])
    assert isinstance(second.covariance, Conditioned)
    once = condition(prior, rows, values)
    np.testing.assert_allclose(second.mean, once.mean, atol=1e-10)
    np.testing.assert_allclose(second.dense(), once.dense(), atol=1e-10)


def test_std_does_not_build_the_matrix():
    n_points = 200_000  # 320 GB as a matrix
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(1, n_points, 4))
    rows = np.full((2, n_points), 1.0 / n_points)
    rows[1, ::2] = 0.0
    for covariance in (Diagonal(np.ones((1, n_points))), LowRank(factor)):
        posterior = condition(Gaussian(np.zeros((1, n_points)), covariance), rows, np.ones(2))
        assert posterior.std().shape == (1, n_points)


@pytest.mark.parametrize("noise", [-1.0, [0.0, -1e-9], np.nan, np.inf])
def test_noise_is_a_standard_deviation(noise):
    prior = Gaussian(np.zeros(3), Diagonal(np.ones(3)))
    rows, values = np.eye(3)[:2], np.ones(2)
    with pytest.raises(ValueError, match="noise is a standard deviation"):
        condition(prior, rows, values, np.asarray(noise))
    with pytest.raises(ValueError, match="noise is a standard deviation"):
        project(prior, np.eye(3), 0.0, 1.0, rows, values, np.asarray(noise))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none(wrong):
    prior = Gaussian(np.zeros(3), Diagonal(np.ones(3)))
    bad = np.array([wrong, 1.0])
    for call in (condition, lambda *a: project(prior, np.eye(3), 0.0, 1.0, *a[1:])):
        with pytest.raises(ValueError, match="values must be finite"):
            call(prior, np.eye(3)[:2], bad)
    with pytest.raises(ValueError, match="mean of gaussian must be finite"):
        project(Gaussian(np.full(3, wrong), Diagonal(np.ones(3))), np.eye(3), 0.0, 1.0)

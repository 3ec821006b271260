"""Rank, contradiction and rounding are judged without units, and field by field."""

import numpy as np
import pytest
from conditioning_cases import make_covariance, relative_miss
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    InconsistentConstraintsError,
    Kronecker,
    LowRank,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    condition,
)

B, N = 3, 12
KINDS = ("diagonal", "low_rank", "dense", "scaled", "ou", "kronecker", "sparse", "sparse_low_rank")
exponents = st.integers(-15, 15)
seeds = st.integers(0, 2**32 - 1)


def covariance_of(kind, rng, size=1.0):
    """Return a covariance whose standard deviations are about `size`."""
    name = {"sparse": "diagonal", "sparse_low_rank": "low_rank"}.get(kind, kind)
    if name == "ou":
        correlation = OrnsteinUhlenbeck(np.cumsum(rng.uniform(0.5, 1.0, N)), 1.5)
    elif name == "kronecker":
        chains = [OrnsteinUhlenbeck(np.cumsum(rng.uniform(0.5, 1.0, n)), 1.5) for n in (3, 4)]
        correlation = Kronecker(*chains)
    else:
        return scaled(make_covariance(name, rng, B, N), size)
    return Scaled(size * rng.uniform(0.5, 2.0, (B, N)), correlation)


def scaled(covariance, size):
    """Return the covariance of the same structure of fields that are `size` times larger."""
    if isinstance(covariance, Diagonal):
        return Diagonal(size**2 * covariance.variance)
    if isinstance(covariance, LowRank):
        return LowRank(size * covariance.factor)
    if isinstance(covariance, Dense):
        return Dense(size**2 * covariance.matrix)
    if isinstance(covariance, Sum):
        return Sum(*(scaled(term, size) for term in covariance.terms))
    return Scaled(size * covariance.scale, covariance.correlation)


def rows_of(kind, rng):
    """Return rows of which the last follows from the others."""
    rows = np.zeros((5, N))
    if kind.startswith("sparse"):
        rows[np.arange(12) // 3, np.arange(12)] = rng.uniform(0.5, 1.5, 12)
        rows[4] = rows[0] + 2.0 * rows[1]
        return rows
    rows[:4] = rng.integers(0, 4, (4, N))
    rows[:4, :4] += 5.0 * np.eye(4)
    rows[4] = rows[0] + 2.0 * rows[1]
    return rows


def given_rows(kind, rows):
    return sparse.csr_array(rows) if kind.startswith("sparse") else rows


@pytest.fixture(autouse=True)
def keep_sparse(monkeypatch):
    monkeypatch.setattr("skphys.conditioning._sparse._dispatch.DENSE_SHARE", 1.0)


@pytest.mark.parametrize("metric", [None, "unit"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(seed=seeds, field=exponents, total=exponents, std=exponents, weights=exponents)
@example(seed=0, field=-12, total=-12, std=0, weights=0)
@example(seed=0, field=0, total=0, std=15, weights=-15)
@example(seed=0, field=15, total=-15, std=-15, weights=15)
def test_exact_or_a_contradiction(kind, metric, seed, field, total, std, weights):
    """Each size alone and all together: what agrees is met, what does not raises."""
    rng = np.random.default_rng(seed)
    prior = Gaussian(
        10.0**field * rng.uniform(0.5, 1.5, (B, N)), covariance_of(kind, rng, 10.0**std)
    )
    rows = rows_of(kind, rng)
    values = 10.0**total * rng.uniform(0.5, 1.5, (B, N)) @ rows.T
    weight = 10.0 ** rng.uniform(-abs(weights), abs(weights), 5)
    rows, values = weight[:, None] * rows, weight * values
    M = None if metric is None else Diagonal(np.ones(N))
    posterior = condition(prior, given_rows(kind, rows), values, metric=M)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    draws = posterior.sample(2, 0)
    assert relative_miss(draws, rows, values).max() < 1e-12
    off = values.copy()
    off[1, 4] *= 1.5
    try:
        posterior = condition(prior, given_rows(kind, rows), off, metric=M)
    except InconsistentConstraintsError as error:
        assert error.sample == (1,)
        assert set(error.rows) == {0, 1, 4}
    else:  # only where all terms are so large that the values do not matter
        assert relative_miss(posterior.mean, rows, off).max() < 1e-12
        assert field > total + 9


@pytest.mark.parametrize("kind", KINDS)
@given(seed=seeds, size=exponents)
def test_equivariant(kind, seed, size):
    rng = np.random.default_rng(seed)
    covariance = covariance_of(kind, rng)
    mean, rows = rng.normal(size=(B, N)), rows_of(kind, rng)
    values = rng.normal(size=(B, N)) @ rows.T
    size = 10.0**size
    weight = 10.0 ** rng.uniform(-15, 15, 5)
    one = condition(Gaussian(mean, covariance), given_rows(kind, rows), values)
    other = condition(
        Gaussian(size * mean, scaled(covariance, size)),
        given_rows(kind, weight[:, None] * rows),
        size * weight * values,
    )
    np.testing.assert_allclose(other.mean / size, one.mean, atol=1e-9)
    np.testing.assert_allclose(other.std() / size, one.std(), atol=1e-5)
    np.testing.assert_allclose(other.dense() / size**2, one.dense(), atol=1e-10)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("size", [1e-15, 1e-12, 1e-6, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("std", [1e-15, 1.0, 1e15])
def test_two_totals_of_the_same_field_never_pass(size, std, dense):
    rows = np.vstack([np.eye(16)[:3], np.eye(16)[:1] + np.eye(16)[1:2]])
    rows = np.vstack([rows, rows[3:]])
    values = size * np.array([4.0, 4.0, 1.0, 8.0, 9.0])
    prior = Gaussian(np.full((2, 16), size), Diagonal(np.full(16, std**2)))
    with pytest.raises(InconsistentConstraintsError):
        condition(prior, rows if dense else sparse.csr_array(rows), values)
    single = np.ones((1, 16))
    with pytest.raises(InconsistentConstraintsError):
        condition(Gaussian(prior.mean, Diagonal(np.zeros(16))), single, np.array([17 * size]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_does_not_depend_on_the_others_of_its_batch(kind):
    """One field whose rows nearly depend on each other, one clear, one that is contradicted."""
    rng = np.random.default_rng(0)
    rows = rows_of(kind, rng)
    variance = np.ones((B, N))
    variance[0, 2:] = 1e-12
    covariance = Diagonal(variance)
    mean, values = rng.normal(size=(B, N)), rng.normal(size=(B, N)) @ rows.T
    G = given_rows(kind, rows)
    together = condition(Gaussian(mean, covariance), G, values)
    for i in range(B):
        alone = condition(Gaussian(mean[i], Diagonal(variance[i])), G, values[i])
        np.testing.assert_allclose(together.mean[i], alone.mean, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(together.variance()[i], alone.variance(), atol=1e-13)
    values[1, 4] += 1.0
    with pytest.raises(InconsistentConstraintsError) as caught:
        condition(Gaussian(mean, covariance), G, values)
    assert caught.value.sample == (1,)


@pytest.mark.parametrize("metric", [None, "unit"])
@pytest.mark.parametrize("angle", [0.0, 1e-14, 1e-10, 1e-7, 1e-4])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_repeat_each_other(kind, angle, metric):
    """Mean, covariance and draws; where they differ by more than rounding both are known."""
    rng = np.random.default_rng(0)
    rows = rows_of(kind, rng)[:4]
    near = rows[1].copy()
    near[3 if kind.startswith("sparse") else 9] += angle
    rows = np.vstack([rows, near])
    size = 1e4
    prior = Gaussian(size * rng.normal(size=(B, N)), covariance_of(kind, rng, size))
    values = size * rng.normal(size=(B, N)) @ rows.T
    M = None if metric is None else Diagonal(np.ones(N))
    posterior = condition(prior, given_rows(kind, rows), values, metric=M)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    assert relative_miss(posterior.sample(3, 0), rows, values).max() < 1e-12
    dense = np.broadcast_to(posterior.dense(), (B, N, N))
    left = np.abs(rows @ dense @ rows.T)
    # The rows' own rounding turns what tells them apart by as much as this.
    known = 1e-9 + (1e-14 / angle if angle > 1e-13 else 0.0)
    assert (left / (np.abs(rows) @ np.abs(dense) @ np.abs(rows).T + size**2)).max() < known
    variance = np.broadcast_to(posterior.variance(), (B, N))
    np.testing.assert_allclose(np.diagonal(dense, axis1=1, axis2=2), variance, rtol=1e-9)


@pytest.mark.parametrize("metric", [None, "unit"])
@pytest.mark.parametrize("kind", KINDS)
def test_draws_whose_deviation_cancels_their_mean(kind, metric):
    """Terms of such a draw are far smaller than those of the mean."""
    rng = np.random.default_rng(0)
    rows = np.zeros((6, N))
    rows[np.arange(N) // 2, np.arange(N)] = rng.uniform(0.5, 1.5, N)
    prior = Gaussian(rng.normal(size=(B, N)), covariance_of(kind, rng))
    M = None if metric is None else Diagonal(np.ones(N))
    posterior = condition(prior, given_rows(kind, rows), np.zeros(6), metric=M)
    draws = posterior.sample(20000, 0)
    assert relative_miss(draws, rows, np.zeros(6)).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", [None, "unit"])
def test_no_row_at_all(kind, metric):
    rng = np.random.default_rng(0)
    prior = Gaussian(rng.normal(size=(B, N)), covariance_of(kind, rng))
    M = None if metric is None else Diagonal(np.ones(N))
    for rows in (np.zeros((0, N)), sparse.csr_array((0, N))):
        for noise in (0.0, np.zeros((B, 0))):
            posterior = condition(prior, rows, np.zeros(0), noise, metric=M)
            np.testing.assert_array_equal(posterior.mean, prior.mean)
            np.testing.assert_allclose(posterior.variance(), prior.variance(), rtol=1e-14)
            np.testing.assert_allclose(posterior.dense(), prior.dense(), rtol=1e-13)
            assert posterior.sample(2, 0).shape == (2, B, N)


@pytest.mark.parametrize("kind", ["diagonal", "sparse", "dense"])
def test_points_without_variance_stay_exactly(kind):
    """Beside points of any size, and under rows that repeat each other."""
    rng = np.random.default_rng(0)
    rows = rows_of(kind, rng)
    std = 10.0 ** rng.uniform(-8, 8, N)
    fixed = [1, 5, 8]
    std[fixed] = 0.0
    L = np.eye(N) if kind != "dense" else rng.normal(size=(N, N))
    covariance = L @ L.T * np.outer(std, std)
    prior = Gaussian(rng.normal(size=N), Dense(covariance) if kind == "dense" else Diagonal(std**2))
    truth = prior.mean + std * rng.normal(size=N)
    posterior = condition(prior, given_rows(kind, rows), rows @ truth)
    np.testing.assert_array_equal(posterior.mean[fixed], prior.mean[fixed])
    np.testing.assert_array_equal(posterior.std()[fixed], 0.0)
    np.testing.assert_array_equal(posterior.sample(3, 0)[:, fixed], [prior.mean[fixed]] * 3)


@pytest.mark.parametrize("n_rows", [1, 3])
def test_fields_without_variance_under_every_structure(n_rows):
    """They stay if they obey; if not the rows are named, without a warning on the way."""
    rows = np.eye(N)[:n_rows] + np.eye(N)[4]
    nothing = np.zeros(N)
    for covariance in (
        Sum(Diagonal(nothing), LowRank(np.zeros((B, N, 2)))),
        Dense(np.zeros((N, N))),
        Scaled(nothing, OrnsteinUhlenbeck(np.arange(12.0), 1.0)),
    ):
        prior = Gaussian(np.ones((B, N)), covariance)
        kept = condition(prior, rows, np.full(n_rows, 2.0))
        np.testing.assert_array_equal(kept.mean, prior.mean)
        np.testing.assert_array_equal(kept.sample(2, 0), [prior.mean] * 2)
        with pytest.raises(InconsistentConstraintsError) as caught:
            condition(prior, rows, np.full(n_rows, 2.1))
        assert caught.value.rows == list(range(n_rows))

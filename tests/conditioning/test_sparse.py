"""Sparse rows against the textbook, for every structure and every kind of factorization."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance, relative_miss, textbook
from scipy import sparse
from sparse_cases import SYSTEMS, laws, line, redundant, square

import skphys.conditioning._sparse._factor as factorizations
from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    InconsistentConstraintsError,
    LowRank,
    Scaled,
    Sum,
    condition,
)
from skphys.conditioning._dense_gain import DenseGain
from skphys.conditioning._sparse._gain import SparseGain
from skphys.conditioning._sparse._low_rank import LowRankSparseGain

B = 3
KINDS = ("diagonal", "shared", "low_rank", "scaled")


@pytest.fixture(params=["chosen", "general"], autouse=True)
def factorization(request, monkeypatch):
    """Run everything with the factorization that suits, and with SuperLU."""
    if request.param == "general":
        monkeypatch.setattr(factorizations, "NARROW", -1)
        monkeypatch.setattr(factorizations, "SMALL_WORK", -1.0)


def problem(kind, name, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    rows = SYSTEMS[name]()
    n_points = rows.shape[1]
    prior = Gaussian(size * rng.normal(size=(B, n_points)), make_covariance(kind, rng, B, n_points))
    return prior, rows, size * rng.normal(size=(B, n_points)) @ rows.T


def without_redundant(rows):
    """Return the rows that the textbook can stand."""
    return rows[:-2] if len(rows) == 32 else rows


@pytest.mark.parametrize("noise", [0.0, 0.3, "rows", "fields"])
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_textbook(kind, name, noise):
    prior, rows, values = problem(kind, name)
    if isinstance(noise, str):
        shape = (len(rows),) if noise == "rows" else (B, len(rows))
        noise = np.random.default_rng(1).uniform(0.1, 0.5, shape) * abs(rows).max(1)
    posterior = condition(prior, sparse.csr_array(rows), values, noise)
    assert isinstance(posterior.covariance.gain, (SparseGain, LowRankSparseGain))
    kept = slice(None) if np.any(noise) else slice(len(without_redundant(rows)))
    dense_prior, dense = (
        np.broadcast_to(g.dense(), (B, *[rows.shape[1]] * 2)) for g in (prior, posterior)
    )
    variance = np.broadcast_to(posterior.variance(), prior.mean.shape)
    for b in range(B):
        given = np.broadcast_to(noise, values.shape)[b, kept]
        # The textbook's own solution suffers from rows of very different size.
        scale = 1.0 / abs(rows[kept]).max(1)
        mean, covariance = textbook(
            prior.mean[b],
            dense_prior[b],
            scale[:, None] * rows[kept],
            scale * values[b, kept],
            scale * given,
        )
        np.testing.assert_allclose(posterior.mean[b], mean, atol=1e-11)
        np.testing.assert_allclose(dense[b], covariance, atol=1e-11)
        np.testing.assert_allclose(variance[b], np.diag(covariance), atol=1e-11)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_at_every_size(kind, name, size):
    prior, rows, values = problem(kind, name, size=size)
    posterior = condition(prior, sparse.csr_array(rows), values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    draws = posterior.sample(5, 0)
    assert draws.shape == (5, *prior.mean.shape)
    assert relative_miss(draws, rows, values).max() < 1e-12


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_conditioned_moments(kind, noise):
    rng = np.random.default_rng(0)
    rows = line(4)
    prior = Gaussian(rng.normal(size=(B, 13)), make_covariance(kind, rng, B, 13))
    posterior = condition(prior, sparse.csr_array(rows), rng.normal(size=(B, 4)), noise)
    draws = posterior.sample(40_000, 0)
    dense = np.broadcast_to(posterior.dense(), (B, 13, 13))
    for b in range(B):
        scale = np.sqrt(dense[b].diagonal().max())
        np.testing.assert_allclose(draws[:, b].mean(0), posterior.mean[b], atol=0.03 * scale)
        np.testing.assert_allclose(np.cov(draws[:, b].T), dense[b], atol=0.04 * scale**2)


def test_one_field_without_a_batch():
    rows, rng = line(), np.random.default_rng(0)
    prior = Gaussian(rng.normal(size=91), Diagonal(rng.uniform(0.5, 2.0, 91)))
    values = rng.normal(size=30)
    posterior = condition(prior, sparse.csr_array(rows), values)
    mean, covariance = textbook(prior.mean, prior.dense(), rows, values, 0.0)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-12)
    np.testing.assert_allclose(posterior.variance(), np.diag(covariance), atol=1e-12)
    np.testing.assert_allclose(posterior.dense(), covariance, atol=1e-12)
    assert posterior.sample(3, 0).shape == (3, 91)


def test_batches_of_two_axes():
    rng = np.random.default_rng(0)
    rows = line()
    mean, variance = rng.normal(size=(2, B, 91)), rng.uniform(0.5, 2.0, (B, 91))
    factor = rng.normal(size=(2, 1, 91, 2))
    for covariance in (Diagonal(variance), Sum(Diagonal(variance), LowRank(factor))):
        posterior = condition(Gaussian(mean, covariance), sparse.csr_array(rows), np.zeros(30))
        other = condition(Gaussian(mean, covariance), rows, np.zeros(30))
        np.testing.assert_allclose(posterior.mean, other.mean, atol=1e-11)
        np.testing.assert_allclose(posterior.variance(), other.variance(), atol=1e-11)
        np.testing.assert_allclose(posterior.dense(), other.dense(), atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_contradicting_rows_are_named(kind):
    prior, rows, _ = problem(kind, "line")
    values = np.zeros((B, 31))
    values[1, 30] = 0.1
    with pytest.raises(InconsistentConstraintsError) as caught:
        condition(prior, sparse.csr_array(np.vstack([rows, rows[3]])), values)
    assert caught.value.rows == [3, 30]
    assert caught.value.sample == (1,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_global_law_against_its_local_balances(kind):
    """All of them are at fault; a long list is cut short in the message, not in `rows`."""
    prior, rows, _ = problem(kind, "line")
    values = np.zeros((B, 31))
    values[:, 30] = 1.0
    with pytest.raises(InconsistentConstraintsError, match="and 21 more") as caught:
        condition(prior, sparse.csr_array(np.vstack([rows, rows.sum(0)])), values)
    assert caught.value.rows == list(range(31))


def test_points_without_variance():
    rows = line()
    variance = np.ones((B, 91))
    variance[:, [3, 33, 63, 64]] = 0.0  # all points of row 3
    mean = np.zeros((B, 91))
    free = condition(Gaussian(mean, Diagonal(variance)), sparse.csr_array(rows), np.zeros(30))
    np.testing.assert_array_equal(free.mean, 0.0)
    assert (free.std()[:, [3, 33, 63, 64]] == 0).all()
    values = np.zeros((B, 30))
    values[2, 3] = 1.0
    with pytest.raises(InconsistentConstraintsError) as caught:
        condition(Gaussian(mean, Diagonal(variance)), sparse.csr_array(rows), values)
    assert (caught.value.rows, caught.value.sample) == ([3], (2,))


def test_latents_alone_move_a_row():
    """Where independent points cannot move, the low rank must."""
    rng = np.random.default_rng(0)
    rows, variance = line(), np.ones(91)
    variance[[3, 33, 63, 64]] = 0.0
    covariance = Sum(Diagonal(variance), LowRank(rng.normal(size=(91, 2))))
    prior = Gaussian(rng.normal(size=(B, 91)), covariance)
    posterior = condition(prior, sparse.csr_array(rows), np.zeros((B, 30)))
    other = condition(prior, rows, np.zeros((B, 30)))
    assert relative_miss(posterior.mean, rows, np.zeros((B, 30))).max() < 1e-12
    np.testing.assert_allclose(posterior.mean, other.mean, atol=1e-10)
    np.testing.assert_allclose(posterior.variance(), other.variance(), atol=1e-7)


def test_pinned_points_are_exact():
    for kind in KINDS:
        prior, rows, _ = problem(kind, "local_and_pins")
        values = np.zeros((B, 33))
        values[:, 31] = rows[31, 5] * 0.7
        posterior = condition(prior, sparse.csr_array(rows), values)
        for fields in (posterior.mean, posterior.sample(3, 0)):
            assert (fields[..., [0, -1]] == 0).all()
            np.testing.assert_allclose(fields[..., 5], 0.7, rtol=1e-15)
        assert (np.broadcast_to(posterior.std(), (B, 91))[:, [0, 5, -1]] == 0).all()


def test_rows_with_duplicates_zeros_and_nothing():
    rows = sparse.coo_array(
        ([1.0, 2.0, 0.0, 1.0, -1.0], ([0, 0, 0, 1, 1], [0, 0, 1, 1, 2])), shape=(3, 3)
    )
    many = sparse.vstack([sparse.hstack([rows, sparse.coo_array((3, 60))]), np.zeros((0, 63))])
    prior = Gaussian(np.ones((B, 63)), Diagonal(np.ones(63)))
    posterior = condition(prior, many, np.array([6.0, 1.0, 0.0]))
    np.testing.assert_allclose(posterior.mean[:, :3], [[2.0, 1.5, 0.5]] * B)


def test_a_nan_is_never_taken_for_exact():
    rows = sparse.csr_array(line())
    for mean, variance in ((np.nan, 1.0), (1.0, np.nan)):
        prior = Gaussian(np.full((1, 91), mean), Diagonal(np.full(91, variance)))
        with pytest.raises(InconsistentConstraintsError):
            condition(prior, rows, np.ones(30))


@pytest.mark.parametrize("kind", STRUCTURES)
def test_conditioning_again_and_other_structures_take_dense_rows(kind):
    prior, rows, values = problem("dense" if kind == "dense" else kind, "line")
    first = condition(prior, sparse.csr_array(rows[:20]), values[:, :20])
    second = condition(first, sparse.csr_array(rows[20:]), values[:, 20:])
    once = condition(prior, rows, values)
    np.testing.assert_allclose(second.mean, once.mean, atol=1e-9)
    np.testing.assert_allclose(second.dense(), once.dense(), atol=1e-9)


def test_too_many_rows_for_a_dense_covariance(monkeypatch):
    monkeypatch.setattr("skphys.conditioning._sparse._dispatch.MAX_DENSE", 1000)
    prior = Gaussian(np.zeros(91), Dense(np.eye(91)))
    with pytest.raises(ValueError, match=r"30 sparse rows on 91 points.*Dense.*Diagonal"):
        condition(prior, sparse.csr_array(line()), np.zeros(30))


def test_few_or_full_rows_are_written_out():
    prior = Gaussian(np.zeros(40), Diagonal(np.ones(40)))
    for rows in (np.full((1, 40), 0.1), np.random.default_rng(0).normal(size=(3, 40))):
        posterior = condition(prior, sparse.csr_array(rows), np.ones(len(rows)))
        assert isinstance(posterior.covariance.gain.rows, np.ndarray)
        other = condition(prior, rows, np.ones(len(rows)))
        np.testing.assert_array_equal(posterior.mean, other.mean)


def test_a_scaled_sum_stays_sparse_and_a_rank_above_the_rows_does_not():
    rng = np.random.default_rng(0)
    rows = sparse.csr_array(laws(4, 30))
    for rank, sparse_gain in ((2, True), (9, False)):
        correlation = Sum(Diagonal(np.full(120, 0.5)), LowRank(rng.normal(size=(120, rank))))
        covariance = Scaled(rng.uniform(0.5, 1.0, (B, 120)), correlation)
        posterior = condition(Gaussian(np.zeros((B, 120)), covariance), rows, np.ones(4))
        assert isinstance(posterior.covariance.gain, LowRankSparseGain) is sparse_gain


def test_torch_and_float32_get_dense_rows():
    torch = pytest.importorskip("torch")
    rows = sparse.csr_array(line())
    means = [torch.zeros(91, dtype=torch.float64), np.zeros(91, dtype=np.float32)]
    for mean in means:
        posterior = condition(Gaussian(mean, Diagonal(mean + 1.0)), rows, np.ones(30))
        assert type(posterior.mean) is type(mean)
        assert isinstance(posterior.covariance.gain, DenseGain)
        np.testing.assert_allclose(rows @ np.asarray(posterior.mean), 1.0, atol=1e-5)


@pytest.mark.parametrize("rows", [square(5), redundant(20)])
@pytest.mark.parametrize("kind", KINDS)
def test_estimated_std_is_as_good_as_it_says(kind, rows, factorization, monkeypatch):
    monkeypatch.setattr(factorizations, "NARROW", -1)
    monkeypatch.setattr(factorizations, "SMALL_WORK", -1.0)
    rng = np.random.default_rng(3)
    n_points = rows.shape[1]
    prior = Gaussian(rng.normal(size=(B, n_points)), make_covariance(kind, rng, B, n_points))
    values = np.zeros((B, len(rows)))
    exact = condition(prior, sparse.csr_array(rows), values)
    assert exact.std_error() == 0.0
    monkeypatch.setattr(factorizations, "INVERSE_WORK", -1.0)
    estimate = condition(prior, sparse.csr_array(rows), values)
    error = estimate.std_error()
    assert error.shape == estimate.std().shape
    scores = (estimate.std() - exact.std()) / np.where(error > 0, error, np.inf)
    assert 0.7 < np.sqrt(np.mean(scores**2)) < 1.3
    assert (error <= 0.05 * np.sqrt(prior.variance())).all()
    np.testing.assert_array_equal(estimate.mean, exact.mean)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_nearly_depend_on_each_other(kind):
    """What tells them apart is below what the factor keeps; conjugate gradients find it."""
    apart = 1e-7 if kind in ("diagonal", "shared") else 1e-5  # a low rank costs digits
    rows = line()
    nearly = rows[3:6].copy()
    nearly[:, [70, 75, 80]] += apart * np.eye(3)
    rows = np.vstack([rows, nearly])
    rng = np.random.default_rng(0)
    prior = Gaussian(rng.normal(size=(B, 91)), make_covariance(kind, rng, B, 91))
    values = rng.normal(size=(B, 91)) @ rows.T
    posterior = condition(prior, sparse.csr_array(rows), values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12
    assert relative_miss(posterior.sample(3, 0), rows, values).max() < 1e-12
    pinned = posterior.mean[:, [70, 75, 80]]
    wanted = (values[:, 30:] - values[:, 3:6]) / apart
    np.testing.assert_allclose(pinned, wanted, atol=1e-4)


def test_zeros_that_are_prescribed_are_met_at_once(monkeypatch):
    monkeypatch.setattr(SparseGain, "mend", lambda *_: pytest.fail("took more than refinement"))
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(2, 3, 2000))
    walls = sparse.eye_array(1000, 2000, format="csr")
    inner = sparse.diags_array([1.0, 1.0, -1.0], offsets=[0, 1000, 1001], shape=(500, 2000))
    for rows in (walls, sparse.vstack([walls, inner], format="csr")):
        found = condition(Gaussian(mean, Diagonal(std**2)), rows, np.zeros(rows.shape[0])).mean
        assert (found[:, :1000] == 0).all()

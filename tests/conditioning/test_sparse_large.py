"""Sparse rows at sizes where nothing dense would do."""

import tracemalloc

import numpy as np
import pytest
from conditioning_cases import textbook
from scipy import sparse

import skphys.conditioning._sparse._factor as factorizations
from skphys.conditioning import Diagonal, Gaussian, LowRank, Sum, condition


def differences(n):
    return sparse.diags_array([-np.ones(n), np.ones(n)], offsets=[0, 1], shape=(n, n + 1))


def line(n):
    own = sparse.eye_array(n)
    return sparse.hstack([own, -own, differences(n)], format="csr")


def square(n):
    own, one = sparse.eye_array(n * n), sparse.eye_array(n)
    faces = [sparse.kron(differences(n), one), sparse.kron(one, differences(n))]
    return sparse.hstack([own, -own, *faces], format="csr")


def prior_of(rows, seed=0, rank=0):
    rng = np.random.default_rng(seed)
    n_points = rows.shape[1]
    covariance = Diagonal(rng.uniform(0.5, 2.0, n_points))
    if rank:
        covariance = Sum(covariance, LowRank(rng.normal(size=(n_points, rank))))
    return Gaussian(rng.normal(size=n_points), covariance), rng.normal(size=rows.shape[0])


def relative_miss(fields, rows, values):
    scale = abs(rows) @ np.abs(fields) + np.abs(values)
    return (np.abs(rows @ fields - values) / scale).max()


@pytest.mark.parametrize("rank", [0, 3])
def test_memory_is_linear_and_std_exact_on_a_line(rank):
    peaks = []
    for n in (5_000, 50_000):  # dense rows: 60 GB
        rows = line(n)
        prior, values = prior_of(rows, rank=rank)
        tracemalloc.start()
        posterior = condition(prior, rows, values)
        std = posterior.std()
        peaks.append(tracemalloc.get_traced_memory()[1] / n)
        tracemalloc.stop()
        assert posterior.std_error() == 0.0
        assert (std <= prior.std()).all()
        assert relative_miss(posterior.mean, rows, values) < 1e-12
    assert peaks[1] < 1.2 * peaks[0]


def test_std_in_the_middle_of_a_long_line_is_that_of_a_short_one():
    """The influence of a volume dies out along the line: a closed form is not needed."""
    n, cut = 20_000, slice(9_900, 10_100)
    short = line(200)
    std = condition(*_uniform(line(n))).std()[:n]
    covariance = textbook(np.zeros(601), np.eye(601), short.toarray(), np.zeros(200), 0.0)[1]
    np.testing.assert_allclose(std[cut][90:110], np.sqrt(covariance.diagonal())[90:110], atol=1e-12)


def _uniform(rows):
    n_rows, n_points = rows.shape
    return Gaussian(np.zeros(n_points), Diagonal(np.ones(n_points))), rows, np.zeros(n_rows)


@pytest.mark.parametrize("rank", [0, 2])
def test_squares_are_exact_in_mean_std_and_draws(rank):
    rows = square(20)
    prior, values = prior_of(rows, rank=rank)
    posterior = condition(prior, rows, values)
    mean, covariance = textbook(prior.mean, prior.dense(), rows.toarray(), values, 0.0)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-10)
    np.testing.assert_allclose(posterior.variance(), covariance.diagonal(), atol=1e-10)
    assert relative_miss(posterior.sample(1, 0)[0], rows, values) < 1e-12


def test_local_balances_with_the_global_law_they_add_up_to(monkeypatch):
    """Redundant rows, one of them full, by the general factorization."""
    monkeypatch.setattr(factorizations, "SMALL_WORK", -1.0)
    local = square(80)
    total = sparse.csr_array(local.sum(axis=0)[None])
    prior, values = prior_of(local)
    once = condition(prior, local, values)
    rows = sparse.vstack([local, 1e-3 * total], format="csr")
    values = np.append(values, 1e-3 * values.sum())
    both = condition(prior, rows, values)
    assert relative_miss(both.mean, rows, values) < 1e-12
    np.testing.assert_allclose(both.mean, once.mean, atol=1e-10)
    assert relative_miss(both.sample(1, 0)[0], rows, values) < 1e-12


@pytest.mark.parametrize("general", [False, True])
def test_an_ill_conditioned_chain(general, monkeypatch):
    """Only fluxes may move: the condition number is the square of the number of volumes."""
    if general:
        monkeypatch.setattr(factorizations, "NARROW", -1)
        monkeypatch.setattr(factorizations, "SMALL_WORK", -1.0)
    rows = sparse.csr_array(differences(100_000))
    prior, values = prior_of(rows)
    posterior = condition(prior, rows, values)
    assert relative_miss(posterior.mean, rows, values) < 1e-12


@pytest.mark.parametrize("rank", [0, 3])
def test_walls_and_laws_on_a_grid_in_space_and_time(rank):
    """Rows that name one point each are not factored: the laws see the other points alone."""
    shape = (5, 41, 33)
    number = np.arange(np.prod(shape)).reshape(shape)
    fixed = np.ones(shape, dtype=bool)
    fixed[1:, 1:-1, 1:-1] = False
    pins = sparse.eye_array(number.size, format="csr")[number[fixed]]
    law = np.full((1, 41 * 33), 1.0 / (41 * 33))
    laws = sparse.csr_array(sparse.kron(sparse.eye_array(5), law, format="csr"))
    prior, _ = prior_of(laws, rank=rank)
    rows = sparse.vstack([pins, laws], format="csr")
    values = rows @ np.random.default_rng(1).normal(size=number.size)
    posterior = condition(prior, rows, values)
    std = posterior.std()
    assert (std[number[fixed]] == 0).all()
    assert posterior.std_error() == 0.0
    assert relative_miss(posterior.mean, rows, values) < 1e-12
    if rank == 0:
        free = number[1, 1:-1, 1:-1].ravel()
        variance = prior.variance()[free]
        expected = variance - variance**2 / variance.sum()
        np.testing.assert_allclose(std[free] ** 2, expected, rtol=1e-10)

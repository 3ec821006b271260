"""Many small fields with several equalities: against each set of active bounds, one by one."""

from itertools import product

import numpy as np
import pytest

from skphys.conditioning import Dense, Gaussian, InfeasibleInequalitiesError, LowRank, project
from skphys.conditioning._inequality import _project

MASSES = np.array([2.016, 31.998, 18.015, 17.007, 1.008, 28.014])  # H2, O2, H2O, OH, H, N2
ATOMS = np.array([[2, 0, 2, 1, 1, 0], [0, 2, 1, 1, 0, 0], [0, 0, 0, 0, 0, 2]])
SHARES = ATOMS * np.array([[1.008], [15.999], [14.007]]) / MASSES
ROWS = np.vstack([SHARES, np.ones(6)])  # of which one follows from the others, nearly


def fractions(n, seed, scale=1.0):
    """Return mass fractions, predictions of them, and the covariance of what these are off."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(6, 0.7), n)
    spread = np.diag(10.0 ** rng.uniform(-scale, 0.0, 6))
    covariance = spread @ np.cov(rng.normal(size=(6, 20))) @ spread * 0.05
    return truth, truth + rng.multivariate_normal(np.zeros(6), covariance, n), covariance


def nearest(mean, covariance, rows, values):
    """Return the nearest field that obeys, by trying each set of points at zero."""
    best, least = None, np.inf
    whole = np.linalg.inv(covariance)
    for zero in product([False, True], repeat=len(mean)):
        free = ~np.array(zero)
        if not free.any():  # which the sum forbids, and old releases of NumPy mind
            continue
        basis = np.linalg.svd(rows[:, free])[2][np.linalg.matrix_rank(rows[:, free]) :]
        u = np.zeros(len(mean))
        u[free] = np.linalg.lstsq(rows[:, free], values, rcond=1e-12)[0]
        if len(basis):
            within = basis @ whole[np.ix_(free, free)] @ basis.T
            u[free] += basis.T @ np.linalg.solve(within, basis @ (whole @ (mean - u))[free])
        off = np.abs(rows @ u - values).max()
        distance = (u - mean) @ whole @ (u - mean)
        if off < 1e-10 and u.min() > -1e-12 and distance < least:
            best, least = u, distance
    return best


def alone(monkeypatch, *args):
    """Project field by field."""
    with monkeypatch.context() as patch:
        patch.setattr(_project, "project_together", lambda problem, _: (problem.mean, False))
        return project(*args)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_nearest_of_all_active_sets(seed):
    truth, mean, covariance = fractions(40, seed)
    values = truth @ ROWS.T
    u = project(Gaussian(mean, Dense(covariance)), np.eye(6), 0.0, np.inf, ROWS, values)
    assert (u >= 0).all() and (u == 0).any(axis=1).mean() > 0.3
    np.testing.assert_allclose(u @ ROWS.T, values, rtol=1e-12)
    expected = [nearest(m, covariance, ROWS, v) for m, v in zip(mean, values, strict=True)]
    np.testing.assert_allclose(u, expected, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, np.array([0.0, 0.0, 1e-3, 0.0])])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_it_agrees_with_one_field_after_the_other(monkeypatch, scale, noise):
    truth, mean, covariance = fractions(60, 7, scale)
    own = np.linspace(0.5, 2.0, 20)[:, None, None] * covariance
    args = np.eye(6), 0.0, 0.9, ROWS, (truth @ ROWS.T).reshape(3, 20, 4), noise
    prior = Gaussian(mean.reshape(3, 20, 6), Dense(own))  # draws, each field with its covariance
    np.testing.assert_allclose(
        project(prior, *args), alone(monkeypatch, prior, *args), rtol=1e-12, atol=1e-13
    )


def test_no_field_is_left(monkeypatch):
    """Also where more rows are violated at first than can be met together."""
    truth, mean, covariance = fractions(1000, 0)
    mean = mean - 0.3
    monkeypatch.delattr(_project._Fields, "_one_by_one")
    values = truth @ ROWS.T
    u = project(Gaussian(mean, Dense(covariance)), np.eye(6), 0.0, np.inf, ROWS, values)
    np.testing.assert_allclose(u @ ROWS.T, values, rtol=1e-12)
    assert (u >= 0).all() and ((mean < 0).sum(axis=1) > 3).mean() > 0.2


def test_species_of_elements_that_are_not_there():
    """Three points at zero, where equalities leave them, and bounds, no choice."""
    truth, mean, covariance = fractions(20, 3)
    truth[:, [0, 2, 3, 4]] = 0.0
    values = truth @ ROWS.T
    u = project(Gaussian(mean, Dense(covariance)), np.eye(6), 0.0, np.inf, ROWS, values)
    np.testing.assert_allclose(u, truth, atol=1e-12)


def test_errors_that_go_together_and_points_that_do_not_move(monkeypatch):
    truth, rng = fractions(50, 5)[0], np.random.default_rng(0)
    factor = rng.normal(size=(6, 4)) * 0.2
    factor[5] = 0.0
    mean = truth + rng.normal(size=(50, 4)) @ factor.T
    prior = Gaussian(mean, LowRank(factor))
    args = np.eye(6), 0.0, np.inf, np.ones((1, 6)), truth.sum(axis=1, keepdims=True)
    u = project(prior, *args)
    np.testing.assert_array_equal(u[:, 5], truth[:, 5])
    np.testing.assert_allclose(u, alone(monkeypatch, prior, *args), atol=1e-12)


def test_a_contradiction_is_named():
    truth, mean, covariance = fractions(6, 1)
    values = truth @ ROWS.T
    values[4, 3] = -1.0
    with pytest.raises(InfeasibleInequalitiesError) as caught:
        project(Gaussian(mean, Dense(covariance)), np.eye(6), 0.0, np.inf, ROWS[3:], values[:, 3:])
    assert caught.value.sample == (4,) and caught.value.rows == [0]

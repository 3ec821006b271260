"""Nonlinear equalities: the mean against scipy, the covariance against a dense formula, draws."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    LowRank,
    Mixture,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    UnmetLawError,
    condition,
    condition_members,
    condition_nonlinear,
    project_nonlinear,
)


class Quadratic:
    """``u' Q_r u / 2 + c_r' u``, of each row r."""

    def __init__(self, Q, c):
        self.Q, self.c = Q, c

    def evaluate(self, fields):
        bent = 0.5 * np.einsum("sp,rpq,sq->sr", fields, self.Q, fields)
        return bent + fields @ self.c.T

    def jacobian(self, fields):
        return np.einsum("rpq,sq->srp", self.Q, fields) + self.c

    def curvature(self, fields, multipliers, directions):
        return np.einsum("sr,rpq,sq->sp", multipliers, self.Q, directions)


def sphere(n):
    return Quadratic(np.eye(n)[None], np.zeros((1, n)))


def covariance_of(kind, n, rng):
    """A covariance of one kind, for fields that share it."""
    std = rng.uniform(0.3, 2.0, n)
    if kind == "diagonal":
        return Diagonal(std**2)
    if kind == "low rank":
        return Sum(Diagonal(0.1 * std**2), LowRank(rng.normal(size=(n, 3))))
    if kind == "chain":
        return Scaled(std, OrnsteinUhlenbeck(np.linspace(0, 1, n), 0.3))
    root = rng.normal(size=(n, n))
    return Dense(root @ root.T + 0.1 * np.eye(n))


KINDS = ("diagonal", "low rank", "chain", "dense")


def by_slsqp(mean, S, law, values, *more, bounds=None):
    """scipy's nearest field, from the mean."""
    P = np.linalg.inv(S)
    value = {
        "type": "eq",
        "fun": lambda u: law.evaluate(u[None])[0] - values,
        "jac": lambda u: law.jacobian(u[None])[0],
    }
    return minimize(
        lambda u: 0.5 * (u - mean) @ P @ (u - mean),
        mean,
        jac=lambda u: P @ (u - mean),
        constraints=[value, *more],
        bounds=bounds,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_sphere_is_reached_along_the_radius(size):
    rng = np.random.default_rng(0)
    mean = size * rng.normal(size=(7, 12))
    posterior = condition_nonlinear(Gaussian(mean, Diagonal(np.full(12, 3.0))), sphere(12), 2.0)
    expected = 2.0 * mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(posterior.mean, expected, rtol=1e-11)
    direction = expected[0] / 2.0
    left = 3.0 * (np.eye(12) - np.outer(direction, direction))
    np.testing.assert_allclose(posterior.dense()[0], left, atol=1e-9)


@given(
    seed=st.integers(0, 2**31 - 1),
    n=st.integers(3, 12),
    kind=st.sampled_from(KINDS),
    n_rows=st.integers(1, 2),
    part=st.floats(0.3, 3.0),
)
@settings(max_examples=60, deadline=None)
def test_the_mean_is_the_nearest_field(seed, n, kind, n_rows, part):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(n_rows, n, n)) / np.sqrt(n)
    law = Quadratic(roots @ roots.mT + 0.1 * np.eye(n), rng.normal(size=(n_rows, n)))
    mean, S = rng.normal(size=n), covariance_of(kind, n, rng)
    near = mean + 0.5 * rng.normal(size=n) @ np.linalg.cholesky(S.to_dense()).T
    values = law.evaluate((mean + part * (near - mean))[None])[0]  # can be met
    posterior = condition_nonlinear(Gaussian(mean, S), law, values)
    field, J = posterior.mean, law.jacobian(posterior.mean[None])[0]
    terms = np.abs(J) @ np.abs(field) + np.abs(values)
    assert (np.abs(law.evaluate(field[None])[0] - values) <= 1e-12 * terms).all()
    # A stationary point: the way from the mean is S J' times something.
    way = np.linalg.solve(np.linalg.cholesky(S.to_dense()), field - mean)
    rows = (J @ np.linalg.cholesky(S.to_dense())).T
    left = way - rows @ np.linalg.lstsq(rows, way, rcond=None)[0]
    assert np.linalg.norm(left) <= 1e-6 * max(np.linalg.norm(way), 1e-6)
    # No farther than scipy's from the same start, or another local solution: scipy may find that.
    rival = by_slsqp(mean, S.to_dense(), law, values)
    if rival.success and np.abs(field - rival.x).max() < 1e-2:
        np.testing.assert_allclose(field, rival.x, atol=2e-5 * max(1.0, np.abs(field).max()))


def test_scipy_finds_the_same():
    """One seed, where none may be skipped."""
    rng = np.random.default_rng(1)
    same = 0
    for _ in range(40):
        law = Quadratic(np.eye(6)[None] * rng.uniform(0.5, 2.0, 6), np.zeros((1, 6)))
        mean, S = rng.normal(size=6), covariance_of("dense", 6, rng)
        values = law.evaluate(mean[None])[0] * rng.uniform(0.5, 2.0)
        field = condition_nonlinear(Gaussian(mean, S), law, values).mean
        rival = by_slsqp(mean, S.to_dense(), law, values)
        same += bool(np.abs(field - rival.x).max() < 1e-5)
        assert rival.fun >= 0.0
    assert same >= 38


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_covariance_is_that_of_the_tangent_space(kind, noise):
    rng = np.random.default_rng(2)
    S, law = covariance_of(kind, 9, rng), sphere(9)
    prior = Gaussian(rng.normal(size=(4, 9)), S)
    posterior = condition_nonlinear(prior, law, np.full((4, 1), 3.0), noise)
    full, J = S.to_dense(), law.jacobian(posterior.mean)
    for k in range(4):
        A = J[k] @ full @ J[k].T + noise**2
        left = full - full @ J[k].T @ np.linalg.solve(A, J[k] @ full)
        np.testing.assert_allclose(posterior.dense()[k], left, atol=1e-9)
        np.testing.assert_allclose(posterior.variance()[k], np.diag(left), atol=1e-9)
        vector = rng.normal(size=(9, 2))
        product = posterior.covariance.matmul(vector)
        np.testing.assert_allclose(product[k], left @ vector, atol=1e-9)


def test_noise_is_weighed_as_the_linear_law_weighs_it():
    rng = np.random.default_rng(3)
    c = rng.normal(size=(2, 8))
    prior = Gaussian(rng.normal(size=(3, 8)), covariance_of("dense", 8, rng))
    straight = Quadratic(np.zeros((2, 8, 8)), c)
    values, noise = rng.normal(size=(3, 2)), np.array([0.0, 0.7])
    ours = condition_nonlinear(prior, straight, values, noise)
    theirs = condition(prior, c, values, noise)
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=1e-11)
    np.testing.assert_allclose(ours.dense(), np.stack([theirs.dense()] * 3), atol=1e-10)
    draws = ours.sample(4000, 0)
    error = draws.mean(axis=0) - theirs.mean
    assert np.abs(error / np.sqrt(theirs.variance() / 4000)).max() < 5.0
    np.testing.assert_allclose(draws @ c[0], np.broadcast_to(values[:, 0], draws.shape[:2]))


@pytest.mark.parametrize("kind", KINDS)
def test_each_draw_obeys_both_laws(kind):
    rng = np.random.default_rng(4)
    S, law = covariance_of(kind, 15, rng), sphere(15)
    row = rng.uniform(0.5, 1.0, (1, 15))
    mean = rng.normal(size=(3, 15))
    linear = condition(Gaussian(mean, S), row, np.array([1.0]))
    posterior = condition_nonlinear(linear, law, 9.0)
    draws = posterior.sample(50, 0)
    fields = np.concatenate([draws, posterior.mean[None]]).reshape(-1, 15)
    np.testing.assert_allclose(law.evaluate(fields), 9.0, rtol=1e-10)
    terms = np.abs(fields) @ row[0] + 1.0
    assert (np.abs(fields @ row[0] - 1.0) <= 1e-12 * terms).all()
    assert np.abs(row @ posterior.dense()[0]).max() < 1e-9


def test_a_point_without_variance_stays():
    mean = np.array([[1.0, 2.0, 3.0]])
    posterior = condition_nonlinear(
        Gaussian(mean, Diagonal(np.array([0.0, 1.0, 1.0]))), sphere(3), 5.0
    )
    assert posterior.mean[0, 0] == 1.0
    np.testing.assert_allclose(posterior.mean[0, 1:], np.sqrt(9.0 / 13.0) * mean[0, 1:])


def test_values_that_are_not_known_do_not_act():
    mean = np.array([[1.0, 2.0], [3.0, 4.0]])
    posterior = condition_nonlinear(
        Gaussian(mean, Diagonal(np.ones(2))), sphere(2), np.array([[np.nan], [50.0]])
    )
    np.testing.assert_array_equal(posterior.mean[0], mean[0])
    np.testing.assert_allclose(posterior.mean[1], [6.0, 8.0])
    np.testing.assert_allclose(posterior.variance()[0], 1.0)


def test_a_law_that_cannot_be_met_is_named_with_how_near_one_came():
    prior = Gaussian(np.array([[1.0, 1.0], [1.0, 0.5]]), Diagonal(np.ones(2)))
    with pytest.raises(UnmetLawError, match=r"row\(s\) \[0\].*field \(1,\)") as caught:
        condition_nonlinear(prior, sphere(2), np.array([[3.0], [-1.0]]))
    assert caught.value.gap == pytest.approx(1.0, abs=1e-3)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.rows, again.sample, again.gap) == ([0], (1,), caught.value.gap)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_members_together_are_members_alone(noise):
    rng = np.random.default_rng(5)
    members = [Gaussian(rng.normal(size=(3, 7)), covariance_of(kind, 7, rng)) for kind in KINDS]
    values = rng.uniform(1.0, 4.0, (3, 1))
    together = condition_members(members, sphere(7), values, noise)
    for member, one in zip(members, together, strict=True):
        alone = condition_nonlinear(member, sphere(7), values, noise)
        np.testing.assert_allclose(one.mean, alone.mean, atol=1e-8)
        np.testing.assert_allclose(one.variance(), alone.variance(), atol=1e-7)
    drawn = Mixture(together).sample(20, 0)
    if noise == 0.0:
        found = sphere(7).evaluate(drawn.reshape(-1, 7)).reshape(20, 3, 1)
        np.testing.assert_allclose(found, np.broadcast_to(values, found.shape), rtol=1e-10)


@given(seed=st.integers(0, 2**31 - 1), kind=st.sampled_from(KINDS))
@settings(max_examples=30, deadline=None)
def test_bounds_a_sum_and_an_energy_together(seed, kind):
    rng = np.random.default_rng(seed)
    n = 8
    truth = np.maximum(rng.normal(0.5, 1.0, n), 0.0) + 1e-3
    mean, S, law = truth + 0.4 * rng.normal(size=n), covariance_of(kind, n, rng), sphere(n)
    row, total, energy = np.ones((1, n)), [truth.sum()], law.evaluate(truth[None])[0]
    linear = condition(Gaussian(mean, S), row, np.array(total))
    start = condition_nonlinear(linear, law, energy).mean
    H = sparse.eye_array(n, format="csr")
    field = project_nonlinear(
        Gaussian(mean, S), law, energy, 0.0, H, 0.0, np.inf, row, total, 0.0, start=start
    )
    assert field.min() >= -1e-9
    assert abs(field.sum() - total[0]) <= 1e-12 * 2.0 * np.abs(field).sum()
    np.testing.assert_allclose(law.evaluate(field[None])[0], energy, rtol=1e-10)
    # The multipliers of what is active push the right way: no descent is left.
    P = np.linalg.inv(S.to_dense())
    active = field <= 1e-9
    rows = np.concatenate([row, law.jacobian(field[None])[0], np.eye(n)[active]])
    x, *_ = np.linalg.lstsq(rows.T, P @ (field - mean), rcond=None)
    left = P @ (field - mean) - rows.T @ x
    assert np.abs(left).max() <= 1e-5 * np.abs(P @ (field - mean)).max() + 1e-7
    if np.linalg.matrix_rank(rows) == len(rows):
        assert (x[2:] >= -1e-6 * np.abs(x).max()).all()


def test_bounds_that_no_field_on_the_law_obeys():
    prior = Gaussian(np.array([2.0, 2.0]), Diagonal(np.ones(2)))
    start = condition_nonlinear(prior, sphere(2), 8.0).mean
    with pytest.raises(UnmetLawError) as caught:
        project_nonlinear(
            prior,
            sphere(2),
            8.0,
            0.0,
            sparse.eye_array(2, format="csr"),
            3.0,
            np.inf,
            np.zeros((0, 2)),
            np.zeros(0),
            0.0,
            start=start,
        )
    assert caught.value.gap == pytest.approx(1.0, abs=1e-2)

"""Projections against closed forms, clarabel, SciPy and the conditions of optimality."""

import pickle

import joblib
import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance, relative_miss
from hypothesis import given
from hypothesis import strategies as st
from inequality_cases import KINDS, make_inequalities, stationarity, violation
from scipy import sparse
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    InconsistentConstraintsError,
    InfeasibleInequalitiesError,
    LowRank,
    condition,
    project,
)
from skphys.conditioning._inequality._exchange import exchange
from skphys.conditioning._inequality._interior import by_clarabel, interior
from skphys.conditioning._inequality._linear import bordered
from skphys.conditioning._inequality._problem import Problem, pose

B, N = 3, 12
NONE = np.zeros((0, N))


def problem(structure, kind, n_rows, noise=0.0, seed=0):
    """Return a prior, inequalities, and equalities that one rising field obeys with them."""
    rng = np.random.default_rng(seed)
    truth = np.cumsum(np.abs(rng.normal(size=(B, N))), axis=1) * 0.3
    truth = truth[:, ::-1] if kind == "falling" else truth
    H, lower, upper = make_inequalities(kind, rng, truth)
    prior = Gaussian(truth + rng.normal(size=(B, N)) - 0.3, make_covariance(structure, rng, B, N))
    G = rng.normal(size=(n_rows, N)) if kind == "general" else rng.uniform(0.1, 1.0, (n_rows, N))
    return prior, H, lower, upper, G, truth @ G.T, np.full(n_rows, noise)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("n_rows", [0, 1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_is_feasible_and_optimal(structure, kind, n_rows, noise):
    prior, H, lower, upper, G, values, noise = problem(structure, kind, n_rows, noise)
    u = project(prior, H, lower, upper, G, values, noise)
    assert violation(prior.mean, H, lower, upper).min() > 0
    assert violation(u, H, lower, upper).max() < 1e-9
    if not noise.any():
        assert relative_miss(u, G, values).max(initial=0.0) < 1e-12
    covariance = np.broadcast_to(prior.dense(), (B, N, N))
    for b in range(B):
        left = stationarity(
            u[b], prior.mean[b], covariance[b], G, values[b], noise, H, lower, upper
        )
        assert left < 1e-7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structure", ["diagonal", "low_rank", "scaled"])
def test_equals_clarabel(structure, kind):
    clarabel = pytest.importorskip("clarabel")
    prior, H, lower, upper, G, values, _ = problem(structure, kind, 2, seed=1)
    u = project(prior, H, lower, upper, G, values)
    low, high = np.isfinite(lower), np.isfinite(upper)
    rows = np.vstack([G, -H[low], H[high]])
    cones = [clarabel.ZeroConeT(2), clarabel.NonnegativeConeT(int(low.sum() + high.sum()))]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    for b in range(B):
        metric = np.linalg.inv(np.broadcast_to(prior.dense(), (B, N, N))[b])
        right = np.concatenate([values[b], -lower[low], upper[high]])
        solution = clarabel.DefaultSolver(
            sparse.csc_matrix(metric),
            -metric @ prior.mean[b],
            sparse.csc_matrix(rows),
            right,
            cones,
            settings,
        ).solve()
        np.testing.assert_allclose(u[b], solution.x, atol=1e-5)


def test_equals_slsqp():
    prior, H, lower, upper, G, values, _ = problem("low_rank", "varying_rising", 1, seed=2)
    u = project(prior, H, lower, upper, G, values)
    low = np.isfinite(lower)
    for b in range(B):
        metric = np.linalg.inv(prior.dense()[b])
        reference = minimize(
            lambda v, m=metric, b=b: (v - prior.mean[b]) @ m @ (v - prior.mean[b]),
            prior.mean[b],
            jac=lambda v, m=metric, b=b: 2 * m @ (v - prior.mean[b]),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
            constraints=[
                {"type": "eq", "fun": lambda v, b=b: G @ v - values[b]},
                {"type": "ineq", "fun": lambda v: (H @ v - lower)[low]},
            ],
        )
        np.testing.assert_allclose(u[b], reference.x, atol=1e-5)


def test_the_simplex_in_closed_form():
    """Duchi et al., 2008: sort, and find the threshold."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(50, 30))
    u = project(Gaussian(mean, Diagonal(np.ones(30))), np.eye(30), 0.0, np.inf, *mass(30, 1.0))
    ordered = -np.sort(-mean, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1.0) / np.arange(1, 31)
    last = np.sum(ordered > excess, axis=1) - 1
    threshold = excess[np.arange(50), last]
    np.testing.assert_allclose(u, np.maximum(mean - threshold[:, None], 0.0), atol=1e-13)
    assert (u >= 0).all()


def mass(n_points, total):
    return np.ones((1, n_points)), np.array([total])


@pytest.mark.parametrize("increasing", [True, False])
def test_without_equalities_it_is_isotonic_regression(increasing):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=(20, 40)), rng.uniform(0.1, 5.0, (20, 40))
    H = np.diff(np.eye(40), axis=0) * (1 if increasing else -1)
    u = project(Gaussian(mean, Diagonal(variance)), sparse.csr_array(H), 0.0, np.inf)
    for field, m, v in zip(u, mean, variance, strict=True):
        isotonic = IsotonicRegression(increasing=increasing)
        reference = isotonic.fit_transform(np.arange(40), m, sample_weight=1 / v)
        np.testing.assert_allclose(field, reference, atol=1e-12)


def test_a_constant_shift_of_monotone_fields():
    """Where all points move alike, the projection is the isotonic regression, shifted."""
    rng = np.random.default_rng(1)
    mean = np.linspace(0, 1, 30) + 0.2 * rng.normal(size=(5, 30))
    H = np.diff(np.eye(30), axis=0)
    u = project(Gaussian(mean, Diagonal(np.ones(30))), H, 0.0, np.inf, *mass(30, 3.0))
    for field, m in zip(u, mean, strict=True):
        isotonic = IsotonicRegression().fit_transform(np.arange(30), m)
        np.testing.assert_allclose(field, isotonic + (3.0 - isotonic.sum()) / 30, atol=1e-13)


def test_no_mass_at_all():
    prior = Gaussian(np.array([[1.0, -2.0, 0.5]]), Diagonal(np.array([1.0, 2.0, 0.1])))
    u = project(prior, np.eye(3), 0.0, np.inf, *mass(3, 0.0))
    np.testing.assert_array_equal(u, np.zeros((1, 3)))


def test_what_obeys_is_returned_as_it_is():
    rng = np.random.default_rng(0)
    prior = Gaussian(rng.uniform(1.0, 2.0, (4, N)), Diagonal(rng.uniform(0.1, 1.0, (4, N))))
    u = project(prior, np.eye(N), 0.0, np.inf, *mass(N, 15.0))
    np.testing.assert_array_equal(u, condition(prior, *mass(N, 15.0)).mean)


@pytest.mark.parametrize("structure", ["diagonal", "dense"])
@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e6, 1e12])
def test_scales_with_the_fields(structure, size):
    prior, H, lower, upper, G, values, _ = problem(structure, "positive_rising", 1)
    one = project(prior, H, lower, upper, G, values)
    scaled = Gaussian(size * prior.mean, prior.covariance)
    many = project(scaled, H, lower, upper, G, size * values)
    np.testing.assert_allclose(many, size * one, rtol=1e-7, atol=1e-9 * size)
    assert relative_miss(many, G, size * values).max() < 1e-12
    assert violation(many, H, lower, upper).max() < 1e-9 * size


@given(
    seed=st.integers(0, 2**32 - 1),
    n_points=st.integers(1, 30),
    spread=st.floats(0.0, 6.0),
    kind=st.sampled_from(["positive", "rising", "positive_rising", "box"]),
    n_rows=st.integers(0, 3),
)
def test_projecting_twice_changes_nothing(seed, n_points, spread, kind, n_rows):
    """Also with variances over many orders of magnitude, and rows that repeat each other."""
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.exponential(size=(2, n_points)), axis=1)
    H, lower, upper = make_inequalities(kind, rng, truth)
    variance = 10.0 ** rng.uniform(-spread, spread, (2, n_points))
    mean = truth + rng.normal(size=truth.shape) * np.sqrt(variance)
    G = rng.uniform(0.0, 1.0, (n_rows, n_points)) * (rng.random((n_rows, n_points)) < 0.7)
    G = np.vstack([G, G[:1]])
    once = project(Gaussian(mean, Diagonal(variance)), H, lower, upper, G, truth @ G.T)
    assert relative_miss(once, G, truth @ G.T).max(initial=0.0) < 1e-12
    scale = 1.0 + np.abs(once).max()
    assert violation(once, H, lower, upper).max() < 1e-9 * scale
    twice = project(Gaussian(once, Diagonal(variance)), H, lower, upper, G, truth @ G.T)
    np.testing.assert_allclose(twice, once, atol=1e-9 * scale)


def test_draws_share_the_covariance_of_their_field():
    prior, H, lower, upper, G, values, _ = problem("diagonal", "rising", 1)
    draws = prior.sample(4, 0)
    for covariance in (prior.covariance, LowRank(np.sqrt(prior.dense()))):
        u = project(Gaussian(draws, covariance), H, lower, upper, G, values)
        for d in range(4):
            alone = project(Gaussian(draws[d], covariance), H, lower, upper, G, values)
            np.testing.assert_allclose(u[d], alone, atol=1e-11)


def test_noise_may_differ_between_fields():
    prior, H, lower, upper, G, values, _ = problem("diagonal", "positive_rising", 2)
    noise = np.array([[0.1, 0.3], [0.5, 0.0], [0.0, 0.0]])
    together = project(prior, H, lower, upper, G, values, noise)
    for b in range(B):
        one = Gaussian(prior.mean[b : b + 1], Diagonal(prior.covariance.variance[b : b + 1]))
        alone = project(one, H, lower, upper, G, values[b : b + 1], noise[b])
        np.testing.assert_allclose(together[b], alone[0], atol=1e-12)


def test_points_without_variance_stay():
    rng = np.random.default_rng(0)
    variance = rng.uniform(0.5, 1.5, (2, 20))
    mean = np.linspace(0.0, 1.0, 20) + 0.3 * rng.normal(size=(2, 20))
    variance[:, [0, 7, 19]] = 0.0
    mean[:, [0, 7, 19]] = 0.0, 0.4, 1.0
    H = np.vstack([np.diff(np.eye(20), axis=0), np.eye(20)])
    G = np.full((1, 20), 0.05)
    u = project(Gaussian(mean, Diagonal(variance)), H, 0.0, np.inf, G, np.array([0.5]))
    np.testing.assert_array_equal(u[:, [0, 7, 19]], mean[:, [0, 7, 19]])
    assert violation(u, H, 0.0, np.inf).max() < 1e-12
    for b in range(2):
        dense = np.diag(variance[b])
        left = stationarity(
            u[b], mean[b], dense, G, np.array([0.5]), np.zeros(1), H, 0 * H[:, 0], np.inf
        )
        assert left < 1e-8


def test_pinned_ends_mass_and_order_together():
    rng = np.random.default_rng(0)
    mean = np.linspace(0.0, 1.0, 20) + 0.3 * rng.normal(size=(4, 20))
    G = np.vstack([np.full(20, 0.05), 2.0 * np.eye(20)[0], np.eye(20)[-1]])
    values = np.array([0.45, 0.0, 1.0])
    H = np.diff(np.eye(20), axis=0)
    u = project(Gaussian(mean, Diagonal(np.ones(20))), H, 0.0, np.inf, G, values)
    assert (u[:, 0] == 0).all() and (u[:, -1] == 1).all()
    assert relative_miss(u, G, np.broadcast_to(values, (4, 3))).max() < 1e-12
    assert violation(u, H, 0.0, np.inf).max() < 1e-12


def test_one_mass_for_each_line_of_a_grid():
    """Rows that share no points are searched one after the other."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 6 * 9))
    G = sparse.csr_array(sparse.kron(sparse.eye_array(6), np.full((1, 9), 0.1)))
    H = sparse.kron(sparse.eye_array(6), np.diff(np.eye(9), axis=0)).tocsr()
    values = rng.normal(size=(3, 6))
    u = project(Gaussian(mean, Diagonal(np.ones(54))), H, 0.0, np.inf, G.toarray(), values)
    one = project(
        Gaussian(mean.reshape(18, 9), Diagonal(np.ones(9))),
        np.diff(np.eye(9), axis=0),
        0.0,
        np.inf,
        np.full((1, 9), 0.1),
        values.reshape(18, 1),
    )
    np.testing.assert_allclose(u.reshape(18, 9), one, atol=1e-12)


@pytest.mark.parametrize("n_rows", [7, 2000])
def test_many_rows_that_share_points(n_rows):
    """Rows like those of local balances: dense and sparse Newton matrices."""
    rng = np.random.default_rng(0)
    n_points = 4 * n_rows + 6
    G = sparse.diags_array(
        [1.0, 0.5, 0.25, 0.5, 1.0, 0.2],
        offsets=np.arange(6),
        shape=(n_points - 5, n_points),
    ).tocsr()[::4]
    truth = rng.exponential(size=(1, n_points)) * (rng.random((1, n_points)) < 0.7)
    mean, variance = truth + rng.normal(size=truth.shape), rng.uniform(0.1, 1.0, n_points)
    u = project(
        Gaussian(mean, Diagonal(variance)), sparse.eye_array(n_points), 0.0, np.inf,
        G, (G @ truth.T).T,
    )  # fmt: skip
    assert (u >= 0).all()
    np.testing.assert_allclose(u @ G.T, (G @ truth.T).T, rtol=1e-12, atol=1e-13)
    # with the multipliers of the points inside, all others have the right sign
    if n_rows < 100:
        inside = np.flatnonzero(u[0] > 1e-10)
        move = (u - mean)[0] / variance
        multipliers = np.linalg.lstsq(G.toarray()[:, inside].T, move[inside], rcond=None)[0]
        np.testing.assert_allclose((G.T @ multipliers)[inside], move[inside], atol=1e-8)
        assert (move - G.T @ multipliers).min() > -1e-8


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("solver", [interior, by_clarabel])
@pytest.mark.parametrize("kind", KINDS)
def test_the_solvers_that_the_active_set_falls_back_on(solver, kind, seed):
    if solver is by_clarabel:
        pytest.importorskip("clarabel")
    prior, H, lower, upper, G, values, noise = problem("dense", kind, 2, seed=seed)
    u = project(prior, H, lower, upper, G, values)
    root = prior.covariance.roots()((0,))
    posed = pose(
        Problem(prior.mean[0], root, G, values[0], noise, sparse.csr_array(H), lower, upper)
    )
    found = solver(posed, -posed.away)
    np.testing.assert_allclose(posed.field(found.v), u[0], atol=1e-5)
    polished = exchange(posed, found.z > found.s, found)
    np.testing.assert_allclose(polished.field, u[0], atol=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_contradictions_name_what_is_in_conflict(structure):
    rng = np.random.default_rng(0)
    prior = Gaussian(rng.normal(size=(B, N)), make_covariance(structure, rng, B, N))
    H = np.vstack([np.eye(N), np.diff(np.eye(N), axis=0)])
    upper = np.where(np.arange(2 * N - 1) < N, 1.0, np.inf)
    G = np.vstack([rng.normal(size=N), np.ones(N)])
    values = np.sort(rng.uniform(-1.0, 1.0, (B, N)), axis=1) @ G.T
    values[1, 1] = 13.0
    with pytest.raises(InfeasibleInequalitiesError) as caught:
        project(prior, H, np.where(upper == 1.0, -np.inf, 0.0), upper, G, values)
    error = caught.value
    assert error.rows == [1] and error.sample == (1,)
    assert set(error.inequalities) <= set(range(2 * N - 1)) and error.inequalities
    again = pickle.loads(pickle.dumps(error))
    assert (again.rows, again.inequalities) == (error.rows, error.inequalities)
    assert "row(s)" in str(again)


def test_a_fixed_point_out_of_bounds():
    prior = Gaussian(np.array([[-1.0, 2.0]]), Diagonal(np.array([[0.0, 1.0]])))
    with pytest.raises(InfeasibleInequalitiesError) as caught:
        project(prior, np.eye(2), 0.0, np.inf)
    assert caught.value.inequalities == [0] and caught.value.rows == []


def test_contradicting_equalities_are_told_apart():
    prior = Gaussian(np.zeros((1, 3)), Diagonal(np.ones(3)))
    with pytest.raises(InconsistentConstraintsError):
        project(prior, np.eye(3), 0.0, 1.0, np.ones((2, 3)), np.array([1.0, 2.0]))


def test_fields_are_solved_in_parallel():
    prior, H, lower, upper, G, values, _ = problem("dense", "positive_rising", 1)
    one = project(prior, H, lower, upper, G, values)
    with joblib.parallel_config(n_jobs=2):
        two = project(prior, H, lower, upper, G, values)
    np.testing.assert_array_equal(one, two)


def test_a_field_of_nothing():
    """What is left of rounding in a field of zeros is no violation."""
    rng = np.random.default_rng(0)
    H = np.vstack([np.eye(3), np.diff(np.eye(3), axis=0)])
    for _ in range(20):
        factor = rng.normal(size=(3, 3))
        prior = Gaussian(-np.abs(rng.normal(size=(1, 3))), Dense(factor @ factor.T))
        assert violation(project(prior, H, 0.0, np.inf), H, 0.0, np.inf).max() < 1e-15


def test_a_matrix_of_the_wrong_width():
    with pytest.raises(ValueError, match="one column for each of 3 points"):
        project(Gaussian(np.zeros(3), Diagonal(np.ones(3))), np.eye(4), 0.0, 1.0)


def test_large_fields_need_no_matrix():
    n_points = 200_000
    rng = np.random.default_rng(0)
    prior = Gaussian(rng.normal(size=(1, n_points)), Diagonal(rng.uniform(0.1, 1.0, n_points)))
    row = np.full((1, n_points), 1.0 / n_points)
    for H in (
        sparse.eye_array(n_points),
        sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(n_points - 1, n_points)),
    ):
        u = project(prior, H, 0.0, np.inf, row, np.array([0.3]))
        assert (H @ u[0]).min() > -1e-9
        assert abs(u.mean() - 0.3) < 1e-12


def test_a_singular_step_is_no_warning():
    """It is not finite, which ends the search for an interior point."""
    solve = bordered(np.ones((2, 2)), np.zeros((0, 2)))
    with np.errstate(invalid="ignore"):
        x, _ = solve(np.array([1.0, 0.0]), np.zeros(0))
    assert not np.isfinite(x).all()

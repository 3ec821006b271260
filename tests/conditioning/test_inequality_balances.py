"""Balances with positivity where parts are dry, tolerances of each row, chains of errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    InfeasibleInequalitiesError,
    Kronecker,
    OrnsteinUhlenbeck,
    Scaled,
    project,
)
from skphys.constraints import AdvectiveFlux, ControlVolumeBalance
from skphys.grids import Axis, Grid


def dry(n_times, n_cells, seed=0, decades=0.0):
    """Return means, standard deviations, a balance's rows, and the true field, dry in parts."""
    grid = Grid(t=np.linspace(0, 1, n_times), x=Axis.cells(np.linspace(0, 1, n_cells + 1)))
    rows = sparse.csr_array(ControlVolumeBalance(flux_operator=AdvectiveFlux(1.0)).rows(grid))
    t, x = grid.points.T
    truth = np.maximum(0.0, np.sin(7 * (x - t)))
    rng = np.random.default_rng(seed)
    std = 0.1 * 10.0 ** rng.uniform(-decades / 2, decades / 2, truth.size)
    return truth + std * rng.standard_normal(truth.size), std, rows, truth


def positive(mean, std, rows, values, **options):
    prior = Gaussian(mean, Diagonal(std**2))
    return project(prior, sparse.eye_array(len(mean)), 0.0, np.inf, rows, values, **options)


def check(u, mean, rows, values):
    terms = abs(rows) @ np.maximum(abs(u), abs(mean)) + abs(values)
    assert (abs(rows @ u - values) <= 1e-12 * terms).all()
    assert (u >= -1e-9 * np.maximum(abs(u), abs(mean))).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(10, 30), (20, 20), (12, 40), (40, 15)])
def test_a_balance_with_dry_parts(shape, seed):
    mean, std, rows, truth = dry(*shape, seed)
    u = positive(mean, std, rows, rows @ truth)
    check(u, mean, rows, rows @ truth)
    distance = np.sum(((u - mean) / std) ** 2)
    assert distance <= np.sum(((truth - mean) / std) ** 2) * (1 + 1e-9)


@pytest.mark.parametrize("case", [(27, 53, 16, 2.0), (21, 42, 11, 6.0), (20, 20, 0, 4.0)])
def test_standard_deviations_over_many_orders_of_magnitude(case):
    """Dry cells that growing errors bind to almost nothing, so that multipliers are huge."""
    mean, std, rows, truth = dry(*case)
    check(positive(mean, std, rows, rows @ truth), mean, rows, rows @ truth)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_nearest(seed):
    """Dual feasible multipliers prove it: the distance is theirs."""
    mean, std, rows, truth = dry(20, 20, seed)
    u = positive(mean, std, rows, rows @ truth)
    inside = u > 1e-9
    move = (u - mean) / std**2
    y = np.linalg.lstsq(rows.toarray()[:, inside].T, move[inside], rcond=None)[0]
    np.testing.assert_allclose((rows.T @ y)[inside], move[inside], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_clarabel(seed):
    clarabel = pytest.importorskip("clarabel")
    mean, std, rows, truth = dry(24, 18, seed)
    u = positive(mean, std, rows, rows @ truth)
    options = clarabel.DefaultSettings()
    options.verbose = False
    n = len(mean)
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(sparse.eye_array(n)),
        np.zeros(n),
        sparse.csc_matrix(sparse.vstack([rows * std, -sparse.eye_array(n)])),
        np.concatenate([rows @ (truth - mean), mean / std]),
        [clarabel.ZeroConeT(rows.shape[0]), clarabel.NonnegativeConeT(n)],
        options,
    ).solve()
    np.testing.assert_allclose((u - mean) / std, solution.x, atol=1e-4)


def test_the_number_of_threads_does_not_matter():
    mean, std, rows, truth = dry(10, 30)
    with threadpool_limits(1):
        one = positive(mean, std, rows, rows @ truth)
    np.testing.assert_allclose(positive(mean, std, rows, rows @ truth), one, atol=1e-9)


@given(
    field=st.integers(-15, 15),
    spread=st.integers(-15, 15),
    seed=st.integers(0, 5),
)
@settings(max_examples=30)
def test_units_do_not_matter(field, spread, seed):
    """Neither of fields and values, nor of standard deviations."""
    mean, std, rows, truth = dry(6, 9, seed, decades=1.0)
    one = positive(mean, std, rows, rows @ truth)
    size = 10.0**field
    many = positive(size * mean, 10.0**spread * std, rows, size * (rows @ truth))
    check(many / size, mean, rows, rows @ truth)
    np.testing.assert_allclose(many / size, one, atol=1e-7)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_order_of_points_and_rows_does_not_matter(seed):
    mean, std, rows, truth = dry(6, 9, seed % 7)
    rng = np.random.default_rng(seed)
    points, order = rng.permutation(len(mean)), rng.permutation(rows.shape[0])
    values = rows @ truth
    one = positive(mean, std, rows, values)
    mixed = sparse.csr_array(rows[order][:, points])
    np.testing.assert_allclose(
        positive(mean[points], std[points], mixed, values[order]), one[points], atol=1e-8
    )


def test_fields_do_not_depend_on_their_neighbours():
    fields = [dry(10, 12, seed) for seed in range(5)]
    means, std = np.array([f[0] for f in fields]), fields[0][1]
    rows, truth = fields[0][2:]
    together = project(
        Gaussian(means, Diagonal(std**2)), sparse.eye_array(120), 0.0, np.inf, rows, rows @ truth
    )
    for mean, u in zip(means, together, strict=True):
        np.testing.assert_allclose(positive(mean, std, rows, rows @ truth), u, atol=1e-9)


@pytest.mark.parametrize("gap", [1e-7, 1e-6, 1e-3])
def test_a_small_contradiction_is_named(gap):
    """Increasing from at least 1 to at most 1 - gap."""
    H = np.vstack([np.diff(np.eye(12), axis=0), np.eye(12)[[0, -1]]])
    lower = np.r_[np.zeros(11), 1.0, -np.inf]
    upper = np.r_[np.full(12, np.inf), 1.0 - gap]
    for seed in range(6):
        mean = np.random.default_rng(seed).standard_normal(12)
        with pytest.raises(InfeasibleInequalitiesError) as caught:
            project(Gaussian(mean, Diagonal(np.ones(12))), H, lower, upper)
        assert {11, 12} <= set(caught.value.inequalities)


@pytest.mark.parametrize("gap", [-1e-8, 0.0, 1e-12, 1e-6])
def test_what_is_nearly_a_contradiction_is_met(gap):
    """-1e-8, shared by 13 rows, is within the tolerance of each."""
    H = np.vstack([np.diff(np.eye(12), axis=0), np.eye(12)[[0, -1]]])
    lower = np.r_[np.zeros(11), 1.0, -np.inf]
    upper = np.r_[np.full(12, np.inf), 1.0 + gap]
    for seed in range(6):
        mean = np.random.default_rng(seed).standard_normal(12)
        u = project(Gaussian(mean, Diagonal(np.ones(12))), H, lower, upper)
        np.testing.assert_allclose(u, 1.0, atol=1e-9 + abs(gap))
        terms = abs(H) @ np.maximum(abs(u), abs(mean)) + 1.0
        assert (np.maximum(lower - H @ u, H @ u - upper) <= 1e-9 * terms).all()


@pytest.mark.parametrize("pressure", [1.0, 1e5, 1e15])
def test_each_row_has_its_own_tolerance(pressure):
    H, std = np.eye(6)[3:], np.array([1.0, 1.0, 1.0, 0.0, 1e-4, 1e-4])
    prior = Gaussian(np.array([*[pressure] * 3, -5e-6, 2e-4, 5e-4]), Diagonal(std**2))
    with pytest.raises(InfeasibleInequalitiesError) as caught:
        project(prior, H, 0.0, np.inf)
    assert caught.value.inequalities == [0]


@pytest.mark.parametrize("small", [1e-15, 1e-5, 1.0])
def test_components_in_different_units_are_right_in_each(small):
    rng = np.random.default_rng(0)
    mean, rows = rng.normal(size=20), np.kron(np.eye(2), rng.uniform(0.5, 1.0, (2, 10)))
    values = rows @ np.abs(mean)
    units = np.repeat([small, 1e5], 10)
    one = positive(mean, np.ones(20), rows, values)
    scaled = rows / units
    u = positive(units * mean, units, scaled, values)
    np.testing.assert_allclose(u / units, one, rtol=1e-9, atol=1e-11)


def test_no_row_is_active_in_the_end():
    rng = np.random.default_rng(3)
    for _ in range(40):
        std = 10.0 ** rng.uniform(-7, 0, 4)
        truth = rng.uniform(0.2, 0.8, 4)
        H = np.vstack([np.eye(4), rng.normal(size=(3, 4))])
        lower, upper = H @ truth - 0.05, H @ truth + rng.choice([0.05, np.inf], 7)
        u = project(Gaussian(truth + std * rng.normal(size=4), Diagonal(std**2)), H, lower, upper)
        assert (H @ u >= lower - 1e-9).all() and (H @ u <= upper + 1e-9).all()


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("structure", ["line", "ring", "grid"])
def test_correlated_errors_stay_sparse(structure, bounded):
    """Against the same covariance written out, also with points that coincide."""
    rng = np.random.default_rng(1)
    x = np.sort(np.r_[rng.uniform(0, 1, 22), 0.5, 0.5])
    line = OrnsteinUhlenbeck(x, 0.3, period=1.5 if structure == "ring" else None)
    if structure == "grid":
        line = Kronecker(
            OrnsteinUhlenbeck(np.arange(4.0), 2.0), OrnsteinUhlenbeck(np.arange(6.0), 3.0)
        )
    mean, scale = rng.normal(size=(2, 24)), rng.uniform(0.5, 2.0, (2, 24))
    mean[:, x == 0.5] = mean[:, x == 0.5].mean(axis=1, keepdims=True)
    scale[:, x == 0.5] = 1.0
    H = np.eye(24) if bounded else np.diff(np.eye(24), axis=0)
    G, values = np.vstack([np.ones(24), x]), np.array([20.0, 12.0])
    one, two = (
        project(Gaussian(mean, Scaled(scale, c)), H, 0.0, np.inf, G, values)
        for c in (line, Dense(line.to_dense()))
    )
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.abs(one @ G.T - values).max() < 1e-11
    assert (one @ H.T).min() >= -1e-9


def test_large_fields_with_correlated_errors():
    n = 4000
    x = np.linspace(0.0, 1.0, n)
    prior = Gaussian(np.zeros(n), Scaled(np.full(n, 0.1), OrnsteinUhlenbeck(x, 0.1)))
    mean = np.maximum(0.0, np.sin(7 * x)) + prior.sample(1, 0)[0]
    row = np.full((1, n), 1.0 / n)
    u = project(
        Gaussian(mean, prior.covariance), sparse.eye_array(n), 0.0, np.inf, row, np.array([0.4])
    )
    assert (u >= 0).all() and abs(u.mean() - 0.4) < 1e-12


@pytest.mark.parametrize("bad", [{"solver": "best"}, {"lower": np.nan}])
def test_bad_input_is_refused(bad):
    prior, options = Gaussian(np.zeros(3), Diagonal(np.ones(3))), {"lower": 0.0, **bad}
    with pytest.raises(ValueError, match="solver" if "solver" in bad else "NaN"):
        project(prior, np.eye(3), upper=1.0, **options)

"""`Smoothness`: the paper's smoothing step, against its two steps written out."""

import numpy as np
import pytest
from backbones import Stored, WithCov, WithMembers, WithStd
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor
from skphys.conditioning import Diagonal, Gaussian
from skphys.constraints import (
    Column,
    ConservationLaw,
    FieldTable,
    LinearEquality,
    Smoothness,
    resolve_system,
)
from skphys.estimators import ErrorModel
from skphys.grids import Axis, ColumnGrid, Components, Grid, Mesh

N, B, K = 13, 3, 4
TRIANGLE = Mesh.from_simplices([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[0, 1, 2]])
EVEN = Grid(x=np.linspace(0.0, 1.0, N))
UNEVEN = Grid(x=np.linspace(0.0, 1.0, N) ** 1.7)
LONG = Grid(x=np.linspace(0.0, 1.0, 8 * N))  # so many rows stay sparse
RING = Grid(x=Axis(np.linspace(0.0, 1.0, N, endpoint=False) ** 1.2, period=1.0))
RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(K, B, N))
STDS = RNG.uniform(0.1, 1.0, (K, B, N))
X = np.column_stack([np.arange(B), [0.4, 0.5, 0.6]])
LAW = ConservationLaw(over="x", total=Column(1))


def system_of(constraint, grid, std):
    system = resolve_system(constraint, grid, FieldTable(np.zeros((len(std), 1))))
    return system.under(Gaussian(np.zeros(std.shape), Diagonal(std**2)))


def correlation(grid, correlation=0.9):
    """Return `correlation` to the power of the distance, in units of the mean spacing."""
    points, period = grid["x"], grid.axes["x"].period
    distance = np.abs(points[:, None] - points)
    spacing = np.diff(points).mean()
    if period is not None:
        distance, spacing = np.minimum(distance, period - distance), period / len(points)
    return correlation ** (distance / spacing)


def fit(model):
    return model.fit(X, np.ones((B, model.grid.n_points)) * X[:, 1:])


def two_steps(mean, covariance, system, row, value):
    """Condition on the second differences, then on the law, by the textbook."""
    rows = system.rows.toarray() if issparse(system.rows) else system.rows
    smooth = (rows, 0.0, np.diag(system.noise[0] ** 2))
    for G, b, R in (smooth, (row, value, np.zeros((1, 1)))):
        gain = covariance @ G.T @ np.linalg.inv(G @ covariance @ G.T + R)
        mean, covariance = mean + gain @ (b - G @ mean), covariance - gain @ G @ covariance
    return mean, covariance


def test_the_papers_noise():
    a, s = 0.9, STDS[0]
    left, middle, right = s[:, :-2], s[:, 1:-1], s[:, 2:]
    variance = left**2 + 4 * middle**2 + right**2 + 2 * a**2 * left * right
    variance -= 4 * a * middle * (left + right)
    system = system_of(Smoothness("x"), EVEN, s)
    np.testing.assert_allclose(system.noise**2, variance, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(system.rows @ np.eye(N)), np.diff(np.eye(N), 2, axis=0))


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.97])
@pytest.mark.parametrize("grid", [EVEN, UNEVEN, RING])
def test_the_noise_is_that_of_correlated_errors(grid, strength):
    system = system_of(Smoothness("x", strength), grid, STDS[0])
    C = correlation(grid, strength)
    for i, row in enumerate(system.rows):
        expected = np.einsum("p,bp,pq,bq,q->b", row, STDS[0], C, STDS[0], row)
        np.testing.assert_allclose(system.noise[:, i] ** 2, expected, rtol=1e-10)


def test_a_straight_line_has_no_second_differences_on_uneven_points():
    line, parabola = 1.0 + 3.0 * UNEVEN["x"], UNEVEN["x"] ** 2
    rows = Smoothness().rows(UNEVEN)
    gaps = np.diff(UNEVEN["x"])
    np.testing.assert_allclose(rows @ line, 0.0, atol=1e-14)
    np.testing.assert_allclose(rows @ parabola, 2.0 * gaps[:-1] * gaps[1:], rtol=1e-10)


@pytest.mark.parametrize("grid", [EVEN, UNEVEN, LONG])
@pytest.mark.parametrize("members", ["each", "moments", "marginal"])
def test_one_solve_is_the_papers_two_steps(grid, members):
    means = np.repeat(MEANS, grid.n_points // N, axis=-1) + grid["x"]
    stds = np.repeat(STDS, grid.n_points // N, axis=-1)
    model = fit(
        ConservationConstrainedRegressor(
            FrozenEstimator(Stored(means, stds)),
            [LAW, Smoothness()],
            grid,
            error_model=ErrorModel(members=members),
        )
    )
    mean, cov = model.predict(X, return_cov=True)
    std = model.predict_std(X)
    within, between = np.mean(stds**2, axis=0), means - means.mean(0)
    row = grid.integral_rows().toarray()
    for i in range(B):
        spread = between[:, i].T @ between[:, i] / K
        if members == "each":
            priors = [(means[k, i], np.diag(stds[k, i] ** 2)) for k in range(K)]
        elif members == "moments":
            priors = [(means[:, i].mean(0), np.diag(within[i]) + spread)]
        else:
            priors = [(means[:, i].mean(0), np.diag(within[i] + np.diag(spread)))]
        done = []
        for mu, S in priors:
            system = system_of(Smoothness(), grid, np.sqrt(np.diag(S))[None])
            done.append(two_steps(mu, S, system, row, X[i, 1:]))
        centre = np.mean([m for m, _ in done], axis=0)
        total = np.mean([S + np.outer(m - centre, m - centre) for m, S in done], axis=0)
        np.testing.assert_allclose(mean[i], centre, atol=1e-11)
        np.testing.assert_allclose(cov[i], total, atol=1e-11)
        np.testing.assert_allclose(std[i] ** 2, np.diag(total), atol=1e-11)
    np.testing.assert_allclose(mean @ row[0], X[:, 1], atol=1e-14)
    draws = model.sample_y(X, 5)
    np.testing.assert_allclose(np.einsum("p,bpd->bd", row[0], draws).T, X[:, 1] + np.zeros((5, 1)))


@pytest.mark.parametrize("axis", ["t", "x"])
def test_along_one_axis_of_several(axis):
    grid = Grid(t=np.linspace(0, 1, 4), x=np.linspace(0, 1, 6))
    field = RNG.normal(size=(4, 6))
    rows = Smoothness(axis).rows(grid)
    expected = np.diff(field, 2, axis=("t", "x").index(axis))
    np.testing.assert_allclose(rows @ field.ravel(), expected.ravel(), atol=1e-14)


def test_of_one_component():
    grid = Components(u=EVEN, v=UNEVEN)
    rows = Smoothness(component="v").rows(grid).toarray()
    np.testing.assert_array_equal(rows[:, :N], 0.0)
    np.testing.assert_array_equal(rows[:, N:], Smoothness().rows(UNEVEN).toarray())


@pytest.mark.parametrize("nodes", [None, EVEN["x"]])
def test_a_long_table_agrees_with_fields(nodes):
    class AtPoints(Stored):
        def predict_members(self, X):
            at = X[:, 0].astype(int), np.searchsorted(EVEN["x"], X[:, 2] - 1e-9)
            return self.means[:, at[0], at[1]], self.stds[:, at[0], at[1]]

    table = np.column_stack([np.repeat(X, N, axis=0), np.tile(EVEN["x"], B)])
    grid = ColumnGrid(space=2, by=[0, 1], domain=(0, 1), nodes=nodes)
    listed = [ConservationLaw(total=Column(1)), Smoothness()]
    backbone = FrozenEstimator(AtPoints(MEANS, STDS))
    long = ConservationConstrainedRegressor(
        backbone, listed, grid, error_model=ErrorModel(members="marginal")
    )
    long.fit(table, table[:, 1])
    wide = fit(
        ConservationConstrainedRegressor(
            FrozenEstimator(Stored(MEANS, STDS)),
            listed,
            EVEN,
            error_model=ErrorModel(members="marginal"),
        )
    )
    for one, other in zip(long.predict(table, True), wide.predict(X, True), strict=True):
        np.testing.assert_allclose(one.reshape(B, N), other, atol=1e-11)


def test_known_points_stay_and_others_become_smooth():
    stds = STDS[:1].copy()
    stds[..., :4] = 0.0
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Stored(MEANS[:1], stds)),
        [LAW, Smoothness()],
        EVEN,
        error_model=ErrorModel(members="each"),
    )
    mean, std = fit(model).predict(X, return_std=True)
    np.testing.assert_allclose(mean[:, :4], MEANS[0, :, :4], atol=1e-14)
    np.testing.assert_array_equal(std[:, :4], 0.0)
    rough = (np.abs(np.diff(u[:, 4:], 2)).mean() for u in (mean, MEANS[0]))
    assert next(rough) < 0.8 * next(rough)


@pytest.mark.parametrize("backbone", [WithStd(), WithCov(), WithMembers()])
@pytest.mark.parametrize("error_model", ["stated", "identity"])
def test_with_every_kind_of_uncertainty(backbone, error_model):
    y = RNG.normal(size=(B, N))
    y += X[:, 1:] - (EVEN.integral_rows() @ y.T).T
    model = ConservationConstrainedRegressor(
        backbone, [LAW, Smoothness()], EVEN, error_model=error_model
    )
    mean, std = model.fit(X, y).predict(X, return_std=True)
    assert np.isfinite(mean).all() and (std > 0).all()
    np.testing.assert_allclose(model.constraint_residuals(X)[:, 0], 0.0, atol=1e-13)
    plain = ConservationConstrainedRegressor(backbone, LAW, EVEN).fit(X, y)
    assert np.abs(np.diff(mean, 2)).mean() < 0.7 * np.abs(np.diff(plain.predict(X), 2)).mean()
    z = model.constraint_report(X, y).z
    assert z.shape == (B, 1 + N - 2) and np.isfinite(z).all()


@pytest.mark.parametrize(
    ("constraint", "grid", "match"),
    [
        (Smoothness("x", 1.0), EVEN, r"correlation must be at least 0 and below 1; got 1.0"),
        (Smoothness("x", "a"), EVEN, r"correlation must be"),
        (Smoothness("y"), EVEN, r"axis='y' of Smoothness is not an axis .* \['x'\]"),
        (Smoothness(), Grid(t=[0, 1, 2], x=[0, 1, 2]), r"axis=None of Smoothness"),
        (Smoothness(), Grid(x=[0.0, 1.0]), r"needs 3 points along axis 'x'; the grid has 2"),
        (Smoothness(), TRIANGLE, r"a Mesh has none"),
    ],
)
def test_errors(constraint, grid, match):
    with pytest.raises(ValueError, match=match):
        system_of(constraint, grid, np.ones((1, grid.n_points)))


def test_beside_other_constraints_their_noise_stays():
    other = LinearEquality(np.eye(N)[:2], 0.0, noise=[0.3, 0.0])
    system = system_of([other, Smoothness(), LAW.__class__()], EVEN, STDS[0])
    np.testing.assert_array_equal(system.noise[:, :2], [[0.3, 0.0]] * B)
    np.testing.assert_array_equal(system.noise[:, -1], 0.0)


GP = GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None)
TABLE = ColumnGrid(space=0, nodes=np.linspace(-1e4, 1e4, 11))
INERT = ConservationLaw(total=0.0, noise=1e6)


@parametrize_with_checks([ConservationConstrainedRegressor(GP, [INERT, Smoothness()], TABLE)])
def test_check_estimator(estimator, check):
    check(estimator)

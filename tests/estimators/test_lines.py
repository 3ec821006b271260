"""One displacement for each time at which a law holds, against interpolation and optimisation."""

import pickle

import numpy as np
import pytest
from conditioning_cases import relative_miss
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import BoundaryConstraint, ConservationLaw, Dirichlet, LinearEquality
from skphys.estimators import ErrorModel, _alignment, _error_model
from skphys.estimators._covariances import Where
from skphys.estimators._displacement import PROFILES, Displacement, displaceable
from skphys.estimators._lines import DECAY, MODES, aligned, lines_of, most_probable
from skphys.estimators._moved_members import PLACES
from skphys.grids import Axis, Grid

N_TIMES, N_X = 8, 31
GRID = Grid(t=np.linspace(0.0, 1.0, N_TIMES), x=np.linspace(0.0, 1.0, N_X))
W = Grid(x=GRID["x"]).weights()
ROWS = np.kron(np.eye(N_TIMES), W)


def masses(X):
    """Return the mass at each time."""
    return np.asarray(X)[:, 3:]


LAW = ConservationLaw(over="x", total=masses)


def fronts(start, speed, acceleration, grid=GRID):
    """Return fields of a front that travels, 1 behind it."""
    t, x = grid["t"][None, :, None], grid["x"]
    at = start[:, None, None] + speed[:, None, None] * t + acceleration[:, None, None] * t**2
    return 0.5 * (1.0 - np.tanh((x - at) / 0.04)).reshape(len(start), -1)


def data(n_fields, seed, grid=GRID):
    """Return the start, speed and acceleration, the masses, and the fields."""
    rng = np.random.default_rng(seed)
    how = np.column_stack([rng.uniform(a, b, n_fields) for a, b in BETWEEN])
    y = fronts(*how.T, grid)
    mass = y.reshape(n_fields, *grid.shape) @ Grid(x=grid["x"]).weights()
    return np.column_stack([how, mass]), y


BETWEEN = [(0.15, 0.35), (0.1, 0.4), (-0.15, 0.15)]


class Misjudges(RegressorMixin, BaseEstimator):
    """States fronts whose speed and acceleration are wrong, other ones for each field."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X, return_std=False):
        X = np.asarray(X)
        off = 0.1 * np.sin(1e3 * X[:, :2])
        mean = fronts(X[:, 0], X[:, 1] + off[:, 0], X[:, 2] + off[:, 1])
        steep = np.abs(np.gradient(mean.reshape(-1, N_TIMES, N_X), axis=2))
        return (mean, 0.02 + 0.5 * steep.reshape(mean.shape)) if return_std else mean


class FirstThree(KNeighborsRegressor):
    """Neighbours that do not see the masses."""

    def fit(self, X, y):
        return super().fit(np.asarray(X)[:, :3], y)

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):
        return super().kneighbors(np.asarray(X)[:, :3], n_neighbors, return_distance)


X, Y = data(40, 0)
NEW, TRUTH = data(30, 1)
CALIBRATION = data(40, 2)


def model(backbone, constraints=LAW, **params):
    return ConservationConstrainedRegressor(backbone, constraints, GRID, **params)


def stated(**params):
    return model(Misjudges(), calibration=CALIBRATION, **params)


# Lines


def test_a_law_at_each_time_reads_one_line_each():
    for rows in (ROWS, sparse.csr_array(ROWS)):
        lines = lines_of(rows, Where(GRID), "x")
        np.testing.assert_array_equal(lines.points, np.arange(GRID.n_points).reshape(N_TIMES, N_X))
        np.testing.assert_array_equal(lines.read, np.arange(N_TIMES))
        np.testing.assert_array_equal(lines.rows, np.tile(W, (N_TIMES, 1)))
        assert lines_of(rows, Where(GRID), "t") is None  # at each x no law holds


def test_lines_along_the_first_axis():
    rows = np.einsum("x,yz->yxz", W, np.eye(4)).reshape(4, -1)
    lines = lines_of(rows, Where(Grid(x=GRID["x"], y=np.arange(4.0))), "x")
    np.testing.assert_array_equal(lines.points, np.arange(4 * N_X).reshape(N_X, 4).T)
    np.testing.assert_array_equal(lines.rows, np.tile(W, (4, 1)))


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((1, GRID.n_points)),
        np.vstack([ROWS, ROWS.sum(axis=0)]),
        ROWS[1:] - ROWS[:-1],
        np.eye(GRID.n_points)[:N_X],  # the field at the first time
        np.zeros((0, GRID.n_points)),
    ],
    ids=["one total", "also one total", "changes", "points", "none"],
)
def test_other_laws_displace_whole_fields(rows):
    assert lines_of(rows, Where(GRID), "x") is None


def test_one_axis_is_one_line():
    assert lines_of(W[None], Where(Grid(x=GRID["x"])), "x") is None
    assert lines_of(W[None], Where(Grid(t=[0.0], x=GRID["x"])), "x") is None


def test_rows_of_points_are_no_laws():
    walls = np.eye(GRID.n_points)[::N_X]
    lines = lines_of(np.vstack([walls, ROWS]), Where(GRID), "x")
    np.testing.assert_array_equal(lines.laws, N_TIMES + np.arange(N_TIMES))


@pytest.mark.parametrize("profile", PROFILES)
def test_lines_are_moved_and_read_one_by_one(profile):
    rng = np.random.default_rng(0)
    lines, move = lines_of(ROWS, Where(GRID), "x"), Displacement("x", profile, 0.1)
    fields, far = rng.normal(size=(2, 3, GRID.n_points)), rng.normal(size=(2, 3, N_TIMES))
    x, moved = GRID["x"], lines.moved(move, fields, far)
    reads = lines.reads(move, fields)
    for k in np.ndindex(2, 3, N_TIMES):
        line = fields[k[:2]].reshape(N_TIMES, N_X)[k[2]]
        read = [np.interp(x - 0.1 * d * PROFILES[profile](x), x, line) for d in (far[k], *PLACES)]
        found = moved[k[:2]].reshape(N_TIMES, N_X)[k[2]]
        np.testing.assert_allclose(found, read[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(reads[k], np.array(read[1:]) @ W, rtol=1e-12, atol=1e-13)


def test_modes_are_polynomials():
    t = np.array([0.0, 0.1, 0.4, 0.5, 0.8, 1.5, 1.6, 1.7, 2.0, 2.1, 3.0])
    grid = Grid(t=t, x=GRID["x"])
    modes = lines_of(np.kron(np.eye(len(t)), W), Where(grid), "x").modes
    assert modes.shape == (len(t), MODES)
    assert np.mean(np.sum(modes**2, axis=1)) == pytest.approx(1.0)
    for degree in range(MODES):  # a mode is at most of its degree, and narrower than the one before
        rest = modes[:, degree] - np.polyval(np.polyfit(t, modes[:, degree], degree), t)
        np.testing.assert_allclose(rest, 0.0, atol=1e-9)
        assert modes[-1, degree] == pytest.approx(modes[-1, 0] * DECAY**degree)


def test_modes_over_two_axes():
    grid = Grid(t=[0.0, 1.0, 2.0], y=[0.0, 1.0], x=GRID["x"])
    modes = lines_of(np.kron(np.eye(6), W), Where(grid), "x").modes
    assert np.linalg.matrix_rank(modes) == 6
    assert np.ptp(modes[:, 0]) == 0.0


# Distances


@pytest.mark.parametrize("noise", [1e-3, 0.1, 10.0])
def test_distances_are_the_most_probable_ones(noise):
    """Against an optimiser that knows only the density, from many places."""
    rng = np.random.default_rng(1)
    at = np.linspace(-1.0, 1.0, 4)
    modes = np.column_stack([np.ones(4), 0.5 * at])
    rise = 1.0 + rng.uniform(size=(3, 4, 1))
    reads = rise * np.tanh(PLACES / 2.0) + 0.1 * PLACES
    values = rng.normal(size=(3, 4))
    variance = noise**2 * np.ones((3, 4))
    found = most_probable([np.zeros((3, 2))], reads, values, variance, modes)

    def cost(c, k):
        read = [np.interp(d, PLACES, r) for d, r in zip(modes @ c, reads[k], strict=True)]
        return np.sum((values[k] - read) ** 2 / variance[k]) + np.sum(c**2)

    for k in range(3):
        starts = rng.normal(size=(8, 2))
        best = min((minimize(cost, s, (k,), "Nelder-Mead") for s in starts), key=lambda r: r.fun)
        assert cost(found[k], k) <= best.fun * (1.0 + 1e-3)
        np.testing.assert_allclose(found[k], best.x, atol=0.05)


def test_no_step_makes_distances_less_probable():
    rng = np.random.default_rng(0)
    modes, reads = rng.normal(size=(5, 3)), rng.normal(size=(40, 5, len(PLACES)))
    values, variance = rng.normal(size=(40, 5)), np.full((40, 5), 1e-2)

    def cost(c):
        far = c @ modes.T
        read = [
            [np.interp(d, PLACES, r) for d, r in zip(*each, strict=True)]
            for each in zip(far, reads, strict=True)
        ]
        return np.sum((values - read) ** 2 / variance, axis=1) + np.sum(c**2, axis=1)

    start = rng.normal(size=(40, 3))
    found = cost(most_probable([start, 0.0 * start], reads, values, variance, modes))
    assert (found <= np.minimum(cost(start), cost(0.0 * start)) * (1.0 + 1e-12)).all()
    assert found.mean() < 0.8 * cost(start).mean()


def test_true_distances_join_what_each_line_says():
    """Of parabolas the sum is least where the normal equations say."""
    rng = np.random.default_rng(0)
    modes = np.column_stack([np.ones(6), 0.5 * np.linspace(-1.0, 1.0, 6)])
    best, curve = rng.uniform(-2.0, 2.0, (7, 6, 1)), rng.uniform(5.0, 9.0, (7, 6, 1))
    places = np.linspace(-4.0, 4.0, 801)
    found = aligned(curve * (places - best) ** 2, places, modes)
    for c, h, d in zip(found, curve[..., 0], best[..., 0], strict=True):
        expected = np.linalg.solve(modes.T * h @ modes + np.eye(2), modes.T @ (h * d))
        np.testing.assert_allclose(c, expected, rtol=1e-6, atol=1e-9)


# Fields


@pytest.fixture
def one_number(monkeypatch):
    """Return what takes one displacement for a whole field again."""

    def take():
        for module in (_alignment, _error_model):
            monkeypatch.setattr(module, "lines_of", lambda *_: None)

    return take


@pytest.mark.parametrize(
    "make",
    [
        lambda: model(FirstThree(4)),
        lambda: model(RandomForestRegressor(15, max_features=0.2, random_state=0)),
        stated,
    ],
    ids=["neighbours", "forest", "stated"],
)
def test_fronts_of_wrong_speed_and_acceleration(make, one_number):
    """Squared errors after the law over those before, with one number each line and each field."""
    fitted = make().fit(X, Y)
    mean = fitted.predict(NEW)
    error = np.mean((mean - TRUTH) ** 2)
    before = np.mean((fitted.estimator_.predict(NEW) - TRUTH) ** 2)
    one_number()
    other = np.mean((make().fit(X, Y).predict(NEW) - TRUTH) ** 2)
    assert error < 0.1 * before and error < 0.25 * other


@pytest.mark.parametrize(
    "make",
    [
        lambda: model(FirstThree(4)),
        stated,
        lambda: stated(error_model=ErrorModel(displacement=0.05)),
    ],
    ids=["neighbours", "stated", "declared"],
)
def test_exact_on_every_path(make):
    fitted = make().fit(X, Y)
    new = NEW[:6]
    for each in (fitted, pickle.loads(pickle.dumps(fitted))):
        mean, cov = each.predict(new, return_cov=True)
        std, draws = each.predict_std(new), each.sample_y(new, 5)
        assert relative_miss(mean, ROWS, new[:, 3:]).max() < 1e-12
        missed = [relative_miss(d, ROWS, new[:, 3:]).max() for d in np.moveaxis(draws, 2, 0)]
        assert max(missed) < 1e-12
        scale = np.diagonal(cov, axis1=1, axis2=2).max()
        assert np.abs(cov @ ROWS.T).max() < 1e-12 * scale
        np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, atol=1e-12 * scale)


def test_masses_that_are_not_known_at_some_times():
    """Distances there are those of the polynomial, and better than none."""
    fitted = stated().fit(X, Y)
    asked = NEW.copy()
    asked[:, 5:8] = np.nan
    mean = fitted.predict(asked)
    known = [0, 1, *range(5, N_TIMES)]
    assert relative_miss(mean, ROWS[known], NEW[:, 3:][:, known]).max() < 1e-12
    error, before = ((f - TRUTH) ** 2 for f in (mean, fitted.estimator_.predict(NEW)))
    at = np.arange(GRID.n_points).reshape(N_TIMES, N_X)[2:5].ravel()
    assert np.mean(error[:, at]) < 0.2 * np.mean(before[:, at])


def test_a_law_that_couples_times_displaces_whole_fields(one_number):
    law = LinearEquality(ROWS.sum(axis=0)[None], b=lambda X: np.asarray(X)[:, 3:].sum(axis=1))
    here = stated(constraints=law).fit(X, Y).predict(NEW)
    one_number()
    np.testing.assert_array_equal(stated(constraints=law).fit(X, Y).predict(NEW), here)


def test_more_times_than_laws_are_written_out_for():
    grid = Grid(t=np.linspace(0.0, 1.0, 66), x=np.linspace(0.0, 1.0, 13))
    (x, y), (new, truth) = data(12, 0, grid), data(5, 1, grid)
    fitted = ConservationConstrainedRegressor(FirstThree(3), LAW, grid).fit(x, y)
    assert any(part.each for part in fitted.error_model_.parts_)
    mean, before = fitted.predict(new), fitted.estimator_.predict(new)
    rows = np.kron(np.eye(66), Grid(x=grid["x"]).weights())
    assert relative_miss(mean, rows, new[:, 3:]).max() < 1e-12
    assert np.mean((mean - truth) ** 2) < 0.3 * np.mean((before - truth) ** 2)


# Walls


@pytest.mark.parametrize(
    ("sides", "free"),
    [
        ([], tuple(PROFILES)),
        (["left"], ("stretch", "bump")),
        (["right"], ("flip", "bump")),
        (["left", "right"], ("bump",)),
    ],
)
def test_walls_stay(sides, free):
    x = np.array([0.0, 0.1, 0.5, 1.0])
    ends = {"left": 0, "right": 3}
    pins = np.eye(4)[[ends[side] for side in sides]]
    rows = np.vstack([np.ones((1, 4)), pins])
    for each in (rows, sparse.csr_array(rows)):
        assert displaceable(Where(Grid(x=x)), each) == {"x": free}
    both = Where(Grid(t=[0.0, 1.0, 3.0], x=x))
    for each in (np.kron(np.eye(3), rows), np.kron(np.eye(3), pins)):
        assert displaceable(both, each)["x"] == free
    # The field at the first time: it stays there, and has no wall.
    first = displaceable(both, np.eye(12)[:4])
    assert first == {"t": ("stretch", "bump"), "x": tuple(PROFILES)}


def test_a_displacement_leaves_a_wall_alone():
    wall = BoundaryConstraint(Dirichlet(1.0), "x", "left")
    held = Y.copy().reshape(-1, N_TIMES, N_X)
    held[:, :, 0] = 1.0
    new = np.column_stack([X[:, :3], held @ W])
    fitted = model(FirstThree(4), [LAW, wall]).fit(new, held.reshape(len(X), -1))
    moves = [p.displacement for p in fitted.error_model_.parts_ if p.displacement]
    assert moves
    assert {m.profile for m in moves if m.axis == "x"} <= {"stretch", "bump"}
    mean = fitted.predict(new[:5]).reshape(5, N_TIMES, N_X)
    np.testing.assert_allclose(mean[:, :, 0], 1.0, rtol=1e-14)
    np.testing.assert_allclose(mean @ W, new[:5, 3:], rtol=1e-12)


def test_periodic_axes_have_no_walls():
    where = Where(Grid(x=Axis(np.arange(4) / 4.0, period=1.0)))
    assert displaceable(where, np.ones((1, 4))) == {"x": ("shift",)}

"""Members that are moved onto a law one by one, against loops, quadrature and interpolation."""

import pickle

import numpy as np
import pytest
from conditioning_cases import relative_miss
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.ensemble import BaggingRegressor, ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.conditioning import Diagonal, Gaussian
from skphys.constraints import Bounds, Column, ConservationLaw, EqualitySystem
from skphys.estimators import ErrorModel
from skphys.estimators._covariances import Where
from skphys.estimators._displacement import PROFILES, Displacement
from skphys.estimators._moved_members import KEPT, MAX_MEMBERS, move_members, some_members
from skphys.grids import Axis, Grid
from skphys.predictive import Prediction, predict_distribution

GRID = Grid(x=np.linspace(0.0, 1.0, 41))
W = GRID.weights()
LAW = ConservationLaw(over="x", total=Column(2))
REGRESSORS = {
    "forest": RandomForestRegressor(20, random_state=0),
    "extra trees": ExtraTreesRegressor(20, random_state=0),
    "bagging": BaggingRegressor(KNeighborsRegressor(1), 8, random_state=0),
    "neighbours": KNeighborsRegressor(4),
    "ensemble": EnsembleRegressor(Ridge(), n_members=5, bootstrap=True, random_state=0),
}
WHERES = {
    "uneven": Where(Grid(x=np.array([0.0, 0.1, 0.15, 0.4, 0.7, 1.0]))),
    "periodic": Where(Grid(x=Axis(np.linspace(0.0, 1.0, 6, endpoint=False), period=1.0))),
    "first of two": Where(Grid(x=np.linspace(0.0, 1.0, 5), y=np.linspace(0.0, 1.0, 3))),
    "last of two": Where(Grid(y=np.linspace(0.0, 1.0, 3), x=np.linspace(0.0, 1.0, 5))),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def fronts(n_fields, seed):
    """Return features, of which the third is the total, and steps."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_fields, 3))
    front = 0.2 + 0.6 * X[:, :1]
    y = np.clip(0.5 - (GRID["x"] - front) / 0.02, 0.0, 1.0)
    X[:, 2] = y @ W
    return X, y


X, Y = fronts(60, 0)
NEW, TRUTH = fronts(80, 1)


def model(regressor, **params):
    params = {"constraints": LAW, "grid": GRID, "drop_value_columns": True, **params}
    return ConservationConstrainedRegressor(regressor, **params)


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("profile", PROFILES)
def test_each_field_by_its_own_distance(where, profile, rng):
    where, move = WHERES[where], Displacement("x", profile, 0.1)
    n_points = where.grid.n_points
    fields, distances = rng.normal(size=(3, 7, n_points)), rng.normal(size=7)
    moved = move.moved(fields, where, distances)
    for k, distance in enumerate(distances):
        np.testing.assert_allclose(
            moved[:, k], move.moved(fields[:, k], where, distance), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("profile", PROFILES)
def test_rows_read_what_they_read_of_moved_fields(where, profile, rng):
    where, move = WHERES[where], Displacement("x", profile, 0.1)
    rows, fields = (rng.normal(size=(k, where.grid.n_points)) for k in (3, 4))
    distances = np.array([0.0, 0.03, -0.4, 1.7])
    for distance, pulled in zip(distances, move.pulled(rows, where, distances), strict=True):
        np.testing.assert_allclose(
            fields @ pulled.T,
            move.moved(fields, where, distance) @ rows.T,
            rtol=1e-12,
            atol=1e-13,
        )


def system(values, rows=W[None], noise=0.0):
    values = np.asarray(values)
    noise = np.broadcast_to(noise, values.shape)
    return EqualitySystem(rows, values, noise, ("law",) * len(rows))


def even(std):
    """Return what makes a covariance of equal variances, whatever members differ by."""
    return lambda spread: Diagonal(np.full(spread.shape, std**2))


def test_weights_are_those_of_quadrature(rng):
    x, width, std = GRID["x"], 0.05, 0.05
    members = np.stack([np.tanh((x - a) / 0.1)[None] for a in (0.3, 0.45, 0.6)])
    truth = np.tanh((x - 0.48) / 0.1)
    law, scales = system([[W @ truth]]), (1.0, 4.0)
    move = Displacement("x", "shift", width)
    found = move_members(members, move, even(std), law, Where(GRID), scales)
    d = np.linspace(-12.0, 12.0, 20_001)
    for c, scale in enumerate(scales):
        expected = []
        for member in members[:, 0]:
            reads = np.array([W @ np.interp(x - width * each, x, member) for each in d])
            likely = norm.logpdf(law.values[0, 0], reads, scale * std * np.sqrt(W @ W))
            expected.append(logsumexp(likely + norm.logpdf(d, 0.0, scale)) + np.log(d[1] - d[0]))
        ours = np.sort(found.logs[c, :, 0])[::-1]
        # Far places are more than half a width apart.
        np.testing.assert_allclose(ours, np.sort(expected)[::-1] - np.log(3), atol=0.35)


def test_members_stand_where_the_law_says():
    x = GRID["x"]
    members = np.stack([np.clip(0.5 - (x - a) / 0.1, 0.0, 1.0)[None] for a in (0.3, 0.5, 0.65)])
    truth = np.clip(0.5 - (x - 0.42) / 0.1, 0.0, 1.0)
    move = Displacement("x", "shift", 0.1)
    found = move_members(members, move, even(1e-3), system([[W @ truth]]), Where(GRID), (1.0,))
    np.testing.assert_allclose(found.means[:, 0], np.tile(truth, (3, 1)), atol=0.06)


def test_a_law_that_says_nothing_moves_nothing(rng):
    members = rng.normal(size=(3, 5, 41)).cumsum(axis=-1)
    law, move = system(rng.normal(size=(5, 1)), noise=1e6), Displacement("x", "flip", 0.1)
    found = move_members(members, move, even(0.1), law, Where(GRID), (1.0,))
    np.testing.assert_allclose(found.means.mean(axis=0), members.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.logs, found.logs[:1, :1, :1].repeat(3, 1).repeat(5, 2))


def test_the_likeliest_stay_and_stand_for_all(rng):
    members = rng.normal(size=(30, 4, 41)).cumsum(axis=-1)
    law, move = system(rng.normal(size=(4, 1))), Displacement("x", "bump", 0.1)
    found = move_members(members, move, even(0.1), law, Where(GRID), (1.0, 2.0))
    assert found.means.shape == (KEPT, 4, 41)
    order = rng.permutation(30)
    again = move_members(members[order], move, even(0.1), law, Where(GRID), (1.0, 2.0))
    np.testing.assert_allclose(again.logs, found.logs, rtol=1e-10)
    np.testing.assert_allclose(again.means, found.means, rtol=1e-10, atol=1e-12)


def test_members_evenly_over_all():
    many = Prediction.of_members(np.arange(300.0)[:, None, None] * np.ones((300, 2, 3)))
    taken = some_members(many)[:, 0, 0]
    assert len(taken) == MAX_MEMBERS and taken[0] == 0.0 and taken[-1] == 299.0
    assert np.ptp(np.diff(taken)) <= 1.0
    few = Prediction.of_members(np.arange(4.0)[:, None, None] * np.ones((4, 2, 3)))
    np.testing.assert_array_equal(some_members(few), few.member_means)


@pytest.mark.parametrize("name", REGRESSORS)
def test_exact_on_every_path(name):
    fitted = model(REGRESSORS[name]).fit(X, Y)
    assert fitted.error_model_.parts_
    for each in (fitted, pickle.loads(pickle.dumps(fitted))):
        mean, cov = each.predict(NEW, return_cov=True)
        std, draws = each.predict_std(NEW), each.sample_y(NEW, 5)
        assert relative_miss(mean, W[None], NEW[:, 2:]).max() < 1e-12
        missed = [relative_miss(d, W[None], NEW[:, 2:]).max() for d in np.moveaxis(draws, 2, 0)]
        assert max(missed) < 1e-12
        assert np.abs(cov @ W).max() < 1e-12 * np.abs(cov).max()
        np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, atol=1e-12)
    lower, upper = fitted.predict_interval(NEW)
    assert (lower <= upper).all()


@pytest.mark.parametrize(
    ("name", "part"),
    [("forest", 0.4), ("extra trees", 0.6), ("bagging", 0.1), ("neighbours", 0.2)],
)
def test_members_are_moved_and_that_is_worth_it(name, part):
    fitted = model(REGRESSORS[name]).fit(X, Y)
    assert any(each.each for each in fitted.error_model_.parts_)
    assert "members" in str(fitted.error_model_)
    still = model(REGRESSORS[name], error_model=ErrorModel(displacement=None, covariance="learned"))
    still.fit(X, Y)
    error, other = (np.mean((m.predict(NEW) - TRUTH) ** 2) for m in (fitted, still))
    alone = np.mean((fitted.estimator_.predict(NEW[:, :2]) - TRUTH) ** 2)
    assert error < part * other and error < part * alone


def test_with_bounds_in_a_pipeline_and_without_a_total():
    laws = [LAW, Bounds(lower=0.0, upper=1.1)]
    fitted = model(REGRESSORS["forest"], constraints=laws).fit(X, Y)
    mean = fitted.predict(NEW)
    assert relative_miss(mean, W[None], NEW[:, 2:]).max() < 1e-12
    assert mean.min() > -1e-9 and mean.max() < 1.1 + 1e-9
    unknown = NEW.copy()
    unknown[::2, 2] = np.nan
    plain = model(REGRESSORS["forest"]).fit(X, Y)
    got, std = plain.predict(unknown, return_std=True)
    np.testing.assert_allclose(got[::2], plain.estimator_.predict(NEW[::2, :2]), atol=1e-12)
    np.testing.assert_allclose(got[1::2], plain.predict(NEW)[1::2], rtol=1e-9)
    assert np.isfinite(std).all()
    law = ConservationLaw(over="x", total=0.6)
    y = Y * (0.6 / (Y @ W))[:, None]
    piped = make_pipeline(StandardScaler(), model(KNeighborsRegressor(3), constraints=law))
    mean = piped.fit(X, y).predict(NEW)
    assert relative_miss(mean, W[None], np.full((80, 1), 0.6)).max() < 1e-12


def test_fields_are_held_out_where_members_are_points():
    """What trees differ by is no standard deviation, so errors are learned out of fold."""
    for n_fields, n_learned in ((1, 0), (9, 9), (10, 10)):
        fitted = model(REGRESSORS["forest"]).fit(X[:n_fields], Y[:n_fields])
        assert (fitted.error_model_.parts_ is not None) == (n_learned > 0)
        assert fitted.n_held_out_ == n_learned


@pytest.mark.parametrize("unit", [1e-9, 1e5, 1e9])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_units_of_fields_and_axes(unit, length):
    here = model(REGRESSORS["neighbours"]).fit(X, Y).predict(NEW)
    grid = Grid(x=length * GRID["x"])
    there = model(REGRESSORS["neighbours"], grid=grid)
    there.fit(X * [1.0, 1.0, unit * length], unit * Y)
    found = there.predict(NEW * [1.0, 1.0, unit * length])
    np.testing.assert_allclose(found, unit * here, atol=1e-6 * unit)


def test_one_tree_is_a_prediction():
    one = RandomForestRegressor(1, random_state=0)
    fitted = model(one).fit(X, Y)
    assert relative_miss(fitted.predict(NEW), W[None], NEW[:, 2:]).max() < 1e-12


class TestNeighbours:
    """Nearest neighbours as members."""

    def test_members_are_targets_of_the_neighbours(self):
        fitted = KNeighborsRegressor(4).fit(X, Y)
        found = predict_distribution(fitted, NEW)
        nearest = fitted.kneighbors(NEW, return_distance=False)
        np.testing.assert_array_equal(found.member_means, Y[nearest].swapaxes(0, 1))
        np.testing.assert_allclose(found.mean, fitted.predict(NEW), rtol=1e-13)
        piped = make_pipeline(StandardScaler(), KNeighborsRegressor(4)).fit(X, Y)
        assert predict_distribution(piped, NEW).member_means.shape == (4, 80, 41)

    @pytest.mark.parametrize("params", [{"weights": "distance"}, {"n_neighbors": 1}])
    def test_none_that_weigh_differently_or_are_alone(self, params):
        fitted = KNeighborsRegressor(**params).fit(X, Y)
        found = predict_distribution(fitted, NEW)
        assert not found.states_uncertainty
        np.testing.assert_allclose(found.mean, fitted.predict(NEW), rtol=1e-13)

    def test_none_of_points(self):
        fitted = KNeighborsRegressor(3).fit(X, Y[:, 0])
        assert not predict_distribution(fitted, NEW, rows="points").states_uncertainty
        one = predict_distribution(fitted, NEW)
        assert one.member_means.shape == (3, 80, 1)

    def test_law_and_prior_agree(self):
        """The prior's moments are those of the neighbours."""
        stated = model(KNeighborsRegressor(4), error_model="stated").fit(X, Y)
        members = Y[stated.estimator_.kneighbors(NEW[:, :2], return_distance=False)].swapaxes(0, 1)
        deviations = members - members.mean(axis=0)
        cov = np.einsum("kni,knj->nij", deviations, deviations) / 4.0
        cov = 0.75 * cov + 0.25 * cov * np.eye(41)
        gain = np.einsum("nij,j->ni", cov, W) / np.einsum("i,nij,j->n", W, cov, W)[:, None]
        expected = members.mean(axis=0)
        expected = expected + gain * (NEW[:, 2] - expected @ W)[:, None]
        np.testing.assert_allclose(stated.predict(NEW), expected, rtol=1e-9, atol=1e-11)
        assert isinstance(next(stated._posteriors(NEW))[1], Gaussian)

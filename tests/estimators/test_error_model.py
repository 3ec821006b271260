"""The error model that is learned from held-out data, against data drawn from a known one."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from backbones import Stored
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils.estimator_checks import check_estimator

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Bounds, Column, ConservationLaw
from skphys.estimators import ErrorModel
from skphys.estimators._error_model import RARITY
from skphys.estimators._held_out import _repeats
from skphys.grids import ColumnGrid, Grid

POINTS = np.linspace(0.0, 1.0, 41)
GRID = Grid(x=POINTS)
LAW = ConservationLaw(over="x", total=Column(1))
STATED = 0.1 * (1.0 + POINTS)


class Told(RegressorMixin, BaseEstimator):
    """A trained backbone that predicts zero, or given members; column 0 of X is the field."""

    def __init__(self, std=STATED, members=None):
        self.std = std
        self.members = members

    def fit(self, X, y):
        raise AssertionError("it is trained")

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X, return_std=False):
        mean = np.zeros((len(X), len(POINTS)))
        return (mean, mean + self.std) if return_std else mean


class ToldMembers(Told):
    """The same by members, which state a standard deviation each."""

    def predict_members(self, X):
        index = np.asarray(X)[:, 0].astype(int)
        return self.members[:, index], np.broadcast_to(self.std, self.members[:, index].shape)


def data(errors):
    """Return X and y of a backbone that predicts zero, with these errors."""
    return np.column_stack([np.arange(len(errors)), np.trapezoid(errors, POINTS, axis=1)]), errors


def chained(n_fields, length, rng):
    """Draw unit errors with exponential correlation from its dense Cholesky factor."""
    dense = np.exp(-abs(POINTS[:, None] - POINTS) / length)
    return rng.standard_normal((n_fields, len(POINTS))) @ np.linalg.cholesky(dense).T


def constrained(backbone, X, y, **params):
    model = ConservationConstrainedRegressor(
        FrozenEstimator(backbone), LAW, GRID, calibration=(X, y), **params
    )
    return model.fit(X, y)


def standardised(model, X, y):
    """Return the root mean square of errors in units of their standard deviations."""
    mean, std = model.predict(X, return_std=True)
    return np.sqrt(np.mean(((y - mean) / std) ** 2))


def only(parts):
    (part,) = parts
    return part


def said(model):
    """Return the stated standard deviations, raised where points are stated as too sure."""
    floor = model.error_model_.floor_
    return STATED if floor is None else np.hypot(STATED, floor)


def exponential(length):
    return np.exp(-abs(POINTS[:, None] - POINTS) / length)


SCALE = ErrorModel(covariance="stated", displacement=None)


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("error_model", ["auto", "calibrated", SCALE])
def test_errors_become_as_large_as_they_are(scale, error_model):
    X, y = data(scale * STATED * np.random.default_rng(0).standard_normal((400, 41)))
    model = constrained(Told(), X, y, error_model=error_model)
    assert standardised(model, X, y) == pytest.approx(1.0, rel=0.1)
    stated = constrained(Told(), X, y, error_model="stated")
    assert standardised(stated, X, y) == pytest.approx(scale, rel=0.1)


def test_a_declared_scale_stays():
    X, y = data(3.0 * STATED * np.random.default_rng(0).standard_normal((400, 41)))
    twice = ErrorModel(covariance="stated", displacement=None, scale=2.0)
    model = constrained(Told(), X, y, error_model=twice)
    stated = constrained(Told(), X, y, error_model="stated")
    np.testing.assert_allclose(model.predict_std(X), 2.0 * stated.predict_std(X), rtol=1e-12)


@pytest.mark.parametrize("length", [0.05, 0.2])
@pytest.mark.parametrize("error_model", ["auto", "calibrated", ErrorModel(displacement=None)])
def test_recovers_the_correlation_and_the_scale(length, error_model):
    X, y = data(2.0 * STATED * chained(800, length, np.random.default_rng(0)))
    model = constrained(Told(), X, y, error_model=error_model)
    found = model.error_model_
    correlation = found.correlation_.to_dense()
    np.testing.assert_allclose(np.diag(correlation), 1.0, rtol=1e-12)
    assert np.sqrt(np.mean((correlation - exponential(length)) ** 2)) < 0.05
    learned = sum(part.weight for part in found.parts_ if not part.as_stated)
    assert learned > 0.5
    assert standardised(model, X, y) == pytest.approx(1.0, rel=0.1)
    assert found.score_.crps < found.score_.simplest_crps and found.score_.n_fields == 800


def test_a_learned_correlation_is_the_metric_and_the_law_says_how_large_errors_are():
    X, y = data(STATED * chained(200, 0.2, np.random.default_rng(0)))
    model = constrained(Told(), X, y, error_model=ErrorModel(displacement=None))
    part = only(model.error_model_.parts_)
    assert not part.as_stated
    std = part.spread * said(model)
    prior = std[:, None] * model.error_model_.correlation_.to_dense() * std
    check_by_hand(model, X[:5], prior)


def check_by_hand(model, X, prior):
    """A field's scale is one of five; the larger it is the rarer, and the law tells which."""
    row = GRID.weights()
    law = row @ prior @ row
    gain = prior @ row / law
    scales = np.asarray(model.error_model_.scales_)
    weight = scales**-RARITY * np.exp(-0.5 * X[:, 1:] ** 2 / (scales**2 * law)) / scales
    square = weight @ scales**2 / weight.sum(axis=1)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, X[:, 1:] * gain, atol=1e-12)
    posterior = np.diag(prior - np.outer(gain, row @ prior))
    np.testing.assert_allclose(std**2, square[:, None] * posterior, rtol=1e-8)


@pytest.mark.parametrize("error_model", ["auto", "calibrated", SCALE])
def test_few_points_do_not_set_the_scale_of_all(error_model):
    X, y = data(STATED * np.random.default_rng(14).standard_normal((200, 41)))
    sure = np.where(np.arange(41) == 20, 1e-3 * STATED, STATED)
    model = constrained(Told(sure), X, y, error_model=error_model)
    mean, std = model.predict(X, return_std=True)
    others = np.arange(41) != 20
    z = ((y - mean) / std)[:, others]
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, rel=0.15)


def test_a_declared_correlation_with_a_learned_scale():
    X, y = data(2.0 * STATED * np.random.default_rng(2).standard_normal((100, 41)))
    errors = ErrorModel(correlation_length=0.1, displacement=None)
    model = constrained(Told(), X, y, error_model=errors)
    assert model.error_model_.correlation_ is None
    outer = np.outer(STATED, STATED) * exponential(0.1) + np.diag(said(model) ** 2 - STATED**2)
    prior = only(model.error_model_.parts_).spread ** 2 * outer
    check_by_hand(model, X[:3], prior)


def members(n_fields, along_error, rng):
    """Return members that differ by a mode, and errors along it or independent of it."""
    mode = np.sin(np.pi * POINTS)
    spread = np.array([-1.0, -0.5, 0.5, 1.0])[:, None, None] * mode
    spread = np.repeat(spread / spread.std(axis=0).max(), n_fields, axis=1)
    own = 0.05 * rng.standard_normal((n_fields, 41))
    if along_error:
        return spread, rng.standard_normal((n_fields, 1)) * mode + own
    std = np.sqrt(spread.std(axis=0) ** 2 + 0.05**2)
    return spread, std * rng.standard_normal((n_fields, 41))


def test_a_learned_correlation_stands_beside_that_of_members():
    """Members that move together, and errors that do not: their mode is left out."""
    rng = np.random.default_rng(3)
    spread, errors = members(300, False, rng)
    X, y = data(errors)
    found = constrained(ToldMembers(0.05, spread), X, y).error_model_
    assert sum(part.weight for part in found.parts_ if not part.as_stated) > 0.9
    off = found.correlation_.to_dense() - np.eye(41)
    assert abs(off).max() < 0.3
    asked = constrained(ToldMembers(0.05, spread), X, y, error_model=ErrorModel(members="each"))
    assert asked.error_model_.members == "each"


def test_marginal_members_are_their_standard_deviations():
    spread, errors = members(5, True, np.random.default_rng(4))
    X, y = data(errors)
    told = FrozenEstimator(ToldMembers(0.05, spread))
    one = ConservationConstrainedRegressor(
        told, LAW, GRID, error_model=ErrorModel(members="marginal")
    ).fit(X, y)
    variance = spread.std(axis=0) ** 2 + 0.05**2
    row = GRID.weights()
    along = variance * row
    expected = along * (X[:, 1:] / (along @ row)[:, None])
    np.testing.assert_allclose(one.predict(X), expected, atol=1e-12)


@pytest.mark.parametrize("members", ["moments", "marginal"])
def test_members_that_differ_by_rounding_agree(members):
    spread = np.ones((3, 1, 41))
    spread[0, 0, [5, 20]] += 2.0**-52
    X, y = data(np.zeros((1, 41)))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(ToldMembers(0.0, spread)),
        LAW,
        GRID,
        error_model=ErrorModel(members=members),
    ).fit(X, y)
    with pytest.raises(ValueError, match="standard deviation is zero"):
        model.predict(X)


@pytest.fixture(scope="module")
def uneven():
    """Fields whose errors are of different sizes, which their distance from the law tells."""
    rng = np.random.default_rng(5)
    size = np.exp(rng.normal(size=(400, 1)))
    shared = chained(400, 5.0, rng)  # a long correlation: the law sees the size of the error
    X, y = data(size * STATED * shared)
    return X, y, constrained(Told(), X, y, error_model="calibrated")


def test_variance_follows_the_law(uneven):
    X, _, model = uneven
    std = model.predict_std(X)
    far = np.argsort(abs(X[:, 1]))
    assert std[far[-1]].mean() > 2.0 * std[far[0]].mean()
    assert len(model.error_model_.parts_) >= 1 and "held-out fields" in str(model.error_model_)


def test_everything_obeys_the_law(uneven):
    X, _, model = uneven
    row = GRID.weights()
    mean, cov = model.predict(X[:4], return_cov=True)
    std = model.predict_std(X[:4])
    np.testing.assert_allclose(mean @ row, X[:4, 1], rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, rtol=1e-9)
    assert np.abs(cov @ row).max() < 1e-12 * cov.max()
    draws = model.sample_y(X[:4], 20_000, random_state=0)  # tails are heavy
    assert np.abs(np.einsum("bns,n->bs", draws, row) - X[:4, 1:]).max() < 1e-12
    np.testing.assert_allclose(draws.std(axis=-1), std, rtol=0.15)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_std(X[:4]), std)
    assert str(again.error_model_) == str(model.error_model_)


def test_calibration_makes_held_out_fields_likelier(uneven):
    X, y, model = uneven
    rng = np.random.default_rng(6)
    new = np.exp(rng.normal(size=(200, 1))) * STATED * chained(200, 5.0, rng)
    new_X, new_y = data(new)
    plain = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID).fit(X, y)

    gain = model.log_prob(new_X, new_y) - plain.log_prob(new_X, new_y)
    assert np.mean(gain) > 0.5


def test_without_held_out_data_nothing_is_learned():
    X, y = data(np.random.default_rng(7).standard_normal((30, 41)))
    model = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID).fit(X, y)
    assert model.error_model_.parts_ is model.error_model_.correlation_ is None
    explicit = clone(model).set_params(error_model="stated").fit(X, y)
    np.testing.assert_array_equal(model.predict_std(X), explicit.predict_std(X))


@pytest.mark.parametrize("error_model", ["auto", "residual", "calibrated"])
def test_backbones_that_state_nothing_get_a_scale(error_model):
    rng = np.random.default_rng(13)
    X = rng.uniform(size=(100, 2))
    y = X[:, :1] * POINTS + 0.2 * rng.standard_normal((100, 41))
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, error_model=error_model)
        model.fit(X, y)
        mean, std = model.predict(X, return_std=True)
    for part in model.error_model_.parts_:
        assert part.spread.shape == (41,)
    assert np.std((y - mean) / std) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("n_fields", [9, 10])
def test_from_ten_fields_the_default_learns_out_of_fold(n_fields):
    rng = np.random.default_rng(16)
    X = rng.uniform(size=(n_fields, 2))
    y = X[:, :1] * POINTS + 0.2 * rng.standard_normal((n_fields, 41))
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    model = ConservationConstrainedRegressor(Ridge(), LAW, GRID).fit(X, y)
    assert (model.error_model_.parts_ is not None) == (n_fields == 10)
    stating = ConservationConstrainedRegressor(BayesianRidges(), LAW, GRID).fit(X, y)
    assert stating.error_model_.parts_ is None


class BayesianRidges(Ridge):
    """States a standard deviation."""

    def predict(self, X, return_std=False):
        mean = super().predict(X)
        return (mean, np.full_like(mean, 0.1)) if return_std else mean


def noisy_slopes(n_fields, seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_fields, 2))
    y = np.sin(3.0 * X[:, :1]) * POINTS + 0.1 * rng.standard_normal((n_fields, 41))
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    return X, y


def test_out_of_fold():
    X, y = noisy_slopes(60, 8)
    ensemble = EnsembleRegressor(Ridge(), n_members=5, bootstrap=True, random_state=0)
    model = ConservationConstrainedRegressor(ensemble, LAW, GRID, error_model="calibrated")
    model.fit(X, y)
    stated = clone(model).set_params(error_model="stated").fit(X, y)
    assert standardised(stated, X, y) > 2.0  # the bootstrap does not see the noise
    X, y = noisy_slopes(400, 9)
    mean, std = model.predict(X, return_std=True)
    assert 0.8 < np.mean(((y - mean) / std) ** 2) ** 0.5 < 1.15
    assert model.estimator_.n_members == 5  # the backbone kept is the one fitted on everything


def test_frozen_backbones_need_calibration():
    X, y = data(np.zeros((6, 41)))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Told()), LAW, GRID, error_model="calibrated"
    )
    with pytest.raises(ValueError, match=r"frozen.*calibration=\(X, y\)"):
        model.fit(X, y)
    assert not hasattr(model, "error_model_")


@pytest.mark.parametrize("bad", [(1, 2, 3), ("short",)])
def test_calibration_is_a_pair(bad):
    X, y = data(np.zeros((6, 41)))
    model = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID, calibration=bad)
    with pytest.raises(ValueError, match=r"pair \(X, y\)"):
        model.fit(X, y)


def test_bad_calibration_targets():
    X, y = data(np.zeros((6, 41)))
    told = FrozenEstimator(Told())
    with pytest.raises(ValueError, match="y of calibration contains NaN"):
        ConservationConstrainedRegressor(told, LAW, GRID, calibration=(X, y * np.nan)).fit(X, y)
    with pytest.raises(ValueError, match=r"calibration.*\(6, 41\).*\(6, 40\)"):
        ConservationConstrainedRegressor(
            FrozenEstimator(Told()), LAW, GRID, calibration=(X, y[:, :40])
        ).fit(X, y)
    with pytest.raises(ValueError, match=r"calibration.*\(6, 41\).*\(41, 6\)"):
        ConservationConstrainedRegressor(told, LAW, GRID, calibration=(X, y.T)).fit(X, y)


@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
def test_perfect_predictions_say_nothing_of_their_scale(error_model):
    X, y = data(np.zeros((30, 41)))
    model = constrained(Told(), X, y, error_model=error_model)
    assert model.error_model_.parts_ is None
    assert model.predict_std(X[:1]).max() > 0.0
    constant = ConservationConstrainedRegressor(DummyRegressor(), error_model="calibrated")
    assert constant.fit(X, y + 1.0).error_model_.parts_ is None


def test_law_with_noise_settles_the_scale():
    rng = np.random.default_rng(9)
    X, y = data(3.0 * STATED * rng.standard_normal((300, 41)))
    X[:, 1] += 0.05 * rng.standard_normal(300)
    law = ConservationLaw(over="x", total=Column(1), noise=0.05)
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Told()), law, GRID, calibration=(X, y)
    ).fit(X, y)
    assert standardised(model, X, y) == pytest.approx(1.0, rel=0.1)


def test_with_inequalities():
    X, y = data(abs(STATED * np.random.default_rng(10).standard_normal((60, 41))))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Told()), [LAW, Bounds(lower=0.0)], GRID, calibration=(X, y)
    ).fit(X, y)
    mean = model.predict(X)
    assert mean.min() >= -1e-12
    np.testing.assert_allclose(np.trapezoid(mean, POINTS, axis=1), X[:, 1], rtol=1e-9)


def test_nested_estimators_are_calibrated_outside():
    X, y = data(STATED * chained(60, 0.2, np.random.default_rng(15)))
    inner = constrained(Told(), X, y)
    declared = clone(inner).set_params(error_model=ErrorModel(correlation_length=0.2))
    outer = ConservationConstrainedRegressor(declared, Bounds(lower=-9.0), GRID).fit(X, y)
    with pytest.raises(ValueError, match=r"outermost.*correlation_length"):
        outer.predict(X)
    inside = clone(inner).set_params(calibration=None)
    outer.set_params(estimator=inside, calibration=(X, y)).fit(X, y)
    np.testing.assert_allclose(outer.predict_std(X), inner.predict_std(X), rtol=1e-9)


def test_a_second_fit_forgets_residuals():
    X, y = data(STATED * np.random.default_rng(14).standard_normal((12, 41)))
    model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, error_model="residual").fit(X, y)
    assert model.residual_std_.shape == (41,)
    assert not hasattr(model.set_params(error_model="stated").fit(X, y), "residual_std_")


def test_long_tables():
    rng = np.random.default_rng(11)
    fields = 1.0 + 0.2 * chained(160, 0.2, rng)
    t = np.repeat(np.arange(160.0), 41)
    mass = np.repeat(np.trapezoid(fields, POINTS, axis=1), 41)
    X = np.column_stack([t, np.tile(POINTS, 160), mass])
    grid = ColumnGrid(space=1, by=[0, 2], domain=(0, 1))
    law = ConservationLaw(over="x1", total=Column(2))
    model = ConservationConstrainedRegressor(
        BayesianRidge(), law, grid, error_model="calibrated", drop_value_columns=True
    )
    shuffled = rng.permutation(len(X))
    model.fit(X[shuffled], fields.ravel()[shuffled])
    alone = clone(model.estimator).fit(X, fields.ravel())
    residuals = fields.ravel() - alone.predict(X)
    assert model.residual_std_ == pytest.approx(residuals.std(), rel=0.05)
    mean = model.predict(X).reshape(160, 41)
    np.testing.assert_allclose(np.trapezoid(mean, POINTS, axis=1), mass[::41], rtol=1e-12)


def test_two_axes():
    rng = np.random.default_rng(12)
    grid = Grid(x=np.linspace(0, 1, 5), z=np.linspace(0, 2, 7))
    dense = np.exp(-abs(grid.points[:, None, 1] - grid.points[:, 1]) / 1.0)
    dense *= grid.points[:, None, 0] == grid.points[:, 0]
    root = np.linalg.cholesky(dense + 1e-12 * np.eye(35))
    y = rng.standard_normal((300, 35)) @ root.T
    X = np.column_stack([np.arange(300), y @ grid.weights()])

    class Flat(Told):
        def predict(self, X, return_std=False):
            mean = np.zeros((len(X), 35))
            return (mean, mean + 1.0) if return_std else mean

    law = ConservationLaw(total=Column(1))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Flat()), law, grid, calibration=(X, y)
    ).fit(X, y)
    found = model.error_model_.correlation_.to_dense()
    assert np.sqrt(np.mean((found - dense) ** 2)) < 0.07


def fronts(n_fields, width, rng):
    """Return fronts, and what is predicted of them: they stand too far left or right."""
    places = rng.uniform(0.4, 0.6, (n_fields, 1))
    shift = width * rng.standard_normal((n_fields, 1))
    profile = [1.0 / (1.0 + np.exp((POINTS - p) / 0.05)) for p in (places, places + shift)]
    truth = profile[1] + 0.01 * rng.standard_normal((n_fields, 41))
    X = np.column_stack([np.arange(n_fields), np.trapezoid(truth, POINTS, axis=1)])
    return X, truth, Stored(profile[0][None], np.full((1, n_fields, 41), 0.01))


@pytest.mark.parametrize("error_model", ["auto", "calibrated", ErrorModel(displacement=0.05)])
def test_fronts_in_the_wrong_place_are_displaced(error_model):
    """The law says how far: errors fall to what a correction in proportion leaves, and below."""
    X, y, told = fronts(200, 0.05, np.random.default_rng(17))
    backbone = FrozenEstimator(told)
    given = {} if isinstance(error_model, ErrorModel) else {"calibration": (X[:100], y[:100])}
    model, plain = (
        ConservationConstrainedRegressor(backbone, LAW, GRID, error_model=e, **c).fit(X, y)
        for e, c in ((error_model, given), ("stated", {}))
    )
    error, before = (np.mean((m.predict(X[100:]) - y[100:]) ** 2) for m in (model, plain))
    assert error < 0.1 * before
    if given:
        moves = [part.displacement for part in model.error_model_.parts_ if part.displacement]
        assert moves and all(0.03 < move.width < 0.12 for move in moves)
        score = model.error_model_.score_
        assert score.crps < 0.5 * score.simplest_crps and score.n_fields == 100
        assert score.mse < score.simplest_mse
    row = GRID.weights()
    mean, std = model.predict(X[100:], return_std=True)
    np.testing.assert_allclose(mean @ row, X[100:, 1], rtol=1e-12)
    draws = model.sample_y(X[100:110], 2000, random_state=0)
    np.testing.assert_allclose(
        np.einsum("bnd,n->bd", draws, row), np.tile(X[100:110, 1:], 2000), rtol=1e-12
    )
    # The tails are heavy, so the deviation of draws scatters from point to point.
    assert np.median(draws.std(axis=-1) / std[:10]) == pytest.approx(1.0, rel=0.05)
    cov = model.predict(X[100:110], return_cov=True)[1]
    assert np.abs(cov @ row).max() < 1e-12 * cov.max()


def test_without_a_law_nothing_is_displaced():
    X, y, told = fronts(40, 0.05, np.random.default_rng(18))
    for given in ({"calibration": (X, y)}, {"error_model": ErrorModel(displacement=0.05)}):
        model = ConservationConstrainedRegressor(FrozenEstimator(told), None, GRID, **given)
        np.testing.assert_allclose(model.fit(X, y).predict(X), told.predict(X), atol=1e-12)


@pytest.mark.parametrize(
    "params", [{"error_model": "calibrated"}, {"error_model": ErrorModel(members="marginal")}]
)
def test_sklearn_checks(params):
    forest = RandomForestRegressor(n_estimators=3, random_state=0)
    check_estimator(ConservationConstrainedRegressor(forest, **params), on_skip=None)


def test_rows_that_repeat_each_other_stay_in_one_fold():
    """A neighbour that was seen says nothing of errors of fields that were not."""
    seen = np.random.default_rng(0).uniform(size=(12, 1))
    X, y = np.repeat(seen, 3, axis=0), np.repeat(np.sin(seen * (1.0 + POINTS)), 3, axis=0)
    law = ConservationLaw(over="x", total=0.5, noise=0.5)
    model = ConservationConstrainedRegressor(KNeighborsRegressor(1), law, GRID).fit(X, y)
    distance = abs(seen - seen.T) + np.eye(12)
    others = np.sin(seen[distance.argmin(axis=1)] * (1.0 + POINTS))  # at best, what others say
    least = np.mean((others - y[::3]) ** 2)
    assert model.n_held_out_ == 36
    assert model.error_model_.score_.mse > 0.5 * least


def test_rows_with_texts_that_repeat_each_other():
    depths = [0.5, 1.0, 1.5, 0.5, 1.0, 1.5, 0.5, 2.0, 1.5, 0.5, 2.0, 2.0]
    seen = pd.DataFrame({"site": list("abcdef") * 2, "depth": depths})
    groups = _repeats(pd.concat([seen, seen]))
    assert len(np.unique(groups)) == len(seen.drop_duplicates())
    assert np.array_equal(groups[:12], groups[12:])


def test_of_few_fields_the_size_of_errors_of_members_is_learned():
    """What trees differ by says how much they vary; of four fields no more is learned."""
    slopes = np.array([[1.0], [2.0], [3.0], [4.0]])
    y = np.exp(-slopes * POINTS)
    X = np.column_stack([slopes, np.trapezoid(y, POINTS, axis=1)])
    model, stated = (
        ConservationConstrainedRegressor(
            RandomForestRegressor(30, random_state=0), LAW, GRID, error_model=name
        ).fit(X, y)
        for name in ("auto", "stated")
    )
    assert model.n_held_out_ == 4
    part = only(model.error_model_.parts_)
    assert part.as_stated and part.spread.ndim == 0
    variance = stated.predict_std(X) ** 2
    assert np.all(model.predict_std(X) ** 2 >= 0.99 * part.spread**2 * variance)
    assert part.spread > 1.1


def test_the_report_looks_at_all_ways_to_err():
    """Before the law: the covariance of all parts, and of fields moved to both sides."""
    y = np.exp(-0.5 * ((POINTS - 0.5) / 0.1) ** 2)[None]
    model = ErrorModel(displacement=0.05, scale=2.0)
    backbone = FrozenEstimator(Stored(y[None], np.broadcast_to(STATED, (1, *y.shape))))
    X = np.array([[0.0, 0.25]])
    constrained = ConservationConstrainedRegressor(backbone, LAW, GRID, error_model=model)
    constrained.fit(X, y)
    factors = {
        "shift": 1.0 + 0.0 * POINTS,
        "stretch": POINTS,
        "flip": 1.0 - POINTS,
        "bump": 4.0 * POINTS * (1.0 - POINTS),
    }
    weights = np.full(len(POINTS), POINTS[1])
    weights[[0, -1]] /= 2.0
    variance = 4.0 * (weights**2) @ STATED**2
    for factor in factors.values():  # half of the weight is on four displacements
        for far in (-0.05, 0.05):
            moved = np.interp(POINTS - far * factor, POINTS, y[0])
            variance += 0.5 / 4.0 / 2.0 * (weights @ (moved - y[0])) ** 2
    found = constrained.constraint_report(X)
    expected = (0.25 - weights @ y[0]) / np.sqrt(variance)
    np.testing.assert_allclose(found.z, [[expected]], rtol=1e-10)

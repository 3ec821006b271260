"""The error model that calibration data choose, against data drawn from a known one."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.utils.estimator_checks import check_estimator

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Bounds, Column, ConservationLaw
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


@pytest.mark.parametrize("length", [None, 0.05, 0.2])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_recovers_length_and_scale(length, scale):
    rng = np.random.default_rng(0)
    unit = rng.standard_normal((800, 41)) if length is None else chained(800, length, rng)
    X, y = data(scale * STATED * unit)
    found = constrained(Told(), X, y, uncertainty="calibrated").error_model_
    assert found.scale == pytest.approx(scale, rel=0.05)
    if length is None:  # the smallest candidate is less than half the spacing
        assert found.correlation_length is None or found.correlation_length["x"] <= 0.01
    else:
        assert length / 2.1 <= found.correlation_length["x"] <= 2.1 * length
    assert found.law_exponent == 0.0  # errors of all fields are alike


@pytest.mark.parametrize(("scale", "expected"), [(0.5, 1.0), (3.0, 3.0)])
def test_the_default_only_widens(scale, expected):
    X, y = data(scale * STATED * np.random.default_rng(1).standard_normal((400, 41)))
    model = constrained(Told(), X, y, correlation_length=None)
    assert model.error_model_.scale == pytest.approx(expected, rel=0.05)
    assert model.error_model_.correlation_length is None


@pytest.mark.parametrize("uncertainty", ["auto", "calibrated"])
def test_few_points_do_not_set_the_scale_of_all(uncertainty):
    X, y = data(STATED * np.random.default_rng(14).standard_normal((200, 41)))
    sure = np.where(np.arange(41) == 20, 1e-3 * STATED, STATED)
    found = constrained(Told(sure), X, y, uncertainty=uncertainty).error_model_
    assert found.scale == 1.0


def test_scaled_std_is_that_of_the_dense_formula():
    X, y = data(2.0 * STATED * np.random.default_rng(2).standard_normal((100, 41)))
    model = constrained(Told(), X, y, correlation_length=0.1)
    scale = model.error_model_.scale
    prior = scale**2 * np.outer(STATED, STATED) * np.exp(-abs(POINTS[:, None] - POINTS) / 0.1)
    row = GRID.weights()
    gain = prior @ row / (row @ prior @ row)
    posterior = prior - np.outer(gain, row @ prior)
    mean, std = model.predict(X[:3], return_std=True)
    np.testing.assert_allclose(mean, X[:3, 1:] * gain, atol=1e-12)
    np.testing.assert_allclose(std, np.tile(np.sqrt(np.diag(posterior)), (3, 1)), rtol=1e-9)


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


@pytest.mark.parametrize(("along_error", "expected"), [(True, "moments"), (False, "marginal")])
def test_chooses_what_members_mean(along_error, expected):
    rng = np.random.default_rng(3)
    spread, errors = members(300, along_error, rng)
    X, y = data(errors)
    model = constrained(ToldMembers(0.05, spread), X, y)
    assert model.error_model_.members == expected
    asked = constrained(ToldMembers(0.05, spread), X, y, members="moments")
    assert asked.error_model_.members == "moments"


def test_marginal_members_are_their_standard_deviations():
    spread, errors = members(5, True, np.random.default_rng(4))
    X, y = data(errors)
    told = FrozenEstimator(ToldMembers(0.05, spread))
    one = ConservationConstrainedRegressor(told, LAW, GRID, members="marginal").fit(X, y)
    variance = spread.std(axis=0) ** 2 + 0.05**2
    row = GRID.weights()
    along = variance * row
    expected = along * (X[:, 1:] / (along @ row)[:, None])
    np.testing.assert_allclose(one.predict(X), expected, atol=1e-12)


@pytest.mark.parametrize("params", [{"members": "moments"}, {"members": "marginal"}])
def test_members_that_differ_by_rounding_agree(params):
    spread = np.ones((3, 1, 41))
    spread[0, 0, [5, 20]] += 2.0**-52
    X, y = data(np.zeros((1, 41)))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(ToldMembers(0.0, spread)), LAW, GRID, **params
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
    return X, y, constrained(Told(), X, y, uncertainty="calibrated")


def test_variance_follows_the_law(uneven):
    X, y, model = uneven
    found = model.error_model_
    assert found.law_exponent > 0.3
    std = model.predict_std(X)
    far = np.argsort(abs(X[:, 1]))
    assert std[far[-1]].mean() > 2.0 * std[far[0]].mean()
    without = clone(model)
    without.set_params(correlation_length=found.correlation_length).fit(X, y)
    plain = without.predict(X)
    np.testing.assert_allclose(model.predict(X), plain, atol=1e-12)  # the mean is not moved
    length = found.correlation_length["x"]
    prior = np.outer(STATED, STATED) * np.exp(-abs(POINTS[:, None] - POINTS) / length)
    row = GRID.weights()
    z2 = X[:, 1] ** 2 / (found.scale**2 * (row @ prior @ row))
    assert found.law_level == pytest.approx(z2.mean(), rel=1e-9)
    posterior = prior - np.outer(prior @ row, row @ prior) / (row @ prior @ row)
    factor = (0.5 * (1.0 + z2 / z2.mean())) ** found.law_exponent
    expected = found.scale * np.sqrt(factor[:, None] * np.diag(posterior))
    np.testing.assert_allclose(std, expected, rtol=1e-8)


def test_everything_obeys_the_law(uneven):
    X, _, model = uneven
    row = GRID.weights()
    mean, cov = model.predict(X[:4], return_cov=True)
    std = model.predict_std(X[:4])
    np.testing.assert_allclose(mean @ row, X[:4, 1], rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2, rtol=1e-9)
    assert np.abs(cov @ row).max() < 1e-12 * cov.max()
    draws = model.sample_y(X[:4], 2000, random_state=0)
    assert np.abs(np.einsum("bns,n->bs", draws, row) - X[:4, 1:]).max() < 1e-12
    np.testing.assert_allclose(draws.std(axis=-1), std, rtol=0.15)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_std(X[:4]), std)
    assert again.error_model_ == model.error_model_


def test_calibration_makes_held_out_fields_likelier(uneven):
    X, y, model = uneven
    rng = np.random.default_rng(6)
    new = np.exp(rng.normal(size=(200, 1))) * STATED * chained(200, 5.0, rng)
    new_X, new_y = data(new)
    plain = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID).fit(X, y)

    def score(estimator):
        mean, std = estimator.predict(new_X, return_std=True)
        return np.mean(-0.5 * ((new_y - mean) / std) ** 2 - np.log(std))

    assert score(model) > score(plain) + 0.5


def test_without_calibration_nothing_is_chosen():
    X, y = data(np.random.default_rng(7).standard_normal((30, 41)))
    model = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID).fit(X, y)
    found = model.error_model_
    assert (found.members, found.correlation_length, found.scale) == ("moments", None, 1.0)
    explicit = clone(model).set_params(correlation_length=None, members="moments").fit(X, y)
    np.testing.assert_array_equal(model.predict_std(X), explicit.predict_std(X))


def test_backbones_that_state_nothing_get_a_scale():
    rng = np.random.default_rng(13)
    X = rng.uniform(size=(100, 2))
    y = X[:, :1] * POINTS + 0.2 * rng.standard_normal((100, 41))
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, uncertainty="calibrated")
        model.fit(X, y)
        mean, std = model.predict(X, return_std=True)
    assert model.error_model_.scale == pytest.approx(0.2, rel=0.1)
    assert np.std((y - mean) / std) == pytest.approx(1.0, rel=0.1)


def test_out_of_fold():
    rng = np.random.default_rng(8)
    X = rng.uniform(size=(60, 2))
    y = np.sin(3.0 * X[:, :1]) * POINTS + 0.1 * rng.standard_normal((60, 41))
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    ensemble = EnsembleRegressor(Ridge(), n_members=5, bootstrap=True, random_state=0)
    model = ConservationConstrainedRegressor(ensemble, LAW, GRID, uncertainty="calibrated")
    model.fit(X, y)
    assert model.error_model_.scale > 2.0  # the bootstrap does not see the noise
    mean, std = model.predict(X, return_std=True)
    assert 0.8 < np.mean(((y - mean) / std) ** 2) ** 0.5 < 1.1
    assert model.estimator_.n_members == 5  # the backbone kept is the one fitted on everything


def test_frozen_backbones_need_calibration():
    X, y = data(np.zeros((6, 41)))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Told()), LAW, GRID, uncertainty="calibrated"
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


@pytest.mark.parametrize("uncertainty", ["auto", "calibrated"])
def test_perfect_predictions_say_nothing_of_their_scale(uncertainty):
    X, y = data(np.zeros((30, 41)))
    model = constrained(Told(), X, y, uncertainty=uncertainty)
    assert model.error_model_.scale == 1.0
    assert model.predict_std(X[:1]).max() > 0.0
    constant = ConservationConstrainedRegressor(DummyRegressor(), uncertainty="calibrated")
    assert constant.fit(X, y + 1.0).error_model_.scale == 1.0


def test_law_with_noise_settles_the_scale():
    rng = np.random.default_rng(9)
    X, y = data(3.0 * STATED * rng.standard_normal((300, 41)))
    X[:, 1] += 0.05 * rng.standard_normal(300)
    law = ConservationLaw(over="x", total=Column(1), noise=0.05)
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Told()), law, GRID, calibration=(X, y)
    ).fit(X, y)
    assert model.error_model_.scale == pytest.approx(3.0, rel=0.05)


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
    assert inner.error_model_.correlation_length is not None
    outer = ConservationConstrainedRegressor(inner, Bounds(lower=-9.0), GRID).fit(X, y)
    with pytest.raises(ValueError, match=r"calibration data.*set correlation_length=None"):
        outer.predict(X)
    inside = clone(inner).set_params(calibration=None)
    outer.set_params(estimator=inside, calibration=(X, y)).fit(X, y)
    np.testing.assert_allclose(outer.predict_std(X), inner.predict_std(X), rtol=1e-9)


def test_a_second_fit_forgets_residuals():
    X, y = data(STATED * np.random.default_rng(14).standard_normal((12, 41)))
    model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, uncertainty="residual").fit(X, y)
    assert model.residual_std_.shape == (41,)
    assert not hasattr(model.set_params(uncertainty="auto").fit(X, y), "residual_std_")


def test_long_tables():
    rng = np.random.default_rng(11)
    fields = 1.0 + 0.2 * chained(160, 0.2, rng)
    t = np.repeat(np.arange(160.0), 41)
    mass = np.repeat(np.trapezoid(fields, POINTS, axis=1), 41)
    X = np.column_stack([t, np.tile(POINTS, 160), mass])
    grid = ColumnGrid(space=1, by=[0, 2], domain=(0, 1))
    law = ConservationLaw(over="x1", total=Column(2))
    model = ConservationConstrainedRegressor(
        BayesianRidge(), law, grid, uncertainty="calibrated", drop_value_columns=True
    )
    shuffled = rng.permutation(len(X))
    model.fit(X[shuffled], fields.ravel()[shuffled])
    found = model.error_model_
    assert 0.05 <= found.correlation_length["x1"] <= 0.5
    mean = model.predict(X).reshape(160, 41)
    np.testing.assert_allclose(np.trapezoid(mean, POINTS, axis=1), mass[::41], rtol=1e-12)


@pytest.mark.parametrize("nodes", [None, [np.linspace(0.0, 1.0, 70)] * 2])
def test_tables_whose_correlations_cannot_be_stated(nodes):
    rng = np.random.default_rng(13)
    z = [0.5] if nodes is None else [0.0, 1.0]  # one point along z, or too many nodes
    X = np.array([(t, x, at) for t in range(6) for x in np.linspace(0, 1, 4) for at in z])
    grid = ColumnGrid(space=[1, 2], by=0, nodes=nodes)
    law = ConservationLaw(over="x1" if nodes is None else ["x1", "x2"], total=1.0, noise=0.1)
    model = ConservationConstrainedRegressor(
        BayesianRidge(), law, grid, uncertainty="calibrated"
    ).fit(X, 1.0 + 0.1 * rng.standard_normal(len(X)))
    assert "x2" not in (model.error_model_.correlation_length or {})
    assert np.isfinite(model.predict_std(X)).all()


def test_two_axes():
    rng = np.random.default_rng(12)
    grid = Grid(x=np.linspace(0, 1, 9), z=np.linspace(0, 2, 11))
    dense = np.exp(-abs(grid.points[:, None, 1] - grid.points[:, 1]) / 1.0)
    dense *= grid.points[:, None, 0] == grid.points[:, 0]
    root = np.linalg.cholesky(dense + 1e-12 * np.eye(99))
    y = rng.standard_normal((300, 99)) @ root.T
    X = np.column_stack([np.arange(300), y @ grid.weights()])

    class Flat(Told):
        def predict(self, X, return_std=False):
            mean = np.zeros((len(X), 99))
            return (mean, mean + 1.0) if return_std else mean

    law = ConservationLaw(total=Column(1))
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Flat()), law, grid, calibration=(X, y)
    ).fit(X, y)
    assert set(model.error_model_.correlation_length) == {"z"}
    assert 0.4 <= model.error_model_.correlation_length["z"] <= 2.0


@pytest.mark.parametrize("params", [{"uncertainty": "calibrated"}, {"members": "marginal"}])
def test_sklearn_checks(params):
    forest = RandomForestRegressor(n_estimators=3, random_state=0)
    check_estimator(ConservationConstrainedRegressor(forest, **params), on_skip=None)

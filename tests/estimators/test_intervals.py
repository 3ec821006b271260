"""Intervals of constrained fields: Gaussian, of mixtures, conformal; of points and whole fields."""

import pickle
from math import ceil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from scipy.stats import binom, norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, PointwiseRegressor
from skphys.conditioning import Diagonal, Gaussian, Mixture, condition
from skphys.constraints import Bounds, Column, ConservationLaw, Dirichlet
from skphys.estimators import BaseErrorModel
from skphys.grids import ColumnGrid, Grid
from skphys.inspection import CoverageDisplay
from skphys.metrics import coverage as part_inside
from skphys.metrics import gaussian_nll, log_likelihood_scorer

POINTS = np.linspace(0.0, 1.0, 21)
GRID = Grid(x=POINTS)
LAW = ConservationLaw(over="x", total=Column(1))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Told(RegressorMixin, BaseEstimator):
    """A trained backbone: predicts zero, and standard deviations that follow column 0 of X."""

    def fit(self, X, y):
        raise AssertionError("it is trained")

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X, return_std=False):
        X = np.asarray(X, dtype=float)
        mean = np.zeros((len(X), len(POINTS)))
        return (mean, mean + X[:, :1]) if return_std else mean


def data(n_fields, rng, law=True):
    """Errors of every size, alike along the field, with heavy tails; the sizes are half known."""
    size = rng.uniform(0.2, 2.0, n_fields)
    noise = rng.standard_t(4, (n_fields, len(POINTS)))
    noise = 0.7 * noise + rng.standard_t(4, (n_fields, 1)) * np.sin(3.0 * POINTS)
    y = size[:, None] * (0.2 + POINTS) * noise
    X = np.column_stack([size * rng.uniform(0.5, 1.0, n_fields), np.trapezoid(y, POINTS, axis=1)])
    return X, y


def told(calibration=None, **params):
    X, y = data(20, np.random.default_rng(0))
    params = {"constraints": LAW, "grid": GRID, **params}
    backbone = FrozenEstimator(Told())
    return ConservationConstrainedRegressor(backbone, calibration=calibration, **params).fit(X, y)


def scores(model, X, y):
    mean, std = model.predict(X, return_std=True)
    return abs(y - mean) / std


class TwoWays(BaseErrorModel):
    """Fields are as predicted, or larger by one and surer."""

    def prior(self, fields):
        mean = fields.prediction.mean
        variance = np.broadcast_to(fields.prediction.std, mean.shape) ** 2
        return [Gaussian(mean, Diagonal(variance)), Gaussian(mean + POINTS, Diagonal(variance / 9))]


class TwoWaysUneven(TwoWays):
    """The same, with weights that differ between fields."""

    def posterior(self, fields, inequalities="projected"):
        members = super().posterior(fields).members
        weight = np.linspace(0.1, 0.9, len(fields.prediction.mean))
        return Mixture(members, np.stack([weight, 1.0 - weight]))


def by_hand(X):
    """Condition both ways densely; means and standard deviations, (2, n_fields, n_points)."""
    weights = np.full(len(POINTS), POINTS[1])
    weights[[0, -1]] /= 2
    means, stds = [], []
    for shift, part in ((0.0, 1.0), (POINTS, 1.0 / 9.0)):
        for x in X:
            S = part * x[0] ** 2 * np.eye(len(POINTS))
            mean = np.zeros(len(POINTS)) + shift
            gain = S @ weights / (weights @ S @ weights)
            means.append(mean + gain * (x[1] - weights @ mean))
            stds.append(np.sqrt(np.diag(S - np.outer(gain, weights @ S))))
    shape = (2, len(X), len(POINTS))
    return np.reshape(means, shape), np.reshape(stds, shape)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_conformal_rank_by_hand(simultaneous, rng):
    held_out = data(37, rng)
    X, _ = data(5, rng)
    model = told(held_out, error_model="stated")
    assert model.n_held_out_ == 37
    mean, std = model.predict(X, return_std=True)
    distances = scores(model, *held_out)
    if simultaneous:
        distances = distances.max(axis=1, keepdims=True)
    for level in (0.1, 0.5, 0.9, 0.97):
        rank = ceil(38 * level)
        q = np.array([sorted(column)[rank - 1] for column in distances.T])
        options = {"method": "conformal", "simultaneous": simultaneous}
        lower, upper = model.predict_interval(X, level, **options)
        assert_allclose(lower, mean - q * std, rtol=1e-12, atol=1e-13)
        assert_allclose(upper, mean + q * std, rtol=1e-12, atol=1e-13)


def test_bands_for_whole_fields_rest_on_held_out_ones(rng):
    held_out, (X, _) = data(37, rng), data(5, rng)
    model = told(held_out, error_model="stated")
    for level, method in ((0.9, "conformal"), (0.99, "mixture")):  # which takes 99 of them
        band = model.predict_interval(X, level, simultaneous=True)
        expected = model.predict_interval(X, level, method=method, simultaneous=True)
        assert np.array_equal(band, expected)
    pointwise = model.predict_interval(X, 0.9)
    assert np.array_equal(pointwise, model.predict_interval(X, 0.9, method="mixture"))


def test_conformal_ranks_do_not_suffer_from_rounding(rng):
    """100 * 0.07 is above 7 in floats."""
    held_out = data(99, rng)
    model = told(held_out, error_model="stated")
    half = model.predict_interval(held_out[0][:1], 0.07, method="conformal")[1]
    mean, std = model.predict(held_out[0][:1], return_std=True)
    assert_allclose(half, mean + np.sort(scores(model, *held_out), axis=0)[6] * std, rtol=1e-12)


@pytest.mark.parametrize("error_model", ["stated", "auto", "residual"])
def test_conformal_coverage_over_splits(error_model):
    n_held_out, n_test, n_splits = 29, 200, 8 if error_model == "auto" else 20
    levels, found = (0.5, 0.9), {}
    for seed in range(n_splits):
        rng = np.random.default_rng(seed)
        model = told(data(n_held_out, rng), error_model=error_model)
        X, y = data(n_test, rng)
        for level in levels:
            for whole in (False, True):
                ends = model.predict_interval(X, level, method="conformal", simultaneous=whole)
                inside = part_inside(y, *ends, simultaneous=whole)
                found.setdefault((level, whole), []).append(inside)
    for level in levels:
        # The level of one split is Beta distributed, and each is counted on 200 fields. Points of a
        # field err together, so theirs has at most this error.
        error = np.sqrt(level * (1 - level) * (1 / (n_held_out + 2) + 1 / n_test) / n_splits)
        for whole in (False, True):
            mean = np.mean(found[level, whole])
            assert mean < level + 1 / (n_held_out + 1) + 3 * error
            # By an error model that learned from the same fields "residual" would hold 0.83 of 0.9.
            assert mean > level - 3 * error


class SizeAtPoints(BaseErrorModel):
    """Errors are as large as they were at each point."""

    def fit(self, held_out):
        fitted = SizeAtPoints()
        errors = np.concatenate([part.truth - part.fields.prediction.mean for part in held_out])
        fitted.std, fitted.seen = np.sqrt(np.mean(errors**2, axis=0)), len(errors)
        return fitted

    def prior(self, fields):
        return Gaussian(fields.prediction.mean, Diagonal(self.std**2))


def test_distances_are_those_of_fields_that_were_not_learned_from(rng):
    """An error model of one's own is fitted on half of the fields, and judged on the others."""
    X, y = data(50, rng)
    model = told((X, y), error_model=SizeAtPoints())
    assert model.error_model_.seen == model.n_held_out_ == 50
    half, expected = np.random.default_rng(0).permutation(50) % 2 == 0, []
    for own in (half, ~half):
        other = told((X[~own], y[~own]), error_model=SizeAtPoints())
        expected += list(scores(other, X[own], y[own]).max(axis=1))
    mean, std = model.predict(X[:2], return_std=True)
    ends = model.predict_interval(X[:2], 0.9, method="conformal", simultaneous=True)
    half = np.sort(expected)[ceil(51 * 0.9) - 1] * std
    assert_allclose(ends, [mean - half, mean + half], rtol=1e-9, atol=1e-12)


def test_a_point_where_one_field_alone_errs_makes_no_infinite_interval(rng):
    X, y = data(30, rng)
    y[:, 0] = 0.0
    y[0, 0] = 0.5  # where the others say that it is sure
    X[:, 1] = np.trapezoid(y, POINTS, axis=1)
    for error_model in ("residual", "auto"):
        model = told((X, y), error_model=error_model)
        for level in (0.9, 0.96):
            ends = model.predict_interval(X, level, method="conformal", simultaneous=True)
            assert np.isfinite(ends).all()


def test_too_few_held_out_fields(rng):
    model = told(data(8, rng), error_model="stated")
    with pytest.raises(ValueError, match=r"coverage 0.9 needs 9 held-out fields; there are 8"):
        model.predict_interval(data(2, rng)[0], 0.9, method="conformal")
    model.predict_interval(data(2, rng)[0], 0.88, method="conformal")
    told(data(9, rng), error_model="stated").predict_interval(
        data(2, rng)[0], 0.9, method="conformal"
    )
    with pytest.raises(ValueError, match="needs 199 held-out fields; there are 8"):
        model.predict_interval(data(2, rng)[0], 0.995, method="conformal", simultaneous=True)


def test_no_held_out_fields(rng):
    X, _ = data(3, rng)
    model = told()
    assert model.n_held_out_ == 0
    with pytest.raises(ValueError, match=r"give calibration=\(X, y\), or error_model='calibrated'"):
        model.predict_interval(X, method="conformal")
    with pytest.raises(ValueError, match=r"method must be one of .*; got 'exact'"):
        model.predict_interval(X, method="exact")
    with pytest.raises(ValueError, match="coverage must be strictly between 0 and 1"):
        model.predict_interval(X, 1.0, method="conformal")


def test_out_of_fold_fields_serve_too(rng):
    X, y = data(120, rng)
    for error_model in ("calibrated", "residual", "auto"):
        model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, error_model=error_model)
        model.fit(X[:60], y[:60])
        assert model.n_held_out_ == 60
        lower, upper = model.predict_interval(X[60:], 0.8, method="conformal", simultaneous=True)
        inside = part_inside(y[60:], lower, upper, simultaneous=True)
        assert abs(inside - 0.8) < 4 * np.sqrt(0.8 * 0.2 * 2 / 60)


def test_few_fields_out_of_fold(rng):
    """With fewer than ten fields it is the size of residuals that is taken."""
    X, y = data(9, rng)
    model = ConservationConstrainedRegressor(Ridge(), LAW, GRID, error_model="residual").fit(X, y)
    assert model.n_held_out_ == 9
    assert np.isfinite(model.predict_interval(X, 0.9, method="conformal")).all()


def test_boundary_operators(rng):
    y = np.sin(np.pi * POINTS) * rng.normal(size=(40, 1)) + 0.1 * POINTS * (1 - POINTS) * (
        rng.normal(size=(40, 1))
    )
    X = y[:, [5, 10]]
    conditions = {"x": Dirichlet(0.0)}
    model = BoundaryEnforcedOperator(Ridge(), conditions, GRID, uncertainty="residual").fit(X, y)
    assert model.n_held_out_ == 40
    ends = model.predict_interval(X, 0.9, method="conformal", simultaneous=True)
    assert part_inside(y, *ends, simultaneous=True) > 0.8
    for end in ends:
        assert_allclose(end[:, [0, -1]], 0.0, atol=1e-12)  # known points have no width
    stated = BoundaryEnforcedOperator(Ridge(), conditions, GRID).fit(X, y)
    with pytest.raises(ValueError, match="or uncertainty='residual'"):
        stated.predict_interval(X, method="conformal")


def test_conformal_needs_no_stated_uncertainty(rng):
    """Unit variance has no scale, which is measured here; so nothing warns."""
    X, y = data(60, rng)
    backbone = FrozenEstimator(Ridge().fit(X[:30], y[:30]))
    model = ConservationConstrainedRegressor(
        backbone, LAW, GRID, error_model="identity", calibration=(X[30:], y[30:])
    ).fit(X[:30], y[:30])
    lower, upper = model.predict_interval(X, 0.8, method="conformal")
    assert 0.6 < part_inside(y, lower, upper) < 1.0


def test_points_without_std(rng):
    """They have no width where held-out fields were right, and no end where they were not."""

    class Sure(Told):
        def predict(self, X, return_std=False):
            predicted = super().predict(X, return_std)
            if return_std:
                predicted[1][:, :2] = 0.0
            return predicted

    def some(n_fields):
        X, y = data(n_fields, rng)
        y[:, 0] = 0.0
        X[:, 1] = np.trapezoid(y, POINTS, axis=1)
        return X, y

    X, y = some(20)
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Sure()), LAW, GRID, calibration=some(50), error_model="stated"
    ).fit(X, y)
    lower, upper = model.predict_interval(X, 0.9, method="conformal")
    assert_array_equal(upper[:, 0] - lower[:, 0], 0.0)
    assert np.isinf(upper[:, 1]).all() and np.isinf(lower[:, 1]).all()
    assert np.isfinite(upper[:, 2:]).all()


def test_gaussians_are_mixtures_of_one(rng):
    X, y = data(12, rng)
    model = told()
    mean, std = model.predict(X, return_std=True)
    plain = model.predict_interval(X, 0.8)
    assert_allclose(plain[1], mean + norm.ppf(0.9) * std, rtol=1e-13)
    for method in ("gaussian", "mixture"):
        assert_array_equal(model.predict_interval(X, 0.8, method=method), plain)
        assert_array_equal(
            model.predict_interval(X, 0.8, method=method, simultaneous=True),
            model.predict_interval(X, 0.8, simultaneous=True),
        )
    found = model.predict_quantiles(X, [0.1, 0.5, 0.9])
    assert found.shape == (12, 21, 3)
    assert_allclose(np.moveaxis(found, -1, 0), [plain[0], mean, plain[1]], rtol=1e-12, atol=1e-13)
    assert_allclose(model.log_prob(X, y), norm.logpdf(y, mean, std).mean(axis=1))
    assert_allclose(log_likelihood_scorer(model, X, y), -gaussian_nll(y, mean, std))


def test_mixtures_by_root_finding(rng):
    X, y = data(4, rng)
    model = told(error_model=TwoWays())
    means, stds = by_hand(X)
    found = model.predict_quantiles(X, [0.05, 0.5, 0.9])
    lower, upper = model.predict_interval(X, 0.9)
    for i, j in ((0, 0), (1, 7), (2, 20), (3, 11)):

        def cdf(value, level, at=(i, j)):
            return norm.cdf(value, means[:, *at], stds[:, *at]).mean() - level

        for level, value in (
            *zip((0.05, 0.5, 0.9), found[i, j], strict=True),
            (0.05, lower[i, j]),
            (0.95, upper[i, j]),
        ):
            assert value == pytest.approx(brentq(cdf, -30, 30, (level,), xtol=1e-13), abs=1e-10)
    density = norm.pdf(y, means, stds).mean(axis=0)
    assert_allclose(model.log_prob(X, y), np.log(density).mean(axis=1))
    assert log_likelihood_scorer(model, X, y) == pytest.approx(np.log(density).mean())
    mean, std = model.predict(X, return_std=True)
    ends = model.predict_interval(X, 0.9, method="gaussian")
    assert_allclose(ends[1], mean + norm.ppf(0.95) * std)


def test_mixtures_by_sampling(rng):
    X, _ = data(5, rng)
    model = told(error_model=TwoWaysUneven())
    draws = model.sample_y(X, 40_000)
    found = model.predict_quantiles(X, (0.1, 0.5, 0.8))
    below = (draws[..., None] <= found[:, :, None, :]).mean(axis=2)
    assert_allclose(below, np.broadcast_to([0.1, 0.5, 0.8], below.shape), atol=0.015)


@pytest.mark.parametrize("error_model", ["auto", TwoWays(), TwoWaysUneven()])
@pytest.mark.parametrize("method", ["gaussian", "mixture"])
def test_simultaneous_bands_hold_draws(error_model, method, rng):
    X, _ = data(6, rng)
    model = told(error_model=error_model)
    upper = model.predict_interval(X, 0.8, method=method, simultaneous=True)[1]
    mean, std = model.predict(X, return_std=True)
    factor = (upper - mean) / std
    assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape))  # the same at all points
    if method == "gaussian" and error_model != "auto":
        covs = model.predict(X, return_cov=True)[1]
        draws = np.stack(
            [rng.multivariate_normal(m, c, 20_000).T for m, c in zip(mean, covs, strict=True)]
        )
    else:
        draws = model.sample_y(X, 20_000, random_state=1)
    inside = (abs(draws - mean[..., None]) <= (upper - mean)[..., None] + 1e-12).all(axis=1)
    assert_allclose(inside.mean(axis=1), 0.8, atol=4 * np.sqrt(0.8 * 0.2 / 1000))


@pytest.mark.filterwarnings("ignore:The training targets break inequality:UserWarning")
def test_after_inequalities_mixtures_move_with_the_mean(rng):
    X, y = data(6, rng)
    X[:, 1] = 0.1
    free = told(error_model=TwoWays())
    listed = [LAW, Bounds(lower=0.0)]
    bounded = told(constraints=listed, error_model=TwoWays(), inequality_posterior="projected")
    moved = (bounded.predict(X) - free.predict(X))[..., None]
    assert abs(moved).max() > 0.01
    expected = np.maximum(free.predict_quantiles(X) + moved, 0.0)
    assert_allclose(bounded.predict_quantiles(X), expected, atol=1e-7)
    assert_allclose(bounded.log_prob(X, y), free.log_prob(X, y - moved[..., 0]), rtol=1e-6)


def table(n_fields, rng):
    """Fields of 8 to 21 points, rows mixed up; columns are the field, x, size, total."""
    X, y = data(n_fields, rng)
    rows, values = [], []
    for i in range(n_fields):
        keep = np.sort(rng.choice(np.arange(1, 20), rng.integers(6, 20), replace=False))
        keep = np.r_[0, keep, 20]
        total = np.trapezoid(y[i, keep], POINTS[keep])
        rows.append(np.column_stack([0 * keep + i, POINTS[keep], 0 * keep + X[i, 0]]))
        rows[-1] = np.column_stack([rows[-1], np.full(len(keep), total)])
        values.append(y[i, keep])
    rows, values = np.concatenate(rows), np.concatenate(values)
    order = rng.permutation(len(rows))
    return pd.DataFrame(rows[order], columns=["id", "x", "size", "total"]), values[order]


class ToldPoints(Told):
    def predict(self, X, return_std=False):
        X = np.asarray(X, dtype=float)
        return (np.zeros(len(X)), X[:, 2]) if return_std else np.zeros(len(X))


def long_model(calibration, **params):
    X, y = table(5, np.random.default_rng(0))
    grid = ColumnGrid(["x"], by=["id"])
    law = ConservationLaw(over="x", total=Column("total"))
    backbone = FrozenEstimator(ToldPoints())
    model = ConservationConstrainedRegressor(backbone, law, grid, calibration=calibration, **params)
    return model.fit(X, y)


def test_long_tables_pool_their_points(rng):
    held_out = table(30, rng)
    X, _ = table(6, rng)
    model = long_model(held_out, error_model="stated")
    assert model.n_held_out_ == 30
    mean, std = model.predict(X, return_std=True)
    field = held_out[0]["id"].to_numpy()
    distances = scores(model, *held_out)
    for level in (0.3, 0.9):
        largest = sorted(distances[field == i].max() for i in range(30))
        half = largest[ceil(31 * level) - 1] * std
        ends = model.predict_interval(X, level, method="conformal", simultaneous=True)
        assert_allclose(ends, [mean - half, mean + half], rtol=1e-10, atol=1e-12)
        # the smallest distance that so many points, those of a field weighing 1/31, do not exceed
        enough = [
            q
            for q in sorted(distances)
            if sum(np.mean(distances[field == i] <= q) for i in range(30)) / 31 >= level - 1e-12
        ]
        ends = model.predict_interval(X, level, method="conformal")
        assert_allclose(ends, [mean - enough[0] * std, mean + enough[0] * std], rtol=1e-10)
    assert model.predict_quantiles(X, [0.2, 0.3]).shape == (len(X), 2)
    assert_allclose(model.log_prob(X, mean), norm.logpdf(0.0, 0.0, std))


def test_long_tables_hold_their_level():
    inside, whole = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        model = long_model(table(29, rng), error_model="stated")
        X, y = table(60, rng)
        lower, upper = model.predict_interval(X, 0.8, method="conformal")
        hit = pd.Series((lower <= y) & (y <= upper)).groupby(X["id"].to_numpy())
        inside.append(hit.mean().mean())
        lower, upper = model.predict_interval(X, 0.8, method="conformal", simultaneous=True)
        hit = pd.Series((lower <= y) & (y <= upper)).groupby(X["id"].to_numpy())
        whole.append(hit.all().mean())
    error = np.sqrt(0.8 * 0.2 * (1 / 31 + 1 / 60) / 20)
    assert 0.8 - 3 * error < np.mean(whole) < 0.8 + 1 / 30 + 3 * error
    assert abs(np.mean(inside) - 0.8) < 1 / 30 + 0.02


@pytest.mark.parametrize("error_model", ["calibrated", "residual"])
def test_long_tables_out_of_fold(error_model, rng):
    X, y = table(25, rng)
    grid = ColumnGrid(["x"], by=["id"])
    law = ConservationLaw(over="x", total=Column("total"))
    model = ConservationConstrainedRegressor(Ridge(), law, grid, error_model=error_model).fit(X, y)
    assert model.n_held_out_ == 25
    lower, upper = model.predict_interval(X, 0.9, method="conformal")
    assert lower.shape == (len(X),) and (lower < upper).all()


def test_data_frames_pickles_and_clones(rng):
    X, y = data(80, rng)
    frame = pd.DataFrame(X, columns=["size", "total"])
    law = ConservationLaw(over="x", total=Column("total"))
    model = ConservationConstrainedRegressor(BayesianRidgeFields(), law, GRID)
    model.set_params(calibration=(frame[40:], y[40:])).fit(frame[:40], y[:40])
    options = {"method": "conformal", "simultaneous": True}
    ends = model.predict_interval(frame, 0.8, **options)
    back = pickle.loads(pickle.dumps(model))
    assert_array_equal(back.predict_interval(frame, 0.8, **options), ends)
    assert back.n_held_out_ == 40
    again = clone(model)
    assert not hasattr(again, "n_held_out_")
    assert_array_equal(again.fit(frame[:40], y[:40]).predict_interval(frame, 0.8, **options), ends)
    again.set_params(calibration=None).fit(frame[:40], y[:40])
    assert again.n_held_out_ == 0


def BayesianRidgeFields():
    return PointwiseRegressor(BayesianRidge())


def test_one_point_a_field(rng):
    X = rng.normal(size=(60, 2))
    y = X[:, 0] + rng.normal(size=60)
    model = ConservationConstrainedRegressor(
        BayesianRidge(), calibration=(X[30:], y[30:]), error_model="stated"
    ).fit(X[:30], y[:30])
    for method in ("gaussian", "mixture", "conformal"):
        for simultaneous in (False, True):
            ends = model.predict_interval(X, method=method, simultaneous=simultaneous)
            assert [end.shape for end in ends] == [(60,)] * 2
    assert model.predict_quantiles(X).shape == (60, 3)
    assert model.log_prob(X, y).shape == model.log_prob(X, y[:, None]).shape == (60,)


def test_values_of_constraints_reach_all(rng):
    X, y = data(30, rng)
    model = told((X, y), error_model="stated")
    mean = model.predict(X)
    given = {"constraint_values": {"conservationlaw": np.ones(30)}}
    moved = model.predict(X, **given)
    for method in ("gaussian", "mixture", "conformal"):
        lower, upper = model.predict_interval(X, method=method, **given)
        assert_allclose(0.5 * (lower + upper), moved, atol=1e-12)
    assert_allclose(model.predict_quantiles(X, [0.5], **given)[..., 0], moved, atol=1e-9)
    shifted = model.log_prob(X, y + moved - mean, **given)
    assert_allclose(shifted, model.log_prob(X, y))


def test_log_prob_of_known_points(rng):
    X, y = data(3, rng)
    model = told()
    X[0, 0] = 0.0
    X[0, 1] = 0.0  # a field that is known
    logs = model.log_prob(X, np.vstack([np.zeros(len(POINTS)), y[1:]]))
    assert logs[0] == np.inf and np.isfinite(logs[1:]).all()
    score = log_likelihood_scorer(model, X, np.vstack([np.zeros(len(POINTS)), y[1:]]))
    assert score == pytest.approx(logs[1:].mean())
    assert model.log_prob(X, y)[0] == -np.inf
    assert log_likelihood_scorer(model, X[:1], np.zeros((1, len(POINTS)))) == np.inf
    assert log_likelihood_scorer(model, X, y) == -np.inf


@pytest.mark.parametrize("y", [np.zeros((3, 20)), np.zeros(3), np.full((3, 21), np.nan), [1.0]])
def test_log_prob_checks_the_truth(y, rng):
    with pytest.raises(ValueError, match="y must have the shape of predict"):
        told().log_prob(data(3, rng)[0], y)


@pytest.mark.parametrize("levels", [0.5, [], [0.0], [0.5, 1.0], [np.nan], [[0.5]]])
def test_quantiles_are_probabilities(levels, rng):
    with pytest.raises(ValueError, match="quantiles must be a 1-D array"):
        told().predict_quantiles(data(3, rng)[0], levels)


def test_searches_and_pipelines_score_mixtures(rng):
    X, y = data(30, rng)
    options = {"error_model": [TwoWays(), "stated"]}
    model = ConservationConstrainedRegressor(FrozenEstimator(Told()), LAW, GRID)
    search = GridSearchCV(model, options, scoring=log_likelihood_scorer, cv=3, error_score="raise")
    search.fit(X, y)
    assert search.score(X, y) == search.best_estimator_.log_prob(X, y).mean()
    piped = make_pipeline(StandardScaler(with_mean=False, with_std=False), told()).fit(X, y)
    assert log_likelihood_scorer(piped, X, y) == pytest.approx(told().log_prob(X, y).mean())


def test_coverage_of_whole_fields():
    truth = np.zeros((4, 3))
    truth[1, 2] = truth[2, 0] = 2.0
    lower, upper = np.full((4, 3), -1.0), np.full((4, 3), 1.0)
    assert part_inside(truth, lower, upper) == pytest.approx(10 / 12)
    assert part_inside(truth, lower, upper, simultaneous=True) == 0.5
    assert part_inside(truth[:, 0], lower[:, 0], upper[:, 0], simultaneous=True) == 0.75
    near = truth + 1e-14 * truth.max()
    assert part_inside(near[1:2], truth[1:2], truth[1:2], simultaneous=True) == 1.0


@pytest.mark.parametrize("simultaneous", [False, True])
def test_display_of_conformal_intervals(simultaneous, rng):
    pytest.importorskip("matplotlib").use("agg")
    model = told(data(60, rng), error_model="stated")
    X, y = data(50, rng)
    options = {"method": "conformal", "simultaneous": simultaneous}
    display = CoverageDisplay.from_estimator(
        {"with law": model}, X, y, levels=[0.9, 0.5], **options
    )
    for level, value in zip(display.levels, display.coverages["with law"], strict=True):
        ends = model.predict_interval(X, level, **options)
        assert value == pytest.approx(part_inside(y, *ends, simultaneous=simultaneous))
        found = value * len(y)
        assert not simultaneous or binom.cdf(found, 50, level) > 1e-3
    what = "fields" if simultaneous else "points"
    assert display.ax_.get_ylabel() == f"{what} inside them"
    with pytest.raises(ValueError, match="one field a row"):
        CoverageDisplay.from_estimator(model, X, y[:, 0], simultaneous=True)
    display.figure_.clf()


def test_draws_of_mixtures_weighed_by_field():
    """Each field takes the draws of its own members, none of another's twice."""
    mean = np.zeros((3, 2))
    parts = [Gaussian(mean + 10.0 * k, Diagonal(mean + 1.0)) for k in range(3)]
    weights = np.array([[0.2, 0.0, 1.0], [0.3, 0.5, 0.0], [0.5, 0.5, 0.0]])
    draws = Mixture(parts, weights).sample(9000, 0)
    chosen = np.rint(draws / 10.0).clip(0, 2)
    for k in range(3):
        assert_allclose((chosen == k).mean(axis=(0, 2)), weights[k], atol=0.02)
    assert len(np.unique(draws)) == draws.size
    row = np.ones((1, 2))
    for draw in Mixture([condition(p, row, 1.0) for p in parts], weights).sample(50, 1):
        assert_allclose(draw.sum(axis=1), 1.0, atol=1e-12)

"""Calibration of backbones that keep a law by themselves, and beside inequalities."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Bounds, ConservationLaw, Monotone
from skphys.grids import ColumnGrid, Grid

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6))
Y = np.exp(2 * X @ RNG.normal(size=(6, 5)) / 2.4)
Y /= Y.sum(axis=1, keepdims=True)  # fractions
LAW = ConservationLaw(total=1.0)


class Single(RegressorMixin, BaseEstimator):
    """Fractions as a net in float32 would make them: their sum is 1 to 1e-7."""

    def fit(self, X, y):
        self.coef_ = np.linalg.lstsq(X, np.log(y), rcond=None)[0]
        return self

    def predict(self, X, return_std=False):
        u = np.exp(X @ self.coef_ * 0.9).astype(np.float32)
        u /= u.sum(axis=1, keepdims=True)
        return (u, np.full(u.shape, 0.1)) if return_std else u


KEEPERS = [
    GaussianProcessRegressor(normalize_y=True, alpha=0.01),
    RandomForestRegressor(20, random_state=0),
    EnsembleRegressor(LinearRegression(), 5, random_state=0),
    Single(),
    EnsembleRegressor(KNeighborsRegressor(5), 5, random_state=0),
    KNeighborsRegressor(5),
]


def learned(model):
    """Return all that an error model has learned as text, to compare it."""
    found = model.error_model_
    correlation = found.correlation_ and found.correlation_.to_dense().tolist()
    parts = found.parts_ and [(p.weight, p.spread.tolist(), p.displacement) for p in found.parts_]
    return repr((parts, correlation) if parts else None)


def calibrated(backbone, constraints=LAW, factor=1.0, **params):
    model = ConservationConstrainedRegressor(
        backbone, constraints, error_model="calibrated", **params
    )
    return model.fit(X[:300], factor * Y[:300])


@pytest.mark.parametrize("backbone", KEEPERS, ids=lambda b: type(b).__name__)
def test_rounding_is_no_test_of_the_law(backbone):
    model = calibrated(backbone)
    batch = model.predict_std(X[300:])
    alone = np.vstack([model.predict_std(x[None]) for x in X[300:]])
    np.testing.assert_allclose(alone, batch, rtol=1e-6)
    np.testing.assert_allclose(model.predict_std(X[300:] * (1 + 1e-15)), batch, rtol=1e-3)


@pytest.mark.parametrize("factor", [2.0**-50, 2.0**50])
def test_whatever_the_units(factor):
    backbone, law = KEEPERS[-2], ConservationLaw(total=factor)
    expected = calibrated(backbone).predict_std(X[300:])
    found = calibrated(backbone, law, factor).predict_std(X[300:])
    np.testing.assert_allclose(found / factor, expected, rtol=1e-6)


@pytest.mark.parametrize("backbone", [KEEPERS[1], Single()], ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("bound", [Bounds(lower=0.0), Bounds(lower=0.15, upper=0.3)])
@pytest.mark.filterwarnings("ignore:The training targets break inequality:UserWarning")
def test_bounds_leave_calibration_as_it_is(backbone, bound):
    without, beside = calibrated(backbone), calibrated(backbone, [LAW, bound])
    assert learned(beside) == learned(without) != "None"
    np.testing.assert_array_equal(beside.predict_std(X[300:]), without.predict_std(X[300:]))


def test_intervals_beside_bounds_hold():
    for backbone in KEEPERS[:2]:
        lower, upper = calibrated(backbone, [LAW, Bounds(lower=0.0)]).predict_interval(X[300:])
        assert np.mean((lower <= Y[300:]) & (Y[300:] <= upper)) > 0.82


def test_monotone_fields_with_data_of_their_own():
    rng, grid = np.random.default_rng(1), Grid(x=np.linspace(0, 1, 8))
    X = rng.uniform(1, 2, (60, 2))
    Y = X[:, :1] * grid["x"] + X[:, 1:] + 0.2 * rng.standard_normal((60, 8))
    gp = GaussianProcessRegressor(alpha=1e-3, optimizer=None)
    models = [
        ConservationConstrainedRegressor(gp, also, grid, calibration=(X[40:], Y[40:])).fit(
            X[:40], Y[:40]
        )
        for also in ([], [Monotone("x")])
    ]
    assert learned(models[1]) == learned(models[0])
    assert min(part.spread for part in models[1].error_model_.parts_) > 1.0


def test_bounds_in_a_long_table():
    rng = np.random.default_rng(2)
    t, x = np.repeat(np.arange(40.0), 9), np.tile(np.linspace(0, 1, 9), 40)
    table, y = np.column_stack([t, x]), np.maximum(0.0, np.sin(9 * x)) + 0.1 * rng.normal(size=360)
    grid, law = ColumnGrid(space=1, by=0), ConservationLaw("x1", total=0.5, noise=0.1)
    forest = RandomForestRegressor(20, random_state=0)
    models = [
        ConservationConstrainedRegressor(forest, which, grid, error_model="calibrated").fit(
            table, y
        )
        for which in (law, [law, Bounds(lower=0.0)])
    ]
    assert learned(models[1]) == learned(models[0]) != "None"

"""How far members of ensembles are taken apart: against errors that are known, and scipy."""

import pickle
from zlib import crc32

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw, Dirichlet
from skphys.estimators._spread import _usual
from skphys.grids import Components, Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 12))
WEIGHTS = trapezoid(np.eye(12), GRID["x"])  # of the law's integral
ENDS = {"x": (Dirichlet(0.0), None)}


def fields(X):
    return X[:, :1] * np.sin(np.pi * GRID["x"]) + X[:, 1:2] * GRID["x"]


def total(X):
    return fields(X) @ WEIGHTS


LAW = ConservationLaw(over="x", total=total)


def inputs(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 2))


class ByHeart(RegressorMixin, BaseEstimator):
    """Knows what it was fitted to; of other fields members err alike, and each by itself."""

    fits = 0

    def __init__(self, n_members=6, alike=0.3, own=0.1, noise=0.0, truth=fields, max_epochs=1):
        self.n_members = n_members
        self.alike = alike
        self.own = own
        self.noise = noise
        self.truth = truth
        self.max_epochs = max_epochs  # so that folds are too slow

    def fit(self, X, y):
        type(self).fits += 1
        self.seen_ = {row.tobytes() for row in X}
        self.n_points_ = y.shape[1]
        return self

    def predict(self, X):
        return self.predict_members(X)[0].mean(axis=0)

    def predict_members(self, X):
        told = []
        for row in X:
            rng = np.random.default_rng(crc32(row.tobytes()))
            known = row.tobytes() in self.seen_
            alike = self.alike * rng.normal(size=self.n_points_)
            apart = self.own * rng.normal(size=(self.n_members, self.n_points_))
            told.append(np.zeros_like(apart) if known else alike + apart)
        return self.truth(X) + np.stack(told, axis=1), None


def expected(n_members, alike=0.3, own=0.1):
    """The factor with which the variance between members is that of their mean's errors."""
    stated = own**2 * (n_members - 1) / n_members
    return np.sqrt((alike**2 + own**2 / n_members) / stated)


def of_wall(backbone, **params):
    return BoundaryEnforcedOperator(backbone, ENDS, GRID, method="project", **params)


def of_law(backbone, **params):
    return ConservationConstrainedRegressor(backbone, LAW, GRID, **params)


@pytest.mark.parametrize(
    "kind", [BoundaryEnforcedOperator, ConservationConstrainedRegressor], ids=["wall", "law"]
)
@pytest.mark.parametrize("n_members", [2, 6])
def test_members_are_taken_as_far_apart_as_they_are_wrong(kind, n_members):
    X, Z = inputs(400, 0), inputs(300, 1)
    model = kind(ByHeart(n_members), None, GRID).fit(X, fields(X))
    spread = model._backbone.spread
    np.testing.assert_allclose(spread.factor, expected(n_members), rtol=0.15)
    assert spread.n_left_out == 80 and (spread.std < 1e-14).all()
    mean, std = model.predict(Z, return_std=True)
    # Points go by themselves here, so that the variance between few members is mostly chance: 1 of
    # n_members parts is that of the whole field, the rest has chi squared's distribution.
    held = np.mean(abs(mean - fields(Z)) < 1.645 * std)
    squares = (stats.chi2(n_members - 1).rvs(100_000, random_state=0) + 1.0) / n_members
    expected_share = np.mean(2.0 * stats.norm.cdf(1.645 * np.sqrt(squares)) - 1.0)
    np.testing.assert_allclose(held, expected_share, atol=0.05)
    np.testing.assert_allclose(np.mean(std**2), np.mean((mean - fields(Z)) ** 2), rtol=0.3)
    assert "of 80 fields" in repr(model.constraint_report(Z))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_std(Z), std)


def test_laws_hold_in_mean_draws_and_members():
    X, Z = inputs(50, 0), inputs(5, 1)
    law = of_law(ByHeart()).fit(X, fields(X))
    draws = law.sample_y(Z, 20, random_state=0)
    totals = np.einsum("ipd,p->id", draws, WEIGHTS)
    wanted = fields(Z) @ WEIGHTS
    np.testing.assert_allclose(totals, np.repeat(wanted[:, None], 20, axis=1), rtol=0, atol=1e-13)
    wall = of_wall(ByHeart()).fit(X, fields(X))
    assert not wall.predict_std(Z)[:, 0].any() and not wall.predict(Z)[:, 0].any()


def test_noise_of_the_fields_is_not_taken_for_an_error_of_members():
    X = inputs(200, 0)
    y = fields(X) + 0.5 * np.random.default_rng(2).normal(size=(200, 12))
    model = of_wall(ByHeart(), uncertainty="auto")
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, y)
    spread = model._backbone.spread
    np.testing.assert_allclose(spread.std[1:], 0.5, rtol=0.15)
    np.testing.assert_allclose(spread.factor, expected(6), rtol=0.4)


def test_members_that_differ_by_more_than_they_err_stay_as_they_are():
    X = inputs(100, 0)
    model = of_wall(ByHeart(alike=0.0)).fit(X, fields(X))
    np.testing.assert_array_equal(model._backbone.spread.factor, 1.0)


def test_each_component_has_a_factor_of_its_own():
    grid = Components(u=GRID, v=GRID)
    X = inputs(150, 0)

    def both(X):
        return np.hstack([fields(X), 1e6 * fields(X)])

    class Two(ByHeart):
        def predict_members(self, X):
            means = super().predict_members(X)[0]
            means[..., 12:] = 1e6 * (fields(X) + 0.1 * (means[..., 12:] - both(X)[:, 12:]))
            spreads = means[..., 12:] - means[..., 12:].mean(axis=0)
            means[..., 12:] += spreads  # twice as far apart
            return means, None

    walls = {"u": ENDS, "v": ENDS}
    model = BoundaryEnforcedOperator(Two(truth=both), walls, grid, method="project")
    spread = model.fit(X, both(X))._backbone.spread
    np.testing.assert_allclose(spread.factor[:12], expected(6), rtol=0.15)
    np.testing.assert_allclose(spread.factor[12:], expected(6, 0.3, 0.2), rtol=0.15)


@pytest.mark.parametrize(
    ("model", "fits"),
    [
        (of_wall(ByHeart()), 2),
        (of_wall(ByHeart(), uncertainty="stated"), 1),
        (of_wall(ByHeart(1)), 1),
        (of_law(ByHeart(), error_model="stated"), 1),
        (of_law(ByHeart(), calibration=(inputs(20, 3), fields(inputs(20, 3)))), 1),
    ],
)
def test_what_is_not_asked_for_costs_nothing(model, fits):
    X = inputs(30, 0)
    ByHeart.fits = 0
    model.fit(X, fields(X))
    assert ByHeart.fits == fits and (model._backbone.spread is not None) == (fits == 2)


def test_few_fields_and_frozen_members_say_nothing():
    X = inputs(4, 0)
    spread = of_wall(ByHeart()).fit(X, fields(X))._backbone.spread
    assert spread.n_left_out == 0 and (spread.factor == 1.0).all()
    frozen = FrozenEstimator(ByHeart().fit(X, fields(X)))
    assert of_wall(frozen).fit(X, fields(X))._backbone.spread is None


def test_members_that_cannot_be_fitted_again_are_taken_as_they_are():
    class Once(ByHeart):
        def fit(self, X, y):
            if len(X) < 30:
                raise ValueError("too few")
            return super().fit(X, y)

    X = inputs(30, 0)
    with pytest.warns(UserWarning, match="as far from the truth as from each other.*too few"):
        model = of_wall(Once()).fit(X, fields(X))
    assert model._backbone.spread is None and np.isfinite(model.predict_std(X)).all()


def test_the_usual_ratio_is_the_scale_of_students_t():
    errors = stats.t(4.0).rvs(60, random_state=0) * 1.7
    scale = stats.t.fit(errors, fdf=4.0, floc=0.0)[2]
    np.testing.assert_allclose(_usual(errors**2, np.ones(60)), scale**2, rtol=1e-3)
    assert _usual(np.zeros(3), np.ones(3)) == 0.0 == _usual(np.ones(3), np.zeros(3))

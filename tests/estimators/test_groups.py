"""Rows that belong together: runs at several times, profiles of one site."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, RolloutRegressor
from skphys.constraints import ConservationLaw, Dirichlet
from skphys.estimators import EnsembleRegressor
from skphys.estimators._candidates import Affine, Kernel, Refitted
from skphys.estimators._ridge import Dual, gaussian, spectrum, squared_distances
from skphys.grids import ColumnGrid, Grid

X_AXIS = np.linspace(0.0, 1.0, 33)
GRID, WALLS = Grid(x=X_AXIS), {"x": Dirichlet(0.0)}
RUNS = "Rows of X come in runs"


def decaying(n_runs, n_times, seed=0):
    """The heat equation by its series: starts, the time as last column; fields; runs."""
    rng, k = np.random.default_rng(seed), np.arange(1, 13)
    sizes = np.repeat(rng.normal(size=(n_runs, 12)) / k, n_times, axis=0)
    t = rng.uniform(0.0, 0.05, size=(n_runs * n_times, 1))
    waves = np.sin(np.pi * np.outer(k, X_AXIS)) * (X_AXIS < 1.0)
    y = (sizes * np.exp(-t * (np.pi * k) ** 2)) @ waves
    return np.hstack([sizes @ waves, t]), y, np.repeat(np.arange(n_runs), n_times)


class Remembers(RegressorMixin, BaseEstimator):
    """Predicts the mean, and remembers which groups it was given, and which rows."""

    seen = []

    def fit(self, X, y, groups=None):
        self.mean_ = np.mean(y, axis=0)
        Remembers.seen.append((set(np.asarray(X)[:, -1]), groups))
        return self

    def predict(self, X):
        return np.broadcast_to(self.mean_, (len(X), len(self.mean_)))


class Deaf(Remembers):
    """Its fit takes no groups."""

    def fit(self, X, y):
        return super().fit(X, y)


@pytest.fixture
def seen():
    Remembers.seen = []
    return Remembers.seen


@pytest.fixture(scope="module")
def table():
    X = np.column_stack([np.random.default_rng(0).normal(size=(24, 3)), np.arange(24)])
    return X, np.random.default_rng(1).normal(size=(24, 5)), np.repeat(list("abcdefgh"), 3)


@pytest.mark.parametrize("ridge", [1e-3, 1.0, 30.0])
def test_runs_that_are_left_out_are_those_of_a_refit(ridge):
    rng, runs = np.random.default_rng(0), np.array([0, 1, 2, 0, 1, 2, 3, 3, 3, 3, 1, 4])
    Z, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))
    centred = y - y.mean(axis=0)
    left = Dual(*spectrum(Z - Z.mean(axis=0)), centred, runs)._left_out(ridge)
    for run in range(5):
        own = runs == run
        told = Ridge(ridge, solver="svd").fit(Z[~own], y[~own]).predict(Z[own])
        np.testing.assert_allclose(left[own], y[own] - told, rtol=1e-9)


def test_what_is_not_known_of_a_run_is_universal_kriging_without_it():
    rng, runs = np.random.default_rng(0), np.repeat(np.arange(5), 3)[::-1]
    Z, ridge, basis = rng.normal(size=(15, 2)), 0.1, np.eye(15) - 1.0 / 15.0
    K = gaussian(squared_distances(Z, Z))
    eigenvalues, vectors = np.linalg.eigh(basis @ K @ basis + np.ones((15, 15)))
    at = np.argmin(np.abs(vectors.sum(axis=0)) < 3.0)  # that of the constant
    kept = np.delete(np.arange(15), at)
    dual = Dual(eigenvalues[kept].clip(0.0), vectors[:, kept], rng.normal(size=(15, 1)), runs)
    for i in range(15):
        rest = runs != runs[i]
        inverse = np.linalg.inv(K[np.ix_(rest, rest)] + ridge * np.eye(12))
        k, mean = K[rest, i], inverse.sum()
        expected = 1.0 - k @ inverse @ k + (1.0 - (inverse @ k).sum()) ** 2 / mean + ridge
        np.testing.assert_allclose(dual.unknown(ridge)[i], expected, rtol=1e-8)


@pytest.mark.parametrize("make", [Affine, Kernel, lambda: Refitted(Ridge(1e-6))])
def test_candidates_leave_out_whole_runs(make):
    """Fields that differ by their run alone cannot be told from others' features."""
    rng, runs = np.random.default_rng(0), np.repeat(np.arange(12), 5)
    place, columns = np.eye(12)[runs], [slice(k, k + 1) for k in range(12)]
    y = rng.normal(size=(12, 6))[runs] + 1e-3 * rng.normal(size=(60, 6))
    apart, together = (make().fit(place, columns, y, r).left_out for r in (None, runs))
    assert np.sqrt(np.mean(apart**2)) < 0.01
    np.testing.assert_allclose(np.sqrt(np.mean(together**2)), 1.0, rtol=0.25)


def test_a_background_of_runs_is_chosen_for_new_runs():
    """Left out one by one, the ridge would be that at which runs are known by heart."""
    X, y, runs = decaying(20, 10)
    Z, truth, _ = decaying(100, 2, seed=1)
    errors, held = [], []
    for groups in (None, runs):
        model = BoundaryEnforcedOperator(
            DummyRegressor(), WALLS, GRID, method="lift", background="kernel"
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", RUNS)
            model.fit(X, y, groups=groups)
        errors.append(np.sqrt(np.mean((model.predict(Z) - truth) ** 2) / np.mean(truth**2)))
        low, high = model.predict_interval(Z, 0.9)
        held.append(np.mean(((low <= truth) & (truth <= high))[:, 1:-1]))
    assert errors[1] < 0.7 * errors[0]
    assert 0.8 < held[1] < 0.97
    auto = BoundaryEnforcedOperator(DummyRegressor(), WALLS, GRID, method="lift")
    auto.fit(X, y, groups=runs)
    assert auto.background_.kind_ == "varying"
    assert np.sqrt(np.mean((auto.predict(Z) - truth) ** 2) / np.mean(truth**2)) < 0.1


def test_intervals_of_a_forest_hold_for_new_runs():
    X, y, runs = decaying(8, 40, seed=2)
    Z, truth, _ = decaying(100, 2, seed=1)
    held = []
    for groups in (None, runs):
        model = ConservationConstrainedRegressor(ExtraTreesRegressor(20, random_state=0), [], GRID)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", RUNS)
            model.fit(X, y, groups=groups)
        low, high = model.predict_interval(Z, 0.9)
        held.append(np.mean(((low <= truth) & (truth <= high))[:, 1:-1]))
    assert held[0] < 0.65 and 0.78 < held[1] < 0.97


@pytest.mark.parametrize("error_model", ["auto", "calibrated", "residual"])
def test_folds_keep_groups_together(seen, table, error_model):
    X, y, groups = table
    ConservationConstrainedRegressor(Deaf(), [], error_model=error_model).fit(X, y, groups=groups)
    rows = [some for some, _ in seen if len(some) < 24]
    assert len(rows) == 5
    for some in rows:
        inside = {groups[int(row)] for row in some}
        assert len(some) == 3 * len(inside)
    assert set().union(*({*range(24)} - some for some in rows)) == {*range(24)}


def test_members_are_compared_on_groups_that_were_left_out(seen, table):
    X, y, groups = table
    members = EnsembleRegressor(Deaf(), n_members=3, bootstrap=False, random_state=0)
    BoundaryEnforcedOperator(members, {"x": (Dirichlet(0.0), None)}, Grid.unit(5)).fit(
        X, y * (np.arange(5) > 0), groups=groups
    )
    some = seen[-1][0]
    assert len(some) < 24 and len(some) == 3 * len({groups[int(row)] for row in some})


@pytest.mark.parametrize("nested", [False, True])
def test_a_backbone_whose_fit_takes_groups_gets_them(seen, table, nested):
    X, y, groups = table
    numbers = np.unique(groups, return_inverse=True)[1]
    backbone = Remembers()
    if nested:
        backbone = ConservationConstrainedRegressor(Remembers(), [], error_model="residual")
    ConservationConstrainedRegressor(backbone, [], error_model="stated").fit(X, y, groups=groups)
    assert all(given is not None for _, given in seen)
    np.testing.assert_array_equal(seen[0][1], numbers)
    for some, given in seen:
        np.testing.assert_array_equal(given, numbers[sorted(int(row) for row in some)])


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_search_inside_splits_by_groups(seen, table, routing, in_pipeline):
    X, y, groups = table
    search = GridSearchCV(Deaf(), {}, cv=GroupKFold(4))
    backbone = make_pipeline(StandardScaler(with_std=False), search) if in_pipeline else search
    model = ConservationConstrainedRegressor(backbone, [], error_model="stated")
    with config_context(enable_metadata_routing=routing):
        model.fit(X, y, groups=groups)
    first = int(X[:, -1].mean()) + 0.5 if in_pipeline else 0.0
    for some, _ in seen[:4]:
        assert len({groups[int(row + first)] for row in some}) == len(some) / 3 == 6


def test_cross_validation_hands_groups_on(seen, table):
    X, y, groups = table
    model = ConservationConstrainedRegressor(Deaf(), [], error_model="residual")
    with config_context(enable_metadata_routing=True):
        cross_validate(model, X, y, params={"groups": groups}, cv=GroupKFold(4))
    assert len(seen) == 4 * 6
    assert all(len(some) % 3 == 0 for some, _ in seen)


def test_groups_of_a_long_table_keep_fields_together(seen):
    X = pd.DataFrame(
        {"site": np.repeat(np.arange(8), 6), "z": np.tile([0.0, 1.0, 2.0], 16)}
    ).assign(date=np.tile(np.repeat([0, 1], 3), 8), row=np.arange(48))
    y = np.random.default_rng(0).normal(size=48)
    grid = ColumnGrid(space="z", by=["site", "date"], domain=(0.0, 2.0))
    model = ConservationConstrainedRegressor(Ridge(), [], grid, error_model="calibrated")
    with pytest.raises(ValueError, match=r"groups must keep the rows of a field together"):
        model.fit(X, y, groups=X["z"])
    stated = model.fit(X, y, groups=X["site"]).error_model_
    other = model.fit(X, y).error_model_
    assert stated.parts_[0].spread != pytest.approx(other.parts_[0].spread)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 24, "at least two groups.*a throughout"),
        (np.arange(23), "one entry for each row of X, .* got shape .23,"),
        (np.zeros((24, 2)), r"groups.*\(24, 2\)"),
        ([np.nan] + [1.0] * 11 + [2.0] * 12, "missing entries"),
        ([None] + ["a"] * 11 + ["b"] * 12, "missing entries"),
    ],
)
def test_groups_that_say_nothing_are_refused(table, groups, message):
    X, y, _ = table
    model = ConservationConstrainedRegressor(Ridge(), [])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, groups=groups)
    assert not hasattr(model, "estimator_")


@pytest.mark.parametrize("as_frame", [False, True])
def test_rows_that_come_in_runs_are_noticed(as_frame):
    X, y, _ = decaying(6, 4)
    rows = pd.DataFrame(X).rename(columns=str).rename(columns={"33": "t"}) if as_frame else X
    name = "'t'" if as_frame else "33"
    forest = ExtraTreesRegressor(5, random_state=0)
    with pytest.warns(UserWarning, match=f"differ in column {name} alone"):
        ConservationConstrainedRegressor(forest, [], GRID).fit(rows, y)
    with pytest.warns(UserWarning, match=RUNS):
        BoundaryEnforcedOperator(
            DummyRegressor(), WALLS, GRID, method="lift", background="linear"
        ).fit(X, y)


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_runs_where_there_are_none():
    X, y, runs = decaying(6, 4)
    forest = ExtraTreesRegressor(5, random_state=0)
    ConservationConstrainedRegressor(forest, [], GRID).fit(X, y, groups=runs)
    ConservationConstrainedRegressor(forest, [], GRID).fit(X, y, groups=range(24))
    ConservationConstrainedRegressor(forest, [], GRID, error_model="stated").fit(X, y)
    ConservationConstrainedRegressor(forest, [], GRID, calibration=(X, y)).fit(X, y)
    coded = np.column_stack([np.arange(24) % 3, np.eye(4)[np.arange(24) % 4], X[:, -1]])
    design = np.stack(np.meshgrid(np.arange(6.0), np.arange(4.0)), axis=-1).reshape(24, 2)
    for other in (
        design,
        coded,
        X[:, :5] + runs[:, None] * 0.0 + np.arange(24)[:, None],
        runs[:, None],
    ):
        ConservationConstrainedRegressor(forest, [], GRID).fit(other, y)


@pytest.mark.parametrize("n", [6, 12])
def test_rollouts_are_left_out_whole_each_of_them_once(seen, n):
    rng = np.random.default_rng(0)
    start, kept = rng.normal(size=(n, 5)), np.arange(float(n))[:, None]
    y = np.hstack([start * 0.9**k for k in range(1, 5)])
    law = ConservationLaw(total=0.0, noise=1e3)
    model = RolloutRegressor(Deaf(), None, law, grid=Grid.unit(5), persistent=True)
    model.fit(np.hstack([start, kept]), y)
    left_out = [{*range(n)} - some for some, _ in seen if len(some) < n]
    assert len(left_out) == 5 and sorted(set().union(*left_out)) == list(range(n))
    assert sum(map(len, left_out)) == n


def test_a_fold_of_one_group_inside_another_fold():
    X, y, _ = decaying(2, 12)
    groups = np.repeat([0, 1], 12)
    inner = BoundaryEnforcedOperator(Ridge(), WALLS, GRID, method="lift", background="linear")
    model = ConservationConstrainedRegressor(inner, [], GRID, error_model="calibrated")
    assert np.isfinite(model.fit(X, y, groups=groups).predict_std(X)).all()

"""What is said where training targets violate a constraint."""

import warnings

import numpy as np
import pandas as pd
import pytest
from backbones import WithStd

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    Bounds,
    Column,
    ConservationLaw,
    Constraint,
    InequalityConstraint,
    LinearEquality,
    Monotone,
    OverStep,
    RegionTotals,
)
from skphys.grids import ColumnGrid, Components, Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 4))
NONE, MORE = "or give it a noise", "larger noise: three times its own"


class Pinned(Constraint):
    """Without a noise."""

    def rows(self, grid):
        return np.eye(grid.n_points)[:1]


@pytest.mark.parametrize(
    "law, said, not_said",
    [
        (ConservationLaw(over="x", total=50.0), ["quadrature", NONE], [MORE]),
        (ConservationLaw(over="x", total=50.0, noise=[0.0]), ["quadrature", NONE], [MORE]),
        (ConservationLaw(over="x", total=50.0, noise=1.0), ["quadrature", MORE], [NONE]),
        (ConservationLaw(over="x", total=50.0, noise=Column(1)), [MORE], [NONE]),
        (ConservationLaw(over="x", total=50.0, noise="auto"), [MORE], [NONE]),
        (
            LinearEquality(np.ones((1, 4)), 50.0),
            ["values and the rows", NONE],
            ["quadrature", MORE],
        ),
        (LinearEquality(np.ones((1, 4)), 50.0, 0.1), [MORE], ["quadrature", NONE]),
        (RegionTotals([0, 0, 1, 1], [50.0, 1.0]), ["quadrature", NONE], [MORE]),
        (Pinned(), ["values and the rows"], ["noise"]),
    ],
)
def test_the_remedy_is_one_that_there_is(law, said, not_said):
    rng = np.random.default_rng(0)
    X, y = rng.uniform(1.0, 2.0, (20, 2)), rng.normal(10.0, 1.0, (20, 4))
    with pytest.warns(UserWarning, match="violate constraint") as found:
        ConservationConstrainedRegressor(WithStd(), law, GRID).fit(X, y)
    (text,) = [str(w.message) for w in found if "violate constraint" in str(w.message)]
    assert all(word in text for word in said) and not any(word in text for word in not_said), text


def test_a_law_over_a_step_is_as_its_own_law():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(1.0, 2.0, (20, 5)), rng.normal(10.0, 1.0, (20, 4))
    law = OverStep(ConservationLaw(over="x", inflow=Column(4), noise=0.1), length=0.3)
    with pytest.warns(UserWarning, match="the quadrature, or give it a larger noise"):
        ConservationConstrainedRegressor(WithStd(), law, GRID).fit(X, y)


def test_several_laws_are_told_their_remedies_once():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(1.0, 2.0, (20, 2)), rng.normal(10.0, 1.0, (20, 4))
    laws = [("mass", ConservationLaw(total=50.0)), ("pinned", Pinned())]
    with pytest.warns(UserWarning, match="violate constraint 'mass'") as found:
        ConservationConstrainedRegressor(WithStd(), laws, GRID).fit(X, y)
    (text,) = [str(w.message) for w in found if "violate constraint" in str(w.message)]
    assert all(text.count(word) == 1 for word in ("Check", "sits outside", "outermost one"))
    assert "of 'mass' the values, the grid's" in text and "of 'pinned' the values and" in text


STEP = np.linspace(0.0, 1.0, 200)
FRONTS = np.random.default_rng(1).uniform(0.2, 0.8, (60, 1))
FULL = np.where(FRONTS > STEP, 1.0, 0.0)  # to the left of a front


def noise(size):
    return size * np.random.default_rng(2).normal(size=FULL.shape)


class Slope(InequalityConstraint):
    """Between -limit and limit."""

    def __init__(self, limit):
        self.limit = limit

    def rows(self, grid):
        return np.diff(np.eye(grid.n_points), axis=0) / np.diff(grid["x"])[:, None]

    def bounds(self, resolved, grid):
        return np.full((1, 1), -self.limit), np.full((1, 1), self.limit)


def said_of(constraints, y, X=FRONTS, grid=None):
    grid = Grid(x=STEP) if grid is None else grid
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = ConservationConstrainedRegressor(WithStd(), constraints, grid)
        model.fit(X, y)
    return [str(w.message) for w in found if "break inequality" in str(w.message)]


@pytest.mark.parametrize(
    "constraint, y, shown",
    [
        (Bounds(0.0, 1.0), 100.0 * FULL, "'bounds' in 100% of the fields, by up to 99"),
        (Bounds(0.0), -FULL, "by up to 1:"),
        (Bounds(0.0, 0.8), FULL, "by up to 0.2:"),
        (Bounds(0.0, 0.8), FULL + noise(0.02), "'bounds'"),
        (Bounds(None, 0.5), np.sin(20.0 * (STEP - FRONTS)), "by up to 0.5:"),
        (Bounds(0.0), np.where(np.arange(60)[:, None] < 15, -FULL, FULL), "in 25% of the fields"),
        (Monotone("x"), FULL, "'monotone' in 100% of the fields"),
        (Slope(2.0), FULL, "'slope' in 100% of the fields"),
    ],
)
def test_targets_out_of_bounds(constraint, y, shown):
    (text,) = said_of(constraint, y)
    assert shown in text and "widen the bounds" in text


@pytest.mark.parametrize(
    "constraint, y",
    [
        (Bounds(0.0, 1.0), FULL),
        (Bounds(0.0, 1.0), FULL.astype(np.float32) * np.float32(1.0 + 1e-7)),
        (Bounds(0.0, 1.0), FULL - 0.01),
        (Bounds(0.0, 1.0), FULL + noise(0.1)),
        (Bounds(0.0), np.exp(-40.0 * abs(STEP - FRONTS)) + noise(0.03)),
        (Bounds(0.0), np.where(np.arange(FULL.size).reshape(FULL.shape) % 101, FULL, -5.0)),
        (Bounds(None, 1.0), np.sin(20.0 * (STEP - FRONTS)) + noise(0.1)),
        (Monotone("x", increasing=False), FULL + noise(0.1)),
        (Slope(300.0), FULL),
    ],
)
def test_noise_around_a_bound_and_outliers_are_not_told(constraint, y):
    assert said_of(constraint, y) == []


def test_how_far_rising_fields_are_from_falling_ones():
    y = 10.0 + STEP + 0.0 * FRONTS  # of which the nearest that does not rise is its mean
    (text,) = said_of(Monotone("x", increasing=False), y)
    assert "by up to 0.5:" in text


def test_inequalities_are_told_together_and_a_scaler_seen():
    (text,) = said_of([Bounds(0.0), Monotone("x")], -10.0 + FULL)
    assert "'bounds' in 100% of the fields, by up to 10 and 'monotone' in 100%" in text
    (text,) = said_of(Bounds(1.0), (FULL - FULL.mean(axis=0)) / FULL.std(axis=0).clip(1e-9))
    assert "TransformedTargetRegressor" in text and "widen" not in text


def test_each_component_in_its_own_units():
    grid = Components(small=Grid(x=STEP[:100]), large=Grid(x=STEP[100:]))
    y = np.hstack([-1e-3 * FULL[:, :100], 1e3 * FULL[:, 100:]])
    (text,) = said_of(Bounds(0.0), y, grid=grid)
    assert "by up to 0.001:" in text


@pytest.mark.parametrize("end", [0.0, Column(2), "floor"])
def test_scattered_points_of_a_long_table(end):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((90, 2)), columns=["k", "x"]).round(1)
    X["floor"] = 0.0
    grid = ColumnGrid("x", "k", nodes=np.linspace(0.0, 1.0, 5))
    (text,) = said_of(Bounds(end), -rng.random(90), X, grid)
    assert "of the values, by up to" in text
    assert said_of(Bounds(end), rng.random(90), X, grid) == []


def test_an_entry_a_node_goes_with_fields_of_other_points():
    X = pd.DataFrame({"k": np.repeat(np.arange(4.0), 9), "x": np.tile(np.linspace(0, 1, 9), 4)})
    grid = ColumnGrid("x", "k", nodes=np.linspace(0.0, 1.0, 5))
    listed = [LinearEquality(np.ones((1, 5)), 2.5), Bounds(np.zeros(5), 1.0)]
    assert said_of(listed, np.full(36, 0.5), X, grid) == []
    (text,) = said_of(Bounds(0.0), np.full(36, -0.5), X, grid)
    assert "in 100% of the fields" in text

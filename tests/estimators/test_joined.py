"""What is learned does not depend on the batches that held-out fields come in."""

from dataclasses import replace

import numpy as np
import pytest
from backbones import Plain, WithCov, WithMembers, WithStd
from sklearn.base import clone
from sklearn.neighbors import KNeighborsRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, Smoothness
from skphys.estimators import ErrorModel
from skphys.estimators._joined import joined
from skphys.grids import Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 15))
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(30, 3))
Y = 1.2 + np.tanh(12.0 * (0.2 + 0.6 * X[:, :1] - GRID["x"])) + 0.1 * X[:, 1:2] * GRID["x"]
X[:, 2] = Y @ GRID.weights()
LAW = ConservationLaw(over="x", total=Column(2))
NOISY = ConservationLaw(over="x", total=Column(2), noise=lambda X: 0.1 + np.asarray(X)[:, 0])
KNN = KNeighborsRegressor(3)


class Kept(ErrorModel):
    """Keeps what it is given to learn from, and learns nothing."""

    seen: list = []

    def fit(self, held_out):
        self.seen.append(list(held_out))
        return self


def batches_of(backbone, constraints=LAW):
    """Return the fields that an error model learns from, in batches of ten."""
    Kept.seen.clear()
    ConservationConstrainedRegressor(
        clone(backbone), constraints, GRID, error_model=Kept(), calibration=(X, Y)
    ).fit(X, Y)
    (whole,) = Kept.seen[0]
    return whole, [whole.take(np.arange(k, k + 10)) for k in (0, 10, 20)]


@pytest.mark.parametrize(
    "backbone, constraints",
    [
        (KNN, LAW),
        (Plain(), NOISY),
        (WithStd(), [LAW, Smoothness("x")]),
        (WithMembers(), [LAW, Bounds(-9.0)]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_learned_alike_of_one_batch_and_of_many(backbone, constraints):
    whole, parts = batches_of(backbone, constraints)
    errors = ErrorModel()
    one, many = errors.fit([whole]), errors.fit(parts)
    assert len(one.parts_) == len(many.parts_)
    for mine, other in zip(one.parts_, many.parts_, strict=True):
        assert (mine.displacement is None) == (other.displacement is None)
        np.testing.assert_allclose(other.weight, mine.weight, rtol=1e-6)
        np.testing.assert_allclose(other.spread, mine.spread, rtol=1e-6)
    np.testing.assert_allclose(many.score_.crps, one.score_.crps, rtol=1e-9)


@pytest.mark.parametrize("backbone", [Plain(), WithStd(), WithMembers()])
def test_small_batches_are_put_together(backbone):
    whole, parts = batches_of(backbone, [LAW, Smoothness("x")])
    (found,) = joined(parts)
    np.testing.assert_array_equal(found.truth, Y)
    for name in ("mean", "std", "member_means"):
        wanted = getattr(whole.fields.prediction, name)
        given = getattr(found.fields.prediction, name)
        assert (given is None) == (wanted is None)
        assert wanted is None or np.array_equal(given, wanted)
    np.testing.assert_array_equal(found.fields.system.values, whole.fields.system.values)
    assert found.fields.take(np.arange(7)).inequalities.lower.shape == (7, 0)


def test_what_is_unlike_stays_apart(monkeypatch):
    _, (first, second, third) = batches_of(WithStd())
    other = batches_of(WithStd(), ConservationLaw(over="x", total=Column(2), noise=0.1))[1][1]
    assert len(joined([first, other, third])) == 3
    grid = replace(second.fields.where, grid=Grid(x=np.linspace(0.0, 2.0, 15)))
    assert len(joined([first, replace(second, fields=replace(second.fields, where=grid))])) == 2
    members = batches_of(WithMembers())[1][1]
    assert len(joined([first, members])) == 2 and len(joined([members, first])) == 2
    assert len(joined(batches_of(WithCov())[1])) == 3
    monkeypatch.setattr("skphys.estimators._joined.MOST", 20 * 15)
    assert [len(each.truth) for each in joined([first, second, third])] == [20, 10]

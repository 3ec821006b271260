"""What is said where training targets violate a constraint."""

import numpy as np
import pytest
from backbones import WithStd

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    Column,
    ConservationLaw,
    Constraint,
    LinearEquality,
    OverStep,
    RegionTotals,
)
from skphys.grids import Grid

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

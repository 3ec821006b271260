"""Constraints over a step: rows and values are those of the law on both levels."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    AdvectiveFlux,
    Bounds,
    Column,
    ConservationLaw,
    ControlVolumeBalance,
    FieldTable,
    OverStep,
    resolve_system,
)
from skphys.grids import Axis, Components, Grid, Mesh

CELLS = Grid(x=Axis.cells([0.0, 0.2, 0.5, 1.0]))
PLANE = Grid(x=[0.0, 0.4, 1.0], y=Axis.cells([0.0, 1.0, 3.0]))
RNG = np.random.default_rng(0)


def both(grid, length):
    if isinstance(grid, Components):
        return Components(**{name: both(part, length) for name, part in grid.grids.items()})
    return Grid(t=[0.0, length], **grid.axes)


def stacked(before, after, grid):
    parts = grid.slices.values() if isinstance(grid, Components) else [slice(None)]
    return np.concatenate([f[:, p] for p in parts for f in (before, after)], axis=1)


@pytest.mark.parametrize(
    ("law", "grid"),
    [
        (ConservationLaw(over="x", inflow=Column(-1), outflow=0.2), CELLS),
        (ConservationLaw(over=["x", "y"], inflow=Column(-1)), PLANE),
        (ConservationLaw(over="x", inflow=[1.0, 2.0, 3.0], component="b"), None),
        (ControlVolumeBalance(flux_operator=AdvectiveFlux(0.3), source=Column(-1)), CELLS),
    ],
)
def test_the_law_holds_on_both_levels(law, grid):
    grid = Components(a=CELLS, b=CELLS) if grid is None else grid
    if isinstance(law.inflow if isinstance(law, ConservationLaw) else None, list):
        law = clone(law).set_params(inflow=[1.0, 2.0])  # at the two levels
    X = RNG.normal(size=(5, grid.n_points + 1))
    law = clone(law)
    for name in ("inflow", "source"):
        if getattr(law, name, None) == Column(-1):
            setattr(law, name, Column(grid.n_points))
    over = OverStep(law, length=0.3)
    system = resolve_system(over, grid, FieldTable(X))
    after = RNG.normal(size=(5, grid.n_points))
    rest = after @ system.rows.T - system.values
    two = both(grid, 0.3)
    whole = resolve_system(law, two, FieldTable(X))
    expected = stacked(X[:, : grid.n_points], after, grid) @ whole.rows.T - whole.values
    np.testing.assert_allclose(rest, expected, atol=1e-14)
    assert rest.shape[1] > 0


def test_rows_of_the_input_alone_are_left_out():
    over = OverStep(ConservationLaw(over="x", total=[7.0, 2.0]))  # 7 at first, 2 then
    system = resolve_system(over, CELLS, FieldTable(np.zeros((2, 3))))
    np.testing.assert_allclose(system.rows, CELLS.integral_rows("x").toarray())
    np.testing.assert_array_equal(system.values, [[2.0], [2.0]])


def test_noise_and_parameters_are_those_of_the_law():
    law = OverStep(ConservationLaw(over="x", inflow=0.0, noise=0.5))
    assert resolve_system(law, CELLS, FieldTable(np.zeros((2, 3)))).noise == [0.5]
    model = ConservationConstrainedRegressor(Ridge(), law, CELLS)
    model.set_params(constraints__law__noise=0.1)
    assert clone(model).constraints.law.noise == 0.1
    assert "noise" not in law.get_params(deep=False)


@pytest.mark.parametrize(
    ("law", "grid", "error", "message"),
    [
        (OverStep(Bounds(0.0)), CELLS, TypeError, "law must be a linear constraint"),
        (OverStep(ConservationLaw()), both(CELLS, 1.0), ValueError, "has an axis 't' already"),
        (
            OverStep(ConservationLaw(), length=0.0),
            CELLS,
            ValueError,
            "length must be a number above 0",
        ),
        (OverStep(ConservationLaw(), length="a"), CELLS, ValueError, "a number above 0; got 'a'"),
        (ConservationLaw(inflow=1.0), CELLS, ValueError, r"stated by OverStep\(law, length"),
        (OverStep(ConservationLaw()), Mesh([0.5], [1.0], [[0, -1]]), TypeError, "needs a Grid"),
    ],
)
def test_errors(law, grid, error, message):
    with pytest.raises(error, match=message):
        law.rows(grid)


def test_a_table_without_the_field():
    law = OverStep(ConservationLaw(over="x", inflow=0.0))
    with pytest.raises(ValueError, match="first 3 columns of X, which has 2"):
        resolve_system(law, CELLS, FieldTable(np.zeros((2, 2))))

"""Names of columns on another grid than the one of fit."""

import warnings

import numpy as np
import pytest

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, FNORegressor
from skphys.constraints import Column, ConservationLaw, Neumann
from skphys.datasets import make_heat_rod
from skphys.grids import renamed

ROD, FINE = (make_heat_rod(12, n_points=n, as_frame=True, random_state=0) for n in (24, 48))
FNO = FNORegressor(4, 4, 1, max_epochs=1, random_state=0)
WALLS = {"x": (Neumann(0.0), Neumann("heater"))}


def operator(data=ROD.data):
    model = BoundaryEnforcedOperator(FNO, WALLS, ROD.grid, drop_value_columns=True)
    return model.fit(data, ROD.target)


@pytest.fixture(scope="module")
def finer():
    return operator().on_grid(FINE.grid)


def test_names_follow_the_grid(finer):
    assert list(finer.feature_names_in_) == list(FINE.data.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finer.predict(FINE.data)


@pytest.mark.parametrize(
    "order", [sorted(FINE.data.columns), [*FINE.data.columns[-2::-1], "heater"]]
)
def test_columns_in_another_order_are_refused(finer, order):
    with pytest.raises(ValueError, match="feature names should match"):
        finer.predict(FINE.data[order])


def test_back_on_the_first_grid_and_at_once(finer):
    back = finer.on_grid(ROD.grid)
    assert list(back.feature_names_in_) == list(ROD.data.columns)
    np.testing.assert_array_equal(back.predict(ROD.data), operator().predict(ROD.data))


def test_a_value_column_is_found_by_name_in_an_array(finer):
    """Its position moves with the number of points."""
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        u = finer.predict(FINE.data.to_numpy())
    np.testing.assert_array_equal(u, finer.predict(FINE.data))


def test_a_value_column_before_the_fields():
    columns = ["heater", *ROD.data.columns[:-1]]
    model = operator(ROD.data[columns]).on_grid(FINE.grid)
    assert list(model.feature_names_in_) == ["heater", *FINE.data.columns[:-1]]
    u = model.predict(FINE.data[["heater", *FINE.data.columns[:-1]]])
    np.testing.assert_allclose(u, operator().on_grid(FINE.grid).predict(FINE.data), atol=1e-6)


def test_an_operator_alone_and_under_a_law():
    fields, fine = ROD.data.drop(columns="heater"), FINE.data.drop(columns="heater")
    alone = FNORegressor(4, 4, 1, grid=ROD.grid, max_epochs=1, random_state=0)
    law = ConservationLaw("x", lambda X: ROD.target.to_numpy() @ ROD.grid.weights())
    law = ConservationConstrainedRegressor(FNO, law, ROD.grid)
    for model in (alone, law):
        moved = model.fit(fields, ROD.target).on_grid(FINE.grid)
        assert list(moved.feature_names_in_) == list(fine.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            moved.predict(fine[fine.columns[::-1]])


def test_names_that_nobody_can_know_are_said():
    named = ROD.data.set_axis([*(f"u({x:.4f})" for x in ROD.grid["x"]), "heater"], axis=1)
    with pytest.warns(UserWarning, match="takes columns by their position"):
        moved = operator(named).on_grid(FINE.grid)
    assert not hasattr(moved, "feature_names_in_")


def test_names_of_several_fields_with_zeros_in_front():
    names = [*(f"a{i:02d}" for i in range(3)), "q", *(f"b_{i}" for i in range(1, 4)), "a00x"]
    new = [*(f"a{i:02d}" for i in range(5)), "q", *(f"b_{i}" for i in range(1, 6)), "a00x"]
    assert list(renamed(names, 3, 5, 4)) == new
    assert list(renamed(new, 5, 3, -4)) == names
    assert renamed(names, 3, 5, 2) is None
    assert renamed(None, 3, 5, 4) is None


def test_columns_of_a_law_stay_where_names_say():
    """Nested, the outer law's column is found on the new grid as well."""
    data = ROD.data.assign(mass=ROD.target.to_numpy() @ ROD.grid.weights())
    fine = FINE.data.assign(mass=2.0)
    law = ConservationLaw("x", Column("mass"))
    model = ConservationConstrainedRegressor(FNO, law, ROD.grid, drop_value_columns=True)
    keep = [c for c in data if c != "heater"]
    moved = model.fit(data[keep], ROD.target).on_grid(FINE.grid)
    keep = [c for c in fine if c != "heater"]
    u = moved.predict(fine[keep])
    np.testing.assert_allclose(u @ FINE.grid.weights(), 2.0, rtol=1e-12)

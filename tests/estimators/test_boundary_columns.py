"""Columns of X that hold values of a boundary: kept away, and found on other grids."""

import numpy as np
import pandas as pd
import pytest

from skphys import BoundaryEnforcedOperator, FNORegressor, datasets
from skphys.constraints import Column, Neumann

FNO = FNORegressor(2, 4, 1, max_epochs=1, random_state=0)
MADE = {
    "make_heat_rod": {"n_points": 16},
    "make_advection_diffusion": {"t": 0.1},
    "make_lid_driven_cavity": {"t": 0.1, "refinement": 1},
}


def made(name, n_points, as_frame=False):
    options = MADE[name] | {"n_points": n_points, "as_frame": as_frame, "random_state": 0}
    return getattr(datasets, name)(6, **options)


@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.parametrize("name", MADE)
def test_columns_of_data_sets_are_kept_away_from_operators(name, as_frame):
    """Also those from which values along a lid are made."""
    data = made(name, 9, as_frame)
    model = BoundaryEnforcedOperator(FNO, data.boundary, data.grid, method="project")
    with pytest.raises(ValueError, match=r"multiple of .* drop_value_columns=True of a constr"):
        model.fit(data.data, data.target)
    model.set_params(drop_value_columns=True).fit(data.data, data.target)
    assert model.estimator_.n_features_in_ == data.inputs.shape[1]


def test_named_columns_go_to_other_grids_as_they_are():
    data, fine = (made("make_heat_rod", n, as_frame=True) for n in (16, 21))
    model = BoundaryEnforcedOperator(FNO, data.boundary, data.grid, drop_value_columns=True)
    moved = model.fit(data.data, data.target).on_grid(fine.grid)
    assert np.abs(moved.constraint_residuals(fine.data)).max() < 1e-10


def test_a_column_counted_from_the_start_is_told_how_to_count():
    data, fine = made("make_heat_rod", 16), made("make_heat_rod", 21)
    walls = {"x": (Neumann(0.0), Neumann(Column(16)))}
    model = BoundaryEnforcedOperator(FNO, walls, data.grid, drop_value_columns=True)
    model.fit(data.data, data.target)
    with pytest.raises(ValueError, match=r"Column\(-1\) instead of Column\(16\)"):
        model.on_grid(fine.grid)
    model.set_params(boundary__x_right__value=Column(-1)).fit(data.data, data.target)
    assert model.on_grid(fine.grid).predict(fine.data).shape == (6, 21)


def test_a_callable_may_name_its_columns():
    def flux(X):
        return X["heater"]

    flux.columns = ["heater"]
    data = made("make_heat_rod", 16, as_frame=True)
    walls = {"x": (Neumann(0.0), Neumann(flux))}
    model = BoundaryEnforcedOperator(FNO, walls, data.grid, drop_value_columns=True)
    model.fit(data.data, data.target)
    assert model.estimator_.n_features_in_ == 16
    with pytest.raises(ValueError, match="no column 'heater'"):
        model.fit(pd.DataFrame(data.inputs), data.target)

"""NaN in y is refused everywhere, and what to do is said; the long table that is named works."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    PointwiseRegressor,
    RolloutRegressor,
)
from skphys.constraints import ConservationLaw, Dirichlet
from skphys.grids import ColumnGrid, Grid

GRID = Grid(x=np.arange(4.0))
LAW = ConservationLaw(over="x", total=1.0)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 4)), RNG.normal(size=(20, 4))
GONE = np.where(np.arange(80).reshape(20, 4) == 13, np.nan, Y)


def nets():
    """Return the nets, where torch is installed."""
    pytest.importorskip("torch")
    from skphys.neural import AttentiveNeuralProcessRegressor, FNORegressor

    return FNORegressor(n_modes=2, max_epochs=1), AttentiveNeuralProcessRegressor(max_epochs=1)


def refused(model, y=GONE):
    with pytest.raises(ValueError, match=r"y.* contains NaN") as caught:
        model.fit(X, y)
    assert all(way in str(caught.value) for way in ("Leave out", "masked", "ColumnGrid"))


@pytest.mark.parametrize(
    "model",
    [
        ConservationConstrainedRegressor(Ridge(), LAW, GRID),
        BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(0.0), Dirichlet(0.0))}, GRID),
        PointwiseRegressor(Ridge(), GRID),
        EnsembleRegressor(Ridge()),
        RolloutRegressor(Ridge(), grid=GRID),
    ],
)
def test_the_ways_are_named(model):
    refused(model)


@pytest.mark.parametrize("which", [0, 1])
def test_nets_name_them_too(which):
    refused(nets()[which])


def test_those_of_calibration():
    law = ConservationLaw(over="x", total=1.0, noise=10.0)
    refused(ConservationConstrainedRegressor(Ridge(), law, GRID, calibration=(X, GONE)), Y)


def test_series_of_unequal_length_as_a_long_table():
    kept = ~np.isnan(GONE) & (np.arange(4) < np.where(np.arange(20) % 2, 4, 3)[:, None])
    series, place = np.nonzero(kept)
    table = pd.DataFrame({"series": series, "x": place.astype(float)})
    model = ConservationConstrainedRegressor(
        RandomForestRegressor(10, random_state=0),
        LAW,
        ColumnGrid(space="x", by="series", nodes=GRID["x"]),
    ).fit(table, GONE[kept])
    whole = pd.DataFrame({"series": np.repeat([3, 4], 4), "x": np.tile(GRID["x"], 2)})
    masses = np.trapezoid(model.predict(whole).reshape(2, 4), GRID["x"])
    np.testing.assert_allclose(masses, 1.0, rtol=1e-12)

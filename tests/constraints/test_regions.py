"""Regions and hierarchies, against sums by pandas and plain loops."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.tree import DecisionTreeRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, Hierarchy, RegionTotals
from skphys.grids import Axis, Components, Grid, masked

EDGES = np.array([0.0, 1.0, 3.0, 4.0])
GRID = Grid(y=Axis.cells(EDGES), x=Axis.cells(2.0 * EDGES))
REGIONS = np.array([[0, 0, 1], [0, 2, 1], [-1, 2, 2]])
SALES = pd.DataFrame({"city": list("rrroo"), "kind": list("bttbt"), "shop": list("vwxyz")})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("grid", [GRID, Grid(y=EDGES[1:], x=EDGES[1:] ** 2)])
def test_sums_by_region(mean, grid, rng):
    fields = rng.normal(size=(5, 9))
    weights = pd.Series(grid.weights())
    table = pd.DataFrame(fields * grid.weights()).T.groupby(REGIONS.ravel()).sum()
    expected = table.loc[0:].T.to_numpy()
    if mean:
        expected = expected / weights.groupby(REGIONS.ravel()).sum().loc[0:].to_numpy()
    rows = RegionTotals(REGIONS, mean=mean).rows(grid)
    np.testing.assert_allclose(fields @ rows.T, expected, rtol=1e-13)
    assert rows.nnz == 8


def test_labelled_regions_and_masks_go_by_the_names_of_axes():
    xr = pytest.importorskip("xarray")
    coords = {"y": GRID["y"], "x": GRID["x"]}
    labelled = xr.DataArray(REGIONS, coords, ["y", "x"])
    plain, mask = RegionTotals(REGIONS).rows(GRID).toarray(), REGIONS == 0
    for given in (labelled, labelled.transpose("x", "y"), labelled.T.drop_vars("x")):
        np.testing.assert_array_equal(RegionTotals(given).rows(GRID).toarray(), plain)
        law = ConservationLaw(over=["y", "x"], mask=given == 0)
        expected = ConservationLaw(over=["y", "x"], mask=mask).rows(GRID).toarray()
        np.testing.assert_array_equal(law.rows(GRID).toarray(), expected)
    flat = RegionTotals(labelled.stack(point=["y", "x"]).drop_vars(["point", "y", "x"]))
    np.testing.assert_array_equal(flat.rows(GRID).toarray(), plain)
    with pytest.raises(ValueError, match=r"regions has a coordinate 'y' that does not increase"):
        RegionTotals(labelled[::-1]).rows(GRID)
    with pytest.raises(ValueError, match=r"mask has a coordinate 'x' that does not increase"):
        ConservationLaw(over=["y", "x"], mask=labelled[:, ::-1] == 0).rows(GRID)
    with pytest.raises(ValueError, match=r"regions has the dimensions \['lat', 'x'\]"):
        RegionTotals(labelled.rename(y="lat")).rows(GRID)


def test_downscaling(rng):
    """Coarse means come from columns of X, some unknown; fine values are not negative."""
    blocks = np.kron(np.arange(4).reshape(2, 2), np.ones((2, 2), dtype=int))
    grid = Grid(y=Axis.cells(np.arange(5.0)), x=Axis.cells(np.arange(5.0)))
    y = rng.gamma(0.5, size=(30, 16))
    coarse = y.reshape(-1, 2, 2, 2, 2).mean(axis=(2, 4)).reshape(-1, 4)
    given = coarse.copy()
    given[0, 3] = np.nan
    law = RegionTotals(blocks, Column([0, 1, 2, 3]), mean=True)
    model = ConservationConstrainedRegressor(Ridge(), [law, Bounds(0.0)], grid).fit(coarse, y)
    model.set_params(constraints__regiontotals__mean=True)
    found = model.predict(coarse, constraint_values={"regiontotals": given})
    means = found.reshape(-1, 2, 2, 2, 2).mean(axis=(2, 4)).reshape(-1, 4)
    known = ~np.isnan(given)
    np.testing.assert_allclose(means[known], coarse[known], rtol=1e-9)
    assert found.min() > -1e-9


def test_on_a_component_and_a_mesh(rng):
    inside = REGIONS >= 0
    both = Components(u=GRID, v=masked(GRID, inside))
    fields = rng.normal(size=(2, both.n_points))
    law = RegionTotals(REGIONS[inside], component="v")
    full = np.zeros((2, 9))
    full[:, inside.ravel()] = fields[:, 9:]
    expected = full @ RegionTotals(REGIONS).rows(GRID).T
    np.testing.assert_allclose(fields @ law.rows(both).T, expected)
    # All regions together are the whole.
    whole = ConservationLaw(component="v").rows(both)
    np.testing.assert_allclose(law.rows(both).sum(axis=0), whole.toarray()[0])


def test_bad_regions():
    for regions in (REGIONS.astype(float), REGIONS[0], REGIONS.astype(str)):
        with pytest.raises(ValueError, match=r"regions must be integers of shape \(3, 3\)"):
            RegionTotals(regions).rows(GRID)
    with pytest.raises(ValueError, match="no point is in region 1"):
        RegionTotals(2 * REGIONS * (REGIONS > 0)).rows(GRID)
    with pytest.raises(ValueError, match="no point is in region 1"):
        RegionTotals(np.where(REGIONS == 0, 10**12, REGIONS + 1)).rows(GRID)
    with_gap = np.where(REGIONS == 1, 7, REGIONS)
    with pytest.raises(ValueError, match="no point is in region 1") as error:
        RegionTotals(with_gap).rows(GRID)
    found, numbered = re.search(
        r"(np\.unique\(.*?\));.(np\.where.*\))\. Of", str(error.value)
    ).groups()
    names = {"np": np, "regions": with_gap}
    names["found"] = eval(found, names)
    again = eval(numbered, names)
    np.testing.assert_array_equal(again < 0, with_gap < 0)
    np.testing.assert_array_equal(names["found"][again[again >= 0]], with_gap[with_gap >= 0])
    RegionTotals(again).rows(GRID)
    with pytest.raises(ValueError, match="numbers from -2 to 1"):
        RegionTotals(np.where(REGIONS < 2, REGIONS, -2)).rows(GRID)


def test_sums_by_group(rng):
    law = Hierarchy(SALES, [[], ["city"], ["city", "kind"]])
    values = rng.normal(size=(4, 5))
    everything = values @ law.summing_matrix().T
    by = pd.DataFrame(everything, columns=law.names)
    bottoms = pd.DataFrame(values, columns=SALES.agg("/".join, axis=1))
    np.testing.assert_allclose(by["total"], values.sum(axis=1))
    np.testing.assert_allclose(by["o"], values[:, 3:].sum(axis=1))
    np.testing.assert_allclose(by["r/t"], values[:, 1:3].sum(axis=1))
    pd.testing.assert_frame_equal(by[bottoms.columns], bottoms)
    assert len(law.names) == 1 + 2 + 4 + 5


def test_forecasts_add_up(rng):
    law = Hierarchy(SALES, [["kind"], ["city"]])
    X = rng.normal(size=(60, 3))
    bottoms = X @ rng.normal(size=(3, 5)) + rng.normal(size=(60, 5))
    y = bottoms @ law.summing_matrix().T
    trees = MultiOutputRegressor(DecisionTreeRegressor(max_depth=3))  # one for each series
    model = ConservationConstrainedRegressor(trees, law, error_model="residual")
    model = clone(model).fit(X, y)
    alone, found = model.estimator_.predict(X), model.predict(X)
    assert np.abs(alone - alone[:, 4:] @ law.summing_matrix().T).max() > 0.1
    np.testing.assert_allclose(found, found[:, 4:] @ law.summing_matrix().T, atol=1e-12)


def test_bad_hierarchies():
    with pytest.raises(ValueError, match=r"column 'town', but groups has \['city'"):
        Hierarchy(SALES, [["town"]]).rows(Grid.unit(6))
    with pytest.raises(ValueError, match=r"list of columns: \['city'\]; got 'city'"):
        Hierarchy(SALES, ["city"]).rows(Grid.unit(7))
    with pytest.raises(ValueError, match=r"of the same length; got the lengths {'a': 2, 'b': 1}"):
        Hierarchy({"a": [1, 2], "b": [1]}, [["a"]]).rows(Grid.unit(4))
    with pytest.raises(ValueError, match="'city' of groups says nothing of bottom series 1"):
        Hierarchy({"city": ["a", None]}, [["city"]]).rows(Grid.unit(4))
    with pytest.raises(ValueError, match=r"got the lengths {}"):
        Hierarchy({}, [[]]).rows(Grid.unit(4))
    with pytest.raises(ValueError, match="7 series, 2 aggregates and 5 bottom ones"):
        Hierarchy(SALES, [["city"]]).rows(Grid.unit(5))

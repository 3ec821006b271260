"""Fields in labelled arrays: what comes back is what xarray says it was."""

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, Dirichlet, RegionTotals
from skphys.grids import Axis, Components, Grid, Mesh, XarrayFields, control_volumes, masked
from skphys.metrics import boundary_error

LAT, LON = np.array([60.0, 50.0, 30.0]), np.array([0.0, 5.0, 10.0, 20.0])


def heat(n=3, seed=0, holes=False):
    values = np.random.default_rng(seed).normal(size=(n, 3, 4))
    if holes:
        values[:, 1, 1:3] = np.nan
    coords = {"run": np.arange(n), "lat": LAT, "lon": LON, "height": 2.0}
    return xr.DataArray(values, coords, ["run", "lat", "lon"], "heat", {"units": "W"})


@pytest.mark.parametrize("dims", [("lat", "lon"), ("lon", "lat")])
@pytest.mark.parametrize("holes", [False, True])
def test_round_trip(dims, holes):
    array = heat(holes=holes)
    layout = XarrayFields(dims=list(dims))
    rows = layout.fit_transform(array)
    assert rows.shape == (3, 10 if holes else 12)
    back = layout.inverse_transform(rows, {"run": np.arange(3)})
    xr.testing.assert_identical(back.transpose(*array.dims), array)


def test_axes_increase_and_values_go_with_them():
    array = heat()
    layout = XarrayFields(dims=["lat", "lon"]).fit(array)
    assert layout.grid_ == Grid(lat=LAT[::-1], lon=LON)
    expected = array.sortby("lat").integrate("lon").integrate("lat")
    np.testing.assert_allclose(layout.transform(array) @ layout.grid_.weights(), expected)
    assert Grid.from_xarray(array[0]) == layout.grid_


def test_draws_have_a_dimension_of_their_own():
    array = heat()
    layout = XarrayFields(dims=["lat", "lon"]).fit(array)
    draws = np.stack([layout.transform(array)] * 5, axis=-1)
    back = layout.inverse_transform(draws, {"run": [0, 1, 2]}, last="quantile")
    assert back.dims == ("run", "lat", "lon", "quantile")
    np.testing.assert_array_equal(back[..., 4], array)


def test_dates_count_units():
    days = np.array(["2001-01-01", "2001-01-03", "2001-02-01"], dtype="datetime64[ns]")
    array = xr.DataArray(np.ones((2, 3)), {"day": days}, ["run", "day"])
    layout = XarrayFields(unit="D").fit(array)
    assert layout.grid_ == Grid(day=[0.0, 2.0, 31.0])
    back = layout.inverse_transform(layout.transform(array))
    np.testing.assert_array_equal(back["day"], days)


def test_variables_are_components():
    data = xr.Dataset({"u": heat(), "w": heat(seed=2, holes=True)})
    layout = XarrayFields(dims=["lat", "lon"])
    rows = layout.fit_transform(data)
    assert isinstance(layout.grid_, Components) and layout.grid_.names == ("u", "w")
    back = layout.inverse_transform(rows, {"run": np.arange(3)})
    xr.testing.assert_identical(back, data)


def test_a_mask_leaves_a_mesh():
    inside = np.array([[True, True, True], [True, False, True]])
    grid = Grid(t=[0.0, 1.0], y=Axis.cells([0.0, 1.0, 3.0]), x=Axis.cells([0.0, 1.0, 2.0, 4.0]))
    mesh = masked(grid, inside, "t")
    volumes = np.outer([1.0, 2.0], [1.0, 1.0, 2.0])[inside]
    np.testing.assert_array_equal(mesh.volumes, volumes)
    assert mesh.shape == (2, 5)
    # A linear field's gradient is constant, so by Gauss its normal part sums to zero at all walls.
    ends = np.concatenate(list(mesh.boundary.values()))
    around = mesh.normals[ends] * mesh.areas[ends, None]
    np.testing.assert_allclose(around.sum(axis=0), 0.0, atol=1e-15)
    assert {name: len(faces) for name, faces in mesh.boundary.items()} == {"edge": 9, "mask": 3}
    # Around each volume, too, whatever its neighbours are.
    flow = control_volumes(mesh, "t").incidence @ (mesh.normals * mesh.areas[:, None])
    np.testing.assert_allclose(flow, 0.0, atol=1e-15)
    middles = mesh.face_points[mesh.boundary["mask"]]
    assert sorted(map(tuple, middles)) == [(1.0, 1.5), (2.0, 1.0), (2.0, 2.0)]


def test_time_is_the_same_in_a_mask():
    values = np.random.default_rng(0).normal(size=(4, 2, 3, 4))
    values[..., 1, 1] = np.nan
    array = xr.DataArray(values, {"lat": LAT}, ["run", "time", "lat", "lon"])
    layout = XarrayFields(time="time")
    rows = layout.fit_transform(array)
    assert layout.grid_.shape == (2, 11)
    np.testing.assert_array_equal(layout.inverse_transform(rows), array)
    law = layout.grid_.integral_rows("cell")
    flat = np.nan_to_num(array.sortby("lat").to_numpy())
    weights = Grid(lat=LAT[::-1], lon=np.arange(4.0)).weights().reshape(3, 4)
    weights[1, 1] = 0.0
    expected = np.einsum("rtij,ij->rt", flat, weights)
    np.testing.assert_allclose(rows @ law.T, expected)


def test_a_law_and_a_coast():
    """On what a mask leaves, totals and values at the coast hold, and NaN come back."""
    array = heat(n=40, holes=True)
    X = np.random.default_rng(1).normal(size=(40, 2))
    layout = XarrayFields(dims=["lat", "lon"])
    y = layout.fit_transform(array)
    X = np.column_stack([X, y @ layout.grid_.volumes])
    model = ConservationConstrainedRegressor(
        Ridge(), ConservationLaw(total=Column(2)), layout.grid_, error_model="residual"
    ).fit(X, y)
    found = layout.inverse_transform(model.predict(X), {"run": array["run"]})
    assert np.isnan(found).sum() == 40 * 2
    weights = xr.DataArray(
        Grid(lat=LAT[::-1], lon=LON).weights().reshape(3, 4),
        {"lat": LAT[::-1], "lon": LON},
        ["lat", "lon"],
    )
    np.testing.assert_allclose((found * weights).sum(["lat", "lon"]), X[:, 2], rtol=1e-12)
    coast = {"mask": Dirichlet(1.5)}
    held = BoundaryEnforcedOperator(Ridge(), coast, layout.grid_).fit(X, y)
    assert boundary_error(held.predict(X), coast, layout.grid_, X).max() < 1e-12


def test_bad_arrays():
    array = heat()
    with pytest.raises(TypeError, match="DataArray or Dataset; got ndarray"):
        XarrayFields().fit(array.to_numpy())
    with pytest.raises(ValueError, match=r"dims must name dimensions of X, .*; got \['depth'\]"):
        XarrayFields(dims=["depth"]).fit(array)
    with pytest.raises(ValueError, match=r"leaves \['run', 'lat'\]; stack them"):
        XarrayFields(dims=["lon"]).fit(array)
    with pytest.raises(ValueError, match="unit must be one of"):
        XarrayFields(unit="year").fit(array)
    with pytest.raises(ValueError, match="Time must be the first of dims"):
        XarrayFields(dims=["lat", "lon"], time="lon").fit(array)
    with pytest.raises(ValueError, match=r"axes\['lon'\] has 2 points, and X has 4"):
        XarrayFields(axes={"lon": Axis([0.0, 1.0])}).fit(array)
    with pytest.raises(ValueError, match="must be numbers or dates"):
        XarrayFields().fit(array.assign_coords(lon=list("abcd")))
    with pytest.raises(ValueError, match="axes names 'longitude', but the dimensions of X are"):
        XarrayFields(axes={"longitude": Axis([0.0, 1.0])}).fit(array)
    with pytest.raises(ValueError, match="'heat' is empty"):
        XarrayFields().fit(array[:0])
    dated = heat(holes=True).assign_coords(lat=np.arange(3).astype("datetime64[D]"))
    with pytest.raises(ValueError, match="say that it is time, and no direction"):
        XarrayFields().fit(dated.astype(float))
    layout = XarrayFields().fit(array)
    assert layout.transform(array[0]).shape == (1, 12)
    with pytest.raises(ValueError, match="along 'lon' are not those of fit"):
        layout.transform(array.assign_coords(lon=LON + 1.0))
    with pytest.raises(ValueError, match="has NaN inside the domain"):
        layout.transform(heat(holes=True))
    with pytest.raises(ValueError, match=r"X must have shape \(n_samples, 12\)"):
        layout.inverse_transform(np.ones((2, 3)))
    array[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="is NaN at other points in one field"):
        XarrayFields().fit(array)
    assert clone(layout).dims is None


def test_bad_masks():
    grid = Grid(y=np.arange(3.0), x=np.arange(3.0))
    for mask in (np.ones((3, 3)), np.ones(9, dtype=bool)):
        with pytest.raises(ValueError, match=r"truth values of shape \(3, 3\)"):
            masked(grid, mask)
    with pytest.raises(ValueError, match="at least one True"):
        masked(grid, np.zeros((3, 3), dtype=bool))
    with pytest.raises(ValueError, match="volumes must have the shape of inside"):
        masked(grid, np.ones((3, 3), dtype=bool), volumes=[1.0])
    assert isinstance(masked(grid, np.ones((3, 3), dtype=bool)), Mesh)


def test_numbers_of_regions_go_through_the_layout():
    """Sums of regions are those of the map, although latitudes decrease and cells are left out."""
    array = heat(holes=True).rename("heat")
    layout = XarrayFields(["lat", "lon"]).fit(array)
    codes = np.random.default_rng(0).integers(-1, 3, array.shape[1:])
    codes.flat[:4] = [-1, 0, 1, 2]
    regions = xr.DataArray(codes, array[0].coords, ["lat", "lon"])
    number = layout.transform(regions)[0].astype(int)
    rows = RegionTotals(number).rows(layout.grid_)
    volumes = layout.inverse_transform(layout.grid_.volumes[None])[0]
    expected = [(array * volumes).where(regions == k).sum(["lat", "lon"]) for k in range(3)]
    np.testing.assert_allclose(layout.transform(array) @ rows.T, np.transpose(expected), rtol=1e-12)
    falling = regions.isel(lat=slice(None, None, -1))
    with pytest.raises(ValueError, match=r"along 'lat' are not those of fit.*reindex_like\(seen\)"):
        layout.transform(falling)
    np.testing.assert_array_equal(layout.transform(falling.reindex_like(array))[0], number)
    with pytest.raises(ValueError, match=r"DataArray: layout.transform\(regions\)\[0\].astype"):
        RegionTotals(regions).rows(layout.grid_)


def test_a_dataarray_beside_a_dataset():
    """It may have any name beside one variable, and is at the points of the one it names."""
    array, holes = heat(), heat(holes=True)
    one = XarrayFields(["lat", "lon"]).fit(array.to_dataset(name="rain"))
    np.testing.assert_array_equal(one.transform(array.rename("zone")), one.transform(array))
    with pytest.raises(ValueError, match="X lacks the variable 'rain'"):
        one.transform(array.to_dataset(name="snow"))
    both = XarrayFields(["lat", "lon"]).fit(xr.Dataset({"wind": array, "rain": holes}))
    part = both.transform(array.rename("rain"))
    inside = both.inside_["rain"].ravel()
    np.testing.assert_array_equal(part, both.transform(array.rename("wind"))[:, inside])
    with pytest.raises(ValueError, match=r"'zone', and .*\['wind', 'rain'\].*rename\('wind'\)"):
        both.transform(array.rename("zone"))


def test_a_failed_fit_leaves_what_was_fitted():
    holes, other = heat(holes=True), heat()
    other[0, 0, 0] = np.nan
    layout = XarrayFields(["lat", "lon"]).fit(holes)
    before = layout.transform(holes)
    with pytest.raises(ValueError, match="is NaN at other points in one field"):
        layout.fit(other.rename("other"))
    np.testing.assert_array_equal(layout.transform(holes), before)
    back = layout.inverse_transform(before, {"run": np.arange(3)})
    xr.testing.assert_identical(back, holes)

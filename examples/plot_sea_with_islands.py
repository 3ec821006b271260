"""
A sea with islands
==================

Monthly surface temperatures of a sea, in xarray's labelled arrays, are predicted from two indices,
and the heat that the sea holds in all is known from another measurement. Where there is land there
is NaN; what is left is a mesh, and the law counts the areas of its cells on the sphere.
"""

# %%
# The data
# --------
#
# Latitudes decrease, as they often do in files. Temperatures follow the season, which lags behind
# near the middle, and a front that stands farther north or south from year to year.

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from sklearn.ensemble import ExtraTreesRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw
from skphys.grids import Axis, XarrayFields
from skphys.metrics import coverage

lat, lon = np.arange(59.0, 39.0, -1.0), np.arange(0.5, 30.0, 1.0)
time = np.arange("2000-01", "2020-01", dtype="datetime64[M]").astype("datetime64[ns]")
rng = np.random.default_rng(0)
year = np.arange(len(time)) / 12.0
front = 49.0 + np.repeat(rng.normal(0.0, 2.0, size=20), 12) + rng.normal(0.0, 0.5, len(time))
lag = 0.15 * np.exp(-(((lon - 15.0) / 6.0) ** 2))
season = np.cos(2.0 * np.pi * (year[:, None, None] - 0.6 - lag))
warm = 4.0 * np.tanh((front[:, None, None] - lat[:, None]) / 1.5)
values = 12.0 + warm + 5.0 * season + 0.05 * rng.normal(size=(len(time), len(lat), len(lon)))
islands = ((lat[:, None] - 52) / 3) ** 2 + ((lon - 9) / 4) ** 2 < 1
islands |= ((lat[:, None] - 45) / 2) ** 2 + ((lon - 22) / 5) ** 2 < 1
values[:, islands] = np.nan
sea = xr.DataArray(
    values,
    {"time": time, "lat": lat, "lon": lon},
    ["time", "lat", "lon"],
    name="temperature",
    attrs={"units": "degC"},
)

# %%
# From labels to rows, and back
# -----------------------------
#
# The sine of the latitude measures area. ``XarrayFields`` finds the mask; its grid is a mesh.

layout = XarrayFields(
    dims=["lat", "lon"],
    axes={
        "lat": Axis.cells(np.sin(np.radians(np.arange(39.5, 60.0)))),
        "lon": Axis.cells(np.radians(np.arange(31.0))),
    },
)
y = layout.fit_transform(sea)
content = y @ layout.grid_.volumes
noisy_front = front + rng.normal(0.0, 1.0, len(time))
X = np.column_stack([np.cos(2 * np.pi * year), np.sin(2 * np.pi * year), noisy_front, content])
print(layout.grid_)

train, test = slice(0, 180), slice(180, None)
model = ConservationConstrainedRegressor(
    ExtraTreesRegressor(100, min_samples_leaf=3, random_state=0),
    ConservationLaw(over="cell", total=Column(3)),
    layout.grid_,
    drop_value_columns=True,
).fit(X[train], y[train])

mean = model.predict(X[test])
alone = model.estimator_.predict(X[test, :3])
fields, before = (layout.inverse_transform(p, {"time": time[test]}) for p in (mean, alone))
for name, found in {"trees": before, "with the law": fields}.items():
    error = float(np.sqrt(((found - sea[test]) ** 2).mean()))
    gap = np.abs(layout.transform(found) @ layout.grid_.volumes - content[test]).max()
    print(f"{name:13s} rmse {error:.2f} degC, heat content off by {gap:.1e}")
held = coverage(y[test], *model.predict_interval(X[test], 0.9))
print(f"90 % intervals hold {held:.0%}")

# %%
# A month
# -------
#
# What comes back is an array like the one that went in, which xarray draws, with land in grey.

k = int(np.argmax(((before - sea[test]) ** 2).mean(["lat", "lon"]).to_numpy()))
panels = {
    "True": sea[test][k],
    "Error of the trees": before[k] - sea[test][k],
    "Error with the law": fields[k] - sea[test][k],
}
figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained", sharey=True)
for ax, (title, panel) in zip(axes, panels.items(), strict=True):
    limit = {} if title == "True" else {"vmin": -5.0, "vmax": 5.0, "cmap": "RdBu_r"}
    ax.set_facecolor("0.7")
    panel.plot(ax=ax, **limit)
    ax.set_title(title)
plt.show()

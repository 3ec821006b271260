"""
Carbon in soil profiles, with stocks from another table
=======================================================

A survey has measured the density of organic carbon at the depths where samples could be taken, a
few a profile, never the same. For some profiles another laboratory has measured the whole stock of
the upper metre, with an error of its own. The stock is the integral of the density, and a density
is positive. The law stands outside of the logarithm that the regressor works with.
"""

# %%
# Two tables
# ----------
#
# One row a sample: site and day say which profile it is of. The soil's texture is a category, its pH was not
# measured everywhere. What no column knows, how a place was farmed, scales a whole profile.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.integrate import trapezoid
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid
from skphys.metrics import coverage

NODES = np.linspace(0.0, 1.0, 51)
TEXTURES = np.array(["clay", "loam", "sand"])


def profile(site, rng):
    """Return the samples of a profile, its stock, and its density at the nodes."""
    texture, ph, rain = rng.integers(3), rng.normal(6.0, 0.8), rng.gamma(9.0, 0.1)
    surface = np.array([40.0, 30.0, 18.0])[texture] * rain**0.5 * rng.lognormal(0.0, 0.4)
    scale = 0.15 + 0.05 * np.clip(ph - 5.0, 0.0, 2.0) + 0.05 * texture
    true = surface * np.exp(-NODES / scale) + 2.0
    depth = np.sort(rng.uniform(0.0, 1.0, rng.integers(4, 9))).round(2)
    depth = np.unique(depth)
    samples = pd.DataFrame({"site": f"S{site:03d}", "depth": depth})
    samples["day"] = pd.Timestamp("2024-03-01") + pd.Timedelta(days=int(rng.integers(200)))
    samples["texture"] = pd.Categorical([TEXTURES[texture]] * len(depth), TEXTURES)
    samples["ph"] = ph if rng.random() < 0.8 else np.nan
    samples["rain"] = rain
    samples["density"] = np.interp(depth, NODES, true) * rng.lognormal(0.0, 0.1, len(depth))
    stock, error = trapezoid(true, NODES), rng.choice([0.3, 1.0])
    known = {"stock": stock + error * rng.normal(), "stock_error": error}
    return samples, {"site": f"S{site:03d}", "day": samples["day"][0], **known}, true


rng = np.random.default_rng(0)
profiles, stocks, truth = zip(*(profile(site, rng) for site in range(300)), strict=True)
stocks = pd.DataFrame(stocks).sample(frac=0.7, random_state=0)
table = pd.concat(profiles, ignore_index=True).merge(stocks, on=["site", "day"], how="left")
print(table.head(8).to_string(index=False))

# %%
# A regressor of logarithms, a law of densities
# ---------------------------------------------

FEATURES = ["depth", "texture", "ph", "rain"]
trees = TransformedTargetRegressor(
    HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=150, random_state=0),
    func=np.log,
    inverse_func=np.exp,
)
columns = make_column_transformer(("passthrough", FEATURES), verbose_feature_names_out=False)
backbone = make_pipeline(columns.set_output(transform="pandas"), trees)
model = ConservationConstrainedRegressor(
    backbone,
    [
        ("stock", ConservationLaw(over="depth", total=Column("stock"), noise=Column("stock_error"))),
        ("positive", Bounds(lower=0.0)),
    ],
    ColumnGrid(space="depth", by=["site", "day"], nodes=NODES),
    error_model="auto",
    drop_value_columns=True,
)

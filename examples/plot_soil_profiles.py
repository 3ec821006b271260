"""
Carbon in soil profiles, with stocks from another table
=======================================================

A survey measured the density of organic carbon at a few depths of each profile, never the same. For
most profiles another laboratory measured the stock of the whole upper metre, with an error of its
own. The stock is the integral of the density over depth, and a density is positive. Regressors of
soils work with logarithms, since errors grow with what is there; the law, which is a sum, has to
stand outside of the logarithm.
"""

# %%
# Two tables
# ----------
#
# One row a sample; the site, a string, and the day, a timestamp, say which profile it is of, and
# join the table of stocks. The texture is a category, the pH is missing in places, and so are
# stocks. How a field was farmed no column knows; it scales a whole profile.

import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold, cross_val_predict

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid
from skphys.metrics import coverage

NODES = np.linspace(0.0, 1.0, 51)
TEXTURES = np.array(["clay", "loam", "sand"])
FEATURES = ["depth", "texture", "ph", "rain"]


def profile(number, rng):
    """Return the samples of a profile, its line in the table of stocks, and its true density."""
    texture, ph, rain = rng.integers(3), rng.normal(6.0, 0.8), rng.gamma(9.0, 0.1)
    surface = np.array([40.0, 30.0, 18.0])[texture] * np.sqrt(rain) * rng.lognormal(0.0, 0.4)
    scale = 0.15 + 0.05 * np.clip(ph - 5.0, 0.0, 2.0) + 0.05 * texture
    density = surface * (0.9 * np.exp(-NODES / scale) + 0.1)
    depth = np.unique(rng.uniform(0.0, 1.0, rng.integers(4, 9)).round(2))
    day = pd.Timestamp("2024-03-01") + pd.Timedelta(days=int(rng.integers(200)))
    key = {"site": f"S{number:03d}", "day": day}
    known = {
        "texture": pd.Categorical([TEXTURES[texture]] * len(depth), TEXTURES),
        "ph": ph if rng.random() < 0.8 else np.nan,
        "rain": rain,
    }
    measured = np.interp(depth, NODES, density) * rng.lognormal(0.0, 0.1, len(depth))
    samples = pd.DataFrame({**key, "depth": depth, **known, "density": measured})
    error = rng.choice([0.4, 2.0])
    stock = np.trapezoid(density, NODES) + error * rng.normal()
    return samples, {**key, "stock": stock, "stock_error": error}, density


rng = np.random.default_rng(0)
profiles, stocks, true = zip(*(profile(number, rng) for number in range(300)), strict=True)
stocks = pd.DataFrame(stocks).sample(frac=0.7, random_state=0)
table = pd.concat(profiles).merge(stocks, on=["site", "day"], how="left")
print(table.head(9).to_string(index=False, float_format="{:.2f}".format))

# %%
# A regressor of logarithms
# -------------------------
#
# The trees take the category and the gaps as they are. How far their logarithms are off for sites
# that they have not seen becomes a standard deviation of the density, in proportion to it. The law
# asks for it by ``return_std``, and puts the carbon that is missing where there is much.


class LogTrees(RegressorMixin, BaseEstimator):
    """Boosted trees for the logarithm, with log-normal errors."""

    def fit(self, X, y):
        """Fit the trees, and the size of their errors with sites left out."""
        self.n_features_in_ = X.shape[1]
        trees = HistGradientBoostingRegressor(
            categorical_features="from_dtype", max_iter=100, max_leaf_nodes=8, random_state=0
        )
        task = X[FEATURES], np.log(y)
        folds = GroupKFold(5, shuffle=True, random_state=0)
        left_out = cross_val_predict(clone(trees), *task, cv=folds, groups=X["site"])
        self.log_std_ = np.std(task[1] - left_out)
        self.trees_ = trees.fit(*task)
        return self

    def predict(self, X, return_std=False):
        """Return mean densities, and their standard deviations on demand."""
        mean = np.exp(self.trees_.predict(X[FEATURES]) + self.log_std_**2 / 2.0)
        return (mean, mean * np.sqrt(np.expm1(self.log_std_**2))) if return_std else mean


# %%
# A law of densities
# ------------------
#
# ``ColumnGrid`` takes the keys as they are. The stock and its error are columns; where they are NaN
# the profile is left as predicted. The law acts at the nodes, so samples and queries may lie
# anywhere between them. What the trees do not know scales a whole profile, so errors stay
# alike over more than its metre.

stock = ConservationLaw(over="depth", total=Column("stock"), noise=Column("stock_error"))
model = ConservationConstrainedRegressor(
    LogTrees(),
    [("stock", stock), ("positive", Bounds(lower=0.0))],
    ColumnGrid(space="depth", by=["site", "day"], nodes=NODES),
    error_model=ErrorModel(covariance="stated", correlation_length=3.0, displacement=None, scale=1),
    drop_value_columns=True,
)

# %%
# Two hundred profiles to learn from, a hundred to predict, at all nodes. The rivals are the trees
# alone, and each profile of theirs times the factor that gives it the measured stock, as if that
# had no error.

train = table["site"] < "S200"
model.fit(table[train].drop(columns="density"), table.loc[train, "density"])
asked = table[~train].drop(columns=["density", "depth"]).drop_duplicates("site")
query = asked.merge(pd.DataFrame({"depth": NODES}), how="cross")[table.columns.drop("density")]
truth, n = np.array(true[200:]), len(asked)
measured, sure = asked["stock"].to_numpy(), asked["stock_error"].to_numpy()
trees = model.estimator_


def rescaled(query):
    """Multiply each profile of the trees so that it has the stock that was measured."""
    fields = trees.predict(query).reshape(n, -1)
    factor = measured / np.trapezoid(fields, NODES, axis=1)
    return fields * np.where(np.isnan(factor), 1.0, factor)[:, None]


groups = {"sure": sure < 1.0, "unsure": sure > 1.0, "none": np.isnan(sure)}
print("RMSE in kg/m³ where the stock is" + "".join(f"{name:>9}" for name in groups))
found = {}
ways = {"trees alone": trees.predict, "rescaled": rescaled, "with the law": model.predict}
for name, way in ways.items():
    began = time.perf_counter()
    found[name] = fields = way(query).reshape(n, -1)
    seconds = time.perf_counter() - began
    errors = [np.sqrt(np.mean((fields[g] - truth[g]) ** 2)) for g in groups.values()]
    print(f"{name:32}" + "".join(f"{e:9.2f}" for e in errors) + f"{seconds:9.2f} s")
low, high = model.predict_interval(query, 0.9)
print(f"least density {found['with the law'].min():.2f} kg/m³")
print(f"90 % intervals hold {coverage(truth.ravel(), low, high):.0%}")

# %%
# A profile of each kind
# ----------------------
#
# A sure stock leaves little to doubt; an unsure one moves the profile part of the way; without one
# the trees' word counts.

figure, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
for ax, (title, group) in zip(axes, groups.items(), strict=True):
    gap = np.abs(np.trapezoid(found["trees alone"] - truth, NODES, axis=1))
    k = np.flatnonzero(group)[np.argsort(gap[group])[int(0.8 * group.sum())]]
    ends = (end.reshape(n, -1)[k] for end in (low, high))
    ax.fill_betweenx(NODES, *ends, color="C0", alpha=0.2, label="90 %")
    for (name, fields), style in zip(found.items(), ("C0-", "C1--", "C2:"), strict=True):
        ax.plot(fields[k], NODES, style, label=name)
    ax.plot(truth[k], NODES, "k", lw=1, label="truth")
    samples = table[table["site"] == asked["site"].iloc[k]]
    ax.plot(samples["density"], samples["depth"], "kx", label="samples, not shown to it")
    ax.set(title=f"stock: {title}", xlabel="carbon density / kg m⁻³", xlim=(0, None))
axes[0].set_ylabel("depth / m")
axes[0].invert_yaxis()
axes[0].legend()
figure.savefig("soil_profiles.png", dpi=110)

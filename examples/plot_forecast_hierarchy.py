"""
Loads of a grid, of its regions and of its sectors
==================================================

A grid operator forecasts tomorrow's load of the whole country, of each region, of each sector, of
each sector of each region, and of each supplier there. Forecast one by one they do not add up.
:class:`~skphys.constraints.Hierarchy` makes the law of a table of groups, and any scikit-learn
regressor makes the forecasts. The neighbour is MinT with a shrunk covariance, from the package
hierarchicalforecast.
"""

# %%
# The data
# --------
#
# One line of the table a bottom series. Regions share their weather, sectors their week.

import time
from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Hierarchy
from skphys.metrics import coverage

REGIONS = ["coast", "hills", "plain", "north", "capital"]
SECTORS = ["homes", "industry", "trade"]
LAGS, N_TRAIN, N_HELD, N_TEST = (1, 2, 7), 365, 90, 120
table = pd.MultiIndex.from_product(
    [REGIONS, SECTORS, ["A", "B", "C"]], names=["region", "sector", "supplier"]
).to_frame(index=False)
law = Hierarchy(table, levels=[[], ["region"], ["sector"], ["region", "sector"]])
S = law.summing_matrix()
print(f"{S.shape[1]} bottom series and {S.shape[0] - S.shape[1]} sums, such as {law.names[5:13:4]}")


def draw_loads(n_days, rng):
    """Return the loads of all series, (n_days, n_series), in MW."""
    days, n = np.arange(n_days)[:, None], len(table)
    region, sector = (pd.factorize(table[name])[0] for name in ("region", "sector"))
    weekend = np.isin(days % 7, (5, 6)) * np.array([0.1, -0.5, -0.3])[sector]
    season = 0.2 * np.cos(2.0 * np.pi * days / 365.0) * np.array([1.5, 0.2, 0.7])[sector]
    shocks = 0.05 * rng.normal(size=(n_days, len(REGIONS)))[:, region]
    shocks += 0.05 * rng.normal(size=(n_days, len(SECTORS)))[:, sector]
    shocks += 0.05 * rng.normal(size=(n_days, n))
    noise = np.zeros((n_days, n))
    for day in range(1, n_days):
        noise[day] = 0.7 * noise[day - 1] + shocks[day]
    noise += 0.15 * rng.normal(size=(n_days, n))
    return rng.lognormal(4.0, 0.6, n) * np.exp(weekend + season + noise) @ S.T


loads = draw_loads(N_TRAIN + N_HELD + N_TEST + max(LAGS), np.random.default_rng(0))
y = loads[max(LAGS) :]
weekday = np.arange(max(LAGS), len(loads))[:, None] % 7
X = np.hstack([weekday, *(loads[max(LAGS) - lag : len(loads) - lag] for lag in LAGS)])
train, held, test = np.split(np.arange(len(y)), [N_TRAIN, N_TRAIN + N_HELD])

# %%
# One regressor for all series
# ----------------------------
#
# Trees forecast every series from its own lags, in units of its mean, the weekday and the series'
# number.


class OwnLags(RegressorMixin, BaseEstimator):
    """Forecast each series from its own lags, which are columns of X, by one regressor for all."""

    def __init__(self, regressor):
        self.regressor = regressor

    def fit(self, X, y):
        """Fit the regressor to all series in units of their means."""
        self.n_features_in_, self.size_ = X.shape[1], y.mean(axis=0)
        self.regressor_ = clone(self.regressor).fit(self._rows(X), (y / self.size_).ravel())
        return self

    def predict(self, X):
        """Forecast all series."""
        return self.regressor_.predict(self._rows(X)).reshape(len(X), -1) * self.size_

    def _rows(self, X):
        n = len(self.size_)
        lags = X[:, 1:].reshape(len(X), -1, n) / self.size_
        columns = [X[:, [0]] + np.zeros(n), np.zeros((len(X), 1)) + np.arange(n)]
        return np.stack([*columns, *np.moveaxis(lags, 1, 0)], axis=-1).reshape(-1, 2 + len(LAGS))


trees = OwnLags(HistGradientBoostingRegressor(max_iter=150, random_state=0))
trees.fit(X[train], y[train])

# %%
# Making them add up
# ------------------
#
# All get the same forecasts. MinT and the law also get 90 days held out, which tell how large
# errors are, and which go together. Adding up the bottom series throws the other forecasts away.


model = ConservationConstrainedRegressor(
    FrozenEstimator(trees), law, calibration=(X[held], y[held])
)


def by_mint():
    """Return what hierarchicalforecast makes of the forecasts."""
    from hierarchicalforecast.methods import MinTrace

    forecasts = {"y_hat": trees.predict(X[test]).T, "y_hat_insample": trees.predict(X[held]).T}
    mint = MinTrace(method="mint_shrink")
    return mint.fit_predict(S=S.toarray(), y_insample=y[held].T, **forecasts)["mean"].T


n_sums = S.shape[0] - S.shape[1]
ways = {
    "one by one": lambda: trees.predict(X[test]),
    "bottom up": lambda: trees.predict(X[test])[:, n_sums:] @ S.T,
    "MinT, shrunk": by_mint,
    "with the law": lambda: model.fit(X[train], y[train]).predict(X[test]),
}
if find_spec("hierarchicalforecast") is None:
    del ways["MinT, shrunk"]
    print("MinT is left out: hierarchicalforecast is not installed")

# %%
# Errors are in units of each series' own day-to-day changes.

unit = np.mean(np.diff(y[train], axis=0) ** 2, axis=0)
parts = {"country": 1, "regions": 5, "sectors": 3, "both": 15, "suppliers": 45}
level = np.repeat(list(parts), list(parts.values()))
errors, found = {}, {}
print(f"{'RMSE':14}" + "".join(f"{name:>10}" for name in ("all", *parts)))
for name, way in ways.items():
    began = time.perf_counter()
    found[name] = loads = way()
    seconds = time.perf_counter() - began
    mse = np.mean((loads - y[test]) ** 2 / unit, axis=0)
    errors[name] = [np.sqrt(mse[level == part].mean()) for part in parts]
    gap = np.abs(loads[:, :n_sums] - loads[:, n_sums:] @ S[:n_sums].T).max()
    numbers = "".join(f"{e:10.3f}" for e in (np.sqrt(mse.mean()), *errors[name]))
    print(f"{name:14}{numbers}  sums off by {gap:.0e} MW, {seconds:.2f} s")
low, high = model.predict_interval(X[test], 0.9)
print(f"90 % intervals hold {coverage(y[test], low, high):.0%}")

# %%
# A month of the country
# ----------------------

figure, (bars, line) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for k, (name, values) in enumerate(errors.items()):
    bars.bar(np.arange(len(parts)) + 0.2 * (k - 1.5), values, 0.2, label=name)
bars.set_xticks(np.arange(len(parts)), parts)
bars.set(ylabel="error / day-to-day change", ylim=(0.0, 0.85))
bars.legend(ncols=2)
days = np.arange(30)
line.fill_between(days, low[:30, 0], high[:30, 0], color="C3", alpha=0.2, label="90 % interval")
for name, style in {"one by one": "C0--", "bottom up": "C1:", "with the law": "C3-"}.items():
    line.plot(days, found[name][:30, 0], style, label=name)
line.plot(days, y[test[:30], 0], "k.", label="load")
line.set(xlabel="day", ylabel="MW", title="country", ylim=(None, 3900))
line.legend(ncols=3, loc="upper center")
figure.savefig("forecast_hierarchy.png", dpi=110)

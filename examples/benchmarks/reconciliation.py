"""
Error models beside forecast reconciliation
===========================================

A hierarchy of 209 series, a total over 8 regions over 40 groups over 160 bottom series, forecast
one step ahead, each by a regressor of its own lags, so that sums and parts disagree. Our error
models and the methods of hierarchicalforecast reconcile the same forecasts by the same residuals,
those of held-out steps. What is printed is the squared error over that of the forecasts as they
are, each series in units of its own seasonal differences.

.. code-block:: shell

    python examples/benchmarks/reconciliation.py
    python examples/benchmarks/reconciliation.py --quick
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Hierarchy

PERIOD, LAGS = 12, (1, 2, 3, 12)
OURS = ("stated", "residual", "calibrated", "auto")
THEIRS = ("ols", "wls_var", "mint_shrink")


def hierarchy(n_regions, n_groups, n_bottoms):
    """Return the law, of bottom series that each have a region and a group."""
    region, group, _ = np.indices((n_regions, n_groups, n_bottoms)).reshape(3, -1)
    table = {"region": np.char.zfill(region.astype(str), 3), "group": group}
    return Hierarchy(table, [[], ["region"], ["region", "group"]])


def series(S, n_steps, n_regions, seed):
    """Draw bottom series with a season, a trend and noise that regions and groups share."""
    rng = np.random.default_rng(seed)
    n_series = S.shape[1]
    t = np.arange(n_steps)[:, None]
    phase = rng.uniform(0.0, PERIOD, n_regions).repeat(n_series // n_regions)
    phase = phase + rng.normal(size=n_series)
    season = rng.uniform(0.5, 2.0, n_series) * np.sin(2.0 * np.pi * (t + phase) / PERIOD)
    trend = rng.normal(0.0, 0.003, n_series) * t
    shared = [rng.normal(size=(n_steps, n)) for n in (1, n_regions, 5 * n_regions, n_series)]
    shocks = sum(
        size * np.repeat(noise, n_series // noise.shape[1], axis=1)
        for size, noise in zip((0.3, 0.4, 0.4, 1.0), shared, strict=True)
    )
    noise = np.zeros((n_steps, n_series))
    for step in range(1, n_steps):
        noise[step] = 0.6 * noise[step - 1] + shocks[step]
    size = rng.lognormal(0.0, 0.7, n_series)
    return size * (5.0 + season + trend + noise) @ S.T


class OwnLags(RegressorMixin, BaseEstimator):
    """Forecast each series from its own lags, which are columns of X."""

    def __init__(self, regressor):
        self.regressor = regressor

    def fit(self, X, y):
        """Fit a clone for each series."""
        own = X.reshape(len(X), -1, y.shape[1])
        self.regressors_ = [
            clone(self.regressor).fit(own[..., k], y[:, k]) for k in range(y.shape[1])
        ]
        return self

    def predict(self, X):
        """Predict all series."""
        own = X.reshape(len(X), -1, len(self.regressors_))
        return np.stack([r.predict(own[..., k]) for k, r in enumerate(self.regressors_)], axis=1)


def ours(backbone, law, train, calibration, X):
    """Return what each of our error models makes of forecasts."""
    found = {}
    for name in OURS:
        model = ConservationConstrainedRegressor(backbone, law, error_model=name)
        model.set_params(calibration=None if name == "stated" else calibration).fit(*train)
        found[name] = model.predict(X)
        miss = np.abs(model.constraint_residuals(X)).max() / np.abs(found[name]).max()
        assert miss < 1e-12, miss
    return found


def theirs(S, forecast, y, fitted):
    """Return what the methods of hierarchicalforecast make of the same."""
    if find_spec("hierarchicalforecast") is None:
        return {}
    from hierarchicalforecast.methods import MinTrace

    given = {"S": S, "y_hat": forecast.T, "y_insample": y.T, "y_hat_insample": fitted.T}
    return {name: MinTrace(method=name).fit_predict(**given)["mean"].T for name in THEIRS}


def compare(regressor, n_train, n_held_out, n_test, seed):
    """Return the error of the forecasts, and the ratios to it by method; 0 held out is by folds."""
    n_regions = 8
    law = hierarchy(n_regions, 5, 4)
    S = law.summing_matrix().toarray()
    drawn = series(S, PERIOD + n_train + n_held_out + n_test, n_regions, seed)
    X = np.hstack([drawn[PERIOD - lag : len(drawn) - lag] for lag in LAGS])
    y = drawn[PERIOD:]
    unit = np.mean((y[:n_train] - drawn[:n_train]) ** 2, axis=0)
    train, test = (X[:n_train], y[:n_train]), slice(n_train + n_held_out, None)
    own = OwnLags(regressor)
    backbone = clone(own).fit(*train)
    held_out, calibration = train, None
    if n_held_out:
        held_out = X[n_train : test.start], y[n_train : test.start]
        calibration, fitted = held_out, backbone.predict(held_out[0])
        own = FrozenEstimator(backbone)
    else:  # those that fit takes
        folds = GroupKFold(5, shuffle=True, random_state=0)
        fitted = cross_val_predict(own, *train, cv=folds, groups=np.arange(n_train))
    forecast = backbone.predict(X[test])
    found = theirs(S, forecast, held_out[1], fitted)
    found |= ours(own, law, train, calibration, X[test])
    before = np.mean((forecast - y[test]) ** 2 / unit)
    return before, {k: np.mean((v - y[test]) ** 2 / unit) / before for k, v in found.items()}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    quick = parser.parse_args().quick
    if find_spec("hierarchicalforecast") is None:
        print("hierarchicalforecast is not installed: its columns are left out")
    regressors = {
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 6))),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(8)),
        "tree": DecisionTreeRegressor(min_samples_leaf=8, random_state=0),
    }
    n_train, n_test, n_draws = (60, 24, 1) if quick else (120, 120, 2)
    ratios = []
    for name, regressor in regressors.items():
        for n_held_out in (24,) if quick else (24, 96, 0):
            began = time.perf_counter()
            sizes = (n_train, n_held_out, n_test)
            draws = [compare(regressor, *sizes, seed) for seed in range(n_draws)]
            row = {k: np.mean([found[k] for _, found in draws]) for k in draws[0][1]}
            if not ratios:
                print(f"{'':24}{'alone':>8}" + "".join(f"{k:>12}" for k in row))
            ratios.append(list(row.values()))
            alone = np.mean([before for before, _ in draws])
            held_out = f"{n_held_out} steps" if n_held_out else "folds"
            line = f"{name:12}{held_out:12}{alone:8.3f}"
            seconds = time.perf_counter() - began
            print(
                line + "".join(f"{v:12.3f}" for v in row.values()) + f"{seconds:8.1f} s", flush=True
            )
    print(f"{'mean':32}" + "".join(f"{value:12.3f}" for value in np.mean(ratios, axis=0)))


if __name__ == "__main__":
    main()

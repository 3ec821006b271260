"""
Truncated posteriors beside projected draws
===========================================

Fields whose points are not negative and whose total is known: 1,000 compositions of 5, 1,000 fields
of 201 points with independent errors, and fewer of 201 points whose errors belong together. The
truth is drawn by rejection, point by point or as a whole, from the Gaussian that the backbone
states, so that the posterior is the truncated one. What is printed are the seconds of
`predict_interval`, for all fields, and of draws; their CRPS; and how many points intervals of 90 %
hold, as quantiles of the draws. BayesReconPy's importance sampling (BUIS) stands beside on some of
the compositions, where it is installed; its total has a standard deviation, which cannot be 0.

.. code-block:: shell

    python examples/benchmarks/truncated.py
    python examples/benchmarks/truncated.py --quick
"""

import argparse
import contextlib
import io
import time
from importlib.util import find_spec

import numpy as np
from scipy.stats import truncnorm
from sklearn.base import BaseEstimator, RegressorMixin

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw
from skphys.metrics import crps_ensemble

DRAWS = 256
BUIS_STD = 0.01  # of the total, in units of a point's


class Stated(RegressorMixin, BaseEstimator):
    """Predicts row i of the given means, with the given standard deviation or covariance."""

    def __init__(self, means, spread):
        self.means = means
        self.spread = spread

    def fit(self, X, y):
        """Learn nothing."""
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X, return_std=False, return_cov=False):
        """Look the rows up."""
        rows = X[:, 0].astype(int)
        mean = self.means[rows]
        if return_std:
            std = self.spread if self.spread.ndim == 1 else np.sqrt(np.diagonal(self.spread))
            return mean, np.broadcast_to(std, mean.shape)
        if return_cov:
            return mean, np.broadcast_to(self.spread, (*mean.shape, mean.shape[1]))
        return mean


class StatedStd(Stated):
    """The same with independent points."""

    def predict(self, X, return_std=False):
        """Look the rows up."""
        return super().predict(X, return_std)


def compositions(n, rng):
    """Return means, standard deviations and true parts: some of them hardly there."""
    mean = 0.9 * rng.dirichlet(np.full(5, 0.5), n)
    std = np.full(5, 0.15)
    return mean, std, truncnorm.rvs(-mean / std, np.inf, mean, std, random_state=rng)


def clouds(n, rng):
    """Return a cloud somewhere in a domain that is thinly filled elsewhere."""
    x, center = np.linspace(0.0, 1.0, 201), rng.uniform(0.3, 0.7, (n, 1))
    mean, std = np.exp(-(((x - center) / 0.1) ** 2)), np.full(201, 0.1)
    return mean, std, truncnorm.rvs(-mean / std, np.inf, mean, std, random_state=rng)


def smooth(n, rng):
    """Return fields with correlated errors; what is not positive is drawn again."""
    x = np.linspace(0.0, 1.0, 201)
    cov = 0.15**2 * np.exp(-0.5 * ((x[:, None] - x) / 0.15) ** 2) + 1e-8 * np.eye(201)
    root, center = np.linalg.cholesky(cov), rng.uniform(0.3, 0.7, (n, 1))
    mean = np.exp(-(((x - center) / 0.2) ** 2))
    truth, left = np.empty_like(mean), np.arange(n)
    while len(left):
        drawn = mean[left] + rng.standard_normal((len(left), 201)) @ root.T
        good = (drawn >= 0).all(axis=1)
        truth[left[good]], left = drawn[good], left[~good]
    return mean, cov, truth


def line(name, took, spent, draws, truth, totals):
    """Print one way's seconds, scores and misses."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=-1, method="weibull")
    inside = np.mean((truth >= low) & (truth <= high))
    missed = np.abs(draws.sum(axis=1) - totals[:, None]).max()
    error = np.sqrt(np.mean((draws.mean(axis=-1) - truth) ** 2))
    print(
        f"  {name:12} {took:8.2f} s {spent:8.2f} s  CRPS {crps_ensemble(truth, draws):.5f}  "
        f"RMSE {error:.5f}  90 %: {inside:6.1%}  least {draws.min():+.0e}  sums off {missed:.0e}"
    )


def compare(name, mean, spread, truth):
    """Print the ways on one problem."""
    n, n_points = mean.shape
    print(f"{name}: {n:,} fields of {n_points} points")
    print(f"  {'':12} intervals      draws")
    totals = truth.sum(axis=1)
    X = np.column_stack([np.arange(n), totals])
    backbone = (StatedStd if spread.ndim == 1 else Stated)(mean, spread)
    law, positive = ConservationLaw(total=Column(1)), Bounds(lower=0.0)
    for way, listed in (("law alone", [law]), ("projected", [law, positive]), ("truncated", None)):
        model = ConservationConstrainedRegressor(
            backbone,
            listed or [law, positive],
            error_model="stated",
            inequality_posterior="truncated" if way == "truncated" else "projected",
        ).fit(X, truth)
        began = time.perf_counter()
        model.predict_interval(X)
        took = time.perf_counter() - began
        began = time.perf_counter()
        draws = model.sample_y(X, DRAWS)
        line(way, took, time.perf_counter() - began, draws, truth, totals)


def buis(mean, std, truth):
    """Print BayesReconPy's importance sampling of truncated parts, given the total."""
    from bayesreconpy.reconc_buis import reconc_buis

    rng, drawn = np.random.default_rng(0), []
    totals, began = truth.sum(axis=1), time.perf_counter()
    for m, total in zip(mean, totals, strict=True):
        parts = truncnorm.rvs(-m / std, np.inf, m, std, (20_000, 5), random_state=rng)
        base = [{"mean": total, "sd": BUIS_STD * std[0]}, *parts.T]
        with contextlib.redirect_stdout(io.StringIO()):
            found = reconc_buis(
                np.ones((1, 5)),
                base,
                ["params"] + ["samples"] * 5,
                ["gaussian"] + ["continuous"] * 5,
                num_samples=20_000,
                suppress_warnings=True,
                seed=0,
            )
        some = np.asarray(found["bottom_reconciled_samples"])
        drawn.append(some.reshape(5, -1)[:, rng.permutation(20_000)[:DRAWS]])
    spent = time.perf_counter() - began
    line(f"BUIS ({len(mean)})", np.nan, spent, np.array(drawn), truth, totals)


def main():
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer fields")
    n = 50 if parser.parse_args().quick else 1000
    rng = np.random.default_rng(0)
    given = compositions(n, rng)
    compare("compositions", *given)
    if find_spec("bayesreconpy"):
        few = [given[0][:50], given[1], given[2][:50]]
        buis(*few)
    compare("independent errors", *clouds(n, rng))
    compare("errors that belong together", *smooth(max(5, n // 50), rng))


if __name__ == "__main__":
    main()

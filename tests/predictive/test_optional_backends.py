"""Backbones of other packages, where they are installed, under an exact law."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.multioutput import MultiOutputRegressor

from skphys import ConservationConstrainedRegressor, EnsembleRegressor, PointwiseRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import ColumnGrid, Grid
from skphys.predictive import fit_backbone, offers_covariance, predict_distribution

LAW = ConservationLaw(over="x", total="mass")
POINTS = np.linspace(0.0, 1.0, 9)


@pytest.fixture
def table():
    """Return a long table of fields exp(-t x), with their trapezoid mass, and the values."""
    t = np.linspace(0.5, 2.0, 12)
    fields = np.exp(-t[:, None] * POINTS)
    mass = fields @ Grid(x=POINTS).weights()
    frame = pd.DataFrame({"t": np.repeat(t, 9), "x": np.tile(POINTS, 12)})
    frame["mass"] = np.repeat(mass, 9)
    noise = 0.05 * np.random.default_rng(0).normal(size=len(frame))
    return frame, fields.ravel() + noise


def constrained(backbone):
    grid = ColumnGrid(space="x", by="t", domain=(0.0, 1.0))
    return ConservationConstrainedRegressor(backbone, LAW, grid, drop_value_columns=True)


def check_under_a_law(backbone, table, helps=True):
    """Fit in a long table; the law holds for means and draws, and the backbone's std counts.

    On rows that it has learned by heart, boosting says little of its errors, and no law `helps`.
    """
    X, y = table
    with np.errstate(all="ignore"):
        model = constrained(backbone)
        with pytest.warns(UserWarning, match="training targets violate"):  # y has noise
            model.fit(X, y)
    mean, std = model.predict(X, return_std=True)
    weights = Grid(x=POINTS).weights()
    mass = X["mass"].to_numpy()[::9]
    np.testing.assert_allclose(mean.reshape(-1, 9) @ weights, mass, rtol=1e-12)
    draws = model.sample_y(X, 5, random_state=0)
    by_field = np.moveaxis(draws.reshape(-1, 9, 5), 1, -1)
    np.testing.assert_allclose(by_field @ weights, np.tile(mass[:, None], 5), rtol=1e-10)
    prior = predict_distribution(model.estimator_, X[["t", "x"]], rows="points", want_cov=False)
    assert prior.std is not None and (prior.std > 0).all()
    assert (std <= prior.std[0] * (1 + 1e-9)).all() and (std < prior.std[0]).any()
    truth = np.exp(-X["t"] * X["x"]).to_numpy()
    assert not helps or np.mean((mean - truth) ** 2) < np.mean((prior.mean[0] - truth) ** 2) + 1e-6
    return model


class Quantiles(RegressorMixin, BaseEstimator):
    """The median and half the distance of two quantiles, from three gradient boostings."""

    def __init__(self, max_iter=50):
        self.max_iter = max_iter

    def fit(self, X, y):
        levels = norm.cdf([-1.0, 0.0, 1.0])
        self.models_ = [
            HistGradientBoostingRegressor(
                loss="quantile", quantile=q, max_iter=self.max_iter, early_stopping=False
            ).fit(X, y)
            for q in levels
        ]
        return self

    def predict(self, X, return_std=False):
        low, middle, high = (model.predict(X) for model in self.models_)
        return (middle, np.maximum(0.5 * (high - low), 1e-3)) if return_std else middle


def test_quantiles_of_hist_gradient_boosting(table):
    model = check_under_a_law(Quantiles(), table)
    std = predict_distribution(model.estimator_, table[0][["t", "x"]], rows="points").std
    assert 0.02 < np.median(std) < 0.1  # the noise is 0.05


def test_quantiles_are_searched_like_any_backbone(table):
    X, y = table
    search = GridSearchCV(constrained(Quantiles()), {"estimator__max_iter": [2, 40]}, cv=4)
    order = np.argsort(X["t"].rank(method="dense") % 4, kind="stable")  # whole fields in a fold
    with pytest.warns(UserWarning, match="training targets violate"):
        search.fit(X.iloc[order], y[order])
    assert set(search.cv_results_["param_estimator__max_iter"]) == {2, 40}


def test_ngboost(table):
    ngboost = pytest.importorskip("ngboost")
    model = check_under_a_law(
        ngboost.NGBRegressor(n_estimators=60, verbose=False, random_state=0), table
    )
    X = table[0][["t", "x"]]
    stated = model.estimator_.pred_dist(X)
    prediction = predict_distribution(model.estimator_, X, rows="points")
    np.testing.assert_allclose(prediction.std[0], stated.params["scale"])
    np.testing.assert_allclose(prediction.mean[0], stated.params["loc"])


def test_ngboosts_distributions_that_are_not_normal(table):
    ngboost = pytest.importorskip("ngboost")
    X, y = table[0][["t", "x"]], np.abs(table[1]) + 0.1
    model = ngboost.NGBRegressor(Dist=ngboost.distns.LogNormal, n_estimators=5, verbose=False)
    prediction = predict_distribution(model.fit(X, y), X, rows="points")
    log_mean = np.log(model.pred_dist(X).params["scale"])
    s = model.pred_dist(X).params["s"]
    expected = np.sqrt(np.expm1(s**2)) * np.exp(log_mean + 0.5 * s**2)
    np.testing.assert_allclose(prediction.std[0], expected, rtol=1e-6)


def test_skpro(table):
    pytest.importorskip("skpro")
    from skpro.regression.residual import ResidualDouble

    model = check_under_a_law(ResidualDouble(LinearRegression(), cv=None), table)
    X = table[0][["t", "x"]]
    prediction = predict_distribution(model.estimator_, X, rows="points")
    variance = model.estimator_.predict_proba(X).var()
    np.testing.assert_allclose(prediction.std[0] ** 2, np.ravel(variance), rtol=1e-8)
    assert isinstance(clone(model).estimator, ResidualDouble)


def boosted(package):
    """Return the gradient boosting of a package, as scikit-learn's estimator."""
    module = pytest.importorskip(package)
    if package == "lightgbm":
        return module.LGBMRegressor(n_estimators=30, min_child_samples=3, verbosity=-1)
    return module.XGBRegressor(n_estimators=30)


@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
def test_members_of_other_boosting(package, table):
    ensemble = EnsembleRegressor(boosted(package), 5, bootstrap=True, random_state=0)
    check_under_a_law(ensemble, table, helps=False)


@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
def test_errors_of_other_boosting_are_learned(package, table):
    """A regressor that states nothing, of fields: one for each point where it has one output."""
    X, y = table
    t, fields = X["t"].to_numpy()[::9, None], y.reshape(-1, 9)
    law = ConservationLaw(over="x", total=lambda t: np.trapezoid(np.exp(-t * POINTS), POINTS))
    backbone = MultiOutputRegressor(boosted(package))
    with pytest.warns(UserWarning, match="training targets violate"):
        model = ConservationConstrainedRegressor(backbone, law, Grid(x=POINTS)).fit(t, fields)
    mean, std = model.predict(t, return_std=True)
    exact = np.trapezoid(np.exp(-t * POINTS), POINTS)
    np.testing.assert_allclose(np.trapezoid(mean, POINTS), exact, rtol=1e-12)
    assert (std > 0).all() and std.shape == fields.shape


class Conformal(RegressorMixin, BaseEstimator):
    """MAPIE's split conformal intervals, read as those of a Gaussian.

    MAPIE's classes are no scikit-learn estimators any more, so they need this much around them.
    """

    def __init__(self, estimator=None, level=0.9):
        self.estimator = estimator
        self.level = level

    def fit(self, X, y):
        from mapie.regression import SplitConformalRegressor

        X, held, y, held_y = train_test_split(np.asarray(X), y, test_size=0.3, random_state=0)
        self.conformal_ = SplitConformalRegressor(
            clone(self.estimator), confidence_level=self.level, prefit=False
        )
        self.conformal_.fit(X, y).conformalize(held, held_y)
        return self

    def predict(self, X, return_std=False):
        mean, intervals = self.conformal_.predict_interval(np.asarray(X))
        half = 0.5 * (intervals[:, 1, 0] - intervals[:, 0, 0])
        return (mean, half / norm.ppf(0.5 + 0.5 * self.level)) if return_std else mean


def test_mapie(table):
    pytest.importorskip("mapie")
    model = check_under_a_law(Conformal(Ridge(1e-3)), table)
    X = table[0][["t", "x"]]
    std = predict_distribution(model.estimator_, X, rows="points").std
    _, intervals = model.estimator_.conformal_.predict_interval(X.to_numpy())
    np.testing.assert_allclose(2 * 1.6448536 * std[0], np.ptp(intervals[..., 0], axis=1), rtol=1e-6)


def process(**options):
    """Return a GPyTorch process as skorch takes it."""
    gpytorch = pytest.importorskip("gpytorch")
    torch = pytest.importorskip("torch")
    probabilistic = pytest.importorskip("skorch.probabilistic")
    exact = probabilistic.ExactGPRegressor

    class Module(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(train_inputs=None, train_targets=None, likelihood=likelihood)
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x):
            covariance = self.covar_module(x)
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), covariance)

    return exact(Module, optimizer=torch.optim.Adam, lr=0.1, max_epochs=40, verbose=0, **options)


@pytest.mark.filterwarnings("ignore:The input matches the stored training data")
def test_gpytorch_through_skorch(table):
    backbone = process(batch_size=-1)
    model = check_under_a_law(backbone, table)
    assert offers_covariance(backbone, "points") and not offers_covariance(backbone, "fields")
    X = table[0][["t", "x"]].to_numpy()[:9]
    prediction = predict_distribution(model.estimator_, X, rows="points")
    net = model.estimator_
    mean, std = net.predict(X.astype(np.float32), return_std=True)
    np.testing.assert_allclose(prediction.mean[0], mean, rtol=1e-6)
    np.testing.assert_allclose(prediction.std[0], std, rtol=1e-6)
    # The covariance by the textbook, from GPyTorch's own kernel.
    kernel, noise = net.module_.covar_module, net.likelihood_.noise.item()
    import torch

    train = torch.tensor(table[0][["t", "x"]].to_numpy(), dtype=torch.float32)
    with torch.no_grad():
        k, k_x, k_xx = (
            kernel(a, b).to_dense().double().numpy()
            for a, b in (
                (train, train),
                (train, torch.tensor(X, dtype=torch.float32)),
                (torch.tensor(X, dtype=torch.float32),) * 2,
            )
        )
    noisy = k + noise * np.eye(len(k))
    expected = k_xx - k_x.T @ np.linalg.solve(noisy, k_x) + noise * np.eye(9)
    np.testing.assert_allclose(prediction.cov[0], expected, atol=2e-3 * expected.max())


@pytest.mark.filterwarnings("ignore:The input matches the stored training data")
def test_a_process_takes_targets_of_one_dimension(table):
    X, y = table[0][["t", "x"]].to_numpy(), table[1]
    one = fit_backbone(process(batch_size=-1), X, y)
    other = process(batch_size=-1).fit(X.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(
        predict_distribution(one, X, rows="points").mean[0],
        other.predict(X.astype(np.float32)),
        atol=1e-4,
    )


def test_a_scalar_regressor_predicts_fields_pointwise():
    """The same quantiles behind `PointwiseRegressor`, one row a field."""
    grid = Grid(x=POINTS)
    t = np.linspace(0.5, 2.0, 12)
    fields = np.exp(-t[:, None] * POINTS)
    X = pd.DataFrame({"t": t, "mass": fields @ grid.weights()})
    model = ConservationConstrainedRegressor(
        PointwiseRegressor(Quantiles(20), grid), LAW, grid, drop_value_columns=True
    ).fit(X, fields)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean @ grid.weights(), X["mass"], rtol=1e-12)
    assert (std > 0).any()

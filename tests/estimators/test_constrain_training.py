"""Training through the constraint: what the backbone is told, and what becomes of it."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from fno_cases import tiny
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.constraints import Bounds, Column, ConservationLaw, LinearEquality, Smoothness
from skphys.datasets import make_stefan
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Grid
from skphys.metrics import gaussian_nll
from skphys.preprocessing import GridFeatures

GRID = Grid(x=np.linspace(0.0, 1.0, 16))
STEFAN = make_stefan(24, layout="fields", n_points=16, t=(0.02, 0.1), random_state=0)


class Listener(RegressorMixin, BaseEstimator):
    """Remembers what it is told, and predicts the mean field with unit variance."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y, *, constraint=None):
        self.seen_, self.constraint_, self.mean_ = np.asarray(X), constraint, y.mean(0)
        return self

    def predict(self, X, return_std=False):
        mean = np.tile(self.mean_, (len(X), 1))
        return (mean, np.ones_like(mean)) if return_std else mean


def table(n=6):
    """Inputs a and b, and the mass of the field a + b x."""
    a, b = np.random.default_rng(0).normal(size=(2, n, 1))
    frame = pd.DataFrame({"a": a[:, 0], "b": b[:, 0], "mass": (a + b / 2)[:, 0]})
    return frame, a + b * GRID["x"]


def test_the_backbone_is_told_rows_values_and_noise():
    X, y = table()
    laws = [
        ConservationLaw(total="mass", noise=0.1),
        LinearEquality(np.eye(16)[:1], b="a"),
        Bounds(lower=-9.0),
    ]
    model = ConservationConstrainedRegressor(
        Listener(), laws, GRID, constrain_training=True, drop_value_columns=True, random_state=3
    ).fit(X, y)
    batch, listener = model.estimator_.constraint_, model.estimator_
    np.testing.assert_allclose(batch.rows, [GRID.weights(), np.eye(16)[0]])
    np.testing.assert_allclose(batch.values, X[["mass", "a"]])
    np.testing.assert_allclose(batch.noise, [0.1, 0.0])
    np.testing.assert_array_equal(listener.seen_, X[["b"]])
    assert isinstance(listener.random_state, int)
    np.testing.assert_allclose(model.predict(X)[:, 0], X["a"], rtol=1e-12)
    assert Listener().fit(X, y).constraint_ is None


def test_noise_that_depends_on_the_field_is_judged_by_the_targets():
    X, y = STEFAN.data, STEFAN.target
    law = ConservationLaw(total=STEFAN.mass, noise="auto")
    model = ConservationConstrainedRegressor(Listener(), law, GRID, constrain_training=True)
    noise = model.fit(X, y).estimator_.constraint_.noise
    np.testing.assert_allclose(noise, law.noise_std(y, GRID))
    assert noise.shape == (24, 1) and np.ptp(noise) > 0


def test_metric_and_smoothness_reach_the_backbone():
    """Three second differences, whose noise is made of the field's own standard deviations."""
    X, y = table()
    model = ConservationConstrainedRegressor(
        Listener(),
        [ConservationLaw(total="mass"), Smoothness("x")],
        GRID,
        error_model="identity",
        constrain_training=True,
    ).fit(X, y)
    batch = model.estimator_.constraint_
    assert batch.metric == "identity"
    for part, expected in zip(batch.noise_rows, Smoothness("x").noise_rows(GRID), strict=True):
        np.testing.assert_allclose(part.toarray()[1:], expected.toarray())
        assert part[[0]].nnz == 0  # the law's own noise


@pytest.mark.parametrize("correlation_length", [None, 0.3])
@pytest.mark.parametrize("covariance", ["stated", "identity"])
@pytest.mark.parametrize("smooth", [False, True])
def test_the_loss_is_that_of_the_predictions(covariance, smooth, correlation_length):
    """An epoch that changes nothing: its loss, in units of y, is the score of what is predicted."""
    X, y = table()
    backbone = tiny(heteroscedastic=True, loss="nll", lr=1e-12, max_epochs=1, n_modes=1, grid=GRID)
    fields = np.column_stack([X["mass"], np.ones((6, 15))])
    model = ConservationConstrainedRegressor(
        backbone,
        [ConservationLaw(total=Column(0))] + [Smoothness("x")] * smooth,
        GRID,
        error_model=ErrorModel(covariance=covariance, correlation_length=correlation_length),
        constrain_training=True,
    ).fit(fields, y)
    mean, std = model.predict(fields, return_std=True)
    expected = gaussian_nll(y / y.std(), mean / y.std(), std / y.std())
    assert model.estimator_.history_["train_loss"][0, 0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("routing", [False, True])
def test_through_nested_pipelines(routing):
    X, y = table()
    inner = make_pipeline(FunctionTransformer(), Listener())
    pipeline = make_pipeline(FunctionTransformer(), inner)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = ConservationConstrainedRegressor(
            pipeline, ConservationLaw(total="mass"), GRID, constrain_training=True
        ).fit(X, y)
    listener = model.estimator_[-1][-1]
    np.testing.assert_allclose(listener.constraint_.values[:, 0], X["mass"])


def conditioned_nll(max_epochs, lr, **params):
    """Negative log-likelihood of the training fields, from the estimator's own predictions."""
    X, y = STEFAN.data, STEFAN.target
    backbone = tiny(heteroscedastic=True, loss="nll", max_epochs=max_epochs, lr=lr)
    model = ConservationConstrainedRegressor(
        make_pipeline(GridFeatures(GRID, scalars=[0, 1]), backbone),
        ConservationLaw(over="x", total=STEFAN.mass),
        GRID,
        **params,
    ).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    return model, gaussian_nll(y, mean, std)


def test_training_lowers_the_loss_of_the_conditioned_field_and_leaves_it_exact():
    start = conditioned_nll(1, 1e-12, constrain_training=True)[1]
    model, after = conditioned_nll(60, None, constrain_training=True)
    assert after < start - 0.5
    masses = np.trapezoid(model.predict(STEFAN.data), GRID["x"], axis=1)
    np.testing.assert_allclose(masses, STEFAN.mass(STEFAN.data), rtol=1e-12)
    draws = model.sample_y(STEFAN.data[:2], 5, random_state=0)
    np.testing.assert_allclose(
        np.trapezoid(draws, GRID["x"], axis=1), np.tile(masses[:2, None], 5), rtol=1e-10
    )


def test_is_a_parameter_that_can_be_searched():
    _, y = table(12)
    model = ConservationConstrainedRegressor(
        tiny(heteroscedastic=True, grid=GRID, n_modes=1, max_epochs=1),
        ConservationLaw(total=Column(0)),
        GRID,
    )
    fields = np.column_stack([y @ GRID.weights(), np.ones((12, 15))])
    search = GridSearchCV(model, {"constrain_training": [False, True]}, cv=2).fit(fields, y)
    assert search.best_params_.keys() == {"constrain_training"}
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all() and scores[0] != scores[1]


LAW = ConservationLaw(total=1.0)


@pytest.mark.parametrize(
    ("backbone", "params", "message"),
    [
        (Ridge(), {}, "fit of Ridge has no parameter 'constraint'"),
        (make_pipeline(Ridge()), {}, "fit of Ridge has no parameter 'constraint'"),
        (EnsembleRegressor(Ridge()), {}, "fit of EnsembleRegressor has no"),
        (FrozenEstimator(Listener()), {}, "trained already"),
        (Listener(), {"error_model": "residual"}, "covariance='residual' replaces"),
        (Listener(), {"constraints": Bounds(lower=0.0)}, "no equalities"),
        (Listener(), {"constraints": None}, "no equalities"),
        (
            Listener(),
            {"error_model": ErrorModel(correlation_length={"y": 1.0})},
            "names the axis 'y'",
        ),
        (tiny(), {}, "heteroscedastic=True"),
    ],
)
def test_errors(backbone, params, message):
    X, y = np.ones((4, 16)), np.ones((4, 16))
    params = {"constraints": LAW, "grid": GRID, "constrain_training": True, **params}
    with pytest.raises(ValueError, match=message):
        ConservationConstrainedRegressor(backbone, **params).fit(X, y)


def test_not_in_a_long_table():
    X = np.column_stack([np.repeat([0.0, 1.0], 3), np.tile([0.0, 0.5, 1.0], 2)])
    grid = ColumnGrid(space=1, by=0)
    model = ConservationConstrainedRegressor(Listener(), LAW, grid, constrain_training=True)
    with pytest.raises(ValueError, match="points, not fields"):
        model.fit(X, np.ones(6))


@pytest.mark.parametrize("own", [False, True], ids=["out of fold", "given"])
def test_with_a_calibrated_uncertainty(own):
    """Clones for folds are trained through the law of their own samples."""
    X, y = table(12)
    law = ConservationLaw(total="mass")
    held = {"calibration": (X, y + 0.1 * np.sin(9.0 * GRID["x"]))} if own else {}
    model = ConservationConstrainedRegressor(
        make_pipeline(GridFeatures(GRID, scalars=["a", "b"]), tiny(heteroscedastic=True)),
        law,
        GRID,
        error_model="calibrated",
        constrain_training=True,
        drop_value_columns=True,
        **held,
    ).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean @ GRID.weights(), X["mass"], rtol=0, atol=1e-12)
    assert (std > 0).all()


def test_values_that_are_not_known_do_not_teach():
    """Their rows have a noise beside which nothing counts."""
    X, y = np.random.default_rng(0).uniform(1.0, 2.0, (8, 2)), STEFAN.target[:8]
    X[2, 1] = np.nan
    law = [ConservationLaw("x", Column(1)), LinearEquality(np.eye(16)[:1], 1.0, noise=0.1)]
    model = ConservationConstrainedRegressor(
        Listener(), law, GRID, constrain_training=True, drop_value_columns=True
    )
    with pytest.warns(UserWarning, match="violate"):
        told = model.fit(X, y).estimator_.constraint_.checked(8, 16)
    prior = Gaussian(np.ones(16), Diagonal(np.full(16, 0.1)))
    after = condition(prior, told.rows, told.values[2], told.noise[2]).mean
    only = condition(prior, told.rows[1:], told.values[2, 1:], told.noise[2, 1:]).mean
    np.testing.assert_allclose(after, only, rtol=1e-12)
    assert told.noise[0].tolist() == [0.0, 0.1]

"""The law holds to rounding on every path."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from backbones import Float32, Plain, Stored, WithCov, WithMembers, WithStd, WithZeros, mass_of
from conditioning_cases import relative_miss
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import (
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    PointwiseRegressor,
    make_constrained_pipeline,
)
from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import Grid

GRID = Grid(x=np.sort(np.random.default_rng(1).uniform(0, 2, 15)))
WEIGHTS = GRID.weights()
TOLERANCE = 1e-12

BACKBONES = {
    "plain": Plain(),
    "std": WithStd(),
    "zeros": WithZeros(),
    "float32": Float32(),
    "cov": WithCov(),
    "members": WithMembers(),
    "forest": RandomForestRegressor(10, random_state=0),
    "gp": GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None),
    "pipeline": make_pipeline(StandardScaler(), WithStd()),
    "search": GridSearchCV(WithMembers(), {"n_members": [3, 4]}, cv=2),
    "ensemble": EnsembleRegressor(WithStd(), n_members=3, bootstrap=True, random_state=0),
    "pointwise": PointwiseRegressor(GaussianProcessRegressor(alpha=1e-2, optimizer=None), GRID),
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(24, 2))
    y = 1.0 + np.sin(GRID["x"]) * X[:, :1] + rng.normal(scale=0.1, size=(24, 15))
    return X, y


def miss(fields, totals):
    return relative_miss(fields, WEIGHTS[None], np.asarray(totals).reshape(-1, 1)).max()


def constrained(backbone, **params):
    return ConservationConstrainedRegressor(
        backbone, ConservationLaw(over="x", total=mass_of), GRID, **params
    )


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_output_of_every_backbone(name, error_model, data):
    X, y = data
    model = constrained(BACKBONES[name], error_model=error_model).fit(X, y)
    mean = model.predict(X)
    assert mean.dtype == np.float64
    assert miss(mean, mass_of(X)) < TOLERANCE
    again, std = model.predict(X, return_std=True)
    np.testing.assert_array_equal(again, mean)
    np.testing.assert_array_equal(model.predict_std(X), std)
    again, cov = model.predict(X, return_cov=True)
    np.testing.assert_array_equal(again, mean)
    np.testing.assert_allclose(np.sqrt(np.diagonal(cov, axis1=1, axis2=2)), std, rtol=1e-12)
    free = clone(model).set_params(constraints=None).fit(X, y)
    _, before = free.predict(X, return_cov=True)
    scale = np.abs(WEIGHTS) @ np.abs(before) @ np.abs(WEIGHTS)
    assert np.abs(WEIGHTS @ cov @ WEIGHTS / scale).max() < TOLERANCE
    draws = model.sample_y(X, n_samples=6, random_state=3)
    assert draws.shape == (*y.shape, 6)
    assert max(miss(draws[..., d], mass_of(X)) for d in range(6)) < TOLERANCE
    np.testing.assert_array_equal(draws, model.sample_y(X, n_samples=6, random_state=3))
    assert np.abs(model.constraint_residuals(X)).max() < 1e-13


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
@pytest.mark.parametrize("name", ["std", "members", "forest", "pipeline"])
def test_pickled_frozen_and_parallel(name, error_model, data, tmp_path):
    X, y = data
    model = constrained(BACKBONES[name], error_model=error_model).fit(X, y)
    mean = model.predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), mean)
    joblib.dump(model, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib").predict(X), mean)
    frozen = constrained(FrozenEstimator(model.estimator_)).fit(X[:3], y[:3])
    stated = constrained(BACKBONES[name], error_model="stated").fit(X, y)
    np.testing.assert_array_equal(frozen.predict(X), stated.predict(X))
    assert frozen.estimator_.estimator is model.estimator_
    parts = cross_val_predict(clone(model), X, y, cv=3, n_jobs=2)
    assert miss(parts, mass_of(X)) < TOLERANCE


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("name", ["std", "gp", "pipeline", "search"])
def test_in_a_pipeline_and_in_a_search(name, routing, error_model, data):
    X, y = data
    law = ConservationLaw(over="x", total=2.0)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = ConservationConstrainedRegressor(
            BACKBONES[name], law, GRID, error_model=error_model
        )
        pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
        mean, std = pipeline.predict(X, return_std=True)
        assert miss(mean, np.full(24, 2.0)) < TOLERANCE
        assert std.shape == y.shape
        assert pipeline.predict(X, return_cov=True)[1].shape == (24, 15, 15)
        search = GridSearchCV(
            model, {"constraints__noise": [0.0], "estimator": [WithStd(), Plain()]}, cv=2, n_jobs=2
        ).fit(X, y)
        assert miss(search.predict(X), np.full(24, 2.0)) < TOLERANCE


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("members", ["each", "moments"])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("n_rows", [1, 2, 50])
def test_many_rows_and_sizes(n_rows, size, members, calibrated):
    rng = np.random.default_rng(2)
    n_points, n_samples = 80, 12
    means = size * rng.normal(size=(70, n_samples, n_points))
    stored = Stored(means, size * rng.uniform(0.1, 1.0, means.shape))
    rows, values = rng.normal(size=(n_rows, n_points)), size * rng.normal(size=n_rows)
    X, y = np.arange(float(n_samples))[:, None], means[0]
    model = ConservationConstrainedRegressor(
        FrozenEstimator(stored),
        LinearEquality(rows, values),
        Grid(x=np.linspace(0.0, 1.0, n_points)),
        error_model=ErrorModel(members=members),
        calibration=(X, y) if calibrated else None,
    ).fit(X, y)
    assert (model.error_model_.parts_ is not None) == calibrated
    assert relative_miss(model.predict(X), rows, values).max() < TOLERANCE
    draws = model.sample_y(X, 4)
    assert relative_miss(np.moveaxis(draws, -1, 0), rows, values).max() < TOLERANCE


@pytest.mark.filterwarnings("ignore:The training targets violate")
def test_columns_of_frames_and_arrays(data):
    X, y = data
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(mass=mass_of(X))
    seen = []

    class Spy(WithStd):
        def fit(self, X, y):
            seen.append(list(X.columns))
            return super().fit(X, y)

    law = ConservationLaw(over="x", total="mass")
    model = ConservationConstrainedRegressor(Spy(), law, GRID, drop_value_columns=True)
    mean = model.fit(frame, y).predict(frame)
    assert miss(mean, mass_of(X)) < TOLERANCE
    assert seen == [["a", "b"]]
    assert list(model.feature_names_in_) == ["a", "b", "mass"]
    by_position = ConservationConstrainedRegressor(
        WithStd(), ConservationLaw(over="x", total=Column(2)), GRID, drop_value_columns=True
    ).fit(frame.to_numpy(), y)
    np.testing.assert_allclose(by_position.predict(frame.to_numpy()), mean, rtol=1e-13)


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize("error_model", ["auto", "calibrated"])
def test_values_given_at_predict(error_model, data):
    X, y = data
    model = constrained(WithStd(), error_model=error_model).fit(X, y)
    for values in (np.arange(24.0), np.arange(24.0)[:, None], 3.0):
        mean = model.predict(X, constraint_values={"conservationlaw": values})
        assert miss(mean, np.broadcast_to(np.ravel(values), 24)) < TOLERANCE


def test_a_total_for_each_remaining_index():
    grid = Grid(t=[0.0, 1.0, 3.0], x=np.linspace(0, 1, 5))
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(6, 1)), rng.normal(size=(6, 15))
    law = ConservationLaw(over="x", total=[1.0, 2.0, 3.0], noise=0.0)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        model = ConservationConstrainedRegressor(WithStd(), law, grid).fit(X, y)
    integrals = np.trapezoid(model.predict(X).reshape(6, 3, 5), grid["x"], axis=2)
    np.testing.assert_allclose(integrals, np.tile([1.0, 2.0, 3.0], (6, 1)), rtol=1e-13)


@pytest.mark.filterwarnings("ignore:The training targets violate")
def test_nested_constraints_are_conditioned_once(data):
    X, y = data
    pin = LinearEquality(np.eye(15)[:1], 0.5)
    mass = ConservationLaw(over="x", total=2.0)
    inner = ConservationConstrainedRegressor(WithStd(), pin, GRID)
    nested = ConservationConstrainedRegressor(make_pipeline(StandardScaler(), inner), mass, GRID)
    flat = ConservationConstrainedRegressor(
        make_pipeline(StandardScaler(), WithStd()), [pin, mass], GRID
    )
    nested.fit(X, y)
    flat.fit(X, y)
    for name in ("return_std", "return_cov"):
        for one, other in zip(
            nested.predict(X, **{name: True}), flat.predict(X, **{name: True}), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-12)
    assert (nested.predict_std(X)[:, 0] == 0).all()


@pytest.mark.filterwarnings("ignore:The training targets violate")
def test_reading_order_gives_the_right_nesting(data):
    X, y = data
    law, pin = ConservationLaw(over="x", total=2.0), LinearEquality(np.eye(15)[:1], 0.5)
    model = make_constrained_pipeline(StandardScaler(), WithStd(), law, ("left", pin), grid=GRID)
    mean = model.fit(X, y).predict(X)
    assert miss(mean, np.full(24, 2.0)) < TOLERANCE
    np.testing.assert_allclose(mean[:, 0], 0.5, rtol=1e-13)
    assert [name for name, _ in model.constraints_] == ["conservationlaw", "left"]
    with pytest.raises(ValueError, match="Constraints come last"):
        make_constrained_pipeline(law, StandardScaler(), WithStd())
    with pytest.raises(ValueError, match="no backbone"):
        make_constrained_pipeline(StandardScaler(), law)

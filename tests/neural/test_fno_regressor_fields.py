"""Rows and channels, uncertainty, and what the errors say."""

import numpy as np
import pandas as pd
import pytest
import torch
from fno_cases import tiny, waves
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import Axis, Components, Grid
from skphys.predictive import offers_covariance, offers_members, predict_distribution

PLANE = Grid(t=np.linspace(0, 1, 8), x=Axis.periodic(0, 1, 6))
RNG = np.random.default_rng(0)
WAVES = waves()


def seen_by(net, call):
    """What the net got and gave during a call."""
    seen = []
    handle = net.register_forward_hook(lambda _, inputs, output: seen.append((*inputs, output)))
    call()
    handle.remove()
    return seen


def test_learns_an_operator():
    X, y = waves(200, 32)
    model = tiny(n_modes=8, hidden_channels=16, max_epochs=15).fit(X[:150], y[:150])
    error = np.linalg.norm(model.predict(X[150:]) - y[150:], axis=1)
    assert np.mean(error / np.linalg.norm(y[150:], axis=1)) < 0.25
    assert model.score(X[150:], y[150:]) > 0.9


def test_rows_are_channels_in_c_order():
    X, y = RNG.normal(size=(5, 3, 8, 6)), RNG.normal(size=(5, 2, 8, 6))
    grid = Components(u=PLANE, v=PLANE)
    model = tiny(grid=grid).fit(X.reshape(5, -1), y.reshape(5, -1))
    flat = model.predict(X.reshape(5, -1))
    ((inputs, output),) = seen_by(model.net_.module_, lambda: model.predict(X))
    np.testing.assert_array_equal(inputs[0], X.astype(np.float32))
    np.testing.assert_array_equal(output[0].reshape(5, -1), flat)
    assert model.n_features_in_ == 3 * 48 and flat.shape == (5, 96) and flat.dtype == np.float64
    parts = grid.split(flat)
    np.testing.assert_array_equal(parts["v"].reshape(5, 8, 6), output[0, :, 1])


def test_targets_reach_the_loss_in_c_order(monkeypatch):
    X, y = RNG.normal(size=(5, 48)), RNG.normal(size=(5, 96))
    seen = []
    forward = "skphys.neural._losses.FieldLoss.forward"
    monkeypatch.setattr(
        forward, lambda self, u, y, norms: (seen.append(y), (u - y).square().mean())[1]
    )
    tiny(grid=Components(u=PLANE, v=PLANE), max_epochs=1).fit(X, y)
    ours = seen[0][0].numpy()
    expected = y.reshape(5, 2, 8, 6).astype(np.float32)
    np.testing.assert_array_equal(np.sort(ours.ravel()), np.sort(expected.ravel()))
    assert all(any((row == other).all() for other in expected) for row in ours)


def test_layouts_give_the_same_model():
    X, y = WAVES
    both = np.hstack([X, X**2])
    model = tiny().fit(both, y)
    cube = tiny().fit(np.stack([X, X**2], axis=1), y)
    frame = tiny().fit(pd.DataFrame(both).rename(columns="c{}".format), y)
    np.testing.assert_array_equal(model.predict(both), cube.predict(both))
    named = pd.DataFrame(both, columns=frame.feature_names_in_)
    np.testing.assert_array_equal(model.predict(both), frame.predict(named))
    np.testing.assert_array_equal(
        model.predict(both), tiny(grid=model.grid_).fit(both, y).predict(both)
    )
    np.testing.assert_array_equal(model.grid_["x"], np.linspace(0, 1, 16))


def test_one_point_fields_follow_the_shape_of_y():
    X, y = WAVES
    model = tiny(n_modes=16, n_members=2).fit(X, y[:, 3])
    assert model.predict(X).shape == model.predict_std(X).shape == (24,)
    assert model.predict(X, return_cov=True)[1].shape == (24, 1, 1)
    assert model.predict_members(X)[0].shape == (2, 24)
    assert predict_distribution(model, X).mean.shape == (24, 1)
    assert predict_distribution(model, X, rows="points").mean.shape == (1, 24)
    assert tiny().fit(X, y[:, [3]]).predict(X).shape == (24, 1)


@pytest.mark.parametrize("heteroscedastic", [False, True])
def test_moments_are_the_mixture_of_the_members(heteroscedastic):
    X, y = WAVES
    model = tiny(n_members=3, heteroscedastic=heteroscedastic).fit(X, y)
    means, stds = model.predict_members(X)
    assert means.shape == (3, 24, 16) and (stds is not None) == heteroscedastic
    variance = means.var(0) + (0 if stds is None else (stds**2).mean(0))
    mean, cov = model.predict(X, return_cov=True)
    np.testing.assert_allclose(mean, means.mean(0))
    np.testing.assert_allclose(model.predict_std(X), np.sqrt(variance))
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), variance)
    deviations = means[:, 0] - mean[0]
    off = deviations.T @ deviations / 3
    np.testing.assert_allclose(cov[0, 2, 5], off[2, 5])
    prediction = predict_distribution(model, X)
    np.testing.assert_array_equal(prediction.member_means, means)
    assert (prediction.member_stds is None) == (stds is None)
    assert offers_members(model) and not offers_covariance(model)


def test_one_member_states_what_it_knows():
    X, y = WAVES
    model, normal = tiny().fit(X, y), tiny(heteroscedastic=True).fit(X, y)
    assert not offers_members(model) and not offers_members(normal)
    assert not predict_distribution(model, X).states_uncertainty
    stated = predict_distribution(normal, X)
    np.testing.assert_array_equal(stated.std, normal.predict_members(X)[1][0])
    assert stated.member_means is None and (stated.std > 0).all()
    with pytest.raises(ValueError, match="set n_members to 5, say, or heteroscedastic=True"):
        model.predict(X, return_std=True)
    with pytest.raises(ValueError, match="At most one of return_std and return_cov"):
        normal.predict(X, return_std=True, return_cov=True)


def test_batches_of_predictions_are_one(monkeypatch):
    X, y = WAVES
    model = tiny(n_members=2).fit(X, y)
    whole = model.predict_members(X)[0]
    monkeypatch.setattr("skphys.neural._field_fitting.MAX_VALUES", 2 * 128 * 16 * 5)
    calls = seen_by(model.net_.module_, lambda: model.predict(X))
    assert [call[0].shape[1] for call in calls] == [5, 5, 5, 5, 4]
    np.testing.assert_allclose(model.predict_members(X)[0], whole, rtol=1e-5, atol=1e-6)


def test_composes():
    X, y = WAVES
    pipeline = make_pipeline(StandardScaler(), tiny(n_members=2)).fit(X, y)
    assert pipeline.predict(X, return_std=True)[1].shape == y.shape
    search = GridSearchCV(tiny(max_epochs=2), {"n_modes": [2, 3]}, cv=2).fit(X, y)
    assert search.predict(X).shape == y.shape
    grid = Grid(x=np.linspace(0, 1, 16))
    law = ConservationConstrainedRegressor(
        FrozenEstimator(pipeline), constraints=ConservationLaw("x", total=0.0), grid=grid
    ).fit(X, y)
    mean, std = law.predict(X, return_std=True)
    np.testing.assert_allclose(mean @ grid.weights(), 0.0, atol=1e-13)
    assert (std >= 0).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_modes": 9}, "n_modes=9 does not fit axis 'x', which has 16 points.*1 and 8"),
        ({"n_modes": (3, 3)}, r"n_modes must be an int, or one for each of the axes \['x'\]"),
        ({"n_modes": (2.5,)}, "n_modes must be an int"),
        ({"n_modes": (0,)}, "n_modes=0 does not fit axis 'x'"),
        ({"grid": Grid(x=np.arange(8.0))}, "y has 16 .*grid has 1 component.* of 8 points"),
        ({"grid": Components(u=Grid(x=[0.0, 1]), v=Grid(x=[0.0, 2]))}, "must share one Grid"),
        ({"loss": "nll"}, "set heteroscedastic=True"),
        ({"device": "gpu"}, "device='gpu' is none that torch knows"),
        ({"device": "meta"}, "device='meta' is not available"),
        ({"device": "cuda:99"}, "device='cuda:99' is not available"),
        ({"recipe": "boom"}, "'recipe' parameter"),
        ({"recipe": torch.nn.Linear(1, 1)}, "'recipe' parameter"),
        ({"grid": torch.nn.Linear(1, 1)}, "'grid' parameter"),
        ({"early_stopping": True, "validation_fraction": 0.99}, "leaves none to train on"),
        ({"lr": 1e30, "scheduler": "constant"}, r"training diverged .*Lower lr=1e\+30"),
    ],
)
def test_bad_parameters(params, message):
    X, y = WAVES
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (WAVES[0][:, :15], WAVES[1], "X has 15 column.*not a multiple of the 16 points"),
        (WAVES[0][:, None, :8], WAVES[1], r"flat or of shape .*grid.shape = \(16,\)"),
        (WAVES[0], WAVES[1][:, None], r"y must be flat.*\(24, 1, 16\)"),
        (WAVES[0], np.where(WAVES[1] > 3, np.nan, WAVES[1]), "Input y contains NaN"),
        (np.where(WAVES[0] > 1, np.nan, WAVES[0]), WAVES[1], "Input X contains NaN"),
        (WAVES[0] * 1e200, WAVES[1], "X has values beyond the range of float32"),
        (WAVES[0], WAVES[1] * 1e200, "y has values beyond the range of float32"),
    ],
)
def test_bad_data(X, y, message):
    with pytest.raises(ValueError, match=message):
        tiny().fit(X, y)


def test_bad_inputs_to_predict():
    X, y = WAVES
    model = tiny().fit(X, y)
    with pytest.raises(ValueError, match="expecting 16 features"):
        model.predict(np.hstack([X, X]))
    with pytest.raises(ValueError, match="flat or of shape"):
        model.predict(X.reshape(24, 1, 4, 4))


@pytest.mark.parametrize("loss", ["relative_l2", "mse"])
def test_a_stated_deviation_costs_the_mean_nothing(loss):
    """What the deviation learns is kept from the mean: it is that of the net without it."""
    X, y = WAVES
    plain = tiny(loss=loss, max_epochs=10).fit(X, y)
    normal = tiny(loss=loss, max_epochs=10, heteroscedastic=True).fit(X, y)
    np.testing.assert_allclose(normal.predict(X), plain.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["mse", "nll"])
def test_a_stated_deviation_is_that_of_the_noise(loss):
    """Noise whose deviation grows along x."""
    noise = np.linspace(0.2, 1.0, 8)
    X, y = waves(400, 8)[0], 3.0 + noise * np.random.default_rng(0).normal(size=(400, 8))
    model = tiny(heteroscedastic=True, max_epochs=10, lr=2e-2, loss=loss).fit(X, y)
    np.testing.assert_allclose(model.predict_std(X).mean(0), noise, atol=0.15)
    np.testing.assert_allclose(model.predict(X).mean(0), 3.0, atol=0.15)

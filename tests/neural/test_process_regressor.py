"""AttentiveNeuralProcessRegressor: what it learns, predicts, keeps and refuses."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from process_cases import GRID, tiny, waves
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skphys import AttentiveNeuralProcessRegressor, ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.neural._process import _pairs
from skphys.predictive import predict_distribution


@pytest.fixture(scope="module")
def fitted():
    X, y = waves()
    return tiny().fit(X, y)


def test_waves_are_learned_from_a_few_points():
    X, y = waves(n_functions=120, n_context=8)
    model = AttentiveNeuralProcessRegressor(
        16, grid=GRID, lr=1e-2, dropout=0.0, max_epochs=40, n_draws=20, random_state=0
    ).fit(X, y)
    unseen, truth = waves(n_functions=40, n_context=8, seed=9)
    mean, std = model.predict(unseen, return_std=True)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.4 * truth.std()
    covered = np.mean(np.abs(mean - truth) < 1.96 * std)
    assert 0.8 < covered <= 1.0
    losses = model.history_["train_loss"]
    assert losses.shape == (40,) and losses[-5:].mean() < losses[:5].mean() - 10.0


def test_moments_are_those_of_the_mixture_of_draws(fitted):
    X, _ = waves(seed=2)
    means, stds = fitted.predict_members(X)
    assert means.shape == stds.shape == (5, 18, 7)
    assert means.dtype == np.float64 and (stds >= 1e-3).all()
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(mean, means.mean(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(std, np.sqrt(means.var(0) + (stds**2).mean(0)), rtol=1e-10)
    np.testing.assert_array_equal(fitted.predict_std(X), std)
    _, cov = fitted.predict(X, return_cov=True)
    deviations = means - means.mean(0)
    wanted = np.einsum("kbi,kbj->bij", deviations, deviations) / 5
    wanted += np.einsum("bi,ij->bij", (stds**2).mean(0), np.eye(7))
    np.testing.assert_allclose(cov, wanted, rtol=1e-10, atol=1e-14)


def test_rows_do_not_depend_on_each_other(fitted):
    X, _ = waves(seed=2)
    whole, std = fitted.predict(X, return_std=True)
    order = np.random.default_rng(0).permutation(len(X))
    some, some_std = fitted.predict(X[order], return_std=True)
    np.testing.assert_allclose(some, whole[order], rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(some_std, std[order], rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(fitted.predict(X[4:5]), whole[4:5], rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(fitted.predict(X), whole)


@pytest.mark.parametrize("n_draws", [5, 150])
def test_batches_bound_memory_and_change_nothing(fitted, n_draws):
    X, _ = waves(n_functions=2, seed=3)
    model = copy.deepcopy(fitted).set_params(n_draws=n_draws)
    whole = model.predict_members(X)
    for size in (1, 7, 64, 1000):
        parts = model.set_params(predict_batch_size=size).predict_members(X)
        np.testing.assert_allclose(parts, whole, rtol=5e-6, atol=5e-6)


def test_no_more_pairs_are_decoded_at_once_than_a_batch(fitted, monkeypatch):
    seen = []

    class Counted(_pairs.PairDecoder):
        def __call__(self, points):
            seen.append(len(points) * self.draws.shape[1])
            return super().__call__(points)

    monkeypatch.setattr(_pairs, "PairDecoder", Counted)
    X, _ = waves(n_functions=2)
    copy.deepcopy(fitted).set_params(n_draws=20, predict_batch_size=60).predict(X)
    assert max(seen) <= 60 and sum(seen) >= 6 * 7 * 20


def test_contexts_are_encoded_once_however_many_draws_and_queries(fitted, monkeypatch):
    X, _ = waves(n_functions=2)
    calls = []
    encoder = type(fitted.net_.module_.latent_encoder)
    forward = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda s, x: calls.append(1) or forward(s, x))
    copy.deepcopy(fitted).set_params(n_draws=30).predict(X)
    assert len(calls) == 2


def test_more_draws_leave_the_first_ones_alone(fitted):
    X, _ = waves(seed=2)
    means, _ = fitted.predict_members(X)
    more, _ = copy.deepcopy(fitted).set_params(n_draws=9).predict_members(X)
    np.testing.assert_allclose(more[:5], means, rtol=1e-5, atol=1e-5)


def test_samples_are_functions_with_the_stated_moments(fitted):
    X, _ = waves(n_functions=1, seed=2)
    samples = fitted.sample_y(X, 4000, random_state=0)
    assert samples.shape == (3, 7, 4000)
    np.testing.assert_array_equal(samples[..., :2], fitted.sample_y(X, 4000, 0)[..., :2])
    many = copy.deepcopy(fitted).set_params(n_draws=4000)
    mean, std = many.predict(X, return_std=True)
    assert np.all(np.abs(samples.mean(-1) - mean) < 6 * std * np.sqrt(2 / 4000))
    np.testing.assert_allclose(samples.std(-1), std, rtol=0.1)


def test_fit_depends_on_random_state_alone_and_leaves_torch_alone():
    X, y = waves()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = tiny().fit(X, y).predict(X)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    np.testing.assert_array_equal(tiny().fit(X, y).predict(X), first)
    assert not np.allclose(tiny(random_state=1).fit(X, y).predict(X), first)


def test_units_do_not_matter():
    X, y = waves()
    scaled = X.copy()
    scaled[:, :-1] = (X[:, :-1].reshape(-1, 4, 3) * [100.0, 10.0, 1e3]).reshape(len(X), -1)
    scaled[:, -1] *= 100.0
    grid = type(GRID)(x=10.0 * GRID["x"])
    mean = tiny(min_std=0.0).fit(X, y).predict(X)
    other = tiny(min_std=0.0, grid=grid).fit(scaled, 1e3 * y).predict(scaled)
    np.testing.assert_allclose(other, 1e3 * mean, rtol=1e-3, atol=1.0)


def test_fields_need_no_query_and_points_no_grid():
    X, y = waves()
    at_one_time = np.delete(X[::3, :-1], [0, 3, 6, 9], axis=1)
    model = tiny(n_query=0).fit(at_one_time, y[::3])
    assert model.n_context_ == 4 and model.predict(at_one_time).shape == (6, 7)
    points = np.column_stack([X, np.full(len(X), GRID["x"][2])])
    model = tiny(n_query=2, grid=None).fit(points, y[:, 2])
    mean, std = model.predict(points, return_std=True)
    assert mean.shape == std.shape == (18,) and model.n_context_ == 4
    assert model.sample_y(points, 3).shape == (18, 3)
    assert model.predict_members(points)[0].shape == (5, 18)


def test_early_stopping_holds_out_functions_and_keeps_the_best():
    X, y = waves(n_functions=12)
    params = {"early_stopping": True, "validation_fraction": 0.25, "max_epochs": 30, "lr": 0.05}
    model = tiny(**params, scheduler="constant", n_iter_no_change=2).fit(X, y)
    losses = model.history_["valid_loss"]
    best = int(np.argmin(losses))
    assert model.n_iter_ == len(losses) == best + 3
    shorter = tiny(**params, scheduler="constant", n_iter_no_change=2).set_params(
        max_epochs=best + 1
    )
    np.testing.assert_allclose(shorter.fit(X, y).predict(X), model.predict(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="same contexts are one function"):
        tiny(early_stopping=True).fit(X[:3], y[:3])


def test_warm_start_goes_on_with_weights_and_units():
    X, y = waves()
    model = tiny(warm_start=True, max_epochs=20, lr=3e-3, scheduler="constant").fit(X, y)
    before = model.history_["train_loss"][0]
    model.fit(X, y + 5.0)
    assert abs(float(model.net_.module_.value_mean) - y.mean()) < 1e-5
    model.fit(X, y).fit(X, y)
    assert model.history_["train_loss"][0] < before


def test_recipes_and_what_is_given_instead():
    X, y = waves()
    net = tiny(recipe="probconserv").fit(X, y).net_
    assert (net.lr, net.schedule) == (1e-4, "constant")
    net = tiny(lr=3e-4, scheduler="cosine").fit(X, y).net_
    assert (net.lr, net.schedule) == (3e-4, "cosine")


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_heads": 3}, "n_heads=3 does not divide hidden_size=8"),
        ({"n_query": 2}, "X has 13 column.*not a multiple"),
        ({"device": "nowhere"}, "device='nowhere'"),
        ({"lr": 1e12, "max_epochs": 20}, "training diverged"),
        ({"dropout": 1.0}, "dropout"),
        ({"n_query": "some"}, "n_query"),
    ],
)
def test_errors_name_the_parameter(params, match):
    with pytest.raises(ValueError, match=match):
        tiny(**params).fit(*waves())


def test_errors_of_data():
    X, y = waves()
    with pytest.raises(ValueError, match="beyond the range of float32"):
        tiny().fit(X, 1e300 * y)
    with pytest.raises(ValueError, match=r"y has 5 column\(s\)"):
        tiny().fit(X, y[:, :5])
    with pytest.raises(ValueError, match="At most one"):
        tiny().fit(X, y).predict(X, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match="predict_dropout=True has no effect"):
        tiny(dropout=0.0, predict_dropout=True).fit(X, y).predict(X)


def test_pickles_copies_and_clones(fitted):
    X, _ = waves()
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
    assert not hasattr(clone(fitted), "net_")


def test_backbone_of_a_conservation_law(fitted):
    X, y = waves()
    prediction = predict_distribution(fitted, X)
    np.testing.assert_array_equal(prediction.member_means, fitted.predict_members(X)[0])
    y = y + (2.0 - y @ GRID.weights())[:, None] / 3.0
    model = ConservationConstrainedRegressor(
        make_pipeline(FunctionTransformer(), tiny()),
        constraints=ConservationLaw(over="x", total=2.0),
        grid=GRID,
    ).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean @ GRID.weights(), 2.0, rtol=1e-10)
    assert mean.shape == std.shape == y.shape


def test_importing_the_class_does_not_import_torch():
    code = "import sys; from skphys import AttentiveNeuralProcessRegressor as A; A(); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_files_of_weights_predict_the_same(fitted, tmp_path):
    X, _ = waves()
    fitted.save_params(tmp_path / "waves.safetensors")
    loaded = tiny(random_state=7).load_params(tmp_path / "waves.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.n_features_in_ == 13 and loaded.n_functions_ == 6 and loaded.n_iter_ == 2
    with pytest.raises(
        ValueError, match="saved with n_layers=1, but this estimator has n_layers=2"
    ):
        tiny(n_layers=2).load_params(tmp_path / "waves.safetensors")
    with pytest.raises(ValueError, match="this estimator has grid=None"):
        tiny(grid=None).load_params(tmp_path / "waves.safetensors")


def test_files_of_points_and_of_own_grids(tmp_path):
    X, y = waves()
    model = tiny(n_query="all", grid=None).fit(X, y[:, 2])
    model.save_params(tmp_path / "points.safetensors")
    loaded = tiny(n_query="all", grid=None).load_params(tmp_path / "points.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))

"""Files, pickles, other grids, other devices, and boundary values on their way."""

import copy
import pickle
import sys
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from fno_cases import tiny, waves, weights_of
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skphys.grids import Axis, Components, Grid
from skphys.neural._saving import plain_state

X, Y = waves()


@pytest.fixture(scope="module")
def model():
    return tiny(n_members=2, heteroscedastic=True, early_stopping=True).fit(X, Y)


def same(one, other):
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(one.predict_std(X), other.predict_std(X))


def test_pickles_and_copies(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    for copied in (
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        joblib.load(tmp_path / "model.joblib"),
        FrozenEstimator(model).fit(X, Y),
        clone(FrozenEstimator(model)),
    ):
        same(copied, model)
    assert not hasattr(clone(model), "net_")
    assert len(pickle.dumps(model)) < 20 * weights_of(model).nbytes  # no data, no optimiser


def test_predict_writes_nothing(model):
    before = sorted(vars(model)), pickle.dumps(model)
    model.predict(X[:2], return_cov=True)
    assert (sorted(vars(model)), pickle.dumps(model)) == before


def test_safetensors(model, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    model.save_params(path)
    fresh = clone(model).load_params(path)
    same(fresh, model)
    assert fresh.n_features_in_ == 16 and fresh.n_iter_ == model.n_iter_
    np.testing.assert_array_equal(fresh.history_["valid_loss"], model.history_["valid_loss"])
    other = clone(model).set_params(random_state=5).fit(X, Y)
    same(other.load_params(path), model)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_modes": 4}, r"saved with n_modes=\[3\], but this estimator has n_modes=\[4\]"),
        ({"padding": 0.5}, "saved with padding=0.25"),
        ({"n_members": 1}, "saved with n_members=2"),
        ({"grid": Grid(x=np.arange(16.0))}, "was saved with Grid"),
    ],
)
def test_safetensors_of_another_net(model, tmp_path, params, message):
    pytest.importorskip("safetensors")
    model.save_params(tmp_path / "a")
    with pytest.raises(ValueError, match=message):
        clone(model).set_params(**params).load_params(tmp_path / "a")


def test_safetensors_keep_grid_and_components(tmp_path):
    pytest.importorskip("safetensors")
    plane = Grid(t=Axis.cells([0.0, 0.1, 0.3, 0.7, 1.0]), x=Axis.periodic(0, 1, 4))
    model = tiny(n_modes=2, grid=Components(u=plane, v=plane)).fit(X, np.hstack([Y, Y]))
    model.save_params(tmp_path / "a")
    loaded = clone(model).load_params(tmp_path / "a")
    assert loaded.grid_ == plane
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_files_of_others(model, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file({"weight": torch.zeros(2)}, tmp_path / "a")
    with pytest.raises(ValueError, match="was not written by save_params"):
        clone(model).load_params(tmp_path / "a")


def test_without_safetensors(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install skphys\[neural\]"):
        model.save_params("a")
    with pytest.raises(ImportError, match=r"pip install skphys\[neural\]"):
        model.load_params("a")


def test_entries_that_are_no_tensors_are_left_out():
    class Annotated(torch.nn.Linear):
        def state_dict(self, *args, **kwargs):
            return {**super().state_dict(*args, **kwargs), "_metadata": {"version": 1}}

    assert sorted(plain_state(Annotated(1, 1))) == ["bias", "weight"]


def test_a_finer_grid():
    """The waves on twice as many points: the same fields, and those between."""
    coarse, truth = waves(200, 17)
    fine, fine_truth = waves(200, 33)
    params = {"n_modes": 6, "hidden_channels": 12, "max_epochs": 12}
    model = tiny(**params, n_members=2).fit(coarse, truth)
    on_fine = model.on_grid(Grid(x=np.linspace(0, 1, 33)))
    error = np.abs(model.predict(coarse) - truth).mean()
    assert np.abs(on_fine.predict(fine)[:, ::2] - model.predict(coarse)).mean() < error
    assert np.abs(on_fine.predict(fine) - fine_truth).mean() < 1.5 * error
    assert on_fine.predict_std(fine[:, None]).shape == fine.shape and on_fine.n_features_in_ == 33
    assert model.predict(coarse).shape == truth.shape  # the original is as it was
    same_grid = on_fine.on_grid(model.grid_)
    np.testing.assert_array_equal(same_grid.predict(coarse), model.predict(coarse))


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid(y=np.linspace(0, 1, 32)), r"has the axes \['y'\], in fit \['x'\]"),
        (Grid(x=np.linspace(0, 2, 32)), "must cover the same interval"),
        (Grid(x=Axis.periodic(0, 1, 32)), "must cover the same interval"),
        (Grid(x=np.linspace(0, 1, 5)), "n_modes=3 does not fit axis 'x', which has 5 points"),
        (Components(u=Grid(x=[0.0, 1.0]), v=Grid(x=[0.0, 1.0])), "has 2 component"),
    ],
)
def test_grids_that_do_not_fit(model, grid, message):
    with pytest.raises(ValueError, match=message):
        model.on_grid(grid)


def test_mixed_precision_learns_the_same():
    plain, mixed = (tiny(max_epochs=10, mixed_precision=m).fit(X, Y) for m in (False, True))
    difference = np.abs(plain.history_["train_loss"] - mixed.history_["train_loss"]).max()
    assert 0 < difference < 0.02
    assert weights_of(mixed).dtype == np.float32


def test_a_device_that_is_gone(model):
    moved = copy.deepcopy(model).set_params(device="cuda:7")
    np.testing.assert_array_equal(moved.predict(X), model.predict(X))


@pytest.mark.parametrize("values", [np.zeros((23, 2)), np.zeros(24)])
def test_boundary_values_of_the_wrong_shape(values):
    batch = SimpleNamespace(embedding=None, values=values)
    with pytest.raises(ValueError, match=r"\(n_samples, n_values\), n_samples=24"):
        tiny().fit(X, Y, boundary=batch)


@pytest.mark.gpu
def test_on_a_gpu():
    params = {"n_members": 2, "heteroscedastic": True, "early_stopping": True, "max_epochs": 6}
    cpu, gpu = (tiny(device=device, **params).fit(X, Y) for device in ("cpu", "cuda"))
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(gpu.history_[name], cpu.history_[name], rtol=1e-3)
    np.testing.assert_allclose(gpu.predict(X), cpu.predict(X), atol=5e-3)
    again = tiny(device="cuda", **params).fit(X, Y)
    np.testing.assert_array_equal(weights_of(again), weights_of(gpu))
    landed = pickle.loads(pickle.dumps(gpu))
    assert {p.device.type for p in landed.net_.module_.parameters()} == {"cpu"}
    assert {p.device.type for p in gpu.net_.module_.parameters()} == {"cuda"}
    np.testing.assert_allclose(landed.predict(X), gpu.predict(X), rtol=1e-5, atol=1e-5)
    landed.set_params(device="cpu")
    np.testing.assert_allclose(landed.predict(X), gpu.predict(X), rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_fields_stay_on_the_gpu(monkeypatch):
    seen = []
    forward = torch.nn.Module.__call__

    def spy(self, *inputs, **kwargs):
        output = forward(self, *inputs, **kwargs)
        tensors = [*inputs, *(output if isinstance(output, tuple) else [output])]
        seen.extend(t.device.type for t in tensors if isinstance(t, torch.Tensor))
        return output

    model = tiny(device="cuda", max_epochs=1)
    monkeypatch.setattr(torch.nn.Module, "__call__", spy)
    model.fit(X, Y).predict(X)
    assert set(seen) == {"cuda"}


@pytest.mark.gpu
def test_resumes_on_a_gpu(tmp_path):
    for n_epochs in (3, 6):
        params = {"recipe": "boon", "max_epochs": n_epochs, "device": "cuda"}
        model = tiny(checkpoint=str(tmp_path), early_stopping=True, **params).fit(X, Y)
        straight = tiny(early_stopping=True, **params).fit(X, Y)
        np.testing.assert_array_equal(weights_of(model), weights_of(straight))

"""AttentiveNeuralProcessRegressor goes on with a training that was cut, as FNORegressor does."""

import numpy as np
import pytest
import torch
from process_cases import tiny, waves

from skphys.neural import AdvectionEquation
from skphys.neural._progress import Progress

X, Y = waves(n_functions=10)


def weights_of(model):
    return np.concatenate([p.detach().numpy().ravel() for p in model.net_.module_.parameters()])


def interrupt_after(monkeypatch, n_epochs):
    """Let the user press Ctrl-C when so many epochs have been shown."""
    shown = []

    def show(self, row):
        shown.append(row)
        if len(shown) == n_epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "show", show)


@pytest.mark.parametrize(
    "params",
    [
        {"dropout": 0.3},
        {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 2},
        {"recipe": "probconserv", "random_state": None},
        {"equation": AdvectionEquation(1.0)},
    ],
)
def test_resumes_exactly(params, tmp_path, monkeypatch):
    monkeypatch.setattr("skphys.neural._checkpoint.SECONDS_BETWEEN", 0.0)
    params = {"max_epochs": 7, "checkpoint": str(tmp_path / "new"), **params}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.warns(UserWarning, match="interrupted after 3 of 7 epochs"):
            broken = tiny(**params).fit(X, Y)
    assert broken.n_iter_ == 3 and broken.predict(X).shape == Y.shape
    (file,) = (tmp_path / "new").iterdir()
    seeds = torch.load(file, weights_only=True)["seeds"]
    torch.manual_seed(5)  # what else is drawn does not matter
    resumed = tiny(**params).fit(X, Y)
    assert resumed.n_iter_ == 7 and torch.load(file, weights_only=True)["seeds"] == seeds
    # The draws of predictions are part of a training, too.
    np.testing.assert_array_equal(resumed.sample_y(X, 2), tiny(**params).fit(X, Y).sample_y(X, 2))
    assert resumed._draw_seed == broken._draw_seed == seeds[-1]
    if "random_state" not in params:
        straight = tiny(**{**params, "checkpoint": None}).fit(X, Y)
        np.testing.assert_array_equal(weights_of(resumed), weights_of(straight))
        np.testing.assert_array_equal(resumed.predict(X), straight.predict(X))
        losses = straight.history_["train_loss"]
        np.testing.assert_array_equal(resumed.history_["train_loss"], losses)
    # What is finished is not trained again.
    interrupt_after(monkeypatch, 1)
    np.testing.assert_array_equal(weights_of(tiny(**params).fit(X, Y)), weights_of(resumed))


def test_another_training_does_not_resume(tmp_path):
    parameters = {"equation": AdvectionEquation(), "n_query": 1}
    for params, data, kwargs in [
        ({}, (X, Y), {}),
        ({"hidden_size": 4}, (X, Y), {}),
        ({"random_state": 1}, (X, Y), {}),
        ({}, (X[1:], Y[1:]), {}),
        (parameters, (X, Y), {"equation_parameters": np.ones(len(X))}),
        (parameters, (X, Y), {"equation_parameters": np.zeros(len(X))}),
    ]:
        model = tiny().set_params(checkpoint=str(tmp_path), **params).fit(*data, **kwargs)
        straight = tiny().set_params(**params).fit(*data, **kwargs)
        np.testing.assert_array_equal(weights_of(model), weights_of(straight))
    assert len(list(tmp_path.iterdir())) == 6


def test_a_schedule_without_end_can_be_extended(tmp_path):
    for n_epochs in (3, 6, 4):
        params = {"recipe": "probconserv", "max_epochs": n_epochs}
        model = tiny(checkpoint=str(tmp_path), **params).fit(X, Y)
        np.testing.assert_array_equal(weights_of(model), weights_of(tiny(**params).fit(X, Y)))
    assert len(list(tmp_path.iterdir())) == 1


def test_what_only_predictions_read_does_not_tell_trainings_apart(tmp_path):
    for n_draws in (3, 5):
        tiny(checkpoint=tmp_path, n_draws=n_draws, predict_batch_size=7 * n_draws).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.gpu
def test_resumes_on_a_gpu(tmp_path, monkeypatch):
    for n_epochs in (3, 6):
        params = {"recipe": "probconserv", "max_epochs": n_epochs, "device": "cuda"}
        model = tiny(checkpoint=str(tmp_path), **params).fit(X, Y)
        straight = tiny(**params).fit(X, Y)
        np.testing.assert_array_equal(model.predict(X), straight.predict(X))

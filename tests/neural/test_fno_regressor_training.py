"""Members, seeds, early stopping, going on."""

import random

import numpy as np
import pytest
import torch
from fno_cases import tiny, waves, weights_of

from skphys.neural._batches import Fields, MemberBatches, hold_out
from skphys.neural._best import BestWeights
from skphys.neural._progress import Progress

X, Y = waves()


class Linear(torch.nn.Module):
    """The smallest module with members."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))


def test_members_do_not_depend_on_each_other():
    """Three members: the first two, and the first one, are those of smaller ensembles."""
    three, two, one = (tiny(n_members=n, max_epochs=8).fit(X, Y) for n in (3, 2, 1))
    np.testing.assert_allclose(weights_of(three)[:2], weights_of(two), atol=2e-4)
    np.testing.assert_allclose(weights_of(two)[:1], weights_of(one), atol=2e-4)
    assert np.abs(weights_of(two)[0] - weights_of(two)[1]).max() > 0.1
    losses = three.history_["train_loss"]
    assert losses.shape == (8, 3) and three.n_iter_ == 8
    np.testing.assert_allclose(losses[:, :1], one.history_["train_loss"], rtol=1e-4)
    assert three.n_parameters_ == one.n_parameters_ == weights_of(one).size


def test_members_start_and_shuffle_differently():
    fields = Fields(torch.arange(10.0)[:, None, None], torch.arange(10.0)[:, None, None])
    batches = MemberBatches(fields, 4, seeds=(1, 2))
    epochs = [[x[:, :, 0, 0] for x, *_ in batches.epoch(number)] for number in (0, 0, 1)]
    assert [part.shape for part in epochs[0]] == [(2, 4), (2, 3), (2, 3)]
    first, again, second = (torch.cat(parts, dim=1) for parts in epochs)
    torch.testing.assert_close(first, again)
    for order in (first, second):
        torch.testing.assert_close(order.sort(dim=1)[0], torch.arange(10.0).expand(2, 10))
    assert (first[0] != first[1]).any() and (first != second).any(dim=1).all()


def test_targets_and_boundary_values_stay_with_their_samples():
    x = torch.arange(12.0).reshape(12, 1, 1)
    split = hold_out(Fields(x, 2 * x, 3 * x[:, 0], 4 * x[:, 0]), 0.25, 0, "cpu", "")
    assert (len(split.train), len(split.valid)) == (9, 3)
    for fields in (split.train, split.valid):
        for x, y, values, norms, *_ in MemberBatches(fields, 2, seeds=(1, 2)).epoch(0):
            torch.testing.assert_close(y, 2 * x)
            torch.testing.assert_close(values, 3 * x[..., 0])
            torch.testing.assert_close(norms, 4 * x[..., 0])


@pytest.mark.parametrize("seed", [0, np.random.RandomState(3)])
def test_same_seed_same_result_and_global_generators_rest(seed):
    def fit():
        state = np.random.RandomState(3) if seed != 0 else 0
        return weights_of(tiny(random_state=state, early_stopping=True).fit(X, Y))

    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = fit()
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    torch.manual_seed(7)
    np.testing.assert_array_equal(fit(), first)
    other = weights_of(tiny(random_state=1, early_stopping=True).fit(X, Y))
    assert np.abs(other - first).max() > 0.1


def test_without_seed_fits_differ():
    first, second = (weights_of(tiny(random_state=None, max_epochs=1).fit(X, Y)) for _ in "ab")
    assert np.abs(first - second).max() > 0.1


def test_best_weights_member_by_member():
    module = Linear([[0.0], [0.0]])
    best = BestWeights(module)
    for epoch, losses in enumerate([[3.0, 1.0], [2.0, 2.0], [4.0, 3.0], [5.0, 0.0], [1.0, 0.0]]):
        module.weight.data[:] = epoch
        best.update(module, torch.tensor(losses), patience=2)
    assert best.stopped.tolist() == [True, True]
    best.restore(module)
    # The first stops after epoch 3, the second after epoch 2, before its lower losses.
    assert module.weight.flatten().tolist() == [1.0, 0.0]


def test_early_stopping_keeps_each_members_best_epoch():
    params = {"n_members": 2, "lr": 0.05, "scheduler": "constant", "validation_fraction": 0.25}
    model = tiny(max_epochs=60, early_stopping=True, n_iter_no_change=4, **params).fit(X, Y)
    losses = model.history_["valid_loss"]
    assert model.n_iter_ == len(losses) < 60
    best = []
    for member in losses.T:
        epoch = lowest = 0
        for number, loss in enumerate(member):
            if loss < member[lowest]:
                lowest = number
            if number - lowest == 4:
                break
            epoch = number
        best.append(lowest)
        assert epoch < 60
    assert model.n_iter_ == max(best) + 5 and best[0] != best[1]
    for member, epoch in enumerate(best):
        shorter = tiny(max_epochs=epoch + 1, early_stopping=True, n_iter_no_change=100, **params)
        expected = weights_of(shorter.fit(X, Y))[member]
        np.testing.assert_allclose(weights_of(model)[member], expected, atol=1e-6)


def test_held_out_samples_teach_nothing(monkeypatch):
    seen = []
    take = Fields.take
    monkeypatch.setattr(
        Fields, "take", lambda self, index: (seen.append((len(self), index)), take(self, index))[1]
    )
    tiny(early_stopping=True, validation_fraction=0.25, max_epochs=1).fit(X, Y)
    (_, train), (_, valid), *batches = seen
    assert sorted(torch.cat([train, valid]).tolist()) == list(range(24)) and len(valid) == 6
    assert {size for size, _ in batches} == {18, 6}


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
        {"n_members": 2},
        {"early_stopping": True, "n_iter_no_change": 2, "heteroscedastic": True},
        {"recipe": "boon", "random_state": None},
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
    resumed = tiny(**params).fit(X, Y)
    assert resumed.n_iter_ == 7 and torch.load(file, weights_only=True)["seeds"] == seeds
    if params["random_state"] if "random_state" in params else True:
        straight = tiny(**{**params, "checkpoint": None}).fit(X, Y)
        np.testing.assert_array_equal(weights_of(resumed), weights_of(straight))
        losses = straight.history_["train_loss"]
        np.testing.assert_array_equal(resumed.history_["train_loss"], losses)
    # What is finished is not trained again.
    interrupt_after(monkeypatch, 1)
    np.testing.assert_array_equal(weights_of(tiny(**params).fit(X, Y)), weights_of(resumed))


def test_another_training_does_not_resume(tmp_path):
    for params, data in [
        ({}, (X, Y)),
        ({"hidden_channels": 4}, (X, Y)),
        ({"random_state": 1}, (X, Y)),
        ({}, (X[1:], Y[1:])),
    ]:
        model = tiny(checkpoint=str(tmp_path), **params).fit(*data)
        straight = tiny(**params).fit(*data)
        np.testing.assert_array_equal(weights_of(model), weights_of(straight))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_schedule_without_end_can_be_extended(tmp_path):
    for n_epochs in (3, 6, 4):
        params = {"recipe": "boon", "max_epochs": n_epochs}
        model = tiny(checkpoint=str(tmp_path), **params).fit(X, Y)
        np.testing.assert_array_equal(weights_of(model), weights_of(tiny(**params).fit(X, Y)))
    assert len(list(tmp_path.iterdir())) == 1


def test_interrupted_before_the_first_epoch_has_ended(monkeypatch):
    def step(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr("skphys.neural._trainer.Trainer.train_step", step)
    with pytest.raises(KeyboardInterrupt):
        tiny().fit(X, Y)


def test_warm_start_goes_on_and_fit_starts_anew():
    model = tiny(warm_start=True, scheduler="constant", max_epochs=10).fit(X, Y)
    before = model.history_["train_loss"]
    after = model.fit(X, Y).history_["train_loss"]
    assert after[0] < before[5] < before[0] and len(after) == 10
    fresh = tiny(scheduler="constant", max_epochs=10)
    first = weights_of(fresh.fit(X, Y))
    np.testing.assert_array_equal(weights_of(fresh.fit(X, Y)), first)
    with pytest.raises(ValueError, match="warm_start=True, but the net fitted before"):
        model.set_params(hidden_channels=4).fit(X, Y)


def test_progress(capsys):
    tiny(verbose=0).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    tiny(verbose=1, max_epochs=3).fit(X, Y)
    assert "3/3" in capsys.readouterr().err
    tiny(verbose=2, early_stopping=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and "epoch 4/4: train" in lines[3] and "valid" in lines[3]


def test_the_net_is_a_plain_skorch_net():
    import skorch

    model = tiny(early_stopping=True).fit(X, Y)
    assert isinstance(model.net_, skorch.NeuralNet) and not model.net_.module_.training
    assert not model.net_.optimizer_.state  # nothing of the training is kept but its history
    assert [row["epoch"] for row in model.net_.history] == [1, 2, 3, 4]

"""Files that are damaged, disks that are full, weights that are none: both nets, the same."""

import copy
import json
import resource
import signal
import struct

import fno_cases
import numpy as np
import process_cases
import pytest
import torch

pytest.importorskip("safetensors")

DATA = {"fno": fno_cases.waves(), "process": process_cases.waves()}
TINY = {"fno": fno_cases.tiny, "process": process_cases.tiny}


@pytest.fixture(params=["fno", "process"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def fitted():
    return {kind: TINY[kind](max_epochs=2).fit(*DATA[kind]) for kind in TINY}


def rewritten(path, change):
    """Change the header of a file of safetensors, given as (our own entry, all)."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8 : 8 + size])
    own = json.loads(head["__metadata__"]["skphys"])
    change(own)
    head["__metadata__"]["skphys"] = json.dumps(own)
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])


def spoil_text(path):
    raw = path.read_bytes()
    at = raw.index(b'\\"grid\\"')
    path.write_bytes(raw[:at] + b"x" * 8 + raw[at + 8 :])


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "cut late": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "empty": lambda path: path.write_bytes(b""),
    "text": spoil_text,
    "layout gone": lambda path: rewritten(path, lambda own: own.pop("layout")),
    "layout short": lambda path: rewritten(path, lambda own: own.update(layout=[1])),
    "layout wrong": lambda path: rewritten(path, lambda own: own.update(layout=[28, 3, 2])),
    "layout text": lambda path: rewritten(path, lambda own: own.update(layout=["a", "b", "c"])),
    "grid gone": lambda path: rewritten(path, lambda own: own.pop("grid")),
    "grid of lists": lambda path: rewritten(path, lambda own: own.update(grid=[1, 2])),
    "grid falls": lambda p: rewritten(p, lambda o: o.update(grid={"x": [[1.0, 0.0], None, None]})),
    "parameters": lambda path: rewritten(path, lambda own: own.update(parameters=3)),
    "parameter": lambda path: rewritten(path, lambda own: own["parameters"].pop("n_layers")),
    "history": lambda path: rewritten(path, lambda own: own.update(history=[3])),
    "epoch": lambda path: rewritten(path, lambda own: own["history"][0].pop("lr")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_weights_are_named_and_leave_the_net(kind, fitted, damage, tmp_path):
    X, _ = DATA[kind]
    model, path = copy.deepcopy(fitted[kind]), tmp_path / "a.safetensors"
    model.save_params(path)
    damage(path)
    before, state = model.predict(X), sorted(vars(model))
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        model.load_params(path)
    assert sorted(vars(model)) == state
    np.testing.assert_array_equal(model.predict(X), before)
    fresh = TINY[kind]()
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        fresh.load_params(path)
    assert vars(fresh).keys() == fresh.get_params().keys()


def test_a_file_without_history_predicts(kind, fitted, tmp_path):
    model, path = fitted[kind], tmp_path / "a"
    model.save_params(path)
    rewritten(path, lambda own: own.update(history=[]))
    loaded = TINY[kind]().load_params(path)
    np.testing.assert_array_equal(loaded.predict(DATA[kind][0]), model.predict(DATA[kind][0]))
    assert loaded.n_iter_ == 0 and loaded.history_ == {}


def test_files_that_are_not_there_or_another_net_s(kind, fitted, tmp_path):
    other = {"fno": "process", "process": "fno"}[kind]
    with pytest.raises(OSError, match="nowhere"):
        TINY[kind]().load_params(tmp_path / "nowhere")
    fitted[other].save_params(tmp_path / "other")
    with pytest.raises(ValueError, match="other"):
        TINY[kind]().load_params(tmp_path / "other")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(kind, fitted, tmp_path, value):
    model, good = copy.deepcopy(fitted[kind]), fitted[kind]
    next(model.net_.module_.parameters()).data.view(-1)[0] = value
    model.save_params(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors' is damaged.*not finite"):
        copy.deepcopy(good).load_params(tmp_path / "a.safetensors")
    if kind == "process":
        state = model.net_.module_.state_dict()
        with pytest.raises(ValueError, match="not finite"):
            process_cases.tiny().load_state_dict(state, n_context=4)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def resaved(path, change):
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


CHECKPOINTS = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"garbage"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "another object": lambda path: torch.save([1, 2], path),
    "seeds": lambda path: resaved(path, lambda state: state.pop("seeds")),
    "weights": lambda path: resaved(path, lambda state: state["module"].popitem()),
    "optimizer": lambda path: resaved(path, lambda state: state.update(optimizer={})),
    "history": lambda path: resaved(path, lambda state: state.update(history=3)),
    "NaN": lambda path: resaved(
        path, lambda state: next(iter(state["module"].values())).fill_(torch.nan)
    ),
}


@pytest.mark.parametrize("damage", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_damaged_checkpoints_are_named_and_leave_the_net(kind, damage, tmp_path):
    X, y = DATA[kind]
    model = TINY[kind](checkpoint=str(tmp_path), max_epochs=2).fit(X, y)
    before, path = model.predict(X), only_file(tmp_path)
    damage(path)
    with pytest.raises(ValueError, match=rf"{path.name}' is damaged; delete it"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)
    path.unlink()
    np.testing.assert_array_equal(model.fit(X, y).predict(X), before)


@pytest.fixture
def full_disk():
    """No file may grow beyond 4 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_does_not_lose_a_training(kind, tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr("skphys.neural._checkpoint.SECONDS_BETWEEN", 0.0)
    X, y = DATA[kind]
    full_disk()
    with pytest.warns(UserWarning, match=r"checkpoint .*\.pt' could not be written"):
        model = TINY[kind](checkpoint=str(tmp_path), max_epochs=3).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), TINY[kind](max_epochs=3).fit(X, y).predict(X))
    assert model.n_iter_ == 3 and not list(tmp_path.iterdir())


def test_a_full_disk_does_not_lose_the_file_before(kind, fitted, tmp_path, full_disk):
    path = tmp_path / "a.safetensors"
    fitted[kind].save_params(path)
    before = path.read_bytes()
    full_disk()
    with pytest.raises(OSError, match=r"a\.safetensors' could not be written"):
        fitted[kind].save_params(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def bad_refits(kind):
    X, y = DATA[kind]
    yield {}, X[:, :-1], np.full_like(y, np.nan)  # fewer columns, and no numbers
    yield {}, X, y[:, :-1] * 1e300
    yield {"lr": 1e12, "max_epochs": 30}, X, y
    yield {"device": "nowhere"}, X, y


def test_a_refit_that_fails_leaves_the_fit_before(kind, fitted):
    X, _ = DATA[kind]
    for params, *data in bad_refits(kind):
        model = copy.deepcopy(fitted[kind])
        before, state = model.predict(X), {k: id(v) for k, v in vars(model).items()}
        given = model.get_params(deep=False)
        with pytest.raises(ValueError):
            model.set_params(**params).fit(*data)
        model.set_params(**given)
        assert {k: id(v) for k, v in vars(model).items()} == state
        np.testing.assert_array_equal(model.predict(X), before)

"""A model that another version has saved says so when it is loaded."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import skphys
from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    PointwiseRegressor,
    RolloutRegressor,
)
from skphys.constraints import ConservationLaw, Dirichlet
from skphys.grids import Grid

GRID = Grid(x=np.linspace(0.0, 1.0, 4))
MODELS = [
    ConservationConstrainedRegressor(Ridge(), ConservationLaw(), GRID),
    BoundaryEnforcedOperator(Ridge(), {"x": Dirichlet()}, GRID),
    EnsembleRegressor(Ridge()),
    PointwiseRegressor(Ridge(), GRID),
    RolloutRegressor(Ridge(), grid=GRID),
]


def check(model, monkeypatch):
    assert not any("version" in name for name in vars(copy.copy(model)))
    with monkeypatch.context() as patch:
        patch.setattr(skphys, "__version__", "0.0.9")
        saved = pickle.dumps(model)
    with pytest.warns(UserWarning, match=f"{type(model).__name__} was saved by skphys 0.0.9"):
        loaded = pickle.loads(saved)
    with warnings.catch_warnings():  # a copy is none
        warnings.simplefilter("error")
        again = pickle.loads(pickle.dumps(loaded))
    assert repr(again) == repr(model) and vars(again).keys() == vars(model).keys()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_another_version_is_told(model, monkeypatch):
    check(model, monkeypatch)


def test_nets_tell_it_too(monkeypatch):
    pytest.importorskip("torch")
    from skphys.neural import AttentiveNeuralProcessRegressor, FNORegressor

    for net in (FNORegressor(), AttentiveNeuralProcessRegressor()):
        check(net, monkeypatch)


def test_states_without_a_version_are_taken_as_they_are():
    model = EnsembleRegressor(Ridge())
    other = EnsembleRegressor.__new__(EnsembleRegressor)
    other.__setstate__(vars(model))
    assert repr(other) == repr(model)

"""Modules that are trained already, of torch and of neuraloperator, under walls and a law."""

import contextlib
import copy
import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetRegressor

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw, Dirichlet, Neumann
from skphys.grids import Axis, Components, Grid

PLANE = Grid(x=np.linspace(0.0, 1.0, 16), y=Axis.periodic(0.0, 1.0, 16))
GRID = Components(u=PLANE, v=PLANE)
WALLS = {"u": {"x": (Dirichlet(1.0), Neumann(0.0))}, "v": {"x": Dirichlet(0.0)}}
X = np.random.default_rng(0).normal(size=(5, 2 * 256))


def convolution():
    return torch.nn.Conv2d(2, 2, 3, padding=1)


def of_neuraloperator(name, **params):
    models = pytest.importorskip("neuralop.models")
    if not hasattr(models, name):
        pytest.skip("neuraloperator leaves SFNO out without torch-harmonics")
    with contextlib.redirect_stdout(io.StringIO()):  # UNO prints
        return getattr(models, name)(in_channels=2, out_channels=2, hidden_channels=4, **params)


MODULES = {
    "convolution": convolution,
    "double": lambda: convolution().double(),
    "FNO": lambda: of_neuraloperator("FNO", n_modes=(6, 6), n_layers=2, domain_padding=0.25),
    "TFNO": lambda: of_neuraloperator("TFNO", n_modes=(6, 6), n_layers=2, rank=0.5),
    "UNO": lambda: of_neuraloperator(
        "UNO",
        n_layers=3,
        uno_out_channels=[4, 4, 4],
        uno_n_modes=[[6, 6], [4, 4], [6, 6]],
        uno_scalings=[[1, 1], [0.5, 0.5], [2, 2]],
        channel_mlp_skip="linear",
    ),
    "SFNO": lambda: of_neuraloperator("SFNO", n_modes=(6, 6), n_layers=2),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_trained_module_keeps_its_weights_and_obeys(name):
    torch.manual_seed(0)
    module = MODULES[name]()
    before = copy.deepcopy(module.state_dict())
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        own = module(torch.tensor(X, dtype=dtype).reshape(5, 2, 16, 16)).numpy().reshape(5, -1)
    walls = BoundaryEnforcedOperator(
        FrozenEstimator(NeuralNetRegressor(module).initialize()), WALLS, GRID
    )
    law = ConservationLaw(total=0.5, component="v")
    model = ConservationConstrainedRegressor(walls, law, GRID)
    with pytest.warns(UserWarning, match="violate constraint"):
        fields = model.fit(X, own).predict(X)
    u, v = (part.reshape(5, 16, 16) for part in GRID.split(fields).values())
    np.testing.assert_allclose(u[:, 0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        u[:, -3:].swapaxes(1, 2) @ [0.5, -2.0, 1.5], 0.0, atol=1e-12 * np.abs(u).max()
    )
    np.testing.assert_allclose(v[:, [0, -1]], 0.0, atol=1e-12)
    np.testing.assert_allclose(v.reshape(5, -1) @ PLANE.weights(), 0.5, rtol=1e-12)
    inside = GRID.split(own)["u"].reshape(5, 16, 16)[:, 1:-3]  # out of reach of all rows of u
    np.testing.assert_allclose(u[:, 1:-3], inside, atol=1e-5)
    for key, weights in before.items():
        if torch.is_tensor(weights):
            torch.testing.assert_close(module.state_dict()[key], weights, rtol=0.0, atol=0.0)
    if name != "SFNO":  # whose class pickle does not find
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), fields)

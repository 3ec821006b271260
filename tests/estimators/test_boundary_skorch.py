"""skorch nets around modules of fields, as backbones of boundaries and laws."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetRegressor
from skorch.callbacks import Checkpoint

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    FNORegressor,
)
from skphys.constraints import Column, ConservationLaw, Dirichlet, Neumann
from skphys.estimators._background import Background
from skphys.grids import Components, Grid
from skphys.neural import FNO
from skphys.neural._net_on_grid import OnGrid

GRID = Grid(x=np.linspace(0.0, 1.0, 16))
PLANE = Grid(x=np.linspace(0.0, 1.0, 6), y=np.linspace(0.0, 1.0, 8))
BOUNDARY = {"x": (Dirichlet(0.0), Neumann(0.0))}
METHODS = ["project", "lift", "kernel"]


def waves(n_samples=24, grid=GRID, seed=0):
    """u with u = 0 on the left and u' = 0 on the right, and a field that tells it."""
    a, b = np.random.default_rng(seed).normal(size=(2, n_samples, 1))
    first, second = (np.sin((k - 0.5) * np.pi * grid["x"]) for k in (1, 2))
    return a * first + b * second, np.tanh(a) * first + 0.3 * b * second


X, Y = waves()


def net(module=FNO, n_modes=4, **params):
    fields = {"module__n_modes": (n_modes,), "module__hidden_channels": 6, "module__n_layers": 2}
    params = {"module__in_channels": 1, "module__out_channels": 1, **fields, **params}
    training = {"optimizer": torch.optim.Adam, "lr": 5e-3, "batch_size": 8}
    return plain(module, **{**training, **params})


def plain(module, **params):
    return NeuralNetRegressor(
        module, **{"max_epochs": 2, "train_split": None, "verbose": 0} | params
    )


def wrapped(backbone, method="auto", boundary=BOUNDARY, grid=GRID, **params):
    params = {"random_state": 0, **params}
    return BoundaryEnforcedOperator(backbone, boundary, grid, method=method, **params)


def assert_obeys(u):
    """Zero on the left, and second-order slope zero on the right."""
    np.testing.assert_array_equal(u[:, 0], 0.0)
    slope = np.array([0.5, -2.0, 1.5]) / GRID["x"][1]
    np.testing.assert_allclose(u[:, -3:] @ slope, 0.0, atol=1e-12)


class Scaled(torch.nn.Module):
    """A field times a number, in any layout of the output."""

    def __init__(self, layout="channels"):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.5))
        self.layout = layout

    def forward(self, x):
        if x.ndim < 3:
            raise TypeError("channels, please")
        out = self.factor * x[:, :1]
        return {
            "channels": out,
            "flat": out.flatten(1),
            "squeezed": out[:, 0],
            "last": torch.cat([out, out], 1).movedim(1, -1),
            "mean": out.mean((1, 2)),
        }[self.layout]


class Recorded(torch.nn.MSELoss):
    shapes = None

    def forward(self, output, target):
        type(self).shapes = tuple(output.shape), tuple(target.shape)
        return super().forward(output, target)


@pytest.fixture(params=["ours", "neuraloperator"])
def operator(request):
    if request.param == "ours":
        return net()
    return net(pytest.importorskip("neuralop.models").FNO, n_modes=8)


@pytest.mark.parametrize("method", ["auto", *METHODS, "kernel_block"])
def test_an_operator_in_a_skorch_net(operator, method):
    model = wrapped(operator, method).fit(X, Y)
    assert model.method_ == ("lift" if method == "auto" else method)
    u = model.predict(X)
    assert u.dtype == np.float64
    assert_obeys(u)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)
    np.testing.assert_array_equal(clone(model).fit(X, Y).predict(X), u)
    channels = clone(model).fit(X[:, None], Y)
    np.testing.assert_array_equal(channels.predict(X[:, None]), u)
    assert operator.module is type(model.estimator_.module_.module)
    assert not operator.initialized_


@pytest.mark.parametrize("method", METHODS)
def test_it_learns(method):
    train, test = waves(60), waves(30, seed=1)
    backbone = net(max_epochs=40, lr=0.02)
    model = wrapped(backbone, method).fit(*train)
    error = np.linalg.norm(model.predict(test[0]) - test[1]) / np.linalg.norm(test[1])
    assert error < 0.3


def test_the_kernel_is_corrected_while_it_trains():
    models = [wrapped(net(), method).fit(X, Y) for method in ("project", "kernel")]
    before, after = (m.estimator_.module_.module for m in models)
    assert before.fno.spectral[0].correction is None
    assert after.fno.spectral[0].correction is not None
    assert (before.fno.spectral[0].weight - after.fno.spectral[0].weight).abs().max() > 1e-6


@pytest.mark.parametrize("layout", ["channels", "flat", "squeezed"])
def test_targets_have_the_shape_of_outputs(layout):
    """Least squares by gradient descent; against broadcast targets it finds their mean."""
    backbone = plain(
        Scaled, module__layout=layout, criterion=Recorded, max_epochs=200, lr=0.1, batch_size=-1
    )
    model = wrapped(backbone, "project", boundary=None).fit(X, 3.0 * X)
    assert len(set(Recorded.shapes)) == 1
    np.testing.assert_allclose(model.predict(X), 3.0 * X, atol=1e-3)
    assert model.estimator_.module_.layout == "channels"


@pytest.mark.parametrize("layout, shape", [("last", "16, 2"), ("mean", "3")])
def test_other_outputs_are_refused(layout, shape):
    with pytest.raises(
        ValueError, match=rf"Scaled returns shape \((3, )?{shape}.*\(batch, 1, 16\)"
    ):
        wrapped(plain(Scaled, module__layout=layout)).fit(X, Y)
    with pytest.raises(ValueError, match=r"Scaled returns shape .*\(batch, 16\) in C order"):
        wrapped(plain(Scaled, module__layout=layout)).fit(X[:, None], Y)


def test_two_components_on_a_plane():
    grid = Components(u=PLANE, v=PLANE)
    walls = {"u": {"x": Dirichlet(0.0)}, "v": {"y": (None, Dirichlet(2.0))}}
    rng = np.random.default_rng(0)
    inputs, y = rng.normal(size=(12, 3 * 48)), rng.normal(size=(12, 96))
    backbone = net(module__n_modes=(2, 3), module__in_channels=3, module__out_channels=2)
    with pytest.warns(UserWarning, match="violate constraint"):
        model = wrapped(backbone, "lift", walls, grid).fit(inputs, y)
    parts = grid.split(model.predict(inputs))
    u, v = (parts[name].reshape(12, 6, 8) for name in "uv")
    np.testing.assert_array_equal(u[:, [0, -1]], 0.0)
    np.testing.assert_array_equal(v[:, :, -1], 2.0)
    fields = torch.tensor(inputs, dtype=torch.float32).reshape(12, 3, 6, 8)
    module = model.estimator_.module_
    torch.testing.assert_close(module(fields.flatten(1)), module.module(fields))
    with pytest.warns(UserWarning, match="violate constraint"):
        corrected = wrapped(backbone, "kernel", walls, grid).fit(inputs, y)
    parts = grid.split(corrected.predict(inputs))
    np.testing.assert_array_equal(parts["u"].reshape(12, 6, 8)[:, [0, -1]], 0.0)
    spectral = corrected.estimator_.module_.module.fno.spectral
    assert len(spectral[0].correction.walls) == 2


def test_modules_of_flat_rows_stay_as_they_were():
    backbone = plain(
        torch.nn.Linear, module__in_features=32, module__out_features=16, criterion=Recorded
    )
    both = np.hstack([X, X**2])
    model = wrapped(backbone).fit(both, Y)
    assert Recorded.shapes == ((24, 16), (24, 16))
    assert_obeys(model.predict(both))
    assert model.estimator_.module_.layout == "flat"
    three = plain(torch.nn.Linear, module__in_features=3, module__out_features=16)
    assert_obeys(wrapped(three).fit(X[:, :3], Y).predict(X[:, :3]))


def test_what_a_module_cannot_take():
    both = np.hstack([X, X**2])
    with pytest.raises(ValueError, match=r"flat rows of 32 columns nor of \(batch, 2, 16\)"):
        wrapped(net()).fit(both, Y)
    padded = pytest.importorskip("neuralop.models").FNO
    with pytest.raises(ValueError, match=r"the grid's 16 points; SpectralConv works on"):
        wrapped(net(padded, module__domain_padding=0.25), "kernel").fit(X, Y)


def test_modules_without_spectral_layers():
    with pytest.raises(ValueError, match=r"Scaled has none.*register_spectral_layer"):
        wrapped(plain(Scaled), "kernel").fit(X, Y)


@pytest.mark.parametrize("module", [FNO(4, 1, 1, 6, 2), torch.nn.Linear(16, 16)])
def test_an_instance_of_a_module_is_refused(module):
    """skorch would go on training it, and all clones start from its weights."""
    backbone = plain(module)
    for model in (
        wrapped(backbone),
        wrapped(make_pipeline(FunctionTransformer(), backbone), "lift"),
        EnsembleRegressor(backbone, n_members=2),
        ConservationConstrainedRegressor(backbone, ConservationLaw("x", 0.0), GRID),
    ):
        with pytest.raises(ValueError, match=r"instance of .*Pass the class.*FrozenEstimator"):
            model.fit(X, Y)


@pytest.mark.parametrize("steps", [False, True])
def test_a_trained_net_is_projected(operator, steps):
    trained = operator.fit(X[:, None].astype(np.float32), Y[:, None].astype(np.float32))
    before = trained.predict(X[:, None].astype(np.float32))
    frozen = FrozenEstimator(trained)
    model = wrapped(make_pipeline(FunctionTransformer(), frozen) if steps else frozen)
    u = model.fit(X, Y).predict(X)
    assert model.method_ == "project"
    assert_obeys(u)
    np.testing.assert_allclose(u[:, 1:-3], before[:, 0, 1:-3], atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)
    assert not isinstance(trained.module_, OnGrid)
    np.testing.assert_array_equal(trained.predict(X[:, None].astype(np.float32)), before)
    with pytest.raises(ValueError, match="trained already"):
        wrapped(frozen, "kernel").fit(X, Y)


def test_a_search_over_methods_and_widths():
    search = GridSearchCV(
        wrapped(net()),
        {"method": METHODS, "estimator__module__hidden_channels": [2, 4]},
        cv=2,
        scoring="neg_mean_squared_error",
    ).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert_obeys(search.predict(X))


@pytest.mark.parametrize("method", METHODS)
def test_wrappers_inside(method):
    searched = GridSearchCV(
        net(), {"module__hidden_channels": [2, 3]}, cv=2, scoring="neg_mean_squared_error"
    )
    steps = make_pipeline(FunctionTransformer(), net())
    ensemble = EnsembleRegressor(net(), n_members=2, random_state=0)
    for backbone in (searched, steps, ensemble):
        assert_obeys(wrapped(backbone, method).fit(X, Y).predict(X))


def test_backbones_of_a_grid_search():
    search = GridSearchCV(
        wrapped(net()),
        {"estimator": [net(), FNORegressor(4, 4, 1, max_epochs=2, random_state=0)]},
        cv=2,
        scoring="neg_mean_squared_error",
    ).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_law_and_boundary():
    inner = wrapped(net(), "kernel")
    law = ConservationLaw("x", 0.3)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        u = ConservationConstrainedRegressor(inner, law, GRID).fit(X, Y).predict(X)
    assert_obeys(u)
    np.testing.assert_allclose(u @ GRID.weights(), 0.3, rtol=1e-12)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        u = ConservationConstrainedRegressor(net(), law, GRID).fit(X, Y).predict(X)
    np.testing.assert_allclose(u @ GRID.weights(), 0.3, rtol=1e-12)


def test_value_columns_are_kept_away():
    ends = {"x": (Dirichlet(Column(-1)), None)}
    data = np.hstack([X, Y[:, :1]])
    for method in METHODS:
        model = wrapped(net(), method, ends, drop_value_columns=True).fit(data, Y)
        np.testing.assert_allclose(model.predict(data)[:, 0], Y[:, 0], atol=1e-15)
    with pytest.raises(ValueError, match="n_1"):  # 17 columns are no channels
        wrapped(net(), "project", ends).fit(data, Y)


def test_a_small_rest_is_learned_in_the_units_of_the_fields():
    """A recipe for fields of size one learns what the background leaves, however little."""
    small = Y * 0.0 + X @ np.random.default_rng(0).normal(size=(16, 16)) / 16
    small = small * GRID["x"] * (2.0 - GRID["x"]) ** 2 + 1e-4 * Y
    model = wrapped(net(max_epochs=30), "lift", {"x": (Dirichlet(0.0), None)}).fit(X, small)
    assert model.background_.kind_ == "linear"
    found = model.background_
    again = Background(found.embedding, found.grid).fit(X, np.zeros((24, 1)), small)
    rest = again.take_rest()
    assert model.background_.units_[0] < 1e-3
    np.testing.assert_allclose((rest / model.background_.units).std(), small.std())
    error = np.abs(model.predict(X) - small).max()
    assert error < 2.0 * np.abs(rest).max()


def test_weights_on_disk(operator, tmp_path):
    """neuraloperator puts into its state what skorch cannot load again."""
    model = wrapped(
        operator.set_params(
            callbacks=[Checkpoint(dirname=str(tmp_path), monitor=None, f_history=None)]
        ),
        "kernel",
    ).fit(X, Y)
    trained = model.estimator_
    trained.save_params(f_params=tmp_path / "saved.pt")
    rows = X.astype(np.float32)
    for name in ("saved.pt", "params.pt"):
        other = clone(trained).set_params(callbacks=[]).initialize()
        assert np.abs(other.predict(rows) - trained.predict(rows)).max() > 1e-3
        other.load_params(f_params=tmp_path / name)
        np.testing.assert_array_equal(other.predict(rows), trained.predict(rows))
    pytest.importorskip("safetensors")
    trained.save_params(f_params=tmp_path / "saved.st", use_safetensors=True)
    other = clone(trained).set_params(callbacks=[]).initialize()
    other.load_params(f_params=tmp_path / "saved.st", use_safetensors=True)
    np.testing.assert_array_equal(other.predict(rows), trained.predict(rows))


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_nets_on_an_accelerator(operator, method):
    model = wrapped(operator.set_params(device="cuda"), method).fit(X, Y)
    assert_obeys(model.predict(X))
    alone = wrapped(clone(operator).set_params(device="cpu"), method).fit(X, Y)
    alone.estimator_.module_.load_state_dict(
        {name: value.cpu() for name, value in model.estimator_.module_.state_dict().items()}
    )
    np.testing.assert_allclose(alone.predict(X), model.predict(X), atol=1e-4)

"""Neural processes trained through a constraint, and with an equation as a penalty."""

import pickle

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.base import clone

from skphys import AttentiveNeuralProcessRegressor, ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import Grid
from skphys.metrics import gaussian_nll
from skphys.neural import AdvectionEquation, BurgersEquation, ConstraintBatch, DiffusionEquation
from skphys.neural._constrained_loss import Conditioning
from skphys.neural._process._batches import FunctionBatch, FunctionBatches, as_functions
from skphys.neural._process._context_layout import read_layout
from skphys.neural._process._losses import (
    ConstrainedProcessLoss,
    ProcessLoss,
    penalised_loss,
    process_loss,
)
from skphys.neural._process._module import NeuralProcess

GRID = Grid(x=np.linspace(0.0, 2.0 * np.pi, 9))
TINY = {
    "hidden_size": 8,
    "grid": GRID,
    "n_draws": 4,
    "batch_size": 5,
    "n_targets": 20,
    "random_state": 0,
}


def diffusion(n_functions=20, n_times=3, seed=0):
    """Decaying waves of several means: contexts (t, x, u) and a time; parameters of the rows."""
    rng = np.random.default_rng(seed)
    k, level = rng.uniform(0.5, 2.0, n_functions), rng.normal(size=n_functions)
    t, x = rng.uniform(0, 1, (n_functions, 5)), rng.uniform(0, 2 * np.pi, (n_functions, 5))
    u = level[:, None] + np.exp(-k[:, None] * t) * np.sin(x)
    contexts = np.stack([t, x, u], axis=2).reshape(n_functions, -1)
    times = rng.uniform(0, 1, n_functions * n_times)
    k, level = np.repeat(k, n_times), np.repeat(level, n_times)
    y = level[:, None] + np.exp(-k * times)[:, None] * np.sin(GRID["x"])
    return np.column_stack([np.repeat(contexts, n_times, axis=0), times]), y, k, level


X, Y, K, LEVEL = diffusion()
BATCH = ConstraintBatch(GRID.weights()[None], 2 * np.pi * LEVEL[:, None], np.zeros(1))


def process(**params):
    return AttentiveNeuralProcessRegressor(**{**TINY, **params})


def functions(**beside):
    layout = read_layout(X.shape[1], 1, GRID.points)
    order = np.random.default_rng(1).permutation(len(X))  # rows of a function need not be together
    rows = layout.split(X[order].astype(np.float32))
    given = {name: array[order] for name, array in beside.items()}
    return as_functions(rows, Y[order].astype(np.float32), layout, torch.device("cpu"), **given)


def small_net():
    torch.manual_seed(0)
    return NeuralProcess(2, 8, 2, 1, 0.0, 1e-3).double()


def small_batch(**beside):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return FunctionBatch(normal(3, 4, 3), normal(3, 6, 3), normal(3, 8), **beside)


def test_parameters_and_values_stay_with_their_rows():
    table = functions(parameters=K, totals=LEVEL[:, None], tolerance=K[:, None])
    halves = table.subset(torch.arange(0, 20, 2))
    for part, n_targets in ((table, 20), (halves, 20), (halves, 1)):
        for batch in FunctionBatches(part, 4, n_targets, 8, seed=0).epoch(0):
            t, x, u = batch.targets.double().unbind(-1)
            expected = batch.totals.repeat_interleave(9, dim=1)[..., 0] + torch.exp(
                -batch.parameters * t
            ) * torch.sin(x)
            np.testing.assert_allclose(u, expected, atol=1e-5)
            n_fields = max(1, n_targets // 9)
            assert batch.totals.shape == (len(u), n_fields, 1)
            fields = x.reshape(len(u), n_fields, 9)
            np.testing.assert_allclose(fields, np.broadcast_to(GRID["x"], fields.shape), rtol=1e-6)
            torch.testing.assert_close(batch.tolerance[..., 0], batch.parameters[:, ::9])
    plain = next(FunctionBatches(functions(), 4, 20, 8, seed=0).epoch(0))
    assert plain.targets.shape == (4, 20, 3) and plain.parameters is None


def test_likelihood_of_conditioned_fields():
    """Six targets are two fields of three points, each with a law of its own."""
    rows = np.array([[0.5, 1.0, 0.5]])
    totals = np.random.default_rng(0).normal(size=(3, 2, 1))
    noise = np.full((3, 2, 1), 0.1)
    batch = small_batch(totals=torch.as_tensor(totals), tolerance=torch.as_tensor(noise))
    net = small_net()
    loss = process_loss(net, ConstrainedProcessLoss(Conditioning(torch.as_tensor(rows))), batch)
    mean, std, divergence = (
        part.detach().numpy() for part in net(batch.context, batch.targets, batch.noise)
    )
    target = batch.targets[..., -1].numpy()
    expected = divergence.sum()
    for b in range(3):
        for f in range(2):
            part = slice(3 * f, 3 * f + 3)
            prior = np.diag(std[b, part] ** 2)
            gain = prior @ rows.T / (rows @ prior @ rows.T + 0.01)
            moved = mean[b, part] + gain @ (totals[b, f] - rows @ mean[b, part])
            left = np.sqrt(np.diag(prior - gain @ rows @ prior))
            expected -= scipy.stats.norm(moved, left).logpdf(target[b, part]).sum()
    assert loss.item() == pytest.approx(expected / 3, rel=1e-6)


def residual_by_differences(net, batch, h=1e-4):
    """u_t - k u_xx of the decoded mean, the latent vector held fixed."""
    at = batch.targets[..., :-1]

    def mean(dt, dx):
        moved = at + torch.tensor([dt, dx], dtype=torch.float64)
        return net(batch.context, batch.targets, batch.noise, moved)[0]

    with torch.no_grad():
        u_t = (mean(h, 0.0) - mean(-h, 0.0)) / (2 * h)
        u_xx = (mean(0.0, h) - 2 * mean(0.0, 0.0) + mean(0.0, -h)) / h**2
    return u_t - batch.parameters * u_xx


def test_penalty_is_the_residual_of_the_decoded_mean():
    batch = small_batch(parameters=torch.full((3, 6), 0.7, dtype=torch.float64))
    net, criterion = small_net(), ProcessLoss()
    plain = process_loss(net, criterion, batch).item()
    loss = penalised_loss(net, criterion, DiffusionEquation(), 3.0, batch).item()
    expected = residual_by_differences(net, batch).square().mean().item()
    assert expected > 1e-3
    assert (loss - plain) / 3.0 == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "decoder.layers.1.weight",
        "deterministic_encoder.context.weight",
        "deterministic_encoder.cross_attention.0.output.weight",
        "latent_encoder.mean.weight",
    ],
)
def test_gradient_of_the_penalty(name):
    """A third derivative, also through the layer normalisation of the cross-attention."""
    batch = small_batch(parameters=torch.full((3, 6), 0.7, dtype=torch.float64))
    net = small_net()
    weight = net.get_parameter(name)

    def loss():
        return penalised_loss(net, ProcessLoss(), DiffusionEquation(), 1.0, batch)

    gradient = torch.autograd.grad(loss(), weight)[0][0, 0].item()
    values = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0, 0] += step
        values.append(loss().item())
    assert gradient == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)


def mean_squared_residual(model):
    """Of the decoded mean at random points of all functions, for latent vectors at random."""
    net = model.net_.module_
    rows = functions(parameters=K)
    batch = next(FunctionBatches(rows, 20, 100, 8, seed=5).epoch(0))
    return penalised_loss(net, lambda *_: 0.0, DiffusionEquation(), 1.0, batch).detach().item()


def test_a_penalised_net_leaves_less_of_the_equation():
    params = {"max_epochs": 15, "dropout": 0.0}
    plain = process(**params).fit(X, Y)
    soft = process(equation=DiffusionEquation(), equation_weight=300.0, **params)
    soft.fit(X, Y, equation_parameters=K)
    assert mean_squared_residual(soft) < 0.5 * mean_squared_residual(plain)
    fixed = process(equation=DiffusionEquation(1.0), max_epochs=1).fit(X, Y)  # needs no parameters
    assert np.isfinite(fixed.predict(X)).all()
    for copied in (pickle.loads(pickle.dumps(fixed)), clone(fixed).fit(X, Y)):
        np.testing.assert_allclose(copied.predict(X), fixed.predict(X), rtol=1e-5)


def test_validation_is_without_the_penalty():
    params = {"early_stopping": True, "max_epochs": 1, "lr": 1e-12, "dropout": 0.0}
    plain = process(**params).fit(X, Y).history_
    soft = process(equation=BurgersEquation(), equation_weight=1e3, **params).fit(X, Y).history_
    np.testing.assert_allclose(soft["valid_loss"], plain["valid_loss"], rtol=1e-5)
    assert soft["train_loss"][0] > plain["train_loss"][0] + 1.0


def trained(max_epochs, lr=None, **params):
    model = ConservationConstrainedRegressor(
        process(max_epochs=max_epochs, lr=lr),
        ConservationLaw(over="x", total=lambda _: 2 * np.pi * LEVEL),
        GRID,
        error_model=ErrorModel(members="each"),
        **params,
    ).fit(X, Y)
    return model, gaussian_nll(Y, *model.predict(X, return_std=True))


def test_training_through_the_law_lowers_the_loss_of_the_conditioned_field():
    start = trained(1, 1e-12, constrain_training=True)[1]
    model, after = trained(30, constrain_training=True)
    assert after < start - 0.5
    masses = np.trapezoid(model.predict(X), GRID["x"], axis=1)
    np.testing.assert_allclose(masses, 2 * np.pi * LEVEL, rtol=0, atol=1e-11)
    assert isinstance(model.estimator_, AttentiveNeuralProcessRegressor)
    plain = trained(30)[0]
    assert np.abs(plain.predict(X) - model.predict(X)).max() > 1e-3


def test_with_both_and_held_out_functions():
    model = process(
        equation=AdvectionEquation(1.0), early_stopping=True, max_epochs=2, n_targets=1
    ).fit(X, Y, constraint=BATCH)
    assert np.isfinite(model.history_["valid_loss"]).all()


def test_errors():
    with pytest.raises(ValueError, match="equation_parameters are those of an equation"):
        process().fit(X, Y, equation_parameters=K)
    model = process(equation=DiffusionEquation(), max_epochs=1)
    with pytest.raises(ValueError, match="60 finite numbers"):
        model.fit(X, Y, equation_parameters=K[:-1])
    with pytest.raises(ValueError, match="conductivity=None of DiffusionEquation"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match=r"constraint\.values must have shape"):
        process().fit(X, Y, constraint=BATCH.take([0]))


@pytest.mark.gpu
def test_on_an_accelerator():
    params = {"equation": DiffusionEquation(), "max_epochs": 1, "lr": 1e-12, "dropout": 0.0}
    losses = []
    for device in ("cpu", "cuda"):
        model = process(**params, device=device)
        model.fit(X, Y, constraint=BATCH, equation_parameters=K)
        losses.append(model.history_["train_loss"][0])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)

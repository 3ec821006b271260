"""Proper scores as losses: against other packages, numerical integrals and dense formulas."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import scoringrules
import torch
from fno_cases import tiny, waves
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skphys import AttentiveNeuralProcessRegressor, ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import Grid
from skphys.metrics import crps
from skphys.neural import AdvectionEquation, ConstraintBatch
from skphys.neural._constrained_loss import Conditioning, ConstrainedLoss
from skphys.neural._losses import FieldLoss
from skphys.neural._process._batches import FunctionBatch
from skphys.neural._process._losses import ProcessScore, penalised_loss, process_loss
from skphys.neural._process._module import NeuralProcess
from skphys.neural._scores import distance, energy_score, gaussian_crps, mixture_crps

RNG = np.random.default_rng(0)
K, B, F, N = 4, 3, 2, 5
MEAN, TARGET = RNG.normal(size=(K, B, F, N)), RNG.normal(size=(B, F, N))
STD = RNG.uniform(0.1, 1.5, size=MEAN.shape)
ROWS = RNG.uniform(0.5, 1.0, size=(2, N))
TOTALS, NOISE = RNG.normal(size=(B, F, 2)), np.array([0.0, 0.3]) * np.ones((B, F, 2))


def tensors(*arrays):
    return [torch.as_tensor(a, dtype=torch.float64) for a in arrays]


def test_gaussian_score_is_that_of_scoringrules():
    score = gaussian_crps(*tensors(MEAN, STD, TARGET))
    np.testing.assert_allclose(score, scoringrules.crps_normal(TARGET, MEAN, STD), rtol=1e-10)


def absolute(mean, std):
    """E|X| of a Gaussian."""
    return scipy.stats.foldnorm(np.abs(mean) / std, scale=std).mean()


def test_mixture_score_is_the_integral_of_squared_errors_of_its_distribution():
    """The fair score of K components counts K - 1 of the K pairs that each is part of."""
    mean, std, y = MEAN[:, 0, 0, 0], STD[:, 0, 0, 0], TARGET[0, 0, 0]

    def squared_error(x):
        return (scipy.stats.norm(mean, std).cdf(x).mean() - (x >= y)) ** 2

    parts = ((-12.0, y), (y, 12.0))
    plain = sum(scipy.integrate.quad(squared_error, *part, epsabs=1e-11)[0] for part in parts)
    from_target = absolute(y - mean, std).mean()
    with_itself = (2.0 * std / np.sqrt(np.pi)).mean() / K
    among = 2.0 * (from_target - plain) - with_itself
    found = mixture_crps(*tensors(MEAN, STD, TARGET))[0, 0, 0]
    assert found.item() == pytest.approx(from_target - 0.5 * among * K / (K - 1), rel=1e-7)


def test_equal_components_have_the_score_of_one():
    mean, std, target = tensors(MEAN[:1], STD[:1], TARGET)
    mixture = mixture_crps(mean.expand(K, B, F, N), std.expand(K, B, F, N), target)
    torch.testing.assert_close(mixture, gaussian_crps(mean[0], std[0], target))


def test_components_without_spread_have_the_score_of_an_ensemble():
    found = mixture_crps(*tensors(MEAN, np.zeros_like(MEAN), TARGET))
    expected = scoringrules.crps_ensemble(TARGET, MEAN, m_axis=0, estimator="fair")
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_energy_score_is_that_of_scoringrules():
    found = energy_score(*tensors(MEAN, TARGET)) * np.sqrt(N)
    expected = scoringrules.es_ensemble(TARGET, MEAN, m_axis=0, v_axis=-1, estimator="fair")
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_energy_score_of_single_points_is_that_of_an_ensemble():
    found = energy_score(*tensors(MEAN[..., None], TARGET[..., None]))
    expected = scoringrules.crps_ensemble(TARGET, MEAN, m_axis=0, estimator="fair")
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("score", [gaussian_crps, mixture_crps])
def test_gradients(score):
    mean, std = (t.requires_grad_() for t in tensors(MEAN, STD))
    (target,) = tensors(TARGET)
    assert torch.autograd.gradcheck(lambda *moments: score(*moments, target), (mean, std))
    assert torch.autograd.gradcheck(energy_score, (mean, target))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivatives_stay_exact_where_the_spread_vanishes(dtype):
    """The derivatives of E|X|: that of the mean goes to the sign, that of the spread to zero."""
    spread = torch.tensor([0.0, 1e-45, 1e-30, 1e-6, 0.0, 1e-38], dtype=dtype, requires_grad=True)
    centre = torch.tensor([2.0, -2.0, 1.0, -1.0, 0.0, 0.0], dtype=dtype, requires_grad=True)
    value = distance(centre, spread)
    by_centre, by_spread = torch.autograd.grad(value.sum(), (centre, spread))
    peak = np.sqrt(2.0 / np.pi)
    np.testing.assert_allclose(value.detach(), [2.0, 2.0, 1.0, 1.0, 0.0, 0.0], atol=1e-37)
    np.testing.assert_allclose(by_centre, [1.0, -1.0, 1.0, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(by_spread, [0.0, 0.0, 0.0, 0.0, peak, peak], rtol=1e-6)
    pair = torch.zeros(2, 1, dtype=dtype, requires_grad=True)
    mixture_crps(pair, pair, torch.ones(1, dtype=dtype)).sum().backward()
    assert torch.isfinite(pair.grad).all()


def dense(mean, std, totals, noise):
    """Moments of a conditioned field, matrix by matrix."""
    prior = np.diag(std**2)
    gain = prior @ ROWS.T @ np.linalg.inv(ROWS @ prior @ ROWS.T + np.diag(noise**2))
    return mean + gain @ (totals - ROWS @ mean), prior - gain @ ROWS @ prior


def dense_fields():
    moments = [
        [[dense(MEAN[k, b, f], STD[k, b, f], TOTALS[b, f], NOISE[b, f]) for f in range(F)]
         for b in range(B)]
        for k in range(K)
    ]  # fmt: skip
    mean = np.array([[[m for m, _ in row] for row in block] for block in moments])
    cov = np.array([[[c for _, c in row] for row in block] for block in moments])
    return mean, cov


def batch_of_fields():
    """A batch whose targets are two whole fields of each function."""
    targets = torch.as_tensor(TARGET).reshape(B, F * N, 1)
    law = tensors(TOTALS, NOISE)
    return FunctionBatch(torch.zeros(B, 0, 1), targets, torch.zeros(K, B, 1), None, *law, seed=3)


def side_by_side(*arrays):
    return [t.reshape(K, B, F * N) for t in tensors(*arrays)]


def dense_mixture(mean, std):
    pairs = [
        absolute(mean[j] - mean[k], np.hypot(std[j], std[k]))
        for j, k in itertools.permutations(range(K), 2)
    ]
    return np.mean(absolute(TARGET - mean, std).mean(0) - 0.5 * np.mean(pairs, axis=0))


def test_score_of_draws_through_the_law_equals_dense_formulas():
    """Every draw is conditioned by itself, and the mixture of what comes out is scored."""
    criterion = ProcessScore("crps", Conditioning(*tensors(ROWS)))
    unit = torch.tensor(2.0, dtype=torch.float64)
    found = criterion((*side_by_side(MEAN, STD), unit), batch_of_fields())
    mean, cov = dense_fields()
    std = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    assert found.item() == pytest.approx(dense_mixture(mean, std) / 2.0, rel=1e-6)
    plain = ProcessScore("crps")((*side_by_side(MEAN, STD), unit), batch_of_fields())
    assert plain.item() == pytest.approx(dense_mixture(MEAN, STD) / 2.0, rel=1e-6)


@pytest.mark.parametrize("metric", ["covariance", "identity"])
def test_gradients_through_the_law(metric):
    mean, std = (t.requires_grad_() for t in tensors(MEAN[:2], STD[:2]))
    target, *law = tensors(TARGET, TOTALS, NOISE)
    conditioning = Conditioning(*tensors(ROWS), metric=metric)
    law = [part.expand(2, B, F, 2) for part in law]

    def mixture(mean, std):
        return mixture_crps(*conditioning(mean, std, *law), target)

    def energy(mean, std):
        return energy_score(conditioning.field(mean, std, *law).sample(1, 0)[0], target)

    for score in (mixture, energy):
        assert torch.autograd.gradcheck(score, (mean, std))


def test_draws_through_the_law_are_of_the_conditioned_field():
    """The energy score's draws: moments of a dense formula, the exact row met by each."""
    n = 20_000
    batch = batch_of_fields()
    mean, std = (torch.as_tensor(part[:1]).reshape(1, B, -1) for part in (MEAN, STD))
    drawn = ProcessScore("energy", Conditioning(*tensors(ROWS)))._drawn(
        mean.expand(n, B, -1), std.expand(n, B, -1), batch
    )
    expected = [part[0] for part in dense_fields()]
    np.testing.assert_allclose(drawn.mean(0), expected[0], atol=0.05)
    flat = drawn[:, 0, 0].numpy()
    np.testing.assert_allclose(np.cov(flat.T), expected[1][0, 0], atol=0.05)
    totals = drawn.numpy() @ ROWS[0]
    np.testing.assert_allclose(totals, np.broadcast_to(TOTALS[..., 0], totals.shape), atol=1e-12)
    plain = ProcessScore("energy")._drawn(mean.expand(n, B, -1), std.expand(n, B, -1), batch)
    np.testing.assert_allclose(plain.mean(0), mean[0], atol=0.05)
    np.testing.assert_allclose(plain.std(0), std[0], rtol=0.05)


def test_operators_score_through_the_law_equals_a_dense_formula():
    """Fields of one component, for K members."""
    mean, std = (t.reshape(K, B * F, 1, N) for t in tensors(MEAN, STD))
    target = torch.as_tensor(TARGET).reshape(B * F, 1, N).expand(K, -1, -1, -1)
    law = [t.reshape(B * F, 2).expand(K, -1, -1) for t in tensors(TOTALS, NOISE)]
    criterion = ConstrainedLoss("crps", (1.0,), (2.0,), Conditioning(*tensors(ROWS)))
    moved, cov = dense_fields()
    left = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    expected = scoringrules.crps_normal(TARGET, moved, left).mean((1, 2, 3)) / 2.0
    np.testing.assert_allclose(criterion((mean, std), target, None, *law), expected, rtol=1e-5)
    plain = FieldLoss("crps", (1.0,), (2.0,))((mean, std), target)
    expected = scoringrules.crps_normal(TARGET, MEAN, STD).mean((1, 2, 3)) / 2.0
    np.testing.assert_allclose(plain, expected, rtol=1e-5)


def test_points_that_the_rows_determine_teach_nothing():
    """A point that a row pins has no spread; its score is rounding, and so is its gradient."""
    mean, std = (t.requires_grad_() for t in tensors(MEAN[:2, 0], STD[:2, 0]))
    row, values = torch.eye(N, dtype=torch.float64)[:1], torch.as_tensor(TARGET[0, :, :1])
    law = values.expand(2, F, 1), torch.zeros(2, F, 1)
    score = mixture_crps(*Conditioning(row)(mean, std, *law), torch.as_tensor(TARGET[0]))
    assert (score[:, 0].abs() < 1e-12).all()
    gradients = torch.autograd.grad(score.sum(), (mean, std))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert (gradients[0][..., 0].abs() < 1e-12).all()


GRID = Grid(x=np.linspace(0.0, 1.0, 16))
LAW = ConservationLaw(over="x", total=Column(0))


def known_at_points(n=30, seed=0):
    """Columns of the mass and of five contexts (x, u); waves on the grid."""
    rng = np.random.default_rng(seed)
    phase, places = rng.uniform(0.0, 6.0, (n, 1)), rng.uniform(0.0, 1.0, (n, 5))
    y = np.sin(3.0 * GRID["x"] + phase)
    known = np.stack([places, np.sin(3.0 * places + phase)], axis=2).reshape(n, 10)
    return np.column_stack([y @ GRID.weights(), known]), y


X, Y = known_at_points()


def process(**params):
    given = {"grid": GRID, "n_query": 0, "n_draws": 20, "batch_size": 10, "random_state": 0}
    return AttentiveNeuralProcessRegressor(8, **{**given, **params})


def constrained(backbone, **params):
    return ConservationConstrainedRegressor(
        backbone,
        LAW,
        GRID,
        error_model=ErrorModel(members="each"),
        constrain_training=True,
        drop_value_columns=True,
        **params,
    )


def test_scored_draws_are_those_of_predictions():
    model = process(loss="crps", max_epochs=1, n_draws=K).fit(X[:, 1:], Y)
    means, stds = model.predict_members(X[:, 1:])
    table = torch.as_tensor(X[:, 1:].reshape(-1, 5, 2), dtype=torch.float32)
    places = np.broadcast_to(GRID["x"], Y.shape)
    targets = torch.as_tensor(np.stack([places, Y], axis=2), dtype=torch.float32)
    noise = np.random.default_rng(model._draw_seed).standard_normal((K, 8), dtype=np.float32)
    drawn = torch.as_tensor(noise)[:, None].expand(K, len(X), 8)
    with torch.no_grad():
        mean, std, unit = model.net_.module_.of_contexts(table, targets, drawn)
    np.testing.assert_allclose(mean, means, atol=1e-5)
    np.testing.assert_allclose(std, stds, atol=1e-5)
    assert unit.item() == pytest.approx(Y.std())


def test_the_loss_is_on_average_the_score_of_the_conditioned_mixture():
    """Epochs that change nothing. Before the law the score is a fifth higher."""
    params = {"loss": "crps", "lr": 1e-12, "dropout": 0.0, "max_epochs": 20, "n_draws": 100}
    model = constrained(process(**params)).fit(X, Y).estimator_
    members = tensors(*model.predict_members(X[:, 1:]))
    law = torch.as_tensor(X[:, :1]).expand(100, -1, -1)
    rows = torch.as_tensor(GRID.weights()[None])
    loss = model.history_["train_loss"].mean() * Y.std()
    before, after = (
        mixture_crps(*moments, torch.as_tensor(Y)).mean().item()
        for moments in (members, Conditioning(rows)(*members, law, torch.zeros_like(law)))
    )
    assert before > 1.15 * after
    assert loss == pytest.approx(after, rel=0.05)


@pytest.mark.parametrize("loss", ["crps", "energy"])
@pytest.mark.parametrize("through", [False, True])
def test_training_lowers_the_score(loss, through):
    scores = []
    for epochs, lr in ((1, 1e-12), (40, None)):
        model = process(loss=loss, max_epochs=epochs, lr=lr)
        model = constrained(model).fit(X, Y) if through else model.fit(X[:, 1:], Y)
        mean, std = model.predict(X if through else X[:, 1:], return_std=True)
        scores.append(crps(Y, mean, std))
    assert scores[1] < 0.6 * scores[0]
    if through:
        np.testing.assert_allclose(mean @ GRID.weights(), X[:, 0], rtol=0, atol=1e-12)


def test_operators_learn_by_the_score():
    """In float32, to a fit where standard deviations are small, alone and through a mean."""
    inputs, y = waves(24)
    row = np.ones((1, 16)) / 16
    law = ConstraintBatch(row, y @ row.T, np.zeros(1))
    for constraint in (None, law):
        params = {"heteroscedastic": True, "loss": "crps", "n_members": 2}
        model = tiny(**params, max_epochs=60).fit(inputs, y, constraint=constraint)
        first, last = model.history_["train_loss"][[0, -1]]
        assert (last < 0.5 * first).all()


@pytest.mark.parametrize("loss", ["crps", "energy"])
def test_regressor_with_it_is_like_any_other(loss, tmp_path):
    params = {"max_epochs": 2, "early_stopping": True, "loss": loss}
    params |= {"equation": AdvectionEquation(1.0)} if loss == "energy" else {}
    contexts = X[:, 1:]
    if loss == "energy":  # needs a time: the query is one, and constant
        contexts = np.column_stack([with_time(contexts), np.zeros(len(X))])
        params["n_query"] = 1
    model = process(**params).fit(contexts, Y)
    assert np.isfinite(model.history_["valid_loss"]).all()
    for same in (pickle.loads(pickle.dumps(model)), clone(model).fit(contexts, Y)):
        assert same.loss == loss
        np.testing.assert_allclose(same.predict(contexts), model.predict(contexts), rtol=1e-5)
    half = clone(model).set_params(checkpoint=tmp_path, scheduler="constant", max_epochs=1)
    half.fit(contexts, Y)
    whole = half.set_params(max_epochs=2).fit(contexts, Y)
    anew = clone(half).set_params(checkpoint=None).fit(contexts, Y)
    np.testing.assert_array_equal(whole.predict(contexts), anew.predict(contexts))


def with_time(contexts):
    pairs = contexts.reshape(len(contexts), 5, 2)
    return np.insert(pairs, 0, 0.0, axis=2).reshape(len(contexts), 15)


def test_can_be_searched():
    search = GridSearchCV(process(max_epochs=1), {"loss": ["nll", "crps", "energy"]}, cv=2)
    scores = search.fit(X[:, 1:], Y).cv_results_["mean_test_score"]
    assert np.isfinite(scores).all() and len(set(scores)) == 3


def test_penalty_is_that_of_the_first_draw():
    torch.manual_seed(0)
    net = NeuralProcess(2, 8, 2, 1, 0.0, 1e-3).double()
    normal = torch.Generator().manual_seed(0)
    shapes = (3, 4, 3), (3, 6, 3), (K, 3, 8)
    drawn = [torch.randn(s, generator=normal, dtype=torch.float64) for s in shapes]
    batch, equation = FunctionBatch(*drawn), AdvectionEquation(1.0)
    loss = penalised_loss(net, ProcessScore("crps"), equation, 3.0, batch)
    plain, h = process_loss(net, ProcessScore("crps"), batch), 1e-5
    derivatives = []
    for axis in range(2):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        ends = (net.of_contexts(*drawn, drawn[1][..., :2] + s)[0][0] for s in (step, -step))
        derivatives.append(torch.sub(*ends) / (2 * h))
    expected = sum(derivatives).square().mean().item()
    assert (loss - plain).item() / 3.0 == pytest.approx(expected, rel=1e-4)


def test_errors():
    with pytest.raises(ValueError, match=r"'loss' parameter .* must be a str among .*'crps'"):
        process(loss="CRPS").fit(X[:, 1:], Y)
    inputs, y = waves(4)
    with pytest.raises(ValueError, match="loss='crps' needs a standard deviation"):
        tiny(loss="crps").fit(inputs, y)
    with pytest.raises(ValueError, match=r"'loss' parameter .* must be a str among"):
        tiny(loss="energy", heteroscedastic=True).fit(inputs, y)


@pytest.mark.gpu
@pytest.mark.parametrize("loss", ["crps", "energy"])
def test_on_an_accelerator(loss):
    """The draws of the energy score are the device's own, so that it is near, not equal."""
    params = {"loss": loss, "lr": 1e-12, "dropout": 0.0, "max_epochs": 20}
    losses = [
        process(**params, device=device).fit(X[:, 1:], Y).history_["train_loss"].mean()
        for device in ("cpu", "cuda")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3 if loss == "crps" else 0.05)

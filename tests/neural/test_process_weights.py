"""Weights from elsewhere: predictions against the architecture written from its formulas."""

import numpy as np
import pytest
import torch
from process_cases import GRID, TIMES, Reference, random_state, tiny, waves

from skphys.neural import AttentiveNeuralProcessRegressor
from skphys.neural._fitting import draw_seeds


def imported(state, **params):
    model = AttentiveNeuralProcessRegressor(
        8, grid=GRID, n_heads=2, n_draws=6, random_state=3, **params
    )
    return model.load_state_dict(state, n_context=4)


def latent_noise(model):
    seed = draw_seeds(model, 3)[-1]
    return np.random.default_rng(seed).standard_normal((model.n_draws, 8), dtype=np.float32)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_imported_weights_predict_what_the_architecture_does(n_layers):
    state = random_state(n_layers=n_layers)
    model, reference = imported(state, n_layers=n_layers), Reference(state, 2, n_layers)
    X, _ = waves(n_functions=2)
    means, stds = model.predict_members(X)
    noise = latent_noise(model)
    for row, x in enumerate(X):
        points = x[:-1].reshape(4, 3)
        mean, std = reference.latent(points)
        targets = np.column_stack([np.full(7, x[-1]), GRID["x"]])
        for k in range(model.n_draws):
            wanted = reference.decode(points, targets, mean + std * noise[k])
            np.testing.assert_allclose(means[k, row], wanted[0], rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(stds[k, row], wanted[1], rtol=2e-5, atol=2e-5)


def test_divergence_and_latent_are_those_of_the_formulas():
    state = random_state(seed=1)
    module, reference = imported(state).net_.module_, Reference(state, 2, 2)
    rng = np.random.default_rng(0)
    context, targets = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 9, 3))
    noise = rng.normal(size=(2, 8))
    with torch.no_grad():
        mean, std, divergence = module(
            *(torch.as_tensor(a, dtype=torch.float32) for a in (context, targets, noise))
        )
    for b in range(2):
        prior, posterior = reference.latent(context[b]), reference.latent(targets[b])
        p, q = (torch.distributions.Normal(*map(torch.as_tensor, g)) for g in (prior, posterior))
        wanted = torch.distributions.kl_divergence(q, p).sum()
        np.testing.assert_allclose(divergence[b], wanted, rtol=1e-4)
        latent = posterior[0] + posterior[1] * noise[b]
        decoded = reference.decode(context[b], targets[b, :, :-1], latent)
        np.testing.assert_allclose(mean[b], decoded[0], rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(std[b], decoded[1], rtol=2e-5, atol=2e-5)


def test_prefix_selects_and_other_names_are_left_out():
    state = random_state()
    named = {f"anp.{name}": value for name, value in state.items()} | {"other": torch.zeros(1)}
    X, _ = waves(n_functions=1)
    model = AttentiveNeuralProcessRegressor(8, grid=GRID, n_heads=2, n_draws=6, random_state=3)
    model.load_state_dict(named, n_context=4, prefix="anp.")
    np.testing.assert_array_equal(model.predict(X), imported(state).predict(X))
    assert model.n_features_in_ == 13 and model.n_context_ == 4


def test_own_names_bring_the_units_along():
    X, y = waves()
    model = tiny().fit(X, 100.0 + y)
    state = model.net_.module_.state_dict()
    again = tiny(random_state=0).load_state_dict(state, n_context=4)
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-6)
    assert np.all(np.abs(again.predict(X) - 100.0) < 50.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("latent_encoder.mu.linear_layer.bias"), "1 are missing.*mu.linear_layer"),
        (lambda s: s.update(extra=torch.zeros(1)), r"1 are unknown, such as \['extra'\]"),
        (
            lambda s: s.update({"decoder.final_projection.linear_layer.bias": torch.zeros(4)}),
            r"final_projection.linear_layer.bias' of shape \(4,\), this estimator has \(2,\)",
        ),
    ],
)
def test_state_that_does_not_fit_is_an_error_that_names_the_tensor(change, match):
    state = random_state()
    change(state)
    with pytest.raises(ValueError, match=match):
        imported(state)


def test_import_needs_a_grid_and_a_number_of_queries():
    with pytest.raises(ValueError, match="needs grid"):
        tiny(grid=None).load_state_dict(random_state(), n_context=4)
    with pytest.raises(ValueError, match="n_query as a number"):
        tiny(n_query="all").load_state_dict(random_state(), n_context=4)


def test_dropout_in_prediction_spreads_the_draws_as_dropped_nets_do():
    state = random_state()
    state["latent_encoder.log_sigma.linear_layer.bias"] -= 6.0  # leaves dropout to be seen
    X, _ = waves(n_functions=1)
    model = imported(state, dropout=0.3).set_params(n_draws=300)
    plain, _ = model.predict_members(X[:1])
    dropped, _ = model.set_params(predict_dropout=True).predict_members(X[:1])
    np.testing.assert_array_equal(dropped, model.predict_members(X[:1])[0])
    module = model.net_.module_.train()
    torch.manual_seed(0)
    context = torch.as_tensor(X[:1, :-1].reshape(1, 4, 3), dtype=torch.float32)
    targets = np.column_stack([np.full(7, TIMES[0]), GRID["x"]])
    targets = torch.as_tensor(targets, dtype=torch.float32)[None]
    passes = []
    with torch.no_grad():
        for _ in range(300):
            mean, log_variance = module.latent_encoder(context)
            latent = mean + torch.exp(log_variance / 2) * torch.randn(1, 8)
            passes.append(module.decode(context, targets, latent)[0][0].numpy())
    module.eval()
    error = dropped[:, 0].mean(0) - np.mean(passes, 0)
    scale = np.std(passes, 0)
    assert np.all(np.abs(error) < 4 * scale * np.sqrt(2 / 300))
    np.testing.assert_allclose(dropped[:, 0].std(0), scale, rtol=0.25)
    assert np.all(plain[:, 0].std(0) < 0.5 * scale)

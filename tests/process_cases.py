"""Waves known at a few points, and an attentive neural process written from its formulas."""

import math

import numpy as np
import torch

from skphys.grids import Grid
from skphys.neural import AttentiveNeuralProcessRegressor

TINY = {"n_heads": 2, "n_layers": 1, "n_draws": 5, "n_targets": 12, "max_epochs": 2}
GRID = Grid(x=np.linspace(0.0, 3.0, 7))
TIMES = np.array([0.1, 0.4, 0.8])


def waves(n_functions=6, n_context=4, seed=0):
    """Rows [contexts (t, x, u) | t] of sin(x - t + phase), three times a function; the fields."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, n_functions)
    t, x = rng.uniform(0, 1, (n_functions, n_context)), rng.uniform(0, 3, (n_functions, n_context))
    contexts = np.stack([t, x, np.sin(x - t + phase[:, None])], axis=2).reshape(n_functions, -1)
    X = np.column_stack([np.repeat(contexts, len(TIMES), 0), np.tile(TIMES, n_functions)])
    y = np.sin(GRID["x"] - X[:, -1:] + np.repeat(phase, len(TIMES))[:, None])
    return X, y


def tiny(**params):
    return AttentiveNeuralProcessRegressor(8, **{"grid": GRID, "random_state": 0, **TINY, **params})


def random_state(hidden=8, n_coordinates=2, n_layers=2, seed=0):
    """Random weights under the usual names of the released architecture."""
    state = {}
    generator = torch.Generator().manual_seed(seed)

    def add(name, n_in, n_out, bias=True):
        path = f"{name}.linear_layer."
        weight = torch.randn(n_out, n_in, generator=generator) / math.sqrt(n_in)
        state[path + "weight"] = weight
        if bias:
            state[path + "bias"] = 0.3 * torch.randn(n_out, generator=generator)

    def add_attention(name):
        for part in ("key", "value", "query"):
            add(f"{name}.encoder_{part}", hidden, hidden, bias=False)
        add(f"{name}.final_linear", 2 * hidden, hidden)
        for part in ("weight", "bias"):
            state[f"{name}.layer_norm.{part}"] = torch.randn(hidden, generator=generator)

    encoders = {"latent_encoder": ["self"], "deterministic_encoder": ["self", "cross"]}
    for encoder, kinds in encoders.items():
        add(f"{encoder}.input_projection", n_coordinates + 1, hidden)
        for kind in kinds:
            for layer in range(n_layers):
                add_attention(f"{encoder}.{kind}_attentions.{layer}")
    for name in ("penultimate_layer", "mu", "log_sigma"):
        add(f"latent_encoder.{name}", hidden, hidden)
    for name in ("context_projection", "target_projection"):
        add(f"deterministic_encoder.{name}", n_coordinates, hidden)
    add("decoder.target_projection", n_coordinates, hidden)
    for layer in range(3):
        add(f"decoder.linears.{layer}", 3 * hidden, 3 * hidden)
    add("decoder.final_projection", 3 * hidden, 2)
    return state


class Reference:
    """The released architecture for one function, in NumPy, head by head and point by point."""

    def __init__(self, state, n_heads, n_layers):
        self.state = {name: value.double().numpy() for name, value in state.items()}
        self.n_heads, self.n_layers = n_heads, n_layers

    def linear(self, name, x):
        path = f"{name}.linear_layer."
        return x @ self.state[path + "weight"].T + self.state.get(path + "bias", 0.0)

    def attention(self, name, query, key, value):
        q = self.linear(f"{name}.encoder_query", query)
        k = self.linear(f"{name}.encoder_key", key)
        v = self.linear(f"{name}.encoder_value", value)
        width = q.shape[1] // self.n_heads
        heads = []
        for head in range(self.n_heads):
            part = slice(head * width, (head + 1) * width)
            weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(width))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, part])
        update = self.linear(f"{name}.final_linear", np.hstack([query, *heads])) + query
        centred = update - update.mean(1, keepdims=True)
        scaled = centred / np.sqrt(update.var(1, keepdims=True) + 1e-5)
        norm = f"{name}.layer_norm."
        return scaled * self.state[norm + "weight"] + self.state[norm + "bias"]

    def latent(self, points):
        """Mean and standard deviation of the latent vector, for points (C, d + 1)."""
        hidden = self.linear("latent_encoder.input_projection", points)
        for layer in range(self.n_layers):
            name = f"latent_encoder.self_attentions.{layer}"
            hidden = self.attention(name, hidden, hidden, hidden)
        mean = hidden.mean(0, keepdims=True)
        hidden = np.maximum(self.linear("latent_encoder.penultimate_layer", mean), 0.0)
        log_variance = self.linear("latent_encoder.log_sigma", hidden)
        return self.linear("latent_encoder.mu", hidden)[0], np.exp(log_variance / 2)[0]

    def represent(self, points, targets):
        name = "deterministic_encoder"
        value = self.linear(f"{name}.input_projection", points)
        for layer in range(self.n_layers):
            value = self.attention(f"{name}.self_attentions.{layer}", value, value, value)
        key = self.linear(f"{name}.context_projection", points[:, :-1])
        query = self.linear(f"{name}.target_projection", targets)
        for layer in range(self.n_layers):
            query = self.attention(f"{name}.cross_attentions.{layer}", query, key, value)
        return query

    def decode(self, points, targets, latent, min_std=1e-3):
        """Means and standard deviations (T,) at targets (T, d)."""
        repeated = np.tile(latent, (len(targets), 1))
        projected = self.linear("decoder.target_projection", targets)
        hidden = np.hstack([self.represent(points, targets), repeated, projected])
        for layer in range(3):
            hidden = np.maximum(self.linear(f"decoder.linears.{layer}", hidden), 0.0)
        mean, raw = self.linear("decoder.final_projection", hidden).T
        return mean, np.log1p(np.exp(raw)) + min_std

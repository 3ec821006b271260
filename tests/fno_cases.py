"""Small nets and fields that several test modules share."""

import numpy as np

from skphys import FNORegressor

TINY = {"n_modes": 3, "hidden_channels": 6, "n_layers": 2, "max_epochs": 4, "random_state": 0}


def tiny(**params):
    return FNORegressor(**{**TINY, **params})


def waves(n_samples=24, n_points=16, seed=0):
    """Random sines on nodes in [0, 1], and their derivatives over pi."""
    k = np.arange(1, 4)[:, None]
    weights = np.random.default_rng(seed).normal(size=(n_samples, 3))
    angle = np.pi * k * np.linspace(0.0, 1.0, n_points)
    return weights @ np.sin(angle), weights @ (k * np.cos(angle))


def weights_of(model):
    """All trained numbers in one array of shape (n_members, n_parameters_)."""
    parts = [p.detach().cpu().flatten(1) for p in model.net_.module_.parameters()]
    return np.concatenate([part.numpy() for part in parts], axis=1)

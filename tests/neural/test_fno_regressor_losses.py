"""The losses against formulas in NumPy, and the schedules against closed forms."""

import numpy as np
import pytest
import scipy.stats
import torch
from fno_cases import tiny, waves

from skphys.neural._losses import FieldLoss, loss_units

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(7, 2, 4, 5)) * np.array([1.0, 30.0])[:, None, None]
U = Y + RNG.normal(size=(3, 7, 2, 4, 5))
S = RNG.uniform(0.5, 2.0, size=U.shape)


def tensor(array):
    return torch.as_tensor(array, dtype=torch.float32)


def loss(kind, with_std=False, targets=Y):
    criterion = FieldLoss(kind, **loss_units(tensor(targets)))
    output = (tensor(U), tensor(S)) if with_std else tensor(U)
    return criterion(output, tensor(targets).expand(3, *targets.shape)).numpy()


def relative(u, y):
    return np.linalg.norm((u - y).reshape(*u.shape[:-2], -1), axis=-1) / np.linalg.norm(
        y.reshape(*y.shape[:-2], -1), axis=-1
    )


def test_relative_l2():
    np.testing.assert_allclose(loss("relative_l2"), relative(U, Y).mean((1, 2)), rtol=1e-5)


def test_mse_in_units_of_each_component():
    scale = Y.std((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(loss("mse"), (((U - Y) / scale) ** 2).mean((1, 2, 3, 4)), rtol=1e-5)


def test_likelihood_is_gaussian():
    scale = Y.std((0, 2, 3))[:, None, None]
    expected = -scipy.stats.norm(U / scale, S / scale).logpdf(Y / scale).mean((1, 2, 3, 4))
    np.testing.assert_allclose(loss("nll", with_std=True), expected, rtol=1e-5)
    both = loss("relative_l2", with_std=True)
    np.testing.assert_allclose(both, relative(U, Y).mean((1, 2)) + expected, rtol=1e-5)


def test_likelihood_beside_another_loss_leaves_the_mean_alone():
    mean, std = tensor(U).requires_grad_(), tensor(S).requires_grad_()
    target = tensor(Y).expand(3, *Y.shape)
    gradients = []
    for output in ((mean, std), mean):
        criterion = FieldLoss("mse", **loss_units(tensor(Y)))
        gradients.append(torch.autograd.grad(criterion(output, target).sum(), mean)[0])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_a_zero_field_does_not_outweigh_the_others():
    targets = Y.copy()
    targets[0] = 0.0
    norms = np.linalg.norm(targets.reshape(7, 2, -1), axis=-1)
    floor = 0.01 * norms.mean(0)
    errors = np.linalg.norm((U - targets).reshape(3, 7, 2, -1), axis=-1)
    expected = (errors / np.maximum(norms, floor)).mean((1, 2))
    np.testing.assert_allclose(loss("relative_l2", targets=targets), expected, rtol=1e-5)
    assert np.isfinite(loss("relative_l2", targets=np.zeros_like(Y))).all()


def test_gradient_at_a_perfect_fit_is_finite():
    criterion = FieldLoss("relative_l2", **loss_units(tensor(Y)))
    u = tensor(Y)[None].requires_grad_()
    criterion(u, tensor(Y)[None]).sum().backward()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("shape", [(3, 7, 2, 20), (3, 7, 1, 4, 5), (1, 7, 2, 4, 5)])
def test_nothing_broadcasts(shape):
    criterion = FieldLoss("mse", (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="returned fields of shape"):
        criterion(tensor(U), torch.zeros(shape))


def rates(**params):
    X, y = waves(20)
    return tiny(batch_size=5, **params).fit(X, y).history_["lr"]


def test_constant_and_step(monkeypatch):
    np.testing.assert_allclose(rates(scheduler="constant", lr=0.003), 0.003)
    monkeypatch.setattr("skphys.neural._recipes.HALVED_EVERY", 2)
    expected = 1e-3 * 0.5 ** (np.arange(6) // 2)
    np.testing.assert_allclose(rates(recipe="boon", max_epochs=6), expected)


def test_cosine():
    expected = 0.5 * 0.01 * (1 + np.cos(np.pi * np.arange(6) / 6))
    np.testing.assert_allclose(rates(scheduler="cosine", lr=0.01, max_epochs=6), expected)


def test_one_cycle():
    """Up to the largest rate over three tenths of the steps, then down, along half cosines."""
    n_steps = 40
    step = np.arange(0, n_steps, 4)
    peak, top = 0.3 * n_steps - 1, 8e-3
    up = np.cos(np.pi * np.clip(step / peak, 0, 1))
    down = np.cos(np.pi * np.clip((step - peak) / (n_steps - 1 - peak), 0, 1))
    rising = top / 25 + (top - top / 25) * (1 - up) / 2
    falling = top * 4e-6 + (top - top * 4e-6) * (1 + down) / 2
    expected = np.where(step < peak, rising, falling)
    np.testing.assert_allclose(rates(max_epochs=10), expected, rtol=1e-6)


def test_recipes_are_told_to_adam():
    X, y = waves(8)
    boon = tiny(recipe="boon").fit(X, y).net_.optimizer_.param_groups[0]
    tuned = tiny().fit(X, y).net_.optimizer_.param_groups[0]
    given = tiny(weight_decay=0.5).fit(X, y).net_.optimizer_.param_groups[0]
    assert (boon["weight_decay"], tuned["weight_decay"], given["weight_decay"]) == (1e-4, 0.0, 0.5)

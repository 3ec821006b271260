"""Losses of the conditioned field against dense formulas, and their gradients."""

import pickle

import numpy as np
import pytest
import scipy.stats
import torch
from fno_cases import tiny, waves, weights_of
from scipy import sparse

from skphys.neural import ConstraintBatch
from skphys.neural._constrained_loss import Conditioning, ConstrainedLoss, pointwise_nll

B, N, M = 3, 6, 2
RNG = np.random.default_rng(0)
MEAN, TARGET = RNG.normal(size=(2, B, N))
STD = RNG.uniform(0.3, 1.5, size=(B, N))
ROWS = RNG.normal(size=(M, N))
VALUES = RNG.normal(size=(B, M))
NOISES = {"exact": np.zeros((B, M)), "noisy": RNG.uniform(0.1, 0.5, (B, M))}
NOISE_ROWS = RNG.normal(size=(2, M, N)) * [[0.0], [1.0]]  # none on the first row
CORRELATION = np.exp(-np.abs(np.subtract.outer(np.arange(N), np.arange(N))) / 2.0)


def tensors(*arrays):
    return [torch.as_tensor(a, dtype=torch.float64) for a in arrays]


def dense_moments(mean, std, rows, values, noise):
    """The textbook update, matrix by matrix."""
    prior = np.diag(std**2)
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + np.diag(noise**2))
    cov = prior - gain @ rows @ prior
    return mean + gain @ (values - rows @ mean), np.sqrt(np.clip(np.diag(cov), 0, None))


def dense_batch(mean, std, rows, values, noise):
    """The same for (B, N) fields; returns means and standard deviations."""
    moments = [dense_moments(mean[b], std[b], rows, values[b], noise[b]) for b in range(len(mean))]
    return tuple(np.array(part) for part in zip(*moments, strict=True))


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_moments_and_likelihood_equal_dense_formulas(noise):
    conditioning = Conditioning(*tensors(ROWS))
    mean, std = conditioning(*tensors(MEAN, STD, VALUES, noise))
    expected = dense_batch(MEAN, STD, ROWS, VALUES, noise)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(std, expected[1], rtol=1e-10, atol=1e-12)
    nll = pointwise_nll(mean, std, *tensors(TARGET))
    logpdf = scipy.stats.norm(*expected).logpdf(TARGET)
    np.testing.assert_allclose(nll, -logpdf, rtol=1e-9)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_metric_and_noise_of_standard_deviations_equal_dense_formulas(noise):
    conditioning = Conditioning(*tensors(ROWS), torch.stack(tensors(*NOISE_ROWS)), "identity")
    mean, std = conditioning(*tensors(MEAN, STD, VALUES, noise))
    for b in range(B):
        spread = noise[b] ** 2 + sum((part @ STD[b]) ** 2 for part in NOISE_ROWS)
        metric = np.eye(N) * np.mean(STD[b] ** 2)
        gain = metric @ ROWS.T @ np.linalg.inv(ROWS @ metric @ ROWS.T + np.diag(spread))
        left = np.eye(N) - gain @ ROWS
        cov = left @ np.diag(STD[b] ** 2) @ left.T + gain @ np.diag(spread) @ gain.T
        np.testing.assert_allclose(mean[b], MEAN[b] + gain @ (VALUES[b] - ROWS @ MEAN[b]))
        np.testing.assert_allclose(std[b], np.sqrt(np.diag(cov)))


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("noise_rows", [None, NOISE_ROWS], ids=["given", "stds"])
@pytest.mark.parametrize("metric", ["covariance", "identity"])
@pytest.mark.parametrize("correlation", [None, CORRELATION], ids=["independent", "correlated"])
def test_gradients(correlation, metric, noise_rows, noise):
    rows, target, totals, noise = tensors(ROWS, TARGET, VALUES, noise)
    parts = None if noise_rows is None else torch.stack(tensors(*noise_rows))
    correlated = None if correlation is None else torch.as_tensor(correlation)
    conditioning = Conditioning(rows, parts, metric, correlated)
    mean, std = (t.requires_grad_() for t in tensors(MEAN, STD))

    def loss(mean, std):
        return pointwise_nll(*conditioning(mean, std, totals, noise), target)

    assert torch.autograd.gradcheck(loss, (mean, std))


def test_points_that_the_rows_determine_do_not_count():
    """Two points pinned, one by a row and one by the difference of two rows."""
    rows = np.zeros((3, N))
    rows[0, 0] = 2.0
    rows[1] = 1.0
    rows[2, :-1] = 1.0  # so the last point is row 1 minus row 2
    values = np.array([[1.0, 3.0, 2.5]] * B)
    noise = np.zeros((B, 3))
    mean, std = (t.requires_grad_() for t in tensors(MEAN, STD))
    moments = Conditioning(*tensors(rows))(mean, std, *tensors(values, noise))
    np.testing.assert_allclose(moments[0][:, [0, -1]].detach(), [[0.5, 0.5]] * B, atol=1e-12)
    assert (moments[1][:, [0, -1]] == 0).all() and (moments[1][:, 1:-1] > 0.01).all()
    nll = pointwise_nll(*moments, *tensors(TARGET))
    inner_mean, inner_std = (m[:, 1:-1].detach().numpy() for m in moments)
    logpdf = scipy.stats.norm(inner_mean, inner_std).logpdf(TARGET[:, 1:-1])
    assert (nll[:, [0, -1]] == 0).all()
    np.testing.assert_allclose(nll[:, 1:-1].detach(), -logpdf, rtol=1e-8)
    gradients = torch.autograd.grad(nll.sum(), (mean, std))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert (gradients[0][:, [0, -1]].abs() < 1e-9).all()  # nothing is learned there


def test_fields_without_freedom_have_no_likelihood():
    mean, std = (t.requires_grad_() for t in tensors(np.zeros((1, 2)), np.ones((1, 2))))
    moments = Conditioning(*tensors(np.eye(2)))(
        mean, std, *tensors(np.ones((1, 2)), np.zeros((1, 2)))
    )
    nll = pointwise_nll(*moments, *tensors(np.ones((1, 2))))
    assert (nll == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(nll.sum(), (mean, std)))


def test_loss_is_that_of_the_conditioned_members():
    """Two members, two components of (2, 3) points, and rows over both."""
    rows, scales = RNG.normal(size=(M, 12)), (0.5, 2.0)
    mean, std = RNG.normal(size=(2, B, 12)), RNG.uniform(0.5, 1.0, (2, B, 12))
    y = RNG.normal(size=(B, 12))
    shape = (2, B, 2, 2, 3)
    output = [t.reshape(shape) for t in tensors(mean, std)]
    target = torch.as_tensor(y, dtype=torch.float32).reshape(shape[1:]).expand(shape)
    law = [t.expand(2, B, M) for t in tensors(VALUES, NOISES["noisy"])]
    expected = {"nll": [], "mse": []}
    unit = np.repeat(scales, 6)
    for m, s in zip(mean, std, strict=True):
        moved, left = dense_batch(m, s, rows, VALUES, NOISES["noisy"])
        likelihood = -scipy.stats.norm(moved / unit, left / unit).logpdf(y / unit).mean()
        expected["nll"].append(likelihood)
        expected["mse"].append((((moved - y) / unit) ** 2).mean() + likelihood)
    for kind, values in expected.items():
        criterion = ConstrainedLoss(kind, (1.0, 1.0), scales, Conditioning(*tensors(rows)))
        np.testing.assert_allclose(criterion(output, target, None, *law), values, rtol=1e-5)


def test_regressor_trains_on_the_conditioned_field():
    """One epoch of one batch: its loss is the plain formula at the starting weights."""
    X, y = waves(8)
    row = np.ones((1, 16)) / 16
    batch = ConstraintBatch(sparse.csr_array(row), y @ row.T, np.zeros(1))
    params = {"heteroscedastic": True, "loss": "nll", "batch_size": 8, "max_epochs": 1}
    model = tiny(**params, lr=1e-12).fit(X, y, constraint=batch)
    mean, std = model.predict(X, return_std=True)
    moved, left = dense_batch(mean, std, row, y @ row.T, np.zeros((8, 1)))
    unit = y.std()
    expected = -scipy.stats.norm(moved / unit, left / unit).logpdf(y / unit).mean()
    assert model.history_["train_loss"][0, 0] == pytest.approx(expected, rel=1e-4)
    assert np.abs(mean @ row.T - y @ row.T).max() > 1e-3  # predictions are those before


@pytest.mark.parametrize("loss", ["nll", "relative_l2"])
def test_training_lowers_the_loss_of_the_conditioned_field(loss):
    X, y = waves(24)
    row = np.ones((1, 16)) / 16
    batch = ConstraintBatch(row, y @ row.T, np.zeros((24, 1)))
    params = {"heteroscedastic": True, "loss": loss, "n_members": 2, "early_stopping": True}
    model = tiny(**params, max_epochs=30).fit(X, y, constraint=batch)
    for name in ("train_loss", "valid_loss"):
        first, last = model.history_[name][[0, -1]]
        assert (last < first - 0.3).all()
    plain = tiny(**params, max_epochs=30).fit(X, y)
    assert np.abs(weights_of(model) - weights_of(plain)).max() > 1e-3
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-6)


def test_checkpoints_know_the_constraint(tmp_path):
    X, y = waves(6)
    row = np.ones((1, 16)) / 16
    params = {"heteroscedastic": True, "checkpoint": tmp_path, "max_epochs": 1}
    for values in (None, 0.0, 1.0, 1.0):
        batch = None
        if values is not None:
            batch = ConstraintBatch(row, np.full((6, 1), values), np.zeros(1))
        tiny(**params).fit(X, y, constraint=batch)
    assert len(list(tmp_path.iterdir())) == 3


ROW = np.ones((1, 16))


@pytest.mark.parametrize(
    ("params", "batch", "message"),
    [
        ({}, (ROW, np.zeros((4, 1)), np.zeros(1)), "heteroscedastic=True"),
        (
            None,
            (ROW[:, 1:], np.zeros((4, 1)), np.zeros(1)),
            "constraint.rows and noise_rows must have",
        ),
        (None, (ROW, np.zeros((3, 1)), np.zeros(1)), "constraint.values must have shape"),
        (None, (ROW, np.zeros((4, 1)), np.zeros(2)), "constraint.noise that or"),
        (None, (ROW, np.full((4, 1), np.nan), np.zeros(1)), "finite"),
        (None, (ROW, np.zeros((4, 1)), -np.ones(1)), "not negative"),
        (None, (ROW, np.zeros((4, 1)), np.zeros(1), (np.ones((2, 16)),)), "and noise_rows must"),
    ],
)
def test_errors(params, batch, message):
    X, y = waves(4)
    params = {"heteroscedastic": True} if params is None else params
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(X, y, constraint=ConstraintBatch(*batch))


def test_batches_of_some_samples():
    shared = ConstraintBatch(ROW, np.arange(4.0)[:, None], np.ones(1))
    own = ConstraintBatch(ROW, np.arange(4.0)[:, None], np.arange(4.0)[:, None])
    for batch, noise in ((shared, [1.0]), (own, [[3.0], [1.0]])):
        part = batch.take([3, 1])
        assert len(part) == 2
        np.testing.assert_array_equal(part.values, [[3.0], [1.0]])
        np.testing.assert_array_equal(part.noise, noise)

"""The evidence of rows: against SciPy's densities, free of units, and silent about rounding."""

import numpy as np
import pytest
from conditioning_cases import STRUCTURES, make_covariance
from scipy import sparse
from scipy.stats import multivariate_normal, norm

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    Kronecker,
    LowRank,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    log_evidence,
)

FIELDS, POINTS, ROWS = 4, 9, 3
SCALES = (1.0, 2.0, 16.0)


def problem(kind="diagonal", seed=0, n_rows=ROWS):
    rng = np.random.default_rng(seed)
    covariance = make_covariance(kind, rng, FIELDS, POINTS)
    gaussian = Gaussian(rng.normal(size=(FIELDS, POINTS)), covariance)
    return gaussian, rng.normal(size=(n_rows, POINTS)), rng.normal(size=(FIELDS, n_rows)), rng


def by_scipy(gaussian, rows, values, noise=0.0, scales=(1.0,)):
    """Return the log densities, field by field and scale by scale."""
    n_fields = len(gaussian.mean)
    values = np.broadcast_to(values, (n_fields, len(rows)))
    noise = np.broadcast_to(noise, values.shape)
    S = np.broadcast_to(gaussian.dense(), (n_fields, rows.shape[1], rows.shape[1]))
    return np.array(
        [
            [
                multivariate_normal.logpdf(
                    values[k],
                    rows @ gaussian.mean[k],
                    c**2 * rows @ S[k] @ rows.T + np.diag(noise[k] ** 2),
                )
                for k in range(n_fields)
            ]
            for c in scales
        ]
    )


@pytest.mark.parametrize("kind", STRUCTURES)
def test_every_covariance(kind):
    gaussian, rows, values, _ = problem(kind)
    found = log_evidence(gaussian, rows, values, scales=SCALES)
    assert found.shape == (3, FIELDS)
    np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, 0.0, SCALES), rtol=1e-9)
    only = log_evidence(gaussian, rows, values)
    assert only.shape == (1, FIELDS)
    np.testing.assert_array_equal(only, found[:1])


@pytest.mark.parametrize(
    "covariance",
    [
        OrnsteinUhlenbeck(np.linspace(0.0, 1.0, POINTS), 0.3),
        Kronecker(OrnsteinUhlenbeck(np.arange(3.0), 2.0), Dense(np.eye(3) + 0.5)),
        LowRank(np.random.default_rng(2).normal(size=(POINTS, 4))),
        Scaled(
            np.random.default_rng(3).uniform(0.5, 2.0, (FIELDS, POINTS)),
            Sum(
                Diagonal(np.full(POINTS, 0.2)),
                OrnsteinUhlenbeck(np.linspace(0.0, 1.0, POINTS), 1.0),
            ),
        ),
    ],
    ids=lambda covariance: type(covariance).__name__,
)
def test_correlations(covariance):
    mean, rows, values = problem()[0].mean, *problem()[1:3]
    gaussian = Gaussian(mean, covariance)
    found = log_evidence(gaussian, rows, values, 0.1, SCALES)
    np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, 0.1, SCALES), rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (ROWS,), (FIELDS, ROWS)])
def test_noise_in_every_shape(shape):
    gaussian, rows, values, rng = problem("low_rank")
    noise = rng.uniform(0.2, 2.0, shape)
    found = log_evidence(gaussian, rows, values, noise, SCALES)
    np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, noise, SCALES), rtol=1e-9)


def test_noise_is_not_scaled():
    """A row that only noise moves has the same evidence for every spread of the field."""
    gaussian, rows, values, _ = problem()
    still = Gaussian(gaussian.mean, Diagonal(np.zeros((FIELDS, POINTS))))
    found = log_evidence(still, rows, values, 0.5, SCALES)
    expected = norm.logpdf(values, gaussian.mean @ rows.T, 0.5).sum(axis=1)
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-10)


def test_values_of_all_fields_and_a_single_field():
    gaussian, rows, values, _ = problem("dense")
    np.testing.assert_allclose(
        log_evidence(gaussian, rows, values[0]), by_scipy(gaussian, rows, values[0]), rtol=1e-9
    )
    one = Gaussian(gaussian.mean[1], Dense(gaussian.dense()[1]))
    found = log_evidence(one, rows, values[1], scales=SCALES)
    assert found.shape == (3,)
    np.testing.assert_allclose(
        found, by_scipy(gaussian, rows, values, 0.0, SCALES)[:, 1], rtol=1e-9
    )


@pytest.mark.parametrize("kind", STRUCTURES)
def test_sparse_rows(kind):
    gaussian, rows, values, _ = problem(kind)
    rows = np.where(np.abs(rows) > 0.7, rows, 0.0)
    for container in (sparse.csr_array, sparse.coo_array):
        found = log_evidence(gaussian, container(rows), values, 0.1, SCALES)
        np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, 0.1, SCALES), rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_many_rows_count_one_by_one(container):
    rng = np.random.default_rng(5)
    gaussian = Gaussian(rng.normal(size=(2, 80)), make_covariance("low_rank", rng, 2, 80))
    rows, values = rng.normal(size=(65, 80)), rng.normal(size=(2, 65))
    S = gaussian.dense()
    std = np.sqrt(np.einsum("rp,fpq,rq->fr", rows, S, rows))
    found = log_evidence(gaussian, container(rows), values, 0.3, SCALES)
    for c, each in zip(SCALES, found, strict=True):
        expected = norm.logpdf(values, gaussian.mean @ rows.T, np.hypot(c * std, 0.3)).sum(axis=1)
        np.testing.assert_allclose(each, expected, rtol=1e-10)
    # One row fewer is written out, and these are not independent of each other.
    joint = log_evidence(gaussian, container(rows[:64]), values[:, :64], 0.3)
    np.testing.assert_allclose(joint, by_scipy(gaussian, rows[:64], values[:, :64], 0.3), rtol=1e-8)
    assert np.abs(joint - found[0]).min() > 10.0


def test_many_disjoint_rows_are_the_same_either_way():
    rng = np.random.default_rng(6)
    rows = np.kron(np.eye(70), np.ones(2))
    gaussian = Gaussian(rng.normal(size=(3, 140)), Diagonal(rng.uniform(1.0, 2.0, (3, 140))))
    values = rng.normal(size=(3, 70))
    found = log_evidence(gaussian, rows, values, scales=SCALES)
    np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, 0.0, SCALES), rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-15, 1e-9, 1e-3, 1e6, 1e15])
@pytest.mark.parametrize("n_rows", [ROWS, 70])
def test_units(unit, n_rows):
    """In other units of the field the evidence differs by their logarithm, once a row."""
    gaussian, rows, values, _ = problem("low_rank", n_rows=n_rows)
    parts = gaussian.covariance.parts()
    other = Gaussian(
        unit * gaussian.mean, Sum(Diagonal(unit**2 * parts[0]), LowRank(unit * parts[1]))
    )
    before = log_evidence(gaussian, rows, values, 0.3, SCALES)
    after = log_evidence(other, rows, unit * values, unit * 0.3, SCALES)
    np.testing.assert_allclose(after + n_rows * np.log(unit), before, rtol=1e-9)
    # The unit of a row, its quadrature's say, does the same.
    after = log_evidence(gaussian, unit * rows, unit * values, unit * 0.3, SCALES)
    np.testing.assert_allclose(after + n_rows * np.log(unit), before, rtol=1e-9)
    # Rows of very different units do not disturb each other.
    units = np.where(np.arange(n_rows) % 2, unit, 1.0)
    after = log_evidence(gaussian, units[:, None] * rows, units * values, units * 0.3, SCALES)
    np.testing.assert_allclose(after + np.log(units).sum(), before, rtol=1e-9)


@pytest.mark.parametrize("factor", [1.0, -1e6])
def test_rows_that_follow_from_others_tell_nothing(factor):
    """Consistent redundant rows shift all members, and fields, alike."""
    gaussian, rows, values, _ = problem("low_rank")
    combined = factor * (rows[0] + 2.0 * rows[1])
    more = np.vstack([rows, combined])
    values = np.column_stack([values, factor * (values[:, 0] + 2.0 * values[:, 1])])
    moved = Gaussian(gaussian.mean + np.sin(np.arange(POINTS)), gaussian.covariance)
    wider = Gaussian(gaussian.mean, Scaled(np.full(POINTS, 3.0), gaussian.covariance))
    shifts = [
        log_evidence(g, more, values) - log_evidence(g, rows, values[:, :ROWS])
        for g in (gaussian, moved)
    ]
    np.testing.assert_allclose(shifts[1], shifts[0], atol=1e-3)
    assert np.isfinite(shifts[0]).all()
    spread = log_evidence(wider, more, values) - log_evidence(wider, rows, values[:, :ROWS])
    np.testing.assert_allclose(spread + np.log(3.0), shifts[0], atol=1e-3)


def test_the_same_row_twice_leaves_the_weights():
    gaussian, rows, values, _ = problem()
    once = [log_evidence(gaussian, rows[:1], v) for v in (values[:, :1], values[:, 1:2])]
    twice = [
        log_evidence(gaussian, rows[[0, 0]], np.repeat(v, 2, axis=1))
        for v in (values[:, :1], values[:, 1:2])
    ]
    np.testing.assert_allclose(twice[1] - twice[0], once[1] - once[0], rtol=1e-6)


def test_rounding_is_no_misfit():
    """Fields that keep a constant total to rounding are all as likely as one that hits it."""
    rng = np.random.default_rng(7)
    rows = rng.uniform(0.5, 1.5, (1, 50))
    mean = 1e3 + rng.normal(size=(200, 50))
    mean += (5e4 - mean @ rows.T) / (rows @ rows.T) * rows
    miss = mean @ rows[0] - 5e4
    assert 0 < np.abs(miss).max() < 1e-10
    tiny = Gaussian(mean, Diagonal(np.full(50, 1e-26)))  # so sure that rounding is many sigmas
    assert np.abs(miss).max() / np.sqrt(1e-26 * (rows**2).sum()) > 10.0
    found = log_evidence(tiny, rows, np.array([5e4]), scales=SCALES)
    expected = norm.logpdf(0.0, 0.0, np.outer(SCALES, np.sqrt(1e-26 * (rows**2).sum())))
    np.testing.assert_allclose(found, np.broadcast_to(expected, (3, 200)), rtol=1e-12)
    # A misfit beyond rounding counts.
    assert (log_evidence(tiny, rows, np.array([5e4 + 1e-6]))[0] < found[0]).all()


def test_rows_without_variance_are_left_out():
    gaussian, rows, values, _ = problem()
    variance = np.array(gaussian.variance())
    variance[1, :5] = 0.0
    gaussian = Gaussian(gaussian.mean, Diagonal(variance))
    rows[1, 5:] = 0.0  # a row along which field 1 has no variance
    found = log_evidence(gaussian, rows, values, scales=SCALES)
    assert np.isfinite(found).all()
    others, kept = [0, 2, 3], [0, 2]
    full = Gaussian(gaussian.mean[others], Diagonal(variance[others]))
    expected = by_scipy(full, rows, values[others], 0.0, SCALES)
    np.testing.assert_allclose(found[:, others], expected, rtol=1e-9)
    alone = Gaussian(gaussian.mean[1:2], Diagonal(variance[1:2]))
    expected = by_scipy(alone, rows[kept], values[1:2][:, kept], 0.0, SCALES)
    np.testing.assert_allclose(found[:, 1:2], expected, rtol=1e-9)


def test_nothing_has_to_hold():
    gaussian, *_ = problem()
    np.testing.assert_array_equal(
        log_evidence(gaussian, np.empty((0, POINTS)), np.empty((FIELDS, 0)), scales=SCALES),
        np.zeros((3, FIELDS)),
    )


def test_float32_and_integers():
    gaussian, rows, values, _ = problem()
    low = Gaussian(np.float32(gaussian.mean), Diagonal(np.float32(gaussian.variance())))
    found = log_evidence(low, rows, values, 0.1, SCALES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_scipy(gaussian, rows, values, 0.1, SCALES), rtol=1e-4)
    whole = Gaussian(np.arange(6), Diagonal(np.ones(6)))
    expected = norm.logpdf(20.0, 15.0, np.sqrt(6.0))
    found = log_evidence(whole, np.ones((1, 6), dtype=int), np.array([20]))
    np.testing.assert_allclose(found, [expected], rtol=1e-9)


class TestTorch:
    """NumPy and torch agree, and torch has the gradients of finite differences."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def shown(self, n_rows=ROWS):
        gaussian, rows, values, _ = problem(n_rows=n_rows)
        mean, variance = self.torch.tensor(gaussian.mean), self.torch.tensor(gaussian.variance())
        return gaussian, Gaussian(mean, Diagonal(variance)), rows, values

    @pytest.mark.parametrize("n_rows", [ROWS, 70])
    @pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, "torch"])
    def test_same_numbers(self, n_rows, container):
        gaussian, other, rows, values = self.shown(n_rows)
        expected = log_evidence(gaussian, rows, values, 0.3, SCALES)
        given = self.torch.tensor(rows) if container == "torch" else container(rows)
        found = log_evidence(other, given, self.torch.tensor(values), 0.3, SCALES)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)

    def test_gradients(self):
        gaussian, _, rows, values = self.shown()
        mean = self.torch.tensor(gaussian.mean, requires_grad=True)
        std = self.torch.tensor(np.sqrt(gaussian.variance()), requires_grad=True)
        log_evidence(Gaussian(mean, Diagonal(std**2)), rows, values, 0.3, SCALES).sum().backward()

        def total(mean, std):
            return log_evidence(Gaussian(mean, Diagonal(std**2)), rows, values, 0.3, SCALES).sum()

        start, step = (gaussian.mean, np.sqrt(gaussian.variance())), 1e-5
        for k, leaf in enumerate((mean, std)):
            for at in [(0, 0), (1, 4), (3, 8)]:
                ends = []
                for sign in (1.0, -1.0):
                    moved = [np.array(each) for each in start]
                    moved[k][at] += sign * step
                    ends.append(total(*moved))
                slope = (ends[0] - ends[1]) / (2.0 * step)
                assert float(leaf.grad[at]) == pytest.approx(slope, rel=1e-5, abs=1e-7)

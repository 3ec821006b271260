"""Rows that follow from each other under standard deviations of very different size.

The reference is the textbook's formula with 60 digits, of rows that are independent.
"""

import mpmath
import numpy as np
import pytest
from conditioning_cases import relative_miss
from scipy import sparse

from skphys.conditioning import (
    Dense,
    Diagonal,
    Gaussian,
    InconsistentConstraintsError,
    Kronecker,
    LowRank,
    OrnsteinUhlenbeck,
    Scaled,
    Sum,
    condition,
)
from skphys.grids import Axis, Grid

KINDS = ("diagonal", "ou", "kronecker", "low_rank", "dense", "sparse", "sparse_low_rank")
SIZES = ((2, 3), (1, 5), (3, 5), (4, 4))


@pytest.fixture(autouse=True)
def keep_sparse(monkeypatch):
    monkeypatch.setattr("skphys.conditioning._sparse._dispatch.DENSE_SHARE", 1.0)


def covariance_of(kind, std, shape, rng):
    """Return a covariance, and its correlations written out."""
    n_points = len(std)
    if kind in ("diagonal", "sparse"):
        return Diagonal(std**2), np.eye(n_points)
    if kind == "dense":
        root = rng.normal(size=(n_points, n_points))
        correlation = root @ root.T
        scale = np.sqrt(correlation.diagonal())
        correlation /= np.outer(scale, scale)
        return Dense(correlation * np.outer(std, std)), correlation
    if kind == "ou":
        correlation = OrnsteinUhlenbeck(np.cumsum(rng.uniform(0.5, 1.0, n_points)), 2.0)
    elif kind == "kronecker":
        chains = [OrnsteinUhlenbeck(np.cumsum(rng.uniform(0.5, 1.0, n)), 2.0) for n in shape]
        correlation = Kronecker(*chains)
    else:
        low_rank = LowRank(rng.normal(size=(n_points, 2)))
        correlation = Sum(Diagonal(np.full(n_points, 0.5)), low_rank)
    return Scaled(std, correlation), correlation.to_dense()


def totals_along_both_axes(kind, decades, seed):
    """Return a field, the rows, of which the last follows from the others, and their values."""
    rng = np.random.default_rng(seed)
    shape = SIZES[seed % len(SIZES)]
    t, x = (Axis.cells(np.r_[0.0, np.cumsum(rng.uniform(0.5, 1.5, n))]) for n in shape)
    grid = Grid(t=t, x=x)
    rows = sparse.vstack([grid.integral_rows(name) for name in ("x", "t")], format="csr")
    std = 10.0 ** rng.uniform(-decades, 0.0, grid.n_points)
    covariance, correlation = covariance_of(kind, std, shape, rng)
    mean = rng.standard_normal(grid.n_points)
    truth = mean + std * (np.linalg.cholesky(correlation) @ rng.standard_normal(grid.n_points))
    dense = covariance.matrix if kind == "dense" else None
    return mean, covariance, std, correlation, dense, rows, rows @ truth


def textbook(mean, std, correlation, dense, rows, values):
    with mpmath.workdps(60):
        D = mpmath.diag([mpmath.mpf(float(s)) for s in std])
        S = D * mpmath.matrix(correlation.tolist()) * D
        S = S if dense is None else mpmath.matrix(dense.tolist())
        G, b, m = (mpmath.matrix(a.tolist()) for a in (rows, values, mean))
        cross = S * G.T
        gain = cross * mpmath.inverse(G * cross)
        moved = m + gain * (b - G * m)
        reduced = S - gain * cross.T
        variance = [float(reduced[i, i]) for i in range(len(mean))]
    return np.array([float(v) for v in moved]), np.array(variance)


@pytest.mark.parametrize("decades", [0, 2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_totals_along_both_axes(kind, decades):
    for seed in range(8):
        mean, covariance, std, *written, rows, values = totals_along_both_axes(kind, decades, seed)
        given = rows if kind.startswith("sparse") else rows.toarray()
        rows = rows.toarray()
        posterior = condition(Gaussian(mean, covariance), given, values)
        assert relative_miss(posterior.mean, rows, values).max() < 1e-12
        assert relative_miss(posterior.sample(3, 0), rows, values).max() < 1e-12
        moved, variance = textbook(mean, std, *written, rows[:-1], values[:-1])
        # The rounding of a row is that of its largest terms, whatever the others' deviations.
        np.testing.assert_allclose(posterior.mean, moved, rtol=0, atol=1e-11)
        np.testing.assert_allclose(posterior.variance() / std**2, variance / std**2, atol=1e-8)
        values[-1] += 1e-9
        with pytest.raises(InconsistentConstraintsError):
            condition(Gaussian(mean, covariance), given, values)


def test_no_single_field_is_refused():
    """Fields that a batch of their like once passed, and that raised alone."""
    for seed in range(200):
        mean, covariance, *_, rows, values = totals_along_both_axes("diagonal", 4, seed)
        condition(Gaussian(mean, covariance), rows.toarray(), values)


@pytest.mark.parametrize("first", [1.0, 1e-8, 1e8])
@pytest.mark.parametrize("kind", ["diagonal", "sparse", "low_rank"])
def test_a_total_beside_its_large_and_its_small_parts(kind, first):
    """Each row is met to the rounding of its own terms, the smallest as well as the largest."""
    rng = np.random.default_rng(0)
    size = np.repeat([first, 1e-4 * first, 1e-10 * first], 4)
    rows = np.vstack([np.ones(12), np.kron(np.eye(3), np.ones(4))])
    truth = size * rng.uniform(0.5, 1.5, 12)
    parts = rows[1:] @ truth
    values = np.r_[parts.sum(), parts]
    covariance, _ = covariance_of(kind, size, (3, 4), rng)
    given = sparse.csr_array(rows) if kind == "sparse" else rows
    posterior = condition(Gaussian(truth + size * rng.normal(size=12), covariance), given, values)
    assert relative_miss(posterior.mean, rows, values).max() < 1e-12

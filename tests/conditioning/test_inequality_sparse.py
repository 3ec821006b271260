"""Inequalities of independent points under many sparse equalities."""

import numpy as np
import pytest
from scipy import sparse

from skphys.conditioning import Diagonal, Gaussian, InfeasibleInequalitiesError, project
from skphys.constraints import ControlVolumeBalance, DiffusiveFlux, Monotone
from skphys.grids import Axis, Grid


def balance(n_times, n_cells, seed=0):
    """Return a prior, the rows of a local balance, and those of a falling field."""
    grid = Grid(t=np.linspace(0, 1, n_times), x=Axis.cells(np.linspace(0, 1, n_cells + 1)))
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=grid.n_points) * 0.3 + 0.3
    std = rng.uniform(0.05, 1.0, grid.n_points)
    rows = sparse.csr_array(ControlVolumeBalance(flux_operator=DiffusiveFlux(0.01)).rows(grid))
    falling = sparse.csr_array(Monotone("x", False).rows(grid))
    return Gaussian(mean, Diagonal(std**2)), rows, falling


def check(u, mean, H, rows):
    assert (H @ u).min() >= -1e-9 * 2 * np.maximum(np.abs(u), np.abs(mean)).max()
    assert (abs(rows @ u) <= 1e-12 * (abs(rows) @ np.maximum(abs(u), abs(mean)))).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("bounded", [False, True])
def test_a_local_balance_with_a_monotone_field(bounded, seed):
    pytest.importorskip("clarabel")
    prior, rows, H = balance(6, 20, seed)
    H = sparse.vstack([H, sparse.eye_array(120)]).tocsr() if bounded else H
    u = project(prior, H, 0.0, np.inf, rows, np.zeros(100))
    check(u, prior.mean, H, rows)


def test_bounds_agree_with_the_solver_without_clarabel():
    pytest.importorskip("clarabel")
    prior, rows, _ = balance(6, 20)
    H = sparse.eye_array(120)
    fields = [
        project(prior, H, 0.0, np.inf, rows, np.zeros(100), solver=s) for s in ("clarabel", "scipy")
    ]
    np.testing.assert_allclose(*fields, atol=1e-10)


def test_a_contradiction_is_named():
    pytest.importorskip("clarabel")
    prior, rows, _ = balance(6, 20)
    rows = sparse.vstack([rows, sparse.csr_array(np.eye(1, 120))]).tocsr()
    with pytest.raises(InfeasibleInequalitiesError):
        project(prior, sparse.eye_array(120), 0.0, np.inf, rows, np.r_[np.zeros(100), -1.0])


def test_without_clarabel_it_is_solved_too():
    prior, rows, H = balance(6, 20)
    H = sparse.vstack([H, sparse.eye_array(120)]).tocsr()
    u = project(prior, H, 0.0, np.inf, rows, np.zeros(100), solver="scipy")
    check(u, prior.mean, H, rows)

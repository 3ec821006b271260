"""Draws that obey inequalities besides dense or sparse equalities."""

import numpy as np
import pytest
from backbones import WithStd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from skphys import ConservationConstrainedRegressor, PointwiseRegressor
from skphys.constraints import Bounds, ConservationLaw
from skphys.grids import Axis, Grid


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("n_times", [3, 100])  # few rows stay dense, many are sparse
def test_each_draw_obeys(n_times, noise):
    grid = Grid(t=np.linspace(0, 1, n_times), x=Axis.cells(np.linspace(0, 1, 101)))
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(6, 1)), np.abs(rng.normal(size=(6, grid.n_points)))
    law = ConservationLaw("x", total=0.8, noise=noise)
    model = ConservationConstrainedRegressor(
        WithStd(), [law, Bounds(lower=0.0)], grid, inequality_posterior="projected"
    ).fit(X, y)
    draws = model.sample_y(X[:2], 3)
    assert draws.min() >= -1e-9
    masses = np.einsum("btxd,x->btd", draws.reshape(2, n_times, 100, 3), np.full(100, 0.01))
    assert np.abs(masses - 0.8).max() < (1e-12 if noise == 0 else 0.01)


@pytest.mark.parametrize("length", [0.3, 1.0])
def test_a_smooth_process_under_many_times(length):
    """Twenty times of a process that has a handful of degrees of freedom in time."""
    grid = Grid(t=np.linspace(0, 1, 20), x=np.linspace(0, 1, 30))
    X = np.array([[0.1], [0.5]])
    fields = np.sin(3 * grid.points[:, 1] + X)
    process = GaussianProcessRegressor(
        RBF([length] * 3), alpha=1e-6, optimizer=None, normalize_y=True
    )
    law = ConservationLaw("x", total=0.3)
    model = ConservationConstrainedRegressor(PointwiseRegressor(process, grid), law, grid)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X[:1], fields[:1])
    draws = model.sample_y(X, 2).reshape(2, 20, 30, 2)
    masses = np.trapezoid(draws, grid["x"], axis=2)
    np.testing.assert_allclose(masses, 0.3, rtol=1e-11)
    mean = model.predict(X).reshape(2, 20, 30)
    np.testing.assert_allclose(np.trapezoid(mean, grid["x"], axis=2), 0.3, rtol=1e-12)

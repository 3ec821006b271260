"""True fields miss the stencil of a slope by its error, which the standard deviations state."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skphys import BoundaryEnforcedOperator
from skphys.constraints import Dirichlet, EqualitySystem, Neumann
from skphys.datasets import make_advection_diffusion, make_heat_robin, make_heat_rod
from skphys.estimators._stencil_error import stencil_std, student
from skphys.grids import Grid

ROBIN = {"n_points": 32, "random_state": 0}
PLANE = {"n_points": 13, "t": 0.2, "random_state": 0}


def noisy(y, level, seed):
    return y + level * y.std() * np.random.default_rng(seed).standard_normal(y.shape)


def fitted(data, y, n, **params):
    model = BoundaryEnforcedOperator(
        Ridge(), data.boundary, data.grid, method="lift", drop_value_columns=True, **params
    )
    return model.fit(data.data[:n], y[:n])


def held(model, X, y):
    """Return, point by point, the part of the fields that 90 % intervals hold."""
    lower, upper = model.predict_interval(X, coverage=0.9)
    rounding = 1e-12 * np.abs(y).max()
    return np.mean((lower - rounding <= y) & (y <= upper + rounding), axis=0)


@pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")
@pytest.mark.parametrize("level", [0.0, 0.05])
@pytest.mark.parametrize("make", [make_heat_rod, make_heat_robin])
def test_intervals_at_the_walls_of_a_rod(make, level):
    """The background errs by 1e-9, its field at the wall by 1e-5: of the stencil."""
    data = make(500, **ROBIN)
    y = noisy(data.target, level, seed=1)
    model = fitted(data, y, 200, background="linear")
    rates = held(model, data.data[200:], y[200:])[[0, 1, -2, -1]]
    assert (rates > 0.8).all()
    assert (rates < 0.98)[:2].all()  # at the heater the error is of one size, so all are held


def test_intervals_at_the_walls_of_a_plane():
    data = make_advection_diffusion(300, **PLANE)
    model = fitted(data, data.target, 150)
    rates = held(model, data.data[150:], data.target[150:]).reshape(13, 13)[1:-1]
    assert model.background_.explained_
    for wall in (rates[:, :2], rates[:, -2:]):
        assert 0.8 < wall.mean() < 0.97


@pytest.mark.parametrize("uncertainty", ["auto", "residual"])
def test_the_stencil_holds_in_mean_and_draws(uncertainty):
    data = make_heat_robin(80, **ROBIN)
    model = fitted(data, data.target, 60, uncertainty=uncertainty)
    X = data.data[60:]
    size = (
        1e-12
        * np.abs(data.target).max()
        * max(abs(c.rows(data.grid)).sum(axis=1).max() for _, c in model.constraints_)
    )
    assert np.abs(model.constraint_residuals(X)).max() < size
    rows = np.concatenate([c.rows(data.grid).toarray() for _, c in model.constraints_])
    draws = np.moveaxis(model.sample_y(X, 5), -1, 0)
    apart = (draws - draws[0]) @ rows.T
    assert draws.std(axis=0)[:, :2].min() > 1e-7
    assert np.abs(apart).max() < size
    assert held(model, X, data.target[60:])[[0, 1, -2, -1]].min() > 0.8


def test_two_points_share_the_error_of_a_row():
    """Given the row, the deviation at each is that by which its error moves it."""
    rows = np.array([[1.5, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])
    y = np.zeros((4, 4))
    y[:, 0] = [1.0, -1.0, 1.0, -1.0]
    std = stencil_std(EqualitySystem(rows, np.zeros((4, 2)), np.zeros(2), ("a", "b")), y)
    assert not std[2:].any()
    g, S = rows[0], np.diag(std**2)
    gain = S @ g / (g @ S @ g)
    left = np.sqrt(np.diag(S - np.outer(gain, g @ S)))
    error = 1.5 * student(4)  # of the row
    np.testing.assert_allclose(left[:2], np.abs(gain[:2]) * error)
    np.testing.assert_allclose(gain * g, [0.5, 0.5, 0.0, 0.0])


def test_points_that_are_known_share_nothing():
    rows = np.array([[1.0, 0.0, 0.0], [1.5, -2.0, 0.5]])
    values = np.column_stack([np.ones(3), np.full(3, np.nan)])
    values[0, 1] = 0.0
    std = stencil_std(EqualitySystem(rows, values, np.zeros(2), ("a", "b")), np.ones((3, 3)))
    assert not std.any()  # the only known slope is that of the field
    std = stencil_std(EqualitySystem(rows, values + 1.0, np.zeros(2), ("a", "b")), np.ones((3, 3)))
    assert std[0] == 0.0 and (std[1:] > 0.0).all()


def test_noise_of_a_condition_is_stated_already():
    rows, y = np.array([[1.5, -2.0, 0.5]]), np.ones((5, 3)) * [1.0, 0.0, 0.0]
    for noise, error in ((0.0, 1.5), (0.9, 1.2), (2.0, 0.0)):
        std = stencil_std(EqualitySystem(rows, np.zeros((5, 1)), np.full(1, noise), ("a",)), y)
        np.testing.assert_allclose(np.sqrt(rows[0] ** 2 @ std**2), student(5) * error)


def test_it_goes_to_other_grids():
    x = np.linspace(0.0, 1.0, 17)
    X = np.random.default_rng(0).normal(size=(200, 1))
    y = X * np.cos(np.pi * x) + 1.0
    slope = {"x": (Dirichlet(lambda X: X[:, 0] + 1.0), Neumann(0.0))}
    model = BoundaryEnforcedOperator(Ridge(1e-9), slope, Grid(x=x), method="lift").fit(X, y)
    finer = model.on_grid(Grid(x=np.linspace(0.0, 1.0, 33)))
    truth = X * np.cos(np.pi * finer.grid_["x"]) + 1.0
    error, std = np.abs(finer.predict(X) - truth)[:, -1], finer.predict_std(X)[:, -1]
    assert np.mean(error < 1.645 * std) > 0.8
    again = finer.on_grid(Grid(x=x))
    np.testing.assert_array_equal(again.predict_std(X), model.predict_std(X))

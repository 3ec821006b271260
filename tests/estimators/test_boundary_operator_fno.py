"""Fourier neural operators with boundaries: trained, nested, pickled, on a finer grid."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    FNORegressor,
)
from skphys.constraints import Column, ConservationLaw, Dirichlet, FromInput, Neumann, Robin
from skphys.grids import Axis, Components, Grid

pytest.importorskip("torch")
pytest.importorskip("skphys.neural._field_net")

GRID = Grid(x=np.linspace(0.0, 1.0, 24))
WALLS = {"x": (Dirichlet(FromInput()), Neumann(Column(-1)))}


def fno(**params):
    params = {"n_modes": 3, "hidden_channels": 6, "n_layers": 2, "max_epochs": 3} | params
    return FNORegressor(random_state=0, **params)


def rod(grid=GRID, n_samples=12):
    """Cosines that keep their left end, with their slope on the right as a channel."""
    x = grid["x"]
    rng = np.random.default_rng(0)
    a, k = rng.uniform(1.0, 2.0, (2, n_samples, 1))
    slope = np.broadcast_to(-a * k * np.sin(k), (n_samples, len(x)))
    return np.concatenate([a * np.cos(k**2 * x), slope], axis=1), a * np.cos(k * x)


X, Y = rod()


def check_boundary(u, x, X):
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-12)
    slope = (1.5 * u[:, -1] - 2.0 * u[:, -2] + 0.5 * u[:, -3]) / (x[1] - x[0])
    scale = np.abs(u).max() / (x[1] - x[0])
    np.testing.assert_allclose(slope, X[:, -1], atol=1e-12 * 4 * scale)


@parametrize_with_checks(
    [
        BoundaryEnforcedOperator(fno(n_modes=2, hidden_channels=8, max_epochs=5, lr=0.01)),
        BoundaryEnforcedOperator(
            fno(n_modes=2, hidden_channels=8, max_epochs=5, lr=0.01, n_members=2)
        ),
    ]
)
def test_check_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize("method", ["auto", "kernel", "lift", "project"])
@pytest.mark.parametrize(
    "params",
    [{}, {"n_members": 3}, {"heteroscedastic": True}, {"n_members": 2, "heteroscedastic": True}],
    ids=["one", "members", "heteroscedastic", "both"],
)
def test_boundaries_hold(method, params):
    model = BoundaryEnforcedOperator(fno(**params), WALLS, GRID, method=method).fit(X, Y)
    u = model.predict(X)
    assert u.dtype == np.float64
    check_boundary(u, GRID["x"], X)
    if params:
        std = model.predict_std(X)
        np.testing.assert_array_equal(std[:, 0], 0.0)
        assert (std[:, 1:] > 0.0).all()
        for draw in np.moveaxis(model.sample_y(X, 2), -1, 0):
            check_boundary(draw, GRID["x"], X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)


@pytest.mark.parametrize("method", ["kernel", "lift", "project"])
def test_a_finer_grid(method):
    fine = Grid(x=np.linspace(0.0, 1.0, 70))
    model = BoundaryEnforcedOperator(fno(), WALLS, GRID, method=method).fit(X, Y).on_grid(fine)
    inputs, _ = rod(fine)
    check_boundary(model.predict(inputs), fine["x"], inputs)
    assert model.n_features_in_ == inputs.shape[1]
    walls = {"x": (None, Neumann(Column(47)))}
    model = BoundaryEnforcedOperator(fno(), walls, GRID, method=method).fit(X, Y)
    with pytest.raises(ValueError, match=r"Column\(47\) is not what it was.*Column\(-1\)"):
        model.on_grid(fine)


def test_inputs_as_channels():
    stacked = X.reshape(len(X), 2, -1)
    walls = {"x": (Dirichlet(FromInput()), Neumann(last_value))}
    flat = BoundaryEnforcedOperator(fno(), WALLS, GRID).fit(X, Y).predict(X)
    u = BoundaryEnforcedOperator(fno(), walls, GRID).fit(stacked, Y).predict(stacked)
    np.testing.assert_array_equal(u, flat)


def last_value(X):
    return X[:, 1, -1]


def test_law_and_boundary_hold_together():
    inner = BoundaryEnforcedOperator(fno(n_members=3), WALLS, GRID)
    model = ConservationConstrainedRegressor(inner, ConservationLaw("x", total), GRID)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        u, std = model.fit(X, Y).predict(X, return_std=True)
    check_boundary(u, GRID["x"], X)
    np.testing.assert_allclose(u @ GRID.weights(), total(X), rtol=1e-12)
    np.testing.assert_array_equal(std[:, 0], 0.0)


def total(X):
    return X[:, 0] + 1.0


def test_frozen_operators_are_projected_and_searched():
    trained = fno(grid=GRID).fit(X, Y)
    before = trained.predict(X)
    model = BoundaryEnforcedOperator(FrozenEstimator(trained), WALLS, GRID).fit(X, Y)
    assert model.method_ == "project"
    check_boundary(model.predict(X), GRID["x"], X)
    np.testing.assert_array_equal(trained.predict(X), before)
    model = BoundaryEnforcedOperator(fno(), WALLS, GRID)
    grid = {"method": ["project", "lift"], "estimator__n_modes": [2, 3]}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=2).fit(X, Y)
    check_boundary(search.predict(X), GRID["x"], X)


def test_space_time_and_components():
    space = Grid(t=np.linspace(0, 1, 4), x=np.linspace(0, 1, 6), y=Axis.periodic(0, 1, 8))
    both = Components(u=space, v=space)
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(6, space.n_points)), rng.normal(size=(6, both.n_points))
    walls = {
        "u": {"t": (Dirichlet(1.0), None), "x": (Dirichlet(1.0), Neumann(0.0))},
        "v": {"x": Robin(1.0, 0.5, 2.0, order=1)},
    }
    model = BoundaryEnforcedOperator(fno(n_modes=2), walls, both)
    with pytest.warns(UserWarning, match="violate constraint"):
        parts = both.split(model.fit(inputs, targets).predict(inputs))
    u, v = (parts[name].reshape(-1, *space.shape) for name in "uv")
    np.testing.assert_allclose(u[:, 0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(u[:, :, 0], 1.0, rtol=1e-12)
    wall = 1.5 * u[:, 1:, -1] - 2.0 * u[:, 1:, -2] + 0.5 * u[:, 1:, -3]
    np.testing.assert_allclose(wall, 0.0, atol=1e-12)
    for end, next_one in ((0, 1), (-1, -2)):
        robin = v[:, :, end] + 0.5 * (v[:, :, end] - v[:, :, next_one]) / 0.2
        np.testing.assert_allclose(robin, 2.0, rtol=1e-12)


def test_the_same_random_state_gives_the_same_result():
    def predict(seed):
        model = BoundaryEnforcedOperator(fno().set_params(random_state=None), WALLS, GRID)
        return model.set_params(random_state=seed).fit(X, Y).predict(X)

    np.testing.assert_array_equal(predict(0), predict(0))
    assert np.abs(predict(0) - predict(1)).max() > 1e-3

"""Boundary conditions among the constraints of a regressor, and the check of training targets."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from backbones import WithCov, WithMembers, WithStd
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GridSearchCV

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    BoundaryConstraint,
    ConservationLaw,
    Dirichlet,
    FromInput,
    Neumann,
    Robin,
    boundary_constraints,
)
from skphys.grids import Axis, Grid
from skphys.metrics import boundary_error, conservation_error

GRID = Grid(t=np.linspace(0, 1, 5), x=np.cumsum(np.random.default_rng(3).uniform(0.5, 1.5, 9)))
BOUNDARY = {"t": (Dirichlet("start"), None), "x": (Neumann("flux"), Robin(2.0, 1.0, 0.5))}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(size=(30, 3)), columns=["start", "flux", "mass"])
    y = rng.normal(size=(30, 1)) * np.cos(GRID.points @ [1.0, 0.3]) + rng.normal(size=(30, 45)) / 9
    return X, y


@pytest.mark.filterwarnings("ignore:The training targets violate")
@pytest.mark.parametrize(
    "backbone", [WithStd(), WithCov(), WithMembers(), RandomForestRegressor(9, random_state=0)]
)
def test_a_boundary_and_a_law_together(backbone, data):
    X, y = data
    constraints = [
        *boundary_constraints(BOUNDARY, GRID),
        ("mass", ConservationLaw("x", "mass", quadrature={"x": "trapezoid"})),
    ]
    X = X.assign(mass=X["start"] * GRID.weights("x").sum())  # agrees with the start
    model = ConservationConstrainedRegressor(backbone, constraints, GRID).fit(X, y)
    for fitted in (model, pickle.loads(pickle.dumps(model))):
        mean, std = fitted.predict(X, return_std=True)
        assert boundary_error(mean, BOUNDARY, GRID, X).max() < 1e-12
        assert np.abs(conservation_error(mean, constraints[-1:], GRID, X=X)).max() < 1e-12
        assert (GRID.reshape(std)[:, 0] == 0).all()
    for draw in np.moveaxis(model.sample_y(X, 3), -1, 0):
        assert boundary_error(draw, BOUNDARY, GRID, X).max() < 1e-12


@pytest.mark.filterwarnings("ignore:The training targets violate")
def test_parameters_in_a_search(data):
    X, y = data
    named = boundary_constraints({"x": Neumann(0.3)}, GRID)
    model = ConservationConstrainedRegressor(WithStd(), named, GRID)
    grid = {"constraints__x_left__condition__order": [1, 3]}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=2).fit(X, y)
    assert search.best_params_["constraints__x_left__condition__order"] in (1, 3)
    assert named[0][1].condition.order == 2


def test_contradicting_corners_are_found_in_fit_and_in_predict(data):
    X, y = data
    boundary = {"t": (Dirichlet("start"), None), "x": (Dirichlet("flux"), None)}
    named = boundary_constraints(boundary, GRID)
    model = ConservationConstrainedRegressor(WithStd(), named, GRID)
    with pytest.raises(ValueError, match="'t_left' and 'x_left' contradict each other"):
        model.fit(X, y)
    with pytest.warns(UserWarning):
        model.fit(X.assign(flux=X["start"]), y)
    with pytest.raises(ValueError, match="'t_left' and 'x_left' contradict each other"):
        model.predict(X)


# The check of training targets


def heat_rod(n_points=128, n_samples=20):
    """Return exact temperatures of an insulated rod, from u0 = cos(w pi x) by its cosine series."""
    x, k = np.linspace(0.0, 1.0, n_points), np.arange(1, 400)
    w = np.random.default_rng(0).uniform(2.01, 3.99, n_samples)[:, None]
    mean = np.sinc(w)
    series = np.sinc(w - k) + np.sinc(w + k)  # 2 * integral of cos(w pi x) cos(k pi x)
    decay = np.exp(-0.01 * (np.pi * k) ** 2 * 0.5)
    fields = mean + (series * decay) @ np.cos(np.pi * np.outer(k, x))
    return Grid(x=x), w, fields


def fitted(boundary, grid, X, y):
    named = boundary_constraints(boundary, grid)
    return ConservationConstrainedRegressor(WithStd(), named, grid).fit(X, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_exact_fields_raise_no_warning(order, dtype):
    grid, X, y = heat_rod()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted({"x": Neumann(0.0, order=order)}, grid, X, y.astype(dtype))
    if order == 1:  # and yet the stencil reads something there
        assert boundary_error(y, {"x": Neumann(order=1)}, grid, kind="absolute").max() > 1e-2


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_wrong_flux_raises_a_warning_with_its_size(order):
    grid, X, y = heat_rod()
    with pytest.warns(UserWarning, match=r"violate constraint 'x_right' by up to (0\.9|1)"):
        fitted({"x": (Neumann(0.0, order=order), Neumann(1.0, order=order))}, grid, X, y)


def test_a_wrong_value_raises_a_warning():
    grid, X, y = heat_rod()
    with pytest.warns(UserWarning, match="violate constraint 'x_left'"):
        fitted({"x": (Dirichlet(y[:, 0].max()), None)}, grid, X, y)


def smooth(x, n_samples=500):
    """Return smooth random fields and their slopes."""
    rng, k = np.random.default_rng(1), np.arange(1, 5)
    a, b = (rng.normal(size=(n_samples, 4)) / k for _ in range(2))
    phase = np.pi * np.outer(k, x)
    slope = (np.pi * k) * a @ np.cos(phase) - (np.pi * k) * b @ np.sin(phase)
    return a @ np.sin(phase) + b @ np.cos(phase), slope


@pytest.mark.parametrize("order", [1, 2, 3])
def test_random_smooth_fields_raise_no_warning(order):
    x = np.linspace(0.0, 1.0, 48) ** 1.2
    y, slope = smooth(x)
    ends = {"left": -slope[:, 0], "right": 0.5 * slope[:, -1] + 2.0 * y[:, -1]}
    X = pd.DataFrame(ends)
    boundary = {"x": (Neumann("left", order=order), Robin(2.0, 0.5, "right", order=order))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(boundary, Grid(x=x), X, y)
    with pytest.warns(UserWarning):
        fitted({"x": (Neumann(0.0, order=order), None)}, Grid(x=x), X, y)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_cell_averages_raise_no_warning(order):
    edges = np.linspace(0.0, 2.0, 41)
    w = np.random.default_rng(0).uniform(1.0, 3.0, (30, 1))
    y = np.diff(np.sin(w * edges), axis=1) / (w * np.diff(edges))  # of cos(w x)
    X = pd.DataFrame({"w": w[:, 0], "end": np.cos(2.0 * w[:, 0])})
    grid = Grid(x=Axis.cells(edges))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted({"x": (Neumann(order=order), Dirichlet("end", order=order))}, grid, X, y)
    with pytest.warns(UserWarning, match="'x_left'"):
        fitted({"x": (Dirichlet(0.9, order=order), None)}, grid, X, y)


@pytest.mark.parametrize(("n_points", "order"), [(2, 1), (3, 2), (4, 3), (5, 2)])
def test_grids_too_small_for_further_orders(n_points, order):
    """Straight lines have no error, and little room to estimate one."""
    grid = Grid(x=np.linspace(0.0, 1.0, n_points))
    face = BoundaryConstraint(Neumann(order=order), "x", "right")
    error = face.discretization_error(np.array([grid["x"] ** 4]), grid)
    miss = abs(grid["x"] ** 4 @ face.rows(grid).toarray()[0] - 4.0)
    assert error.shape == (1, 1) and error[0, 0] >= miss


def test_the_boundary_of_the_input_is_kept(data):
    """An input field on the output's grid, whose slope at the end the output keeps."""
    rng = np.random.default_rng(0)
    grid = Grid(x=np.linspace(0, 1, 12))
    X = rng.normal(size=(30, 12))
    model = fitted({"x": (Dirichlet(FromInput()), Neumann(FromInput()))}, grid, X, X.copy())
    mean = model.predict(X[:5] * 2)
    np.testing.assert_allclose(mean[:, 0], 2 * X[:5, 0], rtol=1e-14)
    slope = (1.5 * mean[:, -1] - 2 * mean[:, -2] + 0.5 * mean[:, -3]) * 11
    expected = 2 * (1.5 * X[:5, -1] - 2 * X[:5, -2] + 0.5 * X[:5, -3]) * 11
    np.testing.assert_allclose(slope, expected, rtol=1e-11)

"""BoundaryEnforcedOperator: boundaries hold exactly, whatever the backbone."""

import pickle

import numpy as np
import pytest
from backbones import Plain, WithCov, WithMembers, WithStd
from boundary_operators import BOUNDARY, GRID, fields, problem
from conditioning_cases import relative_miss
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import (
    BoundaryConstraint,
    Bounds,
    Column,
    ConservationLaw,
    Dirichlet,
    Neumann,
    Periodic,
    Robin,
)
from skphys.grids import Axis, Components, Grid

X, Y = problem()
NOISY = Y + 0.1 * np.random.default_rng(1).normal(size=Y.shape)
BACKBONES = [
    Plain(),
    WithStd(),
    WithCov(),
    WithMembers(),
    RandomForestRegressor(30, random_state=0),
    GaussianProcessRegressor(optimizer=None),
    make_pipeline(StandardScaler(), Ridge()),
    FrozenEstimator(Ridge().fit(X, NOISY)),
]


def name_of(value):
    return type(value).__name__


def fitted(backbone, boundary=BOUNDARY, grid=GRID, targets=Y, **params):
    return BoundaryEnforcedOperator(backbone, boundary, grid, **params).fit(X, targets)


def slope_right(u, x):
    """Second-order one-sided difference, by the interpolating parabola."""
    return np.array([np.polyder(np.poly1d(np.polyfit(x[-3:] - x[-1], v[-3:], 2)))(0.0) for v in u])


@pytest.mark.parametrize("backbone", BACKBONES, ids=name_of)
@pytest.mark.parametrize("members", ["moments", "each"])
def test_mean_std_and_samples_obey(backbone, members):
    model = fitted(backbone, members=members)
    states = not isinstance(backbone, Plain) and "Ridge" not in repr(backbone)
    if states:
        mean, std = model.predict(X, return_std=True)
        draws = np.moveaxis(model.sample_y(X, 3), -1, 0)
    else:
        with pytest.warns(UserWarning, match="unit variance"):
            mean, std = model.predict(X, return_std=True)
        with pytest.warns(UserWarning, match="unit variance"):
            draws = np.moveaxis(model.sample_y(X, 3), -1, 0)
    rows = np.concatenate([c.rows(GRID).toarray() for _, c in model.constraints_])
    for u in (mean, *draws):
        assert relative_miss(u, rows, X[:, :2]).max() < 1e-12
        np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
        np.testing.assert_allclose(slope_right(u, GRID["x"]), X[:, 1], rtol=1e-9)
    np.testing.assert_array_equal(std[:, 0], 0.0)
    assert (std[:, 1:].mean(axis=0) > 0.0).all()
    assert np.abs(model.constraint_residuals(X)).max() < 1e-11
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), mean)


def test_the_metric_is_the_backbones_gaussian():
    """Against the dense formula, equations 7a and 7b of Hansen et al."""
    model = fitted(WithCov(), targets=Y)
    prior, cov = WithCov().fit(X, Y).predict(X, return_cov=True)
    G = np.concatenate([c.rows(GRID).toarray() for _, c in model.constraints_])
    for i in (0, 7):
        gain = cov[i] @ G.T @ np.linalg.inv(G @ cov[i] @ G.T)
        mean, posterior = model.predict(X[[i]], return_cov=True)
        np.testing.assert_allclose(mean[0], prior[i] - gain @ (G @ prior[i] - X[i, :2]), rtol=1e-9)
        np.testing.assert_allclose(posterior[0], cov[i] - gain @ G @ cov[i], atol=1e-9)


def test_without_uncertainty_the_correction_is_the_smallest():
    """The Euclidean projection: by the pseudo-inverse, point by point of the stencil."""
    model = fitted(Ridge())
    plain = Ridge().fit(X, Y).predict(X)
    G = np.concatenate([c.rows(GRID).toarray() for _, c in model.constraints_])
    step = (X[:, :2] - plain @ G.T) @ np.linalg.pinv(G).T
    np.testing.assert_allclose(model.predict(X) - plain, step, atol=1e-12)
    assert (step[:, 1:-3] == 0.0).all() or np.abs(step[:, 1:-3]).max() < 1e-15


@pytest.mark.parametrize("members", ["moments", "each"])
def test_each_member_is_projected_or_all_together(members):
    forest = RandomForestRegressor(6, random_state=0)
    model = fitted(forest, {"x": (Dirichlet(Column(0)), None)}, members=members)
    plain = forest.fit(X, Y)
    moved = np.abs(model.predict(X) - plain.predict(X))
    assert (moved[:, 1:].max() < 1e-12) == (members == "each")
    if members == "each":
        trees = np.stack([tree.predict(X) for tree in plain.estimators_])
        spread = trees.std(axis=0)[:, 1:]
        np.testing.assert_allclose(model.predict_std(X)[:, 1:], spread, rtol=1e-7, atol=1e-14)


def test_faces_of_every_type_in_two_dimensions_and_time():
    grid = Grid(t=np.linspace(0, 1, 4), x=np.linspace(0, 1, 5), y=Axis.periodic(0, 1, 6))
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(12, 2))
    targets = rng.normal(size=(12, grid.n_points))
    along = np.arange(4.0)[:, None] + np.zeros(6)
    boundary = {
        "t": (Dirichlet(lambda X: np.multiply.outer(X[:, 0], np.ones((5, 6)))), None),
        "x": (Neumann(along, order=1), Robin(2.0, 0.5, Column(1), order=3)),
        "y": Periodic(),
    }
    model = BoundaryEnforcedOperator(Ridge(), boundary, grid)
    with pytest.warns(UserWarning, match="violate constraint"):
        u = model.fit(inputs, targets).predict(inputs).reshape(-1, *grid.shape)
    h = 0.25
    np.testing.assert_allclose(u[:, 0], inputs[:, 0, None, None] + np.zeros((5, 6)), atol=1e-12)
    slope = (u[:, 1:, 0] - u[:, 1:, 1]) / h  # at t = 0 the start holds
    np.testing.assert_allclose(slope, np.broadcast_to(along[1:], slope.shape), atol=1e-11)
    end = np.array([-1 / 3, 1.5, -3.0, 11 / 6]) / h
    robin = 2.0 * u[:, 1:, -1] + 0.5 * np.einsum("btxy,x->bty", u[:, 1:, -4:], end)
    np.testing.assert_allclose(robin, inputs[:, 1, None, None] + 0 * robin, atol=1e-11)


def test_components_have_boundaries_of_their_own():
    space = Grid(x=np.linspace(0, 1, 4), y=np.linspace(0, 1, 5))
    both = Components(u=space, v=space)
    targets = np.random.default_rng(0).normal(size=(8, both.n_points))
    walls = {"u": {"x": Dirichlet(0.0), "y": (Dirichlet(0.0), None)}, "v": {"y": Neumann(1.0)}}
    model = BoundaryEnforcedOperator(Ridge(), walls, both)
    with pytest.warns(UserWarning, match="violate constraint 'u_|violate constraint 'v_"):
        model.fit(np.eye(8), targets)
    assert [name for name, _ in model.constraints_] == [
        "u_x_left", "u_x_right", "u_y_left", "v_y_left", "v_y_right",
    ]  # fmt: skip
    parts = both.split(model.predict(np.eye(8)))
    u, v = (parts[name].reshape(-1, 4, 5) for name in "uv")
    assert np.abs(u[:, [0, -1]]).max() < 1e-15 and np.abs(u[:, :, 0]).max() < 1e-15
    slope = (1.5 * v[:, :, -1] - 2 * v[:, :, -2] + 0.5 * v[:, :, -3]) / 0.25
    np.testing.assert_allclose(slope, 1.0, rtol=1e-12)


@pytest.mark.parametrize("backbone", BACKBONES[:6] + BACKBONES[7:], ids=name_of)
def test_law_and_boundary_hold_together(backbone):
    law = ConservationLaw("x", Column(2))
    inner = BoundaryEnforcedOperator(backbone, BOUNDARY, GRID)
    model = ConservationConstrainedRegressor(inner, law, GRID)
    with pytest.warns(UserWarning, match="violate constraint"):
        model.fit(X, NOISY)
    mean = model.predict(X)
    G = np.concatenate(
        [law.rows(GRID).toarray(), *(c.rows(GRID).toarray() for _, c in inner_of(model))]
    )
    assert relative_miss(mean, G, X[:, [2, 0, 1]]).max() < 1e-12
    if isinstance(backbone, WithStd | WithCov | WithMembers | RandomForestRegressor):
        np.testing.assert_array_equal(model.predict_std(X)[:, 0], 0.0)
        draws = np.moveaxis(model.sample_y(X, 3), -1, 0)
        assert max(relative_miss(u, G, X[:, [2, 0, 1]]).max() for u in draws) < 1e-12
    flat = ConservationConstrainedRegressor(backbone, [("mass", law), *inner_of(model)], GRID)
    with pytest.warns(UserWarning, match="violate constraint"):
        flat.fit(X, NOISY)
    np.testing.assert_allclose(mean, flat.predict(X), atol=1e-9)


def inner_of(model):
    return model.estimator_.constraints_


def test_bounds_hold_with_the_boundary():
    inner = BoundaryEnforcedOperator(WithStd(), {"x": (Dirichlet(0.0), None)}, GRID)
    with pytest.warns(UserWarning, match="violate constraint 'x_left'"):
        model = ConservationConstrainedRegressor(inner, Bounds(lower=0.5), GRID).fit(X, Y)
        with pytest.raises(ValueError, match="cannot be met together"):
            model.predict(X)
    inner.set_params(boundary__x_left__value=0.5)
    with pytest.warns(UserWarning, match="violate constraint 'x_left'"):
        model = ConservationConstrainedRegressor(inner, Bounds(lower=0.5), GRID).fit(X, Y - 1.0)
    u = model.predict(X)
    assert u.min() >= 0.5 - 1e-12
    np.testing.assert_allclose(u[:, 0], 0.5, rtol=1e-12)


def test_a_search_over_values_and_backbones():
    model = BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(1.0), None)}, GRID)
    grid = {"boundary__x_left__value": [0.0, Column(0)], "estimator": [Ridge(), Plain()]}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=3)
    with pytest.warns(UserWarning, match="violate constraint 'x_left' by up to"):
        search.fit(X, Y)
    assert search.best_params_["boundary__x_left__value"] == Column(0)
    np.testing.assert_allclose(search.predict(X)[:, 0], X[:, 0])


def test_values_at_predict_by_name():
    model = fitted(WithStd())
    u, std = model.predict(X, return_std=True, constraint_values={"x_left": np.arange(30.0)})
    np.testing.assert_allclose(u[:, 0], np.arange(30.0), atol=1e-14)
    np.testing.assert_array_equal(std[:, 0], 0.0)
    with pytest.raises(ValueError, match=r"unknown name.*'x_left', 'x_right'"):
        model.predict(X, constraint_values={"left": 1.0})


def test_a_frozen_enforced_operator_keeps_its_boundary():
    model = fitted(Ridge())
    frozen = FrozenEstimator(model)
    np.testing.assert_array_equal(frozen.predict(X), model.predict(X))
    law = ConservationLaw("x", 2.0)
    outer = ConservationConstrainedRegressor(frozen, law, GRID)
    with pytest.warns(UserWarning, match="violate"):
        u = outer.fit(X, NOISY).predict(X)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_allclose(u @ GRID.weights(), 2.0, rtol=1e-13)


def test_the_same_rows_as_a_list_of_constraints():
    left = BoundaryConstraint(Dirichlet(Column(0)), "x", "left")
    right = BoundaryConstraint(Neumann(Column(1)), "x", "right")
    law = ConservationConstrainedRegressor(WithStd(), [left, right], GRID).fit(X, Y)
    np.testing.assert_allclose(fitted(WithStd()).predict(X), law.predict(X), rtol=1e-12)


def test_training_fields_within_the_stencils_error_raise_no_warning():
    """The exact solution's second-order difference is off by 1e-3; that is no contradiction."""
    x = Grid(x=np.linspace(0, 1, 40))
    k = 0.4 * X[:, 0] * np.pi
    waves, slope = np.cos(np.outer(k, x["x"])), -k * np.sin(k)
    inputs = np.column_stack([X, slope])
    boundary = {"x": (Neumann(0.0), Neumann(Column(3)))}
    BoundaryEnforcedOperator(Ridge(), boundary, x).fit(inputs, waves)
    boundary = {"x": (Neumann(0.0), Neumann(0.0))}
    with pytest.warns(UserWarning, match=r"'x_right' by up to \d.*outward normal"):
        BoundaryEnforcedOperator(Ridge(), boundary, x).fit(inputs, waves)


def test_fields_of_the_problem():
    """The problem's own boundary values, by its closed form."""
    x = GRID["x"]
    np.testing.assert_array_equal(fields(X, x)[:, 0], X[:, 0])
    np.testing.assert_allclose(slope_right(Y, x), X[:, 1], rtol=1e-9)

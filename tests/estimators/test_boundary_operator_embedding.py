"""Operators that are told about the boundary while they train."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from backbones import Plain
from boundary_operators import BOUNDARY, GRID, Single, Told, fields, problem
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    make_constrained_pipeline,
)
from skphys.constraints import Column, ConservationLaw, Dirichlet, Neumann, Periodic, Robin
from skphys.grids import Components, Grid

X, Y = problem()
# Something that no affine map explains, and operators have to learn; it obeys the boundary.
Y = Y + 1e-6 * np.sin(4.0 * X[:, 2:]) * GRID["x"] * (1.0 - GRID["x"]) ** 4
FRAME = pd.DataFrame(X, columns=["wall", "flux", "strength"])
NAMED = {"x": (Dirichlet("wall"), Neumann("flux"))}


def fitted(backbone, boundary=BOUNDARY, data=X, **params):
    return BoundaryEnforcedOperator(backbone, boundary, GRID, **params).fit(data, Y)


@pytest.mark.parametrize("method", ["kernel", "lift"])
def test_the_operator_gets_the_boundary(method):
    batch = fitted(Single(), method=method).estimator_.boundary_
    left, right = batch.embedding.faces
    np.testing.assert_array_equal(batch.values, X[:, :2])
    assert batch.embedding.method == method and batch.embedding.n_values == 2
    assert (left.name, left.kind, left.side, left.axis) == ("x_left", "dirichlet", "left", 0)
    assert (right.name, right.kind, right.side) == ("x_right", "neumann", "right")
    np.testing.assert_array_equal(left.stencil, np.eye(len(GRID["x"]))[0])
    np.testing.assert_allclose(right.stencil @ GRID["x"] ** 2, 2.0)
    again = pickle.loads(pickle.dumps(batch))
    assert again.embedding.faces[1].values == right.values


def test_methods_and_who_they_suit():
    told = fitted(Single())
    assert told.method_ == "lift" and told.estimator_.boundary_.embedding.method == "lift"
    assert fitted(make_pipeline(StandardScaler(), Single())).method_ == "lift"
    assert fitted(Single(), method="kernel").background_ is None
    assert fitted(Single(), method="project").method_ == "project"
    assert fitted(Single(), method="project").estimator_.boundary_ is None
    for backbone in (Plain(), RandomForestRegressor(3), FrozenEstimator(Single().fit(X, Y))):
        assert fitted(backbone).method_ == "project"
    with pytest.raises(ValueError, match=r"kernel.*fit of RandomForestRegressor has no parameter"):
        fitted(RandomForestRegressor(), method="kernel")
    with pytest.raises(ValueError, match=r"lift.*trained already.*method='project'"):
        fitted(FrozenEstimator(Single().fit(X, Y)), method="lift")
    with pytest.raises(ValueError, match="fit of EnsembleRegressor has no parameter"):
        fitted(EnsembleRegressor(Single()), method="kernel")
    untold = fitted(EnsembleRegressor(Single(), random_state=0), method="lift")
    assert untold.method_ == "lift" and untold.background_ is not None
    assert fitted(Plain(), boundary=None, method="lift").method_ == "project"


def test_coefficients_that_vary_along_a_face_are_projected():
    grid = Grid(x=np.linspace(0, 1, 5), y=np.linspace(0, 1, 4))
    walls = {"x": (Robin(np.arange(1.0, 5.0), 1.0), None)}
    targets = np.zeros((30, 20))
    model = BoundaryEnforcedOperator(Single(grid=Grid(x=np.arange(20.0))), walls, grid)
    assert model.fit(X, targets).method_ == "project"
    with pytest.raises(ValueError, match="vary along the face"):
        model.set_params(method="lift").fit(X, targets)


def test_values_by_name_reach_the_operator():
    """A shift of the value shifts the whole field of a linear operator that knows it."""
    model = fitted(Single(), data=X, drop_value_columns=True)
    u = model.predict(X, constraint_values={"x_left": X[:, 0] + 1.0})
    np.testing.assert_allclose(u - model.predict(X), 1.0, atol=1e-4)
    assert model.estimator_.n_features_in_ == 1
    with pytest.raises(ValueError, match=r"constraint_values\['x_left'\]"):
        model.predict(X, constraint_values={"x_left": np.ones(7)})


def test_values_by_name_over_a_face_with_shared_corners():
    grid = Grid(x=np.linspace(0, 1, 4), y=np.linspace(0, 1, 3))
    walls = {"x": Dirichlet(0.0), "y": (Dirichlet(0.0), None)}
    nodes = Grid(x=np.arange(12.0))
    targets = np.sin(40.0 * X[:, 2:]) * np.prod(grid.points, axis=1)
    targets[:, -3:] = 0.0
    model = BoundaryEnforcedOperator(Single(grid=nodes), walls, grid).fit(X, targets)
    assert model.estimator_.boundary_.values.shape == (30, 3 + 3 + 4)
    for given in (np.zeros((30, 4)), np.zeros((30, 2)), 0.0):  # of the face, of its rows, or one
        u = model.predict(X, constraint_values={"y_left": given}).reshape(30, 4, 3)
        assert np.abs(u[:, :, 0]).max() < 1e-15


@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_hands_the_boundary_to_its_last_step(routing):
    scaled = make_pipeline(StandardScaler(), FunctionTransformer(), Single())
    with sklearn.config_context(enable_metadata_routing=routing):
        model = fitted(make_pipeline(StandardScaler(), scaled), method="lift")
        u = model.predict(X)
    assert model.estimator_[-1][-1].boundary_.embedding.method == "lift"
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_allclose(u, fitted(Single()).predict(X), atol=1e-4)


def test_columns_by_name():
    model = fitted(Single(), NAMED, FRAME, drop_value_columns=True)
    assert list(FRAME.columns) == list(model.feature_names_in_)
    assert model.estimator_.n_features_in_ == 1
    np.testing.assert_allclose(model.predict(FRAME), fitted(Single()).predict(X), atol=1e-5)


def test_rounding_of_members_does_not_move_the_interior():
    """Members agree at the boundary but for float32: a correlation of rounding means nothing."""
    told = Told(n_members=4)
    model = fitted(told, uncertainty="stated")
    free = told.fit(X, Y, boundary=model.estimator_.boundary_)
    members, _ = free.predict_members(X, boundary=model.estimator_.boundary_)
    inside = slice(1, -3)
    np.testing.assert_allclose(
        model.predict(X)[:, inside], members.mean(axis=0, dtype=float)[:, inside], atol=1e-6
    )
    std = model.predict_std(X)
    np.testing.assert_array_equal(std[:, 0], 0.0)
    np.testing.assert_allclose(std[:, inside], members.std(axis=0)[:, inside], rtol=0.05)
    law = ConservationConstrainedRegressor(model, ConservationLaw("x", Column(2)), GRID)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        u, std = law.fit(X, Y).predict(X, return_std=True)
    np.testing.assert_allclose(u @ GRID.weights(), X[:, 2], rtol=1e-12)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_array_equal(std[:, 0], 0.0)


def test_one_member_states_no_uncertainty():
    with pytest.warns(UserWarning, match="unit variance"):
        fitted(Told(), background="values").predict_std(X)
    model = fitted(Told())  # beside a map with an error of its own
    error, std = model.background_.std_, model.predict_std(X)[:, 1:-3]
    np.testing.assert_allclose(
        std, np.hypot(error, 0.1 * np.sqrt(np.mean(error**2)))[1:-3] + 0 * std
    )


@pytest.mark.parametrize("backbone", [Single(), Told(3)], ids=["point", "members"])
def test_residuals_are_those_of_operators_told_about_the_boundary(backbone):
    model = fitted(backbone, uncertainty="residual", drop_value_columns=True)
    untold = fitted(backbone, uncertainty="residual", method="project", drop_value_columns=True)
    assert model.residual_std_.shape == GRID["x"].shape
    assert model.residual_std_.max() < 0.5 * untold.residual_std_.max()
    np.testing.assert_array_equal(model.predict_std(X)[:, 0], 0.0)
    held = fitted(Single(), uncertainty="residual", calibration=problem(seed=1))
    assert held.residual_std_.max() < 1e-3


def test_a_search_over_methods():
    model = BoundaryEnforcedOperator(
        make_pipeline(StandardScaler(), Single()), BOUNDARY, GRID, drop_value_columns=True
    )
    search = GridSearchCV(model, {"method": ["project", "lift", "kernel"]}, cv=3)
    search.fit(X, Y)
    assert search.best_params_["method"] != "project"
    copy = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copy.predict(X), search.predict(X))
    np.testing.assert_allclose(search.predict(X)[:, 0], X[:, 0], rtol=1e-13)


def test_a_trained_operator_of_ours_can_be_frozen():
    model = fitted(Single())
    law = ConservationConstrainedRegressor(FrozenEstimator(model), ConservationLaw("x", 2.0), GRID)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        u = law.fit(X, Y).predict(X)
    np.testing.assert_allclose(u @ GRID.weights(), 2.0, rtol=1e-13)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)


FINE = Grid(x=np.linspace(0, 1, 61))


@pytest.mark.parametrize("uncertainty", ["auto", "residual"])
@pytest.mark.parametrize("method", ["project", "kernel", "lift"])
def test_a_finer_grid(method, uncertainty):
    steps = make_pipeline(StandardScaler(), Single())
    model = fitted(steps, method=method, uncertainty=uncertainty)
    before = model.predict(X)
    fine = pickle.loads(pickle.dumps(model.on_grid(FINE)))
    u = fine.predict(X)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    slope = np.array([1.0, -4.0, 3.0]) / (2.0 / 60.0)
    np.testing.assert_allclose(u[:, -3:] @ slope, X[:, 1], rtol=1e-11)
    np.testing.assert_allclose(u, fields(X, FINE["x"]), atol=0.02)
    np.testing.assert_array_equal(model.predict(X), before)
    if uncertainty == "residual":
        expected = np.interp(FINE["x"], GRID["x"], model.residual_std_)
        np.testing.assert_allclose(fine.residual_std_, expected)
        assert fine.predict_std(X).shape == u.shape


def test_another_grid_needs_an_operator_and_the_same_axes():
    with pytest.raises(ValueError, match="RandomForestRegressor predicts at the points"):
        fitted(RandomForestRegressor(3)).on_grid(FINE)
    with pytest.raises(ValueError, match="unknown axis 'x'"):
        fitted(Single()).on_grid(Grid(y=FINE["x"]))
    with pytest.raises(ValueError, match=r"Constraint 'x_right' does not fit the new grid"):
        fitted(Single()).on_grid(Grid(x=[0.0, 1.0]))


def test_law_and_boundary_on_a_finer_grid():
    inner = BoundaryEnforcedOperator(Single(), BOUNDARY, GRID)
    law = ConservationLaw("x", integral)
    model = ConservationConstrainedRegressor(inner, law, GRID).fit(X, Y).on_grid(FINE)
    u = model.predict(X)
    np.testing.assert_allclose(u @ FINE.weights(), integral(X), rtol=1e-13)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)


def integral(X):
    """The integral of `fields` over [0, 1]."""
    return X[:, 0] + X[:, 1] / 6.0 + X[:, 2] * 2.0 / 3.0


def test_the_operator_gets_the_grid_it_lacks():
    model = fitted(make_pipeline(StandardScaler(), Single(grid=None)))
    assert model.estimator_[-1].grid is GRID or model.estimator_[-1].grid == GRID
    assert model.estimator[-1].grid is None
    own = Grid(x=GRID["x"] * 2.0)
    assert fitted(Single(grid=own)).estimator_.grid == own


def test_faces_of_components_and_periods():
    space = Grid(x=np.linspace(0, 1, 3), y=np.linspace(0, 1, 4))
    both = Components(u=space, v=space)
    walls = {"v": {"x": Periodic(), "y": (None, Dirichlet([1.0, 2.0, 1.0]))}}
    nodes = Grid(x=np.arange(24.0))
    targets = np.sin(40.0 * X[:, 2:]) * (np.arange(24.0) < 12.0)  # of u, which is free
    model = BoundaryEnforcedOperator(Single(grid=nodes), walls, both)
    with pytest.warns(UserWarning, match="violate constraint 'v_y_right'"):
        batch = model.fit(X, targets).estimator_.boundary_
    period, wall = batch.embedding.faces
    assert (period.kind, period.component, period.values) == ("periodic", 1, slice(0, 0))
    assert (wall.axis, wall.side, wall.shape, wall.values) == (1, "right", (3,), slice(0, 3))
    np.testing.assert_array_equal(batch.values, np.tile([1.0, 2.0, 1.0], (30, 1)))


def test_a_pipeline_in_reading_order():
    law = ConservationLaw("x", integral)
    model = make_constrained_pipeline(StandardScaler(), Single(), BOUNDARY, law, grid=GRID)
    u = model.fit(X, Y).predict(X)
    assert model.estimator_.method_ == "lift"
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_allclose(u @ GRID.weights(), integral(X), rtol=1e-13)
    alone = make_constrained_pipeline(Single(), BOUNDARY, method="lift")
    assert isinstance(alone, BoundaryEnforcedOperator)
    assert alone.grid is not None and alone.method == "lift"
    with pytest.raises(ValueError, match="at most one boundary"):
        make_constrained_pipeline(Single(), BOUNDARY, BOUNDARY)
    with pytest.raises(ValueError, match="Constraints come last"):
        make_constrained_pipeline(BOUNDARY, Single())


def test_a_plain_net_is_lifted():
    torch, skorch = pytest.importorskip("torch"), pytest.importorskip("skorch")
    net = skorch.NeuralNetRegressor(
        torch.nn.Linear,
        module__in_features=3,
        module__out_features=len(GRID["x"]),
        max_epochs=2,
        train_split=None,
        verbose=0,
    )
    model = fitted(make_pipeline(StandardScaler(), net), random_state=0)
    u = model.predict(X)
    assert model.method_ == "lift" and u.dtype == np.float64
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)
    projected = fitted(net, method="project", random_state=0)
    np.testing.assert_allclose(projected.predict(X)[:, 0], X[:, 0], rtol=1e-13)
    with pytest.raises(ValueError, match="Linear has none"):
        fitted(net, method="kernel")

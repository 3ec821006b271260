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
from skphys.constraints import (
    Column,
    ConservationLaw,
    ConstraintSet,
    Dirichlet,
    FromInput,
    Neumann,
    Periodic,
    Robin,
)
from skphys.estimators._embedding import numeric_inputs
from skphys.estimators._packed import boundary_batch
from skphys.grids import Axis, Components, Grid

pytest.importorskip("torch")
pytest.importorskip("skphys.neural._field_net")

GRID = Grid(x=np.linspace(0.0, 1.0, 24))
WALLS = {"x": (Dirichlet(FromInput()), Neumann(Column(-1)))}


def fno(**params):
    params = {"n_modes": 3, "hidden_channels": 6, "n_layers": 2, "max_epochs": 3} | params
    return FNORegressor(random_state=0, **params)


def rod(grid=GRID, n_samples=12):
    """Cosines that keep their left end, with their slope on the right as a channel.

    And a wave of a size that only a net would try to learn.
    """
    x = grid["x"]
    rng = np.random.default_rng(0)
    a, k = rng.uniform(1.0, 2.0, (2, n_samples, 1))
    slope = np.broadcast_to(-a * k * np.sin(k), (n_samples, len(x)))
    wave = 0.1 * np.sin(60.0 * a * k) * x * (1.0 - x) ** 4
    return np.concatenate([a * np.cos(k**2 * x), slope], axis=1), a * np.cos(k * x) + wave


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


METHODS = [
    {"method": "project"},
    {"method": "lift"},
    {"method": "kernel"},
    {"method": "kernel_block"},
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
@pytest.mark.parametrize(
    "params",
    [{}, {"n_members": 3}, {"heteroscedastic": True}, {"n_members": 2, "heteroscedastic": True}],
    ids=["one", "members", "heteroscedastic", "both"],
)
def test_boundaries_hold(method, params):
    model = BoundaryEnforcedOperator(fno(**params), WALLS, GRID, **method).fit(X, Y)
    u = model.predict(X)
    assert u.dtype == np.float64 and model.method_ == method["method"]
    check_boundary(u, GRID["x"], X)
    if params:
        std = model.predict_std(X)
        np.testing.assert_array_equal(std[:, 0], 0.0)
        assert (std[:, 1:] > 0.0).all()
        for draw in np.moveaxis(model.sample_y(X, 2), -1, 0):
            check_boundary(draw, GRID["x"], X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)


def test_the_net_of_each_method():
    """What the boundary makes of the net, not only of its output."""
    nets = {}
    for method in METHODS:
        lift = {"background": "smooth"} if method["method"] == "lift" else {}
        model = BoundaryEnforcedOperator(fno(), WALLS, GRID, **method, **lift).fit(X, Y)
        nets["-".join(method.values())] = model.estimator_.net_.module_
    assert nets["project"].inputs is None and nets["project"].vanish is None
    assert nets["lift"].vanish is not None and len(nets["lift"].inputs.faces) == 2
    for method, pivot in (("kernel", "scalar"), ("kernel_block", "block")):
        layers = nets[method].fno.spectral
        assert {layer.correction.walls[0].pivot for layer in layers} == {pivot}
    assert nets["lift"].fno.spectral[0].correction is None


@pytest.mark.parametrize("padding", [0.2, "reflect"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
def test_padding_cells_and_uneven_spacing(method, padding):
    edges = np.linspace(0.0, 1.0, 25) ** 1.2
    for grid in (Grid(x=edges[1:]), Grid(x=Axis.cells(edges))):
        X, y = rod(grid)
        walls = {"x": (Dirichlet(1.0), Robin(1.0, 2.0, Column(-1)))}
        model = BoundaryEnforcedOperator(fno(padding=padding), walls, grid, **method)
        with pytest.warns(UserWarning, match="violate constraint"):
            model.fit(X, y)
        residuals = model.constraint_residuals(X)
        for (_, face), residual in zip(model.constraints_, residuals.T, strict=True):
            size = np.abs(face.stencil(grid)).sum() * np.abs(model.predict(X)).max()
            assert np.abs(residual).max() < 1e-12 * size


PLANE = Grid(x=np.linspace(0.0, 1.0, 8), y=np.linspace(0.0, 1.0, 7) ** 1.2)
PLANAR = {"x": (Dirichlet(1.0), Neumann(0.5)), "y": (None, Dirichlet(1.0 + 0.5 * PLANE["x"]))}
OTHER = {"x": Neumann(0.0, order=1), "y": (Robin(1.0, 1.0, 2.0), None)}


@pytest.mark.parametrize("padding", [0.0, 0.25, "reflect"])
@pytest.mark.parametrize("pivot", ["kernel", "kernel_block"])
@pytest.mark.parametrize("walls", [{"u": PLANAR, "v": PLANAR}, {"u": PLANAR, "v": OTHER}])
def test_kernels_on_a_plane_with_components(walls, pivot, padding):
    grid = Components(u=PLANE, v=PLANE)
    inputs, fields = np.random.default_rng(0).normal(size=(2, 12, 2 * 56))
    model = BoundaryEnforcedOperator(fno(padding=padding), walls, grid, method=pivot)
    with pytest.warns(UserWarning, match="violate constraint"):
        model.fit(inputs, fields)
    assert model.method_ == pivot
    spectral = model.estimator_.net_.module_.fno.spectral
    assert len(spectral[0].correction.walls) == (2 if walls["v"] is PLANAR else 4)
    u = model.predict(inputs)
    assert np.isfinite(u).all()
    for (_, face), residual in zip(
        model.constraints_,
        np.split(model.constraint_residuals(inputs), ends(model), 1),
        strict=True,
    ):
        size = np.abs(face.stencil(grid)).sum() * np.abs(u).max()
        assert np.abs(residual).max() < 1e-12 * size


def ends(model):
    """Return where the rows of each face end but of the last."""
    grid = model.grid_
    sizes = [len(face.on(grid).kept) for _, face in model.constraints_]
    return np.cumsum(sizes)[:-1]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
def test_ends_that_agree(method):
    """Periodic on nodes, both ends among them."""
    waves = np.sin(2.0 * np.pi * GRID["x"] + X[:, :1])
    model = BoundaryEnforcedOperator(fno(), {"x": Periodic()}, GRID, **method).fit(X, waves)
    u = model.predict(X)
    np.testing.assert_allclose(u[:, 0], u[:, -1], atol=1e-14)
    assert model.method_ == method["method"]


def test_a_search_over_methods():
    model = BoundaryEnforcedOperator(fno(), WALLS, GRID)
    grid = {"method": ["project", "lift", "kernel", "kernel_block"]}
    search = GridSearchCV(model, grid, scoring="neg_mean_squared_error", cv=2).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    check_boundary(search.predict(X), GRID["x"], X)


@pytest.mark.parametrize("n_samples", [1, 2])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
def test_few_samples(method, n_samples):
    model = BoundaryEnforcedOperator(fno(), WALLS, GRID, **method)
    check_boundary(model.fit(X[:n_samples], Y[:n_samples]).predict(X), GRID["x"], X)


def test_the_relative_loss_is_of_whole_fields():
    """A lift leaves little; what counts as relative is the field all the same."""
    fields = 100.0 + np.sin(np.outer(Y[:, 3], 5.0 * GRID["x"]))
    walls = {"x": (Dirichlet(100.0), None)}
    model = BoundaryEnforcedOperator(fno(max_epochs=1, lr=1e-9), walls, GRID).fit(X, fields)
    inputs = numeric_inputs(X, ConstraintSet(model.constraints_, GRID))
    rest = model.background_(inputs, np.full((len(X), 1), 100.0))
    batch = boundary_batch(model.constraints_, GRID, "lift", X)
    missed = fields - rest - model.estimator_.predict(X, boundary=batch)
    expected = np.mean(np.linalg.norm(missed, axis=1) / np.linalg.norm(fields, axis=1))
    np.testing.assert_allclose(model.estimator_.history_["train_loss"][0, 0], expected, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(method.values()))
def test_a_finer_grid(method):
    fine = Grid(x=np.linspace(0.0, 1.0, 70))
    model = BoundaryEnforcedOperator(fno(), WALLS, GRID, **method).fit(X, Y).on_grid(fine)
    model = pickle.loads(pickle.dumps(model))
    inputs, _ = rod(fine)
    check_boundary(model.predict(inputs), fine["x"], inputs)
    assert model.n_features_in_ == inputs.shape[1]
    walls = {"x": (None, Neumann(Column(47)))}
    model = BoundaryEnforcedOperator(fno(), walls, GRID, **method).fit(X, Y)
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
    finer = Grid(t=np.linspace(0, 1, 5), x=np.linspace(0, 1, 9), y=Axis.periodic(0, 1, 12))
    both = Components(u=finer, v=finer)
    moved = pickle.loads(pickle.dumps(model.on_grid(both)))
    u = both.split(moved.predict(np.ones((3, finer.n_points))))["u"].reshape(-1, *finer.shape)
    np.testing.assert_allclose(u[:, 0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(u[:, :, 0], 1.0, rtol=1e-12)


@pytest.mark.parametrize("params", [{"n_members": 3}, {"heteroscedastic": True}])
@pytest.mark.parametrize("method", ["project", "lift"])
def test_a_plane_with_values_along_its_walls(method, params):
    """Per sample and per point; the values come with the fields."""
    plane = Grid(x=np.linspace(0, 1, 7), y=np.linspace(0, 1, 6))
    a = np.random.default_rng(0).uniform(1.0, 2.0, (10, 1, 1))
    fields = np.sin(a * plane["x"][:, None] + plane["y"]).reshape(10, -1)
    walls = {"x": Dirichlet(FromInput()), "y": (Dirichlet(FromInput()), None)}
    model = BoundaryEnforcedOperator(fno(n_modes=2, **params), walls, plane, method=method)
    u, std = model.fit(fields, fields).predict(fields, return_std=True)
    u, std, wanted = (part.reshape(10, 7, 6) for part in (u, std, fields))
    for side in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0]):
        np.testing.assert_allclose(u[side], wanted[side], rtol=1e-12)
        np.testing.assert_array_equal(std[side], 0.0)
    assert (std[:, 1:-1, 1:] > 0.0).all()


def test_the_same_random_state_gives_the_same_result():
    waves = np.cos(3.0 * Y) - np.cos(3.0 * Y[:, :1])  # nothing that a linear map could predict
    walls = {"x": (Dirichlet(0.0), None)}

    def predict(seed):
        model = BoundaryEnforcedOperator(fno().set_params(random_state=None), walls, GRID)
        return model.set_params(random_state=seed).fit(X, waves).predict(X)

    np.testing.assert_array_equal(predict(0), predict(0))
    assert np.abs(predict(0) - predict(1)).max() > 1e-3

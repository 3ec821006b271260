"""Regressors that a background can be: against scikit-learn, and refits without each sample."""

import itertools

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process.kernels import RBF, Matern
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KernelCenterer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skphys import BoundaryEnforcedOperator
from skphys.constraints import Column, Dirichlet, Neumann, boundary_constraints
from skphys.datasets import make_burgers_riemann, make_heat_rod
from skphys.estimators._background import Background
from skphys.estimators._candidates import LENGTHS, Affine, Kernel, Refitted
from skphys.estimators._lifted import Seen
from skphys.estimators._packed import boundary_batch
from skphys.estimators._ridge import RIDGES, gaussian, matern
from skphys.estimators._stencil_error import student
from skphys.grids import Axis, Components, Grid

SINGLE = [slice(k, k + 1) for k in range(3)]
KERNELS = {gaussian: RBF, matern: lambda length: Matern(length, nu=2.5)}


def curved(n=20, seed=0, noise=0.05):
    X = np.random.default_rng(seed).normal(size=(n, 3)) * [1.0, 10.0, 0.1] + 5.0
    Z = (X - 5.0) / [1.0, 10.0, 0.1]
    y = np.sin(Z[:, :1] * np.arange(1.0, 7.0) * 0.3) + Z[:, 1:2] * Z[:, 2:] * 0.2
    return X, y + noise * np.random.default_rng(9).normal(size=y.shape)


def refits(K, y, alpha):
    """The residuals of scikit-learn's kernel ridge regression, without each sample in turn."""
    left = []
    for i in range(len(y)):
        rest = np.delete(np.arange(len(y)), i)
        mean = y[rest].mean(axis=0)
        model = make_pipeline(KernelCenterer(), KernelRidge(alpha=alpha, kernel="precomputed"))
        model.fit(K[np.ix_(rest, rest)], y[rest] - mean)
        left.append(y[i] - mean - model.predict(K[[i]][:, rest])[0])
    return np.array(left)


def test_the_kernel_is_that_of_least_error_without_each_sample(monkeypatch):
    ours = RIDGES[2:]  # smaller ones are beyond refits by Cholesky factors
    monkeypatch.setattr("skphys.estimators._ridge.RIDGES", ours)
    X, y = curved(14, noise=0.2)
    found, pca = Kernel().fit(X, SINGLE, y), PCA().fit(y)
    Z, sizes, tried = StandardScaler().fit_transform(X), pca.transform(y), {}
    squares = ((Z[:, None] - Z) ** 2).sum(axis=2)
    median = np.median(squares[squares > 0.0])
    for kernel, length in itertools.product(KERNELS, LENGTHS):
        K = KERNELS[kernel](np.sqrt(length * median))(Z)
        largest = np.linalg.eigvalsh(KernelCenterer().fit_transform(K.copy()))[-1]
        ridges = [ridge * largest for ridge in (*ours, 1e12)]  # the last is that of the mean
        left = np.array([refits(K, sizes, ridge) for ridge in ridges])
        best = np.argmin(np.sum(left**2, axis=1), axis=0)
        told = np.stack([left[k, :, j] for j, k in enumerate(best)], axis=1)
        tried[kernel, length] = np.linalg.norm(told, axis=1).mean(), told, np.array(ridges)[best]
    kernel, length = min(tried, key=lambda key: tried[key][0])
    _, told, ridges = tried[kernel, length]
    assert found.kernel is kernel
    np.testing.assert_allclose(found.square, length * median)
    finite = np.isfinite(found.dual.ridges)
    np.testing.assert_allclose(found.dual.ridges[finite], ridges[finite])
    assert (ridges[~finite] > 1e9).all() and 0 < finite.sum() < len(finite)
    np.testing.assert_allclose(found.left_out, told @ pca.components_, rtol=1e-6, atol=1e-9)


def test_its_predictions_are_those_of_kernel_ridge_regression():
    X, y = curved()
    found, scaler, pca = Kernel().fit(X, SINGLE, y), StandardScaler().fit(X), PCA().fit(y)
    kernel = KERNELS[found.kernel](np.sqrt(found.square))
    alpha = np.minimum(found.dual.ridges, 1e15)
    model = make_pipeline(KernelCenterer(), KernelRidge(alpha=alpha, kernel="precomputed"))
    nodes, other = scaler.transform(X), scaler.transform(curved(seed=1)[0])
    model.fit(kernel(nodes), pca.transform(y))
    expected = pca.inverse_transform(model.predict(kernel(other, nodes)))
    np.testing.assert_allclose(found(curved(seed=1)[0]), expected, rtol=1e-6, atol=1e-8)


def test_a_linear_map_whose_coefficients_vary_is_kernel_ridge_regression_with_a_product(
    monkeypatch,
):
    """The first feature is a parameter; the other two are a field, in units of its component."""
    monkeypatch.setattr("skphys.estimators._ridge.RIDGES", RIDGES[3:])  # for Cholesky factors
    X, y = curved()
    groups, n = [slice(1, 3), slice(0, 1)], len(X)
    found, pca = Kernel(n_inputs=3).fit(X, groups, y), PCA().fit(y)
    other = curved(seed=1)[0]
    size = np.linalg.norm(X[:, 1:] - X[:, 1:].mean(axis=0), 2) / np.sqrt(n)

    def units(Z):
        return (Z - X.mean(axis=0)) / [X[:, 0].std(), size, size]

    def product(Z, W):
        of_parameter = KERNELS[found.kernel](np.sqrt(found.square))(Z[:, :1], W[:, :1])
        return of_parameter * (1.0 + Z[:, 1:] @ W[:, 1:].T)

    nodes, sizes = units(X), []
    for ridge, size_of_mode in zip(found.dual.ridges, pca.transform(y).T, strict=True):
        alpha = min(ridge, 1e15)
        model = make_pipeline(KernelCenterer(), KernelRidge(alpha=alpha, kernel="precomputed"))
        model.fit(product(nodes, nodes), size_of_mode)
        sizes.append(model.predict(product(units(other), nodes)))
    expected = pca.inverse_transform(np.stack(sizes, axis=1))
    np.testing.assert_allclose(found(other), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_inputs", [None, 3])
def test_errors_grow_as_those_of_a_process_whose_mean_is_not_known(n_inputs):
    """Universal kriging, written out: what is not known of a sample, and of each left-out one."""
    X, y = curved(30)
    groups = [slice(1, 3), slice(0, 1)]
    found = Kernel(n_inputs=n_inputs).fit(X, groups, y)
    ridge, ones = found.dual.ridges[0], np.ones(30)
    assert np.isfinite(ridge)

    def gram(Z, W):
        curved = found.curved
        squares = ((Z[:, None, curved] - W[:, curved]) ** 2).sum(axis=2)
        return (1.0 + Z[:, ~curved] @ W[:, ~curved].T) * found.kernel(squares / found.square)

    def variance(nodes, one):
        K = gram(nodes, nodes) + ridge * np.eye(len(nodes))
        k, own, constant = gram(nodes, one)[:, 0], gram(one, one)[0, 0], ones[: len(nodes)]
        told, mean = np.linalg.solve(K, np.stack([k, constant], axis=1)).T
        return own - k @ told + (1.0 - constant @ told) ** 2 / (constant @ mean) + ridge

    nodes = found.units(X)
    left = [variance(np.delete(nodes, i, axis=0), nodes[[i]]) for i in range(30)]
    far = 3.0 * (curved(8, seed=1)[0] - 5.0) + 5.0
    expected = [variance(nodes, Z[None]) / np.quantile(left, 0.95) for Z in found.units(far)]
    np.testing.assert_allclose(found.growth(far), np.sqrt(np.maximum(expected, 1.0)), rtol=1e-5)
    assert found.growth(far).max() > 1.5 and np.mean(found.growth(X) == 1.0) > 0.9


@pytest.mark.parametrize("candidate", [Affine, Kernel])
@pytest.mark.parametrize("n_axes", [1, 2])
def test_noise_is_told_by_waves_that_features_tell_nothing_of(candidate, n_axes):
    """Of a field of three waves it hands on the noise of three, and not that of all points."""
    axes = dict(zip("xy", [Axis.cells(np.linspace(0, 1, 25))] * n_axes, strict=False))
    grid, rng = Grid(**axes), np.random.default_rng(0)
    waves = np.cos(np.pi * np.outer([1, 2, 4], grid.points[:, 0]))
    X, new = rng.normal(size=(2, 300, 3))
    noise = 0.3 * rng.normal(size=(300, grid.n_points))
    errors = []
    for told in (grid, None):
        found = candidate(told).fit(X, SINGLE, X @ waves + noise)
        errors.append(np.sqrt(np.mean((found(new) - new @ waves) ** 2)))
        left = np.sqrt(np.mean(found.left_out**2))
        np.testing.assert_allclose(left, 0.3, rtol=0.02)
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("ridge_is_small", [False, True])
def test_errors_of_left_out_samples_are_those_of_others(ridge_is_small):
    """Also where the ridge is next to nothing, and rounding could feign accuracy."""
    X, y = curved(200)
    if ridge_is_small:
        y = np.sin(0.3 * (X[:, :1] - 5.0) + np.arange(6.0))
    found = Kernel().fit(X, SINGLE, y)
    Z, truth = curved(200, seed=1)
    if ridge_is_small:
        truth = np.sin(0.3 * (Z[:, :1] - 5.0) + np.arange(6.0))
    sizes = [np.linalg.norm(e, axis=1).mean() for e in (found.left_out, truth - found(Z))]
    assert sizes[1] < 2.0 * sizes[0]
    assert sizes[0] < (1e-4 if ridge_is_small else 0.3)


def test_a_field_counts_as_much_as_a_parameter_whatever_its_points_and_units():
    a = np.random.default_rng(0).normal(size=(30, 2))
    new = np.random.default_rng(1).normal(size=(10, 2))
    y = np.sin(a[:, :1] + np.arange(5.0)) * a[:, 1:]
    told = []
    for n, unit in [(8, 1.0), (800, 1e-6)]:
        shape = unit * np.sin(np.linspace(0.0, 1.0, n) + 0.1)
        X, Z = (np.column_stack([part[:, :1] * shape, 1e3 * part[:, 1]]) for part in (a, new))
        told.append(Kernel().fit(X, [slice(0, n), slice(n, n + 1)], y)(Z))
    np.testing.assert_allclose(*told, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", [Ridge(), DecisionTreeRegressor(random_state=0)])
@pytest.mark.parametrize("n", [12, 50])
def test_a_regressor_is_judged_by_folds(estimator, n):
    X, y = curved(n)
    found, left = Refitted(estimator).fit(X, SINGLE, y), np.empty_like(y)
    for train, test in KFold(min(20, n), shuffle=True, random_state=0).split(X):
        left[test] = y[test] - clone(estimator).fit(X[train], y[train]).predict(X[test])
    np.testing.assert_allclose(found.left_out, left, rtol=1e-12)
    expected = clone(estimator).fit(X, y).predict(X + 0.1)
    np.testing.assert_allclose(found(X + 0.1), expected, rtol=1e-12)
    assert not hasattr(estimator, "n_features_in_")


def test_a_regressor_of_fields_of_one_point():
    X, y = curved(30)
    forest = RandomForestRegressor(3, random_state=0)  # warns of targets in one column
    found = Refitted(forest).fit(X, SINGLE, y[:, :1])
    expected = clone(forest).fit(X, y[:, 0]).predict(X)
    np.testing.assert_array_equal(found(X), expected[:, None])
    assert found.left_out.shape == (30, 1)


def test_columns_of_one_unit():
    line, plane = Grid(x=np.linspace(0, 1, 5)), Grid(t=[0.0, 1.0], x=np.linspace(0, 1, 4))
    boundary = {"x": (Dirichlet(Column(0)), Neumann(0.0))}

    def columns(grid, n_inputs):
        seen = np.zeros((3, n_inputs))
        batch = boundary_batch(boundary_constraints(boundary, grid), grid, "lift", seen)
        found = Seen(seen, batch.values, batch.embedding, grid).columns
        return [(unit.start, unit.stop) for unit in found]

    assert columns(line, 2) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert columns(line, 11) == [(0, 5), (5, 10), (10, 11), (11, 12), (12, 13)]
    assert columns(plane, 5) == [(0, 4), (4, 5), (5, 7), (7, 9)]  # an input field without time


class Pupil(RegressorMixin, BaseEstimator):
    """Keeps what it is to learn, and predicts its mean."""

    def fit(self, X, y, *, boundary=None):
        self.y_, self.boundary_ = y, boundary
        return self

    def predict(self, X, *, boundary=None):
        return np.tile(self.y_.mean(axis=0), (len(X), 1))


GRID = Grid(x=np.linspace(0.0, 1.0, 24))
ENDS = {"x": (Dirichlet(Column(0)), Dirichlet(Column(1)))}


def bent(n=60, seed=0):
    """Between two temperatures, with a source that is no affine function of them."""
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, size=(n, 3))
    x = GRID["x"]
    source = np.sin(2.0 * X[:, 2:] + X[:, :1] * X[:, 1:2])
    return X, X[:, :1] * (1.0 - x) + X[:, 1:2] * x + source * np.sin(np.pi * x)


def enforced(background, **params):
    return BoundaryEnforcedOperator(Pupil(), ENDS, GRID, background=background, **params)


def test_the_net_learns_what_is_left_of_left_out_fields():
    """A tree that knows its fields by heart leaves nothing of them to learn."""
    X, y = bent(150)
    tree = DecisionTreeRegressor(random_state=0)
    model = enforced(tree).fit(X, y)
    assert model.background_.kind_ == "DecisionTreeRegressor" and not model.background_.explained_
    told, features = np.empty_like(y), X[:, [2, 0, 1]]  # inputs, and boundary values behind them
    for train, test in KFold(20, shuffle=True, random_state=0).split(X):
        told[test] = clone(tree).fit(features[train], y[train]).predict(features[test])
    x, miss = GRID["x"], y - told
    expected = miss - miss[:, :1] * (1.0 - x) - miss[:, -1:] * x
    np.testing.assert_allclose(model.estimator_.y_, expected, atol=1e-12)
    std = student(150) * np.sqrt(np.mean(expected**2, axis=0))
    np.testing.assert_allclose(model.background_.std_, std, atol=1e-12)
    assert np.abs(model.background_(X[:, 2:], X[:, :2]) - y).max() < 1e-12 < std.max()


@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
def test_each_candidate_can_be_asked_for():
    X, y = bent()
    for name in ("none", "values", "smooth", "linear", "varying", "kernel"):
        model = enforced(name).fit(X, y)
        assert model.background_.kind_ == name and list(model.background_.errors_) == [name]
        u = model.predict(X)
        np.testing.assert_array_equal(u[:, [0, -1]], X[:, :2])
        assert name in repr(model.constraint_report(X, y))
    with pytest.raises(ValueError, match="'background' parameter"):
        enforced("cubic").fit(X, y)


def test_without_a_background_whole_fields_are_learned_and_values_are_told():
    X, y = bent()
    model = enforced("none").fit(X, y)
    np.testing.assert_array_equal(model.estimator_.y_, y)
    told = model.estimator_.boundary_
    assert told.embedding.method == "inputs"
    np.testing.assert_array_equal(told.values, X[:, :2])


def test_fields_that_few_numbers_decide_need_no_net():
    X, y = bent(300)
    model = enforced("auto").fit(X, y)
    assert model.background_.kind_ == "kernel" and model.background_.explained_
    Z, truth = bent(100, seed=1)
    mean, std = model.predict(Z, return_std=True)
    assert np.abs(mean - truth).mean() < 1e-3
    held = np.abs(mean - truth)[:, 1:-1] <= 1.645 * std[:, 1:-1]
    assert 0.8 < held.mean() < 1.0


def conducting(n, seed, size=1.0):
    """A linear equation whose coefficient is a column: what is left of a start, and of an end."""
    rng = np.random.default_rng(seed)
    rate, (a, b, end) = rng.uniform(0.5, 2.0, n), size * rng.normal(size=(3, n))
    x = GRID["x"]
    waves = np.sin(np.pi * np.outer([1.0, 2.0], x))
    start = a[:, None] * waves[0] + b[:, None] * waves[1]
    later = np.exp(-rate[:, None]) * a[:, None] * waves[0]
    later += (
        np.exp(-4.0 * rate[:, None]) * b[:, None] * waves[1] + end[:, None] * x ** rate[:, None]
    )
    return np.column_stack([start, rate, end]), later


def test_a_linear_equation_whose_coefficient_is_an_input_needs_no_net_and_carries():
    """Starts and ends ten times as large as those of training, where a kernel knows nothing."""
    walls = {"x": (Dirichlet(0.0), Dirichlet(Column(-1)))}
    X, y = conducting(60, 0)
    far, truth = conducting(40, 1, size=10.0)
    error = {}
    for background in ("auto", "linear", "kernel"):
        model = BoundaryEnforcedOperator(Pupil(), walls, GRID, background=background).fit(X, y)
        mean, std = model.predict(far, return_std=True)
        error[background] = np.linalg.norm(mean - truth) / np.linalg.norm(truth)
        if background == "auto":
            assert model.background_.kind_ == "varying" and model.background_.explained_
            held = np.mean(abs(mean - truth)[:, 1:-1] <= 1.645 * std[:, 1:-1])
            assert 0.8 < held
    assert error["auto"] < 1e-3 and error["linear"] > 0.05 < error["kernel"]


@pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")
def test_noise_that_all_leave_is_not_held_against_a_map():
    """It leaves a part that is too large, but for noise: of that a fifth is its own."""
    rods, other = (make_heat_rod(50, k=(0.002, 0.05), random_state=seed) for seed in (0, 1))
    noise = 0.02 * rods.target.std() * np.random.default_rng(0).normal(size=rods.target.shape)
    model = BoundaryEnforcedOperator(Pupil(), rods.boundary, rods.grid)
    found = model.fit(rods.data, rods.target + noise).background_
    assert found.kind_ == "varying" and found.explained_ and "but for noise" in found.reason_
    lifts = [found.errors_[name] for name in ("none", "values", "smooth")]
    assert found.errors_["varying"] > min(lifts) / 50
    error = np.linalg.norm(model.predict(other.data) - other.target)
    assert error < 0.04 * np.linalg.norm(other.target)


def test_beyond_its_fields_a_kernel_says_that_it_knows_little():
    X, y = bent(300)
    model, (Z, truth) = enforced("kernel").fit(X, y), bent(100, seed=1)
    known = model.predict_std(Z)[:, 1:-1]
    far = Z * [1.0, 1.0, 3.0]  # a stronger source
    x = GRID["x"]
    truth = far[:, :1] * (1.0 - x) + far[:, 1:2] * x
    truth += np.sin(2.0 * far[:, 2:] + far[:, :1] * far[:, 1:2]) * np.sin(np.pi * x)
    mean, std = model.predict(far, return_std=True)
    errors, std = abs(mean - truth)[:, 1:-1], std[:, 1:-1]
    outside = abs(far[:, 2]) > 1.2
    assert np.mean(errors[outside] <= 1.645 * known.mean()) < 0.1
    assert np.mean(errors[outside] <= 1.645 * std[outside]) > 0.7


def test_a_front_is_left_to_the_net():
    """Kernel ridge regression halves what a lift leaves, and would be in the net's way."""
    data = make_burgers_riemann(60, n_points=64, random_state=0)
    model = BoundaryEnforcedOperator(Pupil(), data.boundary, data.grid).fit(data.data, data.target)
    found = model.background_
    assert found.errors_["kernel"] < 0.5 * found.errors_["values"]
    assert found.kind_ == "values" and not found.explained_
    assert "no map" in found.reason_ and model.method_ == "lift"


def test_a_lid_is_felt_as_far_as_the_fields_say():
    """A thin layer at one wall: to carry its speed through would be worse than nothing."""
    grid = Grid(y=np.linspace(0.0, 1.0, 41))
    walls = {"y": (Dirichlet(0.0), Dirichlet(Column(0)))}
    speed = np.random.default_rng(0).uniform(1.0, 2.0, size=(40, 1))
    for depth, decay in [(0.03, 0.03), (0.1, 0.1), (0.3, 0.3)]:
        y = speed * np.sinh(grid["y"] / depth) / np.sinh(1.0 / depth)
        layer, noise = y, np.random.default_rng(1).normal(size=y.shape)
        y = y + 0.01 * noise * np.sin(np.pi * grid["y"])
        batch = boundary_batch(boundary_constraints(walls, grid), grid, "lift", speed)
        found = Background(batch.embedding, grid, "values").fit(speed, batch.values, y)
        assert found.chosen.decay == decay
        np.testing.assert_allclose(found(speed, batch.values), layer, atol=1e-12)


def test_it_is_a_parameter_like_any_other():
    X, y = bent()
    forest = RandomForestRegressor(5, random_state=0)
    model = BoundaryEnforcedOperator(Ridge(), ENDS, GRID, method="lift", background=forest)
    assert model.get_params()["background__n_estimators"] == 5
    assert clone(model).background is not forest
    wanted = ["none", "values", "kernel", forest]
    search = GridSearchCV(model, {"background": wanted}, cv=3).fit(X, y)
    assert search.best_params_["background"] == "kernel"
    assert not hasattr(forest, "estimators_")


def test_components_and_other_points():
    """The same map for both, and on a finer grid its fields interpolated."""
    X, y = bent(250)
    both, fine = (Components(u=grid, v=grid) for grid in (GRID, Grid(x=np.linspace(0, 1, 50))))
    model = BoundaryEnforcedOperator(Pupil(), {"u": ENDS, "v": ENDS}, both)
    model.fit(X, np.hstack([y, 2.0 * y - X[:, :1] * (1.0 - GRID["x"]) - X[:, 1:2] * GRID["x"]]))
    assert model.background_.kind_ == "kernel" and model.background_.explained_
    u = model.predict(X)
    source = (u[:, :24] - u[:, [0]] * (1.0 - GRID["x"]) - u[:, [23]] * GRID["x"]) * 2.0
    linear = X[:, :1] * (1.0 - GRID["x"]) + X[:, 1:2] * GRID["x"]
    np.testing.assert_allclose(u[:, 24:], linear + source, atol=1e-6)
    v = model.on_grid(fine).predict(X)
    np.testing.assert_array_equal(v[:, [0, 49]], X[:, :2])
    spline = CubicSpline(GRID["x"], u[:, :24], axis=1)(fine["u"]["x"])
    np.testing.assert_allclose(v[:, :50], spline, atol=1e-12)

"""Fields made of boundary values alone: smooth lifts, and the background of method="lift"."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from backbones import Plain
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.multioutput import MultiOutputRegressor
from sklearn.preprocessing import StandardScaler

from skphys import BoundaryEnforcedOperator, datasets
from skphys.constraints import (
    Column,
    ConstraintSet,
    Dirichlet,
    FromInput,
    Neumann,
    Periodic,
    Robin,
    boundary_constraints,
)
from skphys.estimators._background import Background
from skphys.estimators._candidates import Affine, Zero
from skphys.estimators._embedding import numeric_inputs
from skphys.estimators._lifted import ALL, DECAYS, VALUES, Lifted
from skphys.estimators._packed import boundary_batch, embed_boundary
from skphys.estimators._ridge import RIDGES
from skphys.grids import Axis, Components, Grid, resample
from skphys.neural import SmoothLift

RNG = np.random.default_rng(0)
CONDITIONS = {"D": Dirichlet(), "N": Neumann(), "R": Robin(2.0, 0.3, order=3), "-": None}
PAIRS = [(a, b) for a, b in itertools.product("DNR-", repeat=2)]


def grid_of(n_axes, location="nodes"):
    rng = np.random.default_rng(n_axes)
    edges = [np.cumsum(rng.uniform(0.5, 1.5, 7 + k)) for k in range(n_axes)]
    axes = edges if location == "nodes" else map(Axis.cells, edges)
    return Grid(**dict(zip("xyz", axes, strict=False)))


def embedded(boundary, grid):
    return embed_boundary(boundary_constraints(boundary, grid), grid, "lift")


def measured(embedding, grid, fields):
    """The left-hand sides of all conditions, by the faces' stencils, over whole faces."""
    parts = []
    for face in embedding.faces:
        u = np.moveaxis(fields.reshape(-1, *grid.shape), 1 + face.axis, -1) @ face.stencil
        parts.append((face, u.reshape(len(fields), -1)))
    return parts


def values_of(embedding, grid, fields):
    parts = [u for face, u in measured(embedding, grid, fields) if face.kind != "periodic"]
    return np.concatenate([np.empty((len(fields), 0)), *parts], axis=1)


@pytest.mark.parametrize("location", ["nodes", "cells"])
@pytest.mark.parametrize("walls", [*PAIRS, "periodic"], ids="".join)
@pytest.mark.parametrize("n_axes", [1, 2, 3])
@pytest.mark.parametrize("decay", [np.inf, 0.1])
def test_all_conditions_hold_for_compatible_values(n_axes, walls, location, decay):
    """Values that some field has: then faces agree at their edges, and all are met at once."""
    if walls == "periodic" and location == "cells":
        pytest.skip("cells have periods of their own")
    grid = grid_of(n_axes, location)
    first = Periodic() if walls == "periodic" else tuple(CONDITIONS[c] for c in walls)
    others = [(CONDITIONS["N"], CONDITIONS["D"]), (CONDITIONS["R"], CONDITIONS["N"])]
    boundary = dict(zip("xyz", [first, *others][:n_axes], strict=False))
    embedding = replace(embedded(boundary, grid), decay=decay)
    other = RNG.normal(size=(3, grid.n_points)).reshape(3, *grid.shape)
    if walls == "periodic":
        other[:, -1] = other[:, 0]
    other = other.reshape(3, -1)
    values = values_of(embedding, grid, other)
    lift, start = SmoothLift(embedding, grid), RNG.normal(size=other.shape)
    u = lift.correct(start, values)
    for face, found in measured(embedding, grid, u):
        wanted = values[:, face.values] if face.kind != "periodic" else 0.0
        np.testing.assert_allclose(found, wanted + 0.0 * found, atol=1e-9)
    np.testing.assert_allclose(lift.correct(u, values), u, atol=1e-9)


def test_lowest_degrees_in_closed_form():
    x = np.linspace(0.0, 2.0, 9)
    grid = Grid(x=x)
    for walls, values, expected in [
        ((Dirichlet(), Dirichlet()), [3.0, 5.0], 3.0 + x),
        ((Dirichlet(), None), [3.0], 3.0 + 0 * x),
        ((Dirichlet(), Neumann()), [3.0, 5.0], 3.0 + 5.0 * x),
        ((Neumann(), Neumann()), [1.0, 2.0], None),
    ]:
        u = SmoothLift(embedded({"x": walls}, grid), grid).correct(
            np.zeros((1, 9)), np.array([values])
        )
        if expected is None:
            parabola = -x + 0.75 * x**2
            u, expected = u - u.mean(), parabola - parabola.mean()
            np.testing.assert_allclose(np.diff(u[0], 3), 0.0, atol=1e-12)
        np.testing.assert_allclose(u[0], expected, atol=1e-12)


def test_decays_in_closed_form():
    """What is felt within a length d of its face solves ``d^2 u'' = u``."""
    x, d = np.linspace(0.0, 2.0, 9), 0.3
    grid, s = Grid(x=x), x / 2.0
    ends = replace(embedded({"x": (Dirichlet(), Dirichlet())}, grid), decay=d)
    u = SmoothLift(ends, grid).correct(np.zeros((1, 9)), np.array([[3.0, 5.0]]))
    expected = (3.0 * np.sinh((1.0 - s) / d) + 5.0 * np.sinh(s / d)) / np.sinh(1.0 / d)
    np.testing.assert_allclose(u[0], expected, rtol=1e-12)
    one = replace(embedded({"x": (None, Dirichlet())}, grid), decay=d)
    u = SmoothLift(one, grid).correct(np.zeros((1, 9)), np.array([[5.0]]))
    np.testing.assert_allclose(u[0], 5.0 * np.exp((s - 1.0) / d), rtol=1e-12)


def test_components_are_lifted_by_themselves():
    space, line = grid_of(2), Grid(x=np.linspace(0, 1, 5))
    both = Components(u=space, v=line)
    embedding = embedded({"v": {"x": (Dirichlet(), Dirichlet())}}, both)
    start = RNG.normal(size=(2, both.n_points))
    u = SmoothLift(embedding, both).correct(start, np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(u[:, : space.n_points], start[:, : space.n_points])
    np.testing.assert_allclose(u[:, [-5, -1]], [[1.0, 2.0], [3.0, 4.0]], rtol=1e-14)


LINE = Grid(x=np.linspace(0.0, 1.0, 12))
ENDS = {"x": (Dirichlet(Column(0)), None)}


def background(X, y, boundary=ENDS, grid=LINE, wanted="auto"):
    constraints = boundary_constraints(boundary, grid)
    batch = boundary_batch(constraints, grid, "lift", X)
    inputs = numeric_inputs(X, ConstraintSet(constraints, grid))
    found = Background(batch.embedding, grid, wanted).fit(inputs, batch.values, y)
    return found, inputs, batch.values


def linear_problem(n=25, n_inputs=4, noise=1e-3):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 1 + n_inputs)) * np.arange(1.0, 2.0 + n_inputs) + 3.0
    y = X @ rng.normal(size=(1 + n_inputs, LINE.n_points)) + 7.0
    y += noise * rng.normal(size=y.shape)
    y[:, 0] = X[:, 0]
    return X, y


@pytest.mark.parametrize("n_inputs", [4, 60])
def test_the_linear_map_is_ridge_regression_of_principal_components(n_inputs):
    """Against scikit-learn's, primal and dual, with a ridge for each that is chosen by refits."""
    X, y = linear_problem(n_inputs=n_inputs)
    X = np.concatenate([X, X[:, :1]], axis=1)  # inputs, and the boundary value behind them
    found = Affine().fit(X, [], y)
    scaler, pca = StandardScaler().fit(X), PCA().fit(y)
    Z, new, sizes = scaler.transform(X), scaler.transform(X + 0.3), pca.transform(y)
    largest = np.linalg.eigvalsh(Z @ Z.T)[-1]
    ridges = [ridge * largest for ridge in RIDGES] + [1e9 * largest]  # of the mean alone
    left = np.array([refits(Z, sizes, ridge) for ridge in ridges])
    best = np.argmin(np.sum(left**2, axis=1), axis=0)
    told = np.stack([left[k, :, j] for j, k in enumerate(best)], axis=1)
    np.testing.assert_allclose(found.left_out, told @ pca.components_, rtol=1e-5, atol=1e-8)
    alpha = np.array(ridges)[best]
    expected = pca.inverse_transform(Ridge(alpha, solver="svd").fit(Z, sizes).predict(new))
    np.testing.assert_allclose(found(X + 0.3), expected, rtol=1e-6, atol=1e-7)
    dual = KernelRidge(alpha=alpha).fit(Z, sizes).predict(new)
    np.testing.assert_allclose(found(X + 0.3), pca.inverse_transform(dual), rtol=1e-6, atol=1e-6)


def refits(Z, y, alpha):
    """The residuals of ridge regression without each sample in turn."""
    left = []
    for i in range(len(Z)):
        rest = np.arange(len(Z)) != i
        left.append(y[i] - Ridge(alpha, solver="svd").fit(Z[rest], y[rest]).predict(Z[[i]])[0])
    return np.array(left)


@pytest.mark.parametrize("name", ["none", "values", "smooth"])
def test_errors_of_the_smooth_lifts_are_those_of_leaving_one_out(name):
    """Of the decay with the least of them."""
    X, y = linear_problem(9)
    walls = {"x": (Dirichlet(Column(0)), Neumann(Column(1)))}
    slope = np.concatenate([np.zeros(9), [0.5, -2.0, 1.5]]) * 11.0
    X[:, 1] = y @ slope  # so that the fields obey
    found, inputs, values = background(X, y, walls)
    kinds = {"none": (), "values": VALUES, "smooth": ALL}[name]
    means = []
    for decay in DECAYS:
        lift = Lifted(Zero(), kinds).lift(found.embedding, LINE, decay)
        errors = []
        for i in range(9):
            rest = np.arange(9) != i
            left = y - lift.correct(np.zeros_like(y), values)
            errors.append(np.linalg.norm(left[i] - left[rest].mean(axis=0)))
        means.append(np.mean(errors))
    np.testing.assert_allclose(found.errors_[name], min(means), rtol=1e-10)
    alone, _, _ = background(X, y, walls, wanted=name)
    assert alone.kind_ == name and list(alone.errors_) == [name]
    decay = DECAYS[int(np.argmin(means))]
    assert alone.chosen.decay == decay or name == "none"
    lift = Lifted(Zero(), kinds).lift(found.embedding, LINE, decay)
    expected = lift.correct(np.zeros_like(y), values)
    np.testing.assert_array_equal(alone(inputs, values), expected)


@pytest.mark.parametrize("n_samples", [2, 3, 20, 60])
@pytest.mark.parametrize("n_inputs", [0, 1, 300])
def test_noise_is_not_mistaken_for_a_linear_operator(n_samples, n_inputs):
    """With more inputs than samples a small ridge interpolates; left-out samples tell."""
    X = RNG.normal(size=(n_samples, 1 + n_inputs))
    y = RNG.normal(size=(n_samples, LINE.n_points))
    y[:, 0] = X[:, 0]
    found, inputs, values = background(X, y)
    assert found.kind_ == ("values" if n_samples > 2 else min(found.errors_, key=found.errors_.get))
    if found.kind_ != "none":
        np.testing.assert_allclose(found(inputs, values)[:, 0], X[:, 0], atol=1e-13)


def test_equal_samples_do_not_vouch_for_each_other():
    """As in a bootstrap: without care, a map that interpolates would look perfect."""
    X = RNG.normal(size=(20, 300))
    y = RNG.normal(size=(20, LINE.n_points))
    y[:, 0] = X[:, 0]
    many = np.repeat(X, 3, axis=0), np.repeat(y, 3, axis=0)
    found, _, _ = background(*many)
    assert found.kind_ == "values"
    for name in ("linear", "kernel"):
        assert found.errors_[name] == background(X, y)[0].errors_[name]
        rest = background(*many, wanted=name)[0].take_rest()
        np.testing.assert_array_equal(rest[::3], rest[1::3])
        spread = np.linalg.norm(many[1] - many[1].mean(axis=0))
        assert np.linalg.norm(rest) > 0.9 * spread  # nothing can be learned


def test_linear_problems_and_others_are_told_apart():
    for make, kind in [
        (datasets.make_heat_rod, {"linear"}),
        (datasets.make_stokes, {"linear"}),
        (datasets.make_burgers_riemann, {"values"}),
    ]:
        data = make(40, random_state=0)
        X, y = np.asarray(data.data), np.asarray(data.target)
        found, inputs, values = background(X, y, data.boundary, data.grid)
        assert found.kind_ in kind
        rest = y - found(inputs, values)
        left = np.linalg.norm(rest - rest.mean(axis=0), axis=1).mean()
        spread = np.linalg.norm(y - y.mean(axis=0), axis=1).mean()
        assert left < (0.05 if "linear" in kind else 1.0) * spread


def test_one_sample_and_equal_samples():
    x = LINE["x"]
    for X in (np.ones((1, 2)), np.ones((5, 2))):
        y = np.tile(1.0 + x**2, (len(X), 1))
        found, inputs, values = background(X, y)
        lifted = found(inputs, values)  # the left value is given: a constant
        np.testing.assert_allclose(lifted, np.ones_like(y), atol=1e-13)
        np.testing.assert_allclose(found(inputs, values + 2.0), lifted + 2.0, atol=1e-13)


def test_features_that_do_not_vary_or_are_not_known():
    X, y = linear_problem(n_inputs=6)
    plain, inputs, values = background(X, y)
    assert plain.kind_ == "linear"
    noise = np.column_stack([X, np.full(len(X), 5.0), 1e-17 * RNG.normal(size=len(X))])
    more, more_inputs, _ = background(noise, y)
    np.testing.assert_allclose(more(more_inputs, values), plain(inputs, values), rtol=1e-6)
    unknown = np.column_stack([X, RNG.normal(size=len(X))])
    unknown[3, -1] = np.nan
    more, more_inputs, _ = background(unknown, y)
    np.testing.assert_allclose(more(more_inputs, values), plain(inputs, values), rtol=1e-6)
    inputs = inputs.copy()
    inputs[0, 2] = np.nan
    with pytest.warns(UserWarning, match="X has NaN or infinite values in columns"):
        assert np.isfinite(plain(inputs, values)).all()


def test_units_of_the_inputs_do_not_matter():
    X, y = linear_problem()
    one, inputs, values = background(X, y)
    units = 10.0 ** np.arange(-4.0, 8.0, 3.0)
    scaled = X * np.concatenate([[1.0], units])
    other, scaled_inputs, _ = background(scaled, y)
    np.testing.assert_allclose(other(scaled_inputs, values), one(inputs, values), rtol=1e-8)


def test_more_samples_than_are_used(monkeypatch):
    X, y = linear_problem(60)
    monkeypatch.setattr("skphys.estimators._background.MAX_SAMPLES", 20)
    found, inputs, values = background(X, y)
    assert found.kind_ == "linear" and len(found.chosen.candidate.dual.vectors) == 20
    rest = found.take_rest()
    assert rest.shape == y.shape and np.abs(rest).max() < 0.05
    assert np.abs(found(inputs, values) - y).max() < 0.05


def waves(X, x):
    """Linear in X, smooth in x."""
    return X[:, :1] * np.cos(x) + X[:, 1:] * np.sin(2.0 * x)


WAVY = {"x": (Dirichlet(FromInput()), Neumann(Column(-1)))}


def wave_inputs(x, n=20, seed=0):
    a = np.random.default_rng(seed).normal(size=(n, 2))
    field = waves(a, x)
    slope = -a[:, 0] * np.sin(1.0) + 2.0 * a[:, 1] * np.cos(2.0)
    return np.column_stack([field, slope]), field + x * (1.0 - x) ** 2 * waves(a[:, ::-1], x)


@pytest.mark.parametrize("nonlinear", [False, True])
def test_on_another_grid_to_the_accuracy_of_the_spline(nonlinear):
    errors = []
    for n in (12, 24):
        coarse, fine = Grid(x=np.linspace(0, 1, n)), Grid(x=np.linspace(0, 1, 61))
        (X, y), (Z, truth) = wave_inputs(coarse["x"]), wave_inputs(fine["x"])
        if nonlinear:  # constants, with the right ends
            y, truth = y**2 - y[:, :1] ** 2 + X[:, :1], truth**2 - truth[:, :1] ** 2 + Z[:, :1]
        found, inputs, values = background(X, y, WAVY, coarse)
        assert (found.kind_ == "linear") != nonlinear
        constraints = boundary_constraints(WAVY, fine)
        batch = boundary_batch(constraints, fine, "lift", Z)
        moved = pickle.loads(pickle.dumps(found.on_grid(batch.embedding, fine)))
        u = moved(numeric_inputs(Z, ConstraintSet(constraints, fine)), batch.values)
        np.testing.assert_allclose(u[:, 0], Z[:, 0], atol=1e-12)
        if nonlinear:
            spline = resample(found(inputs, values), coarse, fine)
            assert np.abs(u - spline).max() < 1e-3
        else:
            errors.append(np.abs(u - truth).max())
        back = moved.on_grid(found.embedding, coarse)(inputs, values)
        np.testing.assert_allclose(back, found(inputs, values), atol=1e-10)
    if not nonlinear:
        assert errors[1] < errors[0] / 8.0 and errors[1] < 1e-4


def test_as_many_points_elsewhere():
    """The same number of points is not the same points."""
    coarse = Grid(x=np.linspace(0, 1, 24))
    other = Grid(x=np.linspace(0, 1, 24) ** 1.2)
    X, y = wave_inputs(coarse["x"])
    Z, truth = wave_inputs(other["x"])
    found, _, _ = background(X, y, WAVY, coarse)
    constraints = boundary_constraints(WAVY, other)
    batch = boundary_batch(constraints, other, "lift", Z)
    moved = found.on_grid(batch.embedding, other)
    u = moved(numeric_inputs(Z, ConstraintSet(constraints, other)), batch.values)
    np.testing.assert_allclose(u, truth, atol=1e-4)
    with pytest.raises(ValueError, match=r"X has 30 input column\(s\), and had 24 in fit"):
        moved(np.zeros((20, 30)), batch.values)


@pytest.mark.parametrize(
    "axis",
    [
        lambda n: np.linspace(0.0, 1.0, n),
        lambda n: np.linspace(0.0, 1.0, n) ** 1.2,
        lambda n: Axis.cells(np.linspace(0.0, 1.0, n + 1)),
        lambda n: Axis.periodic(0.0, 1.0, n),
    ],
    ids=["nodes", "uneven", "cells", "periodic"],
)
def test_resampling_is_of_fourth_order(axis):
    def field(grid):
        return np.sin(2 * np.pi * grid["x"])[:, None] * np.exp(grid["y"])

    def error(n):
        old, new = (Grid(x=axis(m), y=np.linspace(0, 1, m)) for m in (n, 50))
        found = resample(field(old).reshape(1, -1), old, new)
        return np.abs(found.reshape(new.shape) - field(new)).max()

    assert error(32) < 1e-4 or "cells" in repr(axis(4))
    assert error(32) < error(16) / 8.0


def test_resampling_of_few_points():
    line = Grid(x=[0.0, 1.0])
    found = resample([[1.0, 3.0]], line, Grid(x=[-1e-17, 0.25, 1.0]))
    np.testing.assert_allclose(found, [[1.0, 1.5, 3.0]])
    np.testing.assert_array_equal(resample([[2.0]], Grid(x=[0.5]), line), [[2.0, 2.0]])


# BoundaryEnforcedOperator(method="lift") around regressors of all kinds


def tabular(n=30):
    X = np.random.default_rng(0).uniform(1.0, 2.0, (n, 3))
    x = LINE["x"]
    y = X[:, :1] + np.sin(3.0 * X[:, 1:2] * x) * X[:, 2:] * x
    return X, y


def lifted(backbone, X, y, **params):
    return BoundaryEnforcedOperator(backbone, ENDS, LINE, method="lift", **params).fit(X, y)


@pytest.mark.parametrize("backbone", [Ridge(), Plain(), RandomForestRegressor(5, random_state=0)])
def test_a_lift_suits_any_backbone_that_is_trained(backbone):
    X, y = tabular()
    model = lifted(backbone, X, y, background="values")
    assert model.method_ == "lift" and model.background_.kind_ in model.background_.errors_
    u = model.predict(X)
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), u)
    rest = y - model.background_(
        numeric_inputs(X, ConstraintSet(model.constraints_, LINE)), X[:, :1]
    )
    np.testing.assert_allclose(rest[:, 0], 0.0, atol=1e-13)
    expected = type(backbone)(**backbone.get_params()).fit(X, rest).predict(X)
    np.testing.assert_allclose(u - (y - rest), expected, atol=1e-9)


def test_tables_with_words_and_unknowns():
    X, y = tabular()
    frame = pd.DataFrame(X, columns=["left", "a", "b"]).assign(kind=["p", "q"] * 15)
    frame.loc[3, "b"] = np.nan
    walls = {"x": (Dirichlet("left"), None)}
    trees = MultiOutputRegressor(
        HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype")
    )
    frame["kind"] = frame["kind"].astype("category")
    model = BoundaryEnforcedOperator(trees, walls, LINE, method="lift").fit(frame, y)
    np.testing.assert_allclose(model.predict(frame)[:, 0], X[:, 0], rtol=1e-13)


def test_sparse_tables():
    X, y = tabular()
    model = lifted(Ridge(), sparse.csr_array(X), y)
    np.testing.assert_allclose(model.predict(sparse.csr_array(X))[:, 0], X[:, 0], rtol=1e-13)


@pytest.mark.parametrize("method", ["lift", "project"])
def test_one_point(method):
    X = np.random.default_rng(0).normal(size=(10, 2))
    model = BoundaryEnforcedOperator(Ridge(), ENDS, Grid(x=[0.0]), method=method)
    u = model.fit(X, X[:, 0]).predict(X)
    np.testing.assert_allclose(u, X[:, 0], rtol=1e-13)


@pytest.mark.parametrize("n_samples", [1, 2])
def test_few_samples(n_samples):
    X, y = (part[:n_samples] for part in tabular())
    u = lifted(Ridge(), X, y).predict(X + 1.0)
    np.testing.assert_allclose(u[:, 0], X[:, 0] + 1.0, rtol=1e-13)


def test_values_that_are_not_finite():
    X, y = tabular()
    model = lifted(Ridge(), X, y)
    with pytest.raises(ValueError, match=r"'x_left' is not known .NaN. for 30 of 30"):
        model.predict(X, constraint_values={"x_left": np.full(30, np.nan)})


def test_residuals_know_nothing_of_held_out_fields():
    """The background is found anew without each fold, or it would give its answers away."""
    X, y = tabular(40)
    rng = np.random.default_rng(1)
    noisy = np.concatenate([X, rng.normal(size=(40, 100))], axis=1)
    y[:, 1:] += noisy @ rng.normal(size=(103, 11))
    model = lifted(Ridge(1e-3), noisy, y, uncertainty="residual")
    folds = GroupKFold(5, shuffle=True, random_state=0)
    squares = []
    for train, test in folds.split(noisy, groups=np.arange(40)):
        part = lifted(clone(model.estimator), noisy[train], y[train])
        seen = numeric_inputs(noisy[test], ConstraintSet(part.constraints_, LINE))
        u = part.background_(seen, noisy[test, :1]) + part.estimator_.predict(noisy[test])
        squares.append((y[test] - u) ** 2)
    expected = np.sqrt(np.concatenate(squares).mean(axis=0))
    np.testing.assert_allclose(model.residual_std_, expected, rtol=1e-9, atol=1e-12)
    assert model.residual_std_.mean() > 10.0 * np.abs(model.predict(noisy) - y).mean()


def test_a_linear_background_goes_to_a_finer_grid_twice():
    pytest.importorskip("torch")
    from skphys import FNORegressor

    coarse = Grid(x=np.linspace(0, 1, 24))
    X, y = wave_inputs(coarse["x"])
    X = np.concatenate([X[:, :-1], np.repeat(X[:, -1:], 24, axis=1)], axis=1)
    fno = FNORegressor(2, 4, 2, max_epochs=1, random_state=0)
    model = BoundaryEnforcedOperator(fno, WAVY, coarse).fit(X, y)
    assert model.method_ == "lift" and model.background_.kind_ == "linear"
    u = model.predict(X)
    np.testing.assert_allclose(u, y, atol=0.02)
    middle = model.on_grid(Grid(x=np.linspace(0, 1, 30)))
    np.testing.assert_allclose(middle.on_grid(coarse).predict(X), u, atol=1e-7)

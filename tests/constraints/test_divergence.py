"""Flows without divergence: rows against stream functions, walls, and exactness on 64 x 64."""

import warnings
from functools import reduce

import numpy as np
import pytest
from backbones import Stored, WithStd
from scipy.linalg import null_space
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.constraints import Dirichlet, DivergenceFree, boundary_constraints
from skphys.datasets import make_lid_driven_cavity
from skphys.grids import Axis, Components, Grid, Mesh, face_grids
from skphys.metrics import conservation_error

RNG = np.random.default_rng(0)
EDGES = {
    "x": np.array([0.0, 0.3, 0.5, 1.1, 1.4, 1.5]),
    "y": np.array([-1.0, 0.0, 0.2, 0.7, 0.9]),
    "z": np.array([0.0, 0.5, 2.0, 2.5]),
}
KINDS = {
    "nodes": Axis,
    "cells": Axis.cells,
    "ring": lambda e: Axis(e[:-1], period=e[-1] - e[0]),
    "ring of cells": lambda e: Axis(0.5 * (e[1:] + e[:-1]), edges=e, period=e[-1] - e[0]),
}
NAMES = ("u", "v", "w")


def space(kind, names="xy"):
    return Grid(**{name: KINDS[kind](EDGES[name]) for name in names})


def flow_on(grid, n_components=2):
    return Components(**dict.fromkeys(NAMES[:n_components], grid))


def staggered(grid):
    faces = face_grids(grid).values()
    return Components(**dict(zip(NAMES, faces, strict=False)))


def even(n, n_y=None):
    return flow_on(Grid(x=np.linspace(0, 1, n), y=np.linspace(0, 1, n_y or n)))


def central(axis):
    """Return central differences; at ends that have none, anything."""
    n, x = axis.size, axis.points
    matrix = RNG.normal(size=(n, n))
    if axis.period is None:
        inner = range(1, n - 1)
        matrix[inner] = 0.0
    else:
        inner, matrix = range(n), np.zeros((n, n))
    for i in inner:
        width = (x[(i + 1) % n] - x[i - 1]) % (axis.period or np.inf)
        matrix[i, (i + 1) % n], matrix[i, i - 1] = 1.0 / width, -1.0 / width
    return matrix


def derivative(grid, name):
    parts = [central(a) if n == name else np.eye(a.size) for n, a in grid.axes.items()]
    return reduce(np.kron, parts)


@pytest.mark.parametrize("kind", ["nodes", "ring"])
def test_differences_of_a_stream_function_obey_the_rows(kind):
    grid = space(kind)
    psi = RNG.normal(size=grid.n_points)
    u, v = derivative(grid, "y") @ psi, -derivative(grid, "x") @ psi
    rows = DivergenceFree().rows(flow_on(grid)).toarray()
    inner = [n - 2 * (kind == "nodes") for n in grid.shape]
    assert len(rows) == np.prod(inner)
    np.testing.assert_allclose(rows @ np.concatenate([u, v]), 0.0, atol=1e-12)
    assert (np.abs(rows @ np.concatenate([u, -v])) > 1e-3).all()


def test_differences_of_a_vector_potential_obey_the_rows():
    grid = space("nodes", "xyz")
    a, b, c = RNG.normal(size=(3, grid.n_points))
    x, y, z = (derivative(grid, name) for name in "xyz")
    velocity = np.concatenate([y @ c - z @ b, z @ a - x @ c, x @ b - y @ a])
    rows = DivergenceFree(NAMES).rows(flow_on(grid, 3))
    assert rows.shape[0] == 4 * 3 * 2
    np.testing.assert_allclose(rows @ velocity, 0.0, atol=1e-12)


@pytest.mark.parametrize("kind", ["nodes", "cells"])
@pytest.mark.parametrize("layout", [flow_on, staggered])
def test_linear_fields_have_their_divergence(kind, layout):
    flow = layout(space(kind))
    velocity = {"u": 2.0 + 3.0 * flow["u"].points[:, 0] - flow["u"].points[:, 1]}
    velocity["v"] = 1.0 + 0.5 * flow["v"].points[:, 1] + flow["v"].points[:, 0]
    field = flow.stack({name: values[None] for name, values in velocity.items()})
    rows = DivergenceFree().rows(flow)
    if layout is flow_on or kind == "cells":  # halves of volumes have their points at the end
        np.testing.assert_allclose(field @ rows.T, 3.5, rtol=1e-12)
    whole = (5, 4) if kind == "cells" else (6, 5)
    assert rows.shape[0] == (4 * 3 if (kind, layout) == ("nodes", flow_on) else np.prod(whole))


@pytest.mark.parametrize("kind", ["cells", "ring", "ring of cells"])
@pytest.mark.parametrize("layout", [flow_on, staggered])
def test_what_leaves_one_volume_enters_the_next(kind, layout):
    grid = space(kind)
    flow = layout(grid)
    total = grid.integral_rows().toarray()[0] @ DivergenceFree().rows(flow).toarray()
    if kind != "cells":
        np.testing.assert_allclose(total, 0.0, atol=1e-12)
        return
    walls = {name: {axis: Dirichlet()} for name, axis in (("u", "x"), ("v", "y"))}
    net = np.zeros(flow.n_points)
    for label, face in boundary_constraints(walls, flow):
        lengths = grid.axes["y" if "_x_" in label else "x"].weights()
        net += (1 if "right" in label else -1) * lengths @ face.rows(flow).toarray()
    np.testing.assert_allclose(total, net, atol=1e-12)


@pytest.mark.parametrize("order", ["txy", "xyt"])
def test_one_row_for_each_time(order):
    plane = space("nodes")
    axes = {**plane.axes, "t": Axis([0.0, 0.1, 0.3])}
    grid = Grid(**{name: axes[name] for name in order})
    field = RNG.normal(size=(2, *grid.shape))
    once = DivergenceFree().rows(flow_on(plane))
    moved = np.moveaxis(field, 1 + order.index("t"), 0)
    expected = np.stack([once @ each.ravel() for each in moved])
    found = DivergenceFree().rows(flow_on(grid)) @ field.ravel()
    shape = [n - 2 * (name != "t") for name, n in zip(order, grid.shape, strict=True)]
    found = np.moveaxis(found.reshape(shape), order.index("t"), 0)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-12)


def test_components_may_point_along_any_axes():
    grid = space("nodes", "xyz")
    swapped = DivergenceFree(("v", "u"), axes=("x", "z")).rows(flow_on(grid)).toarray()
    field = np.concatenate([2.0 * grid.points[:, 2], 3.0 * grid.points[:, 0]])
    assert swapped.shape == (4 * 5 * 2, 2 * grid.n_points)
    np.testing.assert_allclose(swapped @ field, 5.0, rtol=1e-12)


def smooth(flow):
    """Return the velocity of the stream function sin(3 x + y) cos(y)."""
    x, y = flow["u"].points.T
    return np.concatenate([np.cos(3 * x + 2 * y), -3.0 * np.cos(3 * x + y) * np.cos(y)])[None]


@pytest.mark.parametrize("kind", ["nodes", "cells"])
def test_smooth_flows_obey_to_second_order_and_within_the_estimate(kind):
    largest = []
    for n in (20, 40):
        flow = flow_on(Grid(**dict.fromkeys("xy", KINDS[kind](np.linspace(0, 1, n + 1)))))
        law, field = DivergenceFree(), smooth(flow)
        miss, estimate = np.abs(field @ law.rows(flow).T), law.discretization_error(field, flow)
        assert (miss <= estimate).all()
        assert estimate.max() < 40.0 / n
        inner = miss.reshape(-1, round(miss.size**0.5))[1:-1, 1:-1]  # ends are of first order
        largest.append(inner.max())
    assert 3.5 < largest[0] / largest[1] < 4.5


def test_the_cavity_obeys_on_its_own_nodes():
    cavity = make_lid_driven_cavity(2, n_points=17, refinement=1, t=[0.1, 0.5], random_state=0)
    assert np.abs(conservation_error(cavity.target, DivergenceFree(), cavity.grid)).max() < 1e-14
    finer = make_lid_driven_cavity(2, n_points=17, refinement=2, t=[0.1, 0.5], random_state=0)
    miss = np.abs(conservation_error(finer.target, DivergenceFree(), finer.grid))
    assert 1e-3 < np.sqrt((miss**2).mean()) < 0.2


WALL = Dirichlet(0.0)
PLUG = {"u": {"x": (Dirichlet(1.0), Dirichlet(0.5)), "y": None}, "v": {"y": WALL}}


def walls(n):
    """Return walls at rest, but for a lid that moves."""
    x = np.linspace(0, 1, n)
    lid = Dirichlet(16.0 * (x * (1.0 - x)) ** 2)
    return {"u": {"x": WALL, "y": (WALL, lid)}, "v": {"x": WALL, "y": WALL}}


@pytest.mark.parametrize(("n", "n_y", "redundant"), [(8, 8, 0), (9, 9, 1), (9, 8, 0)])
def test_rows_beside_walls(n, n_y, redundant):
    flow = even(n, n_y)
    faces = boundary_constraints({"u": {"x": WALL, "y": WALL}, "v": {"x": WALL, "y": WALL}}, flow)
    rows = np.vstack([c.rows(flow).toarray() for _, c in [*faces, ("", DivergenceFree())]])
    assert null_space(rows.T).shape[1] == redundant


def prior_of(flow, n_fields=2):
    mean = RNG.normal(size=(n_fields, flow.n_points))
    return mean, RNG.uniform(0.2, 2.0, mean.shape)


def models(flow, boundary, backbone):
    """Return walls beside the law, and walls in a nested operator."""
    beside = [*boundary_constraints(boundary, flow), ("mass", DivergenceFree())]
    nested = BoundaryEnforcedOperator(backbone, boundary, flow, method="project")
    options = {"grid": flow, "error_model": "stated"}
    return (
        ConservationConstrainedRegressor(backbone, beside, **options),
        ConservationConstrainedRegressor(nested, DivergenceFree(), **options),
    )


def fitted(flow, boundary, mean, std):
    X = np.arange(len(mean), dtype=float)[:, None]
    backbone = FrozenEstimator(Stored(mean[None], std[None]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # these targets do not move with the walls
        return X, [model.fit(X, 0.0 * mean) for model in models(flow, boundary, backbone)]


@pytest.mark.parametrize("n", [8, 9])
def test_both_ways_to_have_walls_are_the_textbook_update(n):
    flow = even(n)
    mean, std = prior_of(flow)
    X, both = fitted(flow, walls(n), mean, std)
    constraints = [*boundary_constraints(walls(n), flow), ("mass", DivergenceFree())]
    rows = np.vstack([c.rows(flow).toarray() for _, c in constraints])
    values = np.concatenate([np.zeros(len(rows) - (n - 2) ** 2), np.zeros((n - 2) ** 2)])
    lid = next(c for name, c in constraints if name == "u_y_right")
    start = sum(len(c.rows(flow).toarray()) for name, c in constraints[:3])
    assert constraints[3][1] is lid
    values[start : start + n - 2] = lid.condition.value[1:-1]
    for i in range(2):
        S = np.diag(std[i] ** 2)
        gain = S @ rows.T @ np.linalg.pinv(rows @ S @ rows.T, rcond=1e-10)
        expected = mean[i] + gain @ (values - rows @ mean[i])
        variance = np.diag(S - gain @ rows @ S)
        for model in both:
            found, spread = model.predict(X, return_std=True)
            np.testing.assert_allclose(found[i], expected, atol=1e-9)
            np.testing.assert_allclose(spread[i] ** 2, variance, atol=1e-9)


def test_everything_is_exact_on_64_by_64():
    flow = even(64)
    mean, std = prior_of(flow)
    rows = DivergenceFree().rows(flow)
    X, both = fitted(flow, walls(64), mean, std)
    for model in both:
        found, spread = model.predict(X, return_std=True)
        draws = model.sample_y(X, n_samples=3, random_state=0)
        for field in [found, *np.moveaxis(draws, -1, 0)]:
            assert (np.abs(field @ rows.T) <= 1e-12 * (np.abs(field) @ abs(rows).T)).all()
            u, v = (part.reshape(-1, 64, 64) for part in flow.split(field).values())
            assert (u[:, 1:-1, -1] == walls(64)["u"]["y"][1].value[1:-1]).all()
            assert (v[:, [0, -1]] == 0).all()
        assert (flow.split(spread)["v"].reshape(-1, 64, 64)[:, :, 0] == 0).all()
        assert (spread <= std * (1 + 1e-12)).all()
        assert 0.5 < (spread.sum() / std.sum()) < 0.95


def test_more_in_than_out_is_an_error():
    flow = even(9)
    mean, std = prior_of(flow, 1)
    X, both = fitted(flow, PLUG, mean, std)
    for model in both:
        with pytest.raises(ValueError, match="cannot be met for row 0"):
            model.predict(X)


def test_a_flow_that_obeys_is_fitted_without_a_warning():
    cavity = make_lid_driven_cavity(8, n_points=13, refinement=1, t=0.3, random_state=0)
    X = np.column_stack([cavity.boundary_values["lid"], cavity.inputs[:, :3]])
    model = ConservationConstrainedRegressor(
        WithStd(), DivergenceFree(), cavity.grid, error_model="stated"
    )
    residuals = model.fit(X, cavity.target).constraint_residuals(X)
    assert np.abs(residuals).max() < 1e-13


def test_standard_deviations_stay_honest_under_more_rows_than_held_out_fields():
    # In the fields that a correlation is learned from, so many rows leave nothing open.
    flow = even(12)
    x, y = flow["u"].points.T
    waves = [np.sin((i + 1) * x + 2 * j * y + i * j) for i in range(4) for j in range(4)]
    modes = np.array([np.concatenate([a, 0 * a]) for a in waves])
    modes = np.vstack([modes, np.roll(modes, flow["u"].n_points, axis=1)])
    rng = np.random.default_rng(5)
    errors = rng.normal(size=(60, len(modes))) @ modes + 0.05 * rng.normal(size=(60, 288))
    X, held = np.arange(60.0)[:, None], slice(0, 15)
    backbone = FrozenEstimator(Stored(errors[None], None))
    model = ConservationConstrainedRegressor(
        backbone, DivergenceFree(), flow, calibration=(X[held], 0 * errors[held])
    )
    mean, std = model.fit(X, 0 * errors).predict(X[15:], return_std=True)
    assert 0.8 < np.mean(np.abs(mean) < 1.645 * std) < 0.97


def test_many_points_stay_sparse():
    flow = even(224)
    rows = DivergenceFree().rows(flow)
    assert flow.n_points > 1e5
    mean, std = prior_of(flow, 1)
    found = condition(Gaussian(mean, Diagonal(std**2)), rows, np.zeros(rows.shape[0])).mean
    assert (np.abs(found @ rows.T) <= 1e-12 * (np.abs(found) @ abs(rows).T)).all()


LINE = Grid(x=EDGES["x"])
MIXED = Components(u=Grid(x=EDGES["x"], y=EDGES["y"]), v=Grid(y=EDGES["y"], x=EDGES["x"]))
OTHER = Components(u=space("nodes"), v=Grid(x=EDGES["x"], y=EDGES["y"] + 1.0))


@pytest.mark.parametrize(
    ("params", "grid", "message"),
    [
        ({}, space("nodes"), "components='u' needs a grid of Components"),
        ({"components": ("u", "p")}, flow_on(space("nodes")), "unknown component 'p'"),
        ({"components": "u"}, flow_on(space("nodes")), "components must name .* got 'u'"),
        ({"components": ("u", "u")}, flow_on(space("nodes")), "each once"),
        ({}, flow_on(space("nodes", "xyz")), r"gives the axes \['x', 'y', 'z'\] for the comp"),
        ({"axes": ("x", "s")}, flow_on(space("nodes")), "axes names 's', which is no axis"),
        ({}, MIXED, r"same axes, in the same order; they have \[\['x', 'y'\], \['y', 'x'\]\]"),
        ({}, OTHER, "axis 'y' of the component along it is"),
        ({}, flow_on(Grid(x=[0.0, 1.0], y=EDGES["y"])), "axis 'x' has 2 point"),
    ],
)
def test_errors_name_the_parameter(params, grid, message):
    with pytest.raises(ValueError, match=message):
        DivergenceFree(**params).rows(grid)


def test_meshes_have_no_rows():
    mesh = Mesh([0.5, 1.5], [1.0, 1.0], [[0, 1]])
    with pytest.raises(TypeError, match="DivergenceFree needs Grids; 'u' has a Mesh"):
        DivergenceFree().rows(flow_on(mesh))


def test_one_warning_for_all_constraints():
    """Noise on a flow violates its law and all of its walls; that is one cause."""
    flow = make_lid_driven_cavity(6, n_points=9, t=0.1, refinement=1, random_state=0)
    noise = 0.3 * np.random.default_rng(0).standard_normal(flow.target.shape)
    walls = boundary_constraints(flow.boundary, flow.grid)
    both = [("flow", DivergenceFree()), *walls]
    model = ConservationConstrainedRegressor(Ridge(), both, flow.grid, error_model="stated")
    with pytest.warns(UserWarning, match="violate constraint 'flow' by up to") as found:
        model.fit(flow.data, flow.target + noise)
    assert len(found) == 1
    assert all(f"{name!r} by up to" in str(found[0].message) for name, _ in walls)

"""Local balances: exact in every volume, and together the global law."""

import numpy as np
import pytest
from backbones import WithCov, WithMembers, WithStd
from finite_volume_cases import (
    EDGES,
    GEOMETRIES,
    TIMES,
    grid_of,
    march,
    net_outflux,
    upwind,
)
from scipy import sparse
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import Ridge

from skphys import ConservationConstrainedRegressor
from skphys.constraints import (
    AdvectiveFlux,
    Column,
    ConservationLaw,
    ControlVolumeBalance,
    DiffusiveFlux,
    FieldTable,
    resolve_system,
)
from skphys.grids import Axis, Components, Grid, Mesh, control_volumes, face_grids

STEPS = np.diff(TIMES)
TABLE = FieldTable(np.arange(10.0).reshape(5, 2))


def system_of(constraint, grid, table=TABLE):
    system = resolve_system(constraint, grid, table)
    rows = system.rows.toarray() if sparse.issparse(system.rows) else system.rows
    return rows, system.values


def random_velocity(volumes, seed=0):
    return np.random.default_rng(seed).normal(size=volumes.n_faces)


def balance_by_loop(volumes, u, fluxes, theta=0.5):
    """Return ``V du + integral of the out-flux`` of one field, (n_intervals, n_cells)."""
    out = np.array([net_outflux(volumes, level) for level in fluxes])
    integrated = STEPS[:, None] * ((1 - theta) * out[:-1] + theta * out[1:])
    return volumes.volumes * np.diff(u, axis=0) + integrated


@pytest.mark.parametrize("theta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_rows_and_values_are_the_balance(geometry, theta):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    rng = np.random.default_rng(1)
    field = rng.normal(size=grid.n_points)
    u = field[volumes.levels]
    given = rng.normal(size=(TIMES.size, volumes.n_faces))
    shape = (volumes.n_faces, volumes.n_cells)
    matrix = sparse.csr_array(rng.uniform(size=shape) * (rng.uniform(size=shape) < 0.3))
    balance = ControlVolumeBalance(given, flux_operator=matrix, theta=theta)
    rows, values = system_of(balance, grid)
    expected = balance_by_loop(volumes, u, given + u @ matrix.T.toarray(), theta)
    np.testing.assert_allclose(rows @ field - values[0], expected.ravel(), rtol=1e-11, atol=1e-12)
    assert isinstance(balance.rows(grid), csr_array)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_predicted_fluxes_are_components(geometry):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    parts = Components(other=Grid.unit(2), **face_grids(grid, "t"), u=grid)
    names = [name for name in parts if name.startswith("flux")]
    field = np.random.default_rng(1).normal(size=parts.n_points)
    split = parts.split(field)
    fluxes = np.concatenate([split[n][levels_of(parts[n])] for n in names], axis=1)
    balance = ControlVolumeBalance(0.3, flux_component=names, component="u")
    rows, values = system_of(balance, parts)
    expected = balance_by_loop(volumes, split["u"][volumes.levels], fluxes + 0.3)
    np.testing.assert_allclose(rows @ field - values[0], expected.ravel(), rtol=1e-11, atol=1e-12)
    assert not rows[:, parts.slices["other"]].any()


def levels_of(grid):
    """Return where each time level of a grid is."""
    flat = np.arange(grid.n_points).reshape(grid.shape)
    return np.moveaxis(flat, grid.names.index("t"), 0).reshape(TIMES.size, -1)


def test_one_predicted_flux_for_each_interval():
    grid = grid_of("x")
    middle = 0.5 * (TIMES[1:] + TIMES[:-1])
    parts = Components(u=grid, flux=Grid(t=middle, x=EDGES["x"]))
    field = np.random.default_rng(0).normal(size=parts.n_points)
    u, flux = (
        part.reshape(-1, n) for part, n in zip(parts.split(field).values(), (4, 5), strict=True)
    )
    rows, _ = system_of(ControlVolumeBalance(flux_component="flux", component="u"), parts)
    expected = np.diff(EDGES["x"]) * np.diff(u, axis=0) + STEPS[:, None] * np.diff(flux, axis=1)
    np.testing.assert_allclose(rows @ field, expected.ravel(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["given", "linear", "predicted"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_local_balances_add_up_to_the_global_law(geometry, kind):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    space = [name for name in grid.names if name != "t"]
    parts = Components(u=grid, **face_grids(grid, "t"))
    names = list(parts)[1:]
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(5, parts.n_points))
    given = rng.normal(size=(TIMES.size, volumes.n_faces))
    velocity = random_velocity(volumes)
    params = {
        "given": {"flux": given},
        "linear": {"flux_operator": AdvectiveFlux(velocity)},
        "predicted": {"flux_component": names},
    }[kind]
    rows, values = system_of(ControlVolumeBalance(component="u", **params), parts)
    local = (fields @ rows.T - values).reshape(5, STEPS.size, -1)
    split = parts.split(fields)
    levels = split["u"][:, volumes.levels]
    fluxes = {
        "given": np.broadcast_to(given, (5, *given.shape)),
        "linear": np.array(
            [[upwind(volumes, u, velocity, 0 * velocity) for u in field] for field in levels]
        ),
        "predicted": np.concatenate([split[n][:, levels_of(parts[n])] for n in names], axis=2),
    }[kind]
    signs = np.where(volumes.faces[:, 0] < 0, 1.0, -1.0)[volumes.boundary]  # + where it comes in
    inflow = fluxes[..., volumes.boundary] @ (signs * volumes.areas[volumes.boundary])
    law = ConservationLaw(over=space, inflow=lambda X: inflow, component="u")
    law_rows, law_values = system_of(law, parts)
    scale = np.abs(fields) @ np.abs(rows).T + np.abs(values)
    scale = scale.reshape(5, STEPS.size, -1).sum(axis=2)
    assert (np.abs(local.sum(axis=2) - fields @ law_rows.T + law_values) < 1e-14 * scale).all()
    if kind == "given":
        summed = rows.reshape(STEPS.size, -1, parts.n_points).sum(axis=1)
        np.testing.assert_allclose(summed, law_rows, rtol=0, atol=1e-15)


def simulate(grid, n_samples=16, seed=0):
    """March upwind from random initial states; return X, fields, velocity and inflow."""
    volumes = control_volumes(grid, "t")
    rng = np.random.default_rng(seed)
    velocity = 0.2 * random_velocity(volumes, seed)
    inflow = np.zeros(volumes.n_faces)
    inflow[volumes.boundary] = 0.5 * velocity[volumes.boundary]
    X = rng.uniform(size=(n_samples, 3))
    start = np.abs(X @ rng.normal(size=(3, volumes.n_cells)))
    fields = np.empty((n_samples, grid.n_points))
    for sample, state in zip(fields, start, strict=True):
        sample[volumes.levels] = march(
            volumes, state, lambda u: upwind(volumes, u, velocity, inflow), TIMES
        )
    entering = AdvectiveFlux(velocity).matrix(volumes).sum(axis=1) == 0
    return X, fields, velocity, np.where(entering, inflow, 0.0)


@pytest.mark.parametrize("backbone", [WithStd(), WithCov(), WithMembers()], ids=type)
@pytest.mark.parametrize(
    "geometry", ["1-D", "1-D periodic", "2-D", "3-D", "time last", "triangles"]
)
def test_prediction_balances_in_every_volume(geometry, backbone):
    grid = GEOMETRIES[geometry]()
    X, y, velocity, flux = simulate(grid)
    balance = ControlVolumeBalance(flux, flux_operator=AdvectiveFlux(velocity), theta=0.0)
    model = ConservationConstrainedRegressor(backbone, balance, grid).fit(X, y)  # does not warn
    rows, values = system_of(balance, grid, FieldTable(X))
    assert _miss(y, rows, values) < 1e-13  # the scheme itself obeys
    free = ConservationConstrainedRegressor(backbone, None, grid).fit(X, y)
    X = X + 0.3 * np.sin(9 * X)
    assert _miss(free.predict(X) + 0.1 * np.sin(np.arange(y.shape[1])), rows, values) > 1e-4
    mean, std = model.predict(X, return_std=True)
    assert _miss(mean, rows, values) < 1e-12
    draws = model.sample_y(X, n_samples=2)
    assert max(_miss(draws[..., d], rows, values) for d in range(2)) < 1e-12
    assert (std <= free.predict_std(X) * (1 + 1e-12)).all() and std.min() >= 0


def _miss(fields, rows, values):
    scale = np.abs(fields) @ np.abs(rows).T + np.abs(values)
    return (np.abs(fields @ rows.T - values) / scale).max()


@pytest.mark.parametrize("geometry", ["1-D", "2-D", "3-D", "triangles"])
def test_prediction_of_field_and_fluxes_together(geometry):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    X, u, velocity, flux = simulate(grid)
    matrix = AdvectiveFlux(velocity).matrix(volumes)
    through = u[:, volumes.levels].reshape(-1, volumes.n_cells) @ matrix.T + flux
    through = through.reshape(len(X), TIMES.size, -1)
    parts = Components(u=grid, **face_grids(grid, "t"))
    names = list(parts)[1:]
    ends = np.cumsum([parts[n].n_points // TIMES.size for n in names])[:-1]
    fluxes = dict(zip(names, np.split(through, ends, axis=2), strict=True))
    y = parts.stack({"u": u, **fluxes})
    balance = ControlVolumeBalance(flux_component=names, component="u", theta=0.0)
    space = [name for name in grid.names if name != "t"]
    boundary = volumes.boundary
    signs = np.where(volumes.faces[:, 0] < 0, 1.0, -1.0)[boundary] * volumes.areas[boundary]
    model = ConservationConstrainedRegressor(WithStd(), balance, parts).fit(X, y)
    mean = model.predict(X + 0.1)
    rows, values = system_of(balance, parts, FieldTable(X))
    assert _miss(mean, rows, values) < 1e-12
    split = parts.split(mean)
    net = (
        np.concatenate([split[n].reshape(len(X), TIMES.size, -1) for n in names], axis=2)[
            :, :-1, boundary
        ]
        @ signs
    )
    mass = split["u"] @ grid.integral_rows(space).T
    np.testing.assert_allclose(np.diff(mass, axis=1), net * STEPS, rtol=0, atol=1e-13)


def test_local_balance_and_global_law_together():
    grid = grid_of("xy")
    X, y, velocity, flux = simulate(grid)
    volumes = control_volumes(grid, "t")
    start = np.zeros(grid.n_points)
    start[volumes.levels[0]] = volumes.volumes
    mass = y[0] @ start
    constraints = [
        ControlVolumeBalance(flux, flux_operator=AdvectiveFlux(velocity), theta=0.0),
        ConservationLaw(over=["x", "y"], initial=mass, inflow=1.0),
    ]
    model = ConservationConstrainedRegressor(WithStd(), constraints[:1], grid).fit(X, y)
    both = model.set_params(constraints=[constraints[0], constraints[1]])
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        both.fit(X, y)
    mean = both.predict(X)
    np.testing.assert_allclose(
        mean @ grid.integral_rows(["x", "y"]).T, mass + TIMES + 0 * X[:, :1], rtol=1e-12
    )
    rows, values = system_of(constraints[0], grid, FieldTable(X))
    assert _miss(mean, rows, values) < 1e-12


def test_shapes_of_given_fluxes():
    grid = grid_of("x")
    rng = np.random.default_rng(0)
    levels = rng.normal(size=(5, 4, 5))
    expected = -(STEPS[:, None] * np.diff(0.5 * (levels[:, 1:] + levels[:, :-1]), axis=2))

    def values(flux):
        return system_of(ControlVolumeBalance(flux), grid)[1].reshape(5, 3, 4)

    np.testing.assert_allclose(values(lambda X: levels), expected, rtol=1e-12)
    np.testing.assert_allclose(values(lambda X: levels.reshape(5, -1)), expected, rtol=1e-12)
    np.testing.assert_allclose(values(levels[2])[0], expected[2], rtol=1e-12)
    np.testing.assert_allclose(values(levels[2].ravel())[0], expected[2], rtol=1e-12)
    means = 0.5 * (levels[:, 1:] + levels[:, :-1])
    np.testing.assert_allclose(values(lambda X: means), expected, rtol=1e-12)
    constant = -(STEPS[:, None] * np.diff(levels[:, 0], axis=1)[:, None])
    np.testing.assert_allclose(values(lambda X: levels[:, 0]), constant, rtol=1e-12)
    np.testing.assert_allclose(values(levels[1, 0])[4], constant[1], rtol=1e-12)
    assert (values(2.0) == 0).all()  # what comes in goes out
    assert (values(Column(0)) == 0).all()
    mesh = Mesh([0.5], [2.0], [[-1, 0]], t=TIMES)
    into = system_of(ControlVolumeBalance(Column(1)), mesh)[1]
    np.testing.assert_allclose(into, TABLE.X[:, [1]] * STEPS)


def test_sources_and_masks():
    grid = grid_of("xy")
    volumes = control_volumes(grid, "t")
    source = np.random.default_rng(0).normal(size=(4, volumes.n_cells))
    rows, values = system_of(ControlVolumeBalance(source=source), grid)
    expected = STEPS[:, None] * volumes.volumes * 0.5 * (source[1:] + source[:-1])
    np.testing.assert_allclose(values[0], expected.ravel(), rtol=1e-12)
    mask = np.zeros((4, 3), dtype=bool)
    mask[1:, 0] = True
    balance = ControlVolumeBalance(source=source, mask=mask)
    part, some = system_of(balance, grid)
    kept = np.tile(mask.ravel(), 3)
    np.testing.assert_array_equal(part, rows[kept])
    np.testing.assert_array_equal(some, values[:, kept])
    assert balance.discretization_error(np.ones((2, grid.n_points)), grid).shape == (2, kept.sum())


def test_a_matrix_for_each_level():
    grid = grid_of("x")
    volumes = control_volumes(grid, "t")
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=(5, 4)) for _ in TIMES]
    field = rng.normal(size=16)
    rows, _ = system_of(ControlVolumeBalance(flux_operator=matrices), grid)
    u = field.reshape(4, 4)
    fluxes = np.array([m @ level for m, level in zip(matrices, u, strict=True)])
    expected = balance_by_loop(volumes, u, fluxes)
    np.testing.assert_allclose(rows @ field, expected.ravel(), rtol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_upwind_fluxes_against_a_loop(geometry):
    volumes = control_volumes(GEOMETRIES[geometry](), "t")
    u = np.random.default_rng(3).normal(size=volumes.n_cells)
    speed = random_velocity(volumes)
    expected = upwind(volumes, u, speed, np.zeros(volumes.n_faces))
    np.testing.assert_allclose(AdvectiveFlux(speed).matrix(volumes) @ u, expected)
    vector = np.arange(1.0, 1.0 + volumes.normals.shape[1])
    by_vector = AdvectiveFlux(vector).matrix(volumes).toarray()
    by_face = AdvectiveFlux(volumes.normals @ vector).matrix(volumes).toarray()
    np.testing.assert_allclose(by_vector, by_face)
    each = np.tile(vector, (volumes.n_faces, 1))
    np.testing.assert_allclose(AdvectiveFlux(each).matrix(volumes).toarray(), by_face)


def test_diffusive_flux_is_the_gradient_of_a_linear_field():
    grid = grid_of("xy")
    volumes = control_volumes(grid, "t")
    u = (grid.points @ [0.0, 2.0, -3.0])[: volumes.n_cells]
    flux = DiffusiveFlux(0.5).matrix(volumes) @ u
    inside = (volumes.faces >= 0).all(axis=1)
    np.testing.assert_allclose(flux[inside], -0.5 * (volumes.normals @ [2.0, -3.0])[inside])
    assert (flux[~inside] == 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("axis", [Axis.cells, Axis])
def test_true_fields_do_not_warn_but_wrong_ones_do(axis):
    """Fields of u_t + u_x = 0, sampled or averaged: the scheme is not exact for them."""
    t, x = np.linspace(0.0, 0.5, 11), np.linspace(0.0, 1.0, 21)
    grid = Grid(t=t, x=axis(x))
    phase = np.linspace(0.0, 1.0, 8)[:, None, None]
    if axis is Axis:
        y = np.sin(x - t[:, None] + phase)
    else:
        y = -np.diff(np.cos(x - t[:, None] + phase), axis=2) / np.diff(x)
    inflow = np.zeros((8, t.size, x.size + (axis is Axis)))
    inflow[..., 0] = np.sin(phase[..., 0] - t)
    X = phase.reshape(-1, 1)
    model = ConservationConstrainedRegressor(
        WithStd(),
        ControlVolumeBalance(Inflow(inflow), flux_operator=AdvectiveFlux(1.0)),
        grid,
    )
    model.fit(X, y.reshape(8, -1))
    exact = ControlVolumeBalance(Inflow(np.sin(_face_x(grid) - t[:, None] + phase)))
    model.set_params(constraints=exact).fit(X, y.reshape(8, -1))
    with pytest.warns(UserWarning, match="violate constraint 'controlvolumebalance'"):
        model.set_params(constraints=ControlVolumeBalance(-1.0 * inflow[0])).fit(
            X, y.reshape(8, -1)
        )


def _face_x(grid):
    return face_grids(grid, "t")["flux_x"]["x"]


class Inflow:
    """Look stored fluxes up by the number of rows asked for."""

    def __init__(self, fluxes):
        self.fluxes = fluxes

    def __call__(self, X):
        return self.fluxes[: len(X)]


def test_parameters_clone_and_search():
    balance = ControlVolumeBalance(
        "q", flux_operator=AdvectiveFlux(1.0), flux_component=["a"], mask=np.ones(3, bool)
    )
    assert clone(balance).get_params()["flux_operator__velocity"] == 1.0
    clone(ControlVolumeBalance(flux_operator=csr_array((3, 2))))
    balance.set_params(flux_operator__velocity=2.0)
    assert balance.flux_operator.velocity == 2.0
    assert "flux='q'" in repr(balance)


PARTS = Components(u=grid_of("x"), flux=Grid(t=TIMES, x=EDGES["x"]), short=Grid(t=[0, 1], x=[0, 1]))


@pytest.mark.parametrize(
    ("grid", "params", "message"),
    [
        ("x", {"time": "s"}, "time='s' is not an axis"),
        ("x", {"theta": 2.0}, "theta must be between 0 and 1; got 2.0"),
        ("x", {"flux": np.zeros(4)}, r"flux of constraint .* \(5,\) or \(4, 5\) or \(3, 5\)"),
        (
            "x",
            {"flux": lambda X: np.zeros((5, 4))},
            r"expected \(5,\), .* or \(5, 5\) or \(5, 4, 5\)",
        ),
        ("x", {"source": np.zeros(5)}, r"source of constraint .* \(4,\) or \(4, 4\) or \(3, 4\)"),
        ("x", {"component": "u"}, "component='u' needs a grid of Components"),
        ("x", {"flux_component": "flux"}, "flux_component='flux' needs a grid of Components"),
        ("x", {"flux_operator": np.zeros((4, 5))}, r"flux_operator has shape \(4, 5\)"),
        ("x", {"flux_operator": [np.zeros((5, 4))]}, "flux_operator has 1 matrices"),
        ("x", {"flux_operator": AdvectiveFlux([1.0, 2.0])}, r"velocity must have shape \(1,\)"),
        ("x", {"flux_operator": DiffusiveFlux(-1.0)}, "diffusivity must be a number"),
        ("x", {"mask": np.zeros(4, bool)}, "mask must be boolean"),
        ("x", {"mask": np.ones(3, bool)}, "mask must be boolean, with one entry for each of 4"),
        (PARTS, {}, r"component is None, but the grid has the components \['u', 'flux', 'short'\]"),
        (PARTS, {"component": "v"}, "unknown component 'v'"),
        (PARTS, {"component": "u", "flux_component": "short"}, "'short' has 2 time levels"),
        (PARTS, {"component": "u", "flux_component": "u"}, "together they must have 5 faces"),
        (Grid(t=[0.0], x=EDGES["x"]), {}, "at least two time levels"),
        (
            Mesh([0.5], [1.0], [[0, -1], [-1, 0]], t=TIMES),
            {"flux_operator": AdvectiveFlux([1.0])},
            "the mesh has no normals",
        ),
    ],
)
def test_errors_name_the_parameter(grid, params, message):
    grid = grid_of("x") if isinstance(grid, str) else grid
    with pytest.raises(ValueError, match=message):
        resolve_system(ControlVolumeBalance(**params), grid, TABLE)


def test_errors_of_type():
    with pytest.raises(TypeError, match="flux_operator must be a LinearFlux"):
        ControlVolumeBalance(flux_operator="upwind").rows(grid_of("x"))
    with pytest.raises(TypeError, match="grid must be a Grid, a Mesh or Components"):
        ControlVolumeBalance().rows(3)


def test_several_columns_are_one_value_a_row():
    """A total at each time, each in a column of its own."""
    grid = Grid(t=np.linspace(0.0, 1.0, 3), x=np.linspace(0.0, 1.0, 5))
    rng = np.random.default_rng(0)
    y = rng.normal(size=(8, 15))
    totals = y.reshape(8, 3, 5) @ grid.weights("x")
    X = np.column_stack([rng.normal(size=(8, 2)), totals])
    found = []
    for total in (Column([2, 3, 4]), lambda data: data[:, 2:5]):
        law = ConservationLaw(over="x", total=total)
        model = ConservationConstrainedRegressor(Ridge(), law, grid, error_model="stated")
        found.append(model.fit(X, y).predict(X))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13)
    np.testing.assert_allclose(
        found[0].reshape(8, 3, 5) @ grid.weights("x"), totals, rtol=1e-12, atol=1e-12
    )
    model.set_params(constraints=ConservationLaw(over="x", total=Column((2, 3, 4))))
    hidden = model.set_params(drop_value_columns=True).fit(X, y)
    assert hidden.estimator_.n_features_in_ == 2
    for key, message in (([2, 3], r"values of shape \(8, 2\)"), ([2, 3, 9], "does not exist")):
        with pytest.raises(ValueError, match=message):
            model.set_params(constraints=ConservationLaw(over="x", total=Column(key))).fit(X, y)
    with pytest.raises(TypeError, match="Column takes the name of a column"):
        Column([])

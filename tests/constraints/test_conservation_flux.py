"""Conservation laws from what flows in and out, of components, and on parts of the domain."""

import numpy as np
import pandas as pd
import pytest
from backbones import WithStd
from finite_volume_cases import EDGES, TIMES, grid_of, triangulated
from scipy.integrate import cumulative_trapezoid, trapezoid
from sklearn.base import clone

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, FieldTable, resolve_system
from skphys.grids import Axis, ColumnGrid, Components, Grid
from skphys.metrics import conservation_error

STEPS = np.diff(TIMES)
X = np.random.default_rng(7).uniform(size=(5, 2))
TABLE = FieldTable(X)


def values_of(law, grid, table=TABLE):
    return resolve_system(law, grid, table).values


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["cells", "nodes"])
def test_totals_are_initial_plus_the_trapezoid_of_what_flows(kind, rng):
    grid = grid_of("x", kind)
    inflow, outflow = rng.normal(size=(2, 5, 4))
    law = ConservationLaw(
        "x", initial=Column(1), inflow=lambda X: inflow, outflow=lambda X: outflow
    )
    expected = X[:, [1]] + cumulative_trapezoid(inflow - outflow, TIMES, initial=0)
    np.testing.assert_allclose(values_of(law, grid), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        law.rows(grid).toarray(), ConservationLaw("x").rows(grid).toarray()
    )
    one = ConservationLaw("x", initial=2.0, inflow=inflow[0])
    np.testing.assert_allclose(
        values_of(one, grid)[3], 2.0 + cumulative_trapezoid(inflow[0], TIMES, initial=0)
    )
    means = ConservationLaw("x", initial=0.0, outflow=inflow[0, :3])
    np.testing.assert_allclose(
        values_of(means, grid)[0, 1:], -np.cumsum(STEPS * inflow[0, :3]), rtol=1e-12
    )


def test_without_initial_only_the_change_is_known(rng):
    grid = grid_of("x")
    inflow = rng.normal(size=4)
    law = ConservationLaw("x", inflow=inflow, outflow=0.5)
    fields = rng.normal(size=(5, grid.n_points))
    mass = grid.reshape(fields) @ np.diff(EDGES["x"])
    np.testing.assert_allclose(fields @ law.rows(grid).T, np.diff(mass, axis=1), atol=1e-14)
    expected = STEPS * (0.5 * (inflow[1:] + inflow[:-1]) - 0.5)
    np.testing.assert_allclose(values_of(law, grid)[2], expected)
    closed = ConservationLaw("x", inflow=0.0)
    assert (values_of(closed, grid) == 0).all() and values_of(closed, grid).shape == (5, 3)


@pytest.mark.parametrize("order", [("t", "x", "y"), ("x", "y", "t"), ("y", "t", "x")])
def test_other_axes_may_remain_in_any_order(order, rng):
    axes = {"t": TIMES, "x": EDGES["x"], "y": EDGES["y"]}
    grid = Grid(**{name: axes[name] for name in order})
    remaining = [name for name in order if name != "x"]
    shape = [axes[name].size for name in remaining]
    inflow, start = rng.normal(size=shape), rng.normal(size=axes["y"].size)
    k = remaining.index("t")
    gained = cumulative_trapezoid(inflow, TIMES, axis=k, initial=0)
    expected = gained + np.expand_dims(start, k)
    for given in (inflow, inflow.ravel()):
        law = ConservationLaw("x", initial=start, inflow=given)
        np.testing.assert_allclose(values_of(law, grid)[0], expected.ravel(), rtol=1e-12)
    change = ConservationLaw("x", inflow=inflow)
    np.testing.assert_allclose(
        values_of(change, grid)[0], np.diff(gained, axis=k).ravel(), rtol=1e-12, atol=1e-15
    )
    fields = rng.normal(size=(2, grid.n_points))
    totals = trapezoid(grid.reshape(fields), EDGES["x"], axis=1 + order.index("x"))
    expected = np.diff(totals, axis=1 + k).reshape(2, -1)
    np.testing.assert_allclose(fields @ change.rows(grid).T, expected, atol=1e-13)


def test_one_time_level_and_a_mesh():
    single = Grid(t=[0.5], x=EDGES["x"])
    np.testing.assert_array_equal(values_of(ConservationLaw("x", initial=3.0), single)[0], [3.0])
    mesh, _ = triangulated()
    law = ConservationLaw("cell", initial=1.0, inflow=2.0)
    np.testing.assert_allclose(values_of(law, mesh)[0], 1.0 + 2.0 * TIMES)
    rows = law.rows(mesh)
    np.testing.assert_allclose(rows @ np.ones(mesh.n_points), mesh.volumes.sum())


def test_prediction_keeps_the_budget(rng):
    grid = grid_of("xy")
    law = ConservationLaw(["x", "y"], initial=Column(0), inflow=[0.0, 1.0, 1.0, 0.0], outflow=0.2)
    X = rng.uniform(size=(20, 2))
    y = np.ones((20, grid.n_points)) + rng.normal(scale=0.01, size=(20, grid.n_points))
    model = ConservationConstrainedRegressor(WithStd(), law, grid)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        model.fit(X, y)
    mass = model.predict(X) @ grid.integral_rows(["x", "y"]).T
    flow = np.array([0.0, 1.0, 1.0, 0.0]) - 0.2
    expected = X[:, :1] + cumulative_trapezoid(flow, TIMES, initial=0)
    np.testing.assert_allclose(mass, expected, rtol=1e-12)
    twin = clone(model).set_params(constraints__outflow=0.0, constraints__inflow=None)
    with pytest.warns(UserWarning, match="violate constraint 'conservationlaw'"):
        mean = twin.fit(X, y).predict(X)
    np.testing.assert_allclose(mean @ grid.integral_rows(["x", "y"]).T, X[:, [0] * 4], rtol=1e-12)


def test_in_a_long_table():
    t, x = np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 4), indexing="ij")
    table = pd.concat(
        [pd.DataFrame({"t": t.ravel(), "x": x.ravel(), "rate": rate}) for rate in (1.0, 2.0, 3.0)]
    )
    u = 1.0 + table["rate"] * table["t"]
    model = ConservationConstrainedRegressor(
        WithStd1(), ConservationLaw("x", initial=1.0, inflow="rate"), ColumnGrid(["t", "x"], "rate")
    ).fit(table, u)
    mean = model.predict(table).reshape(3, 3, 4)
    expected = 1.0 + np.outer([1.0, 2.0, 3.0], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(trapezoid(mean, x[0]), expected, rtol=1e-12)


class WithStd1(WithStd):
    """One value a row."""

    def _std(self, X):
        return np.ones(len(X))


def test_several_conserved_components(rng):
    mass, energy = grid_of("x"), triangulated(None)[0]
    parts = Components(mass=mass, energy=energy)
    X = rng.uniform(size=(12, 2))
    y = rng.normal(size=(12, parts.n_points))
    laws = [
        ("mass", ConservationLaw("x", total=Column(0), component="mass")),
        ("energy", ConservationLaw(total=Column(1), component="energy")),
    ]
    model = ConservationConstrainedRegressor(WithStd(), laws, parts)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, y)
    mean = parts.split(model.predict(X))
    np.testing.assert_allclose(mean["mass"] @ mass.integral_rows("x").T, X[:, [0] * 4], rtol=1e-11)
    np.testing.assert_allclose(mean["energy"] @ energy.volumes, X[:, 1], rtol=1e-11)
    error = conservation_error(y, laws, parts, X=X)
    by_hand = np.column_stack(
        [
            parts.split(y)["mass"] @ mass.integral_rows("x").T - X[:, :1],
            parts.split(y)["energy"] @ energy.volumes - X[:, 1],
        ]
    )
    np.testing.assert_allclose(error, by_hand, atol=1e-13)
    with pytest.raises(ValueError, match=r"y has 48 column\(s\), but the grid has .*'energy'"):
        ConservationConstrainedRegressor(WithStd(), laws, parts).fit(X, np.ones((12, 48)))


def test_masks(rng):
    grid = grid_of("xy")
    fields = rng.normal(size=(3, grid.n_points))
    area = np.multiply.outer(np.diff(EDGES["x"]), np.diff(EDGES["y"]))
    mask = rng.uniform(size=(4, 3)) < 0.5
    expected = (grid.reshape(fields) * (area * mask)).sum(axis=(2, 3))
    for given in (mask, mask.ravel(), mask.tolist()):
        law = ConservationLaw(["x", "y"], mask=given)
        np.testing.assert_allclose(fields @ law.rows(grid).T, expected, atol=1e-13)
    shares = rng.uniform(size=(4, 4, 3))
    expected = (grid.reshape(fields) * (area * shares)).sum(axis=(2, 3))
    for given in (shares, shares.ravel()):
        law = ConservationLaw(["x", "y"], mask=given)
        np.testing.assert_allclose(fields @ law.rows(grid).T, expected, atol=1e-13)
    along = ConservationLaw("x", mask=[True, False, False, True]).rows(grid)
    expected = (grid.reshape(fields) * (np.diff(EDGES["x"]) * [1, 0, 0, 1])[:, None]).sum(axis=2)
    np.testing.assert_allclose(fields @ along.T, expected.reshape(3, -1), atol=1e-13)
    assert along.nnz == grid.n_points // 2
    mesh, _ = triangulated(None)
    left = mesh.centres[:, 0] < 0.5
    row = ConservationLaw(mask=left).rows(mesh).toarray()
    np.testing.assert_array_equal(row[0], mesh.volumes * left)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("initial", [None, "start"])
def test_true_fields_do_not_warn(initial):
    """The rod u_t = u_xx with u = 1 + e^-t sin x: the rule in time is not exact for it."""
    t, x = np.linspace(0.0, 1.0, 6), np.linspace(0.0, 2.0, 31)
    rate = np.linspace(1.0, 2.0, 6)
    X = pd.DataFrame({"rate": rate, "start": 2.0 + rate * (1.0 - np.cos(2.0))})
    y = 1.0 + rate[:, None, None] * np.exp(-t)[:, None] * np.sin(x)
    gained = np.multiply.outer(rate, np.exp(-t)) * (np.cos(2.0) - 1.0)
    law = ConservationLaw("x", initial=initial, inflow=Table(gained))
    grid = Grid(t=t, x=x)
    ConservationConstrainedRegressor(WithStd(), law, grid).fit(X, y.reshape(6, -1))
    bound = law.discretization_error(y.reshape(6, -1), grid)
    assert bound.shape == (6, 6 if initial else 5) and bound.max() < 0.5
    wrong = ConservationLaw("x", initial=initial, inflow=Table(-gained))
    with pytest.warns(UserWarning, match="violate"):
        ConservationConstrainedRegressor(WithStd(), wrong, grid).fit(X, y.reshape(6, -1))


class Table:
    """Give stored values."""

    def __init__(self, values):
        self.values = values

    def __call__(self, X):
        return self.values[: len(X)]


@pytest.mark.parametrize(
    ("grid", "params", "message"),
    [
        (grid_of("x"), {"total": 1.0, "inflow": 1.0}, "total=1.0 cannot be given together"),
        (grid_of("x"), {"total": "m", "initial": 1.0}, "total='m' cannot be given together"),
        (grid_of("x"), {"over": None, "inflow": 1.0}, "time='t' is integrated over"),
        (Grid(x=EDGES["x"]), {"inflow": 1.0}, "time='t' of a law with .* is not an axis"),
        (Grid(t=Axis.cells(TIMES), x=EDGES["x"]), {"inflow": 1.0}, "must be an axis of nodes"),
        (grid_of("x"), {"inflow": np.ones(5)}, r"inflow of .* has shape \(5,\), but .* 4 row"),
        (grid_of("xy"), {"inflow": np.ones(5)}, r"must have shape \(4, 3\) or \(3, 3\) here"),
        (grid_of("x"), {"initial": np.ones(4)}, r"initial of constraint .* has shape \(4,\)"),
        (grid_of("x"), {"inflow": np.nan}, "inflow of constraint .* is not finite"),
        (grid_of("x"), {"component": "u"}, "needs a grid of Components"),
        (grid_of("x"), {"mask": np.zeros(4, bool)}, "mask is empty"),
        (
            grid_of("x"),
            {"mask": np.ones(3, bool)},
            r"mask has shape \(3,\); it must have \S+ \(4,\)",
        ),
        (grid_of("x"), {"mask": [0, 1, 2, 0]}, "mask must be boolean, or hold shares"),
        (Components(u=Grid.unit(2)), {}, r"component is None, but the grid has .* \['u'\]"),
    ],
)
def test_errors_name_the_parameter(grid, params, message):
    with pytest.raises(ValueError, match=message):
        resolve_system(ConservationLaw(**{"over": "x", **params}), grid, TABLE)

"""What ConservationDisplay draws: totals counted by hand, and those that the law knows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skphys import ConservationConstrainedRegressor, RolloutRegressor
from skphys.constraints import (
    Bounds,
    Column,
    ConservationLaw,
    EnergyLaw,
    LinearEquality,
    OverStep,
)
from skphys.grids import Axis, ColumnGrid, Components, Grid, Mesh
from skphys.inspection import ConservationDisplay

Z90 = 1.6448536269514722  # the 95 % quantile of the standard normal, from tables
T = np.array([0.0, 0.5, 2.0])
WIDTHS = np.array([1.0, 2.0, 1.0, 3.0])
GRID = Grid(t=T, x=Axis.cells(np.append(0.0, np.cumsum(WIDTHS))))
RNG = np.random.default_rng(0)
FIELDS = RNG.normal(size=(5, 12))
TOTALS = FIELDS.reshape(5, 3, 4) @ WIDTHS
LAW = ConservationLaw(over="x", total=Column([1, 2, 3]))
X = np.column_stack([np.arange(5.0), RNG.normal(size=(5, 3))])
draw = ConservationDisplay.from_predictions


def test_totals_and_bands():
    noise = RNG.normal(size=(5, 12, 50))
    draws = FIELDS[..., None] + noise
    display = draw(FIELDS, {"a": (FIELDS + 1, draws)}, law=("mass", LAW), grid=GRID, X=X, sample=3)
    np.testing.assert_array_equal(display.at, T)
    np.testing.assert_array_equal(display.known_.get_ydata(), X[3, 1:])
    np.testing.assert_allclose(display.lines_["truth"].get_ydata(), TOTALS[3], rtol=1e-12)
    total = TOTALS[3] + 7.0
    np.testing.assert_allclose(display.lines_["a"].get_ydata(), total, rtol=1e-12)
    std = np.einsum("txn,x->tn", draws[3].reshape(3, 4, 50), WIDTHS).std(axis=1, ddof=1)
    np.testing.assert_allclose(display.stds["a"], std, rtol=1e-12)
    path = display.bands_["a"].get_paths()[0].vertices
    ends = [path[np.isclose(path[:, 0], t), 1] for t in T]
    np.testing.assert_allclose([e.max() for e in ends], total + Z90 * std, rtol=1e-12)
    np.testing.assert_allclose([e.min() for e in ends], total - Z90 * std, rtol=1e-12)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("t", "mass")
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["a", "truth", "known"] and list(display.bands_) == ["a"]


def test_standard_deviations_of_points_say_nothing_of_totals(plt):
    _, ax = plt.subplots()
    display = draw(None, (FIELDS[0], np.ones(12)), law=LAW, grid=GRID, X=X, ax=ax)
    assert display.bands_ == {} and display.ax_ is ax
    np.testing.assert_allclose(display.totals["prediction"], TOTALS[0], rtol=1e-12)


def test_changes_stand_at_the_ends_of_their_intervals():
    law = ConservationLaw(over="x", inflow=2.0)
    display = draw(None, FIELDS, law=law, grid=GRID)
    np.testing.assert_array_equal(display.at, T[1:])
    np.testing.assert_allclose(display.known, [1.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(display.totals["prediction"], np.diff(TOTALS[0]), rtol=1e-12)
    assert display.ax_.get_ylabel() == "change of conservationlaw"


def test_energies_meshes_and_components():
    energy = EnergyLaw(over="x", total=3.0)
    display = draw(None, FIELDS, law=energy, grid=GRID)
    squares = 0.5 * FIELDS.reshape(5, 3, 4) ** 2 @ WIDTHS
    np.testing.assert_allclose(display.totals["prediction"], squares[0], rtol=1e-12)
    np.testing.assert_array_equal(display.known, [3.0] * 3)
    mesh = Mesh(np.zeros((4, 2)), WIDTHS, [[0, 1], [1, 2], [2, 3]], t=T)
    law = ConservationLaw(over="cell", component="u")
    both = Components(v=Grid(z=[0.0, 1.0]), u=mesh)
    stacked = np.concatenate([np.ones((5, 2)), FIELDS], axis=1)
    display = draw(None, stacked, law=law, grid=both, sample=-1)
    np.testing.assert_allclose(display.totals["prediction"], TOTALS[-1], rtol=1e-12)


def learned(n=30):
    """Return inputs that end with the totals at each time, and fields."""
    rng = np.random.default_rng(1)
    inputs = rng.uniform(size=(n, 2))
    y = np.sin(3 * inputs[:, :1] + np.linspace(0, 3, 12)) * (1.0 + inputs[:, 1:])
    return np.hstack([inputs, y.reshape(n, 3, 4) @ WIDTHS]), y


class TestFromEstimator:
    law = ConservationLaw(over="x", total=Column([2, 3, 4]))

    def model(self):
        return ConservationConstrainedRegressor(
            KNeighborsRegressor(3),
            [("mass", self.law)],
            GRID,
            error_model="residual",
            drop_value_columns=True,
        )

    def test_with_and_without_the_law(self):
        inputs, y = learned()
        inputs = np.hstack([inputs, y[:, :1]])
        backbone = make_pipeline(FunctionTransformer(first_two), KNeighborsRegressor(3))
        start = LinearEquality(np.eye(12)[:1], Column(5))
        others = [("low", Bounds(lower=-9.0)), ("start", start)]
        model = ConservationConstrainedRegressor(
            backbone, [*others, ("mass", self.law)], GRID, error_model="residual"
        ).fit(inputs[:25], y[:25])
        display = ConservationDisplay.from_estimator(model, inputs, y, sample=27)
        assert list(display.totals) == ["without mass", "with mass", "truth"]
        known = inputs[27, 2:5]
        np.testing.assert_array_equal(display.known, known)
        np.testing.assert_allclose(display.totals["with mass"], known, rtol=1e-12)
        np.testing.assert_allclose(display.stds["with mass"], 0.0, atol=1e-13)
        # The other constraint still acts; another model without the law says the same.
        without = ConservationConstrainedRegressor(
            backbone, others, GRID, error_model="residual"
        ).fit(inputs[:25], y[:25])
        mean = without.predict(inputs[27:28]).reshape(3, 4) @ WIDTHS
        np.testing.assert_allclose(display.totals["without mass"], mean, rtol=1e-12)
        assert np.min(display.stds["without mass"]) > 0.01

    def test_alone_the_law_leaves_the_backbone(self):
        inputs, y = learned()
        model = self.model().fit(inputs[:25], y[:25])
        display = ConservationDisplay.from_estimator(model, inputs, sample=27)
        backbone = model.estimator_.predict(inputs[27:28, :2]).reshape(3, 4) @ WIDTHS
        np.testing.assert_allclose(display.totals["without mass"], backbone, rtol=1e-12)
        residuals = model.residual_std_  # of independent points
        std = np.sqrt((residuals.reshape(3, 4) ** 2) @ WIDTHS**2)
        np.testing.assert_allclose(display.stds["without mass"], std, rtol=0.25)  # of 100 draws
        bare = ConservationDisplay.from_estimator(model, inputs, n_draws=0, law="mass")
        assert bare.bands_ == {}

    def test_several_models_also_behind_pipelines(self):
        inputs, y = learned()
        doubled = make_pipeline(FunctionTransformer(half), self.model()).fit(2 * inputs, y)
        plain = Ridge().fit(2 * inputs, y)
        display = ConservationDisplay.from_estimator(
            {"ridge": plain, "ours": doubled}, 2 * inputs, sample=4
        )
        assert list(display.totals) == ["ridge", "ours"] and list(display.bands_) == ["ours"]
        np.testing.assert_allclose(display.known, inputs[4, 2:], rtol=1e-12)
        np.testing.assert_allclose(display.totals["ours"], inputs[4, 2:], rtol=1e-12)
        expected = plain.predict(2 * inputs[4:5]).reshape(3, 4) @ WIDTHS
        np.testing.assert_allclose(display.totals["ridge"], expected, rtol=1e-12)
        alone = ConservationDisplay.from_estimator(
            plain, 2 * inputs, law=ConservationLaw(over="x", total=1.0), grid=GRID
        )
        assert list(alone.totals) == ["Ridge"] and list(alone.known) == [1.0] * 3

    def test_a_long_table(self):
        t, x = (a.ravel() for a in np.meshgrid(T, [0.0, 1.0, 3.0], indexing="ij"))
        runs = [pd.DataFrame({"t": t, "x": x, "run": r}) for r in range(4)]
        table = pd.concat(runs).sample(frac=1.0, random_state=0)
        u = (table["run"] + 2.0 * table["t"]).to_numpy()
        model = ConservationConstrainedRegressor(
            RandomForestRegressor(5, random_state=0),
            ConservationLaw(over="x", inflow=6.0),
            ColumnGrid(space=["t", "x"], by="run"),
        ).fit(table, u)
        display = ConservationDisplay.from_estimator(model, table, u, sample=2)
        np.testing.assert_allclose(display.known, [3.0, 9.0], rtol=1e-12)
        np.testing.assert_allclose(display.totals["truth"], [3.0, 9.0], rtol=1e-12)
        np.testing.assert_allclose(display.totals["with conservationlaw"], [3.0, 9.0], rtol=1e-12)
        forest = model.estimator_.predict(runs[run_of(table, 2)]).reshape(3, 3)
        change = np.diff(forest @ [0.5, 1.5, 1.0])
        np.testing.assert_allclose(display.totals["without conservationlaw"], change, rtol=1e-12)

    def test_a_long_table_with_nodes(self):
        """Totals are those at the nodes, also where X has no rows there."""
        nodes = np.array([0.0, 1.0, 3.0])
        t, x = (a.ravel() for a in np.meshgrid(T, nodes, indexing="ij"))
        table = pd.concat([pd.DataFrame({"t": t, "x": x, "run": r}) for r in range(4)])
        u = (table["run"] + 2.0 * table["t"]).to_numpy()
        model = ConservationConstrainedRegressor(
            RandomForestRegressor(5, random_state=0),
            ConservationLaw(over="x", inflow=6.0),
            ColumnGrid(space=["t", "x"], by="run", nodes={"t": T, "x": nodes}),
            error_model="stated",
        ).fit(table, u)
        query = pd.DataFrame({"t": [0.3, 1.0], "x": [0.5, 0.7], "run": 2})
        models = {"law": model, "piped": make_pipeline(FunctionTransformer(), model).fit(table, u)}
        display = ConservationDisplay.from_estimator(models, query)
        np.testing.assert_allclose(display.known, [3.0, 9.0], rtol=1e-12)
        for name in models:
            np.testing.assert_allclose(display.totals[name], [3.0, 9.0], rtol=1e-12)
        alone = ConservationDisplay.from_estimator(model, table, u, sample=2)
        np.testing.assert_allclose(alone.totals["truth"], [3.0, 9.0], rtol=1e-12)
        assert abs(alone.totals["without conservationlaw"] - [3.0, 9.0]).max() > 1e-3

    def test_rollouts(self):
        """Their grid is that of one step, and the law is between two; all steps are shown."""
        start, grid = RNG.normal(size=(12, 4)), Grid(x=GRID.axes["x"])
        law = ConservationLaw(over="x", inflow=1.0)
        y = np.hstack([start + k * 0.5 / 7.0 for k in (1, 2)])
        over = [("mass", OverStep(law, length=0.5)), Bounds(-99.0)]
        model = RolloutRegressor(Ridge(), 3, over, grid, error_model="residual").fit(start, y)
        for given in (None, "mass", law):
            display = ConservationDisplay.from_estimator(model, start, law=given, n_draws=3)
            np.testing.assert_array_equal(display.at, [1.0, 1.5])
            np.testing.assert_allclose(display.known, [0.5, 0.5], rtol=1e-12)
            (totals,) = display.totals.values()
            np.testing.assert_allclose(totals, [0.5, 0.5], rtol=1e-11)
        steps = Grid(t=[1.0, 2.0, 3.0], **grid.axes)
        display = ConservationDisplay.from_estimator(model, start, law=law, grid=steps, n_draws=3)
        np.testing.assert_allclose(display.known, [1.0, 1.0], rtol=1e-12)
        with pytest.raises(ValueError, match="law='energy' is not among the constraints"):
            ConservationDisplay.from_estimator(model, start, law="energy")

    def test_rollouts_with_a_known_total(self):
        start, grid = RNG.normal(size=(12, 4)), Grid(x=GRID.axes["x"])
        X = np.column_stack([start, start @ WIDTHS])
        model = RolloutRegressor(
            Ridge(), 3, ConservationLaw(over="x", total=Column(4)), grid, error_model="residual"
        ).fit(X, np.hstack([start, start]))
        display = ConservationDisplay.from_estimator(model, X, sample=5, n_draws=3)
        np.testing.assert_array_equal(display.at, [1.0, 2.0, 3.0])
        np.testing.assert_allclose(display.known, np.full(3, X[5, 4]), rtol=1e-12)
        (totals,) = display.totals.values()
        np.testing.assert_allclose(totals, display.known, rtol=1e-11)

    @pytest.mark.parametrize("value", [Column(4), lambda X: X[:, 4]])
    def test_values_of_single_steps_are_asked_for(self, value):
        start, grid = RNG.normal(size=(12, 4)), Grid(x=GRID.axes["x"])
        rates = RNG.normal(size=(12, 2))
        y = np.hstack([start + rates[:, :k].sum(axis=1, keepdims=True) / 7.0 for k in (1, 2)])
        law, X = OverStep(ConservationLaw(over="x", inflow=value)), np.hstack([start, rates])
        model = RolloutRegressor(
            Ridge(), None, law, grid, by_step={"rate": [4, 5]}, error_model="residual"
        ).fit(X, y)
        with pytest.raises(ValueError, match=r"RolloutRegressor is that of one step, .* Give the"):
            ConservationDisplay.from_estimator(model, X)


def run_of(table, label):
    """Return the run that has a label."""
    labels = ColumnGrid(space=["t", "x"], by="run").labels(table)
    return int(table["run"].to_numpy()[labels == label][0])


def first_two(inputs):
    return inputs[:, :2]


def half(inputs):
    return 0.5 * inputs


def test_one_time_is_seen():
    display = ConservationDisplay(
        at=[1.0], known=[2.0], totals={"a": [2.5], "truth": [2.1]}, stds={"a": [0.5]}
    ).plot()
    assert [line.get_marker() for line in display.lines_.values()] == ["o", "x"]
    ((low, high),) = display.bands_["a"].get_segments()
    np.testing.assert_allclose([low[1], high[1]], 2.5 + 0.5 * Z90 * np.array([-1, 1]), rtol=1e-12)


def test_bad_input(plt):
    good = {"at": [1.0], "known": [2.0], "totals": {"a": [2.5]}}
    with pytest.raises(ValueError, match="ax must hold one Axes for a figure of one panel; got 2"):
        ConservationDisplay(**good).plot(plt.subplots(2)[1])
    with pytest.raises(ValueError, match="the std of 'a' must not be negative; got -1"):
        ConservationDisplay(**good, stds={"a": [-1.0]}).plot()
    with pytest.raises(ValueError, match=r"'conservationlaw' must be an integral that leaves one"):
        draw(None, FIELDS, law=ConservationLaw(), grid=GRID)
    with pytest.raises(ValueError, match="ConstraintErrorDisplay shows"):
        draw(None, FIELDS, law=LinearEquality(np.eye(12)), grid=GRID)
    with pytest.raises(ValueError, match="sample=5, but prediction has 5 rows"):
        draw(None, FIELDS, law=ConservationLaw(over="x"), grid=GRID, sample=5)
    with pytest.raises(ValueError, match="coverage must be strictly between"):
        draw(None, FIELDS, law=ConservationLaw(over="x"), grid=GRID, coverage=90)
    inputs, y = learned()
    with pytest.raises(ValueError, match=r"law must say whose total to show: none of .* \[\]"):
        ConservationDisplay.from_estimator(Ridge().fit(inputs, y), inputs, grid=GRID)
    with pytest.raises(ValueError, match=r"law='heat' is not among the constraints \[\]"):
        ConservationDisplay.from_estimator(Ridge().fit(inputs, y), inputs, grid=GRID, law="heat")

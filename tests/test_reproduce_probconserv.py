"""The parts of examples/reproduce_probconserv.py that its own run in CI does not check."""

import csv
import importlib
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from skphys import AttentiveNeuralProcessRegressor
from skphys.datasets import make_context_target
from skphys.grids import Grid

EXAMPLES = Path(__file__).parents[1] / "examples"
METHODS = ("anp", "hardc", "probconserv", "smoothed")
MODULES = ("reproduce_probconserv", "_probconserv_tables", "_probconserv_figures")


@pytest.fixture(scope="module")
def probconserv():
    sys.path.insert(0, str(EXAMPLES))
    yield importlib.import_module("reproduce_probconserv")
    sys.path.remove(str(EXAMPLES))
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def tables(probconserv):
    return importlib.import_module("_probconserv_tables")


class Blurred:
    """In place of a trained net: fields with a jump, whose height is the mean of the contexts."""

    n_draws, predict_dropout, n_calls = 8, False, 0

    def predict_members(self, X):
        self.n_calls += 1
        x = np.linspace(0.0, 1.0, 41)
        shift = np.linspace(-0.1, 0.1, 8)[:, None, None]
        level = X[:, 2:-1:3].mean(axis=1)[:, None]
        means = level * (x < 0.3) + X[:, -1:] + shift * np.cos(x)
        return means, np.broadcast_to(0.05 + 0.1 * x, means.shape)


def asked(**changed):
    given = dict(problem="all", methods=["anp", "softc", "ours"], seeds=None, weights=None)
    return Namespace(**given | changed)


@pytest.fixture(scope="module")
def evaluated(probconserv, tmp_path_factory):
    """Records and figures of the Stefan problem, by methods that need no calibration."""
    fit, quick = probconserv.Fit("stefan", "anp", 0), probconserv.PRESETS["quick"]
    options = probconserv.Options(METHODS, output=tmp_path_factory.mktemp("figures"))
    return probconserv.evaluate(Blurred(), fit, quick, options), options.output


def test_methods_without_a_law_have_no_row_with_noise(evaluated):
    records, _ = evaluated
    noises = {(r["method"], r["noise"]) for r in records}
    laws = {(m, n) for m in ("hardc", "probconserv", "smoothed") for n in (0.0, "auto")}
    assert noises == laws | {("anp", 0.0)}
    assert {r["parameter"] for r in records} == {"0.5", "0.52", "0.6", "0.65", "0.75", "range"}


def test_laws_hold_exactly_unless_they_have_noise(evaluated):
    for record in evaluated[0]:
        error = np.abs(record["scores"]["ce"]).max()
        if record["method"] == "anp" or record["noise"] == "auto":
            assert error > 1e-4
        else:
            assert error < 1e-12


def test_hardc_is_the_euclidean_projection_and_probconserv_that_in_the_variance(
    probconserv, evaluated
):
    fit, quick = probconserv.Fit("stefan", "anp", 0), probconserv.PRESETS["quick"]
    data = probconserv.test_sets(fit, quick)["0.6"]
    means, stds = Blurred().predict_members(data.data)
    weights = data.grid.weights()
    miss = means @ weights - data.masses
    for method, metric in (("hardc", np.ones(41)), ("probconserv", stds[0, 0] ** 2)):
        step = metric * weights / (weights @ (metric * weights))
        moved = (means - miss[..., None] * step).mean(axis=0)
        expected = np.mean((moved - data.target) ** 2, axis=1)
        wanted = {"method": method, "noise": 0.0, "parameter": "0.6"}
        (record,) = (r for r in evaluated[0] if wanted.items() <= r.items())
        np.testing.assert_allclose(record["scores"]["mse"], expected, rtol=1e-9)


def test_four_figures_are_saved_for_a_problem_with_a_front(evaluated):
    names = {path.name for path in evaluated[1].glob("*.png")}
    assert names == {f"{kind}_stefan_0.png" for kind in ("mass", "mse", "profile", "front")}


def test_scores_of_each_field_are_those_of_scipy(probconserv):
    data = make_context_target("stefan", 3, layout="fields", target_times=0.05, random_state=0)
    rng = np.random.default_rng(0)
    mean = data.target + rng.normal(size=data.target.shape)
    std = rng.uniform(1, 2, data.target.shape)
    scores = probconserv.scores(mean, std, data)
    density = stats.norm(mean, std).logpdf(data.target)
    np.testing.assert_allclose(scores["ll"], density.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(scores["mse"], np.mean((mean - data.target) ** 2, axis=1))
    x = np.linspace(0.0, 1.0, 201)
    np.testing.assert_allclose(scores["ce"], np.trapezoid(mean, x, axis=1) - data.masses)
    assert len(scores["crps"]) == 3
    lower, upper = stats.norm(mean, std).interval(0.9)
    inside = (lower <= data.target) & (data.target <= upper)
    np.testing.assert_allclose(scores["held"], inside.mean(axis=1))


class TwoPeaks:
    """In place of a fitted estimator: a mixture of two narrow Gaussians around -1 and 1."""

    def log_prob(self, table, truth):
        near = [stats.norm(centre, 0.1).pdf(truth) for centre in (-1.0, 1.0)]
        return np.log(np.mean(near, axis=0)).mean(axis=1)

    def predict_interval(self, table, coverage):
        end = stats.norm(1.0, 0.1).ppf(coverage)  # the other peak holds half of the mass
        return np.full((2, 11), -end), np.full((2, 11), end)


def test_a_mixture_is_scored_by_itself_and_not_by_its_moments(probconserv):
    data = Namespace(target=np.stack([np.ones(11), np.full(11, 1.3)]))
    rng = np.random.default_rng(0)
    draws = rng.choice([-1.0, 1.0], (2, 11, 2000)) + 0.1 * rng.normal(size=(2, 11, 2000))
    found = probconserv.mixture_scores(TwoPeaks(), np.zeros((2, 2)), data, draws)
    np.testing.assert_allclose(found["ll"][0], np.log(0.5 * stats.norm(0, 0.1).pdf(0.0)))
    assert found["held"] == [1.0, 0.0]
    # By E|X - y| - E|X - X'| / 2; peaks are 2 apart and 0.1 wide.
    expected = 0.5 * (2.0 + 0.1 * (2 / np.pi) ** 0.5) - 0.25 * (2.0 + 0.2 / np.pi**0.5)
    np.testing.assert_allclose(found["crps"][0], expected, atol=0.02)


def test_tests_are_at_one_time_and_calibration_within_the_training_range(probconserv):
    quick = probconserv.PRESETS["quick"]
    sets = probconserv.test_sets(probconserv.Fit("porous_medium", "anp", 0), quick)
    for name in ("1.0", "3.0", "6.0", "range"):
        np.testing.assert_array_equal(sets[name].data[:, -1], 0.5)
    np.testing.assert_array_equal(sets["6.0"].parameters, 6.0)
    np.testing.assert_array_equal(sets["calibration"].data[:, -1], 0.5)
    for name in ("range", "calibration"):
        assert len(np.unique(sets[name].parameters)) == len(sets[name].data)
        assert ((sets[name].parameters >= 1.0) & (sets[name].parameters <= 6.0)).all()
    times = np.unique(sets["curves"].data[:, -1])
    np.testing.assert_allclose(times, np.linspace(0.0, 1.0, quick.n_curve_times))


def test_a_backbone_that_was_asked_once_answers_for_every_set(probconserv):
    quick = probconserv.PRESETS["quick"]
    sets = probconserv.test_sets(probconserv.Fit("stefan", "anp", 0), quick)
    known, lookups = probconserv.ask_once(Blurred(), sets)
    for name, data in sets.items():
        np.testing.assert_array_equal(lookups[name][:, 1], data.masses)
        for mine, asked_now in zip(
            known.predict_members(lookups[name]), Blurred().predict_members(data.data), strict=True
        ):
            np.testing.assert_array_equal(mine, asked_now)


def test_front_scores_of_known_draws(probconserv):
    positions = np.array([np.linspace(0.0, 1.0, 101), np.full(101, 0.3)])
    positions[0, 0] = np.nan  # a draw without a front
    scores = probconserv.front_scores(positions, np.array([0.5, 0.4]))
    np.testing.assert_allclose(scores["position"], [0.505, 0.3])
    np.testing.assert_allclose(scores["distance"][1], 0.1)
    assert scores["covered"] == [True, False]


def test_fronts_of_steps_are_found_in_both_ways(probconserv):
    grid = Grid(x=np.linspace(0.0, 1.0, 11))
    ends = np.linspace(0.25, 1.25, 11)  # halfway between points, the last three nowhere
    steps = np.where(grid["x"][:, None] < ends, 1.0, 0.0)
    found = probconserv.fronts(np.stack([steps, 3.0 * steps]), grid, heights=[1.0, 3.0])
    known = np.append(ends[:8], [np.nan] * 3)
    for row in range(2):
        np.testing.assert_allclose(found["half"][row], known, atol=1e-12)
        np.testing.assert_allclose(found["first"][row], known + 0.05, atol=1e-12)


def test_what_a_net_says_is_kept_while_it_is_asked_the_same(probconserv, tmp_path):
    quick, net = probconserv.PRESETS["quick"], Blurred()
    sets = probconserv.test_sets(probconserv.Fit("stefan", "anp", 1), quick)
    assert "curves" not in sets  # figures are those of the first seed
    first = probconserv.answers(net, sets, tmp_path / "said.joblib")
    again = probconserv.answers(net, sets, tmp_path / "said.joblib")
    assert net.n_calls == len(sets)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    del sets["0.75"]
    means, _ = probconserv.answers(net, sets, tmp_path / "said.joblib")
    assert net.n_calls == len(sets) + 1  # each set is asked by itself
    assert means.shape[1] == first[0].shape[1] - quick.n_test


def test_softc_is_trained_where_the_preset_says_and_never_imported(probconserv):
    cpu = probconserv.PRESETS["cpu"]
    kinds = [(f.problem, f.backbone) for f in probconserv.wanted_fits(asked(), cpu)]
    one_seed = [("diffusion", "softc"), *((name, "anp") for name in probconserv.PROBLEMS)]
    assert kinds == one_seed * 3
    one = asked(problem="stefan", seeds=2)
    assert [f.seed for f in probconserv.wanted_fits(one, cpu)] == [0, 1]
    imported = asked(problem="diffusion", weights=Path("anp.pt"))  # one net, whatever the seeds
    assert [f.backbone for f in probconserv.wanted_fits(imported, cpu)] == ["anp"]


def test_the_command_in_the_page_says_what_else_was_asked(probconserv):
    quick = probconserv.PRESETS["quick"]
    plain = asked(preset="quick", methods=list(probconserv.METHODS))
    assert probconserv.described(plain, quick)[0].endswith(" --problem all --preset quick")
    other = asked(preset="quick", methods=["anp", "ours"], seeds=2)
    command = probconserv.described(other, quick)[0]
    assert command.endswith(" --preset quick --seeds 2 --methods anp ours")


def test_a_cut_run_goes_on_with_its_own_preset_only(probconserv, evaluated, tmp_path):
    quick, path = probconserv.PRESETS["quick"], tmp_path / "results.json"
    assert probconserv.load(path, quick) == []
    probconserv.save(path, quick, evaluated[0])
    assert probconserv.load(path, quick) == evaluated[0]
    assert probconserv.already_done(probconserv.Fit("stefan", "anp", 0), evaluated[0])
    assert not probconserv.already_done(probconserv.Fit("stefan", "anp", 1), evaluated[0])
    with pytest.raises(SystemExit, match="another preset"):
        probconserv.load(path, replace(quick, epochs=3))


def test_means_come_with_the_standard_error_over_functions(tables):
    values = np.random.default_rng(0).normal(size=50)
    mean, error = tables.with_error(values, 1e3, ".2f").split()
    assert float(mean) == pytest.approx(1e3 * values.mean(), abs=0.005)
    assert float(error.strip("()")) == pytest.approx(1e3 * stats.sem(values), abs=0.005)
    assert tables.with_error([1e-17, -2e-17], 1e3, ".2f") == "0"
    assert tables.with_error([-1e-6, 0.0], 1e3, ".2f") == "0.00 (0.00)"


def timed(records):
    return [r | {"seconds": {"training": 1.0, "evaluation": 2.0}} for r in records]


def test_tables_hold_the_same_rows_on_the_screen_and_in_the_page(tables, evaluated, tmp_path):
    counts, exact, noisy, front = found = tables.tables(timed(evaluated[0]))
    assert [row[0] for row in counts.rows] == [tables.LABELS[m] for m in METHODS]
    assert len(exact.rows) == len(noisy.rows) == len(front.rows) == 6 * 4
    assert [row[0] for row in exact.rows[::4]] == [
        *(f"u_star = {value}" for value in (0.5, 0.52, 0.6, 0.65, 0.75)),
        "training range",
    ]
    assert noisy.rows[0] == exact.rows[0]
    assert [line.split(" | ")[0] for line in exact.markdown().splitlines()[4:]] == [
        f"| {row[0]}" for row in exact.rows
    ]
    tables.write_tables(tmp_path / "tables.inc", timed(evaluated[0]), "a command", "Some settings.")
    text = (tmp_path / "tables.inc").read_text()
    assert "``a command``" in text
    indented = [line.strip() for line in text.splitlines() if line.startswith('   "')]
    parsed = list(csv.reader(indented, skipinitialspace=True))
    page = [table for table in found if table is not noisy]
    assert parsed == [list(row) for table in page for row in table.rows]


def test_seeds_are_pooled(tables, evaluated):
    second = [record | {"seed": 1} for record in evaluated[0]]
    one, two = (tables.tables(timed(r)) for r in (evaluated[0], evaluated[0] + second))
    for single, double in zip(one, two, strict=True):
        for few, many in zip(single.rows, double.rows, strict=True):
            assert [cell.split(" (")[0] for cell in few] == [cell.split(" (")[0] for cell in many]


def record(method, parameter, scores, seed=0):
    return {
        "problem": "stefan",
        "backbone": "anp",
        "seed": seed,
        "method": method,
        "noise": 0.0,
        "parameter": parameter,
        "scores": {name: list(values) for name, values in scores.items()},
    }


def test_cells_are_won_within_one_standard_error_of_differences(tables):
    common = np.array(
        [0.0, 5.0, 10.0, 20.0]
    )  # how hard functions are; it is no error between methods
    jitter = np.array([1.0, -1.0, 1.0, -1.0])
    error = stats.sem(jitter)
    shifts = {"anp": 1.01 * error, "probconserv": 0.0, "ours": 0.99 * error}
    records = [
        record(
            method,
            "0.6",
            {"ll": -common - shift - jitter * (shift > 0), "mse": common + shift, "crps": common},
        )
        for method, shift in shifts.items()
    ]
    rows = {row[0]: row[1:] for row in tables.count_table(records).rows}
    assert rows["ProbConserv"] == ["1 of 1"] * 3 + ["3 of 3"] * 2
    assert rows["ANP"] == ["0 of 1", "0 of 1", "1 of 1", "1 of 3", "1 of 3"]
    assert rows["skphys"] == ["1 of 1", "0 of 1", "1 of 1", "2 of 3", "2 of 3"]
    assert tables.losses(records).endswith(
        "is worse than ProbConserv in: Stefan, u_star = 0.6 (MSE)."
    )


def test_a_method_that_misses_a_seed_is_not_counted(tables):
    scores = {"ll": [1.0, 2.0], "mse": [1.0, 2.0], "crps": [1.0, 2.0]}
    better = {"ll": [9.0, 9.0], "mse": [0.0, 0.0], "crps": [0.0, 0.0]}
    records = [record("anp", "0.6", scores, seed) for seed in (0, 1)]
    records.append(record("softc", "0.6", better))
    assert tables.count_table(records).rows == [["ANP", *["1 of 1"] * 3, "3 of 3", "0 of 0"]]


def test_a_net_is_trained_once_and_kept(probconserv, tmp_path, monkeypatch):
    calls, net = [], AttentiveNeuralProcessRegressor(8)
    monkeypatch.setattr(probconserv, "train", lambda *given: calls.append(given) or (net, 1.0))
    fit, quick = probconserv.Fit("stefan", "anp", 0), probconserv.PRESETS["quick"]
    options = probconserv.Options(output=tmp_path)
    for preset in (quick, quick, replace(quick, n_test=5)):
        model, seconds = probconserv.trained(fit, preset, options)
        assert (model.hidden_size, model.predict_dropout, seconds) == (8, False, 1.0)
    assert len(calls) == 1
    with_dropout = probconserv.trained(fit, replace(quick, predict_dropout=True), options)[0]
    assert with_dropout.predict_dropout
    with pytest.raises(SystemExit, match="another preset"):
        probconserv.trained(fit, replace(quick, width=16), options)


def test_dropout_in_predictions_is_the_presets_unless_it_is_said(probconserv):
    chosen = [
        probconserv.chosen_preset(Namespace(preset="paper", predict_dropout=said))
        for said in (None, True, False)
    ]
    assert [preset.predict_dropout for preset in chosen] == [True, True, False]

"""The parts of examples/reproduce_boon.py that its own run in CI does not check."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from skphys.metrics import boundary_error

PATH = Path(__file__).parents[1] / "examples" / "reproduce_boon.py"


@pytest.fixture(scope="module")
def boon():
    spec = importlib.util.spec_from_file_location("reproduce_boon", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproduce_boon"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reproduce_boon"]


def record(method, seed, error):
    return {"method": method, "seed": seed, "error": error}


def test_corrected_kernels_learn_from_few_fields_alone_in_the_cpu_preset(boon):
    fits = boon.wanted_fits(asked(problem="wave", seeds=None), boon.PRESETS["cpu"])
    assert [(f.size, f.method, f.seed) for f in fits] == [
        ("many", "fno", 0),
        *(("few", method, seed) for seed in range(3) for method in ("fno", "kernel")),
    ]


def asked(**changed):
    given = dict(problem="all", scenarios=["many", "few", "outside"], methods=["fno", "kernel"])
    return Namespace(**given | dict(recipes=["tuned"], seeds=1) | changed)


def test_interval_of_a_ratio_is_that_of_a_paired_t_test(boon):
    rng = np.random.default_rng(0)
    errors, others = rng.lognormal(size=(2, 5))
    mean, interval = boon.ratio_interval(errors, others)
    reference = stats.ttest_rel(np.log(errors), np.log(others)).confidence_interval(0.95)
    np.testing.assert_allclose(interval, np.exp(reference), rtol=1e-12)
    np.testing.assert_allclose(mean, stats.gmean(errors) / stats.gmean(others), rtol=1e-12)


def test_only_seeds_that_both_methods_have_are_compared(boon):
    records = [record("fno", 0, 4.0), record("fno", 1, 9.0), record("auto", 0, 2.0)]
    assert boon.times_better(records, "auto", "fno") == "2"
    assert boon.times_better(records, "fno", "fno") == "-"
    assert boon.times_better(records, "auto", "channels") == "-"


def test_one_training_answers_for_values_outside_where_the_inside_is_the_same(boon):
    fits = boon.wanted_fits(asked(problem="burgers_riemann", methods=["fno"]), boon.PRESETS["cpu"])
    assert [fit.size for fit in fits] == ["many", "few"]
    assert set(fits[0].scenarios()) == {"many", "outside"}
    fits = boon.wanted_fits(asked(problem="heat_rod", methods=["fno"]), boon.PRESETS["cpu"])
    assert [set(fit.scenarios()) for fit in fits] == [{"many"}, {"few"}, {"outside"}]


@pytest.mark.parametrize("problem", ["wave", "cavity", "burgers_periodic"])
def test_kernels_are_corrected_only_where_there_are_values(boon, problem):
    fits = boon.wanted_fits(asked(problem=problem), boon.PRESETS["cpu"])
    kernel = set() if problem == "burgers_periodic" else {"kernel"}
    assert {fit.method for fit in fits} == {"fno"} | kernel


@pytest.mark.parametrize("name", ["heat_rod", "cavity"])
def test_channels_hold_the_fields_and_the_values_that_are_asked_for(boon, name):
    data = boon.PROBLEMS[name].data(3, boon.PRESETS["quick"], 0)
    n_values = data.data.shape[1] - data.inputs.shape[1]
    without, given = (boon.features(data, values).fit_transform(data.data) for values in (0, 1))
    np.testing.assert_array_equal(without, data.inputs)
    values = given[:, data.inputs.shape[1] :].reshape(3, n_values, -1)
    expected = data.data[:, data.inputs.shape[1] :, None]
    np.testing.assert_array_equal(values, np.broadcast_to(expected, values.shape))


def test_the_papers_cavity_has_its_time_as_an_input(boon):
    """Every field is that of the flow, at the time that stands behind the lid's speed."""
    data = boon.PROBLEMS["paper_cavity"].data(7, boon.PRESETS["quick"], 0)
    lid, times = data.data[:, -2:].T
    assert len(set(lid)) == 2 and len(data.target) == 7
    flows = boon.datasets.make_lid_driven_cavity(
        2, lid_speed=(1.0, 1.5), strength=0.0, profile="uniform", n_points=9, random_state=0
    )
    fields = flows.target.reshape(2, 2, 25, 81)
    for speed, time, target in zip(lid, times, data.target, strict=True):
        flow = list(flows.data[:, -1]).index(speed)
        np.testing.assert_array_equal(
            target.reshape(2, 81), fields[flow, :, round(time / 0.08) - 1]
        )
    shown = boon.features(data, values=False).fit_transform(data.data)
    np.testing.assert_array_equal(shown[:, -1], times)
    assert boundary_error(data.target, data.boundary, data.grid, data.data).max() < 1e-12


def test_a_cut_run_goes_on_with_its_own_preset_only(boon, tmp_path):
    quick, path = boon.PRESETS["quick"], tmp_path / "boon.json"
    assert boon.load(path, quick) == []
    fit = boon.Fit("heat_rod", "few", False, "tuned", "background", 0)
    records = boon.run(fit, quick, "cpu")
    boon.save(path, quick, records)
    assert json.loads(path.read_text())["records"] == boon.load(path, quick) == records
    assert boon.already_done(fit, records)
    assert not boon.already_done(boon.Fit("heat_rod", "few", False, "boon", "fno", 0), records)
    assert records[0]["background"] == "linear"
    assert records[0]["boundary_relative"] < 1e-12
    with pytest.raises(SystemExit, match="another preset"):
        boon.load(path, boon.PRESETS["cpu"])

"""
Reproduce the tables of BOON
============================

Train operators on the problems of the BOON paper, with and without their boundary built in.

All methods learn from the same fields, with the same recipe and for as many epochs, and are tested
on fields of their own: a Fourier neural operator (FNO) as it is; an FNO that sees the boundary
values as input channels, and whose boundary is overwritten; `BoundaryEnforcedOperator` with the
method and the background it chooses, with one net and with five, and with the corrected kernels of
the paper; its background without any net; kernel ridge regression; and ridge regression whose
boundary is overwritten. The last three show how much of the work needs no net.

There are three scenarios: few training fields, many, and boundary values at test time that are
outside the range of those in training. A seed draws data, weights and batches. Tables give the mean
over test fields of the relative L2 error, as geometric mean over seeds; the ratio of two methods'
errors with its 95 % interval (Student's t, on the logarithms of the paired ratios); the largest
miss of a boundary condition, the mean over test fields; the share of values in 90 % intervals,
where an uncertainty is stated; and the seconds of training, of the processor unless it is on a GPU.

.. code-block:: shell

    python examples/reproduce_boon.py --problem stokes --preset quick
    python examples/reproduce_boon.py --problem all --preset cpu --n-jobs 2 --output boon.json
    python examples/reproduce_boon.py --problem all --preset paper --device cuda

With --output, each result is written as soon as it is there; a run that was cut goes on where it
was.

N. Saad, G. Gupta, S. Alizadeh, D. C. Maddix, "Guiding continuous operator learning through
physics-based boundary constraints", ICLR 2023, arXiv 2212.07477.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import torch
from scipy import stats
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import BoundaryEnforcedOperator, FNORegressor, datasets
from skphys.metrics import boundary_error
from skphys.preprocessing import GridFeatures

METHODS = {
    "fno": "FNO",
    "channels": "FNO, values as channels, overwritten",
    "auto": "skphys",
    "members": "skphys, five members",
    "kernel": "skphys, kernel, scalar pivot",
    "block": "skphys, kernel, block pivot",
    "background": "background of skphys, no net",
    "kernel_ridge": "kernel ridge regression as background, no net",
    "ridge": "ridge regression, overwritten",
}
ENFORCED = {  # options of BoundaryEnforcedOperator
    "channels": {"method": "project"},
    "auto": {"method": "auto"},
    "members": {"method": "auto"},
    "kernel": {"method": "kernel"},
    "block": {"method": "kernel_block"},
    "background": {"method": "lift"},
    "kernel_ridge": {"method": "lift", "background": "kernel"},
    "ridge": {"method": "project"},
}
WITHOUT_NET = {  # backbones in place of the operator
    "background": DummyRegressor(),
    "kernel_ridge": DummyRegressor(),
    "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-10, 1, 12))),
}
RIVALS = ("fno", "channels")
COSTLY = ("members", "kernel", "block")
SCENARIOS = {"few": "few fields", "many": "many fields", "outside": "values outside the range"}
RECIPES = ("tuned", "boon")
TEST = 1_000_000  # added to the seeds of training data


@dataclass(frozen=True)
class Problem:
    """How to make the data of a problem."""

    make: Callable
    options: dict = field(default_factory=dict)
    # For boundary values outside the range of training: the options that change for training, if
    # any, and those that change for testing.
    varied: dict = field(default_factory=dict)
    outside: dict = field(default_factory=dict)
    n_axes: int = 1
    states_values: bool = True  # whether there is a kernel to correct, or anything to lift

    def data(self, n_samples, preset, seed, **options):
        """Draw fields."""
        options = {**self.options, **options}
        if self.make is datasets.make_lid_driven_cavity:
            options["t"] = preset.cavity_times
        n_points = preset.n_points[self.n_axes - 1]
        if self.make is make_cavity_from_rest:
            n_points = preset.paper_cavity_points
        return self.make(n_samples, n_points=n_points, random_state=seed, **options)

    def methods(self):
        """Name the methods that can be told about this boundary."""
        unfit = () if self.states_values else ("kernel", "block", "kernel_ridge")
        return [name for name in METHODS if name not in unfit]


def make_cavity_from_rest(n_samples, *, n_points, lid_speed=(1.0, 1.5), random_state=None):
    """Make the paper's cavity: fluid at rest, and the velocity at one of 25 times.

    The time is the last column of the inputs; there are six times of each flow, its `groups`.
    """
    make = partial(
        datasets.make_lid_driven_cavity,
        lid_speed=lid_speed,
        strength=0.0,
        profile="uniform",
        n_points=n_points,
        random_state=random_state,
    )
    flows, times = make(-(-n_samples // 6)), np.arange(1, 26) * 0.08
    velocity = flows.target.reshape(len(flows.data), 2, len(times), -1)
    rng = np.random.default_rng(random_state)
    steps = np.stack([rng.permutation(len(times))[:6] for _ in velocity])
    later = np.take_along_axis(velocity, steps[:, None, :, None], axis=2).swapaxes(1, 2)
    start = np.repeat(flows.data, 6, axis=0)
    one = make(1, t=2.0)  # of one time, for the grid and its walls
    one.update(
        data=np.column_stack([start, times[steps].ravel()])[:n_samples],
        target=later.reshape(len(start), -1)[:n_samples],
        groups=np.arange(n_samples) // 6,
    )
    return one


AMPLITUDES = {"varied": {"amplitude": (1.5, 2.5)}, "outside": {"amplitude": (2.5, 3.5)}}
PROBLEMS = {
    "stokes_0.1": Problem(datasets.make_stokes, {"nu": 0.1}, **AMPLITUDES),
    "stokes_0.02": Problem(datasets.make_stokes, {"nu": 0.02}, **AMPLITUDES),
    "heat_rod": Problem(
        datasets.make_heat_rod, varied={"amplitude": (3.0, 5.0)}, outside={"amplitude": (5.0, 7.0)}
    ),
    "rod_any_k": Problem(
        datasets.make_heat_rod,
        {"k": (0.002, 0.05), "amplitude": (3.0, 5.0)},
        outside={"amplitude": (5.0, 7.0)},
    ),
    "burgers_riemann": Problem(
        datasets.make_burgers_riemann, outside={"left": (1.0, 1.25), "right": (-1.25, -1.0)}
    ),
    "burgers_periodic": Problem(datasets.make_burgers_periodic, states_values=False),
    "heat_robin": Problem(
        datasets.make_heat_robin, outside={"left": (1.0, 2.0), "right": (1.0, 2.0)}
    ),
    "wave": Problem(datasets.make_wave, n_axes=2),
    "paper_cavity": Problem(make_cavity_from_rest, n_axes=2),
    "cavity": Problem(datasets.make_lid_driven_cavity, outside={"lid_speed": (1.5, 2.0)}, n_axes=2),
    "darcy": Problem(datasets.make_darcy, outside={"pressure": (0.1, 0.3)}, n_axes=2),
}


@dataclass(frozen=True)
class Size:
    """How many training fields, and what is trained on them."""

    n_fields: int
    n_seeds: tuple[int, int]
    recipes: tuple[str, ...] = RECIPES
    methods: tuple[str, ...] = tuple(METHODS)


@dataclass(frozen=True)
class Preset:
    """How large everything is; pairs are for problems in one dimension, and in two."""

    few: Size
    many: Size
    epochs: int
    n_test: tuple[int, int]
    n_points: tuple[int, int]
    n_modes: tuple[int, int]
    width: tuple[int, int]
    cavity_times: float | None = 2.0  # None: 25 steps to t = 2
    paper_cavity_points: int = 25
    n_layers: int = 4
    batch_size: int = 20


PRESETS = {
    "quick": Preset(
        Size(16, (2, 1), ("tuned",)),
        Size(32, (2, 1), ("tuned",)),
        10,
        (8, 8),
        (32, 9),
        (8, 4),
        (8, 4),
        n_layers=2,
        paper_cavity_points=9,
    ),
    "cpu": Preset(  # what takes longest learns from few fields alone
        Size(50, (5, 3)),
        Size(500, (3, 1), ("tuned",), tuple(m for m in METHODS if m not in COSTLY)),
        150,
        (200, 50),
        (128, 33),
        (16, 8),
        (32, 16),
    ),
    "paper": Preset(
        Size(50, (5, 3)),
        Size(500, (5, 3)),
        500,
        (200, 200),
        (128, 33),
        (16, 12),
        (64, 32),
        cavity_times=None,
        paper_cavity_points=50,
    ),
}


@dataclass(frozen=True)
class Fit:
    """One training."""

    problem: str
    size: str  # "many" or "few"
    varied: bool
    recipe: str
    method: str
    seed: int

    def scenarios(self):
        """Return the scenarios that this training answers, with the options of their test data."""
        problem = PROBLEMS[self.problem]
        answers = {} if self.varied else {self.size: {}}
        if self.size == "many" and problem.outside and self.varied == bool(problem.varied):
            answers["outside"] = problem.outside
        return answers


def wanted_fits(arguments, preset):
    """List the trainings for what was asked, one seed of all methods after another."""
    fits = {}
    every = product(RECIPES, arguments.scenarios, PROBLEMS.items())
    for recipe, scenario, (name, problem) in every:
        chosen = arguments.problem == "all" or name.startswith(arguments.problem)
        if not chosen or (scenario == "outside" and not problem.outside):
            continue
        size = "few" if scenario == "few" else "many"
        wanted = getattr(preset, size)
        if recipe not in (arguments.recipes or wanted.recipes):
            continue
        varied = scenario == "outside" and bool(problem.varied)
        seeds = range(arguments.seeds or wanted.n_seeds[problem.n_axes - 1])
        allowed = set(wanted.methods) & set(arguments.methods)
        methods = [method for method in problem.methods() if method in allowed]
        if recipe != RECIPES[0]:  # five nets are for what they state
            methods = [method for method in methods if method != "members"]
        for seed, method in product(seeds, methods):
            fits[Fit(name, size, varied, recipe, method, seed)] = None
    return list(fits)


def features(data, values):
    """Return the transformer that makes channels of the input fields, and of the values if asked.

    So it does of parameters behind them, such as a time. An input field without time is repeated
    over the times of the output.
    """
    grids = getattr(data.input_grid, "grids", {"u": data.input_grid})
    n_points = [grid.n_points for grid in grids.values()]
    ends = np.cumsum([0, *n_points])
    fields = {f"{name}0": slice(*ends[i : i + 2]) for i, name in enumerate(grids)}
    along = {f"{name}0": list(grid.names) for name, grid in grids.items()}
    n_values = sum(value[0].size for value in data.boundary_values.values())
    scalars = list(range(ends[-1] + (0 if values else n_values), data.data.shape[1])) or None
    return GridFeatures(data.grid, fields, scalars, coordinates=False, along=along)


def operator(data, method, preset, fit, device):
    """Return the estimator that is compared, not fitted."""
    plane = PROBLEMS[fit.problem].n_axes - 1
    shape = getattr(data.grid, "grids", {"u": data.grid})
    points = next(iter(shape.values())).shape
    net = FNORegressor(
        [min(preset.n_modes[plane], size // 2) for size in points],
        preset.width[plane],
        preset.n_layers,
        grid=data.grid,
        recipe=fit.recipe,
        max_epochs=preset.epochs,
        batch_size=preset.batch_size,
        device=device,
        n_members=5 if method == "members" else 1,
        random_state=fit.seed,
    )
    pipeline = make_pipeline(features(data, values=method == "channels"), net)
    if method == "fno":
        return pipeline
    backbone = WITHOUT_NET.get(method, pipeline)
    return BoundaryEnforcedOperator(backbone, data.boundary, data.grid, **ENFORCED[method])


def run(fit, preset, device):
    """Train, test, and return one record for each scenario."""
    torch.set_num_threads(1)
    problem = PROBLEMS[fit.problem]
    options = problem.varied if fit.varied else {}
    train = problem.data(getattr(preset, fit.size).n_fields, preset, fit.seed, **options)
    model = operator(train, fit.method, preset, fit, device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    groups = {} if fit.method == "fno" or "groups" not in train else {"groups": train.groups}
    model.fit(train.data, train.target, **groups)
    seconds = clock() - began
    background = getattr(getattr(model, "background_", None), "kind_", None)
    records = []
    for scenario, other in fit.scenarios().items():
        n_test = preset.n_test[problem.n_axes - 1]
        test = problem.data(n_test, preset, TEST + fit.seed, **{**options, **other})
        scores = test_scores(model, test, fit.method)
        records.append(
            vars(fit)
            | {"scenario": scenario, "seconds": seconds, "background": background}
            | scores
        )
    return records


def test_scores(model, test, method):
    """Return the errors of predictions, means over the fields.

    A single net states no uncertainty; five do, and a background that leaves nothing to learn.
    """
    fields = model.predict(test.data)
    error = np.linalg.norm(fields - test.target, axis=1) / np.linalg.norm(test.target, axis=1)
    boundary = {
        f"boundary_{kind}": boundary_error(fields, test.boundary, test.grid, test.data, kind=kind)
        for kind in ("absolute", "relative")
    }
    scores = {"error": error, "coverage": np.nan, **boundary}
    if method == "members" or getattr(getattr(model, "background_", None), "explained_", False):
        reach = stats.norm.ppf(0.95) * model.predict_std(test.data)
        scores["coverage"] = abs(fields - test.target) <= reach
    return {name: float(np.mean(score)) for name, score in scores.items()}


def ratio_interval(errors, others):
    """Return the geometric mean of errors / others, and its 95 % interval if there are pairs."""
    logs = np.log(np.asarray(errors)) - np.log(np.asarray(others))
    if len(logs) < 2:
        return np.exp(logs.mean()), None
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return np.exp(logs.mean()), np.exp(logs.mean() + np.array([-half, half]))


def by_seed(records, name):
    """Return the errors of a method."""
    return {r["seed"]: r["error"] for r in records if r["method"] == name}


def times_better(records, name, rival):
    """Write how many times the error of a rival is that of a method, over the seeds of both."""
    errors, others = by_seed(records, name), by_seed(records, rival)
    seeds = sorted(errors.keys() & others.keys())
    if name == rival or not seeds:
        return "-"
    mean, interval = ratio_interval([others[s] for s in seeds], [errors[s] for s in seeds])
    if interval is None:
        return f"{mean:.3g}"
    return f"{mean:.3g} ({interval[0]:.3g} to {interval[1]:.3g})"


def row(records, name):
    """Write a line of the table."""
    own = [r for r in records if r["method"] == name]
    error = np.exp(np.mean(np.log([r["error"] for r in own])))
    kinds = ", ".join(sorted({r["background"] for r in own if r["background"]}))
    cells = [
        f"{METHODS[name]} ({kinds})" if kinds else METHODS[name],
        f"{error:.2e}",
        *(times_better(records, name, rival) for rival in RIVALS),
        f"{np.mean([r['boundary_absolute'] for r in own]):.0e}",
        "-" if np.isnan(held := np.mean([r["coverage"] for r in own])) else f"{held:.0%}",
        f"{np.median([r['seconds'] for r in own]):.3g}",
        str(len(own)),
    ]
    return "| " + " | ".join(cells) + " |"


def table(records):
    """Write the table of one problem, scenario and recipe."""
    rivals = [f"times better than {rival} (95 %)" for rival in ("FNO", "FNO with channels")]
    columns = ["method", "relative L2", *rivals, "boundary error", "held", "seconds", "seeds"]
    present = [name for name in METHODS if any(r["method"] == name for r in records)]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + [row(records, name) for name in present])


def print_tables(records):
    """Print what there is, problem by problem."""
    for name, scenario, recipe in product(PROBLEMS, SCENARIOS, RECIPES):
        key = {"problem": name, "scenario": scenario, "recipe": recipe}
        own = [r for r in records if key.items() <= r.items()]
        if own:
            print(f"\n**{name}: {SCENARIOS[scenario]}, recipe {recipe!r}**\n\n{table(own)}")


def already_done(fit, records):
    """Say whether all that a training would tell is known."""
    known = {r["scenario"] for r in records if vars(fit).items() <= r.items()}
    return fit.scenarios().keys() <= known


def load(path, preset):
    """Return the records of an earlier run with the same preset."""
    if path is None or not path.exists():
        return []
    saved = json.loads(path.read_text())
    if saved["preset"] != json.loads(json.dumps(asdict(preset))):
        raise SystemExit(f"{path} holds a run with another preset; choose another --output.")
    return saved["records"]


def save(path, preset, records):
    """Write all records; the file is whole at any time."""
    if path is None:
        return
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps({"preset": asdict(preset), "records": records}, indent=0))
    os.replace(draft, path)


def parse_arguments():
    """Read the command line."""
    names = ["stokes", *PROBLEMS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", choices=[*names, "all"], default="all")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--recipes", nargs="+", choices=RECIPES)
    parser.add_argument("--seeds", type=int, help="number of them; the default is the preset's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--n-jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--output", type=Path, metavar="FILE.json")
    return parser.parse_args()


def main():
    """Run what was asked for, and print the tables."""
    arguments = parse_arguments()
    preset = PRESETS[arguments.preset]
    records = load(arguments.output, preset)
    fits = [f for f in wanted_fits(arguments, preset) if not already_done(f, records)]
    began = time.perf_counter()
    parallel = joblib.Parallel(arguments.n_jobs, return_as="generator_unordered")
    for new in parallel(joblib.delayed(run)(f, preset, arguments.device) for f in fits):
        records += new
        save(arguments.output, preset, records)
    print_tables(records)
    print(f"\n{len(fits)} trainings in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

"""
Reproduce the tables of ProbConserv
===================================

Train attentive neural processes on the problems of the ProbConserv paper, and constrain them.

A neural process learns from many functions, each known at 100 context points, to predict a whole
field of a new one. All methods but SoftC share one trained net (ANP), so that only the constraint
differs: SoftC trains a net of its own with the differential equation as a penalty; HardC moves
the mean onto the law in the Euclidean metric; ProbConserv conditions each latent draw on it;
ProbConserv with smoothing also on second differences; ours is the default of
``ConservationConstrainedRegressor``, with nothing chosen but ``calibration``, from which it learns
how the net errs: functions of the training range that no net has seen, at the time of the tests.

Tests are those of the paper, 50 context sets (30 with the preset cpu) of one solution for each
parameter, at one time, on 201 points, with parameters inside and outside the training range; and,
as one solution says little, as many solutions with parameters in that range. Tables give means and,
in brackets, standard errors over the functions of all nets, one a seed: the conservation error
(trapezoid rule, against the exact mass), the log-likelihood a point, the mean squared error, the
CRPS and how many points 90 % intervals hold; first with the law exact, then with the error of the
trapezoid rule as its noise. For the Stefan problem a last table says where draws of the field put
the front. The first table counts in how many cells, sets of tests by scores, a method is best.

Where skphys predicts a mixture, its likelihood, CRPS and intervals are those of the mixture; those
of the other methods are, as in the paper, those of a Gaussian with the moments.

.. code-block:: shell

    python examples/reproduce_probconserv.py --problem stefan --preset quick
    python examples/reproduce_probconserv.py --preset cpu --n-jobs 2 --output probconserv
    python examples/reproduce_probconserv.py --preset paper --device cuda --output probconserv
    python examples/reproduce_probconserv.py --problem stefan --preset paper --weights anp.pt

--weights takes a checkpoint of the released code in place of training. --output names a folder
for the trained nets, the results, the tables as reStructuredText and four figures for each problem:
mass over time, profiles with bands, positions of the front, and error over time. A run that was
cut goes on where it was; with ``results.json`` deleted, everything is evaluated anew, in seconds a
net, as nets and what they say are kept.

D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney, "Learning physical models that can
respect conservation laws", ICML 2023, arXiv 2302.11002.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import torch
from _probconserv_tables import print_tables, write_tables
from scipy.special import ndtri
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator

from skphys import AttentiveNeuralProcessRegressor, ConservationConstrainedRegressor, neural
from skphys.constraints import Column, ConservationLaw, Smoothness
from skphys.datasets import make_context_target
from skphys.estimators import ErrorModel
from skphys.metrics import (
    conservation_error,
    coverage,
    crps,
    crps_ensemble,
    gaussian_nll,
    shock_position,
)

UNCONSTRAINED = ("anp", "softc")
EACH = ErrorModel(members="each")  # latent draw is conditioned by itself
CONSTRAINED = {  # the error models of ConservationConstrainedRegressor
    "hardc": ErrorModel(covariance="identity", members="each"),
    "probconserv": EACH,
    "smoothed": EACH,
    "ours": "auto",
}
METHODS = (*UNCONSTRAINED, *CONSTRAINED)
NOISES = (0.0, "auto")  # of the law: exact, or the error of the trapezoid rule
TEST, CALIBRATION = 1_000_000, 2_000_000  # added to the seeds of training data
RANGE = "range"  # the name of the tests with parameters in the training range
LEVEL = 0.9  # of intervals
N_FIELDS = 200  # draws of each field, for its front, and for the CRPS of a mixture


@dataclass(frozen=True)
class Problem:
    """What is asked of a problem."""

    t: float
    values: tuple[float, ...]  # of the parameter
    equation: str
    has_front: bool = False


PROBLEMS = {
    "diffusion": Problem(0.5, (1.0, 5.0, 3.0, 7.0), "DiffusionEquation"),
    "porous_medium": Problem(0.5, (1.0, 3.0, 6.0, 2.0, 7.0), "PorousMediumEquation"),
    "stefan": Problem(0.05, (0.6, 0.5, 0.52, 0.65, 0.75), "StefanEquation", has_front=True),
    "advection": Problem(0.1, (1.0, 3.0, 2.0, 6.0), "AdvectionEquation"),
    "burgers": Problem(0.5, (1.0, 3.0, 2.0, 5.0), "BurgersEquation"),
}


@dataclass(frozen=True)
class Preset:
    """How large everything is."""

    n_functions: int
    epochs: int
    width: int
    batch_size: int
    n_seeds: int = 1
    n_times: int = 10  # fields of each function in training
    n_targets: int = 100  # points of each function in a step
    lr: float = 1e-3
    scheduler: str = "one_cycle"
    dropout: float = 0.0
    predict_dropout: bool = False  # leave it on in predictions, as the released code does
    softc: tuple[str, ...] = ("diffusion",)
    softc_weight: float = 0.004  # of the paper: its loss is summed over 250 functions
    n_points: int = 201
    n_draws: int = 100  # of the latent variable
    n_test: int = 50
    n_calibration: int = 100
    n_curves: int = 10  # functions in figures over time
    n_curve_times: int = 21


PAPER = Preset(
    10_000,
    500,
    128,
    250,
    lr=1e-4,
    scheduler="constant",
    dropout=0.1,
    predict_dropout=True,
    softc=tuple(PROBLEMS),
    n_curve_times=101,
)
TRAINING = (  # what of a preset a trained net depends on
    *("n_functions", "n_times", "n_points", "n_targets", "width", "dropout"),
    *("epochs", "batch_size", "lr", "scheduler", "softc_weight"),
)
PRESETS = {
    "quick": Preset(
        64, 2, 8, 16, n_times=2, n_points=41, n_draws=8, n_test=4, n_calibration=8, n_curves=2
    ),
    "cpu": Preset(
        *(4000, 6, 64, 8),
        n_seeds=3,
        dropout=0.05,
        predict_dropout=True,
        n_draws=32,
        n_test=30,
        n_curves=4,
    ),
    "paper": PAPER,
}


@dataclass(frozen=True)
class Fit:
    """One training."""

    problem: str
    backbone: str  # "anp" or "softc"
    seed: int


@dataclass(frozen=True)
class Options:
    """What else the command line says."""

    methods: tuple[str, ...] = METHODS
    device: str = "cpu"
    weights: Path | None = None
    output: Path | None = None


class KnownMembers(RegressorMixin, BaseEstimator):
    """A backbone that was asked before: the first column of X numbers the fields."""

    def __init__(self, means=None, stds=None):
        self.means = means
        self.stds = stds

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict(self, X):
        """Look up the mean."""
        return self.predict_members(X)[0].mean(axis=0)

    def predict_members(self, X):
        """Look up means and standard deviations of the members."""
        index = np.asarray(X)[:, 0].astype(int)
        return self.means[:, index], self.stds[:, index]

    def __sklearn_is_fitted__(self):
        return True


def functions(name, n_samples, preset, seed, **options):
    """Draw functions, each with a context, and fields of them."""
    return make_context_target(
        name, n_samples, layout="fields", n_points=preset.n_points, random_state=seed, **options
    )


def backbone(fit, preset, grid, device):
    """Return the neural process, not fitted."""
    soft = fit.backbone == "softc"
    return AttentiveNeuralProcessRegressor(
        preset.width,
        grid=grid,
        n_draws=preset.n_draws,
        n_targets=preset.n_targets,
        dropout=preset.dropout,
        predict_dropout=preset.predict_dropout,
        lr=preset.lr,
        scheduler=preset.scheduler,
        max_epochs=preset.epochs,
        batch_size=preset.batch_size,
        equation=getattr(neural, PROBLEMS[fit.problem].equation)() if soft else None,
        equation_weight=preset.softc_weight,
        device=device,
        random_state=fit.seed,
    )


def train(fit, preset, device):
    """Return a fitted neural process, and the seconds it took."""
    shape = {"target_shape": (preset.n_times, 1)}
    data = functions(fit.problem, preset.n_functions, preset, fit.seed, **shape)
    model = backbone(fit, preset, data.grid, device)
    known = {"equation_parameters": data.parameters} if fit.backbone == "softc" else {}
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    model.fit(data.data, data.target, **known)
    return model, clock() - began


def import_weights(fit, preset, options):
    """Return a neural process with the weights of a checkpoint of the released code."""
    data = functions(fit.problem, 1, preset, fit.seed)
    state = torch.load(options.weights, map_location="cpu", weights_only=True)
    theirs = replace(preset, width=PAPER.width, dropout=PAPER.dropout)
    model = backbone(fit, theirs, data.grid, options.device)
    prefix = "anp." if any(name.startswith("anp.") for name in state) else ""
    return model.load_state_dict(state, n_context=data.context.shape[1], prefix=prefix), 0.0


def kept(fit, options, what=""):
    """Return the path of a net, or of what it said, or None."""
    if options.output is None:
        return None
    return options.output / f"{fit.problem}_{fit.backbone}_{fit.seed}{what}.joblib"


def trained(fit, preset, options):
    """Return a fitted neural process: imported, kept from an earlier run, or trained now."""
    if options.weights is not None:
        return import_weights(fit, preset, options)
    if options.output is None:
        return train(fit, preset, options.device)
    path = kept(fit, options)
    recipe = {name: getattr(preset, name) for name in TRAINING}
    if not path.exists():
        joblib.dump((recipe, *train(fit, preset, options.device)), path)
    known, *result = joblib.load(path)
    if known != recipe:
        raise SystemExit(f"{path} holds a net of another preset; choose another --output.")
    model, seconds = result
    return model.set_params(predict_dropout=preset.predict_dropout), seconds


def test_sets(fit, preset):
    """Return the functions to calibrate on, to test on by parameter, and to follow over time."""
    problem = PROBLEMS[fit.problem]
    draw = {"seed": TEST + fit.seed, "preset": preset}
    at = {"n_samples": preset.n_test, "target_times": problem.t}
    sets = {str(v): functions(fit.problem, parameter=v, **at, **draw) for v in problem.values}
    sets[RANGE] = functions(fit.problem, **at, **draw)
    if fit.seed == 0:  # whose figures are drawn
        times = np.linspace(*sets[RANGE].times, preset.n_curve_times)
        sets["curves"] = functions(
            fit.problem, preset.n_curves, parameter=problem.values[0], target_times=times, **draw
        )
    # Held-out fields teach how fields like those asked for err: at other times fronts err by less.
    other = draw | {"seed": CALIBRATION + fit.seed}
    sets["calibration"] = functions(
        fit.problem, preset.n_calibration, target_times=problem.t, **other
    )
    return sets


def answers(model, sets, path=None):
    """Return means and standard deviations of the members for all sets, one after the other.

    They take long and know no law, so they are kept beside the net.
    """
    before = joblib.load(path) if path is not None and path.exists() else {}
    said = {}
    for data in sets.values():
        asked = joblib.hash([model.n_draws, model.predict_dropout, data.data])
        said[asked] = before[asked] if asked in before else model.predict_members(data.data)
    if path is not None and said.keys() != before.keys():
        joblib.dump(said, path)
    return [np.concatenate(parts, axis=1) for parts in zip(*said.values(), strict=True)]


def ask_once(model, sets, path=None):
    """Return a backbone that knows the predictions for all sets, and the tables to ask it by.

    So the net is asked once, not once for each constraint. The second column holds the masses.
    """
    means, stds = answers(model, sets, path)
    ends = np.cumsum([len(data.data) for data in sets.values()])
    tables = {
        name: np.column_stack([np.arange(end - len(data.data), end), data.masses])
        for (name, data), end in zip(sets.items(), ends, strict=True)
    }
    return KnownMembers(means, stds), tables


def constrain(known, method, noise, grid, seed):
    """Return the estimator that is compared, not fitted."""
    law = ConservationLaw(over="x", total=Column(1), noise=noise)
    constraints = {"smoothed": [law, Smoothness("x")]}.get(method, law)
    return ConservationConstrainedRegressor(
        FrozenEstimator(known),
        None if method in UNCONSTRAINED else constraints,
        grid,
        drop_value_columns=True,
        random_state=seed,
        error_model=CONSTRAINED.get(method, EACH),
    )


def calibrated(model, method, table, data):
    """Fit; only ours looks at the functions that it is given."""
    if method == "ours":
        model.set_params(calibration=(table, data.target))
    return model.fit(table, data.target)


def scores(mean, std, data):
    """Return the scores of each field, of Gaussians with these moments as in the paper."""
    law = ConservationLaw(over="x")
    each = list(zip(data.target, mean, std, strict=True))
    half = ndtri(0.5 + 0.5 * LEVEL) * std
    return {
        "ce": conservation_error(mean, law, data.grid, values=data.masses)[:, 0].tolist(),
        "ll": [-gaussian_nll(*field) for field in each],
        "mse": np.mean((mean - data.target) ** 2, axis=1).tolist(),
        "crps": [crps(*field) for field in each],
        "held": held(mean - half, mean + half, data),
    }


def held(lower, upper, data):
    """Return the part of each field's points that lie within their intervals."""
    return [coverage(*field) for field in zip(data.target, lower, upper, strict=True)]


def mixture_scores(model, table, data, draws):
    """Return those that see more of a distribution than its moments, of the one predicted."""
    return {
        "ll": model.log_prob(table, data.target).tolist(),
        "crps": [
            crps_ensemble(*field, fair=True) for field in zip(data.target, draws, strict=True)
        ],
        "held": held(*model.predict_interval(table, LEVEL), data),
    }


def fronts(draws, grid, heights):
    """Return where draws of the fields put the front, of shape (n_samples, n_draws), in two ways.

    By their last crossing of half the height of the jump, and as in the paper by their first point
    at which they are not positive.
    """
    empty = draws <= 0.0
    first = np.where(empty.any(axis=1), grid["x"][empty.argmax(axis=1)], np.nan)
    half = [
        shock_position(field, grid, threshold=0.5 * height, axis=0)
        for field, height in zip(draws, heights, strict=True)
    ]
    return {"half": np.array(half), "first": first}


def front_scores(positions, truth):
    """Return for each field the mean position, the rms distance, and whether 90 % cover."""
    low, high = np.nanquantile(positions, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL], axis=1)
    return {
        "truth": truth.tolist(),
        "position": np.nanmean(positions, axis=1).tolist(),
        "distance": np.sqrt(np.nanmean((positions - truth[:, None]) ** 2, axis=1)).tolist(),
        "covered": ((low <= truth) & (truth <= high)).tolist(),
    }


def judge(model, method, table, data, problem):
    """Return what a record says of one set of tests, and what figures show of it."""
    mean, std = model.predict(table, return_std=True)
    record, shown = {"scores": scores(mean, std, data)}, {"mean": mean, "std": std}
    if method == "ours" or problem.has_front:
        draws = model.sample_y(table, n_samples=N_FIELDS, random_state=0)
    if method == "ours":
        record["scores"] |= mixture_scores(model, table, data, draws)
    if problem.has_front:
        # The Stefan problem's field falls from its parameter to 0.
        truth = data.shock_position(problem.t, data.parameters)
        found = fronts(draws, data.grid, data.parameters)
        record["front"] = {way: front_scores(p, truth) for way, p in found.items()}
        shown |= {"positions": found["half"], "truth": truth}
    return record, shown


def evaluate(model, fit, preset, options):
    """Return one record for each method, noise and set of tests; draw the figures if asked."""
    problem, sets = PROBLEMS[fit.problem], test_sets(fit, preset)
    known, tables = ask_once(model, sets, kept(fit, options, "_said"))
    wanted = ("softc",) if fit.backbone == "softc" else ("anp", *CONSTRAINED)
    records, shown = [], {}
    for method, noise in product([m for m in wanted if m in options.methods], NOISES):
        if method in UNCONSTRAINED and noise:
            continue
        constrained = constrain(known, method, noise, sets[RANGE].grid, fit.seed)
        calibrated(constrained, method, tables["calibration"], sets["calibration"])
        shown[method, noise] = {}
        for name in (*map(str, problem.values), RANGE):
            found, seen = judge(constrained, method, tables[name], sets[name], problem)
            head = {"method": method, "noise": noise, "parameter": name}
            records.append(asdict(fit) | head | found)
            shown[method, noise][name] = seen
        if "curves" in sets:
            shown[method, noise]["curves"] = {"mean": constrained.predict(tables["curves"])}
    if options.output is not None and fit.backbone == "anp" and "curves" in sets:
        from _probconserv_figures import save_figures

        save_figures(options.output, fit, problem.values, sets, shown)
    return records


def run(fit, preset, options):
    """Train, test, and return the records."""
    torch.set_num_threads(1)
    model, seconds = trained(fit, preset, options)
    began = time.process_time()
    records = evaluate(model, fit, preset, options)
    seconds = {"training": seconds, "evaluation": time.process_time() - began}
    return [record | {"seconds": seconds} for record in records]


def wanted_fits(arguments, preset):
    """List the trainings for what was asked, seed by seed, the longest of each first."""
    n_seeds = arguments.seeds or (preset.n_seeds if arguments.weights is None else 1)
    fits = []
    for seed, kind, name in product(range(n_seeds), ("softc", "anp"), PROBLEMS):
        asked = arguments.problem in (name, "all")
        if asked and (kind == "anp" or name in preset.softc) and not skipped(kind, arguments):
            fits.append(Fit(name, kind, seed))
    return fits


def skipped(kind, arguments):
    """Say whether a backbone is not asked for: SoftC cannot be imported."""
    if kind == "softc":
        return arguments.weights is not None or "softc" not in arguments.methods
    return not set(arguments.methods) - {"softc"}


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
    draft.write_text(json.dumps({"preset": asdict(preset), "records": records}))
    os.replace(draft, path)


def already_done(fit, records):
    """Say whether the records of a training are there."""
    return any(asdict(fit).items() <= record.items() for record in records)


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", choices=[*PROBLEMS, "all"], default="all")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, help="number of them; the default is the preset's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--n-jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--weights", type=Path, help="checkpoint of the released code")
    parser.add_argument(
        "--predict-dropout",
        action=argparse.BooleanOptionalAction,
        help="whether dropout stays on in predictions; the default is the preset's",
    )
    parser.add_argument("--output", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.weights is not None and arguments.problem == "all":
        parser.error("--weights holds the net of one problem: name it with --problem.")
    return arguments


def chosen_preset(arguments):
    """Return the preset with what else the command line says about it."""
    preset = PRESETS[arguments.preset]
    if arguments.predict_dropout is None:
        return preset
    return replace(preset, predict_dropout=arguments.predict_dropout)


def described(arguments, preset):
    """Return the command for the tables, and the settings in words."""
    command = "python examples/reproduce_probconserv.py"
    command += f" --problem {arguments.problem} --preset {arguments.preset}"
    if arguments.seeds is not None:
        command += f" --seeds {arguments.seeds}"
    if set(arguments.methods) != set(METHODS):
        command += f" --methods {' '.join(arguments.methods)}"
    state = "on" if preset.predict_dropout else "off"
    draws = f"Predictions are mixtures of {preset.n_draws} draws, with dropout {state}."
    if arguments.weights is not None:
        return f"{command} --weights {arguments.weights.name}", draws
    return command, (
        f"Nets of width {preset.width} with dropout {preset.dropout:g} see {preset.n_functions} "
        f"functions {preset.epochs} times, {preset.batch_size} a step, at a rate of at most "
        f"{preset.lr:g} ({preset.scheduler}). {draws}"
    )


def main():
    """Run what was asked for, and print the tables."""
    arguments = parse_arguments()
    preset = chosen_preset(arguments)
    path = None
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / "results.json"
    options = Options(
        tuple(arguments.methods), arguments.device, arguments.weights, arguments.output
    )
    records = load(path, preset)
    fits = [fit for fit in wanted_fits(arguments, preset) if not already_done(fit, records)]
    began = time.perf_counter()
    parallel = joblib.Parallel(arguments.n_jobs, return_as="generator_unordered")
    for new in parallel(joblib.delayed(run)(fit, preset, options) for fit in fits):
        records += new
        save(path, preset, records)
    print_tables(records)
    if path is not None:
        write_tables(
            arguments.output / "reproduce_probconserv.inc", records, *described(arguments, preset)
        )
    print(f"\n{len(fits)} trainings in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

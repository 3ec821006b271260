"""Time predictions of an attentive neural process with 100 latent draws, in one run.

One set of 100 contexts of the porous-medium equation (m = 3), targets on a grid of 201 times and
201 positions, width 128, one thread. Ours encodes contexts and targets once and decodes pairs of
targets and draws; its rivals compute the whole forward pass anew for each draw, with dropout, as
the code released with ProbConserv does: our own module (``predict_dropout=True``), and with
``--official`` a checkout of that code (github.com/amazon-science/probconserv; it imports einops
and pytorch_lightning), in its batches of 10,000 targets and with its published weights.

How much of the decoder has to be computed for each pair depends on the weights: the surer the
latent vectors, the less. So there are up to three nets: as initialised, after a minute of training,
where latent vectors still are as uncertain as at the start, and the published one, fully trained.
Contenders take turns; a turn of a rival is a few draws, scaled to 100. Seconds are CPU seconds, so
that a shared machine matters less; a ratio is the median over turns. The peak of memory is that of
the process during a prediction, above what it held before.

    python examples/benchmarks/anp.py [--quick] [--official PATH]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from skphys.datasets import make_context_target
from skphys.grids import Grid
from skphys.neural import AttentiveNeuralProcessRegressor

N_DRAWS, LOOPED = 100, 2
PUBLISHED = "deep_pdes/experiments/output/paper/1b_pme_var_m/train/anp.pt"


def make_model(grid, **parameters):
    """Return an unfitted model of the paper's width."""
    return AttentiveNeuralProcessRegressor(
        128, grid=grid, n_draws=N_DRAWS, dropout=0.1, random_state=0, **parameters
    )


def trained(grid, n_functions, n_epochs):
    """Return a model that has seen some functions, and one of its initial weights."""
    points = np.array([(t, x) for t in np.linspace(0.05, 1.0, 10) for x in grid["x"][::8]])
    data = make_context_target("porous_medium", n_functions, target_points=points, random_state=0)
    X = np.column_stack([np.repeat(data.data, 10, axis=0), np.tile(points[::26, 0], n_functions)])
    y = data.target.reshape(len(X), -1)
    fitted = make_model(Grid(x=grid["x"][::8]), max_epochs=n_epochs, lr=1e-3).fit(X, y)
    state = fitted.net_.module_.state_dict()
    return make_model(grid).load_state_dict(state, n_context=100)


def initial(grid):
    """Return a model with random weights."""
    module = trained(grid, 1, 1).net_.module_  # one step: as good as initial
    return make_model(grid).load_state_dict(module.state_dict(), n_context=100)


def query(grid, n_times):
    """Return one set of contexts at all times."""
    data = make_context_target("porous_medium", 1, parameter=3.0, random_state=1)
    times = np.linspace(0.0, 1.0, n_times)
    return np.column_stack([np.repeat(data.data, n_times, axis=0), times])


def released(path, X, grid):
    """Return a function that computes some draws by the released code."""
    sys.path.insert(0, path)
    from deep_pdes.attentive_neural_process.anp import ANP

    net = ANP(128, dim_x=2, dim_y=1)
    net.load_state_dict(torch.load(Path(path) / PUBLISHED, weights_only=True))
    context = torch.as_tensor(X[:1, :-1].reshape(1, -1, 3), dtype=torch.float32)
    targets = np.stack(np.broadcast_arrays(X[:, -1:], grid["x"]), axis=-1).reshape(1, -1, 2)
    targets = torch.as_tensor(targets, dtype=torch.float32)

    @torch.no_grad()
    def run(n_draws):
        for part in targets.split(10_000, dim=1):
            net.get_loc_and_scale(context[..., :2], context[..., 2:], part, n_draws)

    return run


def seconds(function, *arguments):
    """Return the CPU seconds of a call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def compare(label, model, X, repeats, official=None):
    """Print what a prediction costs, and what it would cost draw by draw."""

    def looped(n_draws):
        model.set_params(n_draws=n_draws, predict_dropout=True).predict(X, return_std=True)
        model.set_params(n_draws=N_DRAWS, predict_dropout=False)

    rivals = {"ours, all anew for each draw": looped}
    if official is not None:
        rivals["released code"] = official
    ours, theirs = [], {name: [] for name in rivals}
    for _ in range(repeats):
        ours.append(seconds(lambda: model.predict(X, return_std=True)))
        for name, rival in rivals.items():
            theirs[name].append(seconds(rival, LOOPED) * N_DRAWS / LOOPED)
    print(f"\n{label}")
    print(f"  {'ours':30s} {statistics.median(ours):8.2f} s")
    for name, times in theirs.items():
        ratio = statistics.median(b / a for a, b in zip(ours, times, strict=True))
        print(f"  {name:30s} {statistics.median(times):8.2f} s   {ratio:5.1f} x ours")


def peak(function):
    """Return by how many MiB the process grew during a call; None where that cannot be known."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = resident("VmRSS")
        function()
        return (resident("VmHWM") - before) / 1024
    except OSError:
        return None


def resident(key):
    """Return kibibytes from what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def report_memory(model, X):
    """Print the peak for some sizes of batches, while the process has no memory to spare."""
    print("Peak of memory of a prediction")
    model.set_params(n_draws=2).predict(X[:1])
    for size in (256, 2048, 8192, 32768):
        model.set_params(n_draws=N_DRAWS, predict_batch_size=size)
        grown = peak(lambda: model.predict(X[:10]))
        shown = "not known here" if grown is None else f"{grown:7.1f} MiB"
        print(f"  predict_batch_size={size:<6d} {shown}")
    model.set_params(predict_batch_size=8192)


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few targets, for CI")
    parser.add_argument("--official", metavar="PATH", help="a checkout of the authors' ProbConserv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grid = Grid(x=np.linspace(0.0, 1.0, 201))
    n_times, repeats = (5, 1) if arguments.quick else (201, 3)
    X = query(grid, n_times)
    models = {"initial weights": initial(grid)}
    report_memory(models["initial weights"], X)
    if not arguments.quick:
        models["trained for 150 steps"] = trained(grid, 300, 10)
    official = None
    if arguments.official:
        state = torch.load(Path(arguments.official) / PUBLISHED, weights_only=True)
        models["published weights"] = make_model(grid).load_state_dict(state, n_context=100)
        official = released(arguments.official, X, grid)

    print(f"\nPredictions with {N_DRAWS} draws on {n_times} x 201 targets, CPU seconds")
    for label, model in models.items():
        compare(label, model, X, repeats, official)


if __name__ == "__main__":
    main()

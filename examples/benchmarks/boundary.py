"""Time a training step of operators with a boundary beside those without, in one run.

All nets have width 64, 16 modes, 4 layers and a last hidden layer of 128; a step is forward,
relative L2 loss, backward and Adam on a batch of 20 fields of one channel, on one thread. Ours is
the very step of `FNORegressor`, on nets as its fit has left them. Rivals, where they are at hand:
the FNO of the package neuraloperator, which keeps 16 modes of a real field when told
``n_modes=30``, with its defaults and cut down to our layers; and with ``--official`` a checkout of
the authors' BOON (github.com/amazon-science/boon), from which the script imports.

Then what padding, members and the enforcement in predict cost. Contenders take turns, and each
ratio is the median of the ratios of neighbouring turns, in CPU seconds, so that a shared machine
matters little; what counts are the ratios.

    python examples/benchmarks/boundary.py [--quick] [--official PATH]
"""

import argparse
import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np
import torch

from skphys import BoundaryEnforcedOperator, FNORegressor
from skphys.constraints import Dirichlet, FromInput
from skphys.grids import Grid
from skphys.neural._batches import FieldBatch
from skphys.neural._recipes import make_scheduler

BATCH, WIDTH, MODES, LAYERS, PROJECTION = 20, 64, 16, 4, 128
MANY = 1_000_000  # steps of a schedule
BOUNDARY = {"x": Dirichlet(FromInput())}


def fields(n_points, n_samples=BATCH, seed=0):
    """Return inputs with random end values, and outputs with the same ones."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 1.0, n_points)
    left, right, bump = rng.normal(size=(3, n_samples, 1))
    line = left + (right - left) * x
    return line + bump * np.sin(np.pi * x), line + bump**3 * np.sin(np.pi * x) / 3.0


def regressor(n_points, **parameters):
    """Return an operator that has trained for one epoch."""
    model = FNORegressor(MODES, WIDTH, LAYERS, max_epochs=1, random_state=0, **parameters)
    return model.fit(*fields(n_points))


def enforced(n_points, method, **parameters):
    """Return an operator with a boundary that has trained for one epoch."""
    model = FNORegressor(MODES, WIDTH, LAYERS, max_epochs=1, random_state=0, **parameters)
    grid = Grid(x=np.linspace(0.0, 1.0, n_points))
    operator = BoundaryEnforcedOperator(model, BOUNDARY, grid, method=method)
    return operator.fit(*fields(n_points))


def our_step(model):
    """Return a training step of a fitted FNORegressor."""
    x, y = (torch.as_tensor(a, dtype=torch.float32) for a in fields(model.grid_.n_points))
    x, y = (a[None, :, None].repeat(model.n_members, 1, 1, 1) for a in (x, y))
    values = norms = None
    if model.net_.module_.inputs is not None:
        values = x[:, :, 0, [0, -1]].clone()
        norms = torch.linalg.vector_norm(y, dim=3)
    net = model.net_
    net.module_.train()
    net.scheduler_ = make_scheduler("one_cycle", net.optimizer_, net.lr, 1, MANY)
    batch = FieldBatch(x, y, values, norms, None, None)
    return lambda: net.train_step(batch)


def rival_step(net, *inputs, target):
    """Return a training step of any net, by the loss of fields and Adam as torch has them."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    norms = torch.linalg.vector_norm(target, dim=(1, 2))

    def step():
        optimizer.zero_grad(set_to_none=True)
        error = torch.linalg.vector_norm(net(*inputs) - target, dim=(1, 2))
        (error / norms).mean().backward()
        optimizer.step()

    return step


def neuraloperator_step(n_points, **settings):
    """Return a training step of neuraloperator's FNO."""
    from neuralop.models import FNO

    x, y = (torch.as_tensor(a, dtype=torch.float32)[:, None] for a in fields(n_points))
    net = FNO(
        n_modes=(2 * (MODES - 1),),
        in_channels=1,
        out_channels=1,
        hidden_channels=WIDTH,
        n_layers=LAYERS,
        projection_channel_ratio=PROJECTION // WIDTH,
        **settings,
    )
    kept = net.fno_blocks.convs[0].weight.shape[-1]
    if kept != MODES:
        raise RuntimeError(f"this release of neuraloperator keeps {kept} modes, not {MODES}.")
    return rival_step(net, x, target=y)


def official_steps(n_points):
    """Return training steps of the authors' FNO and of their BOON."""
    from src.models.base import FNO1d
    from src.models.single_step import BOON_FNO1d

    x, y = (torch.as_tensor(a, dtype=torch.float32)[..., None] for a in fields(n_points))
    left, right = {"val": y[:, 0]}, {"val": y[:, -1]}
    boon = BOON_FNO1d(WIDTH, FNO1d(MODES, WIDTH), bdy_type="dirichlet")
    return {
        "official FNO": rival_step(FNO1d(MODES, WIDTH), x, target=y),
        "official BOON": rival_step(boon, x, left, right, target=y),
    }


def contenders(n_points, official):
    """Return the training steps to compare, by name; the first is the plain FNO."""
    steps = {
        "plain": our_step(regressor(n_points)),
        "lift": our_step(enforced(n_points, "lift").estimator_),
        "kernel, scalar": our_step(enforced(n_points, "kernel").estimator_),
        "kernel, block": our_step(enforced(n_points, "kernel_block").estimator_),
    }
    if find_spec("neuralop") is not None:
        lean = {"lifting_channel_ratio": 0, "use_channel_mlp": False}
        steps["neuraloperator, same layers"] = neuraloperator_step(n_points, **lean)
        steps["neuraloperator, defaults"] = neuraloperator_step(n_points)
    return {**steps, **(official_steps(n_points) if official else {})}


def variants(n_points):
    """Return training steps of other plain nets, and of five members together."""
    return {
        "plain": our_step(regressor(n_points)),
        "without padding": our_step(regressor(n_points, padding=0.0)),
        "mirrored": our_step(regressor(n_points, padding="reflect")),
        "five members": our_step(regressor(n_points, n_members=5)),
    }


def predictions(n_points, n_samples):
    """Return calls of predict, with the backbone alone first."""
    X, _ = fields(n_points, n_samples)
    plain = regressor(n_points)
    calls = {"FNORegressor": lambda: plain.predict(X)}
    for method in ("project", "lift", "kernel"):
        operator = enforced(n_points, method)
        calls[method] = lambda operator=operator: operator.predict(X)
    return calls


def cpu_seconds(functions, repeats):
    """Return the CPU seconds of each function in each turn, by name; they take turns."""
    seconds = {name: [] for name in functions}
    for turn in range(repeats + 2):
        for name, function in functions.items():
            began = time.process_time()
            function()
            if turn >= 2:  # the first turns warm up
                seconds[name].append(time.process_time() - began)
    return seconds


def ratio(numerator, denominator):
    """Return the median ratio of turns."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def report(label, functions, repeats):
    """Print the median of each contender and its ratio to the first one; return all seconds."""
    seconds = cpu_seconds(functions, repeats)
    base = next(iter(seconds.values()))
    print(f"\n{label}")
    for name, values in seconds.items():
        median = 1e3 * statistics.median(values)
        print(f"  {name:<28} {median:9.2f} ms   {ratio(values, base):5.2f}x")
    return seconds


def compare_steps(n_points, repeats, official):
    """Print the steps at one size, and the ratios between packages."""
    seconds = report(f"Training step, {n_points} points", contenders(n_points, official), repeats)
    for name in (name for name in seconds if name.startswith("neuraloperator")):
        print(f"  plain / {name}: {ratio(seconds['plain'], seconds[name]):.2f}")
    if official:
        own = ratio(seconds["official BOON"], seconds["official FNO"])
        print(f"  official BOON / official FNO: {own:.2f}")
        print(f"  lift / official BOON: {ratio(seconds['lift'], seconds['official BOON']):.2f}")


def main():
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    parser.add_argument("--official", metavar="PATH", help="a checkout of the authors' BOON")
    arguments = parser.parse_args()
    if arguments.official:
        sys.path.insert(0, arguments.official)
    torch.set_num_threads(1)
    sizes = [(128, 3)] if arguments.quick else [(128, 61), (500, 31), (2048, 15)]
    for n_points, repeats in sizes:
        compare_steps(n_points, repeats, bool(arguments.official))

    for n_points, repeats in sizes[:2]:
        steps = variants(n_points)
        seconds = report(f"Variants of the plain net, {n_points} points", steps, repeats)
        shared = ratio(seconds["five members"], seconds["plain"]) / 5.0
        print(f"  five members in one pass / five nets one after another: {shared:.2f}")

    for n_points, repeats in sizes[:2]:
        n_samples = 20 if arguments.quick else 200
        label = f"predict, {n_samples} fields of {n_points} points"
        report(label, predictions(n_points, n_samples), repeats)


if __name__ == "__main__":
    main()

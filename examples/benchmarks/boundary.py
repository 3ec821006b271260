"""Time a training step of operators with a boundary beside those without, in one run.

All nets have width 64, 16 modes, 4 layers and a last hidden layer of 128; on a plane width 32 and 8
modes. A step is forward, relative L2 loss, backward and Adam on a batch of 20 fields of one
channel, on one thread. Ours is the very step of `FNORegressor`, on nets as its fit has left them.
Rivals, where they are at hand: the FNO of the package neuraloperator, which keeps 16 modes of a
real field when told ``n_modes=30``, with its defaults and cut down to our layers; and with
``--official`` a checkout of the authors' BOON (github.com/amazon-science/boon), from which the
script imports, in one dimension.

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

BATCH, LAYERS, PROJECTION = 20, 4, 128
MODES, WIDTH = {1: 16, 2: 8}, {1: 64, 2: 32}  # by the number of axes
MANY = 1_000_000  # steps of a schedule


def grid_of(shape):
    """Return the grid on a line or a square."""
    return Grid(**{name: np.linspace(0.0, 1.0, n) for name, n in zip("xy", shape, strict=False)})


def fields(shape, n_samples=BATCH, seed=0):
    """Return inputs with random end values, and outputs with the same ones."""
    rng = np.random.default_rng(seed)
    x, *other = np.meshgrid(*(np.linspace(0.0, 1.0, n) for n in shape), indexing="ij")
    left, right, bump = rng.normal(size=(3, n_samples, *(1 for _ in shape)))
    line = left + (right - left) * x
    wave = np.prod([np.sin(np.pi * axis) for axis in (x, *other)], axis=0)
    pair = line + bump * wave, line + bump**3 * wave / 3.0
    return tuple(part.reshape(n_samples, -1) for part in pair)


def unfitted(shape, **parameters):
    """Return an operator that will train for one epoch."""
    sizes = MODES[len(shape)], WIDTH[len(shape)], LAYERS
    return FNORegressor(*sizes, max_epochs=1, random_state=0, **parameters)


def regressor(shape, **parameters):
    """Return an operator that has trained for one epoch."""
    return unfitted(shape, grid=grid_of(shape), **parameters).fit(*fields(shape))


def enforced(shape, method):
    """Return an operator with a boundary that has trained for one epoch."""
    boundary = dict.fromkeys("xy"[: len(shape)], Dirichlet(FromInput()))
    operator = BoundaryEnforcedOperator(unfitted(shape), boundary, grid_of(shape), method=method)
    return operator.fit(*fields(shape))


def our_step(model):
    """Return a training step of a fitted FNORegressor."""
    shape = model.grid_.shape
    x, y = (torch.as_tensor(a, dtype=torch.float32) for a in fields(shape))
    x, y = (
        a.reshape(1, BATCH, 1, *shape).repeat(model.n_members, *(1 for _ in (0, 0, *shape)))
        for a in (x, y)
    )
    values = norms = None
    if model.net_.module_.inputs is not None:
        ends = [
            x.movedim(3 + axis, 3)[:, :, 0, end] for axis in range(len(shape)) for end in (0, -1)
        ]
        values = torch.cat([end.flatten(2) if end.ndim > 2 else end[..., None] for end in ends], 2)
        norms = torch.linalg.vector_norm(y.flatten(3), dim=3)
    net = model.net_
    net.module_.train()
    net.scheduler_ = make_scheduler("one_cycle", net.optimizer_, net.lr, 1, MANY)
    batch = FieldBatch(x, y, values, norms, None, None)
    return lambda: net.train_step(batch)


def rival_step(net, *inputs, target):
    """Return a training step of any net, by the loss of fields and Adam as torch has them."""
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    norms = torch.linalg.vector_norm(target.flatten(1), dim=1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        error = torch.linalg.vector_norm((net(*inputs) - target).flatten(1), dim=1)
        (error / norms).mean().backward()
        optimizer.step()

    return step


def neuraloperator_step(shape, **settings):
    """Return a training step of neuraloperator's FNO."""
    from neuralop.models import FNO

    x, y = (
        torch.as_tensor(a, dtype=torch.float32).reshape(BATCH, 1, *shape) for a in fields(shape)
    )
    modes, width = MODES[len(shape)], WIDTH[len(shape)]
    net = FNO(
        n_modes=(*(2 * modes - 1 for _ in shape[1:]), 2 * (modes - 1)),
        in_channels=1,
        out_channels=1,
        hidden_channels=width,
        n_layers=LAYERS,
        projection_channel_ratio=PROJECTION // width,
        **settings,
    )
    kept = tuple(net.fno_blocks.convs[0].weight.shape[2:])
    wanted = (*(2 * modes - 1 for _ in shape[1:]), modes)
    if kept != wanted:
        raise RuntimeError(f"this release of neuraloperator keeps {kept} modes, not {wanted}.")
    return rival_step(net, x, target=y)


def official_steps(shape):
    """Return training steps of the authors' FNO and of their BOON."""
    from src.models.base import FNO1d
    from src.models.single_step import BOON_FNO1d

    x, y = (torch.as_tensor(a, dtype=torch.float32)[..., None] for a in fields(shape))
    left, right = {"val": y[:, 0]}, {"val": y[:, -1]}
    boon = BOON_FNO1d(WIDTH[1], FNO1d(MODES[1], WIDTH[1]), bdy_type="dirichlet")
    return {
        "official FNO": rival_step(FNO1d(MODES[1], WIDTH[1]), x, target=y),
        "official BOON": rival_step(boon, x, left, right, target=y),
    }


def contenders(shape, official):
    """Return the training steps to compare, by name; the first is the plain FNO."""
    steps = {
        "plain": our_step(regressor(shape)),
        "lift": our_step(enforced(shape, "lift").estimator_),
        "kernel, scalar": our_step(enforced(shape, "kernel").estimator_),
        "kernel, block": our_step(enforced(shape, "kernel_block").estimator_),
    }
    if find_spec("neuralop") is not None:
        lean = {"lifting_channel_ratio": 0, "use_channel_mlp": False}
        steps["neuraloperator, same layers"] = neuraloperator_step(shape, **lean)
        steps["neuraloperator, defaults"] = neuraloperator_step(shape)
    return {**steps, **(official_steps(shape) if official else {})}


def variants(shape):
    """Return training steps of other plain nets, and of five members together."""
    return {
        "plain": our_step(regressor(shape)),
        "without padding": our_step(regressor(shape, padding=0.0)),
        "mirrored": our_step(regressor(shape, padding="reflect")),
        "five members": our_step(regressor(shape, n_members=5)),
    }


def predictions(shape, n_samples):
    """Return calls of predict, with the backbone alone first."""
    X, _ = fields(shape, n_samples)
    plain = regressor(shape)
    calls = {"FNORegressor": lambda: plain.predict(X)}
    for method in ("project", "lift", "kernel"):
        operator = enforced(shape, method)
        calls[method] = lambda operator=operator: operator.predict(X)
    return calls


def points(shape):
    """Say how many points a field has."""
    return " x ".join(str(n) for n in shape) + " points"


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


def compare_steps(shape, repeats, official):
    """Print the steps at one size, and the ratios between packages."""
    seconds = report(f"Training step, {points(shape)}", contenders(shape, official), repeats)
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
    sizes = [((128,), 61), ((500,), 31), ((2048,), 15), ((33, 33), 21)]
    if arguments.quick:
        sizes = [((128,), 3), ((17, 17), 3)]
    for shape, repeats in sizes:
        compare_steps(shape, repeats, bool(arguments.official) and len(shape) == 1)

    for shape, repeats in sizes[:2]:
        steps = variants(shape)
        seconds = report(f"Variants of the plain net, {points(shape)}", steps, repeats)
        shared = ratio(seconds["five members"], seconds["plain"]) / 5.0
        print(f"  five members in one pass / five nets one after another: {shared:.2f}")

    for shape, repeats in sizes[:2]:
        n_samples = 20 if arguments.quick else 200
        label = f"predict, {n_samples} fields of {points(shape)}"
        report(label, predictions(shape, n_samples), repeats)


if __name__ == "__main__":
    main()

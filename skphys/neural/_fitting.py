"""From a regressor's parameters and its data to a trained net, whatever the net."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.utils import check_random_state

import skphys
from skphys.neural._batches import Split
from skphys.neural._checkpoint import Checkpoint
from skphys.neural._recipes import OPEN_ENDED, Recipe
from skphys.neural._saving import check_device, load_state, plain_state
from skphys.neural._trainer import Trainer

MAX_SEED = np.iinfo(np.int32).max

# Parameters that change nothing about what is learned.
SILENT = {
    *("checkpoint", "device", "random_state", "verbose"),
    *("n_draws", "predict_dropout", "predict_batch_size"),
}


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a net is trained on, and how.

    Attributes
    ----------
    data : Split
        Batches, on the device.
    net : dict
        Parameters of `Trainer`.
    set_units : callable
        Tells the module the units of the data.
    """

    data: Split
    net: dict[str, Any]
    set_units: Callable[[Any], None]


def train(
    model: Any,
    prepare: Callable[[list[int], torch.device], Lesson],
    data: Any,
    seeds: list[int],
    previous: Trainer | None,
) -> tuple[Trainer, list[int]]:
    """Train a net.

    Parameters
    ----------
    model : NetRegressor
        Whose parameters count.
    prepare : callable
        ``prepare(seeds, device)`` returns what to train on.
    data : object
        All that is learned from, by which a checkpoint is known.
    seeds : list of int
        Of everything that is drawn.
    previous : Trainer or None
        The net whose weights and units to start from.

    Returns
    -------
    net : Trainer
        On its device, in evaluation mode.
    seeds : list of int
        Those in use: where a training goes on, those it began with.
    """
    device, recipe = check_device(model.device), recipe_of(model)
    checkpoint = None
    if model.checkpoint is not None:
        key = _key(model, recipe, data, seeds, previous)
        checkpoint = Checkpoint(model.checkpoint, key, seeds)
        seeds = checkpoint.seeds
    with torch_left_alone(device):
        lesson = prepare(seeds, device)
        net = Trainer(
            **lesson.net,
            device=str(device),
            optimizer__weight_decay=recipe.weight_decay,
            optimizer__fused=device.type in ("cpu", "cuda"),
            lr=recipe.lr,
            schedule=recipe.scheduler,
            max_epochs=model.max_epochs,
            patience=model.n_iter_no_change,
            checkpoint=checkpoint,
            progress=int(model.verbose),
        ).initialize()
        if previous is None:
            lesson.set_units(net.module_)
        else:
            what = "warm_start=True, but the net fitted before"
            load_state(net.module_, plain_state(previous.module_), what, model._built_by)
        net.partial_fit(lesson.data)
    _warn_if_interrupted(net)
    return net, seeds


def empty_net(own: dict[str, Any]) -> Trainer:
    """Return a net on the CPU, in evaluation mode, whose weights are still to be loaded."""
    with torch_left_alone(torch.device("cpu")):
        net = Trainer(**own, device="cpu").initialize()
    net.module_.eval()
    return net


@contextmanager
def torch_left_alone(device: torch.device) -> Iterator[None]:
    """Restore torch's generators; meanwhile numbers are of single precision unless they say."""
    default = torch.get_default_dtype()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            torch.set_default_dtype(torch.float32)
            yield
        finally:
            torch.set_default_dtype(default)


def recipe_of(model: Any) -> Recipe:
    """Return the recipe, with what was given instead of its values."""
    given = {name: getattr(model, name) for name in ("lr", "weight_decay", "scheduler")}
    return model._recipes[model.recipe].replace(**given)


def draw_seeds(model: Any, number: int) -> list[int]:
    """Return seeds; the first ones do not depend on their number."""
    rng = check_random_state(model.random_state)
    return [int(seed) for seed in rng.randint(MAX_SEED, size=number)]


def _key(model: Any, recipe: Recipe, data: Any, seeds: list[int], previous: Trainer | None) -> str:
    """Return what tells this very training from every other one."""
    settings = {k: v for k, v in model.get_params(deep=False).items() if k not in SILENT}
    if recipe.scheduler in OPEN_ENDED:
        settings.pop("max_epochs")
    start = None
    if previous is not None:
        start = [tensor.cpu().numpy() for tensor in plain_state(previous.module_).values()]
    seeds = [] if model.random_state is None else seeds
    kind = type(model).__name__
    return joblib.hash((skphys.__version__, kind, settings, recipe, data, seeds, start))


def _warn_if_interrupted(net: Trainer) -> None:
    """Say so where skorch has caught an interrupt, and forget the unfinished epoch."""
    net.history_[:] = [row for row in net.history if "seconds" in row]
    if net.finished_:
        return
    if not net.history:
        raise KeyboardInterrupt
    warnings.warn(
        f"Training interrupted after {len(net.history)} of {net.max_epochs} epochs.",
        UserWarning,
        stacklevel=5,
    )

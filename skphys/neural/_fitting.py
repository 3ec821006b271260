"""From the parameters of `FNORegressor` and arrays to a trained net."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

import skphys
from skphys.neural._batches import Fields, Split, split_fields
from skphys.neural._checkpoint import Checkpoint
from skphys.neural._constrained_loss import ConstrainedLoss, conditioning, wide_dtype
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.neural._field_net import FieldNet
from skphys.neural._layout import resolve_modes
from skphys.neural._losses import FieldLoss, loss_units
from skphys.neural._recipes import OPEN_ENDED, RECIPES, Recipe
from skphys.neural._saving import (
    check_device,
    check_same_tensors,
    module_on,
    plain_state,
    usable_device,
)
from skphys.neural._training import FieldTrainer, predict_batches

MAX_SEED = np.iinfo(np.int32).max

LEAST_WIDTH = 128  # of the layer before the last

# Parameters that change nothing about what is learned.
SILENT = ("checkpoint", "device", "random_state", "verbose")

Maybe = NDArray[np.float32] | None
Arrays = tuple[NDArray[np.float32], NDArray[np.float32], Maybe, Maybe]


def fit_net(
    model: Any,
    arrays: Arrays,
    embedding: Any,
    previous: Any = None,
    law: ConstraintBatch | None = None,
) -> FieldTrainer:
    """Train a net.

    Parameters
    ----------
    model : FNORegressor
        Whose parameters count, and whose layout is known.
    arrays : tuple of ndarray
        Inputs (n, C, *shape), targets (n, O, *shape), boundary values (n, V) or None, and the
        norms (n, O) of the fields that the targets are a part of, or None.
    embedding : object or None
        What the net is told about boundaries.
    previous : FieldTrainer or None
        The net whose weights to start from.
    law : ConstraintBatch or None
        What to train through; checked.

    Returns
    -------
    FieldTrainer
        On its device, in evaluation mode.
    """
    device, recipe = check_device(model.device), recipe_of(model)
    split_seed, *seeds = _draw_seeds(model)
    key = (arrays, embedding) if law is None else (arrays, embedding, law)
    checkpoint = _checkpoint(model, recipe, key, [split_seed, *seeds], previous)
    if checkpoint is not None and (state := checkpoint.load()) is not None:
        split_seed, *seeds = state["seeds"]
    data = _split(model, arrays, law, split_seed, device)
    units: dict[str, Any] = {**loss_units(data.train.y, data.train.norms)}
    if law is not None:
        units["conditioning"] = conditioning(law, device)
    net = FieldTrainer(
        FieldNet,
        **{f"module__{name}": value for name, value in net_arguments(model, embedding).items()},
        criterion=FieldLoss if law is None else ConstrainedLoss,
        criterion__kind=model.loss,
        **{f"criterion__{name}": value for name, value in units.items()},
        optimizer__weight_decay=recipe.weight_decay,
        optimizer__fused=device.type in ("cpu", "cuda"),
        lr=recipe.lr,
        schedule=recipe.scheduler,
        max_epochs=model.max_epochs,
        batch_size=model.batch_size,
        seeds=tuple(seeds),
        split_seed=split_seed,
        patience=model.n_iter_no_change,
        mixed_precision=model.mixed_precision,
        checkpoint=checkpoint,
        progress=int(model.verbose),
        device=str(device),
    )
    with torch.random.fork_rng(devices=[]):
        net.initialize()
    _start(net, data.train, previous)
    net.partial_fit(data)
    warn_if_interrupted(net)
    return net


def empty_net(model: Any, embedding: Any) -> FieldTrainer:
    """Return a net on the CPU whose weights are still to be loaded."""
    net = FieldTrainer(
        FieldNet,
        **{f"module__{name}": value for name, value in net_arguments(model, embedding).items()},
        criterion__kind=model.loss,
        criterion__norms=(1.0,) * model._n_components,
        criterion__scales=(1.0,) * model._n_components,
        seeds=(0,) * model.n_members,
        device="cpu",
    )
    with torch.random.fork_rng(devices=[]):
        return net.initialize()


def net_on_points(net: FieldTrainer, points: list[NDArray[np.float64]]) -> FieldTrainer:
    """Return a copy of a net that works on other points."""
    copied = copy.copy(net)
    copied.module_ = copy.deepcopy(net.module_)
    copied.module_.set_grid(points)
    copied.module__points = points
    return copied


def net_outputs(
    model: Any, x: NDArray[np.float32], values: NDArray[np.float32] | None, embedding: Any = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return means and deviations (E, n, O * n_points) of a fitted `FNORegressor`."""
    module: Any = module_on(model.net_.module_, usable_device(model.device, model.net_))
    if embedding is not None and not embedding.same_points(module.embedding):
        module = copy.deepcopy(module)
        module.set_boundary(embedding)
    inputs = torch.as_tensor(x), None if values is None else torch.as_tensor(values)
    width = max(LEAST_WIDTH, model.hidden_channels)
    means, stds = predict_batches(module, inputs, model.n_members, width)
    return _rows(means), None if stds is None else _rows(stds)


def _rows(fields: torch.Tensor) -> NDArray[np.float64]:
    return fields.flatten(2).numpy().astype(np.float64)


def recipe_of(model: Any) -> Recipe:
    """Return the recipe, with what was given instead of its values."""
    given = {name: getattr(model, name) for name in ("lr", "weight_decay", "scheduler")}
    return RECIPES[model.recipe].replace(**given)


def net_arguments(model: Any, embedding: Any) -> dict[str, Any]:
    """Return the arguments of `FieldNet`."""
    axes = model.grid_.axes.values()
    return {
        "in_channels": model._n_channels,
        "out_channels": model._n_components,
        "points": [axis.points for axis in axes],
        "n_modes": resolve_modes(model.n_modes, model.grid_),
        "hidden_channels": int(model.hidden_channels),
        "n_layers": int(model.n_layers),
        "periods": [axis.period for axis in axes],
        "padding": model.padding,
        "n_members": int(model.n_members),
        "heteroscedastic": bool(model.heteroscedastic),
        "embedding": embedding,
        "spans": [None if a.edges is None else (a.edges[0], a.edges[-1]) for a in axes],
    }


def _draw_seeds(model: Any) -> list[int]:
    """Return seeds of the split and of the members; more members leave the first ones alone."""
    rng = check_random_state(model.random_state)
    return [int(seed) for seed in rng.randint(MAX_SEED, size=1 + model.n_members)]


def _split(
    model: Any, arrays: Arrays, law: ConstraintBatch | None, seed: int, device: torch.device
) -> Split:
    x, y, *given = arrays
    values, norms = (None if a is None else torch.as_tensor(a, device=device) for a in given)
    fields = Fields(torch.as_tensor(x, device=device), torch.as_tensor(y, device=device))
    fields = replace(fields, values=values, norms=norms)
    if law is not None:
        wide = wide_dtype(device)
        totals = torch.as_tensor(law.values, dtype=wide, device=device)
        noise = torch.as_tensor(law.noise, dtype=wide, device=device)
        fields = replace(fields, totals=totals, noise=noise)
    if not model.early_stopping:
        return Split(fields)
    return split_fields(fields, model.validation_fraction, seed)


def _start(net: FieldTrainer, fields: Fields, previous: Any) -> None:
    """Set the units of the net from its data, or take over everything from another one."""
    if previous is None:
        net.module_.set_scaling(fields.x, fields.y, fields.values)
        return
    state = plain_state(previous.module_)
    check_same_tensors(state, net.module_, "warm_start=True, but the net fitted before")
    net.module_.load_state_dict(state, strict=False)


def _checkpoint(
    model: Any, recipe: Recipe, data: tuple[Any, ...], seeds: list[int], previous: Any
) -> Checkpoint | None:
    """Return where this very training is kept; its name tells it from every other one."""
    if model.checkpoint is None:
        return None
    settings = {k: v for k, v in model.get_params(deep=False).items() if k not in SILENT}
    if recipe.scheduler in OPEN_ENDED:
        settings.pop("max_epochs")
    start = None if previous is None else [t.cpu().numpy() for t in _weights(previous)]
    seeds = [] if model.random_state is None else seeds
    key = joblib.hash((skphys.__version__, settings, recipe, *data, seeds, start))
    return Checkpoint(model.checkpoint, key)


def _weights(net: Any) -> list[torch.Tensor]:
    return list(plain_state(net.module_).values())


def warn_if_interrupted(net: FieldTrainer) -> None:
    """Say so where skorch has caught an interrupt, and forget the unfinished epoch."""
    net.history_[:] = [row for row in net.history if "seconds" in row]
    if net.finished_:
        return
    if not net.history:
        raise KeyboardInterrupt
    warnings.warn(
        f"Training interrupted after {len(net.history)} of {net.max_epochs} epochs.",
        UserWarning,
        stacklevel=4,
    )

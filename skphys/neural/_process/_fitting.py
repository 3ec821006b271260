"""From the parameters of `AttentiveNeuralProcessRegressor` and arrays to a trained net."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints

from skphys.neural._constrained_loss import conditioning, wide_dtype
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.neural._fitting import MAX_SEED, warn_if_interrupted
from skphys.neural._process._batches import (
    Functions,
    FunctionSplit,
    as_functions,
    split_functions,
)
from skphys.neural._process._context_layout import ContextRows
from skphys.neural._process._losses import ConstrainedProcessLoss
from skphys.neural._process._module import NeuralProcess
from skphys.neural._process._pairs import predict_draws, predict_moments
from skphys.neural._process._training import ProcessTrainer
from skphys.neural._recipes import PROCESS_RECIPES, Recipe
from skphys.neural._saving import check_device, check_same_tensors, module_on, usable_device

# What predictions depend on besides the net.
SETTABLE = ("n_draws", "predict_dropout", "predict_batch_size")

# Part of the standard deviation of y that `min_std` may be.
MOST_MIN_STD = 0.2

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def fit_process(
    model: Any,
    rows: ContextRows,
    fields: NDArray[np.float32],
    seeds: tuple[int, int],
    previous: ProcessTrainer | None = None,
    law: ConstraintBatch | None = None,
    parameters: NDArray[np.float32] | None = None,
) -> ProcessTrainer:
    """Train a net.

    Parameters
    ----------
    model : AttentiveNeuralProcessRegressor
        Whose parameters count, and whose layout is known.
    rows : ContextRows
        Contexts and queries.
    fields : ndarray of shape (n_rows, n_points)
        Targets.
    seeds : (int, int)
        Of the weights, and of batches and held-out functions.
    previous : ProcessTrainer or None
        The net whose weights and units to start from.
    law : ConstraintBatch or None
        What to train through; checked.
    parameters : ndarray of shape (n_rows,) or None
        Parameters of the equation.

    Returns
    -------
    ProcessTrainer
        On its device, in evaluation mode.
    """
    device = check_device(model.device)
    beside: dict[str, NDArray[Any]] = {} if parameters is None else {"parameters": parameters}
    if law is not None:
        wide = "float32" if wide_dtype(device) == torch.float32 else "float64"
        beside |= {"totals": law.values.astype(wide), "tolerance": law.noise.astype(wide)}
    functions = as_functions(rows, fields, model._layout, device, **beside)
    split = FunctionSplit(functions)
    if model.early_stopping:
        split = split_functions(functions, model.validation_fraction, seeds[1])
    net = _make_net(model, str(device), seeds[1])
    if law is not None:
        own = conditioning(law, device)
        net.set_params(criterion=ConstrainedProcessLoss, criterion__conditioning=own)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seeds[0])
        net.initialize()
        _start(net, functions, previous)
        net.partial_fit(split)
    warn_if_interrupted(net)
    return net


def empty_process(model: Any) -> ProcessTrainer:
    """Return a net on the CPU whose weights are still to be loaded."""
    net = _make_net(model, "cpu", 0)
    with torch.random.fork_rng(devices=[]):
        net.initialize()
    net.module_.eval()
    return net


def draw_seeds(model: Any) -> tuple[int, int, int]:
    """Return seeds of the weights, of the training and of the draws in predictions."""
    rng = check_random_state(model.random_state)
    weights, training, draws = (int(seed) for seed in rng.randint(MAX_SEED, size=3))
    return weights, training, draws


def moments(model: Any, rows: ContextRows) -> Pair:
    """Return means and variances (n_rows, n_points) of a fitted model."""
    return predict_moments(*_for_prediction(model, rows, model._draw_seed, model.n_draws))


def draws(model: Any, rows: ContextRows, seed: int | None = None, n: int | None = None) -> Pair:
    """Return means and standard deviations (n_draws, n_rows, n_points) of a fitted model."""
    seed, n = (model._draw_seed, model.n_draws) if seed is None else (seed, n)
    return predict_draws(*_for_prediction(model, rows, seed, n))


def _for_prediction(model: Any, rows: ContextRows, seed: int, n_draws: Any) -> tuple[Any, ...]:
    _check_settable(model)
    if model.predict_dropout and not model.net_.module__dropout:
        raise ValueError(
            "predict_dropout=True has no effect with dropout=0; give the dropout of the training, "
            "such as dropout=0.1."
        )
    module: Any = module_on(model.net_.module_, usable_device(model.device, model.net_))
    shape = int(n_draws), module.decoder.hidden_size
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    noise = torch.as_tensor(drawn, device=module.value_mean.device)
    dropout_seed = seed if model.predict_dropout else None
    return module, rows, model._layout, noise, int(model.predict_batch_size), dropout_seed


def _check_settable(model: Any) -> None:
    """Check what may have been set since fit, which has checked everything."""
    given = {name: getattr(model, name) for name in SETTABLE}
    allowed = {name: model._parameter_constraints[name] for name in SETTABLE}
    validate_parameter_constraints(allowed, given, caller_name=type(model).__name__)


def _make_net(model: Any, device: str, seed: int) -> ProcessTrainer:
    given = {name: getattr(model, name) for name in ("lr", "weight_decay", "scheduler")}
    recipe: Recipe = PROCESS_RECIPES[model.recipe].replace(**given)
    return ProcessTrainer(
        NeuralProcess,
        module__n_coordinates=model._layout.n_coordinates,
        module__hidden_size=int(model.hidden_size),
        module__n_heads=int(model.n_heads),
        module__n_layers=int(model.n_layers),
        module__dropout=float(model.dropout),
        module__min_std=float(model.min_std),
        optimizer__weight_decay=recipe.weight_decay,
        optimizer__fused=torch.device(device).type in ("cpu", "cuda"),
        lr=recipe.lr,
        schedule=recipe.scheduler,
        max_epochs=model.max_epochs,
        batch_size=model.batch_size,
        n_targets=int(model.n_targets),
        equation=model.equation,
        equation_weight=float(model.equation_weight),
        seed=seed,
        patience=model.n_iter_no_change,
        progress=int(model.verbose),
        device=device,
    )


def _start(net: ProcessTrainer, functions: Functions, previous: ProcessTrainer | None) -> None:
    """Set the units of the net from its data, or take over everything from another one."""
    if previous is not None:
        state = previous.module_.state_dict()
        what = "warm_start=True, but the net fitted before"
        check_same_tensors(state, net.module_, what, "hidden_size, n_layers, n_query, grid")
        net.module_.load_state_dict(state)
        return
    known = functions.contexts.flatten(0, 1)
    n_query = functions.queries.shape[1]
    places = known[:, :n_query], known[:, n_query:-1]
    parts = [_units(*of) for of in zip((functions.queries, functions.points), places, strict=True)]
    coordinates = [torch.cat(part) for part in zip(*parts, strict=True)]
    values = [part[0] for part in _units(functions.fields.reshape(-1, 1), known[:, -1:])]
    for name, units in (("coordinate", coordinates), ("value", values)):
        net.module_.get_buffer(f"{name}_mean").copy_(units[0])
        net.module_.get_buffer(f"{name}_scale").copy_(units[1])
    _warn_of_min_std(net.module_.min_std, functions.fields)


def _units(columns: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return means and standard deviations of the columns of targets.

    Where a column is constant, such as the one time of all queries, its scale is how far the same
    column of contexts, `known`, is from it; 1 if that is nothing.
    """
    columns, known = columns.cpu().double(), known.cpu().double()
    mean = columns.mean(0)
    smallest = 1e-6 * mean.abs()
    scale = torch.ones_like(mean)
    for some in (known, columns):
        if len(some):
            distance = (some - mean).square().mean(0).sqrt()
            scale = torch.where(distance > smallest, distance, scale)
    return mean.float(), scale.float()


def _warn_of_min_std(min_std: float, fields: torch.Tensor) -> None:
    spread = float(fields.double().std(correction=0))
    if min_std > MOST_MIN_STD * spread > 0.0:
        warnings.warn(
            f"min_std={min_std:g} is not small beside the standard deviation of y, {spread:.2g}: "
            f"no smaller uncertainty can be predicted, and little is learned of y. Lower min_std, "
            f"or scale y.",
            UserWarning,
            stacklevel=2,
        )

"""What `AttentiveNeuralProcessRegressor` trains, and how it predicts."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import validate_parameter_constraints

from skphys.neural._batches import Split, hold_out
from skphys.neural._constrained_loss import conditioning, wide_dtype
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.neural._fitting import Lesson, draw_seeds, train
from skphys.neural._process._batches import FunctionBatches, Functions, as_functions
from skphys.neural._process._context_layout import ContextLayout, ContextRows
from skphys.neural._process._losses import (
    ConstrainedProcessLoss,
    ProcessLoss,
    ProcessObjective,
    ProcessScore,
)
from skphys.neural._process._module import NeuralProcess
from skphys.neural._process._pairs import mixture_moments, predict_draws
from skphys.neural._saving import module_on, usable_device
from skphys.neural._trainer import Trainer

# What predictions depend on besides the net.
SETTABLE = ("n_draws", "predict_dropout", "predict_batch_size")

# Latent vectors of a function in a training step, where what is predicted from them is scored.
TRAINING_DRAWS = 4

# Part of the standard deviation of y that `min_std` may be.
MOST_MIN_STD = 0.2

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
Arguments = tuple[Any, ContextRows, ContextLayout, torch.Tensor, int, int | None]
Maybe = NDArray[np.float32] | None


def fit_process(
    model: Any,
    rows: ContextRows,
    fields: NDArray[np.float32],
    law: ConstraintBatch | None,
    parameters: Maybe,
    previous: Trainer | None,
) -> tuple[Trainer, list[int]]:
    """Train a net.

    Parameters
    ----------
    model : AttentiveNeuralProcessRegressor
        Whose parameters count, and whose layout is known.
    rows : ContextRows
        Contexts and queries.
    fields : ndarray of shape (n_rows, n_points)
        Targets.
    law : ConstraintBatch or None
        What to train through; checked.
    parameters : ndarray of shape (n_rows,) or None
        Parameters of the equation.
    previous : Trainer or None
        The net whose weights and units to start from.

    Returns
    -------
    net : Trainer
        On its device, in evaluation mode.
    seeds : list of int
        Of the weights, of the training and of the draws in predictions.
    """
    prepare = partial(_lesson, model, rows, fields, law, parameters)
    data = vars(rows), model._layout, fields, law, parameters
    return train(model, prepare, data, draw_seeds(model, 3), previous)


def _lesson(
    model: Any,
    rows: ContextRows,
    fields: NDArray[np.float32],
    law: ConstraintBatch | None,
    parameters: Maybe,
    seeds: list[int],
    device: torch.device,
) -> Lesson:
    beside: dict[str, NDArray[Any]] = {} if parameters is None else {"parameters": parameters}
    own = net_parameters(model) | {"seeds": seeds[:1]}
    if law is not None:
        wide = "float32" if wide_dtype(device) == torch.float32 else "float64"
        beside |= {"totals": law.values.astype(wide), "tolerance": law.noise.astype(wide)}
        own |= {"criterion__conditioning": conditioning(law, device)}
        if model.loss == "nll":
            own |= {"criterion": ConstrainedProcessLoss}
    functions = as_functions(rows, fields, model._layout, device, **beside)
    split, fraction = Split(functions), model.validation_fraction
    if model.early_stopping:
        remedy = (
            f"function(s), which leaves none to train on: rows of X with the same contexts are one "
            f"function, as are all rows without any. Lower validation_fraction={fraction}, give "
            f"more functions, or set early_stopping=False."
        )
        split = hold_out(functions, fraction, seeds[1], device, remedy)
    sizes = model.batch_size, int(model.n_targets), int(model.hidden_size), seeds[1]
    n_draws = None if model.loss == "nll" else TRAINING_DRAWS
    parts = split.train, split.valid
    batches = (part and FunctionBatches(part, *sizes, n_draws) for part in parts)
    return Lesson(Split(*batches), own, partial(_set_units, functions))


def moments(model: Any, rows: ContextRows) -> Pair:
    """Return means and variances (n_rows, n_points) of a fitted model."""
    return predict_draws(
        *_for_prediction(model, rows, model._draw_seed, model.n_draws), mixture_moments
    )


def draws(model: Any, rows: ContextRows, seed: int | None = None, n: int | None = None) -> Pair:
    """Return means and standard deviations (n_draws, n_rows, n_points) of a fitted model."""
    seed, n = (model._draw_seed, model.n_draws) if seed is None else (seed, n)
    return predict_draws(*_for_prediction(model, rows, seed, n))


def _for_prediction(model: Any, rows: ContextRows, seed: int, n_draws: Any) -> Arguments:
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


def net_parameters(model: Any) -> dict[str, Any]:
    """Return the parameters of `Trainer` that make the net of a model."""
    criterion: dict[str, Any] = {"criterion": ProcessLoss}
    if model.loss != "nll":
        criterion = {"criterion": ProcessScore, "criterion__kind": model.loss}
    return criterion | {
        "module": NeuralProcess,
        "module__n_coordinates": model._layout.n_coordinates,
        "module__hidden_size": int(model.hidden_size),
        "module__n_heads": int(model.n_heads),
        "module__n_layers": int(model.n_layers),
        "module__dropout": float(model.dropout),
        "module__min_std": float(model.min_std),
        "objective": ProcessObjective(model.equation, float(model.equation_weight)),
    }


def _set_units(functions: Functions, module: Any) -> None:
    """Set the units of a net from its data."""
    known = functions.contexts.flatten(0, 1)
    n_query = functions.queries.shape[1]
    places = known[:, :n_query], known[:, n_query:-1]
    parts = [_units(*of) for of in zip((functions.queries, functions.points), places, strict=True)]
    coordinates = [torch.cat(part) for part in zip(*parts, strict=True)]
    values = [part[0] for part in _units(functions.fields.reshape(-1, 1), known[:, -1:])]
    for name, units in (("coordinate", coordinates), ("value", values)):
        module.get_buffer(f"{name}_mean").copy_(units[0])
        module.get_buffer(f"{name}_scale").copy_(units[1])
    _warn_of_min_std(module.min_std, functions.fields)


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

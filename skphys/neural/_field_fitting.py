"""What `FNORegressor` trains, and how it predicts: arrays in, arrays out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skphys.neural._batches import FieldBatch, Fields, MemberBatches, Split, hold_out
from skphys.neural._constrained_loss import ConstrainedLoss, conditioning, wide_dtype
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.neural._field_net import FieldNet
from skphys.neural._fitting import Lesson, draw_seeds, train
from skphys.neural._layout import resolve_modes
from skphys.neural._losses import FieldLoss, loss_units
from skphys.neural._saving import module_on, usable_device
from skphys.neural._trainer import Trainer

LEAST_WIDTH = 128  # of the layer before the last

# Floats of the widest layer that a batch of predictions may take.
MAX_VALUES = 1 << 24

Maybe = NDArray[np.float32] | None
Arrays = tuple[NDArray[np.float32], NDArray[np.float32], Maybe, Maybe]


@dataclass(frozen=True)
class FieldObjective:
    """The losses (E,) of a batch.

    Attributes
    ----------
    mixed_precision : bool
        Whether the net computes in bfloat16 where torch holds that to be safe.
    """

    mixed_precision: bool = False

    def __call__(self, module: Any, criterion: Any, batch: FieldBatch, training: bool) -> Tensor:
        """Return them."""
        kind = batch.x.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.mixed_precision):
            output = module(*(part for part in (batch.x, batch.values) if part is not None))
        law = (part for part in (batch.totals, batch.noise) if part is not None)
        return criterion(output, batch.y, batch.norms, *law)


def fit_fields(
    model: Any, arrays: Arrays, embedding: Any, law: ConstraintBatch | None, previous: Any
) -> Trainer:
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
    law : ConstraintBatch or None
        What to train through; checked.
    previous : Trainer or None
        The net whose weights to start from.
    """
    seeds = draw_seeds(model, 1 + model.n_members)
    prepare = partial(_lesson, model, arrays, embedding, law)
    return train(model, prepare, (arrays, embedding, law), seeds, previous)[0]


def _lesson(
    model: Any,
    arrays: Arrays,
    embedding: Any,
    law: ConstraintBatch | None,
    seeds: list[int],
    device: torch.device,
) -> Lesson:
    split_seed, *members = seeds
    split, fraction = Split(_fields(arrays, law, device)), model.validation_fraction
    if model.early_stopping:
        remedy = (
            f"sample(s), which leaves none to train on; lower validation_fraction={fraction}, or "
            f"give more samples."
        )
        split = hold_out(split.train, fraction, split_seed, device, remedy)
    fields, size = split.train, model.batch_size
    own = net_parameters(model, embedding) | {"seeds": members}
    own |= {f"criterion__{k}": v for k, v in loss_units(fields.y, fields.norms).items()}
    if law is not None:
        own |= {"criterion": ConstrainedLoss, "criterion__conditioning": conditioning(law, device)}
    train = MemberBatches(fields, size, members)
    valid = split.valid and MemberBatches(split.valid, size, members, shuffle=False)
    return Lesson(
        Split(train, valid), own, lambda net: net.set_scaling(fields.x, fields.y, fields.values)
    )


def _fields(arrays: Arrays, law: ConstraintBatch | None, device: torch.device) -> Fields:
    tensors: list[Any] = [None if a is None else torch.as_tensor(a, device=device) for a in arrays]
    if law is not None:
        wide = wide_dtype(device)
        of_law = law.values, law.noise
        tensors += [torch.as_tensor(part, dtype=wide, device=device) for part in of_law]
    return Fields(*tensors)


def net_parameters(model: Any, embedding: Any) -> dict[str, Any]:
    """Return the parameters of `Trainer` that make the net of a `FNORegressor`."""
    axes, ones = model.grid_.axes.values(), (1.0,) * model._n_components
    module = {
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
    return {
        "module": FieldNet,
        **{f"module__{name}": value for name, value in module.items()},
        "criterion": FieldLoss,
        "criterion__kind": model.loss,
        "criterion__norms": ones,
        "criterion__scales": ones,
        "objective": FieldObjective(bool(model.mixed_precision)),
        "seeds": (0,) * model.n_members,
    }


def net_on_points(net: Trainer, points: list[NDArray[np.float64]]) -> Trainer:
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
    inputs = [torch.as_tensor(part) for part in (x, values) if part is not None]
    width = max(LEAST_WIDTH, model.hidden_channels)
    means, *stds = predict_batches(module, inputs, model.n_members, width)
    return means, stds[0] if stds else None


@torch.no_grad()
def predict_batches(
    module: nn.Module, inputs: list[Tensor], n_members: int, width: int
) -> list[NDArray[np.float64]]:
    """Predict in batches of bounded memory.

    Parameters
    ----------
    module : Module
        The net.
    inputs : list of Tensor
        Fields (n, C, *shape), and boundary values (n, V) if there are any.
    n_members, width : int
        Size of its largest layer, besides the grid.

    Returns
    -------
    list of ndarray of shape (E, n, O * n_points)
        Means, and standard deviations if the net states any.
    """
    device = next(module.parameters()).device
    size = max(1, MAX_VALUES // (n_members * width * inputs[0][0, 0].numel()))
    outputs = []
    for batch in zip(*(part.split(size) for part in inputs), strict=True):
        output = module(*(part.to(device).expand(n_members, *part.shape) for part in batch))
        pair = output if isinstance(output, tuple) else (output,)
        outputs.append([part.cpu() for part in pair])
    joined = (torch.cat(parts, dim=1) for parts in zip(*outputs, strict=True))
    return [part.flatten(2).numpy().astype(np.float64) for part in joined]

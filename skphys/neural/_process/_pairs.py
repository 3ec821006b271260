"""Predictions of a neural process: contexts are encoded once, however many latent vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skphys.neural._process._context_layout import ContextLayout, ContextRows
from skphys.neural._process._module import NeuralProcess, draw
from skphys.neural._process._piecewise import PairDecoder

# Which points of a function, and means and standard deviations (K, n) of the draws there.
Block = tuple[Any, Tensor, Tensor]

Floats = NDArray[np.float64]

SMALLEST_TILE = 8
LARGEST_TILE = 64  # points; the larger, the more units are switched within it


def predict_draws(
    module: NeuralProcess,
    rows: ContextRows,
    layout: ContextLayout,
    noise: Tensor,
    batch_size: int,
    dropout_seed: int | None,
    summary: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> tuple[Floats, Floats]:
    """Return means and standard deviations (K, n_rows, n_points) of the draws.

    Parameters
    ----------
    module : NeuralProcess
        In evaluation mode.
    rows : ContextRows
        Contexts and queries.
    layout : ContextLayout
        Of the rows.
    noise : Tensor of shape (K, H)
        Standard normal; the latent vectors in units of their standard deviations.
    batch_size : int
        Largest number of pairs of a point and a draw that the decoder is given at once.
    dropout_seed : int or None
        What seeds the dropout; None: no dropout.
    summary : callable, default=None
        What to return in their place, (n_rows, n_points) twice, such as `mixture_moments`.
    """
    leading = (len(noise),) if summary is None else ()
    found = np.empty((2, *leading, len(rows.queries), len(layout.points)))
    for which, context, targets in each_function(module, rows, layout):
        flat = np.empty((2, *leading, len(targets)))
        for at, *pair in blocks(module, context, targets, noise, batch_size, dropout_seed):
            for out, part in zip(flat, summary(*pair) if summary else pair, strict=True):
                out[..., at] = part.cpu()
        found[..., which, :] = flat.reshape(*flat.shape[:-1], len(which), -1)
    return found[0], found[1]


def mixture_moments(means: Tensor, stds: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances (n,) of the mixture of all draws (K, n)."""
    means, stds = means.double(), stds.double()
    return means.mean(0), means.var(0, correction=0) + stds.square().mean(0)


def each_function(
    module: NeuralProcess, rows: ContextRows, layout: ContextLayout
) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor]]:
    """Yield rows (n,), contexts (1, C, d + 1) and targets (n * n_points, d), standardised."""
    device = module.value_mean.device
    points = torch.as_tensor(layout.points.astype(np.float32), device=device)
    order = np.argsort(rows.function, kind="stable")
    ends = np.cumsum(np.bincount(rows.function, minlength=len(rows.contexts)))
    for function, which in enumerate(np.split(order, ends[:-1])):
        context = torch.as_tensor(rows.contexts[function], device=device)[None]
        queries = torch.as_tensor(rows.queries[which], device=device)
        shape = len(queries), len(points)
        targets = torch.cat(
            [queries[:, None].expand(*shape, -1), points.expand(*shape, -1)], dim=-1
        )
        yield which, module.standardise(context), module.standardise(targets.flatten(0, 1))


@torch.no_grad()
def blocks(
    module: NeuralProcess,
    context: Tensor,
    targets: Tensor,
    noise: Tensor,
    batch_size: int,
    dropout_seed: int | None,
) -> Iterator[Block]:
    """Yield the draws of one function, part by part of its targets.

    Parameters
    ----------
    module : NeuralProcess
        In evaluation mode.
    context : Tensor of shape (1, C, n_coordinates + 1)
        Standardised contexts.
    targets : Tensor of shape (n, n_coordinates)
        Standardised coordinates.
    noise, batch_size, dropout_seed
        As for `predict_draws`.
    """
    if dropout_seed is not None:
        yield with_dropout(module, context, targets, noise, batch_size, dropout_seed)
        return
    parts = module.decoder.of_latent(draw(module.latent_encoder(context), noise))
    memories = module.deterministic_encoder.memorise(context)
    decoders = [PairDecoder(module.decoder.after_first(), part) for part in parts.split(batch_size)]
    tiles = neighbours(targets, max(1, min(batch_size // len(noise), LARGEST_TILE)))
    for some in tiles.split(max(1, batch_size // tiles.shape[1])):
        first = first_layer(module, memories, targets[some.flatten()])
        for at, tile in zip(some, first.unflatten(0, some.shape), strict=True):
            outputs = torch.cat([decode(tile).clone() for decode in decoders], dim=2)
            means, stds = module.distribution(outputs.movedim(0, -1))
            yield at.cpu().numpy(), means.T, stds.T


def neighbours(points: Tensor, size: int) -> Tensor:
    """Return tiles (n_tiles, at most `size`) of indices of points (n, d) near each other.

    Halves are halved across their longest side. Some points may come twice: products of matrices
    round differently where there are very few rows.
    """
    n = len(points)
    n_tiles = 1 << max(0, math.ceil(math.log2(n / size)))
    width = max(math.ceil(n / n_tiles), min(size, SMALLEST_TILE))
    index = torch.arange(n_tiles * width, device=points.device).clamp_max(n - 1)[None]
    while len(index) < n_tiles:
        at = points[index]
        longest = (at.amax(1) - at.amin(1)).argmax(1)
        along = at.gather(2, longest[:, None, None].expand(*index.shape, 1))[..., 0]
        index = index.gather(1, along.argsort(1)).view(2 * len(index), -1)
    return index


def first_layer(
    module: NeuralProcess, memories: list[tuple[Tensor, Tensor]], targets: Tensor
) -> Tensor:
    """Return what the decoder's first layer (n, 3 H) makes of all but the latent vector."""
    representation = module.deterministic_encoder.look(memories, targets[None])[0]
    return module.decoder.of_targets(representation, targets)


def with_dropout(
    module: NeuralProcess,
    context: Tensor,
    targets: Tensor,
    noise: Tensor,
    batch_size: int,
    seed: int,
) -> Block:
    """Run everything anew for each draw, as in training: each is another net."""
    outputs = targets.new_empty(len(noise), len(targets), 2)
    device = targets.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        module.train()
        try:
            for k, one in enumerate(noise):
                parts = module.decoder.of_latent(draw(module.latent_encoder(context), one))
                memories = module.deterministic_encoder.memorise(context)
                for i in range(0, len(targets), batch_size):
                    first = first_layer(module, memories, targets[i : i + batch_size])
                    outputs[k, i : i + batch_size] = module.decoder(first + parts)
        finally:
            module.eval()
    return slice(None), *module.distribution(outputs)

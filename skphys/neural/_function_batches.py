"""Functions known at contexts and at targets, and the batches that a neural process learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from skphys.neural._context_layout import ContextLayout, ContextRows

# Targets are drawn with replacement where there are so many times more points.
PLENTY = 100


@dataclass(frozen=True, eq=False)
class FunctionBatch:
    """Some functions, and some targets of each.

    Attributes
    ----------
    context : Tensor of shape (B, C, n_coordinates + 1)
        Coordinates and values of the contexts.
    targets : Tensor of shape (B, T, n_coordinates + 1)
        Coordinates and values of the targets.
    noise : Tensor of shape (B, H)
        Standard normal, for the latent vectors.
    """

    context: Tensor
    targets: Tensor
    noise: Tensor


@dataclass(frozen=True, eq=False)
class Functions(Dataset):
    """Functions whose values are known in some rows of a table.

    Attributes
    ----------
    contexts : Tensor of shape (F, C, n_coordinates + 1)
        Of each function.
    queries : Tensor of shape (R, n_query)
        Query columns of each row, function by function.
    fields : Tensor of shape (R, n_points)
        Values of each row.
    start, count : Tensor of shape (F,)
        First row, and number of rows, of each function.
    points : Tensor of shape (n_points, n_axes)
        Coordinates of a field's points.
    """

    contexts: Tensor
    queries: Tensor
    fields: Tensor
    start: Tensor
    count: Tensor
    points: Tensor

    def __len__(self) -> int:
        return len(self.contexts)

    def targets(self, which: Tensor, at: Tensor) -> Tensor:
        """Return (B, T, n_coordinates + 1) of the functions (B,) at their points (B, T)."""
        n_points = self.fields.shape[1]
        row = self.start[which, None] + at.div(n_points, rounding_mode="floor")
        point = at % n_points
        values = self.fields[row, point]
        return torch.cat([self.queries[row], self.points[point], values[..., None]], dim=-1)

    def subset(self, which: Tensor) -> Functions:
        """Return some of the functions, on the same rows."""
        parts = (self.contexts[which], self.queries, self.fields)
        return Functions(*parts, self.start[which], self.count[which], self.points)


@dataclass(frozen=True, eq=False)
class FunctionSplit(Dataset):
    """Training functions, and those held out if any."""

    train: Functions
    valid: Functions | None = None

    def __len__(self) -> int:
        return len(self.train)


def as_functions(
    rows: ContextRows, fields: NDArray[np.float32], layout: ContextLayout, device: torch.device
) -> Functions:
    """Put rows with the same contexts together."""
    order = np.argsort(rows.function, kind="stable")
    count = np.bincount(rows.function, minlength=len(rows.contexts))
    arrays = (
        rows.contexts,
        rows.queries[order],
        fields[order],
        np.cumsum(count) - count,
        count,
        layout.points.astype(np.float32),
    )
    return Functions(*(torch.as_tensor(array, device=device) for array in arrays))


def split_functions(functions: Functions, fraction: float, seed: int) -> FunctionSplit:
    """Hold out a random part of the functions, at least one."""
    n = len(functions)
    n_valid = max(1, round(fraction * n))
    if n_valid >= n:
        raise ValueError(
            f"early_stopping holds out {n_valid} of {n} function(s), which leaves none to train "
            f"on: rows of X with the same contexts are one function. Lower "
            f"validation_fraction={fraction}, or give more functions."
        )
    order = torch.as_tensor(np.random.default_rng(seed).permutation(n))
    order = order.to(functions.contexts.device)
    return FunctionSplit(functions.subset(order[n_valid:]), functions.subset(order[:n_valid]))


class FunctionBatches:
    """Batches of an epoch, in which every function comes once.

    What an epoch holds depends on the seed and on its number alone. Batches are even: their sizes
    differ by one at most.

    Parameters
    ----------
    functions : Functions
        The data.
    batch_size : int
        Largest number of functions in a batch.
    n_targets : int
        Number of targets of each function.
    hidden_size : int
        Size of the latent vectors.
    seed : int
        Of order, targets and noise.
    """

    def __init__(
        self, functions: Functions, batch_size: int, n_targets: int, hidden_size: int, seed: int
    ) -> None:
        self.functions = functions
        self.n_targets = n_targets
        self.hidden_size = hidden_size
        self.seed = seed
        self.n_batches = -(-len(functions) // batch_size)
        self._n_points = (functions.count * functions.fields.shape[1]).cpu()

    def epoch(self, number: int) -> Iterator[FunctionBatch]:
        """Yield the batches of an epoch."""
        state = np.random.SeedSequence((self.seed, number)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        order = torch.randperm(len(self.functions), generator=generator)
        device = self.functions.contexts.device
        for which in torch.tensor_split(order, self.n_batches):
            at = draw_targets(self._n_points[which], self.n_targets, generator).to(device)
            noise = torch.randn(len(which), self.hidden_size, generator=generator)
            which = which.to(device)
            targets = self.functions.targets(which, at)
            yield FunctionBatch(self.functions.contexts[which], targets, noise.to(device))


def draw_targets(n_points: Tensor, n_targets: int, generator: torch.Generator) -> Tensor:
    """Draw (B, n_targets) of the first n_points (B,) integers.

    None comes twice before all have come, unless there are very many.
    """
    most = int(n_points.max())
    if int(n_points.min()) >= PLENTY * n_targets:
        drawn = torch.rand(len(n_points), n_targets, generator=generator, dtype=torch.float64)
        return (drawn * n_points[:, None]).long()
    keys = torch.rand(len(n_points), most, generator=generator)
    keys[torch.arange(most) >= n_points[:, None]] = 2.0
    number = min(n_targets, most)
    chosen = keys.topk(number, largest=False).indices
    return chosen.gather(1, torch.arange(number) % n_points[:, None])

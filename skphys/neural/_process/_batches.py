"""Functions known at contexts and at targets, and the batches that a neural process learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skphys.neural._process._context_layout import ContextLayout, ContextRows

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
    noise : Tensor of shape (B, H) or (K, B, H)
        Standard normal, for the latent vectors: one of each function, or several.
    parameters : Tensor of shape (B, T) or None
        Parameters of a differential equation at the targets.
    totals, tolerance : Tensor of shape (B, n_fields, n_rows) or None
        Where targets are whole fields, values of what holds for them, and their standard
        deviations.
    seed : int
        Of whatever else is drawn.
    """

    context: Tensor
    targets: Tensor
    noise: Tensor
    parameters: Tensor | None = None
    totals: Tensor | None = None
    tolerance: Tensor | None = None
    seed: int = 0

    @property
    def values(self) -> Tensor:
        """Values (B, T) of the targets."""
        return self.targets[..., -1]

    @property
    def size(self) -> int:
        """How many functions there are."""
        return len(self.context)


@dataclass(frozen=True, eq=False)
class Functions:
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
    parameters : Tensor of shape (R,) or None
        Parameter of a differential equation in each row.
    totals, tolerance : Tensor of shape (R, n_rows) or None
        Values of what holds for the field of each row, and their standard deviations.
    """

    contexts: Tensor
    queries: Tensor
    fields: Tensor
    start: Tensor
    count: Tensor
    points: Tensor
    parameters: Tensor | None = None
    totals: Tensor | None = None
    tolerance: Tensor | None = None

    def __len__(self) -> int:
        return len(self.contexts)

    def take(self, which: Tensor, at: Tensor, noise: Tensor) -> FunctionBatch:
        """Return the functions (B,) with their points (B, T) as targets."""
        batch = FunctionBatch(self.contexts[which], self.targets(which, at), noise)
        row = self.rows(which, at)
        if self.parameters is not None:
            batch = replace(batch, parameters=self.parameters[row])
        if self.totals is not None and self.tolerance is not None:
            field = row[:, :: self.fields.shape[1]]
            batch = replace(batch, totals=self.totals[field], tolerance=self.tolerance[field])
        return batch

    def targets(self, which: Tensor, at: Tensor) -> Tensor:
        """Return (B, T, n_coordinates + 1) of the functions (B,) at their points (B, T)."""
        row, point = self.rows(which, at), at % self.fields.shape[1]
        values = self.fields[row, point]
        return torch.cat([self.queries[row], self.points[point], values[..., None]], dim=-1)

    def rows(self, which: Tensor, at: Tensor) -> Tensor:
        """Return the rows (B, T) that the points (B, T) of functions (B,) are in."""
        return self.start[which, None] + at.div(self.fields.shape[1], rounding_mode="floor")

    def subset(self, which: Tensor) -> Functions:
        """Return some of the functions, on the same rows."""
        parts = {name: getattr(self, name)[which] for name in ("contexts", "start", "count")}
        return replace(self, **parts)


def as_functions(
    rows: ContextRows,
    fields: NDArray[np.float32],
    layout: ContextLayout,
    device: torch.device,
    **beside: NDArray[Any],
) -> Functions:
    """Put rows with the same contexts together, and what belongs to rows `beside` them."""
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
    given = {k: torch.as_tensor(a[order], device=device) for k, a in beside.items()}
    return Functions(*(torch.as_tensor(array, device=device) for array in arrays), **given)


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
        Number of targets of each function; whole fields, as many as that makes, but at least one,
        if something holds for fields.
    hidden_size : int
        Size of the latent vectors.
    seed : int
        Of order, targets and noise.
    n_draws : int or None, default=None
        Number of latent vectors of each function; None: one, without an axis of draws.
    """

    def __init__(
        self,
        functions: Functions,
        batch_size: int,
        n_targets: int,
        hidden_size: int,
        seed: int,
        n_draws: int | None = None,
    ) -> None:
        self.functions = functions
        self.n_targets = n_targets
        self.hidden_size = hidden_size
        self.seed = seed
        self.draws = () if n_draws is None else (n_draws,)
        self.n_batches = -(-len(functions) // batch_size)
        self._count = functions.count.cpu()

    def epoch(self, number: int) -> Iterator[FunctionBatch]:
        """Yield the batches of an epoch."""
        sequence = np.random.SeedSequence((self.seed, number))
        states = sequence.generate_state(1 + self.n_batches, np.uint64) >> np.uint64(1)
        seed, *seeds = (int(state) for state in states)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.functions), generator=generator)
        device = self.functions.contexts.device
        for which, seed in zip(torch.tensor_split(order, self.n_batches), seeds, strict=True):
            at = self._draw(self._count[which], generator).to(device)
            shape = *self.draws, len(which), self.hidden_size
            noise = torch.randn(shape, generator=generator).to(device)
            yield replace(self.functions.take(which.to(device), at, noise), seed=seed)

    def _draw(self, count: Tensor, generator: torch.Generator) -> Tensor:
        """Draw targets (B, T) of functions that have so many rows (B,)."""
        n_points = self.functions.fields.shape[1]
        if self.functions.totals is None:
            return draw_targets(count * n_points, self.n_targets, generator)
        rows = draw_targets(count, max(1, self.n_targets // n_points), generator)
        return (rows[..., None] * n_points + torch.arange(n_points)).flatten(1)


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

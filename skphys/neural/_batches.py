"""Training data on a device, and the batches that members see, each in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class FieldBatch(NamedTuple):
    """Some samples for each member: `Fields`, with two leading axes."""

    x: Tensor
    y: Tensor
    values: Tensor | None
    norms: Tensor | None
    totals: Tensor | None
    noise: Tensor | None

    @property
    def size(self) -> int:
        """How many samples each member sees."""
        return self.x.shape[1]


@dataclass(frozen=True, eq=False)
class Fields:
    """Samples as channels on a grid.

    Attributes
    ----------
    x : Tensor of shape (n, C, *shape)
        Inputs.
    y : Tensor of shape (n, O, *shape)
        Targets.
    values : Tensor of shape (n, V) or None
        Boundary values, if any.
    norms : Tensor of shape (n, O) or None
        Sizes that a relative loss divides by, if they are not the targets' own.
    totals, noise : Tensor of shape (n, n_rows) or None
        Values of the rows that the fields are conditioned on, and their standard deviations.
    """

    x: Tensor
    y: Tensor
    values: Tensor | None = None
    norms: Tensor | None = None
    totals: Tensor | None = None
    noise: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> FieldBatch:
        """Return the samples at (E, B) positions, with two leading axes."""
        given = (self.values, self.norms, self.totals, self.noise)
        rest = (None if part is None else part[index] for part in given)
        return FieldBatch(self.x[index], self.y[index], *rest)

    def subset(self, index: Tensor) -> Fields:
        """Return the samples at (n,) positions."""
        return Fields(*self.take(index))


@dataclass(frozen=True, eq=False)
class Split:
    """What is trained on, and what is held out if anything is: data, or batches of it."""

    train: Any
    valid: Any = None


def hold_out(data: Any, fraction: float, seed: int, device: Any, remedy: str) -> Split:
    """Hold out a random part of the samples or functions, at least one.

    Parameters
    ----------
    data : Fields or Functions
        With a length and a method `subset`.
    fraction : float
        Which part.
    seed : int
        Of the choice.
    device : torch.device
        Where the data are.
    remedy : str
        What to say after "holds out 1 of 1 " if nothing is left to train on.
    """
    n, n_valid = len(data), max(1, round(fraction * len(data)))
    if n_valid >= n:
        raise ValueError(f"early_stopping holds out {n_valid} of {n} {remedy}")
    order = torch.as_tensor(np.random.default_rng(seed).permutation(n)).to(device)
    return Split(data.subset(order[n_valid:]), data.subset(order[:n_valid]))


class MemberBatches:
    """Batches for all members at once; each member goes through the samples in its own order.

    The order depends on a member's seed and on the number of the epoch alone, so a training can
    go on from any epoch. Batches are even: their sizes differ by one at most.

    Parameters
    ----------
    fields : Fields
        The samples.
    batch_size : int
        Size of the largest batch.
    seeds : sequence of int
        One for each member.
    shuffle : bool, default=True
        Without it all members get the samples as they come.
    """

    def __init__(
        self, fields: Fields, batch_size: int, seeds: Sequence[int], shuffle: bool = True
    ) -> None:
        self.fields = fields
        self.seeds = seeds
        self.shuffle = shuffle
        self.n_batches = -(-len(fields) // batch_size)

    def epoch(self, number: int) -> Iterator[FieldBatch]:
        """Yield inputs (E, B, C, *shape), targets and all else of one epoch."""
        order = torch.as_tensor(self._order(number), device=self.fields.x.device)
        for index in torch.tensor_split(order, self.n_batches, dim=1):
            yield self.fields.take(index)

    def _order(self, epoch: int) -> np.ndarray:
        n = len(self.fields)
        if not self.shuffle:
            return np.broadcast_to(np.arange(n), (len(self.seeds), n)).copy()
        return np.stack(
            [np.random.default_rng((seed, epoch)).permutation(n) for seed in self.seeds]
        )

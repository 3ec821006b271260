"""Training data on a device, and the batches that members see, each in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]


@dataclass(frozen=True, eq=False)
class Fields(Dataset):
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

    def take(self, index: Tensor) -> Batch:
        """Return the samples at (E, B) positions, with two leading axes."""
        given = (self.values, self.norms, self.totals, self.noise)
        values, norms, totals, noise = (None if p is None else p[index] for p in given)
        return self.x[index], self.y[index], values, norms, totals, noise

    def subset(self, index: Tensor) -> Fields:
        """Return the samples at (n,) positions."""
        return Fields(*self.take(index))


@dataclass(frozen=True, eq=False)
class Split(Dataset):
    """Training samples, and those held out if any."""

    train: Fields
    valid: Fields | None = None

    def __len__(self) -> int:
        return len(self.train)


def split_fields(fields: Fields, fraction: float, seed: int) -> Split:
    """Hold out a random part of the samples, at least one."""
    n_valid = max(1, round(fraction * len(fields)))
    if n_valid >= len(fields):
        raise ValueError(
            f"early_stopping holds out {n_valid} of {len(fields)} sample(s), which leaves none to "
            f"train on; lower validation_fraction={fraction}, or give more samples."
        )
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(fields)))
    order = order.to(fields.x.device)
    return Split(fields.subset(order[n_valid:]), fields.subset(order[:n_valid]))


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

    def epoch(self, number: int) -> Iterator[Batch]:
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

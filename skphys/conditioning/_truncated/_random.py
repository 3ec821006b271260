"""Random numbers that are the same for each field, whichever fields stand beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass
class Random:
    """A source of random numbers of shape (n_chains, n_fields, ...).

    Attributes
    ----------
    seed : int
        Of the numbers.
    shared : bool
        Whether all fields get the same. Half of the chains then get the mirror images of the
        others' numbers, so that means have less of an error.
    """

    seed: int
    shared: bool
    rng: Any = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def again(self) -> Random:
        """Return what starts anew if fields share their numbers, else what goes on."""
        return Random(self.seed, True) if self.shared else self

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Return standard normals of shape (n_chains, n_fields, ...)."""
        if not self.shared:
            return np.asarray(self.rng.standard_normal(shape))
        few = self.rng.standard_normal((-(-shape[0] // 2), 1, *shape[2:]))
        return np.array(np.broadcast_to(np.concatenate([few, -few])[: shape[0]], shape))

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """Return numbers between 0 and 1 of shape (..., n_chains, n_fields)."""
        if not self.shared:
            return np.asarray(self.rng.random(shape))
        few = self.rng.random((*shape[:-2], -(-shape[-2] // 2), 1))
        return np.concatenate([few, 1.0 - few], axis=-2)[..., : shape[-2], :]

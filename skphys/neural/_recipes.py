"""Training recipes: named sets of numbers, and the learning-rate schedules that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

SCHEDULES = ("one_cycle", "step", "cosine", "constant")

# Schedules whose rates do not depend on how many epochs there will be.
OPEN_ENDED = ("step", "constant")

HALVED_EVERY = 50  # epochs, of the schedule "step"


@dataclass(frozen=True)
class Recipe:
    """What Adam is told.

    Attributes
    ----------
    lr : float
        Learning rate; the largest one of the schedules that vary it.
    weight_decay : float
        L2 penalty, added to the gradients.
    scheduler : str
        One of `SCHEDULES`.
    """

    lr: float
    weight_decay: float
    scheduler: str

    def replace(self, **given: Any) -> Recipe:
        """Return a copy with those values that are not None."""
        values = {name: value for name, value in given.items() if value is not None}
        return Recipe(**{**vars(self), **values})


RECIPES = {
    "tuned": Recipe(lr=8e-3, weight_decay=0.0, scheduler="one_cycle"),
    "boon": Recipe(lr=1e-3, weight_decay=1e-4, scheduler="step"),
}

PROCESS_RECIPES = {
    "tuned": Recipe(lr=2e-3, weight_decay=0.0, scheduler="one_cycle"),
    "probconserv": Recipe(lr=1e-4, weight_decay=0.0, scheduler="constant"),
}


def make_scheduler(
    name: str, optimizer: Optimizer, lr: float, n_epochs: int, n_batches: int
) -> LRScheduler:
    """Build a schedule that is stepped after every batch.

    Parameters
    ----------
    name : {"one_cycle", "step", "cosine", "constant"}
        The schedule.
    optimizer : Optimizer
        What it steers; its rate is `lr`.
    lr : float
        The largest rate.
    n_epochs, n_batches : int
        How many epochs, of how many batches.

    Returns
    -------
    LRScheduler
        Of torch.
    """
    from torch.optim import lr_scheduler

    n_steps = n_epochs * n_batches
    if name == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, lr, total_steps=n_steps)
    if name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    if name == "step":
        return lr_scheduler.StepLR(optimizer, HALVED_EVERY * n_batches, gamma=0.5)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)

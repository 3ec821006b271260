"""Early stopping for several members at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class BestWeights:
    """The weights of each member at its lowest validation loss so far.

    A member that has stopped keeps its weights, whatever happens while the others go on.

    Parameters
    ----------
    module : Module
        Every parameter has a first axis of members.
    n_members : int
        Their number.
    """

    def __init__(self, module: nn.Module, n_members: int) -> None:
        self.loss = torch.full((n_members,), torch.inf)
        self.waited = torch.zeros(n_members, dtype=torch.int64)
        self.stopped = torch.zeros(n_members, dtype=torch.bool)
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @property
    def all_stopped(self) -> bool:
        """Whether no member is left."""
        return bool(self.stopped.all())

    @torch.no_grad()
    def update(self, module: nn.Module, losses: Tensor, patience: int | None) -> None:
        """Note the losses (E,) of one epoch on the CPU, and the weights of those that improved."""
        improved = (losses < self.loss) & ~self.stopped
        self.loss = torch.where(improved, losses, self.loss)
        self.waited = torch.where(improved, 0, self.waited + 1)
        if patience is not None:
            self.stopped |= self.waited >= patience
        which = improved.nonzero()[:, 0]
        if len(which):
            for name, parameter in module.named_parameters():
                at = which.to(parameter.device)
                self.weights[name][at] = parameter[at]

    @torch.no_grad()
    def restore(self, module: nn.Module) -> None:
        """Put the best weights into the module."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state; the weights go to where they were."""
        for name in ("loss", "waited", "stopped"):
            setattr(self, name, state[name].cpu())
        self.weights = state["weights"]

"""Early stopping, for several members at once if there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class BestWeights:
    """The weights, of each member, at its lowest validation loss so far.

    A member that has stopped keeps its weights, whatever happens while the others go on.

    Parameters
    ----------
    module : Module
        Every parameter has a first axis of members, if losses have one.
    """

    def __init__(self, module: nn.Module) -> None:
        self.loss = torch.tensor(torch.inf)
        self.waited = torch.tensor(0)
        self.stopped = torch.tensor(False)
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @property
    def all_stopped(self) -> bool:
        """Whether nothing is left to train."""
        return bool(self.stopped.all())

    @torch.no_grad()
    def update(self, module: nn.Module, losses: Tensor, patience: int) -> None:
        """Note the losses, () or (E,), of one epoch on the CPU, and weights that are better."""
        improved = (losses < self.loss) & ~self.stopped
        self.loss = torch.where(improved, losses, self.loss)
        self.waited = torch.where(improved, 0, self.waited + 1)
        self.stopped = self.stopped | (self.waited >= patience)
        for name, parameter in module.named_parameters():
            at = improved.to(parameter.device)
            self.weights[name][at] = parameter[at]

    @torch.no_grad()
    def restore(self, module: nn.Module) -> None:
        """Put the best weights into the module."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.weights[name])

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what once were the attributes; the weights go to where they are."""
        for name in ("loss", "waited", "stopped"):
            setattr(self, name, state[name])
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])

"""What is minimised: one number a member, in physical units or free of units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skphys.neural._scores import gaussian_crps

# Norms below this part of the training fields' mean norm count as this part of it.
SMALLEST_NORM = 1e-2

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def gaussian_nll(mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of targets, element by element."""
    return 0.5 * ((target - mean) / std).square() + std.log() + HALF_LOG_2PI


class FieldLoss(nn.Module):
    """A loss of fields, for each member.

    Parameters
    ----------
    kind : {"relative_l2", "mse", "nll", "crps"}
        The loss of the mean. "nll" is the Gaussian negative log-likelihood of mean and standard
        deviation together, "crps" their continuous ranked probability score. Where the other two
        meet a standard deviation, its likelihood is added, with the mean held fixed.
    norms : sequence of float
        For each component, below what the norm of a field counts as that much.
    scales : sequence of float
        For each component, the unit in which all but "relative_l2" is counted.

    Notes
    -----
    Components count equally. The relative L2 loss is the mean over samples of
    ``||u - y|| / ||y||``.
    """

    norms: Tensor
    scales: Tensor

    def __init__(self, kind: str, norms: Sequence[float], scales: Sequence[float]) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("norms", torch.as_tensor(norms, dtype=torch.float32))
        self.register_buffer("scales", torch.as_tensor(scales, dtype=torch.float32))

    def forward(
        self,
        output: Tensor | tuple[Tensor, Tensor],
        target: Tensor,
        norms: Tensor | None = None,
    ) -> Tensor:
        """Return the losses (E,) of outputs (E, B, C, *shape), or of means and deviations.

        `norms` (E, B, C) stand for those of the targets, where these are parts of fields.
        """
        mean, std = output if isinstance(output, tuple) else (output, None)
        if mean.shape != target.shape:  # torch would broadcast
            raise ValueError(
                f"the net returned fields of shape {tuple(mean.shape)} for targets of shape "
                f"{tuple(target.shape)}."
            )
        mean, target = mean.float().flatten(3), target.flatten(3)
        if std is None:
            return self._of_means(mean, target, norms)
        std = std.float().flatten(3)
        if self.kind == "nll":
            return self._likelihood(mean, std, target)
        if self.kind == "crps":
            return (gaussian_crps(mean, std, target) / self.scales[:, None]).mean((1, 2, 3))
        return self._of_means(mean, target, norms) + self._likelihood(mean.detach(), std, target)

    def _of_means(self, mean: Tensor, target: Tensor, norms: Tensor | None) -> Tensor:
        # In units of the scales: squares of others may have no place in float32.
        error = (mean - target) / self.scales[:, None]
        if self.kind == "mse":
            return error.square().mean((1, 2, 3))
        if norms is None:
            norms = torch.linalg.vector_norm(target / self.scales[:, None], dim=3)
        else:
            norms = norms / self.scales
        norms = norms.clamp_min(self.norms / self.scales)
        return (torch.linalg.vector_norm(error, dim=3) / norms).mean((1, 2))

    def _likelihood(self, mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
        error = (mean - target) / std
        log_std = torch.log(std / self.scales[:, None])
        return (0.5 * error.square() + log_std).mean((1, 2, 3)) + HALF_LOG_2PI


def loss_units(y: Tensor, sizes: Tensor | None = None) -> dict[str, tuple[float, ...]]:
    """Return the `norms` and `scales` of `FieldLoss` for training fields (n, C, *shape).

    Components that are zero, or constant, get 1. Fields of one point are compared with the mean
    norm: to be right relative to a number near zero is worth nothing. `sizes` (n, C) are the norms
    of the fields, where y is a part of them.
    """
    fields = y.flatten(2).cpu().double()  # not every device has float64
    smallest = SMALLEST_NORM if fields.shape[2] > 1 else 1.0
    sizes = torch.linalg.vector_norm(fields, dim=2) if sizes is None else sizes.cpu().double()
    norms = smallest * sizes.mean(0)
    scales = fields.transpose(0, 1).flatten(1).std(1, correction=0)
    return {"norms": _positive(norms), "scales": _positive(scales)}


def _positive(values: Tensor) -> tuple[float, ...]:
    smallest = torch.finfo(torch.float32).tiny
    return tuple(value if value > smallest else 1.0 for value in values.tolist())

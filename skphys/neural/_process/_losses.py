"""What a neural process is trained on besides the plain likelihood of targets.

Fields that are conditioned first, and a differential equation as a penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from skphys.neural._constrained_loss import Conditioning, pointwise_nll
from skphys.neural._differential import DifferentialEquation
from skphys.neural._losses import gaussian_nll
from skphys.neural._process._batches import FunctionBatch


class ProcessLoss(nn.Module):
    """Negative log-likelihood of the targets, plus the divergence of the latent vectors."""

    def forward(self, output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the mean over functions, for targets (B, T)."""
        mean, std, divergence = output
        return (gaussian_nll(mean, std, target).sum(1) + divergence).mean()


class ConstrainedProcessLoss(nn.Module):
    """The same of whole fields, which are conditioned on linear equalities first.

    Given a latent vector the points of a field are independent, and its conditioning is that of
    each draw by itself.

    Parameters
    ----------
    conditioning : Conditioning
        Of a field.
    """

    def __init__(self, conditioning: Conditioning) -> None:
        super().__init__()
        self.conditioning = conditioning

    def forward(
        self,
        output: tuple[Tensor, Tensor, Tensor],
        target: Tensor,
        totals: Tensor,
        tolerance: Tensor,
    ) -> Tensor:
        """Return the mean over functions, for fields (B, T) side by side.

        `totals` and `tolerance` (B, n_fields, n_rows) are those of each field.
        """
        *moments, divergence = output
        shape = -1, self.conditioning.rows.shape[1]
        mean, std, target = (part.unflatten(1, shape) for part in (*moments, target))
        mean, std = self.conditioning(mean, std, totals, tolerance)
        nll = pointwise_nll(mean, std, target)
        return (nll.sum((1, 2)) + divergence).mean().float()


@dataclass(frozen=True)
class ProcessObjective:
    """The loss of a batch; in training with the penalty, if there is one.

    Attributes
    ----------
    equation : DifferentialEquation or None
        What the residual is penalised of.
    weight : float
        Of the penalty.
    """

    equation: Any = None
    weight: float = 1.0

    def __call__(self, module: Any, criterion: Any, batch: FunctionBatch, training: bool) -> Tensor:
        """Return it."""
        if self.equation is None or not training:
            return process_loss(module, criterion, batch)
        return penalised_loss(module, criterion, self.equation, self.weight, batch)


def process_loss(module: nn.Module, criterion: nn.Module, batch: FunctionBatch) -> Tensor:
    """Return the loss of a batch."""
    output = module(batch.context, batch.targets, batch.noise)
    return criterion(output, *_known(batch))


def penalised_loss(
    module: nn.Module,
    criterion: nn.Module,
    equation: DifferentialEquation,
    weight: float,
    batch: FunctionBatch,
) -> Tensor:
    """Return a loss plus `weight` times the mean squared residual of the mean at the targets.

    Parameters
    ----------
    module : NeuralProcess
        The net.
    criterion : module
        One of the losses above.
    equation : DifferentialEquation
        Of which a residual is left.
    weight : float
        Of the penalty.
    batch : FunctionBatch
        Functions with their targets.

    Notes
    -----
    Derivatives are along the coordinates that are decoded, at a given latent vector. What the
    latent vector was inferred from does not move with them: in [1]_ it does. The gradient of a
    squared second derivative is a third one, which torch's layer normalisation gets wrong without
    a word (its issue 175754); it is written out here.

    References
    ----------
    .. [1] The released code of D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney.
       Learning physical models that can respect conservation laws. ICML 2023, arXiv 2302.11002.
    """
    at = batch.targets[..., :-1].detach().clone().requires_grad_()
    # Of the kernels of attention this one can be differentiated more than once.
    with sdpa_kernel(SDPBackend.MATH), ExplicitNorm():
        output = module(batch.context, batch.targets, batch.noise, at)
        residual = equation.residual(output[0], at, batch.parameters)
        return criterion(output, *_known(batch)) + weight * residual.square().mean()


class ExplicitNorm(TorchFunctionMode):
    """Where it is entered, layer normalisation can be differentiated any number of times."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, or what stands in for it."""
        func = normalise if func is functional.layer_norm else func
        return func(*args, **(kwargs or {}))


def normalise(
    x: Tensor,
    shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return the layer normalisation of the last axes, `shape`, in elementary operations."""
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axes, keepdim=True)
    unit = centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + eps)
    unit = unit if weight is None else unit * weight
    return unit if bias is None else unit + bias


def _known(batch: FunctionBatch) -> list[Tensor]:
    """Return what a criterion compares the output with."""
    known = batch.targets[..., -1], batch.totals, batch.tolerance
    return [part for part in known if part is not None]

"""What a neural process is trained on: the likelihood of targets, or a score of its predictions.

Either may be that of fields that are conditioned first, with a differential equation as a penalty.
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
from skphys.neural._scores import energy_score, mixture_crps


class ProcessLoss(nn.Module):
    """Negative log-likelihood of the targets, plus the divergence of the latent vectors."""

    def forward(self, output: tuple[Tensor, Tensor, Tensor], batch: FunctionBatch) -> Tensor:
        """Return the mean over functions."""
        mean, std, divergence = output
        return (gaussian_nll(mean, std, batch.values).sum(1) + divergence).mean()


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

    def forward(self, output: tuple[Tensor, Tensor, Tensor], batch: FunctionBatch) -> Tensor:
        """Return the mean over functions, for fields (B, T) side by side."""
        mean, std, divergence = output
        mean, std = self.conditioning(*as_fields(mean, std, batch, self.conditioning))
        nll = pointwise_nll(mean, std, batch.values.view_as(mean))
        return (nll.sum((1, 2)) + divergence).mean().float()


class ProcessScore(nn.Module):
    """A proper score of mixtures of latent draws, in units of the values.

    It is that of what is predicted: latent vectors come from the contexts alone, and nothing else
    is in the loss.

    Parameters
    ----------
    kind : {"crps", "energy"}
        The closed-form score of the mixture at each target, or the score of one draw of all targets
        of a function together for each latent vector.
    conditioning : Conditioning or None, default=None
        Of a field; each draw is conditioned by itself.
    """

    def __init__(self, kind: str, conditioning: Conditioning | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.conditioning = conditioning

    def forward(self, output: tuple[Tensor, Tensor, Tensor], batch: FunctionBatch) -> Tensor:
        """Return the mean over functions, for means and deviations (K, B, T) and their unit."""
        mean, std, unit = output
        target = batch.values / unit
        if self.kind == "energy":
            draws = self._drawn(mean, std, batch).reshape(mean.shape)
            return energy_score(draws / unit, target).mean().float()
        if self.conditioning is not None:
            fields = as_fields(mean, std, batch, self.conditioning)
            mean, std = (part.flatten(-2) for part in self.conditioning(*fields))
        return mixture_crps(mean / unit, std / unit, target).mean().float()

    def _drawn(self, mean: Tensor, std: Tensor, batch: FunctionBatch) -> Tensor:
        """Draw a field, or several side by side, of each Gaussian."""
        if self.conditioning is not None:
            fields = as_fields(mean, std, batch, self.conditioning)
            return self.conditioning.field(*fields).sample(1, batch.seed)[0]
        generator = torch.Generator(mean.device).manual_seed(batch.seed)
        normal = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + std * normal


def as_fields(
    mean: Tensor, std: Tensor, batch: FunctionBatch, conditioning: Conditioning
) -> tuple[Tensor, ...]:
    """Return what a conditioning takes, as fields (..., n_fields, n_points) and their rows."""
    assert batch.totals is not None and batch.tolerance is not None
    shape = -1, conditioning.rows.shape[1]
    fields = (moment.unflatten(-1, shape) for moment in (mean, std))
    law = (part.expand(*mean.shape[:-1], -1, -1) for part in (batch.totals, batch.tolerance))
    return *fields, *law


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
    return criterion(predicted(module, batch), batch)


def predicted(module: Any, batch: FunctionBatch, at: Tensor | None = None) -> Any:
    """Return what a loss is of, with one latent vector of each function or several draws."""
    predict = module if batch.noise.ndim == 2 else module.of_contexts
    return predict(batch.context, batch.targets, batch.noise, at)


def penalised_loss(
    module: nn.Module,
    criterion: nn.Module,
    equation: DifferentialEquation,
    weight: float,
    batch: FunctionBatch,
) -> Tensor:
    """Return a loss plus `weight` times the mean squared residual of the mean at the targets.

    Of several draws, it is that of the first.

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
        output = predicted(module, batch, at)
        mean = output[0].reshape(-1, *at.shape[:2])[0]
        residual = equation.residual(mean, at, batch.parameters)
        return criterion(output, batch) + weight * residual.square().mean()


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

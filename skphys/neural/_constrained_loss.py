"""Losses of the conditioned field: training through the constraint.

The update is that of `skphys.conditioning`, in float64 where the device has it, and everything here
can be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skphys.conditioning import Covariance, Dense, Diagonal, Gaussian, Scaled, condition
from skphys.neural._constraint_batch import ConstraintBatch
from skphys.neural._losses import FieldLoss, gaussian_nll
from skphys.neural._scores import root

# A point keeps less than this part of its variance only if the rows determine it.
KNOWN = 1e-10


class Conditioning(nn.Module):
    """Condition fields on linear equalities, by equations 7a and 7b of [1]_.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, n_points)
        ``G``.
    noise_rows : Tensor of shape (n_parts, n_rows, n_points), optional
        What standard deviations add to the noise, as in `ConstraintBatch`.
    metric : {"covariance", "identity"}, default="covariance"
        In which fields move.
    correlation : Tensor of shape (n_points, n_points), optional
        Of the errors of a field's points; without it they are independent.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney. Learning physical models
       that can respect conservation laws. ICML 2023, arXiv 2302.11002.
    """

    rows: Tensor
    noise_rows: Tensor | None
    correlation: Tensor | None

    def __init__(
        self,
        rows: Tensor,
        noise_rows: Tensor | None = None,
        metric: str = "covariance",
        correlation: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.metric = metric
        self.register_buffer("rows", rows)
        self.register_buffer("noise_rows", noise_rows)
        self.register_buffer("correlation", correlation)

    def forward(self, mean: Tensor, std: Tensor, *law: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (..., n_points) of the field that obeys the rows.

        Parameters
        ----------
        mean, std : Tensor of shape (..., n_points)
            The backbone's fields.
        *law : Tensor of shape (..., n_rows)
            ``b``, and its standard deviation.

        Returns
        -------
        mean, std : Tensor of shape (..., n_points)
            The std is 0 at points that the rows determine.
        """
        field, prior = self.field(mean, std, *law), std.to(self.rows.dtype).square()
        variance = field.variance()
        return field.mean, root(torch.where(variance > KNOWN * prior, variance, 0.0))

    def field(self, mean: Tensor, std: Tensor, values: Tensor, noise: Tensor) -> Gaussian:
        """Return the whole field, for the arguments of `forward`."""
        dtype = self.rows.dtype
        std = std.to(dtype)
        prior, noise = std.square(), noise.to(dtype)
        if self.noise_rows is not None:
            added = torch.einsum("...n,pmn->...pm", std, self.noise_rows).square().sum(-2)
            noise = root(noise.square() + added)
        covariance: Covariance = Diagonal(prior)
        if self.correlation is not None:
            covariance = Scaled(std, Dense(self.correlation))
        even = prior.mean(-1, keepdim=True).expand(prior.shape)
        return condition(
            Gaussian(mean.to(dtype), covariance),
            self.rows,
            values.to(dtype),
            noise,
            metric=Diagonal(even) if self.metric == "identity" else None,
        )


def conditioning(law: ConstraintBatch, device: torch.device) -> Conditioning:
    """Return what conditions fields on a checked law, on the CPU in the device's precision."""
    dtype = wide_dtype(device)
    rows, *parts = (torch.as_tensor(part, dtype=dtype) for part in (law.rows, *law.noise_rows))
    correlation = None
    if law.correlation is not None:
        correlation = torch.as_tensor(law.correlation, dtype=dtype)
    return Conditioning(rows, torch.stack(parts) if parts else None, law.metric, correlation)


def pointwise_nll(mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of targets, point by point.

    Of conditioned fields its mean is minus the log-likelihood by which they are scored: that of
    the marginals, not of the joint density, which is singular along exact rows.

    Parameters
    ----------
    mean, std, target : Tensor of shape (..., n_points)
        Gaussian fields, and what is true.

    Returns
    -------
    Tensor of shape (..., n_points)
        0 where `std` is: such a point is determined, there is no density and nothing to learn.
    """
    free = std > 0
    std = torch.where(free, std, 1.0)
    return torch.where(free, gaussian_nll(mean, std, target.to(mean.dtype)), 0.0)


def wide_dtype(device: torch.device) -> torch.dtype:
    """Return float64, or float32 where there is nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64


class ConstrainedLoss(FieldLoss):
    """A loss of fields that obey linear equalities, for each member.

    Whatever the kind, mean and standard deviation are conditioned first. Points that the rows
    determine count as a constant in the likelihood.

    Parameters
    ----------
    kind, norms, scales : object
        As of `FieldLoss`.
    conditioning : Conditioning
        Of all components together.
    """

    def __init__(
        self,
        kind: str,
        norms: Sequence[float],
        scales: Sequence[float],
        conditioning: Conditioning,
    ) -> None:
        super().__init__(kind, norms, scales)
        self.conditioning = conditioning

    def forward(
        self,
        output: Any,
        target: Tensor,
        norms: Tensor | None = None,
        values: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Return the losses (E,) of means and deviations (E, B, C, *shape).

        `values` and `noise` (E, B, n_rows) are those of each sample.
        """
        assert values is not None and noise is not None
        mean, std = output
        moments = self.conditioning(mean.flatten(2), std.flatten(2), values, noise)
        mean, std = (moment.reshape(mean.shape) for moment in moments)
        return super().forward((mean, std), target, norms)

    def _likelihood(self, mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
        free = std > 0
        std = torch.where(free, std, self.scales[:, None])
        return super()._likelihood(torch.where(free, mean, target), std, target)

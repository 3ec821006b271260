"""Losses of the conditioned field: training through the constraint.

Points are taken as independent. The update is that of `skphys.conditioning`, in float64 where the
device has it, and everything here can be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.neural._losses import HALF_LOG_2PI, FieldLoss

# A point keeps less than this part of its variance only if the rows determine it.
KNOWN = 1e-10


def conditioned_moments(
    mean: Tensor, std: Tensor, rows: Tensor, values: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Condition independent points on linear equalities, by equations 7a and 7b of [1]_.

    Parameters
    ----------
    mean, std : Tensor of shape (..., n_points)
        The backbone's fields.
    rows : Tensor of shape (n_rows, n_points)
        ``G``.
    values, noise : Tensor of shape (..., n_rows)
        ``b``, and its standard deviation.

    Returns
    -------
    mean, std : Tensor of shape (..., n_points)
        Of the field that obeys the rows; the std is 0 at points that the rows determine.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney. Learning physical models
       that can respect conservation laws. ICML 2023, arXiv 2302.11002.
    """
    wide = wide_dtype(mean.device)
    prior = std.to(wide).square()
    field = condition(
        Gaussian(mean.to(wide), Diagonal(prior)), rows.to(wide), values.to(wide), noise.to(wide)
    )
    variance = field.variance()
    free = variance > KNOWN * prior
    std = torch.where(free, torch.where(free, variance, 1.0).sqrt(), 0.0)
    return field.mean, std


def conditioned_nll(
    mean: Tensor, std: Tensor, target: Tensor, rows: Tensor, values: Tensor, noise: Tensor
) -> Tensor:
    """Return the negative log-likelihood of targets under the conditioned field, point by point.

    Its mean is minus the pointwise log-likelihood by which constrained fields are scored: that of
    the conditioned marginals, not of the joint density, which is singular along exact rows.

    Parameters
    ----------
    mean, std, target : Tensor of shape (..., n_points)
        The backbone's fields and what is true.
    rows : Tensor of shape (n_rows, n_points)
        ``G``.
    values, noise : Tensor of shape (..., n_rows)
        ``b``, and its standard deviation.

    Returns
    -------
    Tensor of shape (..., n_points)
        0 at points that the rows determine: there is no density, and nothing to learn.
    """
    mean, std = conditioned_moments(mean, std, rows, values, noise)
    free = std > 0
    std = torch.where(free, std, 1.0)
    loss = 0.5 * ((target.to(mean.dtype) - mean) / std).square() + std.log() + HALF_LOG_2PI
    return torch.where(free, loss, 0.0)


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
    rows : array of shape (n_rows, n_points)
        ``G``, over all components.
    """

    rows: Tensor

    def __init__(
        self, kind: str, norms: Sequence[float], scales: Sequence[float], rows: Any
    ) -> None:
        super().__init__(kind, norms, scales)
        self.register_buffer("rows", torch.as_tensor(rows))

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
        moments = conditioned_moments(mean.flatten(2), std.flatten(2), self.rows, values, noise)
        mean, std = (moment.reshape(mean.shape) for moment in moments)
        return super().forward((mean, std), target, norms)

    def _likelihood(self, mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
        free = std > 0
        std = torch.where(free, std, self.scales[:, None])
        return super()._likelihood(torch.where(free, mean, target), std, target)

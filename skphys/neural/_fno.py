"""The Fourier neural operator, for several members at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skphys.neural._spectral import SpectralConv, Transform

Modulation = Callable[[Tensor], Tensor]


class MemberLinear(nn.Module):
    """A linear layer on the last axis, with weights of its own for each member.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis, before and after.
    n_members : int, default=1
        Size of the first axis.
    """

    def __init__(self, in_features: int, out_features: int, n_members: int = 1) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(in_features)
        self.weight = nn.Parameter(
            torch.empty(n_members, in_features, out_features).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.empty(n_members, 1, out_features).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (E, ..., in_features)."""
        flat = torch.baddbmm(self.bias, x.flatten(1, -2), self.weight)
        return flat.reshape(*x.shape[:-1], -1)


class MemberFNO(nn.Module):
    """Lift, `n_layers` Fourier layers, and project, channels last.

    Parameters
    ----------
    in_channels, out_channels : int
        Number of channels of the input and the output.
    transform : Transform
        The transforms of the grid.
    hidden_channels : int, default=64
        Width.
    n_layers : int, default=4
        Number of Fourier layers.
    projection_channels : int, default=128
        Width of the last hidden layer.
    n_members : int, default=1
        Number of members.

    References
    ----------
    Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", ICLR 2021,
    arXiv 2010.08895.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        transform: Transform,
        hidden_channels: int = 64,
        n_layers: int = 4,
        projection_channels: int = 128,
        n_members: int = 1,
    ) -> None:
        super().__init__()
        width = hidden_channels
        self.transform = transform
        self.lifting = MemberLinear(in_channels, width, n_members)
        self.spectral = nn.ModuleList(
            SpectralConv(width, transform, n_members) for _ in range(n_layers)
        )
        self.pointwise = nn.ModuleList(
            MemberLinear(width, width, n_members) for _ in range(n_layers)
        )
        self.hidden = MemberLinear(width, projection_channels, n_members)
        self.projection = MemberLinear(projection_channels, out_channels, n_members)

    def forward(self, x: Tensor, modulations: Sequence[Modulation] = ()) -> Tensor:
        """Map (E, B, *shape, in_channels) to (E, B, *shape, out_channels)."""
        return self.projection(self.features(x, modulations))

    def features(self, x: Tensor, modulations: Sequence[Modulation] = ()) -> Tensor:
        """Return what the projection reads, (E, B, *shape, projection_channels).

        Each layer's output is changed by its modulation, if there are any.
        """
        x = self.lifting(x)
        for number, (spectral, pointwise) in enumerate(
            zip(self.spectral, self.pointwise, strict=True)
        ):
            x = spectral(x) + pointwise(x)
            if modulations:
                x = modulations[number](x)
            if number < len(self.spectral) - 1:
                x = F.gelu(x)
        return F.gelu(self.hidden(x))

"""A ReLU net on all pairs of points and draws, by the parts in which it is affine.

Neighbouring points with similar latent vectors switch nearly all units of a decoder the same way.
Over a block of such pairs, units that are on everywhere are affine, those that are off everywhere
vanish, and only the others are computed for each pair. Which are which follows from bounds that
hold for every pair of the block, so that nothing but rounding is different.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# Where more than this part of the first layer's units switches, nothing is gained.
MOST_SWITCHED = 0.5

# Nor is it where there are fewer pairs, or on accelerators, which do no small steps quickly.
FEWEST_PAIRS = 512


class PairDecoder:
    """A ReLU net whose first layer is a sum of a part of the point and a part of the draw.

    Before each ReLU, units are kept as ``constant + varying + mapping @ features``: an affine part
    of each point, one of each draw, and what comes from the features, which are the units of the
    layers before that are switched within the block.

    Parameters
    ----------
    layers : sequence of Linear
        What follows the ReLU of the first layer: hidden layers, and the output.
    draws : Tensor of shape (K, width)
        Parts of the draws.
    """

    def __init__(self, layers: Sequence[nn.Linear], draws: Tensor) -> None:
        self.layers = [(layer.weight.T.contiguous(), layer.bias) for layer in layers]
        self.draws = draws.T.contiguous()
        self.extent = draws.amin(0), draws.amax(0)
        self.buffer = draws.new_empty(0)

    def __call__(self, points: Tensor) -> Tensor:
        """Return outputs (n_out, n, K) for the points' parts (n, width).

        They stay what they are until the next call.
        """
        if self.draws.device.type != "cpu" or len(points) * self.draws.shape[1] < FEWEST_PAIRS:
            return self._as_usual(points)
        units = Units(points.T.contiguous(), self.draws, self.extent, self._buffer(len(points)))
        for weight, bias in self.layers:
            low, high = units.bounds()
            switched = ((low < 0) & (high > 0)).nonzero()[:, 0]
            if not units.n_features and len(switched) > MOST_SWITCHED * len(low):
                return self._as_usual(points)
            units.advance((low >= 0).nonzero()[:, 0], switched, high[switched], weight, bias)
        return units.values(torch.arange(len(units.constant)))

    def _buffer(self, n_points: int) -> Tensor:
        """Return room for the features of a block, the same for each."""
        most = sum(len(weight) for weight, _ in self.layers) + self.layers[-1][0].shape[1]
        size = most * n_points * self.draws.shape[1]
        if self.buffer.numel() < size:
            self.buffer = self.draws.new_empty(size)
        return self.buffer[:size].view(most, n_points, -1)

    def _as_usual(self, points: Tensor) -> Tensor:
        hidden = points[:, None] + self.draws.T
        for weight, bias in self.layers:
            hidden = functional.linear(hidden.relu_(), weight.T, bias)
        return hidden.movedim(-1, 0)


class Units:
    """The units of a layer, before the ReLU, at all pairs of a block.

    Parameters
    ----------
    constant : Tensor of shape (width, n)
        Part of each point.
    varying : Tensor of shape (width, K)
        Part of each draw.
    extent : tuple of Tensor of shape (width,)
        Least and greatest values of `varying`.
    buffer : Tensor of shape (at least the sum of all widths, n, K)
        Room for the features.
    """

    def __init__(
        self, constant: Tensor, varying: Tensor, extent: tuple[Tensor, Tensor], buffer: Tensor
    ) -> None:
        self.constant, self.varying, self.extent = constant, varying, extent
        self.buffer = buffer
        self.mapping = constant.new_empty(len(constant), 0)
        self.top = constant.new_empty(0)  # what no feature exceeds; none is below 0

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return len(self.top)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return what no unit (width,) falls below, or exceeds, at any pair."""
        low = self.constant.amin(1) + self.extent[0]
        high = self.constant.amax(1) + self.extent[1]
        if self.n_features:
            low = low + self.mapping.clamp_max(0.0) @ self.top
            high = high + self.mapping.clamp_min(0.0) @ self.top
        return low, high

    def values(self, which: Tensor) -> Tensor:
        """Return some units (m, n, K), in the buffer behind the features."""
        n = self.n_features
        values = self.buffer[n : n + len(which)]
        torch.add(self.constant[which, :, None], self.varying[which, None], out=values)
        if n:
            values.flatten(1).addmm_(self.mapping[which], self.buffer[:n].flatten(1))
        return values

    def advance(
        self, on: Tensor, switched: Tensor, top: Tensor, weight: Tensor, bias: Tensor
    ) -> None:
        """Go through the ReLU and a linear layer with weights (width, next width)."""
        self.values(switched).relu_()
        passed = weight[on].T
        self.constant = torch.addmm(bias[:, None], passed, self.constant[on])
        self.varying = passed @ self.varying[on]
        self.extent = self.varying.amin(1), self.varying.amax(1)
        self.mapping = torch.cat([passed @ self.mapping[on], weight[switched].T], dim=1)
        self.top = torch.cat([self.top, top])

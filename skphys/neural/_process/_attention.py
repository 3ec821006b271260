"""Multi-head attention with a residual connection, as neural processes use it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Nonlinearity = Literal["linear", "relu"]


def linear(
    n_in: int, n_out: int, nonlinearity: Nonlinearity = "linear", bias: bool = True
) -> nn.Linear:
    """Build a linear layer whose weights suit the function that follows it."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(nonlinearity))
    return layer


class Attention(nn.Module):
    """Points ask other points: heads, a linear map of (query, heads), residual, normalisation.

    Parameters
    ----------
    hidden_size : int
        Width; a multiple of `n_heads`.
    n_heads : int
        Number of heads.
    dropout : float
        Part of the attention weights, and of the update, that is dropped in training.
    """

    def __init__(self, hidden_size: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.key = linear(hidden_size, hidden_size, bias=False)
        self.value = linear(hidden_size, hidden_size, bias=False)
        self.query = linear(hidden_size, hidden_size, bias=False)
        self.output = linear(2 * hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, query: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Update points (B, T, H) by what they find in a `memory`."""
        heads = self._heads(self._split(self.query(query)), *memory)
        update = self.output(torch.cat([query, heads], dim=-1))
        update = functional.dropout(update, self.dropout, self.training)
        return self.norm(update + query)

    def memorise(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` looks into: keys and values (B, heads, C, width) of points."""
        return self._split(self.key(keys)), self._split(self.value(values))

    def among(self, points: Tensor) -> Tensor:
        """Update points (B, C, H) by each other."""
        return self(points, self.memorise(points, points))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if key.shape[2] == 0:  # nothing to look at
            found = torch.zeros_like(query)
        else:
            found = attend(query, key, value, self.dropout if self.training else 0.0)
        return found.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Return values (..., T, w) averaged by softmax(query key' / sqrt(w)), weights dropped.

    On CPUs, torch's own dropout takes longer than all the rest.
    """
    if dropout == 0.0 or query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    weights = torch.softmax(scores, -1) * kept(scores.shape, dropout)
    return (weights @ value) / (1.0 - dropout)


def kept(shape: torch.Size, dropout: float) -> Tensor:
    """Return random booleans on the CPU, False with the probability `dropout` to 16 bits."""
    least, greatest = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    bits = torch.randint(least, greatest, (-(-shape.numel() // 4),)).view(torch.int16)
    threshold = round(2**16 * dropout) - 2**15
    return (bits[: shape.numel()] >= threshold).view(shape)

"""The attentive neural process as a torch module, in parts that can be used one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skphys.neural._process._attention import Attention, linear

DECODER_LAYERS = 3

Memories = list[tuple[Tensor, Tensor]]


class LatentEncoder(nn.Module):
    """From a set of points to a Gaussian of latent vectors.

    Parameters
    ----------
    n_coordinates, hidden_size, n_heads, n_layers, dropout : int, int, int, int, float
        As in `NeuralProcess`.
    """

    self_attention: Any

    def __init__(
        self, n_coordinates: int, hidden_size: int, n_heads: int, n_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.points = linear(n_coordinates + 1, hidden_size)
        self.self_attention = nn.ModuleList(
            Attention(hidden_size, n_heads, dropout) for _ in range(n_layers)
        )
        self.hidden = linear(hidden_size, hidden_size, "relu")
        self.mean = linear(hidden_size, hidden_size)
        self.log_variance = linear(hidden_size, hidden_size)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-variances (B, H) for points (B, C, n_coordinates + 1)."""
        hidden = self.points(points)
        for attention in self.self_attention:
            hidden = attention.among(hidden)
        pooled = hidden.sum(1) / max(1, hidden.shape[1])
        pooled = torch.relu(self.hidden(pooled))
        return self.mean(pooled), self.log_variance(pooled)


class DeterministicEncoder(nn.Module):
    """What contexts say about each target: self-attention, then cross-attention.

    Parameters
    ----------
    n_coordinates, hidden_size, n_heads, n_layers, dropout : int, int, int, int, float
        As in `NeuralProcess`.
    """

    self_attention: Any
    cross_attention: Any

    def __init__(
        self, n_coordinates: int, hidden_size: int, n_heads: int, n_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.points = linear(n_coordinates + 1, hidden_size)
        self.context = linear(n_coordinates, hidden_size)
        self.target = linear(n_coordinates, hidden_size)
        self.self_attention = nn.ModuleList(
            Attention(hidden_size, n_heads, dropout) for _ in range(n_layers)
        )
        self.cross_attention = nn.ModuleList(
            Attention(hidden_size, n_heads, dropout) for _ in range(n_layers)
        )

    def memorise(self, points: Tensor) -> Memories:
        """Return what targets look into, for contexts (B, C, n_coordinates + 1)."""
        values, keys = self.points(points), self.context(points[..., :-1])
        for attention in self.self_attention:
            values = attention.among(values)
        return [attention.memorise(keys, values) for attention in self.cross_attention]

    def look(self, memories: Memories, targets: Tensor) -> Tensor:
        """Return representations (B, T, H) of targets (B, T, n_coordinates)."""
        hidden = self.target(targets)
        for attention, memory in zip(self.cross_attention, memories, strict=True):
            hidden = attention(hidden, memory)
        return hidden


class Decoder(nn.Module):
    """From (representation, latent vector, coordinates) to a Gaussian at each target.

    Parameters
    ----------
    n_coordinates, hidden_size : int
        As in `NeuralProcess`.
    """

    layers: Any

    def __init__(self, n_coordinates: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        width = 3 * hidden_size
        self.target = linear(n_coordinates, hidden_size)
        self.layers = nn.ModuleList(linear(width, width, "relu") for _ in range(DECODER_LAYERS))
        self.output = linear(width, 2)

    def of_targets(self, representation: Tensor, targets: Tensor) -> Tensor:
        """Return the part (B, T, 3 H) of the first layer that no latent vector enters.

        The projection of the coordinates is linear, and so becomes a part of the layer.
        """
        n, first = self.hidden_size, self.layers[0]
        weight = first.weight[:, 2 * n :]
        coordinates = functional.linear(
            targets, weight @ self.target.weight, first.bias + weight @ self.target.bias
        )
        return functional.linear(representation, first.weight[:, :n]) + coordinates

    def of_latent(self, latent: Tensor) -> Tensor:
        """Return the other part (..., 3 H), of latent vectors (..., H)."""
        n = self.hidden_size
        return functional.linear(latent, self.layers[0].weight[:, n : 2 * n])

    def forward(self, first: Tensor) -> Tensor:
        """Return the two outputs (..., 2) for the sum of both parts, which is overwritten."""
        hidden = first
        for layer in self.after_first():
            hidden = layer(hidden.relu_())
        return hidden

    def after_first(self) -> list[nn.Linear]:
        """Return the layers that follow the first one's ReLU."""
        return [*self.layers[1:], self.output]


class NeuralProcess(nn.Module):
    """Attentive neural process with a latent and a deterministic path.

    Parameters
    ----------
    n_coordinates : int
        Number of coordinates of a point.
    hidden_size : int
        Width.
    n_heads, n_layers : int
        Heads of each attention layer, and layers of each kind.
    dropout : float
        Of the attention layers.
    min_std : float
        Added to all standard deviations, in units of the values.
    """

    coordinate_mean: Tensor
    coordinate_scale: Tensor
    value_mean: Tensor
    value_scale: Tensor

    def __init__(
        self,
        n_coordinates: int,
        hidden_size: int,
        n_heads: int,
        n_layers: int,
        dropout: float,
        min_std: float,
    ) -> None:
        super().__init__()
        self.min_std = min_std
        sizes = n_coordinates, hidden_size, n_heads, n_layers, dropout
        self.latent_encoder = LatentEncoder(*sizes)
        self.deterministic_encoder = DeterministicEncoder(*sizes)
        self.decoder = Decoder(n_coordinates, hidden_size)
        for name, size in (("coordinate", (n_coordinates,)), ("value", ())):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def standardise(self, points: Tensor) -> Tensor:
        """Return points (..., n_coordinates) or (..., n_coordinates + 1), with or without value."""
        n = len(self.coordinate_mean)
        coordinates = (points[..., :n] - self.coordinate_mean) / self.coordinate_scale
        if points.shape[-1] == n:
            return coordinates
        values = (points[..., n:] - self.value_mean) / self.value_scale
        return torch.cat([coordinates, values], dim=-1)

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and standard deviations (...) of the decoder's outputs (..., 2)."""
        mean, raw = outputs.unbind(-1)
        std = functional.softplus(raw) * self.value_scale + self.min_std
        return mean * self.value_scale + self.value_mean, std

    def forward(
        self, context: Tensor, targets: Tensor, noise: Tensor, at: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict targets, with latent vectors inferred from what is given of them.

        Parameters
        ----------
        context : Tensor of shape (B, C, n_coordinates + 1)
            Coordinates and value of the known points.
        targets : Tensor of shape (B, T, n_coordinates + 1)
            The same of targets whose values are known, as in training.
        noise : Tensor of shape (B, H)
            Standard normal.
        at : Tensor of shape (B, T, n_coordinates), optional
            The coordinates of the targets once more, if derivatives along them are wanted: those
            of each prediction along its own point, at a given latent vector.

        Returns
        -------
        mean, std : Tensor of shape (B, T)
            Of the values.
        divergence : Tensor of shape (B,)
            Kullback-Leibler divergence of the latent vectors' distribution given the targets from
            the one given the contexts.
        """
        context, targets = self.standardise(context), self.standardise(targets)
        prior, posterior = self.latent_encoder(context), self.latent_encoder(targets)
        latent = draw(posterior, noise)
        points = targets[..., :-1] if at is None else self.standardise(at)
        mean, std = self.decode(context, points, latent)
        return mean, std, divergence(posterior, prior)

    def of_contexts(
        self, context: Tensor, targets: Tensor, noise: Tensor, at: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict targets as in predictions, with latent vectors inferred from contexts alone.

        Parameters
        ----------
        context, targets : Tensor
            As in `forward`; the values of the targets are not looked at.
        noise : Tensor of shape (K, B, H)
            Standard normal.
        at : Tensor, optional
            As in `forward`.

        Returns
        -------
        mean, std : Tensor of shape (K, B, T)
            Of the values, for each draw.
        unit : Tensor of shape ()
            Of the values.
        """
        context = self.standardise(context)
        latent = draw(self.latent_encoder(context), noise)
        points = self.standardise(targets[..., :-1] if at is None else at)
        return *self.decode(context, points, latent), self.value_scale

    def decode(self, context: Tensor, targets: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and standard deviations (..., B, T), all inputs standardised.

        Parameters
        ----------
        context : Tensor of shape (B, C, n_coordinates + 1)
            Known points.
        targets : Tensor of shape (B, T, n_coordinates)
            Coordinates.
        latent : Tensor of shape (..., B, H)
            Latent vectors for each set of contexts.
        """
        memories = self.deterministic_encoder.memorise(context)
        representation = self.deterministic_encoder.look(memories, targets)
        first = self.decoder.of_targets(representation, targets)
        return self.distribution(self.decoder(first + self.decoder.of_latent(latent)[..., None, :]))


def draw(gaussian: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    """Return means + standard deviations * noise of a Gaussian given by its log-variances."""
    mean, log_variance = gaussian
    return mean + torch.exp(0.5 * log_variance) * noise


def divergence(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """Return the Kullback-Leibler divergences (B,) of Gaussians given by log-variances (B, H)."""
    (mean, log_variance), (prior_mean, prior_log_variance) = posterior, prior
    difference = log_variance - prior_log_variance
    distance = (mean - prior_mean).square() * torch.exp(-prior_log_variance)
    return 0.5 * (torch.exp(difference) - difference + distance - 1.0).sum(-1)

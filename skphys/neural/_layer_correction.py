"""Hooks that correct a spectral layer, in whatever form it states its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._kernel import KernelCorrection, boundary_changes, boundary_points
from skphys.neural._spectral import SpectralConv, Transform
from skphys.neural._transforms import axis_modes


class CorrectOwn:
    """Correct `SpectralConv`, which has a place for a correction, before it is applied.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    """

    def __init__(self, embedding: BoundaryEmbedding) -> None:
        self.embedding = embedding

    def __call__(self, layer: SpectralConv, args: tuple[Tensor, ...]) -> None:
        """Give the layer a correction for the points that it works on."""
        points = layer.transform.points[0]
        _check_points(layer, self.embedding, len(points))
        correction = layer.correction
        same = isinstance(correction, KernelCorrection) and np.array_equal(
            correction.points, points
        )
        if not same:
            correction = KernelCorrection(self.embedding, layer.transform)
            layer.correction = correction.to(layer.weight.device)


class CorrectWeights:
    """Correct a layer whose Fourier weights are known, after it has been applied.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    weights : callable
        From the layer to its weights, of shape (C, C, n_modes).
    """

    def __init__(self, embedding: BoundaryEmbedding, weights: Callable[[Any], Tensor]) -> None:
        self.embedding, self.weights = embedding, weights
        self.correction: KernelCorrection | None = None

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Return ``K (x + E d)`` for an output ``K x``."""
        x = args[0]
        _check_layer(layer, self.embedding, x, out)
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weights(layer)[..., : x.shape[-1] // 2 + 1].to(torch.complex64)
            _check_weights(layer, weight, x)
            correction, transform = self._tools(x, weight.shape[-1])
            missing = _missing(x, out, correction.stencils)
            by_mode = weight.permute(2, 0, 1)
            changes = correction.modes(missing, torch.view_as_real(by_mode)[None])
            changes = torch.einsum("ebmi,mio->ebmo", changes, by_mode)
            return out + transform.synthesise(changes)[0].transpose(1, 2).to(out.dtype)

    def _tools(self, x: Tensor, n_modes: int) -> tuple[KernelCorrection, Transform]:
        """Return the correction, and the transform for so many points and modes."""
        made = self.correction
        if made is None or made.read.shape[-1] != n_modes:
            points = np.arange(x.shape[-1], dtype=np.float64)
            modes = [axis_modes(points, n_modes, real=True)]
            self.transform = Transform(modes, [points]).float()  # whatever torch's default is
            made = KernelCorrection(self.embedding, self.transform)
        self.correction = made.to(x.device)
        return self.correction, self.transform.to(x.device)


class CorrectResponses:
    """Correct any affine layer by its responses to unit values at the boundary.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    """

    def __init__(self, embedding: BoundaryEmbedding) -> None:
        self.embedding = embedding
        stencils, self.ends = boundary_points(embedding)
        self.stencils = torch.tensor(stencils).float()

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Return ``K (x + E d)`` for an output ``K x``."""
        x, *others = args
        _check_layer(layer, self.embedding, x, out)
        self.stencils = self.stencils.to(x.device)
        responses = self._responses(layer, x, others).float()
        matrix = torch.einsum("gn,fion->gofi", self.stencils, responses)[None]
        missing = _missing(x, out, self.stencils)
        changes = boundary_changes(missing, matrix, self.embedding.pivot)[0]
        return out + torch.einsum("bfi,fion->bon", changes, responses).to(out.dtype)

    def _responses(self, layer: nn.Module, x: Tensor, others: list[Any]) -> Tensor:
        """Return ``K E``, (F, C in, C out, N); the last field of the batch is zero."""
        channels = x.shape[1]
        size = len(self.ends), channels
        units = x.new_zeros(*size, *x.shape[1:])
        for face, end in enumerate(self.ends):
            units[face, :, :, end] = torch.eye(channels, dtype=x.dtype, device=x.device)
        units = torch.cat([units.flatten(0, 1), torch.zeros_like(x[:1])])
        responses = layer.forward(units, *others)  # its own forward: without this hook
        return (responses[:-1] - responses[-1:]).unflatten(0, size)


def _missing(x: Tensor, out: Tensor, stencils: Tensor) -> Tensor:
    """Return ``S x - S K x``, of shape (1, B, F, C)."""
    return ((x - out).float() @ stencils.T).transpose(1, 2)[None]


def _check_layer(layer: nn.Module, embedding: BoundaryEmbedding, x: Tensor, out: Tensor) -> None:
    if x.ndim != 3 or out.shape != x.shape:
        raise ValueError(
            f"method='kernel' corrects layers from fields (B, C, n_points) to fields of the same "
            f"shape; {type(layer).__name__} took {tuple(x.shape)} to {tuple(out.shape)}. Use "
            f"method='lift' or 'project'."
        )
    _check_points(layer, embedding, x.shape[-1])


def _check_points(layer: nn.Module, embedding: BoundaryEmbedding, n_points: int) -> None:
    expected = len(embedding.faces[0].stencil)
    if n_points != expected:
        raise ValueError(
            f"method='kernel' looks for the boundary at the ends of the grid's {expected} points; "
            f"{type(layer).__name__} works on {n_points}. Do without padding and rescaling inside "
            f"the module, or use method='lift' or 'project'."
        )


def _check_weights(layer: nn.Module, weight: Tensor, x: Tensor) -> None:
    channels = x.shape[1]
    if weight.ndim != 3 or tuple(weight.shape[:2]) != (channels, channels):
        raise ValueError(
            f"the weights registered for {type(layer).__name__} must have the shape (C in, C out, "
            f"n_modes) with C = {channels} channels; got {tuple(weight.shape)}."
        )

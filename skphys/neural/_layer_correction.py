"""Hooks that correct a spectral layer, in whatever form it states its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._kernel import RIDGE, KernelCorrection, boundary_changes, solve
from skphys.neural._spectral import SpectralConv, Transform
from skphys.neural._transforms import axis_modes
from skphys.neural._walls import Walls, boundary_walls, grid_shape


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
        points = layer.transform.points
        _check_points(layer, self.embedding, tuple(len(p) for p in points))
        correction = layer.correction
        same = isinstance(correction, KernelCorrection) and all(
            np.array_equal(mine, p) for mine, p in zip(correction.points, points, strict=True)
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
        self.transform: Transform

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Return ``K (x + E d)`` for an output ``K x``."""
        x = args[0]
        _check_layer(layer, self.embedding, x, out)
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weights(layer)[..., : x.shape[-1] // 2 + 1].to(torch.complex64)
            _check_weights(layer, weight, x)
            correction, transform = self._tools(x, weight.shape[-1])
            by_mode = weight.permute(2, 0, 1)[None]
            left = (x - out).float().transpose(1, 2)[None]
            none = by_mode.new_zeros(1, len(x), weight.shape[-1], x.shape[1])
            modes = correction(left, none, by_mode, transform)
            return out + transform.synthesise(modes)[0].transpose(1, 2).to(out.dtype)

    def _tools(self, x: Tensor, n_modes: int) -> tuple[KernelCorrection, Transform]:
        """Return the correction, and the transform for so many points and modes."""
        made = self.correction
        if made is None or self.transform.n_modes != (n_modes,):
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
        (walls,) = boundary_walls(embedding)
        self.stencils, self.ends = torch.tensor(walls.stencils).float(), walls.ends

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


class CorrectByApplying:
    """Correct any affine layer on several axes, by applying it to what is to be changed.

    Once more for each axis that has faces, and for a few fields besides.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary; with the pivot "scalar".
    """

    def __init__(self, embedding: BoundaryEmbedding) -> None:
        if embedding.pivot != "scalar":
            raise ValueError(
                "method='kernel_block' on several axes reads the weights of FNO's layers, and "
                "those of no other module. Use method='kernel', 'lift' or 'project'."
            )
        self.embedding, self.walls = embedding, boundary_walls(embedding)

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Return ``K (x + E d)`` for an output ``K x``."""
        x, *others = args
        _check_layer(layer, self.embedding, x, out)
        for walls in self.walls:
            units = _units(walls, x)
            responses = layer.forward(units, *others)  # its own forward: without this hook
            constant = responses[-1:]
            measured = _read(walls, responses[:-1] - constant)[:, 0]
            inverse = _inverse(measured.movedim(1 + walls.axis, 1).flatten(2))
            changes = _read(walls, x - out).movedim(2 + walls.axis, -1) @ inverse.T
            moved = _at_ends(walls, changes, torch.zeros_like(x))
            out = out + (layer.forward(moved, *others) - constant).to(out.dtype)
        return out


def _inverse(responses: Tensor) -> Tensor:
    """Return the inverse of one number for each pair of faces, from (changed, measured, point).

    Where responses cancel along a face, as they do in layers that shift waves, it stays small.
    """
    pivot = responses.mean(2).T
    eye = torch.eye(len(pivot), device=pivot.device, dtype=pivot.dtype)
    size = responses.square().mean(2).sum(1).mean()
    return solve(pivot[None], eye, RIDGE, size[None])[0]


def _read(walls: Walls, x: Tensor) -> Tensor:
    """Return what conditions measure of fields (B, C, *shape), on faces."""
    axis = 2 + walls.axis
    stencils = torch.as_tensor(walls.stencils, dtype=torch.float32, device=x.device)
    part = x[:, walls.channels(x.shape[1])].float()
    return (part.movedim(axis, -1) @ stencils.T).movedim(-1, axis)


def _units(walls: Walls, x: Tensor) -> Tensor:
    """Return fields that are one on one face each, in all channels, and last one that is zero."""
    n_faces = len(walls.ends)
    units = x.new_zeros(n_faces + 1, *x.shape[1:])
    for face in range(n_faces):
        one = torch.eye(n_faces, dtype=x.dtype, device=x.device)[face]
        _at_ends(walls, one, units[face : face + 1])
    return units


def _at_ends(walls: Walls, values: Tensor, fields: Tensor) -> Tensor:
    """Write values, the number of faces last, to the boundary points of fields."""
    part = fields[:, walls.channels(fields.shape[1])].movedim(2 + walls.axis, -1)
    for face, end in enumerate(walls.ends):
        part[..., end] = values[..., face].to(fields.dtype)
    return fields


def _missing(x: Tensor, out: Tensor, stencils: Tensor) -> Tensor:
    """Return ``S x - S K x``, of shape (1, B, F, C)."""
    return ((x - out).float() @ stencils.T).transpose(1, 2)[None]


def _check_layer(layer: nn.Module, embedding: BoundaryEmbedding, x: Tensor, out: Tensor) -> None:
    n_axes = len(grid_shape(embedding))
    if x.ndim != 2 + n_axes or out.shape != x.shape:
        axes = ", ".join(["n_points"] if n_axes == 1 else [f"n_{k + 1}" for k in range(n_axes)])
        raise ValueError(
            f"method='kernel' corrects layers from fields (B, C, {axes}) to fields of the same "
            f"shape; {type(layer).__name__} took {tuple(x.shape)} to {tuple(out.shape)}. Use "
            f"method='lift' or 'project'."
        )
    _check_points(layer, embedding, tuple(x.shape[2:]))


def _check_points(layer: nn.Module, embedding: BoundaryEmbedding, shape: tuple[int, ...]) -> None:
    expected = grid_shape(embedding)
    if shape != expected:
        numbers = [" x ".join(str(n) for n in sizes) for sizes in (expected, shape)]
        raise ValueError(
            f"method='kernel' looks for the boundary at the ends of the grid's {numbers[0]} "
            f"points; {type(layer).__name__} works on {numbers[1]}. Do without padding and "
            f"rescaling inside the module, or use method='lift' or 'project'."
        )


def _check_weights(layer: nn.Module, weight: Tensor, x: Tensor) -> None:
    channels = x.shape[1]
    if weight.ndim != 3 or tuple(weight.shape[:2]) != (channels, channels):
        raise ValueError(
            f"the weights registered for {type(layer).__name__} must have the shape (C in, C out, "
            f"n_modes) with C = {channels} channels; got {tuple(weight.shape)}."
        )

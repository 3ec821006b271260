"""The correction of a spectral layer that keeps what a boundary condition measures.

A layer ``K`` mixes boundary and interior. Its correction changes the boundary values of what the
layer reads by ``d``, so that the conditions' left-hand sides ``S`` are the same before and after
it: ``S K (x + E d) = S x``, where ``E`` puts values at the boundary points. With ``A = S K E``,
which comes straight from the weights, ``d = A^-1 (S x - S K x)``. On several axes that is done for
one axis after another. All of it happens in the space of modes, within one application of the
layer, since ``K (x + E d) = K x + K E d``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._spectral import Transform, along, mix
from skphys.neural._walls import Walls, boundary_walls

RIDGE = 1e-3  # of the pivot, relative to its mean square; 0 decouples exactly
TINY = 1e-30  # stands for the size of a pivot that is zero, which then changes nothing


class KernelCorrection(nn.Module):
    """Make spectral layers hand the boundary on.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    transform : Transform
        The transform of the layers.
    ridge : float, default=1e-3
        Regularisation of the pivot. The two ends are neighbours on the ring, so that without it
        the condition number grows with the square of the number of points.

    Notes
    -----
    With the pivot "block", ``A`` is a matrix of faces times channels for each wave along the face;
    then boundary and interior decouple exactly, up to the ridge, for any number of channels, as far
    as waves of the layer make up what is measured along the face. With "scalar" one number stands
    for each pair of faces: what channel 0 measures, on an average over the face, of ones in all
    channels all over the other face, as in the released code of BOON. On one axis that decouples a
    single channel exactly.

    References
    ----------
    Saad, Gupta, Alizadeh and Maddix, "Guiding continuous operator learning through Physics-based
    boundary constraints", ICLR 2023, arXiv 2212.07477, algorithms 1 to 3.
    """

    def __init__(
        self, embedding: BoundaryEmbedding, transform: Transform, ridge: float = RIDGE
    ) -> None:
        super().__init__()
        self.points = transform.points
        self.walls = nn.ModuleList(
            WallCorrection(walls, transform, embedding.pivot, ridge)
            for walls in boundary_walls(embedding)
        )

    def forward(self, x: Tensor, mixed: Tensor, weight: Tensor, transform: Transform) -> Tensor:
        """Return the modes (E, B, *M, C) of ``K (x + E d)``.

        Parameters
        ----------
        x : Tensor of shape (E, B, *shape, C)
            What the layer reads.
        mixed : Tensor of shape (E, B, *M, C)
            The modes of ``K x``.
        weight : Tensor of shape (E, *M, C, C)
            The layer's weights, complex.
        transform : Transform
            Of the layer.
        """
        corrections: Iterable[Any] = self.walls
        for walls in corrections:
            missing = walls.read(x) - walls.measure(mixed, transform)
            mixed = mixed + mix(walls.changes(missing, weight, transform), weight)
        return mixed


class WallCorrection(nn.Module):
    """The correction for the faces across one axis.

    Fields on faces have the shape of the grid, with the number of faces in place of the axis.

    Parameters
    ----------
    walls : Walls
        What they read.
    transform : Transform
        The transform of the layers.
    pivot : {"scalar", "block"}
        What of ``A`` counts.
    ridge : float
        Regularisation.
    """

    support: Tensor
    stencils: Tensor
    impulses: Tensor
    measured: Tensor
    pairs: Tensor

    def __init__(self, walls: Walls, transform: Transform, pivot: str, ridge: float) -> None:
        super().__init__()
        self.layout, self.pivot, self.ridge = walls, pivot, ridge
        axis, last = walls.axis, len(transform.modes) - 1
        modes, points = transform.modes[axis], transform.points[axis]
        impulses = modes.analysis(points)[:, walls.ends]
        measured = walls.stencils @ modes.synthesis(points, real=axis == last)
        pairs = measured[:, None] * impulses.T
        if pivot == "scalar":
            pairs = _over_faces(pairs, axis, transform)
        support = np.flatnonzero(walls.stencils.any(axis=0))
        real, kind = transform.precision, transform.precision.to_complex()
        self._put("support", support, torch.int64)
        self._put("stencils", walls.stencils[:, support], real)
        for name, matrix in (("impulses", impulses), ("measured", measured), ("pairs", pairs)):
            self._put(name, matrix, kind)

    def _put(self, name: str, matrix: np.ndarray, kind: torch.dtype) -> None:
        self.register_buffer(name, torch.as_tensor(matrix, dtype=kind), persistent=False)

    def read(self, x: Tensor) -> Tensor:
        """Return what the conditions measure of fields (E, B, *shape, C), on faces."""
        axis = 2 + self.layout.axis
        x = x[..., self.layout.channels(x.shape[-1])]
        return along(self.stencils, x.index_select(axis, self.support), axis)

    def measure(self, modes: Tensor, transform: Transform) -> Tensor:
        """Return what they measure of modes (E, B, *M, C), on faces."""
        modes = modes[..., self.layout.channels(modes.shape[-1])]
        return transform.synthesise(
            along(self.measured, modes, 2 + self.layout.axis), self.layout.axis
        )

    def changes(self, missing: Tensor, weight: Tensor, transform: Transform) -> Tensor:
        """Return the modes of ``E d`` (E, B, *M, C), from what the conditions miss, on faces."""
        axis, channels = self.layout.axis, self.layout.channels(weight.shape[-1])
        beside = channels.start, weight.shape[-1] - channels.stop
        weight = weight[..., channels, channels]
        if self.pivot == "scalar":
            inverse = self._inverse_scalars(weight)
            inverse = inverse.reshape(len(inverse), *(1,) * (missing.ndim - 3), *inverse.shape[1:])
            missing = along(inverse, missing, 2 + axis)
        waves = transform.analyse(missing, axis)
        if self.pivot == "block":
            waves = self._by_blocks(waves, weight)
        changes = along(self.impulses, waves, 2 + axis)
        return F.pad(changes, beside) if any(beside) else changes

    def _inverse_scalars(self, weight: Tensor) -> Tensor:
        """Return the inverse of one number for each pair of faces, (E, F, F)."""
        responses = weight[..., 0].sum(-1).flatten(1) @ self.pairs.flatten(2).flatten(0, 1).T
        matrix = responses.real.reshape(-1, *self.pairs.shape[:2])
        eye = torch.eye(matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
        return solve(matrix, eye, self.ridge)

    def _by_blocks(self, waves: Tensor, weight: Tensor) -> Tensor:
        """Solve for the changes on faces, for each wave along the face by itself."""
        axis = 2 + self.layout.axis
        matrix = self._blocks(weight)
        right = waves.movedim((axis, -1, 1), (-3, -2, -1))  # (E, *waves, F, C, B)
        if matrix.ndim == 5:  # one axis: all is real
            matrix, right = matrix.real, right.real
        sizes = right.shape
        changes = solve(matrix.flatten(-4, -3).flatten(-2), right.flatten(-3, -2), self.ridge)
        return changes.reshape(sizes).movedim((-3, -2, -1), (axis, -1, 1)).to(waves.dtype)

    def _blocks(self, weight: Tensor) -> Tensor:
        """Return ``A``, (E, *waves along the face, F, C, F, C): measured, then changed."""
        axis, last = self.layout.axis, weight.ndim - 4
        matrix = weight.movedim(1 + axis, -1) @ self.pairs.flatten(0, 1).T
        matrix = matrix.unflatten(-1, self.pairs.shape[:2])
        matrix = matrix.movedim((-2, -3, -1, -4), (-4, -3, -2, -1))
        # What is changed and measured is real: of it a wave and its opposite are conjugates.
        opposite = matrix.conj()
        for other in range(1, 1 + last if axis == last else last):  # not along the last axis
            opposite = opposite.flip(other).roll(1, other)
        real = 0.5 * (matrix + opposite)
        if axis == last:
            return real
        first, rest = real.narrow(last, 0, 1), matrix.narrow(last, 1, matrix.shape[last] - 1)
        return torch.cat([first, rest], last)


def _over_faces(pairs: np.ndarray, axis: int, transform: Transform) -> np.ndarray:
    """Return pairs (F, F, M_axis) for ones all over a face, and an average, as (F, F, *M)."""
    product = np.ones(pairs.shape[:2])
    for number, (modes, points) in enumerate(zip(transform.modes, transform.points, strict=True)):
        if number == axis:
            factor = pairs.reshape(*pairs.shape[:2], *(1,) * number, -1)
        else:
            synthesis = modes.synthesis(points, real=number == len(transform.modes) - 1)
            factor = modes.analysis(points).sum(axis=1) * synthesis.mean(axis=0)
        product = product[..., None] * factor
    return product


def boundary_changes(missing: Tensor, matrix: Tensor, pivot: str, ridge: float = RIDGE) -> Tensor:
    """Return ``d = A^-1 (S x - S K x)`` on one axis, of shape (E, B, F, C).

    Parameters
    ----------
    missing : Tensor of shape (E, B, F, C)
        ``S x - S K x``.
    matrix : Tensor of shape (E, F, C, F, C)
        ``A = S K E``: face and channel that are measured, then those that are changed.
    pivot : {"scalar", "block"}
        What of ``A`` counts.
    ridge : float, default=1e-3
        Regularisation.
    """
    if pivot == "block":
        matrix = matrix.flatten(1, 2).flatten(2)
        return solve(matrix, missing.flatten(2).mT, ridge).mT.reshape(missing.shape)
    matrix = matrix[:, :, 0].sum(-1)
    eye = torch.eye(matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
    return solve(matrix, eye, ridge)[:, None] @ missing


def solve(matrix: Tensor, right: Tensor, ridge: float, sizes: Tensor | None = None) -> Tensor:
    """Solve ``matrix @ z = right`` by least squares with a ridge, for each member.

    Parameters
    ----------
    matrix : Tensor of shape (E, ..., S, S)
        The matrices.
    right : Tensor of shape (E, ..., S, R) or (S, R)
        Right-hand sides.
    ridge : float
        With 0 the matrices are solved as they are.
    sizes : Tensor of shape (E,) or None, default=None
        What it is relative to; None: the mean square of a member's matrices.
    """
    if ridge == 0.0:
        return torch.linalg.solve(matrix, right.expand(*matrix.shape[:-1], -1))
    square = matrix.mH @ matrix
    if sizes is None:
        sizes = square.diagonal(dim1=-2, dim2=-1).real.flatten(1).mean(1)
    eye = torch.eye(square.shape[-1], device=matrix.device, dtype=sizes.dtype)
    normal = square + ridge * sizes.clamp_min(TINY).reshape(-1, *(1,) * (matrix.ndim - 1)) * eye
    # Positive definite: it needs no check, for which a device would have to be waited for.
    return torch.linalg.solve_ex(normal, matrix.mH @ right)[0]

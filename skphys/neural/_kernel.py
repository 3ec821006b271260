"""The correction of a spectral layer that keeps what a boundary condition measures.

A layer ``K`` mixes boundary and interior. Its correction changes the boundary values of what the
layer reads by ``d``, so that the conditions' left-hand sides ``S`` are the same before and after
it: ``S K (x + E d) = S x``, where ``E`` puts values at the boundary points. With
``A = S K E``, which comes straight from the weights, ``d = A^-1 (S x - S K x)``; all of it happens
in the space of modes, within one application of the layer.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._spectral import SpectralConv, Transform

RIDGE = 1e-3  # of the pivot, relative to its mean square; 0 decouples exactly


class KernelCorrection(nn.Module):
    """Make spectral layers hand the boundary on.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary, on a grid with one axis, with one component.
    transform : Transform
        The transform of the layers.
    ridge : float, default=1e-3
        Regularisation of the pivot. The two ends are neighbours on the ring, so that without it
        the condition number grows with the square of the number of points.

    Notes
    -----
    With the pivot "block", ``A`` is a matrix of faces times channels; then boundary and interior
    decouple exactly, up to the ridge, for any number of channels. With "scalar" one number stands
    for each pair of faces: the sum of the entries of output channel 0, as in the released code of
    BOON; that decouples a single channel exactly.

    References
    ----------
    Saad, Gupta, Alizadeh and Maddix, "Guiding continuous operator learning through Physics-based
    boundary constraints", ICLR 2023, arXiv 2212.07477, algorithms 1 to 3.
    """

    stencils: Tensor
    impulses: Tensor
    read: Tensor

    def __init__(
        self, embedding: BoundaryEmbedding, transform: Transform, ridge: float = RIDGE
    ) -> None:
        super().__init__()
        self.pivot, self.ridge = embedding.pivot, ridge
        modes = transform.modes[0]
        stencils, ends = boundary_points(embedding)
        self.points = points = transform.points[0]
        impulses = modes.analysis(points)[:, ends].T
        read = stencils @ modes.synthesis(points, real=True)
        for name, matrix in (("stencils", stencils), ("impulses", impulses), ("read", read)):
            kind = transform.precision.to_complex() if name != "stencils" else transform.precision
            self.register_buffer(name, torch.as_tensor(matrix, dtype=kind), persistent=False)

    def forward(self, x: Tensor, layer: SpectralConv) -> Tensor:
        """Return the modes (E, B, M, C) of ``x + E d``, which the layer then mixes.

        Parameters
        ----------
        x : Tensor of shape (E, B, N, C)
            What the layer reads.
        layer : SpectralConv
            The layer.
        """
        modes, wanted = layer.transform.analyse_with(self.stencils, x)
        if self.pivot == "block":
            missing = wanted - self._measure(layer.mix(modes))
            return modes + self.modes(missing, layer.weight)
        # The response of channel 0 to all channels, from the layer itself: less work than the
        # whole pivot.
        units = self.impulses[..., None].expand(len(x), -1, -1, x.shape[-1])
        measured = self._measure(layer.mix(torch.cat([modes, units], 1)))
        given, responses = measured.split([x.shape[1], len(self.read)], dim=1)
        return modes + self._spread(_by_scalars(wanted - given, responses[..., 0].mT, self.ridge))

    def modes(self, missing: Tensor, weight: Tensor) -> Tensor:
        """Return the modes of ``E d``, (E, B, M, C), from what the conditions miss.

        Parameters
        ----------
        missing : Tensor of shape (E, B, F, C)
            ``S x - S K x``, for each face.
        weight : Tensor of shape (E, M, C, C, 2)
            The layer's weights.
        """
        changes = boundary_changes(missing, self._pivot(weight), self.pivot, self.ridge)
        return self._spread(changes)

    def _spread(self, changes: Tensor) -> Tensor:
        """Return the modes of changes (E, B, F, C) at the boundary points."""
        return self.impulses.T @ changes.to(self.impulses.dtype)

    def _measure(self, modes: Tensor) -> Tensor:
        """Return the conditions' left-hand sides (E, B, F, C) of modes (E, B, M, C)."""
        return (self.read @ modes).real

    def _pivot(self, weight: Tensor) -> Tensor:
        """Return ``A`` as (E, F, C out, F, C in)."""
        faces, channels = len(self.read), weight.shape[2]
        pairs = (self.read[:, None] * self.impulses).flatten(0, 1)
        pivot = (pairs @ torch.view_as_complex(weight).flatten(2)).real
        return pivot.reshape(-1, faces, faces, channels, channels).permute(0, 1, 4, 2, 3)


def boundary_points(embedding: BoundaryEmbedding) -> tuple[np.ndarray, list[int]]:
    """Return what conditions measure, (F, N), and the positions of the points to be changed.

    What they measure is in the same units, so that a ridge suits values beside slopes, too.
    """
    stencils = [face.stencil / np.abs(face.stencil).max() for face in embedding.faces]
    return np.stack(stencils), [-1 if face.side == "right" else 0 for face in embedding.faces]


def boundary_changes(missing: Tensor, matrix: Tensor, pivot: str, ridge: float = RIDGE) -> Tensor:
    """Return ``d = A^-1 (S x - S K x)``, of shape (E, B, F, C).

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
        return _by_blocks(missing, matrix, ridge)
    return _by_scalars(missing, matrix[:, :, 0].sum(-1), ridge)


def _by_blocks(missing: Tensor, matrix: Tensor, ridge: float) -> Tensor:
    members, faces, channels = matrix.shape[:3]
    matrix = matrix.reshape(members, faces * channels, -1)
    return _solve(matrix, missing.flatten(2).mT, ridge).mT.reshape(missing.shape)


def _by_scalars(missing: Tensor, matrix: Tensor, ridge: float) -> Tensor:
    eye = torch.eye(matrix.shape[1], device=matrix.device, dtype=matrix.dtype)
    return _solve(matrix, eye, ridge)[:, None] @ missing


def _solve(matrix: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Solve ``matrix @ z = right`` for each member, by least squares with a ridge."""
    if ridge == 0.0:
        return torch.linalg.solve(matrix, right.expand(*matrix.shape[:2], -1))
    square = torch.bmm(matrix.mT, matrix)
    size = square.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    eye = torch.eye(square.shape[1], device=matrix.device, dtype=matrix.dtype)
    normal = torch.addcmul(square, size, eye, value=ridge)
    # Positive definite: it needs no check, for which a device would have to be waited for.
    return torch.linalg.solve_ex(normal, matrix.mT @ right)[0]

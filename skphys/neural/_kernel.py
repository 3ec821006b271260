"""The correction of a spectral layer that keeps what a boundary condition measures.

A layer ``K`` mixes boundary and interior. Its correction changes the boundary values of what the
layer reads by ``d``, so that the conditions' left-hand sides ``S`` are the same before and after
it: ``S K (x + E d) = S x``, where ``E`` puts values at the boundary points. With
``A = S K E``, which comes straight from the weights, ``d = A^-1 (S x - S K x)``; all of it happens
in the space of modes, within one application of the layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding

if TYPE_CHECKING:
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

    def __init__(
        self, embedding: BoundaryEmbedding, transform: Transform, ridge: float = RIDGE
    ) -> None:
        super().__init__()
        self.pivot, self.ridge = embedding.pivot, ridge
        modes = transform.modes[0]
        faces = embedding.faces
        stencils = np.stack([face.stencil for face in faces])
        ends = [-1 if face.side == "right" else 0 for face in faces]
        points = transform.points[0]
        forward = modes.analysis(points)
        read = stencils @ modes.synthesis(points, real=True)
        self._put("into", np.concatenate([forward.real, forward.imag, stencils]), torch.float32)
        impulses = forward[:, ends]
        self._put("impulses", np.concatenate([impulses.real, impulses.imag]), torch.float32)
        self._put("probes", impulses.T, torch.complex64)
        self._put("read", read, torch.complex64)

    def _put(self, name: str, matrix: np.ndarray, kind: torch.dtype) -> None:
        self.register_buffer(name, torch.as_tensor(matrix, dtype=kind), persistent=False)

    def forward(self, x: Tensor, layer: SpectralConv) -> Tensor:
        """Return the modes (E, B, M, C) of ``x + E d``, for fields x (E, B, N, C).

        Parameters
        ----------
        x : Tensor of shape (E, B, N, C)
            What the layer reads.
        layer : SpectralConv
            The layer, still without the correction.
        """
        n_faces, n_modes = self.read.shape
        parts, wanted = torch.matmul(self.into, x).split([2 * n_modes, n_faces], dim=-2)
        modes = torch.complex(*parts.chunk(2, dim=-2))
        solve = self._by_blocks if self.pivot == "block" else self._by_scalars
        parts = parts + self.impulses @ solve(modes, wanted, layer)
        return torch.complex(*parts.chunk(2, dim=-2))

    def _by_blocks(self, modes: Tensor, wanted: Tensor, layer: SpectralConv) -> Tensor:
        missing = wanted - self._measure(layer.mix(modes))
        members, _, faces, channels = missing.shape
        weight = torch.view_as_complex(layer.weight).flatten(2)
        pairs = (self.read[:, None] * self.probes).flatten(0, 1)
        pivot = (pairs @ weight).real.reshape(members, faces, faces, channels, channels)
        matrix = pivot.permute(0, 1, 4, 2, 3).reshape(members, faces * channels, -1)
        return _solve(matrix, missing.flatten(2).mT, self.ridge).mT.reshape(missing.shape)

    def _by_scalars(self, modes: Tensor, wanted: Tensor, layer: SpectralConv) -> Tensor:
        members, batch, faces, channels = wanted.shape
        probes = self.probes[..., None].expand(members, -1, -1, channels)
        measured = self._measure(layer.mix(torch.cat([modes, probes], 1)))
        given, probed = measured.split([batch, faces], dim=1)
        eye = torch.eye(faces, device=given.device)
        return _solve(probed[..., 0].mT, eye, self.ridge)[:, None] @ (wanted - given)

    def _measure(self, modes: Tensor) -> Tensor:
        """Return the conditions' left-hand sides (E, B, F, C) of modes (E, B, M, C)."""
        return (self.read @ modes).real


def _solve(matrix: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Solve ``matrix @ z = right`` for each member, by least squares with a ridge."""
    if ridge == 0.0:
        return torch.linalg.solve(matrix, right.expand(*matrix.shape[:2], -1))
    square = torch.bmm(matrix.mT, matrix)
    size = square.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    eye = torch.eye(square.shape[1], device=matrix.device)
    normal = torch.addcmul(square, size, eye, value=ridge)
    # Positive definite: it needs no check, for which a device would have to be waited for.
    return torch.linalg.solve_ex(normal, matrix.mT @ right)[0]

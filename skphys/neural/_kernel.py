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
from skphys.neural._spectral import Transform

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
        faces = embedding.faces
        # In the same units: a ridge suits values beside slopes, too.
        stencils = np.stack([face.stencil / np.abs(face.stencil).max() for face in faces])
        ends = [-1 if face.side == "right" else 0 for face in faces]
        points = transform.points[0]
        impulses = modes.analysis(points)[:, ends].T
        read = stencils @ modes.synthesis(points, real=True)
        self._put("stencils", stencils, torch.float32)
        self._put("impulses", impulses, torch.complex64)
        self._put("read", read, torch.complex64)

    def _put(self, name: str, matrix: np.ndarray, kind: torch.dtype) -> None:
        self.register_buffer(name, torch.as_tensor(matrix, dtype=kind), persistent=False)

    def forward(self, x: Tensor, out: Tensor, weight: Tensor) -> Tensor:
        """Return the modes of ``E d``, (E, B, M, C), which the layer then mixes.

        Parameters
        ----------
        x : Tensor of shape (E, B, N, C)
            What the layer reads.
        out : Tensor of shape (E, B, M, C)
            The modes of what it would return.
        weight : Tensor of shape (E, M, C, C, 2)
            Its weights, as real and imaginary parts.
        """
        missing = self.stencils @ x - (self.read @ out).real
        solve = self._by_blocks if self.pivot == "block" else self._by_scalars
        return self.impulses.T @ solve(missing, self._pivot(weight)).to(out.dtype)

    def _pivot(self, weight: Tensor) -> Tensor:
        """Return ``A`` as (E, F, C out, F, C in)."""
        pairs = self.read[:, None] * self.impulses[None]
        factors = torch.stack([pairs.real, -pairs.imag])
        return torch.einsum("rfgm,emior->efogi", factors, weight)

    def _by_blocks(self, missing: Tensor, pivot: Tensor) -> Tensor:
        members, faces, channels = pivot.shape[:3]
        matrix = pivot.reshape(members, faces * channels, -1)
        right = missing.flatten(2)
        solution = _regularised(matrix, right, self.ridge)
        return solution.reshape(*missing.shape[:2], faces, channels)

    def _by_scalars(self, missing: Tensor, pivot: Tensor) -> Tensor:
        matrix = pivot[:, :, 0].sum(-1)
        right = missing.transpose(-1, -2).flatten(1, 2)
        solution = _regularised(matrix, right, self.ridge)
        return solution.reshape(*missing.shape[:2], -1, missing.shape[2]).transpose(-1, -2)


def _regularised(matrix: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Solve ``matrix @ z = r`` for each row r of (E, B, n), by least squares with a ridge."""
    if ridge == 0.0:
        return torch.linalg.solve(matrix, right.transpose(1, 2)).transpose(1, 2)
    normal = matrix.transpose(1, 2) @ matrix
    size = normal.diagonal(dim1=1, dim2=2).mean(1)
    eye = torch.eye(len(normal[0]), device=matrix.device, dtype=matrix.dtype)
    normal = normal + ridge * size[:, None, None] * eye
    return torch.linalg.solve(normal, matrix.transpose(1, 2) @ right.transpose(1, 2)).transpose(
        1, 2
    )

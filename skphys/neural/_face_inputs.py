"""How the values of a boundary enter a net: as channels, and as a modulation of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding, EmbeddedFace
from skphys.neural._fno import MemberLinear, Modulation

CONSTANT = 1e-6  # a deviation of this part of the mean, or less, is none


class FaceInputs(nn.Module):
    """Standardised boundary values, as channels on the grid and as one number a face.

    A value that is the same for all training samples says nothing, so it stays out.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The faces.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, embedding: BoundaryEmbedding) -> None:
        super().__init__()
        self.set_faces(embedding)
        self.register_buffer("mean", torch.zeros(len(self.faces)))
        self.register_buffer("std", torch.full((len(self.faces),), torch.inf))

    def set_faces(self, embedding: BoundaryEmbedding) -> None:
        """Take the same faces, maybe with other points."""
        self.faces: tuple[EmbeddedFace, ...] = tuple(
            face for face in embedding.faces if face.values.stop > face.values.start
        )

    def set_scaling(self, values: Tensor) -> None:
        """Take mean and deviation of each face from training values (n, V)."""
        for number, face in enumerate(self.faces):
            part = values[:, face.values].double()
            mean, std = part.mean(), part.std(correction=0)
            self.mean[number] = mean.float()
            self.std[number] = std.float() if std > CONSTANT * mean.abs() else torch.inf

    def forward(self, values: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return channels (E, B, F, *shape) and averages (E, B, F) of values (E, B, V).

        A channel continues a face's values unchanged along the axis across it.
        """
        channels, averages = [], []
        for number, face in enumerate(self.faces):
            part = (values[..., face.values] - self.mean[number]) / self.std[number]
            on_face = part.reshape(*part.shape[:2], *face.shape).unsqueeze(2 + face.axis)
            channels.append(on_face.expand(*part.shape[:2], *shape))
            averages.append(part.mean(-1))
        return torch.stack(channels, 2), torch.stack(averages, 2)


class FaceModulation(nn.Module):
    """Scales and shifts a layer's channels by what is prescribed at the boundary.

    It starts as the identity, so that it only acts where that lowers the loss.

    Parameters
    ----------
    n_faces : int
        Number of averages.
    channels : int
        Number of channels of the layer.
    n_members : int, default=1
        Number of members.

    References
    ----------
    Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018,
    arXiv 1709.07871.
    """

    def __init__(self, n_faces: int, channels: int, n_members: int = 1) -> None:
        super().__init__()
        self.linear = MemberLinear(n_faces, 2 * channels, n_members)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, averages: Tensor) -> Modulation:
        """Return the change that averages (E, B, F) make to a layer (E, B, *shape, C)."""
        scale, shift = self.linear(averages).chunk(2, dim=-1)

        def modulate(x: Tensor) -> Tensor:
            axes = (*x.shape[:2], *(1,) * (x.ndim - 3), x.shape[-1])
            return torch.addcmul(shift.reshape(axes), x, 1.0 + scale.reshape(axes))

        return modulate

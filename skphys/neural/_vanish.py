"""Fields that vanish on faces where values are prescribed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding


class Vanish(nn.Module):
    """Subtract from each field the smooth continuation of its own values on Dirichlet faces.

    What a net predicts beside a field that holds the boundary values must be zero there. Along
    each axis in turn the mismatch is continued linearly between two faces, or as a constant from
    one; the faces of earlier axes are left as they are.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary; faces that prescribe no values are left alone.
    points : sequence of array-like
        The coordinates along each axis.
    """

    def __init__(self, embedding: BoundaryEmbedding, points: Sequence[Any]) -> None:
        super().__init__()
        faces = [f for f in embedding.faces if f.kind == "dirichlet"]
        self.keys = sorted({(face.component, face.axis) for face in faces})
        self.sides = {
            key: sorted(f.side for f in faces if (f.component, f.axis) == key) for key in self.keys
        }
        self.set_points(points)

    def set_points(self, points: Sequence[Any]) -> None:
        """Take other points along the axes."""
        for component, axis in self.keys:
            name = f"_ramps_{component}_{axis}"
            old = getattr(self, name, None)
            ramps = _ramps(points[axis], self.sides[component, axis])
            device = None if old is None else old.device
            ramps = torch.as_tensor(ramps, dtype=torch.float32, device=device)
            self.register_buffer(name, ramps, persistent=False)

    def forward(self, fields: Tensor) -> Tensor:
        """Return fields (E, B, O, *shape) that are zero on the faces."""
        parts = list(fields.unbind(2))
        for component, axis in self.keys:
            ramps = getattr(self, f"_ramps_{component}_{axis}")
            ends = [0 if side == "left" else -1 for side in self.sides[component, axis]]
            field = parts[component].movedim(2 + axis, -1)
            faces = torch.stack([field[..., end] for end in ends], -1)
            parts[component] = (field - faces @ ramps).movedim(-1, 2 + axis)
        return torch.stack(parts, 2)


def _ramps(points: Any, sides: Sequence[str]) -> np.ndarray:
    """Return for each side the function that is one there and zero at the other one."""
    points = np.asarray(points, dtype=np.float64)
    if len(sides) == 1:
        return np.ones((1, len(points)))
    right = (points - points[0]) / (points[-1] - points[0])
    return np.stack([1.0 - right, right])

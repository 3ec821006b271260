"""Fields that vanish on faces where values are prescribed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._lift import axis_lifts


class Vanish(nn.Module):
    """Subtract from each field the smooth continuation of its own values on Dirichlet faces.

    What a net predicts beside a field that holds the boundary values must be zero there. It is
    `SmoothLift` for values that are zero: along each axis in turn the mismatch is continued
    linearly between two faces, or as a constant from one, or decays as the embedding says.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary; faces that prescribe no values are left alone.
    points : sequence of array-like
        The coordinates along each axis.
    """

    def __init__(self, embedding: BoundaryEmbedding, points: Sequence[Any]) -> None:
        super().__init__()
        self.set_faces(embedding, points)

    def set_faces(self, embedding: BoundaryEmbedding, points: Sequence[Any]) -> None:
        """Take the same faces on other points."""
        faces = [face for face in embedding.faces if face.kind == "dirichlet"]
        self.keys = []
        for component in sorted({face.component for face in faces}):
            own = [face for face in faces if face.component == component]
            for lift in axis_lifts(own, points, embedding.decay):
                self.keys.append((component, lift.number))
                self._put(f"_read_{component}_{lift.number}", lift.stencils.T)
                self._put(f"_ramps_{component}_{lift.number}", lift.functions.T)

    def _put(self, name: str, matrix: np.ndarray) -> None:
        old = getattr(self, name, None)
        device = None if old is None else old.device
        new = torch.as_tensor(matrix, dtype=torch.float32, device=device)
        self.register_buffer(name, new, persistent=False)

    def forward(self, fields: Tensor) -> Tensor:
        """Return fields (E, B, O, *shape) that are zero on the faces."""
        with torch.autocast(fields.device.type, enabled=False):
            parts = list(fields.unbind(2))
            for component, axis in self.keys:
                read = getattr(self, f"_read_{component}_{axis}")
                ramps = getattr(self, f"_ramps_{component}_{axis}")
                field = parts[component].movedim(2 + axis, -1)
                parts[component] = (field - field @ read @ ramps).movedim(-1, 2 + axis)
            return torch.stack(parts, 2)

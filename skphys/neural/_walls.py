"""What the corrections of layers look at: the walls of a boundary, axis by axis. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skphys.neural._boundary_batch import BoundaryEmbedding, EmbeddedFace


@dataclass(frozen=True, eq=False)
class Walls:
    """What conditions across one axis read, for all channels of a layer or a share of them.

    Attributes
    ----------
    axis : int
        The axis.
    stencils : ndarray of shape (F, n_axis)
        Their left-hand sides, in the same units, so that a ridge suits values beside slopes, too.
    ends : list of int
        The positions of the points to be changed, one a face.
    part, of : int
        Which of so many equal shares of the channels.
    """

    axis: int
    stencils: NDArray[np.float64]
    ends: list[int]
    part: int = 0
    of: int = 1

    def channels(self, n: int) -> slice:
        """Return the share of `n` channels."""
        start = min(self.part * n // self.of, n - 1)
        return slice(start, max((self.part + 1) * n // self.of, start + 1))


def boundary_walls(embedding: BoundaryEmbedding) -> list[Walls]:
    """Return what is to be corrected, in order.

    Hidden channels belong to no component. Where all components have the same conditions across an
    axis these hold for all channels; else each component's hold for its share of the channels.
    """
    components = sorted({face.component for face in embedding.faces})
    walls = []
    for axis in sorted({face.axis for face in embedding.faces}):
        across = [face for face in embedding.faces if face.axis == axis]
        own = [_walls(axis, [f for f in across if f.component == c]) for c in components]
        first = own[0]
        if first is not None and all(_same(first, other) for other in own):
            walls.append(first)
            continue
        shares = ((number, one) for number, one in enumerate(own) if one is not None)
        walls += [Walls(axis, w.stencils, w.ends, n, len(own)) for n, w in shares]
    return walls


def _walls(axis: int, faces: list[EmbeddedFace]) -> Walls | None:
    if not faces:
        return None
    stencils = [face.stencil / np.abs(face.stencil).max() for face in faces]
    return Walls(axis, np.stack(stencils), [-1 if f.side == "right" else 0 for f in faces])


def _same(walls: Walls, other: Walls | None) -> bool:
    if other is None or walls.ends != other.ends:
        return False
    return np.array_equal(walls.stencils, other.stencils)


def grid_shape(embedding: BoundaryEmbedding) -> tuple[int, ...]:
    """Return the shape of the grid that a boundary was made for."""
    face = embedding.faces[0]
    return *face.shape[: face.axis], len(face.stencil), *face.shape[face.axis :]

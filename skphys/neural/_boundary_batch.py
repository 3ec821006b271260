"""What an operator is told about a boundary, while it trains and when it predicts.

NumPy alone: the declarations behind it stay with those who made them, and torch is not needed to
hold it or to pickle it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class EmbeddedFace:
    """One face of a boundary.

    Attributes
    ----------
    name : str
        As in ``boundary_constraints``.
    kind : {"dirichlet", "neumann", "robin", "periodic"}
        What holds.
    component : int
        Which of the output's components it speaks of.
    axis : int
        Which of the grid's axes is across the face.
    side : {"left", "right", "both"}
        Where the coordinate is lowest or highest.
    stencil : ndarray of shape (n_axis,)
        The condition's left-hand side along the axis: its product with the field is the value.
    shape : tuple of int
        Number of points along the grid's other axes.
    values : slice
        Where the face's values are among those of the boundary, in C order; empty for a periodic
        axis.
    """

    name: str
    kind: str
    component: int
    axis: int
    side: str
    stencil: NDArray[np.float64]
    shape: tuple[int, ...]
    values: slice


@dataclass(frozen=True, eq=False)
class BoundaryEmbedding:
    """A boundary, and how an operator should build it in.

    Attributes
    ----------
    method : {"kernel", "lift", "inputs"}
        Correct the kernel inside each layer; or let the output vanish where values are prescribed;
        or only show them to the operator.
    faces : tuple of EmbeddedFace
        What holds where.
    pivot : {"scalar", "block"}
        For "kernel": whether one number stands for the kernel between two boundary points, or the
        matrix between their channels.
    decay : float
        For "lift": how far from a face what it prescribes is felt, as a part of the axis' length.
    """

    method: str
    faces: tuple[EmbeddedFace, ...]
    pivot: str = "scalar"
    decay: float = np.inf

    @property
    def n_values(self) -> int:
        """Number of values of all faces together."""
        return max((face.values.stop for face in self.faces), default=0)

    @property
    def value_names(self) -> list[str]:
        """Names of the values: of their faces, with numbers where a face has several."""
        sizes = [(face.name, face.values.stop - face.values.start) for face in self.faces]
        return [f"{n}_{i}" if size > 1 else n for n, size in sizes for i in range(size)]

    def same_points(self, other: BoundaryEmbedding) -> bool:
        """Say whether another embedding of this boundary is on the same points."""
        return all(
            mine.shape == face.shape and np.array_equal(mine.stencil, face.stencil)
            for mine, face in zip(self.faces, other.faces, strict=True)
        )


@dataclass(frozen=True, eq=False)
class BoundaryBatch:
    """A boundary with its values for some samples: the keyword ``boundary`` of an operator.

    Attributes
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    values : ndarray of shape (n_samples, embedding.n_values)
        What is prescribed, face by face.
    norms : ndarray of shape (n_samples, n_components) or None
        In fit: the sizes that a relative loss divides by, where the targets are only a part of
        the fields.
    """

    embedding: BoundaryEmbedding
    values: NDArray[np.float64]
    norms: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.values)

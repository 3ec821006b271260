"""A condition on a part of a mesh's boundary, by the gradient in the cells there."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csr_array

from skphys.constraints._conditions import Periodic
from skphys.constraints._faces import BOTH, SAFETY, Face, Floats, channel_of
from skphys.constraints._parts import placed
from skphys.grids import Mesh

RINGS = 2  # of neighbours that a gradient is fitted to, at least
FLAT = 0.1  # of the longest direction that they point in: a shorter one needs more of them


class MeshFace(Face):
    """What holds at a named part of a mesh's boundary, one point a face, at each time level.

    The value at a face is ``u + g . (x_face - x_cell)`` and the outward derivative ``g . n``, with
    the average u of the cell inside and the gradient g there. That is of the least squares, weighed
    with the inverse squares of the distances, over the cell's neighbours and theirs: so both are
    exact where u is linear.
    """

    grid: Any  # a Mesh

    def __post_init__(self) -> None:
        """Raise if there is no such part, or the mesh does not say enough of it."""
        parts, kind = self.grid.boundary, type(self.condition).__name__
        if self.axis not in parts:
            raise ValueError(
                f"boundary names {self.axis!r}, but the parts of this mesh's boundary are "
                f"{list(parts)}; name its faces by Mesh(boundary={{{self.axis!r}: ...}})."
            )
        if isinstance(self.condition, Periodic) or self.side != BOTH:
            raise ValueError(
                f"boundary[{self.axis!r}] must be one condition, and not Periodic, because it is a "
                f"part of a mesh's boundary; got {kind} at the {self.side!r}."
            )
        for name in ("face_points", *(["normals"] if self._coefficients[1].any() else [])):
            if getattr(self.grid, name) is None:
                raise ValueError(
                    f"{kind} at {self.axis!r} needs the {name} of the mesh; pass them to Mesh, or "
                    f"use Mesh.from_simplices."
                )

    @property
    def numbers(self) -> NDArray[np.intp]:
        """The faces."""
        return np.asarray(self.grid.boundary[self.axis])

    @property
    def along(self) -> Any:
        """The axis of the cells."""
        return self.grid.axes["cell"]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of time levels, if there are any, and of faces."""
        times = {"t": len(self.grid["t"])} if "t" in self.grid else {}
        return {**times, self.axis: len(self.numbers)}

    @cached_property
    def kept(self) -> NDArray[np.intp]:
        """All of them: no two faces are the same."""
        return np.arange(int(np.prod(self.shape)))

    @property
    def weights(self) -> Floats:
        """Nothing: the rows differ from face to face."""
        raise ValueError(f"{self.axis!r} is a part of a mesh's boundary, which has no one stencil.")

    @cached_property
    def rows(self) -> csr_array:
        """The left-hand side at all faces, of the field of all components."""
        columns = np.arange(self.where.start, self.where.stop)
        return placed(self._at_faces(*self._coefficients), columns, self.n_points)

    def from_input(self, X: Any, channel: int) -> Floats:
        """Return the left-hand side of a field in X at the faces, (n_samples, *shape)."""
        fields = channel_of(X, channel, self.grid)
        values = fields @ self._at_faces(*self._coefficients).T
        return values.reshape(len(fields), *self.shape)

    def stencil_error(self, fields: Floats) -> Floats:
        """Estimate the error of taking the field for linear by how far its neighbours are off.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields, of all components.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            Three times the largest miss of a fit, by the sum of the weights that see it.
        """
        u = fields[:, self.where].reshape(-1, self.grid.n_cells)
        misses = [np.abs(u[:, f.cells] @ f.misses.T).max(axis=1) for f in self._fits]
        misses = np.max(misses, axis=0).reshape(len(fields), *self.shape[:-1], 1)
        a, b = (np.abs(self._over(c)) for c in self._coefficients)
        seen = [[np.abs(weights).sum() for weights in f[1:3]] for f in self._fits]
        value, slope = np.transpose(seen)
        return (SAFETY * misses * (a * value + b * slope)).reshape(len(fields), -1)

    @cached_property
    def _fits(self) -> list[Fit]:
        return [fit_at(self.grid, int(face)) for face in self.numbers]

    def _over(self, coefficient: Floats) -> Floats:
        """Return a coefficient in the shape of the faces."""
        return np.broadcast_to(coefficient, self.kept.shape).reshape(self.shape)

    def _at_faces(self, a: Floats, b: Floats) -> csr_array:
        """Return ``a u + b du/dn`` at all time levels, of the field on the mesh."""
        cells = np.concatenate([fit.cells for fit in self._fits])
        starts = np.cumsum([0, *(len(fit.cells) for fit in self._fits)])
        shape = (self.numbers.size, self.grid.n_cells)
        value, slope = (
            csr_array((np.concatenate(entries), cells, starts), shape=shape)
            for entries in ([f.value for f in self._fits], [f.slope for f in self._fits])
        )
        levels = zip(*(self._over(c).reshape(-1, shape[0]) for c in (a, b)), strict=True)
        blocks = [
            sparse.diags_array(one) @ value + sparse.diags_array(other) @ slope
            for one, other in levels
        ]
        return csr_array(sparse.block_diag(blocks, format="csr"))


class Fit(NamedTuple):
    """What a field is at a face, and how fast it changes there, from the cells around.

    Attributes
    ----------
    cells : ndarray of shape (n,)
        The cell inside the face, then its neighbours.
    value, slope : ndarray of shape (n,)
        Weights of their averages in the value, and in the derivative along the outward normal.
    misses : ndarray of shape (n - 1, n)
        From the averages to what the linear fit misses of the neighbours.
    """

    cells: NDArray[np.intp]
    value: Floats
    slope: Floats
    misses: Floats


def fit_at(mesh: Mesh, face: int) -> Fit:
    """Fit a linear field to the cell inside a face of the boundary and its neighbours."""
    inside = int(mesh.faces[face].max())
    around = _around(mesh, inside)
    offsets = mesh.centres[around] - mesh.centres[inside]
    distances = np.linalg.norm(offsets, axis=1)
    # Differences from the cell inside, over all of the cells.
    changes = np.column_stack([-np.ones(len(around)), np.eye(len(around))])
    gradient = np.linalg.pinv(offsets / distances[:, None]) @ (changes / distances[:, None])
    own = np.eye(1, len(around) + 1)[0]
    ahead = np.asarray(mesh.face_points)[face] - mesh.centres[inside]
    outward = np.zeros(offsets.shape[1])
    if mesh.normals is not None:
        outward = mesh.normals[face] * (1.0 if mesh.faces[face, 1] < 0 else -1.0)
    return Fit(
        np.append(inside, around),
        own + ahead @ gradient,
        outward @ gradient,
        changes - offsets @ gradient,
    )


def _around(mesh: Mesh, cell: int) -> NDArray[np.intp]:
    """Return the cells behind so few faces that they lie in all directions, sorted."""
    found, before, ring = {cell}, 0, 0
    while before < len(found):
        before, ring = len(found), ring + 1
        near = mesh.faces[np.isin(mesh.faces, list(found)).any(axis=1)]
        found |= set(near[near >= 0].tolist())
        around = np.array(sorted(found - {cell}), dtype=np.intp)
        offsets = mesh.centres[around] - mesh.centres[cell]
        offsets = offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
        widths = np.linalg.svd(offsets, compute_uv=False)
        enough = len(around) >= offsets.shape[1] and widths[-1] > FLAT * widths[0]
        if ring >= RINGS and enough:
            return around
    if enough:
        return around
    raise ValueError(
        f"The gradient in cell {cell} at the boundary needs neighbours in all directions, but only "
        f"{len(around)} cell(s) are connected with it; use a finer mesh."
    )

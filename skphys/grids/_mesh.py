"""Meshes: control volumes of any shape, joined by faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._axis import Axis
from skphys.grids._checks import Vector, freeze
from skphys.grids._grid import Grid, Over
from skphys.grids._mesh_checks import (
    as_areas,
    as_boundary,
    as_centres,
    as_coordinates,
    as_face_points,
    as_faces,
    as_normals,
    as_positive,
)
from skphys.grids._simplices import simplex_cells, simplex_vertices


class Mesh:
    """Control volumes of any shape; a field holds the average over each, at each time level.

    The two axes of a mesh are called "t" (if there are time levels) and "cell", in this order,
    so a conservation law integrates ``over="cell"``. A mesh is immutable, compares by value and
    pickles.

    Parameters
    ----------
    points : array-like of shape (n_cells, n_dims) or (n_cells,)
        A point inside each volume, usually its centroid.
    volumes : array-like of shape (n_cells,)
        Their sizes: lengths, areas or volumes. Positive.
    faces : array-like of int of shape (n_faces, 2)
        The two volumes that each face separates, owner and neighbour; -1 stands for the outside.
        The positive direction of a face is from the owner to the neighbour, whichever side the
        outside is on.
    areas : array-like of shape (n_faces,), default=None
        Sizes of the faces. None takes 1, so that a flux is the rate through the whole face.
    normals : array-like of shape (n_faces, n_dims), default=None
        Unit vectors in the faces' positive direction; only a flux stated by a velocity vector,
        and conditions on derivatives at the boundary, need them.
    t : array-like of shape (n_times,), default=None
        Time levels; None is a field without time.
    face_points : array-like of shape (n_faces, n_dims) or (n_faces,), default=None
        The middle of each face; only boundary conditions need them.
    boundary : dict, default=None
        The parts of the boundary by name, for boundary conditions: numbers of faces, a mask of
        shape (n_faces,), or a callable that takes the middles of the faces where the mesh ends,
        (n, n_dims), and returns which of them are meant. Faces that are not named are free.
    coordinates : sequence of str, default=None
        What the columns of `points` are called in figures.

    See Also
    --------
    control_volumes : The volumes, faces and incidence of a grid or a mesh.
    Grid : Tensor-product grids, which state their control volumes themselves.

    Notes
    -----
    ::

        owner  |   neighbour          flux > 0 leaves the owner
           o   |-->   o               and enters the neighbour
               |

    Examples
    --------
    Three cells in a row, with a face at each end:

    >>> from skphys.grids import Mesh
    >>> faces = [[-1, 0], [0, 1], [1, 2], [2, -1]]
    >>> mesh = Mesh([0.5, 1.5, 3.0], volumes=[1.0, 1.0, 2.0], faces=faces)
    >>> mesh
    Mesh(3 cells, 4 faces)
    >>> mesh.integral_rows().toarray()
    array([[1., 1., 2.]])
    """

    def __init__(
        self,
        points: Any,
        volumes: Any,
        faces: Any,
        areas: Any = None,
        normals: Any = None,
        t: Any = None,
        face_points: Any = None,
        boundary: Any = None,
        coordinates: Any = None,
    ) -> None:
        self._volumes = freeze(as_positive(volumes, "volumes"))
        n_cells = self._volumes.size
        self._centres = freeze(as_centres(points, n_cells))
        self._faces = freeze(as_faces(faces, n_cells))
        n_faces = len(self._faces)
        self._areas = freeze(np.ones(n_faces) if areas is None else as_areas(areas, n_faces))
        shape = (n_faces, self._centres.shape[1])
        self._normals = None if normals is None else freeze(as_normals(normals, shape))
        self._face_points = (
            None if face_points is None else freeze(as_face_points(face_points, shape))
        )
        parts = as_boundary(boundary, self._faces, self._face_points)
        self._boundary = {name: freeze(part) for name, part in parts.items()}
        self._coordinates = as_coordinates(coordinates, shape[1])
        cells = {"cell": Axis.cells(np.arange(n_cells + 1.0))}
        self._grid = Grid(**({} if t is None else {"t": t}), **cells)

    @classmethod
    def from_simplices(
        cls,
        vertices: Any,
        simplices: Any,
        t: Any = None,
        boundary: Any = None,
        location: str = "cells",
    ) -> Mesh:
        """Build a mesh of segments, triangles or tetrahedra.

        Parameters
        ----------
        vertices : array-like of shape (n_vertices, n_dims)
            Coordinates of the corners.
        simplices : array-like of int of shape (n_cells, n_dims + 1)
            The corners of each cell, as in `scipy.spatial.Delaunay`, in any order.
        t : array-like of shape (n_times,), default=None
            Time levels.
        boundary : dict, default=None
            The parts of the boundary by name, as in `Mesh`.
        location : {"cells", "vertices"}, default="cells"
            Where the field has its values: averages of cells, or values at vertices with the field
            linear between them, as finite elements have it. The volume of a vertex is then its
            lumped mass, an equal part of each simplex around it, so that the integral is exact;
            faces lie between these parts, and where they end. They have no middles, and there is no
            `boundary`: vertices on it are values of the field, which a `LinearEquality` states.

        Returns
        -------
        Mesh
            With centroids, volumes, faces, their middles, areas and normals. The outside is always
            the neighbour of a face, so fluxes through the boundary count positive outwards.

        Raises
        ------
        ValueError
            If simplices are flat or overlap, or a vertex is in none.

        Examples
        --------
        >>> from skphys.grids import Mesh
        >>> square = [[0, 0], [1, 0], [1, 1], [0, 1]]
        >>> left = {"left": lambda points: points[:, 0] == 0.0}
        >>> mesh = Mesh.from_simplices(square, [[0, 1, 2], [0, 2, 3]], boundary=left)
        >>> mesh
        Mesh(2 cells, 5 faces)
        >>> mesh.volumes
        array([0.5, 0.5])
        >>> mesh.face_points[mesh.boundary["left"]]
        array([[0. , 0.5]])
        """
        if location not in ("cells", "vertices"):
            raise ValueError(f"location must be 'cells' or 'vertices'; got {location!r}.")
        if location == "cells":
            return cls(**simplex_cells(vertices, simplices), t=t, boundary=boundary)
        if boundary is not None:
            raise ValueError(
                "boundary needs location='cells': with values at the vertices, those on the "
                "boundary are values of the field; state them by a LinearEquality."
            )
        return cls(**simplex_vertices(vertices, simplices), t=t)

    @property
    def centres(self) -> Vector:
        """The point of each volume, read-only, shape (n_cells, n_dims)."""
        return self._centres

    @property
    def volumes(self) -> Vector:
        """Sizes of the volumes, read-only, shape (n_cells,)."""
        return self._volumes

    @property
    def faces(self) -> NDArray[np.intp]:
        """Owner and neighbour of each face, read-only, shape (n_faces, 2)."""
        return self._faces

    @property
    def areas(self) -> Vector:
        """Sizes of the faces, read-only, shape (n_faces,)."""
        return self._areas

    @property
    def normals(self) -> Vector | None:
        """Unit vectors from owner to neighbour, read-only, shape (n_faces, n_dims), or None."""
        return self._normals

    @property
    def face_points(self) -> Vector | None:
        """The middle of each face, read-only, shape (n_faces, n_dims), or None."""
        return self._face_points

    @property
    def coordinates(self) -> tuple[str, ...] | None:
        """What the columns of `centres` are called, or None."""
        return self._coordinates

    @property
    def boundary(self) -> dict[str, NDArray[np.intp]]:
        """The numbers of the faces of each named part of the boundary, read-only."""
        return dict(self._boundary)

    @property
    def n_cells(self) -> int:
        """Number of volumes."""
        return self._volumes.size

    @property
    def n_faces(self) -> int:
        """Number of faces."""
        return len(self._faces)

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes by name; that of the cells only counts them."""
        return self._grid.axes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, ``("t", "cell")`` or ``("cell",)``."""
        return self._grid.names

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        return self._grid.shape

    @property
    def n_points(self) -> int:
        """Number of values of a field."""
        return self._grid.n_points

    @property
    def points(self) -> Vector:
        """Coordinates of all values, C order, shape (n_points, n_dims), with t in front if any."""
        if "t" not in self:
            return self._centres
        t = np.repeat(self["t"], self.n_cells)
        return np.column_stack([t, np.tile(self._centres, (self.shape[0], 1))])

    def remaining(self, over: Over = None) -> tuple[str, ...]:
        """Name the axes that an integral leaves.

        Parameters
        ----------
        over : {"t", "cell"}, list of these or None, default=None
            Axes to integrate over; None is all of them.

        Returns
        -------
        tuple of str
            The axes not integrated over.
        """
        return self._grid.remaining(over)

    def integral_rows(self, over: Over = None, quadrature: Any = None) -> csr_array:
        """State the integral over the cells, the time or both as sparse rows.

        Parameters
        ----------
        over : {"t", "cell"}, list of these or None, default=None
            Axes to integrate over; None is all of them.
        quadrature : str, dict or array-like, default=None
            None weighs the cells by their volumes, and time by the trapezoid rule. Otherwise as
            in `Grid.weights`; a rule by name is that of time.

        Returns
        -------
        csr_array of shape (n_remaining, n_points)
            One row for each index of the remaining axis.
        """
        return self._grid.integral_rows(over, self._quadrature(over, quadrature))

    def reshape(self, fields: Any) -> NDArray[Any]:
        """Give flat fields the shape of the mesh.

        Parameters
        ----------
        fields : array-like of shape (..., n_points)
            Flat fields.

        Returns
        -------
        ndarray of shape (..., n_cells) or (..., n_times, n_cells)
            A view where possible.
        """
        return self._grid.reshape(fields)

    def quadrature_error_bound(
        self, fields: Any, over: Over = None, quadrature: Any = None
    ) -> Vector:
        """Bound the error of an integral; cell averages are summed without any.

        Parameters
        ----------
        fields : array-like of shape (n_samples, n_points)
            Values of the fields.
        over : {"t", "cell"}, list of these or None, default=None
            Axes of the integral.
        quadrature : str, dict or array-like, default=None
            As in `integral_rows`.

        Returns
        -------
        ndarray of shape (n_samples, n_remaining)
            Non-zero only where time is integrated over.
        """
        return self._grid.quadrature_error_bound(fields, over, self._quadrature(over, quadrature))

    def _quadrature(self, over: Over, quadrature: Any) -> Any:
        """Weigh the cells by their volumes unless told otherwise."""
        remaining = self.remaining(over)
        if "cell" in remaining or not isinstance(quadrature, str | Mapping | None):
            return quadrature
        rules = dict(quadrature) if isinstance(quadrature, Mapping) else {}
        if isinstance(quadrature, str) and "t" in self and "t" not in remaining:
            rules["t"] = quadrature
        return {"cell": self._volumes, **rules}

    def __getitem__(self, name: str) -> Vector:
        return self._grid[name]

    def __contains__(self, name: object) -> bool:
        return name in self._grid

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mesh):
            return NotImplemented
        alike = self._grid == other._grid and self._boundary.keys() == other._boundary.keys()
        alike &= self._coordinates == other._coordinates
        return alike and all(
            np.array_equal(mine, theirs)  # type: ignore[arg-type]
            for mine, theirs in zip(self._arrays(), other._arrays(), strict=True)
        )

    def __hash__(self) -> int:
        return hash((self._grid, self.n_faces, float(self._volumes[0])))

    def __repr__(self) -> str:
        time = f", t={self.axes['t'].summary()}" if "t" in self else ""
        return f"Mesh({self.n_cells} cells, {self.n_faces} faces{time})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Mesh:
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"_coordinates": None} | state)  # which older versions have not
        for array in self._arrays():  # NumPy does not pickle the read-only flag
            if array is not None:
                freeze(array)

    def _arrays(self) -> tuple[NDArray[Any] | None, ...]:
        own = self._centres, self._volumes, self._faces, self._areas, self._normals
        return *own, self._face_points, *(self._boundary[name] for name in sorted(self._boundary))

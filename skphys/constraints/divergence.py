"""Local conservation of mass in an incompressible flow: as much flows out of a volume as in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse
from scipy.ndimage import maximum_filter1d
from scipy.sparse import csr_array

from skphys.constraints._parts import Space, part_of, placed
from skphys.constraints._time_rule import differences
from skphys.constraints.base import Constraint
from skphys.grids import SIDES, Axis, Grid, end_weights, face_grids, naming

TIME = "t"
SAFETY = 3.0


class DivergenceFree(Constraint):
    r"""A flow without divergence: out of every control volume flows as much as into it.

    The components of the velocity are components of the field. One row for each volume, and for
    each index of the axes without a velocity, such as time::

                      v_(j+1/2)
                    +-----^-----+
                    |           |        (u_(i+1/2) - u_(i-1/2)) / dx
        u_(i-1/2) -->     o     --> u_(i+1/2)
                    |           |            + (v_(j+1/2) - v_(j-1/2)) / dy = 0
                    +-----^-----+
                      v_(j-1/2)

    Parameters
    ----------
    components : sequence of str, default=("u", "v")
        The components of the velocity, two or three of them, or one for each of more axes.
    axes : sequence of str or None, default=None
        The axes along which they point, in the same order. None takes all axes of the grid but
        "t", in the grid's order.
    noise : float or array of shape (n_rows,), default=0.0
        Standard deviation of the divergence, in units of the velocity over those of the axes; 0
        makes the balance exact.

    See Also
    --------
    ControlVolumeBalance : The local balance of what is stored, for density or heat.
    boundary_constraints : Walls.

    Notes
    -----
    The velocity through the face between two points is their average. On an axis of nodes the
    volumes reach to the midpoints between the nodes, and the row at a node is the central
    difference. The first and the last node have no volume of their own: what they would need is a
    one-sided difference, which at a wall would hold the fluid next to it fast as well. Along an
    axis of cells the volumes are the cells, all of them; the velocity at the two ends is
    extrapolated, by the same stencil as that of `Dirichlet`, so that with impermeable walls the
    rows say of the whole domain, too, that nothing is lost. Periodic axes have a volume at each
    point. On a *staggered* grid each component is given on the faces across its own axis, and on
    the cells of the others; then nothing is averaged, see `face_grids`.

    Which of these a code conserves is its own business: a row is a discretisation, and data of
    another one miss it by the error of both. Central differences are what velocities from a stream
    function obey, if they are central differences of it, as those of
    :func:`~skphys.datasets.make_lid_driven_cavity` are on the solver's own nodes
    (``refinement=1``); differences around cells, with four nodes as corners, they miss by several
    per cent. Between fields on a coarser grid and the rows there is the error of second-order
    differences. Where the backbone's error is smaller than that, set `noise`.

    Central differences do not see velocities that alternate from node to node. Such ripples are
    neither made nor removed: the correction is a discrete gradient, weighted with the variances.
    Together with walls a few rows follow from the others (one, if all numbers of nodes are odd:
    all that leaves the odd volumes passes the walls). That is no error, unless the walls prescribe
    more inflow than outflow.

    References
    ----------
    Chorin, "Numerical solution of the Navier-Stokes equations", Mathematics of Computation 22,
    1968, pages 745 to 762; Harlow and Welch, Physics of Fluids 8, 1965, pages 2182 to 2189, for
    staggered grids.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import DivergenceFree
    >>> from skphys.grids import Components, Grid
    >>> from skphys.metrics import conservation_error
    >>> plane = Grid(x=np.arange(4.0), y=np.arange(3.0))
    >>> flow = Components(u=plane, v=plane)
    >>> x, y = plane.points.T
    >>> conservation_error([np.concatenate([x, -y])], DivergenceFree(), flow)
    array([[0., 0.]])
    >>> conservation_error([np.concatenate([x, y])], DivergenceFree(), flow)
    array([[2., 2.]])
    """

    def __init__(
        self,
        components: Sequence[str] = ("u", "v"),
        *,
        axes: Sequence[str] | None = None,
        noise: Any = 0.0,
    ) -> None:
        self.components = components
        self.axes = axes
        self.noise = noise

    def rows(self, grid: Space) -> csr_array:
        """Return the mean divergence in each volume.

        Parameters
        ----------
        grid : Components
            Where the velocity lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            In C order over the volumes and the other axes, as these are in the grid.

        Raises
        ------
        ValueError
            If there are no such components or axes, or they do not fit each other.
        """
        parts = [
            placed(_joint(matrices), np.arange(where.start, where.stop), grid.n_points)
            for where, matrices, _ in self._stencils(grid)
        ]
        return csr_array(reduce(lambda a, b: a + b, parts))

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Estimate the error of averages on the faces by second differences across them.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields.
        grid : Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            Small where the velocity is smooth.
        """
        fields = np.asarray(fields, dtype=np.float64)
        error = np.zeros((len(fields), 1))
        for where, matrices, k in self._stencils(grid):
            u = fields[:, where].reshape(-1, *(m.shape[1] for m in matrices))
            ends = [(int(i == k + 1),) * 2 for i in range(u.ndim)]
            bends = np.pad(np.abs(np.diff(u, n=2, axis=k + 1)), ends, mode="edge")
            bends = maximum_filter1d(bends, 3, axis=k + 1)  # one alone vanishes where u turns
            error = error + bends.reshape(len(u), -1) @ abs(_joint(matrices)).T
        return SAFETY / 8.0 * error

    def _stencils(self, grid: Space) -> Iterator[tuple[slice, list[csr_array], int]]:
        """Yield for each component where it is, a matrix for each axis, and which one it is along.

        The rows are the product of the matrices: a difference along the component's own axis, and
        the points that have volumes along the others.
        """
        parts = [part_of(grid, name, "components") for name in self._names()]
        for name, (part, _) in zip(self.components, parts, strict=True):
            if not isinstance(part, Grid):
                raise TypeError(
                    f"DivergenceFree needs Grids; {name!r} has a {type(part).__name__}."
                )
        axes = self._axes(parts[0][0])
        volumes = self._volumes([part for part, _ in parts], axes)
        along = {a: _along(parts[k][0].axes[a], volumes[a], a) for k, a in enumerate(axes)}
        for own, (part, where) in zip(axes, parts, strict=True):
            matrices = [
                along[a][int(a != own)] if a in along else _identity(axis.size)
                for a, axis in part.axes.items()
            ]
            yield where, matrices, part.names.index(own)

    def _names(self) -> list[str]:
        given: Any = self.components
        several = isinstance(given, Iterable) and not isinstance(given, str)
        names = list(given) if several else [given]
        if len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(
                f"components must name the components of the velocity, each once, at least two, "
                f"such as ('u', 'v'); got {self.components!r}."
            )
        return names

    def _axes(self, grid: Grid) -> list[str]:
        """Return the axes along which the components point."""
        axes = [a for a in grid.names if a != TIME] if self.axes is None else list(self.axes)
        if len(axes) != len(self._names()) or len(set(axes)) != len(axes):
            raise ValueError(
                f"axes={self.axes!r} gives the axes {axes} for the components "
                f"{list(self.components)}; name one axis for each of them."
            )
        unknown = [a for a in axes if a not in grid]
        if unknown:
            raise ValueError(
                f"axes names {unknown[0]!r}, which is no axis; there are {list(grid.names)}."
            )
        return axes

    def _volumes(self, grids: Sequence[Grid], axes: Sequence[str]) -> dict[str, Axis]:
        """Return the axes of the control volumes: those of the components that cross them."""
        if any(grid.names != grids[0].names for grid in grids):
            raise ValueError(
                f"The components {list(self.components)} must have the same axes, in the same "
                f"order; they have {[list(grid.names) for grid in grids]}."
            )
        found = {}
        for name in grids[0].names:
            across = [g.axes[name] for k, g in enumerate(grids) if name != axes[k]]
            if any(axis != across[0] for axis in across):
                raise ValueError(
                    f"axis {name!r} must be the same in all components of {list(self.components)} "
                    f"that do not point along it; got {across}."
                )
            found[name] = across[0]
        return found


def _identity(size: int) -> csr_array:
    return sparse.eye_array(size, format="csr")


def _joint(matrices: Sequence[csr_array]) -> csr_array:
    return reduce(lambda left, right: sparse.kron(left, right, format="csr"), matrices)


def _along(own: Axis, volumes: Axis, name: str) -> tuple[csr_array, csr_array]:
    """Return along one axis the mean slope of its component, and which points have volumes.

    Parameters
    ----------
    own : Axis
        Of the component that points along it.
    volumes : Axis
        Of the others: the same, or the points between whose faces `own` is.
    name : str
        Its name.
    """
    if volumes.size < 3:
        raise ValueError(f"axis {name!r} has {volumes.size} point(s); DivergenceFree needs 3.")
    kept, inner = _identity(volumes.size), slice(None)
    if own == volumes:
        faces = _averages(own)
        if own.period is None and own.edges is None:
            faces, inner = faces[1:-1], slice(1, -1)
    elif own == face_grids(Grid(**{name: volumes}))[f"flux_{name}"].axes[name]:
        faces = _identity(own.size)
        if own.period is not None:
            faces = sparse.vstack([faces, faces[[0]]], format="csr")
    else:
        raise ValueError(
            f"axis {name!r} of the component along it is {own}, and {volumes} of the others; make "
            f"them the same, or let the first hold the faces of the second, as face_grids does."
        )
    with naming(f"axis {name!r}"):
        widths = volumes.weights()[inner]
    slopes = sparse.diags_array(1.0 / widths) @ differences(faces.shape[0]) @ faces
    return csr_array(slopes), kept[inner]


def _averages(axis: Axis) -> csr_array:
    """Return the values at the faces from those at the points on either side, (n + 1, n).

    Face i is between points i - 1 and i. The first and the last are the ends, or the same on a
    periodic axis; on nodes that end they are not used.
    """
    n, faces = axis.size, np.arange(axis.size + 1)
    before, after = (faces - 1) % n, faces % n
    widths = np.ones(n) if axis.edges is None else axis.weights()
    share = widths[before] / (widths[before] + widths[after])  # of the one after
    entries = np.concatenate([1.0 - share, share])
    where = np.tile(faces, 2), np.concatenate([before, after])
    matrix = csr_array((entries, where), shape=(n + 1, n))
    if axis.period is not None or axis.edges is None:
        return matrix
    ends = [csr_array(end_weights(axis, side, 0, 2)[None]) for side in SIDES]
    return sparse.vstack([ends[0], matrix[1:-1], ends[1]], format="csr")

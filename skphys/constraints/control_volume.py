"""Local balances: what every control volume gains is what comes in through its faces."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csr_array

from skphys.constraints._flux_rows import (
    node_error,
    operator_error,
    operator_rows,
    predicted_rows,
)
from skphys.constraints._parts import Resolved, Shapes, Space, part_of, placed
from skphys.constraints._time_rule import differences, increments, rule_error
from skphys.constraints.base import Constraint
from skphys.grids import ControlVolumes, control_volumes


class ControlVolumeBalance(Constraint):
    """Every control volume balances, between every two time levels.

    One row for each interval of time and each volume ``i``::

                       face f, area A_f
                             |
           volume i     o    |--> F_f     o    volume j
                             |

        V_i (u_i(t2) - u_i(t1)) + integral_t1^t2 sum_f s_if A_f F_f dt = integral_t1^t2 V_i S_i dt

    where ``s_if`` is +1 if ``i`` is the owner of face ``f`` and -1 if it is its neighbour: a flux
    counts positive in the face's positive direction, and what leaves one volume enters the next.
    On a grid that direction is the axis's, on both ends of the domain too; on a `Mesh` it is from
    the owner to the neighbour. See `control_volumes` for the order of the faces.

    The flux is the sum of what is given (`flux`), what is linear in the field at the same time
    (`flux_operator`), and what is itself predicted (`flux_component`).

    Parameters
    ----------
    flux : float, array, str, Column or callable, default=0.0
        Given fluxes per unit area through the faces: a number for all of them, or an array of
        shape (n_faces,), constant in time, (n_times, n_faces), at the time levels, or (n_times -
        1, n_faces), averages over the intervals. A column of X gives one number a field, a
        callable of X shape (n_samples,) or any of the above after n_samples.
    flux_operator : LinearFlux, sparse array of shape (n_faces, n_cells), list or None, default=None
        From the values of the volumes at one time level to the fluxes through all faces at that
        level: `AdvectiveFlux`, `DiffusiveFlux`, a matrix of your own, or a list of matrices, one a
        time level. It is the same for all samples.
    flux_component : str, list of str or None, default=None
        The component of y that holds the fluxes, or the components that do so together, in the
        order of the faces; at the time levels, or one value an interval. Needs a grid of
        `Components`; `face_grids` makes the components.
    source : float, array, str, Column or callable, default=0.0
        What is produced per unit volume and time, as in `flux` with n_cells for n_faces.
    time : str, default="t"
        The axis of the time levels; all other axes are space.
    theta : float, default=0.5
        How the fluxes at two levels make up the integral over the interval between them,
        ``dt ((1 - theta) F(t1) + theta F(t2))``: 0.5 is the trapezoid rule, 0 the explicit and 1
        the implicit Euler scheme. The same goes for the source.
    component : str or None, default=None
        The component that is balanced, where the grid has several.
    mask : array of bool of shape (n_cells,) or None, default=None
        The volumes to balance; the others have no rows. It may have the shape of the space axes.
    noise : float or array of shape (n_rows,), default=0.0
        Standard deviation of a row, in units of the field times those of space; 0 makes the
        balance exact.

    See Also
    --------
    ConservationLaw : The same for the whole domain, and for totals that are known.
    AdvectiveFlux, DiffusiveFlux : Fluxes that are linear in the field.

    Notes
    -----
    Rows are sparse, interval by interval, volumes in C order. The sum of the rows of an interval
    is the law of the whole domain: interior fluxes cancel, exactly, and those through the boundary
    remain. With ``theta=0.5``, or fluxes averaged over the intervals, that is `ConservationLaw`
    with `inflow` and `outflow`, whose rule in time is the trapezoid's. On nodes the volumes reach
    to the midpoints between them, and the sum is the law of the trapezoid rule.

    ``predict(X, constraint_values=...)`` replaces the right-hand side of the rows: the net in-flux
    and the source, integrated over the volume and the interval.

    References
    ----------
    LeVeque, "Finite Volume Methods for Hyperbolic Problems", Cambridge University Press, 2002,
    section 4.1; Hansen, Maddix, Alizadeh, Gupta and Mahoney, ICML 2023, arXiv 2302.11002, section
    2, for the whole domain.

    Examples
    --------
    >>> from skphys.constraints import ControlVolumeBalance
    >>> from skphys.grids import Axis, Grid
    >>> grid = Grid(t=[0.0, 0.1], x=Axis.cells([0.0, 1.0, 3.0]))
    >>> balance = ControlVolumeBalance(flux=[1.0, 0.5, 0.0])
    >>> balance.rows(grid).toarray()
    array([[-1.,  0.,  1.,  0.],
           [ 0., -2.,  0.,  2.]])
    >>> from skphys.metrics import conservation_error
    >>> conservation_error([[0.0, 0.0, 0.05, 0.025]], balance, grid)  # 0.1 * (1 - 0.5), 0.1 * 0.5
    array([[0., 0.]])
    """

    value_parameters = ("flux", "source")

    def __init__(
        self,
        flux: Any = 0.0,
        *,
        flux_operator: Any = None,
        flux_component: str | Sequence[str] | None = None,
        source: Any = 0.0,
        time: str = "t",
        theta: float = 0.5,
        component: str | None = None,
        mask: Any = None,
        noise: Any = 0.0,
    ) -> None:
        self.flux = flux
        self.flux_operator = flux_operator
        self.flux_component = flux_component
        self.source = source
        self.time = time
        self.theta = theta
        self.component = component
        self.mask = mask
        self.noise = noise

    def rows(self, grid: Space) -> csr_array:
        """Return the balances of all intervals and volumes.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives, with an axis of time.

        Returns
        -------
        csr_array of shape ((n_times - 1) * n_cells, n_points)
            Interval by interval, volumes in C order; fewer with a mask.

        Raises
        ------
        ValueError
            If time, fluxes or mask do not fit the grid.
        """
        if hasattr(self.flux, "matrix"):
            raise ValueError(
                f"flux holds {type(self.flux).__name__}, which is linear in the field; give it as "
                f"flux_operator=."
            )
        volumes, times, where = self._volumes(grid)
        cells = sparse.diags_array(volumes.volumes)
        out = volumes.incidence @ sparse.diags_array(volumes.areas)
        rows = sparse.kron(differences(times.size), cells, format="csr")
        if self.flux_operator is not None:
            rows = rows + operator_rows(self.flux_operator, volumes, out, self.theta)
        rows = placed(rows, where.start + volumes.levels.ravel(), grid.n_points)
        if self.flux_component is not None:
            names = self.flux_component
            names = [names] if isinstance(names, str) else list(names)
            rows = rows + predicted_rows(grid, names, self.time, times, out, self.theta)
        kept = self._kept(volumes)
        return rows if kept.all() else rows[np.flatnonzero(np.tile(kept, times.size - 1))]

    def value_shapes(self, grid: Space) -> Shapes:
        """Return the shapes of fluxes and sources.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        dict of str to tuple of tuple of int
            Over faces or cells, constant in time, at the levels, or over the intervals.
        """
        volumes, times, _ = self._volumes(grid)
        sizes = {"flux": volumes.n_faces, "source": volumes.n_cells}
        return {p: ((n,), (times.size, n), (times.size - 1, n)) for p, n in sizes.items()}

    def values(self, resolved: Resolved, grid: Space) -> np.ndarray:
        """Return the net in-flux that is given, and the source, integrated.

        Parameters
        ----------
        resolved : dict of str to ndarray
            The flux (n_samples or 1, n_levels, n_faces) and the source, with cells for faces.
        grid : Grid, Mesh or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_samples or 1, n_rows)
            The right-hand side.
        """
        volumes, times, _ = self._volumes(grid)
        source = increments(resolved["source"] * volumes.volumes, times, 1, self.theta)
        flux = increments(resolved["flux"] * volumes.areas, times, 1, self.theta)
        outflow = (flux.reshape(-1, volumes.n_faces) @ volumes.incidence.T).reshape(
            *flux.shape[:2], volumes.n_cells
        )
        gained = (source - outflow)[..., self._kept(volumes)]
        return gained.reshape(len(gained), -1)

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Estimate the error of the rule in time, of a linear flux, and of values on nodes.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            Small where the field changes steadily in time, and evenly between neighbours.
        """
        volumes, times, where = self._volumes(grid)
        part, _ = part_of(grid, self.component)
        u = np.asarray(fields, dtype=np.float64)[:, where][:, volumes.levels]
        error = rule_error(u * volumes.volumes, times, 1)
        sampled = node_error(u, part, self.time, volumes)
        error = error + sampled[:, :-1] + sampled[:, 1:]
        if self.flux_operator is not None:
            fluxes = operator_error(self.flux_operator, u, volumes)
            error = error + increments(fluxes, times, 1, self.theta)
        return error[..., self._kept(volumes)].reshape(len(u), -1)

    def _volumes(self, grid: Space) -> tuple[ControlVolumes, np.ndarray, slice]:
        """Return the balanced volumes, the time levels, and where the component is."""
        theta: Any = self.theta
        if not isinstance(theta, Real) or not 0.0 <= float(theta) <= 1.0:
            raise ValueError(f"theta must be between 0 and 1; got {self.theta!r}.")
        part, where = part_of(grid, self.component)
        volumes = control_volumes(part, self.time)
        times = volumes.times
        if times is None or times.size < 2:
            raise ValueError(
                f"A balance in time needs at least two time levels; time={self.time!r} of "
                f"{part!r} has not."
            )
        return volumes, times, where

    def _kept(self, volumes: ControlVolumes) -> np.ndarray:
        """Return which volumes are balanced."""
        if self.mask is None:
            return np.ones(volumes.n_cells, dtype=bool)
        mask = np.asarray(self.mask)
        if mask.dtype != bool or mask.size != volumes.n_cells or not mask.any():
            raise ValueError(
                f"mask must be boolean, with one entry for each of {volumes.n_cells} volumes, and "
                f"not all False; got dtype {mask.dtype} and shape {mask.shape}."
            )
        return mask.ravel()

"""Conservation laws in integral form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from skphys.constraints._budget import Budget
from skphys.constraints._parts import Resolved, Shapes, Space, part_of, placed, region
from skphys.constraints._rule_noise import rule_std
from skphys.constraints.base import Constraint
from skphys.grids import Grid, Mesh


class ConservationLaw(Constraint):
    """The integral of the field over some axes equals a known total.

    One row for each remaining index of the grid: with ``over="x"`` on a grid of x and t there is
    one total for each time. The total is known, or it is what was there and what came and went::

        integral u dx (t) = initial + integral_t0^t (inflow - outflow) dt

    Parameters
    ----------
    over : str, list of str or None, default=None
        The axes to integrate over; None means all of them.
    total : float, array of shape (n_rows,), str, Column or callable, default=0.0
        The integral of the field, in units of the field times those of the axes. A number is a
        number; an array holds one total for each remaining index of the grid, in C order, never
        one for each sample; a string or `Column` names a column of X; a callable gets X, one row a
        field (in a long table: the `by` columns), and returns (n_samples,) or (n_samples, n_rows).
        NaN in a column, or from a callable, is not known: the field is left as predicted.
    noise : float, array of shape (n_rows,), str, Column, callable or "auto", default=0.0
        Standard deviation of the total, in its units; where it comes from X as for `total`. 0 makes
        the law exact. "auto" is the error of
        the quadrature rule, for a total that is the analytic one: for each field it is estimated
        by comparing the rule with that on every second node, in what is predicted (in the members,
        where there are any). It is 0 on cell averages, and too small where the prediction blurs a
        front that is sharp.
    quadrature : str, dict, array or None, default=None
        Rule by name (``"trapezoid"``, ``"midpoint"``, ``"simpson"``), rule or weights by axis, or
        an array of weights over the integrated axes. None takes the trapezoid rule on nodes and
        the cell volumes on cell averages.
    initial : float, array, str, Column or callable, default=None
        The total at the first time level, in place of `total`. None with an inflow or an outflow
        says that it is not known: the law is then about the change over each interval of time, one
        row for each interval instead of each level. An array has one entry for each index that
        neither the integral nor time takes up.
    inflow, outflow : float, array, str, Column or callable, default=None
        Rates at which the total grows and shrinks; None is 0. An array has the shape of the
        remaining axes: for one that remains, time, (n_times,) at the levels or (n_times - 1,),
        averages over the intervals; levels are integrated by the trapezoid rule. A column gives
        one number a field, a callable any of these after n_samples.
    time : str, default="t"
        The axis of time, where there is an `initial`, `inflow` or `outflow`.
    component : str or None, default=None
        The component that is conserved, on a grid of `Components`.
    mask : array of bool, or of shares between 0 and 1, or None, default=None
        The part of the domain that is integrated over, with the shape of the integrated axes, or
        of all axes if it depends on the others; flattened or not.

    See Also
    --------
    ControlVolumeBalance : The same for every control volume.
    LinearEquality : Any other linear statement about the field.

    Notes
    -----
    Which total is meant matters: the trapezoid rule applied to the true field misses the analytic
    mass by the rule's error, so a field that meets the analytic mass exactly on a coarse grid is
    not the true field.

    References
    ----------
    Hansen, Maddix, Alizadeh, Gupta and Mahoney, "Learning Physical Models that Can Respect
    Conservation Laws", ICML 2023, arXiv 2302.11002, section 2 and equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import ConservationLaw
    >>> from skphys.grids import Grid
    >>> law = ConservationLaw(over="x", total="mass")
    >>> law.rows(Grid(x=np.array([0.0, 0.5, 1.0]))).toarray()
    array([[0.25, 0.5 , 0.25]])

    What is in the domain, from what was there and what came in:

    >>> law = ConservationLaw(over="x", initial=1.0, inflow=[0.0, 2.0, 2.0])
    >>> from skphys.metrics import conservation_error
    >>> grid = Grid(t=[0.0, 0.5, 1.0], x=np.array([0.0, 1.0]))
    >>> conservation_error([[1.0, 1.0, 1.5, 1.5, 2.5, 2.5]], law, grid)
    array([[0., 0., 0.]])
    """

    value_parameters = ("total", "initial", "inflow", "outflow")
    noise_rules = ("auto",)

    def __init__(
        self,
        over: str | Sequence[str] | None = None,
        total: Any = 0.0,
        noise: Any = 0.0,
        quadrature: str | Mapping[str, Any] | Any | None = None,
        *,
        initial: Any = None,
        inflow: Any = None,
        outflow: Any = None,
        time: str = "t",
        component: str | None = None,
        mask: Any = None,
    ) -> None:
        self.over = over
        self.total = total
        self.noise = noise
        self.quadrature = quadrature
        self.initial = initial
        self.inflow = inflow
        self.outflow = outflow
        self.time = time
        self.component = component
        self.mask = mask

    def rows(self, grid: Space) -> csr_array:
        """Return the quadrature rows.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            One row for each remaining index, in C order; differences between time levels where
            only the change is known.
        """
        part, where = part_of(grid, self.component)
        rows = self._integrals(part)
        budget = self._budget(part)
        if budget is not None and self.initial is None:
            rows = budget.changes() @ rows
        return placed(rows, np.arange(where.start, where.stop), grid.n_points)

    def value_shapes(self, grid: Space) -> Shapes:
        """Return the shapes of what is integrated in time.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        dict of str to tuple of tuple of int
            The remaining axes, with time at the levels, over the intervals, or left out.
        """
        budget = self._budget(part_of(grid, self.component)[0])
        none: tuple[tuple[int, ...], ...] = ((1,),)
        rates, initial = (none, none) if budget is None else (budget.rate_shapes, budget.start)
        return {"initial": initial, "inflow": rates, "outflow": rates}

    def values(self, resolved: Resolved, grid: Space) -> np.ndarray:
        """Return the total, or make it of what was there and what came and went.

        Parameters
        ----------
        resolved : dict of str to ndarray
            Those of the total, or of initial, inflow and outflow that are given.
        grid : Grid, Mesh or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_samples or 1, n_rows or 1)
            The right-hand side.
        """
        budget = self._budget(part_of(grid, self.component)[0])
        if budget is None:
            return resolved["total"]
        gained = budget.gained(resolved.get("inflow", 0.0), resolved.get("outflow", 0.0))
        if self.initial is not None:
            gained = budget.from_start(resolved["initial"], gained)
        return gained.reshape(len(gained), -1)

    def noise_std(self, fields: np.ndarray | None, grid: Space) -> np.ndarray:
        """Return `noise`, or estimate the rule's error.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points) or None
            What is predicted.
        grid : Grid, Mesh or Components
            Where it lives.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            For ``noise="auto"``; else `noise` as it is. Through a mask the field counts as falling
            to zero between the last node inside and the first one outside.
        """
        if not isinstance(self.noise, str):
            return self.noise
        if self.noise != "auto":
            raise ValueError(f"noise must be a number, an array or 'auto'; got {self.noise!r}.")
        part, where = part_of(grid, self.component)
        if isinstance(part, Mesh):
            return np.zeros((1, 1))  # cell averages
        if fields is None:
            raise ValueError("noise='auto' is judged by fields, and there are none here.")
        fields = np.asarray(fields, dtype=np.float64)[:, where]
        if self.mask is not None:
            fields = fields * self._region(part)
        std = rule_std(fields, part, self.over, self.quadrature)
        budget = self._budget(part)
        if budget is None or self.initial is not None:
            return std
        return np.sqrt(std**2 @ abs(budget.changes()).T)

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise if `over` names an axis that there is not.

        Parameters
        ----------
        names : sequence of str
            The axes of the fields.

        Raises
        ------
        ValueError
            Naming the axes that there are.
        """
        wanted = [self.over] if isinstance(self.over, str) else self.over or []
        unknown = [axis for axis in wanted if axis not in names]
        if unknown:
            raise ValueError(
                f"over={self.over!r} has unknown axis {unknown[0]!r}; the axes are {list(names)}."
            )

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return a bound of the rule's error from the variation between nodes, in space and time.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            The fields to integrate.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            In space zero on cell averages, whose sum is the integral; in time an estimate, from
            how steadily the total changes.
        """
        part, where = part_of(grid, self.component)
        fields = np.asarray(fields, dtype=np.float64)[:, where]
        error = part.quadrature_error_bound(fields, self.over)
        budget = self._budget(part)
        if budget is None:
            return error
        amounts = fields @ self._integrals(part).T
        return budget.error(amounts, error, known_start=self.initial is not None)

    def _integrals(self, part: Grid | Mesh) -> csr_array:
        """Return the integral at each remaining index, over the mask's part of the domain."""
        rows = part.integral_rows(self.over, self.quadrature)
        if self.mask is not None:
            rows.data *= self._region(part)[rows.indices]
            rows.eliminate_zeros()
        return rows

    def _region(self, part: Grid | Mesh) -> np.ndarray:
        """Return the share of each point that the mask takes in."""
        remaining = part.remaining(self.over)
        over = tuple(name for name in part.names if name not in remaining)
        return region(self.mask, part, over)

    def _budget(self, part: Grid | Mesh) -> Budget | None:
        """Return how totals add up in time, if that is how they are given."""
        if self.initial is None and self.inflow is None and self.outflow is None:
            return None
        if not (isinstance(self.total, Real) and self.total == 0.0):
            raise ValueError(
                f"total={self.total!r} cannot be given together with initial, inflow or outflow; "
                f"pass the one or the others."
            )
        return Budget(part, part.remaining(self.over), self.time)

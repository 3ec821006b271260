"""Conservation laws in integral form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skphys.constraints.base import Constraint

if TYPE_CHECKING:
    from skphys.grids import Grid


class ConservationLaw(Constraint):
    """The integral of the field over some axes equals a known total.

    One row for each remaining index of the grid: with ``over="x"`` on a grid of x and t there is
    one total for each time.

    Parameters
    ----------
    over : str, list of str or None, default=None
        The axes to integrate over; None means all of them.
    total : float, array of shape (n_rows,), str, Column or callable, default=0.0
        The integral of the field, in units of the field times those of the axes. A number is a
        number; an array holds one total for each remaining index of the grid, in C order, never
        one for each sample; a string or `Column` names a column of X; a callable gets X, one row a
        field (in a long table: the `by` columns), and returns (n_samples,) or (n_samples, n_rows).
    noise : float or array of shape (n_rows,), default=0.0
        Standard deviation of the total, in its units. 0 makes the law exact; the error of the
        quadrature rule is a good choice where the total is the analytic one and the grid coarse.
    quadrature : str, dict, array or None, default=None
        Rule by name (``"trapezoid"``, ``"midpoint"``, ``"simpson"``), rule or weights by axis, or
        an array of weights over the integrated axes. None takes the trapezoid rule on nodes and
        the cell volumes on cell averages.

    See Also
    --------
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
    """

    value_parameters = ("total",)

    def __init__(
        self,
        over: str | Sequence[str] | None = None,
        total: Any = 0.0,
        noise: Any = 0.0,
        quadrature: str | Mapping[str, Any] | Any | None = None,
    ) -> None:
        self.over = over
        self.total = total
        self.noise = noise
        self.quadrature = quadrature

    def rows(self, grid: Grid) -> Any:
        """Return the quadrature rows.

        Parameters
        ----------
        grid : Grid
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            One row for each remaining index, in C order.
        """
        return grid.integral_rows(self.over, self.quadrature)

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

    def discretization_error(self, fields: np.ndarray, grid: Grid) -> np.ndarray:
        """Return a bound of the trapezoid rule's error, from the variation between nodes.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            The fields to integrate.
        grid : Grid
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            Zero on cell averages, whose sum is the integral.
        """
        return grid.quadrature_error_bound(fields, self.over)

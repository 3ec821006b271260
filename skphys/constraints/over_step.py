"""Constraints between a field and the field one step later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._conditions import FromInput
from skphys.constraints._parts import Resolved, Shapes, Space
from skphys.constraints.base import Constraint
from skphys.grids import Components, Grid


class OverStep(Constraint):
    """What a constraint says of two levels of time, where the first of them is the input.

    A one-step operator maps a field to the next. The constraint is stated on the grid of both
    together; what it says of the first, which stands in the first columns of X, is known and goes
    to the right-hand side. So what balances in time, balances over each step of a rollout.

    Parameters
    ----------
    law : Constraint
        A linear constraint on fields over time and space: a `ConservationLaw` with an inflow or an
        outflow, whose fields have any initial total, or a `ControlVolumeBalance`.
    length : float, default=1.0
        The length of a step in time, above 0.
    time : str, default="t"
        What `law` calls the axis of time.

    See Also
    --------
    skphys.RolloutRegressor : Steps a field forward in time.

    Notes
    -----
    With the rows ``G = [G0, G1]`` of the two levels and the input field ``u0``, the rows on the
    field after the step are ``G1``, and their values ``b - G0 u0``. Rows that speak of the input
    alone are left out. The noise of `law` is a number, an array or a column.

    Examples
    --------
    What comes in stays:

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skphys import ConservationConstrainedRegressor
    >>> from skphys.constraints import Column, ConservationLaw, OverStep
    >>> before = np.random.default_rng(0).uniform(size=(20, 3))
    >>> X = np.column_stack([before, np.linspace(0.0, 1.0, 20)])  # the rate at which comes in
    >>> law = OverStep(ConservationLaw(over="x", inflow=Column(3)), length=0.3)
    >>> y = before + 0.1 * X[:, 3:]
    >>> after = ConservationConstrainedRegressor(LinearRegression(), law).fit(X, y).predict(X)
    >>> bool(np.allclose(after.sum(axis=1) - before.sum(axis=1), 0.3 * X[:, 3], atol=1e-14))
    True
    """

    input_field = FromInput()  # what `value_parameters` calls the field before the step

    def __init__(self, law: Constraint, length: float = 1.0, time: str = "t") -> None:
        self.law = law
        self.length = length
        self.time = time

    def __getattr__(self, name: str) -> Any:
        """Return a value of the law that is meant, such as its inflow."""
        law = vars(self).get("law")
        if isinstance(law, Constraint) and name in law.value_parameters:
            return getattr(law, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def value_parameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the law, and the field before the step."""
        return (*self._linear().value_parameters, "input_field")

    @property
    def noise(self) -> Any:
        """That of the law."""
        return getattr(self.law, "noise", 0.0)

    def rows(self, grid: Space) -> sparse.csr_array:
        """Return what the law's rows say of the field after the step.

        Parameters
        ----------
        grid : Grid or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            Without the rows that speak of the field before the step alone.

        Raises
        ------
        TypeError
            If the law is no linear constraint, or the grid cannot be given a time.
        ValueError
            If the grid has an axis of that name, the length is not above 0, or no row speaks of
            the field after the step.
        """
        return self._stated(grid)[1]

    def value_shapes(self, grid: Space) -> Shapes:
        """Return those of the law, and that of the field before the step.

        Parameters
        ----------
        grid : Grid or Components
            Where the field lives.

        Returns
        -------
        dict of str to tuple of tuple of int
            With "input_field".
        """
        both = self._both(grid)
        n_rows = self._stated(grid)[2].size
        given = dict.fromkeys(self.law.value_parameters, ((n_rows,),))
        return {**given, **self.law.value_shapes(both), "input_field": ((grid.n_points,),)}

    def declared_values(self, grid: Space) -> dict[str, Any]:
        """Return those of the law, and what reads the field before the step.

        Parameters
        ----------
        grid : Grid or Components
            Where the field lives.

        Returns
        -------
        dict of str to object
            "input_field" is a callable of X.
        """
        declared = self.law.declared_values(self._both(grid))
        return {**declared, "input_field": _FirstColumns(grid.n_points)}

    def values(self, resolved: Resolved, grid: Space) -> np.ndarray:
        """Return the law's values less what it says of the field before the step.

        Parameters
        ----------
        resolved : dict of str to ndarray
            Those of the law, and "input_field" (n_samples, n_points).
        grid : Grid or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            The right-hand side.
        """
        before, _, kept = self._stated(grid)
        of_law = {name: array for name, array in resolved.items() if name != "input_field"}
        values = np.asarray(self.law.values(of_law, self._both(grid)))
        values = np.broadcast_to(values, (len(values), kept.size))[:, kept]
        return values - resolved["input_field"] @ before.T

    def noise_std(self, fields: np.ndarray | None, grid: Space) -> np.ndarray:
        """Return the law's noise at the rows that are left.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points) or None
            Not used: they are those after the step alone.
        grid : Grid or Components
            The grid of `rows`.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_samples, n_rows)
            Standard deviations.
        """
        noise = np.asarray(self.law.noise_std(None, self._both(grid)), dtype=np.float64)
        if noise.size == 1:
            return noise
        kept = self._stated(grid)[2]
        return noise[..., kept] if noise.shape[-1] == kept.size else noise

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise if the law names an axis that there is not.

        Parameters
        ----------
        names : sequence of str
            The axes of the fields.
        """
        self.law.check_axes([self.time, *names])

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return the law's bound for a field that does not change.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Fields after the step.
        grid : Grid or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples or 1, n_rows or 1)
            At the rows that are left.
        """
        both, after = self._both(grid), self._after(grid)
        twice = np.empty((len(fields), both.n_points))
        twice[:, after], twice[:, ~after] = fields, fields
        error = np.asarray(self.law.discretization_error(twice, both))
        kept = self._stated(grid)[2]
        return error[..., kept] if error.shape[-1] == kept.size else error

    def _linear(self) -> Constraint:
        """Return the law, after a check of it."""
        if not isinstance(self.law, Constraint):
            raise TypeError(
                f"law must be a linear constraint (an instance, not a class), such as a "
                f"ConservationLaw; got {self.law!r}."
            )
        return self.law

    def _both(self, grid: Any) -> Any:
        """Return the grid of the field before and the field after the step."""
        if isinstance(grid, Components):
            return Components(**{name: self._both(part) for name, part in grid.grids.items()})
        if not isinstance(grid, Grid):
            raise TypeError(f"OverStep needs a Grid or Components; got {type(grid).__name__}.")
        if not isinstance(self.time, str):
            raise TypeError(f"time must be a name for the axis of time; got {self.time!r}.")
        if self.time in grid.names:
            raise ValueError(
                f"The grid of one step has an axis {self.time!r} already; give OverStep the grid "
                f"of one field, or another name for time=."
            )
        length: Any = self.length
        if not (isinstance(length, (int, float, np.number)) and length > 0):
            raise ValueError(f"length must be a number above 0; got {length!r}.")
        return Grid(**{self.time: [0.0, float(self.length)]}, **grid.axes)

    def _after(self, grid: Any) -> np.ndarray:
        """Say which points of both fields are those after the step; a mask."""
        parts = grid.grids.values() if isinstance(grid, Components) else [grid]
        return np.concatenate([np.repeat([False, True], part.n_points) for part in parts])

    def _stated(self, grid: Any) -> tuple[Any, Any, np.ndarray]:
        """Return the rows on the field before and after the step, and which of the law's remain."""
        rows = sparse.csr_array(self._linear().rows(self._both(grid)))
        after = self._after(grid)
        kept = np.asarray(abs(rows[:, np.flatnonzero(after)]).sum(axis=1)).ravel() > 0
        if not kept.any():
            raise ValueError("law says nothing of the field after the step.")
        before = rows[kept][:, np.flatnonzero(~after)]
        return before, rows[kept][:, np.flatnonzero(after)], kept


class _FirstColumns:
    """Reads the field that stands in the first columns of X."""

    def __init__(self, n_points: int) -> None:
        self.n_points = n_points

    def __call__(self, X: Any) -> np.ndarray:
        fields = X.iloc[:, : self.n_points] if hasattr(X, "iloc") else X[:, : self.n_points]
        fields = np.asarray(fields, dtype=np.float64)
        if fields.shape[1] < self.n_points:
            raise ValueError(
                f"OverStep reads the field before the step off the first {self.n_points} columns "
                f"of X, which has {fields.shape[1]}."
            )
        return fields

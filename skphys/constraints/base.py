"""The contract of a constraint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from skphys.grids import Grid


class Constraint(BaseEstimator):
    """Linear equalities ``G u = b`` on a field ``u``, declared once and stated on any grid.

    To add a constraint of your own, write a subclass with an ``__init__`` that only assigns its
    parameters, and say what its rows are. Everything else has a default.

    - `rows` states ``G`` on a grid.
    - `value_parameters` names the constructor parameters that hold values. Each of these may be a
      number, an array with one entry a row, a column of X (a string, or `Column`), or a picklable
      callable of X. The last two may hold NaN where the value of a field is not known: its rows
      then do not act. skphys turns all of them into arrays before it calls `values`.
    - `value_shapes` says what shape an array has for one field, where it does not hold one entry a
      row but, say, values over time levels or at faces; such a value may be None and is then left
      out.
    - `declared_values` says what was declared for each of them, by default the parameter itself;
      a constraint may read it in the light of the grid.
    - `values` makes ``b`` of them; by default ``b`` is the first value parameter.
    - `check_beside` is asked whether the values fit those of another constraint, where that does
      not show in the rows.
    - `noise` is the standard deviation of ``b``, in its units: a number, or any of what a value may
      be. Make it a constructor parameter to let users set it; without it the constraint is exact.
      Strings in `noise_rules` are no columns, but rules of `noise_std`.
    - `noise_std` is asked for that noise, together with the predicted fields, so that a constraint
      may judge by them how far its rows can be trusted; by default it is `noise`.
    - `noise_rows` states noise that grows with the predicted uncertainty.
    - `discretization_error` says how far a *true* field may be from ``G u = b``, because the grid
      is finite; the check of the training targets then stays silent.
    """

    value_parameters: ClassVar[tuple[str, ...]] = ()
    noise_rules: ClassVar[tuple[str, ...]] = ()
    noise: Any = 0.0

    @abstractmethod
    def rows(self, grid: Grid) -> Any:
        """Return ``G``, of shape (n_rows, grid.n_points): an array or a scipy.sparse array.

        Raise a ValueError that names the parameter if it does not fit the grid.
        """

    def values(self, resolved: dict[str, np.ndarray], grid: Grid) -> np.ndarray:
        """Return ``b``, of a shape that broadcasts to (n_samples, n_rows).

        Parameters
        ----------
        resolved : dict of str to ndarray
            For each name in `value_parameters` an array of shape (n_samples, k) or (1, k), where
            k is 1 or n_rows; with `value_shapes`, shape (n_samples or 1, *shape).
        grid : Grid
            The grid of `rows`.
        """
        if not self.value_parameters:
            return np.zeros((1, 1))
        return resolved[self.value_parameters[0]]

    def value_shapes(self, grid: Grid) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the shapes, for one field, of value parameters that are not one entry a row."""
        return {}

    def declared_values(self, grid: Grid) -> dict[str, Any]:
        """Return what holds each value parameter: number, array, column or callable of X."""
        return {parameter: getattr(self, parameter) for parameter in self.value_parameters}

    def check_beside(
        self,
        resolved: dict[str, np.ndarray],
        other: Constraint,
        other_resolved: dict[str, np.ndarray],
        grid: Grid,
    ) -> None:
        """Raise a ValueError if the values contradict those of another constraint.

        Rows that contradict each other are found without this; it is for rows that one constraint
        leaves out because another has them.

        Parameters
        ----------
        resolved : dict of str to ndarray
            As in `values`.
        other : Constraint
            Another constraint on the same fields; each pair is asked about once.
        other_resolved : dict of str to ndarray
            Its values.
        grid : Grid
            The grid of `rows`.
        """

    def noise_std(self, fields: np.ndarray | None, grid: Grid) -> np.ndarray:
        """Return the standard deviation of ``b``, broadcasting to (n_rows,) or (n_samples, n_rows).

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points) or None
            What is predicted, or the training targets; None where there are no fields.
        grid : Grid
            The grid of `rows`.
        """
        return self.noise

    def noise_rows(self, grid: Grid) -> Sequence[Any]:
        """Return sparse matrices ``N`` of the shape of `rows`: noise made of standard deviations.

        With ``s`` the standard deviations of the field before any constraint, the variance of the
        rows' noise is ``noise_std**2`` plus the sum of ``(N @ s)**2``. By default there are none.

        Parameters
        ----------
        grid : Grid
            The grid of `rows`.
        """
        return ()

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise a ValueError if a parameter names an axis that is not among `names`.

        A long table has no grid until it is split into fields; this is asked before that.
        """

    def discretization_error(self, fields: np.ndarray, grid: Grid) -> np.ndarray:
        """Return a bound for ``|G u - b|`` of true fields, broadcasting to (n_samples, n_rows)."""
        return np.zeros((1, 1))

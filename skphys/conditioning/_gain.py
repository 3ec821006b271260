"""The gain of a linear equality: factor ``A = G S G' + R`` once, apply it to mean, std and samples.

Hansen et al., 2023 (ProbConserv, arXiv 2302.11002), equations 7a and 7b, for any number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from skphys.conditioning._arrays import Array, eps, matvec, transpose

MAX_REFINEMENTS = 4
# In units of the dtype's eps: 4500 eps is 1e-12 in float64.
EXACT, REFINE = 4500.0, 200.0


class InconsistentConstraintsError(ValueError):
    """Rows contradict each other, or ask a field to move where it has no variance.

    Attributes
    ----------
    rows : list of int
        The rows that cannot be met.
    sample : tuple of int
        Index of the first field that cannot meet them.
    """

    def __init__(self, rows: list[int], sample: tuple[int, ...], residual: float) -> None:
        self.rows = rows
        self.sample = sample
        self.residual = residual
        super().__init__(
            f"The equalities in row(s) {_listed(rows)} cannot be met: they contradict each other, "
            f"or the field has no variance along them; field {sample} misses by {residual:.3g}. "
            f"Check the values, give the constraint a positive noise, or use an uncertainty that "
            f"is not zero where the field has to move."
        )

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.rows, self.sample, self.residual)


def _listed(rows: list[int], most: int = 10) -> str:
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"{rows[:most]}{more}"


class Gain(ABC):
    """A factored set of rows ``G`` under a covariance ``S``.

    Attributes
    ----------
    rows : array or csr_array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,)
        The diagonal of ``R``.
    max_refinements : int
        Steps of refinement after which rows that are missed are taken for contradictions.
    """

    rows: Array
    noise_variance: Array
    max_refinements = MAX_REFINEMENTS

    @abstractmethod
    def solve(self, residual: Array) -> Array:
        """Return ``A^-1 @ residual``, with a pseudo-inverse where rows are redundant."""

    @abstractmethod
    def move(self, field: Array, multipliers: Array) -> Array:
        """Return ``field + S G' @ multipliers``."""

    @abstractmethod
    def reduced_variance(self) -> Array:
        """Return the diagonal of ``S - S G' A^-1 G S``."""

    @abstractmethod
    def removed(self, matrix: Array | None = None) -> Array:
        """Return ``S G' A^-1 G S @ matrix``; without a matrix, written out."""

    @abstractmethod
    def amplitude(self) -> Array:
        """Return the prior's standard deviations, by which a field moves."""

    def variance_error(self) -> Array | float:
        """Return the standard error of `reduced_variance`: 0 where it is exact."""
        return 0.0

    def correct(self, field: Array, values: Array) -> Array:
        """Return ``field + S G' A^-1 (values - G field)``, refined until it is exact.

        Parameters
        ----------
        field : array of shape (..., n_points)
            Means, or draws of the prior.
        values : array of shape (..., n_rows)
            What ``G field`` should be; minus a draw of the noise if there is noise.

        Returns
        -------
        array of shape (..., n_points)
            Without noise ``G`` times it equals `values` to rounding.

        Raises
        ------
        InconsistentConstraintsError
            Where no field can meet the rows.
        """
        start, total = field, 0.0
        for _ in range(self.max_refinements):
            step = self.solve(self.residual(field, values, total))
            field = self.move(field, step)
            total = total + step
            residual = self.residual(field, values, total)
            if not self.misses(residual, field, values, total, REFINE).any():
                break
        else:
            field = self.finish(field, residual, values, total, start)
        return self.pin(field, values)

    def finish(
        self, field: Array, residual: Array, values: Array, multipliers: Array, start: Array
    ) -> Array:
        """Return a field that refinement did not make exact, if there is no contradiction."""
        missed = self.misses(residual, field, values, multipliers, EXACT, start)
        if bool(missed.any()):
            raise _inconsistent(self.blame(missed, residual), residual)
        return field

    def pin(self, field: Array, values: Array) -> Array:
        """Set the points that exact rows name one by one.

        Where the value is 0 such a point is nothing but rounding, which no refinement removes.
        """
        rows, points, entries = self.pins()
        if len(rows):
            field = field + 0.0  # a copy, also in an autograd graph
            field[..., points] = values[..., rows] / entries
        return field

    def pins(self) -> tuple[Array, Array, Array]:
        """Return the exact rows that have a single point, their points, and their entries."""
        single = (self.rows != 0).sum(-1) == 1
        noisy = _numpy(self.noise_variance > 0)
        rows = np.flatnonzero(_numpy(single) & ~noisy.reshape(-1, noisy.shape[-1]).any(axis=0))
        points = np.argmax(_numpy(abs(self.rows))[rows], axis=-1)
        return rows, points, self.rows[rows, points]

    def refined(self, right: Array) -> Array:
        """Return ``A^-1 @ right``, as exactly as the factor and refinement make it."""
        return self.solve(right)

    def along(self, field: Array) -> Array:
        """Return ``G field``."""
        return field @ transpose(self.rows)

    def back(self, multipliers: Array) -> Array:
        """Return ``G' @ multipliers``."""
        return multipliers @ self.rows

    def reach(self, field: Array) -> Array:
        """Return ``|G| field``."""
        return field @ transpose(abs(self.rows))

    def blame(self, missed: Array, residual: Array) -> Array:
        """Say which of the missed rows are at fault."""
        return missed

    def residual(self, field: Array, values: Array, multipliers: Array | float) -> Array:
        """Return ``values - G field - R multipliers``."""
        return values - self.along(field) - self.noise_variance * multipliers

    def misses(
        self,
        residual: Array,
        field: Array,
        values: Array,
        multipliers: Array,
        units: float,
        start: Array | None = None,
    ) -> Array:
        """Say which rows are missed by more than `units` roundings of their terms.

        With `start` those of the field before the correction count too, and how far it could have
        moved: what is left of them by cancellation is no contradiction.
        """
        known = abs(values) + self.noise_variance * abs(multipliers)
        limit = units * eps(residual)
        missed = ~(abs(residual) <= limit * known)  # also true for NaN
        if bool(missed.any()):
            terms = abs(field) if start is None else abs(field) + abs(start) + self.amplitude()
            missed = ~(abs(residual) <= limit * (known + self.reach(terms)))
        return missed


class CrossGain(Gain):
    """A gain that keeps ``S G'`` or can write it out.

    Attributes
    ----------
    precision : array of shape (..., n_rows, n_rows)
        ``A^-1``, or its pseudo-inverse where rows are redundant.
    """

    precision: Array

    @abstractmethod
    def cross(self) -> Array:
        """Return ``S G'``, of shape (..., n_points, n_rows)."""

    def solve(self, residual: Array) -> Array:
        """Return ``A^-1 @ residual``."""
        return matvec(self.precision, residual)

    def removed(self, matrix: Array | None = None) -> Array:
        """Return ``S G' A^-1 G S @ matrix``; without a matrix, written out."""
        cross = self.cross()
        if matrix is None:
            return (cross @ self.precision) @ transpose(cross)
        return cross @ (self.precision @ (transpose(cross) @ matrix))


def _inconsistent(missed: Array, residual: Array) -> InconsistentConstraintsError:
    """Name the rows that the first field at fault misses."""
    where = np.argwhere(_numpy(missed))
    sample = tuple(int(i) for i in where[0][:-1])
    rows = sorted(int(w[-1]) for w in where if tuple(w[:-1]) == sample)
    worst = float(np.abs(_numpy(residual)[sample]).max())
    return InconsistentConstraintsError(rows, sample, worst)


def _numpy(array: Array) -> np.ndarray:
    return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array)

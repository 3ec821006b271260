"""The gain of a linear equality: factor ``A = G S G' + R`` once, apply it to mean, std and samples.

Hansen et al., 2023 (ProbConserv, arXiv 2302.11002), equations 7a and 7b, for any number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from skphys.conditioning._arrays import Array, eps, matvec, to_numpy, transpose

MAX_REFINEMENTS = 4
# In units of the dtype's eps: 4500 eps is 1e-12 in float64.
EXACT, REFINE = 4500.0, 200.0
CANCELLED = 1000.0  # of the largest terms that a field had on its way


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


class Refined(NamedTuple):
    """A field that steps of refinement have corrected, and what has to be known to judge it.

    Attributes
    ----------
    field : array of shape (..., n_points)
        Where they have led.
    residual : array of shape (..., n_rows)
        By how much it misses its rows.
    values : array of shape (..., n_rows)
        What its rows should be.
    multipliers : array of shape (..., n_rows) or float
        What has been applied; 0.0 where no row has noise.
    passed : tuple of array
        Where it came from, and where it was after each step.
    met : bool
        Whether all rows of all fields are met as well as refinement can.
    """

    field: Array
    residual: Array
    values: Array
    multipliers: Array | float
    passed: tuple[Array, ...]
    met: bool = False


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

    @property
    @abstractmethod
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""

    @abstractmethod
    def solve(self, residual: Array) -> Array:
        """Return ``A^-1 @ residual``, with a pseudo-inverse where rows are redundant."""

    @abstractmethod
    def advance(self, field: Array, residual: Array) -> tuple[Array, Array | float, Array]:
        """Return ``moved = field + S G' A^-1 @ residual``, ``A^-1 @ residual`` and ``G moved``."""

    @abstractmethod
    def reduced_variance(self) -> Array:
        """Return the diagonal of ``S - S G' A^-1 G S``."""

    @abstractmethod
    def removed(self, matrix: Array | None = None) -> Array:
        """Return ``S G' A^-1 G S @ matrix``; without a matrix, written out."""

    @abstractmethod
    def pull(self, vectors: Array) -> tuple[Array, Array]:
        """Return ``(I - K G)' @ vectors`` and ``K' @ vectors`` with ``K = S G' A^-1``."""

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
        course = self.refine(field, values)
        return self.pin(course.field if course.met else self.finish(course), values)

    def apply(self, field: Array, values: Array) -> Array:
        """Return what `correct` does, without a judgement: of products, which cannot fail."""
        return self.pin(self.refine(field, values).field, values)

    def refine(self, field: Array, values: Array, multipliers: Array | float = 0.0) -> Refined:
        """Correct until each field is exact, or the steps are used up.

        A field that is exact stays where it is, whatever the others of its batch do.
        """
        passed: tuple[Array, ...] = (field,)
        residual = self.residual(field, values, multipliers)
        for _ in range(self.max_refinements):
            field, step, along = self.advance(field, residual)
            multipliers = multipliers + step
            passed = (*passed, field)
            residual = values - along - self.noise_variance * multipliers
            course = Refined(field, residual, values, multipliers, passed)
            missed = self.missed(course, REFINE, passed=False)
            if not bool(missed.any()):
                return course._replace(met=True)
            residual = residual * missed.any(-1)[..., None]
        return course

    def finish(self, course: Refined) -> Array:
        """Return a field that refinement did not make exact, if there is no contradiction."""
        course = self.mend(course)
        missed = self.contradicted(course)
        if bool(missed.any()):
            raise _inconsistent(self.blame(missed, course), course.residual)
        return course.field

    def contradicted(self, course: Refined) -> Array:
        """Say which rows are missed by more than rounding, that of what cancelled included."""
        missed = self.missed(course, EXACT, passed=False)
        return missed & self.missed(course, CANCELLED) if bool(missed.any()) else missed

    def mend(self, course: Refined) -> Refined:
        """Do for fields that miss a row what takes more than refinement."""
        return course

    def better(self, course: Refined, other: Refined) -> Refined:
        """Return for each field the other course if that is exact and the first one is worse.

        Both are measured by the terms of the first: a field that has moved far off has large ones.
        """
        xp = array_namespace(course.field)
        terms = self.terms(course, passed=False)
        first, second = _worst(course.residual, terms), _worst(other.residual, terms)
        where = ((second < first) & (second <= EXACT * eps(terms)))[..., None]
        return course._replace(
            field=xp.where(where, other.field, course.field),
            residual=xp.where(where, other.residual, course.residual),
            multipliers=xp.where(where, other.multipliers, course.multipliers),
        )

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
        noisy = to_numpy(self.noise_variance > 0)
        some = np.any(noisy, axis=tuple(range(noisy.ndim - 1)))
        rows = np.flatnonzero(to_numpy(single) & ~some)
        points = np.argmax(to_numpy(abs(self.rows))[rows], axis=-1)
        return rows, points, self.rows[rows, points]

    def along(self, field: Array) -> Array:
        """Return ``G field``."""
        return field @ transpose(self.rows)

    def back(self, multipliers: Array) -> Array:
        """Return ``G' @ multipliers``."""
        return multipliers @ self.rows

    def reach(self, field: Array) -> Array:
        """Return ``|G| field``."""
        return field @ transpose(abs(self.rows))

    def blame(self, missed: Array, course: Refined) -> Array:
        """Say which rows are at fault if some are missed."""
        return missed

    def residual(self, field: Array, values: Array, multipliers: Array | float) -> Array:
        """Return ``values - G field - R multipliers``."""
        return values - self.along(field) - self.noise_variance * multipliers

    def missed(self, course: Refined, units: float, passed: bool = True) -> Array:
        """Say which rows are missed by more than `units` roundings of their terms.

        Each row of each field is measured by its own terms, so no units matter. With `passed`
        those count too that the field had on its way: what is left of them by cancellation is no
        contradiction.
        """
        limit = units * eps(course.residual)
        missed = ~(abs(course.residual) <= limit * self._known(course))  # also true for NaN
        if bool(missed.any()):
            missed = ~(abs(course.residual) <= limit * self.terms(course, passed))
        return missed

    def terms(self, course: Refined, passed: bool = True) -> Array:
        """Return the sizes of what each row adds up, ``|b| + R|x| + |G||u|``."""
        sizes, xp = abs(course.field), array_namespace(course.field)
        for other in course.passed if passed else ():
            sizes = xp.maximum(sizes, abs(other))
        if passed:
            sizes = xp.maximum(sizes, self.travelled(course))
        return self._known(course) + self.reach(sizes)

    def travelled(self, course: Refined) -> Array:
        """Return what the first step has added up at each point, or 0 where that is not known."""
        return array_namespace(course.field).zeros_like(course.field)

    def _known(self, course: Refined) -> Array:
        return abs(course.values) + self.noise_variance * abs(course.multipliers)


class FewRowsGain(Gain):
    """A gain of so few rows that ``S G' A^-1 = H L^-1`` can be written out.

    Attributes
    ----------
    half : array of shape (..., n_points, n_rows)
        ``H`` with ``H H' = S G' A^-1 G S``.
    inverse : array of shape (..., n_rows, n_rows)
        ``L^-1`` with ``H = S G' L^-T``; zeros in rows and columns of what is left out.
    """

    half: Array
    inverse: Array

    def solve(self, residual: Array) -> Array:
        """Return ``A^-1 @ residual``."""
        return matvec(transpose(self.inverse), matvec(self.inverse, residual))

    def dual(self) -> Array:
        """Return ``G' L^-T``; ``H`` times its transpose is ``K G``."""
        return transpose(self.rows) @ transpose(self.inverse)

    def pull(self, vectors: Array) -> tuple[Array, Array]:
        """Return ``(I - K G)' @ vectors`` and ``K' @ vectors``."""
        white = matvec(transpose(self.half), vectors)
        return vectors - matvec(self.dual(), white), matvec(transpose(self.inverse), white)

    def removed(self, matrix: Array | None = None) -> Array:
        """Return ``S G' A^-1 G S @ matrix``; without a matrix, written out."""
        half = self.half
        if matrix is None:
            return half @ transpose(half)
        return half @ (transpose(half) @ matrix)


def _worst(residual: Array, terms: Array) -> Array:
    """Return the largest share of a residual in a field's rows, at most 2, also for NaN."""
    xp = array_namespace(residual)
    share = abs(residual) / xp.where(terms > 0, terms, 1.0)
    return xp.max(xp.where(share <= 2.0, share, 2.0), axis=-1)


def _inconsistent(missed: Array, residual: Array) -> InconsistentConstraintsError:
    """Name the rows that the first field at fault misses."""
    found: Any = np.broadcast_to(to_numpy(missed), residual.shape)
    sizes = abs(to_numpy(residual))
    where = np.argwhere(found)
    sample = tuple(int(i) for i in where[0][:-1])
    rows = sorted(int(w[-1]) for w in where if tuple(w[:-1]) == sample)
    worst = float(sizes[sample].max())
    return InconsistentConstraintsError(rows, sample, worst)

"""The gain of many sparse rows under a diagonal covariance.

``S G'`` is never formed: memory is that of the rows and of the factor of ``A = G S G' + R``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning._arrays import eps
from skphys.conditioning._covariance import Covariance, Diagonal
from skphys.conditioning._dense_gain import DenseGain
from skphys.conditioning._gain import EXACT, Gain, Refined
from skphys.conditioning._sparse._banded import SHIFT
from skphys.conditioning._sparse._factor import InnerMatrix
from skphys.conditioning._sparse._products import canonical, times

N_DRAWS = 256  # draws behind variances that are estimated
AT_ONCE = 1 << 22  # values of draws held at once
MAX_STEPS = 50  # of conjugate gradients
GOOD = 1000.0  # roundings that may remain then
MAX_LENGTH = 1e4  # of a step; a longer one tries to remove what no field can remove
MAX_ROWS = 1 << 10  # rows of a field that may be written out where they depend on each other
MAX_VALUES = 1 << 23  # and their values
CONTRADICTION = 1e-4  # a row's part of a contradiction that counts, against the largest


class SparseRowsGain(Gain):
    """What gains of sparse rows share, NumPy float64.

    Parameters
    ----------
    rows : csr_array of shape (n_rows, n_points)
        ``G``, canonical.
    noise_variance : ndarray of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    """

    max_refinements = 8

    def __init__(self, rows: sparse.csr_array, noise_variance: np.ndarray) -> None:
        self.rows = rows
        self.noise_variance = noise_variance
        self._columns = rows.T.tocsr()
        self._magnitudes = abs(rows)

    def missed(self, course: Refined, units: float, passed: bool = True) -> np.ndarray:
        """Say which rows are missed by more than `units` roundings of their terms.

        Rows of a single point are set in the end, so what is left of them by cancellation counts
        as met; where the value is 0 that is all there is of their terms.
        """
        missed = np.array(super().missed(course, units, passed))
        pinned = self.pins()[0]
        if not passed and missed[..., pinned].any():
            missed[..., pinned] &= super().missed(course, units)[..., pinned]
        return missed

    def mend(self, course: Refined) -> Refined:
        """Take conjugate gradients, and then rows that are written out, where that is affordable.

        Rows that nearly depend on each other need more than refinement.
        """
        course = course._replace(
            values=np.broadcast_to(course.values, course.residual.shape),
            multipliers=np.broadcast_to(course.multipliers, course.residual.shape),
        )
        for mended in (self._by_conjugate_gradients, self._written_out):
            missed = self.missed(course, EXACT, passed=False)
            if missed.any():
                course = self.better(course, mended(course, missed))
        return course

    def apply(self, field: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return what `correct` does, without a judgement: of products, which cannot fail."""
        corrected = super().apply(field, values)
        for at, gain in self.settled():
            here: Any = (..., *at, slice(None))
            wanted = np.broadcast_to(values, (*corrected.shape[:-1], values.shape[-1]))
            start = np.broadcast_to(field, corrected.shape)
            corrected[here] = gain.apply(start[here], wanted[here])
        return corrected

    def _by_conjugate_gradients(self, course: Refined, missed: np.ndarray) -> Refined:
        """Correct anew the fields that miss a row, preconditioned by the factor."""
        field, total = course.passed[0], np.zeros(course.residual.shape)
        residual = self.residual(field, course.values, total)
        step = direction = self.solve(residual)
        missing = missed.any(-1, keepdims=True)
        for _ in range(MAX_STEPS):
            moved = self.spread(direction)
            product = self.along(moved) + self.noise_variance * direction
            length = _ratio(residual * step, direction * product)
            missing = missing & (length < MAX_LENGTH)
            field = field + np.where(missing, length, 0.0) * moved
            total = total + np.where(missing, length, 0.0) * direction
            following = self.residual(field, course.values, total)
            course = course._replace(field=field, residual=following, multipliers=total)
            # What is met stays as it is.
            missing = missing & self.missed(course, GOOD, passed=False).any(-1, keepdims=True)
            if not missing.any():
                break
            next_step = self.solve(following)
            turned = _ratio((following - residual) * next_step, residual * step)
            direction = next_step + np.maximum(turned, 0.0) * direction
            residual, step = following, next_step
        return course

    def _written_out(self, course: Refined, missed: np.ndarray) -> Refined:
        """Correct fields that miss a row with dense rows, each by itself."""
        field, residual = course.field.copy(), course.residual.copy()
        multipliers = np.array(course.multipliers)
        for at, gain in self.dense_gains(np.any(missed, axis=-1)):
            here: Any = (..., *at, slice(None))
            other = gain.refine(course.passed[0][here], course.values[here])
            other = gain.mend(other)
            field[here] = other.field
            residual[here] = np.where(gain.contradicted(other), other.residual, 0.0)
            multipliers[here] = other.multipliers
        return course._replace(field=field, residual=residual, multipliers=multipliers)

    def dense_gains(self, wanted: np.ndarray) -> Iterator[tuple[tuple[int, ...], DenseGain]]:
        """Yield the gains with dense rows of some fields, and the fields' indices.

        Dense rows are judged by their whitened angles, sparse ones by pivots, which are their
        squares. None where there are too many.

        Parameters
        ----------
        wanted : ndarray of bool of shape (..., *batch)
            Which fields; an entry of the batch if any of the leading axes wants it.
        """
        if not self._affordable():
            return
        n_rows = self.rows.shape[0]
        batch = self.batch
        wanted = np.any(wanted.reshape(-1, *wanted.shape[wanted.ndim - len(batch) :]), axis=0)
        if not np.any(wanted):
            return
        rows = self.rows.toarray()
        noise = np.broadcast_to(self.noise_variance, (*batch, n_rows))
        for at in np.ndindex(*batch):
            if np.any(wanted[at]):
                yield at, DenseGain(self.covariance_of(at), rows, noise[at])

    def settled(self) -> Iterator[tuple[tuple[int, ...], DenseGain]]:
        """Yield the gains with dense rows of fields whose rows may be redundant."""
        return self.dense_gains(self.suspect) if self._affordable() else iter(())

    def _affordable(self) -> bool:
        """Say whether the rows may be written out."""
        n_rows, n_points = self.rows.shape
        return n_rows <= MAX_ROWS and n_rows * n_points <= MAX_VALUES

    @abstractmethod
    def covariance_of(self, at: tuple[int, ...]) -> Covariance:
        """Return the covariance of one field."""

    @property
    @abstractmethod
    def suspect(self) -> np.ndarray:
        """Say of which fields rows may be redundant, of the shape of the batch."""

    def determined(self, reduced: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Settle reduced variances where rows depend on each other, or leave but rounding."""
        reduced[reduced <= EXACT * eps(reduced) * prior] = 0.0
        for at, gain in self.settled():
            reduced[at] = gain.reduced_variance()
        reduced[..., self.pins()[1]] = 0.0
        return np.minimum(reduced, prior)

    @abstractmethod
    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return ``S @ vectors`` for vectors (..., n_points)."""

    def spread(self, multipliers: np.ndarray) -> np.ndarray:
        """Return ``S G' @ multipliers``."""
        return self.covariance_times(self.back(multipliers))

    def advance(
        self, field: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``moved = field + S G' A^-1 @ residual``, ``A^-1 @ residual`` and ``G moved``."""
        multipliers = self.solve(residual)
        moved = field + self.spread(multipliers)
        return moved, multipliers, self.along(moved)

    def pull(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``(I - K G)' @ vectors`` and ``K' @ vectors``."""
        vectors = np.broadcast_to(vectors, self._over(vectors, 1))
        found = self.refined(self.along(self.covariance_times(vectors)))
        left = vectors - self.back(found)
        for at, gain in self.settled():
            here: Any = (..., *at, slice(None))
            left[here], found[here] = gain.pull(vectors[here])
        return left, found

    def along(self, field: np.ndarray) -> np.ndarray:
        """Return ``G field``."""
        return times(self.rows, field)

    def back(self, multipliers: np.ndarray) -> np.ndarray:
        """Return ``G' @ multipliers``."""
        return times(self._columns, multipliers)

    def reach(self, field: np.ndarray) -> np.ndarray:
        """Return ``|G| field``."""
        return times(self._magnitudes, field)

    def pins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the exact rows that have a single point, their points, and their entries."""
        single = np.diff(self.rows.indptr) == 1
        noisy = (self.noise_variance > 0).any(axis=tuple(range(self.noise_variance.ndim - 1)))
        rows = np.flatnonzero(single & ~noisy)
        entry = self.rows.indptr[rows]
        return rows, self.rows.indices[entry], self.rows.data[entry]

    def refined(self, right: np.ndarray, steps: int = 2) -> np.ndarray:
        """Return ``A^-1 @ right``, refined."""
        solved = self.solve(right)
        for _ in range(steps):
            product = self.along(self.spread(solved)) + self.noise_variance * solved
            solved = solved + self.solve(right - product)
        return solved

    def removed(self, matrix: np.ndarray | None = None) -> np.ndarray:
        """Return ``S G' A^-1 G S @ matrix``; without a matrix, written out."""
        matrix = np.eye(self.rows.shape[1]) if matrix is None else matrix
        # Columns become right sides, in front of the fields.
        matrix = np.broadcast_to(matrix, self._over(matrix, 2))
        vectors = np.moveaxis(matrix, -1, 0)
        multipliers = self.refined(self.along(self.covariance_times(vectors)))
        found = np.moveaxis(self.spread(multipliers), 0, -1)
        for at, gain in self.settled():
            here: Any = (..., *at, slice(None), slice(None))
            found[here] = gain.removed(matrix[here])
        return found

    def _over(self, array: np.ndarray, n_axes: int) -> tuple[int, ...]:
        """Return the shape of an array that the batch has been put in front of the last axes of."""
        batch = np.broadcast_shapes(self.batch, array.shape[:-n_axes])
        return (*batch, *array.shape[-n_axes:])


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the ratio of two sums over the rows; 0 where there is none."""
    above, below = numerator.sum(-1, keepdims=True), denominator.sum(-1, keepdims=True)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


class SparseGain(SparseRowsGain):
    """A diagonal covariance under sparse rows, NumPy float64.

    Parameters
    ----------
    variance : ndarray of shape (..., n_points)
        The variances.
    rows : csr_array of shape (n_rows, n_points)
        ``G``, canonical.
    noise_variance : ndarray of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    further : ndarray of shape (..., n_rows) or float, default=0.0
        Variance along the rows from elsewhere, which counts for their scale only.
    shift : float, default=SHIFT
        What to add to the scaled ``A`` where it may be singular.
    """

    def __init__(
        self,
        variance: np.ndarray,
        rows: sparse.csr_array,
        noise_variance: np.ndarray,
        further: np.ndarray | float = 0.0,
        shift: float = SHIFT,
    ) -> None:
        super().__init__(rows, noise_variance)
        batch = np.broadcast_shapes(variance.shape[:-1], noise_variance.shape[:-1])
        self.variance = np.broadcast_to(variance, (*batch, variance.shape[-1]))
        self._further, self._shift = further, shift
        self._inner = InnerMatrix(rows, self.variance, noise_variance, further, shift)

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""
        return self.variance.shape[:-1]

    @property
    def shifted(self) -> bool:
        """Whether ``A`` is, or may be, singular."""
        return self._inner.shifted

    @property
    def suspect(self) -> np.ndarray:
        """Say of which fields rows may be redundant."""
        return self._inner.suspect

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """Return ``A^-1 @ residual``; refinement is left to the caller."""
        return self._inner.solve(residual)

    def covariance_of(self, at: tuple[int, ...]) -> Covariance:
        """Return the variances of one field."""
        return Diagonal(self.variance[at])

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return ``S @ vectors``."""
        return self.variance * vectors

    def blame(self, missed: np.ndarray, course: Refined) -> np.ndarray:
        """Pick the rows that contradict each other from those that suffered with them."""
        part = np.abs(self._inner.contradiction(course.residual))
        at_fault = part > CONTRADICTION * part.max(axis=-1, keepdims=True, initial=0.0)
        blamed = at_fault | (missed & ~self._inner.usable)
        blamed = blamed & missed.any(axis=-1, keepdims=True)
        return np.where(blamed.any(axis=-1, keepdims=True), blamed, missed)

    def reduced_variance(self) -> np.ndarray:
        """Return the variances: exact for disconnected, banded or few rows, or estimated."""
        return self._reduced[0]

    def variance_error(self) -> np.ndarray | float:
        """Return the standard error of `reduced_variance`: 0.0 where it is exact."""
        return self._reduced[1]

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, np.ndarray | float]:
        if len(self.pins()[0]):
            return self._beside_pins()
        quadratic = self._inner.points()
        if quadratic is None:
            return self._estimated()
        reduced = self.variance - self.variance**2 * quadratic
        return self.determined(reduced, self.variance), 0.0

    def _beside_pins(self) -> tuple[np.ndarray, np.ndarray | float]:
        """Return what the other rows leave of the points that no row names alone."""
        rows, points, _ = self.pins()
        variance = self.variance.copy()
        variance[..., points] = 0.0
        left = np.setdiff1d(np.arange(self.rows.shape[0]), rows)
        if not len(left):
            return variance, 0.0
        free = np.ones(self.rows.shape[1])
        free[points] = 0.0
        others = canonical(self.rows[left] * free)
        further = np.asarray(self._further)
        further = further[..., left] if further.ndim else further
        return SparseGain(
            variance, others, self.noise_variance[..., left], further, self._shift
        )._reduced

    def _estimated(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the share of each variance that is left, and its standard error.

        A draw of the prior is the sum of a draw of the conditioned field and of an independent
        correction; the share comes from the sums of both's squares, which is far better than
        from the first alone where the share is near 1.
        """
        points, errors = (np.random.default_rng([0, stream]) for stream in range(2))
        std, noise_std = np.sqrt(self.variance), np.sqrt(self.noise_variance)
        left, taken = np.zeros(std.shape), np.zeros(std.shape)
        step = max(1, AT_ONCE // std.size)
        for start in range(0, N_DRAWS, step):
            # The same draws for each field: the others of its batch do not matter.
            shape = (min(step, N_DRAWS - start), *(1,) * len(self.batch))
            draws = std * points.standard_normal((*shape, std.shape[-1]))
            noise = noise_std * errors.standard_normal((*shape, self.rows.shape[0]))
            noise = np.broadcast_to(noise, (*draws.shape[:-1], self.rows.shape[0]))
            corrected = self.correct(draws, -noise)
            left += np.sum(corrected**2, axis=0)
            taken += np.sum((draws - corrected) ** 2, axis=0)
        both = left + taken
        share = np.divide(left, both, out=np.ones_like(both), where=both > 0)
        error = share * (1.0 - share) * 2.0 / N_DRAWS**0.5
        return self.variance * share, self.variance * error

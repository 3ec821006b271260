"""The gain of many sparse rows under a diagonal covariance.

``S G'`` is never formed: memory is that of the rows and of the factor of ``A = G S G' + R``.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
from scipy import sparse

from skphys.conditioning._arrays import eps
from skphys.conditioning._gain import EXACT, Gain, InconsistentConstraintsError
from skphys.conditioning._sparse._banded import SHIFT
from skphys.conditioning._sparse._factor import InnerMatrix
from skphys.conditioning._sparse._products import times

N_DRAWS = 256  # draws behind variances that are estimated
AT_ONCE = 1 << 22  # values of draws held at once
MAX_STEPS = 50  # of conjugate gradients
GOOD = 1000.0  # roundings that may remain then
MAX_LENGTH = 1e4  # of a step; a longer one tries to remove what no field can remove
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

    def correct(self, field: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return ``field + S G' A^-1 (values - G field)``, refined until it is exact.

        Rows that nearly depend on each other take more than refinement: conjugate gradients,
        preconditioned by the factor. Raises InconsistentConstraintsError if they fail too.
        """
        try:
            return super().correct(field, values)
        except InconsistentConstraintsError as error:
            corrected = self._by_conjugate_gradients(field, values)
            if corrected is None:
                raise error
            return corrected

    def _by_conjugate_gradients(self, field: np.ndarray, values: np.ndarray) -> np.ndarray | None:
        """Return the corrected field, or None if its rows cannot be met."""
        start, total = field, np.zeros(())
        residual = self.residual(field, values, total)
        step = direction = self.solve(residual)
        missing = np.ones((*residual.shape[:-1], 1), dtype=bool)
        for _ in range(MAX_STEPS):
            moved = self.spread(direction)
            product = self.along(moved) + self.noise_variance * direction
            length = _ratio(residual * step, direction * product) * missing
            if not (length < MAX_LENGTH).all():
                return None
            field, total = field + length * moved, total + length * direction
            following = self.residual(field, values, total)
            missed = self.misses(following, field, values, total, GOOD)
            missing = missing & missed.any(-1, keepdims=True)  # what is met stays as it is
            if not missing.any():
                break
            next_step = self.solve(following)
            turned = _ratio((following - residual) * next_step, residual * step)
            direction = next_step + np.maximum(turned, 0.0) * direction
            residual, step = following, next_step
        missed = self.misses(following, field, values, total, EXACT, start)
        return None if missed.any() else self.pin(field, values)

    @abstractmethod
    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return ``S @ vectors`` for vectors (..., n_points)."""

    def spread(self, multipliers: np.ndarray) -> np.ndarray:
        """Return ``S G' @ multipliers``."""
        return self.covariance_times(self.back(multipliers))

    def move(self, field: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        """Return ``field + S G' @ multipliers``."""
        return field + self.spread(multipliers)

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
        noisy = (self.noise_variance > 0).reshape(-1, len(single)).any(axis=0)
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
        vectors = np.moveaxis(np.broadcast_to(matrix, self._batched(matrix)), -1, 0)
        multipliers = self.refined(self.along(self.covariance_times(vectors)))
        return np.moveaxis(self.spread(multipliers), 0, -1)

    def _batched(self, matrix: np.ndarray) -> tuple[int, ...]:
        batch = np.broadcast_shapes(self.batch, matrix.shape[:-2])
        return (*batch, *matrix.shape[-2:])

    @property
    @abstractmethod
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""


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
        self._inner = InnerMatrix(rows, self.variance, noise_variance, further, shift)

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""
        return self.variance.shape[:-1]

    @property
    def shifted(self) -> bool:
        """Whether ``A`` is, or may be, singular."""
        return self._inner.shifted

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """Return ``A^-1 @ residual``; refinement is left to the caller."""
        return self._inner.solve(residual)

    def amplitude(self) -> np.ndarray:
        """Return the prior's standard deviations."""
        return np.sqrt(self.variance)

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return ``S @ vectors``."""
        return self.variance * vectors

    def blame(self, missed: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Pick the rows that contradict each other from those that suffered with them."""
        part = np.abs(self._inner.contradiction(residual))
        at_fault = part > CONTRADICTION * part.max(axis=-1, keepdims=True)
        blamed = missed & (at_fault | ~self._inner.usable)
        return np.where(blamed.any(axis=-1, keepdims=True), blamed, missed)

    def reduced_variance(self) -> np.ndarray:
        """Return the variances: exact for disconnected, banded or few rows, or estimated."""
        return self._reduced[0]

    def variance_error(self) -> np.ndarray | float:
        """Return the standard error of `reduced_variance`: 0.0 where it is exact."""
        return self._reduced[1]

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, np.ndarray | float]:
        quadratic = self._inner.points()
        if quadratic is None:
            return self._estimated()
        reduced = self.variance - self.variance**2 * quadratic
        reduced[reduced <= EXACT * eps(reduced) * self.variance] = 0.0
        reduced[..., self.pins()[1]] = 0.0
        return np.minimum(reduced, self.variance), 0.0

    def _estimated(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the share of each variance that is left, and its standard error.

        A draw of the prior is the sum of a draw of the conditioned field and of an independent
        correction; the share comes from the sums of both's squares, which is far better than
        from the first alone where the share is near 1.
        """
        rng = np.random.default_rng(0)
        std, noise_std = np.sqrt(self.variance), np.sqrt(self.noise_variance)
        left, taken = np.zeros(std.shape), np.zeros(std.shape)
        step = max(1, AT_ONCE // std.size)
        for start in range(0, N_DRAWS, step):
            shape = (min(step, N_DRAWS - start), *self.batch)
            draws = std * rng.standard_normal((*shape, std.shape[-1]))
            noise = noise_std * rng.standard_normal((*shape, noise_std.shape[-1]))
            corrected = self.correct(draws, -noise)
            left += np.sum(corrected**2, axis=0)
            taken += np.sum((draws - corrected) ** 2, axis=0)
        both = left + taken
        share = np.divide(left, both, out=np.ones_like(both), where=both > 0)
        error = share * (1.0 - share) * 2.0 / N_DRAWS**0.5
        return self.variance * share, self.variance * error

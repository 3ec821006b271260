"""The gain of many sparse rows under a diagonal plus low rank covariance, by Woodbury's identity.

Fields are ``d + F z`` with independent points ``d`` and latent ``z``; given ``z`` only the diagonal
part is to be conditioned.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from skphys.conditioning._arrays import matvec
from skphys.conditioning._composed import Sum
from skphys.conditioning._covariance import Covariance, LowRank
from skphys.conditioning._gain import Refined
from skphys.conditioning._sparse._banded import SHIFT
from skphys.conditioning._sparse._gain import SparseGain, SparseRowsGain
from skphys.conditioning._sparse._products import times

# Where latents alone move a row, a small shift costs the identity its digits; refinement takes out
# one of this size.
WOODBURY_SHIFT = 1e-9
ALONE = 1e-3  # what is left of the std of a latent that alone moves a row: less than this


class LowRankSparseGain(SparseRowsGain):
    """A diagonal plus low rank covariance under sparse rows, NumPy float64.

    Parameters
    ----------
    variance : ndarray of shape (..., n_points)
        The diagonal ``D``.
    low_rank : ndarray of shape (..., n_points, rank)
        The factor ``F``.
    rows : csr_array of shape (n_rows, n_points)
        ``G``, canonical.
    noise_variance : ndarray of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    """

    def __init__(
        self,
        variance: np.ndarray,
        low_rank: np.ndarray,
        rows: sparse.csr_array,
        noise_variance: np.ndarray,
    ) -> None:
        super().__init__(rows, noise_variance)
        batch = np.broadcast_shapes(
            variance.shape[:-1], low_rank.shape[:-2], noise_variance.shape[:-1]
        )
        variance = np.broadcast_to(variance, (*batch, variance.shape[-1]))
        self._low_rank = np.broadcast_to(low_rank, (*batch, *low_rank.shape[-2:]))
        along = times(rows, np.moveaxis(self._low_rank, -1, 0))  # (rank, ..., n_rows)
        further = np.sum(along**2, axis=0)
        self._along = np.moveaxis(along, 0, -2)
        for shift in (SHIFT, WOODBURY_SHIFT):
            self._independent = SparseGain(variance, rows, noise_variance, further, shift)
            self._answers, self._root = self._answered()
            if not self._independent.shifted or self._left_of_latents() > ALONE:
                break

    def _left_of_latents(self) -> float:
        return float(np.linalg.norm(self._root, axis=-2).min())

    def _answered(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the multipliers that answer each latent, and a root of the latents' covariance.

        The root comes from eigenvectors, which keep directions of very different size apart.
        """
        answers = self._independent.solve(np.moveaxis(self._along, -2, 0))
        inner = self._along @ np.moveaxis(answers, 0, -1)
        values, vectors = np.linalg.eigh(0.5 * (inner + np.swapaxes(inner, -1, -2)))
        return answers, vectors / np.sqrt(1.0 + np.maximum(values, 0.0))[..., None, :]

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""
        return self._independent.batch

    def solve(self, residual: np.ndarray) -> np.ndarray:
        """Return ``A^-1 @ residual`` by Woodbury's identity."""
        solved = self._independent.solve(residual)
        latent = matvec(np.swapaxes(self._root, -1, -2), matvec(self._along, solved))
        latent = matvec(self._root, latent)
        return solved - matvec(np.moveaxis(self._answers, 0, -1), latent)

    def covariance_of(self, at: tuple[int, ...]) -> Covariance:
        """Return the diagonal plus low rank of one field."""
        return Sum(self._independent.covariance_of(at), LowRank(self._low_rank[at]))

    @property
    def suspect(self) -> np.ndarray:
        """Say of which fields rows may be redundant, but for what latents move."""
        return self._independent.suspect

    def covariance_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return ``S @ vectors``."""
        latent = matvec(np.swapaxes(self._low_rank, -1, -2), vectors)
        independent = self._independent.covariance_times(vectors)
        return independent + matvec(self._low_rank, latent)

    def blame(self, missed: np.ndarray, course: Refined) -> np.ndarray:
        """Pick the rows that contradict each other from those that suffered with them."""
        return self._independent.blame(missed, course)

    def reduced_variance(self) -> np.ndarray:
        """Return the variances: exact for disconnected, banded or few rows, or estimated."""
        independent = self._independent
        # What a latent still moves after the independent points have answered it.
        left = self._low_rank - np.moveaxis(independent.spread(self._answers), 0, -1)
        moved = np.sum((left @ self._root) ** 2, axis=-1)
        reduced = independent.reduced_variance() + moved
        prior = independent.variance + np.sum(self._low_rank**2, axis=-1)
        if not isinstance(self.variance_error(), float):
            return np.minimum(reduced, prior)  # an estimate, and its error says so
        return self.determined(reduced, prior)

    def variance_error(self) -> np.ndarray | float:
        """Return the standard error of `reduced_variance`: 0.0 where it is exact."""
        return self._independent.variance_error()

"""What is left of a covariance on a nonlinear law: that of its tangent space."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from skphys.conditioning._arrays import Normal, matvec, transpose
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._nonlinear._law import Array


class Tangent(Covariance):
    """``(I - K J) S (I - K J)' + K R K'`` with the derivatives ``J`` of a law at each field.

    In the metric of ``S`` itself it is ``S - S J' (J S J' + R)^-1 J S``. Memory is that of ``J``.

    Parameters
    ----------
    prior : Covariance
        ``S``.
    rows : ndarray of shape (n_fields, n_rows, n_points)
        ``J``.
    gain : ndarray of shape (n_fields, n_points, n_rows)
        ``K``.
    noise_variance : ndarray of shape (n_fields, n_rows)
        The diagonal of ``R``.
    """

    def __init__(self, prior: Covariance, rows: Array, gain: Array, noise_variance: Array) -> None:
        self.prior = prior
        self.rows = rows
        self.gain = gain
        self.noise_variance = noise_variance

    def diagonal(self) -> Array:
        """Return the variances; no n x n array is built."""
        return self._diagonal

    @cached_property
    def _diagonal(self) -> Array:
        cross = self.prior.matmul(transpose(self.rows))
        noise = self.noise_variance[..., None] * np.eye(self.rows.shape[-2])
        inner = self.rows @ cross + noise
        before = self.prior.diagonal() + np.sum((self.gain @ inner) * self.gain, axis=-1)
        variance = before - 2.0 * np.sum(cross * self.gain, axis=-1)
        # A remainder of a few roundings is none: what the law determines has no variance.
        return np.where(variance > 64.0 * np.finfo(float).eps * before, variance, 0.0)

    def matmul(self, matrix: Array) -> Array:
        """Return ``S' @ matrix``."""
        back = transpose(self.gain) @ matrix
        moved = self.prior.matmul(matrix - transpose(self.rows) @ back)
        along = self.rows @ moved - self.noise_variance[..., None] * back
        return np.asarray(moved - self.gain @ along)

    def to_dense(self) -> Array:
        """Return ``S'``, exactly symmetric, with `diagonal` on its diagonal."""
        dense = self.matmul(np.eye(self.rows.shape[-1]))
        dense = 0.5 * (dense + transpose(dense))
        on_diagonal = np.eye(dense.shape[-1], dtype=bool)
        return np.where(on_diagonal, self.diagonal()[..., None], dense)

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw from the prior and take what leaves the tangent space, less a draw of the noise."""
        drawn = self.prior.sample(normal, shape)
        noise = np.sqrt(self.noise_variance) * normal((*shape, self.rows.shape[-2]))
        return np.asarray(drawn - matvec(self.gain, matvec(self.rows, drawn) + noise))

"""The gain of a few dense rows under any covariance."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from skphys.conditioning._arrays import Array, eps, is_float64_numpy, matvec, transpose
from skphys.conditioning._covariance import Covariance, Diagonal
from skphys.conditioning._gain import CrossGain, Gain
from skphys.conditioning._single_row import SingleRowGain

# In units of the dtype's eps: a residual that independent points may take up. The pseudo-inverse
# leaves out directions of a std below sqrt(16 n_rows eps) of the largest; this is a little more.
NEARLY = 1e10


class DenseGain(CrossGain):
    """Any covariance under a few dense rows.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,)
        The diagonal of ``R``.
    """

    def __init__(self, covariance: Covariance, rows: Array, noise_variance: Array) -> None:
        xp = array_namespace(rows)
        self.covariance = covariance
        self.rows = rows
        self.noise_variance = noise_variance
        self._cross = covariance.matmul(transpose(rows))
        inner = rows @ self._cross
        variance = xp.linalg.diagonal(inner)
        free = (variance > covariance.rounding(rows)) | (noise_variance > 0)
        self.precision = inverse(inner, noise_variance, free)
        identity = xp.eye(rows.shape[0], dtype=rows.dtype, device=device(rows))
        self._inner = inner + noise_variance[..., None] * identity

    def cross(self) -> Array:
        """Return ``S G'``."""
        return self._cross

    def move(self, field: Array, multipliers: Array) -> Array:
        """Return ``field + S G' @ multipliers``."""
        return field + matvec(self._cross, multipliers)

    def amplitude(self) -> Array:
        """Return the prior's standard deviations."""
        return self.covariance.diagonal() ** 0.5

    def reduced_variance(self) -> Array:
        """Return the conditioned variances, in Joseph's form; see `removed`."""
        xp = array_namespace(self.rows)
        gain = self._cross @ self.precision
        removed = xp.sum(gain * (2.0 * self._cross - gain @ self._inner), axis=-1)
        # A remainder of a few roundings is none: what the rows determine has no variance.
        prior = self.covariance.diagonal() * (1.0 - 64.0 * eps(removed))
        return xp.clip(prior - xp.clip(removed, 0.0, None), 0.0, None)

    def removed(self, matrix: Array | None = None) -> Array:
        """Return ``K C' + C K' - K A K'`` with ``C = S G'`` and ``K = C A^-1``, `@ matrix`.

        This is Joseph's form of the update: an error in ``A^-1``, which rows that nearly depend on
        each other make large, counts only squared.
        """
        cross, gain = self._cross, self._cross @ self.precision
        rest = cross - gain @ self._inner
        if matrix is None:
            return gain @ transpose(cross) + rest @ transpose(gain)
        return gain @ (transpose(cross) @ matrix) + rest @ (transpose(gain) @ matrix)

    def finish(
        self, field: Array, residual: Array, values: Array, multipliers: Array, start: Array
    ) -> Array:
        """Return a field that refinement did not make exact, if there is no contradiction.

        A smooth prior may leave rows of an exact system no room but rounding. What then remains
        is small; independent points take it up.
        """
        small = ~self.misses(residual, field, values, multipliers, NEARLY, start)
        exact = not bool((self.noise_variance > 0).any())
        if exact and bool(small.all()) and not isinstance(self.covariance, Diagonal):
            independent = Diagonal(self.covariance.diagonal())
            return DenseGain(independent, self.rows, self.noise_variance).correct(field, values)
        return super().finish(field, residual, values, multipliers, start)


def factor_dense(covariance: Covariance, rows: Array, noise_variance: Array) -> Gain:
    """Factor dense rows under a covariance; a single row under a diagonal has fused kernels.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    """
    if isinstance(covariance, Diagonal) and rows.shape[0] == 1 and noise_variance.ndim == 1:
        if is_float64_numpy(covariance.variance, rows):
            return SingleRowGain(covariance.variance, rows, noise_variance)
    return DenseGain(covariance, rows, noise_variance)


def inverse(inner: Array, noise_variance: Array, free: Array) -> Array:
    """Return the (pseudo-)inverse of ``inner + diag(noise_variance)``, of its free rows.

    The matrix is scaled to a unit diagonal first, so rows of very different size do not hide
    each other; where a row depends on the others the minimum-norm solution is taken.
    """
    xp = array_namespace(inner)
    variance = xp.linalg.diagonal(inner) + noise_variance
    usable = free & (variance > 0)
    scale = xp.where(usable, 1.0 / xp.sqrt(xp.where(usable, variance, 1.0)), 0.0)
    scaled = inner * scale[..., None] * scale[..., None, :]
    identity = xp.eye(inner.shape[-1], dtype=xp.bool, device=device(inner))
    unit = xp.where(usable, 1.0, 0.0)
    scaled = xp.where(identity, unit[..., None], 0.5 * (scaled + transpose(scaled)))
    solved = _inverse_of_correlation(scaled)
    return solved * scale[..., None] * scale[..., None, :]


def _inverse_of_correlation(matrix: Array) -> Array:
    """Invert through Cholesky, or by a pseudo-inverse if a matrix of the batch is singular."""
    xp = array_namespace(matrix)
    n_rows = matrix.shape[-1]
    if n_rows == 1:
        return xp.where(matrix > 0, 1.0 / xp.where(matrix > 0, matrix, 1.0), 0.0)
    lower = _cholesky(matrix)
    tolerance = 16.0 * n_rows * eps(matrix)
    if lower is None or bool((xp.linalg.diagonal(lower) ** 2 < 64.0 * tolerance).any()):
        inverted = xp.linalg.pinv(matrix, rtol=tolerance)
        return 0.5 * (inverted + transpose(inverted))
    identity = xp.eye(n_rows, dtype=matrix.dtype, device=device(matrix))
    half = xp.linalg.solve(lower, identity)
    return transpose(half) @ half


def _cholesky(matrix: Array) -> Array | None:
    if is_numpy_array(matrix):
        try:
            return np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            return None
    import torch

    lower, info = torch.linalg.cholesky_ex(matrix)
    return None if bool((info > 0).any()) else lower

"""What is left of a covariance after linear equalities."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import Array, Normal, eps, transpose
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._gain import EXACT, Gain


class Pathwise(Covariance):
    """What is left of a covariance when a gain has corrected its fields, kept factored.

    Draws are made pathwise (Matheron's rule; Wilson et al., 2021, arXiv 2011.04026, eq. 11): a
    draw of the prior, corrected by the same gain as the mean.

    Attributes
    ----------
    prior : Covariance
        ``S``.
    gain : Gain
        The factored rows, from `factor`.
    """

    prior: Covariance
    gain: Gain

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Correct draws of the prior so that each of them obeys the homogeneous rows."""
        return self.corrected(self.prior.sample(normal, shape), 0.0, normal)

    def corrected(self, draws: Array, values: Array | float, normal: Normal) -> Array:
        """Correct draws of the prior so that each obeys the rows, less a draw of their noise.

        Parameters
        ----------
        draws : array of shape (..., n_points)
            With the prior's mean, or with the mean 0.
        values : array of shape (..., n_rows) or float
            What the rows should be.
        normal : callable
            Draws standard normals: ``normal(shape)``.
        """
        noise_std = self._noise_std()
        noise = noise_std * normal((*draws.shape[:-1], noise_std.shape[-1]))
        return self.gain.correct(draws, values - noise)

    def rounding(self, rows: Array) -> Array:
        """Take as zero what conditioning has shrunk by 12 of float64's 16 digits."""
        return EXACT * eps(rows) * self.prior.row_variance(rows) + self.prior.rounding(rows)

    def white(self, matrix: Array) -> Array:
        """Return ``F' @ matrix`` of ``F = [(I - K G) F0, K R^1/2]`` with the prior's ``F0``."""
        xp = array_namespace(matrix)
        vectors, multipliers = self._back(matrix)
        noise = self._noise_std() * multipliers
        upper, lower = self.prior.white(xp.moveaxis(vectors, 0, -1)), xp.moveaxis(noise, 0, -1)
        batch = np.broadcast_shapes(upper.shape[:-2], lower.shape[:-2])
        parts = (xp.broadcast_to(p, (*batch, *p.shape[-2:])) for p in (upper, lower))
        return xp.concat(list(parts), axis=-2)

    def color(self, matrix: Array) -> Array:
        """Return ``F @ matrix``, with the ``F`` of `white`."""
        xp = array_namespace(matrix)
        rank = self.prior.rank()
        fields = xp.moveaxis(self.prior.color(matrix[..., :rank, :]), -1, 0)
        noise = self._noise_std() * xp.moveaxis(matrix[..., rank:, :], -1, 0)
        return xp.moveaxis(self.gain.apply(fields, -noise), 0, -1)

    def rank(self) -> int:
        """Return the columns of the prior's root and of the noise's."""
        return self.prior.rank() + int(self.gain.noise_variance.shape[-1])

    def _noise_std(self) -> Array:
        return self.gain.noise_variance**0.5

    def _back(self, matrix: Array) -> tuple[Array, Array]:
        """Return ``(I - K G)' @ matrix`` and ``K' @ matrix``, columns first."""
        vectors = array_namespace(matrix).moveaxis(matrix, -1, 0)
        vectors = widened(vectors, len(self.gain.batch) + 2)
        return self.gain.pull(vectors)

    def _symmetric(self, dense: Array) -> Array:
        """Return a matrix that is exactly symmetric, with `diagonal` on its diagonal."""
        dense = 0.5 * (dense + transpose(dense))
        xp = array_namespace(dense)
        on_diagonal = xp.eye(dense.shape[-1], dtype=xp.bool, device=device(dense))
        return xp.where(on_diagonal, self.diagonal()[..., None], dense)


def widened(columns: Array, ndim: int) -> Array:
    """Put axes of length 1 for the fields behind the first axis, which holds the columns."""
    missing = (1,) * (ndim - columns.ndim)
    return columns.reshape(columns.shape[0], *missing, *columns.shape[1:])


class Conditioned(Pathwise):
    """``S - S G' (G S G' + R)^-1 G S``: a covariance after linear equalities, kept factored.

    Draws are those of the prior, corrected by the same gain as the mean.

    Parameters
    ----------
    prior : Covariance
        ``S``.
    gain : Gain
        The factored rows, from `factor`.
    """

    def __init__(self, prior: Covariance, gain: Gain) -> None:
        self.prior = prior
        self.gain = gain

    def diagonal(self) -> Array:
        """Return the variances; no n x n array is built."""
        return self.gain.reduced_variance()

    def diagonal_error(self) -> Array | float:
        """Return the standard error of the variances if the rows made them an estimate."""
        return self.gain.variance_error()

    def matmul(self, matrix: Array) -> Array:
        """Return ``S' @ matrix``."""
        return self.prior.matmul(matrix) - self.gain.removed(matrix)

    def to_dense(self) -> Array:
        """Return ``S'``, exactly symmetric, with `diagonal` on its diagonal."""
        return self._symmetric(self.prior.to_dense() - self.gain.removed())

"""What is left of a covariance after linear equalities."""

from __future__ import annotations

from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import Array, Normal, eps, transpose
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._gain import Gain


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
        draws = self.prior.sample(normal, shape)
        noise_std = self.gain.noise_variance**0.5
        noise = noise_std * normal((*shape, noise_std.shape[-1]))
        return self.gain.correct(draws, -noise)

    def rounding(self, rows: Array) -> Array:
        """Take as zero what conditioning has shrunk by 12 of float64's 16 digits."""
        xp = array_namespace(rows)
        before = xp.sum(transpose(rows) * self.prior.matmul(transpose(rows)), axis=-2)
        return 4500.0 * eps(rows) * before + self.prior.rounding(rows)

    def _symmetric(self, dense: Array) -> Array:
        """Return a matrix that is exactly symmetric, with `diagonal` on its diagonal."""
        dense = 0.5 * (dense + transpose(dense))
        xp = array_namespace(dense)
        on_diagonal = xp.eye(dense.shape[-1], dtype=xp.bool, device=device(dense))
        return xp.where(on_diagonal, self.diagonal()[..., None], dense)


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

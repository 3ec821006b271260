"""The covariance of a mixture, in which its mean is moved onto a law."""

from __future__ import annotations

import numpy as np

from skphys.conditioning._arrays import Normal
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._gaussian import Gaussian
from skphys.conditioning._members import Mixture
from skphys.conditioning._nonlinear._law import Array


class Averaged(Covariance):
    """The mean of the members' covariances plus the covariance of their means.

    Parameters
    ----------
    mixture : Mixture
        Its products take one with each member's covariance.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture

    def diagonal(self) -> Array:
        """Return the mixture's variances."""
        return self.mixture.variance()

    def matmul(self, matrix: Array) -> Array:
        """Return ``S @ matrix``."""
        mixture, terms = self.mixture, []
        for member in mixture.members:
            apart = (member.mean - mixture.mean)[..., None]
            along = np.sum(apart * matrix, axis=-2, keepdims=True)
            terms.append(member.covariance.matmul(matrix) + apart * along)
        return mixture.average(terms, n_axes=2)

    def to_dense(self) -> Array:
        """Return ``S`` written out."""
        return self.mixture.dense()

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw through the root of what is written out."""
        drawn = normal((*shape, self.rank()))
        return np.asarray((self._root @ drawn[..., None])[..., 0])


class Middle(Gaussian):
    """The Gaussian with the moments of a mixture whose members keep linear rows exactly.

    Parameters
    ----------
    mixture : Mixture
        Of members after `condition`, with the same rows.
    """

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(mixture.mean, Averaged(mixture))
        self._mixture = mixture

    def kept(self, fields: Array) -> Array:
        """Return fields with exact rows met to rounding.

        Parameters
        ----------
        fields : ndarray of shape (..., n_points)
            That have been moved along the rows.
        """
        return self._mixture.members[0].kept(fields)

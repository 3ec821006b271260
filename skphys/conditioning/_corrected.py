"""A covariance after a correction whose metric is not the covariance itself."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import Array, eps, transpose
from skphys.conditioning._conditioned import Pathwise, widened
from skphys.conditioning._covariance import AT_ONCE, Covariance
from skphys.conditioning._gain import FewRowsGain, Gain


class Corrected(Pathwise):
    """``(I - K G) S (I - K G)' + K R K'``: a covariance after the gain of another metric.

    With ``K = M G' (G M G' + R)^-1`` fields move as if their covariance were ``M``; this is what
    becomes of the covariance ``S`` that they have. Variances may grow where ``M`` moves points
    more than ``S`` would.

    Parameters
    ----------
    prior : Covariance
        ``S``.
    gain : Gain
        The rows factored under the metric, from `factor`.
    metric : Covariance
        ``M``.
    """

    def __init__(self, prior: Covariance, gain: Gain, metric: Covariance) -> None:
        self.prior = prior
        self.gain = gain
        self.metric = metric

    def diagonal(self) -> Array:
        """Return the variances.

        No n x n array is kept. With many sparse rows the time is that of one, of products with all
        columns of the identity.
        """
        return self._diagonal

    def matmul(self, matrix: Array) -> Array:
        """Return ``S' @ matrix``."""
        xp = array_namespace(matrix)
        vectors, multipliers = self._back(matrix)
        moved = xp.moveaxis(self.prior.matmul(xp.moveaxis(vectors, 0, -1)), -1, 0)
        wanted = self.gain.noise_variance * widened(multipliers, moved.ndim)
        corrected = self.gain.apply(moved, wanted)
        return xp.moveaxis(corrected, 0, -1)

    def to_dense(self) -> Array:
        """Return ``S'``, exactly symmetric, with `diagonal` on its diagonal."""
        return self._symmetric(self.matmul(self._identity()))

    def _identity(self) -> Array:
        rows = self.gain.noise_variance
        n_points = self.gain.rows.shape[1]
        return array_namespace(rows).eye(n_points, dtype=rows.dtype, device=device(rows))

    @cached_property
    def _diagonal(self) -> Array:
        if isinstance(self.gain, FewRowsGain):
            return self._of_few_rows(self.gain)
        identity = self._identity()
        xp = array_namespace(identity)
        shape = self.prior.diagonal().shape
        step = max(1, AT_ONCE // max(1, int(np.prod(shape))))
        parts = []
        for start in range(0, shape[-1], step):
            vectors, multipliers = self._back(identity[:, start : start + step])
            shared = vectors.ndim == 2
            kept = self.prior.row_variance(vectors if shared else xp.moveaxis(vectors, 0, -2))
            noise = xp.sum(self.gain.noise_variance * multipliers**2, axis=-1)
            parts.append(kept + xp.moveaxis(noise, 0, -1))
        variance = xp.concat(parts, axis=-1)
        variance[..., self.gain.pins()[1]] = 0.0
        return variance

    def _of_few_rows(self, gain: FewRowsGain) -> Array:
        xp = array_namespace(gain.rows)
        half, dual, inverse = gain.half, gain.dual(), gain.inverse  # K G = half @ dual'
        cross = self.prior.matmul(dual)
        noise = (inverse * gain.noise_variance[..., None, :]) @ transpose(inverse)
        inner = transpose(dual) @ cross + noise
        before = self.prior.diagonal() + xp.sum((half @ inner) * half, axis=-1)
        variance = before - 2.0 * xp.sum(cross * half, axis=-1)
        # A remainder of a few roundings is none: what the rows determine has no variance.
        return xp.where(variance > 64.0 * eps(before) * before, variance, 0.0)

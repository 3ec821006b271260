"""What a backbone is told about the laws that its fields will be conditioned on.

NumPy alone, like `BoundaryBatch`: torch is not needed to hold it or to pickle it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skphys.constraints import EqualitySystem

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConstraintBatch(EqualitySystem):
    """Linear equalities with their values for some samples: the keyword ``constraint`` of fit.

    A backbone that takes it conditions its fields on ``rows @ field = values + noise`` before its
    loss compares them with the targets.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (n_rows, n_points)
        ``G``, for the fields as they are in y, in C order.
    values : ndarray of shape (n_samples, n_rows)
        ``b``.
    noise : ndarray of shape (n_rows,) or (n_samples, n_rows)
        Standard deviation of each row's value; 0 where the row is exact.
    noise_rows : tuple of ndarray or csr_array of shape (n_rows, n_points)
        Noise made of standard deviations: with those of a field, ``s``, the variance of the noise
        is ``noise**2`` plus the sum of ``(N @ s)**2``.
    metric : {"covariance", "identity"}
        In which fields move, see `ConservationConstrainedRegressor`.
    correlation : ndarray of shape (n_points, n_points) or None
        Correlation of the errors of a field's points. None: they are independent.
    names : tuple of str
        The constraint that each row belongs to, if anyone wants to know.
    """

    names: tuple[str, ...] = field(default=(), kw_only=True)
    metric: str = "covariance"
    correlation: Floats | None = None

    def __len__(self) -> int:
        return len(self.values)

    def checked(self, n_samples: int, n_points: int) -> ConstraintBatch:
        """Return it written out, in float64, after a check against the data.

        Parameters
        ----------
        n_samples, n_points : int
            Shape of y.

        Returns
        -------
        ConstraintBatch
            Its rows are dense, and its noise has the shape of the values.

        Raises
        ------
        ValueError
            If shapes do not fit, something is not finite, or a noise is negative.
        """
        rows, *parts = (_dense(matrix) for matrix in (self.rows, *self.noise_rows))
        values, noise = (np.asarray(a, dtype=np.float64) for a in (self.values, self.noise))
        if rows.ndim != 2 or any(part.shape != (len(rows), n_points) for part in (rows, *parts)):
            raise ValueError(
                f"constraint.rows and noise_rows must have shape (n_rows, n_points), with the "
                f"{n_points} points of a field in y; got {[p.shape for p in (rows, *parts)]}."
            )
        shape = n_samples, len(rows)
        if values.shape != shape or noise.shape not in (shape, shape[1:]):
            raise ValueError(
                f"constraint.values must have shape (n_samples, n_rows) = {shape}, and "
                f"constraint.noise that or (n_rows,); got {values.shape} and {noise.shape}."
            )
        arrays = rows, values, noise, *parts
        if not all(np.isfinite(array).all() for array in arrays) or (noise < 0).any():
            raise ValueError(
                "constraint must have finite rows, values and noise, and noise that is not "
                "negative: it is a standard deviation."
            )
        noise = np.broadcast_to(noise, shape).copy()
        return replace(self, rows=rows, values=values, noise=noise, noise_rows=tuple(parts))


def _dense(matrix: Any) -> Floats:
    dense = matrix.toarray() if sparse.issparse(matrix) else matrix
    return np.asarray(dense, dtype=np.float64)

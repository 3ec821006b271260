"""What a backbone is told about the laws that its fields will be conditioned on.

NumPy alone, like `BoundaryBatch`: torch is not needed to hold it or to pickle it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ConstraintBatch:
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
    """

    rows: Any
    values: Floats
    noise: Floats

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Any) -> ConstraintBatch:
        """Return the equalities of some of the samples.

        Parameters
        ----------
        index : array-like of int
            Positions of the samples.

        Returns
        -------
        ConstraintBatch
            With the same rows.
        """
        noise = self.noise if np.ndim(self.noise) < 2 else np.asarray(self.noise)[index]
        return ConstraintBatch(self.rows, np.asarray(self.values)[index], noise)

    def dense(self, n_samples: int, n_points: int) -> tuple[Floats, Floats, Floats]:
        """Return all of it written out, after a check against the data.

        Parameters
        ----------
        n_samples, n_points : int
            Shape of y.

        Returns
        -------
        rows : ndarray of shape (n_rows, n_points)
            The rows.
        values, noise : ndarray of shape (n_samples, n_rows)
            Values, and their standard deviations.

        Raises
        ------
        ValueError
            If shapes do not fit, something is not finite, or a noise is negative.
        """
        rows = self.rows.toarray() if sparse.issparse(self.rows) else self.rows
        rows, values, noise = (np.asarray(a, np.float64) for a in (rows, self.values, self.noise))
        if rows.ndim != 2 or rows.shape[1] != n_points:
            raise ValueError(
                f"constraint.rows must have shape (n_rows, n_points), with the {n_points} points "
                f"of a field in y; got {rows.shape}."
            )
        shape = n_samples, len(rows)
        if values.shape != shape or noise.shape not in (shape, shape[1:]):
            raise ValueError(
                f"constraint.values must have shape (n_samples, n_rows) = {shape}, and "
                f"constraint.noise that or (n_rows,); got {values.shape} and {noise.shape}."
            )
        if (
            not all(np.isfinite(array).all() for array in (rows, values, noise))
            or (noise < 0).any()
        ):
            raise ValueError(
                "constraint must have finite rows, values and noise, and noise that is not "
                "negative: it is a standard deviation."
            )
        return rows, values, np.broadcast_to(noise, shape).copy()

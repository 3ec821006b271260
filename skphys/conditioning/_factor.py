"""Which gain serves which rows."""

from __future__ import annotations

from scipy import sparse

from skphys.conditioning._arrays import Array
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._dense_gain import factor_dense
from skphys.conditioning._gain import Gain
from skphys.conditioning._sparse._dispatch import factor_sparse


def factor(covariance: Covariance, rows: Array, noise_variance: Array) -> Gain:
    """Factor rows under a covariance; a single row under a diagonal has fused kernels.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : array or scipy.sparse array of shape (n_rows, n_points)
        ``G``. Sparse rows stay sparse under a diagonal, and a diagonal plus low rank.
    noise_variance : array of shape (n_rows,)
        The diagonal of ``R``; zeros where the row is exact.

    Returns
    -------
    Gain
        To be applied to means, variances and draws.
    """
    if sparse.issparse(rows):
        return factor_sparse(covariance, rows, noise_variance)
    return factor_dense(covariance, rows, noise_variance)

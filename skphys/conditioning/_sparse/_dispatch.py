"""Which covariances leave sparse rows sparse, and what happens to the others."""

from __future__ import annotations

from math import prod
from typing import Any

from scipy import sparse

from skphys.conditioning._arrays import Array, is_float64_numpy, like
from skphys.conditioning._covariance import Covariance, Parts
from skphys.conditioning._dense_gain import factor_dense
from skphys.conditioning._gain import Gain
from skphys.conditioning._sparse._gain import SparseGain
from skphys.conditioning._sparse._low_rank import LowRankSparseGain
from skphys.conditioning._sparse._products import canonical

MAX_DENSE = 1 << 27  # values that rows may have when they must be written out: 1 GiB
DENSE_SHARE = 0.25  # rows with more entries than this share are not worth keeping sparse


def factor_sparse(covariance: Covariance, rows: Any, noise_variance: Array) -> Gain:
    """Factor sparse rows under a covariance, sparse where its structure allows and it pays.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : scipy.sparse array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.

    Raises
    ------
    ValueError
        If the covariance needs dense rows, and they would be too many.
    """
    variance, low_rank = _sparse_parts(covariance, rows, noise_variance)
    if variance is None:
        n_fields = prod(covariance.diagonal().shape[:-1])
        dense_rows = to_dense_rows(rows, n_fields, type(covariance).__name__)
        return factor_dense(covariance, like(dense_rows, noise_variance), noise_variance)
    if low_rank is None:
        return SparseGain(variance, canonical(rows), noise_variance)
    return LowRankSparseGain(variance, low_rank, canonical(rows), noise_variance)


def _sparse_parts(covariance: Covariance, rows: Any, reference: Array) -> Parts:
    """Return a diagonal, and a factor or None, that leave rows sparse; no diagonal if none do."""
    variance, low_rank = (_pays(rows, reference) and covariance.parts()) or (None, None)
    if variance is None or not is_float64_numpy(variance):
        return None, None
    if low_rank is None or (is_float64_numpy(low_rank) and low_rank.shape[-1] < rows.shape[0]):
        return variance, low_rank
    return None, None


def _pays(rows: Any, reference: Array) -> bool:
    """Say whether rows are better kept sparse: NumPy float64, several, and not nearly full."""
    full = rows.shape[0] <= 1 or rows.nnz > DENSE_SHARE * prod(rows.shape)
    return is_float64_numpy(reference) and not (full and prod(rows.shape) <= MAX_DENSE)


def to_dense_rows(rows: Any, n_fields: int = 1, covariance: str = "this") -> Any:
    """Write sparse rows out, unless that takes too much memory; others stay as they are.

    Parameters
    ----------
    rows : array or scipy.sparse array of shape (n_rows, n_points)
        ``G``.
    n_fields : int, default=1
        How many fields need an array of this size.
    covariance : str, default="this"
        What needs dense rows, for the error.

    Raises
    ------
    ValueError
        If there are too many.
    """
    if not sparse.issparse(rows):
        return rows
    if n_fields * rows.shape[0] * sum(rows.shape) > MAX_DENSE:  # G, and G S G'
        raise ValueError(
            f"{rows.shape[0]:,} sparse rows on {rows.shape[1]:,} points, for {n_fields:,} field(s) "
            f"at once, would have to be written out, because {covariance} covariance has no sparse "
            f"form. Use independent points (Diagonal), Sum(Diagonal, LowRank) of a rank below the "
            f"number of rows, NumPy float64, or fewer rows or fields."
        )
    return rows.toarray()

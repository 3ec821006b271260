"""How likely a Gaussian field makes the values of some rows: the weight of a mixture's member."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from scipy import sparse

from skphys.conditioning._arrays import Array, eps, floating, is_float64_numpy, like, transpose
from skphys.conditioning._gaussian import Gaussian
from skphys.conditioning._sparse._dispatch import to_dense_rows

MOST_ROWS = 64  # whose covariance is written out; of more each counts by itself
RIDGE = 1e-12  # of a row's variance: rows that follow from others tell the members nothing
ROUNDING = 1e-13  # part of a row's terms by which a field that obeys it may miss it


def log_evidence(
    gaussian: Gaussian,
    rows: Array,
    values: Array,
    noise: Array | float = 0.0,
    scales: Sequence[float] = (1.0,),
) -> Array:
    """Return the log density of the rows' values under a Gaussian field, for several spreads.

    It is ``log N(b; G m, c^2 G S G' + R)``, by which members of a mixture, each conditioned on the
    same rows, have to be weighed.

    Parameters
    ----------
    gaussian : Gaussian
        The prior, of mean (..., n_points).
    rows : array or scipy.sparse array of shape (n_rows, n_points)
        ``G``.
    values : array of shape (n_rows,) or (..., n_rows)
        ``b``.
    noise : float or array of shape (n_rows,) or (..., n_rows), default=0.0
        Standard deviation of each row's value.
    scales : sequence of float, default=(1.0,)
        Factors ``c`` of the prior's standard deviations.

    Returns
    -------
    array of shape (n_scales, ...)
        Of one prior over the others; a miss that is rounding is none. Beyond 64 rows each row
        counts as if it were independent of the others. Rows along which the field has neither
        variance nor noise are left out.
    """
    mean = floating(gaussian.mean)
    xp = array_namespace(mean)
    if rows.shape[0] == 0:
        return xp.zeros((len(scales), *mean.shape[:-1]), dtype=mean.dtype)
    if not (sparse.issparse(rows) and is_float64_numpy(mean)):
        rows = like(to_dense_rows(rows), mean)
    values, noise = like(values, mean), like(noise, mean)
    miss = values - _along(rows, mean)
    terms = abs(values) + _along(abs(rows), abs(mean))
    slack = max(ROUNDING, 100.0 * eps(mean))
    miss = xp.where(abs(miss) > slack * terms, miss, 0.0)
    squares = _squares(scales, miss)
    if rows.shape[0] > MOST_ROWS:
        variance = gaussian.covariance.row_variance(rows)
        return _independent(xp, miss, squares * variance + noise**2)
    dense = rows.toarray() if sparse.issparse(rows) else rows
    law = dense @ gaussian.covariance.matmul(transpose(dense))
    if bool(xp.any(noise != 0.0)):
        size, log_det, count = _joint(xp, miss, squares[..., None] * law, noise**2)
        return -0.5 * (size + log_det + log(2.0 * pi) * count)
    size, log_det, count = _joint(xp, miss, law, noise)  # of one scale, which says all
    squares = squares[..., 0]
    return -0.5 * (size / squares + log_det + count * xp.log(2.0 * pi * squares))


def _along(rows: Array, field: Array) -> Array:
    """Return ``G u`` of each field."""
    if not sparse.issparse(rows):
        return field @ transpose(rows)
    flat = field.reshape(-1, field.shape[-1])
    return (rows @ flat.T).T.reshape(*field.shape[:-1], rows.shape[0])


def _squares(scales: Sequence[float], miss: Array) -> Array:
    """Return the squares of the scales on an axis before those of misses."""
    return like(np.square(scales), miss).reshape(len(scales), *(1,) * miss.ndim)


def _independent(xp: Any, miss: Array, variance: Array) -> Array:
    """Return the sum of the rows' log densities."""
    counts = variance > 0.0
    safe = xp.where(counts, variance, 1.0)
    each = -0.5 * (miss**2 / safe + xp.log(safe) + log(2.0 * pi))
    return xp.sum(xp.where(counts, each, 0.0), axis=-1)


def _joint(xp: Any, miss: Array, law: Array, noise: Array) -> tuple[Array, Array, Array]:
    """Return the square of the miss, the log determinant and the rank of the rows' covariance.

    Rows are brought to unit variance first.
    """
    n_rows = miss.shape[-1]
    variance = xp.linalg.diagonal(law) + noise
    counts = variance > 0.0
    root = xp.where(counts, variance, 1.0) ** 0.5
    identity = xp.eye(n_rows, dtype=miss.dtype)
    if is_torch_array(miss):
        identity = identity.to(miss.device)
    spread = (law + noise[..., None] * identity) / (root[..., :, None] * root[..., None, :])
    spread = xp.where(counts[..., :, None] & counts[..., None, :], spread, identity)
    spread = spread + RIDGE * identity
    whitened = xp.where(counts, miss / root, 0.0)
    square = xp.sum(whitened * xp.linalg.solve(spread, whitened[..., None])[..., 0], axis=-1)
    log_det = xp.linalg.slogdet(spread)[1] + 2.0 * xp.sum(xp.log(root), axis=-1)
    count = xp.sum(xp.astype(counts, miss.dtype), axis=-1)
    return square, log_det, count

"""Which rows follow from others, and orthonormal directions for those that do not.

Everything here sees whitened rows ``W' = [F' G'; R^1/2]`` of unit length, with ``A = W W'``. They
tell apart at one part in 10^14 what ``A`` has squared beyond rounding, and know no units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import Array, eps, to_numpy, transpose

ANGLE = 16.0  # in units of eps and of the rows' number: a row is another's at less than this


def independent(white: Array, weight: Array | None = None) -> Array:
    """Say which rows do not follow from the others.

    Of rows that depend on each other those that stand out most are kept, or weigh most.

    Parameters
    ----------
    white : array of shape (..., rank, n_rows)
        Whitened rows, one a column, of length 1 or 0.
    weight : ndarray of shape (..., n_rows), optional
        How much it matters that a row is among those kept.

    Returns
    -------
    bool array of shape (..., n_rows)
        A row of zeros is not kept.
    """
    xp = array_namespace(white)
    left: Any = np.linalg.qr(to_numpy(white), mode="r")
    n_rows = left.shape[-1]
    weight = np.ones(n_rows) if weight is None else weight
    batch = np.broadcast_shapes(left.shape[:-2], weight.shape[:-1])
    left = np.array(np.broadcast_to(left, (*batch, *left.shape[-2:])))
    tolerance = (ANGLE * n_rows + white.shape[-2] ** 0.5) * eps(white)
    kept: Any = np.zeros((*left.shape[:-2], n_rows), dtype=bool)
    for _ in range(n_rows):
        length = np.sqrt(np.sum(left**2, axis=-2))
        candidate = (length > tolerance) & ~kept
        if not candidate.any():
            break
        best = np.argmax(np.where(candidate, length * weight, -1.0), axis=-1)[..., None]
        chosen = np.take_along_axis(candidate, best, axis=-1)
        direction = np.take_along_axis(left, best[..., None, :], axis=-1)
        scale = np.where(chosen, np.take_along_axis(length, best, axis=-1), np.inf)
        direction = direction / scale[..., None, :]
        for _ in range(2):  # once more takes out the first one's rounding
            left -= direction * np.sum(direction * left, axis=-2, keepdims=True)
        kept |= chosen & (np.arange(n_rows) == best)
    return xp.asarray(kept, device=device(white))


def orthonormal(white: Array, kept: Array) -> tuple[Array, Array]:
    """Return orthonormal directions ``Q`` of the kept rows, and ``L^-1`` with ``W = L Q'``.

    Parameters
    ----------
    white : array of shape (..., rank, n_rows)
        Whitened rows, one a column.
    kept : bool array of shape (..., n_rows)
        Independent rows.

    Returns
    -------
    directions : array of shape (..., rank, n_rows)
        ``Q``; zeros for a row that is not kept.
    inverse : array of shape (..., n_rows, n_rows)
        ``L^-1``; zeros likewise.
    """
    xp = array_namespace(white)
    n_rows = white.shape[-1]
    identity = xp.eye(n_rows, dtype=white.dtype, device=device(white))
    # A row that is left out gets a dimension of its own, so that all of them are independent.
    used = xp.where(kept[..., None, :], white, 0.0)
    own = xp.where(kept[..., None, :], 0.0, identity)
    own = xp.broadcast_to(own, (*used.shape[:-2], n_rows, n_rows))
    directions, triangle = xp.linalg.qr(xp.concat([used, own], axis=-2))
    inverse = xp.linalg.solve(transpose(triangle), identity)
    both = kept[..., :, None] & kept[..., None, :]
    directions = xp.where(kept[..., None, :], directions[..., : white.shape[-2], :], 0.0)
    return directions, xp.where(both, inverse, 0.0)

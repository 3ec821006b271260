"""Which rows follow from others, and orthonormal directions for those that do not.

Everything here sees whitened rows ``W' = [F' G'; R^1/2]`` of unit length, with ``A = W W'``. They
tell apart at one part in 10^14 what ``A`` has squared beyond rounding, and know no units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from skphys.conditioning._arrays import Array, eps, to_numpy, transpose

ANGLE = 16.0  # in units of eps and of the rows' number: a row is another's at less than this


def rounding(n_rows: int, rank: int) -> float:
    """Return the whitened length, in units of eps, that is nothing but rounding."""
    return ANGLE * n_rows + float(rank) ** 0.5


def orthonormal(white: Array, weight: np.ndarray | None = None) -> tuple[Array, Array]:
    """Return orthonormal directions ``Q`` of independent rows, and ``L^-1`` with ``W = L Q'``.

    Parameters
    ----------
    white : array of shape (..., rank, n_rows)
        Whitened rows, one a column, of length 1 or 0.
    weight : ndarray of shape (..., n_rows), optional
        How much it matters that a row is among those kept.

    Returns
    -------
    directions : array of shape (..., rank, n_rows)
        ``Q``; zeros for a row that follows from others.
    inverse : array of shape (..., n_rows, n_rows)
        ``L^-1``; zeros likewise.
    """
    xp = array_namespace(white)
    rank, n_rows = white.shape[-2:]
    first, triangle = np.linalg.qr(to_numpy(white))
    found = independent(triangle, rounding(n_rows, rank) * eps(white), weight)
    kept = xp.asarray(found, device=device(white))[..., None, :]
    # The first directions serve where no gradient has to pass through rows that depend on others.
    plain = is_numpy_array(white)
    used = xp.where(kept, triangle if plain else white, 0.0)
    # A row that is left out gets a dimension of its own, so that all of them are independent.
    identity = xp.eye(n_rows, dtype=white.dtype, device=device(white))
    own = xp.broadcast_to(xp.where(kept, 0.0, identity), (*used.shape[:-2], n_rows, n_rows))
    directions, upper = xp.linalg.qr(xp.concat([used, own], axis=-2))
    directions = xp.where(kept, directions[..., : used.shape[-2], :], 0.0)
    inverse = xp.linalg.solve(transpose(upper), identity)
    inverse = xp.where(kept & transpose(kept), inverse, 0.0)
    return first @ directions if plain else directions, inverse


def independent(left: Any, tolerance: float, weight: np.ndarray | None) -> np.ndarray:
    """Say which rows do not follow from the others, to a tolerance.

    Of rows that depend on each other those that stand out most are kept, or weigh most.
    """
    n_rows = left.shape[-1]
    weight = np.ones(n_rows) if weight is None else weight
    batch = np.broadcast_shapes(left.shape[:-2], weight.shape[:-1])
    left = np.array(np.broadcast_to(left, (*batch, *left.shape[-2:])))
    kept: Any = np.zeros((*batch, n_rows), dtype=bool)
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
            left -= direction * (np.swapaxes(direction, -1, -2) @ left)
        kept |= chosen & (np.arange(n_rows) == best)
    return np.asarray(kept)

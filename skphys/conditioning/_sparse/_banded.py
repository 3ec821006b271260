"""Banded Cholesky for many matrices of one pattern, with the entries of the inverse that matter.

The entries of the inverse in the band come from the block recursion of Takahashi, Fagan and Chen
(1973): from the last block to the first, without ever writing out the inverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse.csgraph import reverse_cuthill_mckee

SHIFT = 1e-13  # what is added to a unit diagonal where rows are redundant
SUSPECT = 1e-8  # a pivot this small may be a row that follows from the others
WEAK = 1e-5  # a pivot below this costs the variances digits
PURE = 9.0  # the growth under ten times the shift of a pivot that is nearly nothing else
NARROW = 8  # a band that needs no other order
MIN_BLOCK = 16
CHUNK = 1 << 21  # values in the blocks that are inverted at once


class Symmetric(NamedTuple):
    """Symmetric matrices, one for each field, with entries in the same places.

    Attributes
    ----------
    row, column : ndarray of shape (n_pairs,)
        Where there are entries below the diagonal.
    diagonal : ndarray of shape (n_fields, n_rows)
        The diagonals; not above 1.
    lower : ndarray of shape (n_pairs, n_fields)
        The entries below.
    """

    row: np.ndarray
    column: np.ndarray
    diagonal: np.ndarray
    lower: np.ndarray


def narrow(matrix: Symmetric) -> tuple[np.ndarray, int]:
    """Return an order of the rows that brings entries near the diagonal, and the band's width."""
    row, column, size = matrix.row, matrix.column, matrix.diagonal.shape[1]
    natural = np.arange(size)
    width = int(abs(row - column).max(initial=0))
    if width <= NARROW:
        return natural, width
    graph = sparse.csr_matrix(
        (np.ones(2 * len(row)), (np.r_[row, column], np.r_[column, row])), (size, size)
    )
    order = reverse_cuthill_mckee(graph, symmetric_mode=True)
    position = np.empty_like(natural)
    position[order] = natural
    ordered = int(abs(position[row] - position[column]).max(initial=0))
    return (order, ordered) if ordered < width else (natural, width)


class BandedFactor:
    """Cholesky factors of symmetric matrices with unit diagonals and one band.

    Parameters
    ----------
    matrix : Symmetric
        What to factor.
    order : ndarray of shape (n_rows,)
        Order of the rows in the band.
    width : int
        Diagonals of the band below the main one.
    shift : float, default=SHIFT
        What to add to the diagonals if the matrices may be singular.

    Attributes
    ----------
    shift : ndarray of shape (n_fields, 1)
        What was added to the diagonals: 0 where the matrix is regular.
    """

    def __init__(
        self, matrix: Symmetric, order: np.ndarray, width: int, shift: float = SHIFT
    ) -> None:
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        row, column = position[matrix.row], position[matrix.column]
        self.order = order
        self._from, self._to = np.minimum(row, column), np.maximum(row, column)
        bands = np.zeros((width + 1, *matrix.diagonal.shape))
        bands[0] = matrix.diagonal[:, order]
        bands[self._to - self._from, :, self._from] = matrix.lower
        self.shift, self._bands = np.zeros((bands.shape[1], 1)), bands
        cholesky = _cholesky(bands)
        if cholesky is None:
            # The pivots of shifted matrices say which of them need it.
            suspect = _suspect(_shifted(bands, self.shift + shift)[1])
        else:
            suspect = _suspect(cholesky)
        if cholesky is None or suspect.any():
            needed = np.where(suspect[:, None], shift, 0.0)
            self.shift, cholesky = _shifted(bands, needed)
        self._cholesky = cholesky

    def least_pivot(self) -> float:
        """Return the smallest pivot, 1 where rows are independent and 0 where one is redundant."""
        return float(np.min(self._cholesky[0] ** 2, initial=1.0))

    def dependent(self) -> tuple[np.ndarray, np.ndarray]:
        """Say of which fields rows follow from others, and of which that is in doubt.

        The pivot of such a row is nothing but the shift, and grows with it.
        """
        pivots = self._cholesky[0] ** 2
        small = pivots < WEAK
        if not small.any():
            return small.any(axis=-1), small.any(axis=-1)
        more = self._more()[0] ** 2
        return small.any(axis=-1), (small & (more < PURE * pivots)).any(axis=-1)

    def _more(self) -> np.ndarray:
        return _shifted(self._bands, 10.0 * self.shift)[1]

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve for right sides of shape (n_fields, k, n_rows)."""
        n_fields, k, n_rows = right.shape
        flat = right[..., self.order].transpose(0, 2, 1).reshape(n_fields * n_rows, k)
        factor = self._cholesky.reshape(len(self._cholesky), -1)
        solved = cho_solve_banded((factor, True), flat, overwrite_b=True, check_finite=False)
        result = np.empty_like(right)
        result[..., self.order] = solved.reshape(n_fields, n_rows, k).transpose(0, 2, 1)
        return result

    def inverse_entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the inverse's entries on the diagonal and at the pairs.

        Rows that follow from others are left out: their entries are 0.
        """
        cholesky, kept = self._without_redundant_rows()
        n_rows = len(self.order)
        first = np.concatenate([np.arange(n_rows), self._from])
        second = np.concatenate([np.arange(n_rows), self._to])
        entries = _selected(cholesky, first, second)
        entries *= (kept[:, first] & kept[:, second]).T
        diagonal = np.empty((cholesky.shape[1], n_rows))
        diagonal[:, self.order] = entries[:n_rows].T
        return diagonal, entries[n_rows:]

    def _without_redundant_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the rows that do not follow from others, and which these are.

        A pivot that grows with the shift is nothing but the shift.
        """
        if not self.shift.any():
            return self._cholesky, np.ones(self._cholesky.shape[1:], dtype=bool)
        kept = self._more()[0] ** 2 < 2.0 * self._cholesky[0] ** 2
        bands = self._bands.copy()
        for d in range(1, min(len(bands), kept.shape[1])):
            bands[d, :, :-d] *= kept[:, :-d] & kept[:, d:]
        bands[0] = np.where(kept, bands[0], 1.0)
        return _shifted(bands, np.zeros_like(self.shift))[1], kept


def _suspect(cholesky: np.ndarray) -> np.ndarray:
    """Say which of the matrices have a pivot that may be none, of shape (n_fields,)."""
    return (cholesky[0] ** 2 < SUSPECT).any(axis=-1)


def _cholesky(bands: np.ndarray) -> np.ndarray | None:
    """Factor all matrices as one long band; None if one of them is not positive definite."""
    try:
        long = cholesky_banded(bands.reshape(len(bands), -1), lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    return long.reshape(bands.shape)


def _shifted(bands: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add to the diagonals `shift`, or what makes the matrices positive definite."""
    while True:
        raised = bands.copy()
        raised[0] += shift
        cholesky = _cholesky(raised)
        if cholesky is not None:
            return shift, cholesky
        if shift.max(initial=0.0) > 1.0:
            raise ValueError("The variances along the rows are not finite; check the covariance.")
        shift = np.maximum(10.0 * shift, SHIFT)


def _selected(cholesky: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return entries of the inverse in the band, of shape (n_entries, n_fields).

    Parameters
    ----------
    cholesky : ndarray of shape (width + 1, n_fields, n_rows)
        Lower factors in banded form.
    first, second : ndarray of shape (n_entries,)
        Columns and rows of the entries, ``first <= second <= first + width``.
    """
    _, n_fields, n_rows = cholesky.shape
    size = max(len(cholesky) - 1, min(MIN_BLOCK, n_rows))
    result = np.empty((len(first), n_fields))
    block = first // size
    by_block = np.argsort(block, kind="stable")
    sorted_blocks = block[by_block]
    for start, inside, below in _inverse_blocks(cholesky, size):
        bounds = np.searchsorted(sorted_blocks, [start, start + len(inside)])
        entry = by_block[slice(*bounds)]
        k, a, b = block[entry] - start, second[entry] % size, first[entry] % size
        same = (second[entry] // size == block[entry])[:, None]
        result[entry] = np.where(same, inside[k, :, a, b], below[k, :, a, b])
    return result


def _inverse_blocks(
    cholesky: np.ndarray, size: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the inverse's blocks on and below the diagonal, chunk by chunk, from the last."""
    n_fields, n_rows = cholesky.shape[1:]
    n_blocks = -(-n_rows // size)
    chunk = max(1, CHUNK // (n_fields * size**2))
    following = np.zeros((n_fields, size, size))
    for stop in range(n_blocks, 0, -chunk):
        start = max(0, stop - chunk)
        inside, below = _factor_blocks(cholesky, start, stop, size)
        inverted = np.linalg.inv(inside)
        step = below @ inverted
        inside = np.swapaxes(inverted, -1, -2) @ inverted
        for k in range(stop - start - 1, -1, -1):
            below[k] = -following @ step[k]
            inside[k] -= np.swapaxes(step[k], -1, -2) @ below[k]
            following = inside[k]
        yield start, inside, below


def _factor_blocks(
    cholesky: np.ndarray, start: int, stop: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Write out the factor's blocks on and below the diagonal, (n_blocks, n_fields, size, size).

    Past the last row the factor goes on as the identity.
    """
    part = cholesky[:, :, start * size : stop * size]
    missing = (stop - start) * size - part.shape[2]
    if missing:
        part = np.pad(part, ((0, 0), (0, 0), (0, missing)))
        part[0, :, -missing:] = 1.0
    part = part.reshape(len(part), part.shape[1], stop - start, size)
    inside = np.zeros((stop - start, part.shape[1], size, size))
    below = np.zeros_like(inside)
    for d, band in enumerate(np.swapaxes(part, 1, 2)):
        b = np.arange(size - d)
        inside[:, :, b + d, b] = band[..., : size - d]
        b = np.arange(size - d, size)
        below[:, :, b + d - size, b] = band[..., size - d :]
    return inside, below

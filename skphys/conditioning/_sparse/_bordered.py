"""A band and a few rows that touch nearly all others, as a law beside local rows does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skphys.conditioning._sparse._banded import BandedFactor, Symmetric, narrow

MOST_HUBS = 8
FEWEST_ROWS = 32
TOUCHED = 0.5  # a row that shares points with more than this share of the others is a hub
REGULAR = 1e-4  # a pivot below this costs digits that one factorization of the whole keeps


@dataclass(frozen=True, eq=False)
class BorderedFactor:
    """``[[T, C'], [C, H]]`` with a banded ``T``, by its Schur complement ``E = H - C T^-1 C'``.

    Attributes
    ----------
    inner : BandedFactor
        ``T``, regular.
    rest, hubs : ndarray of int
        The rows of ``T``, and those of ``H``.
    row, column : ndarray of shape (n_pairs,)
        Where there are entries below the diagonal of the whole.
    border : ndarray of shape (n_fields, n_hubs, n_rest)
        ``C``.
    solved : ndarray of shape (n_fields, n_hubs, n_rest)
        ``C T^-1``.
    complement : ndarray of shape (n_fields, n_hubs, n_hubs)
        ``E^-1``.
    """

    inner: BandedFactor
    rest: np.ndarray
    hubs: np.ndarray
    row: np.ndarray
    column: np.ndarray
    border: np.ndarray
    solved: np.ndarray
    complement: np.ndarray
    shift: ClassVar[float] = 0.0

    def dependent(self) -> tuple[np.ndarray, np.ndarray]:
        """Say of no field that rows follow from others: nothing else is factored so."""
        none = np.zeros(len(self.border), dtype=bool)
        return none, none

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve for right sides of shape (n_fields, k, n_rows)."""
        first = self.inner.solve(right[..., self.rest])
        missing = right[..., self.hubs] - first @ self.border.swapaxes(-1, -2)
        found = missing @ self.complement
        result = np.empty_like(right)
        result[..., self.hubs] = found
        result[..., self.rest] = first - found @ self.solved
        return result

    def inverse_entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the inverse's entries on the diagonal and at the pairs."""
        diagonal, lower = self.inner.inverse_entries()
        n_fields, n_rows = len(diagonal), len(self.rest) + len(self.hubs)
        # Rows of the inverse at the hubs, and what the hubs add to the rest.
        at_hubs = np.empty((n_fields, len(self.hubs), n_rows))
        at_hubs[..., self.rest] = -self.complement @ self.solved
        at_hubs[..., self.hubs] = self.complement
        spread = np.zeros_like(at_hubs)
        spread[..., self.rest] = self.solved
        whole = np.empty((n_fields, n_rows))
        whole[:, self.rest] = diagonal
        whole -= np.sum(spread * at_hubs, axis=1)
        whole[:, self.hubs] = np.diagonal(self.complement, axis1=1, axis2=2)
        number = _numbers(self.hubs, n_rows)
        return whole, self._pairs(lower, at_hubs, spread, number)

    def _pairs(
        self, lower: np.ndarray, at_hubs: np.ndarray, spread: np.ndarray, number: np.ndarray
    ) -> np.ndarray:
        row, column = self.row, self.column
        first, second = number[row], number[column]
        inside = (first < 0) & (second < 0)
        entries = np.empty((len(row), len(at_hubs)))
        left, right = spread[..., row[inside]], at_hubs[..., column[inside]]
        entries[inside] = lower - np.sum(left * right, axis=1).T
        entries[first >= 0] = at_hubs[:, first[first >= 0], column[first >= 0]].T
        by_column = (first < 0) & (second >= 0)
        entries[by_column] = at_hubs[:, second[by_column], row[by_column]].T
        return entries


def bordered(matrix: Symmetric, most: int) -> BorderedFactor | None:
    """Factor matrices of a band with a few rows across it, if they are that, and regular.

    The band may not be wider than `most`.
    """
    row, column, diagonal, lower = matrix
    n_rows = diagonal.shape[1]
    degree = np.bincount(np.concatenate([row, column]), minlength=n_rows)
    hubs = np.flatnonzero(degree > TOUCHED * n_rows)
    if n_rows < FEWEST_ROWS or not 0 < len(hubs) <= MOST_HUBS:
        return None
    rest = np.setdiff1d(np.arange(n_rows), hubs)
    number, place = _numbers(hubs, n_rows), _numbers(rest, n_rows)
    inside = (place[row] >= 0) & (place[column] >= 0)
    pairs = place[row[inside]], place[column[inside]]
    band = Symmetric(*pairs, diagonal[:, rest], lower[inside])
    order, width = narrow(band)
    if width > most:
        return None
    inner = BandedFactor(band, order, width)
    if inner.shift.any() or not inner.least_pivot() > REGULAR:
        return None
    across = np.zeros((len(diagonal), len(hubs), n_rows))
    for one, other in ((row, column), (column, row)):
        at = number[one] >= 0
        across[:, number[one[at]], other[at]] = lower[at].T
    across[:, np.arange(len(hubs)), hubs] = diagonal[:, hubs]
    border = np.ascontiguousarray(across[..., rest])
    solved = inner.solve(border)
    schur = across[..., hubs] - solved @ border.swapaxes(-1, -2)
    schur = 0.5 * (schur + schur.swapaxes(-1, -2))
    if not (np.linalg.eigvalsh(schur) > REGULAR).all():
        return None
    return BorderedFactor(inner, rest, hubs, row, column, border, solved, np.linalg.inv(schur))


def _numbers(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the position of each row among some of them, -1 for the others."""
    number = np.full(n_rows, -1)
    number[rows] = np.arange(len(rows))
    return number

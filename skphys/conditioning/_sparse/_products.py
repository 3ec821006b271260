"""Sparse rows at work: products with batches of fields, and ``G D G'`` for many ``D`` at once."""

from __future__ import annotations

import numpy as np
from scipy import sparse

LOOP = 1 << 14  # entries and values from which one field at a time is faster than a transpose


def canonical(rows: sparse.sparray | sparse.spmatrix) -> sparse.csr_array:
    """Return rows as float64 csr, without duplicates and zeros, indices sorted."""
    rows = sparse.csr_array(rows, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def times(matrix: sparse.csr_array, vectors: np.ndarray) -> np.ndarray:
    """Multiply a matrix (a, b) with vectors (..., b)."""
    flat = vectors.reshape(-1, matrix.shape[1])
    if len(flat) == 1 or matrix.nnz + sum(matrix.shape) > LOOP:
        out = np.empty((len(flat), matrix.shape[0]))
        for vector, result in zip(flat, out, strict=True):
            result[:] = matrix @ vector
    else:
        out = np.ascontiguousarray((matrix @ flat.T).T)
    return out.reshape(*vectors.shape[:-1], matrix.shape[0])


class Products:
    """``G D G'`` for the diagonals ``D`` of several fields: its diagonal, and what is below it.

    Parameters
    ----------
    rows : csr_array of shape (n_rows, n_points)
        ``G``, canonical.
    variance : ndarray of shape (n_fields, n_points)
        The diagonals of ``D``.

    Attributes
    ----------
    diagonal : ndarray of shape (n_fields, n_rows)
        The diagonals of ``G D G'``.
    row, column : ndarray of shape (n_pairs,)
        Where there are entries below the diagonal. None if no two rows share a point.
    lower : ndarray of shape (n_pairs, n_fields)
        These entries.
    """

    def __init__(self, rows: sparse.csr_array, variance: np.ndarray) -> None:
        self.rows = rows
        self.variance = variance
        self._squared = rows.power(2)
        self._terms: sparse.csr_array | None = None
        self.diagonal = times(self._squared, variance)
        self.row = self.column = np.empty(0, dtype=np.intp)
        self.lower = np.empty((0, len(variance)))
        if rows.nnz and np.bincount(rows.indices).max() > 1:
            self._multiply(variance)

    def _multiply(self, variance: np.ndarray) -> None:
        if len(variance) == 1:
            rows = self.rows
            scaled = (rows.data * variance[0][rows.indices], rows.indices, rows.indptr)
            product = sparse.tril(sparse.csr_array(scaled, rows.shape) @ rows.T, -1, format="coo")
            self.row, self.column = product.row, product.col
            self.lower = product.data[:, None]
        else:
            self.row, self.column, self._terms = _pairs(self.rows)
            self.lower = np.ascontiguousarray(times(self._terms, variance).T)

    def quadratic(self, diagonal: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Return ``diag(G' Z G)`` for symmetric ``Z``, known where ``G D G'`` has entries.

        Parameters
        ----------
        diagonal : ndarray of shape (n_fields, n_rows)
            The diagonal of ``Z``.
        lower : ndarray of shape (n_pairs, n_fields)
            Its entries at `row` and `column`.

        Returns
        -------
        ndarray of shape (n_fields, n_points)
            One number a point.
        """
        result = times(self._squared.T.tocsr(), diagonal)
        if self._terms is not None:
            result += 2.0 * times(self._terms.T.tocsr(), np.ascontiguousarray(lower.T))
        elif len(lower):
            shape = (self.rows.shape[0],) * 2
            below = sparse.csr_array((lower[:, 0], (self.row, self.column)), shape=shape)
            result += 2.0 * (below @ self.rows).multiply(self.rows).sum(axis=0)
        return result


def _pairs(rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray, sparse.csr_array]:
    """List the pairs of rows that share points, and the products of their entries there.

    Returns
    -------
    row, column : ndarray of shape (n_pairs,)
        The pairs, ``row > column``.
    terms : csr_array of shape (n_pairs, n_points)
        ``terms @ variance`` are the entries of ``G D G'`` at the pairs.
    """
    columns = rows.tocsc()
    sizes = np.diff(columns.indptr)
    partners = np.repeat(sizes, sizes)  # how many entries stand in the column of each entry
    first = np.repeat(np.arange(columns.nnz), partners)
    within = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    second = np.repeat(np.repeat(columns.indptr[:-1], sizes), partners) + within
    below = columns.indices[first] > columns.indices[second]
    first, second = first[below], second[below]
    key = columns.indices[first].astype(np.int64) * rows.shape[0] + columns.indices[second]
    pairs, number = np.unique(key, return_inverse=True)
    point = np.repeat(np.arange(rows.shape[1]), sizes)[first]
    products = columns.data[first] * columns.data[second]
    terms = sparse.csr_array((products, (number, point)), shape=(len(pairs), rows.shape[1]))
    return *np.divmod(pairs, rows.shape[0]), terms

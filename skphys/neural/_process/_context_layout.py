"""Rows of X that begin with a set of contexts, and the points that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ContextLayout:
    """How the columns of X are read: contexts (coordinates, value) flat, then query columns.

    Attributes
    ----------
    n_context : int
        Number of contexts in a row.
    n_query : int
        Number of query columns.
    points : ndarray of shape (n_points, n_axes)
        Coordinates of the points of a field.
    """

    n_context: int
    n_query: int
    points: NDArray[np.float64]

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of a point: query columns and axes of the grid."""
        return self.n_query + self.points.shape[1]

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.n_context * (self.n_coordinates + 1) + self.n_query

    def split(self, X: Floats) -> ContextRows:
        """Return the contexts of the rows of X, each set once, and the queries."""
        n_flat = self.n_features - self.n_query
        sets, function = _distinct(X[:, :n_flat])
        contexts = sets.reshape(len(sets), self.n_context, self.n_coordinates + 1)
        return ContextRows(contexts, X[:, n_flat:], function)

    def parts(self, X: NDArray[np.floating]) -> list[tuple[str, NDArray[np.floating]]]:
        """Return contexts, queries and points of fields with what they are, a row for each."""
        n_flat = self.n_features - self.n_query
        contexts = X[:, :n_flat].reshape(-1, self.n_coordinates + 1)
        return [("contexts in X", contexts), ("query in X", X[:, n_flat:]), ("grid", self.points)]


@dataclass(frozen=True, eq=False)
class ContextRows:
    """Rows of X, taken apart.

    Attributes
    ----------
    contexts : ndarray of shape (n_functions, n_context, n_coordinates + 1)
        Distinct sets of contexts, in the order of their first row.
    queries : ndarray of shape (n_rows, n_query)
        Query columns.
    function : ndarray of shape (n_rows,)
        Which set of contexts a row has.
    """

    contexts: Floats
    queries: Floats
    function: NDArray[np.intp]


def read_layout(n_features: int, n_query: int | str, points: NDArray[np.float64]) -> ContextLayout:
    """Return the layout of X that `n_query` and the coordinates of the field's points imply."""
    if n_query == "all":
        return ContextLayout(0, n_features, points)
    n_query = int(n_query)
    width = n_query + points.shape[1] + 1
    n_context, rest = divmod(n_features - n_query, width)
    if n_context < 0 or rest:
        raise ValueError(
            f"X has {n_features} column(s), of which the last n_query={n_query} are the query and "
            f"the others must be contexts of {width} columns each ({n_query} query coordinate(s), "
            f"{points.shape[1]} of the grid, 1 value), but {n_features} - {n_query} = "
            f"{n_features - n_query} is not a multiple of {width}. Set n_query to the number of "
            f"query columns, or to 'all' if X has no contexts."
        )
    return ContextLayout(n_context, n_query, points)


def _distinct(rows: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return bitwise distinct rows in order of appearance, and which of them each row is."""
    if rows.shape[1] == 0:
        return rows[:1], np.zeros(len(rows), dtype=np.intp)
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rows[first[order]], rank[inverse]

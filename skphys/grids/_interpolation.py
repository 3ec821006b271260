"""Piecewise multilinear interpolation from nodes to queries, as sparse weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphys.grids._checks import Vector


def interpolation_matrix(nodes: Sequence[Vector], queries: Vector) -> csr_array:
    """Return the weights of the nodes of a tensor product at queries inside it.

    `nodes` holds the coordinates of each axis (two or more) and `queries` has shape
    (n_queries, n_axes). The result has shape (n_queries, n_nodes), nodes in C order; its rows
    sum to one, and the row of a query on a node is a unit row.
    """
    n_queries = len(queries)
    columns = np.zeros((n_queries, 1), dtype=np.intp)
    weights = np.ones((n_queries, 1))
    for axis, points in zip(nodes, queries.T, strict=True):
        left, fraction = _bracket(axis, points)
        pair = np.stack([1.0 - fraction, fraction], axis=-1)
        ends = left[:, None] + np.arange(2)
        columns = (columns[:, :, None] * axis.size + ends[:, None, :]).reshape(n_queries, -1)
        weights = (weights[:, :, None] * pair[:, None, :]).reshape(n_queries, -1)
    indptr = np.arange(n_queries + 1) * columns.shape[1]
    shape = (n_queries, math.prod(axis.size for axis in nodes))
    matrix = csr_array((weights.ravel(), columns.ravel(), indptr), shape=shape)
    matrix.eliminate_zeros()
    return matrix


def _bracket(nodes: Vector, points: Vector) -> tuple[NDArray[np.intp], Vector]:
    """Return the interval of each point, and how far into it the point lies, from 0 to 1."""
    left = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, nodes.size - 2)
    fraction = (points - nodes[left]) / (nodes[left + 1] - nodes[left])
    return left, np.clip(fraction, 0.0, 1.0)

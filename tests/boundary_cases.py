"""Boundaries of every mix of types, and what they say in plain loops over the points."""

import itertools

import numpy as np

from skphys.constraints import Dirichlet, Neumann, Periodic, Robin
from skphys.grids import Axis, Grid

KINDS = {
    "dirichlet": lambda order: Dirichlet(order=order),
    "neumann": lambda order: Neumann(order=order),
    "robin": lambda order: Robin(2.0, 0.5, order=order),
    "free": lambda order: None,
}
PAIRS = [*itertools.product(KINDS, repeat=2), "periodic"]


def along_axis(pair, order=2):
    """Return what stands for an axis in a boundary."""
    return Periodic() if pair == "periodic" else tuple(KINDS[kind](order) for kind in pair)


def uneven(n, seed=0):
    """Return coordinates with spacings that differ by up to 3."""
    return np.cumsum(np.random.default_rng(seed).uniform(0.5, 1.5, n))


def grid_of(location="nodes", **sizes):
    """Return an uneven grid."""
    axes = {}
    for seed, (name, n) in enumerate(sizes.items()):
        axes[name] = uneven(n, seed) if location == "nodes" else Axis.cells(uneven(n + 1, seed))
    return Grid(**axes)


def dense_rows(constraints, grid):
    """Return the rows of all faces, scaled to a largest entry of 1."""
    rows = np.vstack([constraint.rows(grid).toarray() for _, constraint in constraints])
    return rows / np.abs(rows).max(axis=1, keepdims=True)

"""Bounds and monotone fields of independent points: split into parts, each with its equalities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skphys.conditioning._inequality._chains import Chains, carry, find_chains
from skphys.conditioning._inequality._linear import singles
from skphys.conditioning._inequality._problem import Problem
from skphys.conditioning._inequality._search import Chained, project_pieces, search

CHUNK = 1 << 16  # values of the fields that are projected together
FLAT = 1e-200  # a share of the largest variance as small as this is none
TOLERANCE = 1e-10


def project_chained(problem: Problem, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Project fields of independent points, if the inequalities are chains and bounds.

    Parameters
    ----------
    problem : Problem
        Several fields.
    variance : ndarray of shape (n_fields, n_points)
        Of their points.

    Returns
    -------
    fields : ndarray of shape (n_fields, n_points)
        The projections.
    solved : ndarray of bool of shape (n_fields,)
        False where a field is left to other methods.
        None in place of both where the inequalities have another form.
    """
    found = find_chains(problem)
    if found is None:
        return None
    chains, low, high = found
    order = chains.order
    fixed = variance <= FLAT * variance.max(axis=1, keepdims=True)
    rows = sparse.csr_array(problem.rows)
    mean, fixed, pins = _pinned(problem, rows, fixed)
    tolerance = TOLERANCE * np.abs(mean).max(axis=1, keepdims=True)
    *bounds, feasible, solvable = carry(chains, low, high, fixed, mean, tolerance)
    positive = np.where(fixed, 1e-30 * variance.max(axis=1, keepdims=True) + 1e-300, variance)
    part = Chained(mean[:, order], positive[:, order], *bounds)
    solved = feasible & solvable
    out = part.mean.copy()
    some, ordered = np.flatnonzero(solved), sparse.csr_array(rows[:, order])
    parts = list(_parts(chains, ordered, pins))
    if max(len(own) for _, own in parts) > 1:
        return mean.copy(), np.zeros(len(mean), dtype=bool)
    for points, own in parts:
        sides = (side[some][:, own] for side in (problem.values, problem.noise))
        fields, met = _solve(part.take(some, points), ordered[own][:, points], *sides)
        out[np.ix_(some, points)] = fields
        solved[some] &= met
    restored = np.empty_like(out)
    restored[:, order] = out
    return restored, solved


def _pinned(
    problem: Problem, rows: sparse.csr_array, fixed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move the points that exact rows name one by one, and fix them there."""
    mean = problem.mean
    pins, points, scale = singles(rows, (problem.noise == 0).all(axis=0))
    if len(pins):
        mean, fixed = mean.copy(), fixed.copy()
        given = problem.values[:, pins] / scale
        mean[:, points] = np.where(fixed[:, points], mean[:, points], given)
        fixed[:, points] = True
    return mean, fixed, pins


def _parts(
    chains: Chains, rows: sparse.csr_array, pins: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the points and the rows that have to do with each other; points are in chain order."""
    n_chains = len(chains.lengths)
    own = np.setdiff1d(np.flatnonzero(np.diff(rows.indptr)), pins)
    row, point = rows[own].nonzero()
    size = n_chains + len(own)
    links = sparse.coo_array(
        (np.ones(len(row)), (n_chains + row, chains.labels[point])), shape=(size, size)
    )
    _, label = connected_components(links, directed=False)
    of_point, of_row = label[chains.labels], label[n_chains:]
    alone = ~np.isin(of_point, of_row)
    if alone.any():
        yield np.flatnonzero(alone), own[:0]
    for part in np.unique(of_row):
        yield np.flatnonzero(of_point == part), own[of_row == part]


def _solve(
    part: Chained, rows: sparse.csr_array, values: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Project with one equality or none."""
    n_fields, n_points = part.mean.shape
    out, met = np.empty((n_fields, n_points)), np.ones(n_fields, dtype=bool)
    bare = noise.shape[1] == 0
    row = np.zeros(n_points) if bare else rows.toarray()[0]
    size = max(1, CHUNK // n_points)
    for at in (slice(start, start + size) for start in range(0, n_fields, size)):
        chunk = part.take(at, slice(None))
        if bare:
            out[at] = project_pieces(chunk, row, np.zeros(len(chunk.mean))).fields(chunk.mean.shape)
        else:
            out[at], met[at] = search(chunk, row, values[at, 0], noise[at, 0] ** 2)
    return out, met

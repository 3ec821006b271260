"""Displacements where a law holds at each of many indices: one a line of points, smooth over them.

A field over (t, x) whose mass is known at each t has a line of points at each t. How far these are
displaced is a polynomial in t, of which the most probable one is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
from scipy import sparse

from skphys.conditioning import Covariance, Gaussian, log_evidence
from skphys.estimators._covariances import Where
from skphys.estimators._displacement import Displacement, axis_last
from skphys.estimators._moved_members import PLACES, ROUNDING, TINY, Moved, keep_likeliest, shares
from skphys.grids import Axis, Grid

MODES, DECAY = 8, 0.5  # number of polynomials, and how much narrower each degree is
NEWTON, PARTS = 6, (0.0, 1.0, 0.3)  # steps, and parts of each that are tried
NEARLY = 1e-6  # part of a reading's usual change that it is never known better than


@dataclass(frozen=True)
class Lines:
    """Points by lines along an axis, and laws each of which reads one line.

    Attributes
    ----------
    where : Where
        Where the points of each line are.
    points : ndarray of int of shape (n_lines, n_along)
        Which points a line has.
    modes : ndarray of shape (n_lines, n_modes)
        How far coefficients, standard normal, displace a line, in units of the width.
    laws : ndarray of int of shape (n_laws,)
        The rows that read a line.
    rows : ndarray of shape (n_laws, n_along)
        How they read it.
    read : ndarray of int of shape (n_laws,)
        The line that each reads.
    """

    where: Where
    points: np.ndarray
    modes: np.ndarray
    laws: np.ndarray
    rows: np.ndarray
    read: np.ndarray

    def moved(self, move: Displacement, fields: np.ndarray, far: np.ndarray) -> np.ndarray:
        """Return fields (..., n_points) with lines displaced by (..., n_lines) widths."""
        found = np.empty_like(fields)
        lines = fields[..., self.points]
        found[..., self.points] = move.moved(lines, self.where, far * move.width)
        return found

    def reads(self, move: Displacement, fields: np.ndarray) -> np.ndarray:
        """Return what laws read of fields at all places, (..., n_laws, n_places)."""
        pulled = move.pulled(self.rows, self.where, PLACES * move.width).transpose(1, 2, 0)
        lines = np.moveaxis(fields[..., self.points[self.read]], -2, 0)
        found = lines.reshape(len(lines), -1, lines.shape[-1]) @ pulled
        return np.moveaxis(found.reshape(*lines.shape[:-1], len(PLACES)), 0, -2)


def lines_of(rows: Any, where: Where, name: str) -> Lines | None:
    """Return the lines along an axis if each law reads one of several, else None.

    Rows that read less than half as many points as a line has, as those of boundaries do, are no
    laws.
    """
    grid = where.grid
    if not isinstance(grid, Grid) or where.interpolation is not None:
        return None
    n_along = grid.axes[name].size
    points, _ = axis_last(np.arange(grid.n_points), where, name, n_along)
    points = points.reshape(-1, n_along)
    if len(points) == 1:
        return None
    line, position = np.empty((2, grid.n_points), dtype=int)
    line[points], position[points] = np.indices(points.shape)
    entries = sparse.csr_array(rows, copy=True)
    entries.eliminate_zeros()
    laws = np.flatnonzero(2 * np.diff(entries.indptr) >= n_along)
    entries = entries[laws].tocoo()
    row, column = entries.coords
    read = np.zeros(len(laws), dtype=int)
    read[row] = line[column]
    if not len(laws) or (line[column] != read[row]).any():
        return None
    dense = np.zeros((len(laws), n_along))
    dense[row, position[column]] = entries.data
    modes = _modes([axis for other, axis in grid.axes.items() if other != name])
    return Lines(Where(Grid(**{name: grid.axes[name]})), points, modes, laws, dense, read)


def _modes(axes: list[Axis]) -> np.ndarray:
    """Return polynomials on the product of axes, (n_lines, n_modes), of mean square one in all."""
    each = []
    for axis in axes:
        at = axis.points - axis.points[0]
        at = 2.0 * at / (at[-1] or 1.0) - 1.0
        powers = np.arange(min(MODES, len(at)))
        each.append(np.polynomial.legendre.legvander(at, len(powers) - 1) * DECAY**powers)
    modes = []
    for degrees in sorted(product(*(range(m.shape[1]) for m in each)), key=sum)[:MODES]:
        factors = (m[:, degree] for m, degree in zip(each, degrees, strict=True))
        modes.append(reduce(lambda one, other: np.outer(one, other).ravel(), factors))
    found = np.stack(modes, axis=1)
    return found / np.sqrt(np.mean(np.sum(found**2, axis=1)))


def follow_law(
    members: np.ndarray,
    move: Displacement,
    covariance: Callable[[np.ndarray, np.ndarray, np.ndarray], Covariance],
    law: Any,
    lines: Lines,
    scales: tuple[float, ...],
) -> Moved:
    """Find how far each line of each member has to be moved, by what the law reads of it.

    Parameters
    ----------
    members : ndarray of shape (n_members, n_fields, n_points)
        Equally likely.
    move : Displacement
        Along which axis, how, and how far.
    covariance : callable
        Makes the covariance of what is left of errors, of the moved members, how likely they are,
        (n_members, n_fields), and by how much they were moved, (n_members, n_fields, n_lines).
    law : EqualitySystem
        What must hold.
    lines : Lines
        Of its rows.
    scales : tuple of float
        Factors by which errors, and distances, may be larger.
    """
    reads, values = lines.reads(move, members), law.values[:, lines.laws]
    modes = lines.modes[lines.read]
    usual = np.ptp(reads[..., np.abs(PLACES) <= 1.0], axis=-1)
    noise = np.square(np.broadcast_to(law.noise, law.values.shape)[:, lines.laws])
    noise = noise + (NEARLY * usual) ** 2 + ROUNDING * values**2 + TINY
    weights, moved = np.full(members.shape[:2], 1.0 / len(members)), members
    far = np.zeros((*members.shape[:2], len(lines.modes)))
    starts: list[np.ndarray] = []
    for _ in range(2):  # what is left of errors is known once members are moved
        left = covariance(moved, weights, far)
        known = np.broadcast_to(left.row_variance(law.rows), law.values.shape)[:, lines.laws]
        variance = known + noise
        if not starts:
            cost = (values[..., None] - reads) ** 2 / variance[..., None]
            starts = _starts(cost, PLACES, modes)
        coefficients = most_probable(starts, reads, values, variance, modes)
        starts, far = [coefficients], coefficients @ lines.modes.T
        moved = lines.moved(move, members, far)
        at, slope = _at(reads, far[..., lines.read])
        likely = -0.5 * np.sum((values - at) ** 2 / variance + np.log(variance), axis=-1)
        weights = shares(likely + _prior_mass(coefficients, slope**2 / variance, modes))
    left = covariance(moved, weights, far)
    logs = log_evidence(Gaussian(moved, left), law.rows, law.values, law.noise, scales)
    for c, log in zip(scales, logs, strict=True):
        curve = slope**2 / (c**2 * known + noise)
        log += _prior_mass(coefficients / c, c**2 * curve, modes)
    return keep_likeliest(moved, logs - np.log(len(members)), left)


def most_probable(
    starts: Sequence[np.ndarray],
    reads: np.ndarray,
    values: np.ndarray,
    variance: np.ndarray,
    modes: np.ndarray,
) -> np.ndarray:
    """Return the most probable coefficients (..., n_modes), by Gauss-Newton steps from the starts.

    Parameters
    ----------
    starts : sequence of ndarray of shape (..., n_modes)
        No step makes them less probable.
    reads : ndarray of shape (..., n_laws, n_places)
        What the law reads, at places between which it is linear.
    values, variance : ndarray of shape (..., n_laws)
        What it should read, and how well that is known.
    modes : ndarray of shape (n_laws, n_modes)
        How coefficients displace.
    """

    def missed(far: np.ndarray) -> np.ndarray:
        return (values - _at(reads, far)[0]) ** 2 / variance

    found = _least(starts, modes, missed)
    for _ in range(NEWTON):
        far = found @ modes.T
        at, slope = _at(reads, far)
        curve = slope**2 / variance
        goal = _solved(modes, curve, curve * far + slope * (values - at) / variance)
        found = _least([found + part * (goal - found) for part in PARTS], modes, missed)
    return found


def aligned(cost: np.ndarray, places: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Return likely coefficients (..., n_modes).

    Parameters
    ----------
    cost : ndarray of shape (..., n_lines, n_places)
        Minus twice the log density of each line, moved to each place.
    places : ndarray of shape (n_places,)
        In units of the width.
    modes : ndarray of shape (n_lines, n_modes)
        How coefficients displace.
    """
    return _least(_starts(cost, places, modes), modes, lambda far: _at(cost, far, places)[0])


def _starts(cost: np.ndarray, places: np.ndarray, modes: np.ndarray) -> list[np.ndarray]:
    """Return coefficients that displace all lines alike, and such that join their best places."""
    even = np.zeros((*cost.shape[:-2], modes.shape[1]))
    constant = modes[0, 0]
    alike = (cost.sum(axis=-2) + (places / constant) ** 2).argmin(axis=-1)
    even[..., 0] = places[alike] / constant
    total = cost + places**2
    best = np.clip(total.argmin(axis=-1), 1, len(places) - 2)
    low, here, high = (
        np.take_along_axis(total, best[..., None] + k, axis=-1)[..., 0] for k in (-1, 0, 1)
    )
    left, right = places[best] - places[best - 1], places[best + 1] - places[best]
    rise, fall = (high - here) / right, (low - here) / left  # a parabola through three places
    curve = np.maximum((rise + fall) / (left + right), TINY)
    step = 0.5 * (fall * right - rise * left) / (left + right) / curve
    nearest = places[best] + np.clip(step, -0.5 * left, 0.5 * right)
    return [even, _solved(modes, np.maximum(curve - 1.0, 0.0), curve * nearest)]


def _solved(modes: np.ndarray, curve: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Return coefficients at the least of ``sum(curve d^2 - 2 pull d) + sum(c^2)``."""
    return np.linalg.solve(_precision(modes, curve), (pull @ modes)[..., None])[..., 0]


def _least(
    tried: Sequence[np.ndarray], modes: np.ndarray, cost: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return those coefficients that cost least, of what lines cost by how far they are moved."""
    costs = [cost(c @ modes.T).sum(axis=-1) + np.sum(c**2, axis=-1) for c in tried]
    best = np.stack(costs).argmin(axis=0)
    return np.take_along_axis(np.stack(tried), best[None, ..., None], axis=0)[0]


def _at(
    reads: np.ndarray, far: np.ndarray, places: np.ndarray = PLACES
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is read of fields displaced by (..., n_laws) widths, and how it changes."""
    inside = np.clip(far, places[0], places[-1])
    k = np.clip(np.searchsorted(places, inside, side="right") - 1, 0, len(places) - 2)
    one, other = (np.take_along_axis(reads, (k + i)[..., None], axis=-1)[..., 0] for i in (0, 1))
    slope = (other - one) / (places[k + 1] - places[k])
    return one + slope * (inside - places[k]), np.where(inside == far, slope, 0.0)


def _prior_mass(coefficients: np.ndarray, curve: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Return the log of how likely coefficients are before the law, and by how much after it.

    That is Laplace's approximation: the density at the most probable ones times their range.
    """
    log_det = np.linalg.slogdet(_precision(modes, curve))[1]
    return -0.5 * (np.sum(coefficients**2, axis=-1) + log_det)


def _precision(modes: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the inverse covariance of coefficients, given lines with curvatures (..., n_lines)."""
    return (modes.T * curve[..., None, :]) @ modes + np.eye(modes.shape[1])

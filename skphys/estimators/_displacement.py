"""Fields that are moved along an axis: near a front a backbone errs in where, not in how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skphys.estimators._covariances import Where
from skphys.grids import Axis, Components, Grid, shared_grid

# How far a point moves, by its position from 0 to 1 along the axis: all points alike, or none at
# the left end, the right end, both.
PROFILES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shift": np.ones_like,
    "stretch": lambda u: u,
    "flip": lambda u: 1.0 - u,
    "bump": lambda u: 4.0 * u * (1.0 - u),
}
STAYS = 0.1  # part of standard deviations that is not displaced
N_STEPS, FARTHEST, CURVATURE = 17, 8.0, 3.0
# In units of the width: dense where displacements are likely, and far enough for wide ones.
_EVEN = np.linspace(-1.0, 1.0, N_STEPS)
STEPS = FARTHEST * np.sinh(CURVATURE * _EVEN) / np.sinh(CURVATURE)
CELLS = np.gradient(STEPS)


@dataclass(frozen=True)
class Displacement:
    """Along which axis fields are displaced, how, and how far.

    A field ``m`` becomes ``m(x - d p(x))``; ``d`` is normal, one number for each field, or where a
    law reads each of many lines along the axis, one for each line.

    Attributes
    ----------
    axis : str
        Its name.
    profile : str
        ``p``, of `PROFILES`; 1 where a point moves by all of ``d``.
    width : float
        Standard deviation of ``d``, in parts of the axis' length.
    """

    axis: str
    profile: str
    width: float

    def moved(self, values: np.ndarray, where: Where, distance: Any) -> np.ndarray:
        """Return fields (..., n_points) displaced by a distance, in parts of the axis' length.

        The distance is one for all, or an array of one a field: (n_fields,) for fields
        (..., n_fields, n_points), or of all of their leading shape.
        """
        at = self._sources(where, np.asarray(distance))
        return _read(values, where, self.axis, at)

    def pulled(self, rows: np.ndarray, where: Where, distances: np.ndarray) -> np.ndarray:
        """Return rows that read of a field what `rows` (n_rows, n_points) read of the moved one.

        Shape (n_distances, n_rows, n_points).
        """
        position, axis = _coordinates(where)[self.axis]
        columns, left, part = _between(position, axis, self._sources(where, distances))
        n_distances, n_points = left.shape
        ends = np.concatenate([columns[left], columns[left + 1]], axis=1)
        ends = ends + n_points * np.arange(n_distances)[:, None]
        weights = np.concatenate([1.0 - part, part], axis=1)
        here = np.tile(np.arange(n_points), 2 * n_distances)
        shape = (n_distances * n_points, n_points)
        reading = sparse.csr_array((weights.ravel(), (ends.ravel(), here)), shape=shape)
        along, restore = axis_last(rows, where, self.axis, n_points)
        read = (reading @ along.reshape(-1, n_points).T).reshape(n_distances, n_points, -1)
        return np.stack([restore(each.T.reshape(along.shape)) for each in read])

    def _sources(self, where: Where, distance: np.ndarray) -> np.ndarray:
        """Return from where each point is read, of shape (..., n_positions)."""
        position, axis = _coordinates(where)[self.axis]
        low, span = _extent(position, axis)
        ahead = PROFILES[self.profile]((position - low) / span)
        return position - distance[..., None] * span * ahead

    def applied(
        self, mean: np.ndarray, std: np.ndarray, where: Where, distance: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations, displaced.

        A part of the standard deviations stays where it was, so that a field that can be moved onto
        a law still can.
        """
        moved = self.moved(np.stack([mean, std]), where, distance)
        return moved[0], np.hypot(moved[1], STAYS * std)


def displaceable(where: Where, rows: Any = None) -> dict[str, tuple[str, ...]]:
    """Return the profiles along each axis by which fields can be displaced.

    A displacement needs points that have an order: those of a mesh and of cells that only count
    points have none. Components on one grid are displaced together, as the density, the momentum
    and the energy at a shock are; on several grids they are not. It leaves an end of an axis alone
    where most of the points are fixed one by one by `rows` (n_rows, n_points), as a Dirichlet
    condition does.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, (position, axis) in _coordinates(where).items():
        names = ("shift",) if axis.period else tuple(PROFILES)
        if len(position) > 2:
            ends = np.array([0.0, 1.0])[_held_ends(rows, where, name, position)]
            found[name] = tuple(p for p in names if not PROFILES[p](ends).any())
    return found


def _held_ends(rows: Any, where: Where, name: str, position: np.ndarray) -> np.ndarray:
    """Say at which ends of an axis most points have rows of their own."""
    if rows is None:
        return np.zeros(2, dtype=bool)
    entries = sparse.csr_array(rows, copy=True)
    entries.eliminate_zeros()
    held = np.zeros(rows.shape[1])
    held[entries[np.diff(entries.indptr) == 1].indices] = 1.0
    along, _ = axis_last(held, where, name, len(position))
    parts = along.reshape(-1, len(position)).mean(axis=0)
    return parts[[position.argmin(), position.argmax()]] > 0.5


def has_places(where: Where) -> bool:
    """Say whether points are places of one quantity, and not series, species or components."""
    grid = where.grid
    return not isinstance(grid, Components) and not (isinstance(grid, Grid) and _only_counts(grid))


def _coordinates(where: Where) -> dict[str, tuple[np.ndarray, Axis]]:
    """Return the positions of the points along each axis: of an axis, or of nodes and queries."""
    grid = _grid_of(where)
    if grid is None or _only_counts(grid):
        return {}
    if where.interpolation is None:
        return {name: (axis.points, axis) for name, axis in grid.axes.items()}
    if grid.n_axes > 1:
        return {}
    ((name, axis),) = grid.axes.items()
    queries = where.interpolation @ axis.points
    return {name: (np.append(axis.points, queries), axis)}


def _grid_of(where: Where) -> Grid | None:
    """Return the grid, or that which all components share; None if there is none."""
    grid = where.grid
    return shared_grid(grid) if isinstance(grid, Grid | Components) else None


def _only_counts(grid: Grid) -> bool:
    """Say whether a grid is that of `Grid.unit`, whose points are series or species."""
    if grid.names != ("x",) or grid.axes["x"].edges is None:
        return False
    return bool(np.array_equal(grid.axes["x"].edges, np.arange(grid.n_points + 1)))


def _extent(position: np.ndarray, axis: Axis) -> tuple[float, float]:
    span = float(axis.period or np.ptp(position))
    return float(position.min()), span


def _read(values: np.ndarray, where: Where, name: str, at: np.ndarray) -> np.ndarray:
    """Return fields read elsewhere along an axis, linearly, and beyond its ends as at the ends."""
    position, axis = _coordinates(where)[name]
    columns, left, part = _between(position, axis, at)
    fields, restore = axis_last(values, where, name, len(position))
    one, other = columns[left], columns[left + 1]
    if at.ndim == 1:
        return restore(fields[..., one] * (1.0 - part) + fields[..., other] * part)
    across = (..., *(None,) * (fields.ndim - values.ndim), slice(None))
    one, other, part = (each[across] for each in (one, other, part))
    first, second = (
        np.take_along_axis(fields, np.broadcast_to(each, fields.shape), axis=-1)
        for each in (one, other)
    )
    return restore(first * (1.0 - part) + second * part)


def _between(
    position: np.ndarray, axis: Axis, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points in order, which of them is left of each place, and how far it is on."""
    order = np.argsort(position, kind="stable")
    knots, columns = position[order], order
    if axis.period:
        low = knots[0]
        at = low + np.mod(at - low, axis.period)
        knots, columns = np.append(knots, low + axis.period), np.append(columns, columns[0])
    at = np.clip(at, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    gap = knots[left + 1] - knots[left]
    part = np.where(gap > 0.0, (at - knots[left]) / np.where(gap > 0.0, gap, 1.0), 0.0)
    return columns, left, part


def axis_last(
    values: np.ndarray, where: Where, name: str, n_points: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return fields with an axis at the end, and what brings them back to their shape."""
    shape, k = _shape(where, n_points), _position(where, name)
    lead = values.shape[:-1]
    place = len(lead) + k
    fields = np.moveaxis(values.reshape(*lead, *shape), place, -1)
    return fields, lambda array: np.moveaxis(array, -1, place).reshape(values.shape)


def _shape(where: Where, n_points: int) -> tuple[int, ...]:
    if where.interpolation is not None:
        return (n_points,)
    grid = where.grid
    if not isinstance(grid, Components):
        return tuple(grid.shape)
    return (len(grid.grids), *next(iter(grid.grids.values())).shape)


def _position(where: Where, name: str) -> int:
    if where.interpolation is not None:
        return 0
    grid = where.grid
    if not isinstance(grid, Components):
        return list(grid.names).index(name)
    return 1 + list(next(iter(grid.grids.values())).names).index(name)


def log_steps(factor: float) -> Any:
    """Return the log probabilities of the steps for a width that is larger by a factor."""
    logs = -0.5 * (STEPS / factor) ** 2 + np.log(CELLS)
    return logs - np.logaddexp.reduce(logs)

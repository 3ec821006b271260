"""Fields that are moved along an axis: near a front a backbone errs in where, not in how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skphys.estimators._covariances import Where
from skphys.grids import Axis, Components, Grid

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

    A field ``m`` becomes ``m(x - d p(x))``; ``d`` is normal, one number for each field.

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

    def moved(self, values: np.ndarray, where: Where, distance: float) -> np.ndarray:
        """Return fields (..., n_points) displaced by a distance, in parts of the axis' length."""
        position, axis = _coordinates(where)[self.axis]
        low, span = _extent(position, axis)
        ahead = PROFILES[self.profile]((position - low) / span)
        return _read(values, where, self.axis, position - distance * span * ahead)

    def applied(
        self, mean: np.ndarray, std: np.ndarray, where: Where, distance: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return means and standard deviations, displaced.

        A part of the standard deviations stays where it was, so that a field that can be moved onto
        a law still can.
        """
        moved = self.moved(np.stack([mean, std]), where, distance)
        return moved[0], np.hypot(moved[1], STAYS * std)


def displaceable(where: Where) -> dict[str, tuple[str, ...]]:
    """Return the profiles along each axis on which fields can be displaced.

    A displacement needs points that have an order: those of a mesh, of several components and of
    cells that only count points have none.
    """
    return {
        name: ("shift",) if axis.period else tuple(PROFILES)
        for name, (position, axis) in _coordinates(where).items()
        if len(position) > 2
    }


def has_places(where: Where) -> bool:
    """Say whether points are places of one quantity, and not series, species or components."""
    grid = where.grid
    return not isinstance(grid, Components) and not (isinstance(grid, Grid) and _only_counts(grid))


def _coordinates(where: Where) -> dict[str, tuple[np.ndarray, Axis]]:
    """Return the positions of the points along each axis: of an axis, or of nodes and queries."""
    grid = where.grid
    if not isinstance(grid, Grid) or _only_counts(grid):
        return {}
    if where.interpolation is None:
        return {name: (axis.points, axis) for name, axis in grid.axes.items()}
    if grid.n_axes > 1:
        return {}
    ((name, axis),) = grid.axes.items()
    queries = where.interpolation @ axis.points
    return {name: (np.append(axis.points, queries), axis)}


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
    shape, k = _shape(where, len(position)), _position(where, name)
    lead = values.shape[:-1]
    fields = np.moveaxis(values.reshape(*lead, *shape), len(lead) + k, -1)
    read = fields[..., columns[left]] * (1.0 - part) + fields[..., columns[left + 1]] * part
    return np.moveaxis(read, -1, len(lead) + k).reshape(values.shape)


def _shape(where: Where, n_points: int) -> tuple[int, ...]:
    return where.grid.shape if where.interpolation is None else (n_points,)


def _position(where: Where, name: str) -> int:
    return list(where.grid.names).index(name) if where.interpolation is None else 0


def log_steps(factor: float) -> Any:
    """Return the log probabilities of the steps for a width that is larger by a factor."""
    logs = -0.5 * (STEPS / factor) ** 2 + np.log(CELLS)
    return logs - np.logaddexp.reduce(logs)

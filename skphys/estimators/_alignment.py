"""Displacements of held-out fields, as they are likely when the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.conditioning import Covariance
from skphys.estimators._base_errors import HeldOut
from skphys.estimators._displacement import STAYS, Displacement, displaceable
from skphys.estimators._lines import aligned, lines_of
from skphys.estimators._moved_members import (
    MAX_ROWS,
    has_points,
    moved_spread,
    shares,
    some_members,
)
from skphys.estimators._parts import Part

SHARED = 0.1  # part of a point's residual variance that is that of all points
WIDEST = 0.1  # standard deviation of displacements before any data, in parts of the axis' length
TRIALS = 4.0 * np.sinh(np.linspace(-4.0, 4.0, 61)) / np.sinh(4.0)  # in its units
NARROWEST = 1e-4  # part of an axis' length: less is no displacement
TINY = 1e-12  # part of usual errors, below which members are right
SOME_MEMBERS = 20  # that are aligned with held-out fields


@dataclass(frozen=True)
class Seen:
    """A batch of held-out fields, and what is said of them.

    Attributes
    ----------
    part : HeldOut
        The batch.
    std : ndarray of shape (n_fields, n_points)
        Standard deviations as stated, or 1.
    unit : ndarray of shape (n_outputs,) or float
        By which errors at points are judged: of series and species, the usual error of each.
    """

    part: HeldOut
    std: np.ndarray
    unit: Any = 1.0

    @property
    def mean(self) -> np.ndarray:
        """Means, of shape (n_fields, n_points)."""
        return self.part.fields.prediction.mean

    def at_truth(self, values: np.ndarray) -> np.ndarray:
        """Return values at the points whose truth is known."""
        return values[..., self.part.fields.shown]


def residuals_of(batch: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Return errors in units of the standard deviation, and where there is one."""
    std = batch.at_truth(batch.std)
    counts = std > 0.0
    error = batch.part.truth - batch.at_truth(batch.mean)
    return np.where(counts, error / np.where(counts, std, 1.0), 0.0), counts


def spread_of(residuals: Any, stated: bool, same: bool, shared: float) -> np.ndarray:
    """Return the root mean square of residuals: one number, or one a point if nothing is stated.

    What points share of it assumes that they are places of one quantity; series differ in size.
    """
    if not stated and same:
        square = np.concatenate([values for values, _ in residuals]) ** 2
        at_points = square.mean(axis=0)
        return np.sqrt((1.0 - shared) * at_points + shared * (at_points > 0.0) * square.mean())
    total = sum(np.sum(values**2) for values, _ in residuals)
    return np.sqrt(np.asarray(total / max(1, sum(counts.sum() for _, counts in residuals))))


def n_alike(correlation: Covariance | None, n_points: int) -> float:
    """Return how many points of a field err together: 1 if they are independent."""
    if correlation is None:
        return max(1.0, n_points / 20.0)
    parts: Any = correlation.parts()
    variance, factor = parts
    square = np.sum((factor.T @ factor) ** 2) + 2.0 * np.sum(variance[:, None] * factor**2)
    square += np.sum(variance**2)
    return max(1.0, float(square / n_points))


def displaced(
    model: Any, batches: Sequence[Seen], stated: bool, same: bool, shared: float
) -> list[Part]:
    """Return a part for each profile along each axis by which fields are displaced at all."""
    free = [displaceable(b.part.fields.where, b.part.fields.declared.rows) for b in batches]
    if any(each != free[0] for each in free):
        return []
    alike = n_alike(model.correlation_, batches[0].mean.shape[1])
    found = []
    for axis, names in free[0].items():
        each = all(_has_members(batch, stated, axis) for batch in batches)
        for name in names:
            move = Displacement(axis, name, WIDEST)
            if each:
                width, spread = _aligned_members(move, batches, alike, model.floor_)
            else:
                width, residuals = _aligned(move, batches, model.parts_[0].spread, alike)
                spread = spread_of(residuals, stated, same, shared)
            if width > NARROWEST and np.any(spread > 0.0):
                move = replace(move, width=width)
                found.append(Part(1.0, spread, False, move, not stated, each))
    return found


def _has_members(batch: Seen, stated: bool, axis: str) -> bool:
    """Say whether there are members to be moved one by one."""
    fields = batch.part.fields
    if not stated or not has_points(fields.prediction):
        return False
    rows = fields.system.rows
    return rows.shape[0] <= MAX_ROWS or lines_of(rows, fields.where, axis) is not None


def _nearest(
    move: Displacement,
    batch: Seen,
    fields: np.ndarray,
    cost: Callable[[np.ndarray], np.ndarray],
    trials: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the likeliest displacement of each field, or of each line that a law reads.

    Parameters
    ----------
    move : Displacement
        Along which axis, and how.
    batch : Seen
        Where the fields are, and what must hold.
    fields : ndarray of shape (..., n_fields, n_points)
        As predicted.
    cost : callable
        Minus twice the log densities of the truth, (..., n_fields, n_outputs), of moved fields.
    trials : ndarray of shape (n_trials,)
        Distances, in units of the width.

    Returns
    -------
    best : ndarray of shape (..., n_fields)
        The cost, with that of the displacement.
    moved : ndarray of shape (..., n_fields, n_points)
        The fields, displaced.
    square : ndarray of shape (..., n_fields)
        Mean square of the distances.
    """
    where = batch.part.fields.where
    lines = lines_of(batch.part.fields.system.rows, where, move.axis)
    costs = (cost(move.moved(fields, where, trial * move.width)) for trial in trials)
    if lines is not None:
        table = np.stack([each[..., lines.points].sum(axis=-1) for each in costs], axis=-1)
        coefficients = aligned(table, trials, lines.modes)
        far = coefficients @ lines.modes.T
        moved = lines.moved(move, fields, far)
        best = cost(moved).sum(axis=-1) + np.sum(coefficients**2, axis=-1)
        return best, moved, np.mean(far**2, axis=-1)
    best, distance = np.asarray(np.inf), np.zeros(())
    for trial, each in zip(trials, costs, strict=True):
        total = each.sum(axis=-1) + trial**2
        better = total < best
        best, distance = np.where(better, total, best), np.where(better, trial, distance)
    return best, move.moved(fields, where, distance * move.width), distance**2


def _aligned_members(
    move: Displacement, batches: Sequence[Seen], alike: float, floor: np.ndarray | None
) -> tuple[float, np.ndarray]:
    """Find the likeliest displacement of each member, and the likeliest member of each field.

    Returns
    -------
    width : float
        Root mean square of the displacements, of members as they are likely.
    spread : ndarray of shape ()
        Root mean square of what is left of errors, over that of what members then differ by.
    """
    usual = np.mean([np.mean((b.part.truth - b.at_truth(b.mean)) ** 2) for b in batches])
    squares, errors, spreads = [], [], []
    for batch in batches:
        truth = batch.part.truth
        members = some_members(batch.part.fields.prediction, SOME_MEMBERS)

        def cost(moved: np.ndarray, batch: Seen = batch) -> np.ndarray:
            return (batch.part.truth - batch.at_truth(moved)) ** 2 / (alike * usual)

        best, moved, square = _nearest(move, batch, members, cost, TRIALS[::2])
        weights = shares(-0.5 * best / max(np.mean(best.min(axis=0)), TINY))
        squares.append(np.sum(weights * square, axis=0))
        moved = batch.at_truth(moved)
        std = moved_spread(moved, weights)
        spreads.append(np.square(std if floor is None else np.hypot(std, floor)).ravel())
        likeliest = moved[best.argmin(axis=0), np.arange(len(truth))]
        errors.append((truth - likeliest).ravel() ** 2)
    width = float(np.sqrt(np.mean(np.concatenate(squares)))) * move.width
    total = np.mean(np.concatenate(spreads))
    left = np.mean(np.concatenate(errors)) / total if total > 0.0 else 0.0
    return width, np.sqrt(np.asarray(left))


def _aligned(
    move: Displacement, batches: Sequence[Seen], spread: np.ndarray, alike: float
) -> tuple[float, list[tuple[np.ndarray, np.ndarray]]]:
    """Find the likeliest displacement of each field.

    Returns
    -------
    width : float
        Root mean square of the displacements.
    residuals : list of (ndarray, ndarray)
        What is left of errors, in units of the stated standard deviation, and where it counts.
    """
    found, residuals = [], []
    for batch in batches:

        def standard(moved: np.ndarray, batch: Seen = batch) -> tuple[np.ndarray, np.ndarray]:
            std = batch.at_truth(np.hypot(moved[1], STAYS * batch.std))
            safe = np.where(std > 0.0, std, 1.0)
            error = batch.part.truth - batch.at_truth(moved[0])
            return np.where(std > 0.0, error / safe, 0.0), std

        def cost(moved: np.ndarray, standard: Any = standard) -> np.ndarray:
            error, std = standard(moved)
            z = error / np.where(spread > 0.0, spread, np.inf)
            return (z**2 + 2.0 * np.log(np.where(std > 0.0, std, 1.0))) / alike

        both = np.stack([batch.mean, batch.std])
        _, moved, square = _nearest(move, batch, both, cost, TRIALS)
        found.append(square * move.width**2)
        error, std = standard(moved)
        residuals.append((error, std > 0.0))
    return float(np.sqrt(np.mean(np.concatenate(found)))), residuals

"""Projection on chains under one equality: the search for the equality's multiplier.

For independent points the projection is ``u(t) = clip(isotonic(mean + t S g))`` with one number
``t`` for each field, such that ``g u(t) + R t = b``. The left side is increasing and piecewise
linear in ``t``, so Newton's method with a bracket ends after a few steps, for all fields at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

MAX_STEPS = 200
ROUNDING, RELAXED = 64 * np.finfo(np.float64).eps, 1e-11
PATIENCE = 60  # steps after which a residual that the last step removes is small enough


@dataclass(frozen=True)
class Chained:
    """Fields of independent points with bounds along chains; every array is in chain order.

    Attributes
    ----------
    mean, variance : ndarray of shape (n_fields, n_points)
        The Gaussian; variances are positive.
    lower, upper : ndarray of shape (n_fields, n_points)
        Bounds; equal where a point must not move.
    start : ndarray of bool of shape (n_fields, n_points)
        Where a stretch begins on which the order matters and the bounds are the same.
    """

    mean: np.ndarray
    variance: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    start: np.ndarray

    def take(self, fields: np.ndarray | slice, points: np.ndarray | slice) -> Chained:
        """Return some of the fields at some of the points, which must be whole chains."""
        arrays = (self.mean, self.variance, self.lower, self.upper, self.start)
        return Chained(*(a[fields][:, points] for a in arrays))


@dataclass(frozen=True)
class Pieces:
    """Projected fields, as blocks of equal value.

    Attributes
    ----------
    first : ndarray of int of shape (n_blocks,) or None
        Flat position where each block begins; None if each point is its own block.
    field : ndarray of int of shape (n_fields,)
        Number of the block that each field begins with.
    value, free : ndarray of shape (n_blocks,)
        Value of each block, and whether it lies inside its bounds.
    row : ndarray of shape (n_blocks,)
        Sum of ``g`` over the block.
    gain : ndarray of shape (n_blocks,)
        What the value of a free block gains for each unit of the multiplier; 0 of other blocks.
    """

    first: np.ndarray
    field: np.ndarray
    value: np.ndarray
    row: np.ndarray
    gain: np.ndarray

    def total(self) -> np.ndarray:
        """Return ``g u``, of shape (n_fields,)."""
        return np.add.reduceat(self.row * self.value, self.field)

    def slope(self) -> np.ndarray:
        """Return the derivative of `total` with respect to the multiplier."""
        return np.add.reduceat(self.row * self.gain, self.field)

    def size(self) -> np.ndarray:
        """Return the sum of the absolute terms of `total`."""
        return np.add.reduceat(np.abs(self.row * self.value), self.field)

    def moved(self, step: np.ndarray) -> Pieces:
        """Move the free blocks by a step of each field's multiplier."""
        counts = np.diff(np.append(self.field, len(self.value)))
        value = self.value + self.gain * np.repeat(step, counts)
        return Pieces(self.first, self.field, value, self.row, self.gain)

    def fields(self, shape: tuple[int, int]) -> np.ndarray:
        """Write the fields out."""
        counts = np.diff(np.append(self.first, shape[0] * shape[1]))
        return np.repeat(self.value, counts).reshape(shape)


def project_pieces(problem: Chained, row: np.ndarray, multiplier: np.ndarray) -> Pieces:
    """Project ``mean + multiplier S g`` on the chains and bounds.

    Parameters
    ----------
    problem : Chained
        The fields.
    row : ndarray of shape (n_points,)
        ``g``.
    multiplier : ndarray of shape (n_fields,)
        One number for each field.
    """
    shape = problem.mean.shape
    target = problem.mean + multiplier[:, None] * (problem.variance * row)
    if problem.start.all():
        value = np.clip(target, problem.lower, problem.upper)
        free = (target > problem.lower) & (target < problem.upper)
        gain = np.where(free, problem.variance * row, 0.0)
        first = np.arange(value.size)
        rows = np.broadcast_to(row, shape).ravel()
        return Pieces(first, first[:: shape[1]], value.ravel(), rows, gain.ravel())
    weight = problem.variance.max(axis=1, keepdims=True) / problem.variance
    first = _blocks(target, weight, problem.start)
    mass = np.add.reduceat(weight.ravel(), first)
    level = np.add.reduceat((weight * target).ravel(), first) / mass
    rows = np.add.reduceat(np.broadcast_to(row, shape).ravel(), first)
    low, high = problem.lower.ravel()[first], problem.upper.ravel()[first]
    scale = (weight * problem.variance)[:, 0].repeat(shape[1])[first]
    gain = np.where((level > low) & (level < high), rows * scale / mass, 0.0)
    field = np.searchsorted(first, np.arange(shape[0]) * shape[1])
    return Pieces(first, field, np.clip(level, low, high), rows, gain)


def _blocks(target: np.ndarray, weight: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return where the blocks of the isotonic regression of every stretch begin.

    One call serves all stretches: each is scaled to [0, 1] and lifted above the one before, which
    changes no block.
    """
    flat, begins = target.ravel(), np.flatnonzero(start)
    counts = np.diff(np.append(begins, flat.size))
    low = np.minimum.reduceat(flat, begins)
    span = np.maximum.reduceat(flat, begins) - low
    scale = np.divide(1.0, span, out=np.ones_like(span), where=span > 0)
    unit = (flat - np.repeat(low, counts)) * np.repeat(scale, counts)
    lifted = unit + np.repeat(2.0 * np.arange(len(begins)), counts)
    return isotonic_regression(lifted, weights=weight.ravel()).blocks[:-1]


def search(
    problem: Chained, row: np.ndarray, value: np.ndarray, noise_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Project fields under one equality.

    Parameters
    ----------
    problem : Chained
        The fields.
    row : ndarray of shape (n_points,)
        ``g``.
    value : ndarray of shape (n_fields,)
        ``b``.
    noise_variance : ndarray of shape (n_fields,)
        ``R``; 0 makes the row exact.

    Returns
    -------
    fields : ndarray of shape (n_fields, n_points)
        The projections.
    met : ndarray of bool of shape (n_fields,)
        False where no multiplier meets the equality.
    """
    n_fields = len(value)
    whole = problem.variance @ row**2 + noise_variance
    missing = value - problem.mean @ row
    multiplier = np.divide(missing, whole, out=np.zeros(n_fields), where=whole > 0)
    low, high = np.full(n_fields, -np.inf), np.full(n_fields, np.inf)
    stride = np.abs(multiplier)
    out, met = problem.mean.copy(), np.zeros(n_fields, dtype=bool)
    left, part = np.arange(n_fields), problem
    for turn in range(MAX_STEPS):
        t = multiplier[left]
        pieces = project_pieces(part, row, t)
        excess = pieces.total() + noise_variance[left] * t - value[left]
        slope = pieces.slope() + noise_variance[left]
        size = pieces.size() + noise_variance[left] * np.abs(t) + np.abs(value[left])
        done = np.abs(excess) <= (ROUNDING if turn < PATIENCE else RELAXED) * size
        if turn == 0:
            stride = np.maximum(stride, np.abs(excess) / np.where(whole > 0, whole, 1.0))
        if done.any():
            out[left[done]] = _refined(pieces, excess, slope, part.mean.shape)[done]
            met[left[done]] = True
        low[left] = np.where(excess < 0, t, low[left])
        high[left] = np.where(excess > 0, t, high[left])
        multiplier[left] = _next(t, excess, slope, low[left], high[left], stride[left], turn)
        stride[left] *= 4.0
        left = left[~done]
        if not len(left):
            break
        part = part.take(~done, slice(None)) if done.any() else part
    return out, met


def _next(
    t: np.ndarray,
    excess: np.ndarray,
    slope: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    stride: np.ndarray,
    turn: int,
) -> np.ndarray:
    """Take Newton's step where it stays in the bracket, else halve or widen the bracket."""
    newton = t - np.divide(excess, slope, out=np.full_like(t, np.inf), where=slope > 0)
    closed = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        middle = np.where(closed, 0.5 * (low + high), t - np.sign(excess) * stride)
    halve = closed & (turn % 5 == 4)
    return np.where((newton > low) & (newton < high) & ~halve, newton, middle)


def _refined(
    pieces: Pieces, excess: np.ndarray, slope: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Remove what rounding has left of the residual, and write the fields out."""
    step = np.divide(-excess, slope, out=np.zeros_like(excess), where=slope > 0)
    return pieces.moved(step).fields(shape)

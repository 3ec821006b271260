"""Integrals over the intervals between time levels."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, diags_array


def differences(n_times: int) -> csr_array:
    """Return the matrix of changes between time levels, (n_times - 1, n_times)."""
    ones = np.ones(max(n_times - 1, 0))
    return diags_array([-ones, ones], offsets=[0, 1], shape=(n_times - 1, n_times)).tocsr()


def averages(times: np.ndarray, theta: float) -> csr_array:
    """Return the matrix that integrates values at time levels over each interval.

    Row ``k`` has ``(1 - theta) dt`` at level k and ``theta dt`` at level k + 1.
    """
    steps = np.diff(times)
    shape = (steps.size, times.size)
    return diags_array([(1.0 - theta) * steps, theta * steps], offsets=[0, 1], shape=shape).tocsr()


def increments(values: np.ndarray, times: np.ndarray, axis: int, theta: float = 0.5) -> np.ndarray:
    """Integrate values over each interval along an axis.

    Parameters
    ----------
    values : ndarray
        Along `axis` one entry (constant in time), ``n_times`` (at the levels) or ``n_times - 1``
        (averages over the intervals).
    times : ndarray of shape (n_times,)
        The time levels.
    axis : int
        The axis of time.
    theta : float, default=0.5
        Weight of the later level; 0.5 is the trapezoid rule.

    Returns
    -------
    ndarray
        With ``n_times - 1`` entries along `axis`.
    """
    values = np.moveaxis(values, axis, -1)
    if values.shape[-1] == times.size and times.size > 1:
        values = (1.0 - theta) * values[..., :-1] + theta * values[..., 1:]
    return np.moveaxis(values * np.diff(times), -1, axis)


def rule_error(amounts: np.ndarray, times: np.ndarray, axis: int) -> np.ndarray:
    """Estimate by how much a rule of two levels may miss the change of an amount.

    The rate of change is read off the amounts themselves. If it is monotone between two levels,
    no weights of the two miss its integral by more than ``dt |difference of the rates|``; where
    it turns, the difference in an interval beside is the larger one, and is taken. Two levels
    alone say nothing about the rate between them, so all of the change is allowed.

    Parameters
    ----------
    amounts : ndarray
        Integrals of the field, with ``n_times`` entries along `axis`.
    times : ndarray of shape (n_times,)
        The time levels.
    axis : int
        The axis of time.
    """
    amounts = np.moveaxis(amounts, axis, -1)
    if times.size < 3:
        error = np.abs(np.diff(amounts, axis=-1))
    else:
        rates = np.gradient(amounts, times, axis=-1)
        ends = [(0, 0)] * (amounts.ndim - 1) + [(1, 1)]
        change = np.pad(np.abs(np.diff(rates, axis=-1)), ends)
        around = np.maximum(np.maximum(change[..., :-2], change[..., 2:]), change[..., 1:-1])
        error = np.diff(times) * around
    return np.moveaxis(error, -1, axis)

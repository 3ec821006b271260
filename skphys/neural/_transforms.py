"""Truncated Fourier transforms along one axis, as small dense matrices.

A Fourier neural operator keeps few modes, so the transform of ``n`` points to ``m`` modes is a
matrix product of ``n x 2 m``: faster than a full FFT, free of its restriction to even spacing, and
padding costs nothing, because padded points are zero and only the period changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class AxisModes:
    """Which Fourier modes are kept along an axis, independent of the points on it.

    Parameters
    ----------
    wavenumbers : ndarray of int, shape (n_modes,)
        In cycles a period.
    start : float
        Coordinate at which the phase is zero.
    period : float
        Length of the ring on which the axis lies, padding included.
    nyquist : int or None
        Wavenumber whose sine vanishes on the points that the period was made for.
    wraps : bool, default=False
        Whether the axis itself is periodic, so that the last interval leads back to the start.
    """

    wavenumbers: NDArray[np.int64]
    start: float
    period: float
    nyquist: int | None
    wraps: bool = False

    def phases(self, points: Any) -> Vector:
        """Return ``2 pi k (x - start) / period``, shape (n_points, n_modes)."""
        turns = (np.asarray(points, dtype=np.float64) - self.start) / self.period
        return 2.0 * np.pi * turns[:, None] * self.wavenumbers

    def analysis(self, points: Any) -> NDArray[np.complex128]:
        """Return the matrix from values at the points to coefficients, shape (n_modes, n_points).

        On even points it is the discrete Fourier transform divided by the number of points of
        the ring.
        """
        return (self._weights(points)[:, None] * np.exp(-1j * self.phases(points))).T

    def synthesis(self, points: Any, *, real: bool) -> NDArray[np.complex128]:
        """Return the matrix from coefficients to values, shape (n_points, n_modes).

        With `real`, only non-negative wavenumbers are held and the real part is the field: modes
        that stand for two, at ``k`` and ``-k``, count twice.
        """
        waves = np.exp(1j * self.phases(points))
        if not real:
            return waves
        single = (self.wavenumbers == 0) | (self.wavenumbers == self.nyquist)
        return waves * np.where(single, 1.0, 2.0)

    def _weights(self, points: Any) -> Vector:
        """Return the share of the ring that each point stands for."""
        points = np.asarray(points, dtype=np.float64)
        if len(points) == 1:
            return np.ones(1)
        gaps = np.diff(points)
        if self.wraps:
            last = self.period - (points[-1] - points[0])
            before, after = np.append(last, gaps), np.append(gaps, last)
        else:  # an end stands for as much as its neighbour, as on the ring of the discrete FFT
            before, after = np.append(gaps[0], gaps), np.append(gaps, gaps[-1])
        return 0.5 * (before + after) / self.period


def axis_modes(
    points: Any, n_modes: int, *, real: bool, period: float | None = None, padding: float = 0.0
) -> AxisModes:
    """Choose the modes of an axis.

    Parameters
    ----------
    points : array-like of shape (n_points,)
        Coordinates; even spacing is not needed.
    n_modes : int
        Number of wavenumbers ``0 .. n_modes - 1``; their negatives are kept as well unless `real`.
    real : bool
        Whether the modes of a real field are meant, which are fixed by the non-negative ones.
    period : float, default=None
        Period of a periodic axis.
    padding : float, default=0.0
        Part of the length by which a ring without a period is longer than the axis.

    Returns
    -------
    AxisModes
        The choice.
    """
    points = np.asarray(points, dtype=np.float64)
    n = len(points)
    k = np.arange(n_modes)
    wavenumbers = k if real else np.concatenate([k, -k[:0:-1]])
    if n == 1:
        return AxisModes(wavenumbers, float(points[0]), 1.0, None)
    if period is not None:
        return AxisModes(wavenumbers, float(points[0]), period, n // 2 if n % 2 == 0 else None, True)
    ring = (points[-1] - points[0]) * n / (n - 1) * (1.0 + padding)
    nyquist = n // 2 if padding == 0.0 and n % 2 == 0 else None
    return AxisModes(wavenumbers, float(points[0]), float(ring), nyquist)

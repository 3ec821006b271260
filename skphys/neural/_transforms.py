"""Truncated Fourier transforms along one axis, as small dense matrices.

A Fourier neural operator keeps few modes, so the transform of ``n`` points to ``m`` modes is a
matrix product of ``n x 2 m``: faster than a full FFT, free of its restriction to even spacing, and
padding costs nothing, because padded points are zero and only the period changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class AxisModes:
    """Which Fourier modes are kept along an axis, independent of the points on it.

    Attributes
    ----------
    wavenumbers : ndarray of int, shape (n_modes,)
        In cycles a period.
    start : float
        Coordinate at which the phase is zero.
    period : float
        Length of the ring on which the axis lies, padding included.
    nyquist : int or None
        Wavenumber whose sine vanishes on the points that the period was made for.
    extent : float
        Length of the ring without padding: what is left of it beside the points is the interval
        that leads from the last one back to the first.
    mirrored : bool, default=False
        Whether the ring is the axis followed by its mirror image: what is analysed is the even
        extension of the values, which has no jump at the ends.
    """

    wavenumbers: NDArray[np.int64]
    start: float
    period: float
    nyquist: int | None
    extent: float
    mirrored: bool = False

    def phases(self, points: Any) -> Vector:
        """Return ``2 pi k (x - start) / period``, shape (n_points, n_modes)."""
        turns = (np.asarray(points, dtype=np.float64) - self.start) / self.period
        return 2.0 * np.pi * turns[:, None] * self.wavenumbers

    def analysis(self, points: Any) -> NDArray[np.complex128]:
        """Return the matrix from values at the points to coefficients, shape (n_modes, n_points).

        On even points it is the discrete Fourier transform divided by the number of points of
        the ring; on a mirrored axis the cosine transform.
        """
        phases = self.phases(points)
        waves = 2.0 * np.cos(phases) + 0j if self.mirrored else np.exp(-1j * phases)
        return (self._weights(points)[:, None] * waves).T

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
        """Return the share of the ring that each point stands for, by the trapezoid rule."""
        points = np.asarray(points, dtype=np.float64)
        if len(points) == 1:
            return np.ones(1)
        gaps = np.diff(points)
        if self.mirrored:
            stop = self.start + 0.5 * self.period
            first, last = 2.0 * (points[0] - self.start), 2.0 * (stop - points[-1])
        else:
            first = last = self.extent - (points[-1] - points[0])
        before, after = np.append(first, gaps), np.append(gaps, last)
        return 0.5 * (before + after) / self.period


def grid_modes(
    points: Sequence[Any],
    n_modes: Sequence[int],
    *,
    periods: Sequence[float | None] | None = None,
    padding: float | str = 0.0,
    spans: Sequence[tuple[float, float] | None] | None = None,
) -> list[AxisModes]:
    """Choose the modes of all axes, as `axis_modes` does; the last one's are of a real field."""
    nothing = [None] * len(points)
    axes = zip(points, n_modes, periods or nothing, spans or nothing, strict=True)
    last = len(points) - 1
    return [
        axis_modes(p, m, real=number == last, period=period, padding=padding, span=span)
        for number, (p, m, period, span) in enumerate(axes)
    ]


def axis_modes(
    points: Any,
    n_modes: int,
    *,
    real: bool,
    period: float | None = None,
    padding: float | str = 0.0,
    span: tuple[float, float] | None = None,
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
    padding : float or "reflect", default=0.0
        Part of the length by which a ring without a period is longer than the axis; "reflect"
        closes it by its mirror image, and its modes are those of twice the length.
    span : tuple of two floats, default=None
        Where the axis begins and ends, if its points are the centres of cells. None: at the first
        and the last point.

    Returns
    -------
    AxisModes
        The choice.
    """
    points = np.asarray(points, dtype=np.float64)
    n = len(points)
    k = np.arange(n_modes)
    wavenumbers = k if real else np.concatenate([k, -k[:0:-1]])
    start, stop = (points[0], points[-1]) if span is None else span
    start, length = float(start), float(stop - start)
    if n == 1:
        return AxisModes(wavenumbers, start, 1.0, None, 1.0)
    nyquist = n // 2 if n % 2 == 0 else None
    if period is not None:
        return AxisModes(wavenumbers, start, period, nyquist, period)
    if isinstance(padding, str):
        nyquist = n - 1 if span is None else None
        return AxisModes(wavenumbers, start, 2.0 * length, nyquist, length, mirrored=True)
    # The ring closes in one interval more than there are between nodes.
    extent = length * n / (n - 1) if span is None else length
    ring = extent * (1.0 + padding)
    return AxisModes(wavenumbers, start, ring, nyquist if padding == 0.0 else None, extent)

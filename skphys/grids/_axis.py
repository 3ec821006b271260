"""One axis of a grid: nodes, periodic nodes or cells."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from skphys.grids._checks import Vector, as_coordinates, as_edges, as_period, freeze
from skphys.grids._quadrature import (
    periodic_spacing,
    periodic_trapezoid_weights,
    simpson_weights,
    trapezoid_weights,
)

RULES = ("trapezoid", "midpoint", "simpson")


class Axis:
    """Coordinates along one direction, and how to integrate along it.

    Values live on nodes (point values, the default) or in cells (cell averages, when `edges`
    are given). An axis is immutable: its arrays are read-only.

    Parameters
    ----------
    points : array-like of shape (n,)
        Coordinates, finite and strictly increasing; the spacing may be uneven.
    edges : array-like of shape (n + 1,), default=None
        Cell edges, which make the values cell averages. Point ``i`` lies in
        ``[edges[i], edges[i + 1]]``.
    period : float, default=None
        Length of a periodic axis. The points are half-open: the end, which is the start
        again, is not repeated, so they span less than the period.

    See Also
    --------
    Grid : The tensor product of named axes.

    Examples
    --------
    >>> from skphys.grids import Axis
    >>> Axis([0.0, 0.5, 2.0]).weights()
    array([0.25, 1.  , 0.75])
    >>> Axis.cells([0.0, 1.0, 3.0]).weights()
    array([1., 2.])
    >>> Axis.periodic(0.0, 1.0, 4)
    Axis(4 periodic nodes in [0, 1))
    """

    _points: Vector
    _edges: Vector | None
    _period: float | None

    def __init__(self, points: Any, *, edges: Any = None, period: float | None = None) -> None:
        self._points = as_coordinates(points, "points")
        self._edges = None if edges is None else as_edges(edges, self._points)
        self._period = None if period is None else as_period(period, self._points, self._edges)

    @classmethod
    def cells(cls, edges: Any) -> Axis:
        """Build an axis of cell averages, with the points at the cells' centres.

        Parameters
        ----------
        edges : array-like of shape (n + 1,)
            Cell edges, strictly increasing.

        Returns
        -------
        Axis
            An axis of ``n`` cells.

        Examples
        --------
        >>> from skphys.grids import Axis
        >>> Axis.cells([0, 1, 3]).points
        array([0.5, 2. ])
        """
        edges = as_coordinates(edges, "edges")
        if edges.size < 2:
            raise ValueError(f"edges must hold at least 2 values, got {edges.size}.")
        return cls(edges[:-1] + 0.5 * np.diff(edges), edges=edges)

    @classmethod
    def periodic(cls, start: float, stop: float, n: int) -> Axis:
        """Build `n` even, half-open nodes from `start`; `stop` is `start` again.

        Parameters
        ----------
        start, stop : float
            One period, with ``start < stop``.
        n : int
            Number of nodes.

        Returns
        -------
        Axis
            A periodic axis of ``n`` nodes.

        Examples
        --------
        >>> from skphys.grids import Axis
        >>> Axis.periodic(0, 1, 4).points
        array([0.  , 0.25, 0.5 , 0.75])
        """
        start, stop = as_coordinates([start, stop], "[start, stop]")
        if operator.index(n) < 1:
            raise ValueError(f"n must be at least 1, got {n}.")
        return cls(np.linspace(start, stop, n, endpoint=False), period=stop - start)

    @property
    def points(self) -> Vector:
        """Coordinates, read-only, shape (n,)."""
        return self._points

    @property
    def edges(self) -> Vector | None:
        """Cell edges, read-only, shape (n + 1,), or None on nodes."""
        return self._edges

    @property
    def period(self) -> float | None:
        """Length of a periodic axis, or None."""
        return self._period

    @property
    def location(self) -> str:
        """Where the values live: ``"nodes"`` or ``"cells"``."""
        return "nodes" if self._edges is None else "cells"

    @property
    def size(self) -> int:
        """Number of points."""
        return self._points.size

    @property
    def spacing(self) -> Vector:
        """Widths of the cells, else the intervals between nodes (a periodic axis has n)."""
        if self._edges is not None:
            return np.diff(self._edges)
        if self._period is not None:
            return periodic_spacing(self._points, self._period)
        return np.diff(self._points)

    def weights(self, rule: str | None = None) -> Vector:
        """Return quadrature weights, whose dot product with the values is the integral.

        Parameters
        ----------
        rule : {"trapezoid", "midpoint", "simpson"}, default=None
            None is the trapezoid on nodes (it wraps around a periodic axis) and the midpoint
            rule, that is the cell widths, on cells. On uneven nodes some Simpson weights can
            be negative.

        Returns
        -------
        ndarray of shape (n,)
            The weights; on any axis they sum to its length.

        Raises
        ------
        ValueError
            If the rule is unknown, does not fit the axis, or needs more points.

        Examples
        --------
        >>> from skphys.grids import Axis
        >>> Axis([0, 1, 2]).weights("simpson")
        array([0.33333333, 1.33333333, 0.33333333])
        """
        if rule is None:
            rule = "midpoint" if self.location == "cells" else "trapezoid"
        self._check_rule(rule)
        if rule == "midpoint":
            return self.spacing
        if rule == "simpson":
            return simpson_weights(self._points)
        if self._period is not None:
            return periodic_trapezoid_weights(self._points, self._period)
        return trapezoid_weights(self._points)

    def _check_rule(self, rule: Any) -> None:
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(f"unknown quadrature rule {rule!r}; use one of {list(RULES)}.")
        if (rule == "midpoint") != (self.location == "cells"):
            kind = "cell averages" if self.location == "cells" else "values on nodes"
            fits = "'midpoint'" if self.location == "cells" else "'trapezoid' or 'simpson'"
            raise ValueError(f"the {rule} rule does not fit {kind}; use {fits}, or None.")
        if rule == "simpson" and self._period is not None:
            raise ValueError("the simpson rule does not fit a periodic axis; use 'trapezoid'.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Axis):
            return NotImplemented
        return (
            self._period == other._period
            and self.location == other.location
            and np.array_equal(self._points, other._points)
            and (self._edges is None or np.array_equal(self._edges, other._edges))  # type: ignore[arg-type]
        )

    def __hash__(self) -> int:
        return hash((self.size, self.location, self._period, float(self._points[0])))

    def __repr__(self) -> str:
        return f"Axis({self.summary()})"

    def summary(self) -> str:
        """Say in a few words what the axis is.

        Returns
        -------
        str
            Number and kind of the points, and their range.
        """
        ends = self._points if self._edges is None else self._edges
        if self._period is not None and self._edges is None:
            return f"{self.size} periodic nodes in [{ends[0]:g}, {ends[0] + self._period:g})"
        kind = self.location if self._period is None else f"periodic {self.location}"
        return f"{self.size} {kind} in [{ends[0]:g}, {ends[-1]:g}]"

    def __copy__(self) -> Axis:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Axis:
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        freeze(self._points)  # NumPy does not pickle the read-only flag
        if self._edges is not None:
            freeze(self._edges)

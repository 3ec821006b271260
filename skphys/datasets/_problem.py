from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One family of partial differential equations in closed form.

    The functions broadcast over time, position and parameter.
    """

    name: str
    parameter: str
    default: float
    training: tuple[float, float]
    admissible: tuple[float, float]  # open interval
    domain: tuple[float, float]
    times: tuple[float, float]
    field: Callable[[Floats, Floats, Floats], Floats]
    cumulative: Callable[[Floats, Floats, Floats], Floats]  # integral from the left end to x
    front: Callable[[Floats, Floats], Floats] | None  # of (t, parameter), nan without a jump
    description: str

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def check_parameter(self, value: ArrayLike) -> Floats:
        """Return the parameter as a float array, or say what is wrong with it."""
        values = np.asarray(value, dtype=np.float64)
        low, high = self.admissible
        if not np.all((values > low) & (values < high)):
            wanted = f"{low:g} < {self.parameter} < {high:g}".removesuffix(" < inf")
            raise ValueError(f"{self.parameter} must satisfy {wanted}, got {value!r}.")
        return values

    def on_axis(self, t: Floats, points: Floats, edges: Floats | None, parameter: Floats) -> Floats:
        """One field a row: values at the points, or, with edges, averages over the cells."""
        if edges is None:
            return self.field(t[:, None], points, parameter[:, None])
        return self.averages(t[:, None], edges, parameter[:, None])

    def averages(self, t: Floats, edges: Floats, parameter: Floats) -> Floats:
        """Exact averages over the cells between the edges, which run along the last axis."""
        return np.diff(self.cumulative(t, edges, parameter), axis=-1) / np.diff(edges)


@dataclass(frozen=True)
class _Exact:
    """A closed form of a problem, for one parameter value or (None) for any."""

    problem: Problem
    value: float | None = None

    def _parameter(self, given: ArrayLike | None) -> Floats:
        if given is not None:
            return self.problem.check_parameter(given)
        if self.value is None:
            name = self.problem.parameter
            raise ValueError(
                f"The data were drawn with many values of {name}: "
                f"pass one as `parameter`, or rows with the columns ({name}, t)."
            )
        return np.float64(self.value)  # type: ignore[return-value]

    def _columns(self, rows: Any, parameter: ArrayLike | None) -> tuple[Floats, Floats]:
        """Return the times and parameters of the rows of a table or an array, or of plain times."""
        name = self.problem.parameter
        if hasattr(rows, "columns"):
            if "t" not in rows.columns:
                raise ValueError(f"rows must have a column 't', got {list(rows.columns)}.")
            if parameter is None and name in rows.columns:
                parameter = np.asarray(rows[name])
            return _check_times(np.asarray(rows["t"])), self._parameter(parameter)
        times = np.asarray(rows, dtype=np.float64)
        if times.ndim == 2 and parameter is None:
            if times.shape[1] not in (1, 2):
                raise ValueError(
                    f"rows must have one column (t) or two ({name}, t), got shape {times.shape}."
                )
            parameter = times[:, 0] if times.shape[1] == 2 else None
            times = times[:, -1]
        return _check_times(times), self._parameter(parameter)


class ExactSolution(_Exact):
    """The field u(t, x) in closed form; picklable, and broadcasts as NumPy does."""

    def __call__(self, t: ArrayLike, x: ArrayLike, parameter: ArrayLike | None = None) -> Floats:
        """Return u at times `t` and positions `x`."""
        x = np.asarray(x, dtype=np.float64)
        return self.problem.field(_check_times(t), x, self._parameter(parameter))[()]


class ExactMass(_Exact):
    """The integral of the field over the domain in closed form; picklable.

    Takes times of any shape, a table or an array with the one column t, or one with the columns
    (parameter, t): what a conservation law hands to its `total`.
    """

    def __call__(self, rows: Any, parameter: ArrayLike | None = None) -> Floats:
        """Return the mass of each row."""
        t, parameter = self._columns(rows, parameter)
        return self.problem.cumulative(t, np.float64(self.problem.domain[1]), parameter)[()]  # type: ignore[arg-type]


class ExactShockPosition(_Exact):
    """The place of the jump in closed form, nan while there is none in the domain; picklable.

    Takes the same rows as the mass.
    """

    def __call__(self, rows: Any, parameter: ArrayLike | None = None) -> Floats:
        """Return the position of the jump for each row."""
        assert self.problem.front is not None
        position = self.problem.front(*self._columns(rows, parameter))
        low, high = self.problem.domain
        return np.where((position >= low) & (position <= high), position, np.nan)[()]


def _check_times(t: ArrayLike) -> Floats:
    times = np.asarray(t, dtype=np.float64)
    if not np.all(times >= 0.0):
        raise ValueError(f"t must be non-negative numbers, got {t!r}.")
    return times

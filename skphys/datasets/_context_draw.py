"""The points of contexts and targets, and the fields at target times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skphys.datasets._layouts import Interval, even_axis
from skphys.datasets._problem import Floats, Problem
from skphys.grids import Grid


@dataclass(frozen=True)
class Request:
    """What `make_context_target` was asked for, of its targets."""

    problem: Problem
    times: Interval
    shape: tuple[int, int]
    points: ArrayLike | None
    at: ArrayLike | None
    n_points: int
    location: str


def draw_points(
    problem: Problem,
    times: Interval,
    n_samples: int,
    shape: tuple[int, int],
    rng: np.random.RandomState,
) -> Floats:
    """Points (t, x) of contexts: one time in each of equal intervals, positions at random."""
    fractions = rng.uniform(size=(n_samples, shape[0]))
    t = _within(times, (fractions + np.arange(shape[0])) / shape[0])
    return _product(t, _positions(problem, n_samples, shape[1], rng))


def context_points(
    request: Request, parameters: Floats, rng: np.random.RandomState
) -> dict[str, Any]:
    """Draw scattered targets of each function, or take those that were given."""
    if request.points is not None:
        if request.at is not None:
            raise ValueError("Give target_points or target_times, not both: the points have times.")
        points = _repeat(request.points, len(parameters))
    else:
        t = _target_times(request, len(parameters), rng)
        points = _product(t, _positions(request.problem, len(t), request.shape[1], rng))
    exact = request.problem.field(points[..., 0], points[..., 1], parameters[:, None])
    return {"target": exact, "target_points": points, "parameters": parameters}


def context_fields(
    request: Request, parameters: Floats, rng: np.random.RandomState
) -> dict[str, Any]:
    """Draw target times of each function, one row each, with the exact field on the grid."""
    if request.points is not None:
        raise ValueError(
            'target_points needs layout="points"; fields have n_points even points at the '
            "target_times."
        )
    problem = request.problem
    times = _target_times(request, len(parameters), rng)
    t, parameter = times.ravel(), np.repeat(parameters, times.shape[1])
    axis = even_axis(problem, request.n_points, request.location)
    return {
        "target": problem.on_axis(t, axis.points, axis.edges, parameter),
        "parameters": parameter,
        "functions": np.repeat(np.arange(len(parameters)), times.shape[1]),
        "masses": problem.cumulative(t, np.float64(problem.domain[1]), parameter),  # type: ignore[arg-type]
        "grid": Grid(x=axis),
        "query": t,
    }


def _target_times(request: Request, n_samples: int, rng: np.random.RandomState) -> Floats:
    if request.at is None:
        fractions = rng.uniform(size=(n_samples, request.shape[0]))
        return np.sort(_within(request.times, fractions), axis=1)
    times = np.atleast_1d(np.asarray(request.at, dtype=np.float64))
    if times.ndim != 1 or times.size == 0 or not np.all((times >= 0.0) & (times < np.inf)):
        raise ValueError(
            f"target_times must be a non-negative number or a 1-D array of them, "
            f"got {request.at!r}."
        )
    return np.tile(times, (n_samples, 1))


def _within(interval: Interval, fractions: Floats) -> Floats:
    return interval[0] + (interval[1] - interval[0]) * fractions


def _positions(problem: Problem, n_samples: int, count: int, rng: np.random.RandomState) -> Floats:
    return _within(problem.domain, np.sort(rng.uniform(size=(n_samples, count)), axis=1))


def _product(t: Floats, x: Floats) -> Floats:
    """All pairs (t, x) of each row, the times outermost."""
    pairs = np.broadcast_arrays(t[:, :, None], x[:, None, :])
    return np.stack(pairs, axis=-1).reshape(len(t), -1, 2)


def _repeat(target_points: ArrayLike, n_samples: int) -> Floats:
    points = np.asarray(target_points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.all(points[:, 0] >= 0.0):
        raise ValueError(
            "target_points must be an array of shape (n_targets, 2) with the columns (t, x), "
            f"t non-negative; got an array of shape {points.shape}."
        )
    return np.tile(points, (n_samples, 1, 1))

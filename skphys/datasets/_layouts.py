from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skphys.datasets._problem import (
    ExactMass,
    ExactShockPosition,
    ExactSolution,
    Floats,
    Problem,
)
from skphys.grids import Axis, Grid

Interval = tuple[float, float]


@dataclass(frozen=True)
class Options:
    """What a `make_*` function was asked for, besides the problem and its parameter."""

    n_samples: int
    t: float | Interval | None
    layout: str
    n_points: int
    location: str
    noise: float
    as_frame: bool
    return_X_y: bool
    random_state: Any


def make_dataset(
    problem: Problem, parameter: float | Interval | None, options: Options
) -> Bunch | tuple[Any, Any]:
    """Draw the data of one problem in the layout that was asked for."""
    _check_options(options)
    if parameter is None:
        parameter = problem.default if options.layout == "table" else problem.training
    values = parameter_interval(problem, parameter)
    times = time_interval(problem, options.t)
    axis = even_axis(problem, options.n_points, options.location)
    rng = check_random_state(options.random_state)
    if options.layout == "table":
        columns, u = _points(problem, values, times, options.n_samples, rng)
    else:
        drawn, t = (rng.uniform(*ends, options.n_samples) for ends in (values, times))
        columns = {problem.parameter: drawn, "t": t}
        u = problem.on_axis(t, axis.points, axis.edges, drawn)
    arrays: dict[str, Any] = {
        "data": np.column_stack(list(columns.values())),
        "target": add_noise(u, options.noise, rng),
        "frame": None,
        "feature_names": list(columns),
        "target_names": ["u"] if u.ndim == 1 else [f"u{i}" for i in range(axis.size)],
    }
    if options.as_frame:
        arrays = as_frames(**arrays)
    if options.return_X_y:
        return arrays["data"], arrays["target"]
    return Bunch(**arrays, grid=Grid(x=axis), **describe(problem, values, times))


def describe(problem: Problem, values: Interval, times: Interval) -> dict[str, Any]:
    """Return what every dataset of a problem carries beside its arrays."""
    value = values[0] if values[0] == values[1] else None
    found = {
        "solution": ExactSolution(problem, value),
        "mass": ExactMass(problem, value),
        "domain": problem.domain,
        "times": times,
        "params": {problem.parameter: values if value is None else value},
        "DESCR": problem.description,
    }
    if problem.front is not None:
        found["shock_position"] = ExactShockPosition(problem, value)
    return found


def _points(
    problem: Problem, values: Interval, times: Interval, n: int, rng: np.random.RandomState
) -> tuple[dict[str, Floats], Floats]:
    if values[0] != values[1]:
        raise ValueError(
            f'layout="table" describes one solution, so {problem.parameter} must be one number, '
            f'got the interval {values}; layout="fields" draws from it.'
        )
    t, x = rng.uniform(*times, n), rng.uniform(*problem.domain, n)
    return {"t": t, "x": x}, problem.field(t, x, np.float64(values[0]))  # type: ignore[arg-type]


def add_noise(u: Floats, noise: float, rng: np.random.RandomState) -> Floats:
    """Add Gaussian noise of the given standard deviation."""
    return u + noise * rng.standard_normal(u.shape) if noise else u


def even_axis(problem: Problem, n_points: int, location: str) -> Axis:
    """Return equally spaced nodes, or cells of equal width, on the domain of a problem."""
    if location == "nodes":
        return Axis(np.linspace(*problem.domain, n_points))
    return Axis.cells(np.linspace(*problem.domain, n_points + 1))


def as_frames(
    data: Floats, target: Floats, feature_names: list[str], target_names: list[str], **_: Any
) -> dict[str, Any]:
    """Return data and target as pandas objects, with the frame of both."""
    try:
        pd = import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "as_frame=True needs pandas: install it, or use as_frame=False."
        ) from error
    features = pd.DataFrame(data, columns=feature_names)
    outputs = pd.DataFrame(target, columns=target_names)
    return {
        "data": features,
        "target": outputs["u"] if target_names == ["u"] else outputs,
        "frame": pd.concat([features, outputs], axis=1),
        "feature_names": feature_names,
        "target_names": target_names,
    }


def parameter_interval(problem: Problem, value: float | Interval) -> Interval:
    """Return the interval that a parameter is drawn from: both ends equal for one number."""
    interval = as_interval(problem.parameter, value)
    problem.check_parameter(interval)
    return interval


def time_interval(problem: Problem, t: float | Interval | None) -> Interval:
    """Return the interval of times, the problem's own by default."""
    interval = as_interval("t", problem.times if t is None else t)
    if interval[0] < 0.0:
        raise ValueError(f"t must be non-negative, got {t!r}.")
    return interval


def as_interval(name: str, value: Any) -> Interval:
    """Return the two ends of an interval, equal for one number."""
    try:
        low, high = (float(end) for end in ((value, value) if np.ndim(value) == 0 else value))
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a number or a pair (low, high) to draw from, got {value!r}."
        ) from None
    if not (np.isfinite(low) and low <= high < np.inf):
        raise ValueError(f"{name} must be finite and in the order (low, high), got {value!r}.")
    return low, high


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse anything but an integer that is large enough."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is not among those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")


def check_noise(noise: Any) -> None:
    """Refuse anything but a finite standard deviation."""
    if not (isinstance(noise, Real) and 0.0 <= float(noise) < np.inf):
        raise ValueError(
            f"noise is a standard deviation: it must be a finite number of at least 0, "
            f"got {noise!r}."
        )


def _check_options(options: Options) -> None:
    check_count("n_samples", options.n_samples, 1)
    check_count("n_points", options.n_points, 2)
    check_noise(options.noise)
    check_choice("layout", options.layout, ("table", "fields"))
    check_choice("location", options.location, ("nodes", "cells"))

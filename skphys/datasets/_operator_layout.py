"""The layout of operator data: an input field and values on the boundary, to an output field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skphys.datasets._layouts import as_interval, check_count
from skphys.datasets._problem import Floats

if TYPE_CHECKING:
    from skphys.grids import Components, Grid

    Space = Grid | Components


class FaceValues:
    """Values along a face of the grid, from columns of X; a picklable callable of X.

    Parameters
    ----------
    names : sequence of str
        The columns, where X is a DataFrame.
    positions : sequence of int
        The same columns, where X is an array.
    profile : ndarray, default=None
        Shape of the values along the face, which one column scales. None: one column for each
        point of the face.
    """

    def __init__(
        self, names: Sequence[str], positions: Sequence[int], profile: Floats | None = None
    ) -> None:
        self.names = list(names)
        self.positions = list(positions)
        self.profile = profile

    def __call__(self, X: Any) -> Floats:
        """Return the values, (n_samples, *face_shape)."""
        if hasattr(X, "columns"):
            values = np.column_stack([np.asarray(X[name]) for name in self.names])
        else:
            values = np.asarray(X)[:, self.positions]
        return values if self.profile is None else np.multiply.outer(values[:, 0], self.profile)

    def __repr__(self) -> str:
        columns = self.names[0] if len(self.names) == 1 else f"{self.names[0]}..{self.names[-1]}"
        return f"<values along a face, from {columns}>"


@dataclass(frozen=True)
class ValueColumns:
    """The named columns of X behind its fields."""

    names: Mapping[str, list[str]]  # one column a value, or one for each time
    first: int  # position of the first of them
    as_frame: bool

    def __call__(self, name: str, profile: Floats | None = None) -> Any:
        """Return what a condition takes to find this value in X."""
        columns = self.names[name]
        start = self.first + self.flat.index(columns[0])
        if columns != [name] or profile is not None:
            return FaceValues(columns, range(start, start + len(columns)), profile)
        if self.as_frame:
            return name
        from skphys.constraints import Column

        return Column(start)

    @property
    def flat(self) -> list[str]:
        """All columns in order."""
        return [column for columns in self.names.values() for column in columns]


@dataclass(frozen=True)
class Samples:
    """What a problem hands over; B fields, n_t output times."""

    inputs: Floats  # (B, points of the input grid)
    target: Floats  # (B, points of the grid)
    input_grid: Space
    grid: Space
    params: dict[str, Floats]  # (B,) each
    boundary: Callable[[ValueColumns], dict[str, Any]]
    description: str
    boundary_values: dict[str, Floats] = field(default_factory=dict)  # (B,) or (B, n_t) each
    extras: dict[str, Any] = field(default_factory=dict)  # more attributes of the Bunch


def operator_dataset(
    samples: Samples, as_frame: bool, return_X_y: bool, columns: Sequence[str] = ()
) -> Bunch | tuple[Any, Any]:
    """Lay the samples out as X and y; the parameters named by `columns` are columns of X too."""
    values = samples.boundary_values | {name: samples.params[name] for name in columns}
    fields = field_names(samples.input_grid, "0")
    behind = ValueColumns(_column_names(values), len(fields), as_frame)
    parts = [samples.inputs, *(value.reshape(len(value), -1) for value in values.values())]
    data: Any = np.concatenate(parts, axis=1)
    target: Any = samples.target
    frame = None
    feature_names, target_names = fields + behind.flat, field_names(samples.grid)
    if as_frame:
        data, target, frame = _as_frames(data, target, feature_names, target_names)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=feature_names,
        target_names=target_names,
        grid=samples.grid,
        input_grid=samples.input_grid,
        inputs=samples.inputs,
        boundary=samples.boundary(behind),
        boundary_values=samples.boundary_values,
        params=samples.params,
        DESCR=samples.description,
        **samples.extras,
    )


def with_end_values(
    fields: Floats, times: Times, x: Floats, params: dict[str, Floats], description: str
) -> Samples:
    """Return samples on the nodes `x` whose values at both ends are prescribed.

    `fields` (B, 1 + n_t, n_points) holds the input in front of the output times.
    """
    from skphys.grids import Grid

    output = fields[:, 1:]
    return Samples(
        inputs=fields[:, 0],
        target=output.reshape(len(output), -1),
        input_grid=Grid(x=x),
        grid=times.grid(x=x),
        params=params,
        boundary=_end_values,
        boundary_values={
            "left": times.value(output[:, :, 0]),
            "right": times.value(output[:, :, -1]),
        },
        description=description,
    )


def _end_values(value: ValueColumns) -> dict[str, Any]:
    from skphys.constraints import Dirichlet

    return {"x": (Dirichlet(value("left")), Dirichlet(value("right")))}


def field_names(grid: Space, suffix: str = "") -> list[str]:
    """Name the values of a field, or of several components, one after another."""
    parts = getattr(grid, "grids", {"u": grid})
    return [f"{name}{suffix}_{i}" for name, part in parts.items() for i in range(part.n_points)]


def _column_names(values: Mapping[str, Floats]) -> dict[str, list[str]]:
    return {
        name: [name] if value.ndim == 1 else [f"{name}_{i}" for i in range(value.shape[1])]
        for name, value in values.items()
    }


def _as_frames(
    data: Floats, target: Floats, feature_names: list[str], target_names: list[str]
) -> tuple[Any, Any, Any]:
    try:
        pd = import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "as_frame=True needs pandas: install it, or use as_frame=False."
        ) from error
    features = pd.DataFrame(data, columns=feature_names)
    outputs = pd.DataFrame(target, columns=target_names)
    return features, outputs, pd.concat([features, outputs], axis=1)


@dataclass(frozen=True)
class Times:
    """The output times; one number is one time, without a time axis in the grid."""

    values: Floats  # (n_t,)
    single: bool

    @classmethod
    def of(cls, t: ArrayLike) -> Times:
        """Check the times that were asked for."""
        values = np.asarray(t, dtype=np.float64)
        if values.ndim > 1 or values.size == 0 or not np.all(np.isfinite(values) & (values >= 0.0)):
            raise ValueError(
                f"t must be a finite time of at least 0, or an array of such times, got {t!r}."
            )
        if values.ndim and np.any(np.diff(values) <= 0.0):
            raise ValueError(f"t must be strictly increasing where it is an array, got {t!r}.")
        return cls(np.atleast_1d(values), values.ndim == 0)

    def grid(self, **space: Any) -> Grid:
        """Return the grid of the output field."""
        from skphys.grids import Grid

        return Grid(**space) if self.single else Grid(t=self.values, **space)

    def after_start(self, start: Floats, solve: Callable[[Floats], Floats]) -> Floats:
        """Put the initial fields (B, ...) before what solves the times above 0, if 0 is asked for.

        `solve` takes those times to fields (B, n_t, ...).
        """
        if self.values[0] > 0.0:
            return solve(self.values)
        first = start[:, None]
        return np.concatenate([first, solve(self.values[1:])], 1) if self.values.size > 1 else first

    def value(self, values: Floats) -> Floats:
        """Return boundary values (B, n_t) as they are handed out."""
        return values[:, 0] if self.single else values


def draw(
    rng: np.random.RandomState, n_samples: int, name: str, value: Any, above: float = -np.inf
) -> Floats:
    """Draw a parameter for each sample: uniformly from a pair, or the same number for all."""
    low, high = as_interval(name, value)
    if not low > above:
        raise ValueError(f"{name} must be above {above:g}, got {value!r}.")
    return rng.uniform(low, high, n_samples)


def drawn(**values: Any) -> tuple[str, ...]:
    """Name the parameters that were given as an interval: samples differ in them."""
    return tuple(name for name, value in values.items() if np.ndim(value) > 0)


def plane_shape(n_points: Any, least: int) -> tuple[int, int]:
    """Return the numbers of nodes along x and y, from one number or a pair."""
    pair = (n_points, n_points) if np.ndim(n_points) == 0 else tuple(n_points)
    if len(pair) != 2:
        raise ValueError(f"n_points must be an integer or a pair of them, got {n_points!r}.")
    for count in pair:
        check_count("n_points", count, least)
    return int(pair[0]), int(pair[1])

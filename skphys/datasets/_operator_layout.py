"""The layout of operator data: an input field and values on the boundary, to an output field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skphys.constraints import Column, Dirichlet
from skphys.datasets._layouts import as_frames, as_interval, check_count
from skphys.datasets._problem import Floats
from skphys.grids import Components, Grid


class FaceValues:
    """Values along a face of the grid, from columns of X; a picklable callable of X.

    Parameters
    ----------
    names : sequence of str
        The columns, where X is a DataFrame.
    positions : sequence of int
        The same columns, where X is an array.
    as_frame : bool
        Which of both X is.
    profile : ndarray of shape (n_columns, *face_shape), default=None
        Shapes of the values along the face, which the columns scale. None: one column for each
        point of the face.

    Attributes
    ----------
    columns : list of str or list of int
        The columns as they are in X, so that they can be kept away from a backbone.
    """

    def __init__(
        self,
        names: Sequence[str],
        positions: Sequence[int],
        as_frame: bool,
        profile: Floats | None = None,
    ) -> None:
        self.names = list(names)
        self.positions = list(positions)
        self.columns = self.names if as_frame else self.positions
        self.profile = profile

    def __call__(self, X: Any) -> Floats:
        """Return the values, (n_samples, *face_shape)."""
        if hasattr(X, "columns"):
            values = np.column_stack([np.asarray(X[name]) for name in self.names])
        else:
            values = np.asarray(X)[:, self.positions]
        return values if self.profile is None else np.tensordot(values, self.profile, 1)

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
        if columns != [name] or profile is not None:
            return self.between(columns, None if profile is None else profile[None])
        return name if self.as_frame else Column(self._position(name))

    def between(self, names: Sequence[str], profiles: Floats | None) -> FaceValues:
        """Return values along a face that are made of several others, (n_names, n_face)."""
        positions = [self._position(name) for name in names]
        return FaceValues(names, positions, self.as_frame, profiles)

    def _position(self, name: str) -> int:
        return self.first + self.flat.index(name)

    @property
    def flat(self) -> list[str]:
        """All columns in order."""
        return [column for columns in self.names.values() for column in columns]


@dataclass(frozen=True)
class Samples:
    """What a problem hands over; B fields on (*space), n_t output times."""

    inputs: Floats  # (B, *space), or (B, n_components, *space)
    output: Floats  # (B, n_t, *space), or (B, n_components, n_t, *space)
    times: Times
    space: dict[str, Any]  # axes
    params: dict[str, Floats]  # (B,) each
    boundary: Callable[[ValueColumns], dict[str, Any]]
    boundary_values: dict[str, Floats] = field(default_factory=dict)  # (B,) or (B, n_t) each
    components: tuple[str, ...] = ()  # names of several
    extras: dict[str, Any] = field(default_factory=dict)  # more attributes of the Bunch
    input_name: str = "u0"  # of an input field that is no start

    def of_components(self, grid: Grid) -> Grid | Components:
        """Return the grid, or one for each of the components."""
        return Components(**dict.fromkeys(self.components, grid)) if self.components else grid


def operator_dataset(
    samples: Samples,
    description: str,
    as_frame: bool,
    return_X_y: bool,
    columns: Sequence[str] = (),
) -> Bunch | tuple[Any, Any]:
    """Lay the samples out as X and y; the parameters named by `columns` are columns of X too."""
    input_grid = samples.of_components(Grid(**samples.space))
    grid = samples.of_components(samples.times.grid(**samples.space))
    values = samples.boundary_values | {name: samples.params[name] for name in columns}
    fields = field_names(input_grid, "0")
    if samples.input_name != "u0":
        fields = [f"{samples.input_name}_{i}" for i in range(input_grid.n_points)]
    behind = ValueColumns(_column_names(values), len(fields), as_frame)
    inputs = samples.inputs.reshape(len(samples.inputs), -1)
    parts = [inputs, *(value.reshape(len(value), -1) for value in values.values())]
    arrays: dict[str, Any] = {
        "data": np.concatenate(parts, axis=1),
        "target": samples.output.reshape(len(inputs), -1),
        "frame": None,
        "feature_names": fields + behind.flat,
        "target_names": field_names(grid),
    }
    if as_frame:
        arrays = as_frames(**arrays)
    if return_X_y:
        return arrays["data"], arrays["target"]
    return Bunch(
        **arrays,
        grid=grid,
        input_grid=input_grid,
        inputs=inputs,
        boundary=samples.boundary(behind),
        boundary_values=samples.boundary_values,
        params=samples.params,
        DESCR=description,
        **samples.extras,
    )


def with_end_values(fields: Floats, times: Times, x: Floats, params: dict[str, Floats]) -> Samples:
    """Return samples on the nodes `x` whose values at both ends are prescribed.

    `fields` (B, 1 + n_t, n_points) holds the input in front of the output times.
    """
    ends = {"left": times.value(fields[:, 1:, 0]), "right": times.value(fields[:, 1:, -1])}
    return Samples(
        fields[:, 0], fields[:, 1:], times, {"x": x}, params, _end_values, boundary_values=ends
    )


def _end_values(value: ValueColumns) -> dict[str, Any]:
    return {"x": (Dirichlet(value("left")), Dirichlet(value("right")))}


def field_names(grid: Grid | Components, suffix: str = "") -> list[str]:
    """Name the values of a field, or of several components, one after another."""
    parts = getattr(grid, "grids", {"u": grid})
    return [f"{name}{suffix}_{i}" for name, part in parts.items() for i in range(part.n_points)]


def _column_names(values: Mapping[str, Floats]) -> dict[str, list[str]]:
    return {
        name: [name] if value.ndim == 1 else [f"{name}_{i}" for i in range(value.shape[1])]
        for name, value in values.items()
    }


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
    rng: np.random.RandomState, n_samples: int, positive: Sequence[str] = (), **values: Any
) -> dict[str, Floats]:
    """Draw parameters for each sample: uniformly from a pair, or the same number for all."""
    params = {}
    for name, value in values.items():
        low, high = as_interval(name, value)
        if name in positive and not low > 0.0:
            raise ValueError(f"{name} must be above 0, got {value!r}.")
        params[name] = rng.uniform(low, high, n_samples)
    return params


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

"""A background on other points than those it was learned on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.estimators._on_grid import interpolated
from skphys.grids import Components, Grid, grid_parts, resample
from skphys.neural import BoundaryEmbedding

Array = NDArray[np.float64]


class RegriddedBackground:
    """A background on other points than those it was learned on.

    Inputs are interpolated to those, and fields from them; what is prescribed on the new points is
    set right there.

    Parameters
    ----------
    learned : Background
        Fitted.
    embedding : BoundaryEmbedding
        The boundary on the new points.
    grid : Grid or Components
        The new points.
    """

    def __init__(self, learned: Any, embedding: BoundaryEmbedding, grid: Grid | Components) -> None:
        self.learned, self.embedding, self.grid = learned, embedding, grid
        self.std_ = interpolated(learned.std_, learned.grid, grid)
        self.explained_, self.kind_ = learned.explained_, learned.kind_
        self.reason_, self.errors_ = learned.reason_, learned.errors_
        self._lift = learned.chosen.lift(embedding, grid, learned.chosen.decay)

    def __call__(self, inputs: Array, values: Array) -> Array:
        """Return the background of samples, (n, n_points)."""
        learned, candidate = self.learned, self.learned.chosen.candidate
        if not learned.chosen.learned:
            return self._lift.correct(np.zeros((len(values), self.grid.n_points)), values)
        fields = candidate(self._seen(inputs, values).features)
        return self._lift.correct(resample_parts(fields, learned.grid, self.grid), values)

    def std(self, inputs: Array, values: Array) -> Array:
        """Return the standard deviations of samples, (n, n_points)."""
        if not self.learned.chosen.learned:
            return np.tile(self.std_, (len(values), 1))
        return np.outer(self.learned.chosen.growth(self._seen(inputs, values)), self.std_)

    def _seen(self, inputs: Array, values: Array) -> Any:
        return self.learned.seen(self._inputs(inputs), self._values(values))

    def told(self, boundary: BoundaryEmbedding) -> BoundaryEmbedding:
        """Return the boundary as a net is told of it."""
        return self.learned.told(boundary)

    @property
    def units(self) -> Array:
        """The units at each point, (n_points,)."""
        return at_points(self.learned.units_, self.grid)

    def on_grid(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> RegriddedBackground:
        """Return the background on still other points."""
        return self.learned.on_grid(embedding, grid)

    def _inputs(self, inputs: Array) -> Array:
        """Return the inputs on the points of training."""
        learned = self.learned
        old, new = (grid_parts(grid)[0][0] for grid in (learned.grid, self.grid))
        more = inputs.shape[1] - learned.n_inputs_
        if old.n_points == new.n_points:
            n_channels, rest = learned.n_inputs_ // old.n_points, more
        else:
            n_channels, rest = divmod(more, new.n_points - old.n_points)
        if rest or not 0 <= n_channels * old.n_points <= learned.n_inputs_:
            raise ValueError(
                f"X has {inputs.shape[1]} input column(s), and had {learned.n_inputs_} in "
                f"fit, which is not a number of fields at {new.n_points} instead of "
                f"{old.n_points} points. On another grid X must hold whole input fields first."
            )
        if n_channels == 0:
            return inputs
        width = n_channels * new.n_points
        fields = inputs[:, :width].reshape(-1, new.n_points)
        fields = resample(fields, new, old).reshape(len(inputs), -1)
        return np.concatenate([fields, inputs[:, width:]], axis=1)

    def _values(self, values: Array) -> Array:
        """Return the values on the faces of training."""
        parts = [np.empty((len(values), 0))]
        old, new = grid_parts(self.learned.grid), grid_parts(self.grid)
        for before, after in zip(self.learned.embedding.faces, self.embedding.faces, strict=True):
            face = values[:, after.values]
            if before.shape and face.shape[1]:
                grids = (_without(g[after.component][0], after.axis) for g in (new, old))
                face = resample(face, *grids)
            parts.append(face)
        return np.concatenate(parts, axis=1)


def resample_parts(fields: Array, grid: Grid | Components, other: Grid | Components) -> Array:
    """Interpolate fields of one or several components to other points."""
    pairs = zip(grid_parts(grid), grid_parts(other), strict=True)
    return np.concatenate(
        [resample(fields[:, columns], old, new) for (old, columns), (new, _) in pairs], axis=1
    )


def at_points(values: Sequence[float], grid: Grid | Components) -> Array:
    """Return a value for each component at all of its points."""
    return np.concatenate(
        [np.full(g.n_points, v) for v, (g, _) in zip(values, grid_parts(grid), strict=True)]
    )


def _without(grid: Grid, axis: int) -> Grid:
    """Return the grid of a face."""
    return Grid(**{name: a for number, (name, a) in enumerate(grid.axes.items()) if number != axis})

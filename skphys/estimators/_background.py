"""The field that a backbone does not have to learn: it satisfies the boundary by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.estimators._background_choice import choose, is_noise
from skphys.estimators._candidates import Affine, Candidate, Kernel, Refitted, Zero, mean_norm
from skphys.estimators._on_grid import interpolated
from skphys.grids import Components, Grid, grid_parts, resample
from skphys.neural import BoundaryEmbedding, SmoothLift

Array = NDArray[np.float64]

AUTO = "auto"
MAX_SAMPLES = 1000  # that is learned from at most; the cost grows with their cube
# What is left of fields below the first part of their deviations, or the second of their size, is
# rounding.
TINY, ROUNDING = 1e-8, 1e-13
DECAYS = (np.inf, 0.3, 0.1, 0.03)  # of lifts, in parts of an axis
VALUES, ALL = ("dirichlet",), ("dirichlet", "neumann", "robin", "periodic")


class Lifted:
    """Fields that were learned, or none, with what is prescribed set right by a smooth lift.

    Parameters
    ----------
    candidate : Candidate
        What makes the fields.
    kinds : tuple of str
        The kinds of faces at which they are set right.
    decays : tuple of float
        How far into the interior; the one that leaves least is taken.
    """

    decay = np.inf

    def __init__(self, candidate: Candidate, kinds: tuple[str, ...], decays: Any = DECAYS) -> None:
        self.candidate, self.kinds, self.decays = candidate, kinds, decays

    @property
    def learned(self) -> bool:
        """Whether fields were learned."""
        return not isinstance(self.candidate, Zero)

    def fit(self, seen: Seen, y: Array) -> Lifted:
        """Learn fields, and what is left of each of them from the others."""
        self.candidate.fit(seen.features, seen.groups, y)
        told, tried = y - self.candidate.left_out, []
        for decay in self.decays:
            rest = y - self.lift(seen.embedding, seen.grid, decay).correct(told, seen.values)
            tried.append((_spread(rest), -decay, rest))
        self.error, decay, self.left_out = min(tried, key=lambda t: t[:2])
        self.decay = -decay
        del self.candidate.left_out
        return self

    def __call__(self, seen: Seen) -> Array:
        """Return the fields of other samples."""
        fields = self.candidate(seen.features)
        return self.lift(seen.embedding, seen.grid, self.decay).correct(fields, seen.values)

    def embedding(self, boundary: BoundaryEmbedding, decay: float) -> BoundaryEmbedding:
        """Return the faces that are set right."""
        faces = tuple(face for face in boundary.faces if face.kind in self.kinds)
        return replace(boundary, faces=faces, decay=decay)

    def lift(
        self, boundary: BoundaryEmbedding, grid: Grid | Components, decay: float
    ) -> SmoothLift:
        """Return what sets them right."""
        return SmoothLift(self.embedding(boundary, decay), grid)


@dataclass(frozen=True)
class Seen:
    """What a background is made of.

    Attributes
    ----------
    inputs : ndarray of shape (n, n_inputs)
        Numeric inputs; there may be none.
    values : ndarray of shape (n, n_values)
        Boundary values.
    embedding : BoundaryEmbedding
        The boundary.
    grid : Grid or Components
        Where the fields live.
    """

    inputs: Array
    values: Array
    embedding: BoundaryEmbedding
    grid: Grid | Components

    @property
    def features(self) -> Array:
        """Inputs and values, side by side."""
        return np.concatenate([self.inputs, self.values], axis=1)

    @property
    def groups(self) -> list[slice]:
        """The columns of one unit: input fields, the values of a face, and single ones."""
        n, size = self.inputs.shape[1], _field_size(self.inputs.shape[1], self.grid)
        ends = np.append(np.arange(0, n - n % size, size), np.arange(n - n % size, n + 1))
        groups = [slice(*pair) for pair in pairwise(ends)]
        faces = (face.values for face in self.embedding.faces)
        return groups + [slice(n + face.start, n + face.stop) for face in faces]


class Background:
    """What boundary values, and maybe the inputs, say of a field without a net.

    Candidates are compared by what they leave of each training field when learned from the
    others. None of them sets the boundary right at a slope that was learned: that is as accurate
    as the fields, more than a stencil is.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    grid : Grid or Components
        Where the fields live.
    wanted : str or estimator, default="auto"
        The candidate, by name; or a regressor; or "auto".

    Attributes
    ----------
    kind_ : str
        The candidate chosen.
    errors_ : dict of str to float
        Leave-one-out errors, as the mean norm of what is left of the fields with the mean of the
        others taken off as well.
    units_ : tuple of float
        What the rest of each component is measured in by those who learn it.
    std_ : ndarray of shape (n_points,)
        Root mean square of the leave-one-out errors of what was learned from the fields; 0 of a
        lift, which was not. If the fields are explained, at least the rounding of their size.
    reason_ : str
        Why it was chosen.
    explained_ : bool
        Whether nothing is left for a backbone to learn: rounding, noise, or with "auto" what kernel
        ridge regression cannot halve.
    """

    explained_ = False

    def __init__(
        self, embedding: BoundaryEmbedding, grid: Grid | Components, wanted: Any = "auto"
    ) -> None:
        self.embedding, self.grid, self.wanted = embedding, grid, wanted
        self.units_: tuple[float, ...] = (1.0,) * len(grid_parts(grid))

    def fit(self, inputs: Array, values: Array, y: Array) -> Background:
        """Choose a candidate.

        Parameters
        ----------
        inputs : ndarray of shape (n, n_inputs)
            Numeric inputs; there may be none.
        values : ndarray of shape (n, n_values)
            Boundary values.
        y : ndarray of shape (n, n_points)
            The fields.
        """
        seen = self.seen(inputs, values)
        self.n_inputs_ = inputs.shape[1]
        some, twins = _distinct(seen.features, y)
        few = replace(seen, inputs=inputs[some], values=values[some])
        tried = {name: each.fit(few, y[some]) for name, each in candidates(self.wanted).items()}
        self.errors_ = {name: each.error for name, each in tried.items()}
        self.kind_, self.reason_ = choose(tried, self.grid)
        self.chosen = tried[self.kind_]
        left_out = self.chosen.left_out
        self.std_, self.rest = np.zeros(y.shape[1]), y - self(inputs, values)
        if self.chosen.learned:  # of samples that it was fitted to it leaves less than of others
            self.std_, known = np.sqrt(np.mean(left_out**2, axis=0)), twins >= 0
            self.rest[known] = left_out[twins[known]]
        self.explained_ = self._is_rounding(self.rest, y)
        if self.chosen.learned and not self.explained_:
            told = None if not self._chooses else few  # who asks for a map wants a net beside it
            self.explained_ = is_noise(left_out, self.grid, told)
        for each in tried.values():
            del each.left_out
        return self

    @property
    def _chooses(self) -> bool:
        return isinstance(self.wanted, str) and self.wanted == AUTO

    def seen(self, inputs: Array, values: Array) -> Seen:
        """Return samples as candidates take them."""
        return Seen(inputs, values, self.embedding, self.grid)

    def __call__(self, inputs: Array, values: Array) -> Array:
        """Return the background of samples, (n, n_points)."""
        # The mean of what is left stays: of a moving front, only a backbone knows where it is.
        return self.chosen(self.seen(inputs, values))

    def take_rest(self) -> Array:
        """Hand out, once, what is left of the training fields: what a backbone has to learn."""
        rest, self.rest = self.rest, np.empty(0)
        return rest

    def told(self, boundary: BoundaryEmbedding) -> BoundaryEmbedding:
        """Return the boundary as a net is told of it that learns the rest."""
        if self.kind_ == "none":
            return replace(boundary, method="inputs")
        return replace(boundary, decay=self.chosen.decay)

    def _is_rounding(self, rest: Array, y: Array) -> bool:
        """Say whether what is left of the fields y is rounding, which `std_` then says, too."""
        parts = [part for _, part in grid_parts(self.grid)]
        left, deviations, sizes = (
            [float(np.abs(fields[:, part]).max()) for part in parts]
            for fields in (rest, y - y.mean(axis=0), y)
        )
        explained = all(
            r <= max(TINY * d, ROUNDING * s)
            for r, d, s in zip(left, deviations, sizes, strict=True)
        )
        if explained:
            rounding = [np.finfo(np.float64).eps * (s or 1.0) for s in sizes]
            self.std_ = np.maximum(self.std_, _at_points(rounding, self.grid))
        return explained

    def set_units(self, rest: Array, y: Array) -> Array:
        """Measure the rest so that it varies as much as the fields y, and return the units.

        A recipe for the fields then suits the rest, too, however small it is.
        """
        parts = [part for _, part in grid_parts(self.grid)]
        deviations = [(rest[:, part].std(), y[:, part].std()) for part in parts]
        self.units_ = tuple(float(r / s) if r > 0.0 and s > 0.0 else 1.0 for r, s in deviations)
        return self.units

    @property
    def units(self) -> Array:
        """The units at each point, (n_points,)."""
        return _at_points(self.units_, self.grid)

    def on_grid(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> RegriddedBackground:
        """Return the background on other points of the same axes."""
        return RegriddedBackground(self, embedding, grid)


def candidates(wanted: Any) -> dict[str, Lifted]:
    """Return the candidates by name: those of ours, all of them for "auto", or the user's."""
    ours = {
        "values": Lifted(Zero(), VALUES),
        "smooth": Lifted(Zero(), ALL),
        "none": Lifted(Zero(), (), (np.inf,)),
        "linear": Lifted(Affine(), VALUES, (np.inf,)),
        "kernel": Lifted(Kernel(), VALUES, (np.inf,)),
    }
    if isinstance(wanted, str) and wanted == AUTO:
        return ours
    if isinstance(wanted, str):
        return {wanted: ours[wanted]}
    return {type(wanted).__name__: Lifted(Refitted(wanted), VALUES, (np.inf,))}


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

    def __init__(
        self, learned: Background, embedding: BoundaryEmbedding, grid: Grid | Components
    ) -> None:
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
        fields = candidate(learned.seen(self._inputs(inputs), self._values(values)).features)
        return self._lift.correct(resample_parts(fields, learned.grid, self.grid), values)

    def told(self, boundary: BoundaryEmbedding) -> BoundaryEmbedding:
        """Return the boundary as a net is told of it."""
        return self.learned.told(boundary)

    @property
    def units(self) -> Array:
        """The units at each point, (n_points,)."""
        return _at_points(self.learned.units_, self.grid)

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


def _at_points(values: Sequence[float], grid: Grid | Components) -> Array:
    """Return a value for each component at all of its points."""
    return np.concatenate(
        [np.full(g.n_points, v) for v, (g, _) in zip(values, grid_parts(grid), strict=True)]
    )


def _without(grid: Grid, axis: int) -> Grid:
    """Return the grid of a face."""
    return Grid(**{name: a for number, (name, a) in enumerate(grid.axes.items()) if number != axis})


def _field_size(n_inputs: int, grid: Grid | Components) -> int:
    """Return how many columns an input field has: as many points as fit, of all axes but one."""
    part = grid_parts(grid)[0][0]
    sizes = [part.n_points, *(part.n_points // size for size in part.shape)]
    return max((size for size in sizes if size <= n_inputs), default=1)


def _distinct(features: Array, y: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of different samples, at most `MAX_SAMPLES`, and which one each is.

    Leaving out one of two equal samples says nothing; a bootstrap has many. -1 is none of them.
    """
    hashes = [hash((x.tobytes(), u.tobytes())) for x, u in zip(features, y, strict=True)]
    some = np.array(list({key: number for number, key in enumerate(hashes)}.values()))
    if len(some) > MAX_SAMPLES:
        some = np.random.default_rng(0).permutation(some)[:MAX_SAMPLES]
    places = {hashes[position]: number for number, position in enumerate(some)}
    return some, np.array([places.get(key, -1) for key in hashes])


def _spread(rest: Array) -> float:
    """Return how far what is left is from its mean over the other samples.

    The mean, which a net learns at once, counts only where there is nothing else.
    """
    n = len(rest)
    if n == 1:
        return np.inf
    return mean_norm(rest - rest.mean(axis=0)) * n / (n - 1) + ROUNDING * mean_norm(rest)

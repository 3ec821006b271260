"""The candidates for a background: what is learned of fields, and set right at the boundary."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.estimators._candidates import Affine, Candidate, Kernel, Refitted, Zero, parameters
from skphys.estimators._ridge import Runs, mean_norm
from skphys.grids import Components, Grid, grid_parts
from skphys.neural import BoundaryEmbedding, SmoothLift

Array = NDArray[np.float64]

AUTO = "auto"
ROUNDING = 1e-13  # what is left of fields below this part of their size is rounding
DECAYS = (np.inf, 0.3, 0.1, 0.03)  # of lifts, in parts of an axis
FEW = 20  # fields up to which the choice of ridges from left-out errors makes these too small
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

    @property
    def curved(self) -> bool:
        """Whether they are no linear function of input fields and boundary values."""
        return isinstance(self.candidate, Kernel) and self.candidate.n_inputs is None

    def fit(self, seen: Seen, y: Array) -> Lifted:
        """Learn fields, and what is left of each of them from the others."""
        self.candidate.fit(seen.features, seen.columns, y, seen.runs)
        self.n_runs = len(y) if seen.runs is None else len(np.unique(seen.runs))
        told, tried = y - self._left_out(seen, y), []
        for decay in self.decays:
            rest = y - self.lift(seen.embedding, seen.grid, decay).correct(told, seen.values)
            tried.append((_spread(rest), -decay, rest))
        self.error, decay, self.left_out = min(tried, key=lambda t: t[:2])
        self.decay = -decay
        del self.candidate.left_out
        return self

    def _left_out(self, seen: Seen, y: Array) -> Array:
        """Return what is left of each field; of few fields by learning anew without it."""
        if len(y) > FEW or not isinstance(self.candidate, Affine | Kernel):
            return self.candidate.left_out
        left_out, features = y.copy(), seen.features
        runs = np.arange(len(y)) if seen.runs is None else seen.runs
        for run in np.unique(runs) if len(y) > 1 else ():
            own, others = runs == run, runs != run
            data = features[others], seen.columns, y[others], runs[others]
            left_out[own] -= copy(self.candidate).fit(*data)(features[own])
        return left_out

    def __call__(self, seen: Seen) -> Array:
        """Return the fields of other samples."""
        fields = self.candidate(seen.features)
        return self.lift(seen.embedding, seen.grid, self.decay).correct(fields, seen.values)

    def is_known(self, seen: Seen) -> bool:
        """Say whether all features are known that fields are told by."""
        units = getattr(self.candidate, "units", None)  # a regressor minds for itself
        return units is None or bool(np.isfinite(seen.features[:, units.scale > 0.0]).all())

    def growth(self, seen: Seen) -> Array:
        """Return the factor of errors of samples that are beyond those that it was fitted to."""
        found = getattr(self.candidate, "growth", None)
        return np.ones(len(seen.values)) if found is None else found(seen.features)

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
    runs : ndarray of int of shape (n,) or None
        Fields of the same number are left out together; None: each by itself.
    """

    inputs: Array
    values: Array
    embedding: BoundaryEmbedding
    grid: Grid | Components
    runs: Runs | None = None

    @property
    def features(self) -> Array:
        """Inputs and values, side by side."""
        return np.concatenate([self.inputs, self.values], axis=1)

    @property
    def columns(self) -> list[slice]:
        """The columns of one unit: input fields, the values of a face, and single ones."""
        n, size = self.inputs.shape[1], _field_size(self.inputs.shape[1], self.grid)
        ends = np.append(np.arange(0, n - n % size, size), np.arange(n - n % size, n + 1))
        columns = [slice(*pair) for pair in pairwise(ends)]
        faces = (face.values for face in self.embedding.faces)
        return columns + [slice(n + face.start, n + face.stop) for face in faces]


def candidates(wanted: Any, seen: Seen, names: Sequence[str] | None = None) -> dict[str, Lifted]:
    """Return the candidates by name: those of ours, all of them for "auto", or the user's."""
    grid, n_inputs = seen.grid, seen.inputs.shape[1]
    ours = {
        "values": Lifted(Zero(), VALUES),
        "smooth": Lifted(Zero(), ALL),
        "none": Lifted(Zero(), (), (np.inf,)),
        "linear": Lifted(Affine(grid), VALUES, (np.inf,)),
        "varying": Lifted(Kernel(grid, n_inputs), VALUES, (np.inf,)),
        "kernel": Lifted(Kernel(grid), VALUES, (np.inf,)),
    }
    if isinstance(wanted, str) and wanted == AUTO:
        if not 0 < len(parameters(seen.columns, n_inputs)) < seen.features.shape[1]:
            del ours["varying"]  # it is one of its neighbours
        return ours
    if isinstance(wanted, str):
        return {wanted: ours[wanted]}
    return {type(wanted).__name__: Lifted(Refitted(wanted, names), VALUES, (np.inf,))}


def _field_size(n_inputs: int, grid: Grid | Components) -> int:
    """Return how many columns an input field has: as many points as fit, of all axes but one."""
    part = grid_parts(grid)[0][0]
    sizes = [part.n_points, *(part.n_points // size for size in part.shape)]
    return max((size for size in sizes if size <= n_inputs), default=1)


def _spread(rest: Array) -> float:
    """Return how far what is left is from its mean over the other samples.

    The mean, which a net learns at once, counts only where there is nothing else.
    """
    n = len(rest)
    if n == 1:
        return np.inf
    return mean_norm(rest - rest.mean(axis=0)) * n / (n - 1) + ROUNDING * mean_norm(rest)

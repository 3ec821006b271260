"""The field that a backbone does not have to learn: it satisfies the boundary by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphys.estimators._background_choice import choose, is_noise
from skphys.estimators._candidates import Kernel
from skphys.estimators._lifted import AUTO, ROUNDING, Seen, candidates
from skphys.estimators._regridded import RegriddedBackground, at_points
from skphys.estimators._ridge import Runs
from skphys.estimators._stencil_error import student
from skphys.estimators._warn import warn_user
from skphys.grids import Components, Grid, grid_parts
from skphys.neural import BoundaryEmbedding

Array = NDArray[np.float64]

MAX_SAMPLES = 1000  # that is learned from at most; the cost grows with their cube
TINY = 1e-8  # what is left of fields below this part of their deviations is rounding, too


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
        Root mean square of the leave-one-out errors of what was learned from the fields, larger by
        the factor of Student's t where they are few. A lift was not learned: 0, or of members
        behind it what they leave of the training fields. If the fields are explained, at least the
        rounding of their size.
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

    def fit(
        self,
        inputs: Array,
        values: Array,
        y: Array,
        names: Sequence[str] | None = None,
        runs: Runs | None = None,
    ) -> Background:
        """Choose a candidate.

        Parameters
        ----------
        inputs : ndarray of shape (n, n_inputs)
            Numeric inputs; there may be none.
        values : ndarray of shape (n, n_values)
            Boundary values.
        y : ndarray of shape (n, n_points)
            The fields.
        names : sequence of str or None, default=None
            Of the inputs.
        runs : ndarray of int of shape (n,) or None, default=None
            Fields of the same number are left out together.
        """
        seen = self.seen(inputs, values)
        self.n_inputs_ = inputs.shape[1]
        some, twins = _distinct(seen.features, y)
        runs = some if runs is None else runs[some]
        n_runs = len(np.unique(runs))
        together = runs if 1 < n_runs < len(runs) else None
        few = replace(seen, inputs=inputs[some], values=values[some], runs=together)
        made = candidates(self.wanted, seen, names and [*names, *self.embedding.value_names])
        tried = {name: each.fit(few, y[some]) for name, each in made.items()}
        self.errors_ = {name: each.error for name, each in tried.items()}
        self.kind_, self.reason_ = choose(tried, self.grid)
        self.chosen = tried[self.kind_]
        left_out = self.chosen.left_out if len(some) > 1 else y[some]  # of one: anything
        self.std_, self.rest = np.zeros(y.shape[1]), y - self(inputs, values)
        if self.chosen.learned:  # of samples that it was fitted to it leaves less than of others
            self.std_ = student(n_runs) * np.sqrt(np.mean(left_out**2, axis=0))
            known = twins >= 0
            self.rest[known] = left_out[twins[known]]
        rounding = len(some) > 1 and self._is_rounding(self.rest, y)
        self.explained_ = rounding or self._is_noise(left_out, few)
        for each in tried.values():
            del each.left_out
        return self

    def _is_noise(self, left_out: Array, few: Seen) -> bool:
        """Say whether there is nothing to learn in what is left.

        Who asks for a map wants a net beside it; of its own rest a kernel would learn nothing.
        """
        if not self.chosen.learned:
            return False
        if not (isinstance(self.wanted, str) and self.wanted == AUTO):
            return is_noise(left_out, self.grid)
        return isinstance(self.chosen.candidate, Kernel) or is_noise(left_out, self.grid, few)

    def seen(self, inputs: Array, values: Array) -> Seen:
        """Return samples as candidates take them."""
        return Seen(inputs, values, self.embedding, self.grid)

    def __call__(self, inputs: Array, values: Array) -> Array:
        """Return the background of samples, (n, n_points)."""
        # The mean of what is left stays: of a moving front, only a backbone knows where it is.
        seen = self.seen(inputs, values)
        if not self.chosen.is_known(seen):
            warn_user(
                "X has NaN or infinite values in columns that the background was learned from; it "
                "takes the means of the training data for them. Impute them, or leave these rows "
                "out."
            )
        return self.chosen(seen)

    def std(self, inputs: Array, values: Array) -> Array:
        """Return the standard deviations of samples, larger beyond the training samples."""
        return np.outer(self.chosen.growth(self.seen(inputs, values)), self.std_)

    @property
    def learned(self) -> bool:
        """Whether it was learned from the fields, which lifts are not."""
        return self.chosen.learned

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
            self.std_ = np.maximum(self.std_, at_points(rounding, self.grid))
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
        return at_points(self.units_, self.grid)

    def on_grid(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> RegriddedBackground:
        """Return the background on other points of the same axes."""
        return RegriddedBackground(self, embedding, grid)


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

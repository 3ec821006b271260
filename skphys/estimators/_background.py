"""The field that a backbone does not have to learn: it satisfies the boundary by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import helmert, qr

from skphys.estimators._on_grid import interpolated
from skphys.grids import Components, Grid, grid_parts, resample
from skphys.neural import BoundaryEmbedding, SmoothLift

Array = NDArray[np.float64]

# Ridges to choose from, relative to the square of the features' largest singular value.
RIDGES = tuple(10.0**exponent for exponent in range(-12, 1, 2))
MAX_SAMPLES = 1000  # that the linear map is learned from; its cost grows with their cube
# The linear map is taken if it leaves this part, or less, of what a lift leaves, so that it is as
# accurate as nets are by itself. If not, it gets in their way: what it leaves of samples that it
# was fitted to is less than, and unlike, what it leaves of others.
NEARLY_LINEAR = 1e-3
# It is taken, too, if it leaves clearly less than a lift, and of the square of that a tenth at most
# goes with the neighbours: the rest is noise of the fields, which a net can but learn by heart.
NOISY_LINEAR, WHITE = 0.6, 0.1
# Deviations below these parts of a feature's size, and of the largest deviation, are rounding. So
# is what is left of fields below the first part of their deviations, or the second of their size.
TINY, ROUNDING = 1e-8, 1e-13
RANK = 1e-13  # singular values below this part of the largest are rounding, too


class Background:
    """What boundary values, and the input if the operator is nearly linear, say of a field.

    Three candidates are compared on the training fields: the smooth lift of the prescribed
    *values*; that of all conditions, slopes too; and the affine map of input and boundary values
    that ridge regression finds, which is the conditional mean of a Gaussian with the training
    fields' covariance. Its values are set right, too; its slopes are as accurate as the fields,
    more than a stencil is, and stay.

    Parameters
    ----------
    embedding : BoundaryEmbedding
        The boundary.
    grid : Grid or Components
        Where the fields live.

    Attributes
    ----------
    kind_ : {"values", "smooth", "linear"}
        The candidate chosen.
    errors_ : dict of str to float
        Leave-one-out errors, as the mean norm of what is left of the fields; of the lifts, with
        the mean of the others taken off as well.
    units_ : tuple of float
        What the rest of each component is measured in by those who learn it.
    std_ : ndarray of shape (n_points,)
        Root mean square of the leave-one-out errors of what was learned from the fields; 0 of a
        lift, which was not. If the fields are explained, at least the rounding of their size.
    explained_ : bool
        Whether nothing but rounding is left of the training fields, so that there is nothing for a
        backbone to learn.
    """

    explained_ = False

    def __init__(self, embedding: BoundaryEmbedding, grid: Grid | Components) -> None:
        self.embedding, self.grid = embedding, grid
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
        self._lifts = {
            "values": SmoothLift(_dirichlet(self.embedding), self.grid),
            "smooth": SmoothLift(self.embedding, self.grid),
        }
        self.errors_ = {name: _spread(lift, values, y) for name, lift in self._lifts.items()}
        self.kind_ = min(self.errors_, key=lambda name: self.errors_[name])
        self.n_inputs_ = inputs.shape[1]
        features = np.concatenate([inputs, values], axis=1)
        some = _distinct(features, y)
        affine = _AffineMap().fit(features[some], y[some])
        self.errors_["linear"] = affine.error_
        self.std_ = np.zeros(y.shape[1])
        least = self.errors_[self.kind_]
        if affine.error_ < NOISY_LINEAR * least:
            told = self._lifts["values"].correct(y[some] - affine.left_out, values[some])
            rest = y[some] - told
            if affine.error_ < NEARLY_LINEAR * least or _alike(rest, self.grid) < WHITE:
                self.kind_, self._affine = "linear", affine
                self.std_ = np.sqrt(np.mean(rest**2, axis=0))
        del affine.left_out
        return self

    def __call__(self, inputs: Array, values: Array) -> Array:
        """Return the background of samples, (n, n_points)."""
        if self.kind_ == "linear":
            fields = self._affine(np.concatenate([inputs, values], axis=1))
            return self._lifts["values"].correct(fields, values)
        # The mean of what is left stays: of a moving front, only a backbone knows where it is.
        return self._lifts[self.kind_].correct(np.zeros((len(values), self.grid.n_points)), values)

    def judge(self, rest: Array, y: Array) -> bool:
        """Say whether what is left of the fields y is rounding, which `explained_` keeps.

        There is an error besides, then, that is less than leave-one-out errors can tell: in it
        slopes, which not every background has, can still be set right.
        """
        parts = [part for _, part in grid_parts(self.grid)]
        left, deviations, sizes = (
            [float(np.abs(fields[:, part]).max()) for part in parts]
            for fields in (rest, y - y.mean(axis=0), y)
        )
        self.explained_ = all(
            r <= max(TINY * d, ROUNDING * s)
            for r, d, s in zip(left, deviations, sizes, strict=True)
        )
        if self.explained_:
            rounding = [np.finfo(np.float64).eps * (s or 1.0) for s in sizes]
            self.std_ = np.maximum(self.std_, _at_points(rounding, self.grid))
        return self.explained_

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
        self.explained_ = learned.explained_
        self._lift = SmoothLift(
            embedding if learned.kind_ == "smooth" else _dirichlet(embedding), grid
        )

    def __call__(self, inputs: Array, values: Array) -> Array:
        """Return the background of samples, (n, n_points)."""
        learned = self.learned
        if learned.kind_ != "linear":
            return self._lift.correct(np.zeros((len(values), self.grid.n_points)), values)
        features = [self._inputs(inputs), self._values(values)]
        fields = learned._affine(np.concatenate(features, axis=1))
        return self._lift.correct(resample_parts(fields, learned.grid, self.grid), values)

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


def _dirichlet(embedding: BoundaryEmbedding) -> BoundaryEmbedding:
    faces = tuple(face for face in embedding.faces if face.kind == "dirichlet")
    return BoundaryEmbedding(embedding.method, faces, embedding.pivot)


def _distinct(features: Array, y: Array) -> slice | NDArray[np.intp]:
    """Return the positions of different samples, at most `MAX_SAMPLES`.

    Leaving out one of two equal samples says nothing; a bootstrap has many.
    """
    hashes = [hash((x.tobytes(), u.tobytes())) for x, u in zip(features, y, strict=True)]
    distinct = np.array(list({key: number for number, key in enumerate(hashes)}.values()))
    if len(distinct) > MAX_SAMPLES:
        return np.random.default_rng(0).permutation(distinct)[:MAX_SAMPLES]
    return slice(None) if len(distinct) == len(y) else distinct


def _spread(lift: SmoothLift, values: Array, y: Array) -> float:
    """Return how far what a lift leaves is from its mean over the other samples."""
    n = len(y)
    shift = (y - lift.correct(np.zeros_like(y), values)).mean(axis=0)
    left = y - lift.correct(np.broadcast_to(shift, y.shape), values)
    return _mean_norm(left) * n / (n - 1) if n > 1 else np.inf


def _alike(fields: Array, grid: Grid | Components) -> float:
    """Return the correlation of neighbours along the axis where it is largest; 1 of single ones."""
    found = [1.0] if grid.n_points == len(grid_parts(grid)) else []
    for part, where in grid_parts(grid):
        values = fields[:, where].reshape(-1, *part.shape)
        for axis in (k for k, size in enumerate(part.shape, start=1) if size > 1):
            along = np.moveaxis(values, axis, 0)
            one, other = along[:-1].ravel(), along[1:].ravel()
            size = np.linalg.norm(one) * np.linalg.norm(other)
            found.append(float(abs(one @ other) / size) if size > 0.0 else 1.0)
    return max(found)


def _mean_norm(fields: Array) -> float:
    return float(np.linalg.norm(fields, axis=1).mean())


class _AffineMap:
    """Ridge regression in the dual, with the ridge of least leave-one-out error."""

    def fit(self, features: Array, y: Array) -> _AffineMap:
        self._set_units(features)
        self.target = y.mean(axis=0)
        Z = self._standardised(features)
        lengths, vectors = _spectrum(Z)
        largest = lengths.max(initial=0.0)
        rotated = vectors.T @ (y - self.target)
        sizes = rotated  # of rows of V @ rotated, which a rotation of the points leaves
        if rotated.shape[1] > rotated.shape[0]:
            sizes = qr(rotated.T, mode="r", check_finite=False)[0][: len(rotated)].T
        self.error_, ridge, self.left_out = np.inf, 1.0, y
        if largest > 0.0:
            ridges = [r * largest**2 for r in RIDGES]
            self.error_, ridge = min(
                (_mean_norm(_left_out(lengths, vectors, sizes, r)), r) for r in ridges
            )
            self.left_out = _left_out(lengths, vectors, rotated, ridge)
        kept = lengths > 0.0
        self.directions = Z.T @ (vectors[:, kept] / (lengths[kept] ** 2 + ridge))
        self.coefficients = rotated[kept]
        return self

    def __call__(self, features: Array) -> Array:
        return self.target + self._standardised(features) @ self.directions @ self.coefficients

    def _set_units(self, features: Array) -> None:
        """Take mean and deviation of each feature; one not known of all samples says nothing."""
        known = np.isfinite(features).all(axis=0)
        features = np.where(known, features, 0.0)
        std = features.std(axis=0)
        varies = std > TINY * np.abs(features).max(axis=0)
        varies &= std > ROUNDING * std.max(initial=0.0)
        self.mean = features.mean(axis=0)
        self.scale = np.where(varies, 1.0 / np.where(varies, std, 1.0), 0.0)

    def _standardised(self, features: Array) -> Array:
        unknown = ~np.isfinite(features)
        if unknown.any():
            features = np.where(unknown, self.mean, features)
        return (features - self.mean) * self.scale


def _spectrum(features: Array) -> tuple[Array, Array]:
    """Return singular values of centred features, and left vectors orthogonal to the constant.

    There are n - 1 of both for n samples; values of the size of rounding are zero. The squares, of
    inner products, would drown in rounding what ridges tell apart.
    """
    basis = helmert(len(features))
    centred = basis @ features
    if centred.shape[1] > centred.shape[0]:
        centred = qr(centred.T, mode="r", check_finite=False)[0][: len(centred)].T
    vectors, some, _ = np.linalg.svd(centred)
    lengths = np.zeros(len(basis))
    lengths[: len(some)] = np.where(some > RANK * some.max(initial=0.0), some, 0.0)
    return lengths, basis.T @ vectors


def _left_out(lengths: Array, vectors: Array, rotated: Array, ridge: float) -> Array:
    """Return the leave-one-out residuals, the mean of the others refitted as well.

    In sums without cancellation, or small ridges would look too good.
    """
    left = ridge / (lengths**2 + ridge)
    residuals = (vectors * left) @ rotated
    return residuals / (vectors**2 @ left)[:, None]

"""The gain of a few dense rows under any covariance."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from array_api_compat import array_namespace, device

from skphys.conditioning._arrays import (
    Array,
    cholesky,
    eps,
    is_float64_numpy,
    matvec,
    to_numpy,
    transpose,
)
from skphys.conditioning._covariance import Covariance, Diagonal
from skphys.conditioning._gain import EXACT, FewRowsGain, Gain, Refined
from skphys.conditioning._single_row import SingleRowGain
from skphys.conditioning._whitened import orthonormal

# A pivot of a row's unit variance below this: the rows are to be looked at whitened.
SUSPECT = 1e-4
# In units of the dtype's eps: a residual that independent points may take up. A singular
# covariance leaves out directions of a std below sqrt(4 eps) of the largest; this is more.
NEARLY = 1e10
INVOLVED = 1e-4  # the least part of a row in another one that makes them contradict each other


class DenseGain(FewRowsGain):
    """Any covariance under a few dense rows.

    Rows are whitened and brought to unit length, and those that follow from others, to rounding,
    are left out; whether the values agree is seen in the corrected field. Where rows stand clearly
    apart a Cholesky factor of ``G S G' + R`` does the same in less time.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    weight : ndarray of shape (..., n_rows), optional
        How much it matters that a row is not among those left out.
    """

    def __init__(
        self,
        covariance: Covariance,
        rows: Array,
        noise_variance: Array,
        weight: np.ndarray | None = None,
    ) -> None:
        self.covariance = covariance
        self.rows = rows
        self.noise_variance = noise_variance
        self._noisy = bool((noise_variance > 0).any())
        cross = covariance.matmul(transpose(rows))
        inner = rows @ cross
        xp = array_namespace(rows)
        own = xp.linalg.diagonal(inner)
        self._usable = (own > covariance.rounding(rows)) | (noise_variance > 0)
        scale = _inverse_root(own + noise_variance, self._usable)
        suspect, lower = _cholesky_of_correlation(inner, noise_variance, scale, weight is not None)
        identity = xp.eye(rows.shape[0], dtype=rows.dtype, device=device(rows))
        self.inverse = xp.linalg.solve(lower, identity) * scale[..., None, :]
        self._cross: Array | None = cross
        if suspect.any():
            chosen = xp.asarray(suspect, device=device(rows))[..., None, None]
            half, inverse = self._whitened(weight)
            self.half = xp.where(chosen, half, self.half)
            self.inverse = xp.where(chosen, inverse, self.inverse)
            self._cross = None

    @cached_property
    def half(self) -> Array:
        """Return ``S G' L^-T``, where rows stand clearly apart; means do without it."""
        return self._cross @ transpose(self.inverse)

    def _whitened(self, weight: np.ndarray | None) -> tuple[Array, Array]:
        """Return `half` and `inverse` by orthonormal directions of the whitened rows."""
        xp = array_namespace(self.rows)
        white = self.covariance.white(transpose(self.rows))
        rank = white.shape[-2]
        if self._noisy:
            identity = xp.eye(self.rows.shape[0], dtype=white.dtype, device=device(white))
            noise = xp.sqrt(self.noise_variance)[..., None] * identity
            batch = np.broadcast_shapes(white.shape[:-2], noise.shape[:-2])
            parts = (xp.broadcast_to(p, (*batch, *p.shape[-2:])) for p in (white, noise))
            white = xp.concat(list(parts), axis=-2)
        scale = _inverse_root(xp.sum(white**2, axis=-2), self._usable)
        white = white * scale[..., None, :]
        directions, inverse = orthonormal(white, weight)
        return self.covariance.color(directions[..., :rank, :]), inverse * scale[..., None, :]

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape of the fields."""
        held = self.half if self._cross is None else self._cross
        return np.broadcast_shapes(held.shape[:-2], self.inverse.shape[:-2])

    def advance(self, field: Array, residual: Array) -> tuple[Array, Array | float, Array]:
        """Return a field that is moved, the multipliers if noise asks for them, and its rows."""
        white, multipliers = matvec(self.inverse, residual), 0.0
        if self._cross is not None or self._noisy:
            multipliers = matvec(transpose(self.inverse), white)
        if self._cross is None:
            moved = field + matvec(self.half, white)
        else:
            moved = field + matvec(self._cross, multipliers)
        return moved, multipliers, self.along(moved)

    def travelled(self, course: Refined) -> Array:
        """Return what the first step has added up at each point."""
        residual = self.residual(course.passed[0], course.values, 0.0)
        return matvec(abs(self.half), abs(matvec(self.inverse, residual)))

    def reduced_variance(self) -> Array:
        """Return the conditioned variances."""
        xp = array_namespace(self.rows)
        prior = self.covariance.diagonal()
        reduced = prior - xp.sum(self.half**2, axis=-1)
        # A remainder of a few roundings is none: what the rows determine has no variance.
        reduced = xp.where(reduced > EXACT * eps(prior) * prior, reduced, 0.0)
        points = self.pins()[1]
        if len(points):
            reduced[..., points] = 0.0
        return reduced

    def mend(self, course: Refined) -> Refined:
        """Do for fields that miss a row what takes more than refinement.

        Rows that follow from others are met to the rounding of those, which may be much for a row
        with small terms; then rows with large terms are left out. And a smooth prior may leave
        rows of an exact system no room but rounding. What then remains is small; independent
        points take it up.
        """
        for mended in (self._weighted, self._independently):
            if bool(self.missed(course, EXACT, passed=False).any()):
                course = self.better(course, mended(course))
        return course

    def _weighted(self, course: Refined) -> Refined:
        """Correct again, leaving out what has large terms."""
        weight = 1.0 / np.maximum(to_numpy(self.terms(course)), np.finfo(float).tiny)
        weight = weight * np.sqrt(np.maximum(to_numpy(self.row_variance()), 0.0))
        gain = DenseGain(self.covariance, self.rows, self.noise_variance, weight)
        return gain.refine(course.field, course.values, course.multipliers)

    def _independently(self, course: Refined) -> Refined:
        """Move fields that are nearly there by independent points."""
        near = ~self.missed(course, NEARLY).any(-1)[..., None]
        if self._noisy or not near.any() or self.covariance.independent_variance() is not None:
            return course
        gain = DenseGain(Diagonal(self.covariance.diagonal()), self.rows, self.noise_variance)
        again = gain.refine(course.field, course.values)
        xp = array_namespace(course.field)
        return again._replace(
            field=xp.where(near, again.field, course.field),
            residual=xp.where(near, again.residual, course.residual),
        )

    def row_variance(self) -> Array:
        """Return the diagonal of ``G S G' + R``."""
        return self.covariance.row_variance(self.rows) + self.noise_variance

    def blame(self, missed: Array, course: Refined) -> Array:
        """Add to rows that are missed those that they follow from, or that follow from them."""
        std = np.sqrt(to_numpy(self.row_variance()))
        std = np.where(std > 0, std, 1.0)  # such a row moves nothing and is no part of others
        part = np.abs(to_numpy((self.rows @ self.half) @ self.inverse))
        linked = part * std[..., None, :] > INVOLVED * std[..., :, None]
        linked = linked | np.swapaxes(linked, -1, -2)
        found = to_numpy(missed)[..., None, :]
        return (found | (found @ linked @ linked))[..., 0, :]


def factor_dense(covariance: Covariance, rows: Array, noise_variance: Array) -> Gain:
    """Factor dense rows under a covariance; a single row under a diagonal has fused kernels.

    Parameters
    ----------
    covariance : Covariance
        ``S``.
    rows : array of shape (n_rows, n_points)
        ``G``.
    noise_variance : array of shape (n_rows,) or (..., n_rows)
        The diagonal of ``R``.
    """
    if rows.shape[0] == 1 and noise_variance.ndim == 1:
        variance = covariance.independent_variance()
        if variance is not None and is_float64_numpy(variance, rows):
            return SingleRowGain(variance, rows, noise_variance)
    return DenseGain(covariance, rows, noise_variance)


def _inverse_root(variance: Array, usable: Array) -> Array:
    """Return one over the root where it is usable, 0 elsewhere."""
    xp = array_namespace(variance)
    usable = usable & (variance > 0)
    return xp.where(usable, 1.0 / xp.sqrt(xp.where(usable, variance, 1.0)), 0.0)


def _cholesky_of_correlation(
    inner: Array, noise_variance: Array, scale: Array, suspect_all: bool
) -> tuple[np.ndarray, Array]:
    """Say which matrices of unit diagonal are not clearly regular, and factor the others.

    Returns
    -------
    suspect : ndarray of bool of shape (...)
        Which they are.
    lower : array of shape (..., n_rows, n_rows)
        The Cholesky factors; that of the identity for a suspect.
    """
    xp = array_namespace(inner)
    n_rows = inner.shape[-1]
    identity = xp.eye(n_rows, dtype=inner.dtype, device=device(inner))
    off = inner * scale[..., None] * scale[..., None, :] * (1.0 - identity)
    matrix = 0.5 * (off + transpose(off)) + identity
    if n_rows < 2 and not suspect_all:
        return np.zeros(matrix.shape[:-2], dtype=bool), matrix
    lower = cholesky(matrix)
    pivots = to_numpy(xp.linalg.diagonal(lower)) ** 2
    suspect = np.asarray(~(pivots >= SUSPECT).all(axis=-1) | suspect_all)
    if suspect.any():
        chosen = xp.asarray(suspect, device=device(inner))[..., None, None]
        lower = cholesky(xp.where(chosen, identity, matrix))
    return suspect, lower

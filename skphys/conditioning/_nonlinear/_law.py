"""What a nonlinear law is asked for, and the problem that it makes of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skphys.conditioning._arrays import Normal, matvec, transpose
from skphys.conditioning._covariance import Covariance

Array = np.ndarray
SAME = 1e-12  # part of a row's variance that others leave, below which it says nothing new


class Law(Protocol):
    """Nonlinear rows ``f(u)`` of fields."""

    def evaluate(self, fields: Array) -> Array:
        """Return ``f``, of shape (n_fields, n_rows), of fields (n_fields, n_points)."""

    def jacobian(self, fields: Array) -> Array:
        """Return its derivatives, of shape (n_fields, n_rows, n_points)."""

    def curvature(self, fields: Array, multipliers: Array, directions: Array) -> Array:
        """Return second derivatives of ``multipliers @ f`` times directions, (n_fields, n_points).

        They need not be exact: they only say how many steps are taken.
        """


@dataclass(frozen=True)
class Noisy:
    """A law whose noise has coordinates of its own, the last ones: ``f(u) + e``."""

    law: Law
    n_points: int

    def evaluate(self, fields: Array) -> Array:
        """Return ``f(u) + e``."""
        return self.law.evaluate(fields[:, : self.n_points]) + fields[:, self.n_points :]

    def jacobian(self, fields: Array) -> Array:
        """Return ``[J, I]``."""
        rows = self.law.jacobian(fields[:, : self.n_points])
        one = np.broadcast_to(np.eye(rows.shape[1]), (len(rows), rows.shape[1], rows.shape[1]))
        return np.concatenate([rows, one], axis=-1)

    def curvature(self, fields: Array, multipliers: Array, directions: Array) -> Array:
        """Return the law's, and none along the noise."""
        n = self.n_points
        bent = self.law.curvature(fields[:, :n], multipliers, directions[:, :n])
        return np.concatenate([bent, np.zeros((len(bent), fields.shape[1] - n))], axis=-1)


@dataclass(frozen=True)
class Local:
    """A law's linearisation at fields, under a covariance.

    Attributes
    ----------
    gap : ndarray of shape (n_draws, n_fields, n_rows)
        ``v - f(u)``.
    rows : ndarray of shape (n_draws, n_fields, n_rows, n_points)
        ``J``.
    moved : ndarray of shape (n_draws, n_fields, n_points, n_rows)
        ``S J'``.
    inverse : ndarray of shape (n_draws, n_fields, n_rows, n_rows)
        The pseudo-inverse of ``J S J'``.
    terms : ndarray of shape (n_draws, n_fields, n_rows)
        ``|v| + |J| |u|``: what a gap is measured by.
    """

    gap: Array
    rows: Array
    moved: Array
    inverse: Array
    terms: Array

    def multipliers(self, gap: Array) -> Array:
        """Return ``x`` for which ``J S J' x`` is a gap."""
        return matvec(self.inverse, gap)

    def field(self, multipliers: Array) -> Array:
        """Return ``S J' x``."""
        return matvec(self.moved, multipliers)

    def dual(self, multipliers: Array) -> Array:
        """Return ``J' x``."""
        return matvec(transpose(self.rows), multipliers)

    def tangent(self, field: Array, dual: Array) -> tuple[Array, Array]:
        """Take from ``S z`` and ``z`` what leaves the law."""
        x = self.multipliers(matvec(self.rows, field))
        return field - self.field(x), dual - self.dual(x)


@dataclass(frozen=True)
class Problem:
    """The nearest fields on a law, in the metric of a covariance.

    Attributes
    ----------
    covariance : Covariance
        ``S`` of each field.
    law : Law
        ``f``.
    mean : ndarray of shape (n_draws, n_fields, n_points)
        From where; draws of a field share its covariance.
    values : ndarray of shape (n_draws, n_fields, n_rows)
        ``v``; NaN where it is not known, and the row does not act.
    noise : ndarray of shape (n_fields, n_rows) or None
        Variances of the last coordinates, see `Noisy`.
    """

    covariance: Covariance
    law: Law
    mean: Array
    values: Array
    noise: Array | None = None

    def times(self, matrix: Array) -> Array:
        """Return ``S`` times columns of shape (n_draws, n_fields, n_points, k)."""
        if self.noise is not None:
            n = matrix.shape[-2] - self.noise.shape[-1]
            upper = self._times(matrix[..., :n, :])
            return np.concatenate([upper, self.noise[..., None] * matrix[..., n:, :]], axis=-2)
        return self._times(matrix)

    def _times(self, matrix: Array) -> Array:
        """Let the draws be columns, too, which any covariance takes."""
        n_draws, n_fields, n_points, k = matrix.shape
        columns = np.moveaxis(matrix, 0, -2).reshape(n_fields, n_points, n_draws * k)
        moved = np.broadcast_to(self.covariance.matmul(columns), columns.shape)
        return np.moveaxis(moved.reshape(n_fields, n_points, n_draws, k), -2, 0)

    def moved(self, duals: Array) -> Array:
        """Return ``S z``."""
        return self.times(duals[..., None])[..., 0]

    def gap(self, fields: Array, some: Array) -> Array:
        """Return ``v - f(u)``, 0 of other fields than some."""
        gap = np.zeros_like(self.values)
        if some.any():
            gap[some] = self.values[some] - self.law.evaluate(fields[some])
        return np.where(np.isnan(self.values), 0.0, gap)

    def local(self, fields: Array, some: Array) -> Local:
        """Linearise at some of the fields; the others have rows of zeros."""
        gap, rows = self.gap(fields, some), np.zeros((*self.values.shape, fields.shape[-1]))
        if some.any():
            rows[some] = self.law.jacobian(fields[some])
        rows[np.isnan(self.values)] = 0.0
        moved = self.times(transpose(rows))
        terms = np.abs(np.nan_to_num(self.values)) + matvec(np.abs(rows), np.abs(fields))
        return Local(gap, rows, moved, inverse(rows @ moved), terms)

    def curved(self, fields: Array, multipliers: Array, directions: Array, some: Array) -> Array:
        """Return ``W d`` of ``W``, the law's part in the second derivatives of the Lagrangian."""
        bent = np.zeros_like(fields)
        if some.any():
            bent[some] = -self.law.curvature(fields[some], multipliers[some], directions[some])
        return bent


class Stacked(Covariance):
    """The covariances of members, one after another as if they were more fields.

    Parameters
    ----------
    members : sequence of Covariance
        Each of as many fields.
    n_fields : int
        That number.
    """

    def __init__(self, members: Sequence[Covariance], n_fields: int) -> None:
        self.members = list(members)
        self.n_fields = n_fields

    @classmethod
    def of(cls, problems: Sequence[Problem], n_fields: int) -> Problem:
        """Return the problem of all members."""
        first = problems[0]
        if len(problems) == 1:
            return first
        noise = None if first.noise is None else np.tile(first.noise, (len(problems), 1))
        mean = np.concatenate([problem.mean for problem in problems], axis=1)
        values = np.concatenate([problem.values for problem in problems], axis=1)
        return Problem(
            cls([p.covariance for p in problems], n_fields), first.law, mean, values, noise
        )

    def matmul(self, matrix: Array) -> Array:
        """Return each member's product with its part."""
        parts = np.split(matrix, len(self.members))
        moved = [c.matmul(part) for c, part in zip(self.members, parts, strict=True)]
        return np.concatenate([np.broadcast_to(m, parts[0].shape) for m in moved])

    def diagonal(self) -> Array:
        """Return the variances."""
        shape = (self.n_fields, self.members[0].diagonal().shape[-1])
        return np.concatenate([np.broadcast_to(c.diagonal(), shape) for c in self.members])

    def to_dense(self) -> Array:
        """Return the covariances written out."""
        n = self.diagonal().shape[-1]
        shape = (self.n_fields, n, n)
        return np.concatenate([np.broadcast_to(c.to_dense(), shape) for c in self.members])

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw from each member."""
        own = (*shape[:-1], self.n_fields)
        return np.concatenate([c.sample(normal, own) for c in self.members], axis=-2)


def inverse(matrix: Array) -> Array:
    """Return pseudo-inverses of ``J S J'``, whose units do not matter; NaN is taken for nothing."""
    matrix = np.nan_to_num(0.5 * (matrix + transpose(matrix)), posinf=0.0, neginf=0.0)
    size = np.sqrt(np.clip(np.diagonal(matrix, axis1=-2, axis2=-1), 0.0, None))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    scaled = matrix * scale[..., None] * scale[..., None, :]
    found = scaled if matrix.shape[-1] == 1 else np.linalg.pinv(scaled, SAME, hermitian=True)
    return found * scale[..., None] * scale[..., None, :]

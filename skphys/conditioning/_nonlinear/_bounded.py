"""Fields on a nonlinear law that obey linear inequalities, too, one after another.

Which inequalities are active is found on the law's linearisation, a quadratic programme; held as
equalities they leave a nonlinear law and nothing else. Both in turn, until the same are active: as
in sequential linear-quadratic programming (Nocedal and Wright, Numerical Optimization, 2006,
section 18.5).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from skphys.conditioning._arrays import Normal
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._gain import InconsistentConstraintsError
from skphys.conditioning._gaussian import Gaussian, condition
from skphys.conditioning._inequality._field import solve_field
from skphys.conditioning._inequality._problem import Problem
from skphys.conditioning._inequality._project import roots_of
from skphys.conditioning._nonlinear._condition import UnmetLawError, condition_nonlinear
from skphys.conditioning._nonlinear._law import Array, Law

MAX_ROUNDS, HALVINGS = 200, 30
SAME = 1e-8  # part of the largest value by which a field is no other
SOFT = 1e-4  # part of its standard deviation by which a law may be missed for a moment


class Rooted(Covariance):
    """``T P^-1 T'`` of a single field, with sparse matrices where there are any.

    Parameters
    ----------
    root : tuple
        ``T`` and ``P``.
    """

    def __init__(self, root: tuple[Any, Any]) -> None:
        self.T, P = root
        P = sparse.csc_array(P)
        plain = (P - sparse.eye_array(P.shape[0])).nnz == 0
        self._solve = (lambda right: right) if plain else splu(P).solve
        self._squares = (
            np.asarray(self.T.power(2).sum(axis=1)).ravel()
            if (plain and sparse.issparse(self.T))
            else None
        )

    def diagonal(self) -> Array:
        """Return the variances."""
        if self._squares is not None:
            return self._squares
        return np.asarray(np.diagonal(self.to_dense())).copy()

    def matmul(self, matrix: Array) -> Array:
        """Return ``S @ matrix``, of columns in front of which fields may stand."""
        shape = matrix.shape
        columns = np.moveaxis(matrix, -2, 0).reshape(shape[-2], -1)
        found = self.T @ self._solve(np.ascontiguousarray(self.T.T @ columns))
        return np.moveaxis(np.reshape(found, (shape[-2], *shape[:-2], shape[-1])), 0, -2)

    def to_dense(self) -> Array:
        """Return ``S`` written out."""
        return self.matmul(np.eye(self.T.shape[0]))

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw through the root of what is written out."""
        return np.asarray(normal((*shape, self.rank())) @ self._root.T)

    def distance(self, away: Array) -> float:
        """Return the squared distance ``away' S^-1 away``, of what has variance."""
        if self._squares is not None and np.diff(sparse.csr_array(self.T).indptr).max() <= 1:
            moving = self._squares > 0
            return float(np.sum(away[moving] ** 2 / self._squares[moving]))
        return float(away @ self._inverse @ away)

    @cached_property
    def _inverse(self) -> Array:
        return np.linalg.pinv(self.to_dense(), hermitian=True)


def project_nonlinear(
    gaussian: Gaussian,
    law: Law,
    law_values: Any,
    law_noise: Any,
    H: Any,
    lower: Any,
    upper: Any,
    rows: Any,
    values: Any,
    noise: Any,
    *,
    start: Array,
) -> Array:
    """Find the most probable fields that obey a nonlinear law, inequalities and equalities.

    Parameters
    ----------
    gaussian : Gaussian
        The prior, before any equality.
    law : Law
        As in `condition_nonlinear`.
    law_values, law_noise : array broadcasting to (..., n_law_rows)
        ``v`` and its standard deviation.
    H : sparse array of shape (n_inequalities, n_points)
        Rows of the inequalities.
    lower, upper : array broadcasting to (..., n_inequalities)
        Bounds of ``H u``.
    rows, values, noise : array
        The linear equalities, as in `project`.
    start : ndarray of shape (..., n_points)
        The most probable fields without the inequalities. Those that obey them stay as they are.

    Returns
    -------
    ndarray of shape (..., n_points)
        The law holds as in `condition_nonlinear`, the rest as in `project`.

    Raises
    ------
    UnmetLawError
        Where no such field is found. Its rows are those of the law.
    """
    batch, n_points = start.shape[:-1], start.shape[-1]
    H = sparse.csr_array(H)

    def flat(array: Any, width: int) -> Array:
        full = np.broadcast_to(np.asarray(array, dtype=np.float64), (*batch, width))
        return full.reshape(prod(batch), width)

    n_law = law.evaluate(start.reshape(-1, n_points)[:1]).shape[1]
    v, std = flat(law_values, n_law), flat(law_noise, n_law)
    sides = flat(lower, H.shape[0]), flat(upper, H.shape[0])
    given, linear_noise = flat(values, rows.shape[0]), flat(noise, rows.shape[0])
    mean, out = flat(gaussian.mean, n_points), np.array(start).reshape(-1, n_points)
    product = (H @ out.T).T
    left = np.flatnonzero(((product < sides[0]) | (product > sides[1])).any(axis=1))
    roots = roots_of(gaussian.covariance) if len(left) else None
    for i in left:
        at = tuple(int(k) for k in np.unravel_index(i, batch))
        root = roots(at) if roots is not None else None
        bounds = (each[i] for each in sides)
        problem = Problem(mean[i], root, rows, given[i], linear_noise[i], H, *bounds)
        try:
            out[i] = _Within(problem, law, v[i], std[i]).solve(out[i])
        except UnmetLawError as error:
            raise UnmetLawError(error.rows, at, error.gap) from error
    return out.reshape(start.shape)


class _Within:
    """One field, its law, and its linear equalities and inequalities."""

    def __init__(self, problem: Problem, law: Law, values: Array, noise: Array) -> None:
        self.problem = problem
        self.law = law
        self.values = values
        self.noise = noise
        self.known = ~np.isnan(values)
        self.prior = Gaussian(problem.mean, Rooted(problem.root))
        self.penalty = 0.0

    def solve(self, field: Array) -> Array:
        """Find the active inequalities, and the field under them.

        The field under those that are active in the linearisation is taken where it lowers the
        merit, else a part of the way to the linearisation's own solution.
        """
        guess, inside = None, False
        for _ in range(MAX_ROUNDS):
            near, active = self._linearised(field, guess)
            if near is None or active is None:
                # Here the law's linearisation has no such field: go to where it is missed least.
                near, guess = self._linearised(field, None, SOFT)[0], None
                if near is None or self._same(near, field):
                    break
                field, inside = near, True
                continue
            if inside and self._same(near, field):
                found = self._under(active)
                return field if found is None else found
            found = self._under(active)
            merit = self._merit(field, near) if inside else np.inf
            if found is not None and self._merit(found, found) < merit:
                field, inside, guess = found, True, active
            elif not inside:
                field, inside, guess = near, True, active
            else:
                field, guess = self._part_of_the_way(field, near, merit), active
        raise self._unmet(field)

    def _same(self, near: Array, field: Array) -> bool:
        return bool(np.abs(near - field).max() <= SAME * np.abs(field).max())

    def _merit(self, field: Array, near: Array) -> float:
        """Return the distance plus the penalised gap; `near` says how large the penalty is."""
        gap = float(np.abs(self._gap(field)[self.noise[self.known] == 0.0]).sum())
        before, after = self._distance(field), self._distance(near)
        if gap > 0.0:
            self.penalty = max(self.penalty, 2.0 * (after - before) / gap)
        return before + self.penalty * gap

    def _distance(self, field: Array) -> float:
        """Return half the squared distance from the mean, with what noise takes."""
        p = self.problem
        total = float(self.prior.covariance.distance(field - p.mean))  # type: ignore[attr-defined]
        for gap, std in (
            (p.values - p.rows @ field, p.noise),
            (self._gap(field), self.noise[self.known]),
        ):
            total += float(np.sum((gap[std > 0] / std[std > 0]) ** 2))
        return 0.5 * total

    def _gap(self, field: Array) -> Array:
        return (self.values - self.law.evaluate(field[None])[0])[self.known]

    def _part_of_the_way(self, field: Array, near: Array, merit: float) -> Array:
        gap = np.abs(self._gap(field)[self.noise[self.known] == 0.0]).sum()
        promised = self._distance(field) - self._distance(near) + self.penalty * gap
        part = 1.0
        for _ in range(HALVINGS):
            trial = field + part * (near - field)
            if self._merit(trial, trial) <= merit - 1e-4 * part * promised:
                return trial
            part *= 0.5
        return trial

    def _linearised(
        self, field: Array, active: Array | None, soft: float = 0.0
    ) -> tuple[Array | None, Array | None]:
        """Return the nearest field to the linearised law within the inequalities, and the sides.

        With `soft` the law may be missed, at a high price.
        """
        J, p = self.law.jacobian(field[None])[0][self.known], self.problem
        spread = np.sqrt(np.sum(J.T * self.prior.covariance.matmul(J.T), axis=0))
        noise = np.hypot(self.noise[self.known], soft * spread)
        together = sparse.vstack([sparse.csr_array(p.rows), sparse.csr_array(J)], "csr")
        posed = replace(
            p,
            rows=together if sparse.issparse(p.rows) else together.toarray(),
            values=np.concatenate([p.values, self._gap(field) + J @ field]),
            noise=np.concatenate([p.noise, noise]),
        )
        return solve_field(posed, "auto", active)

    def _under(self, active: Array) -> Array | None:
        """Return the nearest field on the law for which some inequalities are equalities.

        None where there is none that obeys the others.
        """
        p = self.problem
        owner, sign = p.sides()
        owner, sign = owner[active], sign[active]
        bound = np.where(sign > 0, p.lower[owner], p.upper[owner])
        rows = sparse.vstack([sparse.csr_array(p.rows), p.H[owner]], "csr").toarray()
        values, noise = np.concatenate([p.values, bound]), np.concatenate([p.noise, 0.0 * bound])
        try:
            prior = condition(self.prior, rows, values, noise) if len(rows) else self.prior
            field = condition_nonlinear(prior, self.law, self.values, self.noise).mean
        except (UnmetLawError, InconsistentConstraintsError):
            return None
        return np.asarray(field) if p.obeyed(field) else None

    def _unmet(self, field: Array) -> UnmetLawError:
        rows = np.flatnonzero(self.known).tolist()
        return UnmetLawError(rows, (0,), float(np.abs(self._gap(field)).max()))

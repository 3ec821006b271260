"""Fields on a nonlinear law that obey linear inequalities, too, one after another.

Which inequalities are active is found on the law's linearisation, a quadratic programme; held as
equalities they leave a nonlinear law and nothing else. Both in turn, until the same are active: as
in sequential linear-quadratic programming (Nocedal and Wright, Numerical Optimization, 2006,
section 18.5).
"""

from __future__ import annotations

from dataclasses import replace
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

MAX_ROUNDS = 50
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
        self._squares = np.asarray(self.T.power(2).sum(axis=1)).ravel() if (
            plain and sparse.issparse(self.T)
        ) else None

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
        at = np.unravel_index(i, batch)
        root = roots(at) if roots is not None else None
        bounds = (each[i] for each in sides)
        problem = Problem(mean[i], root, rows, given[i], linear_noise[i], H, *bounds)
        try:
            out[i] = _Within(problem, law, v[i], std[i]).solve(out[i])
        except UnmetLawError as error:
            raise UnmetLawError(error.rows, tuple(int(k) for k in at), error.gap) from error
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

    def solve(self, field: Array) -> Array:
        """Find the active inequalities, and the field under them."""
        active = None
        for _ in range(MAX_ROUNDS):
            near, found = self._linearised(field, active)
            if near is None or found is None:
                # Here the law's linearisation has no such field: go to where it is missed least.
                near, active = self._linearised(field, None, SOFT)[0], None
                if near is None or np.allclose(near, field, rtol=0.0, atol=self._still(near)):
                    break
                field = near
                continue
            same = active is not None and np.array_equal(found, active)
            if same and self.problem.obeyed(field):
                return field
            active = found
            try:
                field = self._under(active)
            except (UnmetLawError, InconsistentConstraintsError):
                field, active = near, None
        raise self._unmet(field)

    def _still(self, field: Array) -> float:
        return 1e-9 * float(np.abs(field).max())

    def _linearised(
        self, field: Array, active: Array | None, soft: float = 0.0
    ) -> tuple[Array | None, Array | None]:
        """Return the nearest field to the linearised law within the inequalities, and the sides.

        With `soft` the law may be missed, at a high price.
        """
        J = self.law.jacobian(field[None])[0][self.known]
        gap = (self.values - self.law.evaluate(field[None])[0])[self.known]
        p = self.problem
        spread = np.sqrt(np.sum(J.T * self.prior.covariance.matmul(J.T), axis=0))
        noise = np.hypot(self.noise[self.known], soft * spread)
        together = sparse.vstack([sparse.csr_array(p.rows), sparse.csr_array(J)], "csr")
        posed = replace(
            p,
            rows=together if sparse.issparse(p.rows) else together.toarray(),
            values=np.concatenate([p.values, gap + J @ field]),
            noise=np.concatenate([p.noise, noise]),
        )
        return solve_field(posed, "auto", active)

    def _under(self, active: Array) -> Array:
        """Return the nearest field on the law for which some inequalities are equalities."""
        p = self.problem
        owner, sign = p.sides()
        owner, sign = owner[active], sign[active]
        bound = np.where(sign > 0, p.lower[owner], p.upper[owner])
        rows = sparse.vstack([sparse.csr_array(p.rows), p.H[owner]], "csr").toarray()
        values = np.concatenate([p.values, bound])
        noise = np.concatenate([p.noise, 0.0 * bound])
        prior = condition(self.prior, rows, values, noise) if len(rows) else self.prior
        return np.asarray(condition_nonlinear(prior, self.law, self.values, self.noise).mean)

    def _unmet(self, field: Array) -> UnmetLawError:
        gap = np.abs(self.values - self.law.evaluate(field[None])[0])
        rows = np.flatnonzero(self.known).tolist()
        return UnmetLawError(rows, (0,), float(np.nanmax(gap)))

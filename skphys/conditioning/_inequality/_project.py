"""Projecting Gaussian fields on linear inequalities, with every equality kept."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import joblib
import numpy as np
from scipy import sparse

from skphys.conditioning._covariance import Covariance
from skphys.conditioning._gaussian import Gaussian, check_finite, check_noise, condition
from skphys.conditioning._inequality._chained import project_chained
from skphys.conditioning._inequality._conflict import find_conflict
from skphys.conditioning._inequality._field import solve_field
from skphys.conditioning._inequality._problem import Problem
from skphys.conditioning._inequality._together import project_together
from skphys.conditioning._roots import Roots, diagonal_root, own

SOLVERS = ("auto", "clarabel", "scipy")
MAX_RANK = 8192  # of a covariance that is written out: 512 MiB
IN_TURN = 16  # fields of which each begins where the one before has ended

_SIMPLER = (
    "Give independent points (a diagonal covariance, that is no correlation), which need no such "
    "matrix, or a coarser grid."
)


class InfeasibleInequalitiesError(ValueError):
    """Inequalities contradict each other, the equalities, or points without variance.

    Attributes
    ----------
    rows : list of int
        The equalities in conflict.
    inequalities : list of int
        The rows of ``H`` in conflict.
    sample : tuple of int
        Index of the first field that cannot meet them.
    """

    def __init__(
        self, rows: list[int], inequalities: list[int], sample: tuple[int, ...], violation: float
    ) -> None:
        self.rows = rows
        self.inequalities = inequalities
        self.sample = sample
        self.violation = violation
        equalities = f" and the equalities in row(s) {_few(rows)}" if rows else ""
        super().__init__(
            f"The inequalities in row(s) {_few(inequalities)}{equalities} cannot be met together "
            f"for field {sample}; at least {violation:.3g} of violation is left. Points without "
            f"variance do not move. Check the bounds and the values, or give an equality a "
            f"positive noise."
        )

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.rows, self.inequalities, self.sample, self.violation)


def _few(rows: list[int]) -> str:
    return str(rows) if len(rows) <= 6 else f"[{', '.join(map(str, rows[:5]))}, ..., {rows[-1]}]"


def project(
    gaussian: Gaussian,
    H: Any,
    lower: Any,
    upper: Any,
    rows: Any = None,
    values: Any = None,
    noise: Any = 0.0,
    *,
    start: np.ndarray | None = None,
    solver: str = "auto",
) -> np.ndarray:
    """Find the most probable fields that obey inequalities, and equalities too.

    Minimises ``(u - mean)' S^-1 (u - mean)`` subject to ``lower <= H u <= upper`` and ``G u = b``.
    This is also the conditioned mean's projection in the metric of the conditioned covariance,
    whose singular directions are those of the exact rows.

    Parameters
    ----------
    gaussian : Gaussian
        The prior, before any equality; NumPy float64. Its covariance may be singular: points
        without variance stay where they are.
    H : sparse or dense array of shape (n_inequalities, n_points)
        Rows of the inequalities.
    lower, upper : float or array broadcasting to (..., n_inequalities)
        Bounds of ``H u``; infinite where there is none.
    rows : sparse or dense array of shape (n_rows, n_points), default=None
        ``G``.
    values : array broadcasting to (..., n_rows), default=None
        ``b``.
    noise : float or array broadcasting to (..., n_rows), default=0.0
        Standard deviation of ``b``; rows with noise enter the distance, not the constraints.
    start : ndarray of shape (..., n_points), default=None
        The conditioned means, where they are known already.
    solver : {"auto", "clarabel", "scipy"}, default="auto"
        What finds the active inequalities where a guess does not: "scipy" is the package's own
        interior-point method, which "auto" takes too; clarabel is a peer to compare with.

    Returns
    -------
    ndarray of shape (..., n_points)
        Equalities hold at 1e-12 relative to their terms, inequalities at 1e-9, each
        relative to its own terms.
        Fields that obey already are returned as they are.

    Raises
    ------
    InfeasibleInequalitiesError
        Where no field can meet all of it.
    InconsistentConstraintsError
        Where no field can meet the equalities alone.

    Notes
    -----
    Bounds and monotone fields of independent points under at most one equality are solved by
    isotonic regression, many fields at a time. Of other fields with few points and rows the active
    rows are exchanged for all at once. Anything else is solved field by field: the active
    rows of the field before are exchanged until multipliers and slacks have the right signs; where
    that runs in circles an interior-point method on the sparse system finds them. Time and memory
    then grow nearly linearly with the non-zeros, also for errors that are Markov chains. These
    fields are handed to as many workers as a surrounding `joblib.parallel_config` says.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.conditioning import Diagonal, Gaussian, project
    >>> prior = Gaussian(np.array([-1.0, 1.0, 4.0]), Diagonal(np.ones(3)))
    >>> project(prior, np.eye(3), 0.0, np.inf, rows=np.ones((1, 3)), values=np.array([3.0]))
    array([0., 0., 3.])
    """
    mean = np.asarray(gaussian.mean, dtype=np.float64)
    check_finite(mean, "the mean of gaussian")
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {SOLVERS}; got {solver!r}.")
    n_points, batch = mean.shape[-1], mean.shape[:-1]
    H = _clean(H, n_points)
    lower, upper = (_flat(bound, batch, H.shape[0]) for bound in (lower, upper))
    if np.isnan(lower).any() or np.isnan(upper).any():
        raise ValueError("lower and upper must be numbers or infinite; got NaN.")
    given = noise
    rows, values, noise = _equalities(rows, values, noise, batch, n_points)
    if start is None:
        start = mean
        if rows.shape[0]:
            shaped = values.reshape(*batch, rows.shape[0])
            start = condition(Gaussian(mean, gaussian.covariance), rows, shaped, given).mean
    out = np.array(np.broadcast_to(start, mean.shape)).reshape(-1, n_points)
    product = (H @ out.T).T
    left = np.flatnonzero(((product < lower) | (product > upper)).any(axis=1))
    if not len(left):
        return out.reshape(mean.shape)
    problem = Problem(mean.reshape(-1, n_points), None, rows, values, noise, H, lower, upper)
    out[left] = _Fields(gaussian.covariance, batch, left, problem.take(left)).solve(solver)
    return out.reshape(mean.shape)


def _clean(matrix: Any, n_points: int) -> sparse.csr_array:
    """Return a sparse float64 matrix without explicit zeros or duplicates."""
    matrix = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    if matrix.ndim != 2 or matrix.shape[1] != n_points:
        raise ValueError(
            f"H has shape {matrix.shape}; it needs one column for each of {n_points} points."
        )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _flat(values: Any, batch: tuple[int, ...], width: int) -> np.ndarray:
    """Broadcast values to one row a field."""
    full = np.broadcast_to(np.asarray(values, dtype=np.float64), (*batch, width))
    return full.reshape(prod(batch), width)


def _equalities(
    rows: Any, values: Any, noise: Any, batch: tuple[int, ...], n_points: int
) -> tuple[Any, np.ndarray, np.ndarray]:
    if rows is None:
        rows, values = np.zeros((0, n_points)), np.zeros(0)
    n_rows = rows.shape[0]
    values = np.asarray(values, dtype=np.float64)
    check_finite(values, "values")
    check_noise(np.asarray(noise, dtype=np.float64))
    return rows, _flat(values, batch, n_rows), _flat(noise, batch, n_rows)


@dataclass(frozen=True)
class _Fields:
    """The fields of a call that do not obey yet."""

    covariance: Covariance
    batch: tuple[int, ...]
    left: np.ndarray
    problem: Problem

    def solve(self, solver: str) -> np.ndarray:
        """Project all of them: on chains where possible, the rest one by one."""
        out, solved = self.problem.mean.copy(), np.zeros(len(self.left), dtype=bool)
        parts = self.covariance.parts()
        if parts is not None and parts[0] is not None and parts[1] is None:
            chained = project_chained(self.problem, self._of(parts[0], 1, slice(None)))
            if chained is not None:
                out, solved = chained
                solved &= self.problem.obeyed(out)
        if solver == "auto" and not solved.all() and self.problem.small():
            self._together(out, solved)
        rest = np.flatnonzero(~solved)
        if len(rest):
            out[rest] = self._one_by_one(rest, solver)
        return out

    def _together(self, out: np.ndarray, solved: np.ndarray) -> None:
        """Project small fields that are not solved yet, where active rows can be exchanged."""
        rest, dense = np.flatnonzero(~solved), self.covariance.to_dense()
        out[rest], solved[rest] = project_together(
            self.problem.take(rest), lambda at: self._of(dense, 2, rest[at])
        )

    def _one_by_one(self, rest: np.ndarray, solver: str) -> np.ndarray:
        parts = [rest[i : i + IN_TURN] for i in range(0, len(rest), IN_TURN)]
        solve = joblib.delayed(_solve_in_turn)
        roots = roots_of(self.covariance)
        found = joblib.Parallel()(
            solve([self._problem(i, roots) for i in part], solver) for part in parts
        )
        for part, fields in zip(parts, found, strict=True):
            if fields[-1] is None:
                self._raise(int(part[len(fields) - 1]), roots)
        return np.concatenate(found)

    def _problem(self, i: int, roots: Roots) -> Problem:
        root = roots(np.unravel_index(self.left[i], self.batch))
        if not sparse.issparse(root[0]) and root[0].shape[1] > MAX_RANK:
            raise ValueError(
                f"Inequalities of this kind are solved with dense matrices, of fields with at most "
                f"{MAX_RANK:,} points; got {root[0].shape[0]:,}. {_SIMPLER}"
            )
        return self.problem.take(i, root)

    def _of(self, array: np.ndarray, n_axes: int, some: Any) -> np.ndarray:
        """Return what an array with the batch's leading axes holds for some of the fields left."""
        full = np.broadcast_to(array, (*self.batch, *array.shape[array.ndim - n_axes :]))
        return full[np.unravel_index(self.left[some], self.batch)] if self.batch else full[None]

    def _raise(self, i: int, roots: Roots) -> None:
        """Say what cannot be met together."""
        conflict = find_conflict(self._problem(i, roots))
        sample = tuple(int(k) for k in np.unravel_index(self.left[i], self.batch))
        if conflict is None:
            raise RuntimeError(
                f"The inequalities of field {sample} were not met to the tolerance, though they "
                f"do not contradict each other; scale the fields or the rows to similar sizes."
            )
        rows, inequalities, violation = conflict
        raise InfeasibleInequalitiesError(rows, inequalities, sample, violation)


def roots_of(covariance: Covariance) -> Roots:
    """Return the roots of a covariance, sparse where it is diagonal plus low rank."""
    variance, factor = covariance.parts() or (None, None)
    if variance is None or factor is None:
        return covariance.roots()
    return lambda at: diagonal_root(own(variance, at, 1), own(factor, at, 2))


def _solve_in_turn(problems: list[Problem], solver: str) -> list[np.ndarray | None]:
    """Project fields, each beginning with the active rows of the one before."""
    fields, active = [], None
    for problem in problems:
        field, found = solve_field(problem, solver, active)
        active = active if found is None else found
        fields.append(field)
        if field is None:
            break  # which is an error
    return fields

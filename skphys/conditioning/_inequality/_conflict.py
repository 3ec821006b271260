"""Which equalities and inequalities contradict each other: a certificate by linear programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from skphys.conditioning._inequality._problem import Problem

MAX_TRIALS = 64  # equalities that are left out one by one
NOTHING = 1e-9  # what is left of the terms of a row that is met


@dataclass(frozen=True)
class _Programme:
    """``G z = g`` and ``H z >= h``, each row in units of its own terms."""

    G: sparse.csr_array
    g: np.ndarray
    H: sparse.csr_array
    h: np.ndarray

    def certificate(
        self, rows: np.ndarray, sides: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Return which of some rows and sides prove that they have no solution, or None.

        The least sum of violations is a linear programme; rows with a multiplier in its dual
        prove, by Farkas' lemma, that it is not zero.
        """
        (m, k), rank = (len(rows), len(sides)), self.G.shape[1]
        one = sparse.eye_array(m)
        equal = sparse.hstack([self.G[rows], one, -one, sparse.csr_array((m, k))])
        above = [-self.H[sides], sparse.csr_array((k, 2 * m)), -sparse.eye_array(k)]
        solution = linprog(
            np.repeat([0.0, 1.0], [rank, 2 * m + k]),
            A_ub=sparse.hstack(above) if k else None,
            b_ub=-self.h[sides] if k else None,
            A_eq=equal if m else None,
            b_eq=self.g[rows] if m else None,
            bounds=[(None, None)] * rank + [(0.0, None)] * (2 * m + k),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if solution.status != 0 or solution.fun <= NOTHING:
            return None
        guilty = np.abs(solution.eqlin.marginals) > 1e-9, np.abs(solution.ineqlin.marginals) > 1e-9
        return rows[guilty[0]], sides[guilty[1]], float(solution.fun)


def find_conflict(problem: Problem) -> tuple[list[int], list[int], float] | None:
    """Return equalities and inequalities that no field can meet together, few if possible.

    Parameters
    ----------
    problem : Problem
        One field.

    Returns
    -------
    rows, inequalities : list of int
        Members of the contradiction.
    violation : float
        The least sum of violations, in units of the largest terms of these rows.
        None in place of all three where everything can be met.
    """
    exact = np.flatnonzero(problem.noise == 0)
    owner, sign = problem.sides()
    programme, sizes, others = _programme(problem, exact, owner, sign)
    rows, sides = np.arange(len(exact)), np.arange(len(owner))
    found = programme.certificate(rows, sides)
    if found is None:
        return None
    violation = found[2]
    alone = (np.diff(problem.H.indptr) == 1)[owner]
    for group in (~alone, alone & (sign > 0), alone & (sign < 0)):
        fewer = sides[~group[sides]]
        without = programme.certificate(rows, fewer)
        if without is not None:
            sides, found = fewer, without
    for row in found[0][:MAX_TRIALS]:
        without = programme.certificate(rows[rows != row], sides)
        if without is not None:
            rows, found = rows[rows != row], without
    rows, sides, _ = found
    size = max(sizes[rows].max(initial=0.0), others[sides].max(initial=0.0))
    return exact[rows].tolist(), np.unique(owner[sides]).tolist(), violation * float(size)


def _programme(
    problem: Problem, exact: np.ndarray, owner: np.ndarray, sign: np.ndarray
) -> tuple[_Programme, np.ndarray, np.ndarray]:
    """Scale rows, right-hand sides and the root to sizes of about 1; return the rows' sizes."""
    bound = np.where(sign > 0, problem.lower[owner], problem.upper[owner])
    G = sparse.csr_array(problem.rows)[exact]
    H = sparse.csr_array(sparse.diags_array(sign) @ problem.H[owner])
    G, g, sizes = _own_units(G, problem.values[exact], problem.mean)
    H, h, others = _own_units(H, sign * bound, problem.mean)
    root = sparse.csc_array(problem.root[0])
    products = sparse.csr_array(G @ root), sparse.csr_array(H @ root)
    widest = abs(sparse.vstack(products)).max(axis=0).toarray().ravel()
    columns = sparse.diags_array(np.divide(1.0, widest, out=np.ones_like(widest), where=widest > 0))
    return _Programme(products[0] @ columns, g, products[1] @ columns, h), sizes, others


def _own_units(
    matrix: sparse.csr_array, right: np.ndarray, mean: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Divide what rows lack by the size of their terms, which is returned too."""
    size = abs(matrix) @ np.abs(mean) + np.abs(right)
    size = np.where(size > 0, size, 1.0)
    return sparse.diags_array(1.0 / size) @ matrix, (right - matrix @ mean) / size, size

"""Which equalities and inequalities contradict each other: a certificate by linear programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from skphys.conditioning._inequality._qp import FieldProblem

MAX_TRIALS = 64  # equalities that are left out one by one
NOTHING = 1e-8


@dataclass(frozen=True)
class _Programme:
    """``G z = g`` and ``H z >= h``, with rows of unit length before ``u = mean + F z``."""

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
        )
        if solution.status != 0 or solution.fun <= NOTHING:
            return None
        guilty = np.abs(solution.eqlin.marginals) > 1e-9, np.abs(solution.ineqlin.marginals) > 1e-9
        return rows[guilty[0]], sides[guilty[1]], float(solution.fun)


def find_conflict(problem: FieldProblem) -> tuple[list[int], list[int], float] | None:
    """Return equalities and inequalities that no field can meet together, few if possible.

    Parameters
    ----------
    problem : FieldProblem
        One field.

    Returns
    -------
    rows, inequalities : list of int
        Members of the contradiction.
    violation : float
        The least sum of violations, each in units of its row's length.
        None in place of all three where everything can be met.
    """
    exact = np.flatnonzero(problem.noise == 0)
    owner, sign = problem.sides()
    programme, scale = _programme(problem, exact, owner, sign)
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
    return exact[rows].tolist(), np.unique(owner[sides]).tolist(), violation * scale


def _programme(
    problem: FieldProblem, exact: np.ndarray, owner: np.ndarray, sign: np.ndarray
) -> tuple[_Programme, float]:
    """Scale rows, right-hand sides and the root to sizes of about 1."""
    bound = np.where(sign > 0, problem.lower[owner], problem.upper[owner])
    G = sparse.csr_array(problem.rows)[exact]
    H = sparse.csr_array(sparse.diags_array(sign) @ problem.H[owner])
    G, g = _unit(G, problem.values[exact] - G @ problem.mean)
    H, h = _unit(H, sign * bound - H @ problem.mean)
    scale = max(np.abs(g).max(initial=0.0), np.abs(h).max(initial=0.0), np.finfo(float).tiny)
    root = sparse.csc_array(problem.root)
    widest = np.sqrt((root * root).sum(axis=0)).max(initial=0.0)
    root = root / widest if widest > 0 else root
    products = sparse.csr_array(G @ root), sparse.csr_array(H @ root)
    return _Programme(products[0], g / scale, products[1], h / scale), float(scale)


def _unit(matrix: sparse.csr_array, right: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Scale rows to unit length."""
    length = np.sqrt((matrix * matrix).sum(axis=1))
    scale = np.divide(1.0, length, out=np.ones_like(length), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix), scale * right

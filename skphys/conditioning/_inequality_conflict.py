"""Which equalities and inequalities contradict each other: a certificate by linear programming."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from skphys.conditioning._inequality_qp import FieldProblem


def find_conflict(problem: FieldProblem) -> tuple[list[int], list[int], float] | None:
    """Return the rows and inequalities that no field can meet together.

    The least sum of violations is a linear programme; rows with a multiplier in its dual prove,
    by Farkas' lemma, that it cannot be zero.

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
    rows, sign = problem.sides()
    bound = np.where(sign > 0, problem.lower[rows], problem.upper[rows])
    G = sparse.csr_array(problem.rows)[exact]
    H = sparse.diags_array(sign) @ problem.H[rows]
    G, g = _unit(G, problem.values[exact] - G @ problem.mean)
    H, h = _unit(sparse.csr_array(H), sign * (bound - problem.H[rows] @ problem.mean))
    scale = max(np.abs(g).max(initial=0.0), np.abs(h).max(initial=0.0), np.finfo(float).tiny)
    root = sparse.csc_array(problem.root)
    widest = np.sqrt((root * root).sum(axis=0)).max(initial=0.0)
    root = root / widest if widest > 0 else root
    rank, m, k = root.shape[1], len(exact), len(rows)
    equal = sparse.hstack([G @ root, sparse.eye_array(m), -sparse.eye_array(m)])
    equal = sparse.hstack([equal, sparse.csr_array((m, k))]) if m else None
    above = sparse.hstack([-(H @ root), sparse.csr_array((k, 2 * m)), -sparse.eye_array(k)])
    solution = linprog(
        np.repeat([0.0, 1.0], [rank, 2 * m + k]),
        A_ub=above,
        b_ub=-h / scale,
        A_eq=equal,
        b_eq=g / scale if m else None,
        bounds=[(None, None)] * rank + [(0.0, None)] * (2 * m + k),
        method="highs",
    )
    if solution.status != 0 or solution.fun <= 1e-8:
        return None
    guilty_rows = exact[np.abs(solution.eqlin.marginals) > 1e-9] if m else exact
    guilty = np.unique(rows[np.abs(solution.ineqlin.marginals) > 1e-9])
    return guilty_rows.tolist(), guilty.tolist(), float(solution.fun * scale)


def _unit(matrix: sparse.csr_array, right: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Scale rows to unit length."""
    length = np.sqrt((matrix * matrix).sum(axis=1))
    scale = np.divide(1.0, length, out=np.ones_like(length), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix), scale * right

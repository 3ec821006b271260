"""Projection of independent points under sparse rows: an interior point, polished exactly.

Clarabel solves the whitened problem with its rows sparse. The rows that are active there are then
met as equalities, by the conditioning on sparse rows, and exchanged until the signs are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np
from scipy import sparse

from skphys.conditioning._conditioned import Conditioned
from skphys.conditioning._covariance import Diagonal
from skphys.conditioning._gain import InconsistentConstraintsError
from skphys.conditioning._gaussian import Gaussian, condition
from skphys.conditioning._inequality._qp import FieldProblem

ROUNDS = 8  # of exchanging active rows
WRONG = 1e-8  # a share of the largest multiplier that may have the wrong sign
WEAK = 1e-6  # a share of the largest multiplier below which a row may be no more than touched
CLOSE = 1e-11  # a slack, relative to the largest value of the field, that is rounding
FAR = 1e-4  # a distance from the interior point, relative to the whole move, that is no rounding


@dataclass(frozen=True)
class _Whitened:
    """``E z = e`` and ``C z >= d`` with rows of unit length; noise has the last coordinates."""

    std: np.ndarray  # of the points that move
    moving: np.ndarray
    E: sparse.csr_array
    e: np.ndarray
    C: sparse.csr_array
    d: np.ndarray
    row: np.ndarray  # the inequality of each row of C
    sign: np.ndarray
    length: np.ndarray  # of the rows of C before


@dataclass(frozen=True)
class _Interior:
    """What clarabel returns: a field, and multiplier and slack of each row of ``C``."""

    field: np.ndarray
    multipliers: np.ndarray
    slacks: np.ndarray


def solve_sparse(problem: FieldProblem) -> np.ndarray | None:
    """Project one field of independent points.

    Parameters
    ----------
    problem : FieldProblem
        The field; its root is sparse, with one entry in each column.

    Returns
    -------
    ndarray of shape (n_points,) or None
        The projection; None where clarabel finds none.
    """
    variance = np.asarray((problem.root * problem.root).sum(axis=1))
    white = _whiten(problem, variance)
    found = None if white is None else _interior(problem, white)
    if white is None or found is None:
        return None
    strong = found.multipliers > WEAK * found.multipliers.max(initial=0.0)
    active = found.multipliers > found.slacks
    fields = []
    for guess in (active, active & strong):
        field, settled = _exchange(problem, variance, white, guess)
        if settled:
            return field
        if field is not None:
            fields.append(field)
    met = _met(problem, variance, found)
    distances = [_distance(field, found.field, white) for field in fields]
    scale = FAR * _distance(problem.mean, found.field, white)
    near = [f for f, d in zip(fields, distances, strict=True) if d <= scale or met is None]
    return min(near, key=lambda f: _distance(f, problem.mean, white)) if near else met


def _whiten(problem: FieldProblem, variance: np.ndarray) -> _Whitened | None:
    """Scale points and rows; None where a row cannot be met as no point of it moves."""
    moving = np.flatnonzero(variance > 0)
    std, noisy = np.sqrt(variance[moving]), np.flatnonzero(problem.noise > 0)
    rows = sparse.csr_array(problem.rows)
    noise = sparse.csr_array(sparse.diags_array(problem.noise))[:, noisy]
    E = sparse.hstack([rows[:, moving] * std, noise]).tocsr()
    row, sign = problem.sides()
    H = problem.H[row]
    bound = np.where(sign > 0, problem.lower[row], problem.upper[row])
    C = sparse.hstack(
        [sparse.diags_array(sign) @ (H[:, moving] * std), sparse.csr_array((len(row), len(noisy)))]
    ).tocsr()
    size = abs(H) @ np.abs(problem.mean) + np.abs(bound)
    d = sign * (bound - H @ problem.mean)
    length = np.sqrt((C * C).sum(axis=1))
    free = length > 0
    if (~free & (d > 1e-10 * size)).any():
        return None
    E, e, _ = _unit(E, problem.values - rows @ problem.mean)
    C, d, length = _unit(C, d)
    return _Whitened(std, moving, E, e, C, d, row[free], sign[free], length)


def _unit(
    matrix: sparse.csr_array, right: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """Scale rows to unit length, and leave out those of none."""
    length = np.sqrt((matrix * matrix).sum(axis=1))
    keep = length > 0
    scale = 1.0 / length[keep]
    scaled = sparse.csr_array(sparse.diags_array(scale) @ matrix[keep])
    return scaled, scale * right[keep], length[keep]


def _interior(problem: FieldProblem, white: _Whitened) -> _Interior | None:
    """Solve by clarabel; None where it proves that there is no solution, or breaks down."""
    clarabel = import_module("clarabel")  # optional, and without type information

    size = max(np.abs(white.e).max(initial=0.0), white.d.max(initial=0.0), np.finfo(float).tiny)
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    n_equal, n_columns = white.E.shape
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(sparse.eye_array(n_columns)),
        np.zeros(n_columns),
        sparse.csc_matrix(sparse.vstack([white.E, -white.C])),
        np.concatenate([white.e, -white.d]) / size,
        [clarabel.ZeroConeT(n_equal), clarabel.NonnegativeConeT(len(white.d))],
        settings,
    ).solve()
    z = size * np.array(solution.x)
    if "Infeasible" in str(solution.status) or not np.isfinite(z).all():
        return None
    field = problem.mean.copy()
    field[white.moving] += white.std * z[: len(white.std)]
    return _Interior(field, np.array(solution.z)[n_equal:], np.array(solution.s)[n_equal:])


def _exchange(
    problem: FieldProblem, variance: np.ndarray, white: _Whitened, active: np.ndarray
) -> tuple[np.ndarray | None, bool]:
    """Exchange active rows until multipliers and slacks have the right signs.

    Returns
    -------
    field : ndarray of shape (n_points,) or None
        The nearest field found that obeys.
    settled : bool
        Whether no other is nearer.
    """
    seen: set[bytes] = set()
    best = None
    for _ in range(ROUNDS):
        if active.tobytes() in seen:
            break
        seen.add(active.tobytes())
        try:
            field, multipliers = _condition(problem, variance, white, active)
        except InconsistentConstraintsError as error:
            active = _without(active, np.array(error.rows) - len(problem.values))
            continue
        violated = ~active & _violated(problem, white, field)
        wrong = active & (multipliers < -WRONG * np.abs(multipliers).max(initial=0.0))
        if problem.obeys(field):
            if not wrong.any():
                return field, True
            known = np.inf if best is None else _distance(best, problem.mean, white)
            if _distance(field, problem.mean, white) >= known:
                break
            best = field
        active = (active & ~wrong) | violated
    return best, False


def _without(active: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Leave out active rows by their number among the active ones."""
    fewer = active.copy()
    fewer[np.flatnonzero(active)[position[position >= 0]]] = False
    return fewer


def _condition(
    problem: FieldProblem, variance: np.ndarray, white: _Whitened, active: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Meet equalities and active rows; return the multipliers of all rows of ``C`` too."""
    row, sign = white.row[active], white.sign[active]
    bound = np.where(sign > 0, problem.lower[row], problem.upper[row])
    rows = sparse.vstack([sparse.csr_array(problem.rows), problem.H[row]]).tocsr()
    values = np.concatenate([problem.values, bound])
    noise = np.concatenate([problem.noise, np.zeros(len(row))])
    posterior = condition(Gaussian(problem.mean, Diagonal(variance)), rows, values, noise)
    multipliers = np.zeros(len(active))
    assert isinstance(posterior.covariance, Conditioned)
    solved = posterior.covariance.gain.solve(values - rows @ problem.mean)
    multipliers[active] = sign * solved[len(problem.values) :] * white.length[active]
    return posterior.mean, multipliers


def _violated(problem: FieldProblem, white: _Whitened, field: np.ndarray) -> np.ndarray:
    """Say which rows of ``C`` are violated by more than rounding."""
    bound = np.where(white.sign > 0, problem.lower[white.row], problem.upper[white.row])
    H = problem.H[white.row]
    largest = max(np.abs(field).max(), np.abs(problem.mean).max())
    size = largest * abs(H).sum(axis=1) + np.abs(bound)
    violated: np.ndarray = white.sign * (H @ field - bound) < -CLOSE * size
    return violated


def _met(problem: FieldProblem, variance: np.ndarray, found: _Interior) -> np.ndarray | None:
    """Move the interior point, which obeys nearly, to the exact equalities."""
    exact = problem.noise == 0
    rows, values = sparse.csr_array(problem.rows)[exact], problem.values[exact]
    if not len(values):
        return found.field
    try:
        return condition(Gaussian(found.field, Diagonal(variance)), rows, values).mean
    except InconsistentConstraintsError:
        return None


def _distance(field: np.ndarray, other: np.ndarray, white: _Whitened) -> float:
    return float(np.linalg.norm((field - other)[white.moving] / white.std))

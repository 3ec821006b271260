"""Fluxes in the rows of local balances, and how far they may be from the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import coo_array, csr_array

from skphys.constraints._parts import part_of, placed
from skphys.constraints._time_rule import averages
from skphys.grids import Components, ControlVolumes, Grid, Mesh, time_levels


def operator_rows(
    operator: Any, volumes: ControlVolumes, out: csr_array, theta: float
) -> csr_array:
    """Return the rows of a linear flux, on the cells at all levels.

    Parameters
    ----------
    operator : LinearFlux, matrix or list of matrices
        The linear flux.
    volumes : ControlVolumes
        Cells, faces and time levels.
    out : csr_array of shape (n_cells, n_faces)
        From the fluxes to the net out-flux of each cell.
    theta : float
        The rule in time.
    """
    weights = averages(np.asarray(volumes.times), theta)
    if isinstance(operator, list | tuple):
        fluxes = operator_matrix(operator, volumes)
        return sparse.kron(weights, out, format="csr") @ fluxes
    return sparse.kron(weights, out @ _matrix(operator, volumes), format="csr")


def operator_matrix(operator: Any, volumes: ControlVolumes) -> csr_array:
    """Return the matrix from the cells at all levels to the faces at all levels."""
    n_times = len(volumes.levels)
    if isinstance(operator, list | tuple):
        if len(operator) != n_times:
            raise ValueError(
                f"flux_operator has {len(operator)} matrices; a list must hold one for each of "
                f"{n_times} time levels."
            )
        if len({type(o) for o in operator if hasattr(o, "matrix")}) > 1:
            raise ValueError(
                "flux_operator is a list with one operator for each time level, not a sum; add the "
                "operators' matrices to let several fluxes act at once."
            )
        return sparse.block_diag([_matrix(o, volumes) for o in operator], format="csr")
    return sparse.kron(sparse.eye_array(n_times), _matrix(operator, volumes), format="csr")


def _matrix(operator: Any, volumes: ControlVolumes) -> csr_array:
    if hasattr(operator, "matrix") and not isinstance(operator, type):
        operator = operator.matrix(volumes)
    try:
        matrix = csr_array(operator, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"flux_operator must be a LinearFlux such as AdvectiveFlux(velocity), or a sparse "
            f"matrix; got {type(operator).__name__}."
        ) from error
    if matrix.shape != (volumes.n_faces, volumes.n_cells):
        raise ValueError(
            f"flux_operator has shape {matrix.shape}; it must map the {volumes.n_cells} cells of a "
            f"time level to its {volumes.n_faces} faces, ({volumes.n_faces}, {volumes.n_cells})."
        )
    return matrix


def predicted_rows(
    grid: Any, names: Sequence[str], time: str, times: np.ndarray, out: csr_array, theta: float
) -> csr_array:
    """Return the rows of fluxes that are components of the field.

    Parameters
    ----------
    grid : Components
        The whole field.
    names : sequence of str
        The components that hold the fluxes, together in the order of the faces.
    time : str
        Their axis of time.
    times : ndarray of shape (n_times,)
        The time levels of the balance.
    out : csr_array of shape (n_cells, n_faces)
        From the fluxes to the net out-flux of each cell.
    theta : float
        The rule in time.
    """
    columns, weights = [], None
    for name in names:
        columns.append(_flux_points(grid, name, time))
        weights = _time_weights(name, len(columns[-1]), times, theta)
    n_faces = sum(points.shape[1] for points in columns)
    if n_faces != out.shape[1] or len({len(points) for points in columns}) != 1:
        raise ValueError(
            f"flux_component={list(names)} holds fluxes of shape {[c.shape for c in columns]} "
            f"(levels, faces); together they must have {out.shape[1]} faces. face_grids(grid, "
            f"time) makes components that fit."
        )
    rows = sparse.kron(weights, out, format="csr")
    return placed(rows, np.concatenate(columns, axis=1).ravel(), grid.n_points)


def _flux_points(grid: Components, name: str, time: str) -> np.ndarray:
    """Return where in the field a component's fluxes are, (n_levels, n_faces)."""
    part, where = part_of(grid, name, "flux_component")
    return where.start + time_levels(part, time)[1]


def _time_weights(name: str, n_levels: int, times: np.ndarray, theta: float) -> Any:
    if n_levels == times.size:
        return averages(times, theta)
    if n_levels == times.size - 1:
        return sparse.diags_array(np.diff(times))
    raise ValueError(
        f"flux_component {name!r} has {n_levels} time levels; it must have {times.size}, those of "
        f"the balance, or {times.size - 1}, one for each interval."
    )


def operator_error(operator: Any, u: np.ndarray, volumes: ControlVolumes) -> np.ndarray:
    """Estimate how far the net out-flux of a linear flux may be from the true one.

    Each value in a face's flux may be off by twice its distance from the mean of the cells at the
    face: for upwind values this is the difference of the two cells.

    Parameters
    ----------
    operator : LinearFlux, matrix or list of matrices
        The linear flux.
    u : ndarray of shape (n_samples, n_times, n_cells)
        True values.
    volumes : ControlVolumes
        Cells and faces.

    Returns
    -------
    ndarray of shape (n_samples, n_times, n_cells)
        Not negative.
    """
    n_samples, n_times, n_cells = u.shape
    inside = abs(volumes.incidence).T
    counts = np.maximum(np.asarray(inside.sum(axis=1)), 1.0)
    middle = (u.reshape(-1, n_cells) @ inside.T / counts).reshape(n_samples, -1)
    matrix = coo_array(operator_matrix(operator, volumes))
    u = u.reshape(n_samples, -1)
    off = 2.0 * np.abs(matrix.data * (u[:, matrix.col] - middle[:, matrix.row]))
    total = csr_array(
        (np.ones(matrix.nnz), (np.arange(matrix.nnz), matrix.row)),
        shape=(matrix.nnz, matrix.shape[0]),
    )
    fluxes = (off @ total).reshape(-1, volumes.n_faces) * volumes.areas
    return (fluxes @ inside).reshape(n_samples, n_times, n_cells)


def node_error(u: np.ndarray, grid: Grid | Mesh, time: str, volumes: ControlVolumes) -> np.ndarray:
    """Bound how far volumes times values on nodes are from the integrals over the volumes.

    Between two nodes a monotone function stays between their values, so each half of the space
    between them is off by at most its size times their difference.

    Parameters
    ----------
    u : ndarray of shape (n_samples, n_times, n_cells)
        True values.
    grid : Grid or Mesh
        Where they live.
    time : str
        The axis of time.
    volumes : ControlVolumes
        Its cells and faces.

    Returns
    -------
    ndarray of shape (n_samples, n_times, n_cells)
        Zero where the values are cell averages.
    """
    if isinstance(grid, Mesh) or volumes.normals is None:
        return np.zeros_like(u)
    nodes = np.array([a.location == "nodes" for n, a in grid.axes.items() if n != time])
    between = (volumes.faces >= 0).all(axis=1) & (volumes.normals @ nodes > 0)
    half = np.zeros(volumes.n_faces)
    half[between] = 0.5 * (volumes.areas * volumes.distances)[between]
    off = half * np.abs(u[..., volumes.faces[:, 0]] - u[..., volumes.faces[:, 1]])
    return (off.reshape(-1, volumes.n_faces) @ abs(volumes.incidence).T).reshape(u.shape)

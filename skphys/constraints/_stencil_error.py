"""How far a boundary condition's stencil may be from the derivative, judged by a field."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from skphys.constraints._conditions import BoundaryCondition, Periodic
from skphys.constraints._faces import Face, Floats

FURTHER_ORDERS = 3  # a single difference between orders vanishes, by chance, in some fields
SAFETY = 3.0


def stencil_error(fields: Floats, face: Face, condition: BoundaryCondition) -> Floats:
    """Estimate the error from how much the stencil changes from order to order.

    Parameters
    ----------
    fields : ndarray of shape (n_samples, n_points)
        True fields, on the face's grid.
    face : Face
        Where the condition holds.
    condition : BoundaryCondition
        What holds.

    Returns
    -------
    ndarray of shape (n_samples, n_face_points)
        The differences between the stencils of the condition's order and of three further ones are
        added up, and multiplied by 3; on a grid too small for these, lower orders serve. Zero for
        values on nodes.
    """
    if isinstance(condition, Periodic) or _on_node(face, condition):
        return np.zeros((len(fields), int(np.prod(face.shape))))
    stencils = [face.weights(condition, order) for order in _orders(face, condition)]
    changes = [b - a for a, b in pairwise(stencils)] or stencils
    return SAFETY * sum(np.abs(fields @ face.rows(change).T) for change in changes)


def _on_node(face: Face, condition: BoundaryCondition) -> bool:
    return face.along.edges is None and face.support(condition) == 1


def _orders(face: Face, condition: BoundaryCondition) -> range:
    """Return the orders to compare, among them the condition's own."""
    room = face.along.size - face.support(condition)
    highest = condition.checked_order() + min(room, FURTHER_ORDERS)
    return range(max(1, highest - FURTHER_ORDERS), highest + 1)

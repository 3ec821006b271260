"""Declarations of physics: what must hold for a field on a grid."""

from skphys.constraints._conditions import Dirichlet, FromInput, Neumann, Periodic, Robin
from skphys.constraints._equalities import EqualitySystem, merge_systems
from skphys.constraints._inequalities import (
    InequalitySystem,
    merge_inequalities,
    resolve_inequalities,
)
from skphys.constraints._system import (
    name_constraints,
    resolve_system,
)
from skphys.constraints._values import Column, FieldTable
from skphys.constraints._whole_boundary import boundary_constraints, boundary_values
from skphys.constraints.base import Constraint
from skphys.constraints.boundary import BoundaryConstraint
from skphys.constraints.conservation import ConservationLaw
from skphys.constraints.control_volume import ControlVolumeBalance
from skphys.constraints.equality import LinearEquality
from skphys.constraints.fluxes import AdvectiveFlux, DiffusiveFlux, LinearFlux
from skphys.constraints.inequality import Bounds, InequalityConstraint, Monotone
from skphys.constraints.smoothness import Smoothness

# isort: split
# For the other rooms of the house.
from skphys.constraints._boundary_spec import declared_faces as declared_faces
from skphys.constraints._boundary_spec import with_condition as with_condition
from skphys.constraints._faces import BOTH as BOTH

__all__ = [
    "AdvectiveFlux",
    "BoundaryConstraint",
    "Bounds",
    "Column",
    "ConservationLaw",
    "Constraint",
    "ControlVolumeBalance",
    "DiffusiveFlux",
    "Dirichlet",
    "EqualitySystem",
    "FieldTable",
    "FromInput",
    "InequalityConstraint",
    "InequalitySystem",
    "LinearEquality",
    "LinearFlux",
    "Monotone",
    "Neumann",
    "Periodic",
    "Robin",
    "Smoothness",
    "boundary_constraints",
    "boundary_values",
    "merge_inequalities",
    "merge_systems",
    "name_constraints",
    "resolve_inequalities",
    "resolve_system",
]

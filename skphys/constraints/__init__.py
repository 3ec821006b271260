"""Declarations of physics: what must hold for a field on a grid."""

from skphys.constraints._conditions import Dirichlet, FromInput, Neumann, Periodic, Robin
from skphys.constraints._constraint_set import resolve_system
from skphys.constraints._values import Column, FieldTable
from skphys.constraints._whole_boundary import boundary_constraints, boundary_values
from skphys.constraints.base import Constraint
from skphys.constraints.boundary import BoundaryConstraint
from skphys.constraints.conservation import ConservationLaw
from skphys.constraints.control_volume import ControlVolumeBalance
from skphys.constraints.divergence import DivergenceFree
from skphys.constraints.energy import EnergyLaw
from skphys.constraints.equality import LinearEquality
from skphys.constraints.fluxes import AdvectiveFlux, DiffusiveFlux, LinearFlux
from skphys.constraints.hierarchy import Hierarchy
from skphys.constraints.inequality import Bounds, InequalityConstraint, Monotone
from skphys.constraints.nonlinear import NonlinearConstraint, NonlinearEquality
from skphys.constraints.over_step import OverStep
from skphys.constraints.regions import RegionTotals
from skphys.constraints.smoothness import Smoothness

# isort: split
# For the other rooms of the house.
from skphys.constraints._boundary_spec import declared_faces as declared_faces
from skphys.constraints._boundary_spec import with_condition as with_condition
from skphys.constraints._constraint_set import ConstraintSet as ConstraintSet
from skphys.constraints._equalities import EqualitySystem as EqualitySystem
from skphys.constraints._faces import BOTH as BOTH
from skphys.constraints._inequalities import InequalitySystem as InequalitySystem
from skphys.constraints._inequalities import merge_inequalities as merge_inequalities
from skphys.constraints._names import name_constraints as name_constraints
from skphys.constraints._nonlinear import NonlinearSystem as NonlinearSystem
from skphys.constraints._rows import widen as widen
from skphys.constraints._values import columns_of as columns_of

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
    "DivergenceFree",
    "EnergyLaw",
    "FieldTable",
    "FromInput",
    "Hierarchy",
    "InequalityConstraint",
    "LinearEquality",
    "LinearFlux",
    "Monotone",
    "Neumann",
    "NonlinearConstraint",
    "NonlinearEquality",
    "OverStep",
    "Periodic",
    "RegionTotals",
    "Robin",
    "Smoothness",
    "boundary_constraints",
    "boundary_values",
    "resolve_system",
]

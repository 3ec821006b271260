"""Declarations of physics: what must hold for a field on a grid."""

from skphys.constraints._system import (
    EqualitySystem,
    merge_systems,
    name_constraints,
    resolve_system,
)
from skphys.constraints._values import Column, FieldTable
from skphys.constraints.base import Constraint
from skphys.constraints.conservation import ConservationLaw
from skphys.constraints.control_volume import ControlVolumeBalance
from skphys.constraints.equality import LinearEquality
from skphys.constraints.fluxes import AdvectiveFlux, DiffusiveFlux, LinearFlux

__all__ = [
    "AdvectiveFlux",
    "Column",
    "ConservationLaw",
    "Constraint",
    "ControlVolumeBalance",
    "DiffusiveFlux",
    "EqualitySystem",
    "FieldTable",
    "LinearEquality",
    "LinearFlux",
    "merge_systems",
    "name_constraints",
    "resolve_system",
]

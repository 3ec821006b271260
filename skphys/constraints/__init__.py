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
from skphys.constraints.equality import LinearEquality

__all__ = [
    "Column",
    "ConservationLaw",
    "Constraint",
    "EqualitySystem",
    "FieldTable",
    "LinearEquality",
    "merge_systems",
    "name_constraints",
    "resolve_system",
]

"""Neural operators and processes. torch is imported by what is used of it, not by this package."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._boundary_batch import BoundaryBatch, BoundaryEmbedding, EmbeddedFace
    from ._constraint_batch import ConstraintBatch
    from ._differential import DifferentialEquation
    from ._equations import (
        AdvectionEquation,
        BurgersEquation,
        DiffusionEquation,
        PorousMediumEquation,
        StefanEquation,
    )
    from ._lift import SmoothLift as SmoothLift  # for the other rooms of the house
    from ._plain_fno import FNO
    from ._process._regressor import AttentiveNeuralProcessRegressor
    from ._regressor import FNORegressor
    from ._spectral_layers import register_spectral_layer, unregister_spectral_layer

__all__ = [
    "AttentiveNeuralProcessRegressor",
    "FNO",
    "FNORegressor",
    "BoundaryBatch",
    "BoundaryEmbedding",
    "EmbeddedFace",
    "ConstraintBatch",
    "DifferentialEquation",
    "DiffusionEquation",
    "PorousMediumEquation",
    "StefanEquation",
    "AdvectionEquation",
    "BurgersEquation",
    "register_spectral_layer",
    "unregister_spectral_layer",
]

_MODULES = {
    "AdvectionEquation": "_equations",
    "AttentiveNeuralProcessRegressor": "_process._regressor",
    "BoundaryBatch": "_boundary_batch",
    "BoundaryEmbedding": "_boundary_batch",
    "BurgersEquation": "_equations",
    "ConstraintBatch": "_constraint_batch",
    "DifferentialEquation": "_differential",
    "DiffusionEquation": "_equations",
    "EmbeddedFace": "_boundary_batch",
    "FNO": "_plain_fno",
    "FNORegressor": "_regressor",
    "PorousMediumEquation": "_equations",
    "SmoothLift": "_lift",
    "StefanEquation": "_equations",
    "register_spectral_layer": "_spectral_layers",
    "unregister_spectral_layer": "_spectral_layers",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

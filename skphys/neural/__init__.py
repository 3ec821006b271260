"""Neural operators and processes. torch is imported by what is used of it, not by this package."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
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
    from ._net_on_grid import set_on_grid as set_on_grid
    from ._net_on_grid import trained_on_grid as trained_on_grid
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
    # For the other rooms of the house; the rest is for all.
    "set_on_grid": "_net_on_grid",
    "trained_on_grid": "_net_on_grid",
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
# Values that are handed over; what holds them needs no torch.
_PLAIN = frozenset(
    {"BoundaryBatch", "BoundaryEmbedding", "ConstraintBatch", "EmbeddedFace", "SmoothLift"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        if name not in _PLAIN:
            _check_installed(name)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _check_installed(name: str) -> None:
    missing = [package for package in ("torch", "skorch") if find_spec(package) is None]
    if missing:
        raise ImportError(
            f"skphys.neural.{name} needs {' and '.join(missing)}, which the extra 'neural' "
            f'brings: pip install "skphys[neural]".'
        )


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

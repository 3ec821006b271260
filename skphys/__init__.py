"""Predictions of physical fields that obey known physics exactly.

The estimators are attributes of this package; everything else is in its submodules. All of them
load at first use (PEP 562), so that importing the package costs next to nothing. Nets need torch,
which the extra ``neural`` brings; nothing else does.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        conditioning,
        constraints,
        datasets,
        estimators,
        grids,
        inspection,
        metrics,
        neural,
        predictive,
        preprocessing,
    )
    from .estimators import (
        BoundaryEnforcedOperator,
        ConservationConstrainedRegressor,
        EnsembleRegressor,
        PointwiseRegressor,
        RolloutRegressor,
        make_constrained_pipeline,
    )
    from .neural import AttentiveNeuralProcessRegressor, FNORegressor

__version__ = "0.1.0"

__all__ = [
    "AttentiveNeuralProcessRegressor",
    "BoundaryEnforcedOperator",
    "ConservationConstrainedRegressor",
    "EnsembleRegressor",
    "FNORegressor",
    "PointwiseRegressor",
    "RolloutRegressor",
    "make_constrained_pipeline",
    "conditioning",
    "constraints",
    "datasets",
    "estimators",
    "grids",
    "inspection",
    "metrics",
    "neural",
    "predictive",
    "preprocessing",
    "__version__",
]

_HOMES = {
    "AttentiveNeuralProcessRegressor": "neural",
    "BoundaryEnforcedOperator": "estimators",
    "ConservationConstrainedRegressor": "estimators",
    "EnsembleRegressor": "estimators",
    "FNORegressor": "neural",
    "PointwiseRegressor": "estimators",
    "RolloutRegressor": "estimators",
    "make_constrained_pipeline": "estimators",
}
_PUBLIC = frozenset(__all__)

if find_spec("torch") is None:  # then `from skphys import *` goes without the nets
    __all__ = [name for name in __all__ if _HOMES.get(name) != "neural"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _PUBLIC:  # the rest of them are submodules
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

"""Predictive distributions of fields from any fitted regressor."""

from skphys.predictive import _registry
from skphys.predictive._adapters import FAMILIES, PROTOCOL
from skphys.predictive._backbone import fit_backbone
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import (
    offers_covariance,
    offers_members,
    predict_distribution,
    register_adapter,
    unregister_adapter,
)
from skphys.predictive._residual import residual_std

__all__ = [
    "Prediction",
    "fit_backbone",
    "offers_covariance",
    "offers_members",
    "predict_distribution",
    "register_adapter",
    "residual_std",
    "unregister_adapter",
]

_registry.install(PROTOCOL, FAMILIES)

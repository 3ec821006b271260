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

# isort: split
# For the other rooms of the house.
from skphys.predictive._backbone import REGRESSOR as REGRESSOR
from skphys.predictive._backbone import chain as chain
from skphys.predictive._backbone import final_estimator as final_estimator
from skphys.predictive._backbone import is_frozen as is_frozen
from skphys.predictive._backbone import last_step as last_step
from skphys.predictive._backbone import predict_mean as predict_mean
from skphys.predictive._backbone import transformed as transformed
from skphys.predictive._checks import as_coverage as as_coverage
from skphys.predictive._checks import by_rows as by_rows
from skphys.predictive._checks import known_targets as known_targets
from skphys.predictive._field_regressor import FieldRegressorMixin as FieldRegressorMixin
from skphys.predictive._nets import check_module_class as check_module_class
from skphys.predictive._nets import is_net as is_net
from skphys.predictive._nets import is_process as is_process
from skphys.predictive._nets import seeded as seeded
from skphys.predictive._prediction import with_variance as with_variance
from skphys.predictive._registry import METHODS as METHODS
from skphys.predictive._registry import are_constraints_imposed as are_constraints_imposed
from skphys.predictive._registry import constraints_imposed as constraints_imposed
from skphys.predictive._registry import matcher as matcher
from skphys.predictive._residual import out_of_fold as out_of_fold

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

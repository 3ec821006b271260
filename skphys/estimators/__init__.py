"""Estimators: thin shells over grids, constraints, predictive distributions and conditioning."""

from skphys.estimators._base_errors import BaseErrorModel, HeldOut, impose
from skphys.estimators._boundary import BoundaryEnforcedOperator
from skphys.estimators._conservation import ConservationConstrainedRegressor
from skphys.estimators._ensemble import EnsembleRegressor
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._layout import PredictedFields
from skphys.estimators._make import make_constrained_pipeline
from skphys.estimators._pointwise import PointwiseRegressor
from skphys.estimators._report import ConstraintReport
from skphys.estimators._rollout import RolloutRegressor

__all__ = [
    "BaseErrorModel",
    "BoundaryEnforcedOperator",
    "ConservationConstrainedRegressor",
    "ConstraintReport",
    "EnsembleRegressor",
    "ErrorModel",
    "HeldOut",
    "PointwiseRegressor",
    "PredictedFields",
    "RolloutRegressor",
    "impose",
    "make_constrained_pipeline",
]

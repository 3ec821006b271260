"""Estimators that speak for themselves.

Two methods, both ``(X, *, rows, want_cov) -> Prediction``:

- ``_predict_unconditioned``, of constrained estimators: the prediction before it is constrained,
  with the constraints, so that an outer estimator can impose all of them at once;
- ``_predict_distribution``, of this package's other meta-estimators.

Within `constraints_imposed` the former's own ``predict`` is asked instead.

What they offer is said by ``_offers_covariance(rows)`` and ``_offers_members(rows)``, if present.
"""

from __future__ import annotations

from typing import Any

from sklearn.frozen import FrozenEstimator

from skphys.predictive._adapters._stated import predict_by_flags
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import (
    METHODS,
    Adapter,
    are_constraints_imposed,
    constraints_imposed,
)


def _method(estimator: Any) -> Any:
    """Return the method that speaks for the estimator, or None."""
    if isinstance(estimator, FrozenEstimator):  # would delegate, and is opened anyway
        return None
    for name in METHODS:
        if hasattr(estimator, name):
            return getattr(estimator, name)
    return None


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    if are_constraints_imposed() and hasattr(estimator, METHODS[0]):
        with constraints_imposed(False):  # what is inside hands its constraints up again
            return predict_by_flags(estimator, X, rows=rows, want_cov=want_cov)
    return _method(estimator)(X, rows=rows, want_cov=want_cov)


def _covariance(estimator: Any, rows: str) -> bool:
    return hasattr(estimator, "_offers_covariance") and estimator._offers_covariance(rows)


def _members(estimator: Any, rows: str) -> bool:
    return hasattr(estimator, "_offers_members") and estimator._offers_members(rows)


ADAPTERS = (Adapter(_method, _predict, _covariance, _members),)

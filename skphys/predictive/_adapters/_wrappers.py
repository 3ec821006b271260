"""Wrappers that hand on the prediction of what they hold: frozen estimators, searches, pipelines.

Pipelines are walked by hand: their ``predict`` would pass ``return_std`` on only with metadata
routing disabled, or if the last step requests it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from skphys.predictive._backbone import through_steps
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import (
    Adapter,
    offers_covariance,
    offers_members,
    predict_distribution,
)


def _is_search(estimator: Any) -> bool:
    return hasattr(estimator, "best_estimator_") or isinstance(estimator, BaseSearchCV)


def _held(estimator: Any) -> Any:
    """Return what predicts: the fitted estimator, or before fit the one to be fitted."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    return getattr(estimator, "best_estimator_", estimator.estimator)


def _predict_held(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    if isinstance(estimator, BaseSearchCV) and not hasattr(estimator, "best_estimator_"):
        estimator.predict(X)  # says whether it is not fitted, or not refitted
    return predict_distribution(_held(estimator), X, rows=rows, want_cov=want_cov)


def _predict_last(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    last, X = through_steps(estimator, X)
    return predict_distribution(last, X, rows=rows, want_cov=want_cov)


def _covariance(estimator: Any, rows: str) -> bool:
    return offers_covariance(_held(estimator), rows)


def _members(estimator: Any, rows: str) -> bool:
    return offers_members(_held(estimator), rows)


def _opened(matches: Any, predict: Callable[..., Prediction]) -> Adapter:
    return Adapter(matches, predict, _covariance, _members)


ADAPTERS = (
    _opened(FrozenEstimator, _predict_held),
    _opened(Pipeline, _predict_last),
    _opened(_is_search, _predict_held),
)

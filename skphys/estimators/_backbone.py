"""Asking the backbone: fields, or the points of several fields, with or without a covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from skphys.predictive import Prediction, offers_covariance, predict_distribution

ARRAYS_BY_SAMPLE = ("mean", "std", "cov")
ARRAYS_BY_MEMBER = ("member_means", "member_stds")


def take(prediction: Prediction, part: slice) -> Prediction:
    """Return the prediction of some of the samples."""
    arrays = {name: _apply(prediction, name, lambda a: a[part]) for name in ARRAYS_BY_SAMPLE}
    members = {name: _apply(prediction, name, lambda a: a[:, part]) for name in ARRAYS_BY_MEMBER}
    return replace(prediction, **arrays, **members)


def predict_points(estimator: Any, X: Any, n_fields: int) -> Prediction:
    """Predict the points of `n_fields` fields, whose rows follow each other in X.

    A covariance, which couples all rows of a call, is asked for field by field.
    """
    if not offers_covariance(estimator, "points"):
        prediction = predict_distribution(estimator, X, rows="points", want_cov=False)
        return _fold(prediction, n_fields)
    n_points = X.shape[0] // n_fields
    rows = (np.arange(n_points) + n_points * field for field in range(n_fields))
    return _stack(
        [predict_distribution(estimator, _safe_indexing(X, r), rows="points") for r in rows]
    )


def _apply(prediction: Prediction, name: str, function: Callable[[Any], Any]) -> Any:
    array = getattr(prediction, name)
    return None if array is None else function(array)


def _fold(prediction: Prediction, n_fields: int) -> Prediction:
    """Reshape one long field into `n_fields` fields."""
    arrays = {
        name: _apply(prediction, name, lambda a: a.reshape(*a.shape[:-2], n_fields, -1))
        for name in ("mean", "std", *ARRAYS_BY_MEMBER)
    }
    return replace(prediction, **arrays)


def _stack(predictions: list[Prediction]) -> Prediction:
    """Join predictions of one field each."""
    joined: dict[str, Any] = {}
    for names, axis in ((ARRAYS_BY_SAMPLE, 0), (ARRAYS_BY_MEMBER, 1)):
        for name in names:
            parts = [getattr(p, name) for p in predictions]
            joined[name] = None if parts[0] is None else np.concatenate(parts, axis=axis)
    return replace(predictions[0], **joined)

"""Wrappers that act on the targets: one regressor a target, and transformed targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils.validation import check_is_fitted

from skphys.predictive._affine import affine_map, fitted_map, inverse
from skphys.predictive._monotone import directions, pushed
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import (
    Adapter,
    offers_covariance,
    offers_members,
    predict_distribution,
)


def _refuse_constraints(prediction: Prediction, estimator: Any) -> None:
    if prediction.constraints:
        raise ValueError(
            f"{type(estimator).__name__} holds an estimator with constraints, which do not hold "
            f"for the targets outside it; put the constrained estimator outermost, with "
            f"{type(estimator).__name__} as its estimator."
        )


def _predict_each(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    """Gather the targets' own predictions; with one target it is that of its regressor."""
    check_is_fitted(estimator, "estimators_")
    if len(estimator.estimators_) == 1:
        inner = estimator.estimators_[0]
        only = predict_distribution(inner, X, rows=rows, want_cov=want_cov)
        _refuse_constraints(only, estimator)
        return only
    parts = [predict_distribution(e, X, want_cov=False) for e in estimator.estimators_]
    for part in parts:
        _refuse_constraints(part, estimator)
    stds = [part.std for part in parts if part.std is not None]
    return Prediction(
        np.concatenate([part.mean for part in parts], axis=1),
        np.concatenate(stds, axis=1) if len(stds) == len(parts) else None,
    )


def _covariance_of_only(estimator: Any, rows: str) -> bool:
    single = len(getattr(estimator, "estimators_", [None])) == 1
    return single and rows == "points" and offers_covariance(estimator.estimator, rows)


def _members_of_only(estimator: Any, rows: str) -> bool:
    single = len(getattr(estimator, "estimators_", [None])) == 1
    return single and rows == "points" and offers_members(estimator.estimator, rows)


def _predict_transformed(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    """Map a prediction of transformed targets back, by a transformer that is affine or monotone."""
    check_is_fitted(estimator, "regressor_")
    latent = predict_distribution(estimator.regressor_, X, rows=rows, want_cov=want_cov)
    _refuse_constraints(latent, estimator)
    columns = latent.mean.T if rows == "points" else latent.mean
    mean = inverse(estimator.transformer_, columns)
    mean = mean.T if rows == "points" else mean
    if not latent.states_uncertainty:
        return Prediction(mean)
    transform = affine_map(estimator.transformer_, columns)
    if transform is None:
        mapped = _pushed(estimator.transformer_, latent, rows)
        return Prediction(mean) if mapped is None else mapped
    return transform.apply(latent, mean, want_cov and rows == "fields")


def _pushed(transformer: Any, latent: Prediction, rows: str) -> Prediction | None:
    n_targets = 1 if rows == "points" else latent.mean.shape[1]
    signs = directions(transformer, n_targets)
    return None if signs is None else pushed(transformer, latent, signs, rows)


def _regressor(estimator: Any) -> Any:
    return getattr(estimator, "regressor_", estimator._get_regressor())


def _covariance_transformed(estimator: Any, rows: str) -> bool:
    if not hasattr(getattr(estimator, "transformer_", None), "n_features_in_"):
        return offers_covariance(_regressor(estimator), rows)
    transform = fitted_map(estimator.transformer_)
    if transform is None:
        return _is_monotone(estimator) and offers_covariance(_regressor(estimator), rows)
    mixes = transform.mixes and rows == "fields"
    if mixes and not offers_members(_regressor(estimator), rows):
        return True
    return offers_covariance(_regressor(estimator), rows)


def _is_monotone(estimator: Any) -> bool:
    return directions(estimator.transformer_, estimator.transformer_.n_features_in_) is not None


def _members_transformed(estimator: Any, rows: str) -> bool:
    known = hasattr(getattr(estimator, "transformer_", None), "n_features_in_")
    if known and fitted_map(estimator.transformer_) is None and not _is_monotone(estimator):
        return False
    return offers_members(_regressor(estimator), rows)


ADAPTERS = (
    Adapter(MultiOutputRegressor, _predict_each, _covariance_of_only, _members_of_only),
    Adapter(
        TransformedTargetRegressor,
        _predict_transformed,
        _covariance_transformed,
        _members_transformed,
    ),
)

"""scikit-learn's averaging ensembles: forests, bagging and voting, whose members are points.

Not everything with ``estimators_`` is one: the parts of boosting, stacking and chains do not
predict the target one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from skphys.predictive._backbone import predict_mean
from skphys.predictive._checks import by_rows
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import Adapter, Predict, always


def _tree_means(forest: Any, X: Any) -> Iterator[Any]:
    """Yield the trees' predictions; they check for missing values themselves."""
    X = validate_data(
        forest, X, dtype=np.float32, accept_sparse="csr", ensure_all_finite=False, reset=False
    )
    return (tree.predict(X) for tree in forest.estimators_)


def _bag_means(bagging: Any, X: Any) -> Iterator[Any]:
    """Yield the members' predictions, each from the features that it was fitted on."""
    formats = ["csr", "csc"]
    X = validate_data(
        bagging, X, dtype=None, accept_sparse=formats, ensure_all_finite=False, reset=False
    )
    pairs = zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    return (predict_mean(member, X[:, features]) for member, features in pairs)


def _voter_means(voting: Any, X: Any) -> Iterator[Any]:
    return (predict_mean(voter, X) for voter in voting.estimators_)


def _averaging(means_of: Callable[[Any, Any], Iterator[Any]]) -> Predict:
    def predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        check_is_fitted(estimator, "estimators_")
        means = np.stack(list(means_of(estimator, X)))
        means = by_rows(means, estimator, _num_samples(X), rows, "members' mean")
        return Prediction.of_members(means)

    return predict


def _predict_voting(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    """Predict by voters; unequal weights leave moments, since members have equal weights."""
    prediction = _averaging(_voter_means)(estimator, X, rows=rows, want_cov=want_cov)
    if not _is_weighted(estimator):
        return prediction
    means: Any = prediction.member_means
    weights = np.asarray(estimator._weights_not_none, dtype=np.float64)
    weights = weights / weights.sum()
    mean = np.tensordot(weights, means, axes=1)
    deviations = np.sqrt(weights)[:, None, None] * (means - mean)
    std = np.sqrt(np.sum(deviations**2, axis=0))
    if not want_cov:
        return Prediction(mean, std)
    return Prediction(mean, std, cov=np.einsum("kbi,kbj->bij", deviations, deviations))


def _is_weighted(voting: Any) -> bool:
    return voting.weights is not None and len(set(voting._weights_not_none)) > 1


def _covariance_of_voting(estimator: Any, rows: str) -> bool:
    return _is_weighted(estimator)


def _members_of_voting(estimator: Any, rows: str) -> bool:
    return not _is_weighted(estimator)


ADAPTERS = (
    Adapter((RandomForestRegressor, ExtraTreesRegressor), _averaging(_tree_means), members=always),
    Adapter(BaggingRegressor, _averaging(_bag_means), members=always),
    Adapter(VotingRegressor, _predict_voting, _covariance_of_voting, _members_of_voting),
)

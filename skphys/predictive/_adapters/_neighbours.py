"""scikit-learn's nearest neighbours: the targets of the neighbours are members, and points."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from skphys.predictive._checks import by_rows, stated
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import Adapter


def _matches(estimator: Any) -> bool:
    """Say whether neighbours have equal weights, as members have."""
    return (
        isinstance(estimator, KNeighborsRegressor)
        and estimator.weights in (None, "uniform")
        and estimator.n_neighbors > 1
    )


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    """Predict fields by neighbours; what is nearest to single points is no field."""
    if rows == "points":
        return stated(estimator, X, rows, estimator.predict(X))
    nearest = estimator.kneighbors(X, return_distance=False)
    targets = np.asarray(estimator._y, dtype=np.float64)[nearest]  # the only place that has them
    means = by_rows(np.moveaxis(targets, 1, 0), estimator, len(nearest), rows, "members' mean")
    return Prediction(means.mean(axis=0), member_means=means)


def _has_members(estimator: Any, rows: str) -> bool:
    return rows == "fields"


ADAPTERS = (Adapter(_matches, _predict, members=_has_members),)

"""scikit-learn's nearest neighbours: the targets of the neighbours are members, and points."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from skphys.predictive._checks import by_rows, stated
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import Adapter


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    if not _has_members(estimator, rows):
        return stated(estimator, X, rows, estimator.predict(X))
    nearest = estimator.kneighbors(X, return_distance=False)
    targets = np.asarray(estimator._y, dtype=np.float64)[nearest]  # the only place that has them
    means = by_rows(np.moveaxis(targets, 1, 0), estimator, len(nearest), rows, "members' mean")
    return Prediction.of_members(means)


def _has_members(estimator: Any, rows: str) -> bool:
    """Say whether neighbours are fields, as those of single points are not, and weigh alike."""
    return rows == "fields" and estimator.weights in (None, "uniform")


ADAPTERS = (Adapter(KNeighborsRegressor, _predict, members=_has_members),)

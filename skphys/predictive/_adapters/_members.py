"""Anything with ``predict_members(X) -> (means, stds)``."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import _num_samples

from skphys.predictive._checks import by_rows
from skphys.predictive._prediction import Prediction
from skphys.predictive._registry import Adapter, always


def _matches(estimator: Any) -> bool:
    return callable(getattr(estimator, "predict_members", None))


def _predict(estimator: Any, X: Any, *, rows: str, want_cov: bool) -> Prediction:
    returned = estimator.predict_members(X)
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise ValueError(
            f"predict_members of the backbone {type(estimator).__name__} must return the tuple "
            f"(means, stds), stds possibly None; got {type(returned).__name__}."
        )
    n_samples = _num_samples(X)
    means, stds = (
        None if values is None else by_rows(values, estimator, n_samples, rows, what)
        for values, what in zip(returned, ("members' mean", "members' std"), strict=True)
    )
    if means is None or len(means) == 0:
        raise ValueError(
            f"predict_members of the backbone {type(estimator).__name__} returned no member means."
        )
    return Prediction(means.mean(axis=0), member_means=means, member_stds=stds)


ADAPTERS = (Adapter(_matches, _predict, members=always),)

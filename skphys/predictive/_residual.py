"""An uncertainty for backbones that state none: how far they were from data they had not seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params, _num_samples

from skphys.predictive._backbone import fit_backbone, is_frozen
from skphys.predictive._prediction import Array
from skphys.predictive._registry import predict_distribution


def residual_std(
    estimator: Any,
    X: Any = None,
    y: Any = None,
    *,
    cv: Any = 5,
    rows: str = "fields",
    groups: Any = None,
    calibration: tuple[Any, Any] | None = None,
    fit_params: Mapping[str, Any] | None = None,
) -> Array:
    """Measure the root mean square of a backbone's residuals on data that it was not fitted on.

    Residuals are of the unconstrained prediction, and they are not centred: a bias counts.

    Parameters
    ----------
    estimator : estimator
        Cloned and fitted on each training fold; with `calibration` it is fitted already.
    X : {array-like, DataFrame} of shape (n_samples, n_features), default=None
        Training inputs; not used with `calibration`.
    y : array-like of shape (n_samples,) or (n_samples, n_points), default=None
        Training targets; not used with `calibration`.
    cv : int, cross-validation generator or iterable, default=5
        How to split the training data. With ``rows="points"`` rows of the same field should stay
        together: give a splitter by groups, and `groups`.
    rows : {"fields", "points"}, default="fields"
        What the rows of X are.
    groups : array-like of shape (n_samples,), default=None
        Passed to the splitter.
    calibration : tuple (X, y), default=None
        Data held out, on which the fitted estimator's residuals are taken.
    fit_params : dict, default=None
        Passed to the clones' fit; split with X where they have one entry a sample.

    Returns
    -------
    ndarray of shape (n_points,) or ()
        One value a point of the grid; with ``rows="points"`` one for all.

    Raises
    ------
    ValueError
        If the estimator is frozen and there is no `calibration`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from skphys.predictive import residual_std
    >>> y = np.array([[0.0, 0.0], [0.0, 2.0]])
    >>> residual_std(DummyRegressor(), np.zeros((2, 1)), y, cv=2)
    array([0., 2.])
    """
    if calibration is not None:
        inputs, targets = calibration
        residuals = [_residuals(estimator, inputs, targets, rows)]
    elif is_frozen(estimator):
        raise ValueError(
            "The backbone is frozen, so out-of-fold residuals would be those of its own training "
            "data; give data that it has not seen: calibration=(X, y)."
        )
    else:
        splits = check_cv(cv, y).split(X, y, groups)
        residuals = [
            _residuals(fitted, _safe_indexing(X, test), _safe_indexing(y, test), rows)
            for fitted, test in out_of_fold(estimator, X, y, splits, fit_params)
        ]
    axis = 0 if rows == "fields" else None
    return np.sqrt(np.mean(np.concatenate(residuals) ** 2, axis=axis))


def out_of_fold(
    estimator: Any,
    X: Any,
    y: Any,
    splits: Iterable[tuple[Any, Any]],
    fit_params: Mapping[str, Any] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Fit a clone of a backbone on each training fold.

    Parameters
    ----------
    estimator : estimator
        Cloned; must not be frozen.
    X : {array-like, DataFrame} of shape (n_samples, n_features)
        What the backbone sees.
    y : array-like of shape (n_samples,) or (n_samples, n_points)
        The targets.
    splits : iterable of (train, test)
        Indices of rows.
    fit_params : mapping, default=None
        Passed to fit; split with X where they have one entry a sample.

    Yields
    ------
    fitted : estimator
        The clone.
    test : ndarray of int
        The rows that it was not fitted on.
    """
    for train, test in splits:
        params = _check_method_params(X, dict(fit_params or {}), indices=train)
        inputs, targets = _safe_indexing(X, train), _safe_indexing(y, train)
        yield fit_backbone(clone(estimator), inputs, targets, **params), test


def _residuals(estimator: Any, X: Any, y: Any, rows: str) -> Array:
    """Return targets minus predictions, of shape (n_samples, n_points)."""
    mean = predict_distribution(estimator, X, rows=rows, want_cov=False).mean
    mean = mean.T if rows == "points" else mean
    y = np.asarray(y, dtype=np.float64).reshape(_num_samples(y), -1)
    if y.shape != mean.shape:
        raise ValueError(
            f"y has shape {y.shape} where the backbone predicts {mean.shape}; calibration data "
            f"must have the shape of the training data."
        )
    if not np.isfinite(y).all():
        raise ValueError("y has NaN or infinite values; leave those samples out.")
    return y - mean

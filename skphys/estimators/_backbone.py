"""Asking the backbone: what it is given, and fields, or the points of several, from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from skphys.constraints._system import NamedConstraints, value_columns
from skphys.constraints._values import find_column
from skphys.grids import Components
from skphys.predictive import Prediction, offers_covariance, predict_distribution, residual_std
from skphys.predictive._backbone import final_estimator, is_frozen
from skphys.predictive._nets import check_module_class, is_net, is_process

ARRAYS_BY_SAMPLE = ("mean", "std", "cov")
ARRAYS_BY_MEMBER = ("member_means", "member_stds")


def take(prediction: Prediction, part: slice) -> Prediction:
    """Return the prediction of some of the samples."""
    arrays = {name: _apply(prediction, name, lambda a: a[part]) for name in ARRAYS_BY_SAMPLE}
    members = {name: _apply(prediction, name, lambda a: a[:, part]) for name in ARRAYS_BY_MEMBER}
    return replace(prediction, **arrays, **members)


def predict_points(
    estimator: Any, X: Any, sizes: Sequence[tuple[int, int]]
) -> Iterator[Prediction]:
    """Predict the points of fields, whose rows follow each other in X.

    A covariance, which couples all rows of a call, is asked for field by field.

    Parameters
    ----------
    estimator : estimator
        The backbone.
    X : array or DataFrame of shape (n_rows, n_features)
        One row a point.
    sizes : sequence of (n_fields, n_points)
        The groups of fields that are to be batches.
    """
    at_once = None
    if not offers_covariance(estimator, "points"):
        at_once = predict_distribution(estimator, X, rows="points", want_cov=False)
    start = 0
    for n_fields, n_points in sizes:
        rows = np.arange(start, start + n_fields * n_points)
        start += len(rows)
        if at_once is not None:
            yield _fold(at_once, rows, n_fields)
        else:
            yield _stack(
                [
                    predict_distribution(estimator, _safe_indexing(X, own), rows="points")
                    for own in rows.reshape(n_fields, n_points)
                ]
            )


def tell_grid(backbone: Any, grid: Any) -> None:
    """Give a grid to an unfitted operator that has a parameter for it, and None there."""
    operator = final_estimator(backbone)
    if not hasattr(operator, "get_params") or is_frozen(backbone):
        return
    if operator.get_params(deep=False).get("grid", ...) is None:
        operator.set_params(grid=grid)


def tell_net(backbone: Any, grid: Any, embedding: Any = None) -> Any:
    """Tell a skorch net about the grid, so that its module may take channels, and return it.

    Parameters
    ----------
    backbone : estimator
        An unfitted backbone, which is changed, or a frozen net, which is not. Anything but a net
        inside stays as it is, and so does a net whose targets share no grid.
    grid : Grid, Mesh or Components
        Where the fields live.
    embedding : BoundaryEmbedding, optional
        What the spectral layers of an unfitted net are to be corrected for.
    """
    net, shape = final_estimator(backbone), _field_shape(grid)
    if not is_net(net) or is_process(net) or shape is None:
        return backbone
    from skphys.neural._net_on_grid import set_on_grid

    if is_frozen(backbone):
        return _with_trained_net(backbone, shape)
    check_module_class(net)
    set_on_grid(net, shape, embedding)
    return backbone


def _field_shape(grid: Any) -> tuple[int, ...] | None:
    """Return the number of components and the shape of each, if they share a grid."""
    if not isinstance(grid, Components):
        return (1, *grid.shape)
    shapes = {part.shape for part in grid.grids.values()}
    return (len(grid.grids), *shapes.pop()) if len(shapes) == 1 else None


def _with_trained_net(backbone: Any, shape: tuple[int, ...]) -> Any:
    """Let a frozen net, alone or at the end of a pipeline, take flat rows."""
    from skphys.neural._net_on_grid import trained_on_grid

    if isinstance(backbone, Pipeline):
        name, last = backbone.steps[-1]
        backbone.steps[-1] = (name, _with_trained_net(last, shape))
    elif isinstance(backbone, FrozenEstimator) and is_net(backbone.estimator):
        if hasattr(backbone.estimator, "module_"):
            return FrozenEstimator(trained_on_grid(backbone.estimator, shape))
    return backbone


def without_value_columns(
    X: Any, constraints: NamedConstraints, grid: Any, feature_names: Any = None
) -> Any:
    """Return X without the columns that only constraints look at.

    Parameters
    ----------
    X : array or DataFrame of shape (n_samples, n_features)
        What the constrained estimator got.
    constraints : list of (str, Constraint)
        Which take values from columns.
    grid : Grid, Mesh, Components or ColumnGrid
        The last of these says which columns are coordinates, and stay.
    feature_names : array of str, default=None
        Names of the columns of X, if X itself has none.
    """
    names = getattr(X, "columns", feature_names)
    dropped = {find_column(X, key, names) for key in value_columns(constraints)}
    dropped -= {find_column(X, key, names) for key in getattr(grid, "structure", ())}
    if not dropped:
        return X
    return _safe_indexing(X, [c for c in range(X.shape[1]) if c not in dropped], axis=1)


def out_of_fold_std(
    estimator: Any, X: Any, y: np.ndarray, fields: np.ndarray, rows: str, fit_params: Any
) -> np.ndarray:
    """Return the spread of a backbone's residuals on fields that it was not fitted on.

    Parameters
    ----------
    estimator : estimator
        Cloned for each fold.
    X : array or DataFrame of shape (n_rows, n_features)
        What the backbone sees.
    y : ndarray
        The targets.
    fields : ndarray of int of shape (n_rows,)
        The field that each row belongs to; a field is in one fold with all its rows.
    rows : {"fields", "points"}
        What the rows are.
    fit_params : dict
        Passed to the clones' fit.
    """
    folds = fold_fields(fields, "residual")
    return residual_std(estimator, X, y, cv=folds, rows=rows, fit_params=fit_params)


def fold_fields(fields: np.ndarray, uncertainty: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of five folds, (train, test), that keep the rows of a field together."""
    n_fields = len(np.unique(fields))
    if n_fields < 2:
        raise ValueError(
            f"uncertainty={uncertainty!r} needs at least two fields; got n_samples={n_fields}."
        )
    folds = GroupKFold(min(5, n_fields), shuffle=True, random_state=0)
    return list(folds.split(fields, groups=fields))


def _apply(prediction: Prediction, name: str, function: Callable[[Any], Any]) -> Any:
    array = getattr(prediction, name)
    return None if array is None else function(array)


def _fold(prediction: Prediction, rows: np.ndarray, n_fields: int) -> Prediction:
    """Make `n_fields` fields of some rows of one long field."""
    arrays = {
        name: _apply(prediction, name, lambda a: a[..., rows].reshape(*a.shape[:-2], n_fields, -1))
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

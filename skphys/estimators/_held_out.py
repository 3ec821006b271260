"""What a backbone predicts of data that it was not fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.model_selection import GroupKFold
from sklearn.utils import _safe_indexing

from skphys.estimators._backbone import Backbone
from skphys.estimators._base_errors import HeldOut
from skphys.estimators._layout import Layout
from skphys.predictive import chain, is_frozen, out_of_fold, residual_std

FEWEST_FIELDS = 10  # fields from which more is learned than the size of errors


def held_out(backbone: Backbone, layout: Layout, X: Any, y: np.ndarray) -> Iterator[HeldOut]:
    """Yield what a fitted backbone predicts of fields, with their true values y."""
    truth = y.reshape(layout.output_shape(X))
    for fields in layout.batches(X, backbone):
        yield HeldOut(fields, truth[fields.index])


def is_cheap(backbone: Backbone, layout: Layout, X: Any) -> bool:
    """Say whether fitting the backbone on folds is cheap."""
    return layout.rows == "fields" and X.shape[0] > 1 and not is_slow(backbone.regressor)


def is_slow(regressor: Any) -> bool:
    """Say whether a regressor is trained in epochs, or cannot be fitted again at all."""
    epochs = any("max_epochs" in step.get_params(deep=False) for step in chain(regressor))
    return epochs or is_frozen(regressor)


def out_of_fold_fields(
    backbone: Backbone, layout: Layout, X: Any, y: np.ndarray, fit_params: Mapping[str, Any]
) -> Iterator[HeldOut]:
    """Yield the fields of each fold as predicted by a backbone that was fitted on the others."""
    for fitted, some, truth in _out_of_fold(backbone, layout, X, y, fit_params):
        yield from held_out(fitted, layout, some, truth)


def _out_of_fold(
    backbone: Backbone, layout: Layout, X: Any, y: np.ndarray, fit_params: Mapping[str, Any]
) -> Iterator[tuple[Any, Any, np.ndarray]]:
    """Yield backbones fitted on all folds but one, and the X and y of that one."""
    if is_frozen(backbone):
        raise ValueError(
            "The backbone is frozen, so its residuals would be those of its own training data; "
            "give data that it has not seen: calibration=(X, y)."
        )
    folds = folds_of_fields(layout, X, fit_params.get("groups"))
    for fitted, test in out_of_fold(backbone, X, y, folds, fit_params):
        yield fitted, _safe_indexing(X, test), y[test]


def residual_spread(
    backbone: Backbone,
    layout: Layout,
    X: Any,
    y: np.ndarray,
    fit_params: Mapping[str, Any],
    calibration: tuple[Any, np.ndarray] | None = None,
) -> tuple[np.ndarray, list[HeldOut]]:
    """Return the root mean square of residuals, on calibration data or out of fold.

    They are taken row by row, because the rows of a training table need not be whole fields. If
    they are, the second is what was predicted of them, else it is empty.
    """
    folds: Any = _out_of_fold(backbone, layout, X, y, fit_params)
    if calibration is not None:
        X, y = calibration
        folds = [(backbone, layout.completed(X), y)]
    squares, parts = [], []
    for fitted, some, truth in folds:
        spread = residual_std(fitted, rows=layout.rows, calibration=(some, truth))
        squares.append(len(truth) * spread**2)
        with suppress(ValueError):
            parts.append(list(held_out(fitted, layout, some, truth)))
    are_whole = len(parts) == len(squares)
    fields = [part for listed in parts for part in listed] if are_whole else []
    return np.sqrt(np.sum(squares, axis=0) / len(y)), fields


def folds_of_fields(
    layout: Layout, X: Any, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of five folds, (train, test), that keep groups, or fields, together.

    So they do with rows that repeat each other, as measurements do: a backbone that was fitted on
    one has seen the others.
    """
    if groups is not None:
        fields = groups
    else:
        fields = layout.labels(X) if layout.rows == "points" else _repeats(X)
    n_fields = len(np.unique(fields))
    if n_fields < 2:
        raise ValueError(
            f"An error model that learns out of fold needs at least two fields whose rows of X "
            f"differ; got {n_fields} of n_samples={X.shape[0]}. Give calibration=(X, y), or "
            f"take the errors as they are stated."
        )
    folds = GroupKFold(min(5, n_fields), shuffle=True, random_state=0)
    return list(folds.split(fields, groups=fields))


def _repeats(X: Any) -> np.ndarray:
    """Number the rows, those that are equal alike."""
    if sparse.issparse(X):
        X = X.toarray()
    values = np.asarray(X)
    numbers: dict[Any, int] = {}
    rows = map(tuple, values) if values.dtype == object else (row.tobytes() for row in values)
    return np.array([numbers.setdefault(row, len(numbers)) for row in rows])

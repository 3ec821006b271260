"""The backbone: a regressor, what it is shown of X, and how it is told of constraints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import _routing_enabled, get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from skphys.constraints import ConstraintSet
from skphys.estimators._on_grid import on_grid
from skphys.estimators._white_noise import ask_with_noise
from skphys.grids import Components
from skphys.predictive import (
    Prediction,
    check_module_class,
    final_estimator,
    fit_backbone,
    is_frozen,
    is_net,
    is_process,
    offers_covariance,
    predict_distribution,
)


class Backbone:
    """A regressor that is not told of the constraints at all.

    `skphys.predictive` reads it like any other regressor, so that it can be refitted on folds.

    Parameters
    ----------
    regressor : estimator
        Fitted itself, not a clone.
    constraints : ConstraintSet
        What must hold for its fields.
    drop_value_columns : bool
        Whether it does not get the columns that values are taken from.

    Attributes
    ----------
    stencil_std : float or ndarray of shape (n_points,)
        Errors that come of the constraints' stencils, which residuals of the regressor do not show.
    spread : callable or None
        What is made of the members that it predicts.
    """

    stencil_std: Any = 0.0
    spread: Any = None

    def __init__(
        self, regressor: Any, constraints: ConstraintSet, drop_value_columns: bool = False
    ) -> None:
        self.regressor = regressor
        self.constraints = constraints
        self.drop_value_columns = drop_value_columns

    def __sklearn_clone__(self) -> Self:
        other = copy(self)
        other.regressor, other.spread = clone(self.regressor), None
        return other

    def fit(
        self, X: Any, y: np.ndarray, groups: np.ndarray | None = None, **fit_params: Any
    ) -> Self:
        """Fit the regressor.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
            What the constrained estimator got.
        y : ndarray of shape (n_samples, n_points) or (n_samples,)
            The fields.
        groups : ndarray of int of shape (n_samples,) or None, default=None
            Which rows belong together; passed to its fit if that takes them.
        **fit_params : dict
            Passed to its fit.
        """
        # Of a fold that holds one group there is nothing to say.
        if groups is not None and np.ptp(groups) and (name := _name_of_groups(self.regressor)):
            fit_params = {**fit_params, name: groups}
        fit_backbone(self.regressor, self._shown(X), y, **fit_params)
        return self

    @property
    def has_left_out(self) -> bool:
        """Whether its uncertainty rests on fields that it left out in fit."""
        return self.spread is not None

    def ask(
        self, X: Any, values: Mapping[str, Any] | None = None, *, want_cov: bool = True
    ) -> Prediction:
        """Return what the regressor says of fields, one a row of X.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
            What the constrained estimator got.
        values : dict of str to array, optional
            Values of constraints by name, in place of the declared ones.
        want_cov : bool, default=True
            Whether to ask for a covariance where one is offered.
        """
        return self._apart(predict_distribution(self.regressor, self._shown(X), want_cov=want_cov))

    def _apart(self, prediction: Prediction) -> Prediction:
        """Return a prediction with its members as far apart as they are wrong."""
        return prediction if self.spread is None else self.spread(prediction)

    def ask_points(
        self, X: Any, sizes: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[Prediction, np.ndarray | None]]:
        """Yield what the regressor says of the points of fields, whose rows follow each other.

        A covariance, which couples all rows of a call, is asked for field by field. With it comes
        the part of each point's variance that is noise of the measurement; else None.

        Parameters
        ----------
        X : array or DataFrame of shape (n_rows, n_features)
            One row a point.
        sizes : sequence of (n_fields, n_points)
            The groups of fields that are to be batches.
        """
        X, at_once = self._shown(X), None
        if not offers_covariance(self.regressor, "points"):
            at_once = predict_distribution(self.regressor, X, rows="points", want_cov=False)
        start = 0
        for n_fields, n_points in sizes:
            rows = np.arange(start, start + n_fields * n_points)
            start += len(rows)
            if at_once is not None:
                yield at_once.fold(rows, n_fields), None
            else:
                own = rows.reshape(n_fields, n_points)
                fields = [ask_with_noise(self.regressor, _safe_indexing(X, some)) for some in own]
                predictions, noise = zip(*fields, strict=True)
                yield Prediction.concatenate(predictions), np.stack(noise)

    def on_grid(self, constraints: ConstraintSet) -> Self:
        """Return the backbone on the grid of other constraints, with the same weights."""
        moved = copy(self)
        moved.constraints = constraints
        moved.regressor = on_grid(self.regressor, constraints.grid)
        moved.spread = self.spread and self.spread.on_grid(constraints.grid)
        return moved

    def _predict_distribution(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        if rows == "fields":
            return self.ask(X, want_cov=want_cov)
        return predict_distribution(self.regressor, self._shown(X), rows=rows, want_cov=want_cov)

    def _shown(self, X: Any) -> Any:
        return self.constraints.hide(X) if self.drop_value_columns else X


def with_hook(regressor: Any, hook: str) -> tuple[Any, str]:
    """Ask the last step of an unfitted regressor for a parameter of fit; return both.

    Pipelines, which must be clones, are changed.
    """
    if not isinstance(regressor, Pipeline):
        if _routing_enabled() and hasattr(regressor, "set_fit_request"):
            regressor.set_fit_request(**{hook: True})
        return regressor, hook
    name, last = regressor.steps[-1]
    last, hook = with_hook(last, hook)
    regressor.steps[-1] = (name, last)
    return regressor, hook if _routing_enabled() else f"{name}__{hook}"


def _name_of_groups(regressor: Any) -> str | None:
    """Return by which name fit of a regressor takes groups of rows; None if it does not."""
    if _routing_enabled():
        takes = get_routing_for_object(regressor).consumes("fit", ["groups"])
        return "groups" if takes else None
    if isinstance(regressor, Pipeline):
        name = _name_of_groups(regressor.steps[-1][1])
        return name and f"{regressor.steps[-1][0]}__{name}"
    takes = has_fit_parameter(regressor, "groups") or isinstance(regressor, BaseSearchCV)
    return "groups" if takes else None


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
    from skphys.neural import set_on_grid

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
    from skphys.neural import trained_on_grid

    if isinstance(backbone, Pipeline):
        name, last = backbone.steps[-1]
        backbone.steps[-1] = (name, _with_trained_net(last, shape))
    elif isinstance(backbone, FrozenEstimator) and is_net(backbone.estimator):
        if hasattr(backbone.estimator, "module_"):
            return FrozenEstimator(trained_on_grid(backbone.estimator, shape))
    return backbone

"""Fitting a backbone to whole fields, and asking it for what is constrained.

`ConstrainedRegressor` enforces constraints on batches of fields; this class makes the batches, for
every estimator that wraps a backbone. A subclass says what must hold.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_array, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import validate_data

from skphys.constraints._system import NamedConstraints, value_columns
from skphys.constraints._values import find_column
from skphys.estimators._backbone import out_of_fold_std, tell_net, without_value_columns
from skphys.estimators._base import ConstrainedRegressor
from skphys.estimators._calibration import HeldOut, choose_error_model, out_of_fold
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._field_rows import FieldRows
from skphys.estimators._layouts import Batch, Layout, likely_fields
from skphys.estimators._on_grid import RegriddedMixin
from skphys.estimators._random import set_random_states
from skphys.estimators._targets import warn_if_violated
from skphys.grids import Grid
from skphys.predictive import Prediction, fit_backbone, predict_distribution, residual_std
from skphys.predictive._backbone import chain, final_estimator
from skphys.predictive._nets import seeded


class FieldConstrainedRegressor(RegriddedMixin, ConstrainedRegressor):
    """Base class: fit a backbone to fields, one a row, and constrain what it predicts."""

    estimator: Any
    grid: Any
    uncertainty: str
    calibration: tuple[Any, Any] | None
    drop_value_columns: bool
    random_state: Any

    # Where a subclass does not make them parameters, they are as here.
    metric: str = "covariance"
    correlation_length: float | str | Mapping[str, float] | None = None
    project_samples: bool = False

    @abstractmethod
    def _declared(self, grid: Any) -> NamedConstraints:
        """Return what must hold on a grid, as (name, constraint) pairs; they are cloned."""

    def _fit(self, X: Any, y: Any, fit_params: dict[str, Any]) -> Self:
        X, y = self._check_training_data(X, y)
        layout = self._training_layout(X, y)
        constraints = [(name, clone(c)) for name, c in self._declared(layout.grid)]
        self._check_declared(layout, X, constraints)
        backbone = clone(self.estimator)
        if layout.rows == "fields" and not _constrains_itself(backbone):
            backbone = tell_net(backbone, layout.grid)
        backbone = self._prepared(backbone, constraints, layout.grid)
        warn_if_violated(layout, X, y, constraints)
        routed = self._routed(fit_params)

        def seen(rows: Any) -> Any:
            return self._seen_by_backbone(rows, backbone, constraints, layout.grid)

        seed = set_random_states(backbone, self.random_state)
        with seeded(final_estimator(backbone), seed):  # a net has no random_state of its own
            fit_backbone(backbone, seen(X), y, **routed)
            fitted: Any = copy(self)
            fitted.__dict__.pop("residual_std_", None)  # of an earlier fit
            if self.uncertainty == "residual":
                fitted.residual_std_ = self._residual_std(backbone, X, y, layout, seen, routed)
            fitted.estimator_ = backbone
            fitted.constraints_ = constraints
            fitted.grid_ = layout.grid
            fitted._single_point = layout.rows == "fields" and y.ndim == 1
            fitted.error_model_ = self._declared_errors()
            fitted.error_model_ = fitted._chosen_errors(X, y, routed)
        self.__dict__ = fitted.__dict__
        return self

    def _declared_errors(self) -> ErrorModel:
        """Return what the parameters say of the errors; what is "auto" is left at its simplest."""
        length = self.correlation_length
        return ErrorModel(
            members="moments" if self.members == "auto" else self.members,
            correlation_length=None if isinstance(length, str) else length,
        )

    def _chosen_errors(self, X: Any, y: np.ndarray, fit_params: dict[str, Any]) -> ErrorModel:
        """Return the error model of a fitted estimator, chosen on data if there are any for it."""
        if self.uncertainty == "calibrated" and self.calibration is None:
            held_out = list(out_of_fold(self, X, y, fit_params))
        elif self.uncertainty != "residual" and self.calibration is not None:
            held_X, held_y = self._calibration_data()
            shape = self._layout().output_shape(held_X)
            if len(held_y) != shape[0] or held_y.size != np.prod(shape):
                raise ValueError(
                    f"The y of calibration must have the shape of predict(X), {shape}; got "
                    f"{held_y.shape}."
                )
            held_out = [HeldOut(self, held_X, held_y)]
        else:
            return self.error_model_
        choose = {
            "members": self.members == "auto",
            "correlation_length": isinstance(self.correlation_length, str),
        }
        shrink = self.uncertainty == "calibrated"
        return choose_error_model(held_out, self.error_model_, choose, shrink)

    def _calibration_data(self) -> tuple[Any, np.ndarray]:
        """Return the checked pair that the user gave."""
        if len(self.calibration or ()) != 2:
            raise ValueError(
                f"calibration must be a pair (X, y); got {len(self.calibration or ())} items."
            )
        held_X, held_y = self.calibration  # type: ignore[misc]
        held_X = self._check_X(held_X)
        held_y = check_array(
            held_y, dtype=np.float64, ensure_2d=False, input_name="y of calibration"
        )
        return held_X, held_y

    def _check_training_data(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = self._check_X(X, reset=True)
        y = check_array(
            y, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name="y", estimator=self
        )
        if y.ndim > 2:
            raise ValueError(
                f"y must hold one field a row, flattened in C order: y.reshape(len(y), -1); got "
                f"shape {y.shape}."
            )
        check_consistent_length(X, y)
        return X, y

    def _check_X(self, X: Any, reset: bool = False) -> Any:
        X = X.tocsr() if sparse.issparse(X) else X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) < 2:
            raise ValueError(
                f"X must be 2-D, one row a {self._row()}; got shape {X.shape}. Reshape your data, "
                f"X.reshape(1, -1) for a single row."
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

    def _row(self) -> str:
        """Say what a row of X is."""
        return "field"

    def _training_layout(self, X: Any, y: np.ndarray) -> Any:
        """Return how the rows of X make fields, after a check that y has the grid's points."""
        n_points = 1 if y.ndim == 1 else y.shape[1]
        grid = Grid.unit(n_points) if self.grid is None else self.grid
        if grid.n_points != n_points:
            raise ValueError(
                f"y has {n_points} column(s), but the grid has {grid.n_points} points "
                f"{dict(zip(grid.names, grid.shape, strict=True))}: y must hold one field a row, "
                f"flattened in C order."
            )
        length = self._declared_errors().correlation_length
        layout = FieldRows(grid, getattr(X, "columns", None), length)
        layout.independent()  # raises if correlation_length does not fit the grid
        return layout

    def _check_declared(self, layout: Any, X: Any, constraints: NamedConstraints) -> None:
        """Raise if constraints look for what X or its layout does not have."""
        for key in value_columns(constraints):
            find_column(X, key, getattr(X, "columns", None))

    def _prepared(self, backbone: Any, constraints: NamedConstraints, grid: Any) -> Any:
        """Return what is fitted and asked in place of a clone of `estimator`."""
        return backbone

    def _seen_by_backbone(
        self, X: Any, backbone: Any, constraints: NamedConstraints, grid: Any
    ) -> Any:
        """Return the columns of X that the backbone gets."""
        if not self.drop_value_columns:
            return X
        return without_value_columns(X, constraints, grid, getattr(self, "feature_names_in_", None))

    def _residual_std(
        self,
        backbone: Any,
        X: Any,
        y: np.ndarray,
        layout: Layout,
        seen: Callable[[Any], Any],
        fit_params: Any,
    ) -> Any:
        """Return the residuals' spread, on the calibration data or out of fold."""
        if self.calibration is None:
            fields = layout.labels(X)
            return out_of_fold_std(backbone, seen(X), y, fields, layout.rows, fit_params)
        held_X, held_y = self._calibration_data()
        return residual_std(backbone, rows=layout.rows, calibration=(seen(held_X), held_y))

    def _layout(self) -> Layout:
        names = getattr(self, "feature_names_in_", None)
        return FieldRows(self.grid_, names, self.error_model_.correlation_length)

    def _batches(self, X: Any, constraint_values: Mapping[str, Any] | None) -> Iterator[Batch]:
        values = constraint_values or {}
        predict = partial(self._predict_backbone, constraint_values=values)
        return self._layout().batches(X, predict, self.constraints_, values)

    def _predict_backbone(
        self, X: Any, sizes: Any = None, *, constraint_values: Mapping[str, Any] | None = None
    ) -> Any:
        """Ask the backbone; `sizes` come with the points of a long table only."""
        return self._spread(self._ask_backbone(X))

    def _ask_backbone(self, X: Any, sizes: Any = None) -> Any:
        """Return what the backbone says, as it says it."""
        seen = self._seen_by_backbone(X, self.estimator_, self.constraints_, self.grid_)
        return predict_distribution(self.estimator_, seen)

    def _spread(self, prediction: Prediction) -> Prediction:
        """Put the residuals' spread in the place of the backbone's own, or scale that."""
        if self.uncertainty != "residual":
            return self.error_model_.scaled(prediction)
        std = np.broadcast_to(self.residual_std_, prediction.mean.shape)
        return Prediction(prediction.mean, std, constraints=prediction.constraints)

    def _predict_unconditioned(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        """Hand the Gaussian and the rows up to an outer constraint, which conditions once."""
        if rows != "fields":
            raise ValueError(
                "In a long table constrained estimators cannot be nested; give all constraints to "
                "the outer one: constraints=[law, other_law]."
            )
        if self.error_model_.correlation_length is not None:
            raise ValueError(
                "Of nested constrained estimators the outermost one makes the covariance; give "
                "correlation_length, or the calibration data that chose one, to it, and set "
                "correlation_length=None here."
            )
        X = self._checked(X)
        prediction = self._predict_backbone(X)
        layout = FieldRows(self.grid_, getattr(self, "feature_names_in_", None))
        system = layout.system(X, self.constraints_, fields=likely_fields(prediction))
        also = layout.inequalities(X, self.constraints_)
        systems = (system, also) if also.names else (system,)
        return replace(prediction, constraints=(*prediction.constraints, *systems))

    def _routed(self, fit_params: dict[str, Any]) -> dict[str, Any]:
        if _routing_enabled():
            return process_routing(self, "fit", **fit_params).estimator.fit
        return fit_params

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is routed: fit parameters go to the backbone.

        Returns
        -------
        MetadataRouter
            Encapsulating the routing information.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
        )

    def __sklearn_tags__(self) -> Any:
        """Inherit the backbone's tags."""
        tags = super().__sklearn_tags__()
        try:
            inner = get_tags(self.estimator)
        except (AttributeError, TypeError):
            return tags
        tags.input_tags = deepcopy(inner.input_tags)
        tags.target_tags = deepcopy(inner.target_tags)
        tags.target_tags.required = True
        tags.regressor_tags = deepcopy(inner.regressor_tags) or tags.regressor_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


def _constrains_itself(backbone: Any) -> bool:
    """Say whether there is another constrained estimator around the regressor inside."""
    return any(isinstance(part, ConstrainedRegressor) for part in chain(backbone))

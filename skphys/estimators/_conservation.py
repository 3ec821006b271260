"""The regressor that makes any backbone's fields obey conservation laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context, clone
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import column_or_1d, validate_data

from skphys.constraints import Constraint, InequalityConstraint, name_constraints
from skphys.constraints._system import value_columns
from skphys.constraints._values import find_column
from skphys.estimators._backbone import out_of_fold_std, predict_points
from skphys.estimators._base import ConstrainedRegressor
from skphys.estimators._field_rows import FieldRows
from skphys.estimators._layouts import Batch, Layout, likely_fields
from skphys.estimators._named_params import NamedConstraintsMixin
from skphys.estimators._point_rows import PointRows
from skphys.estimators._priors import correlation_lengths
from skphys.estimators._random import set_random_states
from skphys.estimators._targets import warn_if_outside, warn_if_violated
from skphys.grids import ColumnGrid, Components, Grid, Mesh
from skphys.predictive import Prediction, fit_backbone, predict_distribution, residual_std
from skphys.predictive._backbone import final_estimator
from skphys.predictive._nets import seeded


def _select(X: Any, kept: list[int] | None) -> Any:
    return X if kept is None else _safe_indexing(X, kept, axis=1)


class ConservationConstrainedRegressor(NamedConstraintsMixin, ConstrainedRegressor):
    """Wrap any regressor so that its predicted fields obey conservation laws exactly.

    The backbone's prediction is taken as a Gaussian field and conditioned on the constraints: mean,
    standard deviation, covariance and samples all obey them. Inequalities, such as `Bounds`, move
    the mean on to the most probable field that obeys everything; standard deviation and
    covariance stay those of the Gaussian before the inequalities.

    Parameters
    ----------
    estimator : estimator
        The backbone: any regressor with field targets, or with a `ColumnGrid` any regressor with
        one row a point. Its uncertainty, however it states it, is the metric of the correction. It
        is cloned; wrap a trained one in `sklearn.frozen.FrozenEstimator`.
    constraints : Constraint, list of Constraint, list of (str, Constraint) or None, default=None
        What must hold, equalities and inequalities. Parameters are reached as
        ``constraints__total`` for a single constraint and ``constraints__<name>__total`` for a
        list; the default name is the class in lower case.
    grid : Grid, Mesh, Components, ColumnGrid or None, default=None
        Where the fields live. With a `Grid`, a `Mesh` or `Components` each row of X is a field and
        y has shape (n_samples, n_points); with a `ColumnGrid` each row is a point and y has shape
        (n_rows,). None means unit cells, as many as y has columns.
    members : {"moments", "each"}, default="moments"
        What to do with a backbone that predicts by members. "moments" conditions one Gaussian with
        the members' low-rank covariance (of ``K`` members that are points, as trees are, one part
        in ``K`` of the variance counts as independent); "each" conditions each member and matches
        moments after, as ProbConserv does with latent draws.
    uncertainty : {"auto", "residual"}, default="auto"
        "auto" takes what the backbone states, else unit variance (the Euclidean projection, with a
        warning when a standard deviation is asked for). "residual" takes the root mean square of
        out-of-fold residuals at each point, or of the residuals on `calibration`.
    correlation_length : float, dict of str to float or None, default=None
        Distance, in units of the axis, over which the errors of neighbouring points stay alike:
        standard deviations, also those of members, are joined by the correlation ``exp(-distance /
        correlation_length)``. A number serves a grid with one axis, a dict gives lengths by axis
        (of a long table: by space column). None, and axes that a dict leaves out, take points as
        independent. A covariance that the backbone states itself is left as it is.
    calibration : tuple (X, y) or None, default=None
        Data that the backbone was not trained on, for ``uncertainty="residual"``; required there
        for a frozen backbone.
    drop_value_columns : bool, default=False
        Keep the columns that constraints take their values from away from the backbone.
    project_samples : bool, default=False
        Let `sample_y` project each draw on the inequalities. Projected draws obey everything, but
        they are not draws of the truncated Gaussian: they gather at the bounds.
    random_state : int, RandomState instance or None, default=None
        Handed to the backbone's own random states in fit; None leaves them alone.

    Attributes
    ----------
    estimator_ : estimator
        The fitted backbone.
    constraints_ : list of (str, Constraint)
        The constraints with their names.
    grid_ : Grid, Mesh, Components or ColumnGrid
        The grid in use.
    residual_std_ : ndarray of shape (n_points,) or float
        With ``uncertainty="residual"``.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of str
        Names of the features seen in fit, if X has names.

    See Also
    --------
    make_constrained_pipeline : The same nesting, written in reading order.
    PointwiseRegressor : Predict fields with a scalar regressor.
    EnsembleRegressor : Give any regressor an uncertainty.

    Notes
    -----
    The constrained estimator must be the outermost one: a scaler or a target transform around it
    breaks the law, a pipeline inside it does not. With independent points or members, and
    equalities or a law with bounds, cost is linear in the number of points, and no array of
    n_points x n_points is built for standard deviations. A dense covariance of the backbone,
    correlated errors under many rows, and other inequalities cost more.

    References
    ----------
    Hansen, Maddix, Alizadeh, Gupta and Mahoney, "Learning Physical Models that Can Respect
    Conservation Laws", ICML 2023, arXiv 2302.11002, equations 7a and 7b.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skphys import ConservationConstrainedRegressor
    >>> from skphys.constraints import ConservationLaw
    >>> from skphys.grids import Grid
    >>> grid = Grid(x=np.linspace(0.0, 1.0, 5))
    >>> X = np.arange(4.0)[:, None]
    >>> y = 1.0 + X * np.sin(np.pi * grid["x"])
    >>> law = ConservationLaw(over="x", total=2.0)
    >>> model = ConservationConstrainedRegressor(Ridge(), law, grid).fit(X[:2], y[:2] * 0 + 2.0)
    >>> bool(np.allclose(np.trapezoid(model.predict(X), grid["x"]), 2.0, rtol=1e-14))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "constraints": [Constraint, InequalityConstraint, list, tuple, None],
        "grid": [Grid, Mesh, Components, ColumnGrid, None],
        "members": [StrOptions({"moments", "each"})],
        "uncertainty": [StrOptions({"auto", "residual"})],
        "correlation_length": [Interval(Real, 0, None, closed="neither"), dict, None],
        "calibration": [tuple, list, None],
        "drop_value_columns": ["boolean"],
        "project_samples": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        constraints: Any = None,
        grid: Grid | Mesh | Components | ColumnGrid | None = None,
        *,
        members: str = "moments",
        uncertainty: str = "auto",
        correlation_length: float | Mapping[str, float] | None = None,
        calibration: tuple[Any, Any] | None = None,
        drop_value_columns: bool = False,
        project_samples: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.members = members
        self.uncertainty = uncertainty
        self.correlation_length = correlation_length
        self.calibration = calibration
        self.drop_value_columns = drop_value_columns
        self.project_samples = project_samples
        self.random_state = random_state

    # The backbone and the constraints validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, **fit_params: Any) -> ConservationConstrainedRegressor:
        """Fit the backbone, and check that the constraints can be stated.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        y : array of shape (n_samples, n_points) or (n_samples,)
            The fields, in C order over the grid; (n_rows,) in a long table.
        **fit_params : dict
            Passed to the backbone's fit, or routed to it with metadata routing enabled.

        Returns
        -------
        self : ConservationConstrainedRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, the grid and the constraints do not fit each other.

        Warns
        -----
        UserWarning
            If the training targets violate the constraints by more than the quadrature's error.
        """
        X, y = self._check_training_data(X, y)
        constraints = [(name, clone(c)) for name, c in name_constraints(self.constraints)]
        layout = self._training_layout(X, y)
        names = getattr(X, "columns", None)
        for key in value_columns(constraints):
            find_column(X, key, names)
        for _, constraint in constraints if self._is_table() else []:
            constraint.check_axes(layout.grid.names)
        if isinstance(layout, PointRows):
            warn_if_outside(layout, X)
        warn_if_violated(layout, X, y, constraints)
        routed = self._routed(fit_params)
        kept = self._columns_for_backbone(X, constraints, layout.grid)
        select = partial(_select, kept=kept)
        backbone = clone(self.estimator)
        seed = set_random_states(backbone, self.random_state)
        with seeded(final_estimator(backbone), seed):  # a net has no random_state of its own
            fit_backbone(backbone, select(X), y, **routed)
            if self.uncertainty == "residual":
                std = self._residual_std(backbone, X, y, layout, select, routed)
                self.residual_std_ = std
        self.estimator_ = backbone
        self.constraints_ = constraints
        self.grid_ = layout.grid
        self._kept_columns = kept
        self._domain = layout.domain if isinstance(layout, PointRows) else None
        self._single_point = isinstance(layout, FieldRows) and y.ndim == 1
        return self

    def _columns_for_backbone(self, X: Any, constraints: Any, grid: Any) -> list[int] | None:
        """Return the columns that not only constraints look at; None if these are all."""
        if not self.drop_value_columns:
            return None
        names = getattr(X, "columns", None)
        dropped = {find_column(X, key, names) for key in value_columns(constraints)}
        if isinstance(grid, ColumnGrid):
            dropped -= {find_column(X, key, names) for key in grid.structure}
        return [column for column in range(X.shape[1]) if column not in dropped]

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
        if self._is_table():
            y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        return X, y

    def _check_X(self, X: Any, reset: bool = False) -> Any:
        X = X.tocsr() if sparse.issparse(X) else X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) < 2:
            raise ValueError(
                f"X must be 2-D, one row a {'point' if self._is_table() else 'field'}; got shape "
                f"{X.shape}. Reshape your data, X.reshape(1, -1) for a single row."
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        if self._is_table() and not hasattr(X, "columns"):
            X = check_array(X, input_name="X", estimator=self)
        return X

    def _is_table(self) -> bool:
        return isinstance(self.grid, ColumnGrid)

    def _training_layout(self, X: Any, y: np.ndarray) -> FieldRows | PointRows:
        if isinstance(self.grid, ColumnGrid):
            names = getattr(X, "columns", None)
            domain = self.grid.learn_domain(X, feature_names=names)
            correlation_lengths(self.correlation_length, self.grid.names)
            return PointRows(self.grid, domain, names, self.correlation_length)
        n_points = 1 if y.ndim == 1 else y.shape[1]
        grid = Grid.unit(n_points) if self.grid is None else self.grid
        if grid.n_points != n_points:
            raise ValueError(
                f"y has {n_points} column(s), but the grid has {grid.n_points} points "
                f"{dict(zip(grid.names, grid.shape, strict=True))}: y must hold one field a row, "
                f"flattened in C order."
            )
        layout = FieldRows(grid, getattr(X, "columns", None), self.correlation_length)
        layout.independent()  # raises if correlation_length does not fit the grid
        return layout

    def _layout(self) -> Layout:
        names = getattr(self, "feature_names_in_", None)
        if isinstance(self.grid_, ColumnGrid):
            return PointRows(self.grid_, self._domain, names, self.correlation_length)
        return FieldRows(self.grid_, names, self.correlation_length)

    def _batches(self, X: Any, constraint_values: Mapping[str, Any] | None) -> Iterator[Batch]:
        predict = (
            self._predict_points if isinstance(self.grid_, ColumnGrid) else self._predict_fields
        )
        return self._layout().batches(X, predict, self.constraints_, constraint_values or {})

    def _predict_fields(self, X: Any) -> Prediction:
        return self._spread(predict_distribution(self.estimator_, _select(X, self._kept_columns)))

    def _predict_points(self, X: Any, sizes: Any) -> Iterator[Prediction]:
        return map(
            self._spread, predict_points(self.estimator_, _select(X, self._kept_columns), sizes)
        )

    def _spread(self, prediction: Prediction) -> Prediction:
        """Put the residuals' spread in the place of the backbone's own if told so."""
        if self.uncertainty != "residual":
            return prediction
        std = np.broadcast_to(self.residual_std_, prediction.mean.shape)
        return Prediction(prediction.mean, std, constraints=prediction.constraints)

    def _predict_unconditioned(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        """Hand the Gaussian and the rows up to an outer constraint, which conditions once."""
        if rows != "fields" or isinstance(self.grid_, ColumnGrid):
            raise ValueError(
                "In a long table constrained estimators cannot be nested; give all constraints to "
                "the outer one: constraints=[law, other_law]."
            )
        if self.correlation_length is not None:
            raise ValueError(
                "Of nested constrained estimators the outermost one makes the covariance; give "
                "correlation_length to it, and leave it None here."
            )
        X = self._checked(X)
        prediction = self._predict_fields(X)
        layout = FieldRows(self.grid_, getattr(self, "feature_names_in_", None))
        system = layout.system(X, self.constraints_, fields=likely_fields(prediction))
        also = layout.inequalities(X, self.constraints_)
        systems = (system, also) if also.names else (system,)
        return replace(prediction, constraints=(*prediction.constraints, *systems))

    def _residual_std(
        self, backbone: Any, X: Any, y: np.ndarray, layout: Any, select: Any, fit_params: Any
    ) -> Any:
        """Return the residuals' spread, on the calibration data or out of fold."""
        rows = "points" if isinstance(layout, PointRows) else "fields"
        if self.calibration is None:
            fields = layout.labels(X)
            return out_of_fold_std(backbone, select(X), y, fields, rows, fit_params)
        if len(self.calibration) != 2:
            raise ValueError(
                f"calibration must be a pair (X, y); got {len(self.calibration)} items."
            )
        held_X, held_y = self.calibration
        held = select(self._check_X(held_X)), held_y
        return residual_std(backbone, rows=rows, calibration=held)

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
        if self._is_table():
            tags.target_tags.multi_output = False
            tags.input_tags.sparse = False
        return tags

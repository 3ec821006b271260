"""What every constrained regressor does: fit three values, and one loop over batches of fields.

The values are the layout with the constraint set on its grid, the backbone as it is told of the
constraints, and the error model. The loop, `_posteriors`, is the one place where constraints are
enforced: predict, std, cov, samples, residuals and reports all pass through it, in float64.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from skphys.constraints import ConstraintSet
from skphys.estimators._backbone import Backbone, tell_net
from skphys.estimators._base_errors import BaseErrorModel, gaussians_of
from skphys.estimators._conformal import (
    apart_scores,
    conformal_factor,
    conformity_scores,
    n_needed,
)
from skphys.estimators._diagram import diagram
from skphys.estimators._error_model import ErrorModel, warn_if_unused
from skphys.estimators._groups import checked_groups, warn_if_runs
from skphys.estimators._held_out import (
    FEWEST_FIELDS,
    held_out,
    is_cheap,
    out_of_fold_fields,
    residual_spread,
)
from skphys.estimators._layout import (
    Layout,
    PointRows,
    PredictedFields,
    checked_rows,
    layout_of,
)
from skphys.estimators._moved_members import has_points
from skphys.estimators._naming import naming
from skphys.estimators._on_grid import check_restated, more_features, rename
from skphys.estimators._random import set_random_states
from skphys.estimators._report import ConstraintReport, joined, report
from skphys.estimators._spread import spread_of
from skphys.estimators._targets import touches_bounds, warn_if_outside, warn_if_violated
from skphys.estimators._warn import warn_user
from skphys.grids import ColumnGrid, Components, Grid
from skphys.metrics import points_inside
from skphys.predictive import (
    FieldRegressorMixin,
    Prediction,
    as_coverage,
    chain,
    final_estimator,
    known_targets,
    seeded,
)

METHODS = ("auto", "gaussian", "mixture", "conformal")  # of predict_interval


class Constrained(FieldRegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """Base class: fit a backbone, and constrain what it predicts.

    A subclass says what must hold, in `_declared`, and may tell the backbone of it, in `_told`.
    """

    # Pipelines and searches hand these through with metadata routing enabled.
    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"constraint_values": True}

    estimator: Any
    grid: Any
    calibration: tuple[Any, Any] | None
    drop_value_columns: bool
    random_state: Any
    # Where a subclass does not make them parameters, they are as here.
    inequality_posterior: str = "auto"

    _PART: ClassVar[str]  # what its parts are called in errors
    _HOLD_OUT: ClassVar[str] = "error_model='calibrated'"  # what makes fit hold fields out
    _RESIDUAL: ClassVar[str] = "error_model='residual'"  # what takes residuals for the uncertainty
    _PARTS: ClassVar[str]  # the parameter whose parts have names: ``<parameter>__<name>__<key>``

    # Set in fit, together with their public parts.
    _layout: Layout
    _backbone: Backbone
    error_model_: BaseErrorModel
    _projects: bool = False  # what inequality_posterior="auto" comes to
    _scores: Sequence[np.ndarray]  # conformity scores of held-out fields, (n_outputs,) each

    @abstractmethod
    def _declared(self, grid: Any) -> Any:
        """Return what must hold on a grid."""

    @abstractmethod
    def _named_parts(self) -> Mapping[str, Any]:
        """Return the named parts; fit says what is wrong with a parameter that is not valid."""

    @abstractmethod
    def _set_part(self, name: str, key: str, value: Any) -> None:
        """Set a parameter of a part, or without a key the part itself."""

    def _told(self, regressor: Any, constraints: ConstraintSet) -> Backbone:
        """Return the backbone, not fitted, as it is told of the constraints."""
        return Backbone(regressor, constraints, self.drop_value_columns)

    def _fit(self, X: Any, y: Any, groups: Any, fit_params: dict[str, Any]) -> Self:
        seen = copy(self)  # so that a fit that fails leaves an earlier one as it was
        X, y = self._checked_data(X, y, seen)
        grid = Grid.unit(1 if y.ndim == 1 else y.shape[1]) if self.grid is None else self.grid
        named = [(n, clone(c)) for n, c in ConstraintSet(self._declared(grid), grid).named]
        layout = layout_of(ConstraintSet(named, grid, getattr(seen, "feature_names_in_", None)))
        errors = self._declared_errors()
        y = layout.check(X, y, getattr(errors, "correlation_length", None))
        groups = checked_groups(groups, X, layout)
        warn_if_outside(layout, X)
        regressor = clone(self.estimator)
        if layout.rows == "fields" and not _constrains_itself(regressor):
            regressor = tell_net(regressor, grid)
        backbone = self._told(regressor, layout.constraints)
        warn_if_violated(layout, X, y)
        touching = touches_bounds(layout, X, y)
        X = layout.completed(X)
        routed = self._routed(fit_params)
        routed = routed if groups is None else {**routed, "groups": groups}
        seed = set_random_states(regressor, self.random_state)
        with seeded(final_estimator(regressor), seed):  # a net has no random_state of its own
            backbone.fit(X, y, **routed)
            learned, scores = self._fitted_errors(errors, backbone, layout, seen, (X, y, routed))
            warn_if_unused(learned, backbone, layout.rows, X)
        left_out = learned is not errors and self.calibration is None
        if groups is None and layout.rows == "fields" and (left_out or backbone.has_left_out):
            warn_if_runs(X)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            self.__dict__.update({name: vars(seen)[name]} if name in vars(seen) else {})
        self._target_ndim = y.ndim
        # Errors of true fields are those of fields that obey; truncated, they would do so twice.
        self._projects = touching or learned is not errors
        self._projects |= any(map(_projects, chain(backbone.regressor)))
        return self._hold(layout, backbone, learned, scores)

    def _hold(
        self,
        layout: Layout,
        backbone: Backbone,
        errors: BaseErrorModel,
        scores: Sequence[np.ndarray] = (),
    ) -> Self:
        """Take fitted values over."""
        self._layout, self._backbone, self.error_model_ = layout, backbone, errors
        self._scores = scores
        return self

    @property
    def estimator_(self) -> Any:
        """The fitted backbone."""
        return self._fitted("_backbone", "estimator_").regressor

    @estimator_.setter
    def estimator_(self, regressor: Any) -> None:
        """Put another fitted regressor in its place."""
        self._backbone = copy(self._backbone)
        self._backbone.regressor = regressor

    @property
    def constraints_(self) -> list[tuple[str, Any]]:
        """The constraints with their names."""
        return self._fitted("_layout", "constraints_").constraints.named

    @property
    def grid_(self) -> Any:
        """The grid in use."""
        return self._fitted("_layout", "grid_").constraints.grid

    @property
    def residual_std_(self) -> np.ndarray:
        """Root mean square of residuals, taken for the standard deviation if it was asked for."""
        std = getattr(self._fitted("error_model_", "residual_std_"), "residual_std_", None)
        if std is None:
            raise AttributeError(f"{type(self).__name__} takes no residuals for its uncertainty.")
        return std

    @property
    def n_held_out_(self) -> int:
        """Number of held-out fields that conformal intervals rest on."""
        return len(self._fitted("_scores", "n_held_out_"))

    def _fitted(self, name: str, public: str) -> Any:
        """Return a fitted value, or say of the public attribute that there is none."""
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {public!r}; it is set in fit."
            ) from None

    def _checked_data(self, X: Any, y: Any, seen: BaseEstimator) -> tuple[Any, np.ndarray]:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = checked_rows(X, self.grid)
        validate_data(seen, X, skip_check_array=True)
        with known_targets():
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

    @abstractmethod
    def _declared_errors(self) -> BaseErrorModel:
        """Return what the parameters say of the errors; what is "auto" is left at its simplest."""

    def _fitted_errors(
        self,
        errors: BaseErrorModel,
        backbone: Backbone,
        layout: Layout,
        seen: BaseEstimator,
        training: tuple[Any, np.ndarray, dict[str, Any]],
    ) -> tuple[BaseErrorModel, list[np.ndarray]]:
        """Return the error model, fitted to what the backbone has not seen if there is any.

        The second is how far these fields are from what is predicted then, if there are any.
        """
        given = None if self.calibration is None else self._calibration_data(layout, seen)
        if _takes_residuals(errors, layout, len((given or training)[1])):
            spread, data = residual_spread(backbone, layout, *training, given)
            fitted = errors.alone(np.hypot(spread, backbone.stencil_std))
            return fitted, conformity_scores(fitted, data)
        if given is None and not self._holds_out(errors, backbone, layout, training[0]):
            if errors.widens_members:
                self._widen(backbone, layout, *training)
            return errors, []
        known = held_out(backbone, layout, *given) if given else None
        try:
            data = list(known or out_of_fold_fields(backbone, layout, *training))
        except ValueError as error:
            if given is not None or errors.needs_held_out:
                raise
            warn_user(  # nobody asked for folds
                f"Nothing was learned of the backbone's errors, since it cannot be fitted on a "
                f"part of the training fields: {error} Pass calibration=(X, y), or "
                f"error_model='stated', which learns nothing.",
            )
            return errors, []
        fitted = errors.fit([part.linear() for part in data])
        if not isinstance(fitted, BaseErrorModel):
            raise TypeError(
                f"fit of the error model {type(errors).__name__} must return the fitted error "
                f"model; got {type(fitted).__name__}."
            )
        return fitted, apart_scores(errors, fitted, data)

    @staticmethod
    def _widen(backbone: Backbone, layout: Layout, *training: Any) -> None:
        """Take members of an ensemble as far apart as they are wrong."""
        try:
            backbone.spread = spread_of(backbone, layout, *training)
        except ValueError as error:
            warn_user(  # nobody asked for it
                f"Members are taken to be as far from the truth as from each other, since they "
                f"cannot be fitted on a part of the training fields: {error}"
            )

    @staticmethod
    def _holds_out(errors: BaseErrorModel, backbone: Backbone, layout: Layout, X: Any) -> bool:
        """Say whether the training fields are held out by folds."""
        if errors.needs_held_out or not is_cheap(backbone, layout, X):
            return errors.needs_held_out
        said = backbone.ask(_safe_indexing(X, [0]))
        # Of few fields only the size of errors is learned, for want of which members, which differ
        # by what they have seen, are far too sure.
        return errors.takes_held_out(said) and (X.shape[0] >= FEWEST_FIELDS or has_points(said))

    def _calibration_data(self, layout: Layout, seen: BaseEstimator) -> tuple[Any, np.ndarray]:
        """Return the checked pair that the user gave."""
        if len(self.calibration or ()) != 2:
            raise ValueError(
                f"calibration must be a pair (X, y); got {len(self.calibration or ())} items."
            )
        X, y = self.calibration  # type: ignore[misc]
        X = self._check_X(X, seen)
        with known_targets():
            y = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y of calibration")
        shape = layout.output_shape(X)
        if len(y) != shape[0] or y.size != np.prod(shape):
            raise ValueError(
                f"The y of calibration must have the shape of predict(X), {shape}; got {y.shape}."
            )
        return X, y

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Also those of the backbone and of what must hold.

        Returns
        -------
        dict of str to object
            Values by name.
        """
        params = super().get_params(deep=deep)
        for name, part in self._named_parts().items() if deep else ():
            params[f"{self._PARTS}__{name}"] = part
            for key, value in part.get_params(deep=True).items():
                params[f"{self._PARTS}__{name}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of what must hold by name: ``constraints__<name>__<parameter>``.

        Parameters
        ----------
        **params : dict
            Values by name. Boundary conditions are replaced, never changed in place: those that
            the caller still holds stay as they are.

        Returns
        -------
        self : estimator
            The estimator.
        """
        if self._PARTS in params:
            setattr(self, self._PARTS, params.pop(self._PARTS))
        if isinstance(getattr(self, self._PARTS), BaseEstimator):  # scikit-learn knows its names
            return super().set_params(**params)
        prefix = f"{self._PARTS}__"
        own = {k.removeprefix(prefix): params.pop(k) for k in list(params) if k.startswith(prefix)}
        super().set_params(**params)
        for path in sorted(own, key=self._order_of_parts):
            name, _, key = path.partition("__")
            if name not in self._named_parts():
                raise ValueError(
                    f"Invalid parameter {prefix + path!r} for {type(self).__name__}: the "
                    f"{self._PART} are {list(self._named_parts())}."
                )
            self._set_part(name, key, own[path])
        return self

    def _order_of_parts(self, path: str) -> tuple[Any, ...]:
        """Sort parts before their parameters."""
        return ("__" in path,)

    def _sk_visual_block_(self) -> Any:
        """Return what scikit-learn's diagram shows."""
        return diagram(self, self._PARTS, self._named_parts())

    def _check_X(self, X: Any, seen: BaseEstimator) -> Any:
        """Check X against what was seen in fit."""
        X = checked_rows(X, self.grid)
        validate_data(seen, X, reset=False, skip_check_array=True)
        return X

    def _has_members(self) -> bool:
        """Say that there are none: they are conditioned, and their moments are what is left."""
        return False

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self, "_backbone")
        return self._check_X(X, self)

    def _as_fitted(self, array: Any, axis: int = 1) -> np.ndarray:
        """Drop the axis of points if y had none in fit; a long table never has it."""
        return super()._as_fitted(array, axis) if self._layout.rows == "fields" else array

    def _posteriors(
        self,
        X: Any,
        constraint_values: Mapping[str, Any] | None = None,
        spread: bool = True,
        inequalities: str | None = None,
    ) -> Iterator[tuple[PredictedFields, Any]]:
        """Yield the fields of X, each batch with what is predicted and after all constraints.

        `spread` says that more than the mean will be asked for, `inequalities` what they do if
        that is not what `inequality_posterior` says.
        """
        if not isinstance(constraint_values, Mapping | None):
            raise TypeError(
                f"constraint_values must be a dict from the names of constraints to their values; "
                f"got {type(constraint_values).__name__}."
            )
        errors = self.error_model_
        if inequalities is None:
            inequalities = self.inequality_posterior
            if inequalities == "auto" and self._projects:
                inequalities = "projected"
        batches = self._layout.batches(X, self._backbone, constraint_values, errors.correlated)
        for fields in batches:
            if spread and not errors.has_scale(fields.prediction):
                _warn_unit_variance(self)
                spread = False
            yield fields, errors.posterior(fields, inequalities)

    def _fields(  # type: ignore[override]
        self, X: Any, want: str, constraint_values: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[Any, Any, Any]]:
        X = self._checked(X)
        spread = want not in ("mean", "scaled")
        known = "projected" if want == "scaled" else None  # as held-out fields are scored
        for fields, field in self._posteriors(X, constraint_values, spread, known):
            with naming(fields):
                yield fields.index, fields.shown, field

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> Any:
        """Predict fields that obey the constraints.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        return_std : bool, default=False
            Also return the standard deviations.
        return_cov : bool, default=False
            Also return the covariances along the fields. At most one of the two may be set.
        constraint_values : dict of str to array, default=None
            Values by name of constraint, one for each row of X, in place of the declared ones.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_points)
            The conditioned means; (n_samples,) in a long table or if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`.
        y_cov : ndarray of shape (n_samples, n_points, n_points)
            Only if `return_cov`; (n_samples, n_samples) in a long table.

        Raises
        ------
        ValueError
            If X does not fit the training data, or the constraints cannot be met.
        """
        return self._answer(X, return_std, return_cov, constraint_values=constraint_values)

    def predict_std(
        self, X: Any, *, constraint_values: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Return the standard deviations of `predict`.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            In the shape of `predict`.
        """
        return self._answer(X, return_std=True, constraint_values=constraint_values)[1]

    def predict_interval(
        self,
        X: Any,
        coverage: float = 0.9,
        *,
        method: str = "auto",
        simultaneous: bool = False,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return intervals that hold the true field, point by point or as a whole.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        coverage : float, default=0.9
            Probability of each point's interval, or with `simultaneous` of all intervals of a field
            together; between 0 and 1.
        method : {"auto", "gaussian", "mixture", "conformal"}, default="auto"
            "gaussian" reaches as many standard deviations as a Gaussian needs. "mixture" takes the
            quantiles of the mixture where the error model makes one; of a Gaussian they are the
            same. "conformal" reaches as many standard deviations as held-out fields needed, see
            Notes. "auto" is "mixture", and with `simultaneous` "conformal" if there are held-out
            fields enough: bands for whole fields hang on the tails, which no model learns from few.
        simultaneous : bool, default=False
            Whether a field lies wholly within its intervals with that probability. They reach as
            many standard deviations as held-out fields needed or, by the other methods, as 1,000
            draws of the field need, the same at all its points; the draws are those of a fixed seed
            for all rows of X together, and their number leaves an error of about 0.01 in
            a coverage of 0.9. "gaussian" then writes out the covariance of a mixture.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples, n_points)
            In the shape of `predict`.

        Raises
        ------
        ValueError
            If `coverage` or `method` is not valid; with "conformal" also if there are no held-out
            fields, or fewer than the coverage needs.

        Notes
        -----
        Conformal intervals ([1]_) are the mean plus and minus ``q`` standard deviations, so they
        are wide where the model is unsure. ``q`` comes from the ``n`` fields, `n_held_out_`, of
        `calibration` or out of fold: the distances of their true values from the constrained means,
        in constrained standard deviations. At each point it is the ``k``-th smallest of the ``n``
        distances there, ``k = ceil((n + 1) * coverage)``; with `simultaneous` the ``k``-th smallest
        of the fields' largest distances. If the field and the held-out ones are exchangeable, the
        level is at least `coverage`, and at most ``1 / (n + 1)`` above it if distances are not
        tied. It needs ``n >= coverage / (1 - coverage)``. The level is an average over held-out
        sets as well as fields: given one set, the coverage has a standard deviation of about
        ``sqrt(coverage * (1 - coverage) / n)``.

        Fields of a long table do not share their points, so the distances of all points are pooled,
        as in [2]_: those of each field weigh ``1 / (n + 1)`` together, and the level is that of
        a random point of a new field.

        This holds to the letter for fields of `calibration` whose errors the error model does not
        learn, ``error_model="stated"``. One that learned from a field fits it better than others,
        so each half of the fields is judged by an error model that was fitted on the other half, as
        in [3]_, and distances may be larger than those under the error model of all. Out of fold
        the distances are those of backbones that were fitted on fewer fields.

        Where a held-out field is off at a point without standard deviation its distance is
        infinite, and so may be the interval.

        References
        ----------
        .. [1] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, "Distribution-free
           predictive inference for regression", Journal of the American Statistical Association
           113, 2018.
        .. [2] R. Dunn, L. Wasserman, A. Ramdas, "Distribution-free prediction sets for two-layer
           hierarchical models", Journal of the American Statistical Association 118, 2023.
        .. [3] V. Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial
           Intelligence 74, 2015.
        """
        if method not in METHODS:
            raise ValueError(f"method must be one of {list(METHODS)}; got {method!r}.")
        factor, level = None, as_coverage(coverage)
        if method == "conformal":
            factor = self._conformal_factor(level, simultaneous)
        elif method == "auto" and simultaneous and n_needed(level) <= len(self._scores):
            found = self._conformal_factor(level, simultaneous)
            factor = found if np.isfinite(found) else None
        mixture = method in ("auto", "mixture")
        options = {"constraint_values": constraint_values}
        return self._interval(X, coverage, mixture, simultaneous, factor, **options)

    def _conformal_factor(self, coverage: float, simultaneous: bool) -> np.ndarray:
        """Return how many standard deviations held-out fields needed."""
        check_is_fitted(self, "_backbone")
        if not self._scores:
            raise ValueError(
                f"A conformal interval needs held-out fields on this grid, and this "
                f"{type(self).__name__} has none; give calibration=(X, y), or {self._HOLD_OUT}."
            )
        pooled = self._layout.rows == "points"
        return conformal_factor(self._scores, coverage, simultaneous, pooled)

    def predict_quantiles(
        self,
        X: Any,
        quantiles: Any = (0.05, 0.5, 0.95),
        *,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Return quantiles of the marginals, of the mixture where the error model makes one.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Probabilities between 0 and 1.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_points, n_quantiles)
            In the order of `quantiles`; (n_samples, n_quantiles) in a long table or if y was 1-D in
            fit. Under inequalities those of the truncated posterior; where that is projected, they
            move with the mean, and end at bounds.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1.
        """
        return self._quantiles(X, quantiles, constraint_values=constraint_values)

    def log_prob(
        self, X: Any, y: Any, *, constraint_values: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Return the log of the marginal densities at true fields.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The true fields.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            For each row the mean over its points, of the mixture where the error model makes one;
            else as :func:`skphys.metrics.gaussian_nll`. Points without variance are left out where
            the truth is the mean to rounding, else they make it -inf; a row of which nothing is
            left has inf.

        Raises
        ------
        ValueError
            If y does not have the shape of ``predict(X)`` or is not finite.
        """
        return self._log_prob(X, y, constraint_values=constraint_values)

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: Any = 0,
        *,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Draw fields; every draw obeys all constraints (with noise: to within the noise).

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples_X, n_features)
            One row a field, or in a long table one row a point.
        n_samples : int, default=1
            Number of draws of each field.
        random_state : int, RandomState instance or None, default=0
            Source of the draws; an int gives the same ones at each call.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples_X, n_points, n_samples)
            Draws last, as in `GaussianProcessRegressor.sample_y`; (n_samples_X, n_samples) in a
            long table or if y was 1-D in fit.

        Notes
        -----
        Where inequalities project draws, those of small fields are solved together, as are bounds
        and monotone fields under one equality; others take milliseconds each, with nothing shown.
        Ask for fewer fields at a time then, or wrap the call in ``joblib.parallel_config``.
        """
        return self._draws(X, n_samples, random_state, constraint_values=constraint_values)

    def constraint_residuals(
        self, X: Any, *, constraint_values: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Return how far the predicted means are from the constraints' values.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_fields, n_rows)
            ``G mean - b``, rows in the order of the constraints, then ``f(mean) - v`` of nonlinear
            ones; in a long table fields stand in the order in which they first occur in X. Rounding
            only, unless there is noise; NaN where the value of a row is not known.
        """
        residuals, first = [], []
        for fields, field in self._posteriors(self._checked(X), constraint_values, False):
            missed = [field.mean @ fields.declared.rows.T - fields.declared.values]
            if fields.nonlinear is not None:
                missed.append(fields.nonlinear.residual(field.mean))
            residuals.append(np.concatenate(missed, axis=1))
            first.append(fields.first_rows())
        return np.concatenate(residuals)[np.argsort(np.concatenate(first))]

    def constraint_report(
        self, X: Any, y: Any = None, *, coverage: float | None = None
    ) -> ConstraintReport:
        """Say whether the constraints help: what they are expected to change, and what they do.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        y : array of shape (n_samples, n_points) or (n_samples,), default=None
            The true fields, held out from fit, for the actual changes.
        coverage : float, default=None
            With y: of intervals, at each point and around whole fields, how many hold the truth.
            They are those of `predict_interval` with its default method.

        Returns
        -------
        ConstraintReport
            Numbers for each field, in the order of `constraint_residuals`; its ``repr`` shows
            their averages, what was chosen in fit, and what asks for attention.
        """
        X = self._checked(X)
        shape = self._layout.output_shape(X)
        truth = None if y is None else np.asarray(y, dtype=np.float64)
        if truth is not None and (len(truth) != shape[0] or truth.size != np.prod(shape)):
            raise ValueError(f"y must have the shape of predict(X), {shape}; got {truth.shape}.")
        if truth is not None and not np.isfinite(truth).all():
            raise ValueError("y has NaN or infinite values; leave those fields out.")
        if coverage is not None and truth is None:
            raise ValueError("coverage needs y, the true fields, to count which of them are held.")
        bands: list[Any] = []
        if coverage is not None:
            both = (False, True)
            bands = [self.predict_interval(X, coverage, simultaneous=s) for s in both]
        parts, first = [], []
        for fields, field in self._posteriors(X):
            known = None if truth is None else truth.reshape(shape)[fields.index]
            prior = gaussians_of(self.error_model_.prior(fields))
            ends = ([np.reshape(e, shape)[fields.index] for e in band] for band in bands)
            held = [points_inside(known, *each) for each in ends]
            system = fields.declared, fields.nonlinear
            parts.append(report(prior, field, *system, fields.shown, known, held))
            first.append(fields.first_rows())
        found = joined(parts, np.argsort(np.concatenate(first)))
        return replace(found, notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        """Say what was chosen in fit, for the report."""
        spread = self._backbone.spread
        return (f"{spread}.",) if spread is not None and spread.n_left_out else ()

    def on_grid(self, grid: Grid | Components) -> Self:
        """Return a fitted copy that predicts on another grid, usually a finer one.

        What must hold is stated anew there, and holds exactly.

        Parameters
        ----------
        grid : Grid or Components
            With the axes of the one in fit, other points.

        Returns
        -------
        estimator
            A copy, with the same weights where the backbone is an operator. Standard deviations
            from residuals, and a background of `BoundaryEnforcedOperator`, are interpolated.

        Raises
        ------
        ValueError
            If the backbone is no operator, the constraints cannot be stated on `grid`, or their
            values are in columns of X that would be others.

        Notes
        -----
        Where X holds fields, it needs them on the new grid. Callables of X have to look for their
        values where they are then, and arrays along a face must fit both grids.
        """
        check_is_fitted(self, "estimator_")
        constraints = self._layout.constraints.on_grid(grid)
        check_restated(constraints)
        backbone = self._backbone.on_grid(constraints)
        moved = copy(self).set_params(grid=grid)
        n_features = self.n_features_in_
        more = more_features(self.estimator_, backbone.regressor, constraints, n_features)
        if more:
            moved.n_features_in_ = n_features + more
            rename(moved, constraints, self.grid_, more)
        errors = self.error_model_.on_grid(self.grid_, grid)
        return moved._hold(layout_of(constraints), backbone, errors)

    def _predict_unconditioned(
        self, X: Any, *, rows: str = "fields", want_cov: bool = True
    ) -> Prediction:
        """Hand the Gaussian and the rows up to an outer constraint, which conditions once."""
        if rows != "fields" or isinstance(self._layout, PointRows):
            raise ValueError(
                "In a long table constrained estimators cannot be nested; give all constraints to "
                "the outer one: constraints=[law, other_law]."
            )
        errors = self.error_model_
        if getattr(errors, "correlation_length", None) is not None:
            raise ValueError(
                "Of nested constrained estimators the outermost one makes the covariance; give "
                "correlation_length to its error model, and none here."
            )
        X = self._checked(X)
        said = self._backbone.ask(X)
        systems = self._layout.systems(X, said)
        return replace(errors.taken(said), constraints=(*said.constraints, systems))

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
        if isinstance(self.grid, ColumnGrid):
            tags.target_tags.multi_output = False
            tags.input_tags.sparse = False
        return tags


def _projects(part: Any) -> bool:
    """Say whether a nested estimator would project on its inequalities."""
    return isinstance(part, Constrained) and part._projects


def _constrains_itself(regressor: Any) -> bool:
    """Say whether there is another constrained estimator around the regressor inside."""
    return any(isinstance(part, Constrained) for part in chain(regressor))


def _takes_residuals(errors: BaseErrorModel, layout: Layout, n_rows: int) -> bool:
    """Say whether the size of residuals is all that is learned, row by row."""
    if not isinstance(errors, ErrorModel) or errors.covariance not in ("residual", "learned"):
        return False
    few = layout.rows == "points" or n_rows < FEWEST_FIELDS or not errors.learns
    return few and (errors.covariance == "residual" or layout.rows == "points")


def _warn_unit_variance(estimator: Constrained) -> None:
    warn_user(
        f"The backbone of {type(estimator).__name__} states no uncertainty; unit variance is taken "
        f"at every point, so standard deviations, covariances and samples have no scale. Use "
        f"{estimator._RESIDUAL}, an ensemble (EnsembleRegressor, or n_members of our nets), or a "
        f"probabilistic backbone."
    )

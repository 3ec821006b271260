"""A one-step operator stepped forward, with what must hold imposed at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_method_params,
    check_consistent_length,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from skphys.constraints import (
    Constraint,
    InequalityConstraint,
    NonlinearConstraint,
    name_constraints,
)
from skphys.estimators._base_errors import BaseErrorModel
from skphys.estimators._conservation import ConservationConstrainedRegressor
from skphys.estimators._diagram import diagram
from skphys.estimators._held_out import FEWEST_FIELDS, is_slow
from skphys.estimators._random import set_random_states
from skphys.estimators._stepper import NothingStatedError, Stepper, do_persist, next_mean
from skphys.estimators._steps import Rollouts, Steps, stacked, training_range
from skphys.grids import Components, Grid, Mesh
from skphys.predictive import (
    REGRESSOR,
    FieldRegressorMixin,
    Prediction,
    final_estimator,
    fit_backbone,
    seeded,
)

ALL: Any = slice(None)
MAX_SEED = np.iinfo(np.int32).max
Params = Callable[..., dict[str, Any]]  # of fit, for the rows of X that are asked for


class RolloutRegressor(FieldRegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """Fields over time, by an operator from a field to the next that is applied again and again.

    X holds the field at the start, and y the fields after 1, 2, ... steps. The operator learns from
    all pairs of a field and the next. In `predict` it steps from its own fields, and whatever must
    hold is imposed at every step, so that errors in it do not add up.

    Parameters
    ----------
    estimator : estimator
        The one-step operator: any regressor of fields. Its X holds the field before the step in
        the first `n_points` columns, and behind it the other columns of X. One that is constrained
        itself, such as a `BoundaryEnforcedOperator`, is so at every step.
    n_steps : int, default=None
        How many steps `predict` takes; None takes as many as y has. It may be set after fit.
    constraints : constraint, list of them or of (str, constraint), default=None
        What must hold for each field, as in `ConservationConstrainedRegressor`, around which the
        estimator is then put. Values come from the columns that the operator sees. What balances
        over a step is an `OverStep`.
    grid : Grid, Mesh or Components, default=None
        The points of one field, without time. None says that y holds one step, of unit cells.
    by_step : dict of str to list of (str or int), default=None
        Columns of X that hold a value for each step, such as the rates of a heater, by the name
        of the one column that takes their place at a step. In an array these columns come last,
        in the order of the dict.
    n_draws : int, default=20
        How many rollouts of drawn fields the standard deviations are taken from.
    persistent : bool or "auto", default="auto"
        Whether a draw repeats its random numbers at each step: an operator that errs in one
        direction does so again at the next step, and an ensemble's member stays itself. Otherwise
        the errors of different steps are independent, and partly average out. "auto" takes what has
        the smaller CRPS on the rollouts that were held out, and repeats them where there are none.
    error_model : str or BaseErrorModel, default="auto"
        How the operator errs, as in `ConservationConstrainedRegressor`. What "auto" learns may be a
        mixture of many members, slow over thousands of steps; "residual" is one Gaussian.
    held_out : float, default=0.2
        Share of the rows of X that an operator is fitted without, to see under `constraints` how it
        errs: whether errors persist; and if it is slow to fit, a net, what the error model learns.
        Of other operators that is learned by folds, in which each rollout is left out once. 0, or
        fewer than ten rows, leaves all of it to the error model.
    push_forward : int, default=0
        How often the operator is fitted again, each time also on the fields that it predicts
        itself one step into the training data, with the true fields after them ([1]_, section 3.1).
    max_departure : float or None, default=3.0
        A rollout is stopped by an error when a field leaves the range of the training fields by
        more than so many times the width of that range, for each component. None never stops.
    random_state : int, RandomState instance or None, default=None
        Seeds every parameter of the estimator that is, or ends in, ``random_state``.

    Attributes
    ----------
    estimator_ : estimator
        The fitted one-step operator, with its constraints.
    grid_ : Grid, Mesh or Components
        The points of one field.
    persistent_ : bool
        Whether draws repeat their random numbers.
    n_steps_fitted_ : int
        The number of steps in y.
    range_ : tuple of ndarray of shape (n_points,)
        The least and the largest values of the training fields, the same within a component.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features; only if X has string names.

    See Also
    --------
    skphys.constraints.OverStep : Budgets over a step.
    ConservationConstrainedRegressor : What is put around the estimator.

    Notes
    -----
    `predict` steps the mean: each step starts from the mean of the one before. Standard deviations
    are root mean squares of the drawn rollouts around it. A draw starts from the field in X, and at
    each step is drawn from what the operator states of the field it has come to. The draws
    are those of a fixed seed.

    References
    ----------
    .. [1] J. Brandstetter, D. Worrall, M. Welling. Message passing neural PDE solvers. ICLR 2022,
       arXiv 2202.03376.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skphys import RolloutRegressor
    >>> from skphys.constraints import ConservationLaw, OverStep
    >>> from skphys.grids import Axis, Grid
    >>> ring = Grid(x=Axis.periodic(0.0, 1.0, 16))
    >>> start = np.random.default_rng(0).normal(size=(30, 16)) + 1.0
    >>> y = np.hstack([np.roll(start, k, axis=1) for k in (1, 2, 3)])
    >>> law = OverStep(ConservationLaw(over="x", inflow=0.0))
    >>> model = RolloutRegressor(Ridge(), 100, law, ring).fit(start, y)
    >>> fields = model.predict(start[:2]).reshape(2, 100, 16)
    >>> bool(np.allclose(fields.mean(axis=2), start[:2].mean(axis=1, keepdims=True), rtol=1e-12))
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [REGRESSOR],
        "n_steps": [Interval(Integral, 1, None, closed="left"), None],
        "constraints": [
            Constraint,
            InequalityConstraint,
            NonlinearConstraint,
            list,
            tuple,
            None,
        ],
        "grid": [Grid, Mesh, Components, None],
        "by_step": [Mapping, None],
        "n_draws": [Interval(Integral, 2, None, closed="left")],
        "persistent": ["boolean", StrOptions({"auto"})],
        "error_model": [str, BaseErrorModel],
        "held_out": [Interval(Real, 0, 1, closed="left")],
        "push_forward": [Interval(Integral, 0, None, closed="left")],
        "max_departure": [Interval(Real, 0, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        n_steps: int | None = None,
        constraints: Any = None,
        grid: Grid | Mesh | Components | None = None,
        *,
        by_step: Mapping[str, Sequence[str | int]] | None = None,
        n_draws: int = 20,
        persistent: bool | str = "auto",
        error_model: str | BaseErrorModel = "auto",
        held_out: float = 0.2,
        push_forward: int = 0,
        max_departure: float | None = 3.0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_steps = n_steps
        self.constraints = constraints
        self.grid = grid
        self.by_step = by_step
        self.n_draws = n_draws
        self.persistent = persistent
        self.error_model = error_model
        self.held_out = held_out
        self.push_forward = push_forward
        self.max_departure = max_departure
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)  # the estimator checks its own parameters
    def fit(self, X: Any, y: Any, **fit_params: Any) -> RolloutRegressor:
        """Fit the one-step operator on all pairs of a field and the next.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The fields at the start in the first `n_points` columns, then whatever else there is:
            columns that are kept through the steps, and those of `by_step`.
        y : array-like of shape (n_samples, n_steps * n_points) or (n_samples,)
            The fields after each step, in C order over (step, point).
        **fit_params : dict
            Passed to the estimator's fit, or routed to it with metadata routing enabled; those
            with one entry a sample are repeated for each step.

        Returns
        -------
        self : RolloutRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, the grid and `by_step` do not fit each other.
        """
        y = self._check_targets(y)  # first: scikit-learn forgets the names of X in it
        X = self._check_X(X, reset=True)
        check_consistent_length(X, y)
        grid = self._grid_of(y)
        steps = Steps(grid.n_points, self.by_step or {}, X)
        fields = np.concatenate([steps.start(X), y.reshape(len(y), -1)], axis=1, dtype=np.float64)
        fields = fields.reshape(len(y), -1, grid.n_points)
        data = Rollouts(steps, X, fields)
        params = partial(_check_method_params, X, self._routed(fit_params))
        operator, persistent = self._fitted_operator(data, params)
        self.estimator_, self.grid_, self._steps = operator, grid, steps
        self.persistent_ = persistent
        self.n_steps_fitted_, self.range_ = fields.shape[1] - 1, training_range(fields, grid)
        return self

    def _sk_visual_block_(self) -> Any:
        """Return what scikit-learn's diagram shows."""
        several = isinstance(self.constraints, (list, tuple))
        named = dict(name_constraints(self.constraints)) if several else {}
        return diagram(self, "constraints", named)

    def _check_X(self, X: Any, reset: bool) -> Any:
        """Check an array in full; of a data frame, whose columns keep their types, the names."""
        if hasattr(X, "iloc") and all(isinstance(n, str) for n in getattr(X, "columns", [0])):
            return validate_data(self, X, reset=reset, skip_check_array=True)
        return validate_data(self, X, reset=reset)

    def _grid_of(self, y: np.ndarray) -> Any:
        """Return the grid of one field, after a check that y holds whole steps."""
        width = y.size // len(y)
        if self.grid is None:
            return Grid.unit(width)
        if width % self.grid.n_points:
            raise ValueError(
                f"y has {width} column(s), which is no multiple of the {self.grid.n_points} points "
                f"of the grid: y must hold the fields after each step, and the grid one field."
            )
        return self.grid

    def _fitted_operator(self, data: Rollouts, params: Params) -> tuple[Any, bool]:
        """Return the operator, fitted on all rollouts, and whether its errors persist.

        How it errs is learned on whole rollouts that are left out: the pairs of one are alike.
        Folds of all of them say it far better than a few, at the cost of five fits.
        """
        n, all_rows = len(data.fields), np.arange(len(data.fields))
        persistent = True if self.persistent == "auto" else bool(self.persistent)
        if self.constraints is None:
            return self._pushed(self.estimator, data, all_rows, params), persistent
        model = ConservationConstrainedRegressor(
            self.estimator, self.constraints, self.grid, error_model=self.error_model
        )
        n_left = round(self.held_out * n)
        if n_left < 1 or n < FEWEST_FIELDS or self.error_model in ("stated", "identity"):
            return self._pushed(model, data, all_rows, params), persistent
        left, known = np.split(np.random.default_rng(0).permutation(n), [n_left])
        judged: Any = None
        slow = is_slow(self.estimator)
        if slow or self.persistent == "auto":
            model.calibration = stacked(data.take(left).pairs())
            judged = self._pushed(model, data, known, params)
        if self.persistent == "auto":
            persistent = do_persist(judged, data.take(left), self.n_draws)
        model.calibration = None
        if not slow:
            model.error_model = "calibrated" if self.error_model == "auto" else self.error_model
            return self._pushed(model, data, all_rows, params), persistent
        model.error_model = "stated"
        judged.estimator_ = self._pushed(model, data, all_rows, params).estimator_
        return judged, persistent

    def _pushed(self, model: Any, data: Rollouts, rows: np.ndarray, params: Params) -> Any:
        """Fit on the pairs of true fields, then also on those after predicted fields."""
        data = data.take(rows)
        fitted = self._fit_on(model, data.pairs(), rows, params)
        for _ in range(self.push_forward):
            pushed = data.pushed(partial(next_mean, fitted))
            fitted = self._fit_on(model, [*data.pairs(), *pushed], rows, params)
        return fitted

    def _fit_on(self, model: Any, pairs: Any, rows: np.ndarray, params: Params) -> Any:
        """Return a clone, fitted on pairs that each hold the same rows of X."""
        model = clone(model)
        seed = set_random_states(model, self.random_state)
        table, y = stacked(pairs)
        rollout = np.tile(rows, len(pairs))
        told = params(indices=rollout)
        if len(rows) > 1 and has_fit_parameter(model, "groups"):
            told = {"groups": rollout, **told}
        with seeded(final_estimator(model), seed):  # a net has no random_state of its own
            return fit_backbone(model, table, y.ravel() if self._target_ndim == 1 else y, **told)

    def _fields(self, X: Any, want: str, **options: Any) -> Iterator[tuple[Any, Any, Any]]:
        yield ALL, ALL, _Rollouts(self, self._checked(X))

    def _stated(self, X: Any, want: str, **options: Any) -> Prediction:
        """Return the members, which are the drawn rollouts."""
        return Prediction.of_members(_Rollouts(self, self._checked(X)).draws)

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Return the mean's rollout, with the drawn ones as members if an uncertainty is stated."""
        rollouts = _Rollouts(self, self._checked(X))
        try:
            draws = rollouts.draws
        except NothingStatedError:
            return Prediction(rollouts.mean)
        return Prediction(rollouts.mean, rollouts.std(), member_means=draws)

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return self._check_X(X, reset=False)

    @property
    def _stepper(self) -> Stepper:
        self._validate_params()  # n_steps may have been set since fit
        n_steps = self.n_steps_fitted_ if self.n_steps is None else self.n_steps
        return Stepper(self.estimator_, self._steps, n_steps, self.range_, self.max_departure)

    def _as_fitted(self, array: Any, axis: int = 1) -> np.ndarray:
        """Drop the axis of points if there is one step of fields that had none in fit."""
        return super()._as_fitted(array, axis) if array.shape[axis] == 1 else array

    def __sklearn_tags__(self) -> Any:
        """Say that targets may be fields."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Rollouts:
    """The rollout of the mean and those of draws, made when they are asked for."""

    def __init__(self, model: RolloutRegressor, X: Any) -> None:
        self.model, self.X, self.stepper = model, X, model._stepper

    @cached_property
    def mean(self) -> np.ndarray:
        return self.stepper.mean(self.X)

    @cached_property
    def draws(self) -> np.ndarray:
        return self.sample(self.model.n_draws, 0)

    def std(self) -> np.ndarray:
        return np.sqrt(np.mean((self.draws - self.mean) ** 2, axis=0))

    def dense(self) -> np.ndarray:
        away = self.draws - self.mean
        return np.einsum("dni,dnj->nij", away, away) / len(away)

    def sample(self, n_samples: int, random_state: Any = None) -> np.ndarray:
        """Return rollouts of shape (n_samples, n_fields, n_steps * n_points)."""
        return self.stepper.draws(self.X, n_samples, random_state, self.model.persistent_)

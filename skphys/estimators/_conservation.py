"""The regressor that makes any backbone's fields obey conservation laws."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skphys.constraints import (
    Constraint,
    ConstraintSet,
    InequalityConstraint,
    name_constraints,
)
from skphys.estimators._backbone import Backbone
from skphys.estimators._calibration import CalibratedErrors
from skphys.estimators._constrained import Constrained
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._through import TrainedThrough, check_trainable
from skphys.grids import ColumnGrid, Components, Grid, Mesh


class ConservationConstrainedRegressor(Constrained):
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
    members : {"auto", "moments", "marginal", "each"}, default="auto"
        What to do with a backbone that predicts by members. "moments" conditions one Gaussian with
        the members' low-rank covariance (of ``K`` members that are points, as trees are, one part
        in ``K`` of the variance counts as independent); "marginal" one with their standard
        deviations only, whatever the members have in common; "each" conditions each member and
        matches moments after, as ProbConserv does with latent draws. "auto" is the likelier of the
        first two on calibration data, without them "moments".
    metric : {"covariance", "identity"}, default="covariance"
        In which metric fields move. "covariance" moves them where they are uncertain, which is
        conditioning; "identity" moves all points alike to the nearest fields that obey, the
        Euclidean projection known as HardC. Uncertainty moves along and obeys as well, where the
        paper's HardC leaves standard deviations as they were. Noise of a constraint is weighed
        against the mean variance of the field then. Of nested estimators the outermost one's
        counts.
    uncertainty : {"auto", "residual", "calibrated"}, default="auto"
        "auto" takes what the backbone states, else unit variance (the Euclidean projection, with a
        warning when a standard deviation is asked for); with `calibration` it makes it larger
        where data show that it is too small. "residual" takes the root mean square of
        out-of-fold residuals at each point, or of the residuals on `calibration`. "calibrated"
        also makes smaller what data show to be too large, by `calibration` or else out of fold.
    correlation_length : float, dict of str to float, "auto" or None, default="auto"
        Distance, in units of the axis, over which the errors of neighbouring points stay alike:
        standard deviations, also those of members, are joined by the correlation ``exp(-distance /
        correlation_length)``. A number serves a grid with one axis, a dict gives lengths by axis
        (of a long table: by space column). None, and axes that a dict leaves out, take points as
        independent. "auto" is the likeliest on calibration data; without them, and in a long table
        with nodes along several axes, None. A covariance that the backbone states itself is left
        as it is.
    calibration : tuple (X, y) or None, default=None
        Fields that the backbone was not trained on, and for which the constraints hold. Required
        by ``uncertainty="residual"`` and ``"calibrated"`` of a frozen backbone; the other
        parameters say what is chosen on them, see Notes.
    error_model : ErrorModel or None, default=None
        How the backbone errs, in place of what `members`, `metric`, `uncertainty` and
        `correlation_length` say, which then stay at their defaults. None takes these.
    drop_value_columns : bool, default=False
        Keep the columns that constraints take their values from away from the backbone.
    project_samples : bool, default=False
        Let `sample_y` project each draw on the inequalities. Projected draws obey everything, but
        they are not draws of the truncated Gaussian: they gather at the bounds.
    constrain_training : bool, default=False
        Train the backbone through the equalities: its loss is that of the conditioned mean and
        standard deviation. Needs a regressor whose fit has a parameter
        `constraint`, such as `AttentiveNeuralProcessRegressor`, or `FNORegressor` with
        `heteroscedastic`, alone or at the end of a pipeline. What it predicts before it is
        conditioned is then not meant to be used.
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
    error_model_ : ErrorModel
        What was chosen, or declared: `members`, `metric`, `correlation_length`, the `scale` of the
        standard deviations, and how the variance follows the law's own test (`law_exponent`,
        `law_level`); with ``uncertainty="residual"`` also `residual_std`, of shape (n_points,), or
        () in a long table.
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

    On calibration data the error model is the one under which the true values are most likely,
    point by point, *after* the law is imposed. Besides `members` and `correlation_length` it has
    a scale, and a test: how far a prediction is from its law, before the correction, is known
    without the truth. Where fields that are further from it have larger errors, the variance of
    each field follows its own distance, also outside the range of the calibration data.

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
        "members": [StrOptions({"auto", "moments", "marginal", "each"})],
        "metric": [StrOptions({"covariance", "identity"})],
        "uncertainty": [StrOptions({"auto", "residual", "calibrated"})],
        "correlation_length": [
            Interval(Real, 0, None, closed="neither"),
            dict,
            StrOptions({"auto"}),
            None,
        ],
        "calibration": [tuple, list, None],
        "error_model": [ErrorModel, None],
        "drop_value_columns": ["boolean"],
        "project_samples": ["boolean"],
        "constrain_training": ["boolean"],
        "random_state": ["random_state"],
    }

    _PARTS, _PART = "constraints", "constraints"

    def __init__(
        self,
        estimator: Any,
        constraints: Any = None,
        grid: Grid | Mesh | Components | ColumnGrid | None = None,
        *,
        members: str = "auto",
        metric: str = "covariance",
        uncertainty: str = "auto",
        correlation_length: float | str | Mapping[str, float] | None = "auto",
        calibration: tuple[Any, Any] | None = None,
        error_model: ErrorModel | None = None,
        drop_value_columns: bool = False,
        project_samples: bool = False,
        constrain_training: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.members = members
        self.metric = metric
        self.uncertainty = uncertainty
        self.correlation_length = correlation_length
        self.calibration = calibration
        self.error_model = error_model
        self.drop_value_columns = drop_value_columns
        self.project_samples = project_samples
        self.constrain_training = constrain_training
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
            If X, y, the grid and the constraints do not fit each other, or the backbone cannot be
            trained through the constraints and `constrain_training` is set.

        Warns
        -----
        UserWarning
            If the training targets violate the constraints by more than the quadrature's error.
        """
        return self._fit(X, y, fit_params)

    def _declared(self, grid: Any) -> Any:
        return self.constraints

    def _declared_errors(self) -> ErrorModel:
        """Return what the parameters say of the errors; what is "auto" is left at its simplest."""
        if self.error_model is not None:
            self._check_errors_alone()
            return self.error_model
        length: Any = self.correlation_length
        auto = isinstance(length, str)
        return CalibratedErrors(
            members="moments" if self.members == "auto" else self.members,
            metric=self.metric,
            correlation_length=None if auto else length,
            choose=("members",) * (self.members == "auto") + ("correlation_length",) * auto,
            shrink=self.uncertainty == "calibrated",
        )

    def _check_errors_alone(self) -> None:
        """Raise if an error model is given beside the parameters that declare the built-in one."""
        defaults = {
            "members": "auto",
            "metric": "covariance",
            "uncertainty": "auto",
            "correlation_length": "auto",
        }
        changed = [name for name, default in defaults.items() if getattr(self, name) != default]
        if changed:
            raise ValueError(
                f"error_model says all of how the backbone errs, so "
                f"{' and '.join(changed)} must be left at the default; got "
                f"{', '.join(f'{name}={getattr(self, name)!r}' for name in changed)}."
            )

    def _told(self, regressor: Any, constraints: ConstraintSet) -> Backbone:
        if not self.constrain_training:
            return super()._told(regressor, constraints)
        check_trainable(regressor, constraints, self.uncertainty)
        length = getattr(self._declared_errors(), "correlation_length", None)
        return TrainedThrough(regressor, constraints, self.drop_value_columns, self.metric, length)

    def _named_parts(self) -> dict[str, Any]:
        if not isinstance(self.constraints, (list, tuple)):
            return {}
        try:
            return dict(name_constraints(self.constraints))
        except (TypeError, ValueError):
            return {}

    def _set_part(self, name: str, key: str, value: Any) -> None:
        named = self._named_parts()
        if key:
            named[name].set_params(**{key: value})
            return
        listed, position = list(self.constraints), list(named).index(name)
        listed[position] = (name, value) if isinstance(listed[position], tuple) else value
        self.constraints = listed

"""The regressor that makes any backbone's fields obey conservation laws."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.base import _fit_context, clone
from sklearn.utils._param_validation import StrOptions

from skphys.constraints import (
    Constraint,
    ConstraintSet,
    InequalityConstraint,
    NonlinearConstraint,
    name_constraints,
)
from skphys.estimators._backbone import Backbone
from skphys.estimators._base_errors import BaseErrorModel
from skphys.estimators._constrained import Constrained
from skphys.estimators._error_model import NAMES, ErrorModel
from skphys.estimators._projected import POSTERIORS
from skphys.estimators._through import TrainedThrough, check_trainable
from skphys.grids import ColumnGrid, Components, Grid, Mesh
from skphys.predictive import REGRESSOR


class ConservationConstrainedRegressor(Constrained):
    """Wrap any regressor so that its predicted fields obey conservation laws exactly.

    The backbone's prediction is taken as a Gaussian field and conditioned on the constraints: mean,
    standard deviation, covariance and samples all obey them. Inequalities, such as `Bounds`,
    truncate the Gaussian: mean, intervals and samples obey everything.

    Parameters
    ----------
    estimator : estimator
        The backbone: any regressor with field targets, or with a `ColumnGrid` any regressor with
        one row a point. Its uncertainty, however it states it, is the metric of the correction. It
        is cloned; wrap a trained one in `sklearn.frozen.FrozenEstimator`.
    constraints : Constraint, list of Constraint, list of (str, Constraint) or None, default=None
        What must hold: equalities, linear or not, and inequalities. Parameters are reached as
        ``constraints__total`` for a single constraint and ``constraints__<name>__total`` for a
        list; the default name is the class in lower case.
    grid : Grid, Mesh, Components, ColumnGrid or None, default=None
        Where the fields live. With a `Grid`, a `Mesh` or `Components` each row of X is a field and
        y has shape (n_samples, n_points); with a `ColumnGrid` each row is a point and y has shape
        (n_rows,). None means unit cells, as many as y has columns.
    error_model : {"auto", "stated", "residual", "calibrated", "identity"} or BaseErrorModel, \
default="auto"
        How the backbone errs, which says how its fields are moved, and how sure they are then. An
        :class:`~skphys.estimators.ErrorModel` says it in full, and a search reaches its
        parameters: ``error_model__displacement``. "auto", ``ErrorModel()``, takes what the backbone
        states; with `calibration`, or out of fold if the backbone states nothing and is cheap to
        fit, it learns how large errors are, how they are correlated, how far fields are displaced
        along an axis, and how often errors are larger than usual; members of an ensemble with a
        parameter `n_members`, of which nothing else is learned, are taken to be as far apart as two
        more are wrong, which are fitted without a fifth of the fields. "stated" learns nothing;
        "residual" learns the size of errors and their correlation, in place of what is stated;
        "calibrated" learns all, always; "identity" moves all points alike, the Euclidean projection
        known as HardC.
    calibration : tuple (X, y) or None, default=None
        Fields that the backbone was not trained on, and for which the constraints hold. The error
        model learns from them, in place of predictions of training fields out of fold, which a
        frozen backbone cannot make.
    drop_value_columns : bool, default=False
        Keep the columns that constraints take their values from away from the backbone.
    inequality_posterior : {"auto", "truncated", "projected"}, default="auto"
        What inequalities make of the distribution. "truncated" is the conditioned Gaussian where
        they hold and nothing elsewhere: the mean, standard deviations, quantiles and covariances
        are those of 256 draws of a fixed seed. "projected" moves the mean, and each draw, to the
        nearest field that obeys; standard deviations stay those before the inequalities, and
        intervals are cut off at bounds. "auto" truncates what the backbone states, and projects
        if the error model has learned from true fields, which obey already; if more than 2 % of
        what is bounded lies at its bound in training fields, which no truncated Gaussian does;
        under inequalities between points, such as `Monotone`; and under more than 256 bounds, or
        20,000 of points with independent errors; and in a metric, ``error_model="identity"``. Under
        nonlinear laws all is projected.
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
    error_model_ : BaseErrorModel
        What was learned, or declared. Printed, it says in one line what was chosen, and by how much
        it was better.
    n_held_out_ : int
        Number of held-out fields, on which conformal intervals rest.
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
        "estimator": [REGRESSOR],
        "constraints": [
            Constraint,
            InequalityConstraint,
            NonlinearConstraint,
            list,
            tuple,
            None,
        ],
        "grid": [Grid, Mesh, Components, ColumnGrid, None],
        "error_model": [StrOptions(set(NAMES)), BaseErrorModel],
        "calibration": [tuple, list, None],
        "drop_value_columns": ["boolean"],
        "inequality_posterior": [StrOptions(set(POSTERIORS))],
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
        error_model: str | BaseErrorModel = "auto",
        calibration: tuple[Any, Any] | None = None,
        drop_value_columns: bool = False,
        inequality_posterior: str = "auto",
        constrain_training: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.constraints = constraints
        self.grid = grid
        self.error_model = error_model
        self.calibration = calibration
        self.drop_value_columns = drop_value_columns
        self.inequality_posterior = inequality_posterior
        self.constrain_training = constrain_training
        self.random_state = random_state

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of the constraints and of an `ErrorModel`.

        Parameters
        ----------
        **params : dict
            Values by name: ``constraints__<name>__<parameter>``, ``error_model__<parameter>``.

        Returns
        -------
        self : estimator
            The estimator.
        """
        nested = [name for name in params if name.startswith("error_model__")]
        if nested and isinstance(name := params.get("error_model", self.error_model), str):
            raise ValueError(
                f"error_model={name!r} is a name, which has no parameters to set; pass "
                f"error_model=ErrorModel() to reach {nested[0]}."
            )
        return super().set_params(**params)

    # The backbone and the constraints validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, groups: Any = None, **fit_params: Any
    ) -> ConservationConstrainedRegressor:
        """Fit the backbone, and check that the constraints can be stated.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        y : array of shape (n_samples, n_points) or (n_samples,)
            The fields, in C order over the grid; (n_rows,) in a long table.
        groups : array-like of shape (n_samples,), default=None
            Which rows belong together, such as several times of one run, or profiles of one site.
            Where errors are learned by leaving out rows, whole groups are left out; then they are
            those of new groups. Passed on to a backbone whose fit takes them, as searches do.
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
            If the training targets violate the constraints by more than the quadrature's error, or
            if rows of X come in runs and there are no groups.
        """
        return self._fit(X, y, groups, fit_params)

    def _declared(self, grid: Any) -> Any:
        return self.constraints

    def _declared_errors(self) -> BaseErrorModel:
        declared = self.error_model
        errors = ErrorModel(**NAMES[declared]) if isinstance(declared, str) else clone(declared)
        errors.check()
        return errors

    def _told(self, regressor: Any, constraints: ConstraintSet) -> Backbone:
        if not self.constrain_training:
            return super()._told(regressor, constraints)
        errors = self._declared_errors()
        covariance = getattr(errors, "covariance", None)
        check_trainable(regressor, constraints, covariance)
        length = getattr(errors, "correlation_length", None)
        metric = "identity" if covariance == "identity" else "covariance"
        return TrainedThrough(regressor, constraints, self.drop_value_columns, metric, length)

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

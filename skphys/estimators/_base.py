"""What every constrained regressor can do once it has batches of fields and their systems.

This is the one place where constraints are enforced: predict, std, cov, samples and residuals all
pass through `_posteriors`, in float64.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skphys.conditioning import (
    Gaussian,
    InconsistentConstraintsError,
    InfeasibleInequalitiesError,
    Mixture,
)
from skphys.estimators._error_model import ErrorModel
from skphys.estimators._layouts import Batch, Layout
from skphys.estimators._priors import posterior, priors
from skphys.estimators._projected import Projected
from skphys.estimators._report import ConstraintReport, joined, report
from skphys.predictive import Prediction


class ConstrainedRegressor(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """Base class: predictions, uncertainty and samples that obey constraints."""

    # Pipelines and searches hand these through with metadata routing enabled.
    __metadata_request__predict = {
        "return_std": True,
        "return_cov": True,
        "constraint_values": True,
    }

    members: str
    metric: str
    estimator_: Any
    error_model_: ErrorModel
    project_samples: bool
    _single_point: bool

    @abstractmethod
    def _layout(self) -> Layout:
        """Return how the rows of X make fields."""

    @abstractmethod
    def _check_X(self, X: Any) -> Any:
        """Check X against what was seen in fit."""

    @abstractmethod
    def _batches(self, X: Any, constraint_values: Mapping[str, Any] | None) -> Iterator[Batch]:
        """Yield the fields of X with what must hold for them."""

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
            Only if `return_std`. Of the Gaussian before the inequalities.
        y_cov : ndarray of shape (n_samples, n_points, n_points)
            Only if `return_cov`; (n_samples, n_samples) in a long table. Of the Gaussian before
            the inequalities.

        Raises
        ------
        ValueError
            If X does not fit the training data, or the constraints cannot be met.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov may be set.")
        X = self._checked(X)
        layout = self._layout()
        mean = np.empty(layout.output_shape(X))
        std = np.empty(mean.shape) if return_std else None
        cov = np.zeros(layout.covariance_shape(X)) if return_cov else None
        for batch, _, field in self._posteriors(X, constraint_values, return_std or return_cov):
            mean[batch.index] = field.mean[:, batch.shown]
            if std is not None:
                std[batch.index] = np.broadcast_to(field.std(), field.mean.shape)[:, batch.shown]
            if cov is not None:
                dense = field.dense()[..., batch.shown, :][..., batch.shown]
                layout.put_covariance(cov, batch, dense)
        if std is not None:
            return self._as_fitted(mean), self._as_fitted(std)
        return self._as_fitted(mean) if cov is None else (self._as_fitted(mean), cov)

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
        return self.predict(X, return_std=True, constraint_values=constraint_values)[1]

    def predict_interval(
        self,
        X: Any,
        coverage: float = 0.9,
        *,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return central intervals of the marginal Gaussians.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        coverage : float, default=0.9
            Probability of each point's interval, between 0 and 1.
        constraint_values : dict of str to array, default=None
            As in `predict`.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples, n_points)
            In the shape of `predict`.
        """
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage must be between 0 and 1; got {coverage!r}.")
        mean, std = self.predict(X, return_std=True, constraint_values=constraint_values)
        half = norm.ppf(0.5 + 0.5 * coverage) * std
        return mean - half, mean + half

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: Any = 0,
        *,
        constraint_values: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Draw fields; every draw obeys the equalities (with noise: to within the noise).

        With ``project_samples=True`` every draw obeys the inequalities as well.

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
        """
        X = self._checked(X)
        random_state = check_random_state(random_state)
        draws = np.empty((*self._layout().output_shape(X), n_samples))
        for batch, _, field in self._posteriors(X, constraint_values, True):
            with _naming(batch):
                drawn = field.sample(n_samples, random_state.randint(2**31))
            draws[batch.index] = np.moveaxis(drawn[..., batch.shown], 0, -1)
        return self._as_fitted(draws)

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
            ``G mean - b``, rows in the order of the constraints; in a long table fields stand in
            the order in which they first occur in X. Rounding only, unless there is noise.
        """
        X = self._checked(X)
        residuals, first = [np.empty((0, 0))], [np.empty(0, dtype=int)]
        for batch, _, field in self._posteriors(X, constraint_values, False):
            residuals.append(field.mean @ batch.system.rows.T - batch.system.values)
            first.append(batch.first_rows())
        return np.concatenate(residuals[1:])[np.argsort(np.concatenate(first))]

    def constraint_report(self, X: Any, y: Any = None) -> ConstraintReport:
        """Say whether the constraints help: what they are expected to change, and what they do.

        Parameters
        ----------
        X : {array, DataFrame} of shape (n_samples, n_features)
            One row a field, or in a long table one row a point.
        y : array of shape (n_samples, n_points) or (n_samples,), default=None
            The true fields, held out from fit, for the actual changes.

        Returns
        -------
        ConstraintReport
            Numbers for each field, in the order of `constraint_residuals`; its ``repr`` shows
            their averages, and what asks for attention.
        """
        X = self._checked(X)
        shape = self._layout().output_shape(X)
        truth = None if y is None else np.asarray(y, dtype=np.float64)
        if truth is not None and (len(truth) != shape[0] or truth.size != np.prod(shape)):
            raise ValueError(f"y must have the shape of predict(X), {shape}; got {truth.shape}.")
        parts, first = [], []
        for batch, prior, field in self._posteriors(X, None, True):
            known = None if truth is None else truth.reshape(shape)[batch.index]
            parts.append(report(prior, field, batch.system, batch.shown, known))
            first.append(batch.first_rows())
        return joined(parts, np.argsort(np.concatenate(first)))

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self, "estimator_")
        return self._check_X(X)

    def _posteriors(
        self, X: Any, constraint_values: Mapping[str, Any] | None, spread: bool
    ) -> Iterator[tuple[Batch, list[Gaussian], Gaussian | Mixture | Projected]]:
        """Condition batch by batch; `spread` says that more than the mean is asked for."""
        if not isinstance(constraint_values, Mapping | None):
            raise TypeError(
                f"constraint_values must be a dict from the names of constraints to their values; "
                f"got {type(constraint_values).__name__}."
            )
        for position, batch in enumerate(self._batches(X, constraint_values)):
            if spread and position == 0 and not batch.prediction.states_uncertainty:
                _warn_unit_variance(self)
            with _naming(batch):
                how = self._treatment(batch.prediction)
                prior = priors(batch.prediction, how, batch.independent)
                conditioned = posterior(
                    prior,
                    batch.system,
                    batch.inequalities,
                    self.project_samples,
                    self.error_model_ if spread else None,
                    batch.unit if self.metric == "identity" else None,
                )
            yield batch, prior, conditioned

    def _treatment(self, prediction: Prediction) -> str:
        """Return what to do with members: "moments", "marginal" or "each"."""
        return self.error_model_.members

    def _as_fitted(self, array: np.ndarray) -> np.ndarray:
        """Drop the axis of points if y had none in fit."""
        return array[:, 0] if self._single_point else array


def _warn_unit_variance(estimator: ConstrainedRegressor) -> None:
    warnings.warn(
        f"The backbone of {type(estimator).__name__} states no uncertainty; unit variance is taken "
        f"at every point, so standard deviations, covariances and samples have no scale. Use "
        f"uncertainty='calibrated' or 'residual', EnsembleRegressor, or a probabilistic backbone.",
        UserWarning,
        stacklevel=4,
    )


@contextmanager
def _naming(batch: Batch) -> Iterator[None]:
    """Say of errors inside which constraints cannot be met, and where."""
    try:
        yield
    except (InconsistentConstraintsError, InfeasibleInequalitiesError) as error:
        raise _named(error, batch) from error


def _named(
    error: InconsistentConstraintsError | InfeasibleInequalitiesError, batch: Batch
) -> ValueError:
    """Say which constraints cannot be met, and where."""
    names = dict.fromkeys(batch.system.names[row] for row in error.rows)
    field = error.sample[-1]
    place = f"row {batch.first_rows()[field]} of X"
    if not isinstance(batch.index, slice):
        place = f"the field of {place}"
    if isinstance(error, InfeasibleInequalitiesError):
        assert batch.inequalities is not None
        names.update(dict.fromkeys(batch.inequalities.names[row] for row in error.inequalities))
        return ValueError(
            f"Constraints {', '.join(map(repr, names))} cannot be met together for {place}: at "
            f"least {error.violation:.3g} of violation is left. Either they contradict each other, "
            f"or the backbone's uncertainty does not let the field move there: a standard "
            f"deviation is zero, or there are few members. Check the values and the bounds, or use "
            f"uncertainty='residual', more members, or correlation_length."
        )
    return ValueError(
        f"Constraint(s) {', '.join(map(repr, names))} cannot be met for {place}: the residual is "
        f"{error.residual:.3g}. Either they contradict each other, or the backbone's standard "
        f"deviation is zero where the field would have to move. Check the values, give a "
        f"constraint a positive noise, or use another uncertainty."
    )

"""What meta-estimators that predict fields with moments and members have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skphys.predictive import Prediction


def _has_members(estimator: Any) -> bool:
    if estimator._offers_members("fields"):
        return True
    raise AttributeError(
        f"The estimator in {type(estimator).__name__} has no members, so there is no "
        f"predict_members; see EnsembleRegressor."
    )


class FieldMetaRegressor(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """Base class: moments and members of fields, from a Prediction."""

    # Pipelines hand these through with metadata routing enabled.
    __metadata_request__predict = {"return_std": True, "return_cov": True}

    estimator: Any
    _target_ndim: int

    @abstractmethod
    def _mean(self, X: Any) -> np.ndarray:
        """Return means of shape (n_samples, n_points)."""

    @abstractmethod
    def _moments(self, X: Any, want_cov: bool) -> Prediction:
        """Return means and uncertainty; a `cov` only where the estimators inside state one."""

    @abstractmethod
    def _members(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return means and standard deviations of shape (n_members, n_samples, n_points)."""

    @abstractmethod
    def _offers_members(self, rows: str) -> bool:
        """Say whether there are members."""

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:
        """Predict fields.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.
        return_std : bool, default=False
            Also return the standard deviations.
        return_cov : bool, default=False
            Also return the covariances along the fields. At most one of the two may be set.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_points)
            The means; (n_samples,) if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`.
        y_cov : ndarray of shape (n_samples, n_points, n_points)
            Only if `return_cov`.

        Raises
        ------
        ValueError
            If both flags are set, or what is inside states no uncertainty.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov may be set.")
        check_is_fitted(self)
        if not (return_std or return_cov):
            return self._as_fitted(self._mean(X))
        moments = self._moments(X, return_cov)
        if not moments.states_uncertainty:
            raise ValueError(
                f"{type(self.estimator).__name__}, the estimator in {type(self).__name__}, states "
                f"no uncertainty; use a probabilistic regressor, or an EnsembleRegressor of it."
            )
        mean = self._as_fitted(moments.mean)
        return mean, self._as_fitted(moments.std) if return_std else moments.covariance()

    def predict_std(self, X: Any) -> np.ndarray:
        """Return the standard deviations of `predict`.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            In the shape of `predict`.
        """
        return self.predict(X, return_std=True)[1]

    @available_if(_has_members)
    def predict_members(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the predictions of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.

        Returns
        -------
        means, stds : ndarray of shape (n_members, n_samples, n_points)
            Without the last axis if y was 1-D in fit. The standard deviations are zero where
            members state none.
        """
        check_is_fitted(self)
        means, stds = self._members(X)
        stds = np.zeros_like(means) if stds is None else stds
        return self._as_fitted(means, axis=2), self._as_fitted(stds, axis=2)

    def _as_fitted(self, array: Any, axis: int = 1) -> np.ndarray:
        """Drop the axis of points if y had none in fit."""
        return array.squeeze(axis) if self._target_ndim == 1 else array

    def _check_targets(self, y: Any) -> np.ndarray:
        """Check y, and remember whether predictions are 1-D."""
        y = validate_data(self, X="no_validation", y=y, multi_output=True)
        if y.dtype.kind not in "fiu":
            y = y.astype(np.float64)
        self._target_ndim = y.ndim
        return y

    def _routed(self, fit_params: dict[str, Any]) -> dict[str, Any]:
        """Return the fit parameters of the estimator inside."""
        if not _routing_enabled():
            return fit_params
        return process_routing(self, "fit", **fit_params).estimator.fit

    def get_metadata_routing(self) -> MetadataRouter:
        """Get metadata routing of this object.

        Returns
        -------
        MetadataRouter
            Parameters of fit go to the estimator inside; `return_std` and `return_cov` of predict
            are this one's own.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

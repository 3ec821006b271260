"""What a regressor predicts whose net holds several members."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from skphys.neural._fitted_net import FittedNet
from skphys.predictive._prediction import Prediction, member_covariance, member_std


class MemberPredictions(FittedNet):
    """The ways to ask for means, deviations, covariances and members."""

    # Pipelines hand these through with metadata routing enabled.
    __metadata_request__predict = {"return_std": True, "return_cov": True}

    n_members: int

    @abstractmethod
    def _outputs(self, X: Any, boundary: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return means and deviations (n_members, n_samples, n_components * n_points)."""

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False, *, boundary: Any = None
    ) -> Any:
        """Predict fields: the mean of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        return_std : bool, default=False
            Also return the standard deviations.
        return_cov : bool, default=False
            Also return the covariances along the fields. At most one of the two may be set.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_components * n_points)
            float64; (n_samples,) if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`.
        y_cov : ndarray of shape (n_samples, n_components * n_points, n_components * n_points)
            Only if `return_cov`.

        Raises
        ------
        ValueError
            If both flags are set, or one member without `heteroscedastic` is asked for either.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov may be set.")
        means, stds = self._outputs(X, boundary)
        mean = self._as_fitted(means.mean(axis=0))
        if not (return_std or return_cov):
            return mean
        if len(means) == 1 and stds is None:
            raise ValueError(
                "one member without heteroscedastic=True states no uncertainty; set n_members to "
                "5, say, or heteroscedastic=True."
            )
        if return_cov:
            return mean, member_covariance(means, stds)
        return mean, self._as_fitted(member_std(means, stds))

    def predict_std(self, X: Any, *, boundary: Any = None) -> np.ndarray:
        """Return the standard deviations of `predict`.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        ndarray of shape (n_samples, n_components * n_points)
            In the shape of `predict`.
        """
        return self.predict(X, return_std=True, boundary=boundary)[1]

    def predict_members(
        self, X: Any, *, boundary: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the predictions of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or \
                (n_samples, n_channels, *grid.shape)
            Input fields.
        boundary : BoundaryBatch or None, default=None
            As in fit.

        Returns
        -------
        means : ndarray of shape (n_members, n_samples, n_components * n_points)
            float64; without the last axis if y was 1-D in fit.
        stds : ndarray of the same shape or None
            None unless `heteroscedastic`.
        """
        means, stds = self._outputs(X, boundary)
        return self._as_fitted(means), None if stds is None else self._as_fitted(stds)

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Say what is predicted: points, a Gaussian, or members."""
        return self._of_members(*self._outputs(X, None), rows)

    def _offers_members(self, rows: str) -> bool:
        return self.n_members > 1

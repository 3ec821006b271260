"""What a neural process predicts: mixtures of latent draws."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state, check_scalar

from skphys.neural._fitted_net import FittedNet
from skphys.neural._process._context_layout import ContextRows
from skphys.predictive._prediction import Prediction, member_covariance


class ProcessPredictions(FittedNet):
    """The ways to ask for means, deviations, covariances, draws and samples."""

    # Pipelines hand these through with metadata routing enabled.
    __metadata_request__predict = {"return_std": True, "return_cov": True}

    n_draws: int

    @abstractmethod
    def _rows(self, X: Any) -> ContextRows:
        """Return the rows of X, taken apart."""

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:
        """Predict fields: the mean over latent draws.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Contexts and queries.
        return_std : bool, default=False
            Also return the standard deviations.
        return_cov : bool, default=False
            Also return the covariances along the fields. At most one of the two may be set.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_points)
            float64; (n_samples,) if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`. The variance is that of the draws' means plus the mean of their
            variances.
        y_cov : ndarray of shape (n_samples, n_points, n_points)
            Only if `return_cov`: the covariance of the draws' means, plus the mean of their
            variances on the diagonal.

        Raises
        ------
        ValueError
            If both flags are set.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov may be set.")
        rows = self._rows(X)
        from skphys.neural._process._fitting import draws, moments

        if return_cov:
            means, stds = draws(self, rows)
            return self._as_fitted(means.mean(axis=0)), member_covariance(means, stds)
        mean, variance = moments(self, rows)
        if not return_std:
            return self._as_fitted(mean)
        return self._as_fitted(mean), self._as_fitted(np.sqrt(variance))

    def predict_std(self, X: Any) -> np.ndarray:
        """Return the standard deviations of `predict`.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Contexts and queries.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            In the shape of `predict`.
        """
        return self.predict(X, return_std=True)[1]

    def predict_members(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the predictions of the latent draws.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Contexts and queries.

        Returns
        -------
        means, stds : ndarray of shape (n_draws, n_samples, n_points)
            float64; without the last axis if y was 1-D in fit.
        """
        rows = self._rows(X)
        from skphys.neural._process._fitting import draws

        means, stds = draws(self, rows)
        return self._as_fitted(means), self._as_fitted(stds)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw fields.

        Rows with the same contexts get the same latent vector in a sample, so that the sample is
        one function at several queries. Given it, points are independent.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples_X, n_features)
            Contexts and queries.
        n_samples : int, default=1
            Number of samples of each field.
        random_state : int, RandomState instance or None, default=0
            Pass an int for the same samples in every call.

        Returns
        -------
        ndarray of shape (n_samples_X, n_points, n_samples)
            (n_samples_X, n_samples) if y was 1-D in fit.
        """
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rows = self._rows(X)
        from skphys.neural._process._fitting import MAX_SEED, draws

        rng = check_random_state(random_state)
        means, stds = draws(self, rows, seed=int(rng.randint(MAX_SEED)), n=n_samples)
        samples = means + stds * rng.standard_normal(means.shape)
        return np.moveaxis(self._as_fitted(samples), 0, -1)

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Say what is predicted: members."""
        from skphys.neural._process._fitting import draws

        return self._of_members(*draws(self, self._rows(X)), rows)

    def _offers_members(self, rows: str) -> bool:
        return self.n_draws > 1

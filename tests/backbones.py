"""Small picklable backbones for tests, which state their uncertainty in every known way."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class _Linear(RegressorMixin, BaseEstimator):
    """Least squares, with some spread that depends on X."""

    def fit(self, X, y):
        X, y = np.asarray(X, float), np.asarray(y, float)
        design = np.column_stack([np.ones(len(X)), X])
        self.coef_ = np.linalg.lstsq(design, y, rcond=None)[0]
        self.n_features_in_ = X.shape[1]
        return self

    def _mean(self, X):
        X = np.asarray(X, float)
        return np.column_stack([np.ones(len(X)), X]) @ self.coef_

    def _std(self, X):
        mean = self._mean(X)
        ramp = np.linspace(0.5, 2.0, mean.shape[1]) if mean.ndim > 1 else 1.0
        return ramp * (1.0 + np.abs(np.asarray(X, float)[:, :1]))


class Plain(_Linear):
    def predict(self, X):
        return self._mean(X)


class WithStd(_Linear):
    def predict(self, X, return_std=False):
        return (self._mean(X), self._std(X)) if return_std else self._mean(X)


class WithZeros(WithStd):
    """Knows the first two points exactly."""

    def _std(self, X):
        std = super()._std(X)
        std[:, :2] = 0.0
        return std


class Float32(WithStd):
    def predict(self, X, return_std=False):
        mean = self._mean(X).astype(np.float32)
        return (mean, self._std(X).astype(np.float32)) if return_std else mean


class WithCov(_Linear):
    def predict(self, X, return_cov=False):
        mean, std = self._mean(X), self._std(X)
        n_points = mean.shape[1]
        distance = np.abs(np.subtract.outer(np.arange(n_points), np.arange(n_points)))
        cov = std[:, :, None] * np.exp(-distance / 3.0) * std[:, None, :]
        return (mean, cov) if return_cov else mean


class WithMembers(_Linear):
    """Members with standard deviations of their own, as latent draws of a network have them."""

    def __init__(self, n_members=7):
        self.n_members = n_members

    def predict(self, X):
        return self.predict_members(X)[0].mean(axis=0)

    def predict_members(self, X):
        rng = np.random.default_rng(0)
        mean, std = self._mean(X), self._std(X)
        shift = rng.normal(size=(self.n_members, 1, mean.shape[1]))
        return mean + shift, np.broadcast_to(std, (self.n_members, *std.shape)) * (1 + shift**2)


class NegativeStd(WithStd):
    def _std(self, X):
        return -super()._std(X)


class Stored(RegressorMixin, BaseEstimator):
    """Somebody's network: stored members, looked up by the first column of X."""

    def __init__(self, means, stds):
        self.means = means
        self.stds = stds

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        raise AssertionError("a frozen network is never fitted")

    def predict_members(self, X):
        index = np.asarray(X)[:, 0].astype(int)
        return self.means[:, index], None if self.stds is None else self.stds[:, index]

    def predict(self, X):
        return self.predict_members(X)[0].mean(axis=0)


def mass_of(X):
    """Return a total that depends on the first column, for arrays and frames."""
    return 1.0 + np.asarray(X, float)[:, 0]

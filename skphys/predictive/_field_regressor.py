"""What every regressor of fields can be asked for once it says what it predicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from skphys.predictive._backbone import chain
from skphys.predictive._checks import as_coverage, as_levels, known_targets
from skphys.predictive._intervals import band, log_density, mean_over_points, quantiles, whole
from skphys.predictive._nets import refuse_module
from skphys.predictive._prediction import ALL, Array, Prediction

MAX_SEED = 2**31


def _has_members(estimator: Any) -> bool:
    if estimator._has_members():
        return True
    raise AttributeError(
        f"The estimator in {type(estimator).__name__} has no members, so there is no "
        f"predict_members; see EnsembleRegressor."
    )


class FieldRegressorMixin(RegressorMixin):
    """Mixin: predict, its standard deviations, intervals, members and draws.

    A regressor has the method ``_predict_distribution(X, *, rows, want_cov) -> Prediction``, by
    which it also speaks for itself inside other estimators. One that can answer some questions
    with less work overrides `_stated`; one whose fields are conditioned overrides `_fields`.
    Keyword parameters of its own are handed on: a method ``predict(..., *, boundary=None)`` calls
    ``_answer(..., boundary=boundary)``, and `_stated` and `_fields` get them.
    """

    # Pipelines hand these through with metadata routing enabled.
    __metadata_request__predict = {"return_std": True, "return_cov": True}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state, with the version that writes it."""
        import skphys

        return {**super().__getstate__(), "_skphys_version": skphys.__version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state over; warn if another version has written it."""
        import skphys

        state = dict(state)
        written = state.pop("_skphys_version", skphys.__version__)
        if written != skphys.__version__:
            warnings.warn(
                f"{type(self).__name__} was saved by skphys {written} and is loaded by skphys "
                f"{skphys.__version__}, which may predict otherwise, or fail. Fit it again, or "
                f"load it by the version that saved it.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)

    estimator: Any
    _target_ndim: int
    _predict_distribution: Callable[..., Prediction]

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
            The means, float64; (n_samples,) if y was 1-D in fit.
        y_std : ndarray of the same shape
            Only if `return_std`.
        y_cov : ndarray of shape (n_samples, n_points, n_points)
            Only if `return_cov`.

        Raises
        ------
        ValueError
            If both flags are set, or no uncertainty is stated.
        """
        return self._answer(X, return_std, return_cov)

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
        return self._answer(X, return_std=True)[1]

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return central intervals of the marginal Gaussians.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.
        coverage : float, default=0.9
            Probability of each point's interval, between 0 and 1.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples, n_points)
            In the shape of `predict`.
        """
        return self._interval(X, coverage)

    def predict_quantiles(self, X: Any, quantiles: Any = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Return quantiles of the marginal Gaussians.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Probabilities between 0 and 1.

        Returns
        -------
        ndarray of shape (n_samples, n_points, n_quantiles)
            In the order of `quantiles`; (n_samples, n_quantiles) if y was 1-D in fit.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1, or no uncertainty is stated.
        """
        return self._quantiles(X, quantiles)

    def log_prob(self, X: Any, y: Any) -> np.ndarray:
        """Return the log of the marginal Gaussians' densities at true fields.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The true fields.

        Returns
        -------
        ndarray of shape (n_samples,)
            For each field the mean over its points, as in :func:`skphys.metrics.gaussian_nll`.
            Points without variance are left out where the truth is the mean to rounding, else
            they make it -inf; a field of which nothing is left has inf.

        Raises
        ------
        ValueError
            If y does not have the shape of ``predict(X)`` or is not finite, or no uncertainty is
            stated.
        """
        return self._log_prob(X, y)

    @available_if(_has_members)
    def predict_members(self, X: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the predictions of the members.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.

        Returns
        -------
        means : ndarray of shape (n_members, n_samples, n_points)
            Without the last axis if y was 1-D in fit.
        stds : ndarray of the same shape or None
            None if the members are points.
        """
        return self._members(X)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw fields with the mean and the covariance of `predict`.

        If there are members, each draw is one of them, the same for all rows of X, with its points
        independent: of members that are points, the member itself.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples_X, n_features)
            One row a field.
        n_samples : int, default=1
            Number of draws of each field.
        random_state : int, RandomState instance or None, default=0
            Source of the draws; an int gives the same ones at each call.

        Returns
        -------
        ndarray of shape (n_samples_X, n_points, n_samples)
            Draws last, as in `GaussianProcessRegressor.sample_y`; (n_samples_X, n_samples) if y
            was 1-D in fit.
        """
        return self._draws(X, n_samples, random_state)

    def _validate_params(self) -> None:
        for part in chain(getattr(self, "estimator", None)):
            refuse_module(part)
        super()._validate_params()

    def _answer(
        self, X: Any, return_std: bool = False, return_cov: bool = False, **options: Any
    ) -> Any:
        """Return what `predict` does."""
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov may be set.")
        want = "std" if return_std else "cov" if return_cov else "mean"
        mean = spread = None
        for index, shown, field in self._fields(X, want, **options):
            mean = _put(mean, X, index, field.mean[:, shown])
            if return_std:
                std = whole(field.std(), field.mean.shape)[:, shown]
                spread = _put(spread, X, index, std)
            if return_cov:
                cov = field.dense()[..., shown, :][..., shown]
                cov = whole(cov, (len(field.mean), *cov.shape[-2:]))
                spread = _put(spread, X, index, cov, square=True)
        mean = self._as_fitted(mean)
        if want == "mean":
            return mean
        return mean, self._as_fitted(spread) if return_std else spread

    def _interval(
        self,
        X: Any,
        coverage: float,
        mixture: bool = False,
        simultaneous: bool = False,
        factor: Any = None,
        **options: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `predict_interval` does; with a `factor`, so many standard deviations."""
        coverage = as_coverage(coverage)
        want = "scaled" if factor is not None else "draws" if simultaneous else "std"
        lower = upper = None
        for index, shown, field in self._fields(X, want, **options):
            low, high = band(field, shown, coverage, mixture, simultaneous, factor)
            lower, upper = _put(lower, X, index, low), _put(upper, X, index, high)
        return self._as_fitted(lower), self._as_fitted(upper)

    def _quantiles(self, X: Any, levels: Any, **options: Any) -> np.ndarray:
        """Return what `predict_quantiles` does."""
        levels = as_levels(levels)
        found = None
        for index, shown, field in self._fields(X, "std", **options):
            found = _put(found, X, index, quantiles(field, shown, levels))
        return self._as_fitted(found)

    def _log_prob(self, X: Any, y: Any, **options: Any) -> np.ndarray:
        """Return what `log_prob` does."""
        truth = np.asarray(y, dtype=np.float64)
        if len(truth) != _num_samples(X) or not np.isfinite(truth).all():
            raise ValueError(
                f"y must have the shape of predict(X), and finite values; got shape {truth.shape} "
                f"for {_num_samples(X)} rows of X."
            )
        truth = truth.reshape(len(truth), -1)
        found: Any = None
        for index, shown, field in self._fields(X, "std", **options):
            values, shape = truth[index], field.mean[:, shown].shape
            if values.size != np.prod(shape):
                raise ValueError(
                    f"y must have the shape of predict(X), {shape[1]} point(s) a field; got "
                    f"{np.shape(y)}."
                )
            logs = log_density(field, shown, values.reshape(shape))
            found = _put(found, X, index, logs)
        return mean_over_points(found.reshape(len(found), -1))

    def _members(self, X: Any, **options: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what `predict_members` does; a lone prediction is a member."""
        check_is_fitted(self)
        stated = self._stated(X, "members", **options)
        means, stds = stated.member_means, stated.member_stds
        if means is None:
            means, stds = stated.mean[None], None if stated.std is None else stated.std[None]
        stds = None if stds is None else self._as_fitted(stds, axis=2)
        return self._as_fitted(means, axis=2), stds

    def _draws(self, X: Any, n_samples: int, random_state: Any, **options: Any) -> np.ndarray:
        """Return what `sample_y` does."""
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        random_state = check_random_state(random_state)
        draws = None
        for index, shown, field in self._fields(X, "draws", **options):
            drawn = field.sample(n_samples, random_state.randint(MAX_SEED))
            draws = _put(draws, X, index, np.moveaxis(drawn[..., shown], 0, -1))
        return self._as_fitted(draws)

    def _fields(self, X: Any, want: str, **options: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Yield fields of X, batch by batch.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The caller's rows.
        want : {"mean", "std", "cov", "draws", "scaled"}
            What will be asked of the fields; "scaled" are standard deviations whose scale is
            measured, and need not be known.
        **options : dict
            Keyword parameters of the method that was called.

        Yields
        ------
        index : slice, ndarray of int of shape (n_fields,) or (n_fields, n_outputs)
            The rows of X that are these fields; in a long table the row of each point.
        shown : slice or ndarray of int of shape (n_outputs,)
            The points of the fields that are returned.
        field : object
            With a `mean` of shape (n_fields, n_points), and methods ``std()``, ``dense()`` and
            ``sample(n_samples, seed)``, as a `Gaussian`.
        """
        check_is_fitted(self)
        stated = self._stated(X, want, **options)
        if want != "mean" and not stated.states_uncertainty:
            raise ValueError(self._no_uncertainty())
        yield ALL, ALL, _StatedField(stated)

    def _stated(self, X: Any, want: str, **options: Any) -> Prediction:
        """Return at least what is wanted: "mean", "std", "cov", "draws" or "members"."""
        want_cov = want in ("cov", "draws")
        return self._predict_distribution(X, rows="fields", want_cov=want_cov, **options)

    def _no_uncertainty(self) -> str:
        """Say why there is no uncertainty, and what to do."""
        return (
            f"{type(self.estimator).__name__}, the estimator in {type(self).__name__}, states "
            f"no uncertainty; use a probabilistic regressor, or an EnsembleRegressor of it."
        )

    def _has_members(self) -> bool:
        """Say whether there is a method `predict_members`."""
        return True

    def _as_fitted(self, array: Any, axis: int = 1) -> np.ndarray:
        """Drop the axis of points if y had none in fit."""
        return array.squeeze(axis) if self._target_ndim == 1 else array

    def _check_targets(self, y: Any) -> np.ndarray:
        """Check y, and remember whether predictions are 1-D."""
        with known_targets():
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

    def get_metadata_routing(self) -> Any:
        """Get metadata routing of this object.

        Returns
        -------
        MetadataRouter or MetadataRequest
            Parameters of fit go to the estimator inside, if there is one; those of predict are
            this one's own.
        """
        if not hasattr(self, "estimator"):
            return super().get_metadata_routing()
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)


class _StatedField:
    """A prediction with the methods of a conditioned field."""

    def __init__(self, prediction: Prediction) -> None:
        self.mean = prediction.mean
        self.std = prediction.standard_deviation
        self.dense = prediction.covariance
        self._prediction = prediction

    def sample(self, n_samples: int, random_state: Any = None) -> Array:
        return self._prediction.distribution().sample(n_samples, random_state)


def _put(out: Array | None, X: Any, index: Any, values: Array, square: bool = False) -> Array:
    """Write values of some fields, (n_fields, n_outputs, ...), into those of all rows of X.

    With `square` there are two axes of outputs; in a long table they become two axes of rows.
    """
    in_rows = np.ndim(index) < 2
    if out is None and isinstance(index, slice) and index == ALL and values.flags.writeable:
        return values
    if out is None:
        n_rows = _num_samples(X)
        rest = values.shape[1:] if in_rows else (n_rows,) if square else values.shape[2:]
        out = np.zeros((n_rows, *rest))
    where = index if in_rows or not square else (index[:, :, None], index[:, None, :])
    out[where] = values
    return out

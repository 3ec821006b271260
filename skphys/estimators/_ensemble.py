"""Ensembles of any regressor, for the spread between their members."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import _safe_indexing, check_random_state, get_tags, indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import (
    _check_feature_names,
    _check_method_params,
    _check_n_features,
    _num_samples,
)

from skphys.estimators._random import set_random_states
from skphys.predictive import (
    REGRESSOR,
    FieldRegressorMixin,
    Prediction,
    are_constraints_imposed,
    by_rows,
    constraints_imposed,
    final_estimator,
    fit_backbone,
    offers_covariance,
    predict_distribution,
    predict_mean,
    seeded,
)

MAX_SEED = np.iinfo(np.int32).max


class EnsembleRegressor(FieldRegressorMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Ensemble of a regressor: members that differ in their seeds, or in their training samples.

    Neural networks fitted from different random states disagree most where they know least
    [1]_; `bootstrap` does the same for regressors without randomness of their own. The ensemble
    is a mixture of its members with equal weights, and its moments are the mixture's.

    Parameters
    ----------
    estimator : estimator
        Any regressor whose targets are fields, or 1-D. It may state an uncertainty itself.
    n_members : int, default=5
        How many clones of it are fitted.
    bootstrap : bool, default=False
        Whether each member is fitted on as many samples drawn with replacement. Without it,
        members of a regressor that has no randomness are all the same.
    n_jobs : int or None, default=None
        How many members are fitted in parallel, by joblib.
    random_state : int, RandomState instance or None, default=None
        Seeds every parameter of a member that is, or ends in, ``random_state``, the draws of
        `bootstrap`, and the global generators of torch while a skorch net is fitted.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted members.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features; only if X has string names.

    See Also
    --------
    sklearn.ensemble.BaggingRegressor : Predicts the mean alone.
    PointwiseRegressor : Fields from a scalar regressor.

    Notes
    -----
    With member means :math:`m_k` and covariances :math:`S_k`, the moments are
    :math:`\bar m = \frac1K \sum_k m_k` and
    :math:`S = \frac1K \sum_k \left( S_k + (m_k - \bar m)(m_k - \bar m)^\top \right)`, with
    :math:`S_k` diagonal where members state standard deviations, and zero where they state
    nothing.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell. Simple and scalable predictive
       uncertainty estimation using deep ensembles. NeurIPS 2017, section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from skphys import EnsembleRegressor
    >>> X = np.linspace(0, 1, 20)[:, None]
    >>> y = np.hstack([X, X**2])
    >>> model = EnsembleRegressor(DecisionTreeRegressor(), bootstrap=True, random_state=0).fit(X, y)
    >>> mean, std = model.predict(X[:3], return_std=True)
    >>> mean.shape, std.shape
    ((3, 2), (3, 2))
    >>> means, stds = model.predict_members(X[:3])
    >>> means.shape
    (5, 3, 2)
    """

    _parameter_constraints: dict = {
        "estimator": [REGRESSOR],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "bootstrap": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        n_members: int = 5,
        *,
        bootstrap: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)  # the estimator checks its own parameters
    def fit(self, X: Any, y: Any, **fit_params: Any) -> EnsembleRegressor:
        """Fit the members.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            One row a field.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The fields.
        **fit_params : dict
            Passed to the members' fit, by request if metadata routing is enabled. With
            `bootstrap`, those with one entry a sample are drawn with the samples.

        Returns
        -------
        self : EnsembleRegressor
            The fitted ensemble.
        """
        y = self._check_targets(y)
        params = self._routed(fit_params)
        X, y = indexable(X, y)
        _check_feature_names(self, X, reset=True)
        seeds = check_random_state(self.random_state).randint(MAX_SEED, size=self.n_members)
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_member)(self.estimator, X, y, int(seed), self.bootstrap, params)
            for seed in seeds
        )
        _check_n_features(self, X, reset=True)
        return self

    def _stated(self, X: Any, want: str, **options: Any) -> Prediction:
        """Return the mixture of the members, constrained where they are."""
        if want == "mean":
            return Prediction(np.mean(self._map(_member_mean, X), axis=0))
        with constraints_imposed():
            return super()._stated(X, want)

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Return the mixture of the members; unconstrained, with their constraints."""
        return Prediction.mix(self._map(predict_distribution, X, rows=rows, want_cov=want_cov))

    def _no_uncertainty(self) -> str:
        return (
            f"one member of {type(self.estimator).__name__}, which is a point, states no "
            f"uncertainty; set n_members to 5, say, or use a probabilistic regressor."
        )

    def _offers_members(self, rows: str) -> bool:
        return self.n_members > 1

    def _offers_covariance(self, rows: str) -> bool:
        return offers_covariance(self.estimator, rows)

    def _map(self, function: Any, X: Any, **kwargs: Any) -> list[Any]:
        """Ask the members one by one, in threads if there are several jobs."""
        imposed = are_constraints_imposed()  # threads start with a context of their own
        return Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(_in_context)(imposed, function, member, X, **kwargs)
            for member in self.estimators_
        )

    def __sklearn_tags__(self) -> Any:
        """Take over what the members can do with X and y."""
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.non_deterministic = inner.non_deterministic
        if inner.regressor_tags is not None:
            tags.regressor_tags = inner.regressor_tags
        return tags


def _fit_member(
    estimator: Any, X: Any, y: np.ndarray, seed: int, bootstrap: bool, fit_params: dict[str, Any]
) -> Any:
    random_state = np.random.RandomState(seed)
    member = clone(estimator)
    set_random_states(member, random_state)
    if bootstrap:
        drawn = random_state.randint(len(y), size=len(y))
        fit_params = _check_method_params(X, fit_params, indices=drawn)
        X, y = _safe_indexing(X, drawn), y[drawn]
    with seeded(final_estimator(member), seed):
        return fit_backbone(member, X, y, **fit_params)


def _in_context(imposed: bool, function: Any, *args: Any, **kwargs: Any) -> Any:
    with constraints_imposed(imposed):
        return function(*args, **kwargs)


def _member_mean(member: Any, X: Any) -> np.ndarray:
    return by_rows(predict_mean(member, X), member, _num_samples(X), "fields", "mean")

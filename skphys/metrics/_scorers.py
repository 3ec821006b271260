from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.pipeline import Pipeline

from skphys.metrics._scores import crps, gaussian_nll


class ProbabilisticScorer:
    """Score an estimator's predicted means and standard deviations: ``scorer(estimator, X, y)``.

    Made by `make_probabilistic_scorer`; goes wherever scikit-learn takes `scoring`, and pickles
    if its metric does.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, mean, std, **options)``, a number.
    sign : int
        1 where a larger metric is better, else -1.
    options : dict
        Keyword arguments of the metric.
    """

    def __init__(self, metric: Callable[..., float], sign: int, options: dict[str, Any]) -> None:
        self.metric = metric
        self.sign = sign
        self.options = options

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the score of a fitted estimator: the larger, the better."""
        mean, std = predict_mean_std(estimator, X)
        truth = np.asarray(y, dtype=np.float64)
        shape = truth.shape
        if np.size(mean) == truth.size:  # (n,) and (n, 1) are the same
            mean, std = np.reshape(mean, shape), np.reshape(std, shape)
        return self.sign * self.metric(truth, mean, std, **self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        better = "" if self.sign > 0 else ", greater_is_better=False"
        return f"make_probabilistic_scorer({self.metric.__name__}{better}{options})"


def make_probabilistic_scorer(
    metric: Callable[..., float], *, greater_is_better: bool = True, **options: Any
) -> ProbabilisticScorer:
    """Make a scorer of predicted means and standard deviations.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, mean, std, **options)``, which returns a number. A function at the top
        level of a module keeps the scorer picklable, as ``n_jobs`` needs it.
    greater_is_better : bool, default=True
        Whether a larger metric is better. If not, the scorer negates it, since searches take the
        largest score.
    **options : dict
        Keyword arguments of the metric.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``. It calls ``estimator.predict(X, return_std=True)``, also
        through a pipeline, and raises a TypeError where the estimator has no standard deviation.

    See Also
    --------
    crps_scorer : The one for `crps`, negated.
    log_likelihood_scorer : By the density, of a mixture too.

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.model_selection import cross_val_score
    >>> from skphys.metrics import crps, make_probabilistic_scorer
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
    >>> scorer = make_probabilistic_scorer(crps, greater_is_better=False)
    >>> cross_val_score(GaussianProcessRegressor(), X, y, scoring=scorer, cv=2).shape
    (2,)
    """
    return ProbabilisticScorer(metric, 1 if greater_is_better else -1, options)


def predict_mean_std(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the mean and the standard deviation that an estimator predicts.

    A pipeline whose last step has not requested `return_std` refuses it while metadata routing is
    enabled; a scorer cannot make that request, so it hands the flag over without routing.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)  # a search has no return_std
    try:
        try:
            predicted = estimator.predict(X, return_std=True)
        except UnsetMetadataPassedError:
            with config_context(enable_metadata_routing=False):
                predicted = estimator.predict(X, return_std=True)
    except TypeError as error:
        if "return_std" not in str(error):
            raise
        raise _no_std(estimator) from error
    if not isinstance(predicted, tuple) or len(predicted) != 2:
        raise _no_std(estimator)
    return predicted


def _no_std(estimator: Any) -> TypeError:
    return TypeError(
        f"A probabilistic scorer needs predict(X, return_std=True), which "
        f"{type(estimator).__name__} does not offer. Wrap it in a ConservationConstrainedRegressor "
        f'with error_model="residual", or use a regressor that states its uncertainty.'
    )


crps_scorer = make_probabilistic_scorer(crps, greater_is_better=False)
_gaussian_scorer = make_probabilistic_scorer(gaussian_nll, greater_is_better=False)


def log_likelihood_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Score an estimator by the log density that it gives the truth, averaged over all points.

    An estimator with ``log_prob(X, y)``, alone, in a search or at the end of a pipeline, states the
    density itself: that of a mixture, where its error model makes one. Any other needs
    ``predict(X, return_std=True)``, and is taken for a Gaussian: the score is that of
    `gaussian_nll`, negated.

    Parameters
    ----------
    estimator : estimator
        Fitted. Its ``log_prob`` returns one mean over points a row of X, inf for a row that is
        known and right.
    X : {array-like, DataFrame} of shape (n_samples, n_features)
        What to predict.
    y : array-like of shape (n_samples, n_points) or (n_samples,)
        The truth.

    Returns
    -------
    float
        The larger, the better. Rows that are known and right are left out.

    Raises
    ------
    TypeError
        If the estimator states neither a density nor a standard deviation.

    See Also
    --------
    gaussian_nll : The score of Gaussians.
    make_probabilistic_scorer : To make others.
    """
    stating = getattr(estimator, "best_estimator_", estimator)
    inputs = X
    if isinstance(stating, Pipeline) and hasattr(stating[-1], "log_prob"):
        stating, inputs = stating[-1], stating[:-1].transform(X) if len(stating) > 1 else X
    if not hasattr(stating, "log_prob"):
        return _gaussian_scorer(estimator, X, y)
    logs = np.asarray(stating.log_prob(inputs, y))
    counts = logs < np.inf
    return float(np.mean(logs[counts])) if counts.any() else float("inf")

"""Which adapter reads which backbone: built-in families, and an open registry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sklearn.utils.validation import _num_samples

from skphys.predictive._checks import ROWS, check_prediction
from skphys.predictive._prediction import Prediction

Predict = Callable[..., Prediction]


def never(estimator: Any, rows: str) -> bool:
    """Say that a family does not offer something."""
    return False


def always(estimator: Any, rows: str) -> bool:
    """Say that a family offers something."""
    return True


@dataclass(frozen=True)
class Adapter:
    """How one family of regressors is read.

    Attributes
    ----------
    matches : type, tuple of types or callable
        Whose instances, or ``matches(estimator) -> bool``. The first adapter that matches reads
        the estimator.
    predict : callable
        ``predict(estimator, X, *, rows, want_cov) -> Prediction``.
    covariance, members : callable
        ``(estimator, rows) -> bool``: whether `predict` returns a `cov`, or members. Asked for
        unfitted estimators, too.
    """

    matches: Any
    predict: Predict
    covariance: Callable[[Any, str], bool] = never
    members: Callable[[Any, str], bool] = never


# Methods by which estimators of this package speak for themselves; see _adapters/_own.py.
METHODS = ("_predict_unconditioned", "_predict_distribution")

_imposed: ContextVar[bool] = ContextVar("constraints_imposed", default=False)

# In order of precedence; the built-in ones are set by the package's __init__.
_protocol: list[Adapter] = []
_registered: list[tuple[Any, Adapter]] = []
_families: list[Adapter] = []
_adapters: list[Adapter] = []  # all of them


def are_constraints_imposed() -> bool:
    """Say whether nested constrained estimators impose their constraints themselves."""
    return _imposed.get()


@contextmanager
def constraints_imposed(imposed: bool = True) -> Iterator[None]:
    """Within it, predictions come after the constraints of nested estimators, not with them."""
    token = _imposed.set(imposed)
    try:
        yield
    finally:
        _imposed.reset(token)


def install(protocol: Iterable[Adapter], families: Iterable[Adapter]) -> None:
    """Set the built-in adapters: what comes before, and what after, the registered ones."""
    _protocol[:] = protocol
    _families[:] = families
    _set_registered(_registered)


def _set_registered(entries: Iterable[tuple[Any, Adapter]]) -> None:
    _registered[:] = entries
    _adapters[:] = [*_protocol, *(adapter for _, adapter in _registered), *_families]


def predict_distribution(
    estimator: Any, X: Any, *, rows: str = "fields", want_cov: bool = True
) -> Prediction:
    """Predict fields with the uncertainty that a fitted regressor states, if any.

    The regressor's capability decides, and wrappers are opened first: `Pipeline`, searches
    (``best_estimator_``), `FrozenEstimator`, `TransformedTargetRegressor` (affine transformers;
    monotone ones, such as log and exp, by the moments of what they make of Gaussians and members;
    any other leaves the mean alone), `MultiOutputRegressor`. Read are ``predict_members``,
    ``predict`` with ``return_cov`` or ``return_std``, ``predict_std``, ``predict_var``,
    ``pred_dist``, and the members of random forests, extra trees, bagging and voting. Other
    ensembles (boosting, stacking, chains) have parts that are no predictions of the target; like
    everything else they state a mean. Whether metadata routing is enabled makes no difference.

    Parameters
    ----------
    estimator : estimator
        A fitted regressor.
    X : {array-like, DataFrame} of shape (n_rows, n_features)
        What the regressor takes.
    rows : {"fields", "points"}, default="fields"
        Whether each row of X gives a field, or all rows are the points of one field. In the first
        layout the covariance that `GaussianProcessRegressor` offers is one between samples and is
        not used; in the second it is the covariance along the field.
    want_cov : bool, default=True
        Whether to ask for a covariance where one is offered.

    Returns
    -------
    Prediction
        Of n_rows fields, or of one field of n_rows points; float64.

    Raises
    ------
    ValueError
        If the regressor returns NaN, a negative standard deviation or variance, or a shape that
        does not fit X.

    See Also
    --------
    register_adapter : Teach this function to read another regressor.
    offers_covariance : Whether a covariance would be returned.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from skphys.predictive import predict_distribution
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> process = GaussianProcessRegressor().fit(X, [0.0, 1.0, 0.0])
    >>> field = predict_distribution(process, X + 0.5, rows="points")
    >>> field.mean.shape, field.cov.shape
    ((1, 3), (1, 3, 3))
    """
    if rows not in ROWS:
        raise ValueError(f"rows must be one of {ROWS}; got {rows!r}.")
    prediction = find_adapter(estimator).predict(estimator, X, rows=rows, want_cov=want_cov)
    return check_prediction(prediction, estimator, _num_samples(X), rows)


def offers_covariance(estimator: Any, rows: str = "fields") -> bool:
    """Say whether `predict_distribution` would return a covariance along the field.

    Members are no covariance in this sense, although they imply one. A third party's ``predict``
    that names ``return_cov`` is believed, although with ``rows="fields"`` its arrays have yet to
    prove that they are along the field.

    Parameters
    ----------
    estimator : estimator
        A regressor; need not be fitted.
    rows : {"fields", "points"}, default="fields"
        What the rows of X would be.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from skphys.predictive import offers_covariance
    >>> offers_covariance(GaussianProcessRegressor(), "points")
    True
    >>> offers_covariance(GaussianProcessRegressor(), "fields")
    False
    """
    return find_adapter(estimator).covariance(estimator, rows)


def offers_members(estimator: Any, rows: str = "fields") -> bool:
    """Say whether `predict_distribution` would return members.

    Parameters
    ----------
    estimator : estimator
        A regressor; need not be fitted.
    rows : {"fields", "points"}, default="fields"
        What the rows of X would be.

    Returns
    -------
    bool

    Examples
    --------
    >>> from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    >>> from skphys.predictive import offers_members
    >>> offers_members(RandomForestRegressor()), offers_members(GradientBoostingRegressor())
    (True, False)
    """
    return find_adapter(estimator).members(estimator, rows)


def register_adapter(
    matches: Any, predict: Predict, *, offers_covariance: bool = False, offers_members: bool = False
) -> None:
    """Teach `predict_distribution` to read a regressor that it does not know.

    A regressor of your own needs no adapter if it has one of the methods listed in
    `predict_distribution`; ``predict_members(X) -> (means, stds)``, each of shape (n_members,
    n_samples, n_points), stds possibly None, says most. For somebody else's regressor:

    1. Write ``predict(estimator, X, *, rows, want_cov) -> Prediction``. The estimator is fitted
       and has no wrappers around it; X is what its own ``predict`` takes.
    2. With ``rows="fields"`` return a mean of shape (n_rows, n_points): each row of X is a field,
       and a 1-D prediction is a column. With ``rows="points"`` the rows of X are the points of
       one field: return shape (1, n_rows).
    3. Add what the regressor knows: `std`, `cov` (along a field; leave it None unless `want_cov`),
       or members. Leave the rest None. Shapes, signs and finiteness are checked for you.
    4. Register it where your package is imported, so that joblib's workers know it, too.

    Parameters
    ----------
    matches : type, str or callable
        Which regressors: a class (and its subclasses); a class by name, ``"module:QualName"``,
        which is not imported; or a function of the estimator that returns a bool. A later
        registration wins over an earlier one, and all win over the built-in adapters, except that
        constrained estimators of this package always speak for themselves.
    predict : callable
        As above.
    offers_covariance : bool, default=False
        Whether `predict` returns a `cov` when `want_cov`.
    offers_members : bool, default=False
        Whether `predict` returns members.

    See Also
    --------
    unregister_adapter : Take a registration back.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from skphys.predictive import (
    ...     Prediction, predict_distribution, register_adapter, unregister_adapter
    ... )
    >>> def predict(estimator, X, *, rows, want_cov):
    ...     mean = estimator.predict(X)
    ...     mean = mean[None, :] if rows == "points" else mean.reshape(len(X), -1)
    ...     return Prediction(mean, std=np.ones_like(mean))
    >>> register_adapter(DummyRegressor, predict)
    >>> dummy = DummyRegressor().fit([[0.0], [1.0]], [1.0, 3.0])
    >>> predict_distribution(dummy, [[0.0]]).std
    array([[1.]])
    >>> unregister_adapter(DummyRegressor)
    """
    if not callable(predict):
        raise ValueError(
            f"predict must be a function (estimator, X, *, rows, want_cov); got {predict!r}."
        )
    adapter = Adapter(
        matcher(matches),
        predict,
        covariance=lambda estimator, rows: offers_covariance,
        members=lambda estimator, rows: offers_members,
    )
    _set_registered([(matches, adapter), *_registered])


def unregister_adapter(matches: Any) -> None:
    """Take back the registrations made with `matches`.

    Parameters
    ----------
    matches : type, str or callable
        What was given to `register_adapter`.

    Raises
    ------
    ValueError
        If nothing was registered with it.
    """
    kept = [entry for entry in _registered if entry[0] != matches]
    if len(kept) == len(_registered):
        raise ValueError(f"No adapter is registered for {matches!r}.")
    _set_registered(kept)


def find_adapter(estimator: Any) -> Adapter:
    """Return the first adapter that matches; the last built-in one matches everything."""
    for adapter in _adapters:
        matches = adapter.matches
        by_type = isinstance(matches, type | tuple)
        if isinstance(estimator, matches) if by_type else matches(estimator):
            return adapter
    raise LookupError("No adapter is installed.")


def matcher(matches: Any) -> Callable[[Any], bool]:
    """Return the function that says whether an object is an instance of a class, also by name.

    Parameters
    ----------
    matches : type, str or callable
        A class; ``"module:QualName"``, which is not imported; or the function itself.
    """
    if isinstance(matches, type):
        return lambda estimator: isinstance(estimator, matches)
    if isinstance(matches, str):
        module, separator, name = matches.partition(":")
        if not (module and separator and name):
            raise ValueError(f"matches must look like 'module:QualName'; got {matches!r}.")
        return lambda estimator: _is_instance_by_name(estimator, module, name)
    if callable(matches):
        return matches
    raise ValueError(
        f"matches must be a class, a string 'module:QualName' or a function; got {matches!r}."
    )


def _is_instance_by_name(estimator: Any, module: str, name: str) -> bool:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and isinstance(estimator, found)

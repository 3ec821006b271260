from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from skphys.metrics._checks import as_alike, as_finite, as_gaussian, known_points, rounding


def gaussian_nll(y_true: Any, mean: Any, std: Any) -> float:
    """Return the negative log-likelihood of Gaussian predictions, averaged over all points.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_points)
        The truth.
    mean : array-like of the same shape
        Predicted means.
    std : float or array-like of the same shape
        Predicted standard deviations.

    Returns
    -------
    float
        The smaller, the better; unbounded on either side.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or a standard deviation is negative.

    See Also
    --------
    crps : A score in the units of the field, finite also where ``std`` is 0.

    Notes
    -----
    A point with ``std == 0`` claims to be known. Where the truth equals the mean to rounding, and
    ``std`` is no more, as at a node whose value is prescribed, the point is left out of the
    average; with ``std == 0`` elsewhere the score is infinite. Rounding is 1e-12 of the value, and
    1e-14 of the largest in its row. If all points are known and right, the score is ``-inf``.

    Examples
    --------
    >>> from skphys.metrics import gaussian_nll
    >>> gaussian_nll([0.0, 1.0], [0.0, 0.0], [1.0, 1.0])
    1.168...
    """
    truth, centre, spread = as_gaussian(y_true, mean, std)
    known, wrong = known_points(truth, centre, spread)
    if wrong.any():
        return float("inf")
    if known.all():
        return float("-inf")
    truth, centre, spread = truth[~known], centre[~known], spread[~known]
    with np.errstate(over="ignore"):
        squares = ((truth - centre) / spread) ** 2
    return float(np.mean(0.5 * squares + np.log(spread)) + 0.5 * np.log(2.0 * np.pi))


def crps(y_true: Any, mean: Any, std: Any) -> float:
    """Return the continuous ranked probability score of Gaussian predictions, averaged.

    The closed form of [1]_, section 4.2. It is in the units of the field and becomes the absolute
    error where ``std`` is 0.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_points)
        The truth.
    mean : array-like of the same shape
        Predicted means.
    std : float or array-like of the same shape
        Predicted standard deviations.

    Returns
    -------
    float
        At least 0; the smaller, the better.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or a standard deviation is negative.

    See Also
    --------
    crps_ensemble : The score of samples, of any distribution.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery, "Strictly proper scoring rules, prediction, and
       estimation", Journal of the American Statistical Association 102, 2007.

    Examples
    --------
    >>> from skphys.metrics import crps
    >>> crps([0.0], [0.0], [1.0])
    0.233...
    >>> crps([0.0], [0.5], [0.0])
    0.5
    """
    return float(np.mean(crps_at_points(*as_gaussian(y_true, mean, std))))


def crps_at_points(truth: Any, mean: Any, std: Any) -> Any:
    """Return the continuous ranked probability score of a Gaussian at each point, unchecked."""
    error = truth - mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = np.where(error == 0.0, 0.0, error / std)
        density = np.exp(-0.5 * z**2) * np.sqrt(2.0 / np.pi)
    return error * erf(z / np.sqrt(2.0)) + std * (density - np.pi**-0.5)


def crps_ensemble(y_true: Any, samples: Any, *, fair: bool = False) -> float:
    """Return the continuous ranked probability score of samples, averaged over all points.

    The mean distance of the samples from the truth, less half their mean distance from each other
    ([1]_, equation 21).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_points)
        The truth.
    samples : array-like of shape (n_samples, n_draws) or (n_samples, n_points, n_draws)
        Draws along the last axis, as `sample_y` returns them.
    fair : bool, default=False
        Whether to leave the zero distance of each draw from itself out of the mean, which makes
        the score unbiased in the number of draws. Needs two draws or more.

    Returns
    -------
    float
        The smaller, the better.

    Raises
    ------
    ValueError
        If the shapes do not belong together, or a value is not finite.

    See Also
    --------
    crps : The closed form for Gaussians.

    References
    ----------
    .. [1] T. Gneiting, A. E. Raftery, "Strictly proper scoring rules, prediction, and
       estimation", Journal of the American Statistical Association 102, 2007.

    Examples
    --------
    >>> from skphys.metrics import crps_ensemble
    >>> crps_ensemble([0.0], [[-1.0, 1.0]])
    0.5
    """
    truth, draws = as_finite("y_true", y_true), as_finite("samples", samples)
    if draws.shape[:-1] != truth.shape:
        raise ValueError(
            f"samples must have the shape of y_true, {truth.shape}, and the draws along one more "
            f"axis, the last; got {draws.shape}."
        )
    n_draws = draws.shape[-1]
    if fair and n_draws < 2:
        raise ValueError("fair=True needs two draws or more; got 1.")
    distance = np.abs(draws - truth[..., None]).mean(axis=-1)
    ranks = 2.0 * np.arange(n_draws) - n_draws + 1.0
    spread = np.sort(draws, axis=-1) @ ranks / n_draws / (n_draws - 1 if fair else n_draws)
    return float(np.mean(distance - spread))


def coverage(y_true: Any, lower: Any, upper: Any, *, simultaneous: bool = False) -> float:
    """Return the fraction of points, or of fields, that lie within their intervals.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_points)
        The truth.
    lower, upper : array-like of the same shape
        The intervals, ends included, as `predict_interval` returns them.
    simultaneous : bool, default=False
        Count fields, one a row, all of whose points lie within their intervals.

    Returns
    -------
    float
        Between 0 and 1; the nearer to the intervals' nominal coverage, the better.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or a lower end is above its upper end.

    Notes
    -----
    Ends are taken to rounding, 1e-12 of the value and 1e-14 of the largest in its row: a point that
    a law determines has an interval next to no width, and counts as held where that is the truth.
    Such points say nothing of how well intervals are calibrated; leave them out, by
    ``upper - lower``, to know it of the others.

    Examples
    --------
    >>> from skphys.metrics import coverage
    >>> coverage([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0])
    0.75
    >>> coverage([[0.0, 1.0], [2.0, 3.0]], [[0.0, 0.0]] * 2, [[2.0, 2.0]] * 2, simultaneous=True)
    0.5
    """
    truth, low, high = as_alike(y_true=y_true, lower=lower, upper=upper)
    if (low > high).any():
        raise ValueError("lower must not be above upper; are the two swapped?")
    if simultaneous:
        return float(np.mean(fields_inside(truth, low, high)))
    return float(np.mean(points_inside(truth, low, high)))


def fields_inside(truth: Any, low: Any, high: Any) -> Any:
    """Say of each row whether all its points are within their intervals to rounding, unchecked."""
    each = (np.reshape(part, (len(part), -1)) for part in (truth, low, high))
    return points_inside(*each).all(axis=1)


def points_inside(truth: Any, low: Any, high: Any) -> Any:
    """Say of each point whether it is within its interval to rounding, unchecked."""
    truth = np.asarray(truth)
    slack = rounding(np.abs(truth))
    return (low - slack <= truth) & (truth <= high + slack)


def relative_l2_error(y_true: Any, y_pred: Any) -> float:
    """Return the error's Euclidean norm over that of the truth, averaged over fields.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_points) or (n_points,)
        True fields; a 1-D array is one field.
    y_pred : array-like of the same shape
        Predicted fields.

    Returns
    -------
    float
        At least 0; the smaller, the better. A true field of zeros counts as 0 where the
        prediction is zero too, and else makes the error infinite.

    Raises
    ------
    ValueError
        If shapes differ, or a value is not finite.

    Examples
    --------
    >>> from skphys.metrics import relative_l2_error
    >>> relative_l2_error([[3.0, 4.0]], [[3.0, 3.0]])
    0.2
    """
    truth, predicted = as_alike(y_true=y_true, y_pred=y_pred)
    errors = np.linalg.norm(np.atleast_2d(predicted - truth), axis=1)
    norms = np.linalg.norm(np.atleast_2d(truth), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.where(errors == 0.0, 0.0, errors / norms)))

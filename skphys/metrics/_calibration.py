"""Whether stated intervals hold what they promise, and how narrow they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from skphys.metrics._checks import Floats, as_alike, as_gaussian, known_points


def sharpness(lower: Any, upper: Any) -> float:
    """Return the mean width of intervals.

    Of two predictions whose intervals hold the truth equally often, the sharper one says more
    ([1]_); without `coverage` beside it the number means nothing.

    Parameters
    ----------
    lower, upper : array-like of shape (n_samples,) or (n_samples, n_points)
        The intervals, as `predict_interval` returns them.

    Returns
    -------
    float
        At least 0, in the units of the field; the smaller, the sharper.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or a lower end is above its upper end.

    See Also
    --------
    coverage : How many points lie within their intervals.
    crps : A score that rewards calibration and sharpness together.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui, A. E. Raftery, "Probabilistic forecasts, calibration and
       sharpness", Journal of the Royal Statistical Society B 69, 2007.

    Examples
    --------
    >>> from skphys.metrics import sharpness
    >>> sharpness([0.0, 1.0], [1.0, 3.0])
    1.5
    """
    low, high = as_alike(lower=lower, upper=upper)
    if (low > high).any():
        raise ValueError("lower must not be above upper; are the two swapped?")
    return float(np.mean(high - low))


def calibration_error(y_true: Any, mean: Any, std: Any) -> float:
    """Return how far the coverage of central Gaussian intervals is from the nominal one.

    The absolute difference of the two, averaged over all nominal coverages between 0 and 1: the
    area between a curve of `CoverageDisplay` and the diagonal. No grid of levels is involved.

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
        Between 0 and 1/2; the smaller, the better. 1/2 means that no interval holds the truth, or
        that all do, however narrow.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or a standard deviation is negative.

    See Also
    --------
    coverage : The coverage of given intervals.
    sharpness : Their mean width.
    skphys.inspection.CoverageDisplay : The figure.

    Notes
    -----
    The L1 form of the calibration error of [1]_, for central intervals. Points count alike,
    whatever field they belong to. It is not a proper score, since wide intervals can make up for
    narrow ones elsewhere: choose models by `crps` or `gaussian_nll`, and look at this one after.

    Points whose ``std`` is 0, and whose truth is the mean, to rounding are known, and left out. If
    there are no others, the error is 0.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner, S. Ermon, "Accurate uncertainties for deep learning using
       calibrated regression", ICML 2018, arXiv:1807.00263.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.metrics import calibration_error
    >>> noise = np.random.default_rng(0).normal(size=10_000)
    >>> round(calibration_error(noise, np.zeros(10_000), 1.0), 2)
    0.0
    >>> round(calibration_error(noise, np.zeros(10_000), 0.5), 2)
    0.2
    """
    levels = np.sort(central_levels(*as_gaussian(y_true, mean, std)), axis=None)
    levels = levels[~np.isnan(levels)]
    if levels.size == 0:
        return 0.0
    # The empirical quantile function is a step of width 1/n at each level.
    steps = np.linspace(0.0, 1.0, levels.size + 1)
    above, below = steps[1:] - levels, steps[:-1] - levels
    return float(0.5 * np.sum(above * np.abs(above) - below * np.abs(below)))


def central_levels(truth: Floats, mean: Floats, std: Floats) -> Floats:
    """Return the coverage of the smallest central interval that holds each point.

    A point lies within its interval of nominal coverage p where its level is at most p. Points
    that are known and right have none: they are nan.
    """
    right, wrong = known_points(truth, mean, std)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        levels = erf(np.abs(truth - mean) / std / np.sqrt(2.0))
    return np.where(right, np.nan, np.where(wrong, 1.0, levels))


def coverage_curve(points: Floats, nominal: Floats) -> tuple[Floats, Floats | None]:
    """Return the fraction of levels up to each nominal one, and its standard error over rows.

    Rows may hold different numbers of points, so the fraction is a ratio of sums, and its error
    that of a ratio estimator.
    """
    fields = points.reshape(len(points), -1) if points.ndim > 1 else points[None]
    rows = [np.sort(row[~np.isnan(row)]) for row in fields]
    counts = np.array([row.size for row in rows])
    if not counts.any():
        raise ValueError("Every point is known (std == 0): there are no intervals to judge.")
    inside = np.array([np.searchsorted(row, nominal, side="right") for row in rows])
    curve = inside.sum(axis=0) / counts.sum()
    n_rows = len(rows)
    if points.ndim < 2 or n_rows < 2:
        return curve, None
    excess = inside - counts[:, None] * curve
    variance = n_rows / (n_rows - 1) * np.sum(excess**2, axis=0)
    return curve, np.sqrt(variance) / counts.sum()

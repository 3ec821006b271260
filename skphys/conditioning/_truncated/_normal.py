"""Standard normals between two bounds, by their quantile function."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

FAR = 36.0  # standard deviations beyond which a float64 holds no probability


def truncated_normal(low: np.ndarray, high: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Return quantiles of standard normals that are truncated to intervals.

    Parameters
    ----------
    low, high : ndarray
        Ends, with ``low <= high``; may be infinite.
    uniform : ndarray
        Probabilities, which broadcast with the ends.

    Returns
    -------
    ndarray
        Between `low` and `high`. Far out in a tail the density is taken as an exponential.
    """
    with np.errstate(invalid="ignore"):
        upper = low + high > 0.0  # which loses digits; the other tail is its mirror image
    a, b = np.where(upper, -high, low), np.where(upper, -low, high)
    uniform, least = np.where(upper, 1.0 - uniform, uniform), ndtr(a)
    found = ndtri(least + uniform * (ndtr(b) - least))
    far = b < -FAR
    if far.any():
        with np.errstate(invalid="ignore", over="ignore"):
            width = np.expm1(b * (b - a))  # -1 where the interval is wide
            tail = b - np.log1p((1.0 - uniform) * width) / b
        found = np.where(far, tail, found)
    found = np.clip(found, a, b)
    return np.where(upper, -found, found)

"""Which samples the members of an ensemble are not trained on, and what these say of its errors.

Members agree more than they are right, above all on fields that they have learned by heart. A
sample that some of them have not seen says both: how far these are from each other, and from the
truth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Array = NDArray[np.float64]


def seen_by_members(n: int, n_members: int, part: float, seed: int) -> NDArray[np.intp]:
    """Return the samples that each member is trained on, (n_members, n_seen).

    Each leaves out as many, half of which the next one leaves out as well. None depends on how
    many members there are, but a single one sees all.

    Parameters
    ----------
    n : int
        Number of samples.
    n_members : int
        Number of members.
    part : float
        Which part of the samples each leaves out.
    seed : int
        Of the choice.
    """
    size = round(part * n) if n_members > 1 else 0
    order = np.random.default_rng(seed).permutation(n)
    starts = [member * size // 2 for member in range(n_members)]
    return np.stack([np.sort(np.roll(order, -start)[size:]) for start in starts])


def shared_std(means: Array, stds: Array | None, y: Array, left_out: NDArray[np.bool_]) -> Array:
    r"""Return the standard deviation of what members have in common, (n_points,).

    Of :math:`q` members that have not seen a field their average errs by
    :math:`b^2 + s^2 / q`, with :math:`s^2` the variance between members and :math:`b` what is
    common to all. The ensemble errs by :math:`b^2 + s^2 / K`; its members state
    :math:`s^2 (K - 1) / K` by being different, and what each states itself. The rest is returned.

    Parameters
    ----------
    means, stds : ndarray of shape (n_members, n, n_points)
        What members predict; stds may be None.
    y : ndarray of shape (n, n_points)
        The truth.
    left_out : ndarray of shape (n_members, n)
        Which members have not seen a field; of each at least one.
    """
    n_members, counts = len(means), left_out.sum(axis=0)[:, None]
    mask = left_out[..., None]
    average = np.sum(means, axis=0, where=mask) / counts
    between = np.sum((means - average) ** 2, axis=0, where=mask) / np.maximum(counts - 1, 1)
    several = counts[:, 0] > 1
    spread = between[several].mean(axis=0) if several.any() else np.zeros(y.shape[1])
    squares = (y - average) ** 2 - spread / counts
    if stds is not None:
        squares -= np.sum(stds**2, axis=0, where=mask) / counts
    variance = squares.mean(axis=0) - spread * (n_members - 2) / n_members
    return student(len(y)) * np.sqrt(np.maximum(variance, 0.0))


def student(n: int | NDArray[np.intp]) -> Array:
    """Return by how much a root mean square of n errors is too small.

    It is the factor of Student's t, whose 90 % intervals then hold what they say.
    """
    return t.ppf(0.95, np.maximum(n - 1, 1)) / norm.ppf(0.95)

"""A Gaussian field, and the one function that makes it obey linear equalities."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from scipy import sparse

from skphys.conditioning._arrays import (
    Array,
    Normal,
    floating,
    is_float64_numpy,
    like,
    standard_normal,
)
from skphys.conditioning._conditioned import Conditioned, Pathwise
from skphys.conditioning._corrected import Corrected
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._factor import factor
from skphys.conditioning._sparse._dispatch import to_dense_rows


class Gaussian:
    """A batch of Gaussian fields.

    Parameters
    ----------
    mean : array of shape (..., n_points)
        NumPy or torch, floating point.
    covariance : Covariance
        One covariance for each field, in the same library, dtype and device.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.conditioning import Diagonal, Gaussian, condition
    >>> prior = Gaussian(np.zeros(3), Diagonal(np.array([1.0, 1.0, 2.0])))
    >>> posterior = condition(prior, np.ones((1, 3)), np.array([4.0]))
    >>> posterior.mean
    array([1., 1., 2.])
    >>> posterior.variance()
    array([0.75, 0.75, 1.  ])
    """

    def __init__(self, mean: Array, covariance: Covariance) -> None:
        self.mean = mean
        self.covariance = covariance

    def variance(self) -> Array:
        """Return the marginal variances, of shape (..., n_points)."""
        return self.covariance.diagonal()

    def std(self) -> Array:
        """Return the marginal standard deviations, of shape (..., n_points)."""
        variance = self.variance()
        xp = array_namespace(variance)
        if not is_torch_array(variance):
            return xp.sqrt(variance)
        positive = variance > 0  # the root's gradient is infinite at zero
        return xp.where(positive, xp.sqrt(xp.where(positive, variance, 1.0)), 0.0)

    def std_error(self) -> Array | float:
        """Return the standard error of `std`.

        0.0 where the standard deviations are exact. They are an estimate after many sparse rows
        that are neither disconnected nor banded.
        """
        error = self.covariance.diagonal_error()
        if isinstance(error, float):
            return error
        std = self.std()
        return 0.5 * error / array_namespace(std).where(std > 0, std, 1.0)

    def dense(self) -> Array:
        """Return the covariances written out, of shape (..., n_points, n_points)."""
        return self.covariance.to_dense()

    def sample(self, n_samples: int, random_state: Any = None) -> Array:
        """Draw fields, of shape (n_samples, ..., n_points).

        Parameters
        ----------
        n_samples : int
            Number of draws of each field.
        random_state : int, Generator, RandomState, torch.Generator or None
            Source of the normals.
        """
        normal = standard_normal(self.mean, random_state)
        return self._drawn(normal, (n_samples, *self.mean.shape[:-1]))

    def kept(self, fields: Array) -> Array:
        """Return fields (..., n_points) after rounding is taken from linear rows that hold.

        Parameters
        ----------
        fields : array of shape (..., n_points)
            Such as draws that have been moved along the rows.
        """
        return fields

    def _drawn(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw fields of shape (*shape, n_points)."""
        return self.mean + self.covariance.sample(normal, shape)


class Posterior(Gaussian):
    """A Gaussian under rows, whose draws are draws of the prior with its mean, corrected.

    A mean and a draw around it that obey their rows to rounding may cancel: their sum would miss
    the rows by more than its own rounding.

    Parameters
    ----------
    prior : Gaussian
        The Gaussian before.
    values : array of shape (..., n_rows)
        What the rows should be.
    covariance : Pathwise
        What is left of the prior's covariance.
    """

    covariance: Pathwise

    def __init__(self, prior: Gaussian, values: Array, covariance: Pathwise) -> None:
        super().__init__(covariance.gain.correct(floating(prior.mean), values), covariance)
        self._prior = prior
        self._values = values

    def kept(self, fields: Array) -> Array:
        """Return fields (..., n_points) with exact rows met to rounding, and others as they are.

        Parameters
        ----------
        fields : array of shape (..., n_points)
            Such as draws that have been moved along the rows.
        """
        gain = self.covariance.gain
        values = array_namespace(fields).where(
            gain.noise_variance > 0, gain.along(fields), self._values
        )
        return gain.correct(fields, values)

    def _drawn(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        drawn = self._prior._drawn(normal, shape)
        return self.covariance.corrected(drawn, self._values, normal)


def condition(
    gaussian: Gaussian,
    rows: Array,
    values: Array,
    noise: Array | float = 0.0,
    *,
    metric: Covariance | None = None,
) -> Gaussian:
    """Condition Gaussian fields on ``rows @ field = values + noise``.

    Parameters
    ----------
    gaussian : Gaussian
        The prior, of mean (..., n_points).
    rows : array or scipy.sparse array of shape (n_rows, n_points)
        ``G``, shared by all fields. Sparse rows stay sparse for NumPy float64 and a covariance
        that is diagonal, or diagonal plus low rank; see Notes.
    values : array of shape (n_rows,) or (..., n_rows)
        ``b``.
    noise : float or array of shape (n_rows,) or (..., n_rows), default=0.0
        Standard deviation of each row's value, in its units; 0 makes the row exact.
    metric : Covariance, default=None
        How fields move, ``M``: by ``K = M G' (G M G' + R)^-1``. None means by their own
        covariance, which is Bayes' rule; ``Diagonal`` of ones is the Euclidean projection.

    Returns
    -------
    Gaussian
        Mean and covariance of equations 7a and 7b of Hansen et al., 2023 (arXiv 2302.11002); with
        a metric the covariance is ``(I - K G) S (I - K G)' + K R K'``, that of fields which are
        all moved so. It stays factored; it can be conditioned again.

    Raises
    ------
    ValueError
        If rows or values do not fit the fields or are not finite, or noise is negative.
    InconsistentConstraintsError
        If exact rows contradict each other, or a field without variance cannot meet them.

    Notes
    -----
    Without noise the mean and each draw obey ``|G u - b| <= 1e-12 (|G||u| + |b|)`` in float64.
    Redundant rows that agree are fine.

    With sparse rows ``S G'`` is never formed and memory is linear in the entries of `rows` and
    of the factor of ``G S G' + R``. Mean and draws are exact as ever. Standard deviations are
    exact if the rows are disconnected, or banded in some order, or not too many; otherwise they
    are estimated from draws, and `Gaussian.std_error` tells how well. With a metric they are
    exact, and under many sparse rows take a solve for each point.
    """
    mean = floating(gaussian.mean)
    _check_shapes(mean, rows, values)
    noise = like(noise, mean)
    check_noise(noise)
    if not (sparse.issparse(rows) and is_float64_numpy(mean)):
        rows = like(to_dense_rows(rows), mean)
    values = like(values, mean)
    check_finite(values, "values")
    noise = array_namespace(mean).broadcast_to(noise, (*noise.shape[:-1], rows.shape[0]))
    gain = factor(gaussian.covariance if metric is None else metric, rows, noise**2)
    if metric is None:
        return Posterior(gaussian, values, Conditioned(gaussian.covariance, gain))
    return Posterior(gaussian, values, Corrected(gaussian.covariance, gain, metric))


def check_noise(noise: Array) -> None:
    """Raise unless noise is a standard deviation; in a training NaN is the loss's business."""
    fine = ~(noise < 0) if is_torch_array(noise) else np.isfinite(noise) & (noise >= 0)
    if not bool(fine.all()):
        raise ValueError("noise is a standard deviation: it must be finite and not negative.")


def check_finite(array: Array, name: str) -> None:
    """Raise if a NumPy array has NaN or infinite values."""
    if not is_torch_array(array) and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got NaN or infinite values.")


def _check_shapes(mean: Array, rows: Any, values: Any) -> None:
    n_points = mean.shape[-1]
    shape = tuple(np.shape(rows))
    if len(shape) != 2 or shape[1] != n_points:
        raise ValueError(
            f"rows must have shape (n_rows, {n_points}), one column for each point of the mean; "
            f"got {shape}."
        )
    given = tuple(np.shape(values))
    if given and given[-1] not in (1, shape[0]):
        raise ValueError(
            f"values must have shape ({shape[0]},) or (..., {shape[0]}), one for each row; got "
            f"{given}."
        )

"""What a backbone predicts, and how predictions are made from one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphys.conditioning import Dense, Diagonal, Gaussian, Mixture

Array = NDArray[np.float64]

ALL: Any = slice(None)
SAMPLES = {"mean": 0, "std": 0, "cov": 0, "member_means": 1, "member_stds": 1}  # which axis


@dataclass(frozen=True, eq=False)
class Prediction:
    """A batch of predicted fields, with whatever uncertainty the backbone states.

    Parameters
    ----------
    mean : ndarray of shape (n_samples, n_points)
        Means, float64.
    std : ndarray of shape (n_samples, n_points), default=None
        Standard deviations; None if the backbone states no uncertainty. Need not be given
        with `cov` or `member_means`, from which it follows.
    cov : ndarray of shape (n_samples, n_points, n_points), default=None
        Covariances along each field, never between samples.
    member_means : ndarray of shape (n_members, n_samples, n_points), default=None
        Means of the members, which have equal weights; `mean` is their average.
    member_stds : ndarray of shape (n_members, n_samples, n_points), default=None
        Their standard deviations; None if the members are points, as the trees of a forest are.
    constraints : tuple, default=()
        What must hold for the fields and was not imposed: a nested constrained estimator hands
        its Gaussian up unconditioned, together with its constraints.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.predictive import Prediction
    >>> two = Prediction(np.zeros((1, 2)), member_means=np.array([[[-1.0, -1.0]], [[1.0, 1.0]]]))
    >>> two.states_uncertainty
    True
    >>> two.covariance()
    array([[[1., 1.],
            [1., 1.]]])
    """

    mean: Array
    std: Array | None = None
    cov: Array | None = None
    member_means: Array | None = None
    member_stds: Array | None = None
    constraints: tuple[Any, ...] = ()

    @property
    def states_uncertainty(self) -> bool:
        """Whether there is more than a mean."""
        return any(a is not None for a in (self.std, self.cov, self.member_means))

    @classmethod
    def of_members(
        cls, means: Array, stds: Array | None = None, constraints: tuple[Any, ...] = ()
    ) -> Prediction:
        """Return the prediction of equally weighted members.

        One member is no ensemble: it is the prediction, and if it is a point, there is no
        uncertainty.

        Parameters
        ----------
        means : ndarray of shape (n_members, n_samples, n_points)
            Means of the members.
        stds : ndarray of shape (n_members, n_samples, n_points), default=None
            Their standard deviations; None if the members are points.
        constraints : tuple, default=()
            What must hold and was not imposed.

        Returns
        -------
        Prediction
            Its mean is their average, its variance follows by the law of total variance.
        """
        if len(means) == 1:
            return cls(means[0], None if stds is None else stds[0], constraints=constraints)
        return cls(means.mean(axis=0), member_std(means, stds), None, means, stds, constraints)

    def standard_deviation(self) -> Array | None:
        """Return the standard deviations, by whatever they can be known.

        Returns
        -------
        ndarray of shape (n_samples, n_points) or None
            `std`; else by the members; else by the diagonal of `cov`; None without uncertainty.
        """
        if self.std is not None:
            return self.std
        if self.member_means is not None:
            return member_std(self.member_means, self.member_stds)
        return None if self.cov is None else np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))

    def covariance(self) -> Array | None:
        """Return the covariances along the fields, by whatever they can be known.

        Returns
        -------
        ndarray of shape (n_samples, n_points, n_points) or None
            `cov`; else the second moments of the members; else a diagonal of the variances;
            None without uncertainty.
        """
        if self.cov is not None:
            return self.cov
        if self.member_means is not None:
            return member_covariance(self.member_means, self.member_stds)
        return None if self.std is None else diagonal(self.std**2)

    def distribution(self) -> Gaussian | Mixture:
        """Return the distribution with these moments, to draw from.

        Returns
        -------
        Gaussian or Mixture
            A Gaussian with `covariance()`; of members the mixture, whose points are independent
            within a member.

        Raises
        ------
        ValueError
            Without uncertainty.
        """
        if self.cov is not None:
            return Gaussian(self.mean, Dense(self.cov))
        if self.member_means is not None:
            means, stds = self.member_means, self.member_stds
            variances = np.zeros_like(means) if stds is None else stds**2
            pairs = zip(means, variances, strict=True)
            return Mixture([Gaussian(mean, Diagonal(variance)) for mean, variance in pairs])
        if self.std is None:
            raise ValueError("A prediction that states no uncertainty is no distribution.")
        return Gaussian(self.mean, Diagonal(self.std**2))

    def affine(self, scale: ArrayLike, shift: ArrayLike = 0.0) -> Prediction:
        """Map each point by itself, ``u * scale + shift``.

        Parameters
        ----------
        scale : float or array of shape (n_points,) or (n_samples, n_points)
            May be negative.
        shift : float or array of shape (n_points,) or (n_samples, n_points), default=0.0
            Added to all means.

        Returns
        -------
        Prediction
            Of the mapped fields; `constraints` are handed on as they are.
        """
        scale = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        size, outer = np.abs(scale), scale[..., :, None] * scale[..., None, :]
        maps: dict[str, Callable[[Array], Array]] = {
            "mean": lambda mean: mean * scale + shift,
            "std": lambda std: std * size,
            "cov": lambda cov: cov * outer,
            "member_means": lambda means: means * scale + shift,
            "member_stds": lambda stds: stds * size,
        }
        return self._mapped(lambda name, array: maps[name](array))

    def matmul(self, matrix: Any, shift: ArrayLike = 0.0, *, want_cov: bool = True) -> Prediction:
        """Mix points, ``u @ matrix + shift``.

        Parameters
        ----------
        matrix : ndarray of shape (n_points, n_outputs)
            What each point adds to each output.
        shift : float or array of shape (n_outputs,) or (n_samples, n_outputs), default=0.0
            Added to all means.
        want_cov : bool, default=True
            Whether to write out the covariance that comes of independent points; a given one, and
            that of members, is mapped anyway.

        Returns
        -------
        Prediction
            Of the outputs. Members stay members, with independent points.
        """
        mean = self.mean @ matrix + shift
        if self.member_means is not None:
            stds, members = self.member_stds, self.member_means @ matrix + shift
            stds = None if stds is None else np.sqrt(stds**2 @ matrix**2)
            std = member_std(members, stds)
            return Prediction(mean, std, None, members, stds, self.constraints)
        if self.cov is None and self.std is not None and not want_cov:
            return replace(self, mean=mean, std=np.sqrt(self.std**2 @ matrix**2))
        cov = self.covariance()
        cov = None if cov is None else matrix.T @ cov @ matrix
        return Prediction(mean, cov=cov, constraints=self.constraints)

    def spread(self, factor: float) -> Prediction:
        """Return the same mean with its uncertainty multiplied by a factor.

        Parameters
        ----------
        factor : float
            Of the standard deviations, at least 0.

        Returns
        -------
        Prediction
            Members are moved from their average by the factor, too.
        """
        members = self.member_means
        if members is not None:
            center = members.mean(axis=0)
            members = center + factor * (members - center)
        return replace(self.affine(factor), mean=self.mean, member_means=members)

    def take(self, samples: Any) -> Prediction:
        """Return the prediction of some of the samples.

        Parameters
        ----------
        samples : slice or array of int or bool
            Which.

        Returns
        -------
        Prediction
            Of these, in this order; `constraints` are handed on as they are.
        """
        return self._mapped(lambda name, array: array[(ALL,) * SAMPLES[name] + (samples,)])

    def fold(self, rows: Any, n_fields: int) -> Prediction:
        """Make several fields out of points of one long field.

        Parameters
        ----------
        rows : slice or array of int
            Which points, field by field.
        n_fields : int
            How many fields, each of as many points.

        Returns
        -------
        Prediction
            Of `n_fields` fields; a `cov` between different ones is dropped.
        """

        def folded(name: str, array: Array) -> Array:
            if name == "cov":
                blocks = array[0][rows][:, rows]
                n_points = len(blocks) // n_fields
                blocks = blocks.reshape(n_fields, n_points, n_fields, n_points)
                return np.einsum("fifj->fij", blocks)
            return array[..., rows].reshape(*array.shape[:-2], n_fields, -1)

        return self._mapped(folded)

    @classmethod
    def concatenate(cls, parts: Sequence[Prediction]) -> Prediction:
        """Join predictions of different samples.

        Parameters
        ----------
        parts : sequence of Prediction
            At the same points, at least one. What not all of them have is left out.

        Returns
        -------
        Prediction
            Of all samples in turn, with the `constraints` of the first part.
        """

        def joined(name: str, array: Array) -> Array | None:
            arrays = [getattr(part, name) for part in parts]
            missing = any(a is None for a in arrays)
            return None if missing else np.concatenate(arrays, axis=SAMPLES[name])

        return parts[0]._mapped(joined)

    @classmethod
    def mix(cls, parts: Sequence[Prediction]) -> Prediction:
        """Mix predictions of the same samples with equal weights.

        Parameters
        ----------
        parts : sequence of Prediction
            At least one.

        Returns
        -------
        Prediction
            If all parts state a `cov`, the mixture's moments; else its members are the parts, by
            their means and, if all state them, their standard deviations. `constraints` are those
            of the first part.
        """
        means = np.stack([part.mean for part in parts])
        stated = [part.standard_deviation() for part in parts]
        stds = [std for std in stated if std is not None]
        covs = [part.cov for part in parts if part.cov is not None]
        mixed = cls.of_members(
            means, np.stack(stds) if len(stds) == len(parts) else None, parts[0].constraints
        )
        if len(covs) < len(parts):
            return mixed
        cov = np.mean(covs, axis=0) + member_covariance(means, None)
        return replace(mixed, cov=cov, member_means=None, member_stds=None)

    def _mapped(self, function: Callable[[str, Array], Array | None]) -> Prediction:
        """Return the prediction of ``function(name, array)``, for the arrays that there are."""
        arrays = {name: getattr(self, name) for name in SAMPLES}
        mapped = {n: function(n, array) for n, array in arrays.items() if array is not None}
        return replace(self, **mapped)  # type: ignore[arg-type]


def diagonal(variance: Array) -> Array:
    """Return (..., n, n) matrices with variances (..., n) on their diagonals."""
    return variance[..., :, None] * np.eye(variance.shape[-1])


def member_std(means: Array, stds: Array | None) -> Array:
    """Return the standard deviations of equally weighted members (law of total variance)."""
    variance = np.var(means, axis=0)
    return np.sqrt(variance if stds is None else variance + np.mean(stds**2, axis=0))


def member_covariance(means: Array, stds: Array | None) -> Array:
    """Return the covariances of equally weighted members with independent points."""
    deviations = (means - means.mean(axis=0)).swapaxes(0, 1)
    cov = deviations.swapaxes(1, 2) @ deviations / len(means)
    return cov if stds is None else cov + diagonal(np.mean(stds**2, axis=0))


def with_variance(cov: Array, variance: Array) -> Array:
    """Return a copy of matrices (..., n, n) with another diagonal (..., n)."""
    points = np.arange(cov.shape[-1])
    cov = cov.copy()
    cov[..., points, points] = variance
    return cov

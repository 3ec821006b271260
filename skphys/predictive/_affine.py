"""Target transformers whose inverse is affine carry an uncertainty through."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.predictive._prediction import Array, Prediction

FAR = 1e3  # probes reach this many units of the transformed target
TOLERANCE = 1e-9
MAX_LATENT = 2048  # a mixing map of more latent targets is not probed one by one


@dataclass(frozen=True)
class AffineMap:
    """``u = v @ matrix + offset`` or, where each target has its own, ``u = v * scale + offset``.

    Attributes
    ----------
    offset : ndarray of shape (n_points,)
        The image of zero.
    scale : ndarray of shape (n_points,) or None
        None if the map mixes targets.
    matrix : ndarray of shape (n_latent, n_points) or None
        None unless the map mixes targets, as a principal component analysis does.
    """

    offset: Array
    scale: Array | None = None
    matrix: Any = None

    @property
    def mixes(self) -> bool:
        """Whether an output depends on several latent targets."""
        return self.scale is None

    def __call__(self, latent: Array) -> Array:
        """Map values (..., n_latent) to (..., n_points)."""
        if self.scale is not None:
            return latent * self.scale + self.offset
        return latent @ self.matrix + self.offset

    def apply(self, latent: Prediction, mean: Array, want_cov: bool) -> Prediction:
        """Map a prediction whose mapped mean is known.

        Parameters
        ----------
        latent : Prediction
            Of the transformed targets.
        mean : ndarray of shape (n_samples, n_points)
            The mapped mean, by the transformer itself.
        want_cov : bool
            Whether to write out the covariance that a mixing map makes of independent targets.
        """
        if self.scale is not None:
            return replace(latent.affine(self.scale, self.offset), mean=mean)
        return replace(latent.matmul(self.matrix, self.offset, want_cov=want_cov), mean=mean)


def inverse(transformer: Any, latent: Array) -> Array:
    """Return the inverse transform of (n_samples, n_latent) as (n_samples, n_points)."""
    values = np.asarray(transformer.inverse_transform(latent), dtype=np.float64)
    return values.reshape(len(latent), -1)


def affine_map(transformer: Any, latent: Array) -> AffineMap | None:
    """Find the affine map that a fitted transformer's inverse is, by probing it.

    Parameters
    ----------
    transformer : transformer
        Of targets.
    latent : ndarray of shape (n_samples, n_latent)
        Transformed targets at which the map must hold, too.

    Returns
    -------
    AffineMap or None
        None if the inverse is not affine.
    """
    with quiet():
        try:
            return _probed(transformer, latent)
        except (ArithmeticError, ValueError):  # an inverse that is not defined everywhere
            return None


def fitted_map(transformer: Any) -> AffineMap | None:
    """Find the affine map of a transformer without any transformed targets at hand."""
    with quiet():
        latent = transformer.transform(np.zeros((1, transformer.n_features_in_)))
    return affine_map(transformer, np.asarray(latent, dtype=np.float64).reshape(1, -1))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of a transformer that is probed, perhaps out of its domain."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _probed(transformer: Any, latent: Array) -> AffineMap | None:
    n_latent = latent.shape[1]
    first, second = np.random.RandomState(0).standard_normal((2, n_latent))
    zero, one = np.zeros(n_latent), np.ones(n_latent)
    probes = np.stack([zero, one, -one, FAR * one, -FAR * one, first, second, first + second])
    images = inverse(transformer, probes)
    offset = images[0]
    up, down, far, far_down, of_first, of_second, of_sum = images[1:] - offset
    close = _closeness(images)
    affine = close(down, -up) and close(far, FAR * up) and close(far_down, -far)
    if not (affine and close(of_sum, of_first + of_second)):
        return None
    by_target = AffineMap(offset, scale=far / FAR)
    if len(offset) == n_latent and close(by_target(probes), images):
        return by_target if close(by_target(latent), inverse(transformer, latent)) else None
    if n_latent > MAX_LATENT:
        return None
    mixing = AffineMap(offset, matrix=(inverse(transformer, FAR * np.eye(n_latent)) - offset) / FAR)
    fits = close(mixing(probes), images) and close(mixing(latent), inverse(transformer, latent))
    return mixing if fits else None


def _closeness(images: Array) -> Any:
    """Return a comparison to within a small part of what the images reach at each point."""
    tolerance = TOLERANCE * np.abs(images).max(axis=0)

    def close(a: Array, b: Array) -> bool:
        return bool((np.abs(a - b) <= tolerance + TOLERANCE * np.abs(b)).all())

    return close

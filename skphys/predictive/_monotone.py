"""Target transformers whose inverse is monotone, target by target, carry moments through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from skphys.predictive._affine import inverse, quiet
from skphys.predictive._prediction import Array, Prediction

NODES, WEIGHTS = hermegauss(32)  # of the Gaussian quadrature
WEIGHTS = WEIGHTS / WEIGHTS.sum()
PROBES = np.concatenate([-np.logspace(3, -3, 25), np.zeros(1), np.logspace(-3, 3, 25)])


def directions(transformer: Any, n_latent: int) -> Array | None:
    """Say whether each output rises (1) or falls (-1) with its own latent target.

    None if the inverse of the fitted transformer mixes targets, or turns.
    """
    with quiet():
        try:
            images = inverse(transformer, np.repeat(PROBES[:, None], n_latent, axis=1))
            mixed = np.random.RandomState(0).choice(len(PROBES), (len(PROBES), n_latent))
            alone = inverse(transformer, PROBES[mixed])
        except (ArithmeticError, ValueError):
            return None
        if images.shape[1] != n_latent:
            return None
        own = np.take_along_axis(images, mixed, axis=0)
        if not np.allclose(alone, own, rtol=1e-9, atol=0.0, equal_nan=True):
            return None
        steps = np.diff(images, axis=0)
    rises, falls = (steps > 0).any(axis=0), (steps < 0).any(axis=0)
    return None if (rises == falls).any() else np.where(rises, 1.0, -1.0)


def pushed(transformer: Any, latent: Prediction, signs: Array, rows: str) -> Prediction | None:
    """Return the moments of a prediction of transformed targets, mapped back.

    Members go through the inverse. Gaussians get the moments of what it makes of them, by
    quadrature, and keep their correlations. None if a moment is not finite.
    """

    def image(values: Array) -> Array:
        flat = values.reshape(-1, 1) if rows == "points" else values.reshape(-1, values.shape[-1])
        return inverse(transformer, flat).reshape(values.shape)

    def moments(mean: Array, std: Array) -> tuple[Array, Array]:
        centre = image(mean)
        first, second = np.zeros_like(centre), np.zeros_like(centre)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            away = image(mean + node * std) - centre
            first, second = first + weight * away, second + weight * away**2
        return centre + first, np.sqrt(np.maximum(second - first**2, 0.0))

    means, stds = latent.member_means, latent.member_stds
    with quiet():
        if means is not None and stds is None:
            mapped = Prediction.of_members(image(means))
        elif means is not None and stds is not None:
            mapped = Prediction.of_members(*moments(means, stds))
        else:
            before: Any = latent.standard_deviation()
            mean, std = moments(latent.mean, before)
            ratio = signs * np.divide(std, before, out=np.zeros_like(std), where=before > 0)
            mapped = replace(latent.affine(ratio), mean=mean, std=std)
    spread = 0.0 if mapped.std is None else mapped.std
    return mapped if np.isfinite(mapped.mean).all() and np.isfinite(spread).all() else None

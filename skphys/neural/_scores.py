"""Proper scores as losses, in torch: their gradients are finite and exact also where a std is 0.

The score of draws is *fair*: no draw is compared with itself, so that the score of a few draws is
on average that of infinitely many.

References
----------
.. [1] T. Gneiting, A. E. Raftery. Strictly proper scoring rules, prediction, and estimation.
   Journal of the American Statistical Association 102, 2007.
.. [2] E. P. Grimit, T. Gneiting, V. J. Berrocal, N. A. Johnson. The continuous ranked probability
   score for circular variables and its application to mesoscale forecast ensemble verification.
   Quarterly Journal of the Royal Meteorological Society 132, 2006.
.. [3] C. A. T. Ferro. Fair scores for ensemble forecasts. Quarterly Journal of the Royal
   Meteorological Society 140, 2014.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaussian_crps(mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
    """Return the continuous ranked probability scores of Gaussians ([1]_, section 4.2).

    With ``z = (y - mean) / std`` it is ``std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))``, and
    the absolute error where ``std`` is 0.
    """
    return distance(target - mean, std) - std / math.sqrt(math.pi)


def mixture_crps(means: Tensor, stds: Tensor, target: Tensor) -> Tensor:
    """Return the fair scores of mixtures of Gaussians that weigh the same.

    The closed form of [2]_: the mean distance of the components (K, ...), two at least, from the
    targets (...), less half their mean distance from each other; here of two that differ, as
    components are draws of infinitely many ([3]_).
    """
    one, other = _pairs(means)
    apart = distance(means[one] - means[other], root(stds[one].square() + stds[other].square()))
    return distance(target - means, stds).mean(0) - 0.5 * apart.mean(0)


def energy_score(draws: Tensor, target: Tensor) -> Tensor:
    """Return the fair energy scores (...) of fields ([1]_, section 4.3).

    The mean distance of the draws (K, ..., n_points), two at least, from the targets
    (..., n_points), less half their mean distance from each other. A distance is the root of a mean
    square, which keeps the score in the units of a point.
    """
    one, other = _pairs(draws)
    return _size(draws - target).mean(0) - 0.5 * _size(draws[one] - draws[other]).mean(0)


def distance(centre: Tensor, spread: Tensor) -> Tensor:
    """Return the mean absolute value of Gaussians, ``E|N(centre, spread**2)|``.

    The derivative along ``z = centre / spread`` is zero, so z is held fixed: derivatives along
    `centre` and `spread` are then exact and at most 1, where the chain rule makes NaN of a spread
    of 0. They are first derivatives; there are no second ones.
    """
    z = (centre / spread.clamp_min(torch.finfo(spread.dtype).tiny)).detach()
    density = torch.exp(-0.5 * z.square()) * math.sqrt(2.0 / math.pi)
    return centre * torch.erf(z * math.sqrt(0.5)) + spread * density


def root(square: Tensor) -> Tensor:
    """Return the square root; its gradient at 0 is 0, not infinite."""
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def _pairs(draws: Tensor) -> Tensor:
    """Return where both members of each pair of two that differ are, (2, n_pairs)."""
    return torch.triu_indices(len(draws), len(draws), 1, device=draws.device)


def _size(fields: Tensor) -> Tensor:
    return torch.linalg.vector_norm(fields, dim=-1) / math.sqrt(fields.shape[-1])

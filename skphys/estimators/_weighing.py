"""How likely each way to err is, and how large errors are after the law.

Both are found by what each part of an error model says of held-out fields if it is the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from skphys.conditioning import Gaussian, Mixture
from skphys.estimators._alignment import Seen
from skphys.estimators._moved_members import shares
from skphys.estimators._parts import Part
from skphys.metrics import crps_at_points

LARGEST = 1e3  # factor by which standard deviations are made larger, or smaller
FINE = {"xatol": 0.02}
EVEN = 0.3  # in fields: how much says that weights are alike
TINY = 1e-300
LEAST = 0.1  # weight of errors that are no displacement, whatever the data say
UNLIKELY, MOST_MOVES = 0.05, 3  # parts below this weight go; no more displaced ones stay
TAILS = (0.5, 1.0, 2.0, 4.0)  # factors of standard deviations whose mixture has heavy tails
USUAL, RARE, N_ITER = 2.0, 0.02, 200  # fields that speak for factor 1; weight that counts; EM steps


@dataclass(frozen=True)
class Views:
    """What each part says of the held-out fields after the law, if it is the only one.

    Attributes
    ----------
    logs : ndarray of shape (n_parts, n_fields)
        Log densities of the law's values.
    mean, within, between : ndarray of shape (n_parts, n_fields, n_outputs)
        Means, variances, and the variance of the means of the part's own Gaussians, in the units
        of the batches.
    """

    logs: np.ndarray
    mean: np.ndarray
    within: np.ndarray
    between: np.ndarray

    def take(self, parts: np.ndarray) -> Views:
        """Return what some of the parts say."""
        return Views(*(getattr(self, each.name)[parts] for each in fields(self)))


def views_of(model: Any, parts: Sequence[Part], batches: Sequence[Seen]) -> Views:
    """Look at the held-out fields with each part alone."""
    alone = [model.with_parts([replace(part, weight=1.0)]) for part in parts]
    found = [[_view(each, batch) for batch in batches] for each in alone]
    of_parts = [[_together(each) for each in zip(*part, strict=True)] for part in found]
    return Views(*(np.stack(each) for each in zip(*of_parts, strict=True)))


def _view(model: Any, batch: Seen) -> tuple[np.ndarray, ...]:
    found, logs = model.mixture(batch.part.fields)
    field = as_mixture(found)
    within = field.average([m.variance() + 0.0 * field.mean for m in field.members])
    between = np.clip(field.variance() - within, 0.0, None)
    mean, within, between = (batch.at_truth(each) for each in (field.mean, within, between))
    return logs, mean / batch.unit, within / batch.unit**2, between / batch.unit**2


def truths_of(batches: Sequence[Seen]) -> np.ndarray:
    """Return the true values of all fields in their units, of shape (n_fields, n_outputs)."""
    return _together([batch.part.truth / batch.unit for batch in batches])


def _together(batches: Sequence[np.ndarray]) -> np.ndarray:
    """Return the fields of all batches; those of fewer points get zeros, no errors."""
    width = max(batch.shape[-1] for batch in batches)
    if batches[0].ndim == 1 or all(batch.shape[-1] == width for batch in batches):
        return np.concatenate(batches)
    return np.concatenate([np.pad(b, [(0, 0), (0, width - b.shape[-1])]) for b in batches])


def weighed(parts: Sequence[Part], views: Views, truth: np.ndarray) -> list[Part]:
    """Give the parts the weights with which means of held-out fields are best; drop unlikely ones.

    That is of least squared error, by which models are chosen as well. Likelihoods would hang on
    members that nearly agree, and so on rounding.
    """
    logs, error = views.logs, truth - views.mean
    products = np.einsum("kfp,lfp->klf", error, error) / error.shape[-1]

    def cost(logits: np.ndarray) -> tuple[float, np.ndarray]:
        share = shares(logits[:, None] + logs)
        along = np.einsum("klf,lf->kf", products, share)
        square = np.sum(share * along, axis=0)
        total = np.mean(square) + TINY
        slope = 2.0 * np.mean(share * (along - square), axis=1) / total
        uneven = logits - logits.mean()
        prior = EVEN / len(square)
        return float(np.log(total) + prior * np.sum(uneven**2)), slope + 2.0 * prior * uneven

    best = minimize(cost, np.zeros(len(parts)), jac=True, method="L-BFGS-B")
    weights = shares(best.x[:, None])[:, 0]
    moves = [k for k, part in enumerate(parts) if part.displacement is not None]
    least = sorted(weights[moves], reverse=True)[:MOST_MOVES][-1] if moves else 0.0
    still = [k for k, part in enumerate(parts) if part.displacement is None]
    likeliest = still[int(np.argmax(weights[still]))]
    weights[likeliest] = max(weights[likeliest], LEAST)
    kept = [k for k in still if weights[k] >= UNLIKELY]
    kept = sorted(kept + [k for k in moves if weights[k] >= max(UNLIKELY, least)])
    weights = weights / weights[kept].sum()
    return [replace(parts[k], weight=float(weights[k])) for k in kept]


def as_mixture(found: Any) -> Mixture:
    """Return what is found of a batch always as a mixture."""
    return Mixture([found]) if isinstance(found, Gaussian) else found


def sized(parts: Sequence[Part], views: Views, truth: np.ndarray, stated: bool) -> list[Part]:
    """Make the errors of each part as large as they are after the law, if it is the only one.

    What is stated gets the factor of the least CRPS, as few points that are nearly sure and wrong
    would decide the mean square; residuals keep their mean square. What the members of a part
    differ by stays.
    """
    each = enumerate(parts)
    return [replace(p, spread=p.spread * _size(views, k, truth, stated)) for k, p in each]


def _size(views: Views, part: int, truth: np.ndarray, stated: bool) -> float:
    """Return the factor by which the standard deviations of a part have to be larger."""
    mean, within, between = views.mean[part], views.within[part], views.between[part]
    square = (truth - mean) ** 2

    def score(log_factor: float) -> float:
        std = np.sqrt(np.exp(2.0 * log_factor) * within + between)
        return float(np.mean(crps_at_points(truth, mean, std)))

    def miss(log_factor: float) -> float:
        variance = np.exp(2.0 * log_factor) * within + between
        counts = variance > 0.0
        size = np.mean(square[counts] / variance[counts])
        return float(np.abs(np.log(np.maximum(size, TINY))))

    if not np.any(square[within + between > 0.0]):
        return 1.0  # nothing is wrong, so nothing says how large errors are
    cost, most = score if stated else miss, np.log(LARGEST)
    best = minimize_scalar(cost, bounds=(-most, most), method="bounded", options=FINE)
    return float(np.exp(best.x))


def tails_of(model: Any, batches: Sequence[Seen]) -> tuple[tuple[float, float], ...]:
    """Return how often errors at points are how many times as large as the model says.

    The weights of a scale mixture, by expectation maximisation. Points count by their standard
    deviation in units of the usual error: where all is sure, errors tell little of large ones.

    Parameters
    ----------
    model : ErrorModel
        Whose parts are known.
    batches : sequence of Seen
        Of which the truth is known at all points.

    Returns
    -------
    tuple of (float, float)
        Factors of standard deviations, and their weights.
    """
    each = [model.with_parts(model.parts_, tails_=((factor, 1.0),)) for factor in TAILS]
    logs, sizes = [], []
    for batch in batches:
        found = [as_mixture(one.posterior(batch.part.fields)) for one in each]
        logs.append(np.stack([field.log_density(batch.part.truth) for field in found]))
        sizes.append(found[TAILS.index(1.0)].std() / batch.unit)
    density, size = np.concatenate(logs, axis=1), np.concatenate(sizes)
    counts = np.isfinite(density).all(axis=0) & (size > 0.0)
    usual = np.equal(TAILS, 1.0).astype(float)
    if not counts.any():
        return ((1.0, 1.0),)
    likely, size = shares(density[:, counts]), size[counts] / size[counts].sum()
    prior, weights = USUAL / len(counts), np.full(len(TAILS), 1.0 / len(TAILS))
    for _ in range(N_ITER):
        whose = weights[:, None] * likely
        weights = (whose / whose.sum(axis=0) @ size + prior * usual) / (1.0 + prior)
    kept = weights > RARE
    weights = weights[kept] / weights[kept].sum()
    return tuple(zip(np.array(TAILS)[kept].tolist(), weights.tolist(), strict=True))

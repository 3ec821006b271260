"""Choosing the error model on data that the backbone has not seen.

The measure is the log-likelihood of the points' marginals *after* the law is imposed: a composite
likelihood, which is what the predictions are used for. Unlike the joint likelihood of a field it
does not take a smooth error for proof of a long correlation. The scale is profiled out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skphys.conditioning import Gaussian
from skphys.constraints import merge_inequalities
from skphys.estimators._error_model import HeldOut
from skphys.estimators._stated_errors import StatedErrors, law_misfit, widening
from skphys.metrics import crps

PARTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # candidate lengths, in parts of an axis
EXPONENTS = np.linspace(0.0, 1.0, 21)
SURE = 1.0  # standard errors by which a choice has to be likelier than none
MOST_ROWS = 64  # under more rows correlated errors are dense, and not tried
FEWEST_FIELDS = 10  # by fewer nothing but the scale is judged
# Squared misfit, in units of the variance along the law, below which the backbone keeps the law by
# itself: what is left is the rounding of its own arithmetic, and follows nothing.
KEPT = 1e-6
ROUNDS = 3  # of the scale, which moves the mean if the law has noise


@dataclass(frozen=True)
class Judged:
    """Held-out fields as an error model predicts them, at the points that count."""

    part: HeldOut
    prior: Sequence[Gaussian]
    field: Any
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What is needed of each field to judge an error model, whatever its scale.

    Attributes
    ----------
    n_points : ndarray of shape (n_fields,)
        Number of points that have a variance.
    log_variance, squares : ndarray of shape (n_fields,)
        Means over these points of the log variance, and of the squared errors in units of the
        variance.
    z2 : ndarray of shape (n_fields,)
        The law's test; nan without one.
    n_rows : int
        Largest number of rows of the law.
    stated : bool
        Whether there was an uncertainty to scale; if not it was taken as 1.
    by_members : bool
        Whether the backbone predicts by members.
    """

    n_points: np.ndarray
    log_variance: np.ndarray
    squares: np.ndarray
    z2: np.ndarray
    n_rows: int
    stated: bool
    by_members: bool

    def scale(self, factor: np.ndarray | float = 1.0) -> float:
        """Return the most likely scale of the standard deviations, after a factor a field."""
        return float(np.sqrt(np.average(self.squares / factor, weights=self.n_points)))

    def log_likelihood(self, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Return each field's log-likelihood, but for a constant, at the most likely scale."""
        scale2 = max(self.scale(factor) ** 2, 1e-300)
        log_variance = self.log_variance + np.log(factor * scale2)
        return -0.5 * self.n_points * (log_variance + self.squares / (factor * scale2))


@dataclass(frozen=True, eq=False)
class CalibratedErrors(StatedErrors):
    """Stated errors, of which some parts are those under which held-out fields are most likely.

    Attributes
    ----------
    choose : tuple of str
        Whether "members" and "correlation_length" are chosen.
    shrink : bool
        Whether the stated standard deviations may be made smaller.
    """

    choose: tuple[str, ...] = ()
    shrink: bool = False

    @property
    def needs_held_out(self) -> bool:  # type: ignore[override]
        """Whether the training fields are held out by folds where there are no others."""
        return self.shrink

    def fit(self, held_out: Sequence[HeldOut]) -> CalibratedErrors:
        """Return what is most likely on held-out fields.

        Standard deviations are those of the Gaussian before the inequalities, so they are judged
        there: of means that were moved onto bounds errors are other, mostly smaller ones.
        """
        held_out = [_without_inequalities(part) for part in held_out]
        found = _evidence(held_out, self)
        stated = found.stated
        if not found.n_points.any():
            return self
        candidates = list(_candidates(self, found, _extents(held_out)))
        tried = [found, *(_evidence(held_out, candidate) for candidate in candidates)]
        chosen = _likeliest([evidence.log_likelihood() for evidence in tried])
        best, found = [self, *candidates][chosen], tried[chosen]
        unscaled = best
        best, found = _with_scale(held_out, best, found)
        if not 0.0 < found.scale() < np.inf:
            return best  # predictions without error say nothing of their scale
        exponent, level = _law_exponent(found)
        factor = widening(found.z2 / level, exponent) if exponent else 1.0
        scale = best.scale * found.scale(factor)
        scale = scale if self.shrink or not stated else max(1.0, scale)
        level *= (best.scale / scale) ** 2  # the law's test is in units of the scaled variance
        best = replace(best, scale=scale, law_exponent=exponent, law_level=level)
        # Points that are nearly sure and wrong may ask for a scale at the cost of all others.
        if stated and scale > 1.0 and _crps(held_out, best) > _crps(held_out, unscaled):
            return unscaled
        return best


def _candidates(
    start: CalibratedErrors, found: Evidence, extents: Mapping[str, float]
) -> Iterator[CalibratedErrors]:
    """Yield error models to try, the simple ones first."""
    ways = [start.members]
    if "members" in start.choose and found.by_members:
        ways.append("marginal")
    lengths: list[Any] = [start.correlation_length]
    if "correlation_length" in start.choose and 0 < found.n_rows <= MOST_ROWS:
        lengths += [{name: part * e for name, e in extents.items()} for part in PARTS if extents]
        if len(extents) > 1:
            lengths += [{name: part * e} for name, e in extents.items() for part in PARTS]
    for way in ways:
        for length in lengths:
            candidate = replace(start, members=way, correlation_length=length)
            if candidate != start:
                yield candidate


def _extents(held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Return the length of each axis along which errors may be correlated."""
    return held_out[0].fields.where.extents()


def _with_scale(
    held_out: Sequence[HeldOut], errors: CalibratedErrors, found: Evidence
) -> tuple[CalibratedErrors, Evidence]:
    """Settle the scale. Only a law with noise needs more than one round."""
    for _ in range(ROUNDS):
        scale = found.scale()
        if not 0.0 < scale < np.inf or abs(scale - 1.0) < 1e-3:
            break
        errors = replace(errors, scale=errors.scale * scale)
        found = _evidence(held_out, errors)
    return errors, found


def _law_exponent(found: Evidence) -> tuple[float, float]:
    """Return how the variance follows the law's test, and that test's usual value."""
    tested = found.z2[~np.isnan(found.z2)]  # there is no test where no value is known
    level = float(np.mean(tested)) if len(tested) >= FEWEST_FIELDS else 0.0
    if not KEPT < level < np.inf:
        return 0.0, 1.0
    tried = [found.log_likelihood(widening(found.z2 / level, e)) for e in EXPONENTS]
    return float(EXPONENTS[_likeliest(tried)]), level


def _likeliest(tried: Sequence[np.ndarray]) -> int:
    """Return the position of the highest sum of log-likelihoods, 0 unless it is surely higher."""
    if len(tried[0]) < FEWEST_FIELDS:
        return 0
    best = int(np.argmax([np.sum(each) for each in tried]))
    gain = tried[best] - tried[0]
    error = np.std(gain, ddof=1) / np.sqrt(len(gain))
    return best if np.mean(gain) > SURE * error else 0


def _evidence(held_out: Sequence[HeldOut], errors: CalibratedErrors) -> Evidence:
    errors = replace(errors, law_exponent=0.0)
    parts = [_part_evidence(_judged(part, errors)) for part in held_out]
    names = ("n_points", "log_variance", "squares", "z2")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Evidence(
        **joined,
        n_rows=max(part.n_rows for part in parts),
        stated=all(part.stated for part in parts),
        by_members=any(part.by_members for part in parts),
    )


def _crps(held_out: Sequence[HeldOut], errors: CalibratedErrors) -> float:
    """Return the mean CRPS of held-out fields, which few points far off cannot make large."""
    judged = [_judged(part, errors) for part in held_out]
    scores = [crps(j.part.truth, j.mean, j.std) for j in judged]
    return float(np.average(scores, weights=[len(j.mean) for j in judged]))


def _part_evidence(judged: Judged) -> Evidence:
    fields, variance = judged.part.fields, judged.std**2
    error2 = (judged.part.truth - judged.mean) ** 2
    counts = variance > 0.0
    safe = np.where(counts, variance, 1.0)
    n_points = np.maximum(counts.sum(axis=1), 1)
    return Evidence(
        counts.sum(axis=1),
        np.sum(np.log(safe), axis=1) / n_points,
        np.sum(np.where(counts, error2 / safe, 0.0), axis=1) / n_points,
        _test(judged),
        fields.system.rows.shape[0],
        fields.prediction.states_uncertainty,
        fields.prediction.member_means is not None,
    )


def _without_inequalities(part: HeldOut) -> HeldOut:
    fields = part.fields
    none = merge_inequalities([], fields.prediction.mean.shape[1], len(part.truth))
    return replace(part, fields=replace(fields, inequalities=none))


def _judged(part: HeldOut, errors: CalibratedErrors) -> Judged:
    """Return a batch of held-out fields as an error model predicts them."""
    fields = part.fields
    field = errors.posterior(fields)
    std = np.broadcast_to(field.std(), field.mean.shape)[:, fields.shown]
    return Judged(part, errors.prior(fields), field, field.mean[:, fields.shown], std)


def _test(judged: Judged) -> np.ndarray:
    """Return the law's test of each field, nan where there is none."""
    z2 = None
    if len(judged.prior) == 1 and isinstance(judged.field, Gaussian):
        z2 = law_misfit(judged.prior[0], judged.field, judged.part.fields.system)
    return np.full(len(judged.mean), np.nan) if z2 is None else z2

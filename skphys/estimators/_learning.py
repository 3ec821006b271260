"""Learning how a backbone errs, from fields that it has not seen.

How far each field is displaced, and how wide displacements are, is found by expectation
maximisation; points of a field err together, so a field counts as so many independent points as its
learned correlation has directions. How likely each way to err is follows from the squared error of
the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

from skphys.conditioning import Covariance
from skphys.constraints import merge_inequalities
from skphys.estimators._alignment import (
    SHARED,
    Seen,
    displaced,
    residuals_of,
    spread_of,
)
from skphys.estimators._base_errors import HeldOut
from skphys.estimators._displacement import has_places
from skphys.estimators._joined import joined
from skphys.estimators._moved_members import has_points
from skphys.estimators._parts import SCALES, Part, Score, stated_std, unit_correlation
from skphys.estimators._weighing import (
    as_mixture,
    sized,
    tails_of,
    truths_of,
    views_of,
    weighed,
)

FEWEST = 10  # fields from which more is learned than a scale
NEARLY = 1.05  # times the least squared error is about as good
SURE = 1.0  # standard errors by which a mixture has to be better than one Gaussian
ROUNDING = 1e-12  # part of values
FLOOR = 0.1  # part of a point's residuals that is the least standard deviation there
MOST_RANK = 64  # of the learned correlation


def learn(model: Any, held_out: Sequence[HeldOut]) -> Any:
    """Return a fitted copy of an error model.

    Standard deviations are those of the Gaussian before the inequalities, so they are judged
    there: of means that were moved onto bounds errors are other, mostly smaller ones.
    """
    alone = model.covariance == "residual"
    plain = [_without_inequalities(part) for part in held_out]
    batches = [_seen(part, alone) for part in joined(plain)]
    n_fields = sum(len(batch.mean) for batch in batches)
    stated = all(b.part.fields.prediction.states_uncertainty for b in batches) and not alone
    same = _share_points(batches)
    judged = model.covariance != "identity"
    floor = _floor(batches) if stated and same and judged else None
    if floor is not None:
        batches = [replace(batch, std=np.hypot(batch.std, floor)) for batch in batches]
    places = has_places(batches[0].part.fields.where)
    if same and not places:
        unit = _usual_error(batches)
        batches = [replace(batch, unit=unit) for batch in batches]
    shared = SHARED if places else 0.0
    spread = spread_of([residuals_of(b) for b in batches], stated, same, shared)
    if n_fields == 0 or not np.any(spread > 0.0) or not np.isfinite(spread).all():
        return model  # predictions without error say nothing of theirs
    model = model.with_parts((), residual_std_=None if stated else spread)
    if model.scale != "auto":
        spread = spread if not stated else np.ones(())
        spread = spread * float(model.scale)
    simple = model.with_parts([Part(1.0, spread, alone=not stated)], floor_=floor)
    full = simple.with_parts(simple.parts_, scales_=SCALES)
    if model.scale == "auto":
        simple, full = (_rescaled(each, batches, stated) for each in (simple, full))
    if not np.any(spread > 0.0) or n_fields < FEWEST or not judged:
        return _best([(simple, *_scored(simple, batches))])
    tried, still = [simple], list(full.parts_)
    if same and _can_judge(model, batches):
        learned, correlation = _correlated(batches, simple.parts_[0], stated, shared)
        full = full.with_parts(still, correlation_=correlation)
        still.append(learned)
        tried.append(simple.with_parts([learned], correlation_=correlation))
    moved = []
    if model.displacement == "auto":
        moved = displaced(full, batches, stated, same, shared)
    if model.scale == "auto":
        tried[1:] = [_rescaled(each, batches, stated) for each in tried[1:]]
    judgements = [(each, *_scored(each, batches)) for each in tried]
    every = still + moved
    if len(every) > 1:
        mixtures = _mixtures(full, every, _best(judgements).parts_[0], batches, stated)
        judgements += [(each, *_scored(each, batches)) for each in mixtures]
    best = _best(judgements)
    has_tails = same and not places and model.scale == "auto"
    return _with_tails(best, batches) if has_tails else best


def _with_tails(model: Any, batches: Sequence[Seen]) -> Any:
    """Return the model with tails that are as heavy as those of errors, if that is no worse.

    One Gaussian of the least CRPS holds too little of the errors of species and series, many of
    which are small and some large, as where a mixture ignites.
    """
    tailed = model.with_parts(model.parts_, tails_=tails_of(model, batches))
    scores, error = _scored(tailed, batches)
    score = replace(model.score_, crps=float(np.mean(scores)), mse=error)
    if score.crps > model.score_.crps:
        return model
    return tailed.with_parts(tailed.parts_, score_=score)


def _mixtures(
    model: Any, every: list[Part], best: Part, batches: Sequence[Seen], stated: bool
) -> list[Any]:
    """Return the mixture of all parts, and that of displaced ones with the best of the others."""
    views, truth = views_of(model, every, batches), truths_of(batches)
    parts = sized(every, views, truth, stated) if model.scale == "auto" else every
    some = [p.displacement is not None or p.as_stated == best.as_stated for p in every]
    sets = {len(each): each for each in (np.flatnonzero(some), np.arange(len(every)))}
    return [
        model.with_parts(weighed([parts[k] for k in each], views.take(each), truth))
        for each in sets.values()
        if len(each) > 1
    ]


def _seen(part: HeldOut, alone: bool) -> Seen:
    said = part.fields.prediction
    if alone or not said.states_uncertainty:
        return Seen(part, np.ones_like(said.mean))
    return Seen(part, stated_std(said))


def _without_inequalities(part: HeldOut) -> HeldOut:
    fields = part.fields
    none = merge_inequalities([], fields.prediction.mean.shape[1], len(part.truth))
    return replace(part, fields=replace(fields, inequalities=none))


def _share_points(batches: Sequence[Seen]) -> bool:
    """Say whether all fields have the same points, and the truth is known at all of them."""
    first = batches[0].part.fields
    return all(
        b.part.fields.where.interpolation is None
        and b.part.fields.where.grid == first.where.grid
        and b.part.truth.shape == b.mean.shape
        for b in batches
    )


def _can_judge(model: Any, batches: Sequence[Seen]) -> bool:
    """Say whether the fields that a correlation is learned from can also say what it is worth.

    A law of as many rows leaves nothing open of what these fields err by, but of what others do.
    """
    n_rows = batches[0].part.fields.system.rows.shape[0]
    if model.correlation_length is not None or model.covariance == "stated":
        return False
    return model.covariance == "learned" or n_rows < sum(len(batch.mean) for batch in batches)


def _floor(batches: Sequence[Seen]) -> np.ndarray | None:
    """Return least standard deviations, where errors are at points that are stated as sure.

    None where there is nothing to raise: a point whose residuals are all zero stays as it is, and a
    covariance that is written out is believed.
    """
    if any(batch.part.fields.prediction.cov is not None for batch in batches):
        return None
    floor = FLOOR * _at_points([batch.part.truth - batch.mean for batch in batches])
    return floor if floor.any() else None


def _usual_error(batches: Sequence[Seen]) -> np.ndarray:
    """Return the root mean square of errors at each point; rounding is none."""
    usual = _at_points([batch.part.truth - batch.mean for batch in batches])
    size = _at_points([batch.part.truth for batch in batches])
    return np.where(usual > ROUNDING * size, usual, np.maximum(size, usual.max()))


def _at_points(fields: Sequence[np.ndarray]) -> np.ndarray:
    """Return the root mean square at each point, of all batches."""
    return np.sqrt(np.mean(np.concatenate(fields) ** 2, axis=0))


def _correlated(
    batches: Sequence[Seen], simple: Part, stated: bool, shared: float
) -> tuple[Part, Covariance]:
    """Return a part with the correlation of residuals.

    What members that are points differ by says little of the size of errors: residuals say it.
    """
    alone = not stated or all(has_points(batch.part.fields.prediction) for batch in batches)
    spread = simple.spread
    if stated and alone:
        batches = [replace(batch, std=np.ones_like(batch.std)) for batch in batches]
        spread = spread_of([residuals_of(batch) for batch in batches], False, True, shared)
    standard = np.concatenate([residuals_of(batch)[0] for batch in batches])
    standard = np.where(spread > 0.0, standard / np.maximum(spread, 1e-300), 0.0)
    return Part(1.0, spread, False, alone=alone), learned_correlation(standard)


def learned_correlation(standard: np.ndarray) -> Covariance:
    """Return the correlation of standardised residuals (n_fields, n_points), shrunk.

    Low rank plus diagonal, with unit variances: the sample correlation, shrunk towards none as
    Ledoit and Wolf (2004) do.
    """
    size = np.sqrt(np.mean(standard**2, axis=0))
    unit = standard / np.where(size > 0.0, size, 1.0)
    kept = 1.0 - ledoit_wolf_shrinkage(unit, assume_centered=True)
    _, values, directions = np.linalg.svd(unit, full_matrices=False)
    rank = min(MOST_RANK, len(values))
    factor = (values[:rank, None] * directions[:rank]).T * np.sqrt(kept / len(unit))
    return unit_correlation(factor)


def _everywhere(batch: Seen) -> np.ndarray:
    """Return the truth at all points; means where it is not known."""
    values = np.array(batch.mean)
    values[:, batch.part.fields.shown] = batch.part.truth
    return values


def _rescaled(model: Any, batches: Sequence[Seen], stated: bool) -> Any:
    """Make the errors of all parts as large as they are after the law."""
    views = views_of(model, model.parts_, batches)
    return model.with_parts(sized(model.parts_, views, truths_of(batches), stated))


def _best(judgements: Sequence[tuple[Any, np.ndarray, float]]) -> Any:
    """Return the best of several models, the simpler unless a later one is better for sure.

    Of those whose means are about the best, the CRPS of the points after the law decides, which a
    few points that are nearly sure, and wrong, cannot rule, as they do the log score. None is taken
    whose CRPS is larger than the simplest one's, however good its means are.

    Parameters
    ----------
    judgements : sequence of (ErrorModel, ndarray, float)
        Models, the simplest first, and what `_scored` says of each.
    """
    usual = np.mean(judgements[0][1])
    models, scores, errors = zip(*(j for j in judgements if np.mean(j[1]) <= usual), strict=True)
    good = np.flatnonzero(np.array(errors) <= NEARLY * min(errors))
    best = good[0]
    for k in good[1:]:
        gain = scores[best] - scores[k]
        if np.mean(gain) > SURE * np.std(gain, ddof=1) / np.sqrt(len(gain)):
            best = k
    crps = [float(np.mean(scores[k])) for k in (best, 0)]
    score = Score(crps[0], errors[best], crps[1], errors[0], len(scores[0]))
    return models[best].with_parts(models[best].parts_, score_=score)


def _scored(model: Any, batches: Sequence[Seen]) -> tuple[np.ndarray, float]:
    """Return the mean CRPS of each held-out field's points, and the mean squared error of all."""
    scores, errors = [], []
    for batch in batches:
        found = as_mixture(model.posterior(batch.part.fields))
        score = batch.at_truth(found.crps(_everywhere(batch)))
        error = batch.part.truth - batch.at_truth(found.mean)
        scores.append(np.mean(score / batch.unit, axis=1))
        errors.append(np.mean((error / batch.unit) ** 2, axis=1))
    return np.concatenate(scores), float(np.mean(np.concatenate(errors)))

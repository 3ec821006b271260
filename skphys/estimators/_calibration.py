"""Choosing the error model on data that the backbone has not seen.

The measure is the log-likelihood of the points' marginals *after* the law is imposed: a composite
likelihood, which is what the predictions are used for. Unlike the joint likelihood of a field it
does not take a smooth error for proof of a long correlation. The scale is profiled out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from skphys.conditioning import Gaussian
from skphys.estimators._backbone import fold_fields
from skphys.estimators._error_model import ErrorModel, law_misfit, widening
from skphys.grids import ColumnGrid, Grid
from skphys.metrics import crps
from skphys.predictive import Prediction, fit_backbone
from skphys.predictive._backbone import is_frozen

PARTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # candidate lengths, in parts of an axis
EXPONENTS = np.linspace(0.0, 1.0, 21)
SURE = 1.0  # standard errors by which a choice has to be likelier than none
MOST_ROWS = 64  # under more rows correlated errors are dense, and not tried
FEWEST_FIELDS = 10  # by fewer nothing but the scale is judged
ROUNDS = 3  # of the scale, which moves the mean if the law has noise


@dataclass(frozen=True)
class HeldOut:
    """A fitted constrained estimator, and data that its backbone has not seen."""

    model: Any
    X: Any
    y: np.ndarray


@dataclass(frozen=True)
class Judged:
    """A batch of held-out fields, what is predicted of them, and the truth."""

    batch: Any
    prior: Sequence[Gaussian]
    field: Any
    truth: np.ndarray
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


def choose_error_model(
    held_out: Sequence[HeldOut], start: ErrorModel, choose: Mapping[str, bool], shrink: bool
) -> ErrorModel:
    """Return the error model under which held-out fields are most likely.

    Parameters
    ----------
    held_out : sequence of HeldOut
        One, or one for each fold.
    start : ErrorModel
        What is taken where it is not chosen.
    choose : dict of str to bool
        Whether to choose "members" and "correlation_length".
    shrink : bool
        Whether the stated standard deviations may be made smaller.
    """
    held_out = [replace(part, model=_remembering(part.model)) for part in held_out]
    found = _evidence(held_out, start)
    stated = found.stated
    if not found.n_points.any():
        return start
    candidates = list(_candidates(held_out, start, choose, found))
    tried = [found, *(_evidence(held_out, candidate) for candidate in candidates)]
    chosen = _likeliest([evidence.log_likelihood() for evidence in tried])
    best, found = [start, *candidates][chosen], tried[chosen]
    unscaled = best
    best, found = _with_scale(held_out, best, found)
    if not 0.0 < found.scale() < np.inf:
        return best  # predictions without error say nothing of their scale
    exponent, level = _law_exponent(found)
    factor = widening(found.z2 / level, exponent) if exponent else 1.0
    scale = best.scale * found.scale(factor)
    scale = scale if shrink or not stated else max(1.0, scale)
    level *= (best.scale / scale) ** 2  # the law's test is in units of the scaled variance
    best = replace(best, scale=scale, law_exponent=exponent, law_level=level)
    # Points that are nearly sure and wrong may ask for a scale at the cost of all others.
    if stated and scale > 1.0 and _crps(held_out, best) > _crps(held_out, unscaled):
        return unscaled
    return best


def out_of_fold(
    model: Any, X: Any, y: np.ndarray, fit_params: Mapping[str, Any]
) -> Iterator[HeldOut]:
    """Yield each fold of the training data with a model whose backbone was fitted on the others."""
    if is_frozen(model.estimator_):
        raise ValueError(
            "The backbone is frozen, so its residuals would be those of its own training data; "
            "give data that it has not seen: calibration=(X, y)."
        )
    for train, test in fold_fields(model._layout().labels(X), "calibrated"):
        seen = model._seen_by_backbone(
            _safe_indexing(X, train), model.estimator_, model.constraints_, model.grid_
        )
        part = copy(model)
        part.estimator_ = fit_backbone(
            clone(model.estimator_), seen, y[train], **_check_method_params(X, fit_params, train)
        )
        yield HeldOut(part, _safe_indexing(X, test), y[test])


def _candidates(
    held_out: Sequence[HeldOut], start: ErrorModel, choose: Mapping[str, bool], found: Evidence
) -> Iterator[ErrorModel]:
    """Yield error models to try, the simple ones first."""
    ways = [start.members]
    if choose["members"] and found.by_members:
        ways.append("marginal")
    lengths: list[Any] = [start.correlation_length]
    if choose["correlation_length"] and 0 < found.n_rows <= MOST_ROWS:
        extents = _extents(held_out[0].model)
        lengths += [{name: part * e for name, e in extents.items()} for part in PARTS if extents]
        if len(extents) > 1:
            lengths += [{name: part * e} for name, e in extents.items() for part in PARTS]
    for way in ways:
        for length in lengths:
            candidate = replace(start, members=way, correlation_length=length)
            if candidate != start:
                yield candidate


def _extents(model: Any) -> dict[str, float]:
    """Return the length of each axis; none where points have no neighbours."""
    grid = model.grid_
    if isinstance(grid, ColumnGrid):
        if grid.nodes is not None and len(grid.names) > 1:
            return {}  # correlations with queries are dense, and limited to a number of points
        ends = [high - low for low, high in model._domain.values()]
        spans = dict(zip(grid.names, ends, strict=True))
    elif isinstance(grid, Grid):
        spans = {
            name: float(axis.period or np.ptp(axis.points))
            for name, axis in grid.axes.items()
            if axis.size > 1
        }
    else:
        return {}
    return {name: span for name, span in spans.items() if span > 0}


def _with_scale(
    held_out: Sequence[HeldOut], model: ErrorModel, found: Evidence
) -> tuple[ErrorModel, Evidence]:
    """Settle the scale. Only a law with noise needs more than one round."""
    for _ in range(ROUNDS):
        scale = found.scale()
        if not 0.0 < scale < np.inf or abs(scale - 1.0) < 1e-3:
            break
        model = replace(model, scale=model.scale * scale)
        found = _evidence(held_out, model)
    return model, found


def _law_exponent(found: Evidence) -> tuple[float, float]:
    """Return how the variance follows the law's test, and that test's usual value."""
    level = float(np.mean(found.z2)) if len(found.z2) >= FEWEST_FIELDS else 0.0
    if not 0.0 < level < np.inf:
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


def _evidence(held_out: Sequence[HeldOut], error_model: ErrorModel) -> Evidence:
    parts = [e for part in held_out for e in _part_evidence(part, error_model)]
    names = ("n_points", "log_variance", "squares", "z2")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Evidence(
        **joined,
        n_rows=max(part.n_rows for part in parts),
        stated=all(part.stated for part in parts),
        by_members=any(part.by_members for part in parts),
    )


def _crps(held_out: Sequence[HeldOut], error_model: ErrorModel) -> float:
    """Return the mean CRPS of held-out fields, which few points far off cannot make large."""
    judged = [j for part in held_out for j in _judged(part, error_model)]
    scores = [crps(j.truth, j.mean, j.std) for j in judged]
    return float(np.average(scores, weights=[len(j.mean) for j in judged]))


def _part_evidence(part: HeldOut, error_model: ErrorModel) -> Iterator[Evidence]:
    """Yield the evidence of each batch."""
    for judged in _judged(part, replace(error_model, law_exponent=0.0)):
        error2, variance = (judged.truth - judged.mean) ** 2, judged.std**2
        batch = judged.batch
        counts = variance > 0.0
        safe = np.where(counts, variance, 1.0)
        n_points = np.maximum(counts.sum(axis=1), 1)
        yield Evidence(
            counts.sum(axis=1),
            np.sum(np.log(safe), axis=1) / n_points,
            np.sum(np.where(counts, error2 / safe, 0.0), axis=1) / n_points,
            _test(judged.prior, judged.field, batch),
            batch.system.rows.shape[0],
            batch.prediction.states_uncertainty,
            batch.prediction.member_means is not None,
        )


def _judged(part: HeldOut, error_model: ErrorModel) -> Iterator[Judged]:
    """Yield the batches of held-out fields as an error model predicts them."""
    model = copy(part.model)
    model.error_model_ = error_model
    truth = part.y.reshape(model._layout().output_shape(part.X))
    for batch, prior, field in _without_warning(model._posteriors(part.X, None, True)):
        std = np.broadcast_to(field.std(), field.mean.shape)[:, batch.shown]
        yield Judged(batch, prior, field, truth[batch.index], field.mean[:, batch.shown], std)


def _without_warning(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield batches; that a backbone states no uncertainty is what calibration is for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* states no uncertainty")
        yield from batches


def _test(prior: Sequence[Gaussian], field: Any, batch: Any) -> np.ndarray:
    """Return the law's test of each field, nan where there is none."""
    conditioned = getattr(field, "field", field)  # without the inequalities
    z2 = None
    if len(prior) == 1 and isinstance(conditioned, Gaussian):
        z2 = law_misfit(prior[0], conditioned, batch.system)
    return np.full(len(batch.prediction.mean), np.nan) if z2 is None else z2


def _remembering(model: Any) -> Any:
    """Return a copy that asks its backbone only once for the same rows."""
    model = copy(model)
    ask, answers = model._ask_backbone, {}

    def answer(X: Any, sizes: Any = None) -> Any:
        key = joblib.hash((X, sizes))
        if key not in answers:
            asked = ask(X, sizes)
            answers[key] = asked if isinstance(asked, Prediction) else list(asked)
        return answers[key]

    model._ask_backbone = answer
    return model

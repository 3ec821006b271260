"""Split-conformal intervals: how many standard deviations held-out fields were off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import ceil, floor

import numpy as np

from skphys.estimators._base_errors import BaseErrorModel, HeldOut

ROUNDING = 1e-12  # part of a field's largest value by which a known point may be off
SLACK = 1e-9  # of a rank, which is a product of floats


def conformity_scores(
    errors: BaseErrorModel,
    held_out: Iterable[HeldOut],
    fallback: BaseErrorModel | None = None,
) -> list[np.ndarray]:
    """Return how far held-out fields are from what is predicted after the constraints.

    Parameters
    ----------
    errors : BaseErrorModel
        Fitted.
    held_out : iterable of HeldOut
        Batches of fields with their true values.
    fallback : BaseErrorModel, optional
        Fitted; gives the standard deviation where `errors` has none.

    Returns
    -------
    list of ndarray of shape (n_outputs,)
        For each field the distance of each point from the mean, in standard deviations: inf where
        there is none, 0 where the truth is the mean, too. Empty where the fields cannot be
        predicted: a table whose fields are not whole, or values that cannot be met.
    """
    found: list[np.ndarray] = []
    with suppress(ValueError):
        for part in held_out:
            field, shown = errors.posterior(part.fields), part.fields.shown
            std = np.broadcast_to(field.std(), field.mean.shape)[:, shown]
            if fallback is not None and not std.all():
                other = np.broadcast_to(fallback.posterior(part.fields).std(), field.mean.shape)
                std = np.where(std > 0.0, std, other[:, shown])
            error = np.abs(part.truth - field.mean[:, shown])
            error[error <= ROUNDING * np.abs(part.truth).max(axis=1, keepdims=True)] = 0.0
            with np.errstate(divide="ignore", invalid="ignore"):
                found.extend(np.where(error == 0.0, 0.0, error / std))
        return found
    return []


def apart_scores(
    errors: BaseErrorModel, fitted: BaseErrorModel, held_out: Sequence[HeldOut]
) -> list[np.ndarray]:
    """Return the scores of fields under an error model that has not learned from them.

    Fields that an error model learned from fit it better than new ones. So each half of them is
    judged by what is learned from the other (cross-conformal prediction, Vovk 2015).

    Parameters
    ----------
    errors, fitted : BaseErrorModel
        Before and after `fit` on all of them; the same if it learns nothing.
    held_out : sequence of HeldOut
        Batches of fields with their true values.

    Returns
    -------
    list of ndarray of shape (n_outputs,)
        As of `conformity_scores`.
    """
    n_fields = sum(len(part.truth) for part in held_out)
    if fitted is errors or n_fields < 2:
        return conformity_scores(fitted, held_out)
    half = np.random.default_rng(0).permutation(n_fields) % 2 == 0
    found: list[np.ndarray] = []
    for own in (half, ~half):
        learned = errors.fit([part.linear() for part in _taken(held_out, ~own)])
        scores = conformity_scores(learned, _taken(held_out, own), fallback=fitted)
        if not scores:
            return []
        found.extend(scores)
    return found


def _taken(held_out: Sequence[HeldOut], mask: np.ndarray) -> list[HeldOut]:
    ends = np.cumsum([len(part.truth) for part in held_out])[:-1]
    masks = np.split(mask, ends)
    return [part.take(own) for part, own in zip(held_out, masks, strict=True) if own.any()]


def n_needed(coverage: float) -> int:
    """Return how many held-out fields an interval of that coverage takes."""
    return ceil(coverage / (1.0 - coverage) - SLACK)


def conformal_factor(
    scores: Sequence[np.ndarray], coverage: float, simultaneous: bool, pooled: bool
) -> np.ndarray:
    """Return how many standard deviations make an interval that holds an exchangeable field.

    Parameters
    ----------
    scores : sequence of ndarray of shape (n_outputs,)
        Of held-out fields.
    coverage : float
        The least probability, between 0 and 1.
    simultaneous : bool
        Whether of the whole field, or else of each point.
    pooled : bool
        Whether fields do not share their points, so that points are pooled.

    Returns
    -------
    ndarray of shape () or (n_outputs,)
        The second if each point has its own.

    Raises
    ------
    ValueError
        If there are too few fields.
    """
    n_fields = len(scores)
    rank = ceil((n_fields + 1) * coverage - SLACK)
    if (needed := n_needed(coverage)) > n_fields:
        raise ValueError(
            f"A conformal interval of coverage {coverage:.6g} needs {needed} held-out fields; "
            f"there are {n_fields}, enough for {floor(1e4 * n_fields / (n_fields + 1)) / 1e4:.4g} "
            f"at most. Give more fields in calibration=(X, y), or take a smaller coverage."
        )
    if simultaneous:
        return np.sort([field.max(initial=0.0) for field in scores])[rank - 1]
    if not pooled:
        return np.sort(np.stack(scores), axis=0)[rank - 1]
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(len(s), 1.0 / len(s)) for s in scores]) / (n_fields + 1)
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(weights[order]), coverage - ROUNDING)
    return values[order][min(int(reached), len(values) - 1)]

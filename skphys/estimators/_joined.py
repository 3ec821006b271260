"""Held-out fields in few batches: each costs some thousand calls, however small it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints import EqualitySystem, merge_inequalities
from skphys.estimators._base_errors import HeldOut
from skphys.predictive import Prediction

MOST = 1 << 17  # values, of all members, that are put together: beyond that calls are cheap
ARRAYS = ("mean", "std", "member_means", "member_stds")


def joined(batches: Sequence[HeldOut]) -> list[HeldOut]:
    """Return the same fields, in the same order, with small batches of the same points together.

    Parameters
    ----------
    batches : sequence of HeldOut
        Without inequalities and nonlinear equalities.
    """
    together: list[list[HeldOut]] = []
    for batch in batches:
        if together and _fits(together[-1], batch):
            together[-1].append(batch)
        else:
            together.append([batch])
    return [_joined(each) if len(each) > 1 else each[0] for each in together]


def _fits(before: Sequence[HeldOut], batch: HeldOut) -> bool:
    """Say whether a batch differs from those before in its fields alone, and is small."""
    one, other = before[0].fields, batch.fields
    small = sum(_size(each) for each in (*before, batch)) <= MOST
    if not small or not all(_is_plain(each) for each in (before[0], batch)):
        return False
    kinds = [
        [None if a is None else a.shape[:-2] for a in _arrays(fields.prediction)]
        for fields in (one, other)
    ]
    same = kinds[0] == kinds[1] and one.where.grid == other.where.grid
    return same and _same_rows(one.system, other.system)


def _is_plain(batch: HeldOut) -> bool:
    """Say whether all it holds has a row for each field, whose truth is known everywhere."""
    fields, said = batch.fields, batch.fields.prediction
    unlike = said.cov, fields.noise, fields.stated, fields.nonlinear, fields.where.interpolation
    whole = isinstance(fields.shown, slice) and not said.constraints
    return (
        whole
        and all(each is None for each in unlike)
        and all(a is None or a.strides[-2] for a in _arrays(said))
    )


def _arrays(said: Prediction) -> list[np.ndarray | None]:
    return [getattr(said, name) for name in ARRAYS]


def _size(batch: HeldOut) -> int:
    return max(a.size for a in _arrays(batch.fields.prediction) if a is not None)


def _same_rows(one: EqualitySystem, other: EqualitySystem) -> bool:
    """Say whether rows, and what noise fields share, are the same."""
    if one.names != other.names or len(one.noise_rows) != len(other.noise_rows):
        return False
    pairs = [(one.rows, other.rows), *zip(one.noise_rows, other.noise_rows, strict=True)]
    if one.noise.ndim == 1 or other.noise.ndim == 1:
        pairs.append((one.noise, other.noise))
    return all(_equal(*pair) for pair in pairs)


def _equal(one: Any, other: Any) -> bool:
    if sparse.issparse(one) and sparse.issparse(other):
        return one.shape == other.shape and (one != other).nnz == 0
    return not sparse.issparse(one) and not sparse.issparse(other) and np.array_equal(one, other)


def _joined(batches: Sequence[HeldOut]) -> HeldOut:
    first, systems = batches[0].fields, [batch.fields.system for batch in batches]
    truth = np.concatenate([batch.truth for batch in batches])
    arrays = zip(ARRAYS, *(_arrays(batch.fields.prediction) for batch in batches), strict=True)
    said: Any = {name: None if a[0] is None else np.concatenate(a, axis=-2) for name, *a in arrays}
    noise = first.system.noise
    if noise.ndim == 2:
        noise = np.concatenate([system.noise for system in systems])
    values = np.concatenate([system.values for system in systems])
    fields = replace(
        first,
        prediction=Prediction(**said),
        system=replace(first.system, values=values, noise=noise),
        inequalities=merge_inequalities([], truth.shape[1], len(truth)),
        index=np.arange(len(truth)),
    )
    return HeldOut(fields, truth)

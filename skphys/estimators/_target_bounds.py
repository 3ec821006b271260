"""Whether the training targets obey the declared inequalities, but for noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skphys.conditioning import (
    Diagonal,
    Gaussian,
    InfeasibleInequalitiesError,
    point_bounds,
    project,
)
from skphys.constraints import ConstraintSet, FieldTable, InequalityConstraint
from skphys.estimators._warn import warn_user
from skphys.grids import grid_parts

FAR = 0.5  # standard deviations of the targets: further than noise around a bound
NEAR = 0.1  # the same, of what does not matter though it is not noise
SHARE = 0.02  # of values: more than a few outliers
ROUNDING = 1e-6  # targets are often stored in float32
MOST = 1 << 12  # values of fields that are projected, which takes time: a sample
TINY = np.finfo(np.float64).tiny

Part = tuple[ConstraintSet, FieldTable, np.ndarray]


def warn_if_out_of_bounds(parts: Sequence[Part], cause: str = "") -> None:
    """Warn, once for all inequalities, if fields that obey are far from the targets.

    That is, if more than `SHARE` of the values would have to move by more than `FAR` standard
    deviations of all targets, on components by those of each. `NEAR` is enough for bounds beyond
    which there is more than noise: that leaves about as many values on the right side, as near.

    Parameters
    ----------
    parts : sequence of (ConstraintSet, FieldTable, ndarray of shape (n_fields, n_points))
        Training fields, and what they should obey.
    cause : str, default=""
        What is seen to be wrong, in place of what to check.
    """
    listed = parts[0][0].named if parts else []
    names = [name for name, c in listed if isinstance(c, InequalityConstraint)]
    stds, said = _spread(parts) if names else [], []
    for name in names:
        found = [_beyond(name, *part) for part in parts]
        shares = [each / std for each, std in zip(found, stds, strict=True)]
        sides = np.concatenate([each.reshape(len(each), -1) for each in shares], axis=1)
        noisy = [len(sides) == 1 or _like_noise(side) for side in sides]
        least = np.where(noisy, FAR, NEAR)[:, None, None]
        far = [(each > least).any(axis=0) for each in shares]
        if np.concatenate([each.ravel() for each in far]).mean() > SHARE:
            share = np.concatenate([each.any(axis=1) for each in far]).mean()
            most = max(each.max() for each in found)
            what = "fields" if parts[0][2].shape[1] > 1 else "values"
            said.append(f"{name!r} in {share:.0%} of the {what}, by up to {most:.3g}")
    advice = (
        "Check signs and units. Where the targets are right, widen the bounds or leave them out; "
        "where they are not, clip the targets."
    )
    if said:
        warn_user(
            f"The training targets break inequality {' and '.join(said)}: more than noise around a "
            f"bound, and what is predicted is moved away from them. {cause or advice}"
        )


def _beyond(name: str, stated: ConstraintSet, table: FieldTable, fields: np.ndarray) -> np.ndarray:
    """Return how far values are below and above their bounds, (2, n_fields, n_points).

    Of rows that are no bounds of values, how far those of the nearest field that obeys are, (1,
    n_fields, n_points); of a sample of the fields, since that takes time.
    """
    only = [(name, dict(stated.named)[name])]
    system = ConstraintSet(only, stated.grid, stated.feature_names).inequalities(table)
    if (np.diff(system.rows.indptr) == 1).all():
        low, high = point_bounds(system.rows, system.lower, system.upper)
        beyond = np.stack([low - fields, fields - high])
    else:
        some = slice(None, None, 1 + fields.size // MOST)
        fields, system = fields[some], system.take(some)
        gaussian = Gaussian(fields, Diagonal(np.ones_like(fields)))
        try:
            nearest = project(gaussian, system.rows, system.lower, system.upper)
        except (InfeasibleInequalitiesError, RuntimeError):
            nearest = fields  # which predict will say
        beyond = np.abs(nearest - fields)[None]
    return beyond - ROUNDING * np.abs(fields).max(axis=0)


def _like_noise(beyond: np.ndarray) -> bool:
    """Say whether about as many values are on the right side of a bound, and as near to it."""
    out = beyond[beyond > 0.0]
    reach = 2.0 * np.median(out) if len(out) else 0.0
    as_near = np.count_nonzero((beyond <= 0.0) & (beyond > -reach))
    return len(out) <= 2 * int(as_near)


def _spread(parts: Sequence[Part]) -> list[np.ndarray]:
    """Return standard deviations of all targets, or of a component's, for the points of each."""
    if len(parts) > 1:
        std = np.std(np.concatenate([fields.ravel() for _, _, fields in parts]))
        return [np.maximum(std, TINY)] * len(parts)
    ((stated, _, fields),) = parts
    of_parts = [fields[:, where] for _, where in grid_parts(stated.grid)]
    stds = [np.full(part.shape[1], np.maximum(part.std(), TINY)) for part in of_parts]
    return [np.concatenate(stds)]

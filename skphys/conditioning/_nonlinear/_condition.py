"""Conditioning Gaussian fields on nonlinear equalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skphys.conditioning._arrays import Normal
from skphys.conditioning._gaussian import Gaussian, check_noise
from skphys.conditioning._nonlinear._law import Array, Law, Noisy, Problem, Stacked
from skphys.conditioning._nonlinear._nearest import Found, missed, nearest
from skphys.conditioning._nonlinear._tangent import Tangent

MET = 1e-10  # what may be left of a law, relative to its terms
MAX_VALUES = 1 << 22  # float64 values of draws, with their derivatives, at once: 32 MiB


class UnmetLawError(ValueError):
    """No field on a nonlinear law was found, or none that also obeys the rest.

    Attributes
    ----------
    rows : list of int
        The rows of the law that are not met.
    sample : tuple of int
        Index of the first field that does not meet them.
    gap : float
        The largest ``|v - f(u)|`` that is left of them.
    """

    def __init__(self, rows: list[int], sample: tuple[int, ...], gap: float) -> None:
        self.rows = rows
        self.sample = sample
        self.gap = gap
        super().__init__(
            f"No field was found that meets row(s) {rows} of the nonlinear law; the nearest to "
            f"it, for field {sample}, misses by {gap:.3g}. Either there is none, or the law's "
            f"derivatives vanish along everything in which the field has variance. Check the "
            f"values, or give them a positive noise."
        )

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.rows, self.sample, self.gap)


class OnLaw(Gaussian):
    """A Gaussian in the tangent space of a law, whose draws are draws of the prior on the law.

    Parameters
    ----------
    prior : Gaussian
        The Gaussian before.
    moving : Gaussian
        In whose metric fields move, and whose linear rows they keep.
    problem : Problem
        Of the mean.
    found : Found
        Its solution.
    noise : ndarray of shape (n_fields, n_rows)
        Standard deviations of the values.
    """

    def __init__(
        self, prior: Gaussian, moving: Gaussian, problem: Problem, found: Found, noise: Array
    ) -> None:
        n_points, batch = prior.mean.shape[-1], prior.mean.shape[:-1]
        rows, moved = found.local.rows[0, ..., :n_points], found.local.moved[0, ..., :n_points, :]
        parts = (rows, moved @ found.local.inverse[0], noise**2)
        rows, gain, variance = (part.reshape(*batch, *part.shape[1:]) for part in parts)
        mean = found.field[0, ..., :n_points].reshape(prior.mean.shape)
        super().__init__(mean, Tangent(prior.covariance, rows, gain, variance))
        self._prior = prior
        self._moving = moving
        self._problem = problem
        self._dual = found.dual
        self._noise = noise

    def _drawn(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        drawn = self._prior._drawn(normal, shape)
        noise = self._noise * normal((shape[0], *self._noise.shape))
        n_points = drawn.shape[-1]
        given = drawn.reshape(shape[0], -1, n_points)
        if self._problem.noise is not None:
            given = np.concatenate([given, noise], axis=-1)
        size = self._problem.values[0].size * n_points * 4
        step = max(1, MAX_VALUES // max(1, size))
        for first in range(0, len(given), step):
            some = slice(first, first + step)
            drawn[some] = self._on_law(given[some]).reshape(drawn[some].shape)
        return drawn

    def _on_law(self, given: Array) -> Array:
        """Return draws on the law; each begins with what has moved the mean."""
        values = np.broadcast_to(
            self._problem.values, (len(given), *self._problem.values.shape[1:])
        )
        problem = replace(self._problem, mean=given, values=values)
        found = nearest(problem, self._dual)
        found = checked(problem, found, self._moving, self.mean.shape)
        return found.field[..., : self.mean.shape[-1]]


def condition_nonlinear(
    gaussian: Gaussian,
    law: Law,
    values: Any,
    noise: Any = 0.0,
    *,
    moving: Gaussian | None = None,
) -> Gaussian:
    """Condition Gaussian fields on ``f(field) = values + noise``, with any smooth ``f``.

    The mean becomes the most probable field on the law, and the covariance that of the law's
    tangent space there. Each draw is the most probable field on the law as seen from a draw before.

    Parameters
    ----------
    gaussian : Gaussian
        Of mean (n_points,) or (n_fields, n_points), NumPy float64. After `condition` its linear
        rows stay exact.
    law : Law
        An object with the methods ``evaluate(fields)``, ``jacobian(fields)`` and
        ``curvature(fields, multipliers, directions)``, of fields (n_fields, n_points); they return
        ``f`` of shape (n_fields, n_rows), its derivatives, (n_fields, n_rows, n_points), and the
        second derivatives of ``sum(multipliers * f)`` times the directions, (n_fields, n_points).
    values : array broadcasting to (n_fields, n_rows)
        ``v``; NaN where it is not known.
    noise : float or array broadcasting to (n_fields, n_rows), default=0.0
        Standard deviation of the values.
    moving : Gaussian, default=None
        In the metric of whose covariance fields move, and whose linear rows they keep; by default
        `gaussian`.

    Returns
    -------
    Gaussian
        On the law.

    Raises
    ------
    UnmetLawError
        If no field on the law is found. It names the rows, the field, and how near one came.

    Notes
    -----
    It is an iterated linearisation: Gauss-Newton in the metric of the covariance, with steps for
    the law's curvature, and a line search. Without noise ``|f(u) - v|`` of mean and draws is at
    most 1e-10 relative to ``|J| |u| + |v|``, mostly some roundings. The mean is a local solution:
    that to which a descent from the given mean leads.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.conditioning import Diagonal, Gaussian, condition_nonlinear
    >>> class Sphere:
    ...     def evaluate(self, fields):
    ...         return (fields**2).sum(axis=1, keepdims=True)
    ...
    ...     def jacobian(self, fields):
    ...         return 2.0 * fields[:, None]
    ...
    ...     def curvature(self, fields, multipliers, directions):
    ...         return 2.0 * multipliers * directions
    >>> prior = Gaussian(np.array([3.0, 4.0]), Diagonal(np.ones(2)))
    >>> condition_nonlinear(prior, Sphere(), 100.0).mean.round(12)
    array([6., 8.])
    """
    movers = None if moving is None else [moving]
    return condition_members([gaussian], law, values, noise, movers)[0]


def condition_members(
    gaussians: Sequence[Gaussian],
    law: Law,
    values: Any,
    noise: Any = 0.0,
    moving: Sequence[Gaussian] | None = None,
) -> list[Gaussian]:
    """Condition the members of a mixture, each as `condition_nonlinear` does, in a few batches.

    Parameters
    ----------
    gaussians : sequence of Gaussian
        Of the same shape.
    law, values, noise
        As in `condition_nonlinear`, the same for all.
    moving : sequence of Gaussian, default=None
        For each the one in whose metric it moves.
    """
    shape = np.shape(gaussians[0].mean)
    if len(shape) > 2:
        raise ValueError(f"The mean must have one or two axes here; got shape {shape}.")
    n_fields, n_points = (1, *shape)[-2:]
    some = np.reshape(np.asarray(gaussians[0].mean, dtype=np.float64), (n_fields, n_points))
    n_rows = law.evaluate(some[:1]).shape[1] if n_fields else np.shape(values)[-1]
    v, std = (
        np.array(np.broadcast_to(np.asarray(array, float), (n_fields, n_rows)))
        for array in (values, noise)
    )
    std[np.isnan(v)] = 0.0
    check_noise(std)
    parts = list(zip(gaussians, gaussians if moving is None else moving, strict=True))
    step = max(1, MAX_VALUES // max(1, 4 * some.size * n_rows))
    return [
        each
        for first in range(0, len(parts), step)
        for each in _condition(parts[first : first + step], law, v, std)
    ]


def _condition(
    parts: Sequence[tuple[Gaussian, Gaussian]], law: Law, values: Array, std: Array
) -> list[Gaussian]:
    """Solve for all of some members as for more fields, then take them apart."""
    shape, n_fields = parts[0][0].mean.shape, len(values)
    problems = []
    for gaussian, moving in parts:
        mean = np.asarray(gaussian.mean, dtype=np.float64).reshape(1, n_fields, shape[-1])
        problem = Problem(moving.covariance, law, mean, values[None])
        problems.append(_with_noise(problem, std) if std.any() else problem)
    found = nearest(Stacked.of(problems, n_fields))
    apart: list[Gaussian] = []
    for k, ((gaussian, moving), problem) in enumerate(zip(parts, problems, strict=True)):
        own = found.take(slice(k * n_fields, (k + 1) * n_fields))
        apart.append(OnLaw(gaussian, moving, problem, checked(problem, own, moving, shape), std))
    return apart


def _with_noise(problem: Problem, std: Array) -> Problem:
    """Give the noise coordinates of its own."""
    law, aside = Noisy(problem.law, problem.mean.shape[-1]), np.zeros((1, *std.shape))
    mean = np.concatenate([problem.mean, aside], axis=-1)
    return Problem(problem.covariance, law, mean, problem.values, std**2)


def checked(problem: Problem, found: Found, moving: Gaussian, shape: tuple[int, ...]) -> Found:
    """Return a solution with its linear rows exact, or raise if it does not meet the law."""
    n_points = shape[-1]
    field = found.field.copy()
    kept = moving.kept(field[..., :n_points].reshape(len(field), *shape))
    field[..., :n_points] = kept.reshape(field[..., :n_points].shape)
    gap = problem.gap(field, np.ones(field.shape[:-1], dtype=bool))
    left = missed(gap, found.local.terms)
    worst = np.argwhere((left > MET).any(axis=-1))
    if len(worst):
        at = tuple(worst[0])
        rows = np.flatnonzero(left[at] > MET)
        raise UnmetLawError(rows.tolist(), (int(at[1]),), float(np.abs(gap[at])[rows].max()))
    return found._replace(field=field)

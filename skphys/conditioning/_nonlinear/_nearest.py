"""The nearest fields on a law: Newton steps on the tangent, by conjugate gradients, in a batch.

A field is ``u = mean + S w``; both ``S w`` and ``w`` are kept, so that ``S`` is never inverted. A
step solves the law's linearisation (Gauss-Newton), then moves along the law for its curvature;
conjugate gradients preconditioned by ``S`` do that, as in Gould, Hribar and Nocedal, "On the
solution of equality constrained quadratic programming problems arising in optimization", SIAM
Journal on Scientific Computing 23, 2001. Steps are halved until the distance plus the penalised gap
falls (Nocedal and Wright, Numerical Optimization, 2006, section 18.3).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from skphys.conditioning._nonlinear._law import Array, Local, Problem

MAX_STEPS, MAX_INNER, HALVINGS, NEWTON = 200, 40, 24, 6
ROUNDING = 64.0 * np.finfo(np.float64).eps
FLAT = 1e-2  # curvature, in units of that of the distance, that is taken for none
INNER = 1e-1  # part of a step that its last correction for curvature may be
SETTLED = 1e-9  # part of the distance that is no step any more
DECREASE = 1e-4  # least part of what a step promises that it has to keep


class Found(NamedTuple):
    """Fields on a law, or as near as one came.

    Attributes
    ----------
    field, dual : ndarray of shape (n_draws, n_fields, n_points)
        ``u``, and ``w`` of ``u = mean + S w``.
    local : Local
        The law there.
    """

    field: Array
    dual: Array
    local: Local

    def take(self, part: Any) -> Found:
        """Return what was found of some of the fields."""
        own = (getattr(self.local, each.name)[:, part] for each in fields(Local))
        return Found(self.field[:, part], self.dual[:, part], Local(*own))


class _Step(NamedTuple):
    """A change of ``S w`` and of ``w``, and what it does to the distance, at first order."""

    field: Array
    dual: Array
    slope: Array


def nearest(problem: Problem, dual: Array | None = None) -> Found:
    """Find the fields on the law that are nearest to the means.

    Parameters
    ----------
    problem : Problem
        Means, law and covariance.
    dual : ndarray of shape (1 or n_draws, n_fields, n_points), optional
        Where to begin: ``w`` of fields like these.
    """
    w = np.zeros_like(problem.mean) if dual is None else 0.0 * problem.mean + dual
    away = np.zeros_like(w) if dual is None else problem.moved(w)
    penalty = np.zeros_like(problem.values)
    some = np.ones(problem.mean.shape[:-1], dtype=bool)
    for _ in range(MAX_STEPS):
        field = problem.mean + away
        local = problem.local(field, some)
        x = local.multipliers(local.gap + (local.rows @ away[..., None])[..., 0])
        penalty = np.maximum(penalty, 2.0 * np.abs(x))
        step = _step(problem, local, field, away, w, x, penalty, some)
        small = _dot(step.field, step.dual) <= SETTLED**2 * np.abs(_dot(away, w))
        before = _merit(away, w, local.gap, penalty)
        slack = ROUNDING * (np.abs(before) + np.sum(penalty * local.terms, axis=-1))
        small |= -step.slope <= slack  # what it promises is rounding
        small |= np.abs(step.field).max(-1) <= 4.0 * np.finfo(float).eps * np.abs(field).max(-1)
        goal = before + slack
        away, w, moved = _search(problem, local, (away, w), step, penalty, goal, some)
        some = some & moved & ~small
        if not some.any():
            break
    return _met(problem, problem.mean + away, w)


def _step(
    problem: Problem,
    local: Local,
    field: Array,
    away: Array,
    w: Array,
    x: Array,
    penalty: Array,
    some: Array,
) -> _Step:
    """Return the step to the linearised law, and along it for the curvature where that helps."""
    acts = some[..., None]
    step = np.where(acts, local.field(x) - away, 0.0)
    dual = np.where(acts, local.dual(x) - w, 0.0)
    missing = np.sum(penalty * np.abs(local.gap), axis=-1)
    slope = _dot(w, step) - missing
    t, t_dual = _bend(problem, local, field, (step, dual), x, some)
    bent = _dot(w, step + t) - missing
    keep = (bent < 0.1 * slope)[..., None]
    return _Step(
        step + np.where(keep, t, 0.0),
        dual + np.where(keep, t_dual, 0.0),
        np.where(keep[..., 0], bent, slope),
    )


def _bend(
    problem: Problem, local: Local, field: Array, step: tuple[Array, Array], x: Array, some: Array
) -> tuple[Array, Array]:
    """Return what a step lacks because the law is curved, tangent to it, and its dual."""
    t, t_dual = np.zeros_like(field), np.zeros_like(field)
    size = INNER**2 * _dot(*step)
    left = problem.curved(field, x, step[0], some)
    y, left = local.tangent(problem.moved(left), left)
    rho = _dot(left, y)
    p, p_dual = -y, -left
    for _ in range(MAX_INNER):
        some = some & (rho > size) & (_dot(p, p_dual) > 0.0)
        if not some.any():
            break
        q = p_dual + problem.curved(field, x, p, some)
        bent = _dot(p, q)
        least = FLAT * _dot(p, p_dual)
        ratio = np.divide(rho, np.maximum(np.abs(bent), least), np.zeros_like(rho), where=some)
        ratio = ratio[..., None]
        t, t_dual, left = t + ratio * p, t_dual + ratio * p_dual, left + ratio * q
        some = some & (bent > least)  # else it curves away from the mean: this way is the last
        y, left = local.tangent(problem.moved(left), left)
        fresh = _dot(left, y)
        turn = np.divide(fresh, rho, out=np.zeros_like(rho), where=some)[..., None]
        p, p_dual, rho = turn * p - y, turn * p_dual - left, fresh
    return t, t_dual


def _search(
    problem: Problem,
    local: Local,
    start: tuple[Array, Array],
    step: _Step,
    penalty: Array,
    goal: Array,
    some: Array,
) -> tuple[Array, Array, Array]:
    """Halve steps until the merit falls; each is also tried with what the law's bend left mended.

    Returns
    -------
    away, w : ndarray
        After the steps.
    moved : ndarray of bool
        Where one was good enough.
    """
    away, w = (array.copy() for array in start)
    left, part = some.copy(), 1.0
    for _ in range(HALVINGS):
        trial = start[0] + part * step.field, start[1] + part * step.dual
        for mended in (False, True):
            gap = problem.gap(problem.mean + trial[0], left)
            if mended:
                x = local.multipliers(np.nan_to_num(gap))
                trial = trial[0] + local.field(x), trial[1] + local.dual(x)
                gap = problem.gap(problem.mean + trial[0], left)
            fallen = _merit(*trial, gap, penalty) <= goal + DECREASE * part * step.slope
            good = left & fallen
            away[good], w[good] = trial[0][good], trial[1][good]
            left = left & ~good
            if not left.any():
                return away, w, some
        part *= 0.5
    return away, w, some & ~left


def _met(problem: Problem, field: Array, w: Array) -> Found:
    """Take the last steps to the law, by which its own rounding is left."""
    some = np.ones(field.shape[:-1], dtype=bool)
    local = problem.local(field, some)
    for _ in range(NEWTON):
        x = local.multipliers(local.gap)
        trial = field + local.field(x)
        after = problem.local(trial, some)
        # In its own units a gap may seem less where the field is huge.
        better = (_worst(after) < _worst(local)) & (_most(after.gap) <= _most(local.gap))
        if not better.any():
            break
        keep = better[..., None]
        field, w = np.where(keep, trial, field), np.where(keep, w + local.dual(x), w)
        local = after if better.all() else problem.local(field, some)
    return Found(field, w, local)


def _worst(local: Local) -> Array:
    return missed(local.gap, local.terms).max(axis=-1, initial=0.0)


def _most(gap: Array) -> Array:
    return np.abs(gap).max(axis=-1, initial=0.0)


def missed(gap: Array, terms: Array) -> Array:
    """Return gaps in units of their terms; infinite for NaN."""
    share = np.divide(np.abs(gap), terms, out=np.where(gap == 0.0, 0.0, np.inf), where=terms > 0)
    return np.where(np.isnan(share), np.inf, share)


def _merit(away: Array, w: Array, gap: Array, penalty: Array) -> Array:
    """Return half the squared distance plus the penalised gap; infinite where it is NaN."""
    merit = 0.5 * _dot(away, w) + np.sum(penalty * np.abs(gap), axis=-1)
    return np.where(np.isnan(merit), np.inf, merit)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.sum(a * b, axis=-1))

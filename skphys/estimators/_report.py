"""Does projecting help here? What the model expects of it, and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import ndtr

from skphys.conditioning import Gaussian, Mixture
from skphys.constraints import EqualitySystem, NonlinearSystem

MAX_VALUES = 1 << 22  # float64 values of ``S G'`` held at once: 32 MiB
Array = np.ndarray


@dataclass(frozen=True, repr=False, eq=False)
class ConstraintReport:
    """What constraining the predictions of some fields changes.

    Changes are after minus before, averaged over the points of a field: a negative change of the
    mean squared error and a positive one of the log-likelihood are gains. What is expected holds
    if the conditioned Gaussian is right; then projecting always gains. So ask first whether it is:
    `z` should be about 1 in size, and the actual changes near the expected ones.

    Rows whose value is not known for a field are NaN there.

    Parameters
    ----------
    names : tuple of str
        The constraint of each row.
    residual : ndarray of shape (n_fields, n_rows)
        The rows' values minus those of the unconstrained prediction.
    noise : ndarray of shape (n_fields, n_rows)
        Standard deviation of the rows' values, as declared.
    z : ndarray of shape (n_fields, n_rows)
        `residual` in units of the standard deviation that the prediction and the row's noise give
        it.
    expected_mse_change : ndarray of shape (n_fields,)
        Of the mean squared error.
    expected_ll_change : ndarray of shape (n_fields,)
        Of the pointwise log-likelihood. Points that a constraint leaves without variance are left
        out.
    probability : ndarray of shape (n_fields,)
        Of the squared error being smaller after.
    mse_before, mse_after : ndarray of shape (n_fields,) or None
        Against y.
    ll_before, ll_after : ndarray of shape (n_fields,) or None
        Against y.
    coverage : ndarray of shape (n_fields,) or None
        Part of the points that pointwise intervals hold, if asked for.
    simultaneous_coverage : ndarray of shape (n_fields,) or None
        1.0 of fields that simultaneous bands hold as a whole, else 0.0, if asked for.
    truth_residual : ndarray of shape (n_fields, n_rows) or None
        The rows' values minus those of y itself, where y is given at the points of the rows: what
        the grid's rule and errors of the values leave.
    notes : tuple of str
        What was chosen in fit, and why.

    See Also
    --------
    ConservationConstrainedRegressor.constraint_report : Makes it.
    """

    names: tuple[str, ...]
    residual: Array
    noise: Array
    z: Array
    expected_mse_change: Array
    expected_ll_change: Array
    probability: Array
    mse_before: Array | None = None
    mse_after: Array | None = None
    ll_before: Array | None = None
    ll_after: Array | None = None
    coverage: Array | None = None
    simultaneous_coverage: Array | None = None
    truth_residual: Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def mse_change(self) -> Array | None:
        """Actual change of the mean squared error, (n_fields,); None without y."""
        if self.mse_after is None or self.mse_before is None:
            return None
        return self.mse_after - self.mse_before

    @property
    def ll_change(self) -> Array | None:
        """Actual change of the log-likelihood, (n_fields,); None without y."""
        if self.ll_after is None or self.ll_before is None:
            return None
        return self.ll_after - self.ll_before

    def _improved(self) -> Array | None:
        """Say which fields are better after, of those that a constraint says something of."""
        change = self.mse_change
        if change is None or not self.names:
            return change if change is None else change < 0
        known = ~np.isnan(self.residual).all(axis=1)
        return change[known] < 0

    def advice(self) -> list[str]:
        """Say what in the numbers asks for attention.

        Returns
        -------
        list of str
            One sentence or two for each finding; empty if there is none.
        """
        found = []
        z, residual = _rms(self.z), _rms(self.residual)
        if z > 2.0:
            found.append(
                f"The predictions miss the constraints by {z:.2g} times what their uncertainty "
                f"explains: it is too small, or errors are correlated along the field and it does "
                f"not say so (correlation_length), or the values are not those of these fields."
            )
        missed = 0.0 if self.truth_residual is None else _rms(self.truth_residual)
        if missed > max(0.1 * residual, 2.0 * _rms(self.noise)):
            more = "a larger noise" if self.noise.any() else "that noise"
            rule = "" if self.noise.any() else ", or noise='auto' if it is the quadrature's"
            found.append(
                f"The true fields miss the constraints, too, by {missed:.2g} (rms; the "
                f"predictions by {residual:.2g}): give the constraints {more}{rule}."
            )
        change = self.mse_change
        if change is not None and change.mean() > 2.0 * _standard_error(change):
            found.append(
                "Projecting raises the squared error: it moves points that were right. Where it "
                "moves them is the covariance's choice: try correlation_length, a backbone with "
                "members, or noise."
            )
        return found

    def __repr__(self) -> str:
        """Return a table of the averages over the fields."""
        n_fields, n_rows = self.residual.shape
        kinds = ", ".join(map(repr, dict.fromkeys(self.names)))
        lines = [
            f"ConstraintReport: {n_fields} field(s), {n_rows} row(s) of {kinds or 'no constraint'}",
            f"misses before   rms {_rms(self.residual):.3g}, {_rms(self.z):.3g} times as expected",
            f"{'':16s}{'expected':>12s}{'actual':>12s}",
            _line("change of MSE", self.expected_mse_change, self.mse_change),
            _line("change of LL", self.expected_ll_change, self.ll_change),
            _line("fields improved", self.probability, self._improved(), ".0%"),
        ]
        if self.coverage is not None and self.simultaneous_coverage is not None:
            parts, wholes = np.mean(self.coverage), np.mean(self.simultaneous_coverage)
            lines.append(f"intervals hold {parts:.0%} of the points, {wholes:.0%} of whole fields")
        return "\n".join([*lines, *(f"- {line}" for line in [*self.notes, *self.advice()])])


def report(
    prior: Sequence[Gaussian],
    field: Any,
    system: EqualitySystem,
    law: NonlinearSystem | None = None,
    shown: Any = slice(None),
    truth: Array | None = None,
    held: Sequence[Array] = (),
) -> ConstraintReport:
    """Compare Gaussian fields before and after the constraints.

    Parameters
    ----------
    prior : sequence of Gaussian
        Before; several are members.
    field : Gaussian or Mixture
        After. If it has a `field`, this is the Gaussian that the model believes in, and its own
        mean has been moved on, by inequalities.
    system : EqualitySystem
        The linear equalities between them.
    law : NonlinearSystem, optional
        The nonlinear ones; their standard deviations are those of their linearisation.
    shown : slice or ndarray of int
        The points that count.
    truth : ndarray of shape (n_samples, n_shown), optional
        The true fields there.
    held : sequence of ndarray of shape (n_samples, n_shown), default=()
        Which points intervals hold, those at each point and those around whole fields.
    """
    before = prior[0] if len(prior) == 1 else Mixture(prior)
    model = getattr(field, "field", field)
    counts = np.bincount(np.arange(before.mean.shape[-1])[shown], minlength=before.mean.shape[-1])
    weights = counts / counts.sum()
    system = system.under(before)
    residual, noise, variance = _rows(prior, before, system, law)
    spreads = [_variance(g)[..., shown] for g in (before, model)]
    actual: dict[str, Any] = {}
    if truth is not None:
        actual = _actual(before.mean[..., shown], field.mean[..., shown], spreads, truth)
        if truth.shape == before.mean.shape:
            missed = [system.values - truth @ system.rows.T]
            missed += [] if law is None else [-law.residual(truth)]
            actual["truth_residual"] = np.concatenate(missed, axis=1)
    if held:
        actual["coverage"] = held[0].mean(axis=-1)
        actual["simultaneous_coverage"] = held[1].all(axis=-1).astype(np.float64)
    means = [g.mean[..., shown] for g in (before, model, field)]
    return ConstraintReport(
        system.names + (() if law is None else law.names),
        residual,
        noise,
        np.divide(residual, np.sqrt(variance), out=0.0 * residual, where=variance > 0),
        np.mean((means[2] - means[1]) ** 2 - (means[0] - means[1]) ** 2, axis=-1),
        _expected_ll_change(means, spreads),
        _probability(before.mean, model, field.mean, weights),
        **actual,
    )


def _rows(
    prior: Sequence[Gaussian], before: Any, system: EqualitySystem, law: NonlinearSystem | None
) -> tuple[Array, Array, Array]:
    """Return by how much rows are missed, their noise, and the variance of the first."""
    residual = system.values - before.mean @ system.rows.T
    noise = np.broadcast_to(system.noise, residual.shape)
    variance = np.broadcast_to(_row_variance(prior, before, system.rows), residual.shape)
    if law is not None:
        gap, rows = -law.residual(before.mean), law.jacobian(before.mean)
        own = np.mean([g.covariance.row_variance(rows) for g in prior], axis=0)
        along = [np.einsum("srp,sp->sr", rows, g.mean - before.mean) ** 2 for g in prior]
        residual = np.concatenate([residual, gap], axis=1)
        noise = np.concatenate([noise, law.noise], axis=1)
        variance = np.concatenate([variance, own + np.mean(along, axis=0)], axis=1)
    return residual, noise, variance + noise**2


def joined(parts: Sequence[ConstraintReport], order: Array) -> ConstraintReport:
    """Join the reports of batches with the same constraints, fields in the given order."""
    columns: dict[str, Any] = {}
    for name in (f.name for f in fields(ConstraintReport) if f.name not in ("names", "notes")):
        arrays = [getattr(part, name) for part in parts]
        missing = any(array is None for array in arrays)
        columns[name] = None if missing else np.concatenate(arrays)[order]
    return ConstraintReport(parts[0].names, **columns)


def _actual(before: Array, after: Array, spreads: list[Array], truth: Array) -> dict[str, Array]:
    usable = (spreads[0] > 0) & (spreads[1] > 0)
    scores = {}
    for when, mean, variance in zip(("before", "after"), (before, after), spreads, strict=True):
        square = (truth - mean) ** 2
        scores[f"mse_{when}"] = square.mean(axis=-1)
        scores[f"ll_{when}"] = _ll(variance, square, usable)
    return scores


def _expected_ll_change(means: list[Array], spreads: list[Array]) -> Array:
    """Expect both log-likelihoods under the conditioned Gaussian."""
    before, model, after = means
    usable = (spreads[0] > 0) & (spreads[1] > 0)
    squares = [spreads[1] + (mean - model) ** 2 for mean in (before, after)]
    first, second = (_ll(v, s, usable) for v, s in zip(spreads, squares, strict=True))
    return second - first


def _ll(variance: Array, square: Array, usable: Array) -> Array:
    """Average the Gaussian log-density over the usable points."""
    square, usable = np.broadcast_arrays(square, usable)
    variance = np.where(usable, variance, 1.0)
    density = -0.5 * (square / variance + np.log(2.0 * np.pi * variance))
    return np.asarray(np.mean(density, axis=-1, where=usable))


def _probability(before: Array, model: Any, after: Array, weights: Array) -> Array:
    """Return how probable it is that the squared error falls.

    It falls where the true field lies on the correction's side of the middle between both means.
    """
    direction = weights * (after - before)
    margin = np.sum((model.mean - 0.5 * (after + before)) * direction, axis=-1)
    std = np.sqrt(np.clip(_quadratic(model, direction), 0.0, None))
    certain = np.where(margin == 0, 0.0, np.copysign(np.inf, margin))
    return np.asarray(ndtr(np.divide(margin, std, out=certain, where=std > 0)))


def _quadratic(model: Any, vector: Array) -> Array:
    """Return ``v' S v``, of shape (n_samples,)."""
    if isinstance(model, Mixture):
        parts = [
            _quadratic(m, vector) + np.sum((m.mean - model.mean) * vector, axis=-1) ** 2
            for m in model.members
        ]
        return model.average(parts, n_axes=0)
    moved = model.covariance.matmul(vector[..., None])[..., 0]
    return np.asarray(np.sum(moved * vector, axis=-1))


def _variance(field: Any) -> Array:
    return np.broadcast_to(field.variance(), field.mean.shape)


def _row_variance(prior: Sequence[Gaussian], before: Any, rows: Any) -> Array:
    """Return the variance of ``G u``, of shape (n_samples or 1, n_rows)."""
    own = np.mean([np.atleast_2d(g.covariance.row_variance(rows)) for g in prior], axis=0)
    return own + np.mean([((g.mean - before.mean) @ rows.T) ** 2 for g in prior], axis=0)


def _rms(values: Array) -> float:
    values = values[~np.isnan(values)]  # those that are known
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def _line(label: str, expected: Array, actual: Array | None, form: str = "+.3g") -> str:
    numbers = [np.mean(expected)] + ([] if actual is None else [np.mean(actual)])
    return f"{label:16s}" + "".join(f"{format(n, form):>12s}" for n in numbers)

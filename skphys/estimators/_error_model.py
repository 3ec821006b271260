"""The error model: a backbone errs in how much, in where, and by more than it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from skphys.conditioning import (
    Covariance,
    Dense,
    Diagonal,
    Gaussian,
    LowRank,
    Scaled,
    Sum,
    log_evidence,
    match_moments,
)
from skphys.estimators._base_errors import BaseErrorModel, HeldOut, impose
from skphys.estimators._covariances import Independent
from skphys.estimators._displacement import STAYS, STEPS, Displacement, displaceable, log_steps
from skphys.estimators._layout import PredictedFields
from skphys.estimators._learning import learn
from skphys.estimators._lines import Lines, follow_law, lines_of
from skphys.estimators._moved_members import has_points, move_members, moved_spread, some_members
from skphys.estimators._on_grid import interpolated
from skphys.estimators._parts import RARITY, SCALES, Part, Score, stated_std, unit_correlation
from skphys.estimators._warn import warn_user
from skphys.predictive import Prediction, predict_distribution

NAMES: dict[str, dict[str, Any]] = {
    "auto": {},
    "stated": {"covariance": "stated", "displacement": None, "scale": 1.0},
    "residual": {"covariance": "residual", "displacement": None},
    "calibrated": {"covariance": "learned"},
    "identity": {"covariance": "identity", "displacement": None, "scale": 1.0},
}
COVARIANCES = ("auto", "stated", "residual", "learned", "identity")
EVEN = 0.5  # part of the displaced members where no data say how likely a displacement is


class ErrorModel(BaseErrorModel):
    """How a backbone errs: in how much, in where, and by more than it says.

    Without held-out data errors are what the backbone states. With them, from `calibration` or out
    of fold, an error model of four parts is learned. Errors are as large as on held-out fields;
    they are correlated as there; the field may be displaced along an axis, as a front is that
    stands in the wrong place; and a field that misses its law by more than its errors allow has
    larger ones. What is predicted is then a mixture, each member of which obeys the law, weighed by
    how likely it makes the law's value.

    Parameters
    ----------
    members : {"auto", "moments", "marginal", "each"}, default="auto"
        What to do with a backbone that predicts by members. "moments" conditions one Gaussian with
        the members' low-rank covariance (of ``K`` members that are points, as trees are, one part
        in ``K`` of the variance counts as independent); "marginal" one with their standard
        deviations only; "each" conditions each member, which needs a standard deviation of its own
        (latent draws and ensembles of nets have one, trees have none), and matches moments after,
        as ProbConserv does. "auto" is "moments".
    covariance : {"auto", "stated", "residual", "learned", "identity"}, default="auto"
        "stated" is what the backbone states, else unit variance. "learned" is that, or without it
        the root mean square of held-out residuals at each point, with the correlation of held-out
        residuals, shrunk. "residual" takes the residuals also in place of what is stated.
        "identity" leaves the standard deviations as stated, but moves all points alike, the
        Euclidean projection known as HardC. "auto" is "learned" where there are held-out data, else
        "stated".
    correlation_length : float, dict of str to float or None, default=None
        In place of a learned correlation: distance, in units of the axis, over which errors stay
        alike, by ``exp(-distance / correlation_length)``. A number serves a grid with one axis, a
        dict gives lengths by axis. A covariance that the backbone states along the field, as a
        Gaussian process does, is left as it is, and fit warns.
    displacement : "auto", float or None, default="auto"
        How far fields are displaced: "auto" is learned from held-out data, without them not at
        all; a number is the standard deviation, in parts of the axis' length; None is not at all.
    scale : "auto" or float, default="auto"
        Factor of the standard deviations. "auto" is learned from held-out data, without them 1.

    Attributes
    ----------
    parts_ : tuple of Part
        The ways in which it errs, and their weights; only after fit.
    correlation_ : Covariance or None
        What was learned of it.
    tails_ : tuple of (float, float)
        Factors of the standard deviations of species, series and components that the law cannot
        tell, and their weights.
    score_ : Score or None
        How good it is on held-out fields: `crps`, `mse`, the same of the simplest with the prefix
        ``simplest_``, and `n_fields`.

    See Also
    --------
    BaseErrorModel : To write one of your own.

    Notes
    -----
    Held-out data are those of `calibration`, or predictions of the training fields by backbones
    that were fitted on the other folds. The latter are made with ``covariance`` "residual" and
    "learned", and with "auto" if the backbone states no uncertainty, is not frozen, and has fields
    as rows, at least ten; if it states members that are points, at least two. Of fewer than ten
    fields the size of errors is learned, and no more.

    The learned correlation of standardised residuals is shrunk as in [2]_ and kept as low rank plus
    diagonal. Members that are points, as trees and neighbours are, are moved onto the law one by
    one, as each is as sharp as a field and their mean is not; what they differ by is no size of
    errors, so the learned correlation goes with the size of residuals. Where each law reads one of
    several lines of points along an axis, as a mass at each time does, each line is displaced by
    itself, by a polynomial of degree at most seven in the remaining coordinates (each degree half
    as wide as the one before): the most probable one, weighed by Laplace's approximation. No
    displacement moves an end of an axis at which points are fixed. Widths of displacements are
    found by expectation maximisation, and the weights of the parts as those of the least squared
    error, so there is nothing to search.

    Of the stated covariance, the learned one, and mixtures with displacements, those count whose
    squared error on held-out fields is within 5 % of the least; among them a later one is taken if
    its CRPS is better by a standard error. The factor of stated standard deviations is that of the
    least CRPS, too: a few points that are nearly sure and wrong cannot decide it, as they would the
    likelihood. Such a Gaussian may hold too little, where errors are mostly small and at times
    large. So if points are no places of one quantity, but species, series or components, and there
    are ten fields, each Gaussian becomes a scale mixture: of its standard deviations times 0.5, 1,
    2 and 4, with the weights that are likeliest of held-out points, which count by their standard
    deviation. It is left out if the CRPS is larger with it.

    References
    ----------
    .. [1] Hansen, Maddix, Alizadeh, Gupta and Mahoney, "Learning Physical Models that Can Respect
       Conservation Laws", ICML 2023, arXiv 2302.11002.
    .. [2] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.

    Examples
    --------
    >>> from skphys.estimators import ErrorModel
    >>> ErrorModel(displacement=None)
    ErrorModel(displacement=None)
    """

    def __init__(
        self,
        *,
        members: str = "auto",
        covariance: str = "auto",
        correlation_length: float | Mapping[str, float] | None = None,
        displacement: str | float | None = "auto",
        scale: str | float = "auto",
    ) -> None:
        self.members = members
        self.covariance = covariance
        self.correlation_length = correlation_length
        self.displacement = displacement
        self.scale = scale

    parts_: tuple[Part, ...] | None = None
    correlation_: Covariance | None = None
    score_: Score | None = None
    scales_: tuple[float, ...] = (1.0,)  # factors of errors, of which the law picks
    tails_: tuple[tuple[float, float], ...] = ((1.0, 1.0),)  # factors that it cannot tell; weights
    residual_std_: np.ndarray | None = None  # of held-out fields, where nothing is stated
    floor_: np.ndarray | None = None  # least standard deviations, (n_points,), before a spread

    def check(self) -> None:
        """Raise if a parameter is not valid."""
        _one_of("members", self.members, ("auto", "moments", "marginal", "each"))
        _one_of(
            "covariance", self.covariance, ("auto", "stated", "residual", "learned", "identity")
        )
        if self.displacement is not None:
            _positive("displacement", self.displacement, "None, 'auto'", 1.0)
        _positive("scale", self.scale, "'auto'")

    @property
    def learns(self) -> bool:
        """Whether anything is left to learn from held-out data."""
        return (
            self.scale == "auto"
            or self.displacement == "auto"
            or self.covariance in ("auto", "residual", "learned")
        )

    @property
    def needs_held_out(self) -> bool:  # type: ignore[override]
        """Whether training fields are held out by folds where there are no other data."""
        return self.covariance in ("residual", "learned")

    @property
    def widens_members(self) -> bool:  # type: ignore[override]
        """Whether they are, where nothing else is learned of the backbone."""
        return self.covariance == "auto"

    def takes_held_out(self, said: Prediction) -> bool:
        """Say that they are, if that is cheap, where the backbone states no standard deviation.

        How far members that are points lie apart is none: it says how much the regressor varies.
        """
        return self.covariance == "auto" and (not said.states_uncertainty or has_points(said))

    def alone(self, std: np.ndarray) -> ErrorModel:
        """Return this error model with standard deviations in place of what is stated."""
        return self.with_parts([Part(1.0, std, alone=True)], residual_std_=std)

    @property
    def correlated(self) -> bool:  # type: ignore[override]
        """Whether errors are correlated along an axis."""
        return self.correlation_length is not None or self.correlation_ is not None

    def leaves_out_length(self, said: Prediction) -> bool:
        """Say whether the covariance is what is stated, and `correlation_length` has no effect."""
        stated = said.cov is not None and said.member_means is None
        as_stated = all(part.as_stated and not part.alone for part in self.parts_ or ())
        return stated and as_stated

    def fit(self, held_out: Sequence[HeldOut]) -> ErrorModel:
        """Return an error model that has learned from held-out fields.

        Parameters
        ----------
        held_out : sequence of HeldOut
            Batches of fields with their true values.
        """
        return learn(self, held_out) if self.learns else self

    def with_parts(self, parts: Sequence[Part], **fitted: Any) -> ErrorModel:
        """Return this error model with other parts, and other fitted attributes by name."""
        other = copy(self)
        other.__dict__.update(parts_=tuple(parts), **fitted)
        return other

    def ways(self, fields: PredictedFields) -> tuple[Part, ...]:
        """Return the parts of a batch: those that were learned, or that the parameters say.

        Fields without a law are not displaced, as nothing tells how far.
        """
        spread = np.asarray(1.0 if isinstance(self.scale, str) else float(self.scale))
        parts = self.parts_ or (Part(1.0, spread),)
        moves = self._declared_displacements(fields)
        if moves:
            likeliest = max(parts, key=lambda part: part.weight)
            rest = tuple(replace(part, weight=part.weight * (1.0 - EVEN)) for part in parts)
            moved = (
                replace(likeliest, weight=EVEN / len(moves), as_stated=False, displacement=d)
                for d in moves
            )
            parts = (*rest, *moved)
        if fields.system.rows.shape[0]:
            return parts
        if self.residual_std_ is not None:
            return (Part(1.0, self.residual_std_ * spread, alone=True),)
        still = tuple(part for part in parts if part.displacement is None)
        return still or (replace(parts[0], displacement=None, each=False),)

    def _declared_displacements(self, fields: PredictedFields) -> list[Displacement]:
        if self.displacement is None or isinstance(self.displacement, str):
            return []
        width, profiles = float(self.displacement), displaceable(fields.where, fields.declared.rows)
        return [Displacement(axis, p, width) for axis, names in profiles.items() for p in names]

    def taken(self, prediction: Prediction) -> Prediction:
        """Return a prediction with the uncertainty that is believed of it."""
        if self.parts_ is None and self.scale in ("auto", 1.0):
            return prediction
        parts = self.parts_ or (Part(1.0, np.asarray(float(self.scale))),)
        return self._spread(prediction, _likeliest(parts))

    def _spread(self, prediction: Prediction, part: Part) -> Prediction:
        """Return a prediction with a part's standard deviations."""
        if part.alone or not prediction.states_uncertainty:
            std = np.broadcast_to(part.spread, prediction.mean.shape)
            return Prediction(prediction.mean, std, constraints=prediction.constraints)
        if part.spread.ndim == 0 and part.spread == 1.0:
            return prediction
        return prediction.spread(float(part.spread))

    def has_scale(self, prediction: Prediction) -> bool:
        """Say whether there is an uncertainty; without one unit variance is taken."""
        declared = self.scale not in ("auto", 1.0)
        return self.parts_ is not None or prediction.states_uncertainty or declared

    def prior(self, fields: PredictedFields) -> list[Gaussian]:
        """Return the fields before the law moves them, as wide as all ways to err make them."""
        ways = self.ways(fields)
        if len(ways) == 1:
            root = np.full(len(fields.prediction.mean), self._tail)
            return [_wider(each, root) for each in self._gaussians(fields, _likeliest(ways))]
        mean, terms, apart = fields.prediction.mean, [], []
        for part in ways:
            still = replace(part, displacement=None)
            for gaussian in (each := list(self._gaussians(fields, still))):
                root = np.full(mean.shape, np.sqrt(part.weight / len(each)))
                terms.append(Scaled(self._tail * root, gaussian.covariance))
                apart.append(root * (gaussian.mean - mean))
            if (move := part.displacement) is not None:  # as wide as two fields, one on each side
                sides = (move.moved(mean, fields.where, far) for far in (-move.width, move.width))
                apart.extend(np.sqrt(part.weight / 2.0) * (moved - mean) for moved in sides)
        return [Gaussian(mean, Sum(*terms, LowRank(np.stack(apart, axis=-1))))]

    @property
    def _tail(self) -> float:
        """The root mean square of the factors of errors that the law does not tell."""
        return float(np.sqrt(sum(weight * factor**2 for factor, weight in self.tails_)))

    def components(
        self, fields: PredictedFields
    ) -> Iterator[tuple[Gaussian, np.ndarray, np.ndarray]]:
        """Yield the members of the mixture before the law, as wide as the law says.

        Yields
        ------
        prior : Gaussian
            Of all the fields of the batch.
        weight : ndarray of shape (n_fields,)
            Log of its probability, given the law, but for a constant that all share.
        root : ndarray of shape (n_fields,)
            The factor by which its standard deviations are larger than usual.
        """
        ways = self.ways(fields)
        # Without a law nothing says that a field has larger errors than usual.
        declared = len(ways) > len(self.parts_ or ways[:1])
        scales = SCALES if declared else self.scales_
        scales = scales if fields.system.rows.shape[0] else (1.0,)
        rarity = -RARITY * np.log(scales)
        rarity = rarity - np.logaddexp.reduce(rarity)
        for part in ways:
            moved = part.displacement is not None
            lines = self._lines(fields, part)
            if part.each or lines is not None:
                yield from self._members_moved(fields, part, lines, scales, rarity)
                continue
            steps = np.array([log_steps(factor) for factor in scales])  # (n_scales, n_steps)
            each = self._gaussians(fields, part)
            alike = 1 if moved else len(each := list(each))
            for k, gaussian in enumerate(each):
                law = fields.system.under(gaussian)
                known = log_evidence(gaussian, law.rows, law.values, law.noise, scales)
                logs = known + rarity[:, None] + np.log(part.weight)
                logs = logs + (steps[:, k, None] if moved else -np.log(alike))
                weight = np.logaddexp.reduce(logs, axis=0)
                yield gaussian, weight, _root(scales, logs - weight)

    def _lines(self, fields: PredictedFields, part: Part) -> Lines | None:
        """Return the lines of points that a part displaces one by one, if it does."""
        move = part.displacement
        return None if move is None else lines_of(fields.system.rows, fields.where, move.axis)

    def _members_moved(
        self,
        fields: PredictedFields,
        part: Part,
        lines: Any,
        scales: tuple[float, ...],
        rarity: np.ndarray,
    ) -> Iterator[tuple[Gaussian, np.ndarray, np.ndarray]]:
        """Yield the members of the backbone, each moved to where it obeys the law best.

        Where each line is moved by itself, the mean is as well.
        """
        said, independent = fields.prediction, self._independent(fields)
        move: Any = part.displacement
        std = self._std(said, part)

        def left(std: np.ndarray) -> Covariance:
            return independent((std * part.spread) ** 2)

        def between(spread: np.ndarray) -> Covariance:
            return left(spread if self.floor_ is None else np.hypot(spread, self.floor_))

        def differ(members: np.ndarray, weights: np.ndarray, far: np.ndarray) -> Covariance:
            if part.each:
                return between(moved_spread(members, weights))
            return left(np.hypot(lines.moved(move, std, far[0]), STAYS * std))

        law = fields.system.under(Gaussian(said.mean, left(std)))
        if lines is None:
            moved = move_members(some_members(said), move, between, law, fields.where, scales)
        else:
            members = some_members(said) if part.each else said.mean[None]
            moved = follow_law(members, move, differ, law, lines, scales)
        for mean, known in zip(moved.means, np.moveaxis(moved.logs, 1, 0), strict=True):
            logs = known + rarity[:, None] + np.log(part.weight)
            weight = np.logaddexp.reduce(logs, axis=0)
            yield Gaussian(mean, moved.covariance), weight, _root(scales, logs - weight)

    def _gaussians(self, fields: PredictedFields, part: Part) -> Iterable[Gaussian]:
        """Yield a part's Gaussians: one, one a member, or one a step of the displacement."""
        said = fields.prediction
        if part.as_stated and part.displacement is None:
            independent = fields.where.independent(self.correlation_length)
            for gaussian in gaussians(self._spread(said, part), self._way(said), independent):
                yield gaussian if self.floor_ is None else _raised(gaussian, part, self.floor_)
            return
        std, independent = self._std(said, part), self._independent(fields)
        move = part.displacement
        if move is None:
            yield Gaussian(said.mean, independent((std * part.spread) ** 2))
            return
        for step in STEPS:
            mean, wide = move.applied(said.mean, std, fields.where, step * move.width)
            yield Gaussian(mean, independent((wide * part.spread) ** 2))

    def _std(self, said: Prediction, part: Part) -> np.ndarray:
        """Return the standard deviations whose factors a part's spreads are."""
        if not said.states_uncertainty or part.alone:
            return np.ones_like(said.mean)
        std = stated_std(said)
        return std if self.floor_ is None else np.hypot(std, self.floor_)

    def _independent(self, fields: PredictedFields) -> Independent:
        """Return what makes a covariance of variances."""
        if self.correlation_ is not None:
            return partial(_correlated, self.correlation_)
        return fields.where.independent(self.correlation_length)

    def _way(self, prediction: Prediction) -> str:
        return "moments" if self.members == "auto" else self.members

    def posterior(self, fields: PredictedFields, inequalities: str = "projected") -> Any:
        """Return the fields after all constraints."""
        identity = self.covariance == "identity"
        if identity or (self.parts_ is None and self.displacement in ("auto", None)):
            said = self.taken(fields.prediction)
            independent = fields.where.independent(self.correlation_length)
            prior = gaussians(said, self._way(said), independent)
            metric = fields.where.independent() if identity else None
            return impose(prior, fields, metric=metric, inequalities=inequalities)
        return self.mixture(fields, inequalities)[0]

    def mixture(self, fields: PredictedFields, inequalities: str = "projected") -> tuple[Any, Any]:
        """Return the fields after all constraints, and how likely the law's values were.

        The second, of shape (n_fields,), is the log of a density, but for a constant.
        """
        found = list(self.components(fields))
        logs = np.stack([weight for _, weight, _ in found])
        evidence = np.logaddexp.reduce(logs, axis=0)
        each = np.exp(logs - evidence)
        weights = np.concatenate([weight * each for _, weight in self.tails_])
        priors = [
            _wider(gaussian, factor * root)
            for factor, _ in self.tails_
            for gaussian, _, root in found
        ]
        return impose(priors, fields, weights=weights, inequalities=inequalities), evidence

    def on_grid(self, old: Any, new: Any) -> ErrorModel:
        """Return the error model on another grid than the one it learned on."""
        if self.parts_ is None:
            return self
        move = partial(interpolated, grid=old, other=new)
        parts = [
            p if p.spread.ndim == 0 else replace(p, spread=move(p.spread)) for p in self.parts_
        ]
        correlation = self.correlation_
        if correlation is not None:
            correlation = _regridded(correlation, move)
        floor, residual = (
            move(std) if std is not None and std.ndim else std
            for std in (self.floor_, self.residual_std_)
        )
        moved = {"correlation_": correlation, "floor_": floor, "residual_std_": residual}
        return self.with_parts(parts, **moved)

    def __str__(self) -> str:
        if self.parts_ is None:
            said = " ".join(repr(self).split())  # which is of several lines if it is long
            return f"{said}, nothing learned from held-out fields" if self.learns else said
        return f"{type(self).__name__}: {described(self)}"


def described(model: ErrorModel) -> str:
    """Return in one line what was chosen, and by how much it was better."""
    said = []
    declared = EVEN if model.displacement not in (None, "auto") else 0.0
    for part in sorted(model.parts_ or (), key=lambda p: -p.weight):
        what = "standard deviations" if part.alone else "scale"
        kind = "as stated" if part.as_stated else "learned correlation"
        if model.correlation_ is None and not part.as_stated:
            kind = "independent errors"
        move = part.displacement
        whose = ", members moved:" if part.each else ", moved:"
        moved = (
            f"{whose} {move.profile} along {move.axis!r} by {move.width:.2g} of it" if move else ""
        )
        size = float(np.sqrt(np.mean(np.square(part.spread))))
        weight = part.weight * (1.0 - declared)
        said.append(f"{weight:.0%} {kind}, {what} {size:.3g}{moved}")
    if declared:
        said.append(f"{declared:.0%} displaced by {model.displacement:.3g}, as declared")
    if len(model.tails_) > 1:
        sizes = (f"{weight:.0%} {factor:g}" for factor, weight in model.tails_)
        said.append(f"errors {', '.join(sizes)} times as large")
    return "; ".join(said) + ("" if model.score_ is None else f" ({model.score_})")


def gaussians(prediction: Prediction, members: str, independent: Independent) -> list[Gaussian]:
    """Return what a prediction says as Gaussians: one, or one for each member.

    Parameters
    ----------
    prediction : Prediction
        Of a batch of fields.
    members : {"moments", "marginal", "each"}
        What to do with members, if there are any.
    independent : callable
        Makes a covariance of variances that come without a correlation.
    """
    means, stds = prediction.member_means, prediction.member_stds
    if means is not None and members == "marginal":
        variance = match_moments(means, stds).variance()
        return [Gaussian(prediction.mean, independent(variance))]
    if means is not None and members == "moments":
        return [match_moments(means, stds, independent)]
    if means is not None:
        if stds is None:
            raise ValueError(
                "members='each' conditions each member on its own, which needs the members' "
                "standard deviations, and this backbone's members have none; use "
                "members='moments'."
            )
        return [Gaussian(m, independent(s**2)) for m, s in zip(means, stds, strict=True)]
    if prediction.cov is not None:
        return [Gaussian(prediction.mean, Dense(prediction.cov))]
    if prediction.std is not None:
        return [Gaussian(prediction.mean, independent(_once(prediction.std) ** 2))]
    return [Gaussian(prediction.mean, independent(np.ones(prediction.mean.shape[-1])))]


def warn_if_unused(errors: Any, backbone: Any, rows: str, X: Any) -> None:
    """Warn if a correlation length is given, but the covariance is what a backbone states."""
    if not isinstance(errors, ErrorModel) or errors.correlation_length is None:
        return
    said = predict_distribution(backbone, _safe_indexing(X, [0]), rows=rows)
    if errors.leaves_out_length(said):
        warn_user(
            "correlation_length has no effect here: the backbone states a covariance, which says "
            "itself how far errors stay alike. Leave it out, or give ErrorModel("
            "covariance='residual', correlation_length=...), which takes the size of held-out "
            "errors in place of what is stated."
        )


def _likeliest(parts: Sequence[Part]) -> Part:
    """Return the likeliest of the parts that displace nothing."""
    return max((p for p in parts if p.displacement is None), key=lambda part: part.weight)


def _once(std: np.ndarray) -> np.ndarray:
    """Return one field's standard deviations if all fields share them, so all share one factor."""
    return std[0] if std.strides[0] == 0 and len(std) > 0 else std


def _raised(gaussian: Gaussian, part: Part, floor: np.ndarray) -> Gaussian:
    """Return a Gaussian with a part's least standard deviations added."""
    more = Diagonal((part.spread * floor) ** 2)
    return Gaussian(gaussian.mean, Sum(gaussian.covariance, more))


def _root(scales: tuple[float, ...], logs: np.ndarray) -> np.ndarray:
    """Return by how much standard deviations grow, of the scales' log probabilities."""
    return np.sqrt(np.square(scales) @ np.exp(logs))


def _correlated(correlation: Covariance, variance: np.ndarray) -> Covariance:
    return Scaled(np.sqrt(variance), correlation)


def _wider(gaussian: Gaussian, root: np.ndarray) -> Gaussian:
    """Return a Gaussian whose standard deviations are larger by a factor a field."""
    if (root == 1.0).all():
        return gaussian
    spread, covariance = root[:, None], gaussian.covariance
    if isinstance(covariance, Scaled):
        return Gaussian(gaussian.mean, Scaled(spread * covariance.scale, covariance.correlation))
    if isinstance(covariance, Dense):  # whose noise is told apart
        return Gaussian(gaussian.mean, Dense(spread[..., None] ** 2 * covariance.to_dense()))
    if isinstance(covariance, Diagonal):
        return Gaussian(gaussian.mean, Diagonal(spread**2 * covariance.diagonal()))
    return Gaussian(gaussian.mean, Scaled(np.broadcast_to(spread, gaussian.mean.shape), covariance))


def _regridded(correlation: Covariance, move: Any) -> Covariance:
    """Return a correlation on another grid; what interpolation takes becomes independent."""
    parts: Any = correlation.parts()
    factor = parts[1]
    return unit_correlation(np.stack([move(column) for column in factor.T], axis=1))


def _one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} of an ErrorModel must be one of {list(options)}; got {value!r}.")


def _positive(name: str, value: Any, others: str, most: float = np.inf) -> None:
    if isinstance(value, str) and value == "auto":
        return
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not is_number or not 0.0 < float(value) <= most or np.isinf(value):
        limit = "" if np.isinf(most) else f" of at most {most:g}"
        raise ValueError(
            f"{name} of an ErrorModel must be {others} or a positive number{limit}; got {value!r}."
        )

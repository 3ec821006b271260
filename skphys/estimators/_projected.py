"""Fields that obey inequalities besides: by draws of what is truncated, or by projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skphys.conditioning import (
    Drawn,
    Gaussian,
    Middle,
    Mixture,
    Truncated,
    condition_members,
    condition_nonlinear,
    point_bounds,
    project,
    project_nonlinear,
)
from skphys.constraints import EqualitySystem, InequalitySystem, NonlinearSystem

POSTERIORS = ("auto", "truncated", "projected")  # of inequality_posterior
MOST, MOST_POINTS = 256, 20_000  # inequalities, and independent points, that "auto" truncates
MAX_VALUES = 1 << 22  # float64 values of draws that are projected at once: 32 MiB


class Projected:
    """A conditioned field whose mean obeys inequalities.

    Parameters
    ----------
    field : Gaussian or Mixture
        The field before the inequalities. Its standard deviations and covariance stand.
    mean : ndarray of shape (n_samples, n_points)
        The projected mean.
    source : Gaussian or Mixture, optional
        What is drawn from, by default `field`.
    ends : tuple of ndarray of shape (n_samples, n_points), optional
        The bounds of the points, which no interval leaves.
    """

    def __init__(
        self,
        field: Gaussian | Mixture,
        mean: np.ndarray,
        source: Gaussian | Mixture | None = None,
        ends: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.field = field
        self.mean = mean
        self.source = field if source is None else source
        self.ends = ends

    def sample(self, n_samples: int, random_state: Any = None) -> np.ndarray:
        """Draw fields, of shape (n_samples, n_fields, n_points).

        Parameters
        ----------
        n_samples : int
            Number of draws of each field.
        random_state : int, Generator, RandomState or None
            Source of the normals.
        """
        return self.source.sample(n_samples, random_state)

    def __getattr__(self, name: str) -> Any:
        """Hand on what else the field can do."""
        if name == "field":
            raise AttributeError(name)
        return getattr(self.field, name)


class ProjectedDraws(Gaussian):
    """A conditioned Gaussian whose draws are projected, each in the metric of its covariance.

    Parameters
    ----------
    prior, conditioned : Gaussian
        Before and after the equalities.
    system : EqualitySystem
        The equalities.
    inequalities : InequalitySystem
        What draws have to obey besides.
    law : NonlinearSystem, default=None
        Nonlinear equalities, which the draws of `conditioned` obey already.
    """

    def __init__(
        self,
        prior: Gaussian,
        conditioned: Gaussian,
        system: EqualitySystem,
        inequalities: InequalitySystem,
        law: NonlinearSystem | None = None,
    ) -> None:
        super().__init__(conditioned.mean, conditioned.covariance)
        self.conditioned = conditioned
        self.law = law
        self.prior = prior
        self.system = system
        self.inequalities = inequalities

    def sample(self, n_samples: int, random_state: Any = None) -> np.ndarray:
        """Draw fields and project them, of shape (n_samples, ..., n_points).

        Parameters
        ----------
        n_samples : int
            Number of draws of each field.
        random_state : int, Generator, RandomState or None
            Source of the normals.
        """
        drawn = self.conditioned.sample(n_samples, random_state)
        step = max(1, MAX_VALUES // max(1, drawn[:1].size))
        for first in range(0, n_samples, step):
            drawn[first : first + step] = self._project(drawn[first : first + step])
        return drawn

    def _project(self, drawn: np.ndarray) -> np.ndarray:
        """Project draws; what noise has added to a row's value is kept."""
        values = self.system.values
        if (self.system.noise > 0).any():
            along = drawn.reshape(-1, drawn.shape[-1]) @ self.system.rows.T
            along = along.reshape(*drawn.shape[:-1], -1)
            values = np.where(self.system.noise > 0, along, values)
        law = self.law
        if law is not None and (law.noise > 0).any():
            along = law.evaluate(drawn.reshape(-1, drawn.shape[-1]))
            along = along.reshape(*drawn.shape[:-1], -1)
            known = ~np.isnan(law.values) & (law.noise > 0)
            law = replace(law, values=np.where(known, along, law.values), noise=0.0 * law.noise)
        return project_fields(
            Gaussian(drawn, self.prior.covariance),
            drawn,
            self.system,
            self.inequalities,
            values,
            law,
        )


def project_fields(
    prior: Gaussian,
    start: np.ndarray,
    system: EqualitySystem,
    inequalities: InequalitySystem,
    values: np.ndarray,
    law: NonlinearSystem | None = None,
) -> np.ndarray:
    """Project the prior's mean, or draws in its place; `start` obeys the equalities already."""
    if law is not None:
        return project_nonlinear(
            prior,
            law,
            law.values,
            law.noise,
            inequalities.rows,
            inequalities.lower,
            inequalities.upper,
            system.rows,
            values,
            system.noise,
            start=start,
        )
    return project(
        prior,
        inequalities.rows,
        inequalities.lower,
        inequalities.upper,
        system.rows,
        values,
        system.noise,
        start=start,
    )


def within(
    priors: Sequence[Gaussian],
    conditioned: Sequence[Gaussian],
    systems: Sequence[EqualitySystem],
    inequalities: InequalitySystem,
    posterior: str,
    weights: np.ndarray | None = None,
    law: NonlinearSystem | None = None,
    on_law: Projected | None = None,
) -> Drawn | Projected:
    """Truncate each Gaussian, or project its mean in its own metric and average.

    With weights the mean of the mixture is projected, in the metric of the first Gaussian: a
    mixture may have many members, and each projection is a problem of its own. So it is under a
    nonlinear law, which the mean of fields that obey it does not; nothing is truncated there.

    Parameters
    ----------
    priors, conditioned : sequence of Gaussian
        Before and after the equalities; the covariances before are the metrics.
    systems : sequence of EqualitySystem
        The equalities of each.
    inequalities : InequalitySystem
        What has to hold besides.
    posterior : {"auto", "truncated", "projected"}
        Which; "auto" is "truncated" under bounds of points, up to a size.
    weights : ndarray of shape (n_gaussians, n_samples), optional
        Of a mixture.
    law : NonlinearSystem, optional
        Nonlinear equalities, which `conditioned` obeys.
    on_law : Projected, optional
        The mixture with its mean on the law, from which that is projected.
    """
    parts = list(zip(priors, conditioned, systems, strict=True))
    field = conditioned[0] if len(parts) == 1 else Mixture(conditioned, weights)
    if posterior != "projected" and law is None:
        start = None
        if weights is not None and len(parts) > 1:
            middle_of = Gaussian(field.mean, priors[0].covariance)
            values = systems[0].values
            start = project_fields(middle_of, field.mean, systems[0], inequalities, values)
        members = [_truncated(p, c, s, inequalities, start) for p, c, s in parts]
        if posterior == "truncated" or all(map(_small, members)):
            return Drawn(field, members, weights)
    draws = [ProjectedDraws(p, c, s, inequalities, law) for p, c, s in parts]
    source = draws[0] if len(parts) == 1 else Mixture(draws, weights)
    if (weights is not None or law is not None) and len(parts) > 1:
        middle: Any = on_law or field
        parts = [(Gaussian(field.mean, priors[0].covariance), middle, systems[0])]
    means = [project_fields(p, c.mean, s, inequalities, s.values, law) for p, c, s in parts]
    ends = point_bounds(inequalities.rows, inequalities.lower, inequalities.upper)
    return Projected(field, np.mean(means, axis=0) if len(means) > 1 else means[0], source, ends)


def _truncated(
    prior: Gaussian,
    conditioned: Gaussian,
    system: EqualitySystem,
    inequalities: InequalitySystem,
    start: np.ndarray | None,
) -> Truncated:
    """Truncate a Gaussian; its draws begin at fields that obey, by default its projected mean."""
    if start is None:
        start = project_fields(prior, conditioned.mean, system, inequalities, system.values)
    return Truncated(
        prior,
        conditioned,
        system.rows,
        system.values,
        system.noise,
        inequalities.rows,
        inequalities.lower,
        inequalities.upper,
        start,
    )


def _small(truncated: Truncated) -> bool:
    """Say whether "auto" truncates: bounds of points only, and not too many of them.

    Rows that tie points to each other, as monotone fields have, leave so little of independent
    errors that what is left is far from any of them.
    """
    if not truncated.of_points:
        return False
    n_most = MOST_POINTS if truncated.independent else MOST
    return truncated.H.shape[0] <= n_most


def on_law(
    conditioned: Sequence[Gaussian],
    movers: Sequence[Gaussian],
    law: NonlinearSystem,
    weights: np.ndarray | None,
) -> tuple[list[Gaussian], Projected | None]:
    """Take Gaussians to a nonlinear law, and the mean of their mixture, too.

    Parameters
    ----------
    conditioned, movers : sequence of Gaussian
        After the linear equalities; and in the metric of whose covariances they move. The mean of
        the mixture moves in the metric of the mixture.
    law : NonlinearSystem
        The law.
    weights : ndarray of shape (n_gaussians, n_samples) or None
        Of the mixture.

    Returns
    -------
    members : list of Gaussian
        On the law.
    middle : Projected or None
        Their mixture; None of a single one.
    """
    members = condition_members(conditioned, law, law.values, law.noise, movers)
    if len(members) == 1:
        return members, None
    mixture, middle = Mixture(members, weights), Middle(Mixture(conditioned, weights))
    middle.mean = mixture.mean
    mean = condition_nonlinear(middle, law, law.values, law.noise).mean
    return members, Projected(mixture, mean)

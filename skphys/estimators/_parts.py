"""The parts of an error model, and the form of a learned correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skphys.conditioning import Covariance, Diagonal, LowRank, Sum
from skphys.estimators._displacement import Displacement
from skphys.predictive import Prediction

# Factors by which a field's errors may be larger than usual, and how much rarer larger ones are:
# a Student distribution, of which the law's misfit picks the scale.
SCALES, RARITY = (1.0, 2.0, 4.0, 8.0, 16.0), 2.0
EPS, ROUNDING = float(np.finfo(float).eps), 8.0  # units by which members that agree may differ


@dataclass(frozen=True)
class Score:
    """How good an error model is on held-out fields, and the simplest would be.

    The simplest has the stated or residual standard deviations alone, at their best size.

    Attributes
    ----------
    crps, simplest_crps : float
        Mean continuous ranked probability scores.
    mse, simplest_mse : float
        Mean squared errors.
    n_fields : int
        Number of held-out fields.
    """

    crps: float
    mse: float
    simplest_crps: float
    simplest_mse: float
    n_fields: int

    def __str__(self) -> str:
        return (
            f"CRPS {self.crps:.3g}, squared error {self.mse:.3g}, simplest {self.simplest_crps:.3g}"
            f", {self.simplest_mse:.3g}, of {self.n_fields} held-out fields"
        )


@dataclass(frozen=True, eq=False)
class Part:
    """One way in which a backbone errs.

    Attributes
    ----------
    weight : float
        How likely it is, before the law is looked at.
    spread : ndarray of shape (n_points,) or ()
        Factors of the standard deviations that are stated.
    as_stated : bool
        Whether the covariance has the form that the backbone states, such as that of members.
    displacement : Displacement or None
        How the field is moved.
    alone : bool
        Whether spreads are standard deviations themselves, in place of what is stated.
    each : bool
        Whether each of the backbone's members is moved by itself, not their mean.
    """

    weight: float
    spread: np.ndarray
    as_stated: bool = True
    displacement: Displacement | None = None
    alone: bool = False
    each: bool = False


def stated_std(prediction: Prediction) -> np.ndarray:
    """Return standard deviations for each field; what is rounding of the mean is none."""
    mean = prediction.mean
    if not prediction.states_uncertainty:
        return np.ones_like(mean)
    std: Any = prediction.standard_deviation()
    return np.where(std > ROUNDING * EPS * np.abs(mean), std, 0.0)


def unit_correlation(factor: np.ndarray) -> Covariance:
    """Return low rank plus diagonal, with unit variances."""
    rest = np.clip(1.0 - np.sum(factor**2, axis=1), 0.0, 1.0)
    return Sum(Diagonal(rest), LowRank(factor))

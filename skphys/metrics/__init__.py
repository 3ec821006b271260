"""How far predicted fields are from the truth and from the physics, and scorers for searches.

Arrays hold one field a row, ``(n_samples, n_points)``, or one number a row, ``(n_samples,)``.
"""

from skphys.metrics._calibration import calibration_error, sharpness
from skphys.metrics._physics import boundary_error, conservation_error, shock_position
from skphys.metrics._scorers import crps_scorer, log_likelihood_scorer, make_probabilistic_scorer
from skphys.metrics._scores import (
    coverage,
    crps,
    crps_ensemble,
    gaussian_nll,
    relative_l2_error,
)

__all__ = [
    "boundary_error",
    "calibration_error",
    "conservation_error",
    "coverage",
    "crps",
    "crps_ensemble",
    "crps_scorer",
    "gaussian_nll",
    "log_likelihood_scorer",
    "make_probabilistic_scorer",
    "relative_l2_error",
    "sharpness",
    "shock_position",
]

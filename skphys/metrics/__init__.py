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

# isort: split
# for the other rooms of the house
from skphys.metrics._calibration import central_levels as central_levels
from skphys.metrics._calibration import coverage_curve as coverage_curve
from skphys.metrics._checks import Floats as Floats
from skphys.metrics._checks import as_finite as as_finite
from skphys.metrics._checks import as_gaussian as as_gaussian
from skphys.metrics._physics import constraint_misses as constraint_misses
from skphys.metrics._scorers import predict_mean_std as predict_mean_std
from skphys.metrics._scores import crps_at_points as crps_at_points
from skphys.metrics._scores import fields_inside as fields_inside
from skphys.metrics._scores import points_inside as points_inside

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

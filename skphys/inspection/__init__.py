"""Figures of predicted fields and of how far they miss the physics; these need matplotlib.

As in scikit-learn, a display is made by ``from_estimator(model, X, y)`` or
``from_predictions(y_true, y_pred)``, keeps what it shows, and can draw it again by ``plot``. Where
several models are compared, models and predictions are dicts by name; a prediction is a mean or a
pair (mean, std). Constraints and grid are those of the fitted model, unless others are given.
"""

from skphys.inspection._conservation import ConservationDisplay
from skphys.inspection._constraint_error import ConstraintErrorDisplay
from skphys.inspection._coverage import CoverageDisplay
from skphys.inspection._field import FieldDisplay
from skphys.inspection._front import FrontDisplay

__all__ = [
    "ConservationDisplay",
    "ConstraintErrorDisplay",
    "CoverageDisplay",
    "FieldDisplay",
    "FrontDisplay",
]

"""Figures of predicted fields and of how far they miss the physics; these need matplotlib.

As in scikit-learn, a display is made by ``from_estimator`` or ``from_predictions``, keeps what it
shows, and can draw it again by ``plot``.
"""

from skphys.inspection._constraint_error import ConstraintErrorDisplay
from skphys.inspection._coverage import CoverageDisplay
from skphys.inspection._field import FieldDisplay

__all__ = ["ConstraintErrorDisplay", "CoverageDisplay", "FieldDisplay"]

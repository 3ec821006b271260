"""Conditioning a Gaussian field on linear equalities: plain functions on arrays.

NumPy arrays and torch tensors (any device, differentiable) go through the same code. Nothing here
knows of scikit-learn, grids or physics.
"""

from skphys.conditioning._composed import Scaled, Sum
from skphys.conditioning._conditioned import Conditioned
from skphys.conditioning._corrected import Corrected
from skphys.conditioning._covariance import (
    Covariance,
    Dense,
    Diagonal,
    LowRank,
)
from skphys.conditioning._evidence import log_evidence
from skphys.conditioning._factor import factor
from skphys.conditioning._gain import InconsistentConstraintsError
from skphys.conditioning._gaussian import Gaussian, condition
from skphys.conditioning._inequality._linear import point_bounds as point_bounds
from skphys.conditioning._inequality._project import InfeasibleInequalitiesError, project
from skphys.conditioning._members import Mixture, match_moments
from skphys.conditioning._nonlinear._averaged import Middle as Middle
from skphys.conditioning._nonlinear._bounded import project_nonlinear as project_nonlinear
from skphys.conditioning._nonlinear._condition import UnmetLawError, condition_nonlinear
from skphys.conditioning._nonlinear._condition import condition_members as condition_members
from skphys.conditioning._nonlinear._tangent import Tangent
from skphys.conditioning._structured import Kronecker, OrnsteinUhlenbeck
from skphys.conditioning._truncated._drawn import Drawn as Drawn
from skphys.conditioning._truncated._gaussian import Truncated as Truncated

__all__ = [
    "Conditioned",
    "Corrected",
    "Covariance",
    "Dense",
    "Diagonal",
    "Gaussian",
    "InconsistentConstraintsError",
    "InfeasibleInequalitiesError",
    "Kronecker",
    "LowRank",
    "Mixture",
    "OrnsteinUhlenbeck",
    "Scaled",
    "Sum",
    "Tangent",
    "UnmetLawError",
    "condition",
    "condition_nonlinear",
    "factor",
    "log_evidence",
    "match_moments",
    "project",
]

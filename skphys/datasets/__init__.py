"""Problems with an exact solution, in the shapes that regressors take.

Each `make_*` function draws points (a long table) or whole fields of one partial differential
equation, and hands over its exact solution, mass and shock position as picklable callables.
"""

from skphys.datasets._advection import make_advection
from skphys.datasets._burgers import make_burgers
from skphys.datasets._context import make_context_target
from skphys.datasets._diffusion import make_diffusion
from skphys.datasets._porous_medium import make_porous_medium
from skphys.datasets._stefan import make_stefan

__all__ = [
    "make_advection",
    "make_burgers",
    "make_context_target",
    "make_diffusion",
    "make_porous_medium",
    "make_stefan",
]

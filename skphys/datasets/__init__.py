"""Problems with known solutions, in the shapes that regressors take.

The first five `make_*` functions draw points (a long table) or whole fields of one partial
differential equation, and hand over its exact solution, mass and shock position as picklable
callables. The others make data for operators: an input field and values on the boundary, to the
field at a later time, or, in a porous medium, to the pressure.
"""

from skphys.datasets._advection import make_advection
from skphys.datasets._advection_diffusion import make_advection_diffusion
from skphys.datasets._burgers import make_burgers
from skphys.datasets._burgers_periodic import make_burgers_periodic
from skphys.datasets._burgers_riemann import make_burgers_riemann
from skphys.datasets._context import make_context_target
from skphys.datasets._darcy import make_darcy
from skphys.datasets._diffusion import make_diffusion
from skphys.datasets._heat_robin import make_heat_robin
from skphys.datasets._heat_rod import make_heat_rod
from skphys.datasets._lid_driven_cavity import make_lid_driven_cavity
from skphys.datasets._porous_medium import make_porous_medium
from skphys.datasets._sod import make_sod
from skphys.datasets._stefan import make_stefan
from skphys.datasets._stokes import make_stokes
from skphys.datasets._vortices import vorticity
from skphys.datasets._wave import make_wave

__all__ = [
    "make_advection",
    "make_burgers",
    "make_context_target",
    "make_diffusion",
    "make_porous_medium",
    "make_sod",
    "make_stefan",
    "make_stokes",
    "make_heat_rod",
    "make_heat_robin",
    "make_burgers_riemann",
    "make_burgers_periodic",
    "make_wave",
    "make_lid_driven_cavity",
    "make_darcy",
    "make_advection_diffusion",
    "vorticity",
]

"""Where the points of a field are: axes, tensor-product grids and long tables.

A field is one sample of the output: the values at the ``n_points`` points of a grid, in C
order over the grid's axes. A grid knows its coordinates and its quadrature, and states an
integral over any of its axes as sparse rows. A column grid finds the fields in a table that
holds one row a point. A mesh holds control volumes of any shape; grids and meshes state their
volumes and faces for local balances, and components stack several fields in one target.
"""

from skphys.grids._axis import Axis
from skphys.grids._checks import IncompleteFieldError
from skphys.grids._column_grid import ColumnGrid
from skphys.grids._components import Components
from skphys.grids._faces import control_volumes, face_grids
from skphys.grids._field_group import FieldGroup
from skphys.grids._grid import Grid
from skphys.grids._incidence import ControlVolumes, incidence
from skphys.grids._masked import masked
from skphys.grids._mesh import Mesh
from skphys.grids._xarray import XarrayFields

# isort: split
# For the other rooms of the house.
from skphys.grids._checks import naming as naming
from skphys.grids._components import grid_parts as grid_parts
from skphys.grids._components import shared_grid as shared_grid
from skphys.grids._incidence import time_levels as time_levels
from skphys.grids._integrals import axis_weights as axis_weights
from skphys.grids._integrals import rules_by_axis as rules_by_axis
from skphys.grids._resample import renamed as renamed
from skphys.grids._resample import resample as resample
from skphys.grids._stencils import SIDES as SIDES
from skphys.grids._stencils import end_weights as end_weights
from skphys.grids._stencils import support as support
from skphys.grids._tables import locate as locate
from skphys.grids._tables import missing_values as missing_values
from skphys.grids._tables import stack_tables as stack_tables

IncompleteFieldError.__module__ = __name__  # as users name it

__all__ = [
    "Axis",
    "ColumnGrid",
    "Components",
    "ControlVolumes",
    "FieldGroup",
    "Grid",
    "IncompleteFieldError",
    "Mesh",
    "XarrayFields",
    "control_volumes",
    "face_grids",
    "incidence",
    "masked",
]

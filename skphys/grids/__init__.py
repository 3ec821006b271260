"""Where the points of a field are: axes, tensor-product grids and long tables.

A field is one sample of the output: the values at the ``n_points`` points of a grid, in C
order over the grid's axes. A grid knows its coordinates and its quadrature, and states an
integral over any of its axes as sparse rows. A column grid finds the fields in a table that
holds one row a point.
"""

from skphys.grids._axis import Axis
from skphys.grids._column_grid import ColumnGrid
from skphys.grids._field_group import FieldGroup
from skphys.grids._grid import Grid

__all__ = ["Axis", "ColumnGrid", "FieldGroup", "Grid"]

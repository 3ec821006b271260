"""The miss of boundary conditions, by hand."""

import numpy as np
import pandas as pd
import pytest

from skphys.constraints import Dirichlet, Neumann, boundary_constraints
from skphys.grids import Axis, Components, Grid
from skphys.metrics import boundary_error

GRID = Grid(x=np.array([0.0, 1.0, 2.0, 3.0]))
BOUNDARY = {"x": (Dirichlet("start"), Neumann(1.0))}
X = pd.DataFrame({"start": [1.0, 2.0]})


def test_by_hand():
    fields = np.array([[1.0, 0.0, 0.0, 1.0], [2.5, 0.0, 0.0, 0.0]])
    # right slopes: 1.5 * 1 = 1.5, and 0
    np.testing.assert_allclose(
        boundary_error(fields, BOUNDARY, GRID, X, kind="absolute"), [0.5, 1.0], rtol=1e-14
    )
    # |1.5 - 1| / (1.5 + 1); the second field has no terms but the value itself
    np.testing.assert_allclose(boundary_error(fields, BOUNDARY, GRID, X), [0.2, 1.0], rtol=1e-14)
    named = boundary_constraints(BOUNDARY, GRID)
    np.testing.assert_allclose(boundary_error(fields, named, GRID, X), [0.2, 1.0], rtol=1e-14)


def test_a_field_that_is_zero_where_it_should_be():
    assert boundary_error(np.zeros(4), {"x": Dirichlet()}, GRID).tolist() == [0.0]
    periodic = Grid(x=Axis.periodic(0, 1, 4))
    assert boundary_error(np.ones((2, 4)), {"x": None}, periodic).tolist() == [0.0, 0.0]


def test_components():
    grid = Components(u=GRID, v=GRID)
    fields = np.array([[0.0, 9.0, 9.0, 9.0, 3.0, 9.0, 9.0, 9.0]])
    boundary = {"u": {"x": (Dirichlet(), None)}, "v": {"x": (Dirichlet(1.0), None)}}
    np.testing.assert_array_equal(boundary_error(fields, boundary, grid, kind="absolute"), [2.0])


@pytest.mark.parametrize(
    ("fields", "kwargs", "message"),
    [
        (np.ones((2, 5)), {"X": X}, r"y must have the shape \(n_samples, 4\)"),
        (np.ones((3, 4)), {"X": X}, "X has 2 rows, but y has 3 fields"),
        (np.full((2, 4), np.nan), {"X": X}, "y holds NaN"),
        (np.ones((2, 4)), {"X": X, "kind": "rms"}, "kind must be 'relative' or 'absolute'"),
        (np.ones((2, 4)), {}, "no column 'start'"),
    ],
)
def test_bad_input(fields, kwargs, message):
    with pytest.raises(ValueError, match=message):
        boundary_error(fields, BOUNDARY, GRID, **kwargs)

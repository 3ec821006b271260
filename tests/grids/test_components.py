"""Fields stacked in one target."""

import copy
import pickle

import numpy as np
import pytest
from finite_volume_cases import grid_of, triangulated

from skphys.grids import ColumnGrid, Components, Grid, face_grids

GRID = grid_of("xy")


def make():
    return Components(u=GRID, **face_grids(GRID, "t"), extra=triangulated()[0])


def test_slices_follow_the_order_of_the_keywords():
    parts = make()
    assert list(parts) == ["u", "flux_x", "flux_y", "extra"] == list(parts.names)
    assert parts.n_points == sum(parts.shape) == parts.slices["extra"].stop
    assert parts["u"] is GRID and "flux_x" in parts and "x" not in parts
    assert [s.start for s in parts.slices.values()] == [0, *np.cumsum(parts.shape)[:-1]]
    assert repr(Components(a=GRID)) == "Components(a=48 points)"


def test_split_undoes_stack():
    parts = make()
    rng = np.random.default_rng(0)
    fields = {name: rng.normal(size=(3, *parts[name].shape)) for name in reversed(parts.names)}
    y = parts.stack(fields)
    assert y.shape == (3, parts.n_points)
    for name, values in parts.split(y).items():
        np.testing.assert_array_equal(values, fields[name].reshape(3, -1))


def test_equal_by_value():
    parts = make()
    for twin in (copy.deepcopy(parts), pickle.loads(pickle.dumps(parts))):
        assert twin == parts and hash(twin) == hash(parts)
    assert parts != Components(u=GRID)
    assert Components(a=GRID, b=GRID) != Components(b=GRID, a=GRID)


def test_errors():
    with pytest.raises(ValueError, match="needs at least one grid"):
        Components()
    with pytest.raises(TypeError, match="component 'u' must be a Grid or a Mesh; got ColumnGrid"):
        Components(u=ColumnGrid("x"))
    with pytest.raises(ValueError, match="unknown component 'v'; there are"):
        make()["v"]
    with pytest.raises(ValueError, match=r"fields must have 48 values .* got shape \(47,\)"):
        Components(u=GRID).split(np.zeros(47))
    with pytest.raises(ValueError, match="fields must have the components"):
        Components(u=GRID).stack({"v": np.zeros((1, 48))})
    with pytest.raises(ValueError, match="component 'u' has 2 points, but its fields have 3"):
        Components(u=Grid.unit(2)).stack({"u": np.zeros((1, 3))})

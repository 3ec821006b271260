"""Parameters of boundary conditions by the names of the faces."""

import numpy as np
import pytest
from sklearn.base import clone

from skphys import BoundaryEnforcedOperator
from skphys.constraints import Dirichlet, Neumann, Periodic, Robin


class Model(BoundaryEnforcedOperator):
    def __init__(self, estimator=None, boundary=None):
        self.estimator = estimator
        self.boundary = boundary


def named(model):
    return {key for key in model.get_params() if key.startswith("boundary__")}


def test_names():
    model = Model(boundary={"x": (Dirichlet(), None), "y": Periodic(), "z": None})
    x_left = {"boundary__x_left" + end for end in ("", "__value", "__order")}
    assert named(model) == x_left | {"boundary__y"}
    model = Model(boundary={"u": {"x": (None, Robin(1.0, 2.0))}, "v": {}})
    assert "boundary__u_x_right__a" in named(model)
    model = Model(boundary={"x": Neumann()})
    faces = ("x", "x_left", "x_right")
    assert named(model) == {
        f"boundary__{face}{end}" for face in faces for end in ("", "__value", "__order")
    }
    assert set(model.get_params(deep=False)) == {"estimator", "boundary"}


@pytest.mark.parametrize("boundary", [None, {"x": Dirichlet}, {"x": (Dirichlet(),)}, 3.0])
def test_what_is_not_a_boundary_has_no_names(boundary):
    assert named(Model(boundary=boundary)) == set()


def test_one_face_of_a_pair():
    given = {"x": (Dirichlet(1.0), Neumann(2.0))}
    model = Model(boundary=given).set_params(boundary__x_left__value=5.0, boundary__x_right=None)
    assert model.boundary["x"][0].value == 5.0
    assert model.boundary["x"][1] is None
    assert given["x"][0].value == 1.0 and given["x"][1].value == 2.0


def test_a_condition_for_both_faces():
    given = {"x": Neumann(1.0)}
    model = Model(boundary=given).set_params(boundary__x__value=2.0)
    assert model.boundary["x"].value == 2.0
    model.set_params(boundary__x_right__value=3.0)
    assert [c.value for c in model.boundary["x"]] == [2.0, 3.0]
    model = Model(boundary=given).set_params(boundary__x_left__order=3, boundary__x__value=4.0)
    assert [(c.value, c.order) for c in model.boundary["x"]] == [(4.0, 3), (4.0, 2)]
    assert given["x"].value == 1.0


def test_components():
    model = Model(boundary={"u": {"x": (Dirichlet(), Dirichlet())}, "v": {"x": Neumann()}})
    kept = model.boundary["v"]
    model.set_params(boundary__u_x_right=Neumann(), boundary__u_x_right__value=7.0)
    assert isinstance(model.boundary["u"]["x"][1], Neumann)
    assert model.boundary["u"]["x"][1].value == 7.0
    assert model.boundary["v"] is kept


def test_a_new_boundary_and_its_parameters_at_once():
    model = Model().set_params(boundary={"x": Dirichlet()}, boundary__x_left__value=1.0)
    assert [c.value for c in model.boundary["x"]] == [1.0, 0.0]


@pytest.mark.parametrize(
    "boundary",
    [{"x": Robin(np.ones(3), 1.0)}, {"u": {"x": (None, Dirichlet("c")), "y": Periodic()}}, None],
)
def test_setting_what_is_there_changes_nothing(boundary):
    model = Model(boundary=boundary)
    model.set_params(**model.get_params())
    assert model.boundary is boundary
    assert repr(clone(model)) == repr(model)


def test_copies_do_not_share():
    model = Model(boundary={"x": Dirichlet()})
    clone(model).set_params(boundary__x__value=1.0)
    assert model.boundary["x"].value == 0.0


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("boundary__y_left__value", r"the faces of the boundary are \['x_left'\]"),
        ("boundary__x_left__mass", "Invalid parameter 'mass' for estimator Dirichlet"),
        ("boundry", "Invalid parameter 'boundry'"),
    ],
)
def test_unknown_names(key, message):
    with pytest.raises(ValueError, match=message):
        Model(boundary={"x": (Dirichlet(), None)}).set_params(**{key: 1.0})

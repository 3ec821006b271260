"""Boundary conditions on meshes: exact for linear fields, on any backbone, at all times."""

import copy
import pickle

import numpy as np
import pytest
from backbones import Plain, WithStd
from scipy.spatial import Delaunay
from sklearn.ensemble import RandomForestRegressor

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.constraints import (
    BoundaryConstraint,
    ConservationLaw,
    Dirichlet,
    FromInput,
    Neumann,
    Periodic,
    Robin,
    boundary_constraints,
    boundary_values,
)
from skphys.grids import Components, Mesh
from skphys.metrics import boundary_error

TIMES = [0.0, 0.5, 0.7]
PARTS = {
    "left": lambda points: points[:, 0] == points[:, 0].min(),
    "top": lambda points: points[:, 1] == 1.0,
}


def mesh_of(n=5, n_dims=2, t=None, boundary=PARTS, seed=0):
    """Return triangles or tetrahedra in the unit square or cube, n of them along an edge."""
    rng = np.random.default_rng(seed)
    lattice = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, n + 1)] * n_dims), -1)
    points = lattice.reshape(-1, n_dims)
    free = (points > 0.0) & (points < 1.0)  # points on a wall stay on it
    points = points + free * rng.uniform(-0.25, 0.25, points.shape) / n
    simplices = Delaunay(points).simplices
    edges = points[simplices][:, 1:] - points[simplices][:, :1]
    flat = np.abs(np.linalg.det(edges)) < 1e-12
    return Mesh.from_simplices(points, simplices[~flat], t=t, boundary=boundary)


def linear(points):
    return 1.0 + points @ np.array([2.0, -3.0, 0.5])[: points.shape[1]]


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("condition", [Dirichlet(), Neumann(), Robin(2.0, -0.5)])
def test_linear_fields_are_met_exactly(n_dims, condition):
    mesh = mesh_of(n_dims=n_dims)
    slope = np.array([2.0, -3.0, 0.5])[:n_dims]
    a, b = condition.coefficients()
    faces = boundary_constraints({"left": condition, "top": None}, mesh)
    assert [name for name, _ in faces] == ["left"]
    numbers = mesh.boundary["left"]
    assert len(numbers) > 3
    expected = a * linear(mesh.face_points[numbers]) + b * mesh.normals[numbers] @ slope
    found = faces[0][1].rows(mesh) @ linear(mesh.centres)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    outward = -np.eye(n_dims)[[0] * len(numbers)]
    np.testing.assert_allclose(mesh.normals[numbers], outward, atol=1e-12)


def test_a_row_of_cells_with_the_outside_first():
    mesh = Mesh(
        [0.5, 1.5, 3.0],
        [1.0, 1.0, 2.0],
        [[-1, 0], [0, 1], [1, 2], [2, -1]],
        normals=np.ones((4, 1)),
        face_points=[0.0, 1.0, 2.0, 4.0],
        boundary={"low": [0], "high": np.array([False, False, False, True])},
    )
    field = 3.0 - 2.0 * mesh.centres[:, 0]
    for name, value, slope in (("low", 3.0, 2.0), ("high", -5.0, -2.0)):
        for condition, expected in ((Dirichlet(), value), (Neumann(), slope)):
            rows = BoundaryConstraint(condition, name, "both").rows(mesh)
            np.testing.assert_allclose(rows @ field, [expected])


def test_smooth_fields_are_met_to_the_order_and_within_the_estimate():
    largest = []
    for n in (8, 32):
        mesh = mesh_of(n)
        (x, y), numbers = mesh.centres.T, mesh.boundary["top"]
        at = mesh.face_points[numbers]
        u, on_face = np.sin(2 * x + y), np.sin(2 * at[:, 0] + at[:, 1])
        slope = np.cos(2 * at[:, 0] + at[:, 1])
        for condition, exact in ((Dirichlet(), on_face), (Robin(1.0, 0.2), on_face + 0.2 * slope)):
            face = BoundaryConstraint(condition, "top", "both")
            miss = np.abs(face.rows(mesh) @ u - exact)
            assert (miss <= face.discretization_error(u[None], mesh)[0]).all()
            largest.append(np.sqrt(np.mean(miss**2)))
    assert largest[0] / largest[2] > 6.0  # cells a fourth as wide
    assert largest[1] / largest[3] > 2.0


def test_one_row_for_each_time_and_values_of_every_kind():
    mesh = mesh_of(t=TIMES)
    n_faces = len(mesh.boundary["left"])
    given = np.arange(3.0 * n_faces).reshape(3, n_faces)
    still = mesh_of()
    once = boundary_constraints({"left": Dirichlet()}, still)[0][1].rows(still).toarray()
    fields = np.random.default_rng(0).normal(size=(4, mesh.n_points))
    for value in (2.0, given[0], given, lambda X: np.repeat(given[None], 4, axis=0), FromInput()):
        faces = boundary_constraints({"left": Dirichlet(value)}, mesh)
        values = boundary_values(faces, mesh, fields)["left"]
        assert values.shape[1:] == (3, n_faces)
        if isinstance(value, FromInput):
            np.testing.assert_allclose(values, fields.reshape(4, 3, -1) @ once.T)
        else:
            expected = given if callable(value) else np.asarray(value)
            np.testing.assert_array_equal(values[0], np.broadcast_to(expected, (3, n_faces)))
    rows = faces[0][1].rows(mesh)
    np.testing.assert_allclose(rows @ fields[0], (fields[0].reshape(3, -1) @ once.T).ravel())
    varying = Robin(np.linspace(1.0, 2.0, n_faces), 0.0)
    found = BoundaryConstraint(varying, "left", "both").rows(still).toarray()
    np.testing.assert_allclose(found, np.linspace(1.0, 2.0, n_faces)[:, None] * once)


def data_on(mesh, n=30):
    """Return fields whose value and slope at the left wall are columns of X."""
    X = np.random.default_rng(1).uniform(-1, 1, (n, 3))
    x = np.tile(mesh.centres[:, 0], mesh.shape[0] if "t" in mesh else 1)
    waves = np.sin(np.outer(X[:, 2] * 4.0, x)) * x**2
    return X, X[:, :1] + X[:, 1:2] * x + waves


def first(X):
    return np.asarray(X)[:, 0]


@pytest.mark.parametrize("backbone", [WithStd(), RandomForestRegressor(10, random_state=0)])
@pytest.mark.parametrize("method", ["auto", "project"])
@pytest.mark.parametrize("t", [None, TIMES])
@pytest.mark.filterwarnings("ignore:The training targets")
def test_any_backbone_obeys(backbone, method, t):
    mesh = mesh_of(t=t)
    X, y = data_on(mesh)
    boundary = {"left": Dirichlet(first), "top": Neumann(0.0)}
    model = BoundaryEnforcedOperator(backbone, boundary, mesh, method=method).fit(X, y)
    assert model.method_ == "project"
    mean, std = model.predict(X[:4], return_std=True)
    draws = model.sample_y(X[:4], n_samples=3, random_state=0)
    for fields in [mean, *np.moveaxis(draws, -1, 0)]:
        assert boundary_error(fields, boundary, mesh, X[:4]).max() < 1e-12
    plain = boundary_error(backbone.fit(X, y).predict(X[:4]), boundary, mesh, X[:4])
    assert plain.min() > 1e-4
    assert std.shape == mean.shape and (std >= 0).all()
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X[:4]), mean)


@pytest.mark.filterwarnings("ignore:The training targets")
def test_law_and_boundary_hold_together_for_components():
    mesh = mesh_of()
    both = Components(a=mesh, b=mesh)
    X, y = data_on(mesh)
    boundary = {"a": {"left": Dirichlet(first)}, "b": {"top": Robin(1.0, 1.0, 2.0)}}
    law = ConservationLaw(over="cell", component="a", total=0.3)
    operator = BoundaryEnforcedOperator(Plain(), boundary, both)
    model = ConservationConstrainedRegressor(operator, law, both).fit(X, np.hstack([y, y]))
    mean = model.predict(X)
    assert boundary_error(mean, boundary, both, X).max() < 1e-12
    np.testing.assert_allclose(both.split(mean)["a"] @ mesh.volumes, 0.3, rtol=1e-12)


def test_no_warning_where_the_fields_obey():
    mesh = mesh_of(16)
    X, y = data_on(mesh)
    BoundaryEnforcedOperator(Plain(), {"left": Dirichlet(first)}, mesh).fit(X, y)


def test_marked_parts_are_part_of_the_mesh():
    mesh = mesh_of()
    for twin in (copy.copy(mesh), copy.deepcopy(mesh), pickle.loads(pickle.dumps(mesh))):
        assert twin == mesh
        assert not twin.boundary["left"].flags.writeable
        assert not twin.face_points.flags.writeable
    assert mesh != mesh_of(boundary={"left": PARTS["left"]}) != mesh_of(boundary=None)
    mesh.boundary.clear()
    assert list(mesh.boundary) == ["left", "top"]


LINE = {
    "points": [0.5, 1.5, 3.0],
    "volumes": [1, 1, 2],
    "faces": [[-1, 0], [0, 1], [1, 2], [2, -1]],
}
ENDS = [0.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        ({"low": [1]}, r"boundary\['low'\] holds face 1, which has no outside"),
        ({"low": [7]}, r"boundary\['low'\] holds face 7"),
        ({"low": []}, r"boundary\['low'\] must hold numbers of faces, at least one"),
        ({"low": [0.5]}, "must hold numbers of faces"),
        ({"low": [True, False]}, r"a boolean mask of shape \(4,\)"),
        ({"low": [0], "ends": [0, 3]}, "names face 0 more than once"),
        ({"low": lambda points: points[:, 0] < 1}, "callable of face_points, which are missing"),
    ],
)
def test_errors_of_marks(boundary, message):
    with pytest.raises(ValueError, match=message):
        Mesh(**LINE, boundary=boundary)
    with pytest.raises(TypeError, match="boundary must be a dict"):
        Mesh(**LINE, boundary=[0])
    with pytest.raises(ValueError, match=r"face_points must have shape \(4, 1\)"):
        Mesh(**LINE, face_points=[0.0])


@pytest.mark.parametrize("said", [lambda p: p[:, 0], lambda p: True, lambda p: [0, 1, 1]])
def test_a_callable_must_say_yes_or_no_of_each_face(said):
    """Coordinates taken for a mask would mark nearly all faces; one True did all of them."""
    with pytest.raises(ValueError, match=r"middles of the 2 faces .* True or False of each; got"):
        Mesh(**LINE, face_points=ENDS, boundary={"low": said})


@pytest.mark.parametrize(
    ("condition", "options", "message"),
    [
        (Periodic(), {"face_points": ENDS}, "must be one condition, and not Periodic"),
        ((Dirichlet(), None), {"face_points": ENDS}, "must be one condition.* at the 'left'"),
        (Dirichlet(), {}, "Dirichlet at 'low' needs the face_points of the mesh"),
        (Neumann(), {"face_points": ENDS}, "Neumann at 'low' needs the normals"),
    ],
)
def test_errors_of_conditions(condition, options, message):
    mesh = Mesh(**LINE, boundary={"low": [0]}, **options)
    with pytest.raises(ValueError, match=message):
        boundary_constraints({"low": condition}, mesh)


def test_errors_of_what_a_mesh_cannot_have():
    mesh = mesh_of()
    X, y = data_on(mesh)
    with pytest.raises(ValueError, match="method='lift' needs a Grid"):
        BoundaryEnforcedOperator(Plain(), {"left": Dirichlet()}, mesh, method="lift").fit(X, y)
    with pytest.raises(ValueError, match="has no one stencil"):
        BoundaryConstraint(Dirichlet(), "left", "both").stencil(mesh)
    single = Mesh.from_simplices([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], boundary={"left": [0]})
    with pytest.raises(ValueError, match="needs neighbours in all directions, but only 0"):
        BoundaryConstraint(Dirichlet(), "left", "both").rows(single)

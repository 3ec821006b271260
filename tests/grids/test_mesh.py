"""Meshes: integrals, simplices, validation."""

import copy
import pickle
from itertools import combinations

import numpy as np
import pytest
from finite_volume_cases import TIMES, triangulated
from scipy.integrate import simpson, trapezoid
from scipy.spatial import ConvexHull, Delaunay

from skphys.constraints import ControlVolumeBalance, DiffusiveFlux
from skphys.grids import Grid, Mesh

FACES = [[-1, 0], [0, 1], [1, 2], [2, -1]]


def row_of_cells(**params):
    return Mesh(**{"points": [0.5, 1.5, 3.0], "volumes": [1.0, 1.0, 2.0], "faces": FACES} | params)


def test_attributes():
    mesh = row_of_cells(t=TIMES)
    assert (mesh.names, mesh.shape, mesh.n_points) == (("t", "cell"), (4, 3), 12)
    assert (mesh.n_cells, mesh.n_faces) == (3, 4)
    np.testing.assert_array_equal(mesh.points[:4], [[0, 0.5], [0, 1.5], [0, 3.0], [0.1, 0.5]])
    assert row_of_cells().names == ("cell",) and row_of_cells().points.shape == (3, 1)
    assert repr(mesh) == "Mesh(3 cells, 4 faces, t=4 nodes in [0, 0.3])"
    assert mesh.reshape(np.zeros((5, 12))).shape == (5, 4, 3)
    with pytest.raises(ValueError, match="read-only"):
        mesh.volumes[0] = 1.0


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_equal_by_value(copied):
    mesh, _ = triangulated()
    twin = copied(mesh)
    assert twin == mesh and hash(twin) == hash(mesh)
    assert not twin.faces.flags.writeable and not twin.normals.flags.writeable
    assert mesh != triangulated(None)[0] and mesh != triangulated(seed=1)[0] and mesh != "mesh"
    assert row_of_cells() != row_of_cells(areas=[1, 1, 1, 2])


def test_names_of_coordinates():
    mesh = row_of_cells(coordinates=["z"])
    assert mesh.coordinates == ("z",) and row_of_cells().coordinates is None
    assert mesh != row_of_cells() and pickle.loads(pickle.dumps(mesh)) == mesh
    old = {key: value for key, value in vars(mesh).items() if key != "_coordinates"}
    again = Mesh.__new__(Mesh)
    again.__setstate__(old)  # what an older version has pickled
    assert again == row_of_cells()


@pytest.mark.parametrize("names", ["z", ["y", "z"], [1]])
def test_names_that_are_none_of_columns(names):
    with pytest.raises(ValueError, match="one name for each of the 1 columns of points"):
        row_of_cells(coordinates=names)


def test_integrals_over_cells_time_and_both():
    mesh = row_of_cells(t=TIMES)
    u = np.random.default_rng(0).normal(size=(2, 12))
    shaped = u.reshape(2, 4, 3)
    space = shaped @ mesh.volumes
    np.testing.assert_allclose(u @ mesh.integral_rows("cell").T, space)
    time = trapezoid(shaped, TIMES, axis=1)
    np.testing.assert_allclose(u @ mesh.integral_rows("t").T, time)
    both = trapezoid(space, TIMES)[:, None]
    np.testing.assert_allclose(u @ mesh.integral_rows().T, both)
    np.testing.assert_allclose(
        u @ mesh.integral_rows(quadrature="simpson").T, simpson(space, x=TIMES)[:, None]
    )
    given = mesh.integral_rows("cell", {"cell": [1.0, 0.0, 0.0]})
    np.testing.assert_allclose(u @ given.T, shaped[..., 0])
    np.testing.assert_allclose(u @ mesh.integral_rows("cell", [1.0, 0, 0]).T, shaped[..., 0])
    assert mesh.remaining("cell") == ("t",)
    assert (mesh.quadrature_error_bound(u, "cell") == 0).all()
    assert (mesh.quadrature_error_bound(u) > 0).all()


@pytest.mark.parametrize("n_dims", [2, 3])
def test_simplices_against_scipy(n_dims):
    mesh, triangulation = triangulated(n_dims=n_dims)
    hull = ConvexHull(triangulation.points)
    assert mesh.volumes.sum() == pytest.approx(hull.volume, rel=1e-12)
    outside = mesh.faces[:, 1] < 0
    assert mesh.areas[outside].sum() == pytest.approx(hull.area, rel=1e-12)
    pairs = {(i, j) for i, row in enumerate(triangulation.neighbors) for j in row if i < j}
    assert {tuple(sorted(face)) for face in mesh.faces[~outside]} == pairs
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0)
    towards = mesh.centres[mesh.faces[~outside, 1]] - mesh.centres[mesh.faces[~outside, 0]]
    assert ((towards * mesh.normals[~outside]).sum(axis=1) > 0).all()


def test_segments_are_a_grid_of_cells():
    mesh = Mesh.from_simplices([[0.0], [1.0], [3.0]], [[1, 0], [1, 2]])
    np.testing.assert_array_equal(mesh.volumes, [1.0, 2.0])
    np.testing.assert_array_equal(mesh.areas, 1.0)
    assert sorted(map(tuple, mesh.faces.tolist())) == [(0, -1), (0, 1), (1, -1)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"volumes": [1.0, 0.0, 2.0]}, "volumes must be positive, got 0 at position 1"),
        ({"points": [[0.5], [1.0]]}, r"points must have shape \(3, n_dims\)"),
        ({"faces": [[0, 1, 2]]}, r"faces must be integers of shape \(n_faces, 2\)"),
        ({"faces": [[0.0, 1.0]]}, "faces must be integers"),
        ({"faces": [[0, 3]]}, r"face 0 is \[0, 3\]"),
        ({"faces": [[0, 1], [-1, -1]]}, r"face 1 is \[-1, -1\]"),
        ({"faces": [[0, 1], [2, 2]]}, r"face 1 is \[2, 2\]"),
        ({"areas": [1.0, 1.0]}, "areas must hold one size for each of 4 faces"),
        ({"areas": [1.0, 1.0, -1.0, 1.0]}, "areas must be positive"),
        ({"normals": np.ones((4, 2))}, r"normals must have shape \(4, 1\)"),
        ({"normals": np.full((4, 1), 2.0)}, "normals must be unit vectors"),
        ({"t": [0.0, 0.0]}, "axis 't': points must be strictly increasing"),
    ],
)
def test_errors_name_the_parameter(params, message):
    with pytest.raises(ValueError, match=message):
        row_of_cells(**params)


@pytest.mark.parametrize(
    ("simplices", "message"),
    [
        ([[0, 1]], r"simplices must be integers of shape \(n_cells, 3\)"),
        ([[0, 1, 9]], "must name the vertices 0 to 3"),
        ([[0, 1, 1]], "number 0 is flat"),
        ([[0, 1, 2], [0, 1, 3], [0, 1, 2]], "simplices overlap"),
        ([[0, 1, 2], [2, 1, 0]], "simplices overlap: numbers 0 and 1"),
        ([[0, 1, 2], [0, 1, 3]], "simplices overlap: numbers 0 and 1"),
    ],
)
def test_errors_of_simplices(simplices, message):
    with pytest.raises(ValueError, match=message):
        Mesh.from_simplices([[0, 0], [1, 0], [1, 1], [0, 1]], simplices)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_values_at_vertices(n_dims):
    """Linear fields are integrated exactly, and the faces around each vertex close."""
    corners = np.indices((2,) * n_dims).reshape(n_dims, -1).T
    vertices = np.vstack([corners, np.random.default_rng(0).uniform(size=(30, n_dims))])
    order = np.argsort(vertices[:, 0])
    simplices = Delaunay(vertices).simplices if n_dims > 1 else np.stack([order[:-1], order[1:]], 1)
    mesh = Mesh.from_simplices(vertices, simplices, location="vertices")
    np.testing.assert_array_equal(mesh.centres, vertices)
    slope = np.arange(1.0, n_dims + 1.0)
    assert mesh.volumes @ (2.0 + vertices @ slope) == pytest.approx(
        2.0 + slope.sum() / 2, rel=1e-12
    )
    area, outside = mesh.areas[:, None] * mesh.normals, mesh.faces[:, 1] < 0
    left = np.zeros_like(vertices)
    np.add.at(left, mesh.faces[:, 0], area)
    np.subtract.at(left, mesh.faces[~outside, 1], area[~outside])
    np.testing.assert_allclose(left, 0.0, atol=1e-14)
    assert mesh.areas[outside].sum() == pytest.approx(2.0 * n_dims, rel=1e-12)
    edges = {tuple(sorted(e)) for s in simplices.tolist() for e in combinations(s, 2)}
    assert {tuple(face) for face in mesh.faces[~outside].tolist()} == edges


def test_volumes_around_vertices_end_at_centroids_and_middles_of_edges():
    square, triangles = [[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [3, 2, 0]]
    mesh = Mesh.from_simplices(square, triangles, location="vertices")
    np.testing.assert_allclose(mesh.volumes, [1 / 3, 1 / 6, 1 / 3, 1 / 6], rtol=1e-14)
    area = {
        tuple(f): a for f, a in zip(mesh.faces, mesh.areas[:, None] * mesh.normals, strict=True)
    }
    np.testing.assert_allclose(area[0, 2], [1 / 3, 1 / 3], atol=1e-15)  # between the centroids
    np.testing.assert_allclose(area[0, 1], [1 / 3, -1 / 6], atol=1e-15)  # to (2/3, 1/3) from below


def test_trapezoids_are_values_at_vertices():
    x = np.array([0.0, 1.0, 3.0, 3.5])
    mesh = Mesh.from_simplices(x[:, None], [[0, 1], [2, 1], [2, 3]], location="vertices")
    np.testing.assert_allclose(mesh.volumes, Grid(x=x).weights(), rtol=1e-14)


def test_a_balance_between_vertices():
    """What flows between vertices is lost by one and gained by the other."""
    vertices = np.vstack(
        [[[0, 0], [0, 1], [1, 0], [1, 1]], np.random.default_rng(1).random((9, 2))]
    )
    t, triangles = [0.0, 0.1], Delaunay(vertices).simplices
    mesh = Mesh.from_simplices(vertices, triangles, t, location="vertices")
    rows = ControlVolumeBalance(flux_operator=DiffusiveFlux(0.3)).rows(mesh)
    assert rows.shape == (13, 26)
    np.testing.assert_allclose(rows @ np.ones(26), 0.0, atol=1e-13)
    masses = np.concatenate([-mesh.volumes, mesh.volumes])
    np.testing.assert_allclose(rows.sum(axis=0), masses, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"location": "nodes"}, "location must be 'cells' or 'vertices'; got 'nodes'"),
        ({"location": "vertices", "boundary": {"a": [0]}}, "boundary needs location='cells'"),
        ({"location": "vertices"}, "vertices that no simplex has"),
    ],
)
def test_errors_of_values_at_vertices(options, message):
    with pytest.raises(ValueError, match=message):
        Mesh.from_simplices([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2]], **options)

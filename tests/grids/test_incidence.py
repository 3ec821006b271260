"""Control volumes of grids and meshes: faces, sizes and signs."""

from itertools import product

import numpy as np
import pytest
from finite_volume_cases import EDGES, GEOMETRIES, TIMES, grid_of, net_outflux, triangulated

from skphys.grids import Axis, Grid, Mesh, control_volumes, face_grids, incidence


@pytest.mark.parametrize("names", ["x", "xy", "xyz"])
def test_faces_of_a_grid_come_axis_by_axis_in_c_order(names):
    volumes = control_volumes(grid_of(names), "t")
    shape = [EDGES[name].size - 1 for name in names]
    widths = [np.diff(EDGES[name]) for name in names]
    number = {cell: i for i, cell in enumerate(np.ndindex(*shape))}
    expected, areas = [], []
    for k in range(len(names)):
        for face in np.ndindex(*(n + (i == k) for i, n in enumerate(shape))):
            below = tuple(j - (i == k) for i, j in enumerate(face))
            expected.append([number.get(below, -1), number.get(face, -1)])
            areas.append(
                np.prod([w[j] for i, (w, j) in enumerate(zip(widths, face, strict=True)) if i != k])
            )
    np.testing.assert_array_equal(volumes.faces, expected)
    np.testing.assert_allclose(volumes.areas, areas)
    np.testing.assert_allclose(
        volumes.volumes, [np.prod(cell) for cell in product(*widths)], rtol=1e-15
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_incidence_adds_up_what_a_loop_over_the_faces_adds_up(geometry):
    volumes = control_volumes(GEOMETRIES[geometry](), "t")
    fluxes = np.random.default_rng(0).normal(size=volumes.n_faces)
    out = volumes.incidence @ (volumes.areas * fluxes)
    np.testing.assert_allclose(out, net_outflux(volumes, fluxes), rtol=1e-12, atol=1e-13)
    columns = np.asarray(volumes.incidence.sum(axis=0))
    interior = np.setdiff1d(np.arange(volumes.n_faces), volumes.boundary)
    assert (columns[interior] == 0).all() and (np.abs(columns[volumes.boundary]) == 1).all()


@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if "periodic" not in g])
def test_divergence_theorem(geometry):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    closed = volumes.incidence @ (volumes.areas[:, None] * volumes.normals)
    np.testing.assert_allclose(closed, 0.0, atol=1e-13)  # constant fluxes leave nothing behind
    if isinstance(grid, Mesh):
        corners = triangulated(n=9, n_dims=3)[1] if "tetra" in geometry else triangulated()[1]
        middle = _face_centres(corners, volumes)
    else:
        middle = np.concatenate([_first_level(faces) for faces in face_grids(grid, "t").values()])
    fluxes = (middle * volumes.normals).sum(axis=1)  # the flux u = x has divergence n_dims
    out = volumes.incidence @ (volumes.areas * fluxes)
    n_dims = volumes.normals.shape[1]
    np.testing.assert_allclose(out, n_dims * volumes.volumes, rtol=1e-11)


def _first_level(grid):
    """Return the coordinates of the faces across one axis."""
    space = [name != "t" for name in grid.names]
    return grid.points[grid.points[:, space.index(False)] == 0][:, space]


def _face_centres(triangulation, volumes):
    """Return the midpoints of facets, by the corners that the owner and nobody else lacks."""
    centres = np.empty((volumes.n_faces, triangulation.ndim))
    left = {}
    for cell, corners in enumerate(triangulation.simplices):
        for corner in corners:
            facet = frozenset(corners) - {corner}
            left.setdefault(facet, []).append(cell)
    by_cells = {}
    for facet, cells in left.items():
        by_cells.setdefault(frozenset(cells), []).append(facet)
    for f, (owner, neighbour) in enumerate(volumes.faces):
        candidates = by_cells[frozenset({owner, neighbour} - {-1})]
        facet = next(
            c
            for c in candidates
            if abs(np.linalg.norm(_area(triangulation.points[list(c)])) - volumes.areas[f]) < 1e-12
        )
        centres[f] = triangulation.points[list(facet)].mean(axis=0)
    return centres


def _area(corners):
    sides = corners[1:] - corners[0]
    return sides[0] if len(sides) == 1 else 0.5 * np.cross(*sides)


def test_volumes_around_nodes_are_the_trapezoid_rule():
    volumes = control_volumes(grid_of("xy", "nodes"), "t")
    expected = Grid(x=EDGES["x"], y=EDGES["y"]).weights()
    np.testing.assert_array_equal(volumes.volumes, expected)


@pytest.mark.parametrize("cells", [True, False])
def test_first_face_of_a_periodic_axis_joins_the_last_cell_to_the_first(cells):
    axis = Axis.periodic(0.0, 1.0, 4)
    if cells:
        edges = np.linspace(0.0, 1.0, 5)
        axis = Axis(edges[:-1] + 0.125, edges=edges, period=1.0)
    volumes = control_volumes(Grid(x=axis))
    np.testing.assert_array_equal(volumes.faces, [[3, 0], [0, 1], [1, 2], [2, 3]])
    np.testing.assert_allclose(volumes.distances, 0.25)
    assert volumes.boundary.size == 0 and volumes.times is None
    faces = face_grids(Grid(x=axis))["flux_x"]
    np.testing.assert_allclose(faces["x"], np.arange(4) / 4 - (0 if cells else 0.125))
    assert faces.axes["x"].period == 1.0


def test_distances_are_between_points_and_infinite_outside():
    volumes = control_volumes(Grid(x=Axis.cells([0.0, 1.0, 3.0])))
    np.testing.assert_array_equal(volumes.distances, [np.inf, 1.5, np.inf])
    mesh, triangulation = triangulated(None)
    volumes = control_volumes(mesh)
    centroids = triangulation.points[triangulation.simplices].mean(axis=1)
    for (owner, neighbour), distance in zip(volumes.faces, volumes.distances, strict=True):
        if neighbour < 0:
            assert distance == np.inf
        else:
            assert distance == pytest.approx(
                np.linalg.norm(centroids[owner] - centroids[neighbour])
            )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_levels_and_face_grids_fit_the_field(geometry):
    grid = GEOMETRIES[geometry]()
    volumes = control_volumes(grid, "t")
    assert volumes.levels.shape == (TIMES.size, volumes.n_cells)
    np.testing.assert_array_equal(np.sort(volumes.levels.ravel()), np.arange(grid.n_points))
    position = grid.names.index("t")
    at = grid.points[volumes.levels][..., position]
    np.testing.assert_array_equal(at, np.repeat(TIMES[:, None], volumes.n_cells, axis=1))
    sizes = [g.n_points for g in face_grids(grid, "t").values()]
    assert sum(sizes) == volumes.n_faces * TIMES.size


@pytest.mark.parametrize(
    ("grid", "time", "message"),
    [
        (grid_of("x"), "s", "time='s' is not an axis"),
        (Grid(t=TIMES), "t", "need an axis of space"),
        (Grid(t=Axis.cells(TIMES), x=EDGES["x"]), "t", "must be an axis of nodes"),
        (Grid(t=TIMES, x=[0.5]), "t", "axis 'x': the trapezoid rule needs at least 2 points"),
        (triangulated(None)[0], "t", "time='t' is not an axis"),
    ],
)
def test_errors_name_the_axis(grid, time, message):
    with pytest.raises(ValueError, match=message):
        control_volumes(grid, time)


def test_a_cell_that_is_its_own_neighbour_loses_nothing():
    assert incidence(np.array([[0, 0]]), 1).toarray() == [[0.0]]

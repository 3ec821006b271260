"""What FieldDisplay draws of meshes, masked grids and several components."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from scipy.spatial import Delaunay, Voronoi
from sklearn.linear_model import Ridge

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import Axis, Components, Grid, Mesh, face_grids, masked
from skphys.inspection import FieldDisplay

RNG = np.random.default_rng(0)
VERTICES = RNG.uniform(size=(40, 2))
TRIANGLES = Delaunay(VERTICES).simplices
MESH = Mesh.from_simplices(VERTICES, TRIANGLES, t=[0.0, 1.0, 3.0])
FIELDS = RNG.normal(size=(2, MESH.n_points))


def corners_of(image):
    """Return the corners of each polygon, sorted; that which closes the path is left out."""
    return [np.unique(path.vertices.round(9), axis=0) for path in image.get_paths()]


def sorted_rows(points):
    return np.unique(np.asarray(points).round(9), axis=0)


def area(path):
    (x, y), (x2, y2) = path.vertices[:-1].T, path.vertices[1:].T
    return 0.5 * np.sum(x * y2 - x2 * y)


def test_triangles_are_where_their_vertices_are():
    std = np.abs(FIELDS)
    display = FieldDisplay.from_predictions(
        FIELDS + 0.5, (FIELDS, std), grid=MESH, sample=1, at={"t": 2.9}
    )
    assert list(display.images_) == ["truth", "mean", "error", "std"]
    last = MESH.reshape(FIELDS)[1, 2]
    expected = {"truth": last + 0.5, "mean": last, "error": np.full(len(last), -0.5)}
    for panel, values in (expected | {"std": np.abs(last)}).items():
        image = display.images_[panel]
        assert isinstance(image, PolyCollection)
        np.testing.assert_allclose(image.get_array(), values, rtol=1e-12)
        for drawn, triangle in zip(corners_of(image), TRIANGLES, strict=True):
            np.testing.assert_array_equal(drawn, sorted_rows(VERTICES[triangle]))
    assert display.images_["truth"].get_clim() == (last.min(), last.max() + 0.5)
    assert display.ax_.get_aspect() == 1.0 and display.ax_.get_title() == "field: truth"


def test_corners_go_round_each_cell():
    """Their polygons have the areas of the cells, also of hexagons and their like."""
    voronoi = Voronoi(RNG.uniform(size=(60, 2)))
    closed = [k for k, r in enumerate(voronoi.point_region) if -1 not in voronoi.regions[r]]
    regions = {k: voronoi.regions[voronoi.point_region[k]] for k in closed}
    inside = [
        k for k, r in regions.items() if np.abs(voronoi.vertices[r] - 0.5).max() < 0.5 and len(r)
    ]
    number = {k: i for i, k in enumerate(inside)}
    faces, ends = [], []
    for (a, b), line in zip(voronoi.ridge_points, voronoi.ridge_vertices, strict=True):
        if a in number or b in number:
            faces.append([number.get(a, -1), number.get(b, -1)])
            ends.append(voronoi.vertices[line])
    ends, faces = np.array(ends), np.array(faces)
    along = ends[:, 1] - ends[:, 0]
    areas = np.linalg.norm(along, axis=1)
    normals = np.column_stack([along[:, 1], -along[:, 0]]) / areas[:, None]
    centres, middles = voronoi.points[inside], ends.mean(axis=1)
    towards = middles - centres[np.where(faces[:, 0] >= 0, faces[:, 0], faces[:, 1])]
    flip = np.sum(normals * towards, axis=1) * np.where(faces[:, 0] >= 0, 1, -1) < 0
    normals[flip] *= -1
    mesh = Mesh(centres, np.ones(len(inside)), faces, areas, normals, face_points=middles)
    display = FieldDisplay.from_predictions(None, np.arange(len(inside)), grid=mesh)
    for k, path in zip(inside, display.images_["mean"].get_paths(), strict=True):
        np.testing.assert_allclose(
            sorted_rows(path.vertices), sorted_rows(voronoi.vertices[regions[k]]), atol=2e-9
        )
        x, y = voronoi.vertices[regions[k]].T
        shoelace = 0.5 * np.abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        assert np.isclose(area(path), shoelace, rtol=1e-9)  # and all counterclockwise
    assert len(inside) > 10 and len({len(regions[k]) for k in inside}) > 2


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(
    "x, edges",
    [
        (Axis.cells([0.0, 1.0, 3.0, 4.0]), [0.0, 1.0, 3.0, 4.0]),
        (Axis(np.array([0.0, 1.0, 4.0])), [0.0, 0.5, 2.5, 4.0]),
        (Axis(np.arange(3.0), period=3.0), [-0.5, 0.5, 1.5, 2.5]),
    ],
)
def test_a_masked_grid_is_its_raster_with_holes(x, edges, transpose):
    """Boxes between the edges of cells, or half-way between nodes; none where there is no sea."""
    grid = Grid(y=Axis.cells([0.0, 2.0, 3.0]), x=x)
    sea = np.array([[True, False, True], [True, True, True]])
    display = FieldDisplay.from_predictions(
        None, np.arange(5.0), grid=masked(grid, sea), transpose=transpose
    )
    image = display.images_["mean"]
    np.testing.assert_array_equal(image.get_array(), np.arange(5.0))
    boxes = [(i, j) for i in range(2) for j in range(3) if sea[i, j]]
    for drawn, (i, j) in zip(corners_of(image), boxes, strict=True):
        corners = [
            (b, a) if transpose else (a, b)
            for a in [0.0, 2.0, 3.0][i : i + 2]
            for b in edges[j : j + 2]
        ]
        np.testing.assert_allclose(drawn, sorted_rows(corners), atol=1e-12)
    labels = display.ax_.get_xlabel(), display.ax_.get_ylabel()
    assert labels == (("x", "y") if transpose else ("y", "x"))
    assert display.ax_.get_aspect() == "auto"  # as that of the grid itself


def test_a_masked_line_is_a_profile_along_its_axis():
    grid = Grid(t=[0.0, 1.0], depth=Axis.cells([0.0, 1.0, 3.0]))
    display = FieldDisplay.from_predictions(
        None, np.arange(2.0), grid=masked(grid, [False, True], time="t"), at={"t": 1.0}
    )
    assert display.ax_.get_xlabel() == "depth" and display.line_.get_xdata() == [2.0]


def test_two_faces_on_one_side():
    """A large cell beside two small ones has five faces."""
    centres = [[0.0, 0.0], [1.5, 0.5], [1.5, -0.5]]
    faces = [[0, 1], [0, 2], [0, -1], [0, -1], [0, -1], [1, 2]]
    faces += [[1, -1], [1, -1], [2, -1], [2, -1]]
    middles = [[1, 0.5], [1, -0.5], [0, 1], [-1, 0], [0, -1], [1.5, 0]]
    middles += [[2, 0.5], [1.5, 1], [2, -0.5], [1.5, -1]]
    normals = [[1, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [0, -1]]
    normals += [[1, 0], [0, 1], [1, 0], [0, -1]]
    mesh = Mesh(centres, [4.0, 1.0, 1.0], faces, np.ones(10), normals, face_points=middles)
    paths = FieldDisplay.from_predictions(None, np.ones(3), grid=mesh).images_["mean"].get_paths()
    np.testing.assert_allclose([area(path) for path in paths], [4.0, 1.0, 1.0])


def test_cells_without_known_sides_are_dots():
    bare = Mesh(MESH.centres, MESH.volumes, MESH.faces)
    values = FIELDS[0, : MESH.n_cells]
    image = FieldDisplay.from_predictions(None, values, grid=bare).images_["mean"]
    assert isinstance(image, PathCollection)
    np.testing.assert_array_equal(image.get_offsets(), MESH.centres)
    np.testing.assert_array_equal(image.get_array(), values)
    inner = (MESH.faces >= 0).all(axis=1)  # cells at the boundary are not closed
    parts = (MESH.faces, MESH.areas, MESH.normals, None, MESH.face_points)
    faces, areas, normals, t, middles = (None if p is None else p[inner] for p in parts)
    open_ended = Mesh(MESH.centres, MESH.volumes, faces, areas, normals, t, middles)
    image = FieldDisplay.from_predictions(None, values, grid=open_ended).images_["mean"]
    assert isinstance(image, PathCollection)


def test_a_mesh_of_a_line_is_a_profile():
    """Its cells need not come in order; the time of one cell is a profile, too."""
    mesh = Mesh([3.0, 1.0, 2.0], np.ones(3), [[1, 2], [2, 0]], t=[0.0, 0.5])
    values = np.arange(6.0)
    display = FieldDisplay.from_predictions(values, (values, values), grid=mesh, at={"t": 0.5})
    np.testing.assert_array_equal(display.line_.get_xdata(), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(display.line_.get_ydata(), [4.0, 5.0, 3.0])
    np.testing.assert_array_equal(display.truth_.get_ydata(), [4.0, 5.0, 3.0])
    highest = display.band_.get_paths()[0].vertices[:, 1].max()
    assert np.isclose(highest, 5.0 + 1.6448536269514722 * 5.0)
    over_time = FieldDisplay.from_predictions(None, values, grid=mesh, at={"cell": 0.5})
    np.testing.assert_array_equal(over_time.line_.get_ydata(), [0.0, 3.0])


def test_the_estimator_knows_its_mesh():
    X = RNG.uniform(size=(12, 2))
    y = np.ones((12, 1)) * MESH.volumes
    mesh = Mesh.from_simplices(VERTICES, TRIANGLES)
    model = ConservationConstrainedRegressor(Ridge(), ConservationLaw(total=1.0), mesh)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, y)
    display = FieldDisplay.from_estimator(model, X, y, sample=3, coverage=None)
    assert display.grid == mesh
    np.testing.assert_allclose(display.images_["mean"].get_array(), model.predict(X)[3])


class TestComponents:
    line, plane = Grid(t=[0.0, 1.0, 2.0]), Grid(t=[0.0, 1.0, 2.0], x=[0.0, 1.0])
    both = Components(u=plane, flux=line)
    fields = RNG.normal(size=(2, 9))

    def test_each_has_a_row(self, plt):
        display = FieldDisplay.from_predictions(
            self.fields, (self.fields + 1.0, np.abs(self.fields)), grid=self.both, sample=1
        )
        assert list(display.parts_) == ["u", "flux"] and len(display.axes_) == 5
        images = display.parts_["u"].images_
        shown = np.asarray(images["std"].get_array()).reshape(2, 3).T
        np.testing.assert_array_equal(shown.ravel(), np.abs(self.fields[1, :6]))
        flux = display.parts_["flux"]
        np.testing.assert_array_equal(flux.line_.get_ydata(), self.fields[1, 6:] + 1.0)
        np.testing.assert_array_equal(flux.truth_.get_ydata(), self.fields[1, 6:])
        assert (flux.ax_.get_xlabel(), flux.ax_.get_ylabel()) == ("t", "flux")
        assert flux.ax_.figure is display.figure_ is images["mean"].figure
        assert len(display.figure_.axes) == 5 + 4  # and colour bars; unused places are gone

    def test_a_cut_goes_through_those_that_have_the_axis(self, plt):
        _, axes = plt.subplots(2)
        display = FieldDisplay.from_predictions(
            None, self.fields, grid=self.both, at={"x": 1.0}, ax=axes, line_kwargs={"lw": 3}
        )
        np.testing.assert_array_equal(display.parts_["u"].line_.get_ydata(), self.fields[0, 1:6:2])
        assert list(display.axes_) == list(axes) and display.ax_ is axes[0]
        assert {part.line_.get_linewidth() for part in display.parts_.values()} == {3}
        with pytest.raises(ValueError, match=r"each of the 2 panels of .*; got 1"):
            display.plot(axes[0])

    def test_the_flux_through_an_end_is_a_cut(self):
        """At the first or last face, over time, predicted beside true."""
        cells = Grid(t=[0.0, 1.0, 2.0], x=Axis.cells([0.0, 1.0, 3.0]))
        both = Components(u=cells, **face_grids(cells, "t"))
        fields = RNG.normal(size=(2, 6 + 9))
        pair, at = (fields + 1.0, np.ones((2, 15))), {"x": 3.0}
        display = FieldDisplay.from_predictions(
            fields, pair, grid=both, component="flux_x", at=at, sample=1
        )
        outflow = fields[1, 6:].reshape(3, 3)[:, -1]
        np.testing.assert_array_equal(display.truth_.get_ydata(), outflow)
        np.testing.assert_array_equal(display.line_.get_ydata(), outflow + 1.0)
        np.testing.assert_array_equal(display.line_.get_xdata(), [0.0, 1.0, 2.0])

    def test_the_only_one_is_no_part(self):
        display = FieldDisplay.from_predictions(None, np.arange(3.0), grid=Components(v=self.line))
        assert display.parts_ == {} and display.ax_.get_ylabel() == "v"

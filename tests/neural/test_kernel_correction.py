"""BOON's correction of a layer: what the boundary measures is handed on, in one application."""

import copy
import itertools

import numpy as np
import pytest

from skphys.constraints import Dirichlet, Neumann, Periodic, Robin, boundary_constraints
from skphys.estimators._packed import embed_boundary
from skphys.grids import Axis, Components, Grid, grid_parts

torch = pytest.importorskip("torch")
from skphys.neural._kernel import KernelCorrection  # noqa: E402
from skphys.neural._spectral import SpectralConv, Transform  # noqa: E402
from skphys.neural._transforms import grid_modes  # noqa: E402

N = 20
EVEN = Grid(x=np.linspace(0.0, 1.0, N))
UNEVEN = Grid(x=np.linspace(0.0, 1.0, N) ** 1.3)
CELLS = Grid(x=Axis.cells(np.linspace(0.0, 1.0, N + 1)))
CONDITIONS = {"D": Dirichlet(), "N": Neumann(), "R": Robin(2.0, 0.3, order=3), "-": None}
PAIRS = [a + b for a, b in itertools.product(CONDITIONS, repeat=2) if a + b != "--"]


def corrected(boundary, channels, pivot, *, padding=0.0, grid=EVEN, ridge=0.0, n_members=2):
    """Return a layer with random weights in float64, and what the boundary measures."""
    embedding = embed_boundary(boundary_constraints(boundary, grid), grid, "kernel", pivot)
    layer = spectral_layer(grid, (7,), channels, padding, n_members)
    layer.correction = KernelCorrection(embedding, layer.transform, ridge)
    stencils = np.stack([f.stencil / np.abs(f.stencil).max() for f in embedding.faces])
    return layer, torch.as_tensor(stencils)


def spectral_layer(grid, n_modes, channels, padding=0.0, n_members=1):
    """Return a layer with random weights in float64."""
    torch.manual_seed(0)
    axes = grid.axes.values()
    points = [axis.points for axis in axes]
    spans = [None if axis.edges is None else (axis.edges[0], axis.edges[-1]) for axis in axes]
    transform = Transform(grid_modes(points, n_modes, padding=padding, spans=spans), points)
    layer = SpectralConv(channels, transform, n_members).double()
    torch.nn.init.normal_(layer.weight)
    return layer


def fields(channels, n_members=2):
    return torch.randn(n_members, 3, N, channels, dtype=torch.float64)


@pytest.mark.parametrize("padding", [0.0, 0.3, "reflect"])
@pytest.mark.parametrize("pair", [*PAIRS, "periodic"])
@pytest.mark.parametrize(("pivot", "channels"), [("block", 1), ("block", 4), ("scalar", 1)])
def test_boundary_and_interior_decouple(pair, padding, pivot, channels):
    walls = Periodic() if pair == "periodic" else tuple(CONDITIONS[c] for c in pair)
    layer, S = corrected({"x": walls}, channels, pivot, padding=padding)
    u = fields(channels)
    torch.testing.assert_close(S @ layer(u), S @ u, rtol=0.0, atol=1e-8)
    other = u.clone()
    other[:, :, 5:-5] += 1.0  # out of reach of all stencils
    torch.testing.assert_close(S @ layer(other), S @ layer(u), rtol=0.0, atol=1e-8)
    assert (layer(other) - layer(u)).abs().max() > 0.1


@pytest.mark.parametrize("grid", [UNEVEN, CELLS], ids=["uneven", "cells"])
@pytest.mark.parametrize("padding", [0.0, 0.3, "reflect"])
def test_uneven_spacing_and_cells(grid, padding):
    layer, S = corrected(
        {"x": (Dirichlet(), Robin(1.0, 1.0))}, 3, "block", padding=padding, grid=grid
    )
    u = fields(3)
    torch.testing.assert_close(S @ layer(u), S @ u, rtol=0.0, atol=1e-8)


def test_a_plain_layer_and_a_scalar_pivot_of_many_channels_do_not_decouple():
    """What the tests above could not tell from a boundary that is left alone by chance."""
    u = fields(4)
    layer, S = corrected({"x": Dirichlet()}, 4, "scalar")
    assert (S @ layer(u) - S @ u).abs().max() > 0.1
    layer.correction = None
    assert (S @ layer(u) - S @ u).abs().max() > 0.1


def test_the_correction_is_that_of_the_dense_kernel():
    """By N applications of the layer to unit vectors, and a dense solve."""
    layer, S = corrected({"x": (Dirichlet(), Neumann())}, 1, "block", n_members=1)
    u = fields(1, 1)[0, :, :, 0]
    correction, layer.correction = layer.correction, None
    K = layer(torch.eye(N, dtype=torch.float64)[None, :, :, None])[0, :, :, 0].T
    E = torch.eye(N, dtype=torch.float64)[:, [0, -1]]
    d = torch.linalg.solve(S @ K @ E, S @ u.T - S @ K @ u.T)
    expected = (K @ (u.T + E @ d)).T
    layer.correction = correction
    torch.testing.assert_close(layer(u[None, :, :, None])[0, :, :, 0], expected)


def test_the_scalar_pivot_is_the_row_sum_of_the_first_output_channel():
    layer, S = corrected({"x": Dirichlet()}, 3, "scalar", n_members=1)
    correction, layer.correction = layer.correction, None
    units = torch.zeros(1, 2, N, 3, dtype=torch.float64)
    units[0, 0, 0] = units[0, 1, -1] = 1.0  # all input channels at once
    pivot = layer(units)[0, :, [0, -1], 0].T
    u = fields(3, 1)
    missing = S @ u - S @ layer(u)
    moved = u.clone()
    moved[:, :, [0, -1]] += torch.linalg.solve(pivot, missing)
    expected = layer(moved)
    layer.correction = correction
    torch.testing.assert_close(layer(u), expected)


def test_a_ridge_shrinks_towards_the_plain_layer():
    u, distances = fields(4), []
    for ridge in (1e-6, 1e-3, 1.0, 1e6):
        layer, S = corrected({"x": Dirichlet()}, 4, "block", ridge=ridge)
        distances.append((S @ layer(u) - S @ u).abs().max().item())
    plain = corrected({"x": Dirichlet()}, 4, "block")[0]
    plain.correction = None
    assert distances == sorted(distances)
    torch.testing.assert_close(layer(u), plain(u), rtol=0.0, atol=1e-4)


def test_the_units_of_a_condition_do_not_matter():
    """Slopes in other units than values: with a ridge, too."""
    u = fields(2)
    out = [
        corrected({"x": (Dirichlet(), Robin(0.0, b))}, 2, "block", ridge=1e-3)[0](u)
        for b in (1.0, 1e3)
    ]
    torch.testing.assert_close(*out)


@pytest.mark.parametrize("pivot", ["block", "scalar"])
@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_one_application(pivot, n_axes, monkeypatch):
    """One transform of fields there and one back; what is corrected is as small as a face."""
    case = CASES[("wave", "plane", "box")[n_axes - 1]]
    layer = of_case(case, pivot)[0]
    sizes = {"analyse": [], "synthesise": []}
    for name, seen in sizes.items():
        method = getattr(layer.transform, name)

        def counted(x, skip=None, *, method=method, seen=seen):
            out = method(x, skip)
            seen.append(skip)
            return out

        monkeypatch.setattr(layer.transform, name, counted)
    layer(torch.randn(1, 2, *case["grid"].shape, 2, dtype=torch.float64))
    for seen in sizes.values():
        assert seen.count(None) == 1
        assert sorted(axis for axis in seen if axis is not None) == list(range(n_axes))


PLANE = Grid(x=np.arange(6) / 6.0, y=np.arange(8) / 8.0)
BOX = Grid(t=np.arange(4) / 4.0, x=np.arange(6) / 6.0, y=np.arange(5) / 5.0)
WARPED = Grid(x=np.linspace(0.0, 1.0, 7) ** 1.3, y=Axis.cells(np.linspace(0.0, 1.0, 9)))
VALUE, SLOPE = Dirichlet(), Neumann()
CASES = {
    "wave": {"grid": Grid(x=np.arange(8) / 8.0), "walls": {"x": (VALUE, SLOPE)}},
    "plane": {"grid": PLANE, "walls": {"x": VALUE, "y": (SLOPE, Robin(1.0, 0.1))}},
    "one side": {"grid": PLANE, "walls": {"y": (None, VALUE)}},
    "slopes": {"grid": PLANE, "walls": {"x": SLOPE, "y": SLOPE}},
    "closed": {"grid": PLANE, "walls": {"x": Periodic(), "y": VALUE}},
    "box": {"grid": BOX, "walls": {"t": (VALUE, None), "x": VALUE, "y": (None, SLOPE)}},
    "warped": {"grid": WARPED, "walls": {"x": VALUE, "y": (VALUE, SLOPE)}, "padding": 0.3},
    "mirrored": {"grid": WARPED, "walls": {"x": (SLOPE, VALUE), "y": VALUE}, "padding": "reflect"},
    "components": {
        "grid": Components(u=PLANE, v=PLANE),
        "walls": {"u": {"x": VALUE, "y": SLOPE}, "v": {"x": VALUE, "y": SLOPE}},
    },
    "components that differ": {
        "grid": Components(u=PLANE, v=PLANE),
        "walls": {"u": {"x": VALUE, "y": SLOPE}, "v": {"x": (SLOPE, None), "y": SLOPE}},
    },
}


def of_case(case, pivot, ridge=0.0, channels=2):
    """Return a corrected layer, and its walls: axis, stencils, points, channels, number of axes."""
    grid, padding = case["grid"], case.get("padding", 0.0)
    embedding = embed_boundary(boundary_constraints(case["walls"], grid), grid, "kernel", pivot)
    plane = grid_parts(grid)[0][0]
    n_modes = [3, 2, 2][-plane.n_axes :] if plane.n_axes < 3 else [2, 3, 2]
    layer = spectral_layer(plane, n_modes, channels, padding)
    layer.correction = KernelCorrection(embedding, layer.transform, ridge)
    components = sorted({face.component for face in embedding.faces})
    walls = []
    for axis in range(plane.n_axes):
        of_axis = [
            [f for f in embedding.faces if (f.component, f.axis) == (c, axis)] for c in components
        ]
        if len({str([(f.side, f.stencil) for f in faces]) for faces in of_axis}) == 1:
            of_axis = of_axis[:1]
        size = channels // len(of_axis)
        for number, faces in enumerate(of_axis):
            if faces:
                share = range(number * size, (number + 1) * size)
                rows = np.stack([f.stencil / np.abs(f.stencil).max() for f in faces])
                ends = [-1 if f.side == "right" else 0 for f in faces]
                walls.append((axis, torch.as_tensor(rows), ends, list(share), plane.n_axes))
    return layer, walls


def measured(wall, u):
    """Return what a wall's conditions measure of fields (..., *shape, C): (..., F, *others, C)."""
    axis, rows, _, share, n_axes = wall
    u = u[..., share].movedim(axis - n_axes - 1, -1) @ rows.T
    return u.movedim(-1, -n_axes - 1)


def changed(wall, size, shape, channels):
    """Return fields (n, *shape, C) that are one at one of the points to be changed."""
    axis, _, ends, share, _ = wall
    eye = torch.eye(size, dtype=torch.float64).reshape(*shape, channels, size)
    return torch.stack([eye.movedim(axis, 0)[end][..., share, :] for end in ends]).flatten(0, -2)


def by_matrices(layer, walls, u, pivot):
    """K (x + E d), one wall after another, by dense solves; values on faces are (F, points, C)."""
    shape, channels = u.shape[2:-1], u.shape[-1]
    n = int(np.prod(shape)) * channels
    correction, layer.correction = layer.correction, None
    eye = torch.eye(n, dtype=torch.float64).reshape(1, n, *shape, channels)
    K = layer(eye).reshape(n, n).T.detach()
    layer.correction = correction
    x = moved = u.reshape(-1, n).T
    for wall in walls:
        S = measured(wall, eye[0]).reshape(n, -1).T
        E = changed(wall, n, shape, channels).T
        missing, A = S @ x - S @ K @ moved, S @ K @ E
        if pivot == "block":
            d = torch.linalg.pinv(A, rtol=1e-10) @ missing
        else:
            sizes = len(wall[2]), -1, len(wall[3])
            A = A.reshape(*sizes, sizes[0], A.shape[1] // sizes[0])
            A = A[:, :, 0].sum(-1).mean(1)  # of channel 0, on an average over the face
            d = torch.linalg.solve(A, missing.reshape(sizes[0], -1)).reshape(missing.shape)
        moved = moved + E @ d
    return (K @ moved).T.reshape(u.shape)


ON_RINGS = [name for name in CASES if name not in ("warped", "mirrored")]  # waves are orthogonal


@pytest.mark.parametrize(
    ("pivot", "name"), [*(("block", name) for name in ON_RINGS), *(("scalar", n) for n in CASES)]
)
def test_the_correction_is_that_of_the_dense_kernel_axis_by_axis(name, pivot):
    layer, walls = of_case(CASES[name], pivot)
    u = fields_of(layer)
    expected = by_matrices(layer, walls, u, pivot)
    torch.testing.assert_close(layer(u), expected, rtol=1e-7, atol=1e-7)
    layer.correction = None
    assert (layer(u) - expected).abs().max() > 0.1


@pytest.mark.parametrize("name", CASES)
def test_a_block_hands_on_what_waves_make_up(name):
    """Across the last axis exactly: what its layer's transforms keep of what is missing."""
    layer, walls = of_case(CASES[name], "block")
    u, axis = fields_of(layer), walls[-1][0]
    missing = measured(walls[-1], u - without_last(layer)(u))
    waves = layer.transform.analyse(missing.movedim(2, 2 + axis), axis)
    kept = layer.transform.synthesise(waves, axis).movedim(2 + axis, 2)
    expected = measured(walls[-1], u) - missing + kept
    torch.testing.assert_close(measured(walls[-1], layer(u)), expected, rtol=1e-7, atol=1e-7)
    assert kept.abs().max() > 0.1


def fields_of(layer):
    shape = [len(points) for points in layer.transform.points]
    return torch.randn(1, 3, *shape, 2, dtype=torch.float64)


def without_last(layer):
    """Return the layer without the correction across the last walls."""
    layer = copy.deepcopy(layer)
    layer.correction.walls = layer.correction.walls[:-1]
    return layer

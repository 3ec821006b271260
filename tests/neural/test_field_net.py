"""The net's own part in a boundary: what vanishes, what is read, and on which grid."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from skphys.constraints import Dirichlet, Neumann, Periodic, Robin, boundary_constraints
from skphys.estimators._packed import embed_boundary
from skphys.grids import Axis, Components, Grid
from skphys.neural import SmoothLift

torch = pytest.importorskip("torch")
from skphys.neural._face_inputs import FaceInputs, FaceModulation  # noqa: E402
from skphys.neural._field_net import FieldNet  # noqa: E402
from skphys.neural._vanish import Vanish  # noqa: E402


def embedded(boundary, grid, method="lift"):
    return embed_boundary(boundary_constraints(boundary, grid), grid, method)


def points_of(grid):
    return [axis.points for axis in grid.axes.values()]


def grid_of(n_axes, location="nodes"):
    rng = np.random.default_rng(n_axes)
    edges = [np.cumsum(rng.uniform(0.5, 1.5, 6 + k)) for k in range(n_axes)]
    axes = edges if location == "nodes" else map(Axis.cells, edges)
    return Grid(**dict(zip("xyz", axes, strict=False)))


SIDES = [(True, True), (True, False), (False, True)]


@pytest.mark.parametrize("location", ["nodes", "cells"])
@pytest.mark.parametrize(
    "sides", [s for n in (1, 2, 3) for s in itertools.product(SIDES, repeat=n)]
)
def test_zero_on_all_dirichlet_faces(sides, location):
    grid = grid_of(len(sides), location)
    walls = {
        axis: tuple(Dirichlet() if here else Neumann() for here in pair)
        for axis, pair in zip("xyz", sides, strict=False)
    }
    embedding = embedded(walls, grid)
    u = torch.randn(2, 3, 1, *grid.shape)
    out = Vanish(embedding, points_of(grid))(u)
    for face in embedding.faces:
        if face.kind == "dirichlet":
            stencil = torch.as_tensor(face.stencil, dtype=torch.float32)
            value = out.movedim(3 + face.axis, -1) @ stencil
            assert value.abs().max() <= (0.0 if location == "nodes" else 1e-5)
    torch.testing.assert_close(Vanish(embedding, points_of(grid))(out), out, rtol=0, atol=1e-5)


def test_a_line_and_a_constant_are_taken_away():
    """Hand-computed, on uneven nodes."""
    x = np.array([0.0, 1.0, 4.0])
    u = torch.tensor([[[[3.0, 10.0, 7.0]]]])
    both = Vanish(embedded({"x": Dirichlet()}, Grid(x=x)), [x])
    torch.testing.assert_close(both(u), torch.tensor([[[[0.0, 6.0, 0.0]]]]))
    right = Vanish(embedded({"x": (Neumann(), Dirichlet())}, Grid(x=x)), [x])
    torch.testing.assert_close(right(u), torch.tensor([[[[-4.0, 3.0, 0.0]]]]))


def test_what_decays_is_that_of_the_lift_in_numpy():
    plane = grid_of(2)
    embedding = replace(embedded({"x": Dirichlet(), "y": (None, Dirichlet())}, plane), decay=0.2)
    u = torch.randn(1, 4, 1, *plane.shape)
    fields = u.numpy().reshape(4, -1).astype(float)
    expected = SmoothLift(embedding, plane).correct(fields, np.zeros((4, embedding.n_values)))
    found = Vanish(embedding, points_of(plane))(u).numpy().reshape(4, -1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_components_and_other_conditions_are_left_alone():
    space = grid_of(2)
    walls = {"v": {"x": (Dirichlet(), Robin(1.0, 1.0)), "y": Periodic()}}
    embedding = embedded(walls, Components(u=space, v=space))
    u = torch.randn(1, 2, 2, *space.shape)
    out = Vanish(embedding, points_of(space))(u)
    torch.testing.assert_close(out[:, :, 0], u[:, :, 0], rtol=0.0, atol=0.0)
    torch.testing.assert_close(out[:, :, 1], u[:, :, 1] - u[:, :, 1, :1], rtol=0.0, atol=0.0)


def test_face_values_are_channels_and_averages():
    grid = Grid(x=np.linspace(0, 1, 4), y=np.linspace(0, 1, 3))
    walls = {"x": (Dirichlet(), None), "y": (None, Neumann())}
    inputs = FaceInputs(embedded(walls, grid))
    values = torch.as_tensor(np.random.default_rng(0).normal(2.0, 3.0, (5, 3 + 4)))
    inputs.set_scaling(values)
    channels, averages = inputs(values.float()[None], grid.shape)
    assert channels.shape == (1, 5, 2, 4, 3) and averages.shape == (1, 5, 2)
    wall, top = values[:, :3], values[:, 3:]
    expected = (wall - wall.mean()) / wall.std(correction=0)
    for row in range(4):
        torch.testing.assert_close(channels[0, :, 0, row], expected.float())
    torch.testing.assert_close(averages[0, :, 0], expected.mean(1).float())
    expected = (top - top.mean()) / top.std(correction=0)
    for column in range(3):
        torch.testing.assert_close(channels[0, :, 1, :, column], expected.float())


@pytest.mark.parametrize("constant", [0.0, -3.0])
def test_constant_values_and_periods_say_nothing(constant):
    grid = grid_of(1)
    inputs = FaceInputs(embedded({"x": Dirichlet(constant)}, grid))
    inputs.set_scaling(torch.full((4, 2), constant))
    channels, averages = inputs(torch.full((1, 4, 2), constant + 1.0), grid.shape)
    assert not channels.any() and not averages.any()
    assert FaceInputs(embedded({"x": Periodic()}, grid)).faces == ()


def test_a_modulation_starts_as_the_identity_and_acts_by_channel():
    modulation = FaceModulation(2, 3, n_members=2)
    x, averages = torch.randn(2, 4, 5, 6, 3), torch.randn(2, 4, 2)
    assert torch.equal(modulation(averages)(x), x)
    torch.nn.init.normal_(modulation.linear.weight)
    scale, shift = (averages @ modulation.linear.weight).chunk(2, -1)
    expected = x * (1.0 + scale[:, :, None, None]) + shift[:, :, None, None]
    torch.testing.assert_close(modulation(averages)(x), expected)


def net(embedding=None, n_axes=1, **params):
    torch.manual_seed(0)
    grid = grid_of(n_axes)
    return FieldNet(1, 1, points_of(grid), (2,) * n_axes, 4, 2, embedding=embedding, **params), grid


@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_the_net_vanishes_on_faces_and_reads_their_values(n_axes):
    grid = grid_of(n_axes)
    embedding = embedded({axis: Dirichlet() for axis in grid.names}, grid)
    model, _ = net(embedding, n_axes)
    x, values = torch.randn(1, 3, 1, *grid.shape), torch.randn(1, 3, embedding.n_values)
    model.set_scaling(x[0], 5.0 + torch.randn(3, 1, *grid.shape), values[0])
    out = model(x, values)
    for axis in range(n_axes):
        assert not out.movedim(3 + axis, 0)[[0, -1]].any()
    assert out.abs().max() > 0.0
    assert (model(x, values + 1.0) - out).abs().max() > 1e-4


def test_scaling_is_in_physical_units():
    """A net of fields in other units is the net, in those units."""
    model, grid = net()
    x, y = torch.randn(6, 1, *grid.shape), torch.randn(6, 1, *grid.shape)
    model.set_scaling(x, y)
    before = model(x[None])
    model.set_scaling(1e5 * x - 7.0, 1e-4 * y + 3.0)
    torch.testing.assert_close(
        model(1e5 * x[None] - 7.0), 1e-4 * before + 3.0, atol=1e-6, rtol=1e-4
    )
    model.set_scaling(torch.full_like(x, 2.0), torch.full_like(y, 3.0))
    assert torch.isfinite(model(x[None])).all()


def test_deviations_leave_the_mean_alone():
    model, grid = net(heteroscedastic=True)
    mean, std = model(torch.randn(1, 2, 1, *grid.shape))
    assert mean.shape == std.shape and (std > 0.0).all()
    std.sum().backward()
    assert all(p.grad is None for p in model.fno.parameters())
    assert all(p.grad is not None for p in model.spread.parameters())


@pytest.mark.parametrize("method", ["lift", "kernel"])
def test_a_boundary_on_another_grid(method):
    """On the points of training again, the net is what it was."""
    boundary = {"x": (Dirichlet(), Neumann())}
    grid = grid_of(1)
    embedding = embedded(boundary, grid, method)
    model, _ = net(embedding)
    x, values = torch.randn(1, 2, 1, *grid.shape), torch.randn(1, 2, 2)
    before = model(x, values)
    fine = Grid(x=np.linspace(grid["x"][0], grid["x"][-1], 40))
    model.set_grid(points_of(fine))
    model.set_boundary(embedded(boundary, fine, method))
    out = model(torch.randn(1, 2, 1, 40), values)
    assert out.shape == (1, 2, 1, 40) and (method == "kernel" or not out[..., 0].any())
    model.set_grid(points_of(grid))
    model.set_boundary(embedding)
    torch.testing.assert_close(model(x, values), before)


def test_coordinates_of_periodic_axes_and_cells_do_not_move():
    for axis in (Axis.periodic(0.0, 1.0, 8), Axis.cells(np.linspace(0.0, 1.0, 9))):
        span = None if axis.edges is None else (0.0, 1.0)
        model = FieldNet(1, 1, [axis.points], [2], 4, 1, periods=[axis.period], spans=[span])
        coarse = model.coordinates[0]
        finer = np.sort(np.concatenate([axis.points, axis.points + 0.01]))
        model.set_grid([finer])
        torch.testing.assert_close(model.coordinates[0][::2], coarse)

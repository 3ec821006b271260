"""BOON's correction of a layer: what the boundary measures is handed on, in one application."""

import itertools

import numpy as np
import pytest

from skphys.constraints import Dirichlet, Neumann, Periodic, Robin, boundary_constraints
from skphys.estimators._packed import embed_boundary
from skphys.grids import Axis, Grid

torch = pytest.importorskip("torch")
from skphys.neural._kernel import KernelCorrection  # noqa: E402
from skphys.neural._spectral import SpectralConv, Transform  # noqa: E402
from skphys.neural._transforms import axis_modes  # noqa: E402

N = 20
EVEN = Grid(x=np.linspace(0.0, 1.0, N))
UNEVEN = Grid(x=np.linspace(0.0, 1.0, N) ** 1.3)
CELLS = Grid(x=Axis.cells(np.linspace(0.0, 1.0, N + 1)))
CONDITIONS = {"D": Dirichlet(), "N": Neumann(), "R": Robin(2.0, 0.3, order=3), "-": None}
PAIRS = [a + b for a, b in itertools.product(CONDITIONS, repeat=2) if a + b != "--"]


def corrected(boundary, channels, pivot, *, padding=0.0, grid=EVEN, ridge=0.0, n_members=2):
    """Return a layer with random weights in float64, and what the boundary measures."""
    torch.manual_seed(0)
    x = grid["x"]
    axis = grid.axes["x"]
    span = None if axis.edges is None else (axis.edges[0], axis.edges[-1])
    modes = axis_modes(x, 7, real=True, padding=padding, span=span)
    transform = Transform([modes], [x])
    embedding = embed_boundary(boundary_constraints(boundary, grid), grid, "kernel", pivot)
    layer = SpectralConv(channels, transform, n_members).double()
    torch.nn.init.normal_(layer.weight)
    correction = KernelCorrection(embedding, transform, ridge)
    analysis, synthesis = modes.analysis(x), modes.synthesis(x, real=True)
    in_double(transform, "_into", np.concatenate([analysis.real, analysis.imag]))
    in_double(transform, "_out", np.concatenate([synthesis.real, -synthesis.imag], axis=1))
    stencils = np.stack([f.stencil / np.abs(f.stencil).max() for f in embedding.faces])
    ends = [-1 if f.side == "right" else 0 for f in embedding.faces]
    in_double(correction, "stencils", stencils)
    in_double(correction, "impulses", analysis[:, ends].T)
    in_double(correction, "read", stencils @ synthesis)
    layer.correction = correction
    return layer, torch.as_tensor(stencils)


def in_double(module, name, matrix):
    """Put the same buffer in double precision."""
    old, new = getattr(module, name), torch.as_tensor(matrix)
    torch.testing.assert_close(old.to(new.dtype), new, rtol=1e-5, atol=1e-5)
    setattr(module, name, new)


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
def test_one_application(pivot, monkeypatch):
    """One transform there and one back, as in a layer without a correction."""
    layer, _ = corrected({"x": Dirichlet()}, 3, pivot)
    counts = {"analyse_with": 0, "synthesise": 0, "mix": 0}

    def counted(name, method):
        def call(*args):
            counts[name] += 1
            return method(*args)

        return call

    for owner, name in ((layer.transform, "analyse_with"), (layer.transform, "synthesise")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    monkeypatch.setattr(layer, "mix", counted("mix", layer.mix))
    layer(fields(3))
    assert counts == {"analyse_with": 1, "synthesise": 1, "mix": 2}

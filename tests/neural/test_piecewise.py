"""The decoder on pairs: the same numbers as layer by layer, with most units left out."""

import numpy as np
import pytest
import torch
from torch import nn

from skphys.neural._process import _piecewise
from skphys.neural._process._pairs import neighbours
from skphys.neural._process._piecewise import PairDecoder


def make_layers(width, seed):
    torch.manual_seed(seed)
    sizes = [(width, width), (width, width), (width, 2)]
    return [nn.Linear(*size, dtype=torch.float64) for size in sizes]


def layer_by_layer(layers, points, draws):
    hidden = points[:, None] + draws
    for layer in layers:
        hidden = layer(torch.relu(hidden))
    return hidden.movedim(-1, 0)


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.3, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
@torch.no_grad()
def test_pairs_are_those_of_the_net(spread, seed, monkeypatch):
    monkeypatch.setattr(_piecewise, "MOST_SWITCHED", 1.0)
    layers = make_layers(30, seed)
    points = torch.randn(30, dtype=torch.float64) + spread * torch.randn(20, 30).double()
    draws = torch.randn(30, dtype=torch.float64) + spread * torch.randn(40, 30).double()
    found = PairDecoder(layers, draws)(points)
    np.testing.assert_allclose(found, layer_by_layer(layers, points, draws), atol=1e-12)


@torch.no_grad()
def test_few_units_are_computed_where_all_pairs_are_alike(monkeypatch):
    layers = make_layers(100, 0)
    points = torch.randn(100).double() + 0.01 * torch.randn(20, 100).double()
    draws = 0.01 * torch.randn(40, 100).double()
    sizes = []
    values = _piecewise.Units.values

    def counted(self, which):
        sizes.append(len(which))
        return values(self, which)

    monkeypatch.setattr(_piecewise.Units, "values", counted)
    PairDecoder(layers, draws)(points)
    assert len(sizes) == 4 and sizes[3] == 2
    assert max(sizes) < 30


@torch.no_grad()
def test_bounds_hold_for_every_pair():
    layers = make_layers(40, 3)
    points, draws = (0.2 * torch.randn(n, 40).double() for n in (15, 50))
    decoder = PairDecoder(layers, draws)
    units = _piecewise.Units(
        points.T.contiguous(), decoder.draws, decoder.extent, decoder._buffer(15)
    )
    hidden = points[:, None] + draws
    for layer in layers:
        low, high = units.bounds()
        assert (hidden >= low - 1e-12).all() and (hidden <= high + 1e-12).all()
        switched = ((low < 0) & (high > 0)).nonzero()[:, 0]
        on = (low >= 0).nonzero()[:, 0]
        units.advance(on, switched, high[switched], layer.weight.T, layer.bias)
        hidden = layer(torch.relu(hidden))


@torch.no_grad()
def test_nets_that_switch_everywhere_are_computed_as_usual(monkeypatch):
    layers = make_layers(30, 0)
    points, draws = torch.randn(20, 30).double(), torch.randn(40, 30).double()
    monkeypatch.setattr(_piecewise.Units, "advance", None)
    found = PairDecoder(layers, draws)(points)
    np.testing.assert_allclose(found, layer_by_layer(layers, points, draws), atol=1e-12)


@pytest.mark.parametrize(("n", "size"), [(1, 4), (7, 100), (50, 8), (201, 64), (33, 1)])
def test_tiles_hold_all_points_and_are_small(n, size):
    points = torch.as_tensor(np.random.default_rng(0).uniform(size=(n, 2)))
    tiles = neighbours(points, size)
    assert tiles.shape[1] <= size
    assert set(tiles.flatten().tolist()) == set(range(n))


def test_tiles_of_a_square_are_compact():
    x, t = np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16))
    points = torch.as_tensor(np.stack([t.ravel(), x.ravel()], axis=1))
    at = points[neighbours(points, 16)]
    extents = (at.amax(1) - at.amin(1)).amax(1)
    assert len(at) == 16 and (extents <= 0.2 + 1e-12).all()

"""Spectral layers against NumPy-like transforms of torch."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from skphys.neural._fno import MemberFNO, MemberLinear  # noqa: E402
from skphys.neural._spectral import SpectralConv, Transform  # noqa: E402
from skphys.neural._transforms import axis_modes  # noqa: E402


def transform(shape, n_modes, padding=0.0):
    points = [np.linspace(0.0, 1.0, n) for n in shape]
    last = len(shape) - 1
    modes = [
        axis_modes(p, m, real=number == last, padding=padding)
        for number, (p, m) in enumerate(zip(points, n_modes, strict=True))
    ]
    return Transform(modes, points)


def convolved(layer, x, n_modes, longer):
    """The same layer by rfftn on zero-padded fields, mode by mode."""
    axes = list(range(2, x.ndim - 1))
    spectrum = torch.fft.rfftn(x, s=longer, dim=axes)
    out = torch.zeros_like(spectrum)
    weight = torch.view_as_complex(layer.weight.detach())
    numbers = [[*range(m), *range(1 - m, 0)] for m in n_modes[:-1]] + [list(range(n_modes[-1]))]
    for place in np.ndindex(*(len(k) for k in numbers)):
        mode = tuple(k[i] for k, i in zip(numbers, place, strict=True))
        for member in range(len(x)):
            index = (member, slice(None), *mode)
            out[index] = spectrum[index] @ weight[(member, *place)]
    back = torch.fft.irfftn(out, s=longer, dim=axes)
    return back[(slice(None), slice(None), *(slice(0, n) for n in x.shape[2:-1]))]


@pytest.mark.parametrize(
    ("shape", "n_modes"),
    [
        ((16,), (5,)),
        ((15,), (7,)),
        ((8, 10), (3, 4)),
        ((6, 1, 8), (3, 1, 2)),
        ((6, 4, 8), (2, 2, 4)),
    ],
)
@pytest.mark.parametrize("padding", [0.0, 1.0])
def test_a_layer_is_a_convolution(shape, n_modes, padding):
    torch.manual_seed(0)
    layer = SpectralConv(3, transform(shape, n_modes, padding), n_members=2)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(2, 4, *shape, 3)
    longer = [n if n == 1 else round(n * (1 + padding)) for n in shape]
    torch.testing.assert_close(
        layer(x), convolved(layer, x, n_modes, longer), rtol=1e-4, atol=1e-5 * math.prod(shape)
    )


def test_the_operator_is_the_same_on_a_finer_grid():
    """A trigonometric polynomial comes out at the shared points as before."""
    layer = SpectralConv(2, transform((16,), (5,)))
    fine = np.linspace(0.0, 1.0, 31)
    length = 16.0 / 15.0

    def field(x):
        angle = 2 * np.pi * torch.as_tensor(x, dtype=torch.float32)[None, None, :, None] / length
        return torch.cat([1.0 + torch.cos(angle), torch.sin(3 * angle)], -1)

    coarse = layer(field(np.linspace(0.0, 1.0, 16)))
    layer.transform.set_points([fine])
    # The last interval stays as wide as it was, so the rule is of second order.
    torch.testing.assert_close(layer(field(fine))[:, :, ::2], coarse, rtol=0.0, atol=0.02)


def test_members_are_independent():
    torch.manual_seed(0)
    net = MemberFNO(2, 1, transform((8, 6), (2, 2)), 4, 2, 8, n_members=3)
    x = torch.randn(3, 5, 8, 6, 2)
    before = net(x)
    other = x.clone()
    other[1] += 1.0
    with torch.no_grad():
        for parameter in net.parameters():
            parameter[2] *= 2.0
    after = net(other)
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] - before[1]).abs().min() > 0.0
    assert (after[2] - before[2]).abs().min() > 0.0
    alone = MemberFNO(2, 1, transform((8, 6), (2, 2)), 4, 2, 8)
    for one, every in zip(alone.parameters(), net.parameters(), strict=True):
        one.data.copy_(every.data[:1])
    torch.testing.assert_close(alone(x[:1]), before[:1])


def test_a_pointwise_layer_is_a_linear_one_for_each_member():
    layer = MemberLinear(3, 2, n_members=2)
    x = torch.randn(2, 4, 5, 3)
    for member in range(2):
        expected = x[member] @ layer.weight[member] + layer.bias[member]
        torch.testing.assert_close(layer(x)[member], expected)

"""Spectral layers of any module, corrected for a boundary, and the plain FNO."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skphys.neural import FNO, register_spectral_layer, unregister_spectral_layer
from skphys.neural._boundary_batch import BoundaryEmbedding, EmbeddedFace
from skphys.neural._kernel import RIDGE
from skphys.neural._spectral_layers import correct_layers

CHANNELS = 3


class Convolution(torch.nn.Module):
    """A spectral layer as somebody else may have written it, with a bias."""

    def __init__(self, n_modes=6, norm="backward"):
        super().__init__()
        size = CHANNELS, CHANNELS, n_modes
        self.kernel = torch.nn.Parameter(torch.randn(size, dtype=torch.cfloat))
        self.bias = torch.nn.Parameter(torch.randn(CHANNELS, 1))
        self.norm = norm

    def forward(self, x):
        modes = torch.fft.rfft(x, norm=self.norm)[..., : self.kernel.shape[-1]]
        modes = torch.einsum("bik,iok->bok", modes, self.kernel)
        return torch.fft.irfft(modes, n=x.shape[-1], norm=self.norm) + self.bias


@pytest.fixture
def registered():
    names = []

    def register(*args):
        register_spectral_layer(*args)
        names.append(args[0])

    yield register
    for name in names:
        unregister_spectral_layer(name)


def boundary(n_points, kinds, pivot="block"):
    """Dirichlet values and first differences at the ends."""
    rows = np.zeros((2, n_points))
    rows[0, 0] = 1.0
    rows[1, -1] = 1.0
    if kinds[0] == "n":
        rows[0, :3] = 1.5 * n_points, -2.0 * n_points, 0.5 * n_points
    if kinds[1] == "n":
        rows[1, -2:] = -1.0 * n_points, 1.0 * n_points
    faces = [
        EmbeddedFace(side, "any", 0, 0, side, row, (), slice(i, i + 1))
        for i, (side, row) in enumerate(zip(("left", "right"), rows, strict=True))
    ]
    return BoundaryEmbedding("kernel", tuple(faces), pivot)


def dense(layer, x, embedding):
    """K (x + E d) with d of regularised least squares, from the matrix of K in float64."""
    channels, n = x.shape[1:]
    zero = layer(torch.zeros(1, channels, n))
    units = torch.eye(channels * n).reshape(-1, channels, n)
    K = (layer(units) - zero).detach().double().numpy()  # (C in, N in) x C out x N out
    K = K.reshape(channels, n, channels, n).transpose(2, 3, 0, 1)  # o, m, i, n
    S = np.stack([face.stencil / np.abs(face.stencil).max() for face in embedding.faces])
    ends = [0, n - 1]
    A = np.einsum("fm,omig->fogi", S, K[:, :, :, ends])
    x, out = x.double().numpy(), layer(x).detach().double().numpy()
    missing = np.einsum("fn,bcn->bfc", S, x - out)
    if embedding.pivot == "block":
        flat = ridge_solve(A.reshape(2 * channels, -1), missing.reshape(len(x), -1))
        d = flat.reshape(len(x), 2, channels)
    else:
        d = ridge_solve(A[:, 0].sum(-1), missing.swapaxes(1, 2)).swapaxes(1, 2)
    return out + np.einsum("omig,bgi->bom", K[:, :, :, ends], d)


def ridge_solve(A, right):
    normal = A.T @ A
    normal += RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
    return right @ np.linalg.solve(normal, A.T).T


def corrected(layer, embedding):
    module = torch.nn.Sequential(copy.deepcopy(layer))
    correct_layers(module, embedding)
    return module


def fields(n_points, seed=0):
    return torch.randn(4, CHANNELS, n_points, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weights", [lambda layer: layer.kernel, None], ids=["weights", "asked"])
@pytest.mark.parametrize("n_points, kinds", [(16, "dd"), (17, "dn"), (11, "nd"), (10, "nn")])
@pytest.mark.parametrize("pivot", ["block", "scalar"])
def test_a_registered_layer_against_its_matrix(registered, weights, n_points, kinds, pivot):
    torch.manual_seed(0)
    registered(Convolution, weights)
    layer, x = Convolution(norm="ortho" if pivot == "block" else "backward"), fields(n_points)
    embedding = boundary(n_points, kinds, pivot)
    module = corrected(layer, embedding)
    expected = dense(layer, x, embedding)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(module(x).detach(), expected, atol=2e-4 * scale)
    assert np.abs(expected - layer(x).detach().numpy()).max() > 1e-2
    again = pickle.loads(pickle.dumps(module)) if weights is None else copy.deepcopy(module)
    torch.testing.assert_close(again(x), module(x))


def test_gradients_reach_the_weights(registered):
    registered(Convolution, lambda layer: layer.kernel)
    module = corrected(Convolution(), boundary(16, "dd"))
    module(fields(16)).square().sum().backward()
    assert module[0].kernel.grad.abs().sum() > 0.0


def test_our_own_layers_are_corrected():
    torch.manual_seed(0)
    model = FNO(6, CHANNELS, CHANNELS, hidden_channels=CHANNELS, n_layers=1, coordinates=False)
    spectral = model.fno.spectral[0]

    def layer(x):
        model.fno.transform.set_points(model._points((16,)))
        spectral_only = copy.deepcopy(spectral)
        spectral_only._forward_pre_hooks.clear()
        spectral_only.correction = None
        return spectral_only(x.transpose(1, 2)[None])[0].transpose(1, 2)

    with torch.no_grad():
        spectral.weight.mul_(100.0)
    expected = dense(layer, fields(16), boundary(16, "dn"))
    correct_layers(model, boundary(16, "dn"))
    out = spectral(fields(16).transpose(1, 2)[None])[0].transpose(1, 2)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(out.detach(), expected, atol=2e-4 * scale)
    with pytest.raises(ValueError, match="the grid's 16 points; SpectralConv works on 20"):
        model(fields(20))


@pytest.mark.parametrize("pivot", ["block", "scalar"])
def test_our_own_layers_are_corrected_in_double_precision(pivot):
    torch.manual_seed(0)
    params = {"hidden_channels": CHANNELS, "n_layers": 2, "coordinates": False}
    single = FNO(6, CHANNELS, CHANNELS, **params)
    double = copy.deepcopy(single).double()
    x = fields(16)
    for model, given in ((single, x), (double, x.double())):
        model(given)  # so many points
        correct_layers(model, boundary(16, "dn", pivot))
    out = double(x.double())
    assert out.dtype == torch.float64
    torch.testing.assert_close(out.float(), single(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("weights", [lambda layer: layer.kernel, None], ids=["weights", "asked"])
def test_corrections_do_not_depend_on_the_default_precision(registered, weights):
    torch.manual_seed(0)
    registered(Convolution, weights)
    layer, x = Convolution(), fields(16)
    expected = corrected(layer, boundary(16, "dn"))(x)
    torch.set_default_dtype(torch.float64)
    try:
        torch.testing.assert_close(corrected(layer, boundary(16, "dn"))(x), expected)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"factorization": "tucker"},
        {"factorization": "cp"},
        {"separable": True},
        {"n_modes": 40},
    ],
    ids=["dense", "tucker", "cp", "separable", "many"],
)
def test_layers_of_neuraloperator(params):
    layers = pytest.importorskip("neuralop.layers.spectral_convolution")
    torch.manual_seed(0)
    params = {"n_modes": 10, "implementation": "factorized", **params}
    layer = layers.SpectralConv(CHANNELS, CHANNELS, params.pop("n_modes"), **params)
    x, embedding = fields(16), boundary(16, "dn")
    expected = dense(layer, x, embedding)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(corrected(layer, embedding)(x).detach(), expected, atol=2e-4 * scale)


def plane_boundary(shape, components=1):
    """Values at the ends of the first axis, and on the right of the second a slope."""
    rows = [np.eye(shape[0])[0], np.eye(shape[0])[-1], np.eye(shape[1])[-1] - np.eye(shape[1])[-2]]
    sides = (0, "left"), (0, "right"), (1, "right")
    faces = [
        EmbeddedFace(side, "any", component, axis, side, row, (shape[1 - axis],), slice(0, 0))
        for component in range(components)
        for (axis, side), row in zip(sides, rows, strict=True)
    ]
    return BoundaryEmbedding("kernel", tuple(faces[: 3 * components - (components > 1)]))


class Tilted(torch.nn.Conv2d):
    """An affine layer on a plane that is no convolution on a ring."""

    def __init__(self):
        super().__init__(4, 4, 5, padding=2)


def conv_of_neuraloperator():
    layers = pytest.importorskip("neuralop.layers.spectral_convolution")
    return layers.SpectralConv(4, 4, (5, 4), implementation="factorized", factorization="tucker")


@pytest.mark.parametrize("make", [Tilted, conv_of_neuraloperator])
@pytest.mark.parametrize("components", [1, 2])
def test_affine_layers_on_a_plane(registered, make, components):
    """One axis after another, by scalars, from the matrix of the layer."""
    torch.manual_seed(0)
    registered(Tilted)
    shape = (6, 8)
    layer, embedding = make(), plane_boundary(shape, components)
    x = torch.randn(3, 4, *shape)
    with torch.no_grad():
        constant = layer(torch.zeros(1, 4, *shape))
        expected, out = layer(x), corrected(layer, embedding)(x)
        for axis, share in [(0, [0, 1, 2, 3]), (1, [0, 1] if components == 2 else [0, 1, 2, 3])]:
            own = [face for face in embedding.faces if (face.component, face.axis) == (0, axis)]
            S = torch.tensor(np.stack([f.stencil for f in own])).float()
            ends = [-1 if face.side == "right" else 0 for face in own]

            def read(fields, S=S, axis=axis, share=share):
                return torch.tensordot(fields[:, share], S, ([2 + axis], [1]))

            def put(values, axis=axis, share=share, ends=ends):
                fields = torch.zeros(len(values), 4, *shape)
                for number, end in enumerate(ends):
                    fields.select(2 + axis, end)[:, share] = values[..., number]
                return fields

            ones = put(
                torch.eye(len(own))[:, None, None].expand(-1, len(share), shape[1 - axis], -1)
            )
            responses = (read(layer(ones) - constant)[:, 0]).numpy()  # out of channel 0
            pivot = responses.mean(1).T
            size = RIDGE * np.square(responses).mean(1).sum(1).mean()
            inverse = np.linalg.solve(pivot.T @ pivot + size * np.eye(len(pivot)), pivot.T)
            d = read(x - expected).numpy() @ inverse.T
            expected = expected + layer(put(torch.as_tensor(d).float())) - constant
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    assert (out - layer(x)).abs().max() > 1e-2


def test_responses_that_cancel_along_a_face():
    """neuraloperator's layer shifts waves where an axis has an odd number of points."""
    torch.manual_seed(0)
    layer, x = conv_of_neuraloperator(), torch.randn(3, 4, 7, 8)
    with torch.no_grad():
        slope = plane_boundary((7, 8)).faces[-1:]
        out = corrected(layer, BoundaryEmbedding("kernel", slope))(x)
        torch.testing.assert_close(out, layer(x), rtol=0.0, atol=0.02)


def test_what_cannot_be_corrected_on_a_plane(registered):
    registered(Tilted)
    embedding = plane_boundary((7, 8))
    with pytest.raises(ValueError, match="grid's 7 x 8 points; Tilted works on 7 x 9"):
        corrected(Tilted(), embedding)(torch.zeros(1, 4, 7, 9))
    with pytest.raises(ValueError, match=r"fields \(B, C, n_1, n_2\)"):
        corrected(Tilted(), embedding)(torch.zeros(4, 7, 8))
    with pytest.raises(ValueError, match=r"kernel_block.*several axes"):
        corrected(Tilted(), BoundaryEmbedding("kernel", embedding.faces, "block"))


def test_complex_layers_of_neuraloperator_are_refused():
    layers = pytest.importorskip("neuralop.layers.spectral_convolution")
    layer = layers.SpectralConv(CHANNELS, CHANNELS, 6, complex_data=True)
    with pytest.raises(ValueError, match="complex_data=True"):
        corrected(layer, boundary(16, "dd"))(fields(16).to(torch.cfloat)[..., :16])


def test_what_cannot_be_corrected(registered):
    with pytest.raises(ValueError, match=r"Linear has none.*register_spectral_layer"):
        correct_layers(torch.nn.Linear(2, 2), boundary(16, "dd"))
    registered(Convolution, lambda layer: layer.kernel[0])
    with pytest.raises(ValueError, match=r"weights registered for Convolution.*\(3, 6\)"):
        corrected(Convolution(), boundary(16, "dd"))(fields(16))
    with pytest.raises(ValueError, match="works on 18"):
        corrected(Convolution(), boundary(16, "dd"))(fields(18))
    registered(torch.nn.Conv1d)
    with pytest.raises(ValueError, match=r"Conv1d took \(4, 3, 16\) to \(4, 3, 14\)"):
        corrected(torch.nn.Conv1d(3, 3, 3), boundary(16, "dd"))(fields(16))
    with pytest.raises(ValueError, match="weights must be a function"):
        register_spectral_layer(Convolution, "kernel")
    with pytest.raises(ValueError, match="module:QualName"):
        register_spectral_layer("Convolution")
    with pytest.raises(ValueError, match="No spectral layer is registered"):
        unregister_spectral_layer(torch.nn.Linear)


def reference(model, x):
    """The same operator by torch.fft, from the layers' weights."""
    net, modes = model.fno, model.n_modes
    if model.coordinates:
        axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in x.shape[2:]], indexing="ij")
        x = torch.cat([x, torch.stack(axes).expand(len(x), *[-1] * (x.ndim - 1))], 1)
    dims = tuple(range(2, x.ndim))
    x = pointwise(net.lifting, x)
    for number, (spectral, linear) in enumerate(zip(net.spectral, net.pointwise, strict=True)):
        weight = torch.view_as_complex(spectral.weight)[0]
        kept = torch.fft.rfftn(x, dim=dims)
        out = torch.zeros_like(kept)
        for position in np.ndindex(*weight.shape[:-2]):
            k = tuple(i if i < m else i - 2 * m + 1 for i, m in zip(position, modes, strict=True))
            out[(..., *k)] = torch.einsum("bi,io->bo", kept[(..., *k)], weight[position])
        x = torch.fft.irfftn(out, s=x.shape[2:], dim=dims) + pointwise(linear, x)
        x = F.gelu(x) if number < len(net.spectral) - 1 else x
    return pointwise(net.projection, F.gelu(pointwise(net.hidden, x)))


def pointwise(linear, x):
    axes = (1, -1, *[1] * (x.ndim - 2))
    return torch.einsum("bi...,io->bo...", x, linear.weight[0]) + linear.bias[0].reshape(axes)


@pytest.mark.parametrize("coordinates", [False, True])
@pytest.mark.parametrize("n_modes, shape", [(5, (16,)), ((4,), (9,)), ((3, 4), (8, 10))])
def test_fno_against_torch_fft(n_modes, shape, coordinates):
    torch.manual_seed(0)
    model = FNO(n_modes, 2, 3, hidden_channels=4, n_layers=2, coordinates=coordinates)
    with torch.no_grad():
        for layer in model.fno.spectral:
            layer.weight.mul_(10.0)
        x = torch.randn(5, 2, *shape)
        torch.testing.assert_close(model(x), reference(model, x), atol=2e-6, rtol=1e-4)


def test_fno_takes_any_number_of_points():
    """On a periodic axis the same function, sampled twice as finely, gives the same output."""
    torch.manual_seed(0)
    model = FNO(4, 1, 1, hidden_channels=4, n_layers=2, coordinates=False)
    phase = 2 * np.pi * torch.arange(64) / 64
    x = (torch.sin(phase) + torch.cos(2 * phase))[None, None]
    with torch.no_grad():
        fine = model(x)
        torch.testing.assert_close(model(x[..., ::2]), fine[..., ::2], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model(x), fine)
    other = FNO(4, 1, 1, hidden_channels=4, n_layers=2, coordinates=False)
    other.load_state_dict(pickle.loads(pickle.dumps(model)).state_dict())
    torch.testing.assert_close(other(x), fine)


@pytest.mark.parametrize("padding", [0.5, "reflect"])
def test_fno_with_padding_is_not_periodic(padding):
    torch.manual_seed(0)
    wrapped = FNO(4, 1, 1, hidden_channels=4, n_layers=1, coordinates=False)
    padded = FNO(4, 1, 1, hidden_channels=4, n_layers=1, coordinates=False, padding=padding)
    padded.load_state_dict(wrapped.state_dict())
    x = torch.randn(1, 1, 32)
    moved = x.roll(5, -1)
    torch.testing.assert_close(wrapped(moved), wrapped(x).roll(5, -1), atol=1e-6, rtol=1e-4)
    assert (padded(moved) - padded(x).roll(5, -1)).abs().max() > 1e-5


def test_fno_refuses_other_shapes():
    model = FNO((3, 3), 2, 1, hidden_channels=4)
    for shape in [(4, 2, 8), (4, 1, 8, 8), (4, 128)]:
        with pytest.raises(ValueError, match=r"in_channels=2, n_1, n_2"):
            model(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"n_modes=\(3, 3\) must each be between 1 and half"):
        model(torch.zeros(4, 2, 8, 5))

"""Spectral layers of other modules: an open registry, and their correction for a boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._layer_correction import (
    CorrectByApplying,
    CorrectOwn,
    CorrectResponses,
    CorrectWeights,
)
from skphys.neural._spectral import SpectralConv
from skphys.neural._walls import grid_shape
from skphys.predictive import matcher

Weights = Callable[[Any], Tensor]

_registered: list[tuple[Any, Weights | None]] = []


def register_spectral_layer(layer_type: type | str, weights: Weights | None = None) -> None:
    """Let layers of a class take part in ``BoundaryEnforcedOperator(method="kernel")``.

    The method looks through the module of a skorch net for layers of registered classes and
    corrects each of them: what the boundary conditions measure of a field is the same after the
    layer as before it. The layers of `FNO` and of neuraloperator's ``SpectralConv`` are known. For
    another one:

    1. It must map fields (B, C, n_points) to fields of the same shape, affinely, without a state.
       With several axes, (B, C, n_1, n_2, ...), that is all: the layer is applied once more for
       each axis that has faces, and nothing of what follows is needed.
    2. If it multiplies the coefficients of a real Fourier transform along the points by complex
       weights, write ``weights(layer)``, which returns them as a tensor of shape (C, C, n_modes):
       input channel, output channel, and wave number, from 0 up. Forward and backward transform
       must undo each other, whatever their normalisations. Nothing has to be said of a bias.
    3. If it does not, or you cannot get at the weights, leave `weights` None. The layer is then
       asked what it makes of a unit value at each face in each channel, which works with every
       affine layer and costs as much as a batch of that many fields at each call.
    4. Register it where your package is imported.

    Parameters
    ----------
    layer_type : type or str
        The class (and its subclasses); or a class by name, ``"module:QualName"``, which is not
        imported. A later registration wins over an earlier one, and all win over the built-in
        ones.
    weights : callable or None, default=None
        As above.

    See Also
    --------
    unregister_spectral_layer : Take a registration back.
    skphys.BoundaryEnforcedOperator : What corrects them.

    Examples
    --------
    >>> import torch
    >>> from skphys.neural import register_spectral_layer, unregister_spectral_layer
    >>> class Convolution(torch.nn.Module):
    ...     def __init__(self, channels, n_modes):
    ...         super().__init__()
    ...         size = channels, channels, n_modes
    ...         self.kernel = torch.nn.Parameter(torch.randn(size, dtype=torch.cfloat))
    ...     def forward(self, x):
    ...         modes = torch.fft.rfft(x)[..., : self.kernel.shape[-1]]
    ...         modes = torch.einsum("bik,iok->bok", modes, self.kernel)
    ...         return torch.fft.irfft(modes, n=x.shape[-1])
    >>> register_spectral_layer(Convolution, lambda layer: layer.kernel)
    >>> unregister_spectral_layer(Convolution)
    """
    if weights is not None and not callable(weights):
        raise ValueError(f"weights must be a function of the layer, or None; got {weights!r}.")
    matcher(layer_type)  # raises if it is no class and no name
    _registered.insert(0, (layer_type, weights))


def unregister_spectral_layer(layer_type: type | str) -> None:
    """Take back the registrations of a class.

    Parameters
    ----------
    layer_type : type or str
        What was given to `register_spectral_layer`.

    Raises
    ------
    ValueError
        If it was not registered.
    """
    kept = [entry for entry in _registered if entry[0] != layer_type]
    if len(kept) == len(_registered):
        raise ValueError(f"No spectral layer is registered for {layer_type!r}.")
    _registered[:] = kept


def correct_layers(module: nn.Module, embedding: BoundaryEmbedding) -> None:
    """Make the spectral layers of a module hand a boundary on.

    Parameters
    ----------
    module : Module
        Changed: its spectral layers get hooks.
    embedding : BoundaryEmbedding
        The boundary.

    Raises
    ------
    ValueError
        If there is no layer of a registered class.
    """
    layers = [(layer, kind) for layer in module.modules() if (kind := _find(layer)) is not None]
    if not layers:
        raise ValueError(
            f"method='kernel' corrects spectral layers, but {type(module).__name__} has none that "
            f"are known. Register their class, skphys.neural.register_spectral_layer(Layer, "
            f"weights), or use method='lift' or 'project'."
        )
    for layer, (weights,) in layers:
        if isinstance(layer, SpectralConv):
            layer.register_forward_pre_hook(CorrectOwn(embedding))
        elif len(grid_shape(embedding)) > 1:
            layer.register_forward_hook(CorrectByApplying(embedding))
        elif weights is None:
            layer.register_forward_hook(CorrectResponses(embedding))
        else:
            layer.register_forward_hook(CorrectWeights(embedding, weights))


def _find(layer: nn.Module) -> tuple[Weights | None] | None:
    """Return how to get the weights of a layer, in a tuple, or None if it is not known."""
    found = (weights for layer_type, weights in _known() if matcher(layer_type)(layer))
    return next(((weights,) for weights in found), None)


def _known() -> Iterator[tuple[Any, Weights | None]]:
    yield from _registered
    yield SpectralConv, None
    yield "neuralop.layers.spectral_convolution:SpectralConv", neuralop_weights


def neuralop_weights(layer: Any) -> Tensor:
    """Return the weights (C, C, n_modes) of neuraloperator's layer, dense or factorised."""
    if layer.complex_data:
        raise ValueError(
            "method='kernel' corrects layers of real fields; neuraloperator's SpectralConv has "
            "complex_data=True here. Use method='lift' or 'project'."
        )
    weight = layer.weight if torch.is_tensor(layer.weight) else layer.weight.to_tensor()
    weight = weight[..., : layer.n_modes[-1]]
    return torch.diag_embed(weight.T, dim1=0, dim2=1) if layer.separable else weight

"""Weights of attentive neural processes trained elsewhere: whose names are whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skphys.neural._saving import check_finite

# What our modules are called where the layers are named after the architecture's parts.
NAMES = {
    "latent_encoder": {
        "points": "input_projection",
        "self_attention": "self_attentions",
        "hidden": "penultimate_layer",
        "mean": "mu",
        "log_variance": "log_sigma",
    },
    "deterministic_encoder": {
        "points": "input_projection",
        "context": "context_projection",
        "target": "target_projection",
        "self_attention": "self_attentions",
        "cross_attention": "cross_attentions",
    },
    "decoder": {"target": "target_projection", "layers": "linears", "output": "final_projection"},
}
ATTENTION = {
    "key": "encoder_key",
    "value": "encoder_value",
    "query": "encoder_query",
    "output": "final_linear",
    "norm": "layer_norm",
}
WRAPPED = "linear_layer"  # linear layers sit in a module of their own there


def usual_name(name: str) -> str:
    """Return the usual name of a parameter of `NeuralProcess`.

    Parameters
    ----------
    name : str
        Like "decoder.layers.0.weight".

    Returns
    -------
    str
        Like "decoder.linears.0.linear_layer.weight".
    """
    part, module, *between, last = name.split(".")
    path = [part, NAMES[part][module], *between]
    if module.endswith("attention"):
        path[-1] = ATTENTION[path[-1]]
    if path[-1] != ATTENTION["norm"]:
        path.append(WRAPPED)
    return ".".join([*path, last])


def take_over(module: nn.Module, state: Mapping[str, Any], prefix: str) -> None:
    """Fill a `NeuralProcess` with a state that has its own names or the usual ones.

    Raises
    ------
    ValueError
        If a parameter is missing, left over, of another shape or not finite.
    TypeError
        If the state is not a mapping.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"state must be a mapping of names to tensors, as torch.load gives it; got a "
            f"{type(state).__name__}."
        )
    given = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    own = dict(module.named_parameters())
    names = {name: name if name in given else usual_name(name) for name in own}
    missing = [usual for usual in names.values() if usual not in given]
    buffers = {name for name, _ in module.named_buffers()}
    unknown = sorted(given.keys() - set(names.values()) - buffers)
    if missing or unknown:
        raise ValueError(
            f"state is not that of an attentive neural process with these parameters: of "
            f"{len(own)} tensors {len(missing)} are missing, such as {missing[:2]}, and "
            f"{len(unknown)} are unknown, such as {unknown[:2]}. Set n_layers to the number of "
            f"attention layers, and prefix to what all names begin with."
        )
    for name, parameter in own.items():
        _fill(parameter, given[names[name]], names[name])
    check_finite({name: given[name] for name in buffers & given.keys()})
    for name in buffers & given.keys():
        module.get_buffer(name).copy_(torch.as_tensor(given[name]))


def _fill(parameter: Tensor, value: Any, name: str) -> None:
    value = torch.as_tensor(value)
    if value.shape != parameter.shape:
        raise ValueError(
            f"state has {name!r} of shape {tuple(value.shape)}, this estimator has "
            f"{tuple(parameter.shape)}; construct it with the hidden_size, n_query and grid that "
            f"the weights were trained with."
        )
    check_finite({name: value})
    with torch.no_grad():
        parameter.copy_(value)

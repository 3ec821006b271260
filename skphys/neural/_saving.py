"""Weights in files of safetensors, and nets that pickle anywhere."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# The parameters that the tensors of a `FieldNet` depend on.
FIELD_NET = "n_modes, hidden_channels, n_layers, n_members, heteroscedastic, grid"

HEADER = "skphys"  # the key of our own entry in a file's metadata


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a module's state, without entries that are none.

    neuraloperator puts a dict "_metadata" among them, which no file format of tensors takes.
    """
    state = module.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def save_tensors(path: Any, module: nn.Module, header: dict[str, Any]) -> None:
    """Write a module's tensors and a header of plain values."""
    torch_files = _safetensors()
    tensors = {name: value.cpu().contiguous() for name, value in plain_state(module).items()}
    torch_files.save_file(
        tensors, path, metadata={HEADER: json.dumps(header, default=np.generic.item)}
    )


def load_header(path: Any) -> dict[str, Any]:
    """Read what `save_tensors` wrote besides tensors."""
    _safetensors()
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if HEADER not in metadata:
        raise ValueError(f"{str(path)!r} was not written by save_params of this package.")
    return json.loads(metadata[HEADER])


def load_tensors(path: Any, module: nn.Module) -> None:
    """Fill a module from a file; names and shapes must be the module's own."""
    saved = _safetensors().load_file(path)
    check_same_tensors(saved, module, f"the weights in {str(path)!r}, whose net")
    module.load_state_dict(saved, strict=False)


def check_same_tensors(
    state: dict[str, Tensor], module: nn.Module, what: str, parameters: str = FIELD_NET
) -> None:
    """Raise unless a state has the names and shapes of a module's own tensors."""
    own = plain_state(module)
    differing = [
        name
        for name in sorted(state.keys() | own.keys())
        if name not in state or name not in own or state[name].shape != own[name].shape
    ]
    if differing:
        raise ValueError(
            f"{what} is built differently: {differing[:4]} differ in presence or shape. Data and "
            f"parameters ({parameters}) must agree."
        )


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "save_params and load_params need the package safetensors: pip install skphys[io]. "
            "Without it, pickle or joblib.dump the estimator."
        ) from error
    return safetensors.torch


def on_cpu(net: Any) -> Any:
    """Return a trained skorch net with its tensors on the CPU; the same one if they are there."""
    if torch.device(net.device).type == "cpu":
        return net
    copied = object.__new__(type(net))
    copied.__dict__.update(vars(net))
    copied.device = "cpu"
    copied.module_ = module_on(net.module_, "cpu")
    copied.criterion_ = module_on(net.criterion_, "cpu")
    copied.initialize_optimizer()
    return copied


def module_on(module: nn.Module, device: Any) -> nn.Module:
    """Return a module on a device: itself if it is there, else a copy."""
    here = next(module.parameters()).device if any(True for _ in module.parameters()) else None
    wanted = torch.device(device)
    if here is not None and here.type == wanted.type and wanted.index in (None, here.index):
        return module
    return copy.deepcopy(module).to(wanted)


def check_device(device: str) -> torch.device:
    """Return a device that there is."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} is none that torch knows; try 'cpu' or 'cuda'."
        ) from error
    if not _is_there(found):
        raise ValueError(
            f"device={device!r} is not available here; use device='cpu', or a build of torch for "
            f"your accelerator."
        )
    return found


def _is_there(device: torch.device) -> bool:
    if device.type == "cpu":
        return device.index in (None, 0)
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type == "mps" and torch.backends.mps.is_available()


def usable_device(device: str, net: Any) -> torch.device:
    """Return where to predict: on `device` if there is one, else where the weights are."""
    try:
        return check_device(device)
    except ValueError:
        return torch.device(net.device)

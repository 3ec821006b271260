"""Weights in files of safetensors, and nets that pickle anywhere."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

HEADER = "skphys"  # the key of our own entry in a file's metadata

SCALES = "inputs.std"  # of `FaceInputs`


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
    entry = {HEADER: json.dumps(header, default=np.generic.item)}
    with written_whole(path) as partial:
        torch_files.save_file(tensors, partial, metadata=entry)


def load_tensors(path: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors that `save_tensors` wrote."""
    torch_files = _safetensors()
    from safetensors import safe_open

    with damage_named(path, "save the net again."):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header = json.loads(metadata[HEADER]) if HEADER in metadata else None
        tensors = torch_files.load_file(path)
        check_finite(tensors)
    if header is None:
        raise ValueError(f"{str(path)!r} was not written by save_params of this package.")
    return header, tensors


@contextmanager
def written_whole(path: Any) -> Iterator[Path]:
    """Yield where to write a file that is put in its place once it is whole, or not at all."""
    partial = Path(f"{path}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except Exception as error:  # on a full disk both torch and safetensors raise their own
        partial.unlink(missing_ok=True)
        raise OSError(f"{str(path)!r} could not be written: {error}") from error


@contextmanager
def damage_named(path: Any, remedy: str) -> Iterator[None]:
    """Say which file is damaged, whatever comes of reading it; one that is not there says so."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        reason = shorten(f"{type(error).__name__}: {error}", 120)
        raise ValueError(f"{str(path)!r} is damaged; {remedy} It says {reason}") from error


def check_finite(state: Mapping[str, Any]) -> None:
    """Raise where weights or units are not finite, but for scales of boundary values.

    Those are infinite where a value never varied.
    """
    tensors = {name: torch.as_tensor(value) for name, value in state.items()}
    bad = [
        name
        for name, value in tensors.items()
        if (value.isnan() if name.endswith(SCALES) else ~value.isfinite()).any()
    ]
    if bad:
        raise ValueError(f"weights in {bad[:4]} are not finite")


def load_state(module: nn.Module, state: dict[str, Tensor], what: str, parameters: str) -> None:
    """Fill a module from a state; names and shapes must be those of its own tensors."""
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
    module.load_state_dict(state, strict=False)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "save_params and load_params need the package safetensors: pip install skphys[neural]. "
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

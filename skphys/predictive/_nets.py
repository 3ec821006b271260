"""skorch nets: found among the loaded modules, never imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError


def is_net(estimator: Any) -> bool:
    """Say whether an estimator is a skorch net, fitted or not."""
    skorch = sys.modules.get("skorch")
    return skorch is not None and isinstance(estimator, skorch.NeuralNet)


def is_process(estimator: Any) -> bool:
    """Say whether an estimator is a GPyTorch Gaussian process in a skorch net."""
    probabilistic = sys.modules.get("skorch.probabilistic")
    return probabilistic is not None and isinstance(estimator, probabilistic.GPBase)


def check_module_class(net: Any) -> None:
    """Raise if an unfitted net has a module, with weights, in the place of a class.

    skorch trains such a module itself, and clones of the net start from copies of its weights.
    """
    if isinstance(net.module, sys.modules["torch"].nn.Module):
        name = type(net.module).__name__
        raise ValueError(
            f"the module of {type(net).__name__} is an instance of {name}, trained or not, and "
            f"every fit would go on from its weights. Pass the class and its arguments, "
            f"module={name}, module__...=..., or wrap a trained net in "
            f"sklearn.frozen.FrozenEstimator."
        )


def refuse_module(estimator: Any) -> None:
    """Raise if a torch module stands where a regressor goes, with the line that makes it one."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(estimator, torch.nn.Module):
        return
    name = type(estimator).__name__
    raise InvalidParameterError(
        f"{name} is a torch.nn.Module, which has no fit and no predict. If it is trained, pass "
        f"FrozenEstimator(skorch.NeuralNetRegressor(module).initialize()), with FrozenEstimator of "
        f"sklearn.frozen; to train one, pass skorch.NeuralNetRegressor({name}, module__...=...)."
    )


def parameter_dtype(net: Any) -> np.dtype[Any]:
    """Return the floating dtype of a fitted net's parameters; float32 if NumPy has none like it."""
    parameter = next(net.module_.parameters(), None)
    name = "float32" if parameter is None else str(parameter.dtype).removeprefix("torch.")
    return np.dtype(name if name in ("float16", "float32", "float64") else "float32")


def cast(values: Any, dtype: Any) -> Any:
    """Cast numeric arrays, and the numeric columns of data frames; leave other types as they are.

    skorch also takes tensors, datasets and dicts, which have their own dtypes.
    """
    if hasattr(values, "dtypes") and hasattr(values, "columns"):
        numeric = values.select_dtypes(["number", "bool"]).columns
        return values.astype(dict.fromkeys(numeric, dtype))
    if isinstance(values, list) or hasattr(values, "iloc"):
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return np.require(values, dtype, "W")  # torch warns of arrays that are not writeable
    return values


@contextmanager
def seeded(estimator: Any, seed: int | None) -> Iterator[None]:
    """Seed torch's global generators for a net, which has no random_state, and restore them.

    None leaves them alone.
    """
    torch = sys.modules.get("torch")
    if seed is None or torch is None or not is_net(estimator):
        yield
        return
    with torch.random.fork_rng(_cuda_devices(estimator.device)):
        torch.manual_seed(seed)
        yield


def _cuda_devices(device: Any) -> list[Any]:
    """Return the devices, besides the CPU, whose generators a net on `device` draws from."""
    torch = sys.modules["torch"]
    return [device] if device is not None and torch.device(device).type == "cuda" else []

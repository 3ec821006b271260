"""Fitted neural processes in files of safetensors: what has to be known besides the weights."""

from __future__ import annotations

from typing import Any

from skphys.neural._params_file import grid_entry, read_grid
from skphys.neural._process._fitting import empty_process
from skphys.neural._saving import load_header, load_tensors

# Parameters that the meaning of the weights depends on.
NAMES = ("hidden_size", "n_query", "n_heads", "n_layers", "min_std")


def process_header(model: Any) -> dict[str, Any]:
    """Return what has to be known of a fitted model besides its tensors."""
    return {
        "parameters": {name: getattr(model, name) for name in NAMES},
        "grid": grid_entry(model.grid_),
        "own_grid": model.grid is None,
        "layout": [model.n_features_in_, model._target_ndim],
        "functions": model.n_functions_,
        "draw_seed": model._draw_seed,
        "history": [dict(row) for row in model.net_.history],
    }


def load_process(model: Any, path: Any) -> None:
    """Make a model the fitted one that a file holds."""
    header = load_header(path)
    if "draw_seed" not in header:
        raise ValueError(f"{str(path)!r} holds another kind of estimator.")
    for name, saved in header["parameters"].items():
        if saved != getattr(model, name):
            raise ValueError(
                f"{str(path)!r} was saved with {name}={saved!r}, but this estimator has "
                f"{name}={getattr(model, name)!r}; construct it with the same parameters."
            )
    grid = read_grid(header["grid"])
    if header["own_grid"] != (model.grid is None) or model.grid not in (None, grid):
        raise ValueError(
            f"{str(path)!r} was saved with {'grid=None, which was ' * header['own_grid']}{grid!r}; "
            f"this estimator has grid={model.grid!r}."
        )
    model.grid_ = grid
    model.n_features_in_, model._target_ndim = header["layout"]
    model._set_layout(model.n_features_in_)
    model.n_functions_, model._draw_seed = header["functions"], header["draw_seed"]
    net = empty_process(model)
    load_tensors(path, net.module_)
    net.history_.extend(header["history"])
    model.net_ = net
    model._read_history()

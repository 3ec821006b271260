"""Fitted operators in files of safetensors: what has to be known besides the weights."""

from __future__ import annotations

from typing import Any

from skphys.grids import Axis, Grid
from skphys.neural._fitting import empty_net
from skphys.neural._layout import common_grid, resolve_modes
from skphys.neural._saving import load_header, load_tensors


def header_of(model: Any) -> dict[str, Any]:
    """Return what has to be known of a fitted `FNORegressor` besides its tensors."""
    return {
        "parameters": _parameters(model, model.grid_),
        "grid": grid_entry(model.grid_),
        "layout": [model._n_channels, model._n_components, model._target_ndim],
        "embedded": model._embedding is not None,
        "history": [dict(row) for row in model.net_.history],
    }


def load_into(model: Any, path: Any) -> None:
    """Make a `FNORegressor` the fitted one that a file holds."""
    header = load_header(path)
    grid = read_grid(header["grid"])
    for name, value in _parameters(model, grid).items():
        if value != header["parameters"][name]:
            raise ValueError(
                f"{str(path)!r} was saved with {name}={header['parameters'][name]!r}, but this "
                f"estimator has {name}={value!r}; construct it with the same parameters."
            )
    embedding = getattr(model, "_embedding", None)
    if header["embedded"] != (embedding is not None):
        raise ValueError(
            f"the net in {str(path)!r} was fitted {'with' if header['embedded'] else 'without'} "
            f"boundary, unlike this estimator; load it into one that was fitted the same way."
        )
    if model.grid is not None and common_grid(model.grid)[0] != grid:
        raise ValueError(
            f"{str(path)!r} was saved with {grid!r}; this estimator has {model.grid!r}."
        )
    model.grid_, model._embedding = grid, embedding
    model._n_channels, model._n_components, model._target_ndim = header["layout"]
    model.n_features_in_ = model._n_channels * grid.n_points
    net = empty_net(model, embedding)
    load_tensors(path, net.module_)
    net.history_.extend(header["history"])
    model.net_ = net
    model._read_history()


def _parameters(model: Any, grid: Grid) -> dict[str, Any]:
    """Return the parameters that the meaning of the weights depends on."""
    names = ("hidden_channels", "n_layers", "padding", "n_members", "heteroscedastic")
    return {
        "n_modes": list(resolve_modes(model.n_modes, grid)),
        **{name: getattr(model, name) for name in names},
    }


def grid_entry(grid: Grid) -> dict[str, Any]:
    """Return a grid in plain values."""
    return {
        name: [_listed(axis.points), _listed(axis.edges), axis.period]
        for name, axis in grid.axes.items()
    }


def read_grid(axes: dict[str, Any]) -> Grid:
    """Return the grid that `grid_entry` has put down."""
    return Grid(
        **{
            name: Axis(points, edges=edges, period=period)
            for name, (points, edges, period) in axes.items()
        }
    )


def _listed(values: Any) -> list[float] | None:
    return None if values is None else values.tolist()

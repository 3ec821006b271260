"""Fitted regressors in files of safetensors: what has to be known besides the weights."""

from __future__ import annotations

from typing import Any

from skphys.grids import Axis, Grid
from skphys.neural._layout import common_grid
from skphys.neural._saving import damage_named, load_state, load_tensors, save_tensors

REMEDY = "save the net again."


def save_params(model: Any, path: Any) -> None:
    """Write the weights of a fitted regressor, and what has to be known besides."""
    header = {
        "parameters": model._parameters_of_weights(model.grid_),
        "grid": {
            name: [_listed(axis.points), _listed(axis.edges), axis.period]
            for name, axis in model.grid_.axes.items()
        },
        "history": [dict(row) for row in model.net_.history],
        **model._header(),
    }
    save_tensors(path, model.net_.module_, header)


def load_params(model: Any, path: Any) -> Any:
    """Make an unfitted copy of a regressor the fitted one that a file holds, and return it."""
    header, tensors = load_tensors(path)
    with damage_named(path, REMEDY):
        model.grid_ = _read_grid(header["grid"])
        saved = dict(header["parameters"])
        rows = [dict(row) for row in header["history"]]
        model._read_header(header)
    _check_parameters(model, saved, path)
    _check_grid(model, header.get("own_grid"), path)
    _check_boundary(model, header.get("embedded", False), path)
    with damage_named(path, REMEDY):
        model.net_ = model._empty_net()
    what = f"the weights in {str(path)!r}, whose net"
    load_state(model.net_.module_, tensors, what, model._built_by)
    with damage_named(path, REMEDY):
        model.net_.history_.extend(rows)
        model._read_history()
    return model


def _check_parameters(model: Any, saved: dict[str, Any], path: Any) -> None:
    own = model._parameters_of_weights(model.grid_)
    if saved.keys() != own.keys():
        raise ValueError(f"{str(path)!r} holds another kind of estimator.")
    for name, value in own.items():
        if value != saved[name]:
            raise ValueError(
                f"{str(path)!r} was saved with {name}={saved[name]!r}, but this estimator has "
                f"{name}={value!r}; construct it with the same parameters."
            )


def _check_grid(model: Any, own: bool | None, path: Any) -> None:
    """Compare the grids; `own` says whether it was the regressor's own, where that matters."""
    same = own is not False
    if model.grid is not None:
        same = not own and common_grid(model.grid)[0] == model.grid_
    if not same:
        raise ValueError(
            f"{str(path)!r} was saved with {'grid=None, which was ' * bool(own)}{model.grid_!r}; "
            f"this estimator has grid={model.grid!r}."
        )


def _check_boundary(model: Any, embedded: bool, path: Any) -> None:
    if embedded != (getattr(model, "_embedding", None) is not None):
        raise ValueError(
            f"the net in {str(path)!r} was fitted {'with' if embedded else 'without'} boundary, "
            f"unlike this estimator; load it into one that was fitted the same way."
        )


def _read_grid(axes: dict[str, Any]) -> Grid:
    return Grid(
        **{
            name: Axis(points, edges=edges, period=period)
            for name, (points, edges, period) in axes.items()
        }
    )


def _listed(values: Any) -> list[float] | None:
    return None if values is None else values.tolist()

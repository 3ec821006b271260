"""skorch nets whose modules take fields as channels on a grid, behind flat rows.

A module is told about the grid by wrapping it, in a factory that skorch takes for its class. What
reaches the net is flat, as everywhere in this package, or has the shape of the grid already; what
the module gets is what it takes, and its criterion sees targets in the shape of its outputs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._spectral_layers import correct_layers

Shape = tuple[int, ...]


class OnGrid(nn.Module):
    """A module that finds out whether it takes flat rows or channels on the grid.

    The first flat batch decides: rows stay as they are if the module makes fields of them; if not,
    they become channels. Its attributes can be read here, too.

    Parameters
    ----------
    module : Module
        Fields in; fields out, flat or of shape (B, n_components, *grid.shape).
    shape : tuple of int
        Number of components, then the shape of the grid.

    Attributes
    ----------
    layout : {"flat", "channels"} or None
        How the module takes flat rows; None before the first.
    """

    def __init__(self, module: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.module, self.shape = module, shape
        self.layout: str | None = None
        self.register_state_dict_post_hook(_drop_what_is_no_tensor)

    def forward(self, x: Any, **params: Any) -> Any:
        """Apply the module to flat rows (B, C * n_points), or to what it takes itself."""
        if isinstance(x, Tensor) and x.ndim == 2 and x.shape[1] % self._n_points == 0:
            if self.layout is None:
                self.layout = self._find_layout(x[:1], params)
            x = self._channels(x) if self.layout == "channels" else x
        out = self.module(x, **params)
        if isinstance(out, Tensor):
            _check_output(out, self.module, self.shape)
        return out

    def __getattr__(self, name: str) -> Any:
        """Return the module's attribute where this class has none."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "module":
                raise
            return getattr(super().__getattr__("module"), name)

    @property
    def _n_points(self) -> int:
        return math.prod(self.shape[1:])

    def _channels(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, *self.shape[1:]))

    def _find_layout(self, row: Tensor, params: dict[str, Any]) -> str:
        """Try both layouts on a copy of the module."""
        n_channels = row.shape[1] // self._n_points
        # As many rows as no channel counts: a row of points is no batch of channels.
        rows = row.detach().expand(n_channels + self.shape[0] + 1, -1)
        for layout, x in (("flat", rows), ("channels", self._channels(rows))):
            module = copy.deepcopy(self.module).eval()
            try:
                with torch.no_grad():
                    out = module(x, **params)
                _check_output(out, module, self.shape, len(x))
            except Exception as error:  # whatever a module raises of a shape
                reason = error
            else:
                return layout
        raise ValueError(
            f"{type(self.module).__name__} makes fields neither of flat rows of {row.shape[1]} "
            f"columns nor of (batch, {n_channels}, {_listed(self.shape[1:])}), that is "
            f"as channels on the grid: {reason}"
        ) from reason


def _check_output(out: Any, module: nn.Module, shape: Shape, size: int | None = None) -> None:
    """Raise unless an output holds fields, so that no target is ever broadcast against it."""
    allowed = {(math.prod(shape),), shape} | ({shape[1:]} if shape[0] == 1 else set())
    if math.prod(shape) == 1:
        allowed.add(())
    if tuple(out.shape[1:]) not in allowed or size not in (None, len(out)):
        raise ValueError(
            f"{type(module).__name__} returns shape {tuple(out.shape)}; it must return fields, "
            f"(batch, {_listed(shape)}) or (batch, {math.prod(shape)}) in C order."
        )


def _listed(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def _drop_what_is_no_tensor(module: Any, state: dict[str, Any], *_: Any) -> None:
    """Take what neuraloperator adds out of a state, which skorch could not load again."""
    for name in [name for name, value in state.items() if not isinstance(value, Tensor)]:
        del state[name]


class FieldCriterion(nn.Module):
    """A criterion that sees targets in the shape of the outputs.

    Parameters
    ----------
    criterion : callable
        Of output and target.
    """

    def __init__(self, criterion: Any) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, output: Any, target: Any, *args: Any, **params: Any) -> Any:
        """Return the criterion's value."""
        if isinstance(output, Tensor) and isinstance(target, Tensor):
            target = target.reshape(output.shape)  # the module has checked that these are fields
        return self.criterion(output, target, *args, **params)


@dataclass(frozen=True)
class ModuleOnGrid:
    """In place of a module's class: makes the module and tells it about the grid.

    Attributes
    ----------
    module : callable
        The class, or another callable that returns a module.
    shape : tuple of int
        Number of components, then the shape of the grid.
    embedding : BoundaryEmbedding or None
        What spectral layers are corrected for.
    """

    module: Callable[..., nn.Module]
    shape: Shape = field(repr=False)
    embedding: BoundaryEmbedding | None = field(default=None, repr=False)

    def __call__(self, **params: Any) -> OnGrid:
        """Return the module."""
        module = self.module(**params)
        if self.embedding is not None:
            correct_layers(module, self.embedding)
        return OnGrid(module, self.shape)


@dataclass(frozen=True)
class CriterionOnGrid:
    """In place of a criterion's class, or of a criterion."""

    criterion: Any

    def __call__(self, **params: Any) -> FieldCriterion:
        """Return the criterion."""
        criterion = self.criterion
        if isinstance(criterion, nn.Module):
            return FieldCriterion(type(criterion)(**params) if params else criterion)
        return FieldCriterion(criterion(**params))


@dataclass(frozen=True)
class FlatRows:
    """What becomes of outputs in prediction: what became of them before, then flat rows."""

    before: Any

    def __call__(self, output: Tensor) -> Tensor:
        """Return rows (B, n_columns)."""
        output = self.before(output) if callable(self.before) else output
        return output.flatten(1) if output.ndim > 2 else output


def set_on_grid(net: Any, shape: Shape, embedding: BoundaryEmbedding | None = None) -> None:
    """Tell an unfitted skorch net about the grid.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed. Parameters of its module and its criterion stay as they are.
    shape : tuple of int
        Number of components, then the shape of the grid.
    embedding : BoundaryEmbedding, optional
        What its spectral layers are to be corrected for.
    """
    module = net.module.module if isinstance(net.module, ModuleOnGrid) else net.module
    net.set_params(module=ModuleOnGrid(module, shape, embedding))
    if not isinstance(net.criterion, CriterionOnGrid):
        net.set_params(criterion=CriterionOnGrid(net.criterion))
    if not isinstance(net.predict_nonlinearity, FlatRows):
        net.set_params(predict_nonlinearity=FlatRows(net.predict_nonlinearity))


def trained_on_grid(net: Any, shape: Shape) -> Any:
    """Return a trained net that takes flat rows as well; it shares its weights.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialised; not changed.
    shape : tuple of int
        Number of components, then the shape of the grid.
    """
    if isinstance(net.module_, OnGrid):
        return net
    copied = object.__new__(type(net))  # copy.copy would pickle the module, which not all can be
    copied.__dict__ |= net.__dict__ | {"module_": OnGrid(net.module_, shape)}
    return copied

"""The spectral layer of a Fourier neural operator, for several members at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._transforms import AxisModes

# Takes what a layer reads, and the layer, to the modes that it mixes.
Correction = Callable[[Tensor, "SpectralConv"], Tensor]


class Transform(nn.Module):
    """Truncated Fourier transforms along all axes of a grid, and back.

    Parameters
    ----------
    modes : sequence of AxisModes
        The modes kept along each axis; those of the last axis are the ones of a real field.
    points : sequence of array-like
        The coordinates along each axis.
    """

    _into: Tensor
    _out: Tensor

    def __init__(self, modes: Sequence[AxisModes], points: Sequence[Any]) -> None:
        super().__init__()
        self.modes = tuple(modes)
        self.set_points(points)

    @property
    def n_modes(self) -> tuple[int, ...]:
        """Number of modes along each axis."""
        return tuple(len(axis.wavenumbers) for axis in self.modes)

    @property
    def precision(self) -> torch.dtype:
        """The real type that it computes in."""
        return self._into.dtype

    def set_points(self, points: Sequence[Any]) -> None:
        """Take other points, keeping the modes: the same operator on a finer grid."""
        self.points = tuple(np.asarray(p, dtype=np.float64) for p in points)
        *_, last = zip(self.modes, points, strict=True)
        modes, nodes = last
        forward, backward = modes.analysis(nodes), modes.synthesis(nodes, real=True)
        self._put("_into", np.concatenate([forward.real, forward.imag]))
        self._put("_out", np.concatenate([backward.real, -backward.imag], axis=1))
        for number, (modes, nodes) in enumerate(zip(self.modes[:-1], points[:-1], strict=True)):
            self._put(f"_into_{number}", modes.analysis(nodes))
            self._put(f"_out_{number}", modes.synthesis(nodes, real=False))

    def _apply(self, fn: Any, recurse: bool = True) -> Transform:
        """Follow the weights to another device or precision, in which all digits are new."""
        before = self.precision
        super()._apply(lambda t: _of_parts(fn, t) if t.is_complex() else fn(t), recurse)
        if self.precision != before:
            self.set_points(self.points)
        return self

    def _put(self, name: str, matrix: Any) -> None:
        old = getattr(self, name, None)
        kind = torch.get_default_dtype() if old is None else old.dtype.to_real()
        kind = kind.to_complex() if np.iscomplexobj(matrix) else kind
        matrix = torch.as_tensor(matrix, dtype=kind, device=None if old is None else old.device)
        self.register_buffer(name, matrix, persistent=False)

    def analyse(self, x: Tensor) -> Tensor:
        """Take fields (E, B, *shape, C) to complex coefficients (E, B, *n_modes, C)."""
        parts = torch.matmul(self._into, x)
        re, im = parts.chunk(2, dim=-2)
        x = torch.complex(re, im)
        for number in range(len(self.modes) - 1):
            x = _along(getattr(self, f"_into_{number}"), x, 2 + number)
        return x

    def analyse_with(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coefficients (E, B, M, C), and what rows (F, N) make of fields on one axis.

        Taken together they read the fields once.
        """
        parts = torch.matmul(torch.cat([self._into, rows]), x)
        parts, products = parts.split([len(self._into), len(rows)], dim=-2)
        return torch.complex(*parts.chunk(2, dim=-2)), products

    def synthesise(self, x: Tensor) -> Tensor:
        """Take complex coefficients (E, B, *n_modes, C) to fields (E, B, *shape, C)."""
        for number in range(len(self.modes) - 1):
            x = _along(getattr(self, f"_out_{number}"), x, 2 + number)
        return torch.matmul(self._out, torch.cat([x.real, x.imag], dim=-2))


def _of_parts(fn: Any, matrix: Tensor) -> Tensor:
    """Apply a change of device or precision, which would drop imaginary parts, to both parts."""
    return torch.view_as_complex(fn(torch.view_as_real(matrix)))


def _along(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """Multiply one axis of x, not the last, by a matrix."""
    return torch.matmul(matrix, x.movedim(axis, -2)).movedim(-2, axis)


class SpectralConv(nn.Module):
    """A convolution over the grid whose kernel has few Fourier modes.

    Parameters
    ----------
    channels : int
        Number of channels ``C``, in and out.
    transform : Transform
        Its transforms, shared between layers.
    n_members : int, default=1
        Number of members ``E``, each with weights of its own.

    References
    ----------
    Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", ICLR 2021,
    arXiv 2010.08895, equation 4.
    """

    def __init__(self, channels: int, transform: Transform, n_members: int = 1) -> None:
        super().__init__()
        self.transform = transform
        self.correction: Correction | None = None
        size = (n_members, *transform.n_modes, channels, channels, 2)
        self.weight = nn.Parameter(torch.rand(size) / channels**2)

    def mix(self, x: Tensor) -> Tensor:
        """Multiply each mode's coefficients (E, B, *n_modes, C) by the weights of that mode."""
        members, batch, *modes, channels = x.shape
        weight = torch.view_as_complex(self.weight).reshape(-1, channels, channels)
        x = x.reshape(members, batch, -1, channels).transpose(1, 2).reshape(-1, batch, channels)
        x = torch.bmm(x, weight).reshape(members, -1, batch, channels).transpose(1, 2)
        return x.reshape(members, batch, *modes, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution to fields (E, B, *shape, C)."""
        kind = x.device.type
        if torch.is_autocast_enabled(kind):  # there is no complex number of half the precision
            with torch.autocast(kind, enabled=False):
                return self.forward(x.float())
        if self.correction is None:
            modes = self.transform.analyse(x)
        else:
            modes = self.correction(x, self)
        return self.transform.synthesise(self.mix(modes))

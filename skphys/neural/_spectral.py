"""The spectral layer of a Fourier neural operator, for several members at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._transforms import AxisModes

# Takes what a layer reads, the modes it makes of it, its weights and its transform to other modes.
Correction = Callable[[Tensor, Tensor, Tensor, "Transform"], Tensor]


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

    def analyse(self, x: Tensor, skip: int | None = None) -> Tensor:
        """Take fields (E, B, *shape, C) to complex coefficients (E, B, *n_modes, C).

        The axis `skip` is left as it is, as for fields on the faces across it.
        """
        last = len(self.modes) - 1
        if skip == last:
            x = x.to(self.precision.to_complex())
        else:
            x = torch.complex(*torch.matmul(self._into, x).chunk(2, dim=-2))
        for number in (n for n in range(last) if n != skip):
            x = along(getattr(self, f"_into_{number}"), x, 2 + number)
        return x

    def synthesise(self, x: Tensor, skip: int | None = None) -> Tensor:
        """Take complex coefficients (E, B, *n_modes, C) to fields (E, B, *shape, C)."""
        last = len(self.modes) - 1
        for number in (n for n in range(last) if n != skip):
            x = along(getattr(self, f"_out_{number}"), x, 2 + number)
        if skip == last:
            return x.real
        return torch.matmul(self._out, torch.cat([x.real, x.imag], dim=-2))


def _of_parts(fn: Any, matrix: Tensor) -> Tensor:
    """Apply a change of device or precision, which would drop imaginary parts, to both parts."""
    return torch.view_as_complex(fn(torch.view_as_real(matrix)))


def along(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """Multiply one axis of x, not the last, by a matrix."""
    return torch.matmul(matrix, x.movedim(axis, -2)).movedim(-2, axis)


def mix(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply each mode's coefficients (E, B, *M, C) by its complex weights (E, *M, C, C)."""
    members, batch, *modes, channels = x.shape
    weight = weight.reshape(-1, *weight.shape[-2:])
    x = x.reshape(members, batch, -1, channels).transpose(1, 2).reshape(-1, batch, channels)
    x = torch.bmm(x, weight).reshape(members, -1, batch, channels).transpose(1, 2)
    return x.reshape(members, batch, *modes, channels)


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

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution to fields (E, B, *shape, C)."""
        kind = x.device.type
        if torch.is_autocast_enabled(kind):  # there is no complex number of half the precision
            with torch.autocast(kind, enabled=False):
                return self.forward(x.float())
        weight = torch.view_as_complex(self.weight)
        modes = mix(self.transform.analyse(x), weight)
        if self.correction is not None:
            modes = self.correction(x, modes, weight, self.transform)
        return self.transform.synthesise(modes)

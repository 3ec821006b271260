"""The net behind `FNORegressor`: physical fields in, physical fields out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from skphys.neural._boundary_batch import BoundaryEmbedding
from skphys.neural._face_inputs import FaceInputs, FaceModulation
from skphys.neural._fno import MemberFNO, MemberLinear
from skphys.neural._kernel import KernelCorrection
from skphys.neural._spectral import Transform
from skphys.neural._transforms import grid_modes
from skphys.neural._vanish import Vanish

PROJECTION_CHANNELS = 128
SPREAD_CHANNELS = 64
SMALLEST_STD = 1e-6  # of a predicted deviation, in standard deviations of the training fields


class FieldNet(nn.Module):
    """A Fourier neural operator that standardises what it reads and writes.

    Parameters
    ----------
    in_channels, out_channels : int
        Number of input fields and of predicted components.
    points : sequence of array-like
        The coordinates along each axis.
    n_modes : sequence of int
        Number of modes along each axis.
    hidden_channels : int, default=64
        Width.
    n_layers : int, default=4
        Number of Fourier layers.
    periods : sequence of (float or None), default=None
        Period of each axis, if it has one.
    padding : float or "reflect", default=0.0
        How axes without a period are closed to a ring; see `axis_modes`.
    n_members : int, default=1
        Number of members ``E``.
    heteroscedastic : bool, default=False
        Whether to predict a standard deviation, too.
    embedding : BoundaryEmbedding or None, default=None
        A boundary that the net takes part in.
    spans : sequence of (tuple of two floats or None), default=None
        Where each axis begins and ends, if its points are the centres of cells.
    """

    x_mean: Tensor
    x_std: Tensor
    y_mean: Tensor
    y_std: Tensor
    coordinates: Tensor
    vanish: Vanish | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        points: Sequence[Any],
        n_modes: Sequence[int],
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        periods: Sequence[float | None] | None = None,
        padding: float | str = 0.0,
        n_members: int = 1,
        heteroscedastic: bool = False,
        embedding: BoundaryEmbedding | None = None,
        spans: Sequence[tuple[float, float] | None] | None = None,
    ) -> None:
        super().__init__()
        spans = [None] * len(points) if spans is None else spans
        modes = grid_modes(points, n_modes, periods=periods, padding=padding, spans=spans)
        self.heteroscedastic = heteroscedastic
        self.inputs = None if embedding is None else FaceInputs(embedding)
        n_faces = 0 if self.inputs is None else len(self.inputs.faces)
        n_inputs = in_channels + len(points) + n_faces
        self.fno = MemberFNO(
            n_inputs,
            out_channels,
            Transform(modes, points),
            hidden_channels,
            n_layers,
            PROJECTION_CHANNELS,
            n_members,
        )
        self.modulations = nn.ModuleList(
            FaceModulation(n_faces, hidden_channels, n_members)
            for _ in range(n_layers if n_faces else 0)
        )
        self.vanish = None
        if embedding is not None:
            self._add_boundary(embedding)
        if heteroscedastic:
            self.spread = _spread(PROJECTION_CHANNELS + n_inputs, out_channels, n_members)
        self._add_units(in_channels, out_channels, len(points))
        self._ends = [
            (p[0], p[-1]) if span is None else span for p, span in zip(points, spans, strict=True)
        ]
        self._set_coordinates(points)

    def _add_boundary(self, embedding: BoundaryEmbedding) -> None:
        if embedding.method == "lift":
            self.vanish = Vanish(embedding, self.fno.transform.points)
        self._take_boundary(embedding)

    def _add_units(self, in_channels: int, out_channels: int, n_axes: int) -> None:
        for name, size in (("x", in_channels), ("y", out_channels)):
            self.register_buffer(f"{name}_mean", torch.zeros(size, *(1,) * n_axes))
            self.register_buffer(f"{name}_std", torch.ones(size, *(1,) * n_axes))

    def set_scaling(self, x: Tensor, y: Tensor, values: Tensor | None = None) -> None:
        """Take units from training data (n, C, *shape), (n, O, *shape) and (n, V)."""
        for name, fields in (("x", x), ("y", y)):
            axes = (0, *range(2, fields.ndim))
            std, mean = torch.std_mean(fields, axes, correction=0)
            std = torch.where(std > 1e-6 * mean.abs(), std, 1.0)
            for statistic, value in (("mean", mean), ("std", std)):
                buffer = getattr(self, f"{name}_{statistic}")
                buffer.copy_(value.reshape(buffer.shape))
        if self.inputs is not None and values is not None:
            self.inputs.set_scaling(values)

    def set_grid(self, points: Sequence[Any]) -> None:
        """Work on other points from now on; a boundary must be set anew after it."""
        self.fno.transform.set_points(points)
        self._set_coordinates(points)

    def set_boundary(self, embedding: BoundaryEmbedding) -> None:
        """Take the same conditions on the points in use, which may be others than in training."""
        if self.inputs is not None:
            self.inputs.set_faces(embedding)
        if self.vanish is not None:
            self.vanish.set_faces(embedding, self.fno.transform.points)
        self._take_boundary(embedding)

    def _take_boundary(self, embedding: BoundaryEmbedding) -> None:
        """Remember the boundary, and correct the layers for it if that is the method."""
        self.embedding = embedding
        if embedding.method == "kernel":
            correction = KernelCorrection(embedding, self.fno.transform)
            for layer in self.fno.spectral:
                layer.correction = correction.to(next(self.parameters()).device)

    def _set_coordinates(self, points: Sequence[Any]) -> None:
        """Take coordinates, from -1 to 1 on the axes of training, as channels."""
        axes = [_scaled(p, *ends) for p, ends in zip(points, self._ends, strict=True)]
        device = next(self.parameters()).device
        channels = np.stack(np.meshgrid(*axes, indexing="ij"))
        buffer = torch.as_tensor(channels, dtype=torch.float32, device=device)
        self.register_buffer("coordinates", buffer, persistent=False)

    def forward(self, x: Tensor, values: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Predict fields (E, B, O, *shape), and deviations if `heteroscedastic`.

        Parameters
        ----------
        x : Tensor of shape (E, B, C, *shape)
            Input fields.
        values : Tensor of shape (E, B, V), optional
            Boundary values, with an `embedding`.
        """
        inputs, modulations = self._read(x, values)
        features = self.fno.features(inputs, modulations)
        mean = self.fno.projection(features).movedim(-1, 2) * self.y_std
        mean = mean + self.y_mean
        if self.vanish is not None:
            mean = self.vanish(mean)
        if not self.heteroscedastic:
            return mean
        # The spread does not shape the features: the mean is left to its own loss.
        spread = self.spread(torch.cat([features.detach(), inputs], -1)).movedim(-1, 2)
        return mean, (F.softplus(spread.float()) + SMALLEST_STD) * self.y_std

    def _read(self, x: Tensor, values: Tensor | None) -> tuple[Tensor, list[Any]]:
        """Return all channels, last, and what modulates the layers."""
        members, batch, _, *shape = x.shape
        channels = [
            (x - self.x_mean) / self.x_std,
            self.coordinates.expand(members, batch, -1, *shape),
        ]
        modulations: list[Any] = []
        if self.inputs is not None and values is not None and self.inputs.faces:
            faces, averages = self.inputs(values, shape)
            channels.append(faces)
            modulations = [modulation(averages) for modulation in self.modulations]
        return torch.cat(channels, 2).movedim(2, -1), modulations


def _spread(n_inputs: int, out_channels: int, n_members: int) -> nn.Sequential:
    """Return the layers that predict deviations."""
    return nn.Sequential(
        MemberLinear(n_inputs, SPREAD_CHANNELS, n_members),
        nn.GELU(),
        MemberLinear(SPREAD_CHANNELS, out_channels, n_members),
    )


def _scaled(points: Any, start: float, stop: float) -> NDArray[np.float64]:
    """Map [start, stop] to [-1, 1]."""
    points = np.asarray(points, dtype=np.float64)
    return 2.0 * (points - start) / (stop - start) - 1.0 if stop > start else 0.0 * points

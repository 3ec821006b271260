"""The Fourier neural operator as a plain torch module, for nets of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skphys.neural._fno import MemberFNO
from skphys.neural._spectral import Transform
from skphys.neural._transforms import grid_modes


class FNO(nn.Module):
    """Fourier neural operator: a torch module from fields to fields, channels first.

    For nets and training loops of one's own, such as a skorch ``NeuralNetRegressor``;
    `FNORegressor` is the estimator that needs neither. It takes any number of points that holds its
    modes, also others than in training.

    Parameters
    ----------
    n_modes : int or sequence of int
        Number of modes kept along each axis, the mean included; at most half the number of its
        points. An int stands for one axis.
    in_channels, out_channels : int
        Number of input and output fields.
    hidden_channels : int, default=64
        Width.
    n_layers : int, default=4
        Number of Fourier layers.
    projection_channels : int, default=128
        Width of the layer before the last.
    padding : float or "reflect", default=0.0
        Part of its length by which each axis is extended, by zeros, before it is closed to a ring;
        "reflect" closes it by its mirror image. Leave 0 on periodic axes.
    coordinates : bool, default=True
        Whether the coordinates along each axis, from -1 to 1, are input channels as well. Without
        them, and without padding, the operator does the same at all points of the ring.

    See Also
    --------
    FNORegressor : The same operator behind fit and predict, with a training that is tuned.
    register_spectral_layer : How layers of other modules take part in ``method="kernel"``.

    Notes
    -----
    Even spacing is assumed. Nothing is standardised: scale the fields to about one.

    References
    ----------
    Z. Li et al. Fourier neural operator for parametric partial differential equations. ICLR 2021,
    arXiv 2010.08895.

    Examples
    --------
    >>> import torch
    >>> from skphys.neural import FNO
    >>> operator = FNO(n_modes=(6, 4), in_channels=2, out_channels=1, hidden_channels=8)
    >>> operator(torch.zeros(3, 2, 16, 12)).shape
    torch.Size([3, 1, 16, 12])
    """

    def __init__(
        self,
        n_modes: int | Sequence[int],
        in_channels: int,
        out_channels: int,
        hidden_channels: int = 64,
        n_layers: int = 4,
        *,
        projection_channels: int = 128,
        padding: float | str = 0.0,
        coordinates: bool = True,
    ) -> None:
        super().__init__()
        self.n_modes = (n_modes,) if isinstance(n_modes, int | np.integer) else tuple(n_modes)
        self.in_channels, self.padding, self.coordinates = in_channels, padding, coordinates
        self.fno = MemberFNO(
            in_channels + coordinates * len(self.n_modes),
            out_channels,
            self._transform(tuple(2 * max(m, 2) for m in self.n_modes)),
            hidden_channels,
            n_layers,
            projection_channels,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map fields (B, in_channels, *shape) to fields (B, out_channels, *shape).

        Parameters
        ----------
        x : Tensor of shape (B, in_channels, *shape)
            Input fields, with one axis for each of `n_modes`.

        Returns
        -------
        Tensor of shape (B, out_channels, *shape)
            Output fields.

        Raises
        ------
        ValueError
            If `x` has another shape, or an axis too few points for its modes.
        """
        self._check(x)
        shape = tuple(x.shape[2:])
        if shape != tuple(len(points) for points in self.fno.transform.points):
            self.fno.transform.set_points(self._points(shape))
        if self.coordinates:
            axes = [torch.linspace(-1.0, 1.0, n, dtype=x.dtype, device=x.device) for n in shape]
            channels = torch.stack(torch.meshgrid(*axes, indexing="ij"))
            x = torch.cat([x, channels.expand(len(x), *channels.shape)], 1)
        return self.fno(x.movedim(1, -1)[None])[0].movedim(-1, 1)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 2 + len(self.n_modes) or x.shape[1] != self.in_channels:
            axes = ", ".join(f"n_{number}" for number in range(1, 1 + len(self.n_modes)))
            raise ValueError(
                f"FNO takes fields of shape (batch, in_channels={self.in_channels}, {axes}), with "
                f"an axis for each of n_modes={self.n_modes}; got {tuple(x.shape)}."
            )
        for modes, size in zip(self.n_modes, x.shape[2:], strict=True):
            if not 1 <= modes <= size // 2 and (modes, size) != (1, 1):
                raise ValueError(
                    f"n_modes={self.n_modes} must each be between 1 and half the number of points "
                    f"along the axis; got fields of {tuple(x.shape[2:])} points."
                )

    def _transform(self, shape: tuple[int, ...]) -> Transform:
        points = self._points(shape)
        return Transform(grid_modes(points, self.n_modes, padding=self.padding), points)

    def _points(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Return even points, whose ring has the length 1 at any number of them."""
        ends = self.padding == "reflect"
        return [np.linspace(0.0, 1.0, n, endpoint=ends) for n in shape]

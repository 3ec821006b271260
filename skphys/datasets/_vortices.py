"""Flows in the plane: random vortices between walls, and the vorticity of any flow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphys.datasets._problem import Floats
from skphys.grids import Components


@dataclass(frozen=True)
class Vortices:
    """Random stream functions, at rest on the walls: sums of a_mn g_m(x) g_n(y); B fields."""

    amplitudes: Floats  # (B, n_modes, n_modes)

    @cached_property
    def modes(self) -> Floats:
        """The numbers 1 to n_modes."""
        return np.arange(1.0, self.amplitudes.shape[1] + 1.0)

    def stream_function(self, x: Floats, y: Floats) -> Floats:
        """Return psi, (B, n_x, n_y)."""
        return self._shape(x) @ self.amplitudes @ self._shape(y).T

    def velocity(self, x: Floats, y: Floats) -> Floats:
        """Return u = psi_y and v = -psi_x, (B, 2, n_x, n_y)."""
        u = self._shape(x) @ self.amplitudes @ self._slope(y).T
        v = self._slope(x) @ self.amplitudes @ self._shape(y).T
        return np.stack([u, -v], axis=1)

    def scaled(self, speed: Floats) -> Vortices:
        """Scale to root-mean-square speeds (B,), which this quadrature finds exactly."""
        n = 8 * self.modes.size
        centres = (np.arange(n) + 0.5) / n
        square = np.mean(np.sum(self.velocity(centres, centres) ** 2, axis=1), axis=(1, 2))
        return Vortices(self.amplitudes * (speed / np.sqrt(square))[:, None, None])

    def _shape(self, x: Floats) -> Floats:
        """g_m = sin(pi x) sin(m pi x): 0 at both ends, and so is its slope."""
        shape = np.sin(np.pi * x)[:, None] * np.sin(np.pi * np.outer(x, self.modes))
        return np.where(_at_end(x), 0.0, shape)  # not only to rounding

    def _slope(self, x: Floats) -> Floats:
        angle = np.pi * np.outer(x, self.modes)
        first = np.cos(np.pi * x)[:, None] * np.sin(angle)
        slope = np.pi * (first + np.sin(np.pi * x)[:, None] * self.modes * np.cos(angle))
        return np.where(_at_end(x), 0.0, slope)


def _at_end(x: Floats) -> NDArray[np.bool_]:
    return ((x == 0.0) | (x == 1.0))[:, None]


def random_vortices(rng: np.random.RandomState, n_modes: int, strength: Floats) -> Vortices:
    """Draw the start; large vortices are the strongest."""
    if np.any(strength < 0.0):
        raise ValueError(f"strength must be at least 0, got {strength.min():g} in a sample.")
    m = np.arange(1, n_modes + 1)
    draws = rng.standard_normal((len(strength), n_modes, n_modes))
    return Vortices(draws / (m[:, None] ** 2 + m**2)).scaled(strength)


def vorticity(fields: ArrayLike, grid: Components) -> Floats:
    """Derive the vorticity ``v_x - u_y`` of flows in the plane, for figures.

    Parameters
    ----------
    fields : array-like of shape (n_samples, n_points)
        The components u and v, one after another: the target of `make_lid_driven_cavity`, or a
        prediction of it.
    grid : Components
        Their grid: the components u and v on the same axes, of which two are x and y.

    Returns
    -------
    ndarray of shape (n_samples, *shape)
        The vorticity in the shape of a component, by differences of second order.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.datasets import vorticity
    >>> from skphys.grids import Components, Grid
    >>> plane = Grid(x=np.linspace(0, 1, 3), y=np.linspace(0, 1, 4))
    >>> x, y = plane.points.T
    >>> rigid_rotation = np.concatenate([-y, x])[None]
    >>> vorticity(rigid_rotation, Components(u=plane, v=plane)).round(6)[0, 0]
    array([2., 2., 2., 2.])
    """
    parts, plane = grid.split(np.asarray(fields, dtype=np.float64)), grid["u"]
    slopes = []
    for name, axis in (("v", "x"), ("u", "y")):
        position = plane.names.index(axis) + 1
        slopes.append(
            np.gradient(plane.reshape(parts[name]), plane[axis], axis=position, edge_order=2)
        )
    return slopes[0] - slopes[1]

"""Vorticity and stream function in a cavity with a moving lid: finite differences in space.

``w_t + u w_x + v w_y = nu (w_xx + w_yy)`` with ``u = psi_y``, ``v = -psi_x`` and
``psi_xx + psi_yy = -w``, where psi is 0 on the walls. Central differences of second order; the
vorticity on the walls is Thom's, from the no-slip condition; classical Runge-Kutta steps, each
stage with a fast Poisson solve. Stable within the usual bounds on the step (W. E, J.-G. Liu,
"Vorticity boundary condition and related issues for finite difference schemes", Journal of
Computational Physics 124, 1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skphys.datasets._problem import Floats

DIFFUSION_LIMIT = 2.0  # of dt nu (4 / hx^2 + 4 / hy^2); the stability bound is 2.78
ADVECTION_LIMIT = 1.6  # of dt speed (1 / hx + 1 / hy); the stability bound is 2.83
CHUNK = 2**14  # values of a field that are advanced at once: they stay in the cache


@dataclass(frozen=True)
class Cavity:
    """The unit square with (n_x, n_y) nodes, the walls included."""

    shape: tuple[int, int]

    @cached_property
    def spacing(self) -> tuple[float, float]:
        """Distances of the nodes along x and y."""
        return 1.0 / (self.shape[0] - 1), 1.0 / (self.shape[1] - 1)

    @cached_property
    def eigenvalues(self) -> Floats:
        """Eigenvalues of minus the five-point Laplacian, inner nodes."""
        parts = [
            (2.0 / h * np.sin(0.5 * np.pi * h * np.arange(1, n - 1))) ** 2
            for n, h in zip(self.shape, self.spacing, strict=True)
        ]
        return np.add.outer(*parts)

    @cached_property
    def sines(self) -> tuple[Floats, Floats]:
        """Orthogonal sine transforms along x and y; at these sizes faster than a fast one."""
        x, y = (
            np.sqrt(2.0 * h)
            * np.sin(np.pi * h * np.outer(np.arange(1, n - 1), np.arange(1, n - 1)))
            for n, h in zip(self.shape, self.spacing, strict=True)
        )
        return x, y

    def laplacian(self, field: Floats) -> Floats:
        """Five-point Laplacian at the inner nodes."""
        (hx, hy), inner = self.spacing, field[:, 1:-1, 1:-1]
        along_x = (field[:, 2:, 1:-1] + field[:, :-2, 1:-1]) / hx**2
        along_y = (field[:, 1:-1, 2:] + field[:, 1:-1, :-2]) / hy**2
        return along_x + along_y - (2.0 / hx**2 + 2.0 / hy**2) * inner

    def slopes(self, field: Floats) -> tuple[Floats, Floats]:
        """Central differences along x and y at the inner nodes."""
        hx, hy = self.spacing
        along_x = (field[:, 2:, 1:-1] - field[:, :-2, 1:-1]) * (0.5 / hx)
        return along_x, (field[:, 1:-1, 2:] - field[:, 1:-1, :-2]) * (0.5 / hy)

    def stream_function(self, vorticity: Floats) -> Floats:
        """Solve for psi on all nodes from the vorticity at the inner ones."""
        along_x, along_y = self.sines
        spectrum = along_x @ vorticity @ along_y
        spectrum /= self.eigenvalues
        return self.framed(along_x @ spectrum @ along_y)

    def framed(self, inner: Floats) -> Floats:
        """Put walls of zeros around values at the inner nodes."""
        field = np.zeros((len(inner), *self.shape))
        field[:, 1:-1, 1:-1] = inner
        return field

    def add_wall_vorticity(self, vorticity: Floats, psi: Floats, lid: Floats) -> None:
        """Write Thom's vorticity onto the walls; the lid (B, n_x) is at the end of the y axis."""
        hx, hy = self.spacing
        vorticity[:, 0, :] = psi[:, 1, :] * (-2.0 / hx**2)
        vorticity[:, -1, :] = psi[:, -2, :] * (-2.0 / hx**2)
        vorticity[:, :, 0] = psi[:, :, 1] * (-2.0 / hy**2)
        vorticity[:, :, -1] = psi[:, :, -2] * (-2.0 / hy**2) - lid * (2.0 / hy)

    def rate(self, inner: Floats, nu: Floats, lid: Floats) -> Floats:
        """Time derivative of the vorticity at the inner nodes, (B, n_x - 2, n_y - 2)."""
        psi = self.stream_function(inner)
        vorticity = self.framed(inner)
        self.add_wall_vorticity(vorticity, psi, lid)
        psi_x, psi_y = self.slopes(psi)
        along_x, along_y = self.slopes(vorticity)
        return nu[:, None, None] * self.laplacian(vorticity) - psi_y * along_x + psi_x * along_y

    def step(self, inner: Floats, nu: Floats, lid: Floats, dt: float) -> Floats:
        """Advance the vorticity by one classical Runge-Kutta step."""
        first = self.rate(inner, nu, lid)
        second = self.rate(inner + 0.5 * dt * first, nu, lid)
        third = self.rate(inner + 0.5 * dt * second, nu, lid)
        fourth = self.rate(inner + dt * third, nu, lid)
        return inner + dt / 6.0 * (first + 2.0 * (second + third) + fourth)

    def velocity(self, inner: Floats, lid: Floats) -> Floats:
        """Return u and v on all nodes, (B, 2, n_x, n_y); on the walls they are those given."""
        psi_x, psi_y = self.slopes(self.stream_function(inner))
        velocity = np.stack([self.framed(psi_y), self.framed(-psi_x)], axis=1)
        velocity[:, 0, :, -1] = lid
        return velocity

    def longest_step(self, nu: float, speed: float) -> float:
        """Return the longest time step that is safe."""
        hx, hy = self.spacing
        diffusion = DIFFUSION_LIMIT / (nu * (4.0 / hx**2 + 4.0 / hy**2))
        return min(diffusion, ADVECTION_LIMIT / (speed * (1.0 / hx + 1.0 / hy)))


def solve_cavity(
    psi: Floats, nu: Floats, lid: Floats, times: Floats, speed: float, refinement: int
) -> Floats:
    """Return the velocities on every `refinement`-th node.

    Parameters
    ----------
    psi : ndarray of shape (B, n_x, n_y)
        Stream functions at time 0 on the solver's nodes.
    nu : ndarray of shape (B,)
        Viscosities.
    lid : ndarray of shape (B, n_x)
        Speeds along the lid.
    times : ndarray of shape (n_t,)
        Increasing output times above 0.
    speed : float
        Bound on the speeds, for the time step.
    refinement : int
        How many of the solver's intervals make one of the output.

    Returns
    -------
    ndarray of shape (B, 2, n_t, ...)
        The components u and v.
    """
    cavity = Cavity(psi.shape[1:])
    dt = cavity.longest_step(float(nu.max()), speed)
    size = max(1, CHUNK // psi[0].size)
    parts = [slice(i, i + size) for i in range(0, len(psi), size)]
    chunks = [_solve(cavity, psi[p], nu[p], lid[p], times, dt, refinement) for p in parts]
    return np.concatenate(chunks)


def _solve(
    cavity: Cavity,
    psi: Floats,
    nu: Floats,
    lid: Floats,
    times: Floats,
    dt: float,
    refinement: int,
) -> Floats:
    vorticity, now, found = -cavity.laplacian(psi), 0.0, []
    for time in times:
        n_steps = int(np.ceil((time - now) / dt))
        for _ in range(n_steps):
            vorticity = cavity.step(vorticity, nu, lid, (time - now) / n_steps)
        now = time
        found.append(cavity.velocity(vorticity, lid)[:, :, ::refinement, ::refinement])
    return np.stack(found, axis=2)

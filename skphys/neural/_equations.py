"""The equations of the ProbConserv paper's five problems, as penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skphys.neural._differential import DifferentialEquation, given

if TYPE_CHECKING:
    from torch import Tensor

# Below this the porous medium counts as empty: for exponents under 2 the second derivative of
# u^m, of which the gradients of a squared residual are made, is infinite at 0.
EMPTY = 1e-6


class DiffusionEquation(DifferentialEquation):
    """``u_t = (k(u) u_x)_x``: the generalised porous medium equation, in one or more dimensions.

    Parameters
    ----------
    conductivity : float, callable or None, default=None
        ``k``: a number; a picklable callable ``k(u, parameter)`` of tensors; or None for the
        parameter of each field.

    See Also
    --------
    PorousMediumEquation : With ``k = u^m``.
    StefanEquation : With a ``k`` that jumps.

    Examples
    --------
    The residual of ``u = exp(-2 t) sin(x)``, which diffuses with ``k = 2``:

    >>> import torch
    >>> from skphys.neural import DiffusionEquation
    >>> points = torch.rand(5, 2, requires_grad=True)
    >>> t, x = points.unbind(-1)
    >>> u = torch.exp(-2 * t) * torch.sin(x)
    >>> bool((DiffusionEquation(2.0).residual(u, points).abs() < 1e-5).all())
    True
    >>> bool((DiffusionEquation().residual(u, points, 1.0).abs() < 1e-5).all())
    False
    """

    def __init__(self, conductivity: float | Callable[..., Any] | None = None) -> None:
        self.conductivity = conductivity

    def residual(self, u: Tensor, coordinates: Tensor, parameter: Any = None) -> Tensor:
        """Return ``u_t - (k(u) u_x)_x``.

        Parameters
        ----------
        u : Tensor of shape (...)
            Values of the field.
        coordinates : Tensor of shape (..., 1 + n_space)
            Time, then position.
        parameter : float or Tensor, default=None
            The conductivity where none is given, or what a callable gets.

        Returns
        -------
        Tensor of shape (...)
            The residual.
        """
        if coordinates.shape[-1] < 2:
            raise ValueError(
                f"{type(self).__name__} needs time and at least one position; points have "
                f"{coordinates.shape[-1]} coordinate(s). Give grid an axis for each position."
            )
        first = self.gradient(u, coordinates)
        flux = self._conductivity(u, parameter) * first[..., 1:].movedim(-1, 0)
        spread = sum(
            self.gradient(part, coordinates)[..., axis] for axis, part in enumerate(flux, start=1)
        )
        return first[..., 0] - spread

    def _conductivity(self, u: Tensor, parameter: Any) -> Any:
        if callable(self.conductivity):
            return self.conductivity(u, parameter)
        return given(self, "conductivity", self.conductivity, parameter)


class PorousMediumEquation(DiffusionEquation):
    """``u_t = (u^m u_x)_x``: diffusion that stops where there is nothing.

    Parameters
    ----------
    exponent : float or None, default=None
        ``m``; None for the parameter of each field.

    Notes
    -----
    Where u is not above 1e-6 the conductivity is 0.
    """

    def __init__(self, exponent: float | None = None) -> None:
        self.exponent = exponent

    def _conductivity(self, u: Tensor, parameter: Any) -> Any:
        import torch

        exponent = given(self, "exponent", self.exponent, parameter)
        filled = u > EMPTY
        return torch.where(filled, torch.where(filled, u, 1.0) ** exponent, 0.0)


class StefanEquation(DiffusionEquation):
    """``u_t = (k u_x)_x`` with ``k`` where u is at or above a threshold, and 0 below it.

    Parameters
    ----------
    threshold : float or None, default=None
        ``u*``; None for the parameter of each field.
    conductivity : float, default=1.0
        ``k`` above it.

    Notes
    -----
    The jump of ``k`` has no derivative: what the equation says of the front itself is not seen.
    """

    def __init__(self, threshold: float | None = None, conductivity: float = 1.0) -> None:
        self.threshold = threshold
        self.conductivity = conductivity

    def _conductivity(self, u: Tensor, parameter: Any) -> Any:
        liquid = u >= given(self, "threshold", self.threshold, parameter)
        return liquid.to(u.dtype) * self.conductivity


class AdvectionEquation(DifferentialEquation):
    """``u_t + beta u_x = 0``: a profile that is carried along.

    Parameters
    ----------
    speed : float or None, default=None
        ``beta``; None for the parameter of each field.
    """

    def __init__(self, speed: float | None = None) -> None:
        self.speed = speed

    def residual(self, u: Tensor, coordinates: Tensor, parameter: Any = None) -> Tensor:
        """Return ``u_t + beta u_x``.

        Parameters
        ----------
        u : Tensor of shape (...)
            Values of the field.
        coordinates : Tensor of shape (..., 2)
            Time, then position.
        parameter : float or Tensor, default=None
            The speed where none is given.

        Returns
        -------
        Tensor of shape (...)
            The residual.
        """
        u_t, u_x = _first(self, u, coordinates)
        return u_t + given(self, "speed", self.speed, parameter) * u_x


class BurgersEquation(DifferentialEquation):
    """``u_t + u u_x = nu u_xx``, by default without the viscosity.

    Parameters
    ----------
    viscosity : float, default=0.0
        ``nu``.
    """

    def __init__(self, viscosity: float = 0.0) -> None:
        self.viscosity = viscosity

    def residual(self, u: Tensor, coordinates: Tensor, parameter: Any = None) -> Tensor:
        """Return ``u_t + u u_x - nu u_xx``.

        Parameters
        ----------
        u : Tensor of shape (...)
            Values of the field.
        coordinates : Tensor of shape (..., 2)
            Time, then position.
        parameter : object, default=None
            Not used.

        Returns
        -------
        Tensor of shape (...)
            The residual.
        """
        u_t, u_x = _first(self, u, coordinates)
        inviscid = u_t + u * u_x
        if self.viscosity == 0.0:
            return inviscid
        return inviscid - self.viscosity * self.gradient(u_x, coordinates)[..., 1]


def _first(equation: DifferentialEquation, u: Tensor, coordinates: Tensor) -> tuple[Tensor, ...]:
    """Return the derivatives along time and the one position that there is."""
    if coordinates.shape[-1] != 2:
        raise ValueError(
            f"{type(equation).__name__} is stated in time and one position; points have "
            f"{coordinates.shape[-1]} coordinate(s). Make the time the only query column, and the "
            f"position the only axis of the grid."
        )
    return equation.gradient(u, coordinates).unbind(-1)

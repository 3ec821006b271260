"""The contract of a differential equation: what a field leaves of it at points, by autograd.

torch is imported by what is asked of an equation, not by holding one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from torch import Tensor


class DifferentialEquation(BaseEstimator):
    """A differential equation ``f(u, u_t, u_x, ...) = 0``: the contract of a soft constraint.

    To add an equation of your own, write a subclass with an ``__init__`` that only assigns its
    parameters, and say what its `residual` is. `gradient` makes the derivatives, which can be
    differentiated again. Keep it picklable: no lambdas.

    See Also
    --------
    skphys.ConservationConstrainedRegressor : The law itself, exactly, in place of a penalty.

    Notes
    -----
    The mean squared residual beside the loss of the data is the penalty of physics-informed
    training, "SoftC" in [1]_. It holds nothing exactly, and at a jump the residual is not
    defined: pointwise it only sees the smooth parts beside it.

    References
    ----------
    .. [1] D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta, M. W. Mahoney. Learning physical models
       that can respect conservation laws. ICML 2023, arXiv 2302.11002, section 5.
    .. [2] M. Raissi, P. Perdikaris, G. E. Karniadakis. Physics-informed neural networks. Journal
       of Computational Physics 378, 2019.
    """

    @abstractmethod
    def residual(self, u: Tensor, coordinates: Tensor, parameter: Any = None) -> Tensor:
        """Return what is left of the equation at each point.

        Parameters
        ----------
        u : Tensor of shape (...)
            Values of the field, computed from `coordinates` point by point.
        coordinates : Tensor of shape (..., 1 + n_space)
            Where: the time first, then the position. They require gradients.
        parameter : float or Tensor, default=None
            Of the equation, for those that leave it to each field: a number, or something that
            broadcasts to the shape of `u`.

        Returns
        -------
        Tensor of shape (...)
            Zero where the equation holds.
        """

    @staticmethod
    def gradient(field: Tensor, coordinates: Tensor) -> Tensor:
        """Return the derivatives of a field along all coordinates.

        Parameters
        ----------
        field : Tensor of shape (...)
            Each value computed from the coordinates of its own point alone.
        coordinates : Tensor of shape (..., n_coordinates)
            Where.

        Returns
        -------
        Tensor of shape (..., n_coordinates)
            Differentiable once more; zero where the field does not depend on a coordinate.

        Raises
        ------
        ValueError
            If the coordinates do not require gradients, or are those of other points.
        """
        import torch

        if not coordinates.requires_grad:
            raise ValueError(
                "coordinates must require gradients before the field is computed from them: call "
                "coordinates.requires_grad_(True) first."
            )
        if coordinates.shape[:-1] != field.shape:
            raise ValueError(
                f"coordinates must have the shape of the field, {tuple(field.shape)}, and a last "
                f"axis of coordinates; got {tuple(coordinates.shape)}."
            )
        if not field.requires_grad:  # a constant
            return torch.zeros_like(coordinates)
        (gradient,) = torch.autograd.grad(
            field.sum(), coordinates, create_graph=True, materialize_grads=True
        )
        return gradient


def given(equation: DifferentialEquation, name: str, value: Any, parameter: Any) -> Any:
    """Return what an equation declares, or the parameter of each field."""
    if value is None and parameter is None:
        raise ValueError(
            f"{name}=None of {type(equation).__name__} stands for a parameter of each field, and "
            f"none was given; pass a number as {name}, or the fields' parameters "
            f"(equation_parameters=, in fit of a regressor)."
        )
    return parameter if value is None else value

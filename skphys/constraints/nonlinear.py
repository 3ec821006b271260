"""Nonlinear equalities on a field: the contract, and the one that is given by a function."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from skphys.grids import Components, Grid, Mesh

Space = Grid | Mesh | Components
STEP = np.finfo(np.float64).eps ** (1 / 3)  # of central differences
AT_ONCE = 1 << 22  # values that a function is given at once for its differences


class NonlinearConstraint(BaseEstimator):
    """Nonlinear equalities ``f(u) = v`` on a field ``u``, stated on any grid.

    They hold for the predicted mean and for each draw, together with linear equalities. To add one
    of your own, write a subclass with an ``__init__`` that only assigns its parameters:

    - `evaluate` returns ``f`` of fields.
    - `jacobian` returns its derivatives.
    - `curvature` returns the second derivatives of ``sum(multipliers * f)`` times directions; by
      default it takes differences of `jacobian`. They decide how many steps are taken, not where
      they lead.
    - `value` is ``v``: a number, an array with one entry a row, a column of X, or a callable of X;
      NaN in the last two is not known. `value_parameters` says by which name it goes.
    - `noise` is the standard deviation of ``v``, any of these; without it the law is exact.
    - `discretization_error` says how far a true field may be from ``f(u) = v``.
    """

    value_parameters: ClassVar[tuple[str, ...]] = ("value",)
    noise: Any = 0.0

    def stated(self, grid: Space) -> NonlinearConstraint:
        """Return a constraint that has done once what depends on the grid alone; by default this.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            That all its methods are then called with.
        """
        return self

    @abstractmethod
    def evaluate(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return ``f``, of shape (n_samples, n_rows), of fields (n_samples, n_points)."""

    @abstractmethod
    def jacobian(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return the derivatives of ``f``, of shape (n_samples, n_rows, n_points)."""

    def curvature(
        self, fields: np.ndarray, multipliers: np.ndarray, directions: np.ndarray, grid: Space
    ) -> np.ndarray:
        """Return second derivatives times directions, of shape (n_samples, n_points).

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Where.
        multipliers : ndarray of shape (n_samples, n_rows)
            Factors of the rows, which are added up.
        directions : ndarray of shape (n_samples, n_points)
            Along what.
        grid : Grid, Mesh or Components
            Where the fields live.
        """
        size = np.abs(directions).max(axis=1, keepdims=True)
        step = STEP * np.abs(fields).max(axis=1, keepdims=True)
        step = np.divide(step, size, out=np.zeros_like(size), where=size > 0)
        sides = [self.jacobian(fields + s * step * directions, grid) for s in (1.0, -1.0)]
        bent = np.einsum("sr,srp->sp", multipliers, sides[0] - sides[1])
        return np.divide(bent, 2.0 * step, out=np.zeros_like(bent), where=step > 0)

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return a bound for ``|f(u) - v|`` of true fields, broadcasting to (n_samples, n_rows)."""
        return np.zeros((1, 1))

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise a ValueError if a parameter names an axis that is not among `names`."""


class NonlinearEquality(NonlinearConstraint):
    """A function of the field equals a value.

    Parameters
    ----------
    fun : callable
        ``fun(fields)`` of fields of shape (n_samples, n_points) returns (n_samples, n_residuals);
        each row of it depends on the same row of `fields` alone. It must be smooth near the fields
        that are predicted.
    value : float, array of shape (n_residuals,), str, Column or callable, default=0.0
        What it equals: a number, one entry a residual, a column of X, or a callable of X that
        returns (n_samples,) or (n_samples, n_residuals). NaN in the last two is not known: the row
        does not act on that field.
    jac : None, "torch" or callable, default=None
        Its derivatives. A callable ``jac(fields)`` returns (n_samples, n_residuals, n_points).
        "torch" calls `fun` with a float64 tensor and differentiates it. None takes central
        differences, ``2 * n_points`` evaluations of `fun` for each field in each of some ten steps:
        fine for fields of some hundred points.
    noise : float, array of shape (n_residuals,), str, Column or callable, default=0.0
        Standard deviation of `value`, in its units; 0 makes it exact.

    See Also
    --------
    EnergyLaw : An integral of squares, whose derivatives are known.
    LinearEquality : Linear functions, in one step.

    Notes
    -----
    How well the law is met does not depend on `jac`; how near the field is to the most probable
    one does, to about 1e-8 of the correction with differences.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import NonlinearEquality
    >>> from skphys.grids import Grid
    >>> law = NonlinearEquality(lambda u: (u**2).sum(axis=1, keepdims=True), value=1.0)
    >>> law.jacobian(np.array([[1.0, 2.0, 3.0]]), Grid.unit(3)).round(6)
    array([[[2., 4., 6.]]])
    """

    def __init__(
        self,
        fun: Callable[[Any], Any],
        value: Any = 0.0,
        jac: str | Callable[[np.ndarray], np.ndarray] | None = None,
        noise: Any = 0.0,
    ) -> None:
        self.fun = fun
        self.value = value
        self.jac = jac
        self.noise = noise

    def evaluate(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return `fun` of fields, after a check of its shape.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            The fields.
        grid : Grid, Mesh or Components
            Where they live; `fun` knows.

        Returns
        -------
        ndarray of shape (n_samples, n_residuals)
            What should equal the value.
        """
        self._check()
        if self._by_torch:
            found = self._torch_fun(_tensor(fields)).detach().numpy()
        else:
            given = fields.view()
            given.flags.writeable = False  # so that a fun that writes into it raises
            found = np.asarray(self.fun(given), dtype=np.float64)
        return _shaped(found, (len(fields), -1), "fun")

    def jacobian(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return the derivatives of `fun`.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Where.
        grid : Grid, Mesh or Components
            Where the fields live.

        Returns
        -------
        ndarray of shape (n_samples, n_residuals, n_points)
            By `jac`, by torch, or by differences.
        """
        if self._by_torch:
            given = _tensor(fields).requires_grad_()
            found = self._torch_fun(given).sum(dim=0)
            return np.stack([_gradient(one, given).numpy() for one in found], axis=1)
        if callable(self.jac):
            found = np.asarray(self.jac(fields), dtype=np.float64)
            return _shaped(found, (len(fields), -1, fields.shape[1]), "jac")
        return self._differences(fields, grid)

    def curvature(
        self, fields: np.ndarray, multipliers: np.ndarray, directions: np.ndarray, grid: Space
    ) -> np.ndarray:
        """Return second derivatives times directions.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Where.
        multipliers : ndarray of shape (n_samples, n_residuals)
            Factors of the residuals, which are added up.
        directions : ndarray of shape (n_samples, n_points)
            Along what.
        grid : Grid, Mesh or Components
            Where the fields live.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            By torch, or by differences of `jacobian`.
        """
        if not self._by_torch:
            return super().curvature(fields, multipliers, directions, grid)
        given = _tensor(fields).requires_grad_()
        total = (self._torch_fun(given) * _tensor(multipliers)).sum()
        slope = (_gradient(total, given, again=True) * _tensor(directions)).sum()
        return np.asarray(_gradient(slope, given).numpy())

    @property
    def _by_torch(self) -> bool:
        return isinstance(self.jac, str) and self.jac == "torch"

    def _check(self) -> None:
        if not callable(self.fun):
            raise TypeError(
                f"fun of NonlinearEquality must be a callable of fields; got {self.fun!r}."
            )
        if not (self.jac is None or self._by_torch or callable(self.jac)):
            raise ValueError(
                f"jac of NonlinearEquality must be None, 'torch' or a callable of fields; got "
                f"{self.jac!r}."
            )

    def _torch_fun(self, fields: Any) -> Any:
        try:
            found = self.fun(fields)
        except RuntimeError as error:  # what torch says to NumPy's functions
            raise TypeError(
                f"With jac='torch' fun must be made of torch's functions, such as torch.sqrt, or "
                f"of a tensor's methods: {error}"
            ) from error
        if not hasattr(found, "detach"):
            raise TypeError(
                f"With jac='torch' fun must return a tensor made of the tensor that it gets; got "
                f"{type(found).__name__}."
            )
        return found

    def _differences(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return central differences, of some points at a time."""
        n_fields, n_points = fields.shape
        step = STEP * np.maximum(np.abs(fields), _rms(fields))  # (n_fields, n_points)
        columns, count = [], max(1, AT_ONCE // max(1, 2 * fields.size))
        for first in range(0, n_points, count):
            points = np.arange(first, min(first + count, n_points))
            moved = np.repeat(fields[None, None], 2, axis=0).repeat(len(points), axis=1)
            k = np.arange(len(points))
            moved[0, k, :, points] += step[:, points].T
            moved[1, k, :, points] -= step[:, points].T
            width = moved[0, k, :, points] - moved[1, k, :, points]
            found = self.evaluate(moved.reshape(-1, n_points), grid)
            ahead, behind = found.reshape(2, len(points), n_fields, -1)
            columns.append((ahead - behind) / width[..., None])
        return np.moveaxis(np.concatenate(columns), 0, -1)


def _rms(fields: np.ndarray) -> np.ndarray:
    """Return the size of each field, 1 where it is zero."""
    size = np.sqrt(np.mean(fields**2, axis=1, keepdims=True))
    return np.where(size > 0, size, 1.0)


def _shaped(found: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return what a function gave, after a check of its shape; -1 is any number of residuals."""
    fits = found.ndim == len(shape)
    if not fits or any(b not in (-1, a) for a, b in zip(found.shape, shape, strict=True)):
        wanted = ", ".join("n_residuals" if n < 0 else str(n) for n in shape)
        raise ValueError(
            f"{name} of NonlinearEquality must return shape ({wanted}) for {shape[0]} field(s); "
            f"got {found.shape}."
        )
    return found


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.tensor(np.asarray(array, dtype=np.float64))


def _gradient(total: Any, given: Any, again: bool = False) -> Any:
    """Return a number's gradient, zero where it does not depend on what is given."""
    import torch

    if not total.requires_grad:
        return torch.zeros_like(given)
    (found,) = torch.autograd.grad(
        total, given, create_graph=again, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(given) if found is None else found

"""Energy: the integral of half the weighted square of a field, or of its slope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
from scipy import sparse

from skphys.constraints.nonlinear import NonlinearConstraint, Space
from skphys.grids import Components, Grid, Mesh


@dataclass(frozen=True)
class _Squares:
    """``A @ (B @ u)**2 / 2``; the entries of ``B @ u`` are an array along the grid's axes."""

    A: sparse.csr_array
    B: sparse.csr_array
    shape: tuple[int, ...]


class EnergyLaw(NonlinearConstraint):
    """The integral of half the weighted square of the field equals a known total.

    On a grid of `Components` the energies of all components are added up, as the kinetic energy of
    a velocity and the potential energy of a strain. Of a displacement, whose slope is the strain,
    `stiffness` gives the potential energy::

        sum over components of  integral (weight * u**2 + stiffness * |grad u|**2) / 2 dx  =  total

    Parameters
    ----------
    over : str, list of str or None, default=None
        The axes to integrate over; None means all of them. One row for each remaining index: with
        ``over="x"`` on a grid of x and t there is one total for each time.
    total : float, array of shape (n_rows,), str, Column or callable, default=0.0
        The energy: a number; an array with one entry for each remaining index, in C order; a column
        of X; or a callable of X. NaN in the last two is not known.
    weight : float, array of shape (n_points,), dict of these by component, or None, default=None
        Density of mass, or what the square is multiplied by; not negative. None is 1, and 0 for
        components with a stiffness; components that are not in a dict have 0.
    stiffness : float, dict of float by component, or None, default=None
        What the squared gradient, along the axes in `over`, is multiplied by; not negative. It is
        exact for fields that are linear between nodes.
    noise : float, array of shape (n_rows,), str, Column or callable, default=0.0
        Standard deviation of the total.
    quadrature : str, dict, array or None, default=None
        Rule by which the square is integrated, as in `ConservationLaw`.

    See Also
    --------
    ConservationLaw : The integral of the field itself.
    NonlinearEquality : Any other function of the field.

    Notes
    -----
    Derivatives and curvature are in closed form. A field of zeros has no direction in which its
    energy grows; where that is predicted, the law cannot be met, and predict raises a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import EnergyLaw
    >>> from skphys.grids import Grid
    >>> law = EnergyLaw("x", total=1.0, stiffness=2.0)
    >>> law.evaluate(np.array([[0.0, 1.0, 3.0]]), Grid(x=[0.0, 1.0, 2.0]))
    array([[5.]])
    """

    value_parameters = ("total",)

    _stated: Sequence[_Squares] | None = None

    def __init__(
        self,
        over: str | Sequence[str] | None = None,
        total: Any = 0.0,
        weight: Any = None,
        *,
        stiffness: Any = None,
        noise: Any = 0.0,
        quadrature: Any = None,
    ) -> None:
        self.over = over
        self.total = total
        self.weight = weight
        self.stiffness = stiffness
        self.noise = noise
        self.quadrature = quadrature

    def stated(self, grid: Space) -> Self:
        """Return the law with its squares made for a grid.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the fields live.

        Returns
        -------
        EnergyLaw
            A copy.
        """
        fixed = copy(self)
        fixed._stated = self._squares(grid)
        return fixed

    def evaluate(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return the energies.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            The fields.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            One for each remaining index, in C order.
        """
        parts = [0.5 * (s.A @ (s.B @ fields.T) ** 2).T for s in self._squares(grid)]
        return reduce(np.add, parts)

    def jacobian(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return the derivatives of the energies.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Where.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows, n_points)
            ``A diag(B u) B``.
        """
        return reduce(np.add, [_slopes(s, fields) for s in self._squares(grid)])

    def curvature(
        self, fields: np.ndarray, multipliers: np.ndarray, directions: np.ndarray, grid: Space
    ) -> np.ndarray:
        """Return second derivatives, which are the same everywhere, times directions.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            Where.
        multipliers : ndarray of shape (n_samples, n_rows)
            Factors of the rows, which are added up.
        directions : ndarray of shape (n_samples, n_points)
            Along what.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            ``B' diag(A' multipliers) B`` times the directions.
        """
        bent = [
            (s.B.T @ ((s.A.T @ multipliers.T) * (s.B @ directions.T))).T
            for s in self._squares(grid)
        ]
        return reduce(np.add, bent)

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return a bound from how much the density of energy varies between neighbours.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            True fields.
        grid : Grid, Mesh or Components
            Where they live.

        Returns
        -------
        ndarray of shape (n_samples, n_rows)
            The sum over the points of what the rule gives them times half of the variation.
        """
        parts = []
        for s in self._squares(grid):
            density = 0.5 * ((s.B @ fields.T) ** 2).T.reshape(len(fields), *s.shape)
            varies = np.zeros_like(density)
            for axis in range(1, density.ndim):
                steps = np.abs(np.diff(density, axis=axis))
                for side in ((1, 0), (0, 1)):
                    pad = [side if a == axis else (0, 0) for a in range(density.ndim)]
                    varies += 0.5 * np.pad(steps, pad)
            parts.append((abs(s.A) @ varies.reshape(len(fields), -1).T).T)
        return reduce(np.add, parts)

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise if `over` names an axis that there is not.

        Parameters
        ----------
        names : sequence of str
            The axes of the fields.

        Raises
        ------
        ValueError
            Naming the axes that there are.
        """
        wanted = [self.over] if isinstance(self.over, str) else self.over or []
        unknown = [axis for axis in wanted if axis not in names]
        if unknown:
            raise ValueError(
                f"over={self.over!r} has unknown axis {unknown[0]!r}; the axes are {list(names)}."
            )

    def _squares(self, grid: Space) -> Sequence[_Squares]:
        if self._stated is not None:
            return self._stated
        found = list(self._made(grid))
        sizes = {s.A.shape[0] for s in found}
        if len(sizes) != 1:
            raise ValueError(
                f"The energies of the components have {sorted(sizes)} rows, which cannot be added "
                f"up; components on different grids need an over= that leaves the same axes. If "
                f"there are no rows, weight and stiffness are 0 everywhere."
            )
        return found

    def _made(self, grid: Space) -> Iterator[_Squares]:
        """Yield the squares of each component, and of its slopes."""
        parts: Any = grid.grids if isinstance(grid, Components) else {None: grid}
        for name, part in parts.items():
            first = grid.slices[name].start if isinstance(grid, Components) else 0
            stiffness = _of(self.stiffness, name, "stiffness", grid)
            weight = _of(self.weight, name, "weight", grid)
            if weight is None:
                weight = 1.0 if stiffness is None and not isinstance(self.weight, Mapping) else 0.0
            yield from _placed(self._own(part, weight, stiffness or 0.0), first, grid.n_points)

    def _own(self, part: Grid | Mesh, weight: Any, stiffness: Any) -> Iterator[_Squares]:
        """Yield the squares of a component on its own grid."""
        density = _density(weight, part.n_points)
        if density.any():
            rows = part.integral_rows(self.over, self.quadrature)
            identity = sparse.csr_array(sparse.eye_array(part.n_points))
            yield _Squares(
                sparse.csr_array(rows @ sparse.diags_array(density)), identity, part.shape
            )
        if not (np.ndim(stiffness) == 0 and np.isfinite(stiffness) and stiffness >= 0):
            raise ValueError(
                f"stiffness of EnergyLaw must be a number that is not negative; got {stiffness!r}."
            )
        if stiffness:
            yield from self._of_slopes(part, float(stiffness))

    def _of_slopes(self, part: Any, stiffness: float) -> Iterator[_Squares]:
        """Yield the squares of differences along each integrated axis."""
        if not isinstance(part, Grid):
            raise ValueError("stiffness of EnergyLaw needs a Grid, on whose axes slopes are known.")
        kept = part.remaining(self.over)
        over = [name for name in part.names if name not in kept]
        full = part.integral_rows(over).tocoo()
        row = np.empty(part.n_points, dtype=int)
        row[full.coords[1]] = full.coords[0]
        for name in over:
            others = [other for other in over if other != name]
            across = part.integral_rows(others).sum(axis=0) if others else np.ones(part.n_points)
            first, second, width, shape = _intervals(part, name)
            edges, n_edges = np.arange(len(first)), len(first)
            slopes = sparse.coo_array(
                (
                    np.concatenate([1.0 / width, -1.0 / width]),
                    (np.tile(edges, 2), np.concatenate([second, first])),
                ),
                shape=(n_edges, part.n_points),
            )
            share = stiffness * width * across[first]
            A = sparse.csr_array((share, (row[first], edges)), (full.shape[0], n_edges))
            yield _Squares(A, sparse.csr_array(slopes), shape)


def _intervals(part: Grid, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return the points at both ends of each interval along an axis, its width, and their shape."""
    axis, points = part.axes[name], np.arange(part.n_points).reshape(part.shape)
    gaps = axis.spacing if axis.edges is None else np.diff(axis.points)
    before = np.moveaxis(points, part.names.index(name), -1)
    after = np.roll(before, -1, axis=-1)
    if axis.period is None:
        before, after = before[..., :-1], after[..., :-1]
    width = np.broadcast_to(gaps, before.shape).ravel()
    return before.ravel(), after.ravel(), width, before.shape


def _placed(squares: Iterator[_Squares], first: int, n_points: int) -> Iterator[_Squares]:
    """Move the points of a component to where they are in the field."""
    for s in squares:
        shape = (s.B.shape[0], n_points)
        moved = sparse.csr_array((s.B.data, s.B.indices + first, s.B.indptr), shape=shape)
        yield _Squares(s.A, moved, s.shape)


def _slopes(s: _Squares, fields: np.ndarray) -> np.ndarray:
    """Return ``A diag(B u) B`` of each field."""
    n_rows, n_points = s.A.shape[0], s.B.shape[1]
    along = (s.B @ fields.T).T
    if n_rows == 1:
        return np.asarray((s.B.T @ (along * s.A.toarray()).T).T[:, None])
    found = np.empty((len(fields), n_rows, n_points))
    for k, one in enumerate(along):
        found[k] = (s.A @ (sparse.diags_array(one) @ s.B)).toarray()
    return found


def _of(given: Any, name: str | None, parameter: str, grid: Any) -> Any:
    """Return what a parameter says of a component; None if it says nothing."""
    if not isinstance(given, Mapping):
        if name is not None and np.ndim(given if given is not None else 0.0):
            raise ValueError(
                f"{parameter} of EnergyLaw must be a number or a dict by component on a grid of "
                f"the components {list(grid)}; got an array."
            )
        return given
    unknown = [key for key in given if name is None or key not in grid]
    if unknown:
        known = "no components" if name is None else f"the components {list(grid)}"
        raise ValueError(
            f"{parameter} of EnergyLaw names {unknown[0]!r}, but the grid has {known}."
        )
    return given.get(name)


def _density(weight: Any, n_points: int) -> np.ndarray:
    density = np.asarray(weight, dtype=np.float64)
    if density.size not in (1, n_points) or not (np.isfinite(density) & (density >= 0)).all():
        raise ValueError(
            f"weight of EnergyLaw must be a number or one for each of the {n_points} points, "
            f"finite and not negative; got {weight!r}."
        )
    return np.broadcast_to(density.ravel(), (n_points,))

"""Second differences that vanish, up to what correlated errors make of them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from skphys.constraints._parts import Space, part_of, placed
from skphys.constraints.base import Constraint
from skphys.grids import Axis, Grid, Mesh


class Smoothness(Constraint):
    """Second differences along an axis are zero, up to the uncertainty of the prediction.

    A backbone that states a standard deviation for each point, and no correlation, says that the
    field may jump from point to point. This adds the knowledge that it does not: each second
    difference is observed to be 0, with the noise that it has if errors of neighbouring points are
    correlated. Fields become smoother, and standard deviations smaller. Give it together with a
    law, which stays exact.

    Parameters
    ----------
    axis : str or None, default=None
        The axis; None serves a grid with a single one.
    correlation : float, default=0.9
        Correlation between the errors of neighbouring points, at least 0 and below 1. It falls
        with the distance as ``exp(-distance / length)``; on uneven points `correlation` is that at
        the mean spacing. Larger values are smoother.
    component : str or None, default=None
        The component, on a grid of `Components`.

    See Also
    --------
    ConservationConstrainedRegressor : Its `correlation_length` states correlated errors instead.

    Notes
    -----
    For even points and standard deviations ``s`` the variance of the noise of ``u[i-1] - 2 u[i] +
    u[i+1]`` is ``s[i-1]**2 + 4 s[i]**2 + s[i+1]**2 - 4 a s[i-1] s[i] - 4 a s[i] s[i+1] + 2 a**2
    s[i-1] s[i+1]`` with ``a`` the correlation. It is taken from the field that is conditioned,
    with ``members="each"`` from each member. At a point where the truth has a kink or a jump the
    knowledge is wrong: look at the scores.

    References
    ----------
    Hansen, Maddix, Alizadeh, Gupta and Mahoney, "Learning Physical Models that Can Respect
    Conservation Laws", ICML 2023, arXiv 2302.11002: ProbConserv with smoothing.

    Examples
    --------
    >>> from skphys.constraints import Smoothness
    >>> from skphys.grids import Grid
    >>> Smoothness("x").rows(Grid(x=[0.0, 1.0, 2.0, 3.0])).toarray()
    array([[ 1., -2.,  1.,  0.],
           [ 0.,  1., -2.,  1.]])
    """

    def __init__(
        self, axis: str | None = None, correlation: float = 0.9, component: str | None = None
    ) -> None:
        self.axis = axis
        self.correlation = correlation
        self.component = component

    def rows(self, grid: Space) -> sparse.csr_array:
        """Return the second differences, in C order.

        Parameters
        ----------
        grid : Grid or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            Divided differences times the product of both distances, over their mean: 1, -2, 1 on
            even points. A periodic axis has one at each point.
        """
        before, after = self._distances(grid)
        return self._placed(grid, _weights(before, after))

    def noise_rows(self, grid: Space) -> tuple[sparse.csr_array, ...]:
        """Return what each second difference has of three independent errors.

        Parameters
        ----------
        grid : Grid or Components
            The grid of `rows`.

        Returns
        -------
        tuple of csr_array of shape (n_rows, n_points)
            Three. Errors along the axis are a Markov chain: what is new at a point is independent
            of what came before.
        """
        before, after = self._distances(grid)
        axis = self._along(part_of(grid, self.component)[0])
        left, middle, right = _weights(before, after)
        spacing = axis.period / axis.size if axis.period else np.ptp(axis.points) / (axis.size - 1)
        first, second = (self._checked() ** (gap / spacing) for gap in (before, after))
        zero = np.zeros_like(left)
        parts = (
            (left, first * middle, first * second * right),
            (zero, middle, second * right),
            (zero, zero, right),
        )
        new = (1.0, np.sqrt(1.0 - first**2), np.sqrt(1.0 - second**2))
        return tuple(
            self._placed(grid, tuple(scale * weight for weight in part))
            for part, scale in zip(parts, new, strict=True)
        )

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise if `axis` is not among the axes.

        Parameters
        ----------
        names : sequence of str
            The axes of the fields.

        Raises
        ------
        ValueError
            Naming the axes that there are.
        """
        self._name(names)

    def discretization_error(self, fields: np.ndarray, grid: Space) -> np.ndarray:
        """Return infinity: a true field may bend as it likes.

        Parameters
        ----------
        fields : ndarray of shape (n_samples, n_points)
            The fields.
        grid : Grid or Components
            Where they live.

        Returns
        -------
        ndarray of shape (1, 1)
            Infinity.
        """
        return np.full((1, 1), np.inf)

    def _checked(self) -> float:
        number: Any = self.correlation
        if not isinstance(number, Real) or not 0.0 <= float(number) < 1.0:
            raise ValueError(f"correlation must be at least 0 and below 1; got {number!r}.")
        return float(number)

    def _name(self, names: Sequence[str]) -> str:
        if self.axis is None and len(names) == 1:
            return names[0]
        if self.axis is None or self.axis not in names:
            raise ValueError(
                f"axis={self.axis!r} of Smoothness is not an axis of the grid; its axes are "
                f"{list(names)}."
            )
        return self.axis

    def _along(self, part: Grid | Mesh) -> Axis:
        if isinstance(part, Mesh):
            raise ValueError("Smoothness needs the axes of a Grid; a Mesh has none.")
        return part.axes[self._name(part.names)]

    def _distances(self, grid: Space) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances of each point in the middle to the ones before and after."""
        part = part_of(grid, self.component)[0]
        axis = self._along(part)
        if axis.size < 3:
            raise ValueError(
                f"Smoothness needs 3 points along axis {self._name(part.names)!r}; the grid has "
                f"{axis.size}."
            )
        gaps = np.diff(axis.points)
        if axis.period is None:
            return gaps[:-1], gaps[1:]
        gaps = np.append(gaps, axis.points[0] + axis.period - axis.points[-1])
        return np.roll(gaps, 1), gaps

    def _placed(self, grid: Space, weights: tuple[np.ndarray, ...]) -> sparse.csr_array:
        """Put weights of left, middle and right points on every line along the axis."""
        part, where = part_of(grid, self.component)
        points = np.arange(part.n_points).reshape(part.shape)
        position = list(part.names).index(self._name(part.names))
        middle = np.arange(points.shape[position])
        if len(weights[0]) < len(middle):
            middle = middle[1:-1]
        size = len(points.swapaxes(0, position))
        columns = [np.take(points, (middle + k) % size, axis=position) for k in (-1, 0, 1)]
        shape = [-1 if i == position else 1 for i in range(points.ndim)]
        data = [np.broadcast_to(w.reshape(shape), columns[0].shape).ravel() for w in weights]
        n_rows = columns[0].size
        rows = np.tile(np.arange(n_rows), 3)
        entries = (np.concatenate(data), (rows, np.concatenate([c.ravel() for c in columns])))
        matrix = sparse.csr_array(entries, shape=(n_rows, part.n_points))
        matrix.eliminate_zeros()
        return placed(matrix, np.arange(where.start, where.stop), grid.n_points)


def _weights(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of the three points: 1, -2, 1 where both distances are the same."""
    mean = 0.5 * (before + after)
    return after / mean, np.full_like(mean, -2.0), before / mean

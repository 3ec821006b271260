"""Inequalities on a field: bounds, and monotone fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from skphys.constraints._parts import part_of, placed
from skphys.grids import Components, Grid, Mesh

Queries = tuple[sparse.csr_array, sparse.csr_array]


class InequalityConstraint(BaseEstimator):
    """Linear inequalities ``lower <= H u <= upper`` on a field ``u``, stated on any grid.

    They are met by the predicted mean and by samples, together with every equality.
    To add one of your own, write a subclass with an ``__init__`` that only assigns its parameters:

    - `rows` states ``H`` on a grid.
    - `value_parameters` names the constructor parameters that hold values, as in `Constraint`;
      one that is None is left out.
    - `bounds` makes `lower` and `upper` of them; by default they are the parameters of these names,
      and without bound where there is none.
    - `at_queries` says what holds in a long table at points between the nodes of a field; by
      default nothing, the inequality then acts on the nodes alone.
    """

    value_parameters: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def rows(self, grid: Grid | Mesh | Components) -> Any:
        """Return ``H``, of shape (n_rows, grid.n_points): an array or a scipy.sparse array.

        Raise a ValueError that names the parameter if it does not fit the grid.
        """

    def bounds(
        self, resolved: dict[str, np.ndarray], grid: Grid | Mesh | Components
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `lower` and `upper`, which broadcast to (n_samples, n_rows).

        Parameters
        ----------
        resolved : dict of str to ndarray
            For each value parameter that is not None an array of shape (n_samples or 1, n_rows or
            1).
        grid : Grid, Mesh or Components
            The grid of `rows`.
        """
        nothing = np.full((1, 1), np.inf)
        return resolved.get("lower", -nothing), resolved.get("upper", nothing)

    def check_axes(self, names: Sequence[str]) -> None:
        """Raise a ValueError if a parameter names an axis that is not among `names`."""

    def at_queries(self, grid: Grid, interpolation: sparse.csr_array) -> Queries:
        """Return the rows for nodes and queries, and how their bounds follow from the nodes'.

        Parameters
        ----------
        grid : Grid
            The nodes.
        interpolation : csr_array of shape (n_queries, n_nodes)
            Weights from the nodes to the queries. A query with a weight of 1 is that node.

        Returns
        -------
        rows : csr_array of shape (n_all, n_nodes + n_queries)
            ``H`` on nodes and queries.
        spread : csr_array of shape (n_all, n_rows)
            Weights, not negative, that make its bounds of those on the nodes.
        """
        rows = sparse.csr_array(self.rows(grid))
        beyond = sparse.csr_array((rows.shape[0], interpolation.shape[0]))
        return sparse.csr_array(sparse.hstack([rows, beyond])), _identity(rows.shape[0])


def _identity(n: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(n))


def _between(interpolation: sparse.csr_array) -> np.ndarray:
    """Return the queries that are not nodes."""
    return np.flatnonzero(interpolation.max(axis=1).toarray().ravel() < 1.0)


class Bounds(InequalityConstraint):
    """Every value of the field lies between two bounds.

    Parameters
    ----------
    lower, upper : float, array of shape (n_points,), str, Column, callable or None, default=None
        A number; an array with one entry a point; a column of X; or a callable of X that returns
        (n_samples,) or (n_samples, n_points). None is no bound. In a long table with nodes an
        array holds one entry a node, and bounds between the nodes are interpolated.
    component : str or None, default=None
        The component that is bounded, on a grid of `Components`; None bounds all of them.

    See Also
    --------
    Monotone : The field rises or falls along an axis.
    ConservationLaw : Together with it, a density stays positive without losing mass.

    Notes
    -----
    The Gaussian is truncated, or its mean is projected: `inequality_posterior` of the estimator
    says which. Nothing is just cut off at the bounds, which would change the mass. Points without
    variance do not move; where one of them is out of bounds, nothing can be done, and predict
    raises a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skphys import ConservationConstrainedRegressor
    >>> from skphys.constraints import Bounds, ConservationLaw
    >>> X, y = np.eye(2), np.array([[-1.0, 1.0, 4.0], [2.0, 0.0, 1.0]])
    >>> model = ConservationConstrainedRegressor(
    ...     LinearRegression(), [ConservationLaw(total=3.0), Bounds(lower=0.0)]
    ... )
    >>> _ = model.fit(X, np.maximum(y, 0.0) * 3.0 / np.maximum(y, 0.0).sum(1, keepdims=True))
    >>> bool((model.predict(10.0 * X - 5.0) >= 0.0).all())
    True
    """

    value_parameters = ("lower", "upper")

    def __init__(self, lower: Any = None, upper: Any = None, component: str | None = None) -> None:
        self.lower = lower
        self.upper = upper
        self.component = component

    def rows(self, grid: Grid | Mesh | Components) -> sparse.csr_array:
        """Return one unit row for each point.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            The identity, or the rows of a component.
        """
        if self.component is None:
            return _identity(grid.n_points)
        _, where = part_of(grid, self.component)
        return _identity(grid.n_points)[where]

    def at_queries(self, grid: Grid, interpolation: sparse.csr_array) -> Queries:
        """Bound the queries as well, by interpolated bounds.

        Parameters
        ----------
        grid : Grid
            The nodes.
        interpolation : csr_array of shape (n_queries, n_nodes)
            Weights from the nodes to the queries.

        Returns
        -------
        rows : csr_array of shape (n_all, n_nodes + n_queries)
            Unit rows of nodes, and of queries that are not nodes.
        spread : csr_array of shape (n_all, n_nodes)
            The identity, and the weights.
        """
        between, n_nodes = _between(interpolation), grid.n_points
        points = np.concatenate([np.arange(n_nodes), n_nodes + between])
        spread = sparse.vstack([_identity(n_nodes), interpolation[between]])
        return _identity(n_nodes + interpolation.shape[0])[points], sparse.csr_array(spread)


class Monotone(InequalityConstraint):
    """The field rises, or falls, along an axis.

    Parameters
    ----------
    axis : str or None, default=None
        The axis, of one to three; None means the only one.
    increasing : bool, default=True
        Whether the field may not fall; False says that it may not rise.
    component : str or None, default=None
        The component that is monotone, on a grid of `Components`.

    See Also
    --------
    Bounds : The field lies between two bounds.

    Notes
    -----
    In a long table with nodes along a single axis, nodes and queries together are monotone; with
    nodes along several axes the nodes alone.

    Examples
    --------
    >>> from skphys.constraints import Monotone
    >>> from skphys.grids import Grid
    >>> Monotone("x", increasing=False).rows(Grid(x=[0.0, 0.5, 1.0])).toarray()
    array([[ 1., -1.,  0.],
           [ 0.,  1., -1.]])
    """

    def __init__(
        self, axis: str | None = None, increasing: bool = True, component: str | None = None
    ) -> None:
        self.axis = axis
        self.increasing = increasing
        self.component = component

    def rows(self, grid: Grid | Mesh | Components) -> sparse.csr_array:
        """Return the difference of each two neighbours along the axis.

        Parameters
        ----------
        grid : Grid, Mesh or Components
            Where the field lives.

        Returns
        -------
        csr_array of shape (n_rows, n_points)
            Rows whose products with the field may not be negative.
        """
        if not isinstance(self.increasing, (bool, np.bool_)):
            raise ValueError(f"increasing must be True or False; got {self.increasing!r}.")
        part, where = part_of(grid, self.component)
        points = np.arange(part.n_points).reshape(part.shape)
        lines = np.moveaxis(points, self._position(part), -1)
        rows = self._differences(lines.reshape(-1, lines.shape[-1]), part.n_points)
        return placed(rows, np.arange(grid.n_points)[where], grid.n_points)

    def bounds(
        self, resolved: dict[str, np.ndarray], grid: Grid | Mesh | Components
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return 0 and no bound.

        Parameters
        ----------
        resolved : dict of str to ndarray
            Empty.
        grid : Grid, Mesh or Components
            The grid of `rows`.

        Returns
        -------
        lower, upper : ndarray of shape (1, 1)
            Of the differences.
        """
        return np.zeros((1, 1)), np.full((1, 1), np.inf)

    def at_queries(self, grid: Grid, interpolation: sparse.csr_array) -> Queries:
        """Take nodes and queries along a single axis as one line.

        Parameters
        ----------
        grid : Grid
            The nodes.
        interpolation : csr_array of shape (n_queries, n_nodes)
            Weights from the nodes to the queries.

        Returns
        -------
        rows : csr_array of shape (n_all, n_nodes + n_queries)
            Differences along the line.
        spread : csr_array of shape (n_all, n_rows)
            Any bound of the nodes: all are 0.
        """
        if len(grid.shape) > 1:
            return super().at_queries(grid, interpolation)
        self._position(grid)
        nodes, between = grid.points[:, 0], _between(interpolation)
        place = np.concatenate([nodes, (interpolation @ nodes)[between]])
        points = np.concatenate([np.arange(len(nodes)), len(nodes) + between])
        line = points[np.argsort(place, kind="stable")]
        rows = self._differences(line[None], len(nodes) + interpolation.shape[0])
        spread = np.zeros((rows.shape[0], len(nodes) - 1))
        spread[:, 0] = 1.0
        return rows, sparse.csr_array(spread)

    def _differences(self, lines: np.ndarray, n_points: int) -> sparse.csr_array:
        before, after = lines[:, :-1].ravel(), lines[:, 1:].ravel()
        if not self.increasing:
            before, after = after, before
        identity = _identity(n_points)
        return sparse.csr_array(identity[after] - identity[before])

    def _position(self, part: Any) -> int:
        names = list(part.names)
        if isinstance(part, Mesh) and self.axis != "t":
            raise ValueError(
                f"axis={self.axis!r} of Monotone must be one along which points have an order: of "
                f"a Mesh that is 't' alone, if there is one. Differences between cells can be "
                f"stated on a Grid."
            )
        if self.axis is None and len(names) == 1:
            return 0
        if self.axis not in names:
            raise ValueError(
                f"axis={self.axis!r} of Monotone is not an axis of the grid; its axes are {names}."
            )
        return names.index(self.axis)

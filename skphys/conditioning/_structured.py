"""Correlations between the points of a grid whose products and solves take linear time."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

from array_api_compat import array_namespace, device
from scipy import sparse
from scipy.linalg.lapack import dtbtrs

from skphys.conditioning._arrays import Array, Normal, is_float64_numpy, transpose
from skphys.conditioning._covariance import Covariance
from skphys.conditioning._roots import Roots, chain_root


class OrnsteinUhlenbeck(Covariance):
    """Unit variances, and correlations ``exp(-distance / length)`` along one axis.

    Such an error is a Markov chain along the sorted points: ``C = F D F'``, where ``F`` runs down
    the chain, adding to each point a fraction of the one before, and ``D`` holds the variances of
    the innovations. Products, solves and draws take O(n_points) time and memory.

    Parameters
    ----------
    points : array of shape (n_points,)
        Coordinates, NumPy or torch, in any order; equal points are the same point.
    length : float or array of shape ()
        Distance over which the correlation falls by a factor e, in units of the points.
    period : float, optional
        Length of a periodic axis. The correlation is then that of the chain closed to a ring,
        ``(exp(-d / length) + exp(-(period - d) / length)) / (1 + exp(-period / length))``.

    References
    ----------
    Rybicki and Press, "Class of fast methods for processing irregularly sampled or otherwise
    inhomogeneous one-dimensional data", Physical Review Letters 74, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.conditioning import OrnsteinUhlenbeck
    >>> OrnsteinUhlenbeck(np.array([0.0, 1.0, 3.0]), length=2.0).to_dense()
    array([[1.        , 0.60653066, 0.22313016],
           [0.60653066, 1.        , 0.36787944],
           [0.22313016, 0.36787944, 1.        ]])
    """

    def __init__(self, points: Array, length: Any, period: float | None = None) -> None:
        xp = array_namespace(points)
        if not bool(length > 0):
            raise ValueError(f"length must be positive; got {length!r}.")
        self.points = points
        self.length = length
        self.period = period
        self._order = xp.argsort(points)
        self._rank = xp.argsort(self._order)
        chain = xp.take(points, self._order)
        gaps = (chain[1:] - chain[:-1]) / length
        span = xp.sum(gaps)
        # What links the first point to the last; nothing does on a line.
        wrap = xp.full((1,), float("inf"), dtype=points.dtype, device=device(points))
        if period is not None:
            wrap = xp.reshape(period / length - span, (1,))
            if not bool(wrap[0] >= 0):
                raise ValueError(f"period={period!r} is less than what the points span.")
        gaps = xp.concat([wrap, gaps])
        self._gaps = gaps
        self._innovation = -xp.expm1(-2.0 * gaps)
        self._around = xp.exp(-(wrap + span))  # 0 on a line
        self._scale = (1.0 - self._around) / (1.0 + self._around)

    def diagonal(self) -> Array:
        """Return ones."""
        return array_namespace(self.points).ones_like(self.points)

    def matmul(self, matrix: Array) -> Array:
        """Return ``C @ matrix``, in O(n_points) for each column."""
        moved = self._innovation * self._run(self._sorted(matrix), backward=True)
        return self._unsorted(self._scale * self._run(moved))

    def white(self, matrix: Array) -> Array:
        """Return ``F' @ matrix`` of ``F`` with scaled innovations, in O(n_points) a column."""
        xp = array_namespace(matrix)
        return transpose(xp.sqrt(self._strength()) * self._run(self._sorted(matrix), backward=True))

    def color(self, matrix: Array) -> Array:
        """Return ``F @ matrix``, in O(n_points) for each column."""
        xp = array_namespace(matrix)
        return self._unsorted(self._run(xp.sqrt(self._strength()) * transpose(matrix)))

    def rank(self) -> int:
        """Return the number of points."""
        return int(self.points.shape[0])

    def _strength(self) -> Array:
        return self._scale * self._innovation

    def solve(self, matrix: Array) -> Array:
        """Return ``C^-1 @ matrix``, by the tridiagonal ``C^-1``.

        Raises
        ------
        ValueError
            If two points are equal, which makes ``C`` singular.
        """
        xp = array_namespace(matrix)
        if bool((self._innovation == 0).any()):
            raise ValueError("Points coincide, so their correlation is singular: no solve.")
        chain, link = self._sorted(matrix), xp.exp(-self._gaps)
        chain = (chain - link * xp.roll(chain, 1, axis=-1)) / self._innovation
        chain = chain - xp.roll(link * chain, -1, axis=-1)
        return self._unsorted(chain / self._scale)

    def to_dense(self) -> Array:
        """Return the correlations."""
        xp = array_namespace(self.points)
        distance = abs(self.points[:, None] - self.points[None, :]) / self.length
        if self.period is None:
            return xp.exp(-distance)
        other_way = self.period / self.length - distance
        return (xp.exp(-distance) + xp.exp(-other_way)) / (1.0 + self._around)

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Run the chain on independent innovations."""
        xp = array_namespace(self.points)
        steps = xp.sqrt(self._innovation) * normal((*shape, self.points.shape[0]))
        return xp.take(xp.sqrt(self._scale) * self._run(steps), self._rank, axis=-1)

    def roots(self) -> Roots:
        """Return the chain's tridiagonal precision."""
        root = chain_root(self._order, self._gaps, float(self._scale[0]))
        return lambda at: root

    def _sorted(self, matrix: Array) -> Array:
        """Bring the points last, in the order of the chain."""
        return array_namespace(matrix).take(transpose(matrix), self._order, axis=-1)

    def _unsorted(self, chain: Array) -> Array:
        return transpose(array_namespace(chain).take(chain, self._rank, axis=-1))

    def _run(self, steps: Array, backward: bool = False) -> Array:
        """Return ``F`` (or ``F'``) times `steps`, whose last axis is the chain."""
        xp = array_namespace(steps)
        if backward:
            gaps = xp.roll(xp.flip(self._gaps, axis=-1), 1)
            return xp.flip(_closed(gaps, xp.flip(steps, axis=-1), self._around), axis=-1)
        return _closed(self._gaps, steps, self._around)


class Kronecker(Covariance):
    """The product of one correlation for each axis of a tensor grid, points in C order.

    Parameters
    ----------
    *factors : Covariance
        One for each axis, in the order of the grid's axes, without a batch. An axis along which
        points are independent has ``Diagonal`` with ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.conditioning import Dense, Diagonal, Kronecker
    >>> pair = Dense(np.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> Kronecker(Diagonal(np.ones(2)), pair).to_dense()
    array([[1. , 0.5, 0. , 0. ],
           [0.5, 1. , 0. , 0. ],
           [0. , 0. , 1. , 0.5],
           [0. , 0. , 0.5, 1. ]])
    """

    def __init__(self, *factors: Covariance) -> None:
        if not factors:
            raise ValueError("Kronecker needs at least one factor.")
        self.factors = factors
        self._shape = tuple(factor.diagonal().shape[-1] for factor in factors)

    def diagonal(self) -> Array:
        """Return the products of the variances."""
        diagonals = [factor.diagonal() for factor in self.factors]
        return reduce(lambda a, b: (a[:, None] * b[None, :]).reshape(-1), diagonals)

    def matmul(self, matrix: Array) -> Array:
        """Return ``(C1 x C2 x ...) @ matrix``, axis by axis."""
        return self._each_axis(matrix, [factor.matmul for factor in self.factors])

    def white(self, matrix: Array) -> Array:
        """Return the product with the Kronecker product of the factors' roots, transposed."""
        return self._each_axis(matrix, [factor.white for factor in self.factors])

    def color(self, matrix: Array) -> Array:
        """Return the product with the Kronecker product of the factors' roots."""
        ranks = tuple(factor.rank() for factor in self.factors)
        return self._each_axis(matrix, [factor.color for factor in self.factors], ranks)

    def rank(self) -> int:
        """Return the product of the factors' ranks."""
        return prod(factor.rank() for factor in self.factors)

    def solve(self, matrix: Array) -> Array:
        """Return the inverse times `matrix`, axis by axis.

        Raises
        ------
        ValueError
            If the correlation along an axis is singular.
        """
        return self._each_axis(matrix, [_solver(factor) for factor in self.factors])

    def to_dense(self) -> Array:
        """Return the Kronecker product."""
        return reduce(_kron, [factor.to_dense() for factor in self.factors])

    def sample(self, normal: Normal, shape: tuple[int, ...]) -> Array:
        """Draw along the last axis, and correlate these draws along the one before, and so on."""
        return _sample(self.factors, normal, shape)

    def roots(self) -> Roots:
        """Return the products of the factors' roots."""
        spreads, metrics = zip(*(factor.roots()(()) for factor in self.factors), strict=True)
        root = reduce(sparse.kron, spreads), reduce(sparse.kron, metrics)
        return lambda at: root

    def _each_axis(
        self, matrix: Array, products: list[Any], sizes: tuple[int, ...] | None = None
    ) -> Array:
        leading, columns = matrix.shape[:-2], matrix.shape[-1]
        before, after = list(sizes or self._shape), 1
        for product in reversed(products):
            size = before.pop()
            moved = product(matrix.reshape(*leading, prod(before), size, after * columns))
            after *= moved.shape[-2]
            matrix = moved
        return matrix.reshape(*leading, after, columns)


def _sample(factors: tuple[Covariance, ...], normal: Normal, shape: tuple[int, ...]) -> Array:
    """Draw from a product: the first factor's normals are draws of the rest.

    Any factor serves, since each makes its draws linearly of normals that it asks for.
    """
    first, *rest = factors
    if not rest:
        return first.sample(normal, shape)
    size = prod(factor.diagonal().shape[-1] for factor in rest)

    def correlated(wanted: tuple[int, ...]) -> Array:
        return transpose(_sample(tuple(rest), normal, (*wanted[:-2], wanted[-1])))

    return transpose(first.sample(correlated, (*shape, size))).reshape(*shape, -1)


def _solver(factor: Any) -> Any:
    if hasattr(factor, "solve"):
        return factor.solve

    def solve(matrix: Array) -> Array:
        dense = factor.to_dense()
        return array_namespace(dense).linalg.solve(dense, matrix)

    return solve


def _kron(left: Array, right: Array) -> Array:
    rows, columns = left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]
    return (left[:, None, :, None] * right[None, :, None, :]).reshape(rows, columns)


def _closed(gaps: Array, steps: Array, around: Array) -> Array:
    """Solve ``x[i] = steps[i] + exp(-gaps[i]) * x[i - 1]`` along the last axis, a ring."""
    xp = array_namespace(gaps)
    link = xp.exp(-gaps)
    chain = _open(link, steps)
    if not bool(around > 0):
        return chain
    first = link[0] * chain[..., -1:] / (1.0 - around)
    return chain + first * xp.exp(-xp.cumulative_sum(gaps[1:], include_initial=True))


def _open(link: Array, steps: Array) -> Array:
    """Solve ``x[i] = steps[i] + link[i] * x[i - 1]`` along the last axis, starting at 0."""
    xp = array_namespace(steps)
    if is_float64_numpy(link, steps) and steps.size:
        band = xp.stack([xp.ones_like(link), -xp.roll(link, -1)])
        flat = steps.reshape(-1, steps.shape[-1]).T
        return dtbtrs(band, flat, uplo="L", diag="U")[0].T.reshape(steps.shape)
    # Any array library: combine runs of 1, 2, 4, ... points.
    reach, n_points = 1, steps.shape[-1]
    while reach < n_points:
        joined = steps[..., reach:] + link[reach:] * steps[..., :-reach]
        steps = xp.concat([steps[..., :reach], joined], axis=-1)
        link = xp.concat([link[:reach], link[reach:] * link[:-reach]])
        reach *= 2
    return steps

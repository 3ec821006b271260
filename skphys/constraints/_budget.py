"""How the totals of a conservation law add up in time."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy import sparse
from scipy.sparse import csr_array

from skphys.constraints._time_rule import differences, increments, rule_error
from skphys.grids import Grid, Mesh, time_levels

Shapes = tuple[tuple[int, ...], ...]


class Budget:
    """Totals over time levels, and over whatever other axes an integral leaves.

    Parameters
    ----------
    grid : Grid or Mesh
        Where the field lives.
    remaining : tuple of str
        The axes that the integral leaves.
    time : str
        The one of them that is time.
    """

    def __init__(self, grid: Grid | Mesh, remaining: tuple[str, ...], time: str) -> None:
        if time not in grid.names:
            raise ValueError(
                f"time={time!r} of a law with initial, inflow or outflow is not an axis of "
                f"{grid!r}; the axes are {list(grid.names)}. What flows in over one step of a "
                f"rollout is stated by OverStep(law, length=...)."
            )
        times, _ = time_levels(grid, time)
        if times is None or time not in remaining:
            raise ValueError(
                f"time={time!r} is integrated over: initial, inflow and outflow need totals at "
                f"each time; leave it out of over, e.g. over='x'."
            )
        self.times = times
        self.axis = remaining.index(time)
        self.shape = tuple(grid.axes[name].size for name in remaining)

    @property
    def rate_shapes(self) -> Shapes:
        """Shapes of a rate: at the levels, or over the intervals."""
        n_times = self.times.size
        return (self.shape, self._with_time(n_times - 1)) if n_times > 1 else (self.shape,)

    @property
    def start(self) -> Shapes:
        """Shape of the totals at the first level."""
        return (self._with_time(1),)

    def _with_time(self, n: int) -> tuple[int, ...]:
        return (*self.shape[: self.axis], n, *self.shape[self.axis + 1 :])

    def changes(self) -> csr_array:
        """Return the matrix from totals at the levels to their changes over the intervals."""
        factors = [
            differences(size) if position == self.axis else sparse.eye_array(size)
            for position, size in enumerate(self.shape)
        ]
        return reduce(lambda a, b: sparse.kron(a, b, format="csr"), factors)

    def gained(self, inflow: np.ndarray | float, outflow: np.ndarray | float) -> np.ndarray:
        """Return what came less what went over each interval, (n_samples or 1, *intervals)."""
        zero = np.zeros((1, *self._with_time(self.times.size - 1)))
        flows = [np.asarray(flow) for flow in (inflow, outflow)]
        into, out = (f if f.ndim == 0 else increments(f, self.times, 1 + self.axis) for f in flows)
        return zero + into - out

    def from_start(self, initial: np.ndarray, gained: np.ndarray) -> np.ndarray:
        """Return the totals at the levels, (n_samples or 1, *shape)."""
        return initial + self._summed(gained)

    def error(self, amounts: np.ndarray, error: np.ndarray, known_start: bool) -> np.ndarray:
        """Add the error of the rule in time to those of the integrals at the levels.

        Parameters
        ----------
        amounts : ndarray of shape (n_samples, n_levels)
            Integrals of true fields, flat.
        error : ndarray of shape (n_samples, n_levels)
            Their errors.
        known_start : bool
            Whether the law is about the levels, or only about the changes between them.
        """
        amounts, error = (a.reshape(-1, *self.shape) for a in (amounts, error))
        in_time = rule_error(amounts, self.times, 1 + self.axis)
        if known_start:
            error = error + self._summed(in_time)
        else:
            later, earlier = (np.delete(error, end, axis=1 + self.axis) for end in (0, -1))
            error = later + earlier + in_time
        return error.reshape(len(error), -1)

    def _summed(self, gained: np.ndarray) -> np.ndarray:
        """Add up from the first level on, where the sum is zero."""
        axis = 1 + self.axis
        ends = [(int(k == axis), 0) for k in range(gained.ndim)]
        return np.pad(np.cumsum(gained, axis=axis), ends)

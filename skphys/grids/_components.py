"""Several fields stacked in one target: conserved components, or a field and its fluxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from skphys.grids._grid import Grid
from skphys.grids._mesh import Mesh


class Components:
    """Several fields in one row of y, one after another, each on a grid of its own.

    Constraints name the component that they speak of. Components are immutable, compare by value
    and pickle.

    Parameters
    ----------
    **grids : Grid or Mesh
        One keyword a component, in the order of their values in y.

    Attributes
    ----------
    slices : dict of str to slice
        Where the values of each component are.

    See Also
    --------
    face_grids : Components for the fluxes through the faces of a grid.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import Components, Grid
    >>> space = Grid(x=np.linspace(0.0, 1.0, 3))
    >>> both = Components(mass=space, energy=space)
    >>> both
    Components(mass=3 points, energy=3 points)
    >>> both.slices["energy"]
    slice(3, 6, None)
    >>> both.split(np.arange(6.0))["energy"]
    array([3., 4., 5.])
    """

    def __init__(self, /, **grids: Grid | Mesh) -> None:
        if not grids:
            raise ValueError("Components needs at least one grid, e.g. Components(mass=grid).")
        for name, grid in grids.items():
            if not isinstance(grid, Grid | Mesh):
                raise TypeError(
                    f"component {name!r} must be a Grid or a Mesh; got {type(grid).__name__}."
                )
        self._grids = grids
        ends = list(accumulate(grid.n_points for grid in grids.values()))
        self._slices = dict(zip(grids, map(slice, [0, *ends], ends), strict=True))

    @property
    def grids(self) -> dict[str, Grid | Mesh]:
        """The grids by name, in order."""
        return dict(self._grids)

    @property
    def slices(self) -> dict[str, slice]:
        """Where the values of each component are."""
        return dict(self._slices)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components."""
        return tuple(self._grids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each component."""
        return tuple(grid.n_points for grid in self._grids.values())

    @property
    def n_points(self) -> int:
        """Number of values of all components together."""
        return sum(self.shape)

    def split(self, fields: Any) -> dict[str, NDArray[Any]]:
        """Take stacked fields apart.

        Parameters
        ----------
        fields : array-like of shape (..., n_points)
            Rows of y, means, standard deviations or draws.

        Returns
        -------
        dict of str to ndarray
            Views of shape (..., n_points of the component).
        """
        fields = np.asarray(fields)
        if fields.ndim == 0 or fields.shape[-1] != self.n_points:
            raise ValueError(
                f"fields must have {self.n_points} values on the last axis, those of {self!r}; "
                f"got shape {fields.shape}."
            )
        return {name: fields[..., where] for name, where in self._slices.items()}

    def stack(self, fields: Mapping[str, Any]) -> NDArray[Any]:
        """Put the components' fields one after another.

        Parameters
        ----------
        fields : dict of str to array-like of shape (n_samples, ...)
            The fields of each component, flat or in the shape of their grid.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            Targets for a regressor.
        """
        if set(fields) != set(self._grids):
            raise ValueError(
                f"fields must have the components {list(self._grids)}; got {list(fields)}."
            )
        parts = [np.asarray(fields[name]).reshape(len(fields[name]), -1) for name in self._grids]
        for (name, grid), part in zip(self._grids.items(), parts, strict=True):
            if part.shape[1] != grid.n_points:
                raise ValueError(
                    f"component {name!r} has {grid.n_points} points, but its fields have "
                    f"{part.shape[1]} values each."
                )
        return np.concatenate(parts, axis=1)

    def __getitem__(self, name: str) -> Grid | Mesh:
        if name not in self._grids:
            raise ValueError(f"unknown component {name!r}; there are {list(self._grids)}.")
        return self._grids[name]

    def __contains__(self, name: object) -> bool:
        return name in self._grids

    def __iter__(self) -> Iterator[str]:
        return iter(self._grids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Components):
            return NotImplemented
        return self.names == other.names and self._grids == other._grids

    def __hash__(self) -> int:
        return hash(tuple(self._grids.items()))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={grid.n_points} points" for name, grid in self._grids.items())
        return f"Components({parts})"


def shared_grid(grid: Grid | Components) -> Grid | None:
    """Return the grid itself, or the one that all components share; None if they share none."""
    if isinstance(grid, Grid):
        return grid
    first, *others = grid.grids.values()
    return first if isinstance(first, Grid) and all(other == first for other in others) else None


def grid_parts(grid: Any) -> list[tuple[Grid, slice]]:
    """Return the grid of each component, and where its values are in y."""
    if isinstance(grid, Components):
        return [(cast(Grid, grid[name]), where) for name, where in grid.slices.items()]
    return [(grid, slice(0, grid.n_points))]

"""Fields in xarray's labelled arrays: a grid of their coordinates, rows of values, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skphys.grids._axis import Axis
from skphys.grids._components import Components
from skphys.grids._grid import Grid
from skphys.grids._masked import masked
from skphys.grids._mesh import Mesh

UNITS = ("D", "h", "m", "s", "ms", "us", "ns")


class XarrayFields(TransformerMixin, BaseEstimator):
    """Turns xarray's arrays into rows of values at the points of a grid, and predictions back.

    An estimator wants ``y`` of shape (n_samples, n_points) and a grid; a `DataArray` has named
    dimensions with coordinates, which may decrease or be dates, and NaN outside its domain. `fit`
    learns these, `transform` gives ``y``, and `inverse_transform` makes labelled arrays of what is
    predicted.

    Parameters
    ----------
    dims : sequence of str, default=None
        The dimensions of a field, in the order of the grid's axes; what is left counts fields, one
        dimension at most. None takes all but the first.
    axes : dict of str to Axis, default=None
        Axes in place of those of the coordinates: cells by their edges, or a period, which
        coordinates do not tell. They increase, as axes do, also where the coordinate decreases.
    time : str, default=None
        Which of `dims` is time; only fields with a mask need it.
    unit : {"D", "h", "m", "s", "ms", "us", "ns"}, default="s"
        Of dates as coordinates: the axis counts units since the first.

    Attributes
    ----------
    grid_ : Grid, Mesh or Components
        Of a DataArray: a Grid, or where it has NaN the Mesh of what is left (`masked`). NaN must be
        at the same points in all fields and times. Of a Dataset: Components, one a variable.
    inside_ : dict of str to ndarray of bool
        The masks of the variables that have one.

    See Also
    --------
    masked : The mesh of a part of a grid.
    Grid.from_xarray : The grid alone.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from skphys.grids import XarrayFields
    >>> heat = xr.DataArray(
    ...     [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]],
    ...     coords={"time": [2001], "lat": [60.0, 50.0], "lon": [0.0, 5.0, 10.0]},
    ...     dims=["time", "lat", "lon"],
    ... )
    >>> layout = XarrayFields(dims=["lat", "lon"]).fit(heat)
    >>> layout.grid_
    Grid(lat=2 nodes in [50, 60], lon=3 nodes in [0, 10])
    >>> layout.transform(heat)  # latitudes increase
    array([[4., 5., 6., 1., 2., 3.]])
    >>> back = layout.inverse_transform(layout.transform(heat), {"time": [2001]})
    >>> bool(back.equals(heat))
    True
    """

    # Nothing routes these: they belong to a call.
    __metadata_request__inverse_transform = {"samples": UNUSED, "last": UNUSED}

    def __init__(
        self,
        dims: Sequence[str] | None = None,
        *,
        axes: Mapping[str, Axis] | None = None,
        time: str | None = None,
        unit: str = "s",
    ) -> None:
        self.dims = dims
        self.axes = axes
        self.time = time
        self.unit = unit

    def fit(self, X: Any, y: Any = None) -> XarrayFields:
        """Learn the grid, the mask and the names.

        Parameters
        ----------
        X : DataArray or Dataset
            Fields.
        y : None
            Ignored.

        Returns
        -------
        self : XarrayFields
            The transformer.

        Raises
        ------
        ValueError
            If `dims` are not those of X, more than one is left, or a mask is not the same in all
            fields.
        """
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {list(UNITS)}; got {self.unit!r}.")
        unknown = [d for d in self.axes or {} if d not in getattr(X, "dims", [d])]
        if unknown:
            raise ValueError(
                f"axes names {unknown[0]!r}, but the dimensions of X are {list(X.dims)}."
            )
        grids: dict[str, Grid | Mesh] = {}
        insides: dict[str, np.ndarray] = {}
        kept: dict[str, Any] = {}  # of each variable, without its values
        for name, array in _variables(X).items():
            dims = self._dims(array)
            if not array.size:
                raise ValueError(f"{name!r} is empty: its dimensions are {dict(array.sizes)}.")
            others = {d: 0 for d in array.dims if d not in dims}
            kept[name] = array.transpose(..., *dims).isel(others, drop=True).copy()
            grid = Grid(**{str(d): self._axis(array, d) for d in dims})
            values = self._values(array, dims)
            if np.isnan(values).any():
                insides[name] = self._inside(name, values, grid, kept[name])
                grids[name] = masked(grid, insides[name], self.time)
            else:
                grids[name] = grid
        is_dataset = hasattr(X, "data_vars")
        self.grid_ = Components(**grids) if is_dataset else next(iter(grids.values()))
        self.is_dataset_, self.inside_, self._like = is_dataset, insides, kept
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the values.

        Parameters
        ----------
        X : DataArray or Dataset
            Fields on the points of `fit`. Where that saw one variable, a DataArray may have any
            name, such as the numbers of regions; of several, the name of the one at whose points
            it is.

        Returns
        -------
        ndarray of shape (n_samples, n_points)
            In float64; one row if no dimension counts fields. Of a DataArray the points of its
            variable alone.

        Raises
        ------
        ValueError
            If variables or coordinates are others than in `fit`, or values are missing inside the
            domain.
        """
        check_is_fitted(self, "grid_")
        found = []
        given, wanted = _variables(X), self._like
        if not hasattr(X, "data_vars") or (not self.is_dataset_ and len(given) == 1):
            name = self._variable_of(*given)
            given, wanted = {name: next(iter(given.values()))}, {name: wanted[name]}
        for name, like in wanted.items():
            if name not in given:
                raise ValueError(f"X lacks the variable {name!r} that fit has seen.")
            array = given[name]
            for dim in like.dims:
                if dim not in array.dims or not np.array_equal(array[dim], like[dim]):
                    raise ValueError(
                        f"The coordinates along {dim!r} are not those of fit. Where `seen` is what "
                        f"fit has seen, X.reindex_like(seen) takes its points out of others or "
                        f"from another order, and X.interp_like(seen) interpolates to them."
                    )
            if len(array.dims) > len(like.dims) + 1:
                raise ValueError(
                    f"One dimension can count fields; of {list(array.dims)} those of a field are "
                    f"{list(like.dims)}."
                )
            values = self._values(array, like.dims)
            values = values.reshape(len(values), -1)[:, self._kept(name)]
            if np.isnan(values).any():
                raise ValueError(
                    f"{name!r} has NaN inside the domain that fit has seen; fill them, or leave "
                    f"those fields out."
                )
            found.append(values)
        return np.hstack(found)

    def inverse_transform(
        self, X: Any, samples: Mapping[str, Any] | None = None, last: str = "draw"
    ) -> Any:
        """Return fields as labelled arrays.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_points) or (n_samples, n_points, n)
            Predictions, standard deviations, or with another axis draws or quantiles.
        samples : dict of str to array-like, default=None
            The name of the dimension that counts fields, and its coordinate, such as
            ``{"time": dates}``; by default ``"sample"`` without one.
        last : str, default="draw"
            The name of another axis, if there is one.

        Returns
        -------
        DataArray or Dataset
            As in `fit`, with its coordinates and attributes; NaN outside the domain.
        """
        import xarray

        check_is_fitted(self, "grid_")
        X = np.asarray(X, dtype=np.float64)
        if X.ndim not in (2, 3) or X.shape[1] != self.grid_.n_points:
            raise ValueError(
                f"X must have shape (n_samples, {self.grid_.n_points}), or one axis more; got "
                f"{X.shape}."
            )
        if samples is not None and len(samples) != 1:
            raise ValueError(f"samples must name one dimension; got {list(samples)}.")
        ((dim, at),) = (samples or {"sample": None}).items()
        arrays, start = {}, 0
        for name, like in self._like.items():
            kept = self._kept(name)
            values = np.full((len(X), like.size, *X.shape[2:]), np.nan)
            stop = start + len(np.arange(like.size)[kept])
            values[:, kept] = X[:, start:stop]
            start = stop
            values = values.reshape(len(X), *like.shape, *X.shape[2:])
            values = np.flip(values, _falling(like, like.dims))
            coords = {k: v for k, v in like.coords.items() if set(v.dims) <= set(like.dims)}
            coords |= {} if at is None else {dim: at}
            dims = [dim, *like.dims, *([last] if X.ndim == 3 else [])]
            arrays[name] = xarray.DataArray(values, coords, dims, like.name, like.attrs)
        return xarray.Dataset(arrays) if self.is_dataset_ else next(iter(arrays.values()))

    def _dims(self, array: Any) -> list[Hashable]:
        """Return the dimensions of a field, after a check."""
        dims = list(array.dims[1:] if self.dims is None else self.dims)
        lacking = [d for d in dims if d not in array.dims]
        if lacking or not dims:
            raise ValueError(
                f"dims must name dimensions of X, {list(array.dims)}, at least one; got {dims}."
            )
        left = [d for d in array.dims if d not in dims]
        if len(left) > 1:
            raise ValueError(
                f"One dimension can count fields, but of {list(array.dims)} dims={dims} leaves "
                f"{left}; stack them: array.stack(sample={left})."
            )
        if self.time is not None and dims[0] != self.time:
            raise ValueError(f"Time must be the first of dims; got time={self.time!r}, {dims}.")
        return dims

    def _axis(self, array: Any, dim: Any) -> Any:
        """Return an axis, increasing."""
        size = array.sizes[dim]
        if dim in (self.axes or {}):
            axis: Axis = (self.axes or {})[dim]
            if axis.size != size:
                raise ValueError(
                    f"axes[{dim!r}] has {axis.size} points, and X has {size} along {dim!r}."
                )
            return axis
        points = array[dim].to_numpy()
        if points.dtype.kind == "M":
            unit: Any = self.unit
            points = (points - points.min()) / np.timedelta64(1, unit)
        elif points.dtype.kind not in "iuf":
            raise ValueError(
                f"The coordinates along {dim!r} must be numbers or dates; got dtype "
                f"{points.dtype}. Say where the points are: axes={{{dim!r}: Axis(...)}}."
            )
        return points[::-1] if _falls(array, dim) else points

    def _values(self, array: Any, dims: Sequence[Hashable]) -> np.ndarray:
        """Return values of shape (n_samples, *grid), along axes that increase."""
        array = array.transpose(..., *dims)
        values = np.asarray(array.to_numpy(), dtype=np.float64)
        values = values if values.ndim > len(dims) else values[None]
        return np.flip(values, _falling(array, dims))

    def _inside(self, name: str, values: np.ndarray, grid: Grid, like: Any) -> np.ndarray:
        """Return where a variable has values, in the shape of the axes of space."""
        known = ~np.isnan(values)
        dates = [d for d in like.dims if like[d].dtype.kind == "M"]
        if dates and self.time is None:
            raise ValueError(
                f"{name!r} has a mask, and {dates[0]!r} are dates; say that it is time, and no "
                f"direction of space: time={dates[0]!r}."
            )
        if self.time is not None:
            known = np.moveaxis(known, 1 + list(grid.names).index(self.time), 1)
            known = known.reshape(-1, *known.shape[2:])
        if (known != known[:1]).any():
            raise ValueError(
                f"{name!r} is NaN at other points in one field than in another. A mask is the same "
                f"in all; fill values that are missing. If one of dims is time, say so: time=..."
            )
        return known[0]

    def _variable_of(self, name: str) -> str:
        """Return the variable at whose points a single array is."""
        if len(self._like) > 1 and name not in self._like:
            raise ValueError(
                f"X is one DataArray, {name!r}, and fit has seen the variables {list(self._like)}; "
                f"name it as the one at whose points it is: X.rename({next(iter(self._like))!r})."
            )
        return name if name in self._like else next(iter(self._like))

    def _kept(self, name: str) -> Any:
        """Return which points of a variable's grid are in the domain."""
        if name not in self.inside_:
            return slice(None)
        inside, dims = self.inside_[name], self._like[name].dims
        if self.time in dims:
            inside = np.expand_dims(inside, dims.index(self.time))
            inside = np.broadcast_to(inside, self._like[name].shape)
        return np.flatnonzero(inside)


def _variables(X: Any) -> dict[str, Any]:
    """Return arrays by name."""
    if hasattr(X, "data_vars"):
        return {str(name): X[name] for name in X.data_vars}
    if not hasattr(X, "dims") or not hasattr(X, "coords"):
        raise TypeError(f"X must be an xarray DataArray or Dataset; got {type(X).__name__}.")
    return {str(X.name or "field"): X}


def _falls(array: Any, dim: Any) -> bool:
    """Say whether a coordinate decreases."""
    points = array[dim].to_numpy()
    return bool(len(points) > 1 and points[0] > points[-1])


def _falling(array: Any, dims: Sequence[Hashable]) -> tuple[int, ...]:
    """Return which axes of values (n_samples, *dims) run against their coordinate."""
    return tuple(1 + k for k, dim in enumerate(dims) if _falls(array, dim))

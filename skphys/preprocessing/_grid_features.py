"""From the columns of a table to channels on a grid."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils._set_output import _get_adapter_from_container, _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from skphys.grids import Components, Grid
from skphys.preprocessing._channels import (
    Channel,
    check_names,
    check_sizes,
    common_grid,
    coordinate_channels,
    declared_fields,
    move,
    whole_table,
)
from skphys.preprocessing._columns import Table, field_names
from skphys.preprocessing._refine import refine

FLOATS = [np.float64, np.float32]


class GridFeatures(TransformerMixin, BaseEstimator):
    """Turn named fields, scalar parameters and coordinates into channels on a grid.

    Operators such as a Fourier neural operator learn from fields. This transformer lays out each
    sample as channels, one after another, with one value for each point of the grid: first the
    fields, then the scalars, repeated at every point, then the coordinates of the points.

    Parameters
    ----------
    grid : Grid, Components or None, default=None
        Where the channels live. Components must share one grid, which is taken. None is unit
        cells, one for each column of the fields, or a single one if there are only scalars.
    fields : dict, list of str or None, default=None
        The fields by name, and where their values are in X: the prefix of the columns
        ``prefix_0``, ``prefix_1``, ...; a list of columns, by name or by position; or a slice of
        positions. A list of names is short for prefixes of the same names. Values are in C
        order over the grid. If both `fields` and `scalars` are None, all of X is one field (or,
        with Components, one after another); otherwise only what they name is used.
    scalars : list of str or int, or None, default=None
        Columns with one value a sample, by name or by position; each becomes a constant channel.
    passthrough : list of str or int, or None, default=None
        Columns that follow the channels unchanged, for an estimator behind this one that takes
        the values of its constraints from them.
    coordinates : bool, str or list of str, default=True
        Add the coordinates of the points as channels: those of all axes or of the named ones, in
        their physical units (a Fourier neural operator standardises its input itself).
    along : dict of str to str or list of str, default=None
        The axes that a field runs along if not all: a field with one value for each point of
        these is repeated along the others, as an initial state is over time.

    Attributes
    ----------
    grid_ : Grid
        The grid of the channels.
    channel_names_ : list of str
        Names of the channels, in order.
    n_channels_ : int
        Number of channels.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns; only if X has string names.

    See Also
    --------
    PointwiseRegressor : Gives a scalar regressor the coordinates of each point as features.
    make_constrained_pipeline : Takes the grid from this transformer.

    Notes
    -----
    The output is an array, or what `set_output` asks for. With `passthrough`, a data frame comes
    out as a data frame of the same library even without `set_output`, because the columns behind
    the channels are found by their names. Missing values are an error in the columns that make
    channels, and of no concern in others.

    Examples
    --------
    >>> import pandas as pd
    >>> from skphys.grids import Grid
    >>> from skphys.preprocessing import GridFeatures
    >>> table = pd.DataFrame({"u0_0": [1.0], "u0_1": [2.0], "nu": [0.1], "heater": [7.0]})
    >>> features = GridFeatures(
    ...     Grid(x=[0.0, 0.5]), fields=["u0"], scalars=["nu"], passthrough=["heater"]
    ... )
    >>> features.fit_transform(table)
       u0_0  u0_1  nu_0  nu_1  x_0  x_1  heater
    0   1.0   2.0   0.1   0.1  0.0  0.5     7.0
    >>> features.channel_names_
    ['u0', 'nu', 'x']
    """

    _parameter_constraints: dict = {
        "grid": [Grid, Components, None],
        "fields": [dict, list, tuple, str, None],
        "scalars": ["array-like", str, int, None],
        "passthrough": ["array-like", str, int, None],
        "coordinates": ["boolean", list, tuple, str],
        "along": [dict, None],
    }

    def __init__(
        self,
        grid: Grid | Components | None = None,
        fields: Any = None,
        scalars: Any = None,
        passthrough: Any = None,
        coordinates: Any = True,
        *,
        along: dict[str, Any] | None = None,
    ) -> None:
        self.grid = grid
        self.fields = fields
        self.scalars = scalars
        self.passthrough = passthrough
        self.coordinates = coordinates
        self.along = along

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> GridFeatures:
        """Find the columns.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a sample.
        y : None
            Ignored.

        Returns
        -------
        self : GridFeatures
            The fitted transformer.

        Raises
        ------
        ValueError
            If a column or an axis is unknown, a field does not have one column for each point,
            two channels have the same name, or values are missing.
        """
        X = self._check_X(X, reset=True)
        table = self._table()
        self._passthrough = table.positions(self.passthrough, "passthrough")
        self._declare(table)
        self._check_output_names()
        self._values(X)
        return self

    def transform(self, X: Any) -> Any:
        """Lay out samples as channels.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a sample.

        Returns
        -------
        {ndarray, DataFrame} of shape (n_samples, n_channels_ * n_points + n_passthrough)
            The channels one after another, in C order over the grid, then the passthrough
            columns. A data frame if `set_output` asks for one, or if X is one and there are
            passthrough columns.
        """
        check_is_fitted(self)
        X = self._check_X(X, reset=False)
        channels = self._lay_out(self._values(X), X.shape[0])
        if not self._passthrough:
            return channels
        carried = _safe_indexing(X, list(self._passthrough), axis=1)
        if not _is_frame(X):
            return np.hstack([channels, carried])
        adapter = _get_adapter_from_container(X)
        if _get_output_config("transform", self)["dense"] not in ("default", adapter.container_lib):
            return np.hstack([channels, np.asarray(carried)])
        names = np.asarray(self._channel_columns(), dtype=object)
        return adapter.hstack([adapter.create_container(channels, X, columns=names), carried])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the output's columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X, if it had none in fit.

        Returns
        -------
        ndarray of str
            ``<channel>_0``, ``<channel>_1``, ... for each channel, then the passthrough columns.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        carried = [names[j] for j in self._passthrough]
        return np.asarray([*self._channel_columns(), *carried], dtype=object)

    def on_grid(self, grid: Grid | Components) -> GridFeatures:
        """Return a fitted copy for another grid with the same axes, e.g. a finer one.

        Parameters
        ----------
        grid : Grid or Components
            Where the fields are now. In X, the columns of each field give way to as many as it
            has values on this grid, in their place; all other columns stay.

        Returns
        -------
        GridFeatures
            The copy, which knows the new number and names of the columns.

        Raises
        ------
        ValueError
            If the axes differ, or if the columns of a field are scattered, shared with other
            uses, or not named by a prefix.

        Examples
        --------
        >>> import numpy as np
        >>> from skphys.grids import Grid
        >>> from skphys.preprocessing import GridFeatures
        >>> features = GridFeatures(Grid(x=np.linspace(0, 1, 4)), {"u0": slice(0, 4)}, scalars=[4])
        >>> fine = features.fit(np.zeros((2, 5))).on_grid(Grid(x=np.linspace(0, 1, 8)))
        >>> fine.n_features_in_, fine.transform(np.zeros((2, 9))).shape
        (9, (2, 24))
        """
        check_is_fitted(self)
        shared = common_grid(grid)
        if shared.names != self.grid_.names:
            raise ValueError(f"grid must have the axes {list(self.grid_)}; it has {list(shared)}.")
        moves, table = refine(self._channels, self._passthrough, shared, self._table())
        copy = deepcopy(self)
        copy.grid, copy.grid_ = grid, shared
        copy._channels = [move(channel, moves) for channel in self._channels]
        copy._passthrough = tuple(moves[j][0] for j in self._passthrough)
        copy.n_features_in_ = table.n_columns
        if table.names is not None:
            copy.feature_names_in_ = np.asarray(table.names, dtype=object)
        return copy

    def _declare(self, table: Table) -> None:
        """Set the grid and the channels."""
        named = any(given is not None for given in (self.fields, self.scalars, self.along))
        grid = None if self.grid is None else common_grid(self.grid)
        if named:
            fields = declared_fields(self.fields or (), self.along, grid, table)
        else:
            fields = whole_table(self.grid, table, self._passthrough)
        if grid is None:
            grid = Grid.unit(len(fields[0].columns) if fields else 1)
        check_sizes(fields, grid, table, named)
        scalars = [
            Channel(table.names[j] if table.names else f"x{j}", (j,), ())
            for j in table.positions(self.scalars, "scalars")
        ]
        self.grid_ = grid
        self._channels = [*fields, *scalars, *coordinate_channels(self.coordinates, grid)]
        check_names(self._channels)
        self.channel_names_ = [channel.name for channel in self._channels]
        self.n_channels_ = len(self._channels)

    def _check_output_names(self) -> None:
        names = list(self.get_feature_names_out())
        channels = set(names[: len(names) - len(self._passthrough)])
        for name in names[len(names) - len(self._passthrough) :]:
            if name in channels:
                raise ValueError(
                    f"passthrough has the column {name!r}, and a channel gives the output a "
                    f"column of that name; leave it out, or rename either."
                )

    def _check_X(self, X: Any, reset: bool) -> Any:
        """Check the number and names of columns; values are checked where they are used."""
        if _is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        return validate_data(self, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)

    def _values(self, X: Any) -> list[NDArray[Any] | None]:
        """Return the checked values of each channel, None for coordinates."""
        used = sorted({j for channel in self._channels for j in channel.columns})
        if not used:
            return [None] * len(self._channels)
        rows = check_array(
            _safe_indexing(X, used, axis=1), dtype=FLOATS, estimator=self, input_name="X"
        )
        where = [np.searchsorted(used, channel.columns) for channel in self._channels]
        return [rows[:, columns] if len(columns) else None for columns in where]

    def _lay_out(self, values: list[NDArray[Any] | None], n_samples: int) -> NDArray[Any]:
        given = [part for part in values if part is not None]
        dtype = np.result_type(*given) if given else np.float64
        out = np.empty((n_samples, len(values), *self.grid_.shape), dtype=dtype)
        for c, (channel, part) in enumerate(zip(self._channels, values, strict=True)):
            channel.fill(out[:, c], part, self.grid_)
        return out.reshape(n_samples, -1)

    def _channel_columns(self) -> list[str]:
        n_points = self.grid_.n_points
        return [name for c in self._channels for name in field_names(c.name, n_points)]

    def _table(self) -> Table:
        names = getattr(self, "feature_names_in_", None)
        return Table(self.n_features_in_, None if names is None else tuple(names))

    def __sklearn_tags__(self) -> Any:
        """Say that floats keep their precision."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "shape")

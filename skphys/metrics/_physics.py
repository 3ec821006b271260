from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from skphys.metrics._checks import Floats, as_finite

if TYPE_CHECKING:
    from skphys.constraints import Constraint, EqualitySystem, NonlinearSystem
    from skphys.grids import ColumnGrid, Components, Grid

NamedConstraints = list[tuple[str, Any]]
Stated = tuple[Any, Any, Any]  # fields, an EqualitySystem and a NonlinearSystem
NEXT_TO_NOTHING = 1e-3  # part of the usual size of a field


def conservation_error(
    y: Any,
    constraints: Constraint | list[Any],
    grid: Grid | ColumnGrid | None = None,
    *,
    X: Any = None,
    values: Any = None,
) -> Floats:
    """Return by how much fields miss a law, signed: the field's integral less its total.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_points) or (n_points,)
        Fields, C order over the grid; a 1-D array is one field. With a ColumnGrid, the values of
        all rows of X, of shape (n_rows,).
    constraints : Constraint, list of Constraint, or list of (str, Constraint)
        What should hold.
    grid : Grid or ColumnGrid, default=None
        Where the points are. None means cells of width 1.
    X : array-like of shape (n_samples, n_features) or (n_rows, n_features), default=None
        Where a constraint takes its values from, if that is a column or a callable. A ColumnGrid
        needs it: the table with one row a point.
    values : float, array-like of shape (n_samples,) or (n_samples, n_rows), or dict, default=None
        Values in place of the constraint's own. A dict holds them by the name of the constraint.
        Not with a ColumnGrid.

    Returns
    -------
    ndarray of shape (n_samples, n_rows)
        ``G u - b`` for all rows of the constraints, one after another, then ``f(u) - v`` of
        nonlinear ones; NaN where a value is not known. With a ColumnGrid, the fields come in the
        order in which they first occur in X.

    Raises
    ------
    ValueError
        If the fields do not fit the grid, or values are missing or of a wrong length.

    Notes
    -----
    Fields that are exact solutions miss their analytic mass too, by the error of the quadrature
    rule on the grid.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import ConservationLaw
    >>> from skphys.grids import Grid
    >>> from skphys.metrics import conservation_error
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> conservation_error([x, x + 1.0], ConservationLaw(over="x", total=0.5), Grid(x=x))
    array([[0.],
           [1.]])
    """
    from skphys.constraints import name_constraints
    from skphys.grids import ColumnGrid

    named = name_constraints(constraints)
    if values is not None and isinstance(grid, ColumnGrid):
        raise ValueError(
            "values needs a Grid; with a ColumnGrid, let the constraint name a column of X."
        )
    array = as_finite("y", y)
    parts, order = _stated("y", array, named, grid, X, _by_name(values, named))
    missed = [_residuals(*part) for part in parts]
    return np.concatenate(missed)[order]


def boundary_error(
    y: Any,
    boundary: Any,
    grid: Grid | Components,
    X: Any = None,
    *,
    kind: str = "relative",
) -> Floats:
    """Return by how much fields miss their boundary conditions, at the worst point.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_points) or (n_points,)
        Fields, C order over the grid; a 1-D array is one field.
    boundary : dict, or list of (str, BoundaryConstraint)
        The conditions by axis, as `boundary_constraints` takes them, or what it returns.
    grid : Grid or Components
        Where the points are.
    X : array-like of shape (n_samples, ...), default=None
        Where conditions take their values from, if that is a column, a callable or the input.
    kind : {"relative", "absolute"}, default="relative"
        "absolute" is ``max |G u - b|`` over the rows of the boundary, in units of the condition:
        those of the field for Dirichlet, field by length for Neumann. "relative" divides each
        row's miss by its terms, ``|G| |u| + |b|``: 1e-16 is rounding, 1 is all wrong; it compares
        conditions of different kinds.

    Returns
    -------
    ndarray of shape (n_samples,)
        Not negative; 0 where nothing is stated.

    Raises
    ------
    ValueError
        If the fields do not fit the grid, or the conditions cannot be stated.

    See Also
    --------
    conservation_error : For conservation laws, and any other constraint row by row.

    Notes
    -----
    Exact solutions miss derivatives too, by the error of the stencil on the grid.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import Dirichlet, Neumann
    >>> from skphys.grids import Grid
    >>> from skphys.metrics import boundary_error
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> boundary = {"x": (Dirichlet(0.0), Neumann(1.0))}
    >>> boundary_error([x, x + 0.5], boundary, Grid(x=x), kind="absolute")
    array([0. , 0.5])
    """
    from skphys.constraints import boundary_constraints

    if kind not in ("relative", "absolute"):
        raise ValueError(f"kind must be 'relative' or 'absolute'; got {kind!r}.")
    array = as_finite("y", y)
    named = boundary_constraints(boundary, grid) if isinstance(boundary, Mapping) else boundary
    parts, _ = _stated("y", array, named, grid, X)
    misses = np.nan_to_num(_row_misses(*parts[0], kind == "relative"))  # 0 where not known
    return misses.max(axis=1, initial=0.0)


def constraint_misses(
    name: str, y: Any, named: NamedConstraints, grid: Any, X: Any, relative: bool
) -> dict[str, Floats]:
    """Return by how much fields miss each equality, at the worst of its rows.

    Parameters
    ----------
    name : str
        What errors call the fields.
    y : array-like of shape (n_samples, n_points), (n_points,) or (n_rows,)
        Fields, as `conservation_error` takes them.
    named : list of (str, Constraint)
        What should hold; inequalities are left out.
    grid : Grid, Mesh, Components, ColumnGrid or None
        Where the fields live; None is unit cells.
    X : {array-like, DataFrame} or None
        Where constraints take their values from.
    relative : bool
        Whether to divide a row's miss by its terms, ``|G| |u| + |b|``; of nonlinear rows
        ``|J| |u| + |v|``, with their derivatives.

    Returns
    -------
    dict of str to ndarray of shape (n_samples,)
        By name of the constraint; NaN where no row of it is known.
    """
    parts, order = _stated(name, as_finite(name, y), named, grid, X)
    misses = np.concatenate([_row_misses(*part, relative) for part in parts])[order]
    laws = parts[0][2]
    names = np.asarray(parts[0][1].names + (() if laws is None else laws.names))
    by_name = {each: misses[:, names == each] for each in dict.fromkeys(names.tolist())}
    return {each: np.fmax.reduce(rows, axis=1) for each, rows in by_name.items()}


def _residuals(fields: Floats, system: EqualitySystem, laws: NonlinearSystem | None) -> Floats:
    """Return ``G u - b`` of fields, and ``f(u) - v``."""
    missed = [fields @ system.rows.T - system.values]
    missed += [] if laws is None else [laws.residual(fields)]
    return np.concatenate(missed, axis=1)


def _row_misses(
    fields: Floats, system: EqualitySystem, laws: NonlinearSystem | None, relative: bool
) -> Floats:
    """Return ``|G u - b|`` of fields for each row, divided by ``|G| |u| + |b|`` if `relative`.

    NaN where a value is not known. The terms of a row where the field is next to nothing are those
    of a thousandth of its usual size: rounding is no error there.
    """
    miss = np.abs(_residuals(fields, system, laws))
    if not relative:
        return miss
    reach, usual = abs(system.rows), np.sqrt(np.mean(fields**2, axis=1, keepdims=True))
    terms = np.abs(fields) @ reach.T + np.abs(system.values)
    sizes = [np.maximum(terms, NEXT_TO_NOTHING * usual * np.asarray(reach.sum(axis=1)).ravel())]
    sizes += [] if laws is None else [laws.terms(fields)]
    terms = np.concatenate(sizes, axis=1)
    return np.divide(miss, terms, out=np.where(np.isnan(miss), miss, 0.0), where=terms > 0.0)


def _stated(
    name: str, y: Floats, named: NamedConstraints, grid: Any, X: Any, values: Any = None
) -> tuple[list[Stated], Any]:
    """Return groups of fields with what should hold for them, and the order to put them in."""
    from skphys.constraints import ConstraintSet, FieldTable
    from skphys.grids import ColumnGrid, Grid

    if isinstance(grid, ColumnGrid):
        return _stated_in_a_table(name, y, named, grid, X)
    fields = np.atleast_2d(y)
    grid = Grid.unit(fields.shape[-1]) if grid is None else grid
    _check_fields(name, fields, grid, X)
    table = FieldTable(np.empty((len(fields), 0)) if X is None else X)
    stated = ConstraintSet(named, grid)
    laws = stated.nonlinear(table, values)
    return [(fields, stated.equalities(table, values, fields), laws)], slice(None)


def _stated_in_a_table(
    name: str, y: Floats, named: NamedConstraints, grid: ColumnGrid, X: Any
) -> tuple[list[Stated], Any]:
    """Group the fields of a long table; their order is that of their first rows."""
    from skphys.constraints import ConstraintSet, FieldTable

    if X is None or y.size != len(X):
        raise ValueError(
            f"A ColumnGrid needs X with one row for each of the {y.size} values of {name}; "
            f"got {'none' if X is None else f'{len(X)} rows'}."
        )
    if grid.nodes is not None:
        raise ValueError("The law acts on the nodes: pass the values there, and leave out nodes=.")
    groups, parts = grid.split(X), []
    for group in groups:
        fields, table = y.ravel()[group.index], FieldTable(group.by, partial(group.column, X))
        stated = ConstraintSet(named, group.grid)
        parts.append((fields, stated.equalities(table, None, fields), stated.nonlinear(table)))
    first = np.concatenate([group.index.min(axis=1) for group in groups])
    return parts, np.argsort(first)


def _by_name(values: Any, named: Any) -> Mapping[str, Any] | None:
    if values is None or isinstance(values, Mapping):
        return values
    if len(named) != 1:
        raise ValueError(
            f"values must be a dict by the name of the constraint where there are several; "
            f"the names are {[name for name, _ in named]}."
        )
    return {named[0][0]: values}


def _check_fields(name: str, fields: Floats, grid: Any, X: Any) -> None:
    if fields.ndim != 2 or fields.shape[1] != grid.n_points:
        raise ValueError(
            f"{name} must have the shape (n_samples, {grid.n_points}) on this grid; got "
            f"{fields.shape}."
        )
    if X is not None and len(X) != len(fields):
        raise ValueError(f"X has {len(X)} rows, but {name} has {len(fields)} fields.")


def shock_position(
    y: Any,
    grid: Any,
    *,
    threshold: float | None = None,
    crossing: str = "last",
    axis: int | None = None,
) -> Floats:
    """Return where profiles cross a threshold, interpolated linearly between points.

    Parameters
    ----------
    y : array-like of shape (n_points,), (n_samples, n_points) or (n_samples, n_points, n_draws)
        Profiles, or samples of profiles as `sample_y` returns them.
    grid : Grid or array-like of shape (n_points,)
        The points' increasing coordinates; a Grid has one axis.
    threshold : float, default=None
        The value that is crossed. None is halfway between the smallest and the largest value of
        each profile.
    crossing : {"last", "first"}, default="last"
        Which one to take of several.
    axis : int, default=None
        The axis of the points. None is the second, or the only one. Samples of one profile, of
        shape (n_points, n_draws), need ``axis=0``.

    Returns
    -------
    ndarray of shape (), (n_samples,) or (n_samples, n_draws)
        Positions; nan for profiles that stay on one side of the threshold.

    Raises
    ------
    ValueError
        If the profiles do not fit the grid, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.metrics import shock_position
    >>> float(shock_position([1.0, 1.0, 0.0, 0.0], np.array([0.0, 1.0, 2.0, 3.0])))
    1.5
    """
    if crossing not in ("last", "first"):
        raise ValueError(f"crossing must be 'last' or 'first'; got {crossing!r}.")
    x = _coordinates(grid)
    profiles = _points_last(as_finite("y", y), len(x), axis)
    if threshold is None:
        level = 0.5 * (profiles.min(axis=-1) + profiles.max(axis=-1))
    else:
        level = np.full(profiles.shape[:-1], float(threshold))
    return _cross(profiles - level[..., None], x, crossing)[()]


def _cross(excess: Floats, x: Floats, crossing: str) -> Floats:
    """Zero of the piecewise linear profile in the last or first interval with a change of side."""
    above = excess >= 0.0
    changes = above[..., 1:] != above[..., :-1]
    if crossing == "last":
        left = len(x) - 2 - np.argmax(changes[..., ::-1], axis=-1)
    else:
        left = np.argmax(changes, axis=-1)
    start = np.take_along_axis(excess, left[..., None], axis=-1)[..., 0]
    end = np.take_along_axis(excess, left[..., None] + 1, axis=-1)[..., 0]
    found = changes.any(axis=-1)
    fraction = np.divide(start, start - end, out=np.full(start.shape, np.nan), where=found)
    return x[left] + fraction * (x[left + 1] - x[left])


def _coordinates(grid: Any) -> Floats:
    if hasattr(grid, "points") and hasattr(grid, "n_axes"):
        if grid.n_axes != 1:
            raise ValueError(f"grid must have one axis, got {grid.n_axes}: {list(grid.names)}.")
        return np.asarray(grid.points[:, 0])
    x = as_finite("grid", grid)
    if x.ndim != 1 or len(x) < 2 or not (np.diff(x) > 0.0).all():
        raise ValueError("grid must be a Grid, or a 1-D array of at least 2 increasing numbers.")
    return x


def _points_last(y: Floats, n_points: int, axis: int | None) -> Floats:
    if axis is None:
        axis = min(1, y.ndim - 1)
    if not -y.ndim <= axis < y.ndim or y.shape[axis] != n_points:
        raise ValueError(
            f"y has shape {y.shape}, which does not have the grid's {n_points} points along axis "
            f"{axis}; name the axis of the points with axis=."
        )
    return np.moveaxis(y, axis, -1)

"""Two layouts of X: a row is a field, or a row is a point of a field in a long table.

A layout turns X into batches of fields that share a grid, and says where their values belong in
the output. Everything behind it sees fields only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import column_or_1d

from skphys.constraints import (
    ConstraintSet,
    EqualitySystem,
    FieldTable,
    InequalitySystem,
    NonlinearSystem,
    merge_inequalities,
    widen,
)
from skphys.estimators._backbone import Backbone
from skphys.estimators._covariances import Where, correlation_lengths
from skphys.grids import ColumnGrid, FieldGroup, stack_tables
from skphys.predictive import Prediction

ALL: Any = slice(None)
MAX_VALUES = 1 << 25  # float64 values held at once while conditioning: 256 MiB
DRAWS = 256  # of a field under inequalities


@dataclass(frozen=True)
class PredictedFields:
    """Fields that are conditioned together: what is predicted, and what must hold.

    Attributes
    ----------
    prediction : Prediction
        What the backbone says, at ``n_points`` points.
    system : EqualitySystem
        What must hold there: `rows`, `values`, `noise`.
    inequalities : InequalitySystem
        What the mean must obey besides.
    where : Where
        Where the points are, and how errors there may be correlated.
    index : slice, ndarray of int of shape (n_fields,) or (n_fields, n_outputs)
        Where the outputs belong: ``out[index] = values``. Two axes are those of a long table.
    shown : slice or ndarray of int of shape (n_outputs,)
        The points that are returned; in a long table with nodes not all of them.
    stated : EqualitySystem or None
        With rows whose values are not known for these fields, NaN; `system` is without them. None
        where there are none.
    noise : ndarray of shape (n_fields, n_points) or None
        Parts of the variances that are noise of the measurement, by which no constraint moves a
        point.
    nonlinear : NonlinearSystem or None
        Nonlinear equalities, which the mean and each draw obey; None where there are none.
    """

    prediction: Prediction
    system: EqualitySystem
    inequalities: InequalitySystem
    where: Where
    index: Any
    shown: Any = field(default_factory=lambda: ALL)
    stated: EqualitySystem | None = None
    noise: np.ndarray | None = None
    nonlinear: NonlinearSystem | None = None

    @property
    def declared(self) -> EqualitySystem:
        """All rows, with NaN where a value is not known."""
        return self.system if self.stated is None else self.stated

    def by_known(self) -> Iterator[PredictedFields]:
        """Yield the batch in parts, in each of which the same values are known."""
        if not np.isnan(self.system.values).any():
            yield self
            return
        for part, system in self.system.by_known():
            yield replace(self.take(part), system=system, stated=self.system.take(part))

    def take(self, part: np.ndarray) -> PredictedFields:
        """Return some of the fields, by a mask or by their numbers."""
        index = self.first_rows() if isinstance(self.index, slice) else self.index
        return replace(
            self,
            prediction=self.prediction.take(part),
            system=self.system.take(part),
            inequalities=self.inequalities.take(part),
            index=index[part],
            stated=None if self.stated is None else self.stated.take(part),
            noise=None if self.noise is None else self.noise[part],
            nonlinear=None if self.nonlinear is None else self.nonlinear.take(part),
        )

    def first_rows(self) -> np.ndarray:
        """Return the row of X at which each field first occurs, of shape (n_fields,)."""
        if isinstance(self.index, slice):
            return self.index.start + np.arange(len(self.prediction.mean))
        return self.index if self.index.ndim == 1 else self.index.min(axis=1)


class FieldRows:
    """Each row of X is a field on one grid.

    Parameters
    ----------
    constraints : ConstraintSet
        What must hold, on that grid.
    """

    rows = "fields"

    def __init__(self, constraints: ConstraintSet) -> None:
        self.constraints = constraints

    def check(self, X: Any, y: np.ndarray, correlation_length: Any) -> np.ndarray:
        """Return y, after a check that it and the constraints fit the grid."""
        grid = self.constraints.grid
        n_points = 1 if y.ndim == 1 else y.shape[1]
        if grid.n_points != n_points:
            raise ValueError(
                f"y has {n_points} column(s), but the grid has {grid.n_points} points "
                f"{dict(zip(grid.names, grid.shape, strict=True))}: y must hold one field a row, "
                f"flattened in C order."
            )
        Where(grid).independent(correlation_length)  # raises if it does not fit the grid
        self.constraints.check_columns(X)
        return y

    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_samples, n_points)."""
        return (X.shape[0], self.constraints.grid.n_points)

    def batches(
        self,
        X: Any,
        backbone: Backbone,
        values: Mapping[str, Any] | None = None,
        correlated: bool = False,
    ) -> Iterator[PredictedFields]:
        """Yield consecutive samples, as many as memory allows at once.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, n_features)
            The caller's rows.
        backbone : Backbone
            Fitted.
        values : dict of str to array, optional
            Values by name of constraint, one for each row of X, in place of the declared ones.
        correlated : bool, default=False
            Whether errors are, so that a system of sparse rows takes dense arrays.
        """
        grid = self.constraints.grid
        prediction = backbone.ask(X, values)
        if prediction.mean.shape[1] != grid.n_points:
            raise ValueError(
                f"The backbone predicts {prediction.mean.shape[1]} point(s) a field, but the grid "
                f"has {grid.n_points}; fit it on fields of this grid."
            )
        size = X.shape[0]
        system, also, laws = self.systems(X, prediction, values)
        if prediction.constraints:
            handed, handed_too, handed_laws = zip(*prediction.constraints, strict=True)
            system = EqualitySystem.stacked([system, *handed], grid.n_points, size)
            also = merge_inequalities([also, *handed_too], grid.n_points, size)
            laws = NonlinearSystem.stacked([laws, *handed_laws])
        held = _values_per_field(prediction, system, correlated)
        held += 0 if laws is None else 3 * laws.size(grid.n_points)
        if also.names:  # draws, and what pushes fields back
            held += (2 * DRAWS + 2 * min(len(also.names), DRAWS)) * grid.n_points
        step = max(1, MAX_VALUES // held)
        for start in range(0, max(size, 1), step):
            part = slice(start, start + step)
            some = prediction if step >= size else prediction.take(part)
            fields = PredictedFields(
                some,
                system.take(part),
                also.take(part),
                Where(grid),
                part,
                nonlinear=None if laws is None else laws.take(part),
            )
            yield from fields.by_known()

    def systems(
        self, X: Any, prediction: Prediction, values: Mapping[str, Any] | None = None
    ) -> tuple[EqualitySystem, InequalitySystem, NonlinearSystem | None]:
        """State the constraints for the rows of X."""
        stated = self.constraints
        table = stated.table(X)
        equalities = stated.equalities(table, values, likely_fields(prediction))
        laws = stated.nonlinear(table, values) if stated.nonlinear_statements else None
        return equalities, stated.inequalities(table), laws

    def completed(self, X: Any) -> Any:
        """Return X: missing values of one row say nothing of another."""
        return X

    def labels(self, X: Any) -> np.ndarray:
        """Number the rows: each is a field."""
        return np.arange(X.shape[0])


class PointRows:
    """Each row of X is a point; rows that share the `by` columns make a field.

    Parameters
    ----------
    constraints : ConstraintSet
        What must hold, on a `ColumnGrid`.
    domain : dict
        What a field must cover, learned at fit.
    """

    rows = "points"

    def __init__(self, constraints: ConstraintSet, domain: Any = None) -> None:
        self.constraints = constraints
        self.domain = domain

    @property
    def grid(self) -> ColumnGrid:
        """Which columns are what."""
        return self.constraints.grid

    def check(self, X: Any, y: np.ndarray, correlation_length: Any) -> np.ndarray:
        """Return y, after a check that the table and the constraints fit the grid."""
        y = column_or_1d(y, warn=True)
        names = self.constraints.feature_names
        self.domain = self.grid.learn_domain(X, feature_names=names)
        correlation_lengths(correlation_length, self.grid.names)
        self.constraints.check_columns(X)
        for _, constraint in self.constraints.named:
            constraint.check_axes(self.grid.names)
        return y

    def output_shape(self, X: Any) -> tuple[int, ...]:
        """Return (n_rows,)."""
        return (X.shape[0],)

    def groups(self, X: Any) -> list[FieldGroup]:
        """Split X into groups of fields with the same points."""
        names = self.constraints.feature_names
        return self.grid.split(X, domain=self.domain, feature_names=names)

    def stated(self, X: Any, group: FieldGroup) -> tuple[ConstraintSet, FieldTable]:
        """Return the constraints on a group's grid, and the table of its fields."""
        names = self.constraints.feature_names
        table = FieldTable(group.by, lambda key: group.column(X, key), names)
        return self.constraints.on_grid(group.grid, group.interpolation), table

    def batches(
        self,
        X: Any,
        backbone: Backbone,
        values: Mapping[str, Any] | None = None,
        correlated: bool = False,
    ) -> Iterator[PredictedFields]:
        """Yield a batch for each group of fields that share their points.

        Parameters
        ----------
        X : array or DataFrame of shape (n_rows, n_features)
            The caller's rows.
        backbone : Backbone
            Fitted.
        values : dict of str to array, optional
            Values by name of constraint, one for each row of X, in place of the declared ones.
        correlated : bool, default=False
            As for rows that are fields, where it counts.
        """
        groups = self.groups(X)
        sizes = [(g.n_fields, g.n_nodes + g.n_outputs) for g in groups]
        predictions = backbone.ask_points(stack_tables([g.rows(X) for g in groups]), sizes)
        for group, (prediction, noise) in zip(groups, predictions, strict=True):
            prediction = _between(prediction, group)
            if prediction.constraints:
                raise ValueError(
                    "In a long table constrained estimators cannot be nested; give all "
                    "constraints to the outer one: constraints=[law, other_law]."
                )
            stated, table = self.stated(X, group)
            at_law = likely_fields(prediction)[..., : group.grid.n_points]
            given = {k: _by_field(v, group, X.shape[0], k) for k, v in (values or {}).items()}
            system = stated.equalities(table, given, at_law)
            n_queries = prediction.mean.shape[1] - group.n_nodes if group.n_nodes else 0
            yield from PredictedFields(
                prediction,
                _widened(system, n_queries),
                stated.inequalities(table),
                Where(group.grid, group.interpolation),
                group.index,
                _shown(group),
                noise=noise,
                nonlinear=stated.nonlinear(table, given),
            ).by_known()

    def completed(self, X: Any) -> Any:
        """Return X as the backbone sees it in batches: missing covariates filled from the field."""
        return self.grid.complete(X, feature_names=self.constraints.feature_names)

    def labels(self, X: Any) -> np.ndarray:
        """Number the fields."""
        return self.grid.labels(X, feature_names=self.constraints.feature_names)


Layout = FieldRows | PointRows


def layout_of(constraints: ConstraintSet, domain: Any = None) -> Layout:
    """Return the layout that goes with the grid."""
    if isinstance(constraints.grid, ColumnGrid):
        return PointRows(constraints, domain)
    return FieldRows(constraints)


def checked_rows(X: Any, grid: Any) -> Any:
    """Return X with a shape, after a check that it has rows and columns."""
    X = X.tocsr() if sparse.issparse(X) else X if hasattr(X, "shape") else np.asarray(X)
    table = isinstance(grid, ColumnGrid)
    if len(X.shape) < 2:
        raise ValueError(
            f"X must be 2-D, one row a {'point' if table else 'field'}; got shape {X.shape}. "
            f"Reshape your data, X.reshape(1, -1) for a single row."
        )
    if X.shape[0] == 0:
        raise ValueError(f"Found no row in X of shape {X.shape}, while a minimum of 1 is required.")
    # What the columns hold is the business of those who read them.
    plain = table and not hasattr(X, "columns")
    return check_array(X, input_name="X", ensure_all_finite=False) if plain else X


def likely_fields(prediction: Prediction) -> np.ndarray:
    """Return the members, which are fields that may be, or the mean, which is smoother than they.

    Shape (n_members, n_samples, n_points), or (n_samples, n_points).
    """
    members = prediction.member_means
    return prediction.mean if members is None else members


def _values_per_field(prediction: Prediction, system: EqualitySystem, correlated: bool) -> int:
    """Estimate how many float64 values conditioning one field holds."""
    n_rows, n_points = system.rows.shape
    members = prediction.member_means
    rank = 0 if members is None else len(members)
    correlated = correlated or prediction.cov is not None
    if sparse.issparse(system.rows) and not correlated and rank < n_rows:
        n_rows = 4 + 4 * system.rows.nnz // n_points  # the share of the rows and their factor
    wide = 4 + 3 * n_rows * (n_rows > 1) + 3 * rank
    if prediction.cov is not None:
        wide += 3 * n_points
    return int(wide * n_points)


def _widened(system: EqualitySystem, n_queries: int) -> EqualitySystem:
    """Let a system at the nodes leave the queries alone."""
    if not n_queries:
        return system
    noise_rows = tuple(widen(part, n_queries) for part in system.noise_rows)
    rows = widen(system.rows, n_queries)
    return EqualitySystem(rows, system.values, system.noise, system.names, noise_rows)


def _between(prediction: Prediction, group: FieldGroup) -> Prediction:
    """Make fields linear between nodes, which then hold all of their mass.

    But for backbones that say how sure they are at a point, and what goes with what: those know
    more of a point between nodes. Trees are steps, whose mass the nodes cannot know.
    """
    members = prediction.member_means
    own = prediction.std if members is None else prediction.member_stds
    if group.interpolation is None or own is not None or prediction.cov is not None:
        return prediction
    nodes = (prediction.mean[None] if members is None else members)[..., : group.n_nodes]
    queries = nodes @ group.interpolation.toarray().T
    members = np.concatenate([nodes, queries], axis=-1)
    return Prediction.of_members(members, constraints=prediction.constraints)


def _shown(group: FieldGroup) -> Any:
    """Return the points to show: a query at a node is that node, even if the backbone is noisy."""
    if group.interpolation is None:
        return ALL
    weights = group.interpolation.toarray()
    own = group.n_nodes + np.arange(len(weights))
    return np.where(weights.max(axis=1) == 1.0, weights.argmax(axis=1), own)


def _by_field(values: Any, group: FieldGroup, n_rows: int, name: str) -> Any:
    """Pick each field's value from values given for each row of a long table."""
    array = np.asarray(values)
    if array.ndim == 0:
        return array
    if array.shape[0] != n_rows:
        raise ValueError(
            f"constraint_values[{name!r}] has shape {array.shape}; in a long table give one value "
            f"for each of the {n_rows} rows of X."
        )
    by_field = array[group.index]
    first = by_field[:, :1]
    if ((by_field != first) & ((by_field == by_field) | (first == first))).any():
        raise ValueError(f"constraint_values[{name!r}] varies within a field.")
    return by_field[:, 0]

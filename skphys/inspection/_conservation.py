"""A figure of a conserved total along the axis that a law leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.utils import _safe_indexing

from skphys.constraints import (
    Constraint,
    ConstraintSet,
    FieldTable,
    NonlinearConstraint,
    OverStep,
    columns_of,
    name_constraints,
)
from skphys.grids import Components, Grid
from skphys.inspection._models import by_name, grid_of, held, opened, predictions_by_name
from skphys.inspection._plotting import (
    TRUTH,
    check_coverage,
    check_std,
    dot,
    draw_band,
    import_pyplot,
    of_model,
    one_axes,
    style,
)
from skphys.inspection._select import place_of, rows_of_sample, truth_of
from skphys.metrics import as_finite


class ConservationDisplay:
    """The total of a field at each time, as predicted and as a law knows it.

    Make it by `from_estimator`, which shows it with and without the law, or by `from_predictions`.
    The law integrates over some axes and leaves one, usually time, such as a `ConservationLaw` or
    an `EnergyLaw` with ``over="x"``. Bands are those of the totals of draws.

    Parameters
    ----------
    at : array-like of shape (n_rows,)
        Where the totals are on the axis.
    known : array-like of shape (n_rows,)
        The values of the law; NaN where they are not known.
    totals : dict of str to array-like of shape (n_rows,)
        Those of predicted fields by model.
    stds : dict of str to array-like of shape (n_rows,), default=None
        Their standard deviations, where there are any.
    axis : str, default="t"
        What the axis is called.
    name : str, default="total"
        What the totals are called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    lines_, bands_ : dict of str to matplotlib Artist
        By model.
    known_ : matplotlib Artist
        The values of the law.

    See Also
    --------
    ConstraintErrorDisplay : How far many fields miss each constraint.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import ConservationLaw
    >>> from skphys.grids import Grid
    >>> from skphys.inspection import ConservationDisplay
    >>> grid = Grid(t=[0.0, 0.5, 1.0], x=np.linspace(0.0, 1.0, 5))
    >>> law = ConservationLaw(over="x", initial=1.0, inflow=2.0)
    >>> display = ConservationDisplay.from_predictions(None, np.ones(15), law=law, grid=grid)
    >>> display.known.tolist(), display.totals["prediction"].tolist()
    ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        *,
        at: Any,
        known: Any,
        totals: Mapping[str, Any],
        stds: Mapping[str, Any] | None = None,
        axis: str = "t",
        name: str = "total",
    ) -> None:
        self.at = at
        self.known = known
        self.totals = totals
        self.stds = stds
        self.axis = axis
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        law: Any = None,
        grid: Any = None,
        sample: int = 0,
        n_draws: int = 100,
        random_state: Any = 0,
        **kwargs: Any,
    ) -> ConservationDisplay:
        """Predict one field, and draw its totals.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            One or several fitted regressors of fields, by name. A single one that has the law is
            also shown as it predicts where the values of the law are not known.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field; one row a point with a ColumnGrid.
        y : array-like of shape (n_samples, n_points), default=None
            The true fields, whose totals are shown, too: they miss the law by the error of its
            rule.
        law : str, Constraint or NonlinearConstraint, default=None
            The law, or its name among the ``constraints_`` of the estimators; None is the first of
            these that leaves one axis.
        grid : Grid, Mesh, Components or ColumnGrid, default=None
            Where the fields live; None takes that of the first estimator that has one. That of a
            `RolloutRegressor` gets the times of its steps, and an `OverStep` counts as the law in
            it. Give both where values of the law differ from step to step.
        sample : int, default=0
            Which field, negative numbers from the end; with a ColumnGrid, as `ColumnGrid.labels`
            numbers them.
        n_draws : int, default=100
            Number of draws (``sample_y``) that bands are made of; 0 draws no bands.
        random_state : int, RandomState instance or None, default=0
            Source of the draws.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        ConservationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no such law, or it does not leave one axis.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        models = {label: opened(model, X) for label, model in by_name(estimator).items()}
        (step, seen), *_ = sorted(models.values(), key=lambda model: not held(model[0]))
        named = held(step)
        if grid is None and hasattr(step, "n_steps_fitted_"):
            grid, named = _over_steps(step, law)
        if grid is None:
            grids = (grid_of(model) for model, _ in [(step, seen), *models.values()])
            grid = next((found for found in grids if found is not None), None)
        (rows, own, grid, table), given = rows_of_sample(step, seen, sample, grid), grid
        name, law = _chosen(law, named, grid)
        draw = {"n_draws": n_draws, "random_state": random_state}
        whole = (rows >= 0).all()  # else it is at nodes, and X is not
        fields = {
            label: _predict(
                model,
                _safe_indexing(shown, rows)
                if whole
                else rows_of_sample(model, shown, sample, given)[1],
                **draw,
            )
            for label, (model, shown) in models.items()
        }
        if name in held(step) and not isinstance(estimator, Mapping):
            unknown = {name: np.full((rows.size, _measure(law, grid, table)[1].size), np.nan)}
            before = _predict(step, own, constraint_values=unknown, **draw)
            (after,) = fields.values()
            fields = {f"without {name}": before, f"with {name}": after}
        truth = truth_of(y, seen, rows)
        return cls._of(truth, fields, (name, law), grid, table, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        law: Any,
        grid: Any,
        X: Any = None,
        sample: int = 0,
        **kwargs: Any,
    ) -> ConservationDisplay:
        """Draw the totals of one sample of predicted fields.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_points) or (n_points,), or None
            The true fields, whose totals are shown, too.
        y_pred : dict of str to array-like of the same shape, or one such array
            Predicted fields by model, or pairs (mean, draws) with draws of shape (n_samples,
            n_points, n_draws), as ``sample_y`` returns them. Of a pair (mean, std) the mean is
            shown: standard deviations of points do not say that of their total.
        law : Constraint or NonlinearConstraint
            The law, or a pair of its name and it.
        grid : Grid, Mesh or Components
            Where the fields live.
        X : {array-like, DataFrame} of shape (n_samples, n_features), default=None
            Where the law takes its values from.
        sample : int, default=0
            The row to show; negative numbers count from the end.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        ConservationDisplay
            The display, drawn.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        stated = _chosen(law, {}, grid)
        table = FieldTable(np.empty((1, 0)))
        if X is not None:
            table = rows_of_sample(None, X, sample, grid)[-1]
        fields = {}
        for label, pair in predictions_by_name(y_pred).items():
            mean, spread = pair if isinstance(pair, tuple) else (pair, None)
            draws = spread if np.ndim(spread) == np.ndim(mean) + 1 else None
            one = np.ndim(mean) == 1
            fields[label] = tuple(_row(label, part, sample, one) for part in (mean, draws))
        truth = _row("y_true", y_true, sample, np.ndim(y_true) == 1)
        return cls._of(truth, fields, stated, grid, table, **kwargs)

    @classmethod
    def _of(
        cls,
        truth: Any,
        fields: Mapping[str, Any],
        stated: tuple[str, Any],
        grid: Any,
        table: FieldTable,
        **kwargs: Any,
    ) -> ConservationDisplay:
        """Draw the totals of fields, (n_points,), each with its draws, (n_points, n_draws)."""
        name, law = stated
        axis, points = _axis_of(name, law, grid)
        totals, known = _measure(law, grid, table)
        fields = dict(fields) | ({} if truth is None else {"truth": (truth, None)})
        display = cls(
            at=points[points.size - known.size :],  # changes stand at the ends of their intervals
            known=known,
            totals={label: totals(mean[None])[0] for label, (mean, _) in fields.items()},
            stds={
                label: totals(draws.T).std(axis=0, ddof=1)
                for label, (_, draws) in fields.items()
                if draws is not None
            },
            axis=axis,
            name=name if known.size == points.size else f"change of {name}",
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        coverage: float = 0.9,
        line_kwargs: Mapping[str, dict[str, Any]] | dict[str, Any] | None = None,
        band_kwargs: dict[str, Any] | None = None,
        known_kwargs: dict[str, Any] | None = None,
    ) -> ConservationDisplay:
        """Draw the totals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        coverage : float, default=0.9
            Probability of the bands, between 0 and 1.
        line_kwargs : dict, default=None
            Style of the predicted totals (``Axes.plot``), or of each by the name of its model.
        band_kwargs, known_kwargs : dict, default=None
            Style of the bands (``Axes.fill_between``) and of the known totals.

        Returns
        -------
        ConservationDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        check_coverage(coverage)
        for label, std in (self.stds or {}).items():
            check_std(f"the std of {label!r}", std)
        ax = one_axes(plt, ax)
        reach = norm.ppf(0.5 + 0.5 * coverage)
        self.lines_: dict[str, Any] = {}
        self.bands_: dict[str, Any] = {}
        for label, total in self.totals.items():
            one = np.size(total)
            defaults = TRUTH | dot(one, "x") if label == "truth" else {"label": label, **dot(one)}
            own = style(defaults, of_model(line_kwargs, label, self.totals))
            (self.lines_[label],) = ax.plot(self.at, total, **own)
            if label in (self.stds or {}):
                half = reach * np.asarray(self.stds[label])  # type: ignore[index]
                self.bands_[label] = draw_band(ax, self.lines_[label], half, band_kwargs)
        defaults = {"color": "black", "linestyle": "", "marker": ".", "label": "known"}
        (self.known_,) = ax.plot(self.at, self.known, **style(defaults, known_kwargs))
        ax.set(xlabel=self.axis, ylabel=self.name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _chosen(law: Any, named: dict[str, Any], grid: Any) -> tuple[str, Any]:
    """Return the law that is meant, with its name."""
    if law is None:
        laws = [name for name in named if len(_remaining(named[name], grid)) == 1]
        if not laws:
            raise ValueError(
                f"law must say whose total to show: none of the constraints {list(named)} is an "
                f"integral that leaves one axis of {grid!r}."
            )
        law = laws[0]
    if not isinstance(law, str):
        ((name, law),) = name_constraints([law])
        return next(((n, own) for n, own in named.items() if own is law), (name, law))
    if law not in named:
        raise ValueError(f"law={law!r} is not among the constraints {list(named)}.")
    return law, named[law]


def _over_steps(model: Any, law: Any) -> tuple[Any, dict[str, Any]]:
    """Return the grid of all steps of a rollout, and the laws of its operator on it, by name.

    Without laws whose values the operator is told anew at each step.
    """
    steps = np.arange(1.0, 1.0 + (model.n_steps or model.n_steps_fitted_))
    named, laws, times = held(model.estimator_), {}, {"t": steps}
    for name, constraint in named.items():
        over = isinstance(constraint, OverStep)
        own = constraint.law if over else constraint
        times = {constraint.time: constraint.length * steps} if over else times
        values = [getattr(own, parameter) for parameter in own.value_parameters]
        if not any(callable(v) or (model.by_step and columns_of(v)) for v in values):
            laws[name] = own
    if not isinstance(model.grid_, Grid) or (law in (None, *named) and not laws):
        raise ValueError(
            f"The grid of {type(model).__name__} is that of one step, and the values of "
            f"{list(named)} too. Give the grid of all steps of predict, e.g. grid=Grid(t=[1, 2, "
            f"3], x=...), and a law on it, e.g. law=ConservationLaw(over='x', inflow=0.0)."
        )
    return Grid(**times, **model.grid_.axes), laws


def _remaining(law: Any, grid: Any) -> tuple[str, ...]:
    """Return the axes that a law's integral leaves; none of what is no integral."""
    if not isinstance(law, Constraint | NonlinearConstraint) or not hasattr(law, "over"):
        return ()
    return _part(law, grid).remaining(law.over)


def _part(law: Any, grid: Any) -> Any:
    """Return the grid that a law integrates over."""
    if not isinstance(grid, Components):
        return grid
    return grid[getattr(law, "component", None) or next(iter(grid))]


def _axis_of(name: str, law: Any, grid: Any) -> tuple[str, np.ndarray]:
    """Return the axis that a law leaves, and its points."""
    left = _remaining(law, grid)
    if len(left) != 1:
        raise ValueError(
            f"The law {name!r} must be an integral that leaves one axis, e.g. over='x' on a grid "
            f"of t and x; {law!r} leaves {list(left)} of {grid!r}. ConstraintErrorDisplay shows "
            f"any other."
        )
    return left[0], _part(law, grid)[left[0]]


def _measure(law: Any, grid: Any, table: FieldTable) -> tuple[Any, np.ndarray]:
    """Return the function from fields, (n_fields, n_points), to totals, and the known ones."""
    stated = ConstraintSet([("law", law)], grid)
    nonlinear = stated.nonlinear(table)
    if nonlinear is not None:
        return nonlinear.evaluate, nonlinear.values[0]
    system = stated.equalities(table, fields=np.zeros((1, grid.n_points)))
    return lambda fields: fields @ system.rows.T, system.values[0]


def _predict(step: Any, table: Any, n_draws: int, random_state: Any, **options: Any) -> Any:
    """Return the mean of one field, flat, and its draws, or None."""
    mean = np.ravel(step.predict(table, **options))
    if not n_draws or not hasattr(step, "sample_y"):
        return mean, None
    draws = step.sample_y(table, n_draws, random_state=random_state, **options)
    return mean, np.reshape(draws, (mean.size, n_draws))


def _row(name: str, values: Any, sample: int, one: bool) -> Any:
    """Return one field of several, or the only one."""
    if values is None:
        return None
    values = as_finite(name, values)
    return values if one else values[place_of(sample, len(values), name)]

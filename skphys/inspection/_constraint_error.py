"""A figure of how far fields miss their constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skphys.constraints import (
    Constraint,
    NonlinearConstraint,
    boundary_constraints,
    name_constraints,
)
from skphys.inspection._models import (
    by_name,
    grid_of,
    held,
    mean_of,
    opened,
    predictions_by_name,
)
from skphys.inspection._plotting import import_pyplot, one_axes, style
from skphys.metrics import constraint_misses

FLOOR = 1e-17  # where exact zeros are drawn on the relative scale
HEIGHT = 0.6  # of the strips of one model together


class ConstraintErrorDisplay:
    """By how much the fields of several models miss each constraint, on a logarithmic scale.

    Make it by `from_estimator` or `from_predictions`. One strip for each model and constraint has
    a dot for each field and a mark at their median; laws and boundary conditions share the scale,
    because errors are relative to their terms: 1e-16 is rounding, 1 is all wrong.

    Parameters
    ----------
    errors : dict of str to dict of str to array-like of shape (n_samples,)
        By model, by constraint: the error of each field.
    relative : bool, default=True
        What the axis says of the errors.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    dots_, medians_ : dict of str to matplotlib Artist
        By constraint.

    See Also
    --------
    FieldDisplay : A figure of one field.
    skphys.metrics.conservation_error : The numbers, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.constraints import ConservationLaw
    >>> from skphys.grids import Grid
    >>> from skphys.inspection import ConstraintErrorDisplay
    >>> fields = np.random.default_rng(0).uniform(size=(20, 8))
    >>> display = ConstraintErrorDisplay.from_predictions(
    ...     None,
    ...     {"raw": fields, "scaled": fields / fields.sum(axis=1, keepdims=True)},
    ...     constraints=ConservationLaw(total=1.0),
    ...     grid=Grid.unit(8),
    ... )
    >>> bool(np.max(display.errors["scaled"]["conservationlaw"]) < 1e-15)
    True
    """

    def __init__(self, *, errors: Mapping[str, Mapping[str, Any]], relative: bool = True) -> None:
        self.errors = errors
        self.relative = relative

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        constraints: Any = None,
        boundary: Any = None,
        grid: Any = None,
        relative: bool = True,
        **kwargs: Any,
    ) -> ConstraintErrorDisplay:
        """Predict, and draw the errors.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            One or several fitted regressors of fields, by name.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field, or one row a point with a ColumnGrid; also where constraints take
            their values from.
        y : array-like of shape (n_samples, n_points), default=None
            The true fields, which get a strip of their own.
        constraints, boundary, grid, relative
            As in `from_predictions`. With neither constraints nor boundary, the ``constraints_``
            of the first estimator that has some are taken, and without a grid the first ``grid_``.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        ConstraintErrorDisplay
            The display, drawn.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        models = by_name(estimator)
        predicted = {name: model.predict(X) for name, model in models.items()}
        if constraints is None and boundary is None:
            stated = (opened(model, X) for model in models.values() if held(model))
            step, X = next(stated, (None, X))
            constraints = list(held(step).items())
        if grid is None:
            grids = map(grid_of, models.values())
            grid = next((found for found in grids if found is not None), None)
        what = {"constraints": constraints, "boundary": boundary, "grid": grid, "X": X}
        return cls.from_predictions(y, predicted, **what, relative=relative, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        constraints: Any = None,
        boundary: Any = None,
        grid: Any = None,
        X: Any = None,
        relative: bool = True,
        **kwargs: Any,
    ) -> ConstraintErrorDisplay:
        """Draw the errors of predicted fields.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_points), or None
            The true fields, which get a strip "truth": exact solutions miss what is stated on a
            grid, too, by the error of the grid's rules.
        y_pred : dict of str to array-like of shape (n_samples, n_points), or one such array
            Predicted fields by model, or pairs (mean, std) of them, whose means are shown; what
            has no name is called "prediction".
        constraints : Constraint, list of Constraint or list of (str, Constraint), default=None
            Equalities that should hold.
        boundary : dict, default=None
            Boundary conditions by axis that should hold, besides the constraints.
        grid : Grid, Mesh, Components or ColumnGrid, default=None
            Where the fields live; None is unit cells. With a ColumnGrid fields are as in `predict`,
            one value for each row of X.
        X : {array-like, DataFrame} of shape (n_samples, n_features), default=None
            Where constraints take their values from.
        relative : bool, default=True
            Divide the error of each row, ``|G u - b|``, by its terms, ``|G| |u| + |b|``, or where
            the field is next to nothing by those of a thousandth of its usual size. The largest of
            a constraint's rows is shown; fields for which no value is known have none.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        ConstraintErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If nothing is said to hold, or the fields do not fit the grid.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        named = _all_named(constraints, boundary, grid)
        fields = {} if y_true is None else {"truth": y_true}
        fields |= predictions_by_name(y_pred)
        errors = {
            name: constraint_misses(name, mean_of(y), named, grid, X, relative)
            for name, y in fields.items()
        }
        return cls(errors=errors, relative=relative).plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        floor: float = FLOOR,
        dot_kwargs: dict[str, Any] | None = None,
        median_kwargs: dict[str, Any] | None = None,
    ) -> ConstraintErrorDisplay:
        """Draw the errors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        floor : float, default=1e-17
            Smaller errors, and zeros, are drawn here.
        dot_kwargs, median_kwargs : dict, default=None
            Style of the dots and the marks (``Axes.plot``).

        Returns
        -------
        ConstraintErrorDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        if not (np.isfinite(floor) and floor > 0.0):
            raise ValueError(f"floor must be a positive number; got {floor!r}.")
        names = list(dict.fromkeys(name for errors in self.errors.values() for name in errors))
        size = (6.4, 1.2 + 0.25 * len(self.errors) * (1 + len(names)))
        ax = one_axes(plt, ax, figsize=size)
        ax.set_xscale("log")
        self.dots_: dict[str, Any] = {}
        self.medians_: dict[str, Any] = {}
        for i, name in enumerate(names):
            offset = (i + 0.5) / len(names) * HEIGHT - 0.5 * HEIGHT
            self._draw(ax, name, offset, floor, dot_kwargs, median_kwargs)
        kind = "relative error" if self.relative else "error"
        ax.set(xlabel=f"{kind} of the constraint", yticks=range(len(self.errors)))
        ax.set(yticklabels=list(self.errors), ylim=(len(self.errors) - 0.5, -0.5))
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(self, ax: Any, name: str, offset: float, floor: float, dots: Any, mark: Any) -> None:
        """Draw the strips of one constraint, one for each model that has it."""
        rows = [
            (i, errors[name]) for i, errors in enumerate(self.errors.values()) if name in errors
        ]
        values = [np.maximum(np.asarray(error, dtype=np.float64), floor) for _, error in rows]
        heights = [np.full(v.size, i + offset) for (i, _), v in zip(rows, values, strict=True)]
        defaults: dict[str, Any] = {"marker": "o", "linestyle": "", "alpha": 0.3, "markersize": 3}
        (self.dots_[name],) = ax.plot(
            np.concatenate(values), np.concatenate(heights), **style(defaults, dots)
        )
        defaults = {"marker": "D", "linestyle": "", "markersize": 6, "markeredgecolor": "white"}
        defaults |= {"color": self.dots_[name].get_color(), "label": name}
        medians = [np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else np.nan for v in values]
        (self.medians_[name],) = ax.plot(
            medians, [i + offset for i, _ in rows], **style(defaults, mark)
        )


def _all_named(constraints: Any, boundary: Any, grid: Any) -> list[tuple[str, Any]]:
    """Return all equalities that should hold, by name."""
    named = name_constraints(constraints)
    named += [] if boundary is None else boundary_constraints(boundary, grid)
    kinds = Constraint | NonlinearConstraint
    if not any(isinstance(constraint, kinds) for _, constraint in named):
        raise ValueError("Say what should hold: give constraints=, boundary= or both.")
    return named

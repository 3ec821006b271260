"""A figure of where a front is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skphys.grids import Grid
from skphys.inspection._models import by_name, opened, predictions_by_name
from skphys.inspection._plotting import TRUTH, import_pyplot, of_model, one_axes, style
from skphys.inspection._select import Selection, rows_of_sample, truth_of
from skphys.metrics import shock_position


class FrontDisplay:
    """The distribution of a front's position over draws of a field, and where it truly is.

    Make it by `from_estimator` or `from_predictions`. A front is where a profile crosses a
    threshold, as `skphys.metrics.shock_position` finds it.

    Parameters
    ----------
    positions : dict of str to array-like of shape (n_draws,)
        By model: where the front is in each draw; NaN where there is none.
    true_position : float, default=None
        Where it truly is.
    axis : str, default="x"
        What the axis is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    histograms_ : dict of str to matplotlib Artist
        By model.
    truth_ : matplotlib Artist or None
        The line at the true position.

    See Also
    --------
    skphys.metrics.shock_position : The positions.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import Grid
    >>> from skphys.inspection import FrontDisplay
    >>> grid = Grid(x=[0.0, 1.0, 2.0, 3.0])
    >>> draws = np.array([[1, 1, 0, 0], [1, 0, 0, 0]]).T  # (n_points, n_draws)
    >>> display = FrontDisplay.from_predictions([1, 1, 0, 0], draws, grid=grid)
    >>> display.positions["prediction"].tolist(), display.true_position
    ([1.5, 0.5], 1.5)
    """

    def __init__(
        self,
        *,
        positions: Mapping[str, Any],
        true_position: float | None = None,
        axis: str = "x",
    ) -> None:
        self.positions = positions
        self.true_position = true_position
        self.axis = axis

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        sample: int = 0,
        grid: Any = None,
        n_draws: int = 1000,
        random_state: Any = 0,
        **kwargs: Any,
    ) -> FrontDisplay:
        """Draw one field many times (``sample_y``), and show where its front is.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            One or several fitted regressors of fields that have ``sample_y``, by name.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field; one row a point with a ColumnGrid.
        y : array-like of shape (n_samples, n_points), default=None
            The true fields.
        sample : int, default=0
            Which field, negative numbers from the end; with a ColumnGrid, as `ColumnGrid.labels`
            numbers them.
        grid : Grid, Components or ColumnGrid, default=None
            Where the fields live; None takes that of each estimator.
        n_draws : int, default=1000
            Number of draws.
        random_state : int, RandomState instance or None, default=0
            Source of the draws.
        **kwargs : dict
            As in `from_predictions`.

        Returns
        -------
        FrontDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If an estimator has no ``sample_y``.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        draws, truth, shape = {}, None, grid
        for name, model in by_name(estimator).items():
            step, seen = opened(model, X)
            if not hasattr(step, "sample_y"):
                raise TypeError(
                    f"{name} has no sample_y, of which a distribution of positions is made; wrap "
                    f"it in a ConservationConstrainedRegressor with error_model='residual'."
                )
            rows, table, shape, _ = rows_of_sample(step, seen, sample, grid)
            draws[name] = np.reshape(step.sample_y(table, n_draws, random_state), (-1, n_draws))
            truth = truth_of(y, seen, rows)
        return cls.from_predictions(truth, draws, grid=shape, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        grid: Any,
        sample: int = 0,
        component: str | None = None,
        at: dict[str, float] | None = None,
        threshold: float | None = None,
        crossing: str = "last",
        **kwargs: Any,
    ) -> FrontDisplay:
        """Show where the front is in draws of fields.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_points) or (n_points,), or None
            The true fields.
        y_pred : dict of str to array-like of shape (n_samples, n_points, n_draws), or one of these
            Draws by model, as ``sample_y`` returns them; of one field also (n_points, n_draws).
        grid : Grid or Components
            Where the fields live.
        sample : int, default=0
            The row to show; negative numbers count from the end.
        component : str, default=None
            The component to show; needed with Components.
        at : dict of str to float, default=None
            Coordinates at which to cut through axes, so that one is left; the nearest point is
            taken.
        threshold, crossing
            As in `skphys.metrics.shock_position`: None is halfway between the smallest and the
            largest value of each draw.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        FrontDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If arrays do not fit the grid, or more than one axis is left.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        select = Selection(grid, sample, component, at)
        if not isinstance(select.grid, Grid) or select.grid.n_axes != 1:
            raise ValueError(
                f"a front is a place on one axis, but what is left is {select.grid!r}; cut through "
                f"the others by at=, or interpolate a mesh to a line."
            )
        options: dict[str, Any] = {"threshold": threshold, "crossing": crossing}
        positions = {}
        for name, draws in predictions_by_name(y_pred).items():
            profiles: list[Any] = [
                select(name, draw) for draw in np.moveaxis(np.asarray(draws), -1, 0)
            ]
            positions[name] = shock_position(np.stack(profiles), select.grid, **options)
        truth = select("y_true", y_true)
        display = cls(
            positions=positions,
            true_position=None
            if truth is None
            else float(shock_position(truth, select.grid, **options)),
            axis=select.grid.names[0],
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        bins: Any = 50,
        bar_kwargs: Mapping[str, dict[str, Any]] | dict[str, Any] | None = None,
        truth_kwargs: dict[str, Any] | None = None,
    ) -> FrontDisplay:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        bins : int or array-like, default=50
            Number of bins over the positions of all models, or their edges.
        bar_kwargs : dict, default=None
            Style of the histograms (``Axes.stairs``), or of each by the name of its model.
        truth_kwargs : dict, default=None
            Style of the true position (``Axes.axvline``).

        Returns
        -------
        FrontDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        ax = one_axes(plt, ax)
        found = {name: np.asarray(x)[np.isfinite(x)] for name, x in self.positions.items()}
        edges = np.histogram_bin_edges(np.concatenate([*found.values()]), bins)
        self.histograms_: dict[str, Any] = {}
        for name, x in found.items():
            missing = 1.0 - x.size / np.size(self.positions[name])
            label = f"{name}, {missing:.0%} without" if missing else name
            # Of all draws, so that those without a front are missing from the area, too.
            density = np.histogram(x, edges)[0] / np.diff(edges) / np.size(self.positions[name])
            own = style(
                {"label": label, "fill": True, "alpha": 0.6}, of_model(bar_kwargs, name, found)
            )
            self.histograms_[name] = ax.stairs(density, edges, **own)
        self.truth_: Any = None
        if self.true_position is not None and np.isfinite(self.true_position):
            self.truth_ = ax.axvline(self.true_position, **style(TRUTH, truth_kwargs))
        ax.set(xlabel=f"position of the front, {self.axis}", ylabel="density")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

"""A figure of one field."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from skphys.grids import Components, Grid
from skphys.inspection._plotting import cell_edges, check_coverage, import_pyplot, style
from skphys.inspection._select import Selection, predict_sample

PANELS = ("truth", "mean", "error", "std")


class FieldDisplay:
    """One predicted field: a profile with a band, or images with the truth and the error.

    Make it by `from_estimator` or `from_predictions`. On one axis it is a profile of the mean
    with a band and the truth; on two it is an image of the mean, and, with the truth, images of
    that and of the error, and, with a standard deviation, an image of that.

    Parameters
    ----------
    mean : array-like of shape (n_points,)
        The field, C order over the grid.
    grid : Grid
        Where it lives, one or two axes.
    std : array-like of shape (n_points,), default=None
        Its standard deviation.
    y_true : array-like of shape (n_points,), default=None
        The true field.
    name : str, default="field"
        What the values are called in the figure.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, or the first of them.
    axes_ : ndarray of matplotlib Axes
        All panels.
    figure_ : matplotlib Figure
        The figure.
    line_, band_, truth_ : matplotlib Artist or None
        The parts of a profile.
    images_ : dict of str to matplotlib Artist
        The images by panel.

    See Also
    --------
    ConstraintErrorDisplay : By how much fields miss constraints.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.grids import Grid
    >>> from skphys.inspection import FieldDisplay
    >>> grid = Grid(x=np.linspace(0, 1, 32))
    >>> truth = np.sin(3 * grid["x"])
    >>> mean, std = truth + 0.1, np.full(32, 0.1)
    >>> display = FieldDisplay.from_predictions(truth, (mean, std), grid=grid)
    >>> display.ax_.get_xlabel()
    'x'
    """

    def __init__(
        self, *, mean: Any, grid: Grid, std: Any = None, y_true: Any = None, name: str = "field"
    ) -> None:
        self.mean = mean
        self.grid = grid
        self.std = std
        self.y_true = y_true
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        sample: int = 0,
        grid: Any = None,
        component: str | None = None,
        at: dict[str, float] | None = None,
        coverage: float | None = 0.9,
        **kwargs: Any,
    ) -> FieldDisplay:
        """Predict one sample and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor of fields, or a pipeline that ends with one.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field; one row a point with a ColumnGrid.
        y : array-like of shape (n_samples, n_points), default=None
            The true fields, in the order of X.
        sample : int, default=0
            Which field; with a ColumnGrid, as `ColumnGrid.labels` numbers them.
        grid : Grid, Components or ColumnGrid, default=None
            Where the fields live; None takes the estimator's.
        component, at, coverage
            As in `from_predictions`. If the estimator's predict has no ``return_std``, or
            coverage is None, only the mean is shown.
        **kwargs : dict
            As in `from_predictions`.

        Returns
        -------
        FieldDisplay
            The display, drawn.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        mean, std, truth, grid = predict_sample(estimator, X, y, sample, grid, coverage is not None)
        return cls.from_predictions(
            truth,
            mean if std is None else (mean, std),
            grid=grid,
            component=component,
            at=at,
            coverage=coverage,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        grid: Grid | Components | None = None,
        sample: int = 0,
        component: str | None = None,
        at: dict[str, float] | None = None,
        name: str | None = None,
        coverage: float | None = 0.9,
        ax: Any = None,
        **kwargs: Any,
    ) -> FieldDisplay:
        """Draw one sample of predicted fields.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_points) or (n_points,), or None
            The true fields; None draws none.
        y_pred : array-like of the same shape, or a pair (mean, std) of such arrays
            Predicted fields. A pair is a tuple, as ``predict(X, return_std=True)`` returns it.
        grid : Grid or Components, default=None
            Where the fields live; None is unit cells.
        sample : int, default=0
            The row to show.
        component : str, default=None
            The component to show; needed with Components.
        at : dict of str to float, default=None
            Coordinates at which to cut through axes, so that one or two are left; the nearest
            point is taken.
        name : str, default=None
            What the values are called; None is the component, or "field".
        coverage, ax
            As in `plot`.
        **kwargs : dict
            More of `plot`.

        Returns
        -------
        FieldDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If arrays do not fit the grid, a component, an axis or a sample does not exist, or
            more than two axes are left.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        mean, std = y_pred if isinstance(y_pred, tuple) else (y_pred, None)
        grid = Grid.unit(np.shape(mean)[-1]) if grid is None else grid
        select = Selection(grid, sample, component, at)
        display = cls(
            mean=select("mean", mean),
            grid=select.grid,
            std=select("std", std),
            y_true=select("y_true", y_true),
            name=name or component or "field",
        )
        return display.plot(ax, coverage=coverage, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        coverage: float | None = 0.9,
        label: str | None = None,
        panels: Any = None,
        line_kwargs: dict[str, Any] | None = None,
        band_kwargs: dict[str, Any] | None = None,
        truth_kwargs: dict[str, Any] | None = None,
        image_kwargs: dict[str, Any] | None = None,
    ) -> FieldDisplay:
        """Draw the field.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw, one for each panel; None makes a figure.
        coverage : float or None, default=0.9
            Probability of a profile's band, between 0 and 1; None draws none.
        label : str, default=None
            What the profile is called in the legend, where its band then goes unnamed; None is
            "prediction".
        panels : list of {"truth", "mean", "error", "std"}, default=None
            The images of a field with two axes; None is all that there is data for.
        line_kwargs, band_kwargs, truth_kwargs : dict, default=None
            Style of the mean (``Axes.plot``), the band (``Axes.fill_between``) and the truth.
        image_kwargs : dict, default=None
            Style of the images of truth and mean (``Axes.pcolormesh``).

        Returns
        -------
        FieldDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        self.line_: Any = None
        self.band_: Any = None
        self.truth_: Any = None
        self.images_: dict[str, Any] = {}
        if self.grid.n_axes == 1:
            ax = plt.subplots()[1] if ax is None else ax
            self.axes_ = np.array([ax])
            self._draw_band(ax, coverage, line_kwargs, band_kwargs, label)
            self._draw_truth(ax, truth_kwargs)
            ax.set(xlabel=self.grid.names[0], ylabel=self.name)
            ax.legend()
        else:
            self._draw_images(plt, ax, self._panels(panels), image_kwargs)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _draw_band(self, ax: Any, coverage: Any, line: Any, band: Any, label: str | None) -> None:
        x = self.grid[self.grid.names[0]]
        line = style({"label": label or "prediction"}, line)
        (self.line_,) = ax.plot(x, self.mean, **line)
        if self.std is None or coverage is None:
            return
        check_coverage(coverage)
        half = norm.ppf(0.5 + 0.5 * coverage) * np.asarray(self.std)
        defaults = {"color": self.line_.get_color(), "alpha": 0.25, "linewidth": 0}
        if label is None:
            defaults["label"] = f"{coverage:.0%} band"
        self.band_ = ax.fill_between(x, self.mean - half, self.mean + half, **style(defaults, band))

    def _draw_truth(self, ax: Any, given: Any) -> None:
        if self.y_true is not None:
            defaults = {"color": "black", "linewidth": 1.0, "linestyle": "--", "label": "truth"}
            x = self.grid[self.grid.names[0]]
            (self.truth_,) = ax.plot(x, self.y_true, **style(defaults, given))

    def _panels(self, wanted: Any) -> list[str]:
        missing = {"truth", "error"} if self.y_true is None else set()
        missing |= {"std"} if self.std is None else set()
        possible = [panel for panel in PANELS if panel not in missing]
        if wanted is None:
            return possible
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        if not wanted or not set(wanted) <= set(possible):
            raise ValueError(
                f"panels must be of {possible} here (truth and error need y_true, std needs std); "
                f"got {wanted}."
            )
        return wanted

    def _draw_images(self, plt: Any, ax: Any, panels: list[str], given: Any) -> None:
        if ax is None:
            size = (3.6 * len(panels), 3.0)
            _, ax = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
        self.axes_ = np.ravel(ax)
        if len(self.axes_) != len(panels):
            raise ValueError(
                f"ax must hold one Axes for each of the panels {panels}; got {len(self.axes_)}. "
                f"Choose fewer with panels=, e.g. panels=['mean']."
            )
        x, y = (cell_edges(axis) for axis in self.grid.axes.values())
        for panel_ax, panel in zip(self.axes_, panels, strict=True):
            values, options = self._image(panel, panels, given)
            shaped = self.grid.reshape(values).T
            self.images_[panel] = panel_ax.pcolormesh(x, y, shaped, rasterized=True, **options)
            panel_ax.figure.colorbar(self.images_[panel], ax=panel_ax)
            title = self.name if panels == ["mean"] else f"{self.name}: {panel}"
            panel_ax.set(title=title, **dict(zip(("xlabel", "ylabel"), self.grid, strict=True)))

    def _image(self, panel: str, panels: list[str], given: Any) -> tuple[Any, dict[str, Any]]:
        if panel == "std":
            return self.std, {"cmap": "magma", "vmin": 0.0}
        if panel == "error":
            error = np.asarray(self.mean) - np.asarray(self.y_true)
            limit = float(np.abs(error).max()) or 1.0
            return error, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        fields = {"truth": self.y_true, "mean": self.mean}
        shown = [np.asarray(fields[name]) for name in ("truth", "mean") if name in panels]
        limits = {"vmin": min(v.min() for v in shown), "vmax": max(v.max() for v in shown)}
        return fields[panel], style({"cmap": "viridis", **limits}, given)

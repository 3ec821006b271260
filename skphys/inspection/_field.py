"""A figure of one field."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from skphys.grids import Components, Grid, Mesh
from skphys.inspection._cells import draw_cells, profile_of
from skphys.inspection._plotting import (
    TRUTH,
    check_coverage,
    check_std,
    checked_axes,
    dot,
    draw_band,
    import_pyplot,
    one_axes,
    style,
)
from skphys.inspection._select import predict_sample, selections

PANELS = ("truth", "mean", "error", "std")


class FieldDisplay:
    """One predicted field: a profile with a band, or images with the truth and the error.

    Make it by `from_estimator` or `from_predictions`. On one axis, or on a mesh of a line, it is a
    profile of the mean with a band and the truth; on two, or on a mesh in the plane, it is an image
    of the mean, and, with the truth, images of that and of the error, and, with a standard
    deviation, an image of that. Of several components each has a row of its own.

    Parameters
    ----------
    mean : array-like of shape (n_points,)
        The field, C order over the grid.
    grid : Grid, Mesh or Components
        Where it lives: one or two axes, or cells at one time.
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
    parts_ : dict of str to FieldDisplay
        The displays of several components, which have the artists then.

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
        self,
        *,
        mean: Any,
        grid: Any,
        std: Any = None,
        y_true: Any = None,
        name: str = "field",
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
            Which field, negative numbers from the end; with a ColumnGrid, as `ColumnGrid.labels`
            numbers them.
        grid : Grid, Mesh, Components or ColumnGrid, default=None
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
        grid: Grid | Mesh | Components | None = None,
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
        grid : Grid, Mesh or Components, default=None
            Where the fields live; None is unit cells. Cells of a mesh in the plane are coloured
            where it knows the middles and normals of its faces, and dots else; what a mask leaves
            out of a grid stays blank.
        sample : int, default=0
            The row to show; negative numbers count from the end.
        component : str, default=None
            The component of Components to show; None is all of them.
        at : dict of str to float, default=None
            Coordinates at which to cut through axes, so that one or two are left, and of a mesh
            the time; the nearest point is taken.
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
        parts = selections(grid, sample, component, at)
        given = {"mean": mean, "std": std, "y_true": y_true}
        shown: dict[str, list[Any]] = {
            what: [select(what, values) for select in parts.values()]
            for what, values in given.items()
            if values is not None
        }
        grids: dict[Any, Any] = {name: select.grid for name, select in parts.items()}
        (only, shape), *others = grids.items()
        display = cls(
            **{what: np.concatenate(values) for what, values in shown.items()},
            grid=Components(**grids) if others else shape,
            name=name or (None if others else only) or "field",
        )
        return display.plot(ax, coverage=coverage, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        coverage: float | None = 0.9,
        label: str | None = None,
        panels: Any = None,
        transpose: bool = False,
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
            The images of a field in a plane; None is all that there is data for.
        transpose : bool, default=False
            Put the second coordinate of images to the right, and the first upwards, as in a map of
            latitude and longitude.
        line_kwargs, band_kwargs, truth_kwargs : dict, default=None
            Style of the mean (``Axes.plot``), the band (``Axes.fill_between``) and the truth.
        image_kwargs : dict, default=None
            Style of the images of truth and mean (``Axes.pcolormesh``, of a mesh
            ``PolyCollection`` or ``Axes.scatter``), or of each by the name of its panel.

        Returns
        -------
        FieldDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        check_std("std", self.std)
        self.line_: Any = None
        self.band_: Any = None
        self.truth_: Any = None
        self.images_: dict[str, Any] = {}
        self.parts_: dict[str, FieldDisplay] = {}
        if isinstance(self.grid, Components):
            styles = {"line_kwargs": line_kwargs, "band_kwargs": band_kwargs}
            styles |= {"truth_kwargs": truth_kwargs, "image_kwargs": image_kwargs}
            options = {"coverage": coverage, "label": label, "transpose": transpose}
            self._draw_parts(plt, ax, panels, **options, **styles)
        elif (profile := profile_of(self.grid)) is not None:
            name, x, order = profile
            ax = one_axes(plt, ax)
            self.axes_ = np.array([ax])
            self._draw_band(ax, x, order, coverage, line_kwargs, band_kwargs, label)
            self._draw_truth(ax, x, order, truth_kwargs)
            ax.set(xlabel=name, ylabel=self.name)
            ax.legend()
        else:
            self._draw_images(plt, ax, self._panels(panels), transpose, image_kwargs)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _draw_parts(self, plt: Any, ax: Any, panels: Any, **options: Any) -> None:
        """Draw several components, each in a row of its own."""
        fields = {"mean": self.mean, "std": self.std, "y_true": self.y_true}
        split = {n: self.grid.split(field) for n, field in fields.items() if field is not None}
        self.parts_ = {
            name: FieldDisplay(
                grid=self.grid[name], name=name, **{n: field[name] for n, field in split.items()}
            )
            for name in self.grid
        }
        counts = [
            1 if profile_of(part.grid) else len(part._panels(panels))
            for part in self.parts_.values()
        ]
        n_rows, n_columns = len(counts), max(counts)
        if ax is None:
            size = {"figsize": (max(6.4, 3.6 * n_columns), 3.0 * n_rows), "layout": "constrained"}
            _, ax = plt.subplots(n_rows, n_columns, squeeze=False, **size)
            for row, count in zip(ax, counts, strict=True):
                for unused in row[count:]:
                    unused.remove()
            rows = [row[:count] for row, count in zip(ax, counts, strict=True)]
        else:
            panels_of = f"each of the {sum(counts)} panels of {list(self.grid)}"
            rows = np.split(checked_axes(ax, sum(counts), panels_of), np.cumsum(counts)[:-1])
        for row, part in zip(rows, self.parts_.values(), strict=True):
            part.plot(row, panels=panels, **options)
        self.axes_ = np.concatenate(rows)

    def _draw_band(
        self, ax: Any, x: Any, order: Any, coverage: Any, line: Any, band: Any, label: str | None
    ) -> None:
        mean = np.asarray(self.mean)[order]
        named = {"label": label or "prediction", **dot(mean.size)}
        (self.line_,) = ax.plot(x, mean, **style(named, line))
        if self.std is None or coverage is None:
            return
        check_coverage(coverage)
        half = norm.ppf(0.5 + 0.5 * coverage) * np.asarray(self.std)[order]
        named = {"label": f"{coverage:.0%} band"} if label is None else {}
        self.band_ = draw_band(ax, self.line_, half, band, **named)

    def _draw_truth(self, ax: Any, x: Any, order: Any, given: Any) -> None:
        if self.y_true is not None:
            y = np.asarray(self.y_true)[order]
            (self.truth_,) = ax.plot(x, y, **style(TRUTH | dot(y.size, "x"), given))

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

    def _draw_images(
        self, plt: Any, ax: Any, panels: list[str], transpose: bool, given: Any
    ) -> None:
        if ax is None:
            size = (3.6 * len(panels), 3.0)
            _, ax = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
        self.axes_ = checked_axes(ax, len(panels), f"each of the panels {panels}")
        for panel_ax, panel in zip(self.axes_, panels, strict=True):
            values, options = self._image(panel, panels, given)
            self.images_[panel] = draw_cells(
                panel_ax, self.grid, np.asarray(values), transpose, options
            )
            panel_ax.figure.colorbar(self.images_[panel], ax=panel_ax)
            panel_ax.set_title(self.name if panels == ["mean"] else f"{self.name}: {panel}")

    def _image(self, panel: str, panels: list[str], given: Any) -> tuple[Any, dict[str, Any]]:
        by_panel = set(given or {}) <= set(PANELS)
        own = (given or {}).get(panel) if by_panel else given
        if panel == "std":
            return self.std, style({"cmap": "magma", "vmin": 0.0}, own if by_panel else None)
        if panel == "error":
            error = np.asarray(self.mean) - np.asarray(self.y_true)
            limit = float(np.abs(error).max()) or 1.0
            defaults = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
            return error, style(defaults, own if by_panel else None)
        fields = {"truth": self.y_true, "mean": self.mean}
        shown = [np.asarray(fields[name]) for name in ("truth", "mean") if name in panels]
        limits = {"vmin": min(v.min() for v in shown), "vmax": max(v.max() for v in shown)}
        return fields[panel], style({"cmap": "viridis", **limits}, own)

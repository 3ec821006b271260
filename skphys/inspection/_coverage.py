"""A figure of whether stated intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from skphys.inspection._models import by_name, predictions_by_name
from skphys.inspection._plotting import (
    check_coverage,
    dot,
    draw_band,
    import_pyplot,
    of_model,
    one_axes,
    style,
)
from skphys.metrics import (
    Floats,
    as_finite,
    as_gaussian,
    central_levels,
    coverage_curve,
    fields_inside,
    predict_mean_std,
)

BAND = 2.0  # standard errors, to either side


class CoverageDisplay:
    """How many true values the central intervals of several models hold, against their promise.

    The reliability diagram of intervals. Make it by `from_estimator` or `from_predictions`. A
    calibrated model lies on the diagonal,
    one whose intervals are too wide above, one whose intervals are too narrow below. The legend
    tells how wide the intervals are: of calibrated models the sharpest says most. Bands are two
    standard errors to either side, taken over fields, because points of one field err together.

    Parameters
    ----------
    levels : array-like of shape (n_levels,)
        Nominal coverages.
    coverages : dict of str to array-like of shape (n_levels,)
        By model: the fraction of points inside their intervals.
    standard_errors : dict of str to array-like of shape (n_levels,), default=None
        Of the fractions, by model.
    widths : dict of str to float, default=None
        The mean width of the intervals by model.
    coverage : float, default=0.9
        The nominal coverage that the widths belong to.
    simultaneous : bool, default=False
        Whether fields are counted that lie wholly within their intervals, in place of points.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    lines_, bands_ : dict of str to matplotlib Artist
        By model.
    ideal_ : matplotlib Artist
        The diagonal.

    See Also
    --------
    skphys.metrics.calibration_error : The area between a curve and the diagonal.
    skphys.metrics.sharpness : The mean width of intervals.
    FieldDisplay : One field with its band.

    Examples
    --------
    >>> import numpy as np
    >>> from skphys.inspection import CoverageDisplay
    >>> errors = np.random.default_rng(0).normal(size=(50, 100))
    >>> mean, std = np.zeros((50, 100)), np.ones((50, 100))
    >>> display = CoverageDisplay.from_predictions(
    ...     errors, {"right": (mean, std), "too sure": (mean, std / 2)}, levels=[0.5, 0.9]
    ... )
    >>> {name: values.round(1).tolist() for name, values in display.coverages.items()}
    {'right': [0.5, 0.9], 'too sure': [0.3, 0.6]}
    """

    def __init__(
        self,
        *,
        levels: Any,
        coverages: Mapping[str, Any],
        standard_errors: Mapping[str, Any] | None = None,
        widths: Mapping[str, float] | None = None,
        coverage: float = 0.9,
        simultaneous: bool = False,
    ) -> None:
        self.levels = levels
        self.coverages = coverages
        self.standard_errors = standard_errors
        self.widths = widths
        self.coverage = coverage
        self.simultaneous = simultaneous

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        levels: ArrayLike | None = None,
        coverage: float = 0.9,
        method: str | None = None,
        simultaneous: bool = False,
        **kwargs: Any,
    ) -> CoverageDisplay:
        """Predict means and standard deviations, or intervals, and draw their coverage.

        Parameters
        ----------
        estimator : estimator or dict of str to estimator
            One or several fitted regressors whose predict has ``return_std``, by name.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            What to predict; data that nothing was fitted to.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The truth.
        levels, coverage
            As in `from_predictions`; with intervals None is 0.05, 0.1, ..., 0.95.
        method : {"auto", "gaussian", "mixture", "conformal"}, default=None
            Take the intervals of ``predict_interval(X, level, method=...)``, as a
            `ConservationConstrainedRegressor` has it, at each level. None takes those of the means
            and standard deviations; with `simultaneous` it is "auto".
        simultaneous : bool, default=False
            Take its simultaneous intervals, and count the fields that lie wholly within them.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        CoverageDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If an estimator does not state a standard deviation.
        ValueError
            If `simultaneous` is set and y does not hold one field a row.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        truth = np.asarray(y, dtype=np.float64)
        if method is not None or simultaneous:
            nominal = _check_levels(np.arange(1, 20) / 20 if levels is None else levels)
            check_coverage(coverage)
            options = {"method": method or "auto", "simultaneous": simultaneous}
            if simultaneous and truth.ndim < 2:
                raise ValueError(f"y must hold one field a row; got shape {truth.shape}.")
            curves = {
                name: _interval_curve(model, X, truth, nominal, coverage, options)
                for name, model in by_name(estimator).items()
            }
            display = cls(
                levels=nominal,
                coverages={name: curve for name, (curve, _, _) in curves.items()},
                standard_errors={n: e for n, (_, e, _) in curves.items() if e is not None},
                widths={name: width for name, (_, _, width) in curves.items()},
                coverage=coverage,
                simultaneous=simultaneous,
            )
            return display.plot(**kwargs)
        predicted = {name: predict_mean_std(m, X) for name, m in by_name(estimator).items()}
        for name, parts in predicted.items():
            # (n,) and (n, 1) are the same.
            if np.size(parts[0]) == truth.size and len(parts[0]) == len(truth):
                mean, std = (np.reshape(part, truth.shape) for part in parts)
                predicted[name] = mean, std
        return cls.from_predictions(truth, predicted, levels=levels, coverage=coverage, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        levels: ArrayLike | None = None,
        coverage: float = 0.9,
        **kwargs: Any,
    ) -> CoverageDisplay:
        """Draw the coverage of predicted Gaussians.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_points) or (n_samples,)
            The truth, one field a row. Without rows there are no bands.
        y_pred : dict of str to (mean, std), or one such pair
            Predictions by model, in the shape of `y_true`; a pair is called "prediction". Points
            whose ``std`` is 0, and whose truth is the mean, to rounding are known, and left out.
        levels : array-like of shape (n_levels,), default=None
            Nominal coverages between 0 and 1; None is 0.01, 0.02, ..., 0.99.
        coverage : float, default=0.9
            Nominal coverage of the intervals whose mean width the legend tells.
        **kwargs : dict
            As in `plot`.

        Returns
        -------
        CoverageDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes differ, a value is not finite, or a level is not between 0 and 1.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        nominal = _check_levels(np.arange(1, 100) / 100 if levels is None else levels)
        check_coverage(coverage)
        pairs = predictions_by_name(y_pred)
        if not pairs:
            raise ValueError("y_pred is empty; give predictions (mean, std) by model.")
        coverages, errors, widths = {}, {}, {}
        for name, pair in pairs.items():
            truth, mean, std = as_gaussian(y_true, *_check_pair(name, pair))
            coverages[name], errors[name] = coverage_curve(
                central_levels(truth, mean, std), nominal
            )
            widths[name] = 2.0 * float(norm.ppf(0.5 + 0.5 * coverage) * std.mean())
        display = cls(
            levels=nominal,
            coverages=coverages,
            standard_errors={name: e for name, e in errors.items() if e is not None},
            widths=widths,
            coverage=coverage,
        )
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kwargs: Mapping[str, dict[str, Any]] | dict[str, Any] | None = None,
        band_kwargs: dict[str, Any] | None = None,
        ideal_kwargs: dict[str, Any] | None = None,
    ) -> CoverageDisplay:
        """Draw the coverage.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        line_kwargs : dict, default=None
            Style of the curves (``Axes.plot``), or of each by the name of its model.
        band_kwargs, ideal_kwargs : dict, default=None
            Style of the bands (``Axes.fill_between``) and the diagonal.

        Returns
        -------
        CoverageDisplay
            The display.
        """
        plt = import_pyplot(f"{type(self).__name__}.plot")
        ax = one_axes(plt, ax, figsize=(4.8, 4.8))
        ideal = {"color": "0.4", "linestyle": "--", "linewidth": 1.0}
        (self.ideal_,) = ax.plot([0.0, 1.0], [0.0, 1.0], **style(ideal, ideal_kwargs))
        self.lines_: dict[str, Any] = {}
        self.bands_: dict[str, Any] = {}
        for name in self.coverages:
            self._draw(ax, name, line_kwargs, band_kwargs)
        for x, y, side in ((0.04, 0.96, "wide"), (0.96, 0.04, "narrow")):
            place = {"ha": "left", "va": "top"} if side == "wide" else {"ha": "right"}
            ax.text(x, y, f"too {side}", color="0.5", style="italic", **place)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        what = "fields" if self.simultaneous else "points"
        ax.set(xlabel="nominal coverage of the intervals", ylabel=f"{what} inside them")
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(self, ax: Any, name: str, line: Any, band: Any) -> None:
        label = name
        if self.widths is not None and name in self.widths:
            label = f"{name}: {self.coverage:.0%} width {self.widths[name]:#.3g}"
        own = of_model(line, name, self.coverages)
        levels, values = np.asarray(self.levels), np.asarray(self.coverages[name])
        (self.lines_[name],) = ax.plot(
            levels, values, **style({"label": label, **dot(values.size)}, own)
        )
        if self.standard_errors is None or name not in self.standard_errors:
            return
        half = BAND * np.asarray(self.standard_errors[name])
        self.bands_[name] = draw_band(ax, self.lines_[name], half, band)


def _interval_curve(
    model: Any, X: Any, truth: Floats, nominal: Floats, coverage: float, options: dict[str, Any]
) -> tuple[Floats, Floats | None, float]:
    """Return the parts inside intervals at each level, their standard errors, and the width."""
    inside = []
    for level in nominal:
        ends = model.predict_interval(X, float(level), **options)
        low, high = (np.reshape(end, truth.shape) for end in ends)
        if options["simultaneous"]:
            inside.append(fields_inside(truth, low, high)[:, None])
        else:
            inside.append(((low <= truth) & (truth <= high)).reshape(len(truth), -1))
    low, high = model.predict_interval(X, coverage, **options)
    rows = np.mean(inside, axis=2)  # (n_levels, n_fields)
    errors = None
    if len(truth) > 1 and truth.ndim > 1:
        errors = np.std(rows, axis=1, ddof=1) / np.sqrt(len(truth))
    return rows.mean(axis=1), errors, float(np.mean(high - low))


def _check_levels(levels: ArrayLike) -> Floats:
    nominal = as_finite("levels", levels)
    if nominal.ndim != 1 or not ((nominal > 0.0) & (nominal < 1.0)).all():
        raise ValueError(f"levels must be a 1-D array of numbers between 0 and 1; got {levels!r}.")
    return np.sort(nominal)


def _check_pair(name: str, pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(
            f"{name} must be a pair (mean, std), as predict(X, return_std=True) returns it; "
            f"got {type(pair).__name__}."
        )
    return pair[0], pair[1]

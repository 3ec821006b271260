"""Fields from a scalar regressor that gets the coordinates of a point as features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import _safe_indexing, check_random_state, get_tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_method_params,
    _num_samples,
    check_consistent_length,
    validate_data,
)

from skphys.estimators._random import set_random_states
from skphys.grids import Grid
from skphys.predictive import (
    REGRESSOR,
    FieldRegressorMixin,
    Prediction,
    fit_backbone,
    offers_covariance,
    offers_members,
    predict_distribution,
    predict_mean,
)

MAX_ROWS = 1 << 14  # rows of the scalar regressor that are predicted at once


class PointwiseRegressor(FieldRegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """Predict fields by a scalar regressor with the coordinates of each point as features.

    Each sample becomes one row a point of the grid: its features, then the point's coordinates.
    A regressor that gives a covariance between its rows, as `GaussianProcessRegressor` does,
    then gives the full covariance along each field.

    Parameters
    ----------
    estimator : estimator
        A regressor with 1-D targets.
    grid : Grid or None, default=None
        Where the fields live. None: unit cells, one for each column of y.
    max_rows : int or None, default=None
        Fit on at most that many points, drawn at random from those of all samples. A Gaussian
        process, whose cost grows with the cube of the rows, needs this.
    random_state : int, RandomState instance or None, default=None
        Draws the points if there are more than `max_rows`, and seeds the estimator's own random
        states; None leaves those alone.

    Attributes
    ----------
    estimator_ : estimator
        The fitted scalar regressor.
    grid_ : Grid
        The grid in use.
    n_features_in_ : int
        Number of features of a sample seen in fit; coordinates do not count.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features; only if X has string names. The scalar regressor then gets a
        DataFrame, in which the names of the axes follow.

    See Also
    --------
    EnsembleRegressor : An uncertainty for regressors without one.
    sklearn.multioutput.MultiOutputRegressor : One regressor a point, without any coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from skphys import PointwiseRegressor
    >>> from skphys.grids import Grid
    >>> grid = Grid(x=np.linspace(0, 1, 9))
    >>> phase = np.linspace(0, 1, 5)[:, None]
    >>> y = np.sin(grid["x"] + phase)
    >>> process = GaussianProcessRegressor(alpha=1e-8, optimizer=None)
    >>> model = PointwiseRegressor(process, grid).fit(phase, y)
    >>> mean, cov = model.predict([[0.25]], return_cov=True)
    >>> cov.shape
    (1, 9, 9)
    >>> bool(np.abs(mean - np.sin(grid["x"] + 0.25)).max() < 1e-3)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [REGRESSOR],
        "grid": [Grid, None],
        "max_rows": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        grid: Grid | None = None,
        *,
        max_rows: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.grid = grid
        self.max_rows = max_rows
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)  # the estimator checks its own parameters
    def fit(self, X: Any, y: Any, **fit_params: Any) -> PointwiseRegressor:
        """Fit the scalar regressor on the points of all samples.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            One row a field.
        y : array-like of shape (n_samples, n_points) or (n_samples,)
            The fields; 1-D targets are fields of one point.
        **fit_params : dict
            Passed to its fit, by request if metadata routing is enabled. Those with one entry a
            sample are repeated for each point.

        Returns
        -------
        self : PointwiseRegressor
            The fitted estimator.
        """
        y = self._check_targets(y)  # first: scikit-learn forgets the names of X in it
        X = self._check_X(X, reset=True)
        check_consistent_length(X, y)
        self.grid_ = self._grid_of(y)
        self._check_names(X)
        rows = self._training_rows(y.size)
        params = self._routed(fit_params)
        params = _check_method_params(X, params, indices=rows // self.grid_.n_points)
        table = self._table(X, rows)
        inner = clone(self.estimator)
        set_random_states(inner, self.random_state)
        self.estimator_ = fit_backbone(inner, table, y.ravel()[rows], **params)
        return self

    def _check_X(self, X: Any, reset: bool) -> Any:
        """Check an array in full; of a data frame, whose columns keep their types, the names."""
        if _is_frame(X):
            return validate_data(self, X, reset=reset, skip_check_array=True)
        finite: Any = "allow-nan" if get_tags(self.estimator).input_tags.allow_nan else True
        return validate_data(self, X, reset=reset, ensure_all_finite=finite)

    def _grid_of(self, y: np.ndarray) -> Grid:
        n_points = y.size // len(y)
        if self.grid is None:
            return Grid.unit(n_points)
        if self.grid.n_points != n_points:
            raise ValueError(
                f"y has {n_points} value(s) a sample but grid has {self.grid.n_points} points; "
                f"give y one column for each point, in C order over {self.grid!r}."
            )
        return self.grid

    def _check_names(self, X: Any) -> None:
        clash = set(self.grid_.names) & set(X.columns) if _is_frame(X) else set()
        if clash:
            raise ValueError(
                f"X has column(s) {sorted(clash)} named like axes of the grid; rename either."
            )

    def _training_rows(self, n_rows: int) -> np.ndarray:
        """Return which points to fit on, numbered sample by sample."""
        if self.max_rows is None or n_rows <= self.max_rows:
            return np.arange(n_rows)
        draw = check_random_state(self.random_state).choice
        return np.sort(draw(n_rows, size=self.max_rows, replace=False))

    def _table(self, X: Any, rows: np.ndarray) -> Any:
        """Return features and coordinates of points, numbered sample by sample."""
        samples, points = np.divmod(rows, self.grid_.n_points)
        coordinates = self.grid_.points[points]
        features = _safe_indexing(X, samples)
        if not _is_frame(X):
            return np.hstack([features, coordinates])
        columns = dict(zip(self.grid_.names, coordinates.T, strict=True))
        return features.reset_index(drop=True).assign(**columns)

    def _tables(self, X: Any, max_rows: int = MAX_ROWS) -> Iterator[Any]:
        """Yield tables of whole fields, of about `max_rows` rows."""
        n_points = self.grid_.n_points
        n_rows, step = _num_samples(X) * n_points, max(1, max_rows // n_points) * n_points
        for start in range(0, n_rows, step):
            yield self._table(X, np.arange(start, min(start + step, n_rows)))

    def _stated(self, X: Any, want: str, **options: Any) -> Prediction:
        if want != "mean":
            return super()._stated(X, want)
        X = self._check_X(X, reset=False)
        means = [np.ravel(predict_mean(self.estimator_, table)) for table in self._tables(X)]
        mean = np.concatenate(means).astype(np.float64)
        return Prediction(mean.reshape(-1, self.grid_.n_points))

    def _predict_distribution(self, X: Any, *, rows: str, want_cov: bool) -> Prediction:
        """Predict field by field where there are covariances, else many points at once."""
        X = self._check_X(X, reset=False)
        if rows == "points":  # each row is a field of one point
            table = self._table(X, np.arange(_num_samples(X) * self.grid_.n_points))
            return predict_distribution(self.estimator_, table, rows=rows, want_cov=want_cov)
        one_by_one = want_cov and offers_covariance(self.estimator_, "points")
        parts = [
            predict_distribution(self.estimator_, table, rows="points", want_cov=one_by_one)
            for table in self._tables(X, 1 if one_by_one else MAX_ROWS)
        ]
        if parts[0].constraints:
            raise ValueError(
                f"{type(self.estimator).__name__} in PointwiseRegressor is constrained point by "
                f"point; put the constrained estimator outermost, around PointwiseRegressor."
            )
        n_points = self.grid_.n_points
        fields = [part.fold(slice(None), part.mean.shape[1] // n_points) for part in parts]
        return Prediction.concatenate(fields)

    def _has_members(self) -> bool:
        return self._offers_members("fields")

    def _offers_members(self, rows: str) -> bool:
        return offers_members(getattr(self, "estimator_", self.estimator), "points")

    def _offers_covariance(self, rows: str) -> bool:
        return offers_covariance(getattr(self, "estimator_", self.estimator), "points")

    def __sklearn_tags__(self) -> Any:
        """Take over what the scalar regressor can do with X; targets may be fields."""
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = replace(inner.input_tags, sparse=False, pairwise=False)
        tags.target_tags.multi_output = True
        tags.non_deterministic = inner.non_deterministic
        if inner.regressor_tags is not None:
            tags.regressor_tags = inner.regressor_tags
        return tags


def _is_frame(X: Any) -> bool:
    """Say whether X is a pandas DataFrame with names that scikit-learn accepts."""
    return hasattr(X, "iloc") and all(isinstance(name, str) for name in getattr(X, "columns", [0]))

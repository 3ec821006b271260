"""Residuals on data that the backbone was not fitted on."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys.predictive import out_of_fold, residual_std


def test_out_of_fold_at_each_point(fields, routing):
    X, y = fields
    model = make_pipeline(StandardScaler(), Ridge())
    expected = np.sqrt(((y - cross_val_predict(model, X, y, cv=4)) ** 2).mean(0))
    np.testing.assert_allclose(residual_std(model, X, y, cv=4), expected, rtol=1e-12)


def test_pooled_over_points(scalars):
    X, y = scalars
    pooled = residual_std(Ridge(), X, y, cv=KFold(3), rows="points")
    assert pooled.shape == ()
    expected = np.sqrt(((y - cross_val_predict(Ridge(), X, y, cv=KFold(3))) ** 2).mean())
    np.testing.assert_allclose(pooled, expected, rtol=1e-12)


def test_groups(scalars):
    X, y = scalars
    groups = np.repeat([0, 1, 2, 3], 2)
    expected = cross_val_predict(Ridge(), X, y, cv=GroupKFold(2), groups=groups)
    np.testing.assert_allclose(
        residual_std(Ridge(), X, y, cv=GroupKFold(2), groups=groups),
        np.sqrt(((y - expected) ** 2).mean(keepdims=True)),
    )


def test_the_estimator_is_left_alone(fields):
    model = Ridge()
    residual_std(model, *fields, cv=2)
    assert not hasattr(model, "coef_")


def test_sample_weights_are_split(fields):
    X, y = fields
    weight = np.arange(1.0, 9.0)
    expected = cross_val_predict(Ridge(), X, y, cv=4, params={"sample_weight": weight})
    result = residual_std(Ridge(), X, y, cv=4, fit_params={"sample_weight": weight})
    np.testing.assert_allclose(result, np.sqrt(((y - expected) ** 2).mean(0)))


def test_calibration_data_meet_the_fitted_estimator(fields, rng):
    X, y = fields
    model = FrozenEstimator(LinearRegression().fit(X, y))
    held_out = rng.normal(size=(6, 2)), rng.normal(size=(6, 5))
    expected = np.sqrt(((held_out[1] - model.predict(held_out[0])) ** 2).mean(0))
    np.testing.assert_allclose(residual_std(model, calibration=held_out), expected)


@pytest.mark.parametrize(
    "wrap",
    [
        FrozenEstimator,
        lambda model: make_pipeline(StandardScaler(), FrozenEstimator(model)),
        lambda model: TransformedTargetRegressor(FrozenEstimator(model)),
        lambda model: GridSearchCV(FrozenEstimator(model), {}),
    ],
)
def test_frozen_backbones_need_calibration(wrap, fields):
    model = wrap(Ridge().fit(*fields))
    with pytest.raises(ValueError, match=r"frozen.*calibration=\(X, y\)"):
        residual_std(model, *fields)


def test_bad_calibration(fields):
    X, y = fields
    model = Ridge().fit(X, y)
    with pytest.raises(ValueError, match=r"y has shape \(8, 4\) where .* \(8, 5\)"):
        residual_std(model, calibration=(X, y[:, :4]))
    with pytest.raises(ValueError, match="NaN"):
        residual_std(model, calibration=(X, y * np.nan))


def test_out_of_fold_fits_clones_on_the_other_rows(scalars):
    X, y = scalars
    X = np.c_[X, y]  # a copy of the target tells which rows were seen
    weights, splits = np.arange(len(X)), list(KFold(3).split(X))
    backbone = Remembering()
    parts = list(out_of_fold(backbone, X, y, splits, {"sample_weight": weights, "flag": True}))
    assert not hasattr(backbone, "seen_") and len(parts) == 3
    for (fitted, test), (train, held_out) in zip(parts, splits, strict=True):
        np.testing.assert_array_equal(test, held_out)
        for seen, expected in zip(fitted.seen_, (X[train], y[train], train, True), strict=True):
            np.testing.assert_array_equal(seen, expected)
    assert len(list(out_of_fold(backbone, X, y, splits))) == 3


class Remembering(BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None, flag=False):
        self.seen_ = X, y, sample_weight, flag
        return self

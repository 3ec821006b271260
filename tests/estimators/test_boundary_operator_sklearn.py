"""BoundaryEnforcedOperator as a scikit-learn estimator: checks, parameters, errors."""

import numpy as np
import pandas as pd
import pytest
from backbones import WithStd
from boundary_operators import BOUNDARY, GRID, problem
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

import skphys
from skphys import BoundaryEnforcedOperator
from skphys.constraints import Column, Dirichlet, FromInput, Neumann, Periodic
from skphys.grids import Components, Grid

X, Y = problem()


@parametrize_with_checks(
    [
        BoundaryEnforcedOperator(Ridge()),
        BoundaryEnforcedOperator(RandomForestRegressor(5, random_state=0), members="each"),
        BoundaryEnforcedOperator(GaussianProcessRegressor(optimizer=None), random_state=0),
        BoundaryEnforcedOperator(
            make_pipeline(StandardScaler(), Ridge()), uncertainty="residual", method="project"
        ),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_it_is_an_attribute_of_the_package():
    assert skphys.BoundaryEnforcedOperator is BoundaryEnforcedOperator
    assert "BoundaryEnforcedOperator" in dir(skphys)


def test_parameters_of_conditions():
    model = BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID)
    assert model.get_params()["boundary__x_left__value"] == Column(0)
    model.set_params(boundary__x_right__order=3, estimator__alpha=2.0)
    assert model.boundary["x"][1].order == 3 and model.estimator.alpha == 2.0
    assert BOUNDARY["x"][1].order == 2
    copy = clone(model)
    assert copy.get_params()["boundary__x_right__order"] == 3
    assert copy.boundary["x"][1] is not model.boundary["x"][1]
    both = BoundaryEnforcedOperator(Ridge(), {"x": Dirichlet(1.0)}, GRID)
    both.set_params(boundary__x__value=2.0)
    assert both.get_params()["boundary__x_left__value"] == 2.0
    walls = {"u": {"x": (Dirichlet(0.0), None)}}
    parts = BoundaryEnforcedOperator(Ridge(), walls, Components(u=GRID, v=GRID))
    parts.set_params(boundary__u_x_left__value="inflow")
    assert parts.boundary["u"]["x"][0].value == "inflow"
    with pytest.raises(ValueError, match=r"faces of the boundary are \['x_left', 'x_right'\]"):
        model.set_params(boundary__x_top__value=1.0)


def test_a_fit_keeps_conditions_of_its_own():
    model = BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID).fit(X, Y)
    before = model.predict(X)
    model.set_params(boundary__x_left__value=7.0)
    np.testing.assert_array_equal(model.predict(X), before)


def test_html_and_repr():
    model = BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID)
    assert "Ridge" in estimator_html_repr(model)
    assert "Neumann(value=Column(key=1))" in repr(model)


def test_frames_and_columns_that_are_only_values():
    frame = pd.DataFrame(X, columns=["wall", "flux", "strength"])
    named = {"x": (Dirichlet("wall"), Neumann("flux"))}
    model = BoundaryEnforcedOperator(WithStd(), named, GRID, drop_value_columns=True)
    u = model.fit(frame, Y).predict(frame)
    assert model.estimator_.n_features_in_ == 1
    np.testing.assert_allclose(u[:, 0], X[:, 0], rtol=1e-13)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.predict(X), u)
    with pytest.raises(ValueError, match="no column 'wall'"):
        BoundaryEnforcedOperator(WithStd(), named, GRID).fit(X, Y)


class Channels(RegressorMixin, BaseEstimator):
    """Takes (n_samples, n_channels, n_points), returns the first channel."""

    def fit(self, X, y):
        self.shape_ = X.shape[1:]
        return self

    def predict(self, X):
        assert X.shape[1:] == self.shape_
        return X[:, 0]


@pytest.mark.parametrize("drop", [False, True])
def test_fields_as_channels(drop):
    boundary = {"x": (Dirichlet(FromInput(1)), None)}
    channels = np.stack([Y, Y + 1.0], axis=1)
    model = BoundaryEnforcedOperator(Channels(), boundary, GRID, drop_value_columns=drop)
    u = model.fit(channels, Y + 1.0).predict(channels)
    np.testing.assert_allclose(u[:, 0], Y[:, 0] + 1.0)
    np.testing.assert_array_equal(u[:, 1:], Y[:, 1:])


def test_calibration_is_for_residuals():
    plain = BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID).fit(X, Y)
    told = clone(plain).set_params(calibration=(X[:9], Y[:9] + 1.0)).fit(X, Y)
    np.testing.assert_array_equal(told.predict(X), plain.predict(X))
    assert told.error_model_.parts_ is plain.error_model_.parts_ is None


def test_the_random_state_reaches_the_backbone():
    def predict(seed):
        forest = RandomForestRegressor(20)
        model = BoundaryEnforcedOperator(forest, BOUNDARY, GRID, random_state=seed)
        return model.fit(X, Y).predict(X)

    np.testing.assert_array_equal(predict(0), predict(0))
    assert np.abs(predict(0) - predict(1)).max() > 1e-3


def test_sample_weight_reaches_the_backbone():
    weight = np.random.default_rng(0).uniform(size=len(X))
    model = BoundaryEnforcedOperator(Ridge()).fit(X, Y, sample_weight=weight)
    expected = Ridge().fit(X, Y, sample_weight=weight).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("boundary", "error", "message"),
    [
        ({"z": Dirichlet()}, ValueError, "unknown axis 'z'"),
        ({"x": (Dirichlet(), None, None)}, ValueError, "two conditions"),
        ({"x": (Periodic(), Dirichlet())}, ValueError, "Periodic joins both faces"),
        ({"x": 0.0}, TypeError, "must be a condition"),
        ({"x": Dirichlet(np.zeros(3))}, ValueError, "'x_left'"),
        ({"x": Dirichlet(Column(9))}, ValueError, r"Column\(9\) does not exist"),
        ({"x": Dirichlet(np.nan)}, ValueError, "not finite"),
        ([Dirichlet()], ValueError, "'boundary' parameter"),
    ],
)
def test_bad_boundaries(boundary, error, message):
    with pytest.raises(error, match=message):
        BoundaryEnforcedOperator(Ridge(), boundary, GRID).fit(X, Y)


def test_bad_data():
    with pytest.raises(ValueError, match="boundary needs a grid"):
        BoundaryEnforcedOperator(Ridge(), BOUNDARY).fit(X, Y)
    with pytest.raises(ValueError, match="y has 20 column"):
        BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID).fit(X, Y[:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        BoundaryEnforcedOperator(Ridge(), BOUNDARY, GRID).fit(X, np.where(Y > 3, np.nan, Y))
    with pytest.raises(ValueError, match="take 3"):
        BoundaryEnforcedOperator(Ridge(), BOUNDARY, Grid(x=[0.0, 1.0])).fit(X, Y[:, :2])


def test_fields_that_contradict_the_boundary_are_reported_with_the_size():
    model = BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(5.0), None)}, GRID)
    size = np.abs(Y[:, 0] - 5.0).max()
    with pytest.warns(UserWarning, match=f"'x_left' by up to {size:.3g}") as record:
        model.fit(X, Y)
    assert record[0].filename == __file__

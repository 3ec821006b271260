"""Bad input: the message names the parameter, what came, and what to do."""

import numpy as np
import pandas as pd
import pytest
from backbones import NegativeStd, Plain, WithStd
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Column, ConservationLaw, Constraint, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Grid

GRID = Grid(x=np.linspace(0, 1, 6))
X = np.random.default_rng(0).uniform(size=(20, 2))
Y = np.ones((20, 6)) + 0.1 * np.random.default_rng(1).normal(size=(20, 6))
Y /= (Y @ GRID.weights())[:, None]


def model(constraints=None, grid=GRID, backbone=None, **params):
    constraints = ConservationLaw("x", 1.0) if constraints is None else constraints
    return ConservationConstrainedRegressor(backbone or WithStd(), constraints, grid, **params)


def bad_total(X):
    return np.full(len(X), np.nan)


def wrong_length(X):
    return np.ones(3)


class Contradiction(Constraint):
    """Says that the first point is 0 and 1."""

    value_parameters = ("value",)

    def __init__(self, value=(0.0, 1.0)):
        self.value = value

    def rows(self, grid):
        return np.eye(grid.n_points)[[0, 0]]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (ConservationLaw("y", 1.0), r"'y'.*x"),
        (ConservationLaw("x", "mass"), "no column 'mass'"),
        (ConservationLaw("x", Column(7)), r"Column\(7\) does not exist: X has 2 columns"),
        (ConservationLaw("x", [1.0, 2.0]), r"total of constraint 'conservationlaw' has shape \(2,"),
        (ConservationLaw("x", np.nan), "total of constraint 'conservationlaw' is not finite"),
        (ConservationLaw("x", bad_total), "not finite"),
        (ConservationLaw("x", wrong_length), r"shape \(3,\); expected \(20,\)"),
        (ConservationLaw("x", 1.0, noise=-1.0), "noise of constraint 'conservationlaw'"),
        (ConservationLaw("x", 1.0, noise=[1.0, 2.0]), "noise of constraint"),
        (ConservationLaw("x", 1.0, quadrature="simson"), "simson"),
        (ConservationLaw("x", 1.0, quadrature=np.ones(5)), "quadrature"),
        (LinearEquality(np.ones((1, 5))), r"G has shape \(1, 5\), but the grid has 6 points"),
        ([("a__b", ConservationLaw())], "without '__'"),
        ([("a", ConservationLaw("x", 1.0)), ("a", ConservationLaw("x", 1.0))], "unique"),
    ],
)
def test_constraints_that_do_not_fit(constraints, message):
    estimator = model(constraints)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "estimator_")


@pytest.mark.parametrize("constraints", [[ConservationLaw], ["mass"], [("mass", 3)]])
def test_things_that_are_no_constraints(constraints):
    with pytest.raises(TypeError, match="not a Constraint"):
        model(constraints).fit(X, Y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"error_model": "none"}, "'error_model' parameter"),
        ({"error_model": ErrorModel(members="all")}, "members of an ErrorModel"),
        ({"error_model": ErrorModel(covariance="calibrated")}, "covariance of an ErrorModel"),
        ({"error_model": ErrorModel(displacement=-1.0)}, "displacement of an ErrorModel"),
        ({"error_model": ErrorModel(displacement=True)}, "displacement of an ErrorModel"),
        ({"error_model": ErrorModel(scale=0.0)}, "scale of an ErrorModel"),
        ({"error_model": ErrorModel(scale=None)}, "scale of an ErrorModel"),
        ({"grid": np.arange(6)}, "'grid' parameter"),
        ({"constraints": 3}, "'constraints' parameter"),
        ({"estimator": 3}, "'estimator' parameter"),
    ],
)
def test_parameters_are_validated(params, message):
    with pytest.raises(ValueError, match=message):
        model().set_params(**params).fit(X, Y)


def test_shapes_and_nan():
    with pytest.raises(ValueError, match=r"y has 5 column\(s\), but the grid has 6 points"):
        model().fit(X, Y[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        model().fit(X, np.where(Y > 1.1, np.nan, Y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model().fit(X[:5], Y)
    with pytest.raises(ValueError, match="y to be passed"):
        model().fit(X, None)
    fitted = model().fit(X, Y)
    with pytest.raises(ValueError, match="3 features"):
        fitted.predict(np.ones((2, 3)))
    with pytest.raises(NotFittedError):
        model().predict(X)


def test_flags_values_and_coverage():
    fitted = model().fit(X, Y)
    with pytest.raises(ValueError, match="At most one"):
        fitted.predict(X, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match=r"unknown name\(s\) \['mess'\]"):
        fitted.predict(X, constraint_values={"mess": 1.0})
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(20,\)"):
        fitted.predict(X, constraint_values={"conservationlaw": np.ones(3)})
    with pytest.raises(ValueError, match="not finite"):
        fitted.predict(X, constraint_values={"conservationlaw": np.inf})
    with pytest.raises(ValueError, match="coverage"):
        fitted.predict_interval(X, coverage=90)


def test_a_negative_std_names_the_backbone():
    with pytest.raises(ValueError, match="NegativeStd"):
        model(backbone=NegativeStd()).fit(X, Y).predict(X)


def test_contradictions_name_the_constraints():
    laws = [("left", Contradiction()), ("mass", ConservationLaw("x", 1.0))]
    with pytest.warns(UserWarning, match="violate constraint 'left'"):
        fitted = model(laws).fit(X, Y)
    with pytest.raises(
        ValueError,
        match=r"Constraint\(s\) 'left' cannot be met for row 0 of X.* another error_model",
    ):
        fitted.predict(X)
    both = [("one", ConservationLaw("x", 1.0)), ("two", ConservationLaw("x", 1.5))]
    with pytest.warns(UserWarning, match="violate constraint 'two'"):
        fitted = model(both).fit(X, Y)
    with pytest.raises(ValueError, match="'one', 'two' cannot be met"):
        fitted.predict(X)


def test_frozen_residuals_need_calibration_data():
    backbone = FrozenEstimator(Plain().fit(X, Y))
    with pytest.raises(ValueError, match=r"calibration=\(X, y\)"):
        model(backbone=backbone, error_model="residual").fit(X, Y)
    fitted = model(backbone=backbone, error_model="residual", calibration=(X, Y + 0.5)).fit(X, Y)
    square = (Y + 0.5 - backbone.predict(X)) ** 2
    expected = np.sqrt(0.9 * square.mean(0) + 0.1 * square.mean())  # a part is that of all points
    np.testing.assert_allclose(fitted.residual_std_, expected)
    few = model(backbone=backbone, error_model="residual", calibration=(X[:5], Y[:5] + 0.5))
    np.testing.assert_allclose(few.fit(X, Y).residual_std_, np.sqrt(square[:5].mean(0)))


def test_a_std_without_uncertainty_warns():
    fitted = model(backbone=Plain(), error_model="stated").fit(X, Y)
    fitted.predict(X)
    for call in (fitted.predict_std, fitted.sample_y, lambda X: fitted.predict(X, return_cov=True)):
        with pytest.warns(UserWarning, match="states no uncertainty"):
            call(X)


def test_training_targets_that_violate_the_law():
    with pytest.warns(UserWarning, match="'conservationlaw' by up to 1, more"):
        model(ConservationLaw("x", 2.0)).fit(X, Y)
    model(ConservationLaw("x", 2.0, noise=0.5)).fit(X, Y)  # within 3 standard deviations


def test_the_quadrature_error_is_no_violation():
    """A jump between two nodes misses the analytic mass by up to half a cell."""
    x = np.linspace(0, 1, 41)
    fronts = np.linspace(0.1, 0.9, 30)
    fields = (x <= fronts[:, None]).astype(float)
    assert np.abs(np.trapezoid(fields, x) - fronts).max() > 0.01
    table = np.column_stack([fronts, fronts])
    model(ConservationLaw("x", Column(1)), Grid(x=x)).fit(table, fields)


def test_a_scaler_in_front_is_named():
    mass = X[:, 0] + 1.0
    table, fields = np.column_stack([X, mass]), Y * mass[:, None]
    inner = model(ConservationLaw("x", Column(2)))
    with pytest.warns(UserWarning, match="a scaler in front of the constraint.*outermost"):
        make_pipeline(StandardScaler(), inner).fit(table, fields)
    frame = pd.DataFrame(table, columns=["a", "b", "mass"])
    named = model(ConservationLaw("x", "mass"))
    with pytest.raises(ValueError, match="must be the outermost"):
        make_pipeline(StandardScaler(), named).fit(frame, fields)


def test_a_target_transform_around_is_named():
    mass = X[:, 0] + 1.0
    inner = model(ConservationLaw("x", Column(0)))
    outer = TransformedTargetRegressor(inner, transformer=StandardScaler())
    with pytest.warns(UserWarning, match="TransformedTargetRegressor around the constraint"):
        outer.fit(np.column_stack([mass, X]), Y * mass[:, None])


def test_the_constraint_belongs_outside_a_target_transform():
    inside = TransformedTargetRegressor(WithStd(), transformer=StandardScaler())
    fitted = model(backbone=inside).fit(X, Y)
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(mean @ GRID.weights(), 1.0, rtol=1e-13)
    assert (std > 0).all()


def test_tables_need_one_target_a_row():
    with pytest.raises(ValueError, match="1d array"):
        model(grid=ColumnGrid(space=0)).fit(X, Y)


def test_members_that_agree_cannot_move():
    """Seven equal fits differ by rounding, which must not carry the whole correction."""
    backbone, law = EnsembleRegressor(Plain(), n_members=7), ConservationLaw("x", 2.0)
    with pytest.warns(UserWarning, match="violate"):
        fitted = model(law, backbone=backbone, error_model="stated").fit(X, Y)
    with pytest.raises(ValueError, match="cannot be met"):
        fitted.predict(X)


def test_a_backbone_of_another_width():
    narrow = FrozenEstimator(Plain().fit(X, Y[:, 0]))
    for constraints in (None, ConservationLaw("x", 1.0)):
        fitted = ConservationConstrainedRegressor(narrow, constraints, GRID).fit(X, Y)
        with pytest.raises(ValueError, match=r"predicts 1 point\(s\) a field, but the grid has 6"):
            fitted.predict(X)


def test_pairs_dicts_and_shapes():
    fitted = model().fit(X, Y)
    with pytest.raises(TypeError, match="constraint_values must be a dict"):
        fitted.predict(X, constraint_values=2.0)
    with pytest.raises(ValueError, match=r"calibration must be a pair \(X, y\); got 3"):
        model(error_model="residual", calibration=(X, Y, 1)).fit(X, Y)
    with pytest.raises(ValueError, match=r"flattened in C order.*\(20, 2, 3\)"):
        model().fit(X, Y.reshape(20, 2, 3))


def test_values_at_predict_reach_every_output():
    fitted = model().fit(X, Y)
    values = {"conservationlaw": np.linspace(1.0, 2.0, 20)}
    mean, std = fitted.predict(X, return_std=True, constraint_values=values)
    lower, upper = fitted.predict_interval(X, constraint_values=values)
    np.testing.assert_allclose(0.5 * (lower + upper), mean)
    np.testing.assert_array_equal(fitted.predict_std(X, constraint_values=values), std)
    draws = fitted.sample_y(X, 3, constraint_values=values)
    wanted = np.repeat(values["conservationlaw"][:, None], 3, axis=1)
    np.testing.assert_allclose(np.einsum("bnd,n->bd", draws, GRID.weights()), wanted, rtol=1e-12)
    assert np.abs(fitted.constraint_residuals(X, constraint_values=values)).max() < 1e-13


def test_a_fit_that_fails_leaves_nothing_behind():
    class Broken(Plain):
        def fit(self, X, y):
            raise RuntimeError("no convergence")

    estimator = model(backbone=Broken())
    with pytest.raises(RuntimeError, match="no convergence"):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "constraints_")
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_warnings_point_at_the_line_of_the_user():
    fitted = model(backbone=Plain(), error_model="stated").fit(X, Y)
    calls = (
        lambda: fitted.predict(X, return_std=True),
        lambda: fitted.predict_std(X),
        lambda: fitted.predict_interval(X),
        lambda: fitted.sample_y(X),
        lambda: fitted.constraint_report(X),
        lambda: model(ConservationLaw("x", 2.0)).fit(X, Y),
    )
    for call in calls:
        with pytest.warns(UserWarning) as caught:
            call()
        assert caught[0].filename == __file__


def test_what_is_fitted_is_not_there_before():
    estimator = model()
    for name in ("estimator_", "constraints_", "grid_", "residual_std_"):
        with pytest.raises(AttributeError, match=f"'ConservationConstrained.*{name}"):
            getattr(estimator, name)
    assert not hasattr(estimator.fit(X, Y), "predict_members")
    with pytest.raises(
        ValueError, match="ConservationConstrainedRegressor is expecting 2 features"
    ):
        model(calibration=(X[:, :1], Y)).fit(X, Y)

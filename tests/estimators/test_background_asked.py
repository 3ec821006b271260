"""A background that is asked for: that it is honoured, or refused with what to do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR

from skphys import BoundaryEnforcedOperator
from skphys.constraints import Column, Dirichlet
from skphys.grids import Axis, Grid, Mesh

GRID = Grid(x=np.linspace(0.0, 1.0, 6))
ENDS = {"x": (Dirichlet(Column(0)), Dirichlet(Column(1)))}
X = np.random.default_rng(0).normal(size=(30, 3))
Y = X[:, :1] * (1.0 - GRID["x"]) + X[:, 1:2] * GRID["x"] + np.sin(np.pi * GRID["x"]) * X[:, 2:] ** 2


class Odd(RegressorMixin, BaseEstimator):
    """Predicts something else than fields, or nothing at all."""

    def __init__(self, shape=(), fill=0.0):
        self.shape = shape
        self.fill = fill

    def fit(self, X, y):
        self.features_ = X
        return self

    def predict(self, X):
        if self.shape is None:
            raise RuntimeError("out of order")
        return np.full((len(X), *self.shape), self.fill)


def enforced(background="auto", **params):
    options = {"boundary": ENDS, "grid": GRID, "background": background}
    return BoundaryEnforcedOperator(Ridge(), **options | params)


@pytest.mark.parametrize("background", ["none", "values", "smooth", "linear", "kernel", Ridge()])
def test_it_is_taken_and_said_to_be_asked_for(background):
    model = enforced(background).fit(X, Y)
    taken = model.background_
    if background == "none":  # and the method does nothing beside it
        assert taken is None and model.method_ == "project"
        taken = enforced(background, method="lift").fit(X, Y).background_
    assert taken.reason_ == "as asked"
    assert taken.kind_ == (background if isinstance(background, str) else "Ridge")
    assert enforced(method="lift").fit(X, Y).background_.reason_ != "as asked"


@pytest.mark.parametrize("background", ["linear", Ridge()])
def test_where_there_is_none_it_is_refused(background):
    with pytest.raises(ValueError, match=r"background=.* but method='project' has none\. Leave"):
        enforced(background, method="project").fit(X, Y)
    free = enforced(background, boundary={}).fit
    with pytest.raises(ValueError, match="no face with a condition"):
        free(X, Y)
    with pytest.raises(ValueError, match="trained already"):
        enforced(background).set_params(estimator=FrozenEstimator(Ridge().fit(X, Y))).fit(X, Y)
    ends = {"end": [0]}
    faces = [[0, -1], [0, 1], [1, -1]]
    mesh = Mesh([0.5, 1.5], [1.0, 1.0], faces, face_points=[0.0, 1.0, 2.0], boundary=ends)
    with pytest.raises(ValueError, match=r"a Mesh has none.*'auto'"):
        enforced(background, boundary={"end": Dirichlet(0.0)}, grid=mesh).fit(X, Y[:, :2])
    half_open = Grid(x=Axis.periodic(0.0, 1.0, 6))
    assert enforced(boundary={}, grid=half_open).fit(X, Y).background_ is None


@pytest.mark.parametrize(
    "background, n, said",
    [
        (SVR(), 30, "1d array"),
        (Odd((3,)), 30, r"shape \(30, 3\), where fields have the shape \(30, 6\)"),
        (Odd(), 30, r"shape \(30,\)"),
        (Odd((6,), np.nan), 30, "its prediction contains NaN"),
        (Odd(None), 30, "out of order"),
        (KNeighborsRegressor(5), 5, "n_samples_fit = 4"),
    ],
)
def test_a_bad_regressor_is_refused_in_the_same_words(background, n, said):
    with pytest.raises(ValueError, match=rf"(?s)^background={type(background).__name__}.*") as it:
        enforced(background).fit(X[:n], Y[:n])
    assert it.match(said) and it.match("MultiOutputRegressor") and it.match(rf"\({n}, 6\)")


@pytest.mark.parametrize("n", [1, 2, 5])
def test_regressors_that_can_learn_of_few_fields(n):
    for background in (Ridge(), KNeighborsRegressor(1), MultiOutputRegressor(SVR())):
        model = enforced(background).fit(X[:n], Y[:n])
        np.testing.assert_array_equal(model.predict(X)[:, 0], X[:, 0])


class Nosy(Odd):
    """Remembers what it saw."""

    seen = []

    def fit(self, X, y):
        Nosy.seen.append(X)
        return super().fit(X, y)


def test_it_sees_names_and_units_of_X():
    frame = pd.DataFrame(X * 1e3, columns=["left", "right", "source"]).assign(label="a")
    ends = {"x": (Dirichlet("left"), Dirichlet("right"))}
    grid = Grid(t=[0.0, 1.0], x=GRID["x"])
    for on, names in (
        (GRID, ["x_left", "x_right"]),
        (grid, ["x_left_0", "x_left_1", "x_right_0", "x_right_1"]),
    ):
        y = 1e3 * np.tile(Y, len(names) // 2)
        model = enforced(Nosy((on.n_points,)), boundary=ends, grid=on, drop_value_columns=True)
        model.set_params(estimator=Odd((on.n_points,)))
        model.fit(frame, y)
        assert list(Nosy.seen[-1].columns) == ["source", *names]
        np.testing.assert_array_equal(Nosy.seen[-1]["source"], X[:, 2] * 1e3)
        np.testing.assert_array_equal(Nosy.seen[-1][names[0]], X[:, 0] * 1e3)
        model.predict(frame)
    enforced(Nosy((6,))).fit(X, Y)
    assert isinstance(Nosy.seen[-1], np.ndarray)


@pytest.mark.parametrize("given", [False, True])
def test_values_that_are_not_known_need_project(given):
    """In one message, whether they are declared or given."""
    Z = X.copy()
    Z[3:5, 0] = np.nan
    Q, values = (X, {"x_left": Z[:, 0]}) if given else (Z, None)
    lifted = enforced(method="lift").fit(X, Y)
    for ask in (lifted.predict, lifted.predict_std):
        with pytest.raises(ValueError, match=r"'x_left' is not known \(NaN\) for 2 of 30 .*proj"):
            ask(Q, constraint_values=values)
    if not given:
        with pytest.raises(ValueError, match=r"'x_left' is not known \(NaN\) for 2 of 30 .*proj"):
            lifted.fit(Z, Y)


def test_advice_names_a_parameter_of_this_estimator():
    model = enforced().fit(X, Y)
    with pytest.warns(UserWarning, match="Use uncertainty='residual'"):
        model.predict_std(X)
    assert "uncertainty" in model.get_params() and "error_model" not in model.get_params()
    with pytest.raises(ValueError, match=r"at least two fields") as it:
        enforced(uncertainty="residual").fit(X[:1], Y[:1])
    assert "error_model" not in str(it.value)


def test_a_backbone_that_is_trained_has_no_background():
    trained = FrozenEstimator(Ridge().fit(X, Y))
    with pytest.raises(ValueError, match=r"background='linear' is .* is trained already"):
        enforced("linear").set_params(estimator=trained).fit(X, Y)


def test_no_rows_are_told():
    model = enforced("linear").fit(X, Y)
    for call in (model.predict, model.predict_std, model.sample_y):
        with pytest.raises(ValueError, match=r"no row in X of shape \(0, 3\)"):
            call(X[:0])

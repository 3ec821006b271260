"""Bounds and monotone fields through the estimator: every backbone, layout and error."""

import pickle

import numpy as np
import pandas as pd
import pytest
from backbones import Plain, WithCov, WithMembers, WithStd, WithZeros
from conditioning_cases import relative_miss
from inequality_cases import stationarity, violation
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, make_constrained_pipeline
from skphys.constraints import Bounds, Column, ConservationLaw, LinearEquality, Monotone
from skphys.datasets import make_stefan
from skphys.estimators import ErrorModel
from skphys.grids import Axis, ColumnGrid, Grid

N = 16
GRID = Grid(x=np.linspace(0.0, 1.0, N))
BACKBONES = {
    "plain": Plain(),
    "std": WithStd(),
    "cov": WithCov(),
    "members": WithMembers(),
    "forest": RandomForestRegressor(5, random_state=0),
}
pytestmark = pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")


def data(seed=0):
    """Fronts that fall from 1 to 0, with noise; the mass is the second column of X."""
    rng = np.random.default_rng(seed)
    front = rng.uniform(0.2, 0.8, 30)
    y = np.clip(1.0 - (GRID["x"] - front[:, None] + 0.1) / 0.2, 0.0, 1.0)
    mass = np.trapezoid(y, GRID["x"])
    return np.column_stack([front, mass]), y


def constraints():
    return [
        ("mass", ConservationLaw(over="x", total=Column(1))),
        ("bounds", Bounds(0.0, 1.0)),
        ("falling", Monotone("x", increasing=False)),
    ]


def fitted(backbone, listed=None, **params):
    X, y = data()
    listed = constraints() if listed is None else listed
    return ConservationConstrainedRegressor(backbone, listed, GRID, **params).fit(X, y), X


def check(fields, X):
    row = GRID.integral_rows().toarray()
    assert relative_miss(fields, row, X[:, 1:2]).max() < 1e-12
    assert fields.min() > -1e-9 and fields.max() < 1.0 + 1e-9
    assert np.diff(fields, axis=-1).max() < 1e-9


@pytest.mark.filterwarnings("ignore:correlation_length has no effect")  # of what states covariances
@pytest.mark.parametrize("correlation_length", [None, 0.2])
@pytest.mark.parametrize("members", ["moments", "each"])
@pytest.mark.parametrize("name", BACKBONES)
def test_the_mean_obeys_everything(name, members, correlation_length):
    if name == "forest" and members == "each":
        pytest.skip("trees are points")
    stated = {"members": members, "correlation_length": correlation_length}
    given = {"error_model": ErrorModel(covariance="stated", **stated)}
    model, X = fitted(BACKBONES[name], inequality_posterior="projected", **given)
    mean, std = model.predict(X, return_std=True)
    check(mean, X)
    np.testing.assert_allclose(model.constraint_residuals(X), 0.0, atol=1e-14)
    # the spread is that before the inequalities
    free, _ = fitted(BACKBONES[name], constraints()[:1], **given)
    np.testing.assert_allclose(std, free.predict_std(X), rtol=1e-12)
    np.testing.assert_allclose(
        model.predict(X, return_cov=True)[1], free.predict(X, return_cov=True)[1], atol=1e-14
    )
    assert violation(free.predict(X), np.eye(N), 0.0, 1.0).max() > 1e-3
    for fields in np.moveaxis(model.sample_y(X[:3], 2), -1, 0):
        check(fields, X[:3])


@pytest.mark.parametrize("correlation_length", [None, 0.2])
def test_the_mean_of_a_mixture_obeys_everything(correlation_length):
    """Trees are moved one by one, and fields that miss their law get larger errors."""
    errors = ErrorModel(correlation_length=correlation_length)
    model, X = fitted(BACKBONES["forest"], error_model=errors)
    assert len(model.error_model_.scales_) > 1
    check(model.predict(X), X)


def test_the_mean_is_the_most_probable_field():
    model, X = fitted(WithCov())
    mean = model.predict(X)
    backbone, cov = model.estimator_.predict(X, return_cov=True)
    H = np.vstack([np.eye(N), -np.diff(np.eye(N), axis=0)])
    upper = np.where(np.arange(len(H)) < N, 1.0, np.inf)
    row = GRID.integral_rows().toarray()
    for b in range(5):
        left = stationarity(
            mean[b], backbone[b], cov[b], row, X[b, 1:2], np.zeros(1), H, np.zeros(len(H)), upper
        )
        assert left < 1e-7


def test_members_are_projected_one_by_one():
    errors = ErrorModel(members="each", covariance="stated")
    model, X = fitted(WithMembers(), error_model=errors)
    means, stds = model.estimator_.predict_members(X)
    each = []
    for mean, std in zip(means, stds, strict=True):
        alone, _ = fitted(WithStd())
        alone.estimator_ = Stored(mean, std)
        each.append(alone.predict(X))
    np.testing.assert_allclose(model.predict(X), np.mean(each, axis=0), atol=1e-12)


class Stored:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def predict(self, X, return_std=False):
        return (self.mean, self.std) if return_std else self.mean


@pytest.mark.parametrize("members", ["moments", "each"])
@pytest.mark.parametrize("name", BACKBONES)
def test_samples_are_projected_on_request(name, members):
    if name == "forest" and members == "each":
        pytest.skip("trees are points")
    model, X = fitted(
        BACKBONES[name], error_model=ErrorModel(members=members), inequality_posterior="projected"
    )
    draws = model.sample_y(X[:3], 4, random_state=0)
    assert draws.shape == (3, N, 4)
    for fields in np.moveaxis(draws, -1, 0):
        check(fields, X[:3])
    assert np.ptp(draws, axis=-1).max() > 1e-3


def test_projected_samples_keep_the_noise_of_a_total():
    listed = [("mass", ConservationLaw(total=Column(1), noise=0.05)), ("positive", Bounds(0.0))]
    plain, X = fitted(WithStd(), listed)
    model, _ = fitted(WithStd(), listed, inequality_posterior="projected")
    mass = GRID.weights() @ model.sample_y(X[:1], 500)[0] - X[0, 1]
    assert 0.02 < mass.std() < 0.08
    # where a draw obeys already it is left alone
    draws, free = model.sample_y(X, 50), plain.sample_y(X, 50)
    obeys = (free >= 0).all(axis=1)
    np.testing.assert_array_equal(np.moveaxis(draws, 1, -1)[obeys], np.moveaxis(free, 1, -1)[obeys])


@pytest.mark.filterwarnings("ignore:The training targets break inequality:UserWarning")
def test_points_without_variance_stay_put():
    X, y = data()
    model = ConservationConstrainedRegressor(WithZeros(), Bounds(0.0, 1.5), GRID).fit(X, y)
    mean, backbone = model.predict(X), model.estimator_.predict(X)
    np.testing.assert_array_equal(mean[:, :2], backbone[:, :2])
    assert mean.min() >= 0.0
    model.set_params(constraints=Bounds(0.0, 0.5)).fit(X, y)
    with pytest.raises(
        ValueError,
        match=r"'bounds' cannot be met together for row 0 of X.* or use error_model='residual'",
    ):
        model.predict(X)


@pytest.mark.parametrize("backbone", [WithStd(), WithCov()])
@pytest.mark.parametrize(
    ("listed", "named"),
    [
        ([ConservationLaw(total=-1.0), Bounds(0.0), Monotone()], ["conservationlaw", "bounds"]),
        ([ConservationLaw(total=2.0), Bounds(upper=1.0)], ["conservationlaw", "bounds"]),
        (
            [
                ConservationLaw(total=0.2),
                ("left", LinearEquality(np.eye(N)[0], 0.5)),
                ("up", Monotone("x")),
                ("down", Bounds(upper=9.0)),
            ],
            ["conservationlaw", "left", "up"],
        ),
        (
            [
                ("high", LinearEquality(np.eye(N)[0], 2.0)),
                ConservationLaw(),
                ("cap", Bounds(upper=1.0)),
                ("floor", Bounds(-9.0)),
            ],
            ["high", "cap"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")
@pytest.mark.filterwarnings("ignore:The training targets break inequality:UserWarning")
def test_conflicts_are_named(backbone, listed, named):
    model, X = fitted(backbone, listed)
    names = ", ".join(map(repr, named))
    with pytest.raises(ValueError, match=f"^Constraints {names} cannot be met together for row 0"):
        model.predict(X)


def test_bounds_that_cross_are_found_in_fit():
    with pytest.raises(ValueError, match="lower of constraint 'bounds' is above its upper"):
        fitted(WithStd(), Bounds(1.0, 0.0))


def test_it_is_searched_piped_pickled_and_nested():
    X, y = data()
    model = make_constrained_pipeline(StandardScaler(), WithStd(), *constraints(), grid=GRID)
    check(model.fit(X, y).predict(X), X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert clone(model).get_params()["constraints__bounds__upper"] == 1.0
    search = GridSearchCV(
        model, {"constraints__bounds__upper": [1.0, 2.0]}, cv=3, scoring="neg_mean_squared_error"
    )
    assert search.fit(X, y).best_score_ > -0.1
    mass, *inequalities = constraints()
    inner = ConservationConstrainedRegressor(
        make_pipeline(StandardScaler(), WithStd()), inequalities, GRID
    )
    nested = ConservationConstrainedRegressor(inner, [mass], GRID).fit(X, y)
    np.testing.assert_allclose(nested.predict(X), model.predict(X), atol=1e-13)


def test_a_field_over_time_and_space():
    """Bounds, and falling along x at each time, with one mass for each time."""
    grid = Grid(t=[0.0, 1.0, 2.0], x=Axis.cells(np.linspace(0, 1, 9)))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    y = np.sort(rng.uniform(0, 1, (20, 3, 8)))[..., ::-1]
    masses = y.mean(axis=(0, 2))
    y *= (masses / y.mean(axis=2))[..., None]
    listed = [ConservationLaw("x", masses), Bounds(0.0), Monotone("x", False)]
    model = ConservationConstrainedRegressor(
        WithStd(), listed, grid, inequality_posterior="projected"
    ).fit(X, y.reshape(20, -1))
    mean = model.predict(3 * X).reshape(20, 3, 8)
    np.testing.assert_allclose(mean.mean(axis=2), np.tile(masses, (20, 1)), rtol=1e-12)
    assert mean.min() >= 0.0 and np.diff(mean, axis=2).max() < 1e-9


X_NODES = np.linspace(0.0, 1.0, 41)


@pytest.fixture(scope="module")
def stefan():
    return make_stefan(100, layout="table", as_frame=True, random_state=0)


@pytest.mark.filterwarnings("ignore:correlation_length has no effect")  # of the process
@pytest.mark.parametrize("length", [None, 0.1])
@pytest.mark.parametrize("nodes", [None, X_NODES])
@pytest.mark.parametrize("name", ["gp", "forest", "plain"])
def test_long_tables(name, nodes, length, stefan):
    backbone = {
        "gp": GaussianProcessRegressor(RBF([0.05, 0.2]) + WhiteKernel(1e-3), optimizer=None),
        "forest": RandomForestRegressor(10, random_state=0),
        "plain": KNeighborsRegressor(3),
    }[name]
    listed = [
        ConservationLaw(over="x", total=stefan.mass),
        Bounds(0.0, 1.2),
        Monotone("x", increasing=False),
    ]
    grid = ColumnGrid(space="x", by="t", domain=(0, 1), nodes=nodes)
    model = ConservationConstrainedRegressor(
        backbone,
        listed,
        grid,
        error_model=ErrorModel(correlation_length=length),
        inequality_posterior="projected",
    ).fit(stefan.data, stefan.target)
    own = X_NODES if nodes is None else np.sort(np.append(X_NODES, [0.013, 0.4321, 0.987]))
    query = pd.DataFrame([(t, x) for t in (0.02, 0.08) for x in own], columns=["t", "x"])
    query = query.sample(frac=1.0, random_state=0)
    mean, std = model.predict(query, return_std=True)
    assert (std >= 0).all()
    for u in (mean, *model.sample_y(query, 2).T):
        assert u.min() > -1e-9 and u.max() < 1.2 + 1e-9
        for t, field in query.assign(u=u).sort_values("x").groupby("t"):
            assert np.diff(field["u"]).max() < 1e-9
            at_nodes = field[field["x"].isin(X_NODES)]
            mass = np.trapezoid(at_nodes["u"], at_nodes["x"])
            np.testing.assert_allclose(mass, stefan.mass(pd.DataFrame({"t": [t]})), rtol=1e-12)


def test_conflicts_are_named_in_long_tables(stefan):
    grid = ColumnGrid(space="x", by="t", domain=(0, 1), nodes=X_NODES)
    listed = [ConservationLaw(over="x", total=-1.0), ("positive", Bounds(0.0))]
    model = ConservationConstrainedRegressor(KNeighborsRegressor(3), listed, grid)
    model.fit(stefan.data, stefan.target)
    query = pd.DataFrame({"t": [0.02, 0.02], "x": [0.1, 0.33]})
    with pytest.raises(ValueError, match=r"'conservationlaw', 'positive' .* the field of row 0"):
        model.predict(query)


def test_bounds_cannot_be_replaced_at_predict():
    X, y = np.arange(6.0)[:, None], np.ones((6, 4))
    laws = [ConservationLaw(total=4.0), Bounds(lower=0.0)]
    model = ConservationConstrainedRegressor(Ridge(), laws).fit(X, y)
    with pytest.raises(ValueError, match="cannot replace the bounds of the inequality 'bounds'"):
        model.predict(X, constraint_values={"bounds": 1.0})


def test_increasing_is_a_flag():
    with pytest.raises(ValueError, match="increasing must be True or False"):
        Monotone(increasing="no").rows(Grid.unit(4))

"""Long tables: one row a point."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.datasets import make_stefan
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid

X_NODES = np.linspace(0.0, 1.0, 41)
TIMES = (0.02, 0.05, 0.08)
GP = GaussianProcessRegressor(RBF([0.05, 0.2]) + WhiteKernel(1e-3), optimizer=None)
BACKBONES = {
    "gp": GP,
    "std": BayesianRidge(),
    "forest": RandomForestRegressor(10, random_state=0),
    "plain": KNeighborsRegressor(3),
}


@pytest.fixture(scope="module")
def stefan():
    return make_stefan(100, layout="table", as_frame=True, random_state=0)


@pytest.fixture
def query():
    grid = pd.DataFrame([(t, x) for t in TIMES for x in X_NODES], columns=["t", "x"])
    return grid.sample(frac=1.0, random_state=0)


def fit(stefan, name="gp", **grid):
    law = ConservationLaw(over="x", total=stefan.mass)
    columns = ColumnGrid(space="x", by="t", domain=(0, 1), **grid)
    model = ConservationConstrainedRegressor(BACKBONES[name], law, columns)
    return model.fit(stefan.data, stefan.target)


def masses(query, u):
    table = query.assign(u=u).sort_values(["t", "x"])
    return {t: np.trapezoid(f["u"], f["x"]) for t, f in table.groupby("t")}


@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
@pytest.mark.parametrize("nodes", [None, X_NODES])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_field_conserves_mass(name, nodes, stefan, query):
    model = fit(stefan, name, nodes=nodes)
    mean, std = model.predict(query, return_std=True)
    assert mean.shape == std.shape == (len(query),)
    draws = model.sample_y(query, 3)
    assert draws.shape == (len(query), 3)
    for u in (mean, *draws.T):
        for t, mass in masses(query, u).items():
            assert mass == pytest.approx(float(stefan.mass(t)), rel=1e-12)
    cov = model.predict(query, return_cov=True)[1]
    assert cov.shape == (len(query), len(query))
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), std, rtol=1e-12)
    times = query["t"].to_numpy()
    assert (cov[times[:, None] != times] == 0).all()
    assert model.constraint_residuals(query).shape == (3, 1)


def test_predictions_return_in_the_callers_order(stefan, query):
    model = fit(stefan)
    mean = model.predict(query)
    order = np.argsort(query["x"].to_numpy(), kind="stable")
    np.testing.assert_allclose(model.predict(query.iloc[order]), mean[order], rtol=1e-12)


def test_with_nodes_a_partial_query_is_fine(stefan, query):
    model = fit(stefan, nodes=X_NODES)
    full = pd.Series(model.predict(query), index=query.index)
    part = query.iloc[:17]
    np.testing.assert_allclose(model.predict(part), full.loc[part.index], rtol=1e-10)


@pytest.mark.parametrize("name", ["gp", "std"])
def test_a_query_between_nodes(name, stefan):
    """Between nodes the correction is continuous, and the variance does not grow."""
    model = fit(stefan, name, nodes=X_NODES)
    free = fit(stefan, name, nodes=X_NODES).set_params(constraints=None)
    free.fit(stefan.data, stefan.target)
    x = np.linspace(0.3, 0.4, 401)
    query = pd.DataFrame({"t": 0.05, "x": x})
    step = model.predict(query) - free.predict(query)
    inside = ~np.isin(x, X_NODES)
    assert np.abs(np.diff(step[inside])).max() < 0.05 * np.abs(step).max()
    assert (model.predict_std(query) <= free.predict_std(query) * (1 + 1e-9)).all()


def test_without_nodes_a_partial_query_raises(stefan, query):
    model = fit(stefan)
    with pytest.raises(ValueError, match=r"nodes"):
        model.predict(query[query["x"] > 0.5])


def test_the_domain_is_learned_if_it_is_not_given(query):
    table = query.assign(u=query["x"] * 0 + 2.0)
    model = ConservationConstrainedRegressor(
        BayesianRidge(), ConservationLaw(over="x", total=2.0), ColumnGrid(space="x", by="t")
    ).fit(table[["t", "x"]], table["u"])
    with pytest.raises(ValueError, match="fitted on"):
        model.predict(table.loc[table["x"] < 0.9, ["t", "x"]])


def test_totals_in_a_column(stefan, query):
    data = stefan.data.assign(total=stefan.mass(stefan.data[["t"]]))
    query = query.assign(total=stefan.mass(query[["t"]]))
    for key, table in (("total", query), (Column(2), query.to_numpy())):
        law = ConservationLaw(over=None, total=key)
        columns = ColumnGrid(*(("x", "t") if key == "total" else (1, 0)), domain=(0, 1))
        model = ConservationConstrainedRegressor(GP, law, columns, drop_value_columns=True)
        train = data if key == "total" else data.to_numpy()
        mean = model.fit(train, stefan.target).predict(table)
        assert model.estimator_.n_features_in_ == 2
        for t, mass in masses(query, mean).items():
            assert mass == pytest.approx(float(stefan.mass(t)), rel=1e-12)
    wrong = query.copy()
    wrong.iloc[5, 2] += 1.0
    model = ConservationConstrainedRegressor(
        GP, ConservationLaw("x", "total"), ColumnGrid("x", "t"), drop_value_columns=True
    ).fit(data, stefan.target)
    with pytest.raises(ValueError, match="one value for each field"):
        model.predict(wrong)


def test_values_given_at_predict(stefan, query):
    model = fit(stefan)
    wanted = 1.0 + query["t"].to_numpy()
    mean = model.predict(query, constraint_values={"conservationlaw": wanted})
    for t, mass in masses(query, mean).items():
        assert mass == pytest.approx(1.0 + t, rel=1e-12)
    with pytest.raises(ValueError, match="varies within a field"):
        model.predict(query, constraint_values={"conservationlaw": np.arange(len(query))})
    with pytest.raises(ValueError, match="one value for each"):
        model.predict(query, constraint_values={"conservationlaw": np.arange(3)})


def test_fields_of_different_points(stefan):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"t": t, "x": np.r_[0.0, np.sort(rng.uniform(size=n)), 1.0]})
        for t, n in zip(TIMES, (5, 17, 40), strict=True)
    ]
    query = pd.concat(parts).sample(frac=1.0, random_state=1)
    mean = fit(stefan).predict(query)
    for t, mass in masses(query, mean).items():
        assert mass == pytest.approx(float(stefan.mass(t)), rel=1e-12)


def test_residual_uncertainty_is_one_number(stefan, query):
    law = ConservationLaw(over="x", total=stefan.mass)
    model = ConservationConstrainedRegressor(
        LinearRegression(), law, ColumnGrid("x", "t", (0, 1)), error_model="residual"
    ).fit(stefan.data, stefan.target)
    assert model.residual_std_.shape == ()
    residual = stefan.target - LinearRegression().fit(stefan.data, stefan.target).predict(
        stefan.data
    )
    assert 1.0 < model.residual_std_ / np.sqrt(np.mean(residual**2)) < 1.2
    # The law takes some of it away, and says of which fields there is more.
    size = float(model.residual_std_)
    even = clone(model).set_params(error_model=ErrorModel(covariance="stated", scale=size))
    before = even.fit(stefan.data, stefan.target).predict_std(query)
    assert (before < size).all()
    factor = pd.Series(model.predict_std(query) / before).groupby(query["t"].to_numpy())
    assert (factor.min() >= 1.0).all() and (factor.max() / factor.min() - 1.0).max() < 1e-9


def test_complete_training_fields_are_checked(query):
    table = query.assign(u=1.0 + query["x"])
    with pytest.warns(UserWarning, match=r"violate constraint 'conservationlaw' by up to 0\.5"):
        ConservationConstrainedRegressor(
            BayesianRidge(), ConservationLaw("x", 2.0), ColumnGrid("x", "t", (0, 1))
        ).fit(table[["t", "x"]], table["u"])


def test_tables_cannot_be_nested(stefan, query):
    columns = ColumnGrid("x", "t", (0, 1))
    inner = ConservationConstrainedRegressor(GP, LinearEquality(np.eye(41)[:1]), columns)
    outer = ConservationConstrainedRegressor(inner, ConservationLaw("x", 1.0), columns)
    outer.fit(stefan.data, stefan.target)
    with pytest.raises(ValueError, match="constraints="):
        outer.predict(query)


def test_an_unknown_axis_is_found_at_fit(stefan):
    model = ConservationConstrainedRegressor(GP, ConservationLaw("y"), ColumnGrid("x", "t", (0, 1)))
    with pytest.raises(ValueError, match=r"over='y' has unknown axis 'y'; the axes are \['x'\]"):
        model.fit(stefan.data, stefan.target)


def test_a_scaler_in_front_of_a_table_is_named(stefan):
    inner = ConservationConstrainedRegressor(
        GP, ConservationLaw(total=0.2), ColumnGrid(space=1, by=0, domain=(0, 1))
    )
    with pytest.warns(UserWarning, match="a scaler in front of the constraint"):
        make_pipeline(StandardScaler(), inner).fit(stefan.data, stefan.target)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (ConservationLaw("x", "total"), "not finite"),
        (ConservationLaw("x", [1.0, 2.0]), "has shape"),
        (ConservationLaw("x", 1.0, noise=-1.0), "noise"),
        (ConservationLaw("x", 1.0, quadrature="simson"), "simson"),
        (LinearEquality(np.ones((1, 7))), "41 points"),
    ],
)
def test_bad_laws_of_scattered_tables_are_found_at_fit(law, message, stefan):
    data = stefan.data.assign(total=np.nan)
    model = ConservationConstrainedRegressor(GP, law, ColumnGrid("x", "t", nodes=X_NODES))
    with pytest.raises(ValueError, match=message):
        model.fit(data, stefan.target)


def test_many_fields_of_different_points_are_one_call(stefan):
    calls = []

    class Spy(KNeighborsRegressor):
        def predict(self, X):
            calls.append(len(X))
            return super().predict(X)

    law = ConservationLaw(over="x", total=stefan.mass)
    model = ConservationConstrainedRegressor(Spy(3), law, ColumnGrid("x", "t", nodes=X_NODES))
    rng = np.random.default_rng(0)
    query = pd.DataFrame(
        {"t": np.repeat(np.linspace(0.02, 0.08, 20), 2), "x": rng.uniform(size=40)}
    )
    model.fit(stefan.data, stefan.target).predict(query)
    assert calls == [20 * (41 + 2)]

"""Long tables with nodes, and covariates that vary along a field or are missing in some rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import ColumnGrid

pytestmark = pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")
NODES = np.linspace(0.0, 1.0, 11)
GRID = ColumnGrid("x", by="t", nodes=NODES)
LAW = ConservationLaw(over="x", total=3.0)


def profile(t, x):
    """Linear in x, so that interpolation gives it exactly."""
    return (1.0 + t) * x


def table(n_fields=6, n_rows=8, seed=0):
    """Rows anywhere, the ends of each field among them."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([[0.0, 1.0, *rng.uniform(size=n_rows - 2)] for _ in range(n_fields)])
    X = pd.DataFrame({"t": np.repeat(np.arange(n_fields) / n_fields, n_rows), "x": x})
    X = X.assign(k=profile(X["t"], X["x"]), site=np.where(X["t"] < 0.5, 1.0, 2.0))
    X = X.sample(frac=1.0, random_state=seed)
    return X, (X["k"] ** 2 + X["site"] + 0.1 * rng.normal(size=len(X))).to_numpy()


def over_the_nodes(X):
    """The same fields at the nodes, with the covariates in closed form."""
    times = np.unique(X["t"])
    full = pd.DataFrame({"t": np.repeat(times, 11), "x": np.tile(NODES, len(times))})
    return full.assign(k=profile(full["t"], full["x"]), site=np.where(full["t"] < 0.5, 1.0, 2.0))


@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_fields_are_those_of_covariates_that_are_known_at_the_nodes(missing, as_array):
    """The reference has no nodes: its rows are the nodes, with the covariates as they are."""
    (X, y), (query, _) = table(), table(seed=1)
    whole = ColumnGrid("x", by="t", domain=(0, 1))
    full = over_the_nodes(query)
    reference = ConservationConstrainedRegressor(BayesianRidge(), LAW, whole).fit(X, y)
    expected = reference.predict(full, return_std=True)
    if missing:
        gaps = {"k": (X["x"] > 0.3) & (X["x"] < 0.6), "site": X["x"] < 0.2}
        X = X.assign(**{name: X[name].mask(gap) for name, gap in gaps.items()})
        query = query.assign(k=query["k"].mask(query["x"].between(0.4, 0.7)))
        assert X["k"].isna().sum() > 3 and query["k"].isna().sum() > 3
    grid, at = GRID, pd.concat([query, full.iloc[::3]])
    tables = [X, at]
    if as_array:
        grid, tables = ColumnGrid(1, by=0, nodes=NODES), [t.to_numpy() for t in tables]
    law = ConservationLaw(over=None, total=3.0)
    model = ConservationConstrainedRegressor(BayesianRidge(), law, grid).fit(tables[0], y)
    found = model.predict(tables[1], return_std=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[len(query) :], other[::3], rtol=1e-9)
    draws = model.sample_y(tables[1], 2)
    assert draws.shape == (len(at), 2) and np.isfinite(draws).all()


def test_the_backbone_is_fitted_on_completed_rows():
    class Seen(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.X_ = X
            return self

        def predict(self, X):
            assert not X.isna().any(axis=None)
            return np.zeros(len(X))

    (X, y), gap = table(), 17
    holes = X.copy()
    holes.iloc[gap, 2:] = np.nan
    for calibration in (None, (holes, y)):
        model = ConservationConstrainedRegressor(
            Seen(), LAW, GRID, error_model="residual", calibration=calibration
        ).fit(holes, y)
        np.testing.assert_allclose(model.estimator_.X_, X, rtol=1e-13)
        assert model.predict_std(holes).all()
    assert holes.iloc[gap, 2:].isna().all()
    plain = ConservationConstrainedRegressor(Seen(), LAW, ColumnGrid("x", by="t")).fit(holes, y)
    assert plain.estimator_.X_.iloc[gap, 2:].isna().all()  # without nodes that is not our affair


def test_what_no_row_knows_is_left_to_the_backbone():
    X, y = table()
    X.loc[X["t"] == 0.5, "k"] = np.nan
    model = ConservationConstrainedRegressor(LinearRegression(), LAW, GRID)
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(X, y)


def test_what_cannot_be_interpolated_is_an_error_of_fit():
    X, y = table()
    words = X.assign(word=np.where(X["x"] > 0.5, "far", "near"))
    model = ConservationConstrainedRegressor(BayesianRidge(), LAW, GRID)
    message = "column 'word' varies within the field t=.*, and it holds no numbers"
    with pytest.raises(ValueError, match=message):
        model.fit(words, y)
    search = GridSearchCV(model, {"estimator__tol": [1e-3, 1e-4]}, cv=GroupKFold(3))
    with pytest.raises(ValueError, match=message):
        search.fit(words, y, groups=GRID.labels(words))
    search.fit(X, y, groups=GRID.labels(X))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_total_must_still_be_one_number_a_field():
    X, y = table()
    X["total"] = 3.0
    law = ConservationLaw(over="x", total="total")
    for drop in (False, True):
        model = ConservationConstrainedRegressor(
            BayesianRidge(), law, GRID, drop_value_columns=drop
        )
        model.fit(X, y)
        for wrong in (4.0, np.nan):
            bad = X.copy()
            bad.iloc[3, -1] = wrong
            for call in (model.predict, lambda bad, m=model: m.fit(bad, y)):
                with pytest.raises(ValueError, match=r"column 'total' must have one value"):
                    call(bad)

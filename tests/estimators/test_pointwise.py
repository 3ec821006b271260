"""PointwiseRegressor: rows of points, covariances along the field, members, routing."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor, EnsembleRegressor, PointwiseRegressor
from skphys.constraints import ConservationLaw
from skphys.estimators import _pointwise
from skphys.grids import Grid
from skphys.predictive import Prediction, offers_covariance, offers_members, predict_distribution


@parametrize_with_checks(
    [
        PointwiseRegressor(Ridge()),
        PointwiseRegressor(DecisionTreeRegressor(random_state=0)),
        PointwiseRegressor(GaussianProcessRegressor()),
        PointwiseRegressor(Ridge(), max_rows=30, random_state=0),
    ]
)
def test_check_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


GRID = Grid(t=[0.0, 0.5], x=[0.0, 0.2, 1.0])


@pytest.fixture
def fields():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9, 2))
    t, x = np.meshgrid([0.0, 0.5], [0.0, 0.2, 1.0], indexing="ij")
    return X, np.sin(X[:, :1] + t.ravel() + 2 * x.ravel()) + 0.1 * X[:, 1:]


def process():
    return GaussianProcessRegressor(RBF(1.0), alpha=1e-2, optimizer=None)


def long_table(X):
    """Write the rows out, point by point."""
    return np.array([[*sample, t, x] for sample in X for t in (0.0, 0.5) for x in (0.0, 0.2, 1.0)])


def test_rows_are_features_then_coordinates(fields):
    X, y = fields
    model = PointwiseRegressor(LinearRegression(), GRID).fit(X, y)
    by_hand = LinearRegression().fit(long_table(X), y.ravel())
    np.testing.assert_allclose(model.estimator_.coef_, by_hand.coef_, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), by_hand.predict(long_table(X)).reshape(9, 6))
    assert model.n_features_in_ == 2


@pytest.mark.parametrize("wrap", [lambda gp: gp, lambda gp: GridSearchCV(gp, {}, cv=2)])
def test_covariance_along_the_field(fields, wrap, monkeypatch):
    X, y = fields
    model = PointwiseRegressor(wrap(process()), GRID).fit(X, y)
    assert offers_covariance(model, "fields")
    mean, cov = model.predict(X[:4] + 0.1, return_cov=True)
    by_hand = process().fit(long_table(X), y.ravel())
    for field in range(4):
        expected = by_hand.predict(long_table(X[field : field + 1] + 0.1), return_cov=True)
        np.testing.assert_allclose(mean[field], expected[0], atol=1e-10)
        np.testing.assert_allclose(cov[field], expected[1], atol=1e-10)
    std = model.predict_std(X[:4] + 0.1)
    np.testing.assert_allclose(std**2, np.diagonal(cov, axis1=1, axis2=2), atol=1e-9)
    prediction = predict_distribution(model, X[:4] + 0.1)
    np.testing.assert_array_equal(prediction.cov, cov)
    lean = predict_distribution(model, X[:4] + 0.1, want_cov=False)
    assert lean.cov is None
    monkeypatch.setattr(_pointwise, "MAX_ROWS", 13)  # two fields at once
    np.testing.assert_allclose(model.predict(X[:4] + 0.1), mean, atol=1e-12)


@pytest.mark.parametrize("inner", [BayesianRidge(), RandomForestRegressor(5, random_state=0)])
def test_std(fields, inner, monkeypatch):
    X, y = fields
    monkeypatch.setattr(_pointwise, "MAX_ROWS", 13)
    model = PointwiseRegressor(inner, GRID).fit(X, y)
    expected = predict_distribution(model.estimator_, long_table(X))
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected.mean.reshape(9, 6), rtol=1e-12)
    np.testing.assert_allclose(std, expected.std.reshape(9, 6), rtol=1e-12)


def test_members(fields):
    X, y = fields
    model = PointwiseRegressor(RandomForestRegressor(5, random_state=0), GRID).fit(X, y)
    means, stds = model.predict_members(X)
    first = model.estimator_.estimators_[0].predict(long_table(X))
    np.testing.assert_array_equal(means[0], first.reshape(9, 6))
    assert means.shape == (5, 9, 6) and stds is None
    np.testing.assert_array_equal(predict_distribution(model, X).member_means, means)
    assert offers_members(model) and not offers_covariance(model)
    cov = model.predict(X, return_cov=True)[1]
    np.testing.assert_allclose(cov[2], np.cov(means[:, 2].T, ddof=0), atol=1e-14)
    assert not hasattr(PointwiseRegressor(Ridge()), "predict_members")
    stated = EnsembleRegressor(BayesianRidge(), 3, bootstrap=True, random_state=0)
    assert (PointwiseRegressor(stated, GRID).fit(X, y).predict_members(X)[1] > 0).all()


def test_no_uncertainty(fields):
    X, y = fields
    model = PointwiseRegressor(Ridge(), GRID).fit(X, y)
    assert not predict_distribution(model, X).states_uncertainty
    with pytest.raises(ValueError, match="Ridge, the estimator in PointwiseRegressor, states no"):
        model.predict(X, return_std=True)
    with pytest.raises(ValueError, match="At most one"):
        model.predict(X, return_std=True, return_cov=True)


def test_one_point(fields):
    X, y = fields
    model = PointwiseRegressor(process()).fit(X, y[:, 0])
    assert model.grid_ == Grid.unit(1)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (9,)
    assert model.predict(X, return_cov=True)[1].shape == (9, 1, 1)
    between = predict_distribution(model, X, rows="points")
    expected = process().fit(X, y[:, 0]).predict(X, return_cov=True)[1]
    np.testing.assert_allclose(between.cov[0], expected, atol=1e-12)
    assert model.fit(X, y[:, :1]).predict(X).shape == (9, 1)


def test_unit_cells_without_a_grid(fields):
    X, y = fields
    model = PointwiseRegressor(Ridge()).fit(X, y)
    assert model.grid_ == Grid.unit(6)


class Recorder(RegressorMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.weight_ = X, y, sample_weight
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_max_rows(fields):
    X, y = fields
    model = PointwiseRegressor(Recorder(), GRID, max_rows=20, random_state=0).fit(X, y)
    rows = np.column_stack([long_table(X), y.ravel()])
    seen = np.column_stack([model.estimator_.X_, model.estimator_.y_])
    assert len(seen) == 20 and len(np.unique(seen, axis=0)) == 20
    assert {tuple(row) for row in seen} <= {tuple(row) for row in rows}
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.estimator_.X_, model.estimator_.X_)
    assert len(clone(model).set_params(max_rows=1000).fit(X, y).estimator_.X_) == 54


@pytest.mark.parametrize("routing", [False, True])
def test_sample_weights_are_repeated(fields, routing):
    X, y = fields
    with sklearn.config_context(enable_metadata_routing=routing):
        inner = Recorder().set_fit_request(sample_weight=True) if routing else Recorder()
        model = PointwiseRegressor(inner, GRID, max_rows=20, random_state=0)
        model.fit(X, y, sample_weight=X[:, 0])
    np.testing.assert_array_equal(model.estimator_.weight_, model.estimator_.X_[:, 0])


@pytest.mark.parametrize("routing", [False, True])
def test_in_a_pipeline(fields, routing):
    X, y = fields
    with sklearn.config_context(enable_metadata_routing=routing):
        model = make_pipeline(StandardScaler(), PointwiseRegressor(process(), GRID)).fit(X, y)
        std = model.predict(X, return_std=True)[1]
        np.testing.assert_allclose(predict_distribution(model, X).std, std, rtol=1e-6, atol=1e-12)


def test_data_frames_keep_their_columns(fields):
    pd = pytest.importorskip("pandas")
    X, y = fields
    table = pd.DataFrame(
        {"u": X[:, 0], "material": ["steel", "wood", "wood"] * 3}, index=range(9, 0, -1)
    )
    encode = make_column_transformer((OneHotEncoder(), ["material"]), remainder="passthrough")
    model = PointwiseRegressor(make_pipeline(encode, Ridge()), GRID).fit(table, y)
    assert list(model.feature_names_in_) == ["u", "material"]
    assert list(model.estimator_.feature_names_in_) == ["u", "material", "t", "x"]
    wood = (table["material"] == "wood").to_numpy(float)
    rows = np.column_stack([np.repeat(X[:, 0], 6), np.repeat(wood, 6), long_table(X)[:, 2:]])
    both = np.column_stack([rows, 1 - rows[:, 1]])
    expected = Ridge().fit(both, y.ravel()).predict(both).reshape(9, 6)
    np.testing.assert_allclose(model.predict(table), expected, atol=1e-10)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.rename(columns={"u": "v"}))
    with pytest.raises(ValueError, match=r"column\(s\) \['t'\] named like axes"):
        model.fit(table.rename(columns={"u": "t"}), y)


def test_wrong_widths(fields):
    X, y = fields
    with pytest.raises(ValueError, match=r"y has 5 value\(s\) a sample but grid has 6 points"):
        PointwiseRegressor(Ridge(), GRID).fit(X, y[:, :5])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PointwiseRegressor(Ridge(), GRID).fit(X[:4], y)
    with pytest.raises(ValueError, match="grid"):
        PointwiseRegressor(Ridge(), grid=np.arange(6.0)).fit(X, y)


class Constrained(Recorder):
    """Hands up a constraint on points."""

    def _predict_unconditioned(self, X, *, rows, want_cov):
        return Prediction(np.zeros((1, len(X))), constraints=("law",))


def test_a_constraint_belongs_outside(fields):
    model = PointwiseRegressor(Constrained(), GRID).fit(*fields)
    with pytest.raises(ValueError, match=r"Constrained in PointwiseRegressor .* outermost"):
        predict_distribution(model, fields[0])


def test_a_constraint_outside(fields):
    X, y = fields
    law = ConservationLaw(over="x", total=np.array([1.0, 2.0]))
    model = ConservationConstrainedRegressor(PointwiseRegressor(process(), GRID), law, grid=GRID)
    with pytest.warns(UserWarning, match="law"):  # the training data obey another one
        model.fit(X, y)
    mean, cov = model.predict(X, return_cov=True)
    rows = GRID.integral_rows("x").toarray()
    np.testing.assert_allclose(mean @ rows.T, [[1.0, 2.0]] * 9, rtol=1e-12)
    np.testing.assert_allclose(rows @ cov, 0.0, atol=1e-12)


def test_skorch_nets(fields):
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    net = skorch.NeuralNetRegressor(
        torch.nn.Linear, module__in_features=4, module__out_features=1, max_epochs=1, verbose=0
    )
    X, y = fields
    mean = PointwiseRegressor(net, GRID).fit(X, y).predict(X)
    assert mean.shape == (9, 6) and mean.dtype == np.float64


def test_pickles(fields):
    X, y = fields
    model = PointwiseRegressor(process(), GRID).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_std(X), model.predict_std(X))

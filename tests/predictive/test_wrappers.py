"""Wrappers are opened, with metadata routing disabled and enabled."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skphys.predictive import (
    Prediction,
    last_step,
    offers_covariance,
    offers_members,
    predict_distribution,
    register_adapter,
    transformed,
    unregister_adapter,
)


def process(**kwargs):
    return GaussianProcessRegressor(RBF(1.0), alpha=1e-2, optimizer=None, **kwargs)


def search(estimator):
    return GridSearchCV(estimator, {"alpha": [1e-2]}, cv=2)


def wrap_deeply(gp):
    return FrozenEstimator(make_pipeline(StandardScaler(), search(gp)))


def fitted(model, X, y):
    if isinstance(model, FrozenEstimator):
        model.estimator.fit(X, y)
        return model
    return model.fit(X, y)


@pytest.mark.parametrize(
    "wrap",
    [
        search,
        lambda gp: RandomizedSearchCV(gp, {"alpha": [1e-2]}, cv=2, n_iter=1),
        lambda gp: Pipeline([("scale", StandardScaler()), ("skip", "passthrough"), ("gp", gp)]),
        lambda gp: Pipeline([("none", None), ("scale", StandardScaler()), ("gp", gp)]),
        wrap_deeply,
        lambda gp: make_pipeline(StandardScaler(), FrozenEstimator(gp)),
    ],
)
def test_what_is_inside_speaks(wrap, fields, scalars, routing):
    X, y = fields
    gp = process().fit(StandardScaler().fit_transform(X), y)
    model = wrap(gp)
    scaled = StandardScaler().fit_transform(X) if "tandard" in repr(model) else X
    model = fitted(model, X, y)
    mean, std = process().fit(scaled, y).predict(scaled, return_std=True)
    prediction = predict_distribution(model, X)
    np.testing.assert_allclose(prediction.mean, mean, atol=1e-12)
    np.testing.assert_allclose(prediction.std, std, atol=1e-12)
    assert prediction.cov is None and not offers_covariance(model, "fields")
    assert offers_covariance(model, "points")


@pytest.mark.parametrize("wrap", [search, wrap_deeply, lambda gp: make_pipeline(gp)])
def test_covariance_between_points(wrap, scalars, routing):
    X, y = scalars
    model = fitted(wrap(process()), X, y)
    assert offers_covariance(model, "points")
    prediction = predict_distribution(model, X, rows="points")
    scaled = StandardScaler().fit_transform(X) if "tandard" in repr(model) else X
    expected = process().fit(scaled, y).predict(scaled, return_cov=True)[1]
    np.testing.assert_allclose(prediction.cov[0], expected, atol=1e-12)


def test_members_pass_through_wrappers(fields):
    X, y = fields
    forest = RandomForestRegressor(n_estimators=3, random_state=0)
    model = GridSearchCV(make_pipeline(StandardScaler(), forest), {}, cv=2)
    assert offers_members(model)
    assert predict_distribution(model.fit(X, y), X).member_means.shape == (3, 8, 5)


def test_unfitted_wrappers(fields):
    X, y = fields
    for model in (
        search(process()),
        TransformedTargetRegressor(process()),
        MultiOutputRegressor(BayesianRidge()),
        RandomForestRegressor(),
    ):
        with pytest.raises(NotFittedError):
            predict_distribution(model, X)
    with pytest.raises(AttributeError, match="predict"):
        unrefitted = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2, refit=False).fit(X, y)
        predict_distribution(unrefitted, X)


def test_one_regressor_a_target(fields, routing):
    X, y = fields
    model = MultiOutputRegressor(BayesianRidge()).fit(X, y)
    prediction = predict_distribution(model, X)
    for target in range(5):
        mean, std = BayesianRidge().fit(X, y[:, target]).predict(X, return_std=True)
        np.testing.assert_allclose(prediction.mean[:, target], mean, rtol=1e-12)
        np.testing.assert_allclose(prediction.std[:, target], std, rtol=1e-12)
    plain = predict_distribution(MultiOutputRegressor(Ridge()).fit(X, y), X)
    assert not plain.states_uncertainty


def test_one_regressor_for_one_target(scalars):
    X, y = scalars
    model = MultiOutputRegressor(process()).fit(X, y[:, None])
    assert offers_covariance(model, "points")
    assert predict_distribution(model, X, rows="points").cov.shape == (1, 8, 8)


AFFINE = [
    StandardScaler(),
    MinMaxScaler((-1, 3)),
    MaxAbsScaler(),
    RobustScaler(),
    make_pipeline(StandardScaler(), MinMaxScaler()),
    None,
]


@pytest.mark.parametrize("transformer", AFFINE)
def test_affine_target_transformers(transformer, fields, routing):
    X, y = fields
    y = 1e6 + 1e3 * y  # far from zero
    model = TransformedTargetRegressor(process(), transformer=transformer).fit(X, y)
    latent_mean, latent_std = model.regressor_.predict(X, return_std=True)
    prediction = predict_distribution(model, X)
    np.testing.assert_array_equal(prediction.mean, model.predict(X))
    to_fields = model.transformer_.inverse_transform
    np.testing.assert_allclose(
        prediction.std, to_fields(latent_mean + latent_std) - to_fields(latent_mean), rtol=1e-5
    )


@pytest.mark.parametrize("transformer", AFFINE)
def test_affine_target_transformers_between_points(transformer, scalars):
    X, y = scalars
    model = TransformedTargetRegressor(process(), transformer=transformer).fit(X, 5 - 3 * y)
    slope = np.diff(model.transformer_.inverse_transform([[0.0], [1.0]]), axis=0).item()
    prediction = predict_distribution(model, X, rows="points")
    expected = slope**2 * model.regressor_.predict(X, return_cov=True)[1]
    np.testing.assert_allclose(prediction.cov[0], expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(prediction.mean[0], model.predict(X))
    assert offers_covariance(model, "points")


def test_affine_target_transformer_of_members(fields):
    X, y = fields
    forest = RandomForestRegressor(n_estimators=3, random_state=0)
    model = TransformedTargetRegressor(forest, transformer=StandardScaler()).fit(X, y)
    prediction = predict_distribution(model, X)
    trees = mapped_trees(model, X)
    np.testing.assert_allclose(prediction.member_means, trees)
    np.testing.assert_allclose(prediction.std, np.std(trees, axis=0), atol=1e-12)


def test_a_mixing_transformer_makes_a_covariance_along_the_field(fields):
    X, y = fields
    pca = PCA(2)
    model = TransformedTargetRegressor(process(), transformer=pca, check_inverse=False).fit(X, y)
    latent_std = model.regressor_.predict(X, return_std=True)[1]
    components = model.transformer_.components_
    expected = np.einsum("ki,bk,kj->bij", components, latent_std**2, components)
    prediction = predict_distribution(model, X)
    np.testing.assert_allclose(prediction.cov, expected, atol=1e-12)
    np.testing.assert_allclose(prediction.std**2, np.diagonal(expected, axis1=1, axis2=2))
    np.testing.assert_array_equal(prediction.mean, model.predict(X))
    assert offers_covariance(model, "fields")
    lean = predict_distribution(model, X, want_cov=False)
    assert lean.cov is None
    np.testing.assert_allclose(lean.std, prediction.std)


def mapped_trees(model, X):
    """Return what each tree predicts, mapped back."""
    trees = model.regressor_.estimators_
    return [model.transformer_.inverse_transform(tree.predict(X)) for tree in trees]


def test_a_mixing_transformer_of_members(fields):
    X, y = fields
    forest = RandomForestRegressor(n_estimators=4, random_state=0)
    model = TransformedTargetRegressor(forest, transformer=PCA(2), check_inverse=False).fit(X, y)
    prediction = predict_distribution(model, X)
    trees = mapped_trees(model, X)
    np.testing.assert_allclose(prediction.member_means, trees, atol=1e-12)
    np.testing.assert_allclose(prediction.std, np.std(trees, axis=0), atol=1e-12)


def falls(v):
    """Fall, with a bend; whether a transformer is the inverse of its inverse plays no part."""
    return 2.0 - np.tanh(v)


@pytest.mark.parametrize(
    "options",
    [
        {"func": np.sqrt, "inverse_func": np.square},
        {"func": abs, "inverse_func": abs},
    ],
)
def test_other_target_transformers_leave_the_mean(options, fields):
    X, y = fields
    model = TransformedTargetRegressor(process(), check_inverse=False, **options).fit(X, y + 3)
    prediction = predict_distribution(model, X)
    np.testing.assert_array_equal(prediction.mean, model.predict(X))
    assert not prediction.states_uncertainty
    assert not offers_covariance(model, "fields") and not offers_members(model)


MONOTONE = [
    {"func": np.log, "inverse_func": np.exp},
    {"func": np.tanh, "inverse_func": falls},
    {"transformer": QuantileTransformer(n_quantiles=5)},
    {"transformer": PowerTransformer()},
]


def quadrature(model, mean, std):
    """Return the moments of what the inverse makes of Gaussians, by very many quantiles."""
    z = norm.ppf((np.arange(2_000) + 0.5) / 2_000)
    u = np.stack([model.transformer_.inverse_transform(mean + std * node) for node in z])
    return u.mean(axis=0), u.std(axis=0)


@pytest.mark.parametrize("options", MONOTONE)
def test_monotone_target_transformers_of_gaussians(options, fields):
    X, y = fields[0][:5], np.exp(fields[1][:5, :3])
    model = TransformedTargetRegressor(process(), check_inverse=False, **options).fit(X, y)
    mean, std = model.regressor_.predict(X + 0.1, return_std=True)
    said = predict_distribution(model, X + 0.1)
    true = quadrature(model, mean, std)
    np.testing.assert_allclose(said.mean, true[0], rtol=0.02)
    np.testing.assert_allclose(said.std, true[1], rtol=0.05)
    if options.get("func") is np.log:
        np.testing.assert_allclose(said.mean, np.exp(mean + std**2 / 2), rtol=1e-12)
        np.testing.assert_allclose(said.std, said.mean * np.sqrt(np.expm1(std**2)), rtol=1e-9)


@pytest.mark.parametrize("options", MONOTONE)
def test_monotone_target_transformers_of_members(options, fields):
    X, y = fields[0], np.exp(fields[1])
    forest = RandomForestRegressor(4, random_state=0)
    model = TransformedTargetRegressor(forest, check_inverse=False, **options).fit(X, y)
    assert offers_members(model)
    said = predict_distribution(model, X)
    trees = mapped_trees(model, X)
    np.testing.assert_allclose(said.member_means, trees, rtol=1e-12)
    np.testing.assert_allclose(said.mean, np.mean(trees, axis=0), rtol=1e-12)


def test_monotone_target_transformers_keep_correlations(scalars):
    X, y = scalars
    options = {"func": np.log, "inverse_func": np.exp}
    model = TransformedTargetRegressor(process(), **options).fit(X, np.exp(y))
    assert offers_covariance(model, "points")
    latent = predict_distribution(model.regressor_, X + 0.1, rows="points")
    said = predict_distribution(model, X + 0.1, rows="points")
    before, after = (p.cov[0] / np.outer(p.std, p.std) for p in (latent, said))
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


class Constrained(RegressorMixin, BaseEstimator):
    """What a nested constrained estimator does."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X, return_std=False):
        raise AssertionError("not asked")

    def predict_members(self, X):
        raise AssertionError("not asked")

    def _predict_unconditioned(self, X, *, rows, want_cov):
        return Prediction(np.zeros((len(X), 2)), std=np.ones((len(X), 2)), constraints=("law",))


def test_constrained_estimators_speak_first_and_hand_up_their_constraints():
    X, y = np.zeros((4, 1)), np.zeros((4, 2))
    model = Constrained().fit(X, y)
    wrapped = make_pipeline(StandardScaler(), FrozenEstimator(make_pipeline(model))).fit(X, y)
    for estimator in (model, FrozenEstimator(model), wrapped):
        prediction = predict_distribution(estimator, X)
        assert prediction.constraints == ("law",)
        assert prediction.std.shape == (4, 2)


def test_transformed_targets_do_not_obey_the_constraints_inside():
    X, y = np.zeros((4, 1)), np.arange(8.0).reshape(4, 2)
    for model in (
        TransformedTargetRegressor(Constrained(), transformer=StandardScaler()),
        MultiOutputRegressor(Constrained()),
    ):
        with pytest.raises(ValueError, match="outermost"):
            predict_distribution(model.fit(X, y), X)


def test_pipelines_are_opened_down_to_what_predicts(fields):
    X, y = fields
    inner = Pipeline([("none", None), ("scale", MaxAbsScaler()), ("ridge", search(Ridge()))])
    model = Pipeline([("scale", StandardScaler()), ("skip", "passthrough"), ("inner", inner)])
    model.fit(X, y)
    last, seen = transformed(model, X)
    assert last is last_step(model) is inner[-1]
    np.testing.assert_array_equal(last.predict(seen), model.predict(X))
    assert last_step(last) is last
    assert transformed(last, X) == (last, X)


class Marked(Pipeline):
    """A pipeline that an adapter is registered for."""


def test_a_pipeline_inside_another_is_looked_up_again(fields):
    X, y = fields
    model = make_pipeline(StandardScaler(), Marked([("ridge", Ridge())])).fit(X, y)

    def predict(estimator, X, *, rows, want_cov):
        return Prediction(np.zeros(y.shape), np.full(y.shape, 7.0))

    register_adapter(Marked, predict)
    try:
        assert (predict_distribution(model, X).std == 7.0).all()
    finally:
        unregister_adapter(Marked)
    assert not predict_distribution(model, X).states_uncertainty

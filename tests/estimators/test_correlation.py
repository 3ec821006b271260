"""`correlation_length` of an error model against covariances written out."""

import numpy as np
import pandas as pd
import pytest
from backbones import Plain, Stored, WithCov, WithMembers, WithStd
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.estimators import ErrorModel
from skphys.grids import Axis, ColumnGrid, Grid
from skphys.metrics import log_likelihood_scorer

GP = GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None)
INERT = ConservationLaw(total=0.0, noise=1e6)
TABLE = ColumnGrid(space=0, nodes=np.linspace(-1e4, 1e4, 11))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 2))
LINE = Grid(x=np.array([0.0, 0.1, 0.3, 0.6, 0.7, 1.0]))
PLANE = Grid(t=[0.0, 1.0, 3.0], x=np.array([0.0, 0.1, 0.3, 0.6]))


def fit(backbone, grid, **options):
    y = 1.0 + RNG.normal(size=(5, grid.n_points))
    law = ConservationLaw(over="x", total=0.5, noise=10.0)  # noise: so that fit does not warn
    return ConservationConstrainedRegressor(backbone, law, grid, **options).fit(X, y)


def exponential(points, length):
    return np.exp(-np.abs(np.subtract.outer(points, points)) / length)


def conditioned(mean, prior, rows, noise=10.0):
    """Return the textbook's mean and covariance of one field."""
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise**2 * np.eye(len(rows)))
    return mean + gain @ (0.5 - rows @ mean), prior - gain @ rows @ prior


def check(model, backbone_mean, priors, **options):
    rows = model.grid_.integral_rows("x").toarray()
    mean, cov = model.predict(X, return_cov=True)
    std = model.predict_std(X)
    for b, prior in enumerate(priors):
        expected, covariance = conditioned(backbone_mean[b], prior, rows, **options)
        np.testing.assert_allclose(mean[b], expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(cov[b], covariance, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(std[b] ** 2, np.diag(covariance), rtol=1e-8)


def test_standard_deviations_on_a_line():
    model = fit(WithStd(), LINE, error_model=ErrorModel(correlation_length=0.2))
    mean, std = model.estimator_.predict(X, return_std=True)
    correlation = exponential(LINE["x"], 0.2)
    check(model, mean, [s[:, None] * correlation * s for s in std])


@pytest.mark.parametrize(
    ("lengths", "along"),
    [({"x": 0.2}, (None, 0.2)), ({"t": 2.0, "x": 0.2}, (2.0, 0.2)), ({"t": 2.0}, (2.0, None))],
)
def test_standard_deviations_on_a_plane(lengths, along):
    model = fit(WithStd(), PLANE, error_model=ErrorModel(correlation_length=lengths))
    mean, std = model.estimator_.predict(X, return_std=True)
    factors = [
        np.eye(len(PLANE[name])) if length is None else exponential(PLANE[name], length)
        for name, length in zip("tx", along, strict=True)
    ]
    check(model, mean, [s[:, None] * np.kron(*factors) * s for s in std])


def test_a_periodic_axis_is_a_ring():
    grid = Grid(x=Axis.periodic(0.0, 1.0, 6))
    model = fit(WithStd(), grid, error_model=ErrorModel(correlation_length=0.3))
    cov = model.predict(X, return_cov=True)[1]
    plain = fit(WithStd(), Grid(x=np.arange(6) / 6), error_model=ErrorModel(correlation_length=0.3))
    assert abs(cov[0, 0, 5]) > 2 * abs(plain.predict(X, return_cov=True)[1][0, 0, 5])


def test_members_as_moments():
    errors = ErrorModel(covariance="stated", correlation_length=0.2)
    model = fit(WithMembers(), LINE, error_model=errors)
    means, stds = model.estimator_.predict_members(X)
    correlation = exponential(LINE["x"], 0.2)
    priors = []
    for b in range(len(X)):
        own = np.sqrt(np.mean(stds[:, b] ** 2, axis=0))
        priors.append(own[:, None] * correlation * own + np.cov(means[:, b].T, ddof=0))
    check(model, means.mean(0), priors)


def test_each_member():
    errors = ErrorModel(members="each", covariance="stated", correlation_length=0.2)
    model = fit(WithMembers(), LINE, error_model=errors)
    means, stds = model.estimator_.predict_members(X)
    correlation, rows = exponential(LINE["x"], 0.2), LINE.integral_rows("x").toarray()
    mean, cov = model.predict(X, return_cov=True)
    for b in range(len(X)):
        parts = [
            conditioned(means[k, b], s[:, None] * correlation * s, rows)
            for k, s in enumerate(stds[:, b])
        ]
        expected = np.mean([m for m, _ in parts], axis=0)
        between = np.cov(np.array([m for m, _ in parts]).T, ddof=0)
        np.testing.assert_allclose(mean[b], expected, rtol=1e-10)
        np.testing.assert_allclose(cov[b], np.mean([c for _, c in parts], 0) + between, rtol=1e-8)


def test_a_stated_covariance_is_left_as_it_is():
    plain = fit(WithCov(), LINE)
    with pytest.warns(UserWarning, match="correlation_length has no effect") as found:
        correlated = fit(WithCov(), LINE, error_model=ErrorModel(correlation_length=0.2))
    assert len(found) == 1 and "covariance='residual'" in str(found[0].message)
    np.testing.assert_array_equal(
        correlated.estimator_.fit(X, np.ones((5, 6))).predict(X),
        plain.estimator_.fit(X, np.ones((5, 6))).predict(X),
    )
    for one, other in zip(
        plain.predict(X, return_cov=True), correlated.predict(X, return_cov=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_backbone_without_uncertainty_is_projected_in_the_correlations_metric():
    model = ConservationConstrainedRegressor(
        Plain(),
        ConservationLaw(over="x", total=0.5),
        LINE,
        error_model=ErrorModel(correlation_length=0.2),
    ).fit(X, np.full((5, 6), 0.5))
    rows = LINE.integral_rows("x").toarray()
    expected, _ = conditioned(model.estimator_.predict(X)[0], exponential(LINE["x"], 0.2), rows, 0)
    np.testing.assert_allclose(model.predict(X)[0], expected, rtol=1e-12)


def test_exact_laws_stay_exact_in_means_and_samples():
    model = ConservationConstrainedRegressor(
        WithStd(),
        ConservationLaw(over="x", total=0.5),
        PLANE,
        error_model=ErrorModel(correlation_length={"t": 1, "x": 1}),
    ).fit(X, np.full((5, 12), 0.5 / 0.6))
    rows = PLANE.integral_rows("x").toarray()
    np.testing.assert_allclose(model.predict(X) @ rows.T, 0.5, rtol=1e-12)
    draws = np.moveaxis(model.sample_y(X, 30), 1, -1)
    np.testing.assert_allclose(draws @ rows.T, 0.5, rtol=1e-11)


def test_samples_have_the_covariance():
    model = fit(WithStd(), LINE, error_model=ErrorModel(correlation_length=0.2))
    cov = model.predict(X, return_cov=True)[1]
    draws = model.sample_y(X, 40_000, random_state=0)
    for b in range(len(X)):
        np.testing.assert_allclose(np.cov(draws[b]), cov[b], atol=0.04 * cov[b].max())


class Rough(WithStd):
    """A mean and a standard deviation for each row of a long table."""

    def _std(self, X):
        return 1.0 + np.asarray(X, float)[:, -1]


def table(points, n_fields=3):
    frame = pd.DataFrame(
        {"t": np.repeat(np.arange(1.0, n_fields + 1), len(points)), "x": np.tile(points, n_fields)}
    )
    return frame.sample(frac=1.0, random_state=0)


def fit_table(nodes=None, **options):
    frame = table(np.linspace(0.0, 1.0, 7))
    law = ConservationLaw(over="x", total=0.5, noise=1e3)
    grid = ColumnGrid(space="x", by="t", domain=(0.0, 1.0), nodes=nodes)
    model = ConservationConstrainedRegressor(Rough(), law, grid, **options)
    return model.fit(frame, np.cos(frame["x"] * frame["t"]))


def test_a_long_table():
    model = fit_table(error_model=ErrorModel(correlation_length=0.2))
    query = table(LINE["x"])
    mean, cov = model.predict(query, return_cov=True)
    first = np.flatnonzero(query["t"] == 2.0)
    x = query["x"].to_numpy()[first]
    prior = (1 + x)[:, None] * exponential(x, 0.2) * (1 + x)
    rows = np.zeros((1, 6))
    rows[0, np.argsort(x)] = LINE.integral_rows("x").toarray()[0]
    start = model.estimator_.predict(query)[first]
    expected, covariance = conditioned(start, prior, rows, 1e3)
    np.testing.assert_allclose(mean[first], expected, rtol=1e-10)
    np.testing.assert_allclose(cov[np.ix_(first, first)], covariance, rtol=1e-8)
    others = np.flatnonzero(query["t"] != 2.0)
    assert (cov[np.ix_(first, others)] == 0).all()


def test_a_long_table_with_nodes():
    """Nodes and queries make one chain; a query at a node is that node."""
    nodes = np.array([0.0, 0.25, 0.6, 1.0])
    model = fit_table(nodes, error_model=ErrorModel(correlation_length=0.2))
    query = pd.DataFrame({"t": 2.0, "x": [0.9, 0.25, 0.1, 0.3, 0.31]})
    mean, cov = model.predict(query, return_cov=True)
    std = model.predict_std(query)
    x = np.append(nodes, query["x"])
    prior = (1 + x)[:, None] * exponential(x, 0.2) * (1 + x)
    rows = np.append(Grid(x=nodes).integral_rows().toarray()[0], np.zeros(5))[None]
    start = model.estimator_.predict(pd.DataFrame({"t": 2.0, "x": x}))
    expected, covariance = conditioned(start, prior, rows, 1e3)
    np.testing.assert_allclose(mean, expected[4:], rtol=1e-10)
    np.testing.assert_allclose(cov, covariance[4:, 4:], rtol=1e-8)
    np.testing.assert_allclose(std**2, np.diag(covariance)[4:], rtol=1e-8)


def test_nodes_along_two_axes():
    nodes = {"x": np.linspace(0, 1, 3), "z": np.linspace(0, 2, 4)}
    grid = ColumnGrid(space=["x", "z"], nodes=nodes)
    scattered = pd.DataFrame(RNG.uniform(size=(9, 2)), columns=["x", "z"])
    law = ConservationLaw(total=0.5, noise=10.0)
    model = ConservationConstrainedRegressor(
        Rough(), law, grid, error_model=ErrorModel(correlation_length={"z": 0.5, "x": 0.3})
    ).fit(scattered, scattered["x"])
    cov = model.predict(scattered, return_cov=True)[1]
    points = np.vstack([Grid(**nodes).points, scattered])
    std = 1 + points[:, 1]
    prior = exponential(points[:, 0], 0.3) * exponential(points[:, 1], 0.5) * np.outer(std, std)
    rows = np.append(Grid(**nodes).integral_rows().toarray()[0], np.zeros(9))[None]
    covariance = conditioned(np.zeros(21), prior, rows)[1]
    np.testing.assert_allclose(cov, covariance[12:, 12:], rtol=1e-8)


def test_a_gaussian_process_keeps_its_own_covariance():
    frame = table(np.linspace(0.0, 1.0, 7))
    law, grid = ConservationLaw(over="x", total=0.5, noise=10.0), ColumnGrid(space="x", by="t")
    gp = GaussianProcessRegressor(alpha=1e-2, optimizer=None)
    plain = ConservationConstrainedRegressor(gp, law, grid).fit(frame, frame["x"])
    correlated = clone(plain).set_params(error_model=ErrorModel(correlation_length=0.2))
    with pytest.warns(UserWarning, match="correlation_length has no effect"):
        correlated.fit(frame, frame["x"])
    np.testing.assert_array_equal(plain.predict(frame), correlated.predict(frame))


def test_residuals_in_place_of_a_stated_covariance_take_the_length():
    """What the warning says helps."""
    errors = ErrorModel(covariance="residual", displacement=None, correlation_length=0.2)
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(20, 2)), 0.5 / 0.6 + 0.1 * rng.normal(size=(20, 6))
    law = ConservationLaw(over="x", total=0.5, noise=10.0)
    stds = [
        ConservationConstrainedRegressor(WithCov(), law, LINE, error_model=each)
        .fit(rows, y)
        .predict(rows, return_cov=True)[1][0]
        for each in (errors, clone(errors).set_params(correlation_length=None))
    ]
    assert stds[0][0, 1] > 0.1 * stds[0][0, 0] and abs(stds[1][0, 1]) < 0.05 * stds[1][0, 0]


@pytest.mark.parametrize("grid", [PLANE, LINE])
@pytest.mark.parametrize(
    ("length", "message"),
    [({"y": 1.0}, "names the axis 'y'"), ({"x": -1.0}, "positive"), ({"x": "1"}, "positive")],
)
def test_errors_name_the_parameter(grid, length, message):
    with pytest.raises(ValueError, match=f"correlation_length.*{message}"):
        fit(WithStd(), grid, error_model=ErrorModel(correlation_length=length))


def test_a_number_needs_a_single_axis():
    with pytest.raises(ValueError, match=r"pass a dict, \{'t': 0.1\}"):
        fit(WithStd(), PLANE, error_model=ErrorModel(correlation_length=0.1))
    with pytest.raises(ValueError, match="names the axis 't'"):
        fit_table(error_model=ErrorModel(correlation_length={"t": 0.1}))
    with pytest.raises(ValueError, match=r"correlation_length.*positive"):
        fit(WithStd(), LINE, error_model=ErrorModel(correlation_length=0.0))


def test_nested_estimators_take_it_from_the_outermost():
    law = ConservationLaw(over="x", total=0.5, noise=10.0)
    y = np.ones((5, 6))
    inner = ConservationConstrainedRegressor(WithStd(), law, LINE)
    outer = ConservationConstrainedRegressor(
        inner, None, LINE, error_model=ErrorModel(correlation_length=0.2)
    ).fit(X, y)
    single = ConservationConstrainedRegressor(
        WithStd(), law, LINE, error_model=ErrorModel(correlation_length=0.2)
    )
    np.testing.assert_allclose(outer.predict(X), single.fit(X, y).predict(X), rtol=1e-12)
    wrong = ConservationConstrainedRegressor(clone(single), None, LINE)
    with pytest.raises(ValueError, match="outermost"):
        wrong.fit(X, y).predict(X)


def test_a_search_finds_the_length():
    """Errors drawn with length 0.3; the law then informs the rest of the field."""
    rng, n_samples = np.random.default_rng(0), 60
    grid = Grid(x=np.linspace(0.0, 1.0, 11))
    std = np.full(11, 0.3)
    truth = 1.0 + 0.3 * rng.multivariate_normal(
        np.zeros(11), exponential(grid["x"], 0.3), n_samples
    )
    index = np.arange(n_samples)[:, None]
    means, stds = np.ones((1, n_samples, 11)), np.broadcast_to(std, (1, n_samples, 11))
    rows = np.column_stack([index, truth @ grid.weights()])
    model = ConservationConstrainedRegressor(
        FrozenEstimator(Stored(means, stds)),
        ConservationLaw(total=Total()),
        grid,
        error_model=ErrorModel(members="each"),
    )
    lengths = [None, 0.003, 0.3, 30.0]
    search = GridSearchCV(
        model, {"error_model__correlation_length": lengths}, scoring=log_likelihood_scorer, cv=2
    ).fit(rows, truth)
    assert search.best_params_ == {"error_model__correlation_length": 0.3}


class Total:
    """The column of totals, as a picklable callable."""

    def __call__(self, X):
        return np.asarray(X)[:, 1]


@parametrize_with_checks(
    [
        ConservationConstrainedRegressor(GP, INERT, error_model=ErrorModel(correlation_length=2.0)),
        ConservationConstrainedRegressor(
            Ridge(), INERT, TABLE, error_model=ErrorModel(correlation_length=2.0)
        ),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)

"""`error_model="identity"` (HardC), against projections written out."""

import numpy as np
import pytest
from backbones import Plain, Stored, WithCov, WithMembers, WithStd
from conditioning_cases import relative_miss
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, Dirichlet, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Grid

pytestmark = pytest.mark.filterwarnings("ignore:The training targets violate:UserWarning")
N, B, K = 11, 4, 6
GRID = Grid(x=np.linspace(0.0, 1.0, N) ** 1.3)
ROW = GRID.integral_rows().toarray()
LAW = ConservationLaw(over="x", total=Column(1))
RNG = np.random.default_rng(0)
X = np.column_stack([np.arange(B), RNG.uniform(0.5, 1.0, B)])
Y = np.ones((B, N)) * X[:, 1:]
MEANS, STDS = RNG.normal(size=(K, B, N)), RNG.uniform(0.1, 1.0, (K, B, N))
MODELS = [WithStd(), WithCov(), WithMembers(), EnsembleRegressor(Ridge(), 3, random_state=0)]


def fit(backbone, constraints=LAW, **params):
    params = {"covariance": "identity", **params}
    return ConservationConstrainedRegressor(
        backbone, constraints, GRID, error_model=ErrorModel(**params)
    ).fit(X, Y)


def projector(rows=ROW):
    return np.eye(N) - rows.T @ np.linalg.solve(rows @ rows.T, rows)


def nearest(fields, values=X[:, 1:], rows=ROW):
    """Return least-squares corrections of minimum norm."""
    shift = np.linalg.lstsq(rows, (values - fields @ rows.T).T, rcond=None)[0]
    return fields + shift.T


@pytest.mark.parametrize("backbone", MODELS)
def test_every_mean_is_the_nearest_field(backbone):
    model = fit(backbone)
    free = fit(backbone, None).predict(X)
    np.testing.assert_allclose(model.predict(X), nearest(free), atol=1e-13)


@pytest.mark.parametrize("members", ["moments", "each"])
def test_covariance_is_that_of_projected_fields(members):
    model = fit(FrozenEstimator(Stored(MEANS, STDS)), members=members)
    mean, cov = model.predict(X, return_cov=True)
    P, moved = projector(), np.array([nearest(m) for m in MEANS])
    np.testing.assert_allclose(mean, moved.mean(0), atol=1e-13)
    for i in range(B):
        spread = moved[:, i] - moved[:, i].mean(0)
        expected = P @ np.diag(np.mean(STDS[:, i] ** 2, axis=0)) @ P.T + spread.T @ spread / K
        np.testing.assert_allclose(cov[i], expected, atol=1e-13)
        np.testing.assert_allclose(model.predict_std(X)[i] ** 2, np.diag(expected), atol=1e-13)
    np.testing.assert_allclose(ROW @ cov @ ROW.T, 0.0, atol=1e-14)


@pytest.mark.parametrize("members", ["moments", "each"])
@pytest.mark.parametrize("backbone", MODELS[:3])
def test_mean_and_draws_obey(backbone, members):
    model = fit(backbone, [LAW, LinearEquality(np.eye(N)[0], 0.2)], members=members)
    rows, values = np.vstack([ROW, np.eye(N)[:1]]), np.column_stack([X[:, 1], np.full(B, 0.2)])
    assert relative_miss(model.predict(X), rows, values).max() < 1e-12
    assert relative_miss(np.moveaxis(model.sample_y(X, 5), -1, 0), rows, values).max() < 1e-12
    np.testing.assert_array_equal(model.predict_std(X)[:, 0], 0.0)


def test_noise_is_weighed_against_the_mean_variance_whatever_the_units():
    noise, scale = 0.05, 1e-4
    model = fit(WithStd(), ConservationLaw(total=Column(1), noise=noise))
    free, std = fit(WithStd(), None).predict(X, return_std=True)
    expected = [
        u + s2 * ROW[0] * (b - ROW[0] @ u) / (s2 * ROW[0] @ ROW[0] + noise**2)
        for u, s2, b in zip(free, np.mean(std**2, axis=1), X[:, 1], strict=True)
    ]
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-12)
    small = Stored(scale * MEANS[:1], scale * STDS[:1])
    law = ConservationLaw(total=scale * 0.7, noise=scale * noise)
    one = fit(FrozenEstimator(small), law, members="each").predict(X)
    law = ConservationLaw(total=0.7, noise=noise)
    other = fit(FrozenEstimator(Stored(MEANS[:1], STDS[:1])), law, members="each").predict(X)
    np.testing.assert_allclose(one, scale * other, atol=1e-13 * scale)


@pytest.mark.parametrize("members", ["moments", "each"])
def test_inequalities_are_met_in_the_same_metric(members):
    """Dykstra's alternating projections find the nearest field that obeys law and bounds."""
    model = fit(WithMembers(2), [LAW, Bounds(0.0, 1.5)], members=members)
    backbone = model.estimator_
    fields = backbone.predict(X)[None] if members == "moments" else backbone.predict_members(X)[0]
    found = []
    for u in fields:
        shift = np.zeros_like(u)
        for _ in range(20_000):
            u = nearest(u)
            clipped = np.clip(u + shift, 0.0, 1.5)
            u, shift = clipped, u + shift - clipped
        found.append(u)
    np.testing.assert_allclose(model.predict(X), np.mean(found, axis=0), atol=1e-6)


def test_a_nested_boundary_is_met_in_the_metric_of_the_outer_one():
    inner = BoundaryEnforcedOperator(
        WithStd(), {"x": (Dirichlet(0.3), None)}, GRID, method="project"
    )
    y = Y.copy()
    y[:, 0] = 0.3
    y[:, 1] += (Y - y) @ ROW[0] / ROW[0, 1]
    model = ConservationConstrainedRegressor(inner, LAW, GRID, error_model="identity").fit(X, y)
    free = model.estimator_.estimator_.predict(X)
    rows = np.vstack([ROW, np.eye(N)[:1]])
    values = np.column_stack([X[:, 1], np.full(B, 0.3)])
    np.testing.assert_allclose(model.predict(X), nearest(free, values, rows), atol=1e-13)


@pytest.mark.parametrize("correlation_length", [None, 0.3])
@pytest.mark.parametrize("nodes", [None, GRID["x"]])
def test_a_long_table(nodes, correlation_length):
    """Between nodes a point follows them; the correlation is no part of the metric."""

    class AtPoints(WithStd):
        def _std(self, X):
            return 1.0 + X[:, 0]

    table = np.column_stack([np.tile(GRID["x"], B), np.repeat(X[:, 1], N)])
    law = ConservationLaw(total=Column(1))
    columns = ColumnGrid(space=0, by=1, domain=(0, 1), nodes=nodes)
    u = np.sin(3 * table[:, 0]) + table[:, 1]
    u += np.repeat(X[:, 1] - (ROW @ u.reshape(B, N).T)[0], N)
    errors = ErrorModel(covariance="identity", correlation_length=correlation_length)
    model = ConservationConstrainedRegressor(AtPoints(), law, columns, error_model=errors)
    model.fit(table, u)
    free = model.estimator_.predict(table).reshape(B, N)
    expected = nearest(free)
    np.testing.assert_allclose(model.predict(table).reshape(B, N), expected, atol=1e-13)
    std = model.predict_std(table)
    np.testing.assert_allclose(
        std**2, np.diag(model.predict(table, return_cov=True)[1]), rtol=1e-10
    )
    if nodes is not None:
        between = table[:N].copy()
        between[:, 0] = np.linspace(0.0, 1.0, N) ** 2
        moved = model.predict(between) - model.estimator_.predict(between)
        shift = np.interp(between[:, 0], GRID["x"], (expected - free)[0])
        np.testing.assert_allclose(moved, shift, atol=1e-13)


@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
def test_without_an_uncertainty_both_metrics_are_one():
    one, other = (fit(Plain(), covariance=covariance) for covariance in ("identity", "stated"))
    for a, b in zip(
        one.predict(X, return_cov=True), other.predict(X, return_cov=True), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-13)


def test_a_search_over_the_metric():
    choices = {"error_model__covariance": ["stated", "identity"]}
    search = GridSearchCV(fit(WithStd()), choices, cv=2).fit(X, Y)
    assert set(search.cv_results_["param_error_model__covariance"]) == {"stated", "identity"}
    with pytest.raises(ValueError, match="covariance of an ErrorModel must be one of"):
        fit(WithStd(), covariance="euclidean")


INERT = ConservationLaw(total=0.0, noise=1e6)


@parametrize_with_checks([ConservationConstrainedRegressor(Ridge(), INERT, error_model="identity")])
def test_check_estimator(estimator, check):
    check(estimator)

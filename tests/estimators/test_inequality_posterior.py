"""What inequalities make of the distribution, through the estimator."""

import numpy as np
import pytest
from backbones import WithCov, WithMembers, WithStd
from conditioning_cases import relative_miss
from sklearn.linear_model import Ridge

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, Monotone
from skphys.estimators import ErrorModel
from skphys.grids import Grid

N = 12
GRID = Grid(x=np.linspace(0.0, 1.0, N))
ROW = GRID.integral_rows().toarray()


def data(seed=0):
    """Positive fields that touch no bound; the total is the last column of X."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.3, 0.7, (24, 1))
    y = np.exp(-(((GRID["x"] - X) / 0.2) ** 2)) * rng.uniform(0.7, 1.3, (24, N)) + 0.05
    return np.column_stack([X, y @ ROW[0]]), y


def listed():
    return [("mass", ConservationLaw(total=Column(1))), ("positive", Bounds(0.0, 2.0))]


def fitted(backbone, constraints=None, **params):
    X, y = data()
    params = {"error_model": "stated", **params}
    constraints = listed() if constraints is None else constraints
    return ConservationConstrainedRegressor(backbone, constraints, GRID, **params).fit(X, y), X, y


@pytest.mark.parametrize("errors", ["stated", ErrorModel(members="each", covariance="stated")])
@pytest.mark.parametrize("backbone", [WithStd(), WithCov(), WithMembers()])
def test_all_that_is_said_obeys(backbone, errors):
    model, X, _ = fitted(backbone, error_model=errors, inequality_posterior="truncated")
    mean, std = model.predict(X, return_std=True)
    draws = model.sample_y(X, 8, random_state=0)
    for fields in (mean, *np.moveaxis(draws, -1, 0)):
        assert relative_miss(fields, ROW, X[:, 1:2]).max() < 1e-12
        assert fields.min() > -1e-9 and fields.max() < 2.0 + 1e-9
    free = fitted(backbone, listed()[:1], error_model=errors)[0]
    near = std < 0.95 * free.predict_std(X)
    assert near.any() and (std < 1.1 * free.predict_std(X)).all()
    cov = model.predict(X, return_cov=True)[1]
    np.testing.assert_allclose(np.sqrt(np.diagonal(cov, axis1=1, axis2=2)), std, rtol=1e-10)
    for options in ({}, {"method": "gaussian"}, {"simultaneous": True}):
        low, high = model.predict_interval(X[:4], **options)
        assert low.min() >= 0.0 and high.max() <= 2.0 and (low < high).all()
    low, middle, high = np.moveaxis(model.predict_quantiles(X), -1, 0)
    assert (0 <= low).all() and (low < middle).all() and (middle < high).all()
    assert np.isfinite(model.log_prob(X, mean)).all()


@pytest.mark.parametrize("backbone", [WithStd(), WithCov()])
def test_a_field_is_the_same_beside_others(backbone):
    model, X, _ = fitted(backbone, inequality_posterior="truncated")
    mean, std = model.predict(X, return_std=True)
    few, own = model.predict(X[5:8], return_std=True)
    np.testing.assert_allclose(few, mean[5:8], rtol=1e-9)
    np.testing.assert_allclose(own, std[5:8], rtol=1e-9)


def test_auto_truncates_what_is_stated_and_projects_what_is_learned():
    model, X, _ = fitted(WithStd())
    truncated = model.predict(X)
    np.testing.assert_array_equal(
        truncated, model.set_params(inequality_posterior="truncated").predict(X)
    )
    assert abs(truncated - model.set_params(inequality_posterior="projected").predict(X)).max() > 0
    learned, *_ = fitted(Ridge(), error_model="residual")
    projected = learned.predict(3.0 * X)
    learned.set_params(inequality_posterior="projected")
    np.testing.assert_array_equal(projected, learned.predict(3.0 * X))


def test_auto_projects_where_training_fields_lie_at_bounds():
    X, y = data()
    empty = np.where(GRID["x"] > 0.8, 0.0, y)
    X = np.column_stack([X[:, 0], empty @ ROW[0]])
    model = ConservationConstrainedRegressor(WithStd(), listed(), GRID, error_model="stated")
    first = model.fit(X, empty).predict(X)
    second = model.set_params(inequality_posterior="projected").predict(X)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "backbone, n, rows",
    [(WithCov(), 300, Bounds(0.0)), (WithStd(), 12, Monotone(increasing=False))],
    ids=["many", "between points"],
)
def test_auto_projects(backbone, n, rows):
    grid = Grid(x=np.linspace(0.0, 1.0, n))
    X = np.linspace(0.5, 1.5, 6)[:, None]
    y = X * (1.0 - grid["x"]) + 0.1
    given = backbone, rows, grid
    model = ConservationConstrainedRegressor(*given, error_model="stated").fit(X, y)
    first = model.predict(X[:2])
    second = model.set_params(inequality_posterior="projected").predict(X[:2])
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("way", ["truncated", "projected"])
def test_what_cannot_be_met_is_named(way):
    model, X, _ = fitted(WithStd(), inequality_posterior=way)
    with pytest.raises(ValueError, match="'mass', 'positive' cannot be met together for row 0"):
        model.predict(X, constraint_values={"mass": np.full(len(X), -1.0)})


def test_the_name_is_checked():
    with pytest.raises(ValueError, match="inequality_posterior"):
        fitted(WithStd(), inequality_posterior="cut")

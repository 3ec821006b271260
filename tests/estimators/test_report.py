"""`constraint_report`: expectations by Monte Carlo and by dense formulas."""

import numpy as np
import pandas as pd
import pytest
from backbones import Plain, Stored, WithCov, WithMembers, WithStd
from scipy import stats
from sklearn.frozen import FrozenEstimator

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Bounds, Column, ConservationLaw, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Grid

# Made-up targets obey no law; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:The training targets violate")

GRID = Grid(x=np.linspace(0.0, 1.0, 7))
WEIGHTS = GRID.weights()
MEAN = np.cos(GRID["x"])
STD = np.linspace(0.05, 0.4, 7)


def exponential(length):
    return np.exp(-np.abs(np.subtract.outer(GRID["x"], GRID["x"])) / length)


def simulate(covariance, n_fields, noise=0.0, members=None):
    """Draw true fields from a Gaussian, and what a frozen network says of them: its moments."""
    rng = np.random.default_rng(0)
    truth = rng.multivariate_normal(MEAN, covariance, n_fields)
    total = truth @ WEIGHTS + noise * rng.normal(size=n_fields)
    return np.column_stack([np.arange(n_fields), total]), truth


def frozen(X, truth, noise=0.0, std=STD, **options):
    shape = (1, *truth.shape)
    backbone = FrozenEstimator(Stored(np.broadcast_to(MEAN, shape), np.broadcast_to(std, shape)))
    law = ConservationLaw(over="x", total=Column(1), noise=noise)
    model = ConservationConstrainedRegressor(
        backbone, law, GRID, error_model=ErrorModel(members="each", **options)
    )
    return model.fit(X, truth)


def agree(expected, actual, errors=4.0):
    """Compare averages, in standard errors of their difference."""
    difference = expected - actual
    error = difference.std(ddof=1) / len(difference) ** 0.5
    assert abs(difference.mean()) < errors * error
    assert error < 0.2 * abs(actual.mean())  # or the comparison says nothing


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("length", [None, 0.3])
def test_what_is_expected_happens(length, noise):
    """Monte Carlo, where the backbone's Gaussian is the truth's."""
    correlation = np.eye(7) if length is None else exponential(length)
    X, truth = simulate(STD[:, None] * correlation * STD, 4000, noise)
    found = frozen(X, truth, noise, correlation_length=length).constraint_report(X, truth)
    agree(found.expected_mse_change, found.mse_change)
    agree(found.expected_ll_change, found.ll_change)
    improved = found.mse_change < 0
    spread = np.sqrt(np.sum(found.probability * (1 - found.probability)))
    assert abs(improved.sum() - found.probability.sum()) < 4 * spread
    # The probabilities are those of each field, not of the average field.
    sure = found.probability > np.median(found.probability)
    assert improved[sure].mean() > improved[~sure].mean() + 0.1
    assert stats.kstest(found.z[:, 0], "norm").pvalue > 1e-3
    assert found.advice() == []


def test_overconfidence_shows_in_z():
    X, truth = simulate(np.diag(STD**2), 500)
    found = frozen(X, truth, std=STD / 4).constraint_report(X, truth)
    np.testing.assert_allclose(np.sqrt(np.mean(found.z**2)), 4.0, rtol=0.15)
    assert any("too small" in sentence for sentence in found.advice())


def test_a_metric_that_is_wrong_raises_the_error():
    """Errors sit at the left, the stated uncertainty at the right: the law moves good points."""
    X, truth = simulate(np.diag(STD[::-1] ** 8 * 1e3), 500)
    found = frozen(X, truth, std=STD**4 * 40).constraint_report(X, truth)
    assert found.expected_mse_change.mean() < 0 < found.mse_change.mean()
    assert any("correlation_length" in sentence for sentence in found.advice())


def test_true_fields_that_miss_the_law_are_noticed():
    X, truth = simulate(np.diag(STD**2), 200)
    X[:, 1] += 0.2
    with pytest.warns(UserWarning, match="training targets violate"):
        model = frozen(X, truth)
    found = model.constraint_report(X, truth)
    np.testing.assert_allclose(found.truth_residual, 0.2)
    assert any("noise" in sentence for sentence in found.advice())
    assert "noise" in repr(found)


X = np.random.default_rng(0).normal(size=(5, 2))
Y = 1.0 + np.random.default_rng(1).normal(size=(5, 7))
LAWS = [
    ("mass", ConservationLaw(over="x", total=0.5, noise=0.3)),
    ("ends", LinearEquality(np.eye(7)[[0, -1]], noise=[0.1, 2.0])),
]


def dense_report(mean, cov, after, after_cov, truth):
    """Return the same numbers from dense matrices, for one field."""
    rows = np.vstack([WEIGHTS, np.eye(7)[[0, -1]]])
    noise, values = np.array([0.3, 0.1, 2.0]), np.array([0.5, 0.0, 0.0])
    s, after_s = np.sqrt(np.diag(cov)), np.sqrt(np.diag(after_cov))
    residual = values - rows @ mean
    move = after - mean
    # The divergence of Kullback and Leibler between the marginals.
    divergence = np.log(s / after_s) + (after_s**2 + move**2) / (2 * s**2) - 0.5
    return {
        "residual": residual,
        "z": residual / np.sqrt(np.diag(rows @ cov @ rows.T) + noise**2),
        "expected_mse_change": -np.mean(move**2),
        "expected_ll_change": divergence.mean(),
        "probability": stats.norm.cdf(0.5 * move @ move / np.sqrt(move @ after_cov @ move)),
        "mse_before": np.mean((truth - mean) ** 2),
        "mse_after": np.mean((truth - after) ** 2),
        "ll_before": stats.norm.logpdf(truth, mean, s).mean(),
        "ll_after": stats.norm.logpdf(truth, after, after_s).mean(),
        "truth_residual": values - rows @ truth,
    }


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        (WithStd(), {}),
        (WithStd(), {"error_model": ErrorModel(correlation_length=0.2)}),
        (WithCov(), {}),
        (WithMembers(), {}),
        (WithMembers(), {"error_model": ErrorModel(members="each")}),
    ],
)
def test_equals_dense_formulas(backbone, options):
    model = ConservationConstrainedRegressor(backbone, LAWS, GRID, **options).fit(X, Y)
    free = ConservationConstrainedRegressor(backbone, None, GRID, **options).fit(X, Y)
    before, after = (m.predict(X, return_cov=True) for m in (free, model))
    found = model.constraint_report(X, Y)
    assert found.names == ("mass", "ends", "ends")
    for b in range(5):
        expected = dense_report(before[0][b], before[1][b], after[0][b], after[1][b], Y[b])
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(found, name)[b], value, rtol=1e-7, err_msg=name)


def test_without_y():
    model = ConservationConstrainedRegressor(WithStd(), LAWS, GRID).fit(X, Y)
    found, with_y = model.constraint_report(X), model.constraint_report(X, Y)
    np.testing.assert_array_equal(found.expected_mse_change, with_y.expected_mse_change)
    assert found.mse_change is None and found.ll_change is None
    assert "actual" in repr(found) and repr(found).count("\n") >= 5
    assert "5 field(s), 3 row(s) of 'mass', 'ends'" in repr(with_y)


def test_no_constraint_changes_nothing():
    model = ConservationConstrainedRegressor(WithStd(), None, GRID).fit(X, Y)
    found = model.constraint_report(X, Y)
    assert (found.mse_change == 0).all() and (found.expected_mse_change == 0).all()
    np.testing.assert_allclose(found.expected_ll_change, 0.0, atol=1e-15)
    assert "no constraint" in repr(found)


def test_points_without_variance_are_left_out_of_the_likelihood():
    law = LinearEquality(np.eye(7)[:1], 0.25)
    model = ConservationConstrainedRegressor(WithStd(), law, GRID).fit(X, Y)
    found = model.constraint_report(X, np.column_stack([np.full(5, 0.25), Y[:, 1:]]))
    np.testing.assert_allclose(found.ll_change, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.expected_ll_change, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.mse_change, found.expected_mse_change)
    assert (found.probability == 1.0).all()


def test_inequalities_move_the_mean_but_not_what_the_model_believes():
    laws = [*LAWS, ("positive", Bounds(lower=0.9))]
    model = ConservationConstrainedRegressor(WithStd(), laws, GRID).fit(X, np.maximum(Y, 0.9))
    equal = ConservationConstrainedRegressor(WithStd(), LAWS, GRID).fit(X, np.maximum(Y, 0.9))
    free = ConservationConstrainedRegressor(WithStd(), None, GRID).fit(X, np.maximum(Y, 0.9))
    found = model.constraint_report(X, Y)
    moved, middle, start = (m.predict(X) for m in (model, equal, free))
    np.testing.assert_allclose(found.mse_after, np.mean((Y - moved) ** 2, axis=1))
    np.testing.assert_allclose(
        found.expected_mse_change, np.mean((moved - middle) ** 2 - (start - middle) ** 2, axis=1)
    )


def test_long_tables():
    points = np.linspace(0.0, 1.0, 7)
    table = pd.DataFrame({"t": np.repeat([1.0, 2.0, 3.0], 7), "x": np.tile(points, 3)})
    u = np.cos(table["t"] * table["x"]).to_numpy() + np.arange(21) % 2
    order = np.random.default_rng(0).permutation(21)
    law = ConservationLaw(over="x", total=0.5, noise=10.0)

    class Rough(WithStd):
        def _std(self, X):
            return np.full(len(X), 0.3)

    plain = ColumnGrid(space="x", by="t", domain=(0, 1))
    model = ConservationConstrainedRegressor(Rough(), law, plain).fit(table, u)
    found = model.constraint_report(table.iloc[order], u[order])
    mean = model.predict(table)
    each = np.mean((mean - u).reshape(3, 7) ** 2, axis=1)
    fields = table["t"].iloc[order].drop_duplicates().astype(int).to_numpy() - 1
    np.testing.assert_allclose(found.mse_after, each[fields])
    nodes = ColumnGrid(space="x", by="t", nodes=points)
    other = ConservationConstrainedRegressor(Rough(), law, nodes).fit(table, u)
    some = table[table["x"].between(0.2, 0.9)]
    seen = other.constraint_report(some, u[some.index])
    assert seen.truth_residual is None and seen.residual.shape == (3, 1)
    np.testing.assert_allclose(
        seen.mse_after,
        ((other.predict(some) - u[some.index]) ** 2).reshape(3, -1).mean(1),
    )


def test_without_an_uncertainty_there_is_a_warning():
    model = ConservationConstrainedRegressor(Plain(), LAWS, GRID).fit(X, Y)
    with pytest.warns(UserWarning, match="no uncertainty"):
        model.constraint_report(X)


def test_y_of_another_shape():
    model = ConservationConstrainedRegressor(WithStd(), LAWS, GRID).fit(X, Y)
    with pytest.raises(ValueError, match=r"y must have the shape of predict\(X\), \(5, 7\)"):
        model.constraint_report(X, Y[:, :3])
    with pytest.raises(ValueError, match=r"y must have the shape of predict\(X\), \(5, 7\)"):
        model.constraint_report(X, Y.T)


def test_fields_without_a_known_total_are_neither_better_nor_worse():
    X, truth = simulate(np.diag(STD**2), 40)
    X[20:, 1] = np.nan
    found = frozen(X, truth).constraint_report(X, truth)
    (line,) = [line for line in repr(found).splitlines() if line.startswith("fields improved")]
    better = found.mse_change[:20] < 0
    assert line.endswith(f"{better.mean():.0%}")
    assert not (found.mse_change[20:] < 0).any()

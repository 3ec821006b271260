import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm, wasserstein_distance
from sklearn.gaussian_process import GaussianProcessRegressor

from skphys.metrics import (
    calibration_error,
    coverage,
    make_probabilistic_scorer,
    sharpness,
)


def draw(shape=(30, 8)):
    rng = np.random.default_rng(0)
    std = rng.uniform(0.5, 2.0, shape)
    mean = rng.normal(size=shape)
    return mean + 1.3 * std * rng.normal(size=shape), mean, std


def coverage_at(level, truth, mean, std):
    return coverage(truth, *norm.interval(level, mean, std))


def test_calibration_error_is_the_mean_miss_of_coverage():
    data = draw()
    levels = (np.arange(4000) + 0.5) / 4000
    misses = [abs(coverage_at(level, *data) - level) for level in levels]
    assert calibration_error(*data) == pytest.approx(np.mean(misses), abs=2e-4)


def test_calibration_error_is_a_distance_from_the_uniform_distribution():
    truth, mean, std = draw()
    levels = 2.0 * norm.cdf(np.abs(truth - mean) / std).ravel() - 1.0
    even = (np.arange(200_000) + 0.5) / 200_000
    expected = wasserstein_distance(levels, even)
    assert calibration_error(truth, mean, std) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_calibration_error_of_a_wrong_scale(factor):
    """With stds that are `factor` times too large, coverage is that of a wider interval."""

    def miss(level):
        return abs(2.0 * norm.cdf(factor * norm.ppf(0.5 + 0.5 * level)) - 1.0 - level)

    n = 20_000
    truth = norm.ppf((np.arange(n) + 0.5) / n)
    value = calibration_error(truth, np.zeros(n), factor)
    assert value == pytest.approx(quad(miss, 0.0, 1.0)[0], abs=1e-4)


def test_calibration_error_at_its_ends():
    assert calibration_error([1.0, 2.0], [1.0, 2.0], [1.0, 1.0]) == 0.5  # all hold: too wide
    assert calibration_error([1.0, 2.0], [9.0, 9.0], [1e-9, 1e-9]) == 0.5  # none holds
    assert calibration_error([0.0], [norm.ppf(0.75)], [1.0]) == pytest.approx(0.25)


def test_known_points_are_left_out():
    truth, mean, std = draw((6, 5))
    more = [
        np.column_stack([part, np.full(6, extra)])
        for part, extra in zip((truth, mean, std), (1.0, 1.0 + 1e-15, 0.0), strict=True)
    ]
    assert calibration_error(*more) == calibration_error(truth, mean, std)
    assert calibration_error([2.0], [2.0], 0.0) == 0.0
    assert calibration_error([2.0], [2.1], 0.0) == 0.5  # sure, and wrong


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(1e-3, 9)), min_size=1),
    st.floats(1e-3, 1e3),
)
def test_calibration_error_is_bounded_and_has_no_units(points, unit):
    truth, mean, std = np.transpose(points)
    error = calibration_error(truth, mean, std)
    assert 0.0 <= error <= 0.5
    scaled = calibration_error(unit * truth, unit * mean, unit * std)
    assert scaled == pytest.approx(error, abs=1e-9)


def test_sharpness_is_the_mean_width():
    _, mean, std = draw()
    lower, upper = norm.interval(0.9, mean, std)
    assert sharpness(lower, upper) == pytest.approx(2.0 * norm.ppf(0.95) * std.mean())
    assert sharpness([1.0], [1.0]) == 0.0


def test_bad_input():
    with pytest.raises(ValueError, match="swapped"):
        sharpness([1.0], [0.0])
    with pytest.raises(ValueError, match=r"upper has shape \(2,\)"):
        sharpness([1.0], [2.0, 3.0])
    with pytest.raises(ValueError, match="must not be negative"):
        calibration_error([1.0], [1.0], [-1.0])
    with pytest.raises(ValueError, match="mean holds NaN"):
        calibration_error([1.0], [np.nan], [1.0])


def test_calibration_error_makes_a_scorer():
    X = np.linspace(0.0, 1.0, 9)[:, None]
    model = GaussianProcessRegressor(alpha=0.1).fit(X, np.sin(3.0 * X[:, 0]))
    scorer = make_probabilistic_scorer(calibration_error, greater_is_better=False)
    mean, std = model.predict(X, return_std=True)
    y = X[:, 0] ** 2
    assert scorer(model, X, y) == -calibration_error(y, mean, std)

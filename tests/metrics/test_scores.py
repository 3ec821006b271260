import numpy as np
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from skphys.metrics import (
    calibration_error,
    coverage,
    crps,
    crps_ensemble,
    gaussian_nll,
    relative_l2_error,
)


@pytest.fixture(params=[(40,), (8, 5)], ids=["1d", "fields"])
def gaussian(request):
    rng = np.random.default_rng(0)
    truth, mean = rng.normal(size=(2, *request.param))
    return truth, mean, rng.uniform(0.01, 3.0, request.param)


def test_nll_is_that_of_scipy(gaussian):
    truth, mean, std = gaussian
    assert gaussian_nll(*gaussian) == pytest.approx(-norm.logpdf(truth, mean, std).mean())
    assert gaussian_nll(truth, mean, 0.5) == pytest.approx(-norm.logpdf(truth, mean, 0.5).mean())


def test_crps_is_that_of_scoringrules(gaussian):
    assert crps(*gaussian) == pytest.approx(scoringrules.crps_normal(*gaussian).mean(), rel=1e-12)


def test_crps_is_its_defining_integral():
    def integrand(x):
        return (norm.cdf(x, 0.3, 0.7) - (x >= 1.1)) ** 2

    value = quad(integrand, -6.0, 1.1)[0] + quad(integrand, 1.1, 8.0)[0]
    assert crps([1.1], [0.3], [0.7]) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("std", [0.0, 5e-324, 1e-300, 1e-12])
def test_crps_of_a_point_is_the_absolute_error(std):
    assert crps([1.0, 2.0], [1.5, 2.0], [std, std]) == pytest.approx(0.25, abs=1e-11)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.0, 1e6), st.floats(1e-3, 1e3))
def test_crps_scales_with_the_units(y, mean, std, unit):
    value = crps([y], [mean], [std])
    assert value >= -1e-9 * std
    scale = abs(y) + abs(mean) + std
    assert crps([unit * y], [unit * mean], [unit * std]) == pytest.approx(
        unit * value, rel=1e-9, abs=1e-12 * unit * scale
    )


@pytest.mark.parametrize("fair", [False, True])
def test_ensemble_crps_is_that_of_scoringrules(fair):
    rng = np.random.default_rng(1)
    truth, draws = rng.normal(size=(6, 4)), rng.normal(size=(6, 4, 30))
    expected = scoringrules.crps_ensemble(truth, draws, estimator="fair" if fair else "nrg")
    assert crps_ensemble(truth, draws, fair=fair) == pytest.approx(expected.mean())


def test_ensemble_crps_tends_to_the_closed_form():
    draws = norm.ppf((np.arange(4000) + 0.5) / 4000, 0.2, 1.3)
    assert crps_ensemble([1.0], [draws]) == pytest.approx(crps([1.0], [0.2], [1.3]), rel=1e-3)


class TestKnownPoints:
    def test_right_ones_are_left_out_of_the_likelihood(self):
        free = gaussian_nll([1.0], [0.5], [0.3])
        assert gaussian_nll([2.0, 1.0], [2.0 + 4e-16, 0.5], [0.0, 0.3]) == pytest.approx(free)

    def test_a_wrong_one_is_infinitely_unlikely(self):
        assert gaussian_nll([2.0, 1.0], [2.1, 1.0], [0.0, 0.3]) == np.inf

    def test_all_known_and_right(self):
        assert gaussian_nll([2.0, 1.0], [2.0, 1.0], 0.0) == -np.inf


def test_coverage_counts_both_ends():
    assert coverage([0.0, 1.0, 2.0, 2.5], [0.0] * 4, [2.0] * 4) == 0.75


def test_coverage_of_calibrated_intervals():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(100, 200))
    half = np.full(truth.shape, norm.ppf(0.95))
    assert coverage(truth, -half, half) == pytest.approx(0.9, abs=0.01)


def test_relative_l2_error_averages_over_fields():
    truth = np.array([[3.0, 4.0], [0.0, 10.0]])
    predicted = np.array([[3.0, 4.0], [3.0, 14.0]])
    assert relative_l2_error(truth, predicted) == pytest.approx(0.25)
    assert relative_l2_error(truth[1], predicted[1]) == pytest.approx(0.5)


def test_relative_l2_error_of_a_zero_field():
    zero = np.zeros((1, 3))
    assert relative_l2_error(zero, zero) == 0.0
    assert relative_l2_error(zero, zero + 1.0) == np.inf


@pytest.mark.parametrize("score", [gaussian_nll, crps])
class TestBadInput:
    def test_shapes(self, score):
        with pytest.raises(ValueError, match=r"mean has shape \(2, 1\), but y_true has shape"):
            score([1.0, 2.0], [[1.0], [2.0]], [1.0, 1.0])

    def test_negative_std(self, score):
        with pytest.raises(ValueError, match="std is a standard deviation"):
            score([1.0], [1.0], [-1.0])

    def test_nan(self, score):
        with pytest.raises(ValueError, match="mean holds NaN"):
            score([1.0], [np.nan], [1.0])

    def test_not_numbers(self, score):
        with pytest.raises(TypeError, match="y_true must be numeric"):
            score(["a"], [1.0], [1.0])

    def test_empty(self, score):
        with pytest.raises(ValueError, match="is empty"):
            score([], [], [])


def test_swapped_interval():
    with pytest.raises(ValueError, match="are the two swapped"):
        coverage([1.0], [2.0], [0.0])


def test_draws_along_a_wrong_axis():
    with pytest.raises(ValueError, match="the draws along one more axis, the last"):
        crps_ensemble(np.zeros(3), np.zeros((10, 3)))
    with pytest.raises(ValueError, match="needs two draws"):
        crps_ensemble(np.zeros(3), np.zeros((3, 1)), fair=True)


def test_points_that_a_law_determines_are_held_whatever_rounding_says():
    """Ends that only rounding moves; nothing else counts as held by it."""
    rng = np.random.default_rng(0)
    truth = np.column_stack([np.full(200, 3.0), np.zeros(200), 1e-9 * rng.normal(size=200)])
    mean = truth + 3.0 * np.finfo(float).eps * rng.normal(size=(200, 3)) * [1.0, 1.0, 0.0]
    for half in (0.0, 1e-17):
        low, high = mean - half, mean + half
        assert coverage(truth, low, high) == 1.0
        assert coverage(truth[:, 0], low[:, 0], high[:, 0]) == 1.0
        assert coverage(truth, low, high, simultaneous=True) == 1.0
        off = truth + np.array([1e-10, 1e-12, 1e-12])  # beyond rounding, in the small ones too
        assert coverage(off, low, high) == 0.0
    assert coverage(3.0, 3.0 - 1e-15, 3.0 - 1e-15) == 1.0


@pytest.mark.parametrize("std", [0.0, 1e-17])
def test_known_points_are_left_out_whatever_rounding_says_of_their_std(std):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 4))
    truth[:, 0], spread = 3.0, np.array([std, 1.0, 1.0, 1.0])
    mean = np.where(spread < 0.5, truth + 3e-16, 0.0)
    spread = np.broadcast_to(spread, truth.shape)
    rest = truth[:, 1:], mean[:, 1:], spread[:, 1:]
    assert gaussian_nll(truth, mean, spread) == gaussian_nll(*rest)
    assert calibration_error(truth, mean, spread) == calibration_error(*rest)
    wrong = truth + 1e-3 * (spread < 0.5)
    assert gaussian_nll(wrong, mean, spread) > 1e20
    assert calibration_error(wrong, mean, spread) > calibration_error(*rest)

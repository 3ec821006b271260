"""Marginals of mixtures: densities, probabilities and quantiles against SciPy, point by point."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from skphys.conditioning import Diagonal, Gaussian, LowRank, Mixture, Sum, condition

MEMBERS, FIELDS, POINTS = 4, 3, 5
LEVELS = (1e-6, 0.05, 0.5, 0.9, 0.9999)


def mixture(weights="by field", seed=0, scale=1.0):
    """Return a mixture, and its means, standard deviations and weights of one shape."""
    rng = np.random.default_rng(seed)
    means = scale * rng.normal(size=(MEMBERS, FIELDS, POINTS))
    stds = scale * rng.uniform(0.05, 1.0, (MEMBERS, FIELDS, POINTS))
    members = [Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)]
    given = {
        "none": None,
        "by member": rng.uniform(size=MEMBERS),
        "by field": rng.uniform(size=(MEMBERS, FIELDS)),
    }[weights]
    full = np.ones(MEMBERS) if given is None else given
    full = np.broadcast_to(full.reshape(MEMBERS, -1), (MEMBERS, FIELDS))
    return Mixture(members, given), means, stds, (full / full.sum(axis=0))[..., None]


@pytest.mark.parametrize("weights", ["none", "by member", "by field"])
def test_against_scipy(weights):
    field, means, stds, w = mixture(weights)
    values = np.random.default_rng(1).normal(size=(FIELDS, POINTS))
    density = np.log(np.sum(w * norm.pdf(values, means, stds), axis=0))
    np.testing.assert_allclose(field.log_density(values), density, rtol=1e-11)
    below = np.sum(w * norm.cdf(values, means, stds), axis=0)
    np.testing.assert_allclose(field.cdf(values), below, rtol=1e-13)
    found = field.quantile(LEVELS)
    assert found.shape == (len(LEVELS), FIELDS, POINTS)
    for level, each in zip(LEVELS, found, strict=True):
        for at in np.ndindex(FIELDS, POINTS):
            m, s, k = means[:, *at], stds[:, *at], w[:, at[0], 0]
            root = brentq(
                lambda u, m=m, s=s, k=k, p=level: k @ norm.cdf(u, m, s) - p, -20, 20, xtol=1e-13
            )
            assert each[at] == pytest.approx(root, abs=1e-10)


def test_the_density_is_one_and_the_slope_of_the_probability():
    field, *_ = mixture()

    def density(u, at):
        return np.exp(field.log_density(np.full((FIELDS, POINTS), u)))[at]

    for at in [(0, 0), (2, 4)]:
        assert quad(density, -8, 8, args=(at,), limit=200)[0] == pytest.approx(1.0, abs=1e-7)
        below = quad(density, -8, 0.3, args=(at,), limit=200)[0]
        assert below == pytest.approx(field.cdf(np.full((FIELDS, POINTS), 0.3))[at], abs=1e-7)


def test_quantiles_are_those_of_draws():
    field, *_ = mixture()
    draws = field.sample(40_000, 0)
    found = field.quantile([0.1, 0.5, 0.9])
    share = (draws[None] <= found[:, None]).mean(axis=1)
    np.testing.assert_allclose(
        share, np.array([0.1, 0.5, 0.9])[:, None, None] + 0 * share, atol=0.01
    )


def test_quantiles_turn_probabilities_round_and_rise():
    field, *_ = mixture()
    levels = np.linspace(0.01, 0.99, 33)
    found = field.quantile(levels)
    assert (np.diff(found, axis=0) > 0).all()
    again = np.array([field.cdf(each) for each in found])
    np.testing.assert_allclose(again, levels[:, None, None] + 0 * again, atol=1e-13)


@pytest.mark.parametrize("unit", [1e-15, 1e-6, 1e15])
def test_units(unit):
    field, *_ = mixture()
    other, *_ = mixture(scale=unit)
    values = np.random.default_rng(1).normal(size=(FIELDS, POINTS))
    np.testing.assert_allclose(
        other.log_density(unit * values) + np.log(unit), field.log_density(values), rtol=1e-9
    )
    np.testing.assert_allclose(other.quantile(LEVELS), unit * field.quantile(LEVELS), rtol=1e-9)


def test_one_member_is_a_gaussian():
    gaussian = Gaussian(np.zeros((2, 3)), Diagonal(np.full((2, 3), 4.0)))
    field = Mixture([gaussian])
    values = np.array([[0.0, 1.0, -30.0]] * 2)
    np.testing.assert_allclose(field.log_density(values), norm.logpdf(values, 0, 2), rtol=1e-13)
    np.testing.assert_allclose(field.quantile([0.025])[0], norm.ppf(0.025, 0, 2), rtol=1e-13)


def test_far_from_all_members():
    """Where each density underflows its logarithm does not."""
    field, means, stds, w = mixture()
    values = np.full((FIELDS, POINTS), 1e3)
    logs = np.log(w) + norm.logpdf(values, means, stds)
    np.testing.assert_allclose(field.log_density(values), np.logaddexp.reduce(logs), rtol=1e-12)
    assert (field.log_density(values) < -1e5).all()


def test_one_field_without_a_batch():
    rng = np.random.default_rng(0)
    means, stds = rng.normal(size=(2, POINTS)), rng.uniform(0.5, 1.0, (2, POINTS))
    members = [Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)]
    field = Mixture(members, np.array([1.0, 3.0]))
    w = np.array([[0.25], [0.75]])
    values = np.linspace(-1.0, 1.0, POINTS)
    density = np.log(np.sum(w * norm.pdf(values, means, stds), axis=0))
    np.testing.assert_allclose(field.log_density(values), density, rtol=1e-12)
    np.testing.assert_allclose(
        field.cdf(values), np.sum(w * norm.cdf(values, means, stds), axis=0), rtol=1e-13
    )
    assert field.quantile([0.2, 0.7]).shape == (2, POINTS)


def test_shared_variances():
    """Members whose variances all fields share; and values that all fields share."""
    rng = np.random.default_rng(0)
    means, stds = rng.normal(size=(2, FIELDS, POINTS)), rng.uniform(0.5, 1.0, (2, POINTS))
    members = [Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)]
    field = Mixture(members, np.ones((2, FIELDS)))
    values = np.linspace(-1.0, 1.0, POINTS)
    expected = np.log(np.mean(norm.pdf(values, means, stds[:, None]), axis=0))
    np.testing.assert_allclose(field.log_density(values), expected, rtol=1e-12)
    below = np.mean(norm.cdf(values, means, stds[:, None]), axis=0)
    np.testing.assert_allclose(field.cdf(values), below, rtol=1e-13)
    turned = np.array([field.cdf(each) for each in field.quantile([0.3, 0.8])])
    np.testing.assert_allclose(turned[:, 1, 2], [0.3, 0.8], rtol=1e-12)


def test_sure_points():
    """A point at which members are sure: steps of the probability, and no density."""
    means = np.array([[[1.0, 1.0, 0.0]], [[1.0, 2.0, 0.0]]])
    stds = np.array([[[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]])
    members = [Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)]
    field = Mixture(members, np.array([0.25, 0.75]))
    found = field.log_density(np.array([[1.0, 1.5, 1.0]]))
    assert found[0, 0] == np.inf and found[0, 1] == -np.inf
    assert found[0, 2] == pytest.approx(np.log(0.25) + norm.logpdf(1.0), rel=1e-13)
    assert field.log_density(np.array([[1.0, 2.0, 0.0]]))[0, 1] == np.inf
    np.testing.assert_array_equal(field.cdf(np.array([[1.0, 1.5, -9.0]]))[:, :2], [[1.0, 0.25]])
    np.testing.assert_array_equal(field.cdf(np.array([[0.5, 2.0, -9.0]]))[:, :2], [[0.0, 1.0]])
    low, high = field.quantile([0.2, 0.6])[:, 0]
    np.testing.assert_allclose(low[:2], [1.0, 1.0], rtol=1e-15)
    np.testing.assert_allclose(high[:2], [1.0, 2.0], rtol=1e-15)
    # Half a Gaussian on either side of a point that holds three quarters.
    np.testing.assert_allclose(
        field.quantile([0.1, 0.5, 0.9])[:, 0, 2], [norm.ppf(0.4), 0.0, norm.ppf(0.6)], atol=1e-14
    )


def test_members_of_no_weight_do_not_count():
    field, means, stds, _ = mixture()
    weights = np.zeros((MEMBERS, FIELDS))
    weights[[2, 0, 1], range(FIELDS)] = 1.0
    alone = Mixture(field.members, weights)
    m, s = means[[2, 0, 1], range(FIELDS)], stds[[2, 0, 1], range(FIELDS)]
    values = np.random.default_rng(1).normal(size=(FIELDS, POINTS))
    np.testing.assert_allclose(alone.log_density(values), norm.logpdf(values, m, s), rtol=1e-12)
    np.testing.assert_allclose(alone.cdf(values), norm.cdf(values, m, s), rtol=1e-13)
    found = alone.quantile([0.05, 0.6])
    expected = [norm.ppf(0.05, m, s), norm.ppf(0.6, m, s)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_sure_member_of_no_weight_has_no_density():
    sure, other = Gaussian(np.zeros((1, 2)), Diagonal(np.zeros((1, 2)))), mixture()[0].members[0]
    other = Gaussian(other.mean[:1, :2], Diagonal(other.variance()[:1, :2]))
    field = Mixture([sure, other], np.array([0.0, 1.0]))
    values = np.array([[0.0, 1.0]])
    expected = norm.logpdf(values, other.mean, other.std())
    np.testing.assert_allclose(field.log_density(values), expected, rtol=1e-12)


def test_levels_zero_and_one():
    means, stds = np.zeros((2, 1, 2)), np.array([[[1.0, 0.0]], [[2.0, 0.0]]])
    field = Mixture([Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)])
    low, high = field.quantile([0.0, 1.0])[:, 0]
    np.testing.assert_array_equal([low[0], high[0]], [-np.inf, np.inf])
    np.testing.assert_array_equal([low[1], high[1]], [0.0, 0.0])


def test_after_conditioning():
    """Two rows fix two points of three; the rest keeps the marginals of each member."""
    rng = np.random.default_rng(2)
    rows, values = np.eye(3)[:2], np.array([1.0, 2.0])
    members = [
        condition(Gaussian(m, Sum(Diagonal(np.full(3, 0.3)), LowRank(f))), rows, values)
        for m, f in zip(rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 3, 2)), strict=True)
    ]
    field = Mixture(members, rng.uniform(size=(2, 4)))
    np.testing.assert_allclose(
        field.quantile([0.1, 0.9])[..., :2], np.broadcast_to(values, (2, 4, 2))
    )
    stds = np.stack([np.broadcast_to(m.std(), (4, 3)) for m in members])[..., 2]
    means = np.stack([m.mean for m in members])[..., 2]
    w = field.weights
    at = np.column_stack([np.ones(4), np.full(4, 2.0), np.zeros(4)])
    expected = np.log(np.sum(w * norm.pdf(0.0, means, stds), axis=0))
    np.testing.assert_allclose(field.log_density(at)[:, 2], expected, rtol=1e-12)


class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def shown(self, weights, grad=False):
        field, means, stds, _ = mixture(weights)
        t = self.torch.tensor
        means, stds = (t(np.array(each), requires_grad=grad) for each in (means, stds))
        given = None if field.weights is None else t(field.weights)
        members = [Gaussian(m, Diagonal(s**2)) for m, s in zip(means, stds, strict=True)]
        return field, Mixture(members, given), means, stds

    @pytest.mark.parametrize("weights", ["none", "by member", "by field"])
    def test_same_numbers(self, weights):
        field, other, *_ = self.shown(weights)
        values = np.random.default_rng(1).normal(size=(FIELDS, POINTS))
        found = other.log_density(self.torch.tensor(values))
        np.testing.assert_allclose(found.numpy(), field.log_density(values), rtol=1e-12)
        np.testing.assert_allclose(other.cdf(self.torch.tensor(values)), field.cdf(values))
        np.testing.assert_allclose(other.quantile([0.3]), field.quantile([0.3]), rtol=1e-12)

    def test_gradients(self):
        field, other, means, stds = self.shown("by field", grad=True)
        values = np.random.default_rng(1).normal(size=(FIELDS, POINTS))
        other.log_density(self.torch.tensor(values)).sum().backward()
        start, step = [m.detach().numpy() for m in (means, stds)], 1e-5

        def total(means, stds):
            pairs = zip(means, stds, strict=True)
            members = [Gaussian(m, Diagonal(s**2)) for m, s in pairs]
            return Mixture(members, field.weights).log_density(values).sum()

        for k, leaf in enumerate((means, stds)):
            for at in [(0, 0, 0), (3, 2, 4), (1, 1, 2)]:
                ends = []
                for sign in (1.0, -1.0):
                    moved = [np.array(each) for each in start]
                    moved[k][at] += sign * step
                    ends.append(total(*moved))
                slope = (ends[0] - ends[1]) / (2.0 * step)
                assert float(leaf.grad[at]) == pytest.approx(slope, rel=1e-4, abs=1e-7)

"""Predictions made from predictions, against the same thing written out densely."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skphys.conditioning import Mixture
from skphys.predictive import Prediction

N, P = 4, 3  # samples, points
KINDS = ["mean", "std", "cov", "points", "members"]
STATED = KINDS[1:]


def prediction(kind, rng, n=N, p=P):
    mean, std = rng.normal(size=(n, p)), rng.uniform(0.1, 1.0, size=(n, p))
    root = rng.normal(size=(n, p, p))
    if kind == "mean":
        return Prediction(mean, constraints=("law",))
    if kind == "std":
        return Prediction(mean, std, constraints=("law",))
    if kind == "cov":
        return Prediction(mean, cov=root @ root.swapaxes(1, 2), constraints=("law",))
    means, stds = rng.normal(size=(5, n, p)), rng.uniform(0.1, 1.0, size=(5, n, p))
    return Prediction.of_members(means, stds if kind == "members" else None, ("law",))


def agree(ours, mean, cov):
    """Compare the first two moments, by each way to ask for them."""
    assert ours.constraints == ("law",)
    assert_allclose(ours.mean, mean, rtol=1e-12, atol=1e-13)
    if cov is None:
        assert not ours.states_uncertainty and ours.standard_deviation() is None
        return
    assert_allclose(ours.covariance(), cov, rtol=1e-10, atol=1e-12)
    std = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    assert_allclose(ours.standard_deviation(), std, rtol=1e-10, atol=1e-12)
    if ours.member_means is not None:
        assert_allclose(ours.member_means.mean(0), mean, rtol=1e-12, atol=1e-12)


SCALES = [-2.5, np.array([0.5, -1.0, 3.0]), np.linspace(-1.0, 2.0, N * P).reshape(N, P)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", SCALES, ids=["number", "points", "fields"])
@pytest.mark.parametrize("shift", [0.0, np.arange(P), np.ones((N, P))], ids=["0", "points", "all"])
def test_affine_by_point(kind, scale, shift, rng):
    before = prediction(kind, rng)
    diagonal = np.broadcast_to(scale, (N, P))[..., None] * np.eye(P)
    cov = before.covariance()
    cov = None if cov is None else diagonal @ cov @ diagonal
    after = before.affine(scale, shift)
    agree(after, before.mean * scale + shift, cov)
    assert (after.member_means is None) == (before.member_means is None)
    assert (after.cov is None) == (before.cov is None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [0.0, np.arange(2.0)], ids=["0", "outputs"])
def test_mixing_points(kind, shift, rng):
    before, matrix = prediction(kind, rng), rng.normal(size=(P, 2))
    mean, cov = before.mean @ matrix + shift, before.covariance()
    after = before.matmul(matrix, shift)
    if kind == "members":  # stay members, whose points are independent
        deviations = (before.member_means - before.mean) @ matrix
        within = np.mean(before.member_stds**2 @ matrix**2, axis=0)
        cov = np.einsum("kni,knj->nij", deviations, deviations) / 5 + within[..., None] * np.eye(2)
    elif cov is not None:
        cov = np.einsum("pi,npq,qj->nij", matrix, cov, matrix)
    agree(after, mean, cov)
    lean = before.matmul(matrix, shift, want_cov=False)
    assert (lean.cov is not None) == (kind == "cov")
    if cov is not None:
        assert_allclose(lean.standard_deviation() ** 2, np.diagonal(cov, axis1=1, axis2=2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 50.0])
def test_spread_keeps_the_mean(kind, factor, rng):
    before = prediction(kind, rng)
    after, cov = before.spread(factor), before.covariance()
    assert_array_equal(after.mean, before.mean)
    agree(after, before.mean, None if cov is None else factor**2 * cov)


def test_spread_leaves_members_that_agree_alone():
    means = np.full((4, 2, 2), 0.1)  # whose mean is exact
    assert_array_equal(Prediction.of_members(means).spread(1e6).member_means, means)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "samples", [slice(1, 3), [2, 0, 0], np.array([True, False, False, True])], ids=str
)
def test_take(kind, samples, rng):
    before = prediction(kind, rng)
    cov = before.covariance()
    agree(before.take(samples), before.mean[samples], None if cov is None else cov[samples])


@pytest.mark.parametrize("kind", KINDS)
def test_concatenate_undoes_take(kind, rng):
    whole = prediction(kind, rng)
    parts = [whole.take(slice(0, 1)), whole.take(slice(1, 1)), whole.take(slice(1, None))]
    joined = Prediction.concatenate(parts)
    for name in ("mean", "std", "cov", "member_means", "member_stds"):
        assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert joined.constraints == ("law",)


@pytest.mark.parametrize("first", KINDS)
def test_concatenate_keeps_what_all_parts_have(first, rng):
    joined = Prediction.concatenate([prediction(first, rng), prediction("mean", rng)])
    assert joined.mean.shape == (2 * N, P) and not joined.states_uncertainty


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [slice(None), slice(3, 9), np.array([5, 0, 2, 2, 11, 7])], ids=str)
def test_fold(kind, rows, rng):
    line = prediction(kind, rng, n=1, p=12)
    chosen = np.arange(12)[rows].reshape(-1, 3)
    folded, cov = line.fold(rows, len(chosen)), line.covariance()
    if kind in ("std", "points", "members"):  # points that are taken twice count as two
        std = line.standard_deviation()[0]
        assert_allclose(folded.standard_deviation(), std[chosen])
        assert_array_equal(folded.mean, line.mean[0][chosen])
    else:
        cov = None if cov is None else np.stack([cov[0][np.ix_(i, i)] for i in chosen])
        agree(folded, line.mean[0][chosen], cov)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_has_the_mean_covariance_plus_that_of_the_means(kind, rng):
    parts = [prediction(kind, rng) for _ in range(3)]
    means, cov = np.stack([part.mean for part in parts]), None
    deviations = means - means.mean(0)
    between = np.einsum("kni,knj->nij", deviations, deviations) / 3
    if kind == "cov":
        cov = np.mean([part.cov for part in parts], axis=0) + between
    else:  # members with independent points
        within = [0.0 if kind == "mean" else part.standard_deviation() ** 2 for part in parts]
        cov = between + np.mean(within, axis=0)[..., None] * np.eye(P)
    mixed = Prediction.mix(parts)
    agree(mixed, means.mean(0), cov)
    assert (mixed.member_means is None) == (kind == "cov")


def test_a_mixture_of_some_that_state_nothing_is_one_of_points(rng):
    mixed = Prediction.mix([prediction("std", rng), prediction("mean", rng)])
    assert mixed.member_means.shape == (2, N, P) and mixed.member_stds is None


@pytest.mark.parametrize("kind", ["mean", "std", "cov"])
def test_a_lone_part_is_the_mixture(kind, rng):
    part = prediction(kind, rng)
    mixed = Prediction.mix([part])
    agree(mixed, part.mean, part.covariance())
    assert mixed.member_means is None


def test_one_member_is_the_prediction(rng):
    means, stds = rng.normal(size=(1, N, P)), rng.uniform(size=(1, N, P))
    assert not Prediction.of_members(means).states_uncertainty
    alone = Prediction.of_members(means, stds)
    assert_array_equal(alone.std, stds[0])
    assert alone.member_means is None


@pytest.mark.parametrize("kind", STATED)
def test_draws_have_the_stated_moments(kind, rng):
    stated = prediction(kind, rng)
    drawn = stated.distribution().sample(40_000, 0)
    assert drawn.shape == (40_000, N, P)
    std, cov = stated.standard_deviation(), stated.covariance()
    assert (np.abs(drawn.mean(0) - stated.mean) < 5 * std / 200).all()
    scale = std[:, :, None] * std[:, None, :]
    empirical = np.stack([np.cov(drawn[:, i].T) for i in range(N)])
    assert (np.abs(empirical - cov) < 0.04 * scale).all()


def test_points_are_drawn_as_they_are(rng):
    stated = prediction("points", rng)
    assert isinstance(stated.distribution(), Mixture)
    for field in stated.distribution().sample(20, 0):
        assert any((field == member).all() for member in stated.member_means)


def test_nothing_is_drawn_without_uncertainty(rng):
    with pytest.raises(ValueError, match="states no uncertainty"):
        prediction("mean", rng).distribution()

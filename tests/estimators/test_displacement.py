"""Displaced fields, and the posterior with them, against interpolation and sums written out."""

import numpy as np
import pytest
from backbones import Plain, WithMembers, WithStd
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.neighbors import KNeighborsRegressor

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw, LinearEquality
from skphys.estimators import ErrorModel, _learning
from skphys.estimators._covariances import Where
from skphys.estimators._displacement import PROFILES, STAYS, Displacement, displaceable, log_steps
from skphys.estimators._error_model import EVEN, RARITY, SCALES
from skphys.grids import Axis, ColumnGrid, Components, Grid, Mesh

X_NODES = np.array([0.0, 0.5, 0.6, 1.3, 2.0, 2.2, 3.0])  # uneven
RNG = np.random.default_rng(0)
BY_HAND = {
    "shift": lambda u: np.ones_like(u),
    "stretch": lambda u: u,
    "flip": lambda u: 1.0 - u,
    "bump": lambda u: 4.0 * u * (1.0 - u),
}


# Moved fields


@pytest.mark.parametrize("distance", [0.0, 0.05, -0.3, 2.0, -2.0])
@pytest.mark.parametrize("profile", BY_HAND)
def test_one_axis(profile, distance):
    where = Where(Grid(x=X_NODES))
    fields = RNG.normal(size=(4, 7))
    moved = Displacement("x", profile, 0.1).moved(fields, where, distance)
    at = X_NODES - 3.0 * distance * BY_HAND[profile](X_NODES / 3.0)
    expected = np.stack([np.interp(at, X_NODES, field) for field in fields])
    np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-14)


def test_every_profile_is_by_hand():
    assert set(PROFILES) == set(BY_HAND)


def test_axes_that_start_anywhere():
    for low, high in [(-5.0, -1.0), (1e6, 1e6 + 2.0), (-1e-9, 1e-9)]:
        x = np.linspace(low, high, 21)
        fields = np.sin(np.linspace(0.0, 3.0, 21))[None]
        moved = Displacement("x", "stretch", 0.1).moved(fields, Where(Grid(x=x)), 0.17)
        unit = np.linspace(0.0, 1.0, 21)
        expected = np.interp(unit - 0.17 * unit, unit, fields[0])
        np.testing.assert_allclose(moved[0], expected, atol=1e-8)


def test_cells_are_read_at_their_centres():
    edges = np.array([0.0, 0.2, 0.5, 1.0, 1.4])
    where = Where(Grid(x=Axis.cells(edges)))
    centres, field = 0.5 * (edges[1:] + edges[:-1]), np.array([[1.0, 3.0, -2.0, 0.5]])
    span = np.ptp(centres)
    moved = Displacement("x", "bump", 0.1).moved(field, where, 0.1)
    u = (centres - centres[0]) / span
    expected = np.interp(centres - 0.1 * span * 4.0 * u * (1.0 - u), centres, field[0])
    np.testing.assert_allclose(moved[0], expected, rtol=1e-12)


@pytest.mark.parametrize("nodes", [-13, -1, 0, 3, 11, 12, 25])
def test_periodic_axes(nodes):
    """Shifted by whole nodes a wave is itself, elsewhere."""
    n, period = 12, 2.0
    x = -0.7 + np.arange(n) * period / n
    where = Where(Grid(x=Axis(x, period=period)))

    def wave(at):
        return 1.0 + np.sin(np.pi * at) - 0.3 * np.cos(3.0 * np.pi * at)

    moved = Displacement("x", "shift", 0.1).moved(wave(x)[None], where, nodes / n)
    np.testing.assert_allclose(moved[0], wave(x - nodes * period / n), atol=1e-12)


def test_between_the_nodes_of_a_periodic_axis():
    x, period = np.array([0.1, 0.3, 0.35, 0.9]), 1.0
    where, fields = Where(Grid(x=Axis(x, period=period))), RNG.normal(size=(3, 4))
    for distance in (0.04, -0.33, 1.7):
        moved = Displacement("x", "shift", 0.1).moved(fields, where, distance)
        expected = [np.interp(x - distance, x, field, period=period) for field in fields]
        np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("axis", ["t", "x"])
def test_two_axes(axis):
    grid = Grid(t=np.linspace(0.0, 1.0, 4), x=X_NODES)
    fields = RNG.normal(size=(2, 3, 28))  # any leading shape
    moved = Displacement(axis, "flip", 0.1).moved(fields, Where(grid), 0.12)
    assert moved.shape == fields.shape
    shaped, k = fields.reshape(2, 3, 4, 7), list(grid.names).index(axis)
    points = grid[axis]
    at = points - 0.12 * np.ptp(points) * (1.0 - points / points[-1])
    expected = np.apply_along_axis(lambda f: np.interp(at, points, f), 2 + k, shaped)
    np.testing.assert_allclose(moved.reshape(shaped.shape), expected, rtol=1e-12, atol=1e-13)


def test_nodes_and_queries():
    """A field at nodes and at further points is read from all of them, also where they agree."""
    nodes = np.linspace(0.0, 1.0, 6)
    queries = np.array([0.9, 0.2, 0.05, 0.2, 0.71])
    table = np.column_stack([np.zeros(5), queries])
    (group,) = ColumnGrid(space=1, by=0, nodes=nodes).split(table)
    where = Where(group.grid, group.interpolation)
    assert set(displaceable(where)["x1"]) == set(BY_HAND)
    points = np.append(nodes, group.interpolation @ nodes)
    np.testing.assert_allclose(np.sort(points[6:]), np.sort(queries), atol=1e-15)
    field = np.cos(7.0 * points)
    order = np.argsort(points, kind="stable")
    knots, values = np.unique(points[order].round(12), return_index=True)
    for profile, ahead in BY_HAND.items():
        moved = Displacement("x1", profile, 0.1).moved(field[None], where, 0.08)[0]
        expected = np.interp(points - 0.08 * ahead(points), knots, field[order][values])
        np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_standard_deviations_move_with_the_field_and_some_stays():
    where, x = Where(Grid(x=X_NODES)), X_NODES
    mean, std = RNG.normal(size=(2, 7)), RNG.uniform(0.1, 1.0, (2, 7))
    found = Displacement("x", "shift", 0.1).applied(mean, std, where, 0.2)
    read = [np.stack([np.interp(x - 0.6, x, f) for f in each]) for each in (mean, std)]
    np.testing.assert_allclose(found[0], read[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1], np.sqrt(read[1] ** 2 + (STAYS * std) ** 2), rtol=1e-12)


def test_what_has_no_order_is_not_displaced():
    mesh = Mesh([0.5, 1.5, 3.0], [1.0, 1.0, 2.0], [(0, 1), (1, 2)])
    for grid in (
        mesh,
        Components(u=Grid(x=X_NODES), v=Grid(x=[0.0, 1.0, 2.0])),
        Components(u=mesh, v=mesh),
        Grid.unit(7),
        Grid(x=[0.0, 1.0]),
    ):
        assert displaceable(Where(grid)) == {}
    assert displaceable(Where(Grid(x=Axis(X_NODES, period=4.0)))) == {"x": ("shift",)}
    only_x = displaceable(Where(Grid(t=[0.0, 1.0], x=X_NODES)))
    assert set(only_x) == {"x"}


@pytest.mark.parametrize("profile", list(PROFILES))
def test_components_on_one_grid_move_together(profile):
    """Each as a field of its own, and rows of one component read that one moved."""
    alone, x = Where(Grid(t=[0.0, 1.0], x=X_NODES)), Grid(t=[0.0, 1.0], x=X_NODES)
    where = Where(Components(u=x, v=x))
    assert displaceable(where) == {**displaceable(alone)}
    fields, n = RNG.normal(size=(3, 2 * x.n_points)), x.n_points
    move = Displacement("x", profile, 0.1)
    moved = move.moved(fields, where, 0.15)
    for part in (slice(0, n), slice(n, None)):
        np.testing.assert_array_equal(moved[:, part], move.moved(fields[:, part], alone, 0.15))
    rows = RNG.normal(size=(2, 2 * n))
    pulled = move.pulled(rows, where, np.array([0.15, -0.3]))
    np.testing.assert_allclose(fields @ pulled[0].T, moved @ rows.T, atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
def test_steps_are_a_rule_for_normal_displacements(factor):
    """Moments of the steps are those of a normal distribution, cut off where steps end."""
    from skphys.estimators._displacement import STEPS

    p = np.exp(log_steps(factor))
    assert p.sum() == pytest.approx(1.0, rel=1e-13)
    np.testing.assert_array_equal(STEPS, -STEPS[::-1])
    fine = np.linspace(STEPS[0], STEPS[-1], 100_001)
    q = norm.pdf(fine, 0.0, factor)
    expected = np.trapezoid(q * fine**2, fine) / np.trapezoid(q, fine)
    assert p @ STEPS**2 == pytest.approx(expected, rel=0.2)


# The posterior


GRID = Grid(x=np.linspace(0.0, 2.0, 25))
W = GRID.weights()
X = RNG.uniform(size=(30, 3))
# Fronts, with a total that the last column knows
FIELDS = 1.0 / (1.0 + np.exp(8.0 * (GRID["x"] - 0.5 - X[:, :1]))) + 0.05 * RNG.normal(size=(30, 25))
X[:, 2] = FIELDS @ W
LAW = ConservationLaw(over="x", total=Column(2))


def fitted(error_model, constraints=LAW, backbone=None, grid=GRID, **params):
    model = ConservationConstrainedRegressor(
        backbone or WithStd(), constraints, grid, error_model=error_model, **params
    )
    return model.fit(X, FIELDS)


def members_by_hand(mean, std, x, ways):
    """Return log weights before the law, means and covariances of one field's members."""
    u, span = (x - x[0]) / np.ptp(x), np.ptp(x)
    steps = 8.0 * np.sinh(3.0 * np.linspace(-1.0, 1.0, 17)) / np.sinh(3.0)
    cells = np.concatenate([[steps[1] - steps[0]], (steps[2:] - steps[:-2]) / 2])
    cells = np.append(cells, steps[-1] - steps[-2])
    rare = np.asarray(SCALES) ** -RARITY
    rare /= rare.sum()
    for weight, spread, correlation, move in ways:
        for c, rarity in zip(SCALES, rare, strict=True):
            if move is None:
                S = np.outer(std * spread, std * spread) * correlation
                yield np.log(weight * rarity), mean, c**2 * S
                continue
            profile, width = move
            p = norm.pdf(steps, 0.0, c) * cells
            p /= p.sum()
            for d, share in zip(steps * width, p, strict=True):
                at = x - d * span * BY_HAND[profile](u)
                far = np.sqrt(np.interp(at, x, std) ** 2 + (0.1 * std) ** 2) * spread
                S = np.outer(far, far) * correlation
                with np.errstate(divide="ignore"):
                    yield np.log(weight * rarity * share), np.interp(at, x, mean), c**2 * S


def posterior_by_hand(members, rows, values, noise=0.0):
    """Return the mean, covariance and weights after the rows."""
    logs, means, covariances = [], [], []
    R = np.diag(np.broadcast_to(noise, len(rows)) ** 2)
    for log, mean, S in members:
        inner = rows @ S @ rows.T + R
        logs.append(log + multivariate_normal.logpdf(values, rows @ mean, inner))
        gain = np.linalg.solve(inner, rows @ S).T
        means.append(mean + gain @ (values - rows @ mean))
        covariances.append(S - gain @ rows @ S)
    weights = np.exp(np.array(logs) - logsumexp(logs))
    means = np.array(means)
    mean = weights @ means
    spread = means - mean
    within = np.einsum("k,kij->ij", weights, np.array(covariances))
    return mean, within + np.einsum("k,ki,kj->ij", weights, spread, spread), weights


def declared(width, profiles=tuple(BY_HAND)):
    ways = [(1.0 - EVEN, 1.0, np.eye(25), None)]
    return ways + [(EVEN / len(profiles), 1.0, np.eye(25), (p, width)) for p in profiles]


def assert_as_by_hand(model, ways, rows=W[None], noise=0.0, said=None, values=None, rtol=1e-9):
    mean, cov = model.predict(X[:6], return_cov=True)
    std = model.predict_std(X[:6])
    if said is None:
        said = model.estimator_.predict(X[:6], return_std=True)
    values = X[:6, 2:] if values is None else values
    for k in range(6):
        members = members_by_hand(said[0][k], said[1][k], GRID["x"], ways)
        m, S, weights = posterior_by_hand(members, rows, values[k], noise)
        assert weights.sum() == pytest.approx(1.0, rel=1e-12)
        scale = np.sqrt(np.diag(S).max())
        np.testing.assert_allclose(mean[k], m, atol=rtol * scale)
        np.testing.assert_allclose(cov[k], S, atol=rtol * scale**2)
        np.testing.assert_allclose(std[k], np.sqrt(np.diag(S)), rtol=1e-7, atol=1e-9 * scale)


@pytest.mark.parametrize("width", [0.01, 0.05, 0.5])
def test_a_declared_displacement_is_a_sum_over_its_steps(width):
    assert_as_by_hand(fitted(ErrorModel(displacement=width)), declared(width))


def test_a_scale_and_a_correlation_length_count_in_every_member():
    x = GRID["x"]
    correlation = np.exp(-np.abs(np.subtract.outer(x, x)) / 0.3)
    model = fitted(ErrorModel(displacement=0.05, scale=0.4, correlation_length=0.3))
    ways = [(w, 0.4, correlation, move) for w, _, _, move in declared(0.05)]
    assert_as_by_hand(model, ways)


def test_two_laws():
    """Mass, and its first moment."""
    rows = np.stack([W, W * GRID["x"]])
    laws = [LAW, LinearEquality(rows[1:], b=moment)]
    values = np.column_stack([X[:6, 2], moment(X[:6])])
    with pytest.warns(UserWarning, match="violate"):
        model = fitted(ErrorModel(displacement=0.05), laws)
    assert_as_by_hand(model, declared(0.05), rows, values=values, rtol=1e-7)


def moment(X):
    return 0.4 * np.asarray(X)[:, 2] ** 2


def test_noise_is_that_of_a_mixture_of_scales_in_the_mean_to_its_order():
    """Members of several scales share one, so with noise the moments are close, not equal."""
    law = ConservationLaw(over="x", total=Column(2), noise=0.02)
    model = fitted(ErrorModel(displacement=0.05), law)
    mean = model.predict(X[:6])
    said = model.estimator_.predict(X[:6], return_std=True)
    for k in range(6):
        members = members_by_hand(said[0][k], said[1][k], GRID["x"], declared(0.05))
        m, S, _ = posterior_by_hand(members, W[None], X[k, 2:], 0.02)
        np.testing.assert_allclose(mean[k], m, atol=1e-2 * np.sqrt(np.diag(S)).max())


@pytest.fixture
def mixtures(monkeypatch):
    """Take the mixture whether it is the best or not."""
    monkeypatch.setattr(_learning, "_best", lambda judgements: judgements[-1][0])


@pytest.mark.usefixtures("mixtures")
def test_learned_parts_are_a_sum_over_their_steps():
    """Weights, spreads, widths and the correlation as they were learned."""
    model = fitted("auto", calibration=(X, FIELDS))
    errors = model.error_model_
    assert any(part.displacement for part in errors.parts_)
    assert sum(part.weight for part in errors.parts_) == pytest.approx(1.0, rel=1e-12)
    learned = np.eye(25) if errors.correlation_ is None else errors.correlation_.to_dense()
    floor = 0.0 if errors.floor_ is None else errors.floor_
    said = model.estimator_.predict(X[:6], return_std=True)
    said = said[0], np.hypot(said[1], floor)
    ways = [
        (
            part.weight,
            part.spread,
            np.eye(25) if part.as_stated else learned,
            part.displacement and (part.displacement.profile, part.displacement.width),
        )
        for part in errors.parts_
    ]
    assert_as_by_hand(model, ways, said=said)


@pytest.mark.usefixtures("mixtures")
def test_learned_parts_of_a_backbone_that_states_nothing():
    model = fitted("auto", backbone=KNeighborsRegressor(3, weights="distance"))
    errors = model.error_model_
    assert all(part.alone for part in errors.parts_)
    assert any(part.displacement for part in errors.parts_)
    learned = np.eye(25) if errors.correlation_ is None else errors.correlation_.to_dense()
    said = model.estimator_.predict(X[:6]), np.ones((6, 25))
    ways = [
        (
            part.weight,
            part.spread,
            np.eye(25) if part.as_stated else learned,
            part.displacement and (part.displacement.profile, part.displacement.width),
        )
        for part in errors.parts_
    ]
    assert_as_by_hand(model, ways, said=said)


def test_no_width_is_no_displacement():
    """Members coincide: what is left is one Gaussian, of errors larger than usual if need be."""
    narrow = fitted(ErrorModel(displacement=1e-9))
    plain = fitted(ErrorModel(displacement=None))
    mean, std = narrow.predict(X, return_std=True)
    expected, usual = plain.predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    raw, before = narrow.estimator_.predict(X, return_std=True)
    for k in range(len(X)):
        known, logs = np.sqrt(W**2 @ before[k] ** 2), []
        for grown in (1.0, np.sqrt(1.0 + STAYS**2)):
            logs += [
                (
                    c * grown,
                    norm.logpdf(X[k, 2], W @ raw[k], c * grown * known) - RARITY * np.log(c),
                )
                for c in SCALES
            ]
        factors, logs = np.array(logs).T
        root = np.sqrt(factors**2 @ np.exp(logs - logsumexp(logs)))
        np.testing.assert_allclose(std[k], root * usual[k], rtol=1e-5)


def test_what_misses_its_law_by_far_is_less_sure():
    model = fitted(ErrorModel(displacement=0.02))
    near, far = X[:6].copy(), X[:6].copy()
    near[:, 2] = model.estimator_.predict(X[:6]) @ W
    totals = {"conservationlaw": near[:, 2] + 20.0}
    calm = model.predict(
        near[:, :], return_std=True, constraint_values={"conservationlaw": near[:, 2]}
    )
    alarmed = model.predict(far, return_std=True, constraint_values=totals)
    assert (alarmed[1].mean(axis=1) > 3.0 * calm[1].mean(axis=1)).all()


def test_the_law_tells_where_the_front_is():
    """A front that was predicted in the wrong place is put in the right one."""
    x = np.linspace(0.0, 1.0, 101)
    grid = Grid(x=x)
    front = 1.0 / (1.0 + np.exp(np.clip(200.0 * (x - 0.5), -300, 300)))
    true = 1.0 / (1.0 + np.exp(np.clip(200.0 * (x - 0.56), -300, 300)))

    law = ConservationLaw(over="x", total=float(grid.weights() @ true))
    data = np.zeros((3, 1)), np.tile(front, (3, 1))
    before = ConservationConstrainedRegressor(Sure(), None, grid).fit(*data).predict(data[0])
    np.testing.assert_allclose(before[0], front, atol=1e-12)
    model = ConservationConstrainedRegressor(
        Sure(), law, grid, error_model=ErrorModel(displacement=0.05)
    )
    plain = ConservationConstrainedRegressor(Sure(), law, grid, error_model="stated")
    with pytest.warns(UserWarning, match="violate"):
        moved, flat = model.fit(*data).predict(data[0]), plain.fit(*data).predict(data[0])
    error = [np.mean((f[0] - true) ** 2) for f in (before, flat, moved)]
    assert error[2] < 0.35 * error[1]
    assert x[np.argmin(np.abs(moved[0] - 0.5))] == pytest.approx(0.56, abs=0.02)


class Sure(WithStd):
    def _std(self, X):
        return np.full((len(X), self.coef_.shape[1]), 0.02)


def test_without_a_law_nothing_is_displaced():
    model = fitted(ErrorModel(displacement=0.3), None)
    mean, std = model.predict(X, return_std=True)
    said = model.estimator_.predict(X, return_std=True)
    np.testing.assert_allclose(mean, said[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(std, said[1], rtol=1e-12)


def test_fields_whose_total_is_unknown_are_as_predicted():
    model = fitted(ErrorModel(displacement=0.05))
    asked = X[:6].copy()
    asked[[1, 4], 2] = np.nan
    mean, std = model.predict(
        X[:6], return_std=True, constraint_values={"conservationlaw": asked[:, 2]}
    )
    said = model.estimator_.predict(X[:6], return_std=True)
    np.testing.assert_allclose(mean[[1, 4]], said[0][[1, 4]], rtol=1e-12)
    np.testing.assert_allclose(std[[1, 4]], said[1][[1, 4]], rtol=1e-12)
    others = [0, 2, 3, 5]
    np.testing.assert_allclose(mean[others], model.predict(X[:6])[others], rtol=1e-10)


def test_a_field_asked_alone_has_the_same_answer():
    model = fitted(ErrorModel(displacement=0.05))
    mean, std = model.predict(X, return_std=True)
    for k in (0, 7):
        one = model.predict(X[k : k + 1], return_std=True)
        np.testing.assert_allclose(one[0][0], mean[k], rtol=1e-10)
        np.testing.assert_allclose(one[1][0], std[k], rtol=1e-10)


def test_a_stated_displacement_stays_where_the_rest_is_learned():
    """Its width is the caller's, whatever the data say of scales and correlations."""
    wide = fitted(ErrorModel(displacement=0.1), backbone=Plain())
    none = fitted(ErrorModel(displacement=None), backbone=Plain())
    narrow = fitted(ErrorModel(displacement=1e-9), backbone=Plain())
    assert np.abs(wide.predict(X) - none.predict(X)).max() > 1e-3
    # Of no width it says that ten per cent more of the errors may be anywhere: nearly nothing.
    np.testing.assert_allclose(narrow.predict(X), none.predict(X), atol=5e-3)


@pytest.mark.parametrize("members", ["moments", "marginal", "each"])
def test_members_are_displaced_as_one_and_stay_as_they_are(members):
    """Displaced members have the standard deviations of all; those that stay are as stated."""
    model = fitted(ErrorModel(members=members, displacement=0.05), backbone=WithMembers())
    mean, cov = model.predict(X, return_cov=True)
    np.testing.assert_allclose(mean @ W, X[:, 2], rtol=1e-12)
    assert np.abs(cov[:3] @ W).max() < 1e-11 * np.abs(cov).max()
    draws = model.sample_y(X[:3], 40)
    np.testing.assert_allclose(
        np.einsum("fpd,p->fd", draws, W), X[:3, 2:] + np.zeros(40), rtol=1e-11
    )

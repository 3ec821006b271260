"""`noise="auto"`: the error of the quadrature rule, against errors that are known."""

import numpy as np
import pytest
from backbones import Stored, WithMembers, WithStd
from hypothesis import given
from hypothesis import strategies as st
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor
from skphys.conditioning import Diagonal, Gaussian, LowRank, Sum, condition
from skphys.constraints import ConservationLaw, Constraint, FieldTable, resolve_system
from skphys.grids import Axis, ColumnGrid, Components, Grid

RULES = ("trapezoid", "simpson")


def auto(fields, grid, over="x", **options):
    return ConservationLaw(over=over, noise="auto", **options).noise_std(fields, grid)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [3, 4, 5, 6, 11, 100, 101])
def test_mean_square_error_at_a_jump_that_may_be_anywhere(n, rule):
    """Monte Carlo over the place of the jump."""
    grid = Grid(x=np.linspace(0.0, 1.0, n))
    place = np.random.default_rng(0).uniform(size=40_000)
    fields = (grid["x"] < place[:, None]) * 3.0
    error = fields @ grid.weights("x", rule) - 3.0 * place
    ratio = rms(auto(fields, grid, quadrature=rule)) / rms(error)
    assert 0.93 < ratio < (1.03 if n > 6 else 1.2)


@pytest.mark.parametrize("rule", RULES)
def test_two_jumps_that_could_cancel(rule):
    grid = Grid(x=np.linspace(0.0, 1.0, 41))
    place = np.sort(np.random.default_rng(0).uniform(size=(20_000, 2)))
    fields = (grid["x"] > place[:, :1]) & (grid["x"] < place[:, 1:])
    error = fields @ grid.weights("x", rule) - np.diff(place)[:, 0]
    assert 0.95 < rms(auto(fields, grid, quadrature=rule)) / rms(error) < 1.1


@pytest.mark.parametrize("points", [np.linspace(0, 1, 101), np.linspace(0, 1, 101) ** 1.5])
def test_the_error_of_a_smooth_field(points):
    error = np.trapezoid(np.exp(points), points) - (np.e - 1)
    std = auto(np.exp(points)[None], Grid(x=points)).item()
    assert 0.9 * error < std < 1.4 * error


def test_the_error_of_simpsons_rule_is_that_much_smaller():
    points = np.linspace(0, 1, 101)
    fields, grid = np.exp(points)[None], Grid(x=points)
    error = fields[0] @ grid.weights(quadrature="simpson") - (np.e - 1)
    assert error < auto(fields, grid, quadrature="simpson").item() < 5 * error
    assert error < 1e-4 * auto(fields, grid).item()


def test_two_nodes_know_their_difference():
    std = auto(np.array([[0.0, 2.0]]), Grid(x=[0.0, 0.5]))
    np.testing.assert_allclose(std, 0.5 * 2.0 / np.sqrt(12.0))  # uniform on +-h du / 2


@pytest.mark.parametrize("axis", [Axis.cells(np.linspace(0, 1, 9)), Axis.cells([0.0, 1.0])])
def test_cell_averages_are_exact(axis):
    fields = np.random.default_rng(0).normal(size=(3, axis.size))
    assert (auto(fields, Grid(x=axis)) == 0).all()


def test_linear_fields_are_exact_and_so_are_periods():
    nodes = np.sort(np.random.default_rng(0).uniform(size=20))
    assert auto((2.0 + 3.0 * nodes)[None], Grid(x=nodes)).item() < 1e-14
    # The error of a jump on a ring does not depend on where the ring is cut.
    ring = Grid(x=Axis.periodic(0.0, 1.0, 12))
    field = (np.arange(12) < 5).astype(float)
    turned = [auto(np.roll(field, shift)[None], ring).item() for shift in range(12)]
    np.testing.assert_allclose(turned, np.sqrt(2 / 12) / 12)  # two jumps


def test_one_row_for_each_remaining_index():
    grid = Grid(t=[0.0, 1.0, 3.0], x=np.linspace(0, 1, 11), z=np.linspace(0, 2, 7))
    fields = np.random.default_rng(0).normal(size=(4, *grid.shape))
    std = auto(fields.reshape(4, -1), grid)
    assert std.shape == (4, 3 * 7)
    line = auto(fields[2, 1, :, 5][None], Grid(x=grid["x"]))
    np.testing.assert_allclose(std[2, 1 * 7 + 5], line.item())
    both = auto(fields.reshape(4, -1), grid, over=["x", "z"])
    weights = grid.weights("z")
    along_x = auto((fields @ weights)[1, 2][None], Grid(x=grid["x"])).item()
    across = np.einsum("i,ij->j", grid.weights("x"), fields[1, 2])
    along_z = auto(across[None], Grid(z=grid["z"]), over="z").item()
    np.testing.assert_allclose(both[1, 2], np.hypot(along_x, along_z))


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 1000))
def test_equivariant(scale, shift, seed):
    rng = np.random.default_rng(seed)
    nodes, fields = np.cumsum(rng.uniform(0.1, 1, 9)), rng.normal(size=(2, 9))
    for rule in RULES:
        std = auto(fields, Grid(x=nodes), quadrature=rule)
        scaled = auto(scale * fields + shift, Grid(x=nodes), quadrature=rule)
        mirrored = auto(fields[:, ::-1], Grid(x=-nodes[::-1]), quadrature=rule)
        np.testing.assert_allclose(scaled, scale * std, rtol=1e-6, atol=1e-9 * abs(shift))
        np.testing.assert_allclose(mirrored, std, rtol=1e-9)


def test_masks_components_and_changes_in_time():
    space = Grid(t=[0.0, 1.0], x=np.linspace(0.0, 1.0, 11))
    fields = np.random.default_rng(0).normal(size=(2, 22))
    mask = np.arange(11) < 6
    masked = auto(fields, space, mask=mask)
    np.testing.assert_allclose(masked, auto(fields * np.tile(mask, 2), space))
    both = Components(a=space, b=space)
    stacked = auto(np.hstack([0 * fields, fields]), both, component="b")
    levels = auto(fields, space)
    np.testing.assert_array_equal(stacked, levels)
    change = auto(fields, space, inflow=1.0)
    np.testing.assert_allclose(change, np.hypot(levels[:, :1], levels[:, 1:]))


def test_errors():
    grid, fields = Grid(x=np.linspace(0, 1, 5)), np.ones((1, 5))
    with pytest.raises(ValueError, match="weights"):
        auto(fields, grid, quadrature=np.ones(5))
    with pytest.raises(ValueError, match="weights"):
        auto(fields, grid, quadrature={"x": np.ones(5)})
    with pytest.raises(ValueError, match="noise must be"):
        ConservationLaw(noise="automatic").noise_std(fields, grid)
    with pytest.raises(ValueError, match="no"):
        resolve_system(ConservationLaw(noise="auto"), grid, FieldTable(np.ones((1, 1))))


GRID = Grid(x=np.linspace(0.0, 1.0, 9))
X = np.random.default_rng(0).normal(size=(6, 2))


def model(backbone, *laws, **options):
    with_noise = [ConservationLaw(total=1.0, noise="auto"), *laws]
    estimator = ConservationConstrainedRegressor(backbone, with_noise, GRID, **options)
    return estimator.fit(X, np.ones((6, 9)) + 0.1 * X[:, :1] * np.sin(7 * GRID["x"]))


def conditioned_one_by_one(means, priors, noise):
    """Return fields conditioned each with a noise of its own."""
    rows = GRID.weights()[None]
    return [
        condition(Gaussian(m, p), rows, np.ones(1), s)
        for m, p, s in zip(means, priors, noise, strict=True)
    ]


@pytest.mark.filterwarnings("ignore:The training targets")
def test_each_field_has_its_own():
    fitted = model(WithStd())
    backbone_mean, backbone_std = fitted.estimator_.predict(X, return_std=True)
    noise = auto(backbone_mean, GRID)[:, 0]
    assert np.ptp(noise) > 0.1 * noise.max()
    expected = conditioned_one_by_one(backbone_mean, map(Diagonal, backbone_std**2), noise)
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(mean, [g.mean for g in expected], rtol=1e-12)
    np.testing.assert_allclose(std, [g.std() for g in expected], rtol=1e-12)
    np.testing.assert_allclose(fitted.predict(X[2:4]), mean[2:4], rtol=1e-14)
    cov = fitted.predict(X, return_cov=True)[1]
    draws = fitted.sample_y(X, 40_000, random_state=0)
    for b in range(6):
        np.testing.assert_allclose(np.cov(draws[b]), cov[b], atol=0.03 * cov[b].max())
    residual = fitted.constraint_residuals(X)
    assert (np.abs(residual) > 1e-9).any()


@pytest.mark.filterwarnings("ignore:The training targets")
def test_members_are_likelier_fields_than_their_mean():
    fitted = model(WithMembers(), error_model="stated")
    means, stds = fitted.estimator_.predict_members(X)
    noise = np.sqrt(np.mean([auto(m, GRID)[:, 0] ** 2 for m in means], axis=0))
    assert (noise > auto(means.mean(0), GRID)[:, 0]).all()
    centred = (means - means.mean(0)) / np.sqrt(len(means))
    priors = [
        Sum(Diagonal(np.mean(stds[:, b] ** 2, axis=0)), LowRank(centred[:, b].T)) for b in range(6)
    ]
    expected = conditioned_one_by_one(means.mean(0), priors, noise)
    np.testing.assert_allclose(fitted.predict(X), [g.mean for g in expected], rtol=1e-10)


@pytest.mark.filterwarnings("ignore:The training targets")
def test_beside_an_exact_law():
    weights = GRID.weights()
    exact = ConservationLaw(total=2.0, quadrature=np.arange(9.0))
    fitted = model(WithStd(), exact)
    mean = fitted.predict(X)
    np.testing.assert_allclose(mean @ np.arange(9.0), 2.0, rtol=1e-12)
    assert (np.abs(mean @ weights - 1.0) > 1e-9).any()


@pytest.mark.filterwarnings("ignore:The training targets")
def test_nested():
    laws = ConservationLaw(total=1.0, noise="auto"), ConservationLaw(total=2.0, noise=0.5)
    y = np.ones((6, 9)) + 0.1 * X[:, :1] * np.sin(7 * GRID["x"])
    inner = ConservationConstrainedRegressor(WithStd(), laws[0], GRID)
    nested = ConservationConstrainedRegressor(inner, laws[1], GRID).fit(X, y)
    flat = ConservationConstrainedRegressor(WithStd(), list(laws), GRID).fit(X, y)
    np.testing.assert_allclose(nested.predict(X), flat.predict(X), rtol=1e-12)


def test_a_sharp_front_is_spared_the_rules_error():
    """The exact law moves a field whose trapezoid misses the mass; with auto it hardly moves."""
    truth = (GRID["x"] < 0.55).astype(float)  # mass 0.55, trapezoid 0.5625
    stored = FrozenEstimator(Stored(truth[None, None], np.full((1, 1, 9), 0.1)))

    def predict(noise):
        law = ConservationLaw(total=0.55, noise=noise)
        fitted = ConservationConstrainedRegressor(stored, law, GRID).fit([[0.0]], truth[None])
        return fitted.predict([[0.0]])[0]

    exact, auto_noise = (np.abs(predict(noise) - truth).max() for noise in (0.0, "auto"))
    assert auto_noise < 0.6 * exact


class Distrusted(Constraint):
    """Somebody's constraint, that trusts its value less where the field is large."""

    value_parameters = ("value",)

    def __init__(self, value=0.0):
        self.value = value

    def rows(self, grid):
        return np.ones((1, grid.n_points))

    def noise_std(self, fields, grid):
        return np.abs(fields).max(axis=1, keepdims=True)


def test_a_constraint_of_ones_own():
    fields = np.random.default_rng(0).normal(size=(3, 9))
    system = resolve_system(Distrusted(), GRID, FieldTable(X[:3]), fields=fields)
    np.testing.assert_array_equal(system.noise[:, 0], np.abs(fields).max(axis=1))
    assert system.take(slice(1, 2)).noise.shape == (1, 1)


def test_the_shape_of_noise_is_checked():
    class Wrong(Distrusted):
        def noise_std(self, fields, grid):
            return np.ones((2, 2))

    with pytest.raises(ValueError, match=r"noise of constraint 'wrong' has shape \(2, 2\)"):
        resolve_system(Wrong(), GRID, FieldTable(X[:3]), fields=np.ones((3, 9)))


# The checks' X has any number of columns: those that are not space tell the fields apart.
TABLE = ColumnGrid(space=0, nodes=np.linspace(-1e4, 1e4, 11))


@parametrize_with_checks(
    [ConservationConstrainedRegressor(Ridge(), ConservationLaw(noise="auto"), TABLE)]
)
def test_check_estimator(estimator, check):
    if "regressors_train" not in str(check):  # wants a good fit, and the law is false there
        check(estimator)

"""Nonlinear laws beside everything else that a constrained estimator can do."""

import pickle

import numpy as np
import pandas as pd
import pytest
from backbones import Plain, WithCov, WithMembers, WithStd
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor, PointwiseRegressor, make_constrained_pipeline
from skphys.constraints import (
    BoundaryConstraint,
    Bounds,
    Column,
    ConservationLaw,
    Dirichlet,
    EnergyLaw,
    NonlinearEquality,
)
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Components, Grid
from skphys.inspection import ConstraintErrorDisplay
from skphys.metrics import conservation_error

x = np.linspace(0.0, 1.0, 21)
grid = Grid(x=x)
WEIGHTS = grid.weights()
MASS, ENERGY = ConservationLaw(total=Column(2)), EnergyLaw(total=Column(3))


def data(n=30, seed=0):
    """Bumps, with their mass and energy as columns."""
    rng = np.random.default_rng(seed)
    X = rng.uniform([0.5, 0.3], [2.0, 0.7], (n, 2))
    y = 0.2 + X[:, :1] * np.exp(-(((x - X[:, 1:]) / 0.2) ** 2))
    return np.column_stack([X, y @ WEIGHTS, 0.5 * y**2 @ WEIGHTS]), y


def energies(fields, axis=1):
    return 0.5 * np.moveaxis(fields, axis, -1) ** 2 @ WEIGHTS


X, y = data()
TEST, TRUTH = data(8, 1)


@parametrize_with_checks(
    [
        ConservationConstrainedRegressor(Ridge(), EnergyLaw(noise=1e6)),
        ConservationConstrainedRegressor(
            make_pipeline(StandardScaler(), Ridge()),
            [EnergyLaw(noise=1e6), ConservationLaw(noise=1e6)],
            error_model="stated",
        ),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
@pytest.mark.parametrize("backbone", [Plain(), WithStd(), WithMembers(), WithCov()])
@pytest.mark.parametrize("errors", ["stated", "residual", "identity"])
def test_mean_and_draws_obey_both_laws(backbone, errors):
    model = ConservationConstrainedRegressor(backbone, [MASS, ENERGY], grid, error_model=errors)
    model.fit(X, y)
    mean, std = model.predict(TEST, return_std=True)
    draws = model.sample_y(TEST, 20)
    for fields in (mean, *np.moveaxis(draws, -1, 0)):
        np.testing.assert_allclose(fields @ WEIGHTS, TEST[:, 2], rtol=1e-11)
        np.testing.assert_allclose(energies(fields), TEST[:, 3], rtol=1e-10)
    assert np.abs(model.constraint_residuals(TEST)).max() < 1e-12
    assert (std > 0).all()
    cov = model.predict(TEST, return_cov=True)[1]
    np.testing.assert_allclose(np.einsum("spp->sp", cov), std**2)
    slope = np.einsum("spq,sq->sp", cov, mean * WEIGHTS)  # of the energy, along which none is left
    assert np.abs(slope).max() < 1e-9 * cov.max()


def test_the_learned_mixture_is_on_the_law():
    errors = ErrorModel(displacement=0.05)
    model = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid, error_model=errors)
    model.fit(X, y)
    field = next(model._posteriors(TEST))[1]
    assert len(field.field.members) > 2
    for member in (field, *field.field.members):
        np.testing.assert_allclose(energies(member.mean), TEST[:, 3], rtol=1e-10)
    np.testing.assert_allclose(energies(model.sample_y(TEST, 9)), TEST[:, 3:] * np.ones(9), 1e-10)


@pytest.mark.parametrize("members", [ErrorModel(displacement=0.05), ErrorModel(members="each")])
def test_a_mixture_within_bounds_is_on_the_law(members):
    constraints = [MASS, ENERGY, Bounds(lower=0.19)]
    backbone = WithMembers(3) if members.members == "each" else WithStd()
    model = ConservationConstrainedRegressor(
        backbone, constraints, grid, error_model=members, inequality_posterior="projected"
    ).fit(X, y)
    fields, draws = model.predict(TEST), model.sample_y(TEST[:2], 3)
    assert min(fields.min(), draws.min()) >= 0.19 - 1e-9
    assert np.abs(model.constraint_residuals(TEST)).max() < 1e-12
    np.testing.assert_allclose(energies(draws), TEST[:2, 3:] * np.ones(3), rtol=1e-10)


def test_what_is_learned_out_of_fold_obeys():
    model = ConservationConstrainedRegressor(Plain(), [MASS, ENERGY], grid).fit(X, y)
    assert np.abs(model.constraint_residuals(TEST)).max() < 1e-12
    low, high = model.predict_interval(TEST, 0.8, method="conformal")
    assert ((TRUTH >= low) & (TRUTH <= high)).mean() > 0.6


def test_bounds_boundaries_and_both_laws_together():
    face = BoundaryConstraint(Dirichlet(Column(4)), "x", "left")
    constraints = [MASS, ENERGY, face, Bounds(lower=0.19)]
    model = ConservationConstrainedRegressor(
        WithStd(), constraints, grid, error_model="stated", inequality_posterior="projected"
    )
    model.fit(np.column_stack([X, y[:, 0]]), y)
    table = np.column_stack([TEST, TRUTH[:, 0]])
    fields, draws = model.predict(table), model.sample_y(table[:3], 4)
    assert (fields == 0.19).any()
    for some, table in ((fields, TEST), *((each, TEST[:3]) for each in np.moveaxis(draws, -1, 0))):
        assert some.min() >= 0.19 - 1e-9
        np.testing.assert_array_equal(some[:, 0], TRUTH[: len(some), 0])
        np.testing.assert_allclose(some @ WEIGHTS, table[:, 2], rtol=1e-12)
        np.testing.assert_allclose(energies(some), table[:, 3], rtol=1e-10)


def test_boundary_values_stay_exact():
    face = BoundaryConstraint(Dirichlet(0.2), "x", "left")
    model = ConservationConstrainedRegressor(WithStd(), [face, MASS, ENERGY], grid)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, y)
    mean, std = model.predict(TEST, return_std=True)
    assert (mean[:, 0] == 0.2).all()
    assert (std[:, 0] == 0.0).all()
    assert (model.sample_y(TEST, 3)[:, 0] == 0.2).all()


def test_what_cannot_be_met_names_the_law_and_the_row():
    model = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid).fit(X, y)
    values = TEST[:, 3].copy()
    values[4] = 1e-3  # less than the mass alone needs
    with pytest.raises(
        ValueError, match=r"'energylaw' cannot be met beside 'conservationlaw'"
    ) as e:
        model.predict(TEST, constraint_values={"energylaw": values})
    least = 0.5 * TEST[4, 2] ** 2 - 1e-3  # of a field that is constant
    assert "row 4 of X" in str(e.value)
    assert e.value.__cause__.gap == pytest.approx(least, rel=0.01)


def test_values_that_are_given_or_not_known():
    model = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid).fit(X, y)
    given = 1.1 * TEST[:, 3]
    given[2] = np.nan
    fields = model.predict(TEST, constraint_values={"energylaw": given})
    known = ~np.isnan(given)
    np.testing.assert_allclose(energies(fields)[known], given[known])
    alone = ConservationConstrainedRegressor(WithStd(), MASS, grid).fit(X, y)
    np.testing.assert_allclose(fields[2], alone.predict(TEST)[2])
    residuals = model.constraint_residuals(TEST, constraint_values={"energylaw": given})
    assert np.isnan(residuals).nonzero()[0].tolist() == [2]


def test_noise_lets_the_law_yield():
    means = []
    for noise in (0.0, 1e-3, 1e3):
        law = ENERGY.set_params(noise=noise)
        model = ConservationConstrainedRegressor(WithStd(), clone(law), grid).fit(X, y)
        means.append(model.predict(TEST))
    ENERGY.set_params(noise=0.0)
    free = WithStd().fit(X, y).predict(TEST)
    moved = [np.abs(mean - free).max() for mean in means]
    assert moved[0] > 0.01
    assert moved[0] == pytest.approx(moved[1], rel=0.05)
    assert moved[2] < 1e-6


def cube(fields):
    return fields[:, :3].sum(axis=1, keepdims=True) ** 3


def cube_slopes(fields):
    slopes = np.zeros((len(fields), 1, fields.shape[1]))
    slopes[..., :3] = 3.0 * fields[:, :3].sum(axis=1)[:, None, None] ** 2
    return slopes


@pytest.mark.parametrize("jac", [None, cube_slopes])
def test_a_function_survives_everything_that_scikit_learn_does(jac):
    law = NonlinearEquality(cube, value=lambda X: (3.0 * X[:, 0] / 10.0) ** 3, jac=jac)
    model = make_constrained_pipeline(StandardScaler(), WithStd(), ("cube", law), grid=grid)
    model = ConservationConstrainedRegressor(
        make_pipeline(StandardScaler(), WithStd()),
        [("cube", NonlinearEquality(cube, value=0.5, jac=jac)), MASS],
        grid,
    )
    with pytest.warns(UserWarning, match="'cube'"):
        model.fit(X, y)
    np.testing.assert_allclose(cube(model.predict(TEST)), 0.5, rtol=1e-12)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(TEST), model.predict(TEST))
    model.set_params(constraints__cube__value=0.25)
    assert model.get_params()["constraints__cube__value"] == 0.25
    with pytest.warns(UserWarning, match="'cube'"):
        fields = clone(model).fit(X, y).predict(TEST)
    np.testing.assert_allclose(cube(fields), 0.25, rtol=1e-12)


def test_a_search_over_a_law():
    search = GridSearchCV(
        ConservationConstrainedRegressor(WithStd(), EnergyLaw(total=Column(3)), grid),
        {"constraints__noise": [0.0, 10.0], "error_model": ["stated"]},
        cv=3,
    ).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


@pytest.mark.parametrize(
    ("law", "match"),
    [
        (NonlinearEquality(3.0), "fun of NonlinearEquality must be a callable"),
        (NonlinearEquality(cube, jac="autograd"), "jac of NonlinearEquality must be None"),
        (
            NonlinearEquality(lambda u: u.sum(axis=1)),
            r"fun .* must return shape \(1, n_residuals\)",
        ),
        (NonlinearEquality(cube, value=[1.0, 2.0]), "value of constraint"),
        (NonlinearEquality(cube, noise=-1.0), "noise of constraint"),
        (EnergyLaw("t"), "axis"),
        (EnergyLaw(weight=-1.0), "weight of EnergyLaw must be"),
        (EnergyLaw(weight={"u": 1.0}), "weight of EnergyLaw names 'u'"),
        (EnergyLaw(stiffness=-2.0), "stiffness of EnergyLaw must be"),
        (EnergyLaw(total="E"), "no column 'E'"),
    ],
)
def test_errors_name_the_parameter(law, match):
    with pytest.raises((ValueError, TypeError), match=match):
        ConservationConstrainedRegressor(WithStd(), law, grid).fit(X, y)


def test_a_zero_field_has_no_energy_to_change():
    model = ConservationConstrainedRegressor(WithStd(), EnergyLaw(total=1.0), grid)
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, np.zeros_like(y))
    with pytest.raises(ValueError, match="an energy do at a field of zeros"):
        model.predict(TEST)


def test_training_through_it_is_refused():
    from skphys import FNORegressor

    pytest.importorskip("torch")
    model = ConservationConstrainedRegressor(
        FNORegressor(heteroscedastic=True), [MASS, ENERGY], grid, constrain_training=True
    )
    with pytest.raises(ValueError, match="'energylaw' is nonlinear"):
        model.fit(X, y)


def test_targets_that_miss_the_law_are_told():
    model = ConservationConstrainedRegressor(WithStd(), EnergyLaw(total=7.0), grid)
    with pytest.warns(UserWarning, match="'energylaw' by up to"):
        model.fit(X, y)


def test_nested_laws_are_met_together():
    inner = ConservationConstrainedRegressor(WithStd(), ENERGY, grid)
    outer = ConservationConstrainedRegressor(inner, MASS, grid).fit(X, y)
    flat = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid).fit(X, y)
    np.testing.assert_allclose(outer.predict(TEST), flat.predict(TEST), atol=1e-9)


def test_reports_and_metrics_know_the_law():
    model = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid).fit(X, y)
    report = model.constraint_report(TEST, TRUTH)
    assert report.names == ("conservationlaw", "energylaw")
    before = WithStd().fit(X, y).predict(TEST)
    np.testing.assert_allclose(report.residual[:, 1], TEST[:, 3] - energies(before))
    assert np.abs(report.truth_residual).max() < 1e-12
    missed = conservation_error(before, [ENERGY, MASS], grid, X=TEST)
    np.testing.assert_allclose(missed[:, 1], energies(before) - TEST[:, 3], atol=1e-14)


def test_the_figure_knows_the_law():
    pytest.importorskip("matplotlib")
    model = ConservationConstrainedRegressor(WithStd(), [MASS, ENERGY], grid).fit(X, y)
    shown = ConstraintErrorDisplay.from_predictions(
        TRUTH, model.predict(TEST), constraints=[MASS, ENERGY], grid=grid, X=TEST
    )
    assert shown.errors["prediction"]["energylaw"].max() < 1e-12


def test_a_long_table_with_queries_between_nodes():
    rows = [(a, q) for a in (0.5, 1.0, 1.5) for q in (0.0, 0.33, 0.5, 1.0)]
    table = pd.DataFrame(rows, columns=["a", "x"])
    fields = ColumnGrid(space="x", by="a", nodes=x)
    process = GaussianProcessRegressor(RBF(0.3), alpha=1e-4, optimizer=None)
    law = EnergyLaw("x", total="a")
    model = ConservationConstrainedRegressor(process, law, fields, error_model="stated")
    with pytest.warns(UserWarning, match="violate"):
        model.fit(table, 1.0 + table["x"] * table["a"])
    assert np.abs(model.constraint_residuals(table)).max() < 1e-12
    at_nodes = pd.DataFrame([(1.2, q) for q in x], columns=["a", "x"])
    np.testing.assert_allclose(energies(model.predict(at_nodes)[None]), 1.2, rtol=1e-11)


def test_kinetic_and_potential_energy_over_components():
    rng = np.random.default_rng(0)
    both = Components(u=grid, v=grid)
    targets = np.concatenate([np.sin(np.pi * x) * X[:, :1], np.cos(x) * X[:, 1:2]], axis=1)
    law = EnergyLaw(weight={"v": 2.0}, stiffness={"u": 3.0})
    slopes = np.diff(targets[:, :21], axis=1) / np.diff(x)
    total = targets[:, 21:] ** 2 @ WEIGHTS + 1.5 * slopes**2 @ np.diff(x)
    np.testing.assert_allclose(law.evaluate(targets, both)[:, 0], total)
    table = np.column_stack([X[:, :2], total])
    law.set_params(total=Column(2))
    model = ConservationConstrainedRegressor(PointwiseRegressor(Ridge(), both), law, both)
    model = ConservationConstrainedRegressor(WithStd(), law, both).fit(table[:20], targets[:20])
    fields = model.predict(table[20:])
    np.testing.assert_allclose(law.evaluate(fields, both)[:, 0], total[20:], rtol=1e-12)
    direction, steps = rng.normal(size=fields.shape), 1e-6
    ahead, behind = (law.evaluate(fields + s * steps * direction, both) for s in (1, -1))
    along = np.einsum("srp,sp->sr", law.jacobian(fields, both), direction)
    np.testing.assert_allclose((ahead - behind) / (2 * steps), along, rtol=1e-6)


def test_one_total_for_each_time():
    plane = Grid(t=np.linspace(0, 1, 4), x=x)
    targets = (1.0 + plane.points[:, 0]) * (1.0 + X[:, :1] * plane.points[:, 1])
    total = 0.5 * (targets.reshape(30, 4, 21) ** 2) @ WEIGHTS
    law = EnergyLaw("x", total=Column([2, 3, 4, 5]))
    table = np.column_stack([X[:, :2], total])
    model = ConservationConstrainedRegressor(WithStd(), law, plane).fit(table[:20], targets[:20])
    draws = model.sample_y(table[20:], 5).reshape(10, 4, 21, 5)
    np.testing.assert_allclose(energies(draws, 2), total[20:, :, None] * np.ones(5), rtol=1e-10)


def burgers_balance(fields):
    """Mass in each interval of time against the fluxes u**2 / 2 through both ends."""
    u = fields.reshape(len(fields), 5, 21)
    mass, flux = u @ WEIGHTS, 0.5 * (u[..., 0] ** 2 - u[..., -1] ** 2)
    return mass[:, 1:] - mass[:, :-1] - 0.125 * (flux[:, 1:] + flux[:, :-1])


def test_burgers_balances_by_torch():
    pytest.importorskip("torch")
    import torch

    def balance(fields):
        u = fields.reshape(len(fields), 5, 21)
        mass, flux = u @ torch.tensor(WEIGHTS), 0.5 * (u[..., 0] ** 2 - u[..., -1] ** 2)
        return mass[:, 1:] - mass[:, :-1] - 0.125 * (flux[:, 1:] + flux[:, :-1])

    plane = Grid(t=np.linspace(0, 1, 5), x=x)
    t, place = plane.points.T
    targets = (0.5 + place * X[:, :1]) / (1.0 + t * X[:, :1])  # rarefactions, exactly
    model = ConservationConstrainedRegressor(
        WithStd(), NonlinearEquality(balance, jac="torch", noise=0.0), plane
    )
    with pytest.warns(UserWarning, match="'nonlinearequality'"):  # in time by the trapezoid rule
        model.fit(X[:20], targets[:20])
    fields, draws = model.predict(X[20:]), model.sample_y(X[20:], 5)
    assert np.abs(burgers_balance(fields)).max() < 1e-12
    flat = np.moveaxis(draws, -1, 1).reshape(-1, 105)
    assert np.abs(burgers_balance(flat)).max() < 1e-10 * np.abs(flat).max() ** 2
    by_differences = ConservationConstrainedRegressor(
        WithStd(), NonlinearEquality(burgers_balance), plane
    )
    with pytest.warns(UserWarning, match="'nonlinearequality'"):
        by_differences.fit(X[:20], targets[:20])
    np.testing.assert_allclose(by_differences.predict(X[20:]), fields, atol=1e-7)


def test_a_fun_that_writes_into_fields_raises():
    """The fields are the user's, or the prediction."""

    def centred(fields):
        fields -= fields.mean(axis=1, keepdims=True)
        return (fields**2).sum(axis=1, keepdims=True)

    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 5))
    kept = y.copy()
    model = ConservationConstrainedRegressor(Ridge(), NonlinearEquality(centred, value=1.0))
    with pytest.raises(ValueError, match="read-only"):
        model.fit(rng.normal(size=(12, 2)), y)
    np.testing.assert_array_equal(y, kept)


def test_what_is_nan_is_named():
    law = NonlinearEquality(lambda u: np.log(u[:, :1] - 1e3))
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(ValueError, match="what they say of it is NaN"),
    ):
        ConservationConstrainedRegressor(WithStd(), law, grid).fit(X, y).predict(TEST)


def test_functions_of_numpy_are_not_differentiated_by_torch():
    pytest.importorskip("torch")
    law = NonlinearEquality(lambda u: np.square(u).sum(axis=1, keepdims=True), jac="torch")
    with pytest.raises(TypeError, match="fun must be made of torch's functions"):
        law.jacobian(y, grid)


@pytest.mark.parametrize(("n_samples", "error"), [(0, ValueError), (2.5, TypeError)])
def test_the_number_of_draws_is_checked(n_samples, error):
    model = ConservationConstrainedRegressor(WithStd(), ENERGY, grid).fit(X, y)
    with pytest.raises(error, match="n_samples"):
        model.sample_y(TEST, n_samples)

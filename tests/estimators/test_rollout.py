"""Rollouts: scikit-learn to the letter, laws at every step, draws, and when they are stopped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import (
    BoundaryEnforcedOperator,
    ConservationConstrainedRegressor,
    EnsembleRegressor,
    RolloutRegressor,
)
from skphys.constraints import (
    Bounds,
    Column,
    ConservationLaw,
    Dirichlet,
    EnergyLaw,
    FromInput,
    OverStep,
)
from skphys.grids import Axis, Components, Grid

N = 12
RING = Grid(x=Axis.periodic(0.0, 1.0, N))
KEPT = OverStep(ConservationLaw(over="x", inflow=0.0))
INERT = ConservationLaw(total=0.0, noise=1e6)
GP = GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None)


def carried(n, n_steps, seed=0):
    """Fields that move by a point at each step, and their starts."""
    start = np.random.default_rng(seed).normal(size=(n, N)) + 2.0
    return start, np.hstack([np.roll(start, k, axis=1) for k in range(1, n_steps + 1)])


@parametrize_with_checks(
    [
        RolloutRegressor(Ridge()),
        RolloutRegressor(RandomForestRegressor(5, random_state=0), n_draws=2),
        RolloutRegressor(Ridge(), None, INERT, n_draws=3),
        RolloutRegressor(GP, None, [("inert", INERT)], push_forward=1, held_out=0.0),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_a_linear_map_is_stepped_exactly():
    X, y = carried(40, 3)
    model = RolloutRegressor(LinearRegression(), 10, grid=RING).fit(X, y)
    expected = carried(40, 10)[1]
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-10)
    assert model.n_steps_fitted_ == 3
    assert model.set_params(n_steps=None).score(X, y) > 1 - 1e-12
    assert (
        model.set_params(n_steps=2).predict(X)
        == model.set_params(n_steps=10).predict(X)[:, : 2 * N]
    ).all()


def test_steps_that_are_set_after_fit_are_checked():
    X, y = carried(20, 2)
    model = RolloutRegressor(LinearRegression(), grid=RING).fit(X, y).set_params(n_steps=0)
    with pytest.raises(ValueError, match="'n_steps' parameter"):
        model.predict(X)


def test_mass_does_not_drift_over_1000_steps():
    X, y = carried(30, 3)
    alone = RolloutRegressor(Ridge(5.0), 1000, grid=RING).fit(X, y).predict(X[:3])
    assert np.abs(alone.reshape(3, 1000, N).mean(2) / X[:3].mean(1, keepdims=True) - 1).max() > 0.01
    model = RolloutRegressor(Ridge(5.0), 1000, KEPT, RING, error_model="residual").fit(X, y)
    found = model.predict(X[:3]).reshape(3, 1000, N).mean(axis=2)
    np.testing.assert_allclose(found, X[:3].mean(axis=1, keepdims=True) * np.ones(1000), rtol=1e-10)


def test_laws_bounds_and_energy_hold_at_every_step_of_mean_and_draws():
    X, y = carried(30, 3)
    energy = EnergyLaw(total=lambda X: 0.5 * np.mean(X[:, :N] ** 2, axis=1))
    model = RolloutRegressor(Ridge(5.0), 6, [KEPT, energy], RING, error_model="residual").fit(X, y)
    draws = np.moveaxis(model.sample_y(X[:4], 3), -1, 0).reshape(3, 4, 6, N)
    for fields in (model.predict(X[:4]).reshape(1, 4, 6, N), draws):
        means = fields.mean(axis=3) - X[:4].mean(axis=1)[:, None]
        squares = (fields**2).mean(axis=3) / (X[:4] ** 2).mean(axis=1)[:, None]
        assert np.abs(means).max() < 1e-12
        assert np.abs(squares - 1.0).max() < 1e-9
    assert draws.std(axis=0).min() > 0.0
    X, y = np.clip(X - 2.0, 0.0, None), np.clip(y - 2.0, 0.0, None)
    bounded = (
        RolloutRegressor(Ridge(5.0), 6, [KEPT, Bounds(0.0)], RING, error_model="stated")
        .fit(X, y)
        .predict(X)
    )
    assert bounded.min() >= -1e-9
    assert (
        RolloutRegressor(Ridge(5.0), 6, [KEPT], RING, error_model="stated")
        .fit(X, y)
        .predict(X)
        .min()
        < -1e-3
    )


@pytest.mark.parametrize("as_frame", [False, True])
def test_budgets_take_the_flux_of_their_step(as_frame):
    rng = np.random.default_rng(0)
    start, rates = rng.normal(size=(30, N)) + 2.0, rng.normal(size=(30, 5))
    fields = [start]
    for k in range(5):
        fields.append(np.roll(fields[-1], 1, axis=1) + 0.5 * rates[:, [k]])
    X = np.column_stack([start, np.ones(30), rates])
    columns = list(range(N + 1, N + 6))
    inflow = Column(N + 1)
    if as_frame:
        names = [*(f"u{i}" for i in range(N)), "one", *(f"rate_{k}" for k in range(5))]
        X, columns, inflow = pd.DataFrame(X, columns=names), names[-5:], "rate"
    law = OverStep(ConservationLaw(over="x", inflow=inflow), length=0.5)
    y = np.hstack(fields[1:4])  # three steps to learn from
    model = RolloutRegressor(Ridge(1.0), 5, law, RING, by_step={"rate": columns}).fit(X, y)
    found = model.predict(X).reshape(30, 5, N).mean(axis=2)
    expected = start.mean(axis=1)[:, None] + 0.5 * np.cumsum(rates, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert model.estimator_.n_features_in_ == N + 2
    if as_frame:
        assert list(model.estimator_.feature_names_in_[N:]) == ["one", "rate"]
    with pytest.raises(ValueError, match="step 6 needs one more"):
        model.set_params(n_steps=6).predict(X)


def test_operators_with_boundaries_are_steps():
    grid = Grid(x=np.linspace(0.0, 1.0, N))
    X, _ = carried(40, 1)
    ends = {"x": (Dirichlet(FromInput()), None)}
    step = BoundaryEnforcedOperator(Ridge(5.0), ends, grid)
    y = np.hstack([X, X])
    found = RolloutRegressor(step, 20, grid=grid).fit(X, y).predict(X).reshape(40, 20, N)
    np.testing.assert_array_equal(found[:, :, 0], X[:, [0]] * np.ones(20))


def test_components_have_a_range_each_and_laws_each():
    grid = Components(a=RING, b=RING)
    (a, ya), (b, yb) = carried(30, 2), carried(30, 2, seed=1)
    parts = [np.hstack([u.reshape(30, 2, N)[:, k] for u in (ya, 100.0 * yb)]) for k in range(2)]
    X, y = np.hstack([a, 100.0 * b]), np.hstack(parts)
    laws = [OverStep(ConservationLaw(over="x", inflow=0.0, component=name)) for name in grid]
    model = RolloutRegressor(Ridge(5.0), 9, laws, grid, error_model="residual").fit(X, y)
    found = model.predict(X).reshape(30, 9, 2, N).mean(axis=3)
    np.testing.assert_allclose(found[:, -1], X.reshape(30, 2, N).mean(axis=2), rtol=1e-12)
    assert model.range_[1][0] < 10 < model.range_[1][-1]


def test_members_are_carried():
    X, y = carried(30, 2)
    ensemble = EnsembleRegressor(Ridge(1.0), 3, bootstrap=True, random_state=0)
    model = RolloutRegressor(ensemble, 4, grid=RING, n_draws=6).fit(X, y)
    alone = []
    for member in model.estimator_.estimators_:
        field, rolled = X[:2], []
        for _ in range(4):
            field = member.predict(field)
            rolled.append(field)
        alone.append(np.hstack(rolled))
    draws = model.predict_members(X[:2])[0]
    for draw in draws:
        assert min(np.abs(draw - each).max() for each in alone) < 1e-12
    assert len({draw.tobytes() for draw in draws}) > 1
    mixed = RolloutRegressor(ensemble, 4, grid=RING, persistent=False).fit(X, y)
    away = [min(np.abs(d - each).max() for each in alone) for d in mixed.predict_members(X[:2])[0]]
    assert max(away) > 1e-3


def test_std_is_that_of_draws_around_the_mean():
    X, y = carried(30, 3)
    noisy = y + 0.1 * np.random.default_rng(1).normal(size=y.shape)
    model = RolloutRegressor(Ridge(1.0), 4, INERT, RING, n_draws=40, error_model="residual")
    mean, std = model.fit(X, noisy).predict(X[:3], return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X[:3]))
    draws, stds = model.predict_members(X[:3])
    assert stds is None
    np.testing.assert_allclose(std**2, np.mean((draws - mean) ** 2, axis=0))
    assert model.sample_y(X[:3], 2).shape == (3, 4 * N, 2)
    np.testing.assert_array_equal(std, model.predict_std(X[:3]))
    cov = model.predict(X[:3], return_cov=True)[1]
    np.testing.assert_allclose(np.diagonal(cov, axis1=1, axis2=2), std**2)
    lower, upper = model.predict_interval(X[:3], 0.9)
    np.testing.assert_allclose(upper - lower, 2 * 1.6448536 * std, rtol=1e-6)
    assert std.reshape(3, 4, N)[:, -1].mean() > 1.2 * std.reshape(3, 4, N)[:, 0].mean()


def test_held_out_rollouts_say_whether_errors_persist():
    """A map that each rollout has of its own errs alike at each step; noise of each step not."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(60, N))
    own = 0.3 * rng.normal(size=(60, 1, N)).repeat(6, axis=1)
    anew = 0.3 * rng.normal(size=(60, 6, N))
    said = []
    for error in (own, anew):
        fields = start[:, None] + np.cumsum(error, axis=1)
        model = RolloutRegressor(Ridge(1.0), None, INERT, RING, error_model="residual")
        said.append(model.fit(start, fields.reshape(60, -1)).persistent_)
    assert said == [True, False]
    forced = clone(model).set_params(persistent=True).fit(start, fields.reshape(60, -1))
    assert forced.persistent_ is True


def test_coverage_at_each_step():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(200, N))
    steps = np.cumsum(0.3 * rng.normal(size=(200, 5, N)), axis=1)
    y = (start[:, None] + steps).reshape(200, -1)
    model = RolloutRegressor(Ridge(1.0), None, INERT, RING, error_model="residual")
    model.fit(start[:100], y[:100])
    lower, upper = model.predict_interval(start[100:], 0.9)
    held = ((lower <= y[100:]) & (y[100:] <= upper)).reshape(100, 5, N).mean(axis=(0, 2))
    assert ((held > 0.84) & (held < 0.96)).all()


def test_push_forward_teaches_what_comes_after_its_own_fields():
    X, y = carried(20, 3)
    seen = []

    class Spy(Ridge):
        def fit(self, X, y):
            seen.append(len(X))
            return super().fit(X, y)

    RolloutRegressor(Spy(1.0), grid=RING, push_forward=2).fit(X, y)
    assert seen == [60, 100, 100]


def test_a_rollout_that_leaves_the_training_range_is_stopped():
    X, y = carried(30, 1)
    growing = RolloutRegressor(LinearRegression(), 40, grid=RING).fit(X, 1.5 * y)
    with pytest.raises(ValueError, match=r"row \d+ of X leaves the training range at step \d+: "):
        growing.predict(X)
    far = growing.set_params(max_departure=None).predict(X)
    assert np.abs(far).max() > 1e6
    bad = X.copy()
    bad[3] += 1e3
    with pytest.raises(ValueError, match="row 3 of X leaves the training range at step 1"):
        growing.set_params(max_departure=3.0).predict(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": Grid(x=np.arange(5.0))}, "no multiple of the 5 points"),
        ({"grid": Grid(x=np.arange(2.0 * N))}, "first columns of X must hold the field"),
        (
            {"grid": RING, "by_step": {"q": ["rate"]}},
            "the column 'rate', .* an array: give numbers",
        ),
        ({"grid": RING, "by_step": {"q": [0]}}, "the column 0, one of the first"),
    ],
)
def test_errors_of_fit(options, message):
    X, y = carried(5, 2)
    with pytest.raises(ValueError, match=message):
        RolloutRegressor(Ridge(), **options).fit(X, y)


def test_an_operator_that_states_nothing_has_no_std():
    X, y = carried(30, 1)
    with pytest.raises(ValueError, match=r"Ridge, the one-step operator .* states no uncertainty"):
        RolloutRegressor(Ridge(), 2, grid=RING).fit(X, y).predict_std(X)


def test_parameters_search_and_repr():
    X, y = carried(30, 2)
    model = RolloutRegressor(Ridge(), None, KEPT, RING, error_model="stated")
    assert model.get_params()["constraints__law__over"] == "x"
    search = GridSearchCV(model, {"estimator__alpha": [1e-6, 1e4], "push_forward": [0, 1]}, cv=3)
    assert search.fit(X, y).best_params_["estimator__alpha"] == 1e-6
    assert "Ridge" in estimator_html_repr(model)


def test_a_rollout_is_a_backbone():
    """Its fields over time are conditioned once more, with the draws as members."""
    X, y = carried(30, 2)
    y += 0.1 * np.random.default_rng(1).normal(size=y.shape)
    law = ConservationLaw(over="x", total=lambda X: X.mean(axis=1), noise=1e-9)
    times = Grid(t=[1.0, 2.0], **RING.axes)
    inside = RolloutRegressor(GP, grid=RING, n_draws=60)
    outer = ConservationConstrainedRegressor(inside, law, times, error_model="stated").fit(X, y)
    mean, std = outer.predict(X, return_std=True)
    assert np.abs(mean.reshape(30, 2, N).mean(axis=2) - X.mean(axis=1)[:, None]).max() < 1e-8
    assert 0.0 < std.min() and std.mean() < inside.fit(X, y).predict_std(X).mean()


def test_random_state_reaches_the_operator():
    X, y = carried(30, 2)
    models = [
        RolloutRegressor(RandomForestRegressor(3), grid=RING, random_state=s).fit(X, y)
        for s in (0, 0, 1)
    ]
    first, same, other = (model.predict(X) for model in models)
    assert (first == same).all()
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("laws", [None, INERT])
@pytest.mark.parametrize("n", [6, 12])
def test_parameters_of_fit_are_repeated_for_each_step(laws, n):
    """Rollouts of no weight teach nothing of the map."""
    X, y = carried(n, 3)
    wrong, weight = np.random.default_rng(1).normal(size=y.shape), np.repeat([1.0, 0.0], n // 2)
    mixed = np.where(weight[:, None] > 0, y, wrong)
    options = {"constraints": laws, "grid": RING, "error_model": "stated"}
    model = RolloutRegressor(Ridge(1e-8), **options).fit(X, mixed, sample_weight=weight)
    known = RolloutRegressor(Ridge(1e-8), **options).fit(X[: n // 2], y[: n // 2])
    np.testing.assert_allclose(model.predict(X), known.predict(X), atol=1e-5)

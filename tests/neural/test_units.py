"""Units and offsets of fields, and torch's default precision, that must not matter."""

import warnings

import numpy as np
import pytest
import torch
from fno_cases import tiny, waves, weights_of
from process_cases import tiny as tiny_process
from process_cases import waves as process_waves

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor, FNORegressor
from skphys.constraints import ConservationLaw, Dirichlet
from skphys.grids import Axis, Components, Grid
from skphys.neural import FNO, ConstraintBatch
from skphys.neural._losses import FieldLoss, loss_units

RING = Grid(x=Axis.periodic(0, 1, 16))


def rotated(n=30):
    """Waves of one period, and the same a quarter of it on."""
    a = np.random.default_rng(0).normal(size=(n, 2))
    wave = 2 * np.pi * RING["x"]
    u = a[:, :1] * np.sin(wave) + a[:, 1:] * np.cos(wave)
    return u, a[:, :1] * np.cos(wave) - a[:, 1:] * np.sin(wave)


U, V = rotated()


def operator(**params):
    given = {"grid": RING, "max_epochs": 40, "random_state": 0, **params}
    return FNORegressor(4, 8, 2, **given)


def relative(predicted, truth):
    return np.linalg.norm(predicted - truth) / np.linalg.norm(truth - truth.mean())


@pytest.mark.parametrize("unit", [1e-35, 1e-25, 1e-15, 1e15, 1e20, 1e35])
@pytest.mark.parametrize("loss", ["relative_l2", "mse", "nll"])
def test_units_of_fields_do_not_matter(loss, unit):
    params = {"loss": loss, "heteroscedastic": loss == "nll"}
    plain = operator(**params).fit(U, V)
    scaled = operator(**params).fit(U, unit * V)
    np.testing.assert_allclose(scaled.predict(U) / unit, plain.predict(U), atol=0.05)
    losses = (model.history_["train_loss"] for model in (scaled, plain))
    np.testing.assert_allclose(*losses, rtol=0.2, atol=0.02)


def test_units_of_components_and_inputs_do_not_matter():
    grid = Components(u=RING, v=RING)
    y = np.hstack([1e20 * V, 1e-20 * U])
    model = operator(grid=grid).fit(1e-25 * U, y)
    for number, truth in enumerate((1e20 * V, 1e-20 * U)):
        part = model.predict(1e-25 * U)[:, 16 * number : 16 * (number + 1)]
        assert relative(part, truth) < 0.1


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_relative_losses_are_those_of_the_formula_in_any_unit(unit):
    rng = np.random.default_rng(1)
    y, u = rng.normal(size=(2, 5, 2, 7)) * np.array([[[1.0], [1e3]]])
    y[0] *= 1e-4  # below the smallest norm
    target = torch.as_tensor(unit * y, dtype=torch.float32)
    loss = FieldLoss("relative_l2", **loss_units(target))
    found = loss(torch.as_tensor(unit * u, dtype=torch.float32)[None], target[None])
    sizes = np.linalg.norm(y, axis=2)
    sizes = np.maximum(sizes, 1e-2 * sizes.mean(0))
    wanted = (np.linalg.norm(u - y, axis=2) / sizes).mean()
    np.testing.assert_allclose(float(found), wanted, rtol=1e-5)


def test_fields_too_small_for_single_precision_are_refused():
    with pytest.raises(ValueError, match="y has values beyond the range of float32"):
        operator().fit(U, 1e-60 * V)
    with pytest.raises(ValueError, match="y has values beyond the range of float32"):
        tiny_process().fit(process_waves()[0], 1e-60 * process_waves()[1])
    assert np.isfinite(operator(max_epochs=1).fit(U, 0.0 * V).predict(0.0 * U)).all()


@pytest.mark.parametrize("offset", [1e5, -1e8, 1e12])
@pytest.mark.parametrize("loss", ["relative_l2", "mse"])
def test_offsets_of_fields_do_not_matter(loss, offset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = operator(loss=loss, heteroscedastic=True).fit(U, V + offset)
    assert relative(model.predict(U), V + offset) < 0.1
    plain = operator(loss=loss, heteroscedastic=True).fit(U, V)
    np.testing.assert_allclose(model.predict_std(U), plain.predict_std(U), rtol=0.3)


def test_offsets_of_inputs_and_of_one_component_do_not_matter(tmp_path):
    pytest.importorskip("safetensors")
    grid, X = Components(u=RING, v=RING), U + 1e9
    y = np.hstack([V, U + 1e7])
    model = operator(grid=grid).fit(X, y)
    parts = np.split(model.predict(X), 2, axis=1)
    assert relative(parts[0], V) < 0.1 and relative(parts[1], U + 1e7) < 0.1
    model.save_params(tmp_path / "a")
    loaded = operator(grid=grid).load_params(tmp_path / "a")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    members = model.predict_members(X)[0]
    np.testing.assert_array_equal(members[0], model.predict(X))
    model.set_params(warm_start=True).fit(X, y)  # goes on with its offsets
    assert relative(model.predict(X)[:, :16], V) < 0.1


def test_offsets_on_other_grids():
    fine = Grid(x=Axis.periodic(0, 1, 32))
    model = operator().fit(U, V + 1e7)
    np.testing.assert_allclose(
        model.on_grid(fine).predict(np.repeat(U, 2, axis=1)).mean(1), 1e7, atol=1.0
    )


def test_laws_are_trained_through_with_an_offset():
    total = np.full((len(U), 1), 1e7)
    law = ConstraintBatch(RING.weights()[None], total, np.zeros(1))
    plain = ConstraintBatch(RING.weights()[None], 0.0 * total, np.zeros(1))
    model = operator(heteroscedastic=True).fit(U, V + 1e7, constraint=law)
    straight = operator(heteroscedastic=True).fit(U, V, constraint=plain)
    np.testing.assert_allclose(
        model.history_["train_loss"], straight.history_["train_loss"], rtol=0.05, atol=0.01
    )
    constrained = ConservationConstrainedRegressor(
        operator(heteroscedastic=True, max_epochs=3),
        ConservationLaw("x", total=1e7),
        RING,
        constrain_training=True,
    ).fit(U, V + 1e7)
    np.testing.assert_allclose(constrained.predict(U) @ RING.weights(), 1e7, rtol=1e-12)


def test_what_vanishes_at_a_boundary_is_not_centred():
    X, _ = waves(12)
    grid = Grid(x=np.linspace(0, 1, 16))
    model = BoundaryEnforcedOperator(tiny(), {"x": Dirichlet(1e6)}, grid, method="lift").fit(
        X, X + 1e6
    )
    np.testing.assert_allclose(model.predict(X)[:, [0, -1]], 1e6, rtol=1e-12)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def in_single(function):
    torch.set_default_dtype(torch.float32)
    try:
        return function()
    finally:
        torch.set_default_dtype(torch.float64)


def test_a_default_of_double_precision_changes_no_operator(double, tmp_path):
    pytest.importorskip("safetensors")
    X, y = waves()
    params = {"heteroscedastic": True, "n_members": 2, "early_stopping": True}
    model = tiny(**params, checkpoint=tmp_path / "kept").fit(X, y)
    assert weights_of(model).dtype == np.float32 and torch.get_default_dtype() == torch.float64
    wanted = in_single(lambda: tiny(**params).fit(X, y).predict(X))
    np.testing.assert_array_equal(model.predict(X), wanted)
    model.save_params(tmp_path / "a")
    np.testing.assert_array_equal(tiny(**params).load_params(tmp_path / "a").predict(X), wanted)
    fine = model.on_grid(Grid(x=np.linspace(0, 1, 31)))
    assert fine.predict(np.repeat(X, 2, axis=1)[:, :31]).shape == (24, 31)


def test_a_default_of_double_precision_changes_no_process(double, tmp_path):
    X, y = process_waves()
    model = tiny_process().fit(X, y)
    assert {p.dtype for p in model.net_.module_.parameters()} == {torch.float32}
    wanted = in_single(lambda: tiny_process().fit(X, y).predict(X))
    np.testing.assert_array_equal(model.predict(X), wanted)
    state = model.net_.module_.state_dict()
    again = tiny_process().load_state_dict(state, n_context=4)
    np.testing.assert_allclose(again.predict(X), wanted, rtol=1e-5)


@pytest.mark.parametrize("method", ["kernel", "lift"])
def test_a_default_of_double_precision_changes_no_boundary(double, method):
    X, y = waves(8)
    grid = Grid(x=np.linspace(0, 1, 16))

    def fit():
        return BoundaryEnforcedOperator(tiny(), {"x": Dirichlet(0.0)}, grid, method=method).fit(
            y, X
        )

    fine = Grid(x=np.linspace(0, 1, 31))
    model, single = fit(), in_single(fit)
    np.testing.assert_array_equal(model.predict(y), single.predict(y))
    rows = np.repeat(y, 2, axis=1)[:, :31]
    np.testing.assert_array_equal(
        model.on_grid(fine).predict(rows), in_single(lambda: single.on_grid(fine).predict(rows))
    )


@pytest.mark.parametrize("shape", [(16,), (12, 10), (6, 8, 10)])
@pytest.mark.parametrize("padding", [0.0, 0.25, "reflect"])
def test_plain_operators_compute_in_double_precision(shape, padding):
    torch.manual_seed(0)
    single = FNO((3,) * len(shape), 2, 1, hidden_channels=4, n_layers=2, padding=padding)
    twice = FNO((3,) * len(shape), 2, 1, hidden_channels=4, n_layers=2, padding=padding).double()
    twice.load_state_dict(single.state_dict())
    x = torch.randn(2, 2, *shape, dtype=torch.float64)
    out = twice(x)
    assert out.dtype == torch.float64
    torch.testing.assert_close(out.float(), single(x.float()), rtol=1e-3, atol=1e-4)
    if padding == 0.0:
        # To all digits: a shift along the first ring moves what it gives.
        without = FNO((3,) * len(shape), 2, 1, hidden_channels=4, coordinates=False).double()
        torch.testing.assert_close(
            without(x.roll(1, 2)), without(x).roll(1, 2), rtol=1e-12, atol=1e-13
        )
    back = twice.float()(x.float())
    torch.testing.assert_close(back, single(x.float()))


def test_plain_operators_of_a_double_default(double):
    x = torch.randn(2, 1, 12, 10)
    operator = FNO((3, 2), 1, 1, hidden_channels=4)
    assert operator(x).dtype == torch.float64
    assert operator(torch.randn(2, 1, 16, 10)).dtype == torch.float64  # on other points, too
    assert operator.to(torch.float32)(x.float()).dtype == torch.float32

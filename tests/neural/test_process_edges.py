"""AttentiveNeuralProcessRegressor: what users set after fit, units that are odd, and failures."""

import copy
import warnings

import numpy as np
import pytest
import torch
from process_cases import GRID, random_state, tiny, waves

from skphys import AttentiveNeuralProcessRegressor
from skphys.grids import Grid


@pytest.fixture
def fitted():
    return tiny().fit(*waves())


def test_predictions_depend_on_the_net_not_on_what_the_next_one_will_be(fitted):
    X, _ = waves()
    before = fitted.predict(X)
    fitted.set_params(hidden_size=16, n_layers=3, dropout=0.0, min_std=1.0, n_query=0)
    np.testing.assert_array_equal(fitted.predict(X), before)
    assert np.isfinite(fitted.set_params(predict_dropout=True).predict(X)).all()


@pytest.mark.parametrize("name", ["n_draws", "predict_batch_size"])
@pytest.mark.parametrize("value", [0, -1, "many", 2.5])
def test_what_may_be_set_after_fit_is_checked(fitted, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        fitted.set_params(**{name: value}).predict(waves()[0])


def test_number_of_samples_is_checked(fitted):
    with pytest.raises(ValueError, match="n_samples == 0"):
        fitted.sample_y(waves()[0], 0)
    with pytest.raises(TypeError, match="n_samples must be an instance of int"):
        fitted.sample_y(waves()[0], 1.5)


@pytest.mark.parametrize("n_context", [7, -1, 2.5])
def test_a_failed_import_leaves_the_estimator_as_it_was(fitted, n_context):
    X, _ = waves()
    before = fitted.predict(X)
    with pytest.raises((ValueError, TypeError), match=r"n_context|are missing"):
        fitted.load_state_dict({}, n_context=n_context)
    np.testing.assert_array_equal(fitted.predict(X), before)
    assert fitted.n_context_ == 4


def test_a_failed_load_leaves_the_estimator_as_it_was(fitted, tmp_path):
    pytest.importorskip("safetensors")
    X, y = waves()
    path = tmp_path / "anp.safetensors"
    fitted.save_params(path)
    other = tiny(n_query=2, grid=None).fit(np.column_stack([X, X[:, -1]]), y[:, 0])
    before = other.predict(np.column_stack([X, X[:, -1]]))
    with pytest.raises(ValueError, match="n_query"):
        other.load_params(path)
    np.testing.assert_array_equal(other.predict(np.column_stack([X, X[:, -1]])), before)


def test_a_state_is_a_mapping():
    with pytest.raises(TypeError, match=r"state must be a mapping.*got a str"):
        tiny().load_state_dict("anp.pt", n_context=4)


def test_parameters_from_a_search_are_saved(tmp_path):
    pytest.importorskip("safetensors")
    X, y = waves()
    model = AttentiveNeuralProcessRegressor(
        np.int64(8), grid=GRID, n_heads=np.int64(2), n_draws=3, max_epochs=1, random_state=0
    ).fit(X, y)
    path = tmp_path / "anp.safetensors"
    model.save_params(path)
    loaded = AttentiveNeuralProcessRegressor(8, grid=GRID, n_heads=2, n_draws=3).load_params(path)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_warm_start_of_another_net_names_the_parameters():
    X, y = waves()
    model = tiny(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"\(hidden_size, n_layers, n_query, grid\)"):
        model.set_params(hidden_size=16).fit(X, y)


def test_holding_out_needs_contexts():
    X, y = waves()
    with pytest.raises(ValueError, match="early_stopping=False"):
        tiny(n_query="all", early_stopping=True).fit(X, y)


def at_one_time(unit):
    """Fields at one and the same time, after contexts at many, with time in units of `unit`."""
    X, y = waves(n_functions=8)
    X, y = X[::3].copy(), y[::3]
    X[:, [0, 3, 6, 9, -1]] *= unit
    return X, y


@pytest.mark.parametrize("unit", [1e-5, 1e5])
def test_units_of_a_query_that_is_constant_do_not_matter(unit):
    (X, y), (scaled, _) = at_one_time(1.0), at_one_time(unit)
    mean = tiny(max_epochs=5).fit(X, y).predict(X)
    np.testing.assert_allclose(tiny(max_epochs=5).fit(scaled, y).predict(scaled), mean, atol=1e-4)


def test_scale_of_a_constant_column_is_how_far_contexts_are():
    X, y = at_one_time(10.0)
    module = tiny().fit(X, y).net_.module_
    apart = X[:, :-1].reshape(-1, 3)[:, 0] - X[0, -1]
    np.testing.assert_allclose(module.coordinate_mean[0], X[0, -1], rtol=1e-6)
    np.testing.assert_allclose(module.coordinate_scale[0], np.sqrt(np.mean(apart**2)), rtol=1e-5)
    varied = tiny().fit(*waves()).net_.module_
    np.testing.assert_allclose(varied.coordinate_scale[1], GRID["x"].std(), rtol=1e-6)


def test_a_floor_that_drowns_the_fields_is_told():
    X, y = waves()
    with pytest.warns(UserWarning, match=r"min_std=0.001 is not small.*Lower min_std"):
        tiny().fit(X, 1e-6 * y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny(min_std=1e-9).fit(X, 1e-6 * y)
        tiny().fit(X, np.ones_like(y))


@pytest.mark.parametrize("what", ["query in X", "contexts in X", "grid", "y"])
def test_offsets_that_single_precision_does_not_resolve_are_told(what):
    X, y = waves()
    grid = GRID
    if what == "query in X":
        X[:, -1] += 1.7e9
    elif what == "contexts in X":
        X[:, 0:-1:3] += 1.7e9
    elif what == "grid":
        grid = Grid(x=GRID["x"] + 1e8)
    else:
        y = y + 1e8
    with pytest.warns(UserWarning, match=f"column 0 of {what}.*rounded to float32.*subtract"):
        tiny(grid=grid).fit(X, y)


def test_columns_that_are_constant_but_for_rounding_are_no_offsets():
    X, y = waves()
    X[:, 0:-1:3] = 1e9 * (1.0 + 1e-15 * X[:, 0:-1:3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny().fit(X, y)


def test_import_under_own_names_survives_a_copy():
    model = tiny().load_state_dict(random_state(n_layers=1), n_context=4)
    twin = copy.deepcopy(model)
    assert torch.equal(*(m.net_.module_.latent_encoder.mean.bias for m in (model, twin)))
    assert model.n_functions_ == 0 and model.n_features_in_ == 13


@pytest.mark.parametrize(
    ("n_features", "n_context", "n_query"),
    [(1, 0, 1), (2, 0, 2), (3, 1, 1), (4, 0, 4), (5, 2, 1), (10, 0, 10)],
)
def test_columns_that_make_no_contexts_are_all_queries_of_points(n_features, n_context, n_query):
    X = np.random.default_rng(0).normal(size=(9, n_features))
    model = tiny(grid=None).fit(X, X[:, 0])
    assert (model.n_context_, model._layout.n_query) == (n_context, n_query)
    assert tiny(grid=None, n_query="all").fit(X, X[:, 0]).n_context_ == 0


def test_fields_on_a_grid_need_whole_contexts():
    X, y = waves()
    for columns in (slice(1, None), slice(2, None)):
        with pytest.raises(ValueError, match=r"not a multiple of 3\. Set n_query"):
            tiny().fit(X[:, columns], y)
    assert tiny().fit(X, y).n_context_ == 4
    assert tiny().fit(X[:, -1:], y).n_context_ == 0


def test_what_was_told_apart_in_fit_is_in_files(tmp_path):
    pytest.importorskip("safetensors")
    X = np.random.default_rng(0).normal(size=(9, 4))
    model = tiny(grid=None).fit(X, X[:, 0])
    model.save_params(tmp_path / "a")
    loaded = tiny(grid=None).load_params(tmp_path / "a")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="saved with n_query='auto', but this estimator has n_qu"):
        tiny(grid=None, n_query=1).load_params(tmp_path / "a")

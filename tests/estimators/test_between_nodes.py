"""Laws at nodes hold for the fields between them, and noise of a measurement is no field's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import Bounds, ConservationLaw
from skphys.estimators._white_noise import ask_with_noise
from skphys.grids import ColumnGrid

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"t": RNG.choice([0.1, 0.2, 0.3, 0.4], 120), "x": RNG.uniform(size=120)})
U = 1 + np.sin(3 * TABLE["x"]) * TABLE["t"] + 0.3 * RNG.normal(size=120)
FINE = np.linspace(0, 1, 1000)
SMOOTH = RBF([0.3, 0.3])
GP = GaussianProcessRegressor(SMOOTH + WhiteKernel(0.09), optimizer=None, normalize_y=True)
UNEVEN = SMOOTH + WhiteKernel(0.09) * DotProduct(0.5)
NOISY = {
    "gp": GP,
    "scaled": make_pipeline(StandardScaler(), GP),
    "target": TransformedTargetRegressor(GP, transformer=StandardScaler()),
    "members": EnsembleRegressor(GP, 3, random_state=0),
    "uneven": GaussianProcessRegressor(UNEVEN, optimizer=None),
}
OTHERS = {
    "forest": RandomForestRegressor(20, random_state=0),
    "extra": ExtraTreesRegressor(20, random_state=0),
    "trees": EnsembleRegressor(DecisionTreeRegressor(), 10, random_state=0),
    "bagged": BaggingRegressor(GP, 3, random_state=0),
    "boosted": GradientBoostingRegressor(random_state=0),
    "std": BayesianRidge(),
}


def fitted(backbone, n_nodes, constraints=None, **params):
    grid = ColumnGrid(space="x", by="t", nodes=np.linspace(0, 1, n_nodes))
    law = ConservationLaw(over="x", total=1.5) if constraints is None else constraints
    return ConservationConstrainedRegressor(backbone, law, grid, **params).fit(TABLE, U)


def at(x):
    return pd.DataFrame({"t": 0.2, "x": x})


@pytest.mark.filterwarnings("ignore:The backbone of:UserWarning")
@pytest.mark.parametrize("n_nodes", [21, 101])
@pytest.mark.parametrize("name", [*NOISY, *OTHERS])
def test_a_fine_query_has_the_mass_of_the_nodes(name, n_nodes):
    model = fitted({**NOISY, **OTHERS}[name], n_nodes)
    nodes, x = np.linspace(0, 1, n_nodes), np.array([0.4999, 0.5, 0.5001])
    assert np.trapezoid(model.predict(at(nodes)), nodes) == pytest.approx(1.5, rel=1e-12)
    assert np.trapezoid(model.predict(at(FINE)), FINE) == pytest.approx(1.5, abs=0.01)
    assert np.ptp(model.predict(at(x))) < 0.01


@pytest.mark.parametrize("name", NOISY)
def test_the_number_of_nodes_does_not_matter(name):
    """But for the rule's error, which is of second order."""
    some, more = (fitted(NOISY[name], n).predict(at(FINE[::25])) for n in (81, 161))
    np.testing.assert_allclose(some, more, atol=3e-3)


def test_the_correction_is_that_of_a_process_without_noise():
    """Against the dense formula, with the kernel's own matrices."""
    model, nodes = fitted(GP, 21), np.linspace(0, 1, 21)
    gp = model.estimator_
    mean, cov = gp.predict(at(nodes), return_cov=True)
    cov -= np.eye(21) * 0.09 * np.var(U)
    row = model.grid_.split(at(nodes))[0].grid.weights()
    expected = mean + cov @ row * (1.5 - row @ mean) / (row @ cov @ row)
    np.testing.assert_allclose(model.predict(at(nodes)), expected, rtol=1e-7)


@pytest.mark.parametrize("name", NOISY)
def test_what_is_stated_of_a_row_still_holds_its_noise(name):
    """Std is that of a measurement; at a node the law takes that of one of 21 points."""
    model, query = fitted(NOISY[name], 21), at(np.array([0.4999, 0.5, 0.5001]))
    std, free = model.predict_std(query), fitted(NOISY[name], 21, []).predict_std(query)
    assert (std > 0.8 * free).all() and (std < free * (1 + 1e-9)).all()
    np.testing.assert_allclose(std, std[0], rtol=0.06)


def test_draws_obey_the_law():
    nodes = np.linspace(0, 1, 21)
    draws = fitted(GP, 21).sample_y(at(nodes), 5)
    np.testing.assert_allclose(np.trapezoid(draws, nodes, axis=0), 1.5, rtol=1e-12)


def test_bounds_beside_noise():
    law = [ConservationLaw(over="x", total=0.5), Bounds(lower=0.42)]
    x = FINE[::9]  # each one is in the quadratic programme
    u = fitted(GP, 21, law).predict(at(x))
    assert u.min() > 0.42 - 1e-9
    assert np.trapezoid(u, x) == pytest.approx(0.5, abs=0.01)


def test_whole_fields_and_nodes_are_one():
    nodes = np.linspace(0, 1, 21)
    whole = ColumnGrid(space="x", by="t", domain=(0, 1))
    law = ConservationLaw(over="x", total=1.5)
    model = ConservationConstrainedRegressor(GP, law, whole).fit(TABLE, U)
    np.testing.assert_allclose(
        model.predict(at(nodes)), fitted(GP, 21).predict(at(nodes)), rtol=1e-9
    )


def test_noise_is_found():
    rows, var = TABLE[:30], np.var(U)
    share = ask_with_noise(GP.fit(TABLE, U), rows)[1]
    expected = 0.09 * var / GP.predict(rows, return_std=True)[1] ** 2
    np.testing.assert_allclose(share, expected, rtol=1e-5)
    uneven = NOISY["uneven"].fit(TABLE, U)
    own = 0.09 * (0.25 + (rows.to_numpy() ** 2).sum(axis=1))
    expected = own / uneven.predict(rows, return_std=True)[1] ** 2
    np.testing.assert_allclose(ask_with_noise(uneven, rows)[1], expected, rtol=1e-5)
    none = GaussianProcessRegressor(SMOOTH, alpha=0.09, optimizer=None).fit(TABLE, U)
    assert not ask_with_noise(none, rows)[1].any()


def test_where_all_is_noise_points_follow_the_nodes():
    only = GaussianProcessRegressor(WhiteKernel(0.09), alpha=0.1, optimizer=None)
    model = fitted(only, 21)
    assert np.trapezoid(model.predict(at(FINE)), FINE) == pytest.approx(1.5, abs=1e-3)

"""Sparse rows on their way from a constraint to the estimator."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sparse_cases import line

import skphys.constraints._rows as rows_of_constraints
from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw, FieldTable, LinearEquality, resolve_system
from skphys.constraints._rows import compact, stack, widen
from skphys.grids import Grid


def test_rows_stay_sparse_where_that_pays():
    large = sparse.csr_array(line(100))
    assert sparse.issparse(compact(large))
    for dense in (large[:1], large[:, :50], sparse.csr_array(line(5)), large.toarray()):
        assert isinstance(compact(dense), np.ndarray)


def test_stacking_and_widening():
    large, row = sparse.csr_array(line(100)), np.ones((1, 301))
    for parts in ([], [row], [row, row], [large, row], [row, large, large]):
        wanted = [p.toarray() if sparse.issparse(p) else p for p in parts]
        stacked = stack(parts, 301)
        assert sparse.issparse(stacked) is any(sparse.issparse(p) for p in parts)
        dense = stacked.toarray() if sparse.issparse(stacked) else stacked
        np.testing.assert_array_equal(dense, np.vstack([np.empty((0, 301)), *wanted]))
        wide = widen(stacked, 4)
        dense_wide = wide.toarray() if sparse.issparse(wide) else wide
        np.testing.assert_array_equal(dense_wide, np.pad(dense, ((0, 0), (0, 4))))


def test_a_system_mixes_dense_and_sparse_rows():
    grid = Grid(t=np.linspace(0, 1, 30), x=np.linspace(0, 1, 40))
    constraints = [
        ("mass", ConservationLaw(over="x", total=1.0)),
        ("mean", LinearEquality(np.full(grid.n_points, 1.0 / grid.n_points), 1.0)),
    ]
    system = resolve_system(constraints, grid, FieldTable(np.zeros((2, 1))))
    assert sparse.issparse(system.rows)
    assert system.rows.shape == (31, grid.n_points)
    assert system.names == ("mass",) * 30 + ("mean",)


def test_rows_that_are_not_finite_are_refused():
    rows = sparse.csr_array(line(100))
    rows.data[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        resolve_system(LinearEquality(rows), Grid.unit(301), FieldTable(np.zeros((2, 1))))


BACKBONES = {
    "diagonal": GaussianProcessRegressor(optimizer=None),
    "diagonal plus low rank": RandomForestRegressor(5, random_state=0),
}


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
def test_estimators_give_the_same_with_dense_rows(backbone, monkeypatch):
    rng = np.random.default_rng(0)
    grid = Grid(t=np.linspace(0, 1, 20), x=np.linspace(0, 1, 60))
    X = rng.normal(size=(8, 2))
    y = np.sin(X @ rng.normal(size=(2, grid.n_points)))
    law = ConservationLaw(over="x", total=0.3)
    results = []
    for worth in (1, 1 << 40):
        monkeypatch.setattr(rows_of_constraints, "WORTH", worth)
        model = ConservationConstrainedRegressor(backbone, law, grid=grid)
        with pytest.warns(UserWarning, match="violate"):
            model.fit(X, y)
        mean, std = model.predict(X[:3], return_std=True)
        results.append((mean, std, model.constraint_residuals(X[:3]), model.sample_y(X[:2], 2)))
        assert np.abs(results[-1][2]).max() < 1e-12
        totals = np.einsum("bns,mn->bms", results[-1][3], law.rows(grid).toarray())
        np.testing.assert_allclose(totals, 0.3, atol=1e-11)
    for sparse_result, dense_result in zip(results[0][:3], results[1][:3], strict=True):
        np.testing.assert_allclose(sparse_result, dense_result, atol=1e-9)


def test_contradictions_of_sparse_rows_name_the_constraints():
    grid = Grid(t=np.linspace(0, 1, 20), x=np.linspace(0, 1, 60))
    laws = [(name, ConservationLaw(over="x", total=v)) for name, v in (("one", 1.0), ("two", 2.0))]
    X = np.linspace(0, 1, 6)[:, None]
    model = ConservationConstrainedRegressor(
        GaussianProcessRegressor(optimizer=None), laws, grid=grid
    )
    with pytest.warns(UserWarning, match="violate"):
        model.fit(X, np.ones((6, grid.n_points)))
    with pytest.raises(ValueError, match=r"'one', 'two' cannot be met"):
        model.predict(X)

"""What the guide's page on choosing backbones says of each regressor, read off its own tables."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn import ensemble, gaussian_process, kernel_ridge, linear_model, neighbors, tree
from sklearn.cross_decomposition import PLSRegression
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR

from skphys import EnsembleRegressor, PointwiseRegressor
from skphys.grids import Grid
from skphys.predictive import predict_distribution

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "choosing_backbones.rst"
GRID = Grid(x=np.linspace(0.0, 1.0, 9))
X = np.random.default_rng(0).uniform(size=(40, 2))
Y = 1.0 + X[:, :1] * np.cos(np.pi * GRID["x"]) + 0.01 * X[:, 1:]
POINTS = np.column_stack([np.repeat(X[:5], 9, axis=0), np.tile(GRID["x"], 5)])

QUICK = {"n_estimators": 5, "random_state": 0}
PAIR = [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(random_state=0))]
PROCESS = gaussian_process.GaussianProcessRegressor(alpha=1e-3, optimizer=None)
HISTOGRAM = ensemble.HistGradientBoostingRegressor(max_iter=5)
NET = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=200, tol=1.0, random_state=0)

FIELDS = {
    "members": [
        ensemble.RandomForestRegressor(**QUICK),
        ensemble.ExtraTreesRegressor(**QUICK),
        ensemble.BaggingRegressor(linear_model.Ridge(), n_estimators=5, random_state=0),
        PointwiseRegressor(ensemble.VotingRegressor(PAIR), GRID),
        neighbors.KNeighborsRegressor(),
        EnsembleRegressor(linear_model.Ridge(), 3, random_state=0),
    ],
    "covariance": [PointwiseRegressor(PROCESS, GRID)],
    "standard deviations": [
        PROCESS,
        MultiOutputRegressor(linear_model.BayesianRidge()),
        MultiOutputRegressor(linear_model.ARDRegression()),
        MultiOutputRegressor(PROCESS),
    ],
    "nothing": [
        neighbors.KNeighborsRegressor(weights="distance"),
        linear_model.Ridge(),
        kernel_ridge.KernelRidge(),
        PLSRegression(1),
        NET,
        tree.DecisionTreeRegressor(random_state=0),
        RegressorChain(linear_model.Ridge()),
        MultiOutputRegressor(SVR()),
        MultiOutputRegressor(HISTOGRAM),
    ],
}
LONG = {
    "covariance": [PROCESS],
    "standard deviations": [linear_model.BayesianRidge(), linear_model.ARDRegression()],
    "members": [
        ensemble.RandomForestRegressor(**QUICK),
        ensemble.ExtraTreesRegressor(**QUICK),
        ensemble.BaggingRegressor(linear_model.Ridge(), n_estimators=5, random_state=0),
        ensemble.VotingRegressor(PAIR),
        EnsembleRegressor(linear_model.Ridge(), 3, random_state=0),
    ],
    "nothing": [
        HISTOGRAM,
        ensemble.GradientBoostingRegressor(**QUICK),
        ensemble.StackingRegressor(PAIR),
        neighbors.KNeighborsRegressor(),
        NET,
    ],
}


def listed(kinds):
    return [
        pytest.param(one, kind, id=f"{one}"[:40]) for kind, ones in kinds.items() for one in ones
    ]


def stated(regressor, X, y, rows):
    said = predict_distribution(regressor.fit(X, y), X, rows=rows)
    parts = {
        "members": said.member_means,
        "covariance": said.cov,
        "standard deviations": said.std,
    }
    return next((name for name, part in parts.items() if part is not None), "nothing")


@pytest.mark.parametrize("regressor, kind", listed(FIELDS))
def test_fields(regressor, kind):
    assert stated(regressor, X, Y, "fields") == kind


@pytest.mark.parametrize("regressor, kind", listed(LONG))
def test_points(regressor, kind):
    assert stated(regressor, POINTS, Y[:5].ravel(), "points") == kind


@pytest.mark.parametrize("title, kinds", [("A row a field", FIELDS), ("A row a point", LONG)])
def test_every_name_of_the_tables_is_tried(title, kinds):
    page = PAGE.read_text(encoding="utf-8")
    section = page.split(title)[1].split("\n\n", 2)[1]
    left = section.replace("\n", " ")
    named = set(re.findall(r"``(\w+(?:Regressor|Ridge|Regression|SVR))``", left))
    tried = {
        type(part).__name__
        for ones in kinds.values()
        for one in ones
        for part in (one, getattr(one, "estimator", None))
    }
    assert named and named <= tried

"""skorch nets as backbones."""

import pickle

import numpy as np
import pytest
from conditioning_cases import relative_miss
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.constraints import ConservationLaw
from skphys.grids import Grid

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")
GRID = Grid(x=np.linspace(0, 1, 8))
LAW = ConservationLaw("x", 1.0)


class Net(torch.nn.Sequential):
    def __init__(self, width=5):
        super().__init__(torch.nn.Linear(2, width), torch.nn.Tanh(), torch.nn.Linear(width, 8))


def net(**params):
    return skorch.NeuralNetRegressor(
        Net,
        max_epochs=2,
        lr=0.05,
        train_split=None,
        verbose=0,
        iterator_train__shuffle=True,
        **params,
    )


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(24, 2))
    y = 1.0 + 0.1 * rng.normal(size=(24, 8))
    return X, y / (y @ GRID.weights())[:, None]


def miss(fields):
    return relative_miss(fields, GRID.weights()[None], np.ones((len(fields), 1))).max()


@pytest.mark.parametrize(
    "backbone",
    [
        net(),
        make_pipeline(StandardScaler(), net()),
        EnsembleRegressor(net(), n_members=2, random_state=0),
        GridSearchCV(net(), {"module__width": [3, 4]}, cv=2, scoring="neg_mean_squared_error"),
    ],
    ids=["net", "pipeline", "ensemble", "search"],
)
def test_nets_conserve_in_float64(backbone, data):
    X, y = data
    model = ConservationConstrainedRegressor(backbone, LAW, GRID, random_state=0).fit(X, y)
    mean = model.predict(X)
    assert mean.dtype == np.float64
    assert miss(mean) < 1e-12
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), mean)


def test_a_trained_net_stays_as_it_is(data):
    X, y = data
    trained = net().fit(X.astype(np.float32), y.astype(np.float32))
    before = trained.predict(X.astype(np.float32))
    model = ConservationConstrainedRegressor(FrozenEstimator(trained), LAW, GRID).fit(X, y)
    assert miss(model.predict(X)) < 1e-12
    np.testing.assert_array_equal(trained.predict(X.astype(np.float32)), before)


@pytest.mark.parametrize("error_model", ["auto", "residual"])
def test_random_state_reaches_nets_and_leaves_the_global_generator(error_model, data):
    X, y = data

    def predict(seed):
        model = ConservationConstrainedRegressor(
            net(), LAW, GRID, random_state=seed, error_model=error_model
        )
        return model.fit(X, y).predict(X)

    state = torch.random.get_rng_state()
    first = ConservationConstrainedRegressor(net(), LAW, GRID, random_state=0).fit(X, y)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.estimator_.initialized_
    np.testing.assert_array_equal(predict(0), predict(0))
    assert np.abs(predict(0) - predict(1)).max() > 1e-3


def test_predict_leaves_the_global_generator(data):
    X, y = data
    model = ConservationConstrainedRegressor(net(), LAW, GRID, random_state=0).fit(X, y)
    state = torch.random.get_rng_state()
    model.predict(X)
    assert torch.equal(torch.random.get_rng_state(), state)

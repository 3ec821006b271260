import numpy as np
import pytest
import sklearn


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def fields(rng):
    """Return X (8, 2) and field targets y (8, 5)."""
    X = rng.normal(size=(8, 2))
    return X, np.sin(X[:, :1] + np.linspace(0, 3, 5)) + 0.1 * X[:, 1:]


@pytest.fixture
def scalars(fields):
    """Return X (8, 2) and one-dimensional targets."""
    X, y = fields
    return X, y[:, 2]


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"])
def routing(request):
    """Run a test with metadata routing disabled and enabled."""
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param

"""scikit-learn to the letter."""

import numpy as np
import pytest
from backbones import WithStd
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import ConservationConstrainedRegressor, EnsembleRegressor, PointwiseRegressor
from skphys.constraints import ConservationLaw, LinearEquality
from skphys.estimators import ErrorModel
from skphys.grids import ColumnGrid, Grid

INERT = ConservationLaw(total=0.0, noise=1e6)
GP = GaussianProcessRegressor(RBF() + WhiteKernel(0.1), optimizer=None)
# The checks' X has any number of columns: those that are not space tell the fields apart.
TABLE = ColumnGrid(space=0, nodes=np.linspace(-1e4, 1e4, 11))


@parametrize_with_checks(
    [
        ConservationConstrainedRegressor(Ridge()),
        ConservationConstrainedRegressor(Ridge(), INERT),
        ConservationConstrainedRegressor(Ridge(), INERT, error_model="residual"),
        ConservationConstrainedRegressor(
            make_pipeline(StandardScaler(), Ridge()), [INERT, ("other", INERT)], random_state=0
        ),
        ConservationConstrainedRegressor(RandomForestRegressor(5, random_state=0), INERT),
        ConservationConstrainedRegressor(GP, INERT),
        ConservationConstrainedRegressor(
            EnsembleRegressor(GP, n_members=2, random_state=0),
            INERT,
            error_model=ErrorModel(members="each"),
        ),
        ConservationConstrainedRegressor(PointwiseRegressor(Ridge()), INERT),
        ConservationConstrainedRegressor(Ridge(), None, TABLE),
        ConservationConstrainedRegressor(Ridge(), INERT, TABLE),
        ConservationConstrainedRegressor(GP, INERT, TABLE),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_parameters_of_one_law():
    model = ConservationConstrainedRegressor(Ridge(), ConservationLaw(over="x"))
    model.set_params(constraints__noise=1e-3, estimator__alpha=2.0)
    assert model.constraints.noise == 1e-3
    assert model.get_params()["constraints__over"] == "x"
    other = clone(model)
    assert other.constraints is not model.constraints
    assert other.get_params()["constraints__noise"] == 1e-3


@pytest.mark.parametrize("pairs", [True, False])
def test_parameters_of_several_laws(pairs):
    laws = [("mass", ConservationLaw()), ("left", LinearEquality(np.eye(3)[:1]))]
    names = ["mass", "left"] if pairs else ["conservationlaw", "linearequality"]
    model = ConservationConstrainedRegressor(Ridge(), laws if pairs else [law for _, law in laws])
    first, second = names
    model.set_params(**{f"constraints__{first}__noise": 0.5, f"constraints__{second}__b": 7.0})
    params = model.get_params()
    assert params[f"constraints__{first}__noise"] == 0.5
    assert params[f"constraints__{second}__b"] == 7.0
    assert params[f"constraints__{first}"] is laws[0][1]
    copy = clone(model)
    assert copy.get_params()[f"constraints__{first}__noise"] == 0.5
    copy.set_params(**{f"constraints__{first}__noise": 0.0})
    assert laws[0][1].noise == 0.5
    replacement = ConservationLaw(total=3.0)
    copy.set_params(**{f"constraints__{first}": replacement})
    assert copy.get_params()[f"constraints__{first}"] is replacement
    with pytest.raises(ValueError, match="the constraints are"):
        model.set_params(constraints__nothing__noise=1.0)
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(**{f"constraints__{first}__nothing": 1.0})


def test_equal_classes_are_numbered():
    model = ConservationConstrainedRegressor(Ridge(), [ConservationLaw(), ConservationLaw()])
    assert "constraints__conservationlaw-2__noise" in model.get_params()


def test_a_search_over_noise_and_backbones():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(30, 1))
    y = X + rng.normal(scale=0.3, size=(30, 6))
    model = ConservationConstrainedRegressor(Ridge(), [("mass", ConservationLaw(total=3.0))])
    search = GridSearchCV(
        model,
        {"constraints__mass__noise": [0.5, 1e3], "estimator": [Ridge(), WithStd()]},
        scoring="neg_mean_squared_error",
        cv=3,
    )
    with pytest.warns(UserWarning, match="violate constraint 'mass'"):
        search.fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4


def test_html_and_repr():
    model = ConservationConstrainedRegressor(
        make_pipeline(StandardScaler(), Ridge()),
        [("mass", ConservationLaw(over="x"))],
        Grid(x=np.linspace(0, 1, 4)),
    )
    html = estimator_html_repr(model)
    assert "Ridge" in html and "StandardScaler" in html
    assert "ConservationLaw(over='x')" in repr(model)


def test_score_and_feature_names():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(30, 2))
    y = X @ np.ones((2, 5))
    model = ConservationConstrainedRegressor(Ridge(alpha=1e-8), INERT).fit(X, y)
    assert model.score(X, y) > 0.999
    assert model.n_features_in_ == 2
    assert not hasattr(model, "feature_names_in_")


def test_random_state_reaches_the_backbone():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(30, 2)), rng.normal(size=(30, 3))

    def predict(seed):
        forest = make_pipeline(StandardScaler(), RandomForestRegressor(3))
        model = ConservationConstrainedRegressor(forest, INERT, random_state=seed)
        return model.fit(X, y).predict(X)

    np.testing.assert_array_equal(predict(0), predict(0))
    assert np.abs(predict(0) - predict(1)).max() > 0.01


def test_sample_weight_reaches_the_backbone():
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(30, 2)), rng.normal(size=(30, 3))
    weight = rng.uniform(size=30)
    model = ConservationConstrainedRegressor(Ridge(), INERT).fit(X, y, sample_weight=weight)
    expected = Ridge().fit(X, y, sample_weight=weight).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-9)

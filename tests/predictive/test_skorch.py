"""skorch nets: dtypes, shapes, and no import of skorch."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor, EnsembleRegressor
from skphys.predictive import fit_backbone, predict_distribution, residual_std
from skphys.predictive._nets import cast, parameter_dtype, seeded

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")


class Affine(torch.nn.Module):
    def __init__(self, n_points=5, axes=None, dtype=None):
        super().__init__()
        self.linear = torch.nn.Linear(2, n_points, dtype=dtype)
        self.axes = axes

    def forward(self, X):
        out = self.linear(X)
        return out if self.axes is None else out.reshape(-1, *self.axes)


def net(**kwargs):
    return skorch.NeuralNetRegressor(
        Affine, max_epochs=2, lr=0.1, train_split=None, verbose=0, **kwargs
    )


WRAPPERS = [
    lambda model: model,
    lambda model: make_pipeline(StandardScaler(), model),
    lambda model: TransformedTargetRegressor(model, transformer=StandardScaler()),
    lambda model: GridSearchCV(model, {"max_epochs": [1]}, cv=2, scoring="r2"),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_float64_in_and_out(wrap, fields):
    X, y = fields
    model = fit_backbone(wrap(net()), X, y)
    for estimator in (model, FrozenEstimator(model)):
        prediction = predict_distribution(estimator, X)
        assert prediction.mean.dtype == np.float64 and prediction.mean.shape == y.shape
        assert not prediction.states_uncertainty
    np.testing.assert_allclose(
        prediction.mean, np.asarray(model.predict(X.astype(np.float32))), atol=1e-5
    )


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_one_dimensional_targets(wrap, scalars):
    X, y = scalars
    model = fit_backbone(wrap(net(module__n_points=1)), X, y)
    assert predict_distribution(model, X).mean.shape == (8, 1)
    assert predict_distribution(model, X, rows="points").mean.shape == (1, 8)


def test_targets_are_not_broadcast(scalars):
    X, y = scalars
    model = fit_backbone(net(module__n_points=1, batch_size=-1).set_params(max_epochs=300), X, y)
    design = np.column_stack([X, np.ones(len(X))])
    best = design @ np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(predict_distribution(model, X).mean[:, 0], best, atol=1e-2)


def test_data_frames(fields):
    pd = pytest.importorskip("pandas")
    X, y = fields
    table = pd.DataFrame(X, columns=["a", "b"])
    for wrap in WRAPPERS[:3]:
        model = fit_backbone(wrap(net()), table, pd.DataFrame(y))
        assert predict_distribution(model, table).mean.shape == (8, 5)


def test_double_precision_modules(fields):
    X, _ = fields
    model = net(module__dtype=torch.float64).initialize()
    assert parameter_dtype(model) == np.float64
    np.testing.assert_array_equal(predict_distribution(model, X).mean, model.predict(X))


def test_outputs_with_several_axes_are_flat_fields(fields):
    X, _ = fields
    model = net(module__n_points=6, module__axes=(1, 2, 3)).initialize()
    expected = model.predict(X.astype(np.float32)).reshape(8, 6)
    np.testing.assert_array_equal(predict_distribution(model, X).mean, expected)


def test_residuals(fields):
    assert residual_std(make_pipeline(StandardScaler(), net()), *fields, cv=2).shape == (5,)


def test_other_regressors_get_x_and_y_untouched(fields):
    class Same:
        def fit(self, X, y, **params):
            self.got = X, y, params
            return self

    X, y = fields
    model = fit_backbone(Same(), X, y, sample_weight=None)
    assert model.got[0] is X and model.got[1] is y and model.got[2] == {"sample_weight": None}


def test_casting_keeps_what_has_its_own_dtype():
    pd = pytest.importorskip("pandas")
    frame = cast(pd.DataFrame({"a": [1.0], "b": ["x"]}), np.float32)
    assert frame["a"].dtype == np.float32 and list(frame["b"]) == ["x"]
    tensor = torch.zeros(2)
    assert cast(tensor, np.float32) is tensor
    assert cast([[1, 2]], np.float32).dtype == np.float32


def test_seeded_restores_the_generator():
    state = torch.random.get_rng_state()
    with seeded(net(), 7):
        first = torch.rand(3)
    with seeded(net(), 7):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, skphys.predictive as p; from sklearn.linear_model import Ridge;"
        "p.predict_distribution(Ridge().fit([[0.], [1.]], [0., 1.]), [[0.]]);"
        "assert not {'torch', 'skorch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_is_refused_with_the_line_that_makes_it_a_regressor():
    """Bare, in a pipeline, in a target transform, and asked for a prediction."""
    X, y, module = np.ones((4, 2), np.float32), np.ones((4, 3)), torch.nn.Linear(2, 3)
    transformed = TransformedTargetRegressor(module, transformer=StandardScaler())
    for backbone in (module, make_pipeline(StandardScaler(), module), transformed):
        for model in (ConservationConstrainedRegressor(backbone), EnsembleRegressor(backbone)):
            with pytest.raises(ValueError, match=r"FrozenEstimator\(skorch.NeuralNetRegressor"):
                model.fit(X, y)
    with pytest.raises(ValueError, match="has no fit and no predict"):
        predict_distribution(module, X)
    line = FrozenEstimator(skorch.NeuralNetRegressor(module).initialize())
    u = ConservationConstrainedRegressor(line).fit(X, y).predict(X)
    np.testing.assert_allclose(u, module(torch.as_tensor(X)).detach())

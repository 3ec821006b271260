"""AttentiveNeuralProcessRegressor as scikit-learn sees it."""

import warnings

from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import AttentiveNeuralProcessRegressor

TINY = {"n_heads": 2, "n_layers": 1, "n_draws": 4, "lr": 0.02}


@parametrize_with_checks(
    [
        AttentiveNeuralProcessRegressor(16, **TINY, max_epochs=60),  # but for size, the default
        AttentiveNeuralProcessRegressor(16, n_query="all", **TINY, max_epochs=60, random_state=0),
        AttentiveNeuralProcessRegressor(16, n_query="all", **TINY, max_epochs=60, dropout=0.0),
    ]
)
def test_check_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)

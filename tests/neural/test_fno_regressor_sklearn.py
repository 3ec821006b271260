"""FNORegressor as scikit-learn sees it."""

import warnings

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphys import FNORegressor

TINY = {"n_modes": 2, "hidden_channels": 8, "n_layers": 2, "max_epochs": 5, "lr": 0.01}


@parametrize_with_checks(
    [
        FNORegressor(**TINY, random_state=0),
        FNORegressor(**TINY, n_members=2),
        FNORegressor(**TINY, heteroscedastic=True, loss="nll"),
        FNORegressor(**TINY, early_stopping=True, recipe="boon"),
    ]
)
def test_check_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)

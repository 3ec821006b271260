"""Three laws on three components: all at rounding, and fronts that move together."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.datasets import make_sod
from skphys.estimators import ErrorModel

STATES = {"rho_left": 1.0, "p_left": 1.0, "rho_right": 0.125, "p_right": 0.1, "t": 0.15}


class FirstTube(RegressorMixin, BaseEstimator):
    """Predicts one tube, and says that it is sure of it, but for where its wall was."""

    def fit(self, X, y):
        self.field_ = np.asarray(y)[0]
        return self

    def predict(self, X, return_std=False):
        mean = np.repeat(self.field_[None], len(X), axis=0)
        return (mean, np.full_like(mean, 0.05)) if return_std else mean


def test_a_wall_elsewhere_moves_all_three_fronts():
    """The totals tell where the wall was, which is all that tubes differ in."""
    train = make_sod(5, **STATES, n_points=41, as_frame=True, random_state=0)
    test = make_sod(12, **STATES, n_points=41, as_frame=True, random_state=1)
    laws = [
        (total, ConservationLaw(over="x", component=name, total=total))
        for name, total in train.totals.items()
    ]
    expected = test.data[["mass", "momentum", "energy"]].to_numpy()[..., None]
    errors = []
    for displacement in (0.1, None):
        model = ConservationConstrainedRegressor(
            FirstTube(), laws, train.grid, error_model=ErrorModel(displacement=displacement)
        ).fit(train.data, train.target)
        mean, draws = model.predict(test.data), model.sample_y(test.data, 7)
        for fields in (mean[..., None], draws):
            totals = fields.reshape(12, 3, 41, -1).mean(axis=2)
            np.testing.assert_allclose(totals - expected, 0.0 * totals, atol=1e-13)
        square = (mean - test.target.to_numpy()) ** 2
        errors.append(square.reshape(12, 3, 41).mean(axis=(0, 2)))
    assert (errors[0] < 0.5 * errors[1]).all()

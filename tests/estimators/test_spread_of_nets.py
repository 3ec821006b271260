"""How far members of nets are taken apart, on fields that they have not seen."""

import numpy as np

from skphys import BoundaryEnforcedOperator, FNORegressor
from skphys.datasets import make_burgers_periodic


def test_nets_that_have_learned_their_fields_by_heart():
    """Of five the intervals held half of other fields."""
    data = make_burgers_periodic(80, n_points=32, random_state=0)
    net = FNORegressor(6, 8, 2, n_members=5, max_epochs=60, random_state=0)
    held = {}
    for uncertainty in ("stated", "auto"):
        model = BoundaryEnforcedOperator(net, data.boundary, data.grid, uncertainty=uncertainty)
        mean, std = model.fit(data.data[:30], data.target[:30]).predict(data.data[30:], True)
        held[uncertainty] = np.mean(abs(mean - data.target[30:]) <= 1.645 * std)
    assert held["stated"] < 0.75 and 0.8 < held["auto"] < 0.97


def test_on_another_grid():
    data = make_burgers_periodic(30, n_points=16, random_state=0)
    net = FNORegressor(4, 6, 2, n_members=3, max_epochs=5, random_state=0)
    model = BoundaryEnforcedOperator(net, data.boundary, data.grid).fit(data.data, data.target)
    finer = make_burgers_periodic(30, n_points=32, random_state=0)
    moved = model.on_grid(finer.grid)
    own, other = model._backbone.spread, moved._backbone.spread
    assert other.factor.shape == (32,) and other.std.shape == (32,)
    np.testing.assert_allclose(other.factor, own.factor[0], rtol=1e-12)
    assert np.isfinite(moved.predict_std(finer.data)).all()

"""What a typed program of a user looks like; .ci/run checks it by ``mypy --strict``."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from skphys import BoundaryEnforcedOperator, ConservationConstrainedRegressor
from skphys.conditioning import Diagonal, Gaussian, condition
from skphys.constraints import Bounds, Column, ConservationLaw, Dirichlet
from skphys.grids import Grid


def constrained(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit, predict, and return standard deviations."""
    grid = Grid(x=np.linspace(0.0, 1.0, y.shape[1]))
    law = ConservationLaw(over="x", total=Column(1))
    model = ConservationConstrainedRegressor(Ridge(), [("mass", law), Bounds(0.0)], grid)
    std: NDArray[np.float64] = model.fit(X, y).predict_std(X)
    return std


def walled(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit and predict with a wall."""
    grid = Grid(x=np.linspace(0.0, 1.0, y.shape[1]))
    model = BoundaryEnforcedOperator(Ridge(), {"x": (Dirichlet(0.0), None)}, grid).fit(X, y)
    mean: NDArray[np.float64] = model.predict(X)
    return mean


def moved(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Condition by hand."""
    field = condition(Gaussian(mean, Diagonal(np.ones_like(mean))), np.ones((1, len(mean))), 1.0)
    found: NDArray[np.float64] = field.mean
    return found

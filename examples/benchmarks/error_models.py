"""
What a law is worth to ordinary regressors
==========================================

The mean squared error after the law over that before, and how many 90 % intervals hold, for four
regressors of scikit-learn on the five problems of the ProbConserv paper: 150 training fields with
parameters and times drawn at random, 100 others to judge by, 101 points, the exact mass as the law.
Nothing is held out but folds of the training fields.

.. code-block:: shell

    python examples/benchmarks/error_models.py
    python examples/benchmarks/error_models.py --quick
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skphys import ConservationConstrainedRegressor, datasets
from skphys.constraints import Column, ConservationLaw
from skphys.estimators import ErrorModel
from skphys.metrics import coverage

PROBLEMS = ("diffusion", "porous_medium", "stefan", "advection", "burgers")
ERROR_MODELS = {
    "residual std": ErrorModel(covariance="residual", displacement=None, correlation_length=1e-9),
    "residual": "residual",
    "auto": "auto",
}


def regressors(quick):
    """Return the regressors by name."""
    net = MLPRegressor(
        hidden_layer_sizes=(64, 64),
        max_iter=20 if quick else 600,
        random_state=0,
        learning_rate_init=3e-3,
    )
    scaled = TransformedTargetRegressor(net, transformer=StandardScaler())
    return {
        "forest": RandomForestRegressor(10 if quick else 100, random_state=0),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(5)),
        "net": make_pipeline(StandardScaler(), scaled),
        "polynomial": make_pipeline(
            StandardScaler(), PolynomialFeatures(3), RidgeCV(np.logspace(-6, 2, 9))
        ),
    }


def fields(problem, n_samples, n_points, seed, **parameter):
    """Draw fields, with their mass as a last column of X."""
    make = getattr(datasets, f"make_{problem}")
    drawn = make(n_samples, layout="fields", n_points=n_points, random_state=seed, **parameter)
    value, t = drawn.data.T
    return np.column_stack([drawn.data, drawn.mass(t, value)]), drawn.target, drawn.grid


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    quick = parser.parse_args().quick
    n_train, n_test, n_points = (30, 20, 41) if quick else (150, 100, 101)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'':26}" + "".join(f"{name:>26}" for name in ERROR_MODELS))
    print(f"{'':26}" + f"{'error':>12}{'held':>7}{'fit':>7}" * len(ERROR_MODELS))
    ratios = []
    for problem in PROBLEMS:
        X, y, grid = fields(problem, n_train, n_points, 1)
        X_test, y_test, _ = fields(problem, n_test, n_points, 2)
        for name, regressor in regressors(quick).items():
            alone = clone(regressor).fit(X[:, :2], y).predict(X_test[:, :2])
            line, row = f"{problem:15}{name:11}", []
            for error_model in ERROR_MODELS.values():
                law = ConservationLaw(over="x", total=Column(2))
                model = ConservationConstrainedRegressor(
                    regressor, law, grid, error_model=error_model, drop_value_columns=True
                )
                began = time.perf_counter()
                model.fit(X, y)
                seconds = time.perf_counter() - began
                error = np.mean((model.predict(X_test) - y_test) ** 2)
                row.append(error / np.mean((alone - y_test) ** 2))
                lower, upper = model.predict_interval(X_test)
                rounding = 1e-9 * np.abs(y_test).max()  # where all trees agree, and are right
                held = coverage(y_test, lower - rounding, upper + rounding)
                line += f"{row[-1]:12.2f}{held:7.0%}{seconds:5.1f} s"
            print(line, flush=True)
            ratios.append(row)
    mean, worst = np.exp(np.mean(np.log(ratios), axis=0)), np.max(ratios, axis=0)
    print(f"{'geometric mean':26}" + "".join(f"{value:12.2f}{'':14}" for value in mean))
    print(f"{'worst':26}" + "".join(f"{value:12.2f}{'':14}" for value in worst))


if __name__ == "__main__":
    main()

"""
Conformal intervals beside MAPIE's
==================================

How many test values and fields 90 % intervals hold, and how wide they are, averaged over fresh
draws of calibration fields: ours around the field that obeys the law, MAPIE's, which are split
conformal at each output point, around the same regressor's prediction. For whole fields MAPIE's get
the level of Bonferroni's inequality, 1 - 0.1 / n_points, which needs many more calibration fields:
they are drawn for it, and not for ours. "Outside" is a parameter beyond the training range. Widths
are means over points.

.. code-block:: shell

    python examples/benchmarks/conformal.py
    python examples/benchmarks/conformal.py --quick
"""

import argparse
from importlib.util import find_spec
from math import ceil

import numpy as np
from error_models import fields
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import Column, ConservationLaw
from skphys.metrics import coverage

LEVEL = 0.9
OUTSIDE = {"porous_medium": {"m": 8.0}, "stefan": {"u_star": 0.5}, "burgers": {"a": 5.0}}
ERROR_MODELS = ("stated", "residual", "auto")
HEADER = ("points", "width", "fields", "width", "outside: fields", "width")


class Output(RegressorMixin, BaseEstimator):
    """One output of fields that are predicted already, and stand in X."""

    is_fitted = True  # which MAPIE looks for

    def __init__(self, column):
        self.column = column

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict(self, X):
        """Return the column."""
        return X[:, self.column]


def mapie(predicted, truth, level):
    """Return what makes MAPIE's intervals, of predictions, from those of calibration fields."""
    from mapie.regression import SplitConformalRegressor

    fitted = [
        SplitConformalRegressor(Output(k), confidence_level=level).conformalize(predicted, y)
        for k, y in enumerate(truth.T)
    ]

    def intervals(predictions):
        ends = [each.predict_interval(predictions)[1][:, :, 0] for each in fitted]
        return tuple(np.moveaxis(ends, 0, -1).swapaxes(0, 1))

    return intervals


def judged(truth, pointwise, whole, outside, whole_outside):
    """Return the row of a table."""
    row = []
    bands = (truth, pointwise, False), (truth, whole, True), (outside, whole_outside, True)
    for y, (lower, upper), simultaneous in bands:
        rounding = 1e-9 * np.abs(y).max()  # where all trees agree, and are right
        ends = np.nan_to_num(np.stack([lower - rounding, upper + rounding]))  # inf as very large
        row += [coverage(y, *ends, simultaneous=simultaneous), np.mean(upper - lower)]
    return row


def ours(backbone, train, grid, calibration, tests, error_model):
    """Return the row of an error model."""
    law = ConservationLaw(over="x", total=Column(2))
    model = ConservationConstrainedRegressor(
        backbone, law, grid, error_model=error_model, drop_value_columns=True
    )
    model.set_params(calibration=calibration).fit(*train)
    (X, y), (X_outside, y_outside) = tests
    options = {"coverage": LEVEL, "method": "conformal"}
    pointwise = model.predict_interval(X, **options)
    whole = [model.predict_interval(each, **options, simultaneous=True) for each in (X, X_outside)]
    return judged(y, pointwise, whole[0], y_outside, whole[1])


def theirs(backbone, calibration, many, tests):
    """Return the row of MAPIE: pointwise from as many fields as ours, whole fields from more."""
    (X, y), (X_outside, y_outside) = tests
    guess = [backbone.predict(each[:, :2]) for each in (X, X_outside)]
    at_points = mapie(backbone.predict(calibration[0][:, :2]), calibration[1], LEVEL)
    corrected = 1.0 - (1.0 - LEVEL) / y.shape[1]
    whole = mapie(backbone.predict(many[0][:, :2]), many[1], corrected)
    return judged(y, at_points(guess[0]), whole(guess[0]), y_outside, whole(guess[1]))


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="small sizes, for CI")
    quick = parser.parse_args().quick
    n_train, n_points, n_held_out, n_test, n_splits = (
        (30, 21, 19, 20, 2) if quick else (150, 101, 99, 200, 20)
    )
    needed = ceil(n_points / (1.0 - LEVEL)) + n_points  # for Bonferroni's level, and some more
    with_mapie = find_spec("mapie") is not None
    if with_mapie:
        print(f"{n_held_out} calibration fields; {needed} for MAPIE's of whole fields")
    else:
        print("MAPIE is not installed: its rows are left out")
    print(f"{'':36}" + "".join(f"{name:>16}" for name in HEADER))
    regressors = {
        "forest": RandomForestRegressor(10 if quick else 100, random_state=0),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance")),
    }
    for name, regressor in regressors.items():
        for problem, parameter in OUTSIDE.items():
            X, y, grid = fields(problem, n_train, n_points, 1)
            outside = fields(problem, n_test, n_points, 3, **parameter)[:2]
            tests = fields(problem, n_test, n_points, 2)[:2], outside
            backbone = FrozenEstimator(regressor.fit(X[:, :2], y))
            rows = {error_model: [] for error_model in ERROR_MODELS}
            rows |= {"MAPIE": []} if with_mapie else {}
            for split in range(n_splits):
                drawn = fields(problem, n_held_out, n_points, 100 + split)[:2]
                for error_model in ERROR_MODELS:
                    found = ours(backbone, (X, y), grid, drawn, tests, error_model)
                    rows[error_model].append(found)
                if with_mapie:
                    many = fields(problem, needed, n_points, 1000 + split)[:2]
                    rows["MAPIE"].append(theirs(backbone, drawn, many, tests))
            for which, row in rows.items():
                held = "".join(
                    f"{a:16.3f}" if k % 2 else f"{a:16.1%}" for k, a in enumerate(np.mean(row, 0))
                )
                print(f"{name:12}{problem:15}{which:9}{held}", flush=True)


if __name__ == "__main__":
    main()

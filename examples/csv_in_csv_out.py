"""
From CSV to CSV
===============

Measurements of a field go in as a table, predictions that conserve mass come out as a table:

.. code-block:: shell

   python examples/csv_in_csv_out.py train.csv query.csv out.csv --domain 0 1 --error 0.02

``train.csv`` has the columns ``t``, ``x``, ``u`` and ``total``, one row a measurement; ``total`` is
the integral of ``u`` over the domain at time ``t``. ``query.csv`` has ``t``, ``x`` and ``total``,
for any points in any order. ``out.csv`` repeats it with the prediction ``u``, its standard
deviation ``u_std`` and the ends ``lower`` and ``upper`` of the 90 % interval.

Without file names, the script makes data of its own in a temporary folder; ``--quick`` makes less.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skphys import ConservationConstrainedRegressor
from skphys.constraints import ConservationLaw
from skphys.datasets import make_porous_medium
from skphys.grids import ColumnGrid

FEATURES = ["t", "x", "total"]


def read(path, columns):
    """Return columns of a CSV file, or say which ones it lacks."""
    table = pd.read_csv(path)
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise SystemExit(f"{path} lacks the column(s) {lacking}; it has {list(table.columns)}.")
    return table[columns]


def write_demo(folder, quick):
    """Write a training and a query table; return their paths and that of the output."""
    medium = make_porous_medium(
        60 if quick else 200, t=(0.1, 1.0), noise=0.02, as_frame=True, random_state=0
    )
    rng = np.random.default_rng(0)
    query = pd.DataFrame({"t": rng.choice([0.25, 0.5, 0.75], 30), "x": rng.uniform(size=30)})
    paths = [Path(folder, name) for name in ("train.csv", "query.csv", "out.csv")]
    for table, path in zip((medium.frame, query), paths, strict=False):
        table.assign(total=medium.mass(table[["t"]])).to_csv(path, index=False)
    return paths


def constrained_model(domain, relative_error):
    """Return a Gaussian process under the law; replace it by any other regressor.

    The law acts at 201 nodes, so that queries may be any points of the domain.
    """
    process = GaussianProcessRegressor(
        ConstantKernel(1.0, (1e-2, 1e3)) * Matern([1.0, 1.0], (1e-2, 1e3), nu=1.5),
        alpha=relative_error**2,
        normalize_y=True,
    )
    return ConservationConstrainedRegressor(
        make_pipeline(StandardScaler(), process),
        constraints=ConservationLaw(over="x", total="total"),
        grid=ColumnGrid(space="x", by="t", nodes=np.linspace(*domain, 201)),
        drop_value_columns=True,
    )


def run(train_path, query_path, out_path, *, domain, error):
    """Read, fit, predict, write."""
    train, query = read(train_path, [*FEATURES, "u"]), read(query_path, FEATURES)
    model = constrained_model(domain, error / train["u"].std(ddof=0))
    model.fit(train[FEATURES], train["u"])
    mean, std = model.predict(query, return_std=True)
    lower, upper = model.predict_interval(query, coverage=0.9)
    result = query.assign(u=mean, u_std=std, lower=lower, upper=upper)
    result.to_csv(out_path, index=False)
    violation = np.abs(model.constraint_residuals(query)).max()
    print(result.head().round(4).to_string(index=False))
    print(f"\n{len(result)} rows in {out_path}; the largest error of the total is {violation:.1e}")


def main():
    """Run on the files that are named, or on a demonstration."""
    parser = argparse.ArgumentParser(description="Predict fields that conserve their total.")
    parser.add_argument("files", nargs="*", metavar="CSV", help="train.csv query.csv out.csv")
    parser.add_argument("--domain", nargs=2, type=float, default=(0.0, 1.0), metavar=("LO", "HI"))
    parser.add_argument("--error", type=float, default=0.02, help="of a measurement, in units of u")
    parser.add_argument("--quick", action="store_true", help="a smaller demonstration")
    args = parser.parse_args()
    options = {"domain": args.domain, "error": args.error}
    if len(args.files) == 3:
        run(*args.files, **options)
    elif args.files:
        parser.error("give three files, train.csv query.csv out.csv, or none")
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(*write_demo(folder, args.quick), **options)
        print("That was a demonstration; its files are removed again.")


if __name__ == "__main__":
    main()

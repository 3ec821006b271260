"""``python -m skphys`` prints versions, and checks in seconds that laws hold on this machine."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

import numpy as np

PACKAGES = (
    "skphys",
    "numpy",
    "scipy",
    "scikit-learn",
    "joblib",
    "array-api-compat",
    "torch",
    "skorch",
    "matplotlib",
    "pandas",
    "xarray",
)
EXACT = 1e-12  # relative error of a law that holds


def installed(name: str) -> str:
    """Return a package's version, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def law() -> float:
    """Return by how much means, draws and intervals of a regressor miss a law."""
    from sklearn.neighbors import KNeighborsRegressor

    from skphys import ConservationConstrainedRegressor
    from skphys.constraints import Column, ConservationLaw
    from skphys.datasets import make_diffusion

    drawn: Any = make_diffusion(60, layout="fields", n_points=51, random_state=0)
    weights = drawn.grid.weights()
    y = drawn.target + 1.0  # a total that is not zero
    X = np.column_stack([drawn.data, y @ weights])
    model = ConservationConstrainedRegressor(
        KNeighborsRegressor(3), ConservationLaw(over="x", total=Column(2)), drawn.grid
    ).fit(X[:40], y[:40])
    mean = np.abs(model.predict(X[40:]) @ weights - X[40:, 2])
    draws = np.tensordot(model.sample_y(X[40:], 5), weights, (1, 0)) - X[40:, 2:]
    return float(max(mean.max(), np.abs(draws).max()) / np.abs(X[40:, 2]).max())


def walls() -> float:
    """Return by how much a regressor misses the values at two walls."""
    from sklearn.linear_model import Ridge

    from skphys import BoundaryEnforcedOperator
    from skphys.constraints import Column, Dirichlet
    from skphys.grids import Grid

    grid = Grid(x=np.linspace(0.0, 1.0, 33))
    X = np.random.default_rng(0).uniform(1.0, 2.0, size=(40, 2))
    y = X[:, :1] + (X[:, 1:] - X[:, :1]) * grid["x"] + np.sin(np.pi * grid["x"])
    ends = {"x": (Dirichlet(Column(0)), Dirichlet(Column(1)))}
    model = BoundaryEnforcedOperator(Ridge(), ends, grid).fit(X[:30], y[:30])
    found = model.predict(X[30:])
    return float(np.abs(found[:, [0, -1]] - X[30:]).max() / np.abs(X).max())


def net() -> float:
    """Return by how much a Fourier neural operator misses a law."""
    from skphys import ConservationConstrainedRegressor, FNORegressor
    from skphys.constraints import ConservationLaw
    from skphys.grids import Grid

    grid = Grid(x=np.linspace(0.0, 1.0, 32))
    X = 1.0 + np.random.default_rng(0).uniform(size=(8, 1)) * np.cos(np.pi * grid["x"])
    operator = FNORegressor(4, 8, n_layers=2, max_epochs=2, random_state=0)
    model = ConservationConstrainedRegressor(
        operator, ConservationLaw(over="x", total=1.0), grid, error_model="identity"
    )
    return float(np.abs(model.fit(X, X).predict(X) @ grid.weights() - 1.0).max())


def check(name: str, miss: Callable[[], float]) -> bool:
    """Run a check, and say what came of it."""
    began = perf_counter()
    missed = miss()
    holds = missed <= EXACT
    said = "holds" if holds else "FAILS"
    print(f"{name:24}{said}, to {missed:.1e} relative, in {perf_counter() - began:.1f} s")
    return holds


def main() -> int:
    """Print versions and checks; return 0 if all hold."""
    print(f"{'python':18}{platform.python_version()} on {platform.platform()}")
    found = {name: installed(name) for name in PACKAGES}
    for name, number in found.items():
        print(f"{name:18}{number}")
    checks = {"a conservation law": law, "values at two walls": walls}
    if found["torch"] != "not installed" and found["skorch"] != "not installed":
        import torch

        print(f"{'device':18}{'cuda' if torch.cuda.is_available() else 'cpu'}")
        checks["a net under a law"] = net
    return 0 if all([check(name, miss) for name, miss in checks.items()]) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a one-step operator sees at each step of a rollout, and when the rollout has gone astray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, assert_all_finite

from skphys.constraints import FieldTable
from skphys.grids import Components


class Steps:
    """Makes the tables of single steps from a table of starts.

    Parameters
    ----------
    n_points : int
        Number of points of a field, which are the first columns.
    by_step : dict of str to list of (str or int)
        Columns with one value a step, by the name of the column that takes their place.
    X : array or DataFrame of shape (n_samples, n_features)
        The training data, from which positions are found.
    """

    def __init__(self, n_points: int, by_step: Mapping[str, Sequence[str | int]], X: Any) -> None:
        if X.shape[1] < n_points:
            raise ValueError(
                f"X has {X.shape[1]} column(s), but a field has {n_points} points: the first "
                f"columns of X must hold the field at the start."
            )
        self.n_points, self.by_step = n_points, by_step
        taken = {
            _position(X, key, name, n_points) for name, keys in by_step.items() for key in keys
        }
        self.kept = [c for c in range(n_points, X.shape[1]) if c not in taken]

    def start(self, X: Any) -> np.ndarray:
        """Return the fields at the start, (n_samples, n_points)."""
        fields = X.iloc[:, : self.n_points] if hasattr(X, "iloc") else X[:, : self.n_points]
        fields = np.asarray(fields, dtype=np.float64)
        assert_all_finite(fields, input_name="X, in the fields at the start,")
        return fields

    def table(self, X: Any, step: int, fields: np.ndarray) -> Any:
        """Return what the operator sees at a step, the first being 0, with these fields."""
        table = FieldTable(X)
        now = {name: table.numbers(self._key(name, step)) for name in self.by_step}
        rest = _safe_indexing(X, self.kept, axis=1)
        if not hasattr(X, "iloc"):
            return np.column_stack([fields, rest, *now.values()])
        pd = import_module("pandas")  # X is one of its tables
        named = pd.DataFrame(fields, columns=X.columns[: self.n_points])
        return pd.concat([named, rest.reset_index(drop=True).assign(**now)], axis=1)

    def _key(self, name: str, step: int) -> str | int:
        keys = self.by_step[name]
        if step >= len(keys):
            raise ValueError(
                f"by_step[{name!r}] has {len(keys)} column(s), and step {step + 1} needs one more; "
                f"take fewer steps, n_steps={len(keys)}."
            )
        return keys[step]


@dataclass(frozen=True)
class Rollouts:
    """True fields over time, to learn single steps from.

    Attributes
    ----------
    steps : Steps
        How tables of steps are made.
    X : array or DataFrame of shape (n_samples, n_features)
        The starts.
    fields : ndarray of shape (n_samples, 1 + n_steps, n_points)
        The fields at the start and after each step.
    """

    steps: Steps
    X: Any
    fields: np.ndarray

    def take(self, rows: np.ndarray) -> Rollouts:
        """Return some of them."""
        return Rollouts(self.steps, _safe_indexing(self.X, rows), self.fields[rows])

    def pairs(self) -> list[tuple[Any, np.ndarray]]:
        """Return for each step what the operator sees, and the fields after it."""
        before, after = self.fields[:, :-1], self.fields[:, 1:]
        return [
            (self.steps.table(self.X, k, before[:, k]), after[:, k]) for k in range(after.shape[1])
        ]

    def pushed(self, predict: Callable[[Any], np.ndarray]) -> list[tuple[Any, np.ndarray]]:
        """Return pairs from what is predicted of a step to the true fields after the next."""
        return [
            (self.steps.table(self.X, k + 1, predict(table)), self.fields[:, k + 2])
            for k, (table, _) in enumerate(self.pairs()[:-1])
        ]


def stacked(pairs: Sequence[tuple[Any, np.ndarray]]) -> tuple[Any, np.ndarray]:
    """Return all tables below one another, and all fields."""
    tables, after = zip(*pairs, strict=True)
    if not hasattr(tables[0], "iloc"):
        return np.concatenate(tables), np.concatenate(after)
    pd = import_module("pandas")  # they are its tables
    return pd.concat(tables, ignore_index=True), np.concatenate(after)


def training_range(fields: np.ndarray, grid: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest value of fields (..., n_points), by component."""
    parts = grid.slices.values() if isinstance(grid, Components) else [slice(None)]
    low, high = np.empty(grid.n_points), np.empty(grid.n_points)
    for part in parts:
        low[part], high[part] = fields[..., part].min(), fields[..., part].max()
    return low, high


def check_departure(
    fields: np.ndarray, training: tuple[np.ndarray, np.ndarray], most: float, step: int
) -> None:
    """Raise if fields (n_samples, n_points) are too far outside the range of the training."""
    low, high = training
    allowed = np.where(high > low, most * (high - low), np.inf)
    outside = np.maximum(low - fields, fields - high)
    gone = ~((outside <= allowed) & np.isfinite(fields))
    if not gone.any():
        return
    row, point = np.argwhere(gone)[0]
    raise ValueError(
        f"The rollout of row {row} of X leaves the training range at step {step}: its field "
        f"reaches {fields[row, point]:.3g}, and those of the training fields lie in "
        f"[{low[point]:.3g}, {high[point]:.3g}]. Take fewer steps, state constraints, train on "
        f"more fields or with push_forward, or raise max_departure={most:g}."
    )


def _position(X: Any, key: str | int, name: str, n_points: int) -> int:
    """Return the position of a column of `by_step`, behind the field at the start."""
    named = hasattr(X, "columns")
    names = list(X.columns) if named else list(range(X.shape[1]))
    if key not in names:
        raise ValueError(
            f"by_step[{name!r}] names the column {key!r}, which X does not have; it is "
            f"{'a table, whose columns have names' if named else 'an array: give numbers'}."
        )
    if names.index(key) < n_points:
        raise ValueError(
            f"by_step[{name!r}] names the column {key!r}, one of the first {n_points} of X, which "
            f"hold the field at the start."
        )
    return names.index(key)
